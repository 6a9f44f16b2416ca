from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.training.validation import Point, Queries, read_points, stale, validate, write_points  # noqa: E402


def point(step: int, recall: float) -> Point:
    return Point(step, 1.0, {"image contrast": 2.0}, {"image generated recall": recall, "image generated uap": 0.1})


def test_copies_that_are_their_originals_are_all_found_and_others_are_not() -> None:
    rows = torch.nn.functional.normalize(torch.from_numpy(np.random.default_rng(1).standard_normal((80, 16))).float())
    same = validate({"image": torch.nn.Identity()}, {"image real": Queries((rows,), (rows,))})
    assert same["image real recall"] == 1.0
    assert same["image real uap"] == 1.0
    other = validate({"image": torch.nn.Identity()}, {"image real": Queries((rows,), (rows.roll(1, dims=0),))})
    assert other["image real recall"] < 0.1


def test_points_are_written_as_lines_and_as_a_picture_and_read_again(tmp_path: Path) -> None:
    points = [point(10, 0.2), point(20, 0.4)]
    write_points(tmp_path, points)
    assert read_points(tmp_path / "validation.jsonl") == points
    assert (tmp_path / "validation.png").read_bytes().startswith(b"\x89PNG")
    assert read_points(tmp_path / "absent.jsonl") == []


def test_a_curve_is_stale_after_so_many_points_without_a_better_one() -> None:
    rising = [point(step, step / 10) for step in range(5)]
    assert not stale(rising, 2)
    assert not stale([*rising, point(5, 0.1)], 2)
    assert stale([*rising, point(5, 0.1), point(6, 0.4)], 2)
    assert not stale([*rising, point(5, 0.1), point(6, 0.4)], 0)
