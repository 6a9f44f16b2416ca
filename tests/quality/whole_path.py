"""The whole path on streams that change: groups, flags and false flags after few verdicts.

Campaigns are born while a stream runs, their sizes follow Zipf's law, and three posts in ten belong to nothing. In
one sort of stream every campaign drifts: its original takes mild steps all the time. In the other every campaign
changes for good several times. The posts go through the encoders and the fold that the consumers run, with their
features for verification. Moderators give at most three verdicts a campaign, and only where a violating post was let
through. Beside the groups stands DBSCAN over all vectors at once, at the radius that is best for it on these very
streams.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from consumers.demo.moderator import Moderator
from models.synthetic.posts import StreamPlan
from tests.quality.cells import VIOLATING, run
from tests.quality.report import WholePath
from tests.quality.stream import encoded_stream
from tests.quality.views import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.bundle import Bundle
    from tests.quality.cells import Allowed, Run, Said
    from tests.quality.report import Change
    from tests.quality.stream import EncodedStream

SEEDS: dict[Change, tuple[int, ...]] = {"gradual drift": (7503, 7504), "new forms": (7501, 7502)}
"""Of streams that nothing was chosen on."""

TIMES: dict[Change, int] = {"gradual drift": 24, "new forms": 4}
"""So many steps or changes in a stream."""

TOGETHER: dict[Change, int] = {"gradual drift": 6, "new forms": 1}
"""Changes that count as one in the table of recall by changes."""

MOST_CHANGES = 3
COUNTED = ("due", "found", "at once", "wrong", "due after all", "found after all", "harmless", "false", "silent")
POSTS, CAMPAIGNS = 2_400, 10
MOST_VERDICTS = 3
RADII = np.round(np.arange(0.10, 0.62, 0.02), 2)
CORE = (2, 3, 5)
"""`min_samples` of DBSCAN, the best of them."""


def changing(change: Change, seed: int, posts: int = POSTS) -> StreamPlan:
    """15% one-policy violations, 9% conjunctions and their parts, 6% look-alikes, 30% noise, 40% repeats."""
    plan = StreamPlan(seed=seed, posts=posts, campaigns=CAMPAIGNS, violating=0.15, repeats=4 / 7, sizes=1.0)
    return replace(plan, **{"drift" if change == "gradual drift" else "forms": TIMES[change]})


def measure_streams(posts: int = POSTS) -> list[WholePath]:
    """Both sorts of streams; figures of flags are over all posts of a sort, groups are means over its streams."""
    found = []
    for change, seeds in SEEDS.items():
        plans = [changing(change, seed, posts) for seed in seeds]
        streams = [encoded_stream(plan) for plan in plans]
        with threadpool_limits(1):  # small products: threads would only wait for each other
            found.append(judge_streams(streams, plans, change, bundle()))
    return found


def judge_streams(
    streams: Sequence[EncodedStream], plans: Sequence[StreamPlan], change: Change, opened: Bundle
) -> WholePath:
    """All figures of streams of one sort."""
    runs = [run(stream, opened, 1, None, few(stream), careful()) for stream in streams]
    counts: Counter[str] = Counter()
    since: dict[str, tuple[int, int]] = {}
    for stream, plan, found in zip(streams, plans, runs, strict=True):
        counts.update(count_flags(stream, found))
        for name, (due, hits) in count_since(stream, found, plan, change).items():
            before = since.get(name, (0, 0))
            since[name] = (before[0] + due, before[1] + hits)
    settings, (offline, offline_violating) = best_offline(streams)
    return WholePath(
        change=change,
        times=TIMES[change],
        seeds=[plan.seed for plan in plans],
        posts=sum(map(len, streams)),
        noise=sum(truth.group is None for stream in streams for truth in stream.truths) / sum(map(len, streams)),
        micro=_mean(streams, [found.clusters for found in runs]),
        campaigns=_mean(streams, [found.campaigns for found in runs]),
        offline=offline,
        radius=settings[0],
        core=settings[1],
        micro_violating=_mean(streams, [found.clusters for found in runs], violating=True),
        campaigns_violating=_mean(streams, [found.campaigns for found in runs], violating=True),
        offline_violating=offline_violating,
        verdicts=sum(len(found.said) for found in runs),
        most=max(map(_most, streams, runs)),
        counts=dict(counts),
        since=dict(sorted(since.items(), key=lambda one: int(one[0].split()[0]))),
    )


def careful() -> Moderator:
    """Moderators who give MOST_VERDICTS a campaign at most, where a violating post was let through."""
    return Moderator(mistakes=False, sparing=True, most=MOST_VERDICTS)


def few(stream: EncodedStream) -> Allowed:
    """At most MOST_VERDICTS on the posts of a campaign and on those that resemble it."""

    def allowed(one: Said, given: Sequence[Said]) -> bool:
        campaign = stream.truths[one.post].campaign
        before = sum(stream.truths[other.post].campaign == campaign for other in given)
        return campaign is None or before < MOST_VERDICTS

    return allowed


def _most(stream: EncodedStream, found: Run) -> int:
    """Verdicts on the campaign that had the most."""
    return max(Counter(stream.truths[one.post].campaign for one in found.said).values(), default=0)


def upheld(stream: EncodedStream, found: Run) -> dict[str, list[Said]]:
    """The verdicts that uphold, by campaign, the first one first."""
    by: dict[str, list[Said]] = {}
    for one in found.said:
        campaign = stream.truths[one.post].campaign
        if campaign is not None and one.decision == "uphold":
            by.setdefault(campaign, []).append(one)
    return by


def due_posts(stream: EncodedStream, found: Run) -> Iterator[tuple[int, list[Said]]]:
    """Violating posts after their campaign's first verdict, with its verdicts; without those that were judged."""
    by, judged = upheld(stream, found), {one.post for one in found.said}
    for number, truth in enumerate(stream.truths):
        verdicts = by.get(truth.campaign or "", [])
        if truth.kind in VIOLATING and number not in judged and verdicts and number >= verdicts[0].after:
            yield number, verdicts


