"""Encoders of a known size with random weights, as checkpoints, as a bundle, and in torch: to measure speed with.

`base` has the shapes of SigLIP 2 B/16 at 224 pixels and of CLAP (HTSAT, without fusion); the others are smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from models.export.bundle_export import export_bundle
from models.export.graphs import INPUTS
from models.export.heads import head_for
from models.export.recipe import Calibration, Recipe, TowerRecipe
from models.export.tower_export import Whole, prepare_tower
from models.export.towers import Options, quiet
from models.export.variants import HALF

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.encoder_rates import Contender, Inputs
    from models.export.samples import Read
    from models.manifest import Manifest

Size = Literal["tiny", "small", "base"]

SHAPES_COMPILED = 256
"""Shapes that torch.compile may specialise for; by default it gives up after a few."""

nets: Any = transformers  # its configs are typed field by field, and here they are put together from parts


@dataclass(frozen=True, slots=True)
class Shapes:
    """Of a text and an image transformer of the same width, and of CLAP's audio side.

    Attributes:
        width, layers, heads, inner: of both transformers.
        vocabulary, tokens: of the text.
        pixels, patch: of the image.
        audio: fields of ClapAudioConfig.
        seconds: of a window.
    """

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    tokens: int
    pixels: int
    patch: int
    audio: dict[str, Any]
    seconds: int


_HTSAT = {
    "spec_size": 256,
    "num_mel_bins": 64,
    "patch_size": 4,
    "patch_stride": (4, 4),
    "window_size": 8,
    "hidden_size": 768,
    "patch_embeds_hidden_size": 96,
    "depths": [2, 2, 6, 2],
    "num_attention_heads": [4, 8, 16, 32],
    "projection_dim": 512,
}
_TINY = {
    "spec_size": 64,
    "num_mel_bins": 16,
    "window_size": 4,
    "hidden_size": 16,
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "projection_dim": 24,
}
_HALF_DEPTH = {"hidden_size": 384, "patch_embeds_hidden_size": 48, "depths": [2, 2, 2, 2]}
SHAPES: dict[str, Shapes] = {
    "tiny": Shapes(32, 1, 2, 48, 300, 16, 32, 8, _HTSAT | _TINY, 1),
    "small": Shapes(384, 6, 6, 1536, 32_000, 64, 224, 16, _HTSAT | _HALF_DEPTH, 10),
    "base": Shapes(768, 12, 12, 3072, 256_000, 64, 224, 16, _HTSAT, 10),
}


def byte_tokenizer(begin: str, end: str, pad: str, *, most: int = 64, **more: Any) -> Any:
    """One token a byte, between two special ones."""
    special = list(dict.fromkeys((begin, pad, end, "<unk>")))
    vocabulary = {
        name: number for number, name in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    }
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, vocabulary[begin]), (end, vocabulary[end])]
    )
    return nets.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=begin, eos_token=end, pad_token=pad, model_max_length=most, **more
    )


def write_checkpoints(folder: Path, size: Size, seed: int = 0) -> dict[str, Path]:
    """Write the checkpoints of a size as `save_pretrained` does; those that are there already stay.

    Returns:
        By kind, the folder: text and image are the two sides of one.
    """
    shapes = SHAPES[size]
    two_sides, audio = folder / "siglip", folder / "clap"
    torch.manual_seed(seed)
    with quiet():
        if not (two_sides / "config.json").is_file():
            _write_siglip(two_sides, shapes)
        if not (audio / "config.json").is_file():
            _write_clap(audio, shapes)
    return {"text": two_sides, "image": two_sides, "audio": audio}


def _write_siglip(folder: Path, shapes: Shapes) -> None:
    common = {
        "hidden_size": shapes.width,
        "num_hidden_layers": shapes.layers,
        "num_attention_heads": shapes.heads,
        "intermediate_size": shapes.inner,
    }
    text = common | {
        "vocab_size": shapes.vocabulary,
        "max_position_embeddings": shapes.tokens,
        "projection_size": shapes.width,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    vision = common | {"image_size": shapes.pixels, "patch_size": shapes.patch}
    network = nets.SiglipModel(nets.SiglipConfig(text_config=text, vision_config=vision))
    words = byte_tokenizer("<s>", "</s>", "<pad>", most=shapes.tokens, model_input_names=["input_ids"])
    pixels = nets.SiglipImageProcessorPil(size={"height": shapes.pixels, "width": shapes.pixels})
    for part in (network.eval(), words, pixels):
        part.save_pretrained(folder)


def _write_clap(folder: Path, shapes: Shapes) -> None:
    text = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    projection = shapes.audio["projection_dim"]
    audio = {**shapes.audio, "enable_fusion": False}
    config = nets.ClapConfig(
        text_config={**text, "intermediate_size": 48}, audio_config=audio, projection_dim=projection
    )
    heard = nets.ClapFeatureExtractor(
        feature_size=shapes.audio["num_mel_bins"], max_length_s=shapes.seconds, truncation="rand_trunc"
    )
    words = byte_tokenizer("<s>", "</s>", "<pad>")
    for part in (nets.ClapModel(config).eval(), words, heard):
        part.save_pretrained(folder)


def write_reference(
    folder: Path,
    size: Size,
    *,
    gpu_variant: str | None,
    plain_attention: bool,
    read: Read,
    say: Callable[[str], None],
) -> tuple[Path, dict[str, Path]]:
    """Make the checkpoints of a size and the bundle of them; what is there already is taken.

    Args:
        folder: gets `checkpoints` and the bundle.
        gpu_variant: fp16 or bf16, a second graph for GPUs; None makes none.
        plain_attention: attention in single steps, for TensorRT.

    Returns:
        The bundle's folder, and the checkpoint of each kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = write_checkpoints(folder / "checkpoints", size)
    name = "-".join(filter(None, ["reference", size, gpu_variant, "plain" if plain_attention else None]))
    towers = {
        kind: TowerRecipe(checkpoint=str(path), gpu_variant=gpu_variant, plain_attention=plain_attention)  # type: ignore[arg-type]
        for kind, path in checkpoints.items()
    }
    recipe = Recipe(name=name, towers=towers, sample_count=2, calibration=Calibration(originals=4))
    if not (folder / name / "manifest.json").is_file():
        command = f"shoal bench encoders --reference {size}"
        export_bundle(recipe, folder / name, read=read, say=say, command=command, seconds=0.0)
    return folder / name, checkpoints


def torch_runner(
    kind: str, checkpoint: Path, manifest: Manifest, variant: str, device: str, *, compiled: bool
) -> Contender:
    """The same encoder in torch, from arrays on the host to vectors on the host.

    Args:
        variant: fp32, fp16 or bf16.
        device: cuda or cpu.
        compiled: by torch.compile, for each shape apart.
    """
    _, tower = prepare_tower(kind, str(checkpoint), Options())
    whole = Whole(tower.network, head_for(tower.width, manifest.dimension, 0, None)).eval()
    if variant in HALF:
        tower.network.get_submodule("body").to(HALF[variant])
    whole.to(device)
    run: Any = whole
    if compiled:
        torch._dynamo.config.recompile_limit = SHAPES_COMPILED  # noqa: SLF001  # where torch has it
        run = torch.compile(whole, dynamic=False)

    def call(inputs: Inputs) -> NDArray[np.float32]:
        given = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in INPUTS[kind] if name in inputs]
        with torch.inference_mode():
            rows: NDArray[np.float32] = run(*(one.to(device) for one in given)).float().cpu().numpy()
        return rows

    return call
