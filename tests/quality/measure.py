"""Everything docs/quality.md reports, from views of originals to figures."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np

from consumers.cells.fold_settings import policy_rule
from consumers.settings import Policy
from models.policies import centroid_beside
from models.training.kinds import KINDS, Kind
from tests.quality import posts as whole
from tests.quality.look_alikes import measure_look_alikes
from tests.quality.originals import DISTRACTOR, SEEDS, Generated, Photograph, Source, Split, make, originals
from tests.quality.recognisers import COMPACT, MINILM, PEERS, VERIFIED, needed
from tests.quality.report import Garments, PostSection, Report, Section, Unrelated
from tests.quality.search import Search, at_fixed, calibrate, judge, search_of
from tests.quality.text_transforms import paraphrase, replaced_share
from tests.quality.unrelated import false_flags, false_neighbours
from tests.quality.verified import AGREED
from tests.quality.views import UNSEEN, Plan, Views, bundle, observe, recogniser
from tests.servers import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from tests.quality.report import LookAlikes
    from tests.quality.views import Workers

SOURCES: tuple[Source, ...] = ("real", "generated")
SPLITS: tuple[Split, ...] = ("calibration", "report")

PDQ_THRESHOLD = -31.0
"""At most 31 of 256 bits differ: what PDQ's authors recommend."""


@dataclass(frozen=True)
class Amounts:
    """How much is looked at.

    Attributes:
        originals: of a kind and source, generated ones and sentences.
        files: at most so many photographs, and so many recordings, where there are as many.
        distractors: for either.
        calibration_originals, calibration_distractors: of the split that thresholds come from.
        calibration_copies: of each of its originals.
        pairs: of look-alikes of each sort.
    """

    originals: int = 300
    files: int = 400
    distractors: int = 3000
    calibration_originals: int = 200
    calibration_distractors: int = 1500
    calibration_copies: int = 5
    pairs: int = 300


@dataclass(frozen=True)
class Parts:
    """What was found about one source, by kind and then by recogniser."""

    views: dict[Split, dict[Kind, Views]]
    searches: dict[Split, dict[Kind, dict[str, Search]]]


def measure(
    amounts: Amounts,
    media: Path | None,
    work: Workers,
    keep: Path | None,
    say: Callable[[str], None],
    peers: Collection[str] = tuple(PEERS),
) -> Report:
    """Look at everything, and judge it; half an hour with the amounts of docs/quality.md.

    Args:
        amounts: how much.
        media: a folder with images/test, images/validation, audio/test, ...; None does without.
        work: where items are made and embedded.
        keep: the folder for features that later runs use again.
        say: told what is being done.
        peers: those of PEERS that are wanted.
    """
    cv2.setNumThreads(1)
    missing, systems = available(peers)
    sections, post_sections = [], []
    thresholds: dict[tuple[Source, Kind], dict[str, dict[str, float]]] = {}
    unrelated: Unrelated | None = None
    garments: list[Garments] = []
    for source in SOURCES:
        found = _look(source, amounts, systems, media, work, keep, say)
        for kind in found.views["report"]:
            section = _section(source, kind, found)
            sections.append(section)
            thresholds[source, kind] = titled(section)
        if set(found.views["report"]) == set(KINDS):
            say(f"whole posts, {source}")
            post_sections.append(_whole_posts(source, found))
        if source == "real" and "image" in found.views["report"]:
            views, names = found.views["report"]["image"], _names(media, amounts.files)
            garments = false_neighbours(views, names, thresholds[source, "image"])
        if source == "generated":
            unrelated = false_flags(found.views["report"], bundle())
    say("look-alikes")
    calibrated = {kind: thresholds["generated", kind] for kind in KINDS}
    return Report(
        bundle=bundle().bundle_id,
        machine=platform.machine(),
        seeds={str(split): seed for split, seed in SEEDS.items()},
        amounts={name: int(value) for name, value in vars(amounts).items()},
        missing=missing,
        sections=sections,
        posts=post_sections,
        look_alikes=measure_look_alikes(amounts.pairs, _hashes(systems), calibrated, work),
        garments=garments,
        unrelated=unrelated,
        milliseconds=milliseconds(systems),
        megabytes=megabytes(),
        reworded=_reworded(amounts),
    )


