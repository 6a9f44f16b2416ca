"""The model card: what the bundle is, what it was trained on, what was measured, where it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training.kinds import AUDIO_WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from models.training.budget import Budget
    from models.training.bundle_writer import Trained
    from models.training.measure import Measured

ATTRIBUTION = "ATTRIBUTION.tsv"


def attributions_of(folder: Path | None) -> list[str]:
    """Lines of a markdown table for the files of `folder`, from an ATTRIBUTION.tsv in it or beside it.

    The file's columns are file, title, author and licence; file names may begin with the folder's name.
    """
    if folder is None:
        return []
    present = {path.name for path in folder.iterdir()}
    for place in (folder, folder.resolve().parent):
        path = place / ATTRIBUTION
        if path.is_file():
            rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
            return [
                "| " + " | ".join(cell.replace("|", "\\|") for cell in (name.rpartition("/")[2], *rest)) + " |"
                for name, *rest in rows
                if name.rpartition("/")[2] in present and name.rpartition("/")[0] in ("", folder.resolve().name)
            ]
    return []


def model_card(
    trained: Trained,
    budget: Budget,
    parity: Mapping[str, float],
    measured: Measured,
    attributions: list[str],
) -> str:
    """The whole card as markdown."""
    parts = [
        _introduction(trained, budget),
        _data(trained, budget),
        _quality(measured, parity),
        _limits(),
        "## Licence\n\nApache-2.0. The weights were trained from nothing; no third-party weights are in them.\n",
    ]
    if attributions:
        table = "| file | title | author | licence |\n|---|---|---|---|\n" + "\n".join(attributions)
        parts.append(f"## Attributions\n\nRecordings that were trained on, from Freesound:\n\n{table}\n")
    return "\n".join(parts)


def _introduction(trained: Trained, budget: Budget) -> str:
    sizes = budget.sizes
    counts = {kind: sum(p.numel() for p in tower.parameters()) / 1e6 for kind, tower in trained.towers.items()}
    image_widths, audio_widths = ("/".join(map(str, widths)) for widths in (sizes.image_widths, sizes.audio_widths))
    text = f"BERT, {sizes.text_layers} layers of {sizes.text_width}, mean over tokens"
    image = f"residual network, widths {image_widths}, generalised-mean pooling"
    audio = f"log-mel of {sizes.bands} bands as products of matrices, residual network, widths {audio_widths}"
    pixels = f"(batch, {sizes.image_size}, {sizes.image_size}, 3)"
    tokens = f"(batch, tokens), at most {sizes.max_tokens} tokens"
    return f"""# {trained.name} {trained.version}

Three small encoders that put a caption, an image and a sound into one space of {sizes.dimension} dimensions. Shoal
fuses their unit vectors into one vector for a post and finds posts that are variants of each other. It tells what
was posted before in another guise; it does not judge what is shown.

| graph | input | network | million parameters |
|---|---|---|---|
| text.onnx | `input_ids`, `attention_mask` int64 {tokens} | {text} | {counts["text"]:.1f} |
| image.onnx | `pixels` uint8 {pixels}, RGB, stretched to the square | {image} | {counts["image"]:.1f} |
| audio.onnx | `waveform` float32 (batch, {AUDIO_WINDOW}), mono, 16 kHz | {audio} | {counts["audio"]:.1f} |

Every graph gives `embedding` float32 (batch, {sizes.dimension}) with unit rows. The windows of one recording are
averaged. The tokenizer is our own: byte-level pairs, so that every caption has tokens, over text in which look-alike
letters, digits that stand for letters, marks and invisible characters are folded, and emoji beside words are spaces.
"""


def _data(trained: Trained, budget: Budget) -> str:
    named = "\n".join(f"- {source}" for source in trained.provenance.data)
    steps = ", ".join(f"{count} of {kind}" for kind, count in budget.steps.items())
    return f"""## Training

    {trained.provenance.command}

{named}

{budget.images} generated images and {budget.sounds} generated sounds, half of them in groups of four look-alikes
that must not match each other; captions are generated on the way. Two random variants of each original are drawn
together (InfoNCE, temperature .05, KoLeo weight 2): one light or heavy, the other heavy, which is one or two strong
transforms or many at once; with a small weight each image and sound is drawn to captions that describe it. A quarter
of a batch is real where there is real data. Steps: {steps}. What is exported is the moving average of the weights.
Some transforms of each kind are never used in training, to measure what is new to the encoders.
"""


def _quality(measured: Measured, parity: Mapping[str, float]) -> str:
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in sorted(measured.quality.items()))
    detail = "\n".join(
        f"- {kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in recalls.items())
        for kind, recalls in measured.transforms.items()
    )
    worst = ", ".join(f"{kind} {value:.1e}" for kind, value in parity.items())
    return f"""## Quality

Measured by the command above, on the exported graphs. `generated` figures are on originals of other seeds; `real`
ones on photographs and recordings that were used for nothing else. recall: at one false match in 1000 pairs of
unrelated originals; strict_recall: where one distractor in 100 matches anything; uap: micro average precision over
all pairs; look_alikes_matched: share of pairs of look-alikes above the threshold of recall; flags: expected on a
stream of which 15% violate and 6% are look-alikes; conjunction_recall: share of variants of which every part reaches
the modality threshold; milliseconds: one post's part on one thread in batches of 16, on
the machine that trained.

| figure | value |
|---|---|
{rows}

Recall by transform:

{detail}

Parity of the graphs with the trained networks, largest |1 - cosine|: {worst}.

Thresholds, chosen on yet other originals: {measured.thresholds}.
"""


def _limits() -> str:
    return """## Limits

- The encoders compare looks, sounds and wording. They do not understand content: a paraphrase without common words,
  or another photograph of the same scene, is another post to them.
- Trained mostly on generated data. Photographs that differ in detail only (the same pose before the same wall) can
  come close to each other; a verdict on one of them should be looked at with its first flags.
- Captions of two or three words say too little to be told apart under typos. Captions are cut after 96 tokens.
- A short piece of a long recording, or a small piece of an image, can be missed.
"""
