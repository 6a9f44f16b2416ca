"""What is read from a processor resizes and crops to the very pixels that the processor gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

from PIL import Image  # noqa: E402

from models.encoders.image import patched  # noqa: E402
from models.export.checkpoint import Checkpoint  # noqa: E402
from models.export.image_towers import form_of  # noqa: E402
from models.imagery import fit_image  # noqa: E402

NOWHERE = Checkpoint("none", Path("none"), Path("none"))
PLAIN = {"do_rescale": False, "do_normalize": False}
SHAPES = [(50, 80), (80, 50), (48, 48), (31, 200), (7, 9), (300, 299)]

square = {"height": 40, "width": 40}
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "stretched": ("ViTImageProcessorPil", {"size": square, "resample": 2}),
    "stretched, bicubic": ("SiglipImageProcessorPil", {"size": square, "resample": 3}),
    "the middle": ("CLIPImageProcessorPil", {"size": {"shortest_edge": 40}, "crop_size": square}),
    "the middle of more": ("BitImageProcessorPil", {"size": {"shortest_edge": 51}, "crop_size": square}),
    "the middle of less": ("CLIPImageProcessorPil", {"size": {"shortest_edge": 33}, "crop_size": square}),
    "a share of it": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 40}, "crop_pct": 0.9}),
}


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", PROCESSORS)
def test_pixels_are_those_of_the_processor(name: str) -> None:
    kind, settings = PROCESSORS[name]
    processor: Any = getattr(transformers, kind)(**settings, **PLAIN)
    form = form_of(NOWHERE, processor)
    for shape in SHAPES:
        wanted = processor(images=Image.fromarray(noise(*shape)), return_tensors="np")["pixel_values"][0]
        assert (fit_image(noise(*shape), form) == wanted.transpose(1, 2, 0)).all(), shape


def test_patches_are_those_of_the_processor() -> None:
    processor = transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=25, **PLAIN)
    form = form_of(NOWHERE, processor)
    for shape in SHAPES:
        wanted = processor(images=Image.fromarray(noise(*shape)), return_tensors="np")
        given = patched([fit_image(noise(*shape), form)], 8, form.patches)
        assert given["shapes"].tolist() == wanted["spatial_shapes"].tolist()
        assert (given["pixels"] == wanted["pixel_values"]).all(), shape
