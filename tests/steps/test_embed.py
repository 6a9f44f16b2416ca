from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from consumers.contracts.source import Source
from consumers.steps import reasons
from consumers.steps.embed import embed
from consumers.work import PostInWork, SourceRecord
from models.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Encoder:
    """Unit vectors in the direction of the item; refuses one poisonous item."""

    kind = "vector"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def embed(self, items: Sequence[Any]) -> NDArray[np.float32]:
        self.calls.append(len(items))
        rows = np.stack(items).astype(np.float32)
        if (rows == 666).any():
            raise RuntimeError("poison")
        with np.errstate(invalid="ignore"):
            unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            return unit


def post(*items: tuple[float, float]) -> PostInWork:
    work = PostInWork(SourceRecord(Source("posts", "id", 0, 0, 0), None, b""))
    if items:
        work.inputs["sensor"] = np.array(items, dtype=np.float32)
    return work


def run(*batch: PostInWork) -> Encoder:
    encoder = Encoder()
    embed(batch, Bundle(Path(), None, {"sensor": encoder}, {}))  # type: ignore[arg-type]
    return encoder


def test_a_batch_takes_one_call() -> None:
    batch = [post((1, 0)), post((0, 2)), post()]
    assert run(*batch).calls == [2]
    assert batch[0].embeddings["sensor"].tolist() == [1, 0]
    assert batch[1].embeddings["sensor"].tolist() == [0, 1]
    assert batch[2].embeddings == {}
    assert all(not work.inputs for work in batch)


def test_several_items_of_a_post_are_averaged_to_unit_length() -> None:
    work = post((1, 0), (0, 5))
    run(work)
    assert work.embeddings["sensor"] == pytest.approx(np.sqrt([0.5, 0.5]))


def test_items_that_cancel_out_leave_the_first() -> None:
    work = post((1, 0), (-1, 0))
    run(work)
    assert work.embeddings["sensor"].tolist() == [1, 0]


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("poison", [(666, 0), (0, 0)])
def test_the_one_post_that_breaks_a_call_fails_alone(place: int, poison: tuple[float, float]) -> None:
    batch = [post((1, number)) for number in range(5)]
    batch[place] = post(poison)
    run(*batch)
    failed = [index for index, work in enumerate(batch) if work.failure is not None]
    assert failed == [place]
    failure = batch[place].failure
    assert failure is not None
    assert (failure.reason, failure.step) == (reasons.EMBEDDING_FAILED, "embed")
    assert all("sensor" in work.embeddings for index, work in enumerate(batch) if index != place)


def test_a_post_that_has_failed_before_is_left_alone() -> None:
    work = post((1, 0))
    work.fail("invalid", "parse", "")
    assert run(work).calls == []
