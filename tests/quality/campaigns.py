"""Campaigns against the truth of simulated streams: micro-clusters alone, joined by DBSCAN, and by k-means.

The streams of tests.quality.cells, folded with one cell and the moderators of `shoal demo`. The adjusted Rand index
is over the posts of campaigns. It does not see what else a group holds; that is its purity: of the posts in groups
whose largest part is one true campaign, the share that belongs to it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from consumers.bundles import find_bundle
from consumers.settings import Settings
from models.bundle import open_bundle
from models.campaigns import join_clusters, split_clusters, usual_count
from models.synthetic.posts import StreamPlan
from tests.quality.cells import CAMPAIGNS, POSTS, SEEDS, VIOLATING, run
from tests.quality.stream import encoded_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from tests.quality.stream import EncodedStream

COUNTS = (CAMPAIGNS, 2 * CAMPAIGNS)


@dataclass(frozen=True, slots=True)
class Grouped:
    """One way to group a stream's posts: how many groups, the adjusted Rand index, and their purity."""

    method: str
    groups: int
    rand: float
    purity: float


def group_posts(stream: EncodedStream, bundle: Bundle, counts: Sequence[int] = COUNTS) -> list[Grouped]:
    """Every method on one stream."""
    folded = run(stream, bundle, 1, None)
    clusters = sorted(set(folded.clusters))
    rows = np.array([clusters.index(cluster) for cluster in folded.clusters])
    posts = np.bincount(rows)
    sums = np.zeros((len(clusters), stream.vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, rows, stream.vectors.astype(np.float32))
    centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    joined = join_clusters(centroids, posts, least=bundle.manifest.thresholds.exemplar)
    usual = usual_count(joined, posts)
    found = [_grouped("micro-clusters", stream, rows), _grouped("DBSCAN", stream, joined[rows])]
    for name, count in [("as many as DBSCAN", usual), *((f"{count}", count) for count in counts)]:
        found.append(_grouped(f"k-means, {name}", stream, split_clusters(centroids, posts, count)[rows]))
    return found


def table(streams: Sequence[Sequence[Grouped]]) -> str:
    """Means over the streams."""
    lines = ["| method | groups | ARI | purity |", "|---" * 4 + "|"]
    for same in zip(*streams, strict=True):
        groups, rand, purity = (
            np.mean([getattr(one, name) for one in same]) for name in ("groups", "rand", "purity")
        )
        lines.append(f"| {same[0].method} | {groups:.0f} | {rand:.3f} | {purity:.3f} |")
    return "\n".join(lines)


def _grouped(method: str, stream: EncodedStream, groups: NDArray[np.int64]) -> Grouped:
    chosen = [number for number, truth in enumerate(stream.truths) if truth.kind in VIOLATING]
    truth = [stream.truths[number].campaign for number in chosen]
    return Grouped(
        method,
        len(set(groups.tolist())),
        float(adjusted_rand_score(truth, groups[chosen])),
        _purity(stream, groups.tolist()),
    )


def _purity(stream: EncodedStream, groups: list[int]) -> float:
    inside: dict[int, Counter[str | None]] = {}
    for group, truth in zip(groups, stream.truths, strict=True):
        inside.setdefault(group, Counter())[truth.campaign if truth.kind in VIOLATING else None] += 1
    right = whole = 0
    for counts in inside.values():
        campaign, most = counts.most_common(1)[0]
        if campaign is not None:
            right += most
            whole += counts.total()
    return right / max(whole, 1)


def main() -> int:
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.campaigns", description=__doc__)
    parser.add_argument("--posts", type=int, default=POSTS, help=f"of each stream (default {POSTS})")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="one stream each")
    options = parser.parse_args()
    bundle = open_bundle(find_bundle(Settings().bundle), provider="cpu", intra_op_threads=1)
    with threadpool_limits(1):  # small products: threads would only wait for each other
        streams = [
            group_posts(encoded_stream(StreamPlan(seed=seed, posts=options.posts, campaigns=CAMPAIGNS)), bundle)
            for seed in options.seeds
        ]
    print(f"{bundle.bundle_id}, streams of {options.posts} posts, seeds {options.seeds}\n\n{table(streams)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
