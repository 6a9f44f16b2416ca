"""Files of a post -> what the encoders take. A part that cannot be used leaves its reason; its neighbours count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.steps import reasons
from consumers.steps.decode_audio import decode_audio
from consumers.steps.decode_image import decode_image
from consumers.steps.reasons import Rejected
from consumers.work import ABSENT, USED
from models.imagery import blank

if TYPE_CHECKING:
    from consumers.settings import Limits
    from consumers.work import PostInWork
    from models.bundle import Bundle
    from models.manifest import Modality

STEP = "decode"


def decode(work: PostInWork, bundle: Bundle, limits: Limits) -> None:
    """Fill `work.inputs` and `work.parts` for every modality of the bundle, and free `work.files`.

    A post of which no part can be used gets a failure.
    """
    if work.failure is not None or work.post is None:
        return
    kinds = {modality.kind for modality in bundle.manifest.modalities}
    for modality in bundle.manifest.modalities:
        _decode_modality(work, modality, limits)
    for kind in work.files.keys() - kinds:
        work.parts[kind] = reasons.NO_ENCODER
    named = {modality.name for modality in bundle.manifest.modalities}
    work.parts |= dict.fromkeys(sorted(work.post.vectors.keys() - named), reasons.NO_ENCODER)
    work.files.clear()
    if not work.inputs:
        told = ", ".join(f"{name}: {reason}" for name, reason in sorted(work.parts.items()) if reason != ABSENT)
        work.fail(reasons.NO_USABLE_PART, STEP, told or "the bundle has no encoder for any part of it")


def _decode_modality(work: PostInWork, modality: Modality, limits: Limits) -> None:
    dropped = work.parts.pop(modality.kind, None) if modality.name != modality.kind else work.parts.get(modality.name)
    items: list[Any] = []
    try:
        if modality.kind == "text":
            items = [] if work.post is None or work.post.caption is None else [work.post.caption]
        elif modality.kind == "vector":
            items = _vector(work, modality)
        else:
            for file in work.files.get(modality.kind, ()):
                items += _media(file, modality, limits)
    except Rejected as rejection:
        # of several files one may be bad: what came before it counts
        dropped = rejection.reason
    if items:
        work.inputs[modality.name] = items if modality.kind == "text" else np.stack(items)
        work.parts[modality.name] = USED
    else:
        work.parts[modality.name] = dropped or ABSENT


def _media(file: bytes, modality: Modality, limits: Limits) -> list[Any]:
    if modality.image is not None:
        pixels = decode_image(file, modality.image.size, limits.image_pixels)
        if blank(pixels):
            raise Rejected(reasons.BLANK, "an image of one colour")
        return [pixels]
    if modality.audio is not None:
        return list(decode_audio(file, modality.audio, limits.audio_seconds))
    raise Rejected(reasons.NO_ENCODER, f"no decoder for {modality.kind}")


def _vector(work: PostInWork, modality: Modality) -> list[Any]:
    given = None if work.post is None else work.post.vectors.get(modality.name)
    if given is None or modality.vector is None:
        return []
    if len(given) != modality.vector.size:
        raise Rejected(reasons.WRONG_SIZE, f"{len(given)} numbers, the bundle takes {modality.vector.size}")
    vector = np.array(given, dtype=np.float32)
    if not np.isfinite(vector).all() or not vector.any():
        raise Rejected(reasons.NOT_FINITE, "numbers that are not finite, or all zero")
    return [vector]
