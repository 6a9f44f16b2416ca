"""docs/quality.md, from the figures of a run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tests.quality.goals import FIGURES, best_hash, decided, goals
from tests.quality.metrics import interval
from tests.quality.recognisers import COMPACT, HASHES, VERIFIED
from tests.quality.search import FALSE_MATCHES, STRICT_QUERIES
from tests.quality.tables import share, table
from tests.quality.together_page import together
from tests.quality.verified import CANDIDATES
from tests.quality.views import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.quality.goals import Goal
    from tests.quality.report import Report, Section

WIDTH = 118

HEAD = """# Quality

How well the shipped bundle finds again what was altered, beside the hashes that everybody uses, on the same
queries. This page and its pictures are written by the run:

    make quality                                   # the shipped bundle; half an hour on two quiet cores
    make quality ARGS="--media DIR"                # photographs and recordings from DIR; default: ../shared/data
    make quality ARGS="--only together"            # only conjunctions, the gap, streams, evasion, retrieval
    make quality ARGS="--kind audio"               # one kind alone: its tables are printed, nothing is written
    make quality ARGS="--only cost"                # only what an item costs, a minute
    make quality ARGS="--page"                     # this page again, from build/quality.json

Bundle {bundle}; seeds {seeds}.
The figures are also in `build/quality.json`. Features are kept under `build/quality/`, and made again when the
bundle, a transform or the amounts change.

## How it is measured

Originals are items that no encoder was trained on. *real*: photographs of garments (images/test), environmental
sounds and music (audio/test, audio/recordings), and, since that folder has no texts, prose of the docstrings of
Python's standard library. *generated*: images, sounds and captions of our generators, from seeds that nothing was
trained or chosen on. These are of the kind that compact was trained on, so they flatter it; captions above all,
whose words and sentences it knows. Every original is altered by every transform. No training view
(models/synthetic) ever used the transforms marked *.

Queries are the altered copies and {distractors} unrelated items, half of them altered too. Each is compared with
all originals of its kind and source.

- uAP: micro average precision over all pairs of queries and originals; pairs of one score count together.
- recall: share of the copies that match their original, at the threshold that {pairs:.1%} of the comparisons with
  other originals reach.
- strict recall: the same at the threshold where {strict:.0%} of the queries whose original is not there match
  anything. Those are the unrelated items, and the copies with their original taken away.

Both thresholds come from a calibration split (images/validation, audio/validation, other modules of the library,
other seeds), for each recogniser and source. "Let through" is what they let through here, where {pairs:.1%} and
{strict:.0%} were the aim; where it is more, the calibration split was not hard enough, and the recall beside it
flatters. "At an equal rate" is recall at thresholds that let through exactly that here: no user has such a threshold,
but it compares recognisers fairly, and so the goals take it. Pieces of one recording are not compared with each
other.

compact is compared by the cosine of its embedding, as a post that holds nothing else. "compact, verified" decides
as a flag does (docs/verdicts.md): the {candidates} nearest originals, from the manifest's cosine on, are compared by
their features too, and pairs that agree go before all others, both in the order of their cosines. The goals are asked
of it. The peers are PDQ (pdqhash); TLSH without its length term (py-tlsh) and MinHash over three letters at a time
(datasketch), both on case-folded text; Chromaprint at the best offset, by the share of bits that agree; and
all-MiniLM-L6-v2, which is no hash but a sentence encoder of ten times compact's size: the upper reference on
paraphrases.{missing}
"""

TRIED = """### What was tried

- compact 1.0.0 had 538 steps of images and 264 of sound. At an equal rate it reached .849 / .838 / .593 on real
  images and .888 / .863 / .703 on real sound (uAP, recall, strict recall), and .947 / .936 / .857 and .806 /
  .808 / .409 on generated ones.
- 2.0.0 goes on with the same networks, for 737 and 416 steps: half of the heavy views are now one or two strong
  transforms instead of many at once, a quarter of every batch is real, and texts get random tokens. On
  validation copies recall rose until the last hundred steps; more steps are the likeliest gain, above all for
  collages.
- Images of 112 pixels instead of 128: .930 and .912 instead of .942 and .929 (uAP and recall, validation
  photographs), so nothing was made cheaper.
- Verification lays grey maps of two images on each other. Maps of 24 and 32 pixels lose crops, borders and
  rotations; 48 finds about .01 more than the 40 that are used, for 2.3 kB a post; comparing block by block was
  worse than one placement for the whole, and a homography was no better than an affine one. The features of the
  network itself were not tried.
