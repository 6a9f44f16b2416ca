"""Banks of known violations: lines of a file to verdicts that bring their posts along, and the evidence to lines."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from consumers.cells.conclusions import rfc3339
from consumers.changes.verdicts import VerdictError, require_valid, verdict_message
from consumers.contracts.bank import SCHEMA, BankLine, BankMedia, BankPost, BankSource
from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.post import Media, Post
from consumers.contracts.source import NAMESPACE
from consumers.contracts.verdict import FusedVector, Verdict
from consumers.kafka.delivery import Outgoing, in_batches, open_delivery
from consumers.kafka.topics import ENVELOPE_BYTES
from consumers.posts.produce import numbered_lines
from consumers.state import codec
from consumers.state.codec import EvidenceValue
from consumers.state.reading import opened_state
from consumers.steps.place import read_vector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from consumers.posts.produce import Refuse
    from consumers.settings import Settings
    from models.manifest import Manifest

BATCH_VERDICTS = 256
BATCH_BYTES = 8 * 2**20
ACTOR = "bank"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(BankLine)


class BankError(ValueError):
    """A line that cannot be a verdict; the message is one line that says why."""


class Gaps(NamedTuple):
    """What fills the gaps of lines: the policy, whose word it is, and the name of the list."""

    policy: str | None = None
    actor: str | None = None
    source: str | None = None


def import_bank(
    settings: Settings,
    manifest: Manifest,
    path: Path,
    gaps: Gaps,
    refuse: Refuse,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Write a verdict for each line of a bank to the verdicts topic; gives how many.

    The same line makes the same verdict_id, so importing a bank again changes nothing.

    Args:
        refuse: told, in one line with its number, of each line that is passed over.
        progress: told the bytes read and the size of the file, now and then.

    Raises:
        OSError: the file cannot be read.
        Aborted: Kafka refused a batch; the batches before it are written. Import the bank again.
    """
    size, sent = path.stat().st_size, 0
    delivery = open_delivery(settings, f"{settings.kafka.group}.bank-{uuid.uuid4()}")
    try:
        with path.open("rb") as lines:
            messages = _messages(settings, manifest, path, lines, gaps, refuse)
            for batch in in_batches(messages, count=BATCH_VERDICTS, size_bytes=BATCH_BYTES):
                delivery.deliver(batch)
                sent += len(batch)
                progress(lines.tell(), size)
    finally:
        delivery.close()
    return sent


def export_bank(settings: Settings, path: Path, policy: str | None) -> int:
    """Write the evidence of all cells, exemplars and exceptions, to a file, one line a verdict; gives how many.

    Raises:
        StateUnavailable, CodecError: Redis does not answer as it should. OSError: the file cannot be written.
    """
    written: set[str] = set()
    with opened_state(settings) as (manifest, store), path.open("wb") as file:
        for cell in range(settings.assign.cells):
            for entry in store.entries(cell, "evidence"):
                value = codec.decode(EvidenceValue, entry)
                if entry.field in written or policy not in {None, value.policy}:
                    continue  # neighbouring cells hold copies
                written.add(entry.field)
                file.write(_encoder.encode(_line(manifest.bundle_id, entry.field, value)) + b"\n")
    return len(written)


def verdict_of(line: BankLine, folder: Path, settings: Settings, manifest: Manifest, gaps: Gaps) -> Verdict:
    """The verdict of a line.

    Args:
        folder: where the files are that the line names.

    Raises:
        BankError: it is no verdict, its file cannot be had, or its vector is of another bundle.
    """
    if (line.post is None) == (line.fused is None) or (line.fused is None) != (line.post_id is None):
        raise BankError("a line holds either a post, or a post_id with its fused vector")
    policy = line.policy or gaps.policy
    if policy is None:
        raise BankError("no policy; give one with --policy")
    source = line.source or (None if gaps.source is None else BankSource(list=gaps.source))
    post = None if line.post is None else _post(line.post, source, folder, settings)
    if line.fused is not None:
        _check_vector(line.fused, manifest)
    named = ACTOR if source is None else f"{ACTOR}:{source.list}"
    verdict = Verdict(
        verdict_id=line.verdict_id or _verdict_id(line, source, post, policy),
        decision=line.decision,
        policy=policy,
        post_id=line.post_id,
        post=post,
        fused=line.fused,
        actor=line.actor or gaps.actor or named,
        decided_at=line.decided_at,
        note=None if source is None else " ".join(filter(None, (source.list, source.id))),
    )
    try:
        require_valid(verdict, settings.assign.cells)
    except VerdictError as error:
        raise BankError(str(error)) from error
    return verdict


