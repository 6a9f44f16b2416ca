"""The whole path on a stream that changes: groups, flags and false flags after few verdicts.

Campaigns are born while the stream runs, their sizes follow Zipf's law, all of them change for good several times,
and three posts in ten belong to nothing. The posts go through the encoders and the fold that the consumers run, with
their features for verification; the moderators of `shoal demo` give at most three verdicts a campaign. Beside the
groups stands DBSCAN over all vectors at once, at the radius that is best for it on these very streams.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from models.synthetic.posts import StreamPlan
from tests.quality.cells import VIOLATING, run
from tests.quality.report import WholePath
from tests.quality.stream import encoded_stream
from tests.quality.views import bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.bundle import Bundle
    from tests.quality.cells import Allowed, Run, Said
    from tests.quality.stream import EncodedStream

SEEDS = (7501, 7502)
"""Of streams that nothing was chosen on."""

POSTS, CAMPAIGNS = 2_400, 10
MOST_VERDICTS = 3
RADII = np.round(np.arange(0.10, 0.62, 0.02), 2)
CORE = (2, 3, 5)
"""`min_samples` of DBSCAN, the best of them."""


def changing(seed: int, posts: int = POSTS) -> StreamPlan:
    """15% one-policy violations, 9% conjunctions and their parts, 6% look-alikes, 30% noise, 40% repeats."""
    return StreamPlan(seed=seed, posts=posts, campaigns=CAMPAIGNS, violating=0.15, repeats=4 / 7, sizes=1.0, drift=4)


def measure_whole_path(seeds: Sequence[int] = SEEDS, posts: int = POSTS) -> WholePath:
    """Every stream, and means over them."""
    streams = [encoded_stream(changing(seed, posts)) for seed in seeds]
    with threadpool_limits(1):  # small products: threads would only wait for each other
        return judge_streams(streams, list(seeds), bundle())


def judge_streams(streams: Sequence[EncodedStream], seeds: list[int], opened: Bundle) -> WholePath:
    """Flags over all posts of the streams, groups as means over the streams."""
    runs = [run(stream, opened, 1, None, few(stream)) for stream in streams]
    counts: Counter[str] = Counter()
    for stream, found in zip(streams, runs, strict=True):
        counts.update(count_flags(stream, found))
    settings, offline = best_offline(streams)
    return WholePath(
        seeds=seeds,
        posts=sum(map(len, streams)),
        noise=sum(truth.group is None for stream in streams for truth in stream.truths) / sum(map(len, streams)),
        micro=_mean(streams, [found.clusters for found in runs]),
        campaigns=_mean(streams, [found.campaigns for found in runs]),
        offline=offline,
        radius=settings[0],
        core=settings[1],
        micro_violating=_mean(streams, [found.clusters for found in runs], violating=True),
        campaigns_violating=_mean(streams, [found.campaigns for found in runs], violating=True),
        verdicts=sum(len(found.said) for found in runs),
        counts=dict(counts),
    )


def few(stream: EncodedStream) -> Allowed:
    """At most MOST_VERDICTS on the posts of a campaign and on those that resemble it."""

    def allowed(one: Said, given: Sequence[Said]) -> bool:
        campaign = stream.truths[one.post].campaign
        before = sum(stream.truths[other.post].campaign == campaign for other in given)
        return campaign is None or before < MOST_VERDICTS

    return allowed


def count_flags(stream: EncodedStream, found: Run) -> dict[str, int]:
    """Over the posts after the verdicts: violating ones after the last on their campaign, harmless ones after any.

    Flags are those that stand in the end.
    """
    last: dict[str, int] = {}
    for one in found.said:
        truth = stream.truths[one.post]
        if truth.campaign is not None and one.decision == "uphold":
            last[truth.campaign] = one.after
    first = min((one.after for one in found.said), default=len(stream))
    standing = found.tally.standing()
    counts = Counter({"silent": len({one.campaign for one in stream.truths if one.kind in VIOLATING} - set(last))})
    for number, truth in enumerate(stream.truths):
        under = standing.get(stream.post_ids[number], set())
        if truth.kind in VIOLATING:
            if number >= last.get(truth.campaign or "", len(stream)):
                counts["due"] += 1
                counts["found"] += truth.policy in under
                counts["wrong"] += bool(under - {truth.policy})
        elif number >= first:
            counts["harmless"] += 1
            counts["false"] += bool(under)
            counts[f"false {truth.kind}"] += bool(under)
    return dict(counts)


def best_offline(streams: Sequence[EncodedStream]) -> tuple[tuple[float, int], float]:
    """The settings of DBSCAN that are best on these streams, and the adjusted Rand index that they reach."""
    found: dict[tuple[float, int], list[list[str]]] = {}
    for stream in streams:
        vectors = stream.vectors.astype(np.float32)
        apart = np.clip(1.0 - vectors @ vectors.T, 0.0, 2.0)
        for radius in RADII.tolist():
            for core in CORE:
                labels = DBSCAN(eps=radius, min_samples=core, metric="precomputed").fit(apart).labels_.tolist()
                named = [f"alone {at}" if label < 0 else str(label) for at, label in enumerate(labels)]
                found.setdefault((radius, core), []).append(named)
    rand = {settings: _mean(streams, groups) for settings, groups in found.items()}
    best = max(rand, key=lambda settings: rand[settings])
    return best, rand[best]


def _mean(streams: Sequence[EncodedStream], groups: Sequence[Sequence[object]], *, violating: bool = False) -> float:
    return float(np.mean([rand_of(one, of, violating=violating) for one, of in zip(streams, groups, strict=True)]))


def rand_of(stream: EncodedStream, groups: Sequence[object], *, violating: bool = False) -> float:
    """Adjusted Rand index of the posts' groups; each post of the noise is a group of its own.

    Posts that share two parts with a conjunction are left out: it is a matter of taste where they belong.
    """
    chosen = [
        number
        for number, truth in enumerate(stream.truths)
        if (truth.kind in VIOLATING if violating else truth.kind != "conjunction-look-alike")
    ]
    truth = [stream.truths[number].group or f"alone {number}" for number in chosen]
    return float(adjusted_rand_score(truth, [str(groups[number]) for number in chosen]))
