"""The model card of an exported bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.manifest import Manifest


def export_card(manifest: Manifest, *, used_samples: bool) -> str:
    """The card as markdown: where each graph comes from, how near it is to its checkpoint, what is not known."""
    rows = "\n".join(
        f"| {name} | {e.checkpoint} | {e.family} | {e.pooling} | {e.variant} | {e.parity:.1e} on {e.parity_items} | "
        f"{e.fused_attention} of {e.attention_layers} | {e.bytes / 2**20:.1f} | {e.flops / 1e9:.3g} | {e.rate:g} |"
        for name, e in manifest.exports.items()
    )
    weights = "\n".join(
        f"- {name}: {file} {digest}" for name, e in manifest.exports.items() for file, digest in e.weights.items()
    )
    measured_on = ", ".join(sorted({e.rate_on for e in manifest.exports.values()}))
    data = "the user's own samples" if used_samples else "generated captions, images and sounds"
    return f"""# {manifest.name} {manifest.version}

Exported from checkpoints by `{manifest.provenance.command}`; nothing was trained. Every graph gives unit vectors of
{manifest.dimension} dimensions.

| modality | checkpoint | family | pooling | variant | parity | attention fused | MiB | GFLOP an item | items/s |
|---|---|---|---|---|---|---|---|---|---|
{rows}

Parity: the largest |1 - cosine| between what transformers and what Shoal make of the same text, image file or
recording. Rates: {measured_on}.

The towers were not trained together, unless they come from one checkpoint: vectors of different modalities cannot be
compared with each other. Shoal's fusion does not do so; each modality is compared with itself.

## Thresholds

{manifest.thresholds}: at {manifest.quality["calibration_false_match_rate"]:g} false matches, on {data} and altered
copies of them. Calibrate again on posts of your own platform before flags count.

## Weights

sha256 of the files that were read:

{weights}

## Licence

{manifest.licence}
"""