- Agreement tells copies from others far better than cosines do: of 560 altered copies of the calibration
  photographs half agree by .95 or more, and of their 1,434 pairs with other garments, the four nearest each, one by
  .732 or more. So the cosine before it was lowered, for posts of one image, to what all but one in a hundred of the
  copies reach (.45): at the shipped thresholds .83 of the 560 were flagged before, and .94 now. On that split,
  without distractors, cosines alone gave .955 / .943 / .756 (uAP, recall, strict recall), agreeing pairs first .992
  / .991 / .966 from a cosine of .45 on, .986 / .982 / .957 from .50, .971 / .952 / .927 from .60. The sum of cosine
  and agreement gave .994 / .995 / .972 from .45, and would flag images that do not agree.
- Of 541 originals of the calibration split (341 photographs of garments, 200 generated images) four have another
  among their eight nearest, down to a cosine of .37, that agrees by .732, which shipped then: generated images, in
  three pairs at cosines of .79, .71 and .45. No photograph has.
- That cosine was lowered again, to .30, since what it holds back are mostly copies: of the collages of 120 generated
  originals of the calibration split .98 agree with their original, and .58 have a cosine of .45 with it, .72 of .40,
  .83 of .35, .91 of .30. Calibration asks for an agreement of .75 there. Of all their copies, with 600 distractors,
  uAP, recall and strict recall were .978 / .968 / .961 from .45, .981 / .976 / .969 from .40, .988 / .988 / .980 from
  .30, and .990 / .988 / .980 with .75; of photographs .986 / .985 / .987 from .45 and .991 / .991 / .992 from .40. On
  the streams 7401 and 7402 710 of 797 posts due are flagged instead of 713, and 9 falsely (look-alikes) instead of 7.
- The maps in the image graph were an Einsum over colours, rows and columns, which took 40% of its time; sums and two
  products of matrices took an image from 9.0 to 6.2 ms in one run.
- A post cost 15.0 ms and costs 11.1, in one run in turns, at the same vectors (|1 - cosine| below 1e-12 on the
  validation media). The spectrogram was a product with all sines and cosines, a third of the audio graph; of
  frames folded about their quarters a quarter of it is left. Six of the nine 3x3 convolutions of stride 1 in
  either graph are Winograd's products now: a seventh of the image graph and a twelfth of the audio graph, in
  batches; one item alone gains nothing. Layers with fewer pixels would gain in batches and lose alone, layers
  with fewer channels would lose. Captions share a call with those of their own length only, where a third of what
  was computed was padding. Without onnxruntime's fusing of sums with normalisations the text graph takes an
  eighth less on a CPU. What is left is convolutions and products at three quarters of what the core can do, and
  .7 ms for shrinking an image.
- Ten fitted places instead of four find a third of the screenshots that are missed, for half again the time;
  smaller steps of size find none. Skewed and turned copies that are missed stay so.
- Verification of sounds was chosen on recordings of the validation and training splits and generated ones of the
  calibration seed, 88 originals with 6 copies each and 130 distractors: at the agreement that 1% of the queries
  reach with one of their two nearest others, .913 / .913 of the real / generated copies agree with their original
  where a value's surroundings are 9 bands by 11 frames of a map, .943 / .958 with 13 by 7, .848 / .845 with 7 by
  15; values cut at -1 and 2 deviations or at -2 and 2 are alike, at 0 and 2 worse; mean energy added to a span
  (which keeps short and quiet ones from agreeing by chance) of 10, 20, 30 frames gives .943 / .958, .943 / .970,
  .955 / .981. With 32 or 40 bands instead of 48 as many agree there, but more look-alikes do, and fewer copies at a
  stricter agreement; 64 win nothing. Two steady tones ran along each other like copies; half of each band's mean is
  taken away against that, all of it loses copies. No network was trained, and no fingerprint of peaks was tried.
