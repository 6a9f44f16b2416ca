"""One cell beside many: what the borders between cells cost, on simulated streams with truth.

Each stream is encoded once with the shipped bundle. Its posts are folded with 1, 2, 4, 8 and 16 cells, by the fold
that the consumers run; evidence that a cell sends to another goes into that one's log. The moderators of `shoal demo`
look at the stream of one cell; the other runs get the same verdicts on the same posts at the same moments.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from consumers.bundles import find_bundle
from consumers.cells.conclusions import CellRecord
from consumers.cells.fold import Fold
from consumers.cells.fold_settings import fold_settings
from consumers.contracts.cell_log import EvidenceRecord, PostRecord, Record, VerdictRecord
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.source import Source
from consumers.demo.moderator import Moderator
from consumers.demo.parts import POLICIES
from consumers.demo.tally import Given, Sent, Tally
from consumers.names import cluster_id
from consumers.settings import Policy, Settings
from models.borders import link_over_borders
from models.bundle import open_bundle
from models.campaigns import join_clusters
from models.synthetic.posts import StreamPlan
from tests.quality.stream import EncodedStream, encoded_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.cells.conclusions import Output
    from consumers.demo.moderator import Opinion
    from models.bundle import Bundle

SEEDS = (6201, 6202, 6203, 6204)
"""Of streams that nothing was chosen on: thresholds and campaigns were, on 4041 to 4044, links on 6101 to 6104."""

POSTS = 6000
CAMPAIGNS = 10
CELLS = (1, 2, 4, 8, 16)
TURN = 25
"""Posts between two looks of the moderators: half a second of the stream."""

START = 1_750_000_000_000
VIOLATING = ("violation", "conjunction")

_policies = msgspec.json.decode(POLICIES, type=list[dict[str, object]])


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict of the run with one cell: after how many posts, and on which."""

    after: int
    decision: str
    policy: str
    actor: str
    post: int


@dataclass(frozen=True, slots=True)
class Run:
    """A stream folded with some number of cells.

    Attributes:
        clusters: the micro-cluster of each post at the end, merges followed.
        groups: the same, links over borders followed (models.borders).
        campaigns: the campaign of each post, by models.campaigns.
        copies: evidence records that went from one cell to another.
    """

    cells: int
    tally: Tally
    said: list[Said]
    clusters: list[str]
    groups: list[int]
    campaigns: list[int]
    copies: int


Allowed: TypeAlias = Callable[[Said, Sequence[Said]], bool]
"""Whether a verdict is given, after those that were."""


def always(_one: Said, _given: Sequence[Said]) -> bool:
    """Every verdict."""
    return True


class Cells:
    """The folds of all cells of a bundle, each with a log that grows."""

    def __init__(self, bundle: Bundle, count: int) -> None:
        settings = Settings(policies=tuple(Policy.model_validate(policy) for policy in _policies))
        rules, quantizer = fold_settings(settings, bundle.manifest), bundle.quantizer(count)
        self._folds = [Fold(rules, bundle.manifest, cell, position=0, quantizer=quantizer) for cell in range(count)]
        self._written: list[list[Record]] = [[] for _ in range(count)]
        self._merged: dict[str, str] = {}
        self.copies = 0

    def write(self, cell: int, record: Record) -> None:
        """Append a record to a cell's log."""
        self._written[cell].append(record)

    def fold(self) -> list[Output]:
        """Fold all that has been written, and what comes of it for the cells' logs."""
        outputs: list[Output] = []
        while any(self._written):
            written, self._written = self._written, [[] for _ in self._folds]
            for cell, records in enumerate(written):
                outputs += self._fold(cell, records)
        return outputs

    def resolve(self, cluster: str) -> str:
        """The cluster that is now where this one was."""
        while cluster in self._merged:
            cluster = self._merged[cluster]
        return cluster

    def joined(self, *, join: float, least: float) -> tuple[dict[str, int], dict[str, int]]:
        """The group and the campaign of each micro-cluster of all cells."""
        tables = [(cell, fold._state.clusters) for cell, fold in enumerate(self._folds)]
        keys = [(cell, table, key) for cell, table in tables for key in table]
        centroids = np.stack([table.centroid(key) for _, table, key in keys])
        posts = np.array([table.history(key)[0] for _, table, key in keys])
        groups = link_over_borders(centroids, np.array([cell for cell, _, _ in keys]), least=join).tolist()
        campaigns = join_clusters(centroids, posts, least=least).tolist()
        names = [cluster_id(cell, key) for cell, _, key in keys]
        return dict(zip(names, groups, strict=True)), dict(zip(names, campaigns, strict=True))

    def _fold(self, cell: int, records: Sequence[Record]) -> list[Output]:
        fold = self._folds[cell]
        start = fold.position
        folded = fold.fold(list(enumerate(records, start)), position=start + len(records))
        for absorbed, kept in folded.changes.sets.get("redirects", {}).items():
            self._merged[cluster_id(cell, int(absorbed))] = cluster_id(cell, msgspec.msgpack.decode(kept, type=int))
        for output in folded.outputs:
            if isinstance(output.payload, CellRecord):
                self.write(output.payload.cell, output.payload.record)
                self.copies += isinstance(output.payload.record, EvidenceRecord)
        return folded.outputs


