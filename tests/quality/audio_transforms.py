"""What is done to a recording before it is posted again: the list that docs/quality.md reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.synthetic import sound_variants
from models.synthetic.oscillators import RATE, band

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    Transform = Callable[[Samples, np.random.Generator], Samples]

_COMPANDING = 255.0


def _telephone(samples: Samples, _rng: np.random.Generator) -> Samples:
    """300 to 3400 Hz, in 256 steps on a logarithmic scale."""
    narrow = band(samples, 300, 3400, order=4)
    peak = max(float(np.abs(narrow).max(initial=0.0)), 1e-6)
    scaled = narrow / peak
    bent = np.sign(scaled) * np.log1p(_COMPANDING * np.abs(scaled)) / np.log1p(_COMPANDING)
    steps = np.round(bent * 127) / 127
    heard = np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(_COMPANDING)) / _COMPANDING
    return np.asarray(heard * peak, dtype=np.float32)


def _echo(samples: Samples, rng: np.random.Generator) -> Samples:
    """The same again after 0.15 to 0.4 s, half as loud."""
    delay = int(RATE * rng.uniform(0.15, 0.4))
    late = np.concatenate([np.zeros(delay, dtype=np.float32), samples])[: len(samples)]
    return np.asarray((samples + np.float32(0.5) * late) / np.float32(1.5), dtype=np.float32)


_OURS: dict[str, Transform] = {"telephone": _telephone, "echo": _echo}
_LEFT_OUT = ("crop-65-percent", "equaliser", "time-shift")

TRANSFORMS: dict[str, Transform] = {
    name: transform for name, transform in sound_variants.TRAINED.items() if name not in _LEFT_OUT
} | (sound_variants.HELD_OUT | _OURS)
"""Each takes and gives mono float32 samples at 16 kHz."""

UNSEEN: frozenset[str] = frozenset({*sound_variants.HELD_OUT, *_OURS})
"""Those of no training view."""
