"""The figures of a run: what build/quality.json holds and docs/quality.md is written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from tests.quality.search import Fixed, Judged

if TYPE_CHECKING:
    from pathlib import Path


class Section(msgspec.Struct, frozen=True):
    """One kind of one source: how many, what was found by each recogniser, and at thresholds that are given."""

    kind: str
    source: Literal["real", "generated"]
    originals: int
    copies: int
    distractors: int
    systems: dict[str, Judged]
    fixed: dict[str, Fixed]


class PostSection(msgspec.Struct, frozen=True):
    """Whole posts of one source; `curves` is recall at `measure.RATES` of false matches."""

    source: Literal["real", "generated"]
    originals: int
    copies: int
    distractors: int
    systems: dict[str, Judged]
    curves: dict[str, list[float]]


class LookAlikes(msgspec.Struct, frozen=True):
    """Pairs of different items: how many of them a recogniser takes for the same, at each of its thresholds."""

    what: str
    kind: str
    pairs: int
    matched: dict[str, dict[str, int]]


class Garments(msgspec.Struct, frozen=True):
    """Photographs that have another one for a neighbour above a threshold."""

    system: str
    threshold: float
    photographs: int
    with_neighbour: int


class Unrelated(msgspec.Struct, frozen=True):
    """Unrelated posts against a bank of exemplars, at the shipped thresholds."""

    posts: int
    exemplars: int
    flagged: int


class Report(msgspec.Struct, frozen=True):
    """Everything.

    Attributes:
        milliseconds: of one core for one item, by recogniser and kind.
        megabytes: of the bundle's files.
        reworded: share of the words that a paraphrase replaces, by source.
    """

    bundle: str
    machine: str
    seeds: dict[str, int]
    amounts: dict[str, int]
    missing: list[str]
    sections: list[Section]
    posts: list[PostSection]
    look_alikes: list[LookAlikes]
    garments: list[Garments]
    unrelated: Unrelated | None
    milliseconds: dict[str, float]
    megabytes: float
    reworded: dict[str, float]


def write_report(path: Path, report: Report) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def read_report(path: Path) -> Report:
    """What `write_report` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Report)
