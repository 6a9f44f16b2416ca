"""Posts that lie in files, to learn from: JSON lines, or a folder of them and of single posts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.post import SCHEMA, Post
from consumers.posts.produce import numbered_lines
from consumers.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.posts.produce import Refuse
    from consumers.settings import Settings

LINES, ONE = (".jsonl", ".ndjson"), ".json"
REMEDY = "mend or remove it; it is left out"

_decoder = msgspec.json.Decoder(Post)


@dataclass(frozen=True, slots=True)
class PostLine:
    """A post as it stands in a file; `where` is the file and its line."""

    where: str
    value: bytes
    post: Post


def posts_at(path: Path, limit: int, refuse: Refuse) -> Iterator[PostLine]:
    """The posts of a file with one JSON object a line; of a folder, those of its files and single posts.

    Args:
        path: a file, or a folder with *.jsonl, *.ndjson and *.json (one post each) in it or below it.
        limit: longest post in bytes.
        refuse: told of each line that is no post: where, why, what to do.

    Raises:
        SettingsError: nothing is there.
        OSError: a file cannot be read.
    """
    for file in _files(path):
        if file.suffix.lower() == ONE and path.is_dir():
            yield from _read(str(file), file.read_bytes(), limit, refuse)
            continue
        with file.open("rb") as lines:
            for number, line in numbered_lines(lines, str(file), limit, refuse):
                yield from _read(f"{file}:{number}", line, limit, refuse)


def count_posts(path: Path) -> int:
    """How many posts there are at most, for a progress bar.

    Raises:
        SettingsError, OSError: as `posts_at`.
    """
    total = 0
    for file in _files(path):
        if file.suffix.lower() == ONE and path.is_dir():
            total += 1
            continue
        with file.open("rb") as lines:
            total += sum(1 for _ in lines)
    return total


def with_media_below(settings: Settings, path: Path) -> Settings:
    """The settings, with media allowed that lie in the folder of the posts: whoever names it has put them there."""
    folder = (path if path.is_dir() else path.parent).resolve()
    prefixes = (*settings.media.prefixes, folder.as_uri() + "/")
    return settings.model_copy(update={"media": settings.media.model_copy(update={"prefixes": prefixes})})


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SettingsError(f"--data {path}: no such file or folder; give posts as JSON lines")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in {*LINES, ONE} and file.is_file())
    if not found:
        raise SettingsError(f"--data {path}: no .jsonl and no .json in it")
    return found


def _read(where: str, value: bytes, limit: int, refuse: Refuse) -> Iterator[PostLine]:
    if len(value) > limit:
        refuse(f"{where}: longer than {limit:,} bytes (limits.post_bytes); {REMEDY}")
        return
    try:
        yield PostLine(where, value, decode_json(_decoder, value, SCHEMA))
    except MessageError as error:
        refuse(f"{where}: not a post: {error}; {REMEDY}")
