from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from consumers.contracts.source import Source
from consumers.encoding.work import PostInWork, SourceRecord
from consumers.steps import reasons
from consumers.steps.embed import EncoderError, embed
from models.bundle import Bundle, open_bundle
from models.encoders.batches import Looked
from tests.bundles import DIMENSION, IMAGE_SIZE, WINDOW, write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Encoder:
    """Unit vectors in the direction of the item; refuses one poisonous item."""

    kind = "vector"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def example(self) -> tuple[float, float]:
        return (1, 1)

    def embed(self, items: Sequence[Any]) -> NDArray[np.float32]:
        self.calls.append(len(items))
        rows = np.stack(items).astype(np.float32)
        if (rows == 666).any():
            raise RuntimeError("poison")
        with np.errstate(invalid="ignore"):
            unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            return unit

    def look(self, items: Sequence[Any]) -> Looked:
        return Looked(self.embed(items))


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


def test_an_encoder_that_fails_on_everything_is_no_posts_fault() -> None:
    class Broken(Encoder):
        def example(self) -> tuple[float, float]:
            return (666, 0)

    batch = [post((666, number)) for number in range(4)]
    with pytest.raises(EncoderError, match="sensor"):
        embed(batch, Bundle(Path(), None, {"sensor": Broken()}, {}))  # type: ignore[arg-type]
    assert all(work.failure is None for work in batch)


def test_a_batch_of_nothing_but_poison_fails_post_by_post() -> None:
    batch = [post((666, number)) for number in range(4)]
    run(*batch)
    assert all(work.failure is not None for work in batch)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles")
    write_tiny_bundle(folder)
    return open_bundle(folder, provider="cpu", intra_op_threads=1)


def given(text: str | None, pixels: int | None, windows: int) -> PostInWork:
    """A post with a caption, an image of this colour at its top, and this many windows of sound."""
    work = PostInWork(SourceRecord(Source("posts", "id", 0, 0, 0), None, b""))
    if text is not None:
        work.inputs["text"] = [text]
    if pixels is not None:
        square = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        square[0, : IMAGE_SIZE // 2] = pixels
        work.inputs["image"] = square
    if windows:
        pace = np.arange(1, windows + 1)[:, None]
        work.inputs["audio"] = np.sin(np.arange(WINDOW) / 3 / pace).astype(np.float32)
    return work


def test_the_company_in_a_batch_changes_no_embedding(tiny: Bundle) -> None:
    posts = [("a", 10, 1), ("b " * 40, None, 3), (None, 200, 0), ("c", None, 0), (None, None, 2)] * 12
    together = [given(*what) for what in posts]
    embed(together, tiny)
    for what, work in zip(posts[:5], together[:5], strict=True):
        alone = given(*what)
        embed([alone], tiny)
        assert work.embeddings.keys() == alone.embeddings.keys()
        for name, row in work.embeddings.items():
            assert row.shape == (DIMENSION,)
            assert row @ alone.embeddings[name] == pytest.approx(1, abs=1e-5)


def test_a_post_that_has_failed_before_is_left_alone() -> None:
    work = post((1, 0))
    work.fail("invalid", "parse", "")
    assert run(work).calls == []
