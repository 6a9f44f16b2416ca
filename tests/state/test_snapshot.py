"""A snapshot reads as it was written, and damage of any kind is noticed before anything of it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.state import snapshot as module
from consumers.state.codec import VERSION
from consumers.state.keys import KINDS
from consumers.state.snapshot import (
    SCHEMA,
    End,
    Header,
    Item,
    SnapshotError,
    read_end,
    read_snapshot,
    write_snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.state.snapshot import Part

HEADER = Header(
    bundle="small-1", cells=2, cell=1, group="shoal", topic_id="id", state=VERSION, shoal="0.1.0", created_at=5
)

items = st.lists(
    st.builds(Item, st.sampled_from([*KINDS, "outputs"]), st.text(max_size=8), st.none() | st.binary(max_size=300)),
    max_size=40,
)


def parts(given_items: list[Item], position: int = 7) -> list[Part]:
    return [HEADER, *given_items, End(position=position, items=len(given_items), entries={"marks": 3})]


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
    yield data[start:]


@given(items, st.integers(min_value=0, max_value=2**62), st.lists(st.integers(0, 50), max_size=20))
def test_what_was_written_is_read_however_it_is_cut(found: list[Item], position: int, sizes: list[int]) -> None:
    data = b"".join(write_snapshot(parts(found, position)))
    assert list(read_snapshot(cut(data, sizes))) == parts(found, position)
    assert read_end(data[-4096:]) == parts(found, position)[-1]


@given(items, st.data())
def test_any_changed_byte_is_noticed(found: list[Item], data: Any) -> None:
    written = bytearray(b"".join(write_snapshot(parts(found))))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SnapshotError):
        list(read_snapshot([bytes(written)]))


@given(items, st.data())
def test_a_snapshot_that_is_cut_off_or_goes_on_is_noticed(found: list[Item], data: Any) -> None:
    written = b"".join(write_snapshot(parts(found)))
    end = data.draw(st.integers(0, len(written) - 1))
    with pytest.raises(SnapshotError):
        list(read_snapshot([written[:end]]))
    with pytest.raises(SnapshotError, match="follows"):
        list(read_snapshot([written, b"", b"x"]))


def test_many_items_come_in_blocks_and_a_large_value_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)
    found = [Item("members", str(number), bytes(300)) for number in range(100)]
    found.append(Item("outputs", "5", bytes(range(256)) * 400))
    pieces = list(write_snapshot(parts(found)))
    assert len(pieces) > 25
    assert list(read_snapshot(pieces)) == parts(found)


def test_a_block_that_would_take_all_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(write_snapshot(parts([Item("members", "1", bytes(100_000))])))
    monkeypatch.setattr(module, "LARGEST_BLOCK", 50_000)
    with pytest.raises(SnapshotError, match="not whole"):
        list(read_snapshot([data]))
    monkeypatch.setattr(module, "LARGEST_BLOCK", 10)
    with pytest.raises(SnapshotError, match="too long"):
        list(read_snapshot([data]))


@pytest.mark.parametrize(
    "wrong",
    [
        [HEADER, Item("marks", "a", b"1"), End(position=7, items=2, entries={})],
        [HEADER, HEADER, End(position=7, items=0, entries={})],
        [End(position=7, items=0, entries={})],
    ],
)
def test_parts_that_do_not_belong_together_are_refused(wrong: list[Part]) -> None:
    with pytest.raises(SnapshotError, match=r"header|end"):
        list(read_snapshot(write_snapshot(wrong)))


@pytest.mark.parametrize("tail", [b"", b"\0" * 20, b"\0" * 4096, SCHEMA * 300])
def test_the_end_of_something_else_is_none(tail: bytes) -> None:
    with pytest.raises(SnapshotError):
        read_end(tail)


def test_another_version_is_refused() -> None:
    with pytest.raises(SnapshotError, match="does not begin"):
        list(read_snapshot([b"shoal.snapshot/2\n" + bytes(100)]))
