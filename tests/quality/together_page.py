"""What docs/quality.md says of conjunctions, the modality gap, whole streams, evasion and retrieval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.quality.conjunctions import COPIES, MEAN, PRODUCT, PROJECTED, SHIPPED
from tests.quality.evasion import ATTACKERS
from tests.quality.metrics import interval
from tests.quality.retrieval import table as retrieval_table
from tests.quality.tables import share, table
from tests.quality.whole_path import MOST_VERDICTS, TIMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.quality.report import Choice, Evasion, Report, Together, WholePath

FORMULA = f"""#### Which formula

A flag of a `together` policy needs the fused cosine and a least cosine of every part; "{SHIPPED}" is the slack
of the tighter of the two. The learned rules are fitted on the calibration splits: "{PRODUCT}" is a noisy AND of
three logistic probabilities, "{PROJECTED}" trains a projection of each modality along with them (a bilinear
form of rank 64). Thresholds are chosen on the calibration splits. What others would flag there, of posts that share
so many parts with the exemplar (a conjunction shares all three, a look-alike two):
"""

TRIED = """What was tried: the least cosine of a part once came from strangers of all three modalities together. That
let through too many look-alikes of real media; it was raised to near the strictest modality's strangers. A lower
fused cosine for `together` policies gives back some recall, and lets through posts that share one part or none. The
learned rules are not the default, since they need learning, and logarithms that round differently elsewhere, for no
clear gain over the least cosine.
"""


STREAMS = f"""Streams through the encoders and the fold that the consumers run, one cell: ten campaigns born while
they run, their sizes by Zipf's law, some posts that belong to nothing. *Gradual drift*: every campaign's original
takes {TIMES["gradual drift"]} mild steps in a stream. A step changes a letter of the caption or about one in eight of
its words that have a synonym, takes 1% off the image's height and width and shifts its colours by a tenth of what a
repost does, and plays the sound up to 1% faster or slower, through a curve within 1 dB, with noise 35 dB below it.
Posts are altered copies of where the original has come to. *New forms*: {TIMES["new forms"]} times in a stream every
campaign changes for good, to one altered copy of what was.

