"""The architectures that can be exported, by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.export.audio_towers import AUDIO
from models.export.checkpoint import Checkpoint, ExportError
from models.export.image_towers import IMAGE
from models.export.text_towers import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.export.towers import Options, Tower

FAMILIES: dict[str, dict[str, Callable[[Checkpoint, Options], Tower]]] = {
    "text": TEXT,
    "image": IMAGE,
    "audio": AUDIO,
}
_PARTS = {
    "clip_text_model": "clip",
    "clip_vision_model": "clip",
    "siglip_text_model": "siglip",
    "siglip_vision_model": "siglip",
    "siglip2_text_model": "siglip2",
    "siglip2_vision_model": "siglip2",
    "clap_text_model": "clap",
    "clap_audio_model": "clap",
}
"""Checkpoints of one side only."""


def build_tower(kind: str, checkpoint: Checkpoint, options: Options) -> Tower:
    """The tower of a kind (text, image, audio) in a checkpoint.

    Raises:
        ExportError: an architecture that is not known for the kind, or a checkpoint that lacks something.
    """
    families = FAMILIES[kind]
    name = _PARTS.get(checkpoint.model_type, checkpoint.model_type)
    if name not in families:
        elsewhere = [other for other, known in FAMILIES.items() if name in known]
        hint = f"; it is a family of {' and '.join(elsewhere)}" if elsewhere else ""
        raise ExportError(
            f"{checkpoint.source}: architecture {checkpoint.model_type or 'without a name'!r} cannot be exported as "
            f"{kind}{hint}. Known for {kind}: {', '.join(sorted(families))}"
        )
    return families[name](checkpoint, options)
