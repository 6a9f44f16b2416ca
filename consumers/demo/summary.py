"""The demo's result in numbers, and whether the job did its work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from consumers.demo.tally import Tally

LEAST_PRECISION = 0.8
LEAST_RECALL = 0.5
ENOUGH = 30
"""Fewer violating posts than this after a verdict say nothing about quality."""

Numbers = dict[str, Any]


def numbers_of(tally: Tally, seconds: float, encoder_rate: float | None) -> Numbers:
    """What `--json` writes.

    Args:
        tally: everything that was seen.
        seconds: from the first post to the last decision.
        encoder_rate: posts a second of the encoders alone.
    """
    total = tally.score()
    p50, p95, p99 = tally.latency(0.5, 0.95, 0.99)
    scores = {policy: tally.score(policy) for policy in tally.policies()}
    return {
        "posts": len(tally.sent),
        "decisions": len(tally.decided),
        "posts_without_encoder": tally.dead_letters()[1],
        "flags": total.flags,
        "retroactive_flags": tally.reached_back(),
        "precision": _rounded(total.precision, 4),
        "recall": _rounded(total.recall, 4),
        "lookalike_flag_rate": _rounded(tally.look_alike_rate(), 4),
        "latency_ms": {"p50": round(p50 * 1000, 1), "p95": round(p95 * 1000, 1), "p99": round(p99 * 1000, 1)},
        "posts_per_second": round(len(tally.decided) / seconds, 1) if seconds > 0 else 0.0,
        "encoder_posts_per_second": _rounded(encoder_rate, 1),
        "first_flag_seconds": _rounded(tally.first_flag, 2),
        "policies": {
            policy: {
                "precision": _rounded(score.precision, 4),
                "recall": _rounded(score.recall, 4),
                "flags": score.flags,
            }
            for policy, score in scores.items()
        },
    }


def shortcomings(tally: Tally) -> list[str]:
    """What keeps the demo from having done its work, one line each; none when all is well."""
    score, found = tally.score(), []
    undecided = len(tally.sent) - len(tally.decided)
    if not tally.sent:
        found.append("no post was sent")
    if undecided:
        found.append(f"{undecided} of {len(tally.sent)} posts have no decision")
    lost, _ = tally.dead_letters()
    if lost:
        found.append(f"{lost} posts are dead letters")
    if not score.flags:
        found.append("nothing was flagged")
    if tally.due() >= ENOUGH:
        if score.precision is not None and score.precision < LEAST_PRECISION:
            found.append(f"precision {score.precision:.3f} is below {LEAST_PRECISION}")
        if score.recall is not None and score.recall < LEAST_RECALL:
            found.append(f"recall {score.recall:.3f} is below {LEAST_RECALL}")
    return found


def summary_view(numbers: Numbers, tally: Tally) -> RenderableType:
    """The summary as it is printed at the end."""
    latency = numbers["latency_ms"]
    upheld = sum(given.decision == "uphold" for given in tally.verdicts)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", justify="right")
    facts.add_column()
    facts.add_row("posts", f"{numbers['posts']:,} sent, {numbers['decisions']:,} decided")
    if numbers["posts_without_encoder"]:
        only = f"{numbers['posts_without_encoder']:,} are dead letters: the bundle encodes none of their parts"
        facts.add_row("", f"{only} (it has {', '.join(sorted(tally.encoded))})")
    facts.add_row("flags", f"{numbers['flags']:,} standing, {tally.retractions:,} retracted after an overturn")
    facts.add_row("", f"{numbers['retroactive_flags']:,} of them of posts that came before the verdict")
    facts.add_row("verdicts", f"{upheld} upheld, {len(tally.verdicts) - upheld} overturned")
    facts.add_row("first flag", _or_dash(numbers["first_flag_seconds"], "{:.1f} s after the start"))
    facts.add_row("latency", "   ".join(f"{name} {value:.0f} ms" for name, value in latency.items()))
    facts.add_row("speed", f"{numbers['posts_per_second']:.1f} posts/s, as fast as the stream came")
    facts.add_row("", _or_dash(numbers["encoder_posts_per_second"], "{:,.0f} posts/s through the encoders alone"))
    return Group(Text(), facts, Text(), policies_table(numbers), Text())


def policies_table(numbers: Numbers) -> Table:
    """Precision and recall by policy, the total below, the conjunction's look-alikes last."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    table.add_column("policy", footer="all")
    table.add_column("flags", justify="right", footer=f"{numbers['flags']:,}")
    table.add_column("precision", justify="right", footer=_or_dash(numbers["precision"], "{:.3f}"))
    table.add_column("recall after the first verdict", justify="right", footer=_or_dash(numbers["recall"], "{:.3f}"))
    for policy, score in numbers["policies"].items():
        shares = (_or_dash(score[name], "{:.3f}") for name in ("precision", "recall"))
        table.add_row(policy, f"{score['flags']:,}", *shares)
    rate = _or_dash(numbers["lookalike_flag_rate"], "{:.1%} of the conjunction's look-alikes flagged")
    table.caption = rate
    table.caption_justify = "left"
    return table


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