def flagged_live(found: Run) -> set[tuple[str, str]]:
    """Posts that were flagged as they came, and still are, each with its policy."""
    flags = found.tally.flags.values()
    return {(flag.post_id, flag.policy) for flag in flags if flag.action == "flag" and flag.cause == "live"}


def count_flags(stream: EncodedStream, found: Run) -> dict[str, int]:
    """Over violating posts after the verdicts on their campaign, and harmless ones after any verdict."""
    standing, live = found.tally.standing(), flagged_live(found)
    counts = Counter(dict.fromkeys(COUNTED, 0))
    counts["silent"] = len(_campaigns(stream) - set(upheld(stream, found)))
    for number, verdicts in due_posts(stream, found):
        post_id, policy = stream.post_ids[number], stream.truths[number].policy
        under, last = standing.get(post_id, set()), number >= verdicts[-1].after
        counts["due"] += 1
        counts["found"] += policy in under
        counts["at once"] += (post_id, policy) in live
        counts["wrong"] += bool(under - {policy})
        counts["due after all"] += last
        counts["found after all"] += last and policy in under
    first = min((one.after for one in found.said), default=len(stream))
    for number in range(first, len(stream)):
        if (truth := stream.truths[number]).kind not in VIOLATING:
            false = stream.post_ids[number] in standing
            counts["harmless"] += 1
            counts["false"] += false
            counts[f"false {truth.kind}"] += false
    return dict(counts)


def _campaigns(stream: EncodedStream) -> set[str | None]:
    return {truth.campaign for truth in stream.truths if truth.kind in VIOLATING}


def count_since(stream: EncodedStream, found: Run, plan: StreamPlan, change: Change) -> dict[str, tuple[int, int]]:
    """How many posts were due, and flagged as they came, by the changes since the latest form that was judged."""
    at = plan.steps if change == "gradual drift" else plan.changes
    width, live = TOGETHER[change], flagged_live(found)
    counts: dict[str, tuple[int, int]] = {}
    for number, verdicts in due_posts(stream, found):
        known = max(at(one.post) for one in verdicts if one.after <= number)
        since = min((at(number) - known) // width, MOST_CHANGES)
        due, hits = counts.get(_named(since, width), (0, 0))
        hit = (stream.post_ids[number], stream.truths[number].policy) in live
        counts[_named(since, width)] = (due + 1, hits + hit)
    return counts


def _named(since: int, width: int) -> str:
    first = since * width
    if since == MOST_CHANGES:
        return f"{first} or more"
    return f"{first}" if width == 1 else f"{first} to {first + width - 1}"


def best_offline(streams: Sequence[EncodedStream]) -> tuple[tuple[float, int], tuple[float, float]]:
    """The settings of DBSCAN that are best on these streams, and the Rand index of all and of violating posts."""
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
    return best, (rand[best], _mean(streams, found[best], violating=True))


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