- Of campaigns that drift the exemplars of three verdicts alone let .63 of the posts be flagged (seeds 7401 and 7402,
  which no figure here is of). A lower cosine to the exemplar for posts near the centroid would win some hundredths
  and let look-alikes in. To follow flagged posts ([verdicts.md](verdicts.md#campaigns-that-drift)) gives .83 at the
  cosine of joining, .80 at that of twins, .75 at .82. On two streams without drift (6101 and 6102) it finds 24
  posts more for 5 false flags at the first, 16 for 2 at the second.
- Of 1,988 posts due on five such streams (seeds 7401 to 7405) .837 were flagged then. Of the 137 missed on the first
  two, 36 had too low a cosine to the trail alone, 52 were near enough and their features did not agree (screenshots,
  skewed and turned images, halves of sounds, sounds spoken over), 17 had left a part out and were near enough in the
  others, 8 were near an older flagged post only, 7 were out of reach alone, and 17 failed by several of these, by a
  nearer exception or were near no label. To compare posts that leave a part out by those they have gives .860 at the
  same 10 false flags of 9,712; on 6101 and 6102 it finds 2 more for 1. Not taken: posts with a part more than the
  flagged one, .865 together with these, since that part may make them harmless; trails of 64 posts instead of 16,
  .847, for four times the memory; a reach of .6 of the exemplar's cosine instead of .75, .845 for 4 more false flags;
  a cosine of .70 to the trail, .865 for one more (each of the last three by itself).
- Campaigns join micro-clusters at the exemplars' cosine (.665). On the streams 7401 to 7404 their ARI is .961 over
  all posts and .954 over violating ones there, .969 and .946 at .68, .966 and .936 at the centroids' cosine (.694),
  .968 and .919 at .71. DBSCAN over the posts, at what is best on those very streams, has .979 over all posts; while
  emoji cost captions their cosine it had .924 there, and campaigns .929. A higher cosine would come nearer to it, and
  break up the campaigns that moderators look for, so it stays.
- Texts are verified by their letters. Runs of two, three and four letters with and without spaces, and rapidfuzz's
  `partial_ratio` and `token_set_ratio` on folded words, were compared on the calibration split: runs of three without
  spaces were the best but for `token_set_ratio`, which takes twice as many captions of one sentence for the same. At
  the threshold of 0.2% false neighbours (.734) fewer rewordings are found than by cosines alone; at that of 1%
  (.676), which ships, more are. Verification of texts also brought recall of streams that drift from .828 to .871
  (7401 and 7402).
- Two to five emoji among the words of a caption once took its cosine to its original from 1 to .46 (the median of 150
  generated captions; .06 at the hundredth), for the encoder had never seen such bytes, and fewer than .7 were found
  where MinHash finds all. The tokenizer now reads emoji near letters and digits as spaces, and the cosine is 1. What
  an emoji says beside words is not seen any more; captions of emoji alone keep theirs.
- Since compact-648dccaf a stretch of more than 150 characters that are neither letters nor digits is cut: words
  behind thousands of emoji were lost, and took the normalizing seconds. 12,164 captions, altered copies and lines of
  these pages are read the same by either, so figures of compact-648dccaf are those of compact-984ec740.
- That one decisive word was changed is seen by none of these, nor by the encoder: a synonym that training never saw
  and the opposite look the same to both. Words that deny ("not", "never") could be counted, in each language by
  itself; a benign verdict on such a post does it in all of them, and wins from then on.
"""


def page(report: Report, pictures: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        report: the figures.
        pictures: file names in docs/pictures by what they show.
    """
    seeds = ", ".join(f"{seed} ({split})" for split, seed in report.seeds.items())
    missing = "".join(f"\n\n**Not measured here:** {lack}." for lack in report.missing)
    parts = [
        HEAD.format(
            bundle=report.bundle,
            seeds=seeds,
            distractors=f"{report.amounts['distractors']:,}",
            pairs=FALSE_MATCHES,
            strict=STRICT_QUERIES,
            candidates=CANDIDATES,
            missing=missing,
        ),
        *_goals(goals(report)),
        *_behind(report),
        TRIED,
    ]
    for kind in dict.fromkeys(section.kind for section in report.sections):
        parts += _kind([one for one in report.sections if one.kind == kind], pictures.get(kind))
        if kind == "text":
            parts += _reworded(report)
    parts += [*_posts(report, pictures.get("posts")), *_look_alikes(report), *_unrelated(report)]
    parts += [*together(report, pictures.get("evasion")), *_cost(report)]
    return "\n".join(map(_wrapped, "\n".join(parts).splitlines())).rstrip() + "\n"


def page_of_kind(report: Report) -> str:
    """What the page says about a report of one kind alone."""
    parts = [*_goals(goals(report)), *_kind(report.sections, None), *_look_alikes(report)]
    return "\n".join(map(_wrapped, "\n".join(parts).splitlines())).rstrip() + "\n"


def _wrapped(line: str) -> str:
    """A long line of prose as several; tables and headings stay as they are."""
    if len(line) <= WIDTH or line.startswith(("|", "#", "!", " ")):
        return line
    return textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)


def _goals(found: Sequence[Goal]) -> Iterator[str]:
    missed = [goal for goal in found if not goal.met]
    yield "## Goals\n"
    yield f"{len(found) - len(missed)} of {len(found)} are met; {len(missed)} are missed:\n"
    rows = [(goal.about, goal.wanted, goal.reached, "met" if goal.met else "**missed**") for goal in found]
    yield table(("of", "wanted", "reached", ""), rows)


def _behind(report: Report) -> Iterator[str]:
    """Where a hash is better: what the next version has to mend."""
    yield "### Where a hash is ahead\n"
    yield "Over all transforms at an equal rate, of single ones at the calibrated thresholds, and of look-alikes:\n"
    lines = []
    with_neighbour = {one.system: one for one in report.garments}
    peer, shipped = with_neighbour.get("PDQ at 31"), with_neighbour.get(f"{VERIFIED} as shipped")
    if peer is not None and shipped is not None and peer.with_neighbour < shipped.with_neighbour:
        least, ours = (f"{one.with_neighbour / one.photographs:.1%}" for one in (peer, shipped))
        lines.append(f"- garments: PDQ at 31 gives {least} a false neighbour, {VERIFIED} as shipped {ours}.")
    for section in report.sections:
        own = decided(section)
        for figure, value in FIGURES.items():
            best = best_hash(section, figure)
            if best is not None and best[1] >= value(own):
                told = f"{best[0]} has {figure} {best[1]:.3f}, compact {value(own):.3f}"
                lines.append(f"- {section.kind}, {section.source}: {told}.")
        for name, recall in own.transforms.items():
            better = {
                peer: section.systems[peer].transforms[name]
                for peer in HASHES[section.kind]
                if peer in section.systems and section.systems[peer].transforms[name] > recall
            }
            if better:
                told = ", ".join(f"{peer} {value:.3f}" for peer, value in better.items())
                lines.append(
                    f"- {section.kind}, {section.source}, {name}: recall of {told}, of compact {recall:.3f}."
                )
    yield "\n".join(lines) + "\n" if lines else "Nowhere.\n"


def _kind(sections: Sequence[Section], picture: str | None) -> Iterator[str]:
    kind = sections[0].kind
    yield f"## {kind.capitalize()}\n"
    for section in sections:
        yield (
            f"### {section.source.capitalize()}: {section.originals} originals, {section.copies:,} copies, "
            f"{section.distractors:,} distractors\n"
        )
        head = (
            "recogniser", "uAP", "recall", "strict recall", "recall, trained transforms", "recall, new ones *",
            "let through", "let through, strict", "at an equal rate: recall", "strict recall",
        )  # fmt: skip
        rows = [
            (
                name, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.strict:.3f}", _figure(one.seen),
                _figure(one.unseen), f"{one.false_matches:.2%}", f"{one.strict_queries:.2%}",
                f"{one.even:.3f}", f"{one.even_strict:.3f}",
            )
            for name, one in section.systems.items()
        ]  # fmt: skip
        rows += [
            (
                name,
                "",
                f"{one.recall:.3f}",
                "",
                "",
                "",
                f"{one.false_matches:.2%}",
                f"{one.strict_queries:.2%}",
                "",
                "",
            )
            for name, one in section.fixed.items()
        ]
        yield table(head, rows)
    yield "Recall of each transform at 0.1% false matches, and strict recall after the stroke:\n"
    yield _transforms(sections)
    if picture is not None:
        yield f"![Recall of each transform, {kind}](pictures/{picture})\n"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _transforms(sections: Sequence[Section]) -> str:
    columns = [(section, name) for section in sections for name in section.systems]
    head = ["transform", *(f"{name}, {section.source}" for section, name in columns)]
    rows = []
    for transform in sections[0].systems[COMPACT].transforms:
        marked = f"{transform} *" if transform in UNSEEN[sections[0].kind] else transform
        cells = [
            f"{section.systems[name].transforms[transform]:.3f} / "
            f"{section.systems[name].strict_transforms[transform]:.3f}"
            for section, name in columns
        ]
        rows.append([marked, *cells])
    return table(head, rows)


