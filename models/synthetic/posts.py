"""A simulated stream of posts with its truth: benign background, campaigns, look-alikes, one conjunction.

Media are real encoded files. What can be is made once and posted again, as people do, so that one core makes more
than a hundred posts a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.synthetic import captions
from models.synthetic.background import Background
from models.synthetic.originals import MediaFile, Parts, draw_originals, drift_original, vary_original
from models.synthetic.sources import ALL, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator

    from models.synthetic.originals import Original

Kind = Literal["benign", "violation", "look-alike", "conjunction", "conjunction-look-alike"]
CONJUNCTION = "coordinated-conjunction"


@dataclass(frozen=True, slots=True)
class Truth:
    """What the stream knows about a post; a post violates when its kind is "violation" or "conjunction".

    `campaign` names the campaign that the post belongs to or resembles, `policy` is set for violations only,
    `variants` names the transforms of its parts, and `group` what it was made of: posts of one group belong together,
    and those without one to nothing.
    """

    campaign: str | None
    policy: str | None
    kind: Kind
    variants: tuple[str, ...] = ()
    group: str | None = None


@dataclass(slots=True)
class SyntheticPost:
    """One post with its media as encoded files; `created` is in seconds from the beginning of the stream."""

    post_id: str
    caption: str | None
    images: list[MediaFile]
    audio: list[MediaFile]
    created: float
    author: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What a stream consists of.

    Attributes:
        seed: the same plan gives the same posts, byte for byte.
        posts: how many.
        campaigns: how many violating campaigns, the one conjunction among them; see `ROSTER`.
        violating: share of posts that belong to one-policy campaigns.
        look_alikes: share of posts that resemble a campaign and are harmless.
        conjunction: share of posts of the conjunction; as many again share exactly two of its three parts, and as
            many again are benign posts with one of its parts.
        repeats: share of the remaining, benign posts that repeat a known harmless post, some of them very often.
        rate: posts a second in `created`.
        sizes: exponent of Zipf's law of the campaigns' sizes; 0 makes them equal.
        drift: so many mild steps in the stream, evenly spaced: every campaign's original moves a little at each, and
            what is varied from then on is where it has come to (`originals.drift_original`).
        forms: so many times in the stream every campaign changes for good: what is varied from then on is an altered
            copy of what was (`originals.vary_original`).
    """

    seed: int = 0
    posts: int = 2000
    campaigns: int = 7
    violating: float = 0.12
    look_alikes: float = 0.06
    conjunction: float = 0.03
    repeats: float = 0.5
    rate: float = 50.0
    sizes: float = 0.0
    drift: int = 0
    forms: int = 0

    def __post_init__(self) -> None:
        """Refuse shares that do not fit into one stream."""
        shares = (self.violating, self.look_alikes, self.conjunction, self.repeats)
        if min(shares) < 0 or self.violating + self.look_alikes + 3 * self.conjunction > 1 or self.repeats > 1:
            raise ValueError(f"the shares of {self} must be positive, and together at most 1")
        if self.posts < 0 or self.campaigns < 1 or self.rate <= 0 or min(self.sizes, self.drift, self.forms) < 0:
            raise ValueError(f"{self} needs posts, sizes, drift and forms >= 0, campaigns >= 1 and a rate above 0")

    def steps(self, number: int) -> int:
        """How many steps of the drift are over at this post."""
        return _passed(number, self.posts, self.drift)

    def changes(self, number: int) -> int:
        """How many changes for good are over at this post."""
        return _passed(number, self.posts, self.forms)


def _passed(number: int, posts: int, times: int) -> int:
    """Of so many moments that divide a stream evenly, those at this post or before it."""
    return number * (times + 1) // max(posts, 1)


@dataclass(frozen=True, slots=True)
class Casting:
    """A campaign before it is born; `topic` is that of its captions, `birth` the share of the stream before it."""

    name: str
    policy: str
    parts: tuple[str, ...]
    topic: str
    birth: float


