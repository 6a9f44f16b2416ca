"""Files of a post -> what the encoders take. A part that cannot be used leaves its reason; its neighbours count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from consumers.encoding.work import ABSENT, USED
from consumers.steps import reasons
from consumers.steps.decode_audio import decode_audio
from consumers.steps.decode_image import decode_image
from consumers.steps.reasons import Rejected
from models.imagery import blank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.encoding.work import PostInWork
    from consumers.settings import Limits
    from models.bundle import Bundle
    from models.manifest import Modality

STEP = "decode"


def decode(work: PostInWork, bundle: Bundle, limits: Limits) -> None:
    """Fill `work.inputs` and `work.parts` for every modality of the bundle, and free files and vectors.

    A post of which no part can be used gets a failure.
    """
    if work.failure is not None or work.post is None:
        return
    earlier = dict(work.parts)  # what parse and fetch had to drop
    for modality in bundle.manifest.modalities:
        _decode_modality(work, modality, limits, earlier.get(modality.kind))
    _name_the_rest(work, bundle.manifest.modalities)
    work.files.clear()
    work.post = msgspec.structs.replace(work.post, vectors={})
    if not work.inputs:
        told = ", ".join(f"{name}: {reason}" for name, reason in sorted(work.parts.items()) if reason != ABSENT)
        work.fail(reasons.NO_USABLE_PART, STEP, told or "the bundle has no encoder for any part of it")


def _decode_modality(work: PostInWork, modality: Modality, limits: Limits, dropped: str | None) -> None:
    items: list[Any] = []
    for given in _given(work, modality):
        try:
            items += _read(given, modality, limits)
        except Rejected as rejection:
            dropped = rejection.reason
    if items:
        work.inputs[modality.name] = _together(items)
        work.parts[modality.name] = USED
    else:
        work.parts[modality.name] = dropped or ABSENT


def _name_the_rest(work: PostInWork, modalities: Sequence[Modality]) -> None:
    """Give a reason to what the bundle has no encoder for, by its kind: names come from the sender."""
    kinds = {modality.kind for modality in modalities}
    names = {modality.name for modality in modalities}
    given = set(work.files)
    if work.post is not None and work.post.caption is not None:
        given.add("text")
    for kind in given - kinds:
        work.parts[kind] = reasons.NO_ENCODER
    if work.post is not None and work.post.vectors.keys() - names:
        work.parts.setdefault("vector", reasons.NO_ENCODER)


def _given(work: PostInWork, modality: Modality) -> list[Any]:
    """What the post holds of a modality: texts, files or vectors."""
    if work.post is None:
        return []
    if modality.kind == "text":
        return [] if work.post.caption is None else [work.post.caption]
    if modality.kind == "vector":
        vector = work.post.vectors.get(modality.name)
        return [] if vector is None else [vector]
    return list(work.files.get(modality.kind, ()))


def _read(given: Any, modality: Modality, limits: Limits) -> list[Any]:
    """The encoder's items in one text, file or vector."""
    if modality.image is not None:
        pixels = decode_image(given, modality.image, limits.image_pixels)
        if blank(pixels):
            raise Rejected(reasons.BLANK, "an image of one colour")
        return [pixels]
    if modality.audio is not None:
        return list(decode_audio(given, modality.audio, limits.audio_seconds))
    if modality.vector is not None:
        return [_vector(given, modality.vector.size)]
    return [given]


def _together(items: list[Any]) -> Any:
    """Items of one shape in one array; texts, and what has shapes of its own, as they are."""
    if isinstance(items[0], str) or len({item.shape for item in items}) > 1:
        return items
    return np.stack(items)


def _vector(given: tuple[float, ...], size: int) -> NDArray[np.float32]:
    if len(given) != size:
        raise Rejected(reasons.WRONG_SIZE, f"{len(given)} numbers, the bundle takes {size}")
    with np.errstate(over="ignore"):
        vector = np.array(given, dtype=np.float64).astype(np.float32)
    if not np.isfinite(vector).all() or not vector.any():
        raise Rejected(reasons.NOT_FINITE, "numbers that are not finite, or all zero")
    return vector
