"""What docs/quality.md says of conjunctions, the modality gap, whole streams, evasion and retrieval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.quality.conjunctions import COPIES, MEAN, PRODUCT, PROJECTED, SHIPPED
from tests.quality.evasion import ATTACKERS
from tests.quality.metrics import interval
from tests.quality.retrieval import table as retrieval_table
from tests.quality.tables import share, table
from tests.quality.whole_path import MOST_VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.quality.report import Evasion, Report, Together

WHY = f"""#### Which formula

A flag of a `together` policy needs the fused cosine and a least cosine of every part; "{SHIPPED}" is the slack
of the tighter of the two. The learned rules are fitted on the calibration splits: "{PRODUCT}" is a noisy AND of
three logistic probabilities, "{PROJECTED}" trains a projection of each modality along with them (a bilinear
form of rank 64). Neither is clearly better than the least cosine, which needs no learning and no logarithm that
rounds differently elsewhere, so the rule of fused and least cosine stays. As a score it is below both at 0.1%
of look-alikes: there its fused cosine costs recall. It stays because it alone keeps out posts that share one
part or none. What was wrong was the threshold: `modality` .303 came from strangers of all three modalities
together, and let through one in thirteen look-alikes of real media. It is .40 now, near the strictest
modality's 99% of strangers (.41 of generated ones). On the calibration splits (34 real originals, 150
generated) that took look-alikes from 5.9% to 2.0% (real) and from 1.4% to .6% (generated), and whole
conjunctions from 97.5% to 94.6% and from 92.7% to 90.8%. A lower fused threshold for `together` policies (.60)
would give back two to three points of recall; it was left alone, since of posts that share one part or none it
let 1 in 1,500 through, and the shipped one none.
"""


CAUSES = """Why recall is missed: a campaign that changes for good leaves its verdicts behind. On the stream of seed
7501, recall of posts of the same form as at their campaign's last verdict is .84 (56 of 67); one change later it is
.63 (60 of 96), two later .18 (12 of 68), three or more later .03 (3 of 113). The three verdicts are spent on the
first form of a campaign that is there from the beginning, and the largest two of those are six in ten of the posts
that count. More verdicts are what the product has against it; no threshold was tried. Why the ARI of campaigns is
missed was not found out: they are joined at the exemplar threshold (cosine .665), DBSCAN is best at .76.
"""


def together(report: Report, picture: str | None) -> Iterator[str]:
    """The sections of this part, as far as there are figures."""
    if report.together:
        yield from _conjunctions(report)
    if report.gaps:
        yield from _gaps(report)
    if report.whole_path is not None:
        yield from _whole_path(report)
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
    yield WHY
    yield "### Missing parts\n"
    yield (
        "The same posts and exemplars with a part taken away, at the shipped thresholds: by an ordinary policy, "
        "and by one with `together`. A post without a part of the exemplar is never flagged under `together`. "
        "Where the exemplar lacks a part, nothing can tell the third part's look-alikes from true posts any more.\n"
    )
    for one in report.together:
        yield f"{one.source.capitalize()} media:\n"
        yield _lacking(one)


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


def _whole_path(report: Report) -> Iterator[str]:
    path = report.whole_path
    assert path is not None
    counts = path.counts
    yield "## A stream that changes\n"
    yield (
        f"{path.posts:,} posts of streams of seeds {', '.join(map(str, path.seeds))}, through the encoders and the "
        "fold that the consumers run, one cell: ten campaigns born while it runs, their sizes by Zipf's law, each "
        f"changed for good four times, and {path.noise:.0%} of the posts belong to nothing. The moderators of "
        f"`shoal demo` give at most {MOST_VERDICTS} verdicts a campaign, {path.verdicts} in all. DBSCAN has all "
        f"vectors at once, and the settings that are best on these very streams (eps {path.radius:.2f}, min_samples "
        f"{path.core}): in its favour. Noise counts as groups of one; posts that share two parts with a conjunction "
        "are left out.\n"
    )
    rows = [
        ("micro-clusters", f"{path.micro:.3f}", f"{path.micro_violating:.3f}"),
        ("campaigns (models/campaigns.py)", f"{path.campaigns:.3f}", f"{path.campaigns_violating:.3f}"),
        ("DBSCAN, offline", f"{path.offline:.3f}", ""),
    ]
    yield table(("groups", "ARI, all posts", "ARI, violating posts"), rows)
    flags = counts["found"] + counts["wrong"] + counts["false"]
    by_kind = ", ".join(
        f"{count} {name.removeprefix('false ')}"
        for name, count in counts.items()
        if name.startswith("false ") and count
    )
    yield (
        f"After the verdicts: precision {share(counts['found'], max(flags, 1))}, recall "
        f"{share(counts['found'], max(counts['due'], 1))}, false flags "
        f"{share(counts['false'], max(counts['harmless'], 1))} of {counts['harmless']:,} harmless postsf' "
        f"({by_kind})' if by_kind else ''. {counts['silent']} of the campaigns were never looked at by a moderator; "
        "their posts count in no figure.\n"
    )


def _evasion(found: Evasion, picture: str | None) -> Iterator[str]:
    yield "## Evasion\n"
    yield (
        f"{len(ATTACKERS)} attackers, with one to three parts, in the stream above: from unchanged posts to ones "
        f"with {found.strengths[-1]} of all the transforms of this page chained on each part, drawn anew for every "
        f"post. Either verdicts end with the unchanged posts (at most {MOST_VERDICTS} a campaign; "
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
        "one generated post has both and its caption names something of each: the two are drawn apart, and share "
        "nothing but that caption. So there is nothing to find directly, and no training asks for it; through the "
        "post's caption there is.\n"
    )
    yield retrieval_table(report.retrieved, report.retrieved_of) + "\n"
