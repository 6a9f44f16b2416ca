"""What the bundle should reach, beside what it reached."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.quality.conjunctions import MEAN, SHIPPED, SINGLE
from tests.quality.metrics import interval
from tests.quality.recognisers import COMPACT, HASHES, MINILM, VERIFIED
from tests.quality.text_transforms import REWORDED
from tests.quality.whole_path import MOST_VERDICTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.quality.report import Report, Section
    from tests.quality.search import Judged

FIGURES: dict[str, Callable[[Judged], float]] = {
    "uAP": operator.attrgetter("precision"),
    "recall at an equal rate": operator.attrgetter("even"),
    "strict recall at an equal rate": operator.attrgetter("even_strict"),
}
"""What recognisers are compared by."""

CAUTIOUS: dict[str, Callable[[Judged], float]] = {
    "uAP": operator.attrgetter("precision"),
    "recall": lambda judged: min(judged.recall, judged.even),
    "strict recall": lambda judged: min(judged.strict, judged.even_strict),
}
"""What stands beside a figure that is wanted: a calibrated threshold that lets through too much must not help."""

LEAST: dict[str, dict[str, float]] = {
    "image": {"uAP": 0.97, "recall": 0.97, "strict recall": 0.93},
    "audio": {"uAP": 0.95, "strict recall": 0.90},
}
WORST_IMAGE_TRANSFORM = 0.85
EDITS, OF_MINILM = 0.95, 0.60
AHEAD_ON_POSTS = 0.15
FALSE_NEIGHBOURS = 0.005
MEGABYTES, MILLISECONDS = 30.0, 12.0


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted of what, what was reached, and whether that is enough."""

    about: str
    wanted: str
    reached: str
    met: bool


def best_hash(section: Section, figure: str) -> tuple[str, float] | None:
    """The hash with the highest figure; None where none was measured."""
    known = [
        (name, FIGURES[figure](section.systems[name])) for name in HASHES[section.kind] if name in section.systems
    ]
    return max(known, key=operator.itemgetter(1)) if known else None


def decided(section: Section) -> Judged:
    """Of what a flag asks: verified where the bundle verifies."""
    return section.systems.get(VERIFIED, section.systems[COMPACT])


def goals(report: Report) -> list[Goal]:
    """All of them, in the order of the page."""
    found: list[Goal] = []
    for section in report.sections:
        found += _ahead(section)
        found += _least(section)
    found += [goal for section in report.sections if section.kind == "text" for goal in _text(section)]
    return [*found, *_posts(report), *_look_alikes(report), *_together(report), *_cost(report)]


CONJUNCTION_AREA, AHEAD_OF_PARTS = 0.95, 0.2
RAND, FLAG_PRECISION, FLAG_RECALL, FALSE_FLAGS = 0.01, 0.99, 0.85, 0.001


def _together(report: Report) -> Iterator[Goal]:
    for one in report.together:
        about, area = f"conjunctions, {one.source}: AUROC", one.systems[SHIPPED].area
        yield Goal(about, f">= {CONJUNCTION_AREA:.2f}", f"{area:.3f}", area >= CONJUNCTION_AREA)
        single = max(SINGLE.values(), key=lambda name: one.systems[name].area)
        for name in (single, MEAN):
            least = one.systems[name].area + AHEAD_OF_PARTS
            impossible = "; no AUROC can reach that" if least > 1 else ""
            wanted = f">= {least:.3f} ({name}, and {AHEAD_OF_PARTS:.1f} more{impossible})"
            yield Goal(about, wanted, f"{area:.3f}", area >= least)
    for path in report.streams:
        if path.change == "gradual drift":
            least = path.offline - RAND
            wanted = f">= {least:.3f} (DBSCAN at its best, less {RAND:.2f})"
            about = "stream that drifts: ARI of campaigns, all posts"
            yield Goal(about, wanted, f"{path.campaigns:.3f}", path.campaigns >= least)
            yield from _flags(path.counts)


