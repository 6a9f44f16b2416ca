"""The demo on a terminal: what flows, which clusters grow, what is flagged and why, what the moderators say."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from consumers.demo.tally import GROWTH_SECONDS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from consumers.contracts.flag import Flag
    from consumers.demo.tally import Cluster, Given, Score, Sent, Tally

COLOURS = {"text": "cyan", "image": "magenta", "audio": "yellow"}
RIGHT, WRONG, QUIET = "green", "red", "grey58"
FLAGGED = "bold red"
BLOCKS = " ▏▎▍▌▋▊▉█"
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_SECONDS = 1.0
SHARE_CELLS = 12
HEADER = 5
FRAME = 3
"""Rows of a panel that are not its table's: the border and the column names."""

WIDE = 110
"""Columns from which clusters and flags stand beside each other."""


@dataclass(slots=True)
class History:
    """Posts a second and latency, one point a second, for the small curves at the top."""

    rates: deque[float] = field(default_factory=lambda: deque(maxlen=30))
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=30))
    _next: float = SPARK_SECONDS

    def note(self, tally: Tally, now: float) -> None:
        """Add a point when a second has passed."""
        if now >= self._next:
            self._next = now + SPARK_SECONDS
            self.rates.append(tally.per_second(now, SPARK_SECONDS))
            self.latencies.append(tally.recent_latency(0.5)[0])


@dataclass(frozen=True, slots=True)
class Scene:
    """What the view shows at one moment. `scores` are by policy, "" is all together."""

    tally: Tally
    history: History
    scores: dict[str, Score]
    now: float
    posts: int
    status: str

    def line(self) -> str:
        """The same in one line, where there is no terminal."""
        tally, score = self.tally, self.scores[""]
        p50, p95 = (1000 * value for value in tally.recent_latency(0.5, 0.95))
        parts = [
            f"{self.now:6.1f} s",
            f"{len(tally.decided):,}/{self.posts:,} posts",
            f"{tally.per_second(self.now):.0f}/s",
            f"p50 {p50:.0f} ms",
            f"p95 {p95:.0f} ms",
            f"{len(tally.clusters):,} clusters",
            f"{len(tally.verdicts)} verdicts",
            f"{score.flags:,} flags",
        ]
        if score.precision is not None:
            parts.append(f"precision {score.precision:.3f}")
        if score.recall is not None:
            parts.append(f"recall {score.recall:.3f}")
        return "  ".join(parts)


