from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.training.pools import SIBLINGS, Pool, build_sound_pool, files_of  # noqa: E402


def pool(folder: Path, grouped: int, generated: int, total: int) -> Pool:
    np.save(folder / "items.npy", np.zeros((total, 2, 2, 3), dtype=np.uint8))
    (folder / "about.json").write_text("[" + ",".join(["[]"] * total) + "]", encoding="utf-8")
    return Pool(folder, grouped, generated)


def test_a_batch_holds_whole_groups_of_look_alikes_and_some_real_originals(tmp_path: Path) -> None:
    drawn = pool(tmp_path, 80, 160, 200).draw(np.random.default_rng(1), 64)
    assert len(drawn) == len(set(drawn.tolist())) == 64
    grouped = np.sort(drawn[drawn < 80])
    assert len(grouped) == 32
    assert (grouped.reshape(-1, SIBLINGS) % SIBLINGS == np.arange(SIBLINGS)).all()
    assert (drawn >= 160).sum() == 16


def test_a_batch_without_real_originals_is_as_large(tmp_path: Path) -> None:
    drawn = pool(tmp_path, 80, 160, 160).draw(np.random.default_rng(1), 64)
    assert len(set(drawn.tolist())) == 64


def test_the_same_seed_generates_the_same_sounds_with_words_about_them(tmp_path: Path) -> None:
    advanced: list[int] = []
    made = [
        build_sound_pool(
            tmp_path / name, 160, 3, workers=0, real=None, advance=lambda steps, _: advanced.append(steps)
        )
        for name in ("first", "second")
    ]
    assert (np.asarray(made[0].items) == np.asarray(made[1].items)).all()
    assert all(made[0].about)
    assert sum(advanced) == 320
    assert np.abs(made[0].sound(5)).max() <= 1.0


def test_a_finished_pool_is_kept_and_another_seed_makes_another(tmp_path: Path) -> None:
    advanced: list[int] = []

    def build(seed: int) -> Pool:
        return build_sound_pool(tmp_path, 160, seed, workers=0, real=None, advance=lambda n, _: advanced.append(n))

    first = np.array(build(3).items)
    assert (np.asarray(build(3).items) == first).all()
    assert sum(advanced) == 160
    assert not (np.asarray(build(4).items) == first).all()
    assert sum(advanced) == 320


def test_a_folder_without_media_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file ends in"):
        files_of(tmp_path, (".jpg",))
