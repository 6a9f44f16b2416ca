"""Images as the inputs of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.encoders.image import ImageEncoder, patched
from models.manifest import ImageInput


def test_patches_stand_row_by_row() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    given = patched([image, image[:2, :2]], 2, 9)
    assert given["pixels"].shape == (2, 9, 12)
    assert given["shapes"].tolist() == [[2, 3], [1, 1]]
    assert (given["pixels"][0, 1] == image[:2, 2:4].ravel()).all()
    assert (given["pixels"][0, 3] == image[2:, :2].ravel()).all()
    assert not given["pixels"][0, 6:].any()
    assert not given["pixels"][1, 1:].any()


class Watched:
    """A session that keeps what it was given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def run(self, _names: list[str], inputs: dict[str, Any]) -> list[Any]:
        self.given = inputs
        return [np.ones((len(inputs["pixels"]), 4), dtype=np.float32)]


def test_images_of_several_shapes_share_a_call_where_the_graph_takes_patches() -> None:
    session = Watched()
    encoder = ImageEncoder(session, ImageInput(size=8, patch=2, resample="bilinear"))
    encoder.embed([encoder.example(), np.zeros((2, 6, 3), dtype=np.uint8)])
    assert session.given["shapes"].tolist() == [[4, 4], [1, 3]]
