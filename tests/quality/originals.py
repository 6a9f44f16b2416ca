"""Originals that nobody trained on: photographs, recordings and sentences where they are there, and generated ones.

A take says what an original is and is small; a process makes the item of it. Nothing of this is chosen on: `report`
and `calibration` never share a file, a module or a seed.
"""

from __future__ import annotations

import ast
import functools
import re
import sysconfig
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import soundfile
import soxr

from models.synthetic import captions
from models.synthetic.originals import draw_image, draw_sound
from models.training.kinds import AUDIO_RATE, Kind
from models.training.pools import IMAGE_ENDINGS, SOUND_ENDINGS, files_of, read_image

if TYPE_CHECKING:
    from collections.abc import Iterator

Split = Literal["report", "calibration"]
Source = Literal["real", "generated"]

FOLDERS: dict[Split, str] = {"report": "test", "calibration": "validation"}
SEEDS: dict[Split, int] = {"report": 88_101, "calibration": 88_202}
"""Training used 1, 2 and seeds derived from them; the demo and the tests of cells use others too."""

PIECE_SECONDS = 5.0
PIECES = 24
"""At most so many of one long recording."""

_KINDS: dict[Kind, int] = {"text": 1, "image": 2, "audio": 3}


@dataclass(frozen=True, slots=True)
class Generated:
    """Made from a seed alone; `use` keeps originals apart from distractors and look-alikes."""

    kind: Kind
    split: Split
    use: int
    number: int

    @property
    def seed(self) -> list[int]:
        """Of its generator."""
        return [SEEDS[self.split], _KINDS[self.kind], self.use, self.number]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A file of one picture."""

    path: Path


@dataclass(frozen=True, slots=True)
class Recording:
    """A piece of a file, in seconds; `group` is shared by pieces of one recording, which may sound alike."""

    path: Path
    start: float
    group: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """English that somebody wrote."""

    text: str


Take: TypeAlias = "Generated | Photograph | Recording | Sentence"

ORIGINAL, DISTRACTOR = 0, 1


def make(take: Take) -> Any:
    """The item: str, uint8 (height, width, 3) RGB, or mono float32 samples at 16 kHz."""
    if isinstance(take, Sentence):
        return take.text
    if isinstance(take, Photograph):
        return read_image(take.path)
    if isinstance(take, Recording):
        return _heard(take)
    rng = np.random.default_rng(take.seed)
    if take.kind == "text":
        return captions.generate_caption(rng)
    return draw_image(rng)[0] if take.kind == "image" else draw_sound(rng)[0]


def group_of(take: Take) -> str | None:
    """What it shares with other takes that are neither the same nor surely different."""
    return take.group if isinstance(take, Recording) else None


def _heard(take: Recording) -> np.ndarray[Any, np.dtype[np.float32]]:
    with soundfile.SoundFile(take.path) as file:
        file.seek(round(take.start * file.samplerate))
        samples = file.read(round(PIECE_SECONDS * file.samplerate), dtype="float32", always_2d=True)
        return np.asarray(soxr.resample(samples.mean(axis=1), file.samplerate, AUDIO_RATE), dtype=np.float32)


def originals(kind: Kind, source: Source, split: Split, count: int, media: Path | None) -> list[Take]:
    """At most `count` originals; none where a source is not there."""
    if source == "generated":
        return [Generated(kind, split, ORIGINAL, number) for number in range(count)]
    if kind == "text":
        return list(sentences(split)[:count])
    if media is None or not (media / f"{'images' if kind == 'image' else 'audio'}" / FOLDERS[split]).is_dir():
        return []
    if kind == "image":
        return [Photograph(path) for path in files_of(media / "images" / FOLDERS[split], IMAGE_ENDINGS)[:count]]
    clips = files_of(media / "audio" / FOLDERS[split], SOUND_ENDINGS)
    takes: list[Take] = [Recording(path, 0.0, re.sub(r"-[A-Z]$", "", path.stem)) for path in clips]
    if split == "report" and (media / "audio" / "recordings").is_dir():
        takes += [piece for path in files_of(media / "audio" / "recordings", SOUND_ENDINGS) for piece in pieces(path)]
    return takes[:count]


def distractors(kind: Kind, source: Source, split: Split, count: int, kept: int) -> list[Take]:
    """`count` items that have nothing to do with the first `kept` originals; sentences first where those are some."""
    known: list[Take] = []
    if (kind, source) == ("text", "real"):
        known += reversed(sentences(split)[kept:])
    known = known[:count]
    return [*known, *(Generated(kind, split, DISTRACTOR, number) for number in range(count - len(known)))]


def pieces(path: Path) -> Iterator[Recording]:
    """Pieces of PIECE_SECONDS, spread over the whole recording where there are more than PIECES."""
    seconds = soundfile.info(path).duration
    count = min(PIECES, max(1, int(seconds // PIECE_SECONDS)))
    for start in np.linspace(0.0, max(0.0, seconds - PIECE_SECONDS), count):
        yield Recording(path, round(float(start), 2), path.stem)


@functools.cache
def sentences(split: Split) -> tuple[Sentence, ...]:
    """Prose of the docstrings of Python's standard library, in a fixed shuffled order, no two of one beginning.

    It is real English that stands on every machine and is nothing like our captions. A module belongs to one split.
    """
    found: dict[str, str] = {}
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        mine = zlib.crc32(name.encode()) % 3 == 0
        if mine != (split == "calibration") or re.search(r"(^|/)(site-packages|dist-packages|tests?|idlelib)/", name):
            continue
        for text in _prose(path):
            found.setdefault(" ".join(text.lower().split()[:3]), text)
    order = np.random.default_rng(SEEDS[split]).permutation(len(found))
    texts = list(found.values())
    return tuple(Sentence(texts[at]) for at in order)


def _prose(path: Path) -> Iterator[str]:
    """Paragraphs of 8 to 40 words that are mostly words."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                text = " ".join(paragraph.split())
                words = re.findall(r"[A-Za-z]{2,}", text)
                if 8 <= len(words) <= 40 and sum(map(len, words)) > 0.7 * len(text) and text[-1] in ".!?":
                    yield text
