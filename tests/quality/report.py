"""The figures of a run: what build/quality.json holds and docs/quality.md is written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from tests.quality.retrieval import Recall
from tests.quality.search import Fixed, Judged

if TYPE_CHECKING:
    from pathlib import Path


Change: TypeAlias = Literal["gradual drift", "new forms"]


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


class Conjunctions(msgspec.Struct, frozen=True):
    """A way to score posts that violate only as a whole, against those that share two parts of three.

    Attributes:
        area: under the ROC curve, with its 95% interval.
        recall: where 0.1% of the others would pass, with its interval.
    """

    area: float
    area_interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]


class Lacking(msgspec.Struct, frozen=True):
    """What is lost where `side` ("post" or "exemplar", "" neither) lacks a part.

    Attributes:
        fused, least: AUROC of the fused cosine, and of the least cosine of the exemplar's parts.
        plain, plain_wrong: share of true posts, and of those that share two parts, above the shipped threshold.
        together, together_wrong: the same with the least cosine that `together` policies ask of each part.
    """

    side: str
    gone: str
    fused: float
    least: float
    plain: float
    plain_wrong: float
    together: float
    together_wrong: float


class Choice(msgspec.Struct, frozen=True):
    """What a `together` policy would flag of the calibration split at a fused and a least cosine of each part.

    Attributes:
        shared: by how many parts posts share with the exemplar, the share of them that is flagged.
    """

    fused: float
    modality: float
    shared: dict[str, float]


class Together(msgspec.Struct, frozen=True):
    """Conjunctions of one source.

    Attributes:
        posts: how many posts share so many parts with the exemplar they are compared with.
        systems: every way to score, against posts that share two parts.
        easier: AUROC against posts that share one part or none.
        calibration: how many exemplars the calibration split has; `choices` are thresholds on it.
    """

    source: Literal["real", "generated"]
    originals: int
    posts: dict[str, int]
    systems: dict[str, Conjunctions]
    easier: dict[str, float]
    lacking: list[Lacking]
    calibration: int = 0
    choices: list[Choice] = []


class WholePath(msgspec.Struct, frozen=True):
    """Streams that change, through the fold.

    Attributes:
        change: how campaigns change, `times` in a stream.
        noise: share of posts that belong to nothing.
        micro, campaigns, offline: adjusted Rand index of all posts by micro-clusters, by campaigns, and by DBSCAN
            over all vectors at its best `radius` (1 - cosine) and `core` (posts).
        micro_violating, campaigns_violating, offline_violating: of the violating posts alone.
        verdicts: how many the moderators gave, `most` on one campaign.
        counts: of violating posts after their campaign's first verdict, those `due`, those `found` in the end, those
            found `at once`, those with a `wrong` policy too; `due after all` and `found after all` those after its
            last verdict; `harmless` posts after the first verdict, the `false` flags among them, also by kind, and
            `silent` campaigns that no moderator saw.
        since: by how many changes lie between a post and the latest verdict on its campaign before it, how many posts
            were due and how many of them found at once.
    """

    change: Change
    times: int
    seeds: list[int]
    posts: int
    noise: float
    micro: float
    campaigns: float
    offline: float
    radius: float
    core: int
    micro_violating: float
    campaigns_violating: float
    offline_violating: float
    verdicts: int
    most: int
    counts: dict[str, int]
    since: dict[str, tuple[int, int]]


class Evasion(msgspec.Struct, frozen=True):
    """Attackers who change their posts more and more.

    Attributes:
        strengths: transforms chained on each part.
        posts: how many of each strength, after the first verdicts.
        alone: how many of them were flagged after verdicts on unchanged posts only,
        helped: and with moderators who go on.
        verdicts: of the moderators in both runs, on attackers.
    """

    strengths: list[int]
    posts: list[int]
    alone: list[int]
    helped: list[int]
    verdicts: tuple[int, int]


class Gap(msgspec.Struct, frozen=True):
    """How far two modalities are apart.

    Attributes:
        distance: between their means, before and after centring.
        area: AUROC of a linear classifier that tells them apart, on items that it was not fitted on.
    """

    source: Literal["real", "generated"]
    one: str
    two: str
    distance: tuple[float, float]
    area: tuple[float, float]


class Report(msgspec.Struct, frozen=True):
    """Everything.

    Attributes:
        milliseconds: of one core for one item, by recogniser and kind.
        megabytes: of the bundle's files.
        reworded: share of the words that a paraphrase replaces, by source.
        retrieved_of: pairs that `retrieved` looks among.
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
    together: list[Together] = []
    gaps: list[Gap] = []
    streams: list[WholePath] = []
    evasion: Evasion | None = None
    retrieved: list[Recall] = []
    retrieved_of: int = 0


def write_report(path: Path, report: Report) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def read_report(path: Path) -> Report:
    """What `write_report` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Report)
