"""A snapshot of a cell as bytes: what its hashes held at one position, in pieces that bound the memory it takes.

The first line names the format. Then come blocks, each its length (four bytes, big-endian) and msgpack that zlib has
compressed: the header, blocks of items, the end. After the last block stand its length once more, so that the end can
be found from the end, and the SHA-256 of everything before it.

The items are read while the cell is being written, so one field may come several times: the last word counts, and an
item without a value says that the field is gone.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from consumers.state.codec import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA = b"shoal.snapshot/1\n"
BLOCK_BYTES = 2**20
"""Values gathered for one block; a single value may be larger."""

LARGEST_BLOCK = 2**28
"""No block is larger, compressed or not: a damaged length must not take the memory."""

DIGEST_BYTES = 32
_LENGTH = struct.Struct(">I")


Name = Kind | Literal["outputs"]


class SnapshotError(ValueError):
    """These bytes are no whole snapshot of this version; the message says what is wrong with them."""


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="header"):
    """What a snapshot is of.

    Attributes:
        group: prefix of the consumer groups (kafka.group): cells that began at different offsets are different cells.
        topic_id: of the cell's log; empty where it was not known.
        state: version of the values (codec.VERSION).
        shoal: version of Shoal that wrote it.
        created_at: milliseconds since 1970.
    """

    bundle: str
    cells: int
    cell: int
    group: str
    topic_id: str
    state: int
    shoal: str
    created_at: int


class Item(NamedTuple):
    """One field of one hash, as in Redis. Without a value it is gone."""

    name: Name
    field: str
    value: bytes | None


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """What stands last.

    Attributes:
        position: offset after the last record folded into what the items say.
        items: how many there are.
        entries: how many fields each kind comes to by their last words; a kind that has none is left out.
    """

    position: int
    items: int
    entries: dict[Kind, int]


class _Items(msgspec.Struct, frozen=True, tag="items"):
    items: list[tuple[Name, str, bytes | None]]


Part = Header | Item | End

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Header | _Items | End] = msgspec.msgpack.Decoder(Header | _Items | End)


def write_snapshot(parts: Iterable[Part]) -> Iterator[bytes]:
    """The bytes of a snapshot, in pieces of about a megabyte.

    Args:
        parts: the header, items as they are read, the end.
    """
    digest = hashlib.sha256(SCHEMA)
    yield SCHEMA
    last = b""
    for last in _blocks(parts):
        digest.update(last)
        yield last
    length = _LENGTH.pack(len(last))
    digest.update(length)
    yield length + digest.digest()


def read_snapshot(chunks: Iterable[bytes]) -> Iterator[Part]:
    """The parts of a snapshot: header, items, and the end only when everything before it is as it was written.

    Args:
        chunks: its bytes, cut anyhow.

    Raises:
        SnapshotError: it is damaged, cut off, or of another version. What came before is not to be used then.
    """
    source = _Source(chunks)
    if source.take(len(SCHEMA)) != SCHEMA:
        raise SnapshotError("it does not begin as a snapshot of this version does")
    header = _block(source)
    if not isinstance(header, Header):
        raise SnapshotError("it has no header")
    yield header
    count = 0
    while isinstance(block := _block(source), _Items):
        count += len(block.items)
        for item in block.items:
            yield Item(*item)
    if not isinstance(block, End) or block.items != count:
        raise SnapshotError("its end is not that of its items")
    source.check_tail()
    yield block


def read_end(tail: bytes) -> End:
    """The end of a snapshot, from its last bytes; whether the rest is whole it does not say.

    Raises:
        SnapshotError: these are not the last bytes of a snapshot, or too few of them.
    """
    stop = len(tail) - DIGEST_BYTES - _LENGTH.size
    length = _LENGTH.unpack_from(tail, stop)[0] if stop >= 0 else 0
    if not _LENGTH.size <= length <= stop:
        raise SnapshotError("it does not end as a snapshot does")
    end = _read(tail[stop - length + _LENGTH.size : stop])
    if not isinstance(end, End):
        raise SnapshotError("it does not end as a snapshot does")
    return end


def _blocks(parts: Iterable[Part]) -> Iterator[bytes]:
    waiting: list[tuple[Name, str, bytes | None]] = []
    size = 0
    for part in parts:
        if isinstance(part, Item):
            waiting.append(part)
            size += len(part.value or b"")
            if size < BLOCK_BYTES:
                continue
        if waiting:
            yield _written(_Items(waiting))
            waiting, size = [], 0
        if not isinstance(part, Item):
            yield _written(part)


def _written(block: Header | _Items | End) -> bytes:
    # nothing repeats in vectors, only are some bytes frequent: looking for more takes thrice the time and finds none
    deflating = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)
    compressed = deflating.compress(_encoder.encode(block)) + deflating.flush()
    return _LENGTH.pack(len(compressed)) + compressed


def _block(source: _Source) -> Header | _Items | End:
    [length] = _LENGTH.unpack(source.take(_LENGTH.size))
    if length > LARGEST_BLOCK:
        raise SnapshotError("a block is too long")
    return _read(source.take(length))


def _read(compressed: bytes) -> Header | _Items | End:
    try:
        inflating = zlib.decompressobj()
        block = inflating.decompress(compressed, LARGEST_BLOCK)
        if not inflating.eof or inflating.unused_data:
            raise SnapshotError("a block is not whole")
        return _decoder.decode(block)
    except (zlib.error, msgspec.DecodeError) as error:
        raise SnapshotError(f"a block cannot be read: {error}") from error


class _Source:
    """Takes bytes off chunks that are cut anyhow, and digests them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = bytearray()
        self._digest = hashlib.sha256()
        self._last = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            SnapshotError: there are fewer.
        """
        found = self._next(count)
        self._digest.update(found)
        self._last = count
        return found

    def check_tail(self) -> None:
        """Compare what follows the last block with what was read.

        Raises:
            SnapshotError: it is something else, or not the last.
        """
        length = _LENGTH.size + self._last
        if self.take(_LENGTH.size) != _LENGTH.pack(length):
            raise SnapshotError("it does not end as a snapshot does")
        if self._next(DIGEST_BYTES) != self._digest.digest():
            raise SnapshotError("its digest is another: it is damaged")
        if self._held or any(self._chunks):
            raise SnapshotError("something follows its end")

    def _next(self, count: int) -> bytes:
        while len(self._held) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise SnapshotError("it is cut off")
            self._held += chunk
        found = bytes(self._held[:count])
        del self._held[:count]
        return found