def _reworded(report: Report) -> Iterator[str]:
    shares = ", ".join(f"{share:.0%} of the words of {source} texts" for source, share in report.reworded.items())
    yield (
        "`synonyms` takes other words from the table that training used, `paraphrase` from one of its own; "
        f"it replaces {shares} (30% is the aim, and the table's words set the limit).\n"
    )


def _posts(report: Report, picture: str | None) -> Iterator[str]:
    if not report.posts:
        return
    yield "## Whole posts\n"
    yield (
        "A caption, an image and a recording, each altered by a transform of its own, drawn at random. compact fuses "
        'them into one vector. "Any of" matches a post when any of its three parts does; each part has the threshold '
        "that a common false match rate gives it, and that rate is set so that whole posts let through 0.1%.\n"
    )
    for section in report.posts:
        yield (
            f"### {section.source.capitalize()}: {section.originals} originals, {section.copies:,} copies, "
            f"{section.distractors:,} distractors\n"
        )
        rows = [
            (
                name, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.strict:.3f}",
                f"{one.false_matches:.2%}", f"{one.strict_queries:.2%}", f"{one.even:.3f}", f"{one.even_strict:.3f}",
            )
            for name, one in section.systems.items()
        ]  # fmt: skip
        head = (
            "recogniser", "uAP", "recall", "strict recall", "let through", "let through, strict",
            "at an equal rate: recall", "strict recall",
        )  # fmt: skip
        yield table(head, rows)
    if picture is not None:
        yield f"![Recall of whole posts over the false match rate](pictures/{picture})\n"
        yield "The curves take their thresholds from the reported comparisons themselves; the tables do not.\n"


