from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from models.bundle import open_bundle
from models.encoders.buckets import CPU_ROWS, LENGTH_STEP
from models.encoders.text import TextEncoder, padded
from models.manifest import TextInput
from tests.bundles import DIMENSION, write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def form(most: int) -> TextInput:
    return TextInput(tokenizer="tokenizer.json", max_tokens=most)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    write_tiny_bundle(folder, ("text",))
    return folder


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TextEncoder:
    opened = open_bundle(folder, provider="cpu", intra_op_threads=1).encoders["text"]
    assert isinstance(opened, TextEncoder)
    return opened


class Watched:
    """A session that keeps the shapes it was called with."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, _names: Sequence[str], inputs: dict[str, NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        self.shapes.append(inputs["input_ids"].shape)
        return [np.ones((len(inputs["input_ids"]), DIMENSION), dtype=np.float32)]


def test_the_order_of_the_texts_is_kept(encoder: TextEncoder) -> None:
    texts = ["word " * (number % 7 + 1) + str(number) for number in range(70)]
    together = encoder.embed(texts)
    alone = np.concatenate([encoder.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


def test_texts_of_like_length_share_a_call(folder: Path) -> None:
    session = Watched()
    encoder = TextEncoder(session, folder / "tokenizer.json", form(64))
    encoder.embed(["long text " * 6] * CPU_ROWS + ["x"] * CPU_ROWS)
    assert session.shapes == [(CPU_ROWS, LENGTH_STEP), (CPU_ROWS, 60)]


def test_no_call_is_larger_than_the_most_rows(folder: Path) -> None:
    session = Watched()
    TextEncoder(session, folder / "tokenizer.json", form(64)).embed(["x"] * 100)
    assert [rows for rows, _ in session.shapes] == [CPU_ROWS] * 6 + [100 - 6 * CPU_ROWS]


def test_a_long_text_is_cut_at_the_most_tokens(folder: Path) -> None:
    session = Watched()
    TextEncoder(session, folder / "tokenizer.json", form(50)).embed(["x" * 10_000])
    assert session.shapes == [(1, 50)]


@pytest.mark.parametrize("text", ["", "x", "\U0001f41f", "你好", "x" * 5_000, "\x00"])
def test_every_text_has_an_embedding(encoder: TextEncoder, text: str) -> None:
    row = encoder.embed([text])[0]
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


def test_padding_marks_what_is_text() -> None:
    given = padded([[5, 6, 7], [], [1] * 9], form(64))
    assert given["input_ids"].shape == (3, 12)
    assert given["attention_mask"].sum(axis=1).tolist() == [3, 1, 9]
    assert given["input_ids"][0, :4].tolist() == [5, 6, 7, 0]
    assert given["input_ids"].dtype == given["attention_mask"].dtype == np.int64


def test_padding_is_the_encoders_own_token_and_side() -> None:
    full = TextInput(tokenizer="tokenizer.json", max_tokens=5, padding=9, full=True)
    assert padded([[5, 6], []], full)["input_ids"].tolist() == [[5, 6, 9, 9, 9], [9] * 5]
    left = msgspec.structs.replace(full, left=True)
    given = padded([[5, 6]], left)
    assert given["input_ids"].tolist() == [[9, 9, 9, 5, 6]]
    assert given["attention_mask"].tolist() == [[0, 0, 0, 1, 1]]


def test_there_are_never_more_positions_than_the_encoder_knows() -> None:
    assert padded([[1] * 77], form(77))["input_ids"].shape == (1, 77)


def test_the_prefix_stands_before_every_text(folder: Path) -> None:
    session = Watched()
    prefixed = msgspec.structs.replace(form(64), prefix="query: ")
    TextEncoder(session, folder / "tokenizer.json", prefixed).embed(["x" * 10])
    assert session.shapes == [(1, 20)]
