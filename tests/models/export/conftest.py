"""Samples and a writer of towers that the tests of this folder share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.synthetic.encoding import encode_wav
from models.synthetic.sounds import generate_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.export.samples import Samples
    from models.export.tower_export import ExportedTower

SECONDS = (3.3, 0.6, 1.7, 2.6)
"""Of the recordings: less than a window, and several."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """More bring nothing to networks of this size."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def samples() -> Samples:
    """Four of each kind."""
    from models.export.samples import made_samples

    rng = np.random.default_rng(3)
    heard = [encode_wav(generate_sound(rng, seconds).samples, 16_000) for seconds in SECONDS]
    return dataclasses.replace(made_samples({"text", "image"}, 4, 0), sounds=tuple(heard))


@pytest.fixture(scope="session")
def exported(samples: Samples) -> Callable[..., ExportedTower]:
    """Export one tower without projecting it."""
    from consumers.commands.export import ServedFiles
    from models.export.heads import head_for
    from models.export.tower_export import prepare_tower, write_tower
    from models.export.towers import Options

    def export(
        kind: str, checkpoint: Path, folder: Path, *, variant: str = "fp32", used: Samples = samples, **options: Any
    ) -> ExportedTower:
        found, tower = prepare_tower(kind, str(checkpoint), Options(**options))
        return write_tower(
            kind,
            found,
            tower,
            head_for(tower.width, tower.width, 0),
            folder,
            variant=variant,
            weight=1.0,
            samples=used,
            read=ServedFiles(),
            seconds=0.0,
        )

    return export