def run(
    stream: EncodedStream,
    bundle: Bundle,
    count: int,
    said: Sequence[Said] | None,
    allowed: Allowed = always,
    moderator: Moderator | None = None,
) -> Run:
    """Fold a stream with `count` cells; verdicts as `said`, or by moderators who look at this very run.

    Args:
        stream, bundle, count: what is folded, and how.
        said: verdicts of another run.
        allowed: which verdicts of these moderators are given.
        moderator: who looks at this run; those of `shoal demo` when left out.
    """
    cells, tally, moderator = Cells(bundle, count), Tally(), moderator or Moderator(mistakes=False)
    given: list[Said] = []
    numbers = {post_id: number for number, post_id in enumerate(stream.post_ids)}
    homes = bundle.cell_of(stream.vectors.astype(np.float32), count).tolist()
    for first in range(0, len(stream), TURN):
        last = min(first + TURN, len(stream))
        for number in range(first, last):
            tally.sent[stream.post_ids[number]] = Sent(stream.post_ids[number], None, (), stream.truths[number])
            cells.write(homes[number], _post(stream, number))
        now = float(stream.created[last - 1])
        _take_in(tally, cells.fold(), now)
        if said is None:
            opinion = moderator.look(tally, now, last / len(stream))
            new = [] if opinion is None else [_said(opinion, last, numbers)]
            new = [one for one in new if allowed(one, given)]
        else:
            new = [one for one in said if one.after == last]
        for number, one in enumerate(new, len(given)):
            cells.write(homes[one.post], _verdict(stream, one, number, tally, now))
            tally.give(_given(stream, one, now))
        given += new
        _take_in(tally, cells.fold(), now)
    clusters = [cells.resolve(tally.decided[post_id].cluster_id or "") for post_id in stream.post_ids]
    thresholds = bundle.manifest.thresholds
    groups, campaigns = cells.joined(join=thresholds.join, least=thresholds.exemplar)
    found = [[of[cluster] for cluster in clusters] for of in (groups, campaigns)]
    return Run(count, tally, given, clusters, found[0], found[1], cells.copies)


def _take_in(tally: Tally, outputs: Sequence[Output], now: float) -> None:
    for output in outputs:
        if isinstance(output.payload, Decision):
            tally.decide(output.payload, now, 0.0)
        elif isinstance(output.payload, Flag):
            tally.flag(output.payload, now)


def _post(stream: EncodedStream, number: int) -> PostRecord:
    source = Source("posts", "stream", 0, number, START + int(1000 * stream.created[number]))
    return PostRecord(
        post_id=stream.post_ids[number],
        source=source,
        time=source.timestamp,
        parts={},
        vector=stream.vectors[number].tobytes(),
        features=stream.features[number] if stream.features else {},
    )


def _said(opinion: Opinion, after: int, numbers: dict[str, int]) -> Said:
    return Said(after, opinion.verdict, opinion.policy, opinion.actor, numbers[opinion.post_id])


def _verdict(stream: EncodedStream, said: Said, number: int, tally: Tally, now: float) -> VerdictRecord:
    """The verdict as route would write it, with the post's vector."""
    post = _post(stream, said.post)
    return VerdictRecord(
        verdict_id=f"verdict-{number}",
        decision="uphold" if said.decision == "uphold" else "overturn",
        policy=said.policy,
        actor=said.actor,
        time=START + int(1000 * now),
        post_id=post.post_id,
        cell_offset=tally.decided[post.post_id].cell_offset,
        vector=post.vector,
        source=post.source,
        features=post.features,
    )


def _given(stream: EncodedStream, said: Said, now: float) -> Given:
    truth = stream.truths[said.post]
    campaign = truth.campaign if truth.policy == said.policy else None
    sent = Sent(stream.post_ids[said.post], None, (), truth)
    return Given(now, said.decision, said.policy, said.actor, "", campaign, sent, START + int(1000 * now))


