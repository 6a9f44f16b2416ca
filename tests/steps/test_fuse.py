from __future__ import annotations

import numpy as np
import pytest

from consumers.contracts.source import Source
from consumers.encoding.work import PostInWork, SourceRecord
from consumers.steps import reasons
from consumers.steps.fuse import fuse
from models.fusion import FusionLayout

LAYOUT = FusionLayout(
    names=("text", "image"),
    dimension=2,
    weights=np.array([1.0, 3.0], dtype=np.float32),
    means=np.array([[0.0, 0.0], [0.5, 0.0]], dtype=np.float32),
)


def post(**embeddings: tuple[float, float]) -> PostInWork:
    work = PostInWork(SourceRecord(Source("posts", "id", 0, 0, 0), None, b""))
    work.embeddings = {name: np.array(vector, dtype=np.float32) for name, vector in embeddings.items()}
    return work


def test_present_parts_share_the_length_by_their_weights() -> None:
    work = post(text=(1, 0), image=(0.5, 1))
    fuse([work], LAYOUT)
    assert work.vector == pytest.approx([0.5, 0, 0, np.sqrt(0.75)])
    assert work.embeddings == {}


def test_an_absent_part_is_zeros_and_the_rest_has_unit_length() -> None:
    work = post(text=(0, 1))
    fuse([work], LAYOUT)
    assert work.vector == pytest.approx([0, 1, 0, 0])


def test_posts_of_a_batch_do_not_touch_each_other() -> None:
    batch = [post(text=(1, 0)), post(image=(0, 1)), post(text=(0, 1), image=(1, 0))]
    fuse(batch, LAYOUT)
    for work in batch:
        assert work.vector is not None
        assert np.linalg.norm(work.vector) == pytest.approx(1)


def test_a_post_at_the_mean_of_its_only_modality_has_no_direction_and_fails() -> None:
    batch = [post(image=(0.5, 0)), post(text=(1, 0))]
    fuse(batch, LAYOUT)
    assert batch[0].failure is not None
    assert batch[0].failure.reason == reasons.EMBEDDING_FAILED
    assert batch[1].vector is not None


def test_a_post_that_has_failed_gets_no_vector() -> None:
    work = post()
    work.fail("invalid", "parse", "")
    fuse([work], LAYOUT)
    assert work.vector is None