def _look_alikes(report: Report) -> Iterator[str]:
    yield "## Look-alikes\n"
    yield (
        "Pairs that look, sound or read alike and are not the same, and the share taken for the same (95% "
        "Clopper-Pearson interval). "
        "The calibrated thresholds are those of generated originals above.\n"
    )
    rows = []
    for one in report.look_alikes:
        for system, hits in one.matched.items():
            for title, count in hits.items():
                rows.append((one.what, f"{system} {title}", share(count, one.pairs)))
    yield table(("pairs", "recogniser", "taken for the same"), rows)
    if report.garments:
        yield (
            f"### Garments\n\nOf {report.garments[0].photographs} photographs of different garments (images/test; "
            "the pairs most alike were looked at side by side, none shows one garment twice), the share with a false "
            "neighbour among the others. The calibrated thresholds are those of photographs above.\n"
        )
        yield table(
            ("recogniser", "threshold", "with a false neighbour"),
            [(g.system, f"{g.threshold:.3f}", share(g.with_neighbour, g.photographs)) for g in report.garments],
        )


def _unrelated(report: Report) -> Iterator[str]:
    if (found := report.unrelated) is None:
        return
    low, high = interval(found.flagged, found.posts)
    yield "## False flags\n"
    yield (
        f"{found.posts:,} unrelated generated posts with the parts that harmless posts of the simulated stream have "
        f"(one, two or three; none used twice), against a bank of {found.exemplars} exemplars likewise: "
        f"{found.flagged} would be flagged at the shipped thresholds. That is "
        f"{1e6 * found.flagged / found.posts:,.0f} per million unrelated posts, 95% interval {1e6 * low:,.0f} to "
        f"{1e6 * high:,.0f} (Clopper-Pearson). It grows with the bank.\n"
    )


def _cost(report: Report) -> Iterator[str]:
    yield "## Cost\n"
    yield (
        "Processor time of one core for the features of one decoded item (images of 320 to 480 pixels a side, "
        "recordings of three to six seconds), the best of three rounds of 48 items, and what that is in items a "
        "second. Other work may have shared the machine: compare the rows with each other.\n"
    )
    rows = [
        (name, f"{spent:.2f} ms", f"{1000 / max(spent, 1e-9):,.0f}/s") for name, spent in report.milliseconds.items()
    ]
    yield table(("recogniser and kind", "time", "rate"), rows)
    yield (
        f"The bundle's files take {report.megabytes:.1f} MB. The share of a GPU's peak that encoders reach is owed: "
        "none could be had\n([gpu.md](gpu.md#what-is-owed)).\n"
    )