def measure_kind(
    kind: Kind,
    amounts: Amounts,
    media: Path | None,
    work: Workers,
    keep: Path | None,
    say: Callable[[str], None],
    peers: Collection[str] = tuple(PEERS),
) -> tuple[list[Section], list[LookAlikes]]:
    """What `measure` finds out about the originals and look-alikes of one kind alone."""
    cv2.setNumThreads(1)
    _, systems = available(peers)
    sections = []
    for source in SOURCES:
        found = _look(source, amounts, systems, media, work, keep, say, kinds=(kind,))
        if kind in found.views["report"]:
            sections.append(_section(source, kind, found))
    say("look-alikes")
    generated = {kind: titled(sections[-1])}  # the last source: there always are some
    return sections, measure_look_alikes(amounts.pairs, {kind: _hashes(systems)[kind]}, generated, work)


def available(peers: Collection[str]) -> tuple[list[str], dict[Kind, tuple[str, ...]]]:
    """What cannot be measured here, and the names of the recognisers of each kind that can."""
    missing, systems = [], {kind: [COMPACT] for kind in KINDS}
    for kind in KINDS:
        if kind in bundle().manifest.verification:
            systems[kind].append(VERIFIED)
    for name in peers:
        kind, module, _ = PEERS[name]
        try:
            needed(module)
        except Missing as lack:
            missing.append(f"{name}: {lack}")
        else:
            systems[kind].append(name)
    return missing, {kind: tuple(names) for kind, names in systems.items()}


def _look(
    source: Source,
    amounts: Amounts,
    systems: dict[Kind, tuple[str, ...]],
    media: Path | None,
    work: Workers,
    keep: Path | None,
    say: Callable[[str], None],
    kinds: Sequence[Kind] = KINDS,
) -> Parts:
    found = Parts({"report": {}, "calibration": {}}, {"report": {}, "calibration": {}})
    for kind in kinds:
        seen: dict[Split, Views] = {}
        for split in SPLITS:
            say(f"{kind}, {source}, {split}")
            plan = _plan(kind, source, split, amounts, systems[kind], media)
            if (views := observe(plan, work, keep)) is not None:
                seen[split] = views
        if len(seen) == 2:
            for split, views in seen.items():
                found.views[split][kind] = views
                found.searches[split][kind] = {name: search_of(views, name, kind, work) for name in systems[kind]}
    return found


def _plan(
    kind: Kind, source: Source, split: Split, amounts: Amounts, systems: tuple[str, ...], media: Path | None
) -> Plan:
    of_files = source == "real" and kind != "text"
    if split == "report":
        count = amounts.files if of_files else amounts.originals
        return Plan(kind, source, split, count, amounts.distractors, 0, systems, media)
    count = amounts.files if of_files else amounts.calibration_originals
    others, each = amounts.calibration_distractors, amounts.calibration_copies
    return Plan(kind, source, split, count, others, each, systems, media)


def _section(source: Source, kind: Kind, found: Parts) -> Section:
    judged, fixed = {}, {}
    for name, search in found.searches["report"][kind].items():
        judged[name] = judge(search, calibrate(found.searches["calibration"][kind][name]), UNSEEN[kind])
        if name == "PDQ":
            fixed["PDQ at 31"] = at_fixed(search, PDQ_THRESHOLD)
        if name == COMPACT:
            fixed["compact as shipped"] = at_fixed(search, shipped_threshold())
        if name == VERIFIED:
            fixed[f"{VERIFIED} as shipped"] = at_fixed(search, verified_threshold(kind))
    views = found.views["report"][kind]
    others = len(next(iter(views.distractors.values())))
    return Section(kind, source, len(views.groups), len(views.owner), others, judged, fixed)


def titled(section: Section) -> dict[str, dict[str, float]]:
    """The thresholds of each recogniser by title: the calibrated ones and those that are given."""
    found = {
        name: {"at 0.1% false matches": one.thresholds.recall, "strict": one.thresholds.strict}
        for name, one in section.systems.items()
    }
    found[COMPACT]["as shipped"] = shipped_threshold()
    if VERIFIED in found:
        found[VERIFIED]["as shipped"] = verified_threshold(section.kind)
    if "PDQ" in found:
        found["PDQ"]["at 31"] = PDQ_THRESHOLD
    return found