Moderators (those of `shoal demo`, sparing) give at most {MOST_VERDICTS} verdicts a campaign, and only on violating
posts that were let through: in clusters that grow, or reported. Recall is of the violating posts after their
campaign's first verdict, without those that were judged. *At once* are flags of posts as they came; the others came
with a later verdict, which reaches back. *After all* are the posts after the campaign's last verdict. Goals are asked
of gradual drift.
"""


def together(report: Report, picture: str | None) -> Iterator[str]:
    """The sections of this part, as far as there are figures."""
    if report.together:
        yield from _conjunctions(report)
    if report.gaps:
        yield from _gaps(report)
    if report.streams:
        yield from _streams(report.streams)
    if report.evasion is not None:
        yield from _evasion(report.evasion, picture)
    if report.retrieved:
        yield from _retrieved(report)


def _conjunctions(report: Report) -> Iterator[str]:
    yield "## Conjunctions\n"
    yield (
        "Posts of a caption, an image and a recording that violate only together. Every part is lent to harmless "
        "posts as well, so none says anything by itself. True posts hold altered copies of all three parts of the "
        f"exemplar; look-alikes of two, the third being an altered copy of another original's ({COPIES} copies of "
        "each part, by transforms drawn at random). AUROC and recall are against those look-alikes, recall where "
        "0.1% of them would pass here, intervals by drawing originals (95% bootstrap).\n"
    )
    for one in report.together:
        counts = ", ".join(f"{count:,} posts share {shared}" for shared, count in one.posts.items())
        yield f"### {one.source.capitalize()}: {one.originals} exemplars; {counts} of its parts\n"
        head = ("score", "AUROC", "recall at 0.1% false", "AUROC, sharing one part or none")
        rows = [
            (
                name, f"{got.area:.3f} ({got.area_interval[0]:.3f} to {got.area_interval[1]:.3f})",
                f"{got.recall:.3f} ({got.recall_interval[0]:.3f} to {got.recall_interval[1]:.3f})",
                f"{one.easier[name]:.4f}",
            )
            for name, got in one.systems.items()
        ]  # fmt: skip
        yield table(head, rows)
    plain = ", ".join(f"{one.systems[MEAN].area:.3f} ({one.source})" for one in report.together)
    yield (
        f"The goal of .2 more than the mean of the embeddings cannot be met: that mean reaches {plain}, since two "
        "of three parts move it by a third only, as they do the fused cosine.\n"
    )
    yield FORMULA
    for one in report.together:
        if one.choices:
            yield f"{one.source.capitalize()} media, {one.calibration} exemplars of the calibration split:\n"
            yield _chosen(one.choices)
    yield TRIED
    yield "### Missing parts\n"
    yield (
        "The same posts and exemplars with a part taken away, at the shipped thresholds: by an ordinary policy, "
        "and by one with `together`. A post without a part of the exemplar is never flagged under `together`. "
        "Where the exemplar lacks a part, nothing can tell the third part's look-alikes from true posts any more.\n"
    )
    for one in report.together:
        yield f"{one.source.capitalize()} media:\n"
        yield _lacking(one)


def _chosen(choices: Sequence[Choice]) -> str:
    head = ("fused cosine", "least cosine of a part", "sharing all three", "two", "one", "none")
    rows = [
        (f"{one.fused:.3f}", f"{one.modality:.3f}", *(f"{one.shared[count]:.2%}" for count in "3210"))
        for one in choices
    ]
    return table(head, rows)


def _lacking(one: Together) -> str:
    head = (
        "missing", "AUROC, fused", "AUROC, least cosine", "flagged", "look-alikes flagged", "flagged, together",
        "look-alikes flagged, together",
    )  # fmt: skip
    rows = []
    for lack in one.lacking:
        name = f"{lack.gone} of the {lack.side}" if lack.gone else "nothing"
        shares = (lack.plain, lack.plain_wrong, lack.together, lack.together_wrong)
        rows.append((name, f"{lack.fused:.3f}", f"{lack.least:.3f}", *(f"{value:.1%}" for value in shares)))
    return table(head, rows)


def _gaps(report: Report) -> Iterator[str]:
    yield "## The modality gap\n"
    yield (
        "Distance between the means of two modalities, and how well a linear classifier, fitted on the calibration "
        "split, tells them apart (AUROC; .5 is not at all), as the towers give embeddings and after centring by "
        "the bundle's means (distances after it are between unit vectors of what is left). Those means are of the "
        "posts that the bundle was trained on, so centring helps on generated media. Real media here are one sort "
        "of picture, of sound and of prose each: their means are their subject's, no gap between modalities, and "
        "no fixed mean takes that away.\n"
    )
    rows = [
        (
            f"{one.one} and {one.two}, {one.source}", *(f"{value:.3f}" for value in one.distance),
            *(f"{value:.3f}" for value in one.area),
        )
        for one in report.gaps
    ]  # fmt: skip
    yield table(("modalities", "distance", "centred", "AUROC of a classifier", "centred"), rows)


def _streams(found: Sequence[WholePath]) -> Iterator[str]:
    yield "## Streams that change\n"
    yield STREAMS
    head = ("change", "posts", "verdicts", "precision", "recall", "recall at once", "recall after all", "false flags")
    yield table(head, [_flagged(one) for one in found])
    for one in found:
        yield from _since(one)
    yield from _groups(found)


def _since(one: WholePath) -> Iterator[str]:
    by_kind = ", ".join(
        f"{count} {name.removeprefix('false ')}"
        for name, count in one.counts.items()
        if name.startswith("false ") and count
    )
    told = f" (false flags: {by_kind})" if by_kind else ""
    steps = "steps" if one.change == "gradual drift" else "changes"
    yield (
        f"{one.change.capitalize()}: seeds {', '.join(map(str, one.seeds))}, {one.noise:.0%} of the posts belong to "
        f"nothing{told}. {one.counts['silent']} campaigns were never looked at by a moderator, and count in no "
        f"figure. Recall at once by the {steps} between a post and the latest form that was judged before it:\n"
    )
    rows = [(name, f"{due}", share(hits, due)) for name, (due, hits) in one.since.items()]
    yield table((steps, "posts", "recall at once"), rows)


def _flagged(one: WholePath) -> tuple[str, ...]:
    counts = one.counts
    flags = counts["found"] + counts["wrong"] + counts["false"]
    pairs = (
        (counts["found"], flags), (counts["found"], counts["due"]), (counts["at once"], counts["due"]),
        (counts["found after all"], counts["due after all"]), (counts["false"], counts["harmless"]),
    )  # fmt: skip
    verdicts = f"{one.verdicts}, at most {one.most} a campaign"
    return one.change, f"{one.posts:,}", verdicts, *(share(hits, of) if of else "" for hits, of in pairs)


def _groups(found: Sequence[WholePath]) -> Iterator[str]:
    yield "### Groups of the same streams\n"
    best = ", ".join(f"eps {one.radius:.2f} and min_samples {one.core} ({one.change})" for one in found)
    yield (
        "DBSCAN has all vectors at once, and the settings that are best on these very streams, in its favour: "
        f"{best}. Noise counts as groups of one; posts that share two parts with a conjunction are left out.\n"
    )
    rows = [
        (one.change, name, f"{rand:.3f}", f"{violating:.3f}")
        for one in found
        for name, rand, violating in (
            ("micro-clusters", one.micro, one.micro_violating),
            ("campaigns", one.campaigns, one.campaigns_violating),
            ("DBSCAN, offline", one.offline, one.offline_violating),
        )
    ]
    yield table(("change", "groups", "ARI, all posts", "ARI, violating posts"), rows)


def _evasion(found: Evasion, picture: str | None) -> Iterator[str]:
    yield "## Evasion\n"
    yield (
        f"{len(ATTACKERS)} attackers, with one to three parts, in the first stream that drifts: from unchanged posts "
        f"to ones with {found.strengths[-1]} of all the transforms of this page chained on each part, drawn anew for "
        f"every post. Either verdicts end with the unchanged posts (at most {MOST_VERDICTS} a campaign; "
        f"{found.verdicts[0]} in all), or moderators go on ({found.verdicts[1]} verdicts). Counted are posts after "
        "each attacker's first verdict.\n"
    )
    rows = [
        (f"{strength}", f"{of}", *(share(hits[at], of) if of else "" for hits in (found.alone, found.helped)))
        for at, (strength, of) in enumerate(zip(found.strengths, found.posts, strict=True))
    ]
    yield table(("transforms a part", "posts", "flagged, no further verdicts", "flagged, moderators go on"), rows)
    for name, hits in (("Without further verdicts", found.alone), ("With moderators who go on", found.helped)):
        yield f"{name} {_escape(found, hits)}.\n"
    if picture is not None:
        yield f"![Share of an attacker's posts that are flagged](pictures/{picture})\n"


def _escape(found: Evasion, hits: list[int]) -> str:
    shares = [hit / max(of, 1) for hit, of in zip(hits, found.posts, strict=True)]
    below = [at for at, value in enumerate(shares) if value < 0.5]
    if not below:
        return f"at least half are flagged up to {found.strengths[-1]} transforms"
    at = below[0]
    if at == 0:
        return "less than half are flagged even unchanged"
    point = float(np.interp(0.5, [shares[at], shares[at - 1]], [found.strengths[at], found.strengths[at - 1]]))
    low, high = interval(hits[at], found.posts[at])
    return (
        f"half of the posts escape at {point:.1f} transforms a part (at {found.strengths[at]}: {low:.0%} to "
        f"{high:.0%} are flagged)"
    )


def _retrieved(report: Report) -> Iterator[str]:
    yield "## Retrieval across modalities\n"
    yield (
        f"{report.retrieved_of} generated pairs of a caption and what it describes, of a seed that no training used "
        "(R@1 / R@10 in the last four columns); docs/search.md says more. An image and a recording are a pair when "
        "one generated post has both: they are drawn apart and share only that its caption names something of each. "
        "So there is nothing to learn from such pairs, and chance is what to expect of them. Through the caption "
        "they are found as far as the image or the recording finds its caption.\n"
    )
    yield retrieval_table(report.retrieved, report.retrieved_of) + "\n"
