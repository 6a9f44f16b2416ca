"""Image towers: ResNet, ViT, ConvNeXt, DINOv2, and the image sides of CLIP, SigLIP and SigLIP 2."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import nn

from models.export.checkpoint import Checkpoint, ExportError
from models.export.front_ends import Pixels
from models.export.towers import Options, Tower, load, precision, processor, projection_of
from models.manifest import ImageInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FILES = ("preprocessor_config.json", "processor_config.json")
_STRETCHED_FROM = 384
"""ConvNeXt's processor crops below this size and stretches from it on."""


class _Encoded(nn.Module):
    """Squares of pixels -> one vector of the network's output."""

    def __init__(self, front: Pixels, body: nn.Module, output: str) -> None:
        super().__init__()
        self.front, self.body, self.output = front, body, output

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        given = self.front(pixels).to(precision(self.body))
        return vector_of(self.body(pixel_values=given), self.output).float()


class _Patched(nn.Module):
    """SigLIP 2: rows of patches and their numbers down and across -> the pooled vector."""

    def __init__(self, front: Pixels, body: nn.Module, patch: int) -> None:
        super().__init__()
        self.front, self.body, self.patch = front, body, patch

    def forward(self, pixels: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        count, most, _ = pixels.shape
        numbers = self.front.rows(pixels.float().reshape(count, most, self.patch * self.patch, 3))
        there = torch.arange(most, device=pixels.device)[None] < (shapes[:, :1] * shapes[:, 1:])
        given = (numbers.flatten(2) * there[..., None]).to(precision(self.body))
        mask = there.to(torch.int64)
        found = self.body(pixel_values=given, pixel_attention_mask=mask, spatial_shapes=shapes)
        pooled: torch.Tensor = found.pooler_output
        return pooled.float()


def vector_of(found: Any, output: str) -> torch.Tensor:
    """The named output of a network as (batch, width); `class_token` is the first of the last layer."""
    if output == "class_token":
        return found.last_hidden_state[:, 0]  # type: ignore[no-any-return]
    return getattr(found, output).flatten(1)  # type: ignore[no-any-return]


def _tower(
    checkpoint: Checkpoint, name: str, output: str, pooling: str, width: Callable[[Any], int], **arguments: Any
) -> Tower:
    body = load(checkpoint, name, **arguments)
    processed = processor(checkpoint, "AutoImageProcessor", _FILES, backend="pil")
    form = form_of(checkpoint, processed)
    # the original is the reference; the copy gets its position embeddings for the size once and for all
    fixed = copy.deepcopy(body)
    _fix_positions(fixed, form.size)
    _attend_without_weights(fixed)

    def reference(items: Sequence[Any]) -> torch.Tensor:
        rows = []
        for pixels in items:
            given = processed(images=Image.fromarray(pixels), return_tensors="pt")
            rows.append(vector_of(body(pixel_values=given["pixel_values"]), output))
        return torch.cat(rows)

    network = _Encoded(_pixels(processed), fixed, output)
    return Tower("image", checkpoint.model_type, form, network, width(body.config), pooling, reference)


def _pixels(processed: Any) -> Pixels:
    scale = float(processed.rescale_factor) if processed.do_rescale else 1.0
    if not processed.do_normalize:
        return Pixels(scale, [0.0] * 3, [1.0] * 3)
    return Pixels(scale, list(processed.image_mean), list(processed.image_std))


def form_of(checkpoint: Checkpoint, processed: Any) -> ImageInput:
    """How a processor of transformers resizes and crops.

    Raises:
        ExportError: it does so in a way that Shoal has not.
    """
    where = f"{checkpoint.folder}: {type(processed).__name__}"
    if not processed.do_resize:
        raise ExportError(f"{where}: it resizes nothing, so it says no size")
    resample: Any = Image.Resampling(int(processed.resample)).name.lower()
    size = {key: value for key, value in dict(processed.size or {}).items() if value}
    cropped = bool(getattr(processed, "do_center_crop", False))
    crop = {key: value for key, value in dict(getattr(processed, "crop_size", None) or {}).items() if value}
    if hasattr(processed, "max_num_patches"):
        side = math.isqrt(processed.max_num_patches)
        if side * side != processed.max_num_patches:
            raise ExportError(f"{where}: {processed.max_num_patches} patches do not make a square")
        return ImageInput(size=side * processed.patch_size, patch=processed.patch_size, resample=resample)
    if hasattr(processed, "crop_pct") and size.keys() == {"shortest_edge"}:
        side = size["shortest_edge"]
        if side >= _STRETCHED_FROM:
            return ImageInput(size=side, resample=resample)
        return ImageInput(size=side, edge=int(side / processed.crop_pct), resample=resample)
    square = crop if cropped else size
    if square.keys() != {"height", "width"} or square["height"] != square["width"]:
        raise ExportError(f"{where}: its images are no squares of one size: size {size}, crop {crop or 'none'}")
    if not cropped or size == crop:
        return ImageInput(size=square["height"], resample=resample)
    if size.keys() != {"shortest_edge"}:
        raise ExportError(f"{where}: it stretches to {size} and then crops to {crop}")
    return ImageInput(size=crop["height"], edge=size["shortest_edge"], resample=resample)


def _attend_without_weights(body: nn.Module) -> None:
    """Torch's own attention module multiplies step by step where its weights are wanted too; nobody wants them."""

    def unasked(_module: nn.Module, given: Any, named: dict[str, Any]) -> Any:
        return given, {**named, "need_weights": False}

    for module in body.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.register_forward_pre_hook(unasked, with_kwargs=True)


def _fix_positions(body: nn.Module, size: int) -> None:
    """Interpolate position embeddings now, where a network would do it for every image."""
    for module in body.modules():
        interpolate = getattr(module, "interpolate_pos_encoding", None)
        positions = getattr(module, "position_embeddings", None)
        patches = getattr(module, "patch_embeddings", None)
        if callable(interpolate) and isinstance(positions, nn.Parameter) and patches is not None:
            across = size // patches.patch_size[0]
            some = torch.zeros(1, across * across + 1, positions.shape[-1])
            with torch.no_grad():
                module.position_embeddings = nn.Parameter(interpolate(some, size, size), requires_grad=False)
            module.interpolate_pos_encoding = lambda *_, held=module: held.position_embeddings  # type: ignore[assignment]


def _width(config: Any) -> int:
    return int(config.hidden_size)


def _last_stage(config: Any) -> int:
    return int(config.hidden_sizes[-1])


def _projected(config: Any) -> int:
    return int(config.projection_dim)


def vit_tower(checkpoint: Checkpoint, _: Options) -> Tower:
    """ViT: the class token of the last layer, as its own classifier reads it."""
    return _tower(checkpoint, "ViTModel", "class_token", "class token", _width, add_pooling_layer=False)


def dinov2_tower(checkpoint: Checkpoint, _: Options) -> Tower:
    """DINOv2, with registers or without: the class token of the last layer."""
    name = "Dinov2Model" if checkpoint.model_type == "dinov2" else "Dinov2WithRegistersModel"
    return _tower(checkpoint, name, "pooler_output", "class token", _width)


def resnet_tower(checkpoint: Checkpoint, _: Options) -> Tower:
    """ResNet: the mean over the last feature map."""
    return _tower(checkpoint, "ResNetModel", "pooler_output", "mean over positions", _last_stage)


def convnext_tower(checkpoint: Checkpoint, _: Options) -> Tower:
    """ConvNeXt and its second version: the normalised mean over the last feature map."""
    name = "ConvNextModel" if checkpoint.model_type == "convnext" else "ConvNextV2Model"
    return _tower(checkpoint, name, "pooler_output", "mean over positions", _last_stage)


def clip_tower(checkpoint: Checkpoint, _: Options) -> Tower:
    """CLIP's image side, projected."""
    name = "CLIPVisionModelWithProjection"
    return _tower(checkpoint, name, "image_embeds", "class token, projected", _projected, **projection_of(checkpoint))


def siglip_tower(checkpoint: Checkpoint, _: Options) -> Tower:
    """SigLIP's image side, and that of SigLIP 2 with a fixed size: its attention pooling."""
    return _tower(checkpoint, "SiglipVisionModel", "pooler_output", "attention pooling", _width)


def siglip2_tower(checkpoint: Checkpoint, _: Options) -> Tower:
    """SigLIP 2 of any shape (NaFlex): as many whole patches as fit."""
    body = load(checkpoint, "Siglip2VisionModel")
    processed = processor(checkpoint, "AutoImageProcessor", _FILES, backend="pil")
    form = form_of(checkpoint, processed)
    if form.patch is None:
        raise ExportError(f"{checkpoint.folder}: {type(processed).__name__} makes no patches")
    fixed = copy.deepcopy(body)
    _attend_without_weights(fixed)
    _tabulate_positions(fixed.embeddings, form.patches)

    def reference(items: Sequence[Any]) -> torch.Tensor:
        rows = []
        for pixels in items:
            given = processed(images=Image.fromarray(pixels), return_tensors="pt")
            rows.append(body(**given).pooler_output)
        return torch.cat(rows)

    network = _Patched(_pixels(processed), fixed, form.patch)
    width = _width(body.config)
    return Tower("image", checkpoint.model_type, form, network, width, "attention pooling", reference)


def _tabulate_positions(embeddings: Any, most: int) -> None:
    """Position embeddings for every shape, as products with a table.

    The network resizes its grid image by image in a loop, which no graph can hold. Resizing is linear and the same
    in both directions, so that for each number of patches along a side there is one small matrix.
    """
    side = int(embeddings.position_embedding_size)
    table = torch.zeros(most + 1, most, side)
    # two columns: with one, torch takes the strides for those of another layout and resizes wrongly
    basis = torch.eye(side)[None, :, :, None].repeat(1, 1, 1, 2)
    for count in range(1, most + 1):
        resized = nn.functional.interpolate(
            basis, size=(count, 2), mode="bilinear", align_corners=False, antialias=True
        )
        table[count, :count] = resized[0, :, :, 0].T
    embeddings.register_buffer("resizing", table.flatten(0, 1), persistent=False)

    def resize(grid: torch.Tensor, shapes: torch.Tensor, max_length: int) -> torch.Tensor:  # noqa: ARG001
        down, across = shapes[:, :1], shapes[:, 1:]
        place = torch.arange(most, device=shapes.device)[None]
        by_row = embeddings.resizing[down * most + (place // across).clamp(max=most - 1)]
        by_column = embeddings.resizing[across * most + place % across]
        weights = (by_row[..., :, None] * by_column[..., None, :]).flatten(2).to(grid.dtype)
        positions: torch.Tensor = weights @ grid.reshape(side * side, -1)
        return positions

    embeddings.resize_positional_embeddings = resize


IMAGE: dict[str, Callable[[Checkpoint, Options], Tower]] = {
    "resnet": resnet_tower,
    "vit": vit_tower,
    "convnext": convnext_tower,
    "convnextv2": convnext_tower,
    "dinov2": dinov2_tower,
    "dinov2_with_registers": dinov2_tower,
    "clip": clip_tower,
    "siglip": siglip_tower,
    "siglip2": siglip2_tower,
}
"""Image families by transformers' names."""
