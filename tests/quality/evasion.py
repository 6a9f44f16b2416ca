"""Attackers who change their posts more and more while the stream runs: until when are they flagged?

Every post of a strength has so many transforms of docs/quality.md chained on each of its parts, drawn anew for each
post, also those that no training used. Moderators see the first, unchanged posts; then they say no more, or go on as
those of `shoal demo` do, who hear of violating posts that are not flagged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from models.synthetic.originals import audio_file, draw_originals, image_file
from models.synthetic.posts import SyntheticPost, Truth
from tests.quality.cells import always, run
from tests.quality.report import Evasion
from tests.quality.stream import EncodedStream, encoded_posts, encoded_stream
from tests.quality.views import TRANSFORMS, bundle
from tests.quality.whole_path import MOST_VERDICTS, POSTS, SEEDS, changing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.bundle import Bundle
    from models.synthetic.originals import Original
    from models.training.kinds import Kind
    from tests.quality.cells import Allowed, Run, Said

SEED = 7601
STRENGTHS = tuple(range(8))
EACH = 5
"""Posts of each attacker and strength."""

ATTACKERS: tuple[tuple[Kind, ...], ...] = (
    ("text", "image", "audio"), ("text", "image", "audio"), ("text", "image"), ("text", "image"), ("text", "audio"),
    ("image", "audio"), ("text",), ("image",), ("audio",),
)  # fmt: skip
"""What their posts carry."""

_POLICIES = ("scam", "violent-extremism", "self-harm-promotion")


def measure_evasion(posts: int = POSTS, each: int = EACH) -> Evasion:
    """On the first of the streams that change."""
    background = encoded_stream(changing("gradual drift", SEEDS["gradual drift"][0], posts))
    attacks = encoded_posts(f"attacks-{SEED}-{each}", lambda: attack_posts(each))
    with threadpool_limits(1):
        return judge_evasion(mixed(background, attacks), bundle())


def attack_posts(each: int) -> Iterator[SyntheticPost]:
    """All attackers' posts, strength by strength; `created` is the share of the attack that is over."""
    rng = np.random.default_rng(SEED)
    originals = [draw_originals(rng, 1, parts, "money")[0] for parts in ATTACKERS]
    order = [
        (strength, attacker) for strength in STRENGTHS for _ in range(each) for attacker in range(len(ATTACKERS))
    ]
    for number, (strength, attacker) in enumerate(order):
        yield _post(number / len(order), strength, attacker, originals[attacker], rng)


def _post(at: float, strength: int, attacker: int, original: Original, rng: np.random.Generator) -> SyntheticPost:
    def changed(kind: Kind, item: Any) -> Any:
        names = list(TRANSFORMS[kind])
        for chosen in rng.choice(len(names), strength, replace=False):
            item = TRANSFORMS[kind][names[chosen]](item, rng)
        return item

    caption, pixels, samples = original.caption, original.pixels, original.samples
    return SyntheticPost(
        post_id=f"attack-{attacker}-{at:.6f}",
        caption=None if caption is None else changed("text", caption),
        images=[] if pixels is None else [image_file(changed("image", pixels), rng)],
        audio=[] if samples is None else [audio_file(changed("audio", samples), rng)],
        created=at,
        author=f"attacker-{attacker}",
        truth=Truth(
            f"attack-{attacker}", _POLICIES[attacker % 3], "violation", (str(strength),), f"attack-{attacker}"
        ),
    )


def mixed(background: EncodedStream, attacks: EncodedStream) -> EncodedStream:
    """The attack spread over a whole stream, in order of time."""
    start, end = background.created[0], background.created[-1]
    created = np.concatenate([background.created, start + attacks.created * (end - start)])
    order = np.argsort(created, kind="stable").tolist()
    ids = background.post_ids + attacks.post_ids
    truths = background.truths + attacks.truths
    features = background.features + attacks.features
    return EncodedStream(
        [ids[at] for at in order],
        [truths[at] for at in order],
        created[order],
        np.concatenate([background.vectors, attacks.vectors])[order],
        [features[at] for at in order],
    )


def judge_evasion(stream: EncodedStream, opened: Bundle) -> Evasion:
    """Fold the stream twice, and count the flags that stand in the end by strength."""
    runs = [run(stream, opened, 1, None, allowed) for allowed in (_early(stream), always)]
    attacks = [at for at, one in enumerate(stream.truths) if _attacks(one)]
    firsts = [_first(stream, found) for found in runs]

    def known(at: int) -> bool:
        return all(at >= first.get(stream.truths[at].campaign, len(stream)) for first in firsts)

    posts: list[int] = []
    flagged: tuple[list[int], list[int]] = ([], [])
    for strength in STRENGTHS:
        rows = [at for at in attacks if stream.truths[at].variants == (str(strength),) and known(at)]
        posts.append(len(rows))
        for of, found in enumerate(runs):
            standing = found.tally.standing()
            flagged[of].append(sum(stream.truths[at].policy in standing.get(stream.post_ids[at], ()) for at in rows))
    said = [sum(_attacks(stream.truths[one.post]) for one in found.said) for found in runs]
    return Evasion(list(STRENGTHS), posts, flagged[0], flagged[1], (said[0], said[1]))


def _attacks(truth: Truth) -> bool:
    return (truth.campaign or "").startswith("attack-")


def _first(stream: EncodedStream, found: Run) -> dict[str | None, int]:
    """After how many posts each campaign had its first verdict."""
    first: dict[str | None, int] = {}
    for one in found.said:
        first.setdefault(stream.truths[one.post].campaign, one.after)
    return first


def _early(stream: EncodedStream) -> Allowed:
    """On attackers only while their posts are unchanged, and at most MOST_VERDICTS."""

    def allowed(one: Said, given: Sequence[Said]) -> bool:
        truth = stream.truths[one.post]
        if not _attacks(truth):
            return True
        before = sum(stream.truths[other.post].campaign == truth.campaign for other in given)
        return before < MOST_VERDICTS and truth.variants == (str(STRENGTHS[0]),)

    return allowed
