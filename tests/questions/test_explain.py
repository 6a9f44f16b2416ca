"""Why a post is decided as it is, by the state in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.contracts.decision import Decision
from consumers.questions.explain import Explanation, explain
from consumers.settings import Policy, Redis
from consumers.shown.explain import changes, told
from consumers.state.codec import StateChanges
from consumers.state.judging import Judging, read_judging
from consumers.state.store import StateStore
from models.gates import without
from tests.cells import small_cells as cells
from tests.cells.small_cells import Cell, directions, layout, manifest, near, post, verdict
from tests.sounds import sound_features

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.redis

A, B, C, FAR = directions(4)
POLICIES = (
    Policy(name="scam"),
    Policy(name="meme", together=True),
    Policy(name="known", alone="image", exemplar=0.9),
)


@pytest.fixture
def cell() -> Cell:
    """A is upheld as a scam, B as a meme, C as a known image."""
    found = Cell(cells.settings(*POLICIES))
    found.add(*(post(number, row) for number, row in enumerate((A, B, C))))
    for number, policy in enumerate(("scam", "meme", "known")):
        found.add(verdict(number, post_id=f"post-{number}", policy=policy))
    return found


@pytest.fixture
def judging(cell: Cell, tmp_path: Path, real_redis: str) -> Judging:
    return read(cell, tmp_path, real_redis)


def read(cell: Cell, tmp_path: Path, url: str) -> Judging:
    """The cell's state after a way through Redis."""
    store = StateStore(Redis(url=url, prefix=tmp_path.name), "small", 1)
    assert read_judging(store, manifest(), 0) is None
    store.claim(0, "me")
    given_ = StateChanges()
    for entry in cell.store.entries():
        given_.set(entry.kind, entry.field, entry.value)
    store.write(0, "me", None, cell.fold.position, given_, b"")
    found = read_judging(store, manifest(), 0)
    store.close()
    assert found is not None
    return found


def explained(judging: Judging, vector: NDArray[np.float32]) -> Explanation:
    return explain(judging, vector, post_id="asked", bundle="small", parts={})


def results(found: Explanation) -> dict[str, str]:
    return {reason.policy: reason.result for reason in found.policies}