def _flags(counts: dict[str, int]) -> Iterator[Goal]:
    false, wrong = counts["false"], counts["wrong"]
    flags = counts["found"] + wrong + false
    figures = (
        ("flag precision", counts["found"], flags, FLAG_PRECISION, operator.ge),
        ("flag recall", counts["found"], counts["due"], FLAG_RECALL, operator.ge),
        ("false flag rate", false, counts["harmless"], FALSE_FLAGS, operator.le),
    )
    for name, hits, of, wanted, meets in figures:
        about = f"stream that drifts: {name} with at most {MOST_VERDICTS} verdicts a campaign"
        sign = ">=" if meets is operator.ge else "<="
        found = hits / max(of, 1)
        yield Goal(about, f"{sign} {wanted:.1%}", f"{found:.2%} ({hits} of {of})", meets(found, wanted))


def _ahead(section: Section) -> Iterator[Goal]:
    for figure, value in FIGURES.items():
        if (best := best_hash(section, figure)) is not None:
            own = value(decided(section))
            about = f"{section.kind}, {section.source}: {figure}"
            yield Goal(about, f"> {best[1]:.3f} ({best[0]})", f"{own:.3f}", own > best[1])


def _least(section: Section) -> Iterator[Goal]:
    about = f"{section.kind}, {section.source}"
    for figure, least in LEAST.get(section.kind, {}).items():
        own = CAUTIOUS[figure](decided(section))
        yield Goal(f"{about}: {figure}", f">= {least:.2f}", f"{own:.3f}", own >= least)
    if section.kind == "image":
        name, worst = min(decided(section).transforms.items(), key=operator.itemgetter(1))
        wanted = f">= {WORST_IMAGE_TRANSFORM:.2f}"
        yield Goal(
            f"{about}: recall of the worst transform", wanted, f"{worst:.3f} ({name})", worst >= WORST_IMAGE_TRANSFORM
        )


def _text(section: Section) -> Iterator[Goal]:
    own = decided(section).transforms
    edits = [value for name, value in own.items() if name not in REWORDED]
    mean = sum(edits) / len(edits)
    about = f"text, {section.source}"
    yield Goal(f"{about}: recall over the edits", f">= {EDITS:.2f}", f"{mean:.3f}", mean >= EDITS)
    if MINILM in section.systems:
        reference = section.systems[MINILM]
        for title, found, best in (
            ("recall", own, reference.transforms),
            ("strict recall", decided(section).strict_transforms, reference.strict_transforms),
        ):
            share = found["paraphrase"] / max(best["paraphrase"], 1e-9)
            wanted = f">= {OF_MINILM:.2f} of MiniLM's"
            yield Goal(f"{about}: {title} of paraphrases", wanted, f"{share:.2f} of it", share >= OF_MINILM)


def _posts(report: Report) -> Iterator[Goal]:
    for section in report.posts:
        own = section.systems[COMPACT].even
        for name, one in section.systems.items():
            if name.startswith("any of"):
                least = one.even + AHEAD_ON_POSTS
                impossible = "; no recall can reach that" if least > 1 else ""
                wanted = f">= {least:.3f} ({name}, and {AHEAD_ON_POSTS:.2f} more{impossible})"
                about = f"whole posts, {section.source}: recall at an equal rate"
                yield Goal(about, wanted, f"{own:.3f}", own >= least)


def _look_alikes(report: Report) -> Iterator[Goal]:
    shipped = {one.system for one in report.garments} & {f"{COMPACT} as shipped", f"{VERIFIED} as shipped"}
    for one in report.garments:
        if one.system == max(shipped, key=len):
            share = one.with_neighbour / one.photographs
            low, high = interval(one.with_neighbour, one.photographs)
            told = f"{100 * share:.1f}% ({100 * low:.1f} to {100 * high:.1f})"
            wanted = f"<= {100 * FALSE_NEIGHBOURS:.1f}%"
            yield Goal("garments with a false neighbour, as shipped", wanted, told, share <= FALSE_NEIGHBOURS)


def _cost(report: Report) -> Iterator[Goal]:
    if not report.milliseconds:
        return
    size, spent = report.megabytes, report.milliseconds["compact post"]
    yield Goal("size of the bundle", f"<= {MEGABYTES:.0f} MB", f"{size:.1f} MB", size <= MEGABYTES)
    wanted = f"<= {MILLISECONDS:.0f} ms"
    yield Goal("a post of three parts on one core", wanted, f"{spent:.1f} ms", spent <= MILLISECONDS)