def _messages(
    settings: Settings, manifest: Manifest, path: Path, lines: IO[bytes], gaps: Gaps, refuse: Refuse
) -> Iterator[Outgoing]:
    limit = settings.limits.post_bytes
    for number, text in numbered_lines(lines, str(path), limit + ENVELOPE_BYTES, refuse):
        try:
            line = decode_json(_decoder, text, SCHEMA)
            message = verdict_message(settings, verdict_of(line, path.parent, settings, manifest, gaps))
        except (MessageError, BankError) as error:
            refuse(f"{path}:{number}: {error}")
            continue
        if len(message.value or b"") > limit:
            refuse(f"{path}:{number}: with its files longer than {limit:,} bytes (limits.post_bytes)")
            continue
        yield message


def _post(given: BankPost, source: BankSource | None, folder: Path, settings: Settings) -> Post:
    """The post as it is published: files in it, and with an id."""
    fields = {name: getattr(given, name) for name in Post.__struct_fields__}
    post = Post(**fields | {"media": tuple(_media(media, folder, settings) for media in given.media)})
    if post.post_id:
        return post
    name = f"bank-{_digest(post)[:16]}" if source is None or source.id is None else f"{source.list}/{source.id}"
    return msgspec.structs.replace(post, post_id=name)


def _media(given: BankMedia, folder: Path, settings: Settings) -> Media:
    fields = {name: getattr(given, name) for name in Media.__struct_fields__}
    if given.path is None:
        return Media(**fields)
    file = _file(given.path, folder.resolve(), settings.limits.media_bytes)
    return Media(**fields | {"data": base64.b64encode(file).decode()})


def _file(path: str, folder: Path, limit: int) -> bytes:
    try:
        place = (folder / path).resolve()
        inside = place.is_relative_to(folder)
        size = place.stat().st_size if inside and place.is_file() else None
        file = place.read_bytes() if size is not None and size <= limit else None
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, names that no file can have
        raise BankError(f"{path}: cannot be read ({type(error).__name__})") from error
    if size is None:
        raise BankError(f"{path}: no such file below {folder}")
    if file is None:
        raise BankError(f"{path}: larger than limits.media_bytes ({limit:,})")
    return file


def _check_vector(fused: FusedVector, manifest: Manifest) -> None:
    if fused.bundle != manifest.bundle_id:
        raise BankError(
            f"the vector is of bundle {fused.bundle[:64]}, this is {manifest.bundle_id}: only the post itself can "
            "move to another bundle"
        )
    if read_vector(fused.vector, manifest.fused_dimension) is None:
        raise BankError("fused is no unit vector of this bundle in float16")


def _verdict_id(line: BankLine, source: BankSource | None, post: Post | None, policy: str) -> str:
    """The same for the same entry of the same list, policy and decision."""
    entry = None if source is None else source.id
    if entry is None:
        entry = hashlib.sha256(line.fused.vector).hexdigest() if line.fused is not None else _digest(post)
    name = [None if source is None else source.list, entry, policy, line.decision]
    return str(uuid.uuid5(NAMESPACE, f"bank:{_encoder.encode(name).decode()}"))


def _digest(post: Post | None) -> str:
    return hashlib.sha256(_encoder.encode(post)).hexdigest()


def _line(bundle: str, verdict_id: str, value: EvidenceValue) -> BankLine:
    return BankLine(
        policy=value.policy,
        decision="uphold" if value.upheld else "overturn",
        post_id=value.post_id,
        fused=FusedVector(bundle=bundle, vector=value.vector, features=value.features),
        actor=value.actor,
        decided_at=rfc3339(value.time),
        verdict_id=verdict_id,
    )
