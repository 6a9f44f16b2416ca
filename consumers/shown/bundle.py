"""A bundle in words."""

from __future__ import annotations

from typing import Any

import msgspec

from consumers.bundles import find_bundle
from models.manifest import Export, Manifest, Measured, read_manifest


def describe_bundle(name: str) -> dict[str, Any]:
    """What its manifest says, without the numbers that only programs read.

    Raises:
        ManifestError: there is no such bundle, or its manifest cannot be read.
    """
    folder = find_bundle(name)
    manifest = read_manifest(folder)
    sizes = {file: (folder / file).stat().st_size for file in manifest.files if (folder / file).is_file()}
    return {
        "bundle": manifest.bundle_id,
        "folder": str(folder),
        "version": manifest.version,
        "licence": manifest.licence,
        "modalities": {m.name: f"{m.kind}, weight {m.weight:g}" for m in manifest.modalities},
        "dimension": manifest.dimension,
        "size_mb": round(sum(sizes.values()) / 2**20, 1),
        "half_life_seconds": manifest.half_life_seconds,
        "thresholds": msgspec.to_builtins(manifest.thresholds),
        "calibration": calibration_told(manifest),
        "quality": manifest.quality,
        "parity": manifest.parity,
        "exports": {name: _export_told(export) for name, export in manifest.exports.items()},
        "made_by": manifest.provenance.command,
        "made_at": manifest.provenance.created_at,
        "data": list(manifest.provenance.data),
    }


def calibration_told(manifest: Manifest) -> dict[str, Any] | None:
    """Where the thresholds come from, with each one's interval and what matches there; None for those of old."""
    found = manifest.calibration
    if found is None:
        return None
    return {
        "false_match_rate": f"{found.false_match_rate:g} of {found.pairs:,} pairs of {found.posts:,} posts",
        "data": found.data,
        "repeats": found.repeats,
        "made_by": found.command,
        "made_at": found.created_at,
        **{name: _measured_told(one) for name, one in found.measured.items()},
    }


def _measured_told(one: Measured) -> str:
    told = f"{one.low:.3f} to {one.high:.3f}; false matches {one.false_matches:.2g} "
    told += f"({one.false_matches_low:.2g} to {one.false_matches_high:.2g})"
    if one.recall is None:
        return told
    return f"{told}; altered copies found {one.recall:.3f} ({one.recall_low:.3f} to {one.recall_high:.3f})"


def _export_told(export: Export) -> str:
    fused = f"{export.fused_attention} of {export.attention_layers} attention layers fused"
    size, work = f"{export.bytes / 2**20:.1f} MiB", f"{export.flops / 1e9:.3g} GFLOP an item"
    return f"{export.family} in {export.variant} from {export.checkpoint}; {fused}; {size}; {work}; {export.rate:g}/s"