def _hashes(systems: dict[Kind, tuple[str, ...]]) -> dict[Kind, tuple[str, ...]]:
    return {kind: tuple(name for name in names if name != MINILM) for kind, names in systems.items()}


def shipped_threshold() -> float:
    """The cosine at which a post of one part is flagged: its cluster is one exemplar, so both thresholds count."""
    given = bundle().manifest.thresholds
    return max(given.exemplar, given.centroid)


def verified_threshold(kind: Kind) -> float:
    """The score of `tests.quality.verified` at which a post of one part is flagged."""
    rule = policy_rule(Policy(name="other"), bundle().manifest)
    least = rule.exemplar - rule.relief(kind)
    return AGREED + max(least, centroid_beside(rule, least))


def _whole_posts(source: Source, found: Parts) -> PostSection:
    searches: dict[str, dict[Split, Search]] = {}
    made = {split: whole.compose(views, SEEDS[split]) for split, views in found.views.items()}
    searches[COMPACT] = {
        split: whole.fused_search(made[split], views, bundle().layout) for split, views in found.views.items()
    }
    for name, by_kind in whole.ANY.items():
        if any(system not in found.searches["report"][kind] for kind, system in by_kind.items()):
            continue
        wrong = {kind: found.searches["calibration"][kind][system].wrong for kind, system in by_kind.items()}
        searches[name] = {
            split: whole.any_search(made[split], {k: parts[k][s] for k, s in by_kind.items()}, wrong)
            for split, parts in found.searches.items()
        }
    judged, curves = {}, {}
    for name, both in searches.items():
        judged[name] = judge(both["report"], calibrate(both["calibration"]), frozenset())
        curves[name] = curve(both["report"])
    count = made["report"]
    return PostSection(source, count.originals, len(count.owner), count.distractors, judged, curves)


RATES = tuple(float(rate) for rate in np.logspace(-5, -1, 33))


def curve(search: Search) -> list[float]:
    """Recall at each of RATES of false matches; thresholds from the same comparisons, for a picture only."""
    wrong, right = np.sort(search.wrong), search.right
    at = np.array([wrong[len(wrong) - 1 - int(rate * len(wrong))] for rate in RATES])
    return [float((right > threshold).mean()) for threshold in at]


def _names(media: Path | None, count: int) -> list[str]:
    takes = originals("image", "real", "report", count, media)
    return [take.path.stem for take in takes if isinstance(take, Photograph)]


def with_cost(report: Report, peers: Collection[str] = tuple(PEERS)) -> Report:
    """A report with the cost measured anew, a minute's work."""
    cv2.setNumThreads(1)
    _, systems = available(peers)
    return msgspec.structs.replace(report, milliseconds=milliseconds(systems), megabytes=megabytes())


def megabytes() -> float:
    """Of the files of the bundle."""
    return sum(path.stat().st_size for path in bundle().folder.iterdir()) / 1e6


def milliseconds(systems: Mapping[Kind, Sequence[str]], items: int = 48, rounds: int = 3) -> dict[str, float]:
    """Processor time of one item on one core, the best of some rounds; of compact also a post of all three kinds."""
    found = {}
    for kind, names in systems.items():
        given: list[Any] = [make(Generated(kind, "report", DISTRACTOR, number)) for number in range(items)]
        for name in names:
            one = recogniser(name, kind)
            one.features(given[:2])
            found[f"{name} {kind}"] = min(_spent(one.features, given) for _ in range(rounds)) / items
    found["compact post"] = sum(found[f"{COMPACT} {kind}"] for kind in KINDS)
    return found


def _spent(work: Callable[[Any], object], given: Any) -> float:
    started = time.process_time()
    work(given)
    return 1000.0 * (time.process_time() - started)


def _reworded(amounts: Amounts) -> dict[str, float]:
    """The share of words that a paraphrase replaces."""
    rng = np.random.default_rng(3)
    shares: dict[str, float] = {}
    for source in SOURCES:
        texts = [make(take) for take in originals("text", source, "report", min(amounts.originals, 200), None)]
        shares[source] = float(np.mean([replaced_share(text, paraphrase(text, rng)) for text in texts]))
    return shares
