"""In which shapes graphs are called: how many rows at once, and how many tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.manifest import TextInput

CPU_ROWS = 16
LENGTH_STEP = 4
"""On a CPU, token counts are padded to a multiple of this, and a call holds texts of one such width: a call of its
own costs as much as five tokens, and captions are of very different lengths."""

MOST_PADDING = 1 / 3
"""Of the rows of a call that is filled up, at most this share says nothing; there, so of the tokens of a text beside
a longer one, but for the step to the next length."""


class Buckets(NamedTuple):
    """The shapes of calls.

    Attributes:
        rows: sizes of calls, ascending; the last is the most.
        tokens: lengths of texts, ascending, and beyond them multiples of the last; where there are none, multiples of
            LENGTH_STEP.
        fixed: calls are filled up to one of the sizes; otherwise any number of rows up to the most will do.
    """

    rows: tuple[int, ...]
    tokens: tuple[int, ...] = ()
    fixed: bool = False


CPU_BUCKETS = Buckets((CPU_ROWS,))
"""More rows at once bring nothing on a CPU but padding and memory, and it can do with every shape."""

GPU_BUCKETS = Buckets((1, 2, 4, 8, 16, 32, 64, 96, 128), (16, 32, 48, 64, 96, 128, 192, 256, 384, 512), fixed=True)
"""A GPU wants to be filled, and each shape has its buffers, its kernels and perhaps its CUDA graph."""


def buckets_of(session: Any) -> Buckets:
    """What a session is called with: its own, if it has such, else what a CPU wants."""
    found: Buckets = getattr(session, "buckets", CPU_BUCKETS)
    return found


def cut_rows(count: int, buckets: Buckets) -> list[int]:
    """How many of `count` rows go into each call; calls are at least as full as MOST_PADDING says.

    Fewer rows than the smallest size are filled up to it all the same.
    """
    sizes, left, calls = buckets.rows, count, []
    while left:
        taken = min(left, sizes[-1])
        if buckets.fixed and taken < size_for(taken, buckets) * (1 - MOST_PADDING):
            taken = max((size for size in sizes if size <= taken), default=taken)
        calls.append(taken)
        left -= taken
    return calls


def size_for(rows: int, buckets: Buckets) -> int:
    """How many rows a call has that so many are put into.

    Raises:
        ValueError: more than the most.
    """
    if not buckets.fixed:
        return rows
    for size in buckets.rows:
        if size >= rows:
            return size
    raise ValueError(f"{rows} rows in one call; the most are {buckets.rows[-1]}")


def width_for(longest: int, form: TextInput, buckets: Buckets) -> int:
    """How many tokens wide a call is whose longest text has so many; never wider than the encoder knows."""
    if form.full:
        return form.max_tokens
    step = buckets.tokens[-1] if buckets.tokens else LENGTH_STEP
    stepped = -(-max(1, longest) // step) * step
    wide = next((width for width in buckets.tokens if width >= longest), stepped)
    return min(form.max_tokens, wide)


def widths_of(form: TextInput, buckets: Buckets) -> list[int]:
    """Every width that calls can have where lengths are fixed."""
    last = buckets.tokens[-1] if buckets.tokens else LENGTH_STEP
    lengths = (*buckets.tokens, *range(last, form.max_tokens, last), form.max_tokens)
    return sorted({width_for(length, form, buckets) for length in lengths})


def cut_texts(lengths: Sequence[int], form: TextInput, buckets: Buckets) -> list[tuple[list[int], int]]:
    """Which texts share a call, and how wide it is: those of like length, so that little is padded.

    Args:
        lengths: tokens of each text.

    Returns:
        For each call the places of its texts, and its width in tokens.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    calls = []
    for group in _alike(order, lengths, form, buckets):
        start = 0
        for count in cut_rows(len(group), buckets):
            picked = group[start : start + count]
            calls.append((picked, width_for(lengths[picked[-1]], form, buckets)))
            start += count
    return calls


def _alike(order: list[int], lengths: Sequence[int], form: TextInput, buckets: Buckets) -> list[list[int]]:
    """The texts, by length, cut where the next one would pad those before it too much; on a CPU, at all."""
    if form.full:
        return [order]
    padding = MOST_PADDING if buckets.fixed else 0.0
    groups, start = [], 0
    for place in range(len(order)):
        shortest = width_for(lengths[order[start]], form, buckets)
        if shortest < width_for(lengths[order[place]], form, buckets) * (1 - padding):
            groups.append(order[start:place])
            start = place
    return [*groups, order[start:]]
