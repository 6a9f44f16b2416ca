"""Judging searches: thresholds from one split, figures on another, pairs that are not judged."""

from __future__ import annotations

import numpy as np
import pytest

from models.fusion import FusionLayout
from models.training.kinds import KINDS
from tests.quality.originals import Photograph, Recording, distractors, originals, sentences
from tests.quality.posts import any_search, compose, fused_search
from tests.quality.search import Search, alike, at_fixed, calibrate, judge
from tests.quality.views import Views


def search(*, strength: float, seed: int, groups: tuple[str | None, ...] = (None,) * 20) -> Search:
    """Copies of 20 originals, three each, that are `strength` above others."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(20), 3)
    copies = rng.normal(0, 1, (60, 20)).astype(np.float32)
    copies[np.arange(60), owner] += np.float32(strength)
    others = rng.normal(0, 1, (400, 20)).astype(np.float32)
    return Search(copies, others, owner, ["trained", "trained", "new"] * 20, alike(groups))


def test_copies_far_above_everything_are_all_found() -> None:
    judged = judge(search(strength=30, seed=1), calibrate(search(strength=30, seed=2)), frozenset({"new"}))
    assert (judged.precision, judged.recall, judged.strict, judged.seen, judged.unseen) == (1, 1, 1, 1, 1)
    assert judged.transforms == {"trained": 1.0, "new": 1.0}


def test_copies_like_everything_else_are_found_as_often_as_others_match() -> None:
    judged = judge(search(strength=0, seed=1), calibrate(search(strength=0, seed=2)), frozenset({"new"}))
    assert judged.recall <= 0.05
    assert judged.precision < 0.05
    assert judged.false_matches == pytest.approx(0.001, abs=0.001)
    assert judged.strict_queries == pytest.approx(0.01, abs=0.02)


def test_thresholds_are_those_of_the_split_they_come_from() -> None:
    strict = calibrate(search(strength=3, seed=2))
    made = search(strength=3, seed=1)
    ten = np.float32(10)
    shifted = Search(made.copies + ten, made.distractors + ten, made.owner, made.names, made.alike)
    assert judge(shifted, strict, frozenset()).false_matches > 0.99


def test_pieces_of_one_recording_are_not_judged_against_each_other() -> None:
    groups = ("a", "a", *(None,) * 18)
    made = search(strength=3, seed=1, groups=groups)
    made.copies[:3, 1] = 99.0  # of original 0, like original 1
    judged = judge(made, calibrate(search(strength=3, seed=2)), frozenset())
    apart = search(strength=3, seed=1)
    apart.copies[:3, 1] = 99.0
    assert judged.precision > judge(apart, calibrate(search(strength=3, seed=2)), frozenset()).precision
    assert made.best_wrong[:3].max() < 99.0
    assert apart.best_wrong[:3].min() == 99.0


def test_a_copy_counts_among_queries_without_an_original_once_that_is_taken_away() -> None:
    made = search(strength=30, seed=1)
    assert len(made.best_wrong) == 460
    assert made.best_wrong.max() < 10


def test_a_fixed_threshold_is_taken_as_it_is() -> None:
    found = at_fixed(search(strength=30, seed=1), 15.0)
    assert (found.recall, found.false_matches, found.strict_queries) == (1.0, 0.0, 0.0)


def views(seed: int, noise: float) -> Views:
    """Features of 12 originals, 3 copies each and 50 distractors, in 16 dimensions."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 1, (12, 16)).astype(np.float32)
    owner = np.repeat(np.arange(12), 3)
    copies = (rows[owner] + noise * rng.normal(0, 1, (36, 16))).astype(np.float32)
    others = rng.normal(0, 1, (50, 16)).astype(np.float32)
    first, second, third = ({"compact": _unit(one)} for one in (rows, copies, others))
    return Views(first, second, third, owner, ["noise"] * 36, [None] * 12)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def parts(made: dict[str, Views]) -> dict[str, Search]:
    """The searches by single parts."""
    return {
        kind: Search(
            one.copies["compact"] @ one.references["compact"].T,
            one.distractors["compact"] @ one.references["compact"].T,
            one.owner,
            one.names,
            alike(one.groups),
        )
        for kind, one in made.items()
    }


def test_a_whole_post_is_found_by_what_its_parts_have_in_common() -> None:
    made = {kind: views(number, 0.9) for number, kind in enumerate(KINDS)}
    known = {kind: views(10 + number, 0.9) for number, kind in enumerate(KINDS)}
    layout = FusionLayout(KINDS, 16, np.ones(3, dtype=np.float32), np.zeros((3, 16), dtype=np.float32))
    posts, others = compose(made, 1), compose(known, 2)
    fused = judge(fused_search(posts, made, layout), calibrate(fused_search(others, known, layout)), frozenset())
    wrong = {kind: one.wrong for kind, one in parts(known).items()}
    found = any_search(posts, parts(made), wrong)
    any_part = judge(found, calibrate(any_search(others, parts(known), wrong)), frozenset())
    assert fused.recall >= any_part.recall
    assert fused.precision > 0.9
    assert any_part.precision > 0.5
    assert found.copies.shape == (48, 12)


def test_any_part_that_is_telling_makes_its_post_match() -> None:
    made = {"text": views(0, 0.0), "image": views(1, 50.0), "audio": views(2, 50.0)}
    known = {kind: views(10 + number, 50.0) for number, kind in enumerate(KINDS)}
    wrong = {kind: one.wrong for kind, one in parts(known).items()}
    found = any_search(compose(made, 1), parts(made), wrong)
    assert (found.copies.argmax(axis=1) == found.owner).mean() > 0.8


def test_no_sentence_module_or_seed_is_on_both_sides() -> None:
    report, calibration = ({one.text for one in sentences(split)} for split in ("report", "calibration"))
    assert len(report) > 2000
    assert len(calibration) > 800
    assert len(report & calibration) < 0.03 * len(calibration)  # modules copy sentences from each other
    for kind in KINDS:
        first, second = (originals(kind, "generated", split, 5, None) for split in ("report", "calibration"))
        assert not set(first) & set(second)
        assert not set(first) & set(distractors(kind, "generated", "report", 5, 5))


def test_without_a_folder_of_media_there_are_no_real_images_or_sounds() -> None:
    assert originals("image", "real", "report", 5, None) == []
    assert originals("audio", "real", "report", 5, None) == []


def test_files_of_a_folder_are_originals_by_split(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    for part, name in (("images/test", "a.jpg"), ("audio/test", "rain-1-2-A.ogg"), ("audio/test", "rain-1-2-B.ogg")):
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / name).touch()
    assert originals("image", "real", "report", 5, folder) == [Photograph(folder / "images" / "test" / "a.jpg")]
    assert originals("image", "real", "calibration", 5, folder) == []
    found = originals("audio", "real", "report", 5, folder)
    assert [one.group for one in found if isinstance(one, Recording)] == ["rain-1-2", "rain-1-2"]


def test_no_sentence_is_an_original_and_a_distractor() -> None:
    count = len(sentences("calibration"))
    kept = set(originals("text", "real", "calibration", 40, None))
    others = distractors("text", "real", "calibration", count, 40)
    assert len(others) == count
    assert len(kept) == 40
    assert not kept & set(others)
