"""Every family: from the checkpoint's folder to a graph that gives what transformers gives of the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

from consumers.commands.export import ServedFiles  # noqa: E402
from models.export.families import FAMILIES  # noqa: E402
from models.export.measure import actual_rows, served_items  # noqa: E402
from models.manifest import AudioInput, ImageInput, TextInput  # noqa: E402
from tests.models.export.checkpoints import make  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.export.samples import Samples
    from models.export.tower_export import ExportedTower

TOWERS: list[tuple[str, str, int, int, Any]] = [
    ("text", "bert", 1, 64, TextInput(tokenizer="tokenizer.json", max_tokens=48, padding=1, prefix="query: ")),
    ("text", "xlm_roberta", 1, 32, TextInput(tokenizer="tokenizer.json", max_tokens=64, padding=1)),
    ("text", "distilbert", 1, 32, TextInput(tokenizer="tokenizer.json", max_tokens=64, padding=1)),
    ("text", "mpnet", 0, 64, TextInput(tokenizer="tokenizer.json", max_tokens=64, padding=1)),
    ("text", "clip", 1, 24, TextInput(tokenizer="tokenizer.json", max_tokens=77, padding=1)),
    ("text", "siglip", 1, 40, TextInput(tokenizer="tokenizer.json", max_tokens=16, padding=1, full=True)),
    ("text", "siglip2", 1, 32, TextInput(tokenizer="tokenizer.json", max_tokens=16, padding=1, full=True, left=True)),
    ("text", "clap", 0, 24, TextInput(tokenizer="tokenizer.json", max_tokens=64, padding=1)),
    ("image", "resnet", 0, 32, ImageInput(size=48, edge=54, resample="bicubic")),
    ("image", "vit", 1, 32, ImageInput(size=32, resample="bilinear")),
    ("image", "convnext", 0, 40, ImageInput(size=384, resample="bicubic")),
    ("image", "dinov2", 1, 32, ImageInput(size=42, edge=48, resample="bicubic")),
    ("image", "clip", 1, 24, ImageInput(size=32, edge=32, resample="bicubic")),
    ("image", "siglip", 2, 32, ImageInput(size=32, resample="bicubic")),
    ("image", "siglip2", 2, 32, ImageInput(size=32, resample="bilinear", patch=8)),
    (
        "audio",
        "audio_spectrogram_transformer",
        1,
        32,
        AudioInput(rate=16_000, window=41_200, max_windows=23, fill="zeros", lengths=True),
    ),
    ("audio", "wav2vec2", 1, 32, AudioInput(rate=16_000, window=24_000, max_windows=40)),
    ("audio", "hubert", 1, 32, AudioInput(rate=16_000, window=24_000, max_windows=40)),
    ("audio", "wavlm", 0, 32, AudioInput(rate=16_000, window=24_000, max_windows=40)),
    ("audio", "whisper", 1, 32, AudioInput(rate=16_000, window=16_000, max_windows=60, fill="zeros")),
    ("audio", "clap", 0, 24, AudioInput(rate=48_000, window=48_000, max_windows=60, fill="repeat-zeros")),
]
"""Kind, family, attention layers that are fused, width, and what is read from the processor."""


@pytest.mark.parametrize(("kind", "family", "fused", "width", "form"), TOWERS, ids=lambda value: str(value)[:30])
def test_a_family_is_exported_as_transformers_computes_it(
    kind: str,
    family: str,
    fused: int,
    width: int,
    form: Any,
    tmp_path: Path,
    samples: Samples,
    exported: Callable[..., ExportedTower],
) -> None:
    options = {"window": 1.5} if family in {"wav2vec2", "hubert", "wavlm"} else {}
    tower = exported(kind, make(family, tmp_path), tmp_path, **options)
    assert getattr(tower.modality, kind) == form
    assert tower.export.parity <= 1e-5
    assert tower.export.fused_attention == fused
    assert tower.export.flops > 0
    assert tower.export.rate > 0
    assert tower.export.bytes == (tmp_path / f"{kind}.onnx").stat().st_size
    rows = actual_rows(tower.encoder, served_items(tower.encoder.form, samples.of(kind), ServedFiles()))
    assert rows.shape == (4, width)
    # parity would say nothing of a network that gives one vector for everything
    products = rows @ rows.T
    assert products[~np.eye(4, dtype=bool)].max() < 1 - 1e-4


def test_every_family_in_the_table_is_named_as_transformers_does() -> None:
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES
    assert {name for families in FAMILIES.values() for name in families} <= set(known)
