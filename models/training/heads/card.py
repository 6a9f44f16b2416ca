"""The model card of a bundle with trained heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.manifest import Manifest, Measured


def heads_card(manifest: Manifest, towers: str) -> str:
    """The card as markdown; the card of the bundle that the towers are from stands below it."""
    data = "\n".join(f"- {line}" for line in manifest.provenance.data)
    quality = "\n".join(f"| {name} | {value:g} |" for name, value in manifest.quality.items())
    below = "\n".join(f"#{line}" if line.startswith("#") else line for line in towers.splitlines())
    return f"""# {manifest.name} {manifest.version}

Linear heads, trained by `{manifest.provenance.command}` on frozen towers and folded into their graphs.

{data}

| on posts that nothing was trained on | |
|---|---|
{quality}

## Thresholds

{_thresholds(manifest)}

## The towers

{below}
"""


def _thresholds(manifest: Manifest) -> str:
    found = manifest.calibration
    if found is None:
        return ""
    named = {
        "join": manifest.thresholds.join,
        "centroid": manifest.thresholds.centroid,
        "exemplar": manifest.thresholds.exemplar,
        "modality": manifest.thresholds.modality,
        **{f"alone {name}": value for name, value in manifest.thresholds.alone.items()},
    }
    rows = "\n".join(f"| {name} | {named[name]:g} | {_row(one)} |" for name, one in found.measured.items())
    return f"""At {found.false_match_rate:g} false matches, from {found.pairs:,} pairs of {found.posts:,} posts
that the heads were not trained on ({found.data});
{found.repeats:,} pairs were taken for one thing posted twice. Intervals are of 95%.

| threshold | cosine | interval | false matches | interval | altered copies found | interval |
|---|---|---|---|---|---|---|
{rows}"""


def _row(one: Measured) -> str:
    recall = (
        ("", "") if one.recall is None else (f"{one.recall:.3f}", f"{one.recall_low:.3f} to {one.recall_high:.3f}")
    )
    return (
        f"{one.low:.3f} to {one.high:.3f} | {one.false_matches:.2e} | "
        f"{one.false_matches_low:.1e} to {one.false_matches_high:.1e} | {recall[0]} | {recall[1]}"
    )