ROSTER: tuple[Casting, ...] = (
    Casting("easy-money", "scam", ("text", "image", "audio"), "money", 0.0),
    Casting("banner-march", "violent-extremism", ("text", "image"), "rallying", 0.01),
    Casting("night-signal", CONJUNCTION, ("text", "image", "audio"), "music", 0.02),
    Casting("fading-game", "self-harm-promotion", ("image",), "despair", 0.05),
    Casting("gift-card", "scam", ("text",), "money", 0.15),
    Casting("oath-song", "violent-extremism", ("audio",), "rallying", 0.25),
    Casting("silent-countdown", "self-harm-promotion", ("text", "audio"), "despair", 0.4),
    Casting("miracle-cure", "scam", ("image", "text"), "health", 0.5),
    Casting("loyal-banner", "violent-extremism", ("image",), "rallying", 0.55),
    Casting("empty-mirror", "self-harm-promotion", ("text", "image"), "despair", 0.6),
)
"""Abstract content only: patterns, pseudo-text and words that stand for a policy."""

_HARMLESS = ("shopping", "food", "travel", "sport", "friends", "animals", "music", "games", "home", "school")
_TAKES = 24
_SIBLINGS = 4
_INCOMPLETE = 0.1
"""Share of posts of a campaign of three parts that leave one of them out."""


@dataclass(slots=True)
class _Campaign:
    casting: Casting
    source: Source
    siblings: list[Source]


def _campaign(casting: Casting, rng: Generator, name: str) -> _Campaign:
    originals = draw_originals(rng, _SIBLINGS, casting.parts, casting.topic)
    siblings = [Source(original, most=4) for original in originals[1:]]
    return _Campaign(replace(casting, name=name), Source(originals[0], _TAKES), siblings)


_PAIRS = (("text", "image"), ("text", "audio"), ("image", "audio"))