def as_logged(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector.astype("<f2").astype(np.float32)


def test_a_post_near_an_exemplar_is_flagged_and_the_tightest_threshold_named(judging: Judging) -> None:
    found = explained(judging, as_logged(near(A, 0.8)))
    assert found.outcome == "flagged"
    assert results(found) == {"scam": "flag", "meme": "clear", "known": "clear"}
    [scam] = [reason for reason in found.policies if reason.policy == "scam"]
    assert (scam.exemplar, scam.deciding in {"exemplar", "centroid"}) == ("post-0", True)
    assert found.exemplars[0].post_id == "post-0"
    assert found.clusters[0].labels == {"scam": "violating"}
    assert found.joining is not None
    assert found.joining.joins


def test_a_near_miss_says_by_how_much(judging: Judging) -> None:
    found = explained(judging, as_logged(near(A, 0.7)))
    assert found.outcome == "clear"
    [scam] = [reason for reason in found.policies if reason.policy == "scam"]
    missed = [one for one in scam.thresholds if not one.passed]
    assert {one.name for one in missed} == {"exemplar", "centroid"}
    assert missed[0].margin == pytest.approx(-0.05, abs=2e-3)
    assert any(line.startswith("scam: ") and "misses 0.750 by 0.050" in line for line in changes(found))


def test_a_post_that_follows_a_flagged_one_is_told_so(cell: Cell, tmp_path: Path, real_redis: str) -> None:
    flagged, post_after = near(A, 0.8, seed=1), near(near(A, 0.8, seed=1), 0.9, seed=2)
    cell.add(post(3, flagged))
    judging = read(cell, tmp_path, real_redis)
    found = explained(judging, as_logged(post_after))
    [scam] = [reason for reason in found.policies if reason.policy == "scam"]
    assert scam.exemplar_similarity < judging.settings.rule("scam").exemplar
    assert (scam.result, scam.trail is not None and scam.trail.post_id) == ("flag", "post-3")
    assert {"reach", "trail"} <= {one.name for one in scam.thresholds}
    assert "after flagged post post-3" in " ".join(
        str(line.renderable) for line in told(found) if not isinstance(line, list)
    )


def test_the_part_without_which_it_would_fall_is_named(judging: Judging) -> None:
    mixed = A.copy()
    mixed[layout().block("audio")] = FAR[layout().block("audio")]
    image = C.copy()
    image[layout().block("text")] = FAR[layout().block("text")]
    image[layout().block("audio")] = FAR[layout().block("audio")]
    assert explained(judging, as_logged(mixed)).outcome == "clear"
    by_part = {one.modality: one for one in explained(judging, as_logged(mixed)).without}
    assert by_part["audio"].outcome == "flagged"  # without the harmless sound the rest is near enough
    assert not by_part["text"].changed
    found = explained(judging, as_logged(image))
    assert results(found)["known"] == "flag"
    assert {one.modality for one in found.without if one.changed} == {"image"}
    assert "without its image: no flag" in list(changes(found))


def test_a_conjunction_names_the_modality_that_is_missing(judging: Judging) -> None:
    rest = without(layout(), as_logged(B), "text")
    assert rest is not None
    found = explained(judging, rest)
    [meme] = [reason for reason in found.policies if reason.policy == "meme"]
    assert [(one.name, one.value) for one in meme.thresholds if not one.passed] == [("modality text", -1.0)]
    assert meme.deciding == "modality text"
    assert any("modality text is missing" in line for line in changes(found))


def test_a_label_that_may_flag_no_more_is_told(tmp_path: Path, real_redis: str) -> None:
    full = Cell(cells.settings(Policy(name="scam", flags_per_verdict=2, sample=10)))
    full.add(post(0, A), verdict(0, post_id="post-0"))
    full.add(*(post(number, near(A, 0.95, number)) for number in range(1, 5)))
    found = explained(read(full, tmp_path, real_redis), as_logged(near(A, 0.95, 9)))
    assert found.policies[0].result == "capped"
    assert found.outcome == "clear"
    assert any("one more upheld verdict" in line for line in changes(found))


@pytest.mark.parametrize("notes", [1, 2])
def test_a_sound_that_is_compared_has_a_line_of_its_own(tmp_path: Path, real_redis: str, notes: int) -> None:
    heard = Cell(cells.settings(Policy(name="scam", verification={"audio": 0.6})))
    heard.add(post(0, A, features=sound_features(1)), verdict(0, post_id="post-0"))
    judging = read(heard, tmp_path, real_redis)
    vector, features = as_logged(near(A, 0.9)), sound_features(notes)
    found = explain(judging, vector, post_id="asked", bundle="small", parts={}, features=features)
    [gate] = [one for one in found.policies[0].thresholds if one.name == "verification audio"]
    assert gate.passed == (notes == 1)
    assert found.outcome == ("flagged" if notes == 1 else "clear")
    assert any("verification audio" in str(line.renderable) for line in told(found) if not isinstance(line, list))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cosine=st.floats(-0.5, 0.999), which=st.integers(0, 3), part=st.integers(0, 3))
def test_the_shares_sum_to_the_similarity_and_the_outcome_is_what_the_fold_decides(
    cell: Cell, judging: Judging, seed: int, cosine: float, which: int, part: int
) -> None:
    vector = near((A, B, C, FAR)[which], cosine, seed)
    if part < 3:
        lacking = without(layout(), vector, cells.NAMES[part])
        vector = vector if lacking is None else lacking
    found = explained(judging, as_logged(vector))
    told_shares = [
        *((one.shares, one.similarity) for one in found.clusters),
        *((one.shares, one.similarity) for one in found.exemplars),
        *((one.shares, one.similarity) for one in found.policies),
    ]
    for shares, similarity in told_shares:
        assert sum(shares.values()) == pytest.approx(similarity, abs=1e-6)
    other = Cell(cell.settings, cell.fold.position)
    other.fold.restore(cell.store.entries())
    folded = other.add(post(50, vector))
    [decision] = [output.payload for output in folded.outputs if isinstance(output.payload, Decision)]
    assert decision.outcome == found.outcome
    assert len(decision.flags) == list(results(found).values()).count("flag")
    assert found.joining is not None
    assert decision.opened == (not found.joining.joins)


def test_what_is_told_is_whole(judging: Judging) -> None:
    found = explained(judging, as_logged(near(A, 0.8)))
    lines = [str(piece.renderable) for piece in told(found) if not isinstance(piece, list)]
    tables = [piece for piece in told(found) if isinstance(piece, list)]
    assert any(line.startswith("scam: flagged") for line in lines)
    assert any(line.startswith("far from everything under known, meme") for line in lines)
    assert [next(iter(table[0])) for table in tables] == ["cluster", "exemplar"]
    assert list(tables[0][0])[2:5] == ["= text", "+ image", "+ audio"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found
