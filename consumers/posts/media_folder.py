"""Posts made of real media: each original as it is, then copies of it altered as people alter what they repost."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import av
import msgspec
import numpy as np
from PIL import Image, ImageOps

from consumers.contracts.post import Media, Post
from consumers.posts.produce import encode_post
from consumers.settings import SettingsError
from models.synthetic.originals import MediaFile, Original, vary_post
from models.synthetic.oscillators import RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from consumers.posts.produce import EncodedPost, Refuse
    from consumers.settings import Limits

IMAGES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif"))
SOUNDS = frozenset((".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac"))
SIDE = 640
"""Longest side of an altered image."""

SECONDS = 60.0
"""Longest piece of a recording that is altered."""


@dataclass(frozen=True, slots=True)
class MediaFolder:
    """Where the media are: folders of images and recordings, a text file with a caption a line."""

    images: Path | None = None
    audio: Path | None = None
    captions: Path | None = None


@dataclass(frozen=True, slots=True)
class _Files:
    """The parts of one original: the first image goes with the first recording and the first caption, and so on."""

    name: str
    image: Path | None
    sound: Path | None
    caption: str | None


def posts_of_folder(
    folder: MediaFolder,
    limits: Limits,
    variants: int,
    seed: int,
    truth: Path,
    refuse: Refuse,
    *,
    originals: bool = True,
) -> Iterator[EncodedPost]:
    """All originals, then altered copies of them in random order; what each post was made of is written to `truth`.

    Args:
        folder: where the media are.
        limits: a file beyond its limit is refused.
        variants: altered copies of each original.
        seed: the same seed makes the same copies.
        truth: JSON lines: post_id, original, variants.
        refuse: told, in one line, of each original that cannot be used.
        originals: leave the originals out when they have been posted before.

    Raises:
        SettingsError: a folder holds nothing.
        OSError: a folder or file cannot be read.
    """
    rng = np.random.default_rng(seed)
    usable: list[_Files] = []
    with truth.open("wb") as notes:
        for files in _originals(folder):
            try:
                post = _exact(files, limits)
                _opened(files)
            except (OSError, ValueError, Image.DecompressionBombError, av.FFmpegError) as error:
                refuse(f"{files.name}: {' '.join(str(error).split())}")
                continue
            usable.append(files)
            if originals:
                notes.write(_note(post, files, ()))
                yield encode_post(post)
        order = [(index, copy) for copy in range(1, variants + 1) for index in range(len(usable))]
        for place in rng.permutation(len(order)):
            index, copy = order[int(place)]
            files = usable[index]
            parts = vary_post(_opened(files), np.random.default_rng([seed, index, copy]))
            post = _post(f"{files.name}-copy-{copy}", parts.caption, [("image", parts.image), ("audio", parts.audio)])
            notes.write(_note(post, files, parts.variants))
            yield encode_post(post)


def _originals(folder: MediaFolder) -> list[_Files]:
    images = _files_in(folder.images, IMAGES)
    sounds = _files_in(folder.audio, SOUNDS)
    captions = [] if folder.captions is None else _lines_of(folder.captions)
    count = max(len(images), len(sounds), len(captions))
    found = []
    for index in range(count):
        image = images[index] if index < len(images) else None
        sound = sounds[index] if index < len(sounds) else None
        stem = next((path.stem for path in (image, sound) if path is not None), "caption")
        caption = captions[index] if index < len(captions) else None
        found.append(_Files(f"{index:05d}-{stem}", image, sound, caption))
    return found


def _files_in(folder: Path | None, endings: frozenset[str]) -> list[Path]:
    if folder is None:
        return []
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)
    if not found:
        raise SettingsError(f"{folder}: no file ends in one of {', '.join(sorted(endings))}")
    return found


def _lines_of(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not any(lines):
        raise SettingsError(f"{path}: no caption in it")
    return [line for line in lines if line]


def _exact(files: _Files, limits: Limits) -> Post:
    """The original as its maker posts it: the files byte for byte.

    Raises:
        ValueError: a file is larger than a post may hold.
    """
    image, sound = _file(files.image, limits), _file(files.sound, limits)
    return _post(files.name, files.caption, [("image", image), ("audio", sound)])


def _file(path: Path | None, limits: Limits) -> MediaFile | None:
    if path is None:
        return None
    if path.stat().st_size > limits.media_bytes:
        raise ValueError(f"{path} is larger than limits.media_bytes ({limits.media_bytes:,})")
    return MediaFile(path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream")


def _post(post_id: str, caption: str | None, files: list[tuple[Literal["image", "audio"], MediaFile | None]]) -> Post:
    media = tuple(
        Media(kind=kind, content_type=file.content_type, data=base64.b64encode(file.data).decode())
        for kind, file in files
        if file is not None
    )
    return Post(post_id=post_id, surface="produce", caption=caption, media=media)


def _opened(files: _Files) -> Original:
    return Original(
        files.caption,
        None if files.image is None else read_pixels(files.image),
        None if files.sound is None else read_samples(files.sound),
    )


def read_pixels(file: Path | IO[bytes]) -> NDArray[np.uint8]:
    """An image file, upright: (height, width, 3) RGB uint8, its longest side at most SIDE.

    Raises:
        OSError: it is not an image.
    """
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((SIDE, SIDE))
        return np.asarray(upright, dtype=np.uint8)


def read_samples(file: Path | IO[bytes]) -> NDArray[np.float32]:
    """The beginning of a recording: mono float32 (n,) at RATE, at most SECONDS.

    Raises:
        ValueError: there is no sound in it. FFmpegError: it is not a recording.
    """
    pieces: list[NDArray[np.float32]] = []
    count = 0
    name = str(file) if isinstance(file, Path) else "the file"
    with av.open(name if isinstance(file, Path) else file, mode="r") as container:
        if not container.streams.audio:
            raise ValueError(f"{name} has no sound")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                pieces.append(piece.to_ndarray()[0])
                count += piece.samples
            if count >= SECONDS * RATE:
                break
    if not count:
        raise ValueError(f"{name} has no sound")
    return np.concatenate(pieces)[: int(SECONDS * RATE)].astype(np.float32)


def _note(post: Post, files: _Files, variants: tuple[str, ...]) -> bytes:
    note: dict[str, Any] = {"post_id": post.post_id, "original": files.name, "variants": variants}
    return msgspec.json.encode(note) + b"\n"


def first_notes(truth: Path, count: int) -> Iterator[dict[str, Any]]:
    """The first `count` notes in a file that `posts_of_folder` has written."""
    with truth.open("rb") as notes:
        for line in islice(notes, count):
            yield msgspec.json.decode(line, type=dict[str, Any])
