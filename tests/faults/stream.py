"""A seeded stream with truth: posts of a few campaigns, noise and broken ones, and the verdicts of its moderators."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from consumers.contracts.post import SCHEMA
from tests.bundles import VECTOR_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

MODALITY = "signal"
"""Posts are vectors: as near to each other as the stream wants them."""

CAMPAIGNS = 5
SPREAD = 0.12
"""Of a variant around its campaign, in every direction: a cosine of about .95 to the copies."""

Kind = Literal["copy", "variant", "noise", "broken"]
Naming = Literal["place", "post_id", "wrong place"]


@dataclass(frozen=True)
class StreamPost:
    """A record of the posts topic.

    Attributes:
        campaign: its number; -1 for noise and for broken posts.
        value: as it is published.
    """

    post_id: str
    kind: Kind
    campaign: int
    value: bytes


@dataclass(frozen=True)
class StreamVerdict:
    """A verdict that the stream's moderators give.

    Attributes:
        after: sent when so many posts have been published.
        naming: how it names its post: by the place of its decision too, by its id alone, or by another post's place.
    """

    verdict_id: str
    decision: Literal["uphold", "overturn"]
    policy: str
    actor: str
    post_id: str
    after: int
    naming: Naming
    supersedes: str | None = None


@dataclass(frozen=True)
class Stream:
    """Endless posts, the same for the same seed; the verdicts come while the first `posts` of them are published."""

    seed: int
    posts: int
    verdicts: tuple[StreamVerdict, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdicts", tuple(sorted(self._verdicts(), key=lambda verdict: verdict.after)))

    def __iter__(self) -> Iterator[StreamPost]:
        rng = random.Random(self.seed)
        number = 0
        while True:
            yield self._post(number, rng)
            number += 1

    def _post(self, number: int, rng: random.Random) -> StreamPost:
        # the first posts are one copy of each campaign: what the verdicts are about
        drawn = 0.0 if number < CAMPAIGNS else rng.random()
        campaign = number % CAMPAIGNS if number < CAMPAIGNS else rng.randrange(CAMPAIGNS)
        if drawn < 0.35:
            return _made(post_of(campaign, number), "copy", campaign, copy_of(campaign))
        if drawn < 0.75:
            vector = [value + rng.gauss(0.0, SPREAD) for value in copy_of(campaign)]
            return _made(post_of(campaign, number), "variant", campaign, vector)
        if drawn < 0.95:
            return _made(f"noise-{number}", "noise", -1, [rng.gauss(0.0, 1.0) for _ in range(VECTOR_SIZE)])
        broken = rng.choice([b"no post", b'{"schema": "shoal.post/1", "post_id": "empty-%d"}' % number])
        return StreamPost(f"broken-{number}", "broken", -1, broken)

    def _verdicts(self) -> Iterator[StreamVerdict]:
        """What the moderators say of each campaign.

        0: upheld, and said twice. 1: upheld before its post comes, overturned by three. 2: upheld, then taken back by
        the same one. 3: upheld late, so that it reaches far back. 4: a verdict that names the wrong record.
        """
        first = [post_of(campaign, campaign) for campaign in range(CAMPAIGNS)]
        early, middle, late = self.posts // 5, self.posts // 2, 4 * self.posts // 5
        yield StreamVerdict("v0", "uphold", "scam", "ada", first[0], early, "place")
        yield StreamVerdict("v0", "uphold", "scam", "ada", first[0], middle, "place")
        yield StreamVerdict("v1", "uphold", "hate", "ada", first[1], 0, "post_id")
        for number, actor in enumerate(("bob", "cy", "di")):
            yield StreamVerdict(f"v1-{actor}", "overturn", "hate", actor, first[1], middle + number, "place")
        yield StreamVerdict("v2", "uphold", "spam", "ada", first[2], early, "post_id")
        yield StreamVerdict("v2-again", "overturn", "spam", "ada", first[2], middle, "place", supersedes="v2")
        yield StreamVerdict("v3", "uphold", "fraud", "eve", first[3], late, "place")
        yield StreamVerdict("v4", "uphold", "fraud", "eve", first[4], early, "wrong place")


def copy_of(campaign: int) -> list[float]:
    """The vector of a campaign's copies: far from the other campaigns."""
    return [1.0 if axis == campaign else 0.0 for axis in range(VECTOR_SIZE)]


def post_of(campaign: int, number: int) -> str:
    """The id of a campaign's post."""
    return f"campaign-{campaign}-{number}"


def _made(post_id: str, kind: Kind, campaign: int, vector: list[float]) -> StreamPost:
    fields: dict[str, Any] = {"schema": SCHEMA, "post_id": post_id, "vectors": {MODALITY: vector}}
    return StreamPost(post_id, kind, campaign, json.dumps(fields).encode())