@dataclass(frozen=True, slots=True)
class Quality:
    """What some number of cells gives, as means over the streams.

    Attributes:
        rand: adjusted Rand index against the truth, of the posts that belong to a campaign: by micro-clusters,
        linked_rand: by micro-clusters, links over borders followed,
        campaign_rand: and by campaigns.
        agreement: adjusted Rand index of all posts' campaigns against those of one cell.
        recall, precision: of the flags that stand at the end.
        kept: share of the pairs of posts of one campaign that are in one cell.
        copies: evidence records from cell to cell, for each verdict.
        largest: share of the posts in the fullest cell.
    """

    rand: float
    linked_rand: float
    campaign_rand: float
    agreement: float
    recall: float
    precision: float
    kept: float
    copies: float
    largest: float


@dataclass
class Figures:
    """Quality by number of cells, of each stream."""

    bundle: str = ""
    posts: int = POSTS
    seeds: tuple[int, ...] = SEEDS
    streams: dict[int, list[Quality]] = field(default_factory=dict)

    def mean(self, count: int) -> Quality:
        """Over the streams."""
        return Quality(*np.mean([list(asdict(one).values()) for one in self.streams[count]], axis=0).tolist())

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self) | {"means": {count: asdict(self.mean(count)) for count in self.streams}}

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        yield "streams", f"{len(self.seeds)} of {self.posts} posts, seeds {', '.join(map(str, self.seeds))}"
        for count in self.streams:
            found = self.mean(count)
            told = (
                f"ARI of campaigns {found.campaign_rand:.3f} (micro-clusters {found.rand:.3f}, linked "
                f"{found.linked_rand:.3f}), "
                f"flag recall {found.recall:.4f}, precision {found.precision:.4f}, "
                f"{found.copies:.1f} copies a verdict, {found.kept:.2f} of a campaign's pairs in one cell"
            )
            yield ("1 cell" if count == 1 else f"{count} cells"), told

    def page(self) -> str:
        """A table for docs/."""
        head = (
            "| cells | ARI, campaigns | ARI, micro-clusters | ARI, linked micro-clusters "
            "| campaigns as with one cell, ARI | flag recall | flag precision | pairs in one cell "
            "| copies a verdict | fullest cell |"
        )
        lines = [head, "|---" * 10 + "|"]
        for count in self.streams:
            q = self.mean(count)
            lines.append(
                f"| {count} | {q.campaign_rand:.3f} | {q.rand:.3f} | {q.linked_rand:.3f} | {q.agreement:.3f} | "
                f"{q.recall:.4f} | {q.precision:.4f} | {q.kept:.2f} | {q.copies:.1f} | {q.largest:.2f} |"
            )
        return "\n".join(lines)


def measure_cells(seeds: Sequence[int] = SEEDS, posts: int = POSTS) -> Figures:
    """Fold every stream with every number of cells; a minute, and another for each stream not encoded yet."""
    bundle = open_bundle(find_bundle(Settings().bundle), provider="cpu", intra_op_threads=1)
    figures = Figures(bundle.bundle_id, posts, tuple(seeds), {count: [] for count in CELLS})
    for seed in seeds:
        stream = encoded_stream(StreamPlan(seed=seed, posts=posts, campaigns=CAMPAIGNS))
        with threadpool_limits(1):  # small products: threads would only wait for each other
            one = run(stream, bundle, 1, None)
            for count in CELLS:
                found = one if count == 1 else run(stream, bundle, count, one.said)
                figures.streams[count].append(quality(stream, bundle, found, one))
    return figures


def quality(stream: EncodedStream, bundle: Bundle, found: Run, one: Run) -> Quality:
    """What a run gives, beside the truth and the run with one cell."""
    chosen = [number for number, truth in enumerate(stream.truths) if truth.kind in VIOLATING]
    truth = [stream.truths[number].campaign or "" for number in chosen]
    homes = bundle.cell_of(stream.vectors.astype(np.float32), found.cells).tolist()
    score = found.tally.score()
    pairs = _pairs(truth)
    return Quality(
        rand=adjusted_rand_score(truth, [found.clusters[number] for number in chosen]),
        linked_rand=adjusted_rand_score(truth, [found.groups[number] for number in chosen]),
        campaign_rand=adjusted_rand_score(truth, [found.campaigns[number] for number in chosen]),
        agreement=adjusted_rand_score(one.campaigns, found.campaigns),
        recall=score.recall or 0.0,
        precision=score.precision or 0.0,
        kept=_pairs([(name, homes[number]) for name, number in zip(truth, chosen, strict=True)]) / pairs,
        copies=found.copies / len(one.said),
        largest=max(Counter(homes).values()) / len(homes),
    )


def _pairs(labels: Sequence[object]) -> int:
    """How many pairs have the same label."""
    return sum(count * (count - 1) // 2 for count in Counter(labels).values())


def main() -> int:
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.cells", description=__doc__)
    parser.add_argument("--posts", type=int, default=POSTS, help=f"of each stream (default {POSTS})")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="one stream each")
    options = parser.parse_args()
    figures = measure_cells(options.seeds, options.posts)
    print(figures.page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
