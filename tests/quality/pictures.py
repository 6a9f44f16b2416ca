"""The pictures of docs/quality.md, as SVG that is the same for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.quality.measure import RATES
from tests.quality.metrics import interval
from tests.quality.views import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.quality.report import Evasion, PostSection, Report, Section

MARKS = ("o", "s", "^", "D", "v")
COLOURS = ("#0b6e4f", "#c8553d", "#4a6fa5", "#8a8a8a", "#8e6bb0")


def draw(report: Report, folder: Path) -> dict[str, str]:
    """Draw everything into a folder; the file names by what they show."""
    mpl.rcParams |= {"svg.hashsalt": "shoal", "svg.fonttype": "none", "font.size": 9}
    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for kind in dict.fromkeys(section.kind for section in report.sections):
        names[kind] = f"quality-{kind}.svg"
        _save(_transforms([one for one in report.sections if one.kind == kind]), folder / names[kind])
    if report.posts:
        names["posts"] = "quality-posts.svg"
        _save(_curves(report.posts), folder / names["posts"])
    if report.evasion is not None:
        names["evasion"] = "quality-evasion.svg"
        _save(_evasion(report.evasion), folder / names["evasion"])
    return names


def _evasion(found: Evasion) -> Figure:
    """Share flagged over the transforms chained on each part, with 95% intervals."""
    figure = Figure(figsize=(6, 3.2))
    panel: Any = figure.subplots()
    for at, (name, hits) in enumerate((("no further verdicts", found.alone), ("moderators go on", found.helped))):
        shares = [hit / max(of, 1) for hit, of in zip(hits, found.posts, strict=True)]
        ends = [interval(hit, of) if of else (0.0, 1.0) for hit, of in zip(hits, found.posts, strict=True)]
        panel.fill_between(found.strengths, *zip(*ends, strict=True), color=COLOURS[at], alpha=0.15, linewidth=0)
        panel.plot(found.strengths, shares, color=COLOURS[at], marker=MARKS[at], label=name)
    panel.set_ylim(-0.02, 1.02)
    panel.set_xlabel("transforms chained on each part")
    panel.set_title("an attacker's posts: share flagged")
    panel.grid(visible=True, alpha=0.3)
    panel.legend(loc="lower left")
    return figure


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": "shoal"}, bbox_inches="tight")
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _transforms(sections: Sequence[Section]) -> Figure:
    """Recall of each transform, one panel a source."""
    names = list(sections[0].systems["compact"].transforms)
    unseen = UNSEEN[sections[0].kind]
    figure = Figure(figsize=(9, 0.9 + 0.24 * len(names)))
    panels: Any = figure.subplots(1, len(sections), sharey=True, squeeze=False)[0]
    for panel, section in zip(panels, sections, strict=True):
        for at, (system, judged) in enumerate(section.systems.items()):
            values = [judged.transforms[name] for name in names]
            panel.plot(values, range(len(names)), MARKS[at], color=COLOURS[at], label=system, alpha=0.85)
        panel.set_title(f"{section.kind}, {section.source}: recall at 0.1% false matches")
        panel.set_yticks(range(len(names)), [f"{name} *" if name in unseen else name for name in names])
        panel.set_xlim(-0.03, 1.03)
        panel.grid(visible=True, alpha=0.3)
    panels[0].invert_yaxis()
    panels[-1].legend(loc="lower left")
    return figure


def _curves(sections: Sequence[PostSection]) -> Figure:
    """Recall over the false match rate."""
    figure = Figure(figsize=(9, 3.4))
    panels: Any = figure.subplots(1, len(sections), sharey=True, squeeze=False)[0]
    for panel, section in zip(panels, sections, strict=True):
        for at, (system, values) in enumerate(section.curves.items()):
            panel.plot(RATES, values, color=COLOURS[at], marker=MARKS[at], markevery=4, label=system)
        panel.set_xscale("log")
        panel.set_ylim(-0.02, 1.02)
        panel.set_xlabel("false matches, share of comparisons")
        panel.set_title(f"whole posts, {section.source}: recall")
        panel.grid(visible=True, alpha=0.3)
    panels[-1].legend(loc="lower right")
    return figure