@dataclass(slots=True)
class _Stream:
    """The posts of a plan, made one by one as they are asked for.

    A campaign is drawn at its birth, so a stream starts at once; benign media, memes and takes are kept in bounded
    pools.
    """

    plan: StreamPlan
    _background: Background = field(default_factory=Background)
    _live: list[_Campaign] = field(default_factory=list)
    _steps: int = 0
    _changes: int = 0

    def __iter__(self) -> Iterator[SyntheticPost]:
        """The posts in order of time."""
        rng = np.random.default_rng(self.plan.seed)
        self._background, self._live, self._steps, self._changes = Background(), [], 0, 0
        created = 0.0
        for number in range(self.plan.posts):
            self._give_birth(rng, number / max(self.plan.posts, 1))
            self._change(rng, number)
            parts, truth = self._next(rng)
            created += float(rng.exponential(1 / self.plan.rate))
            yield SyntheticPost(
                f"post-{self.plan.seed}-{number:07d}",
                parts.caption,
                [parts.image] if parts.image else [],
                [parts.audio] if parts.audio else [],
                created,
                f"author-{int(rng.zipf(1.3)) % 5000:04d}",
                truth,
            )

    def _give_birth(self, rng: Generator, progress: float) -> None:
        while len(self._live) < self.plan.campaigns:
            number = len(self._live)
            turn, casting = number // len(ROSTER), ROSTER[number % len(ROSTER)]
            if casting.birth * (1 if turn == 0 else 0.1) + 0.1 * turn > progress:
                return
            name = casting.name if turn == 0 else f"{casting.name}-{turn + 1}"
            self._live.append(_campaign(casting, rng, name))

    def _change(self, rng: Generator, number: int) -> None:
        """Move every campaign that lives, or give it a new form, where it is time."""
        while self._steps < self.plan.steps(number):
            self._steps += 1
            self._vary(rng, drift_original, started=True)
        while self._changes < self.plan.changes(number):
            self._changes += 1
            self._vary(rng, vary_original, started=False)

    def _vary(self, rng: Generator, change: Callable[[Original, Generator], Original], *, started: bool) -> None:
        for campaign in self._live:
            campaign.source = Source(change(campaign.source.original, rng), _TAKES, started=started)

    def _next(self, rng: Generator) -> tuple[Parts, Truth]:
        plan, choice = self.plan, float(rng.random())
        if choice < plan.violating:
            return self._violation(rng)
        choice -= plan.violating
        if choice < plan.look_alikes:
            return self._look_alike(rng)
        choice -= plan.look_alikes
        if choice < 3 * plan.conjunction:
            return self._conjunction(rng, int(choice / plan.conjunction))
        return self._benign(rng)

    def _benign(self, rng: Generator) -> tuple[Parts, Truth]:
        if rng.random() < self.plan.repeats:
            parts, meme = self._background.repeat(rng)
            return parts, Truth(None, None, "benign", parts.variants, f"meme-{meme}")
        parts = self._background.single(rng)
        return parts, Truth(None, None, "benign", parts.variants)

    def _pick(self, rng: Generator, conjunction: bool) -> _Campaign | None:
        born = [campaign for campaign in self._live if (campaign.casting.policy == CONJUNCTION) == conjunction]
        if not born:
            return None
        if not self.plan.sizes:
            return born[int(rng.integers(len(born)))]
        shares = np.cumsum(np.arange(1, len(born) + 1, dtype=np.float64) ** -self.plan.sizes)
        return born[int(np.searchsorted(shares, rng.random() * shares[-1]))]

    def _violation(self, rng: Generator) -> tuple[Parts, Truth]:
        campaign = self._pick(rng, conjunction=False)
        if campaign is None:
            return self._benign(rng)
        whole = len(campaign.casting.parts) < 3 or rng.random() >= _INCOMPLETE
        parts = campaign.source.post(rng, ALL if whole else _PAIRS[int(rng.integers(3))])
        name = campaign.casting.name
        return parts, Truth(name, campaign.casting.policy, "violation", parts.variants, name)

    def _look_alike(self, rng: Generator) -> tuple[Parts, Truth]:
        campaign = self._pick(rng, conjunction=False)
        if campaign is None:
            return self._benign(rng)
        sibling = int(rng.integers(len(campaign.siblings)))
        parts = campaign.siblings[sibling].post(rng)
        name = campaign.casting.name
        return parts, Truth(name, None, "look-alike", parts.variants, f"{name} look-alike {sibling}")

    def _conjunction(self, rng: Generator, role: int) -> tuple[Parts, Truth]:
        """Role 0: the whole triple; 1: exactly two of its parts with a harmless third or none; 2: one part alone."""
        campaign = self._pick(rng, conjunction=True)
        if campaign is None:
            return self._benign(rng)
        name = campaign.casting.name
        if role == 0:
            parts = campaign.source.post(rng)
            return parts, Truth(name, campaign.casting.policy, "conjunction", parts.variants, name)
        if role == 1:
            pair = _PAIRS[int(rng.integers(3))]
            parts = campaign.source.post(rng, pair)
            if rng.random() < 0.75:
                parts = self._completed(rng, parts)
            return parts, Truth(name, None, "conjunction-look-alike", parts.variants)
        alone = ("text", "image", "audio")[int(rng.integers(3))]
        parts = campaign.source.post(rng, (alone,))
        if rng.random() < 0.5:
            return self._completed(rng, parts), Truth(None, None, "benign", parts.variants)
        return parts, Truth(None, None, "benign", parts.variants, f"{name} {alone} alone")

    def _completed(self, rng: Generator, parts: Parts) -> Parts:
        """Harmless parts of other posts where the post has none."""
        topic = _HARMLESS[int(rng.integers(len(_HARMLESS)))]
        return replace(
            parts,
            caption=parts.caption or captions.generate_caption(rng, topic=topic),
            image=parts.image or self._background.image(rng)[0],
            audio=parts.audio or self._background.audio(rng)[0],
        )


def generate_stream(plan: StreamPlan) -> Iterator[SyntheticPost]:
    """The posts of a plan, one by one as they are asked for, byte for byte the same for the same plan."""
    return iter(_Stream(plan))