def live_view(scene: Scene, width: int, height: int) -> RenderableType:
    """The whole screen, for a terminal of this size."""
    bottom = min(9, max(5, height // 4))
    middle = max(2 * FRAME, height - HEADER - bottom)
    beside = width >= WIDE
    upper = middle if beside else middle // 2
    lower = middle if beside else middle - upper
    layout = Layout()
    layout.split_column(
        Layout(_header(scene), size=HEADER), Layout(name="middle", size=middle), Layout(name="bottom", size=bottom)
    )
    left, right = Layout(_clusters(scene, upper - FRAME)), Layout(_flags(scene, lower - FRAME))
    if beside:
        layout["middle"].split_row(left, right)
    else:
        layout["middle"].split_column(left, right)
    layout["bottom"].split_row(Layout(_verdicts(scene, bottom - 2)), Layout(_scores(scene)))
    return layout


def _header(scene: Scene) -> RenderableType:
    tally, now = scene.tally, scene.now
    p50, p95 = (1000 * value for value in tally.recent_latency(0.5, 0.95))
    facts = Table.grid(expand=True, padding=(0, 2))
    for _ in range(4):
        facts.add_column(ratio=1, no_wrap=True)
    facts.add_row(
        _fact(f"{tally.per_second(now):.0f}", "posts/s", _spark(scene.history.rates)),
        _fact(f"{p50:.0f} ms", f"p50, {p95:.0f} ms p95", _spark(scene.history.latencies)),
        _fact(f"{len(tally.clusters):,}", "clusters", Text()),
        _fact(f"{len(tally.flags) - tally.retractions:,}", "flags", _retracted(tally)),
    )
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(ratio=1)
    bar.add_column(justify="right")
    done = ProgressBar(total=max(scene.posts, 1), completed=len(tally.decided), complete_style="cyan")
    bar.add_row(done, Text(f"{len(tally.decided):,} of {scene.posts:,} posts  {now:5.0f} s", style=QUIET))
    title = Text.assemble((" shoal ", "bold black on cyan"), (f"  {scene.status} ", QUIET))
    return Panel(Group(facts, bar), title=title, title_align="left", border_style="cyan")


def _fact(value: str, label: str, more: Text) -> RenderableType:
    return Group(Text.assemble((value, "bold"), f" {label}"), more)


def _retracted(tally: Tally) -> Text:
    return Text(f"{tally.retractions} retracted" if tally.retractions else "", style=QUIET)


def _spark(values: deque[float]) -> Text:
    top = max(values, default=0.0) or 1.0
    return Text("".join(SPARKS[min(7, int(8 * value / top))] for value in values), style="cyan")


def _clusters(scene: Scene, rows: int) -> RenderableType:
    """Half of `rows` for the largest, half for those that grow fastest."""
    clusters = list(scene.tally.clusters.values())
    half = max(1, rows // 2)
    largest = sorted(clusters, key=lambda cluster: -cluster.members)[:half]
    growing = sorted(clusters, key=lambda cluster: (-cluster.growth(scene.now), -cluster.members))
    shown = {cluster.cluster_id for cluster in largest}
    fastest = [c for c in growing if c.cluster_id not in shown and c.growth(scene.now) > 0][: rows - half - 1]
    table = Table(box=None, expand=True, pad_edge=False, header_style=QUIET)
    table.add_column("cluster", no_wrap=True)
    table.add_column("posts", justify="right")
    table.add_column(f"last {GROWTH_SECONDS:.0f} s", no_wrap=True)
    table.add_column("label", no_wrap=True)
    table.add_column("newest post", ratio=1, no_wrap=True, overflow="ellipsis")
    for cluster in largest:
        _add_cluster(table, cluster, scene)
    if fastest:
        table.add_row(Text("growing", style=QUIET))
    for cluster in fastest:
        _add_cluster(table, cluster, scene)
    return Panel(table, title="largest clusters, and those that grow fastest", title_align="left", border_style=QUIET)


def _add_cluster(table: Table, cluster: Cluster, scene: Scene) -> None:
    growth = cluster.growth(scene.now)
    style = FLAGGED if cluster.policy else ""
    latest = scene.tally.sent.get(cluster.latest.post_id or "") if cluster.latest else None
    caption = _words(latest)
    label = Text(cluster.policy, style=FLAGGED) if cluster.policy else Text("-", style=QUIET)
    grown = Text(f"+{growth:<3}" if growth else "    ", style=style)
    grown.append(_bar(min(growth / 40, 1.0), 5), style=style or "blue")
    table.add_row(Text(cluster.cluster_id, style=style), f"{cluster.members:,}", grown, label, caption)


def _flags(scene: Scene, rows: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, header_style=QUIET)
    table.add_column("", width=1)
    table.add_column("policy", no_wrap=True)
    table.add_column("sim.", justify="right")
    table.add_column(Text(" ").join(Text(name, style=colour) for name, colour in COLOURS.items()), no_wrap=True)
    table.add_column("post", ratio=1, no_wrap=True, overflow="ellipsis")
    latest = list(scene.tally.latest_flags)[-max(1, rows) :]
    for flag in reversed(latest):
        sent = scene.tally.sent.get(flag.post_id)
        caption = _words(sent)
        if flag.action == "retract":
            caption = Text.assemble(("taken back  ", WRONG), (caption.plain, f"strike {QUIET}"))
        similarity, shares = f"{flag.similarity:.2f}", share_bars(flag.shares)
        table.add_row(_mark(scene.tally, flag), flag.policy, similarity, shares, caption)
    title = "latest flags, with each modality's share of the similarity"
    return Panel(table, title=title, title_align="left", border_style=QUIET)


def _mark(tally: Tally, flag: Flag) -> Text:
    """Whether the truth agrees: a tick where it does."""
    right = tally.violates(flag.post_id, flag.policy) == (flag.action == "flag")
    return Text("✓", style=RIGHT) if right else Text("✗", style=WRONG)


def share_bars(shares: dict[str, float]) -> Text:
    """One bar of SHARE_CELLS cells for a similarity of 1, divided by modality without gaps."""
    ends, total = [], 0.0
    for name, share in shares.items():
        total += max(share, 0.0)
        ends.append((min(round(total * SHARE_CELLS * 8), SHARE_CELLS * 8), COLOURS.get(name, "white")))
    bar = Text()
    for cell in range(SHARE_CELLS):
        within = [(end - 8 * cell, colour) for end, colour in ends if end > 8 * cell]
        if not within:
            break
        part, colour = within[0]
        if part >= 8:
            bar.append(BLOCKS[8], style=colour)
        else:
            bar.append(BLOCKS[part], style=f"{colour} on {within[1][1]}" if len(within) > 1 else colour)
    bar.append(" " * (SHARE_CELLS - len(bar)))
    return bar


def _bar(share: float, cells: int) -> str:
    whole, part = divmod(round(min(share, 1.0) * cells * 8), 8)
    return (BLOCKS[8] * whole + (BLOCKS[part] if part else "")).ljust(cells)


def _verdicts(scene: Scene, rows: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, show_header=False)
    table.add_column(justify="right", no_wrap=True, min_width=7, style=QUIET)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for given in reversed(scene.tally.verdicts[-rows:]):
        table.add_row(f"{given.at:.1f} s", _said(given), _words(given.sent))
    title = "verdicts of the simulated moderators"
    return Panel(table, title=title, title_align="left", border_style=QUIET)


def _said(given: Given) -> Text:
    style = FLAGGED if given.decision == "uphold" else "bold green"
    return Text.assemble((f"{given.decision:<8} ", style), given.policy, (f"  {given.actor}", QUIET))


def _scores(scene: Scene) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, header_style=QUIET)
    table.add_column("policy", ratio=1, no_wrap=True)
    table.add_column("flags", justify="right")
    table.add_column("precision", justify="right")
    table.add_column("recall", justify="right")
    for name, score in scene.scores.items():
        style = "bold" if not name else ""
        table.add_row(
            Text(name or "all", style=style), f"{score.flags:,}", _share(score.precision), _share(score.recall)
        )
    title = "against the truth, after the first verdict"
    return Panel(table, title=title, title_align="left", border_style=QUIET)


def _share(value: float | None) -> Text:
    if value is None:
        return Text("-", style=QUIET)
    return Text(f"{value:.3f}", style=RIGHT if value >= 0.95 else "yellow" if value >= 0.8 else WRONG)


def _words(sent: Sent | None) -> Text:
    """A post's caption in one line, as it is and never markup; without one, what the post carries."""
    if sent is None:
        return Text("")
    if sent.caption is None:
        return Text(f"({' and '.join(sent.parts)} alone)" if sent.parts else "", style=QUIET)
    return Text("".join(letter for letter in " ".join(sent.caption.split()) if letter.isprintable()))
