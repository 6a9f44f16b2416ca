"""What towers made, on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.tower_cache import KEY_BYTES, TowerCache

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("text", "image")


def key(number: int) -> bytes:
    return bytes([number]) * KEY_BYTES


def test_views_are_there_the_next_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    views = {
        key(1): {"text": rng.random((1, 4), dtype=np.float32)},
        key(2): {"text": rng.random((1, 4), dtype=np.float32), "image": rng.random((3, 4), dtype=np.float32)},
    }
    TowerCache(tmp_path, "a-1", NAMES).put(views)
    again = TowerCache(tmp_path, "a-1", NAMES)
    assert len(again) == 2
    for number, view in views.items():
        found = again.get(number)
        assert found is not None
        assert found.keys() == view.keys()
        assert all(np.array_equal(found[name], view[name]) for name in view)
    assert again.get(key(3)) is None


def test_another_bundle_has_views_of_its_own(tmp_path: Path) -> None:
    TowerCache(tmp_path, "a-1", NAMES).put({key(1): {"text": np.ones((1, 2), dtype=np.float32)}})
    assert TowerCache(tmp_path, "b-2", NAMES).get(key(1)) is None


def test_a_damaged_file_loses_only_its_own_views(tmp_path: Path) -> None:
    cache = TowerCache(tmp_path, "a-1", NAMES)
    for number in (1, 2):
        cache.put({key(number): {"text": np.ones((1, 2), dtype=np.float32)}})
    (tmp_path / "a-1" / "000000.safetensors").write_bytes(b"torn")
    again = TowerCache(tmp_path, "a-1", NAMES)
    assert again.get(key(1)) is None
    assert again.get(key(2)) is not None
