"""Whatever comes in on the posts topic: it is decided with its reason, counted, and harms no neighbour."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import soundfile
from PIL import Image

from consumers.contracts.post import SCHEMA
from consumers.kafka.dead_letters import Selection, list_dead_letters
from consumers.settings import Media
from tests.integration.platform import Worker, eventually, working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from consumers.contracts.decision import Decision
    from tests.integration.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

CAPTION = "a caption that is in order"
DAY_MS = 86_400_000


class Bad(NamedTuple):
    """A record, and what becomes of it.

    Attributes:
        dead: reason and step of the dead letter, or None.
        parts: what the decision says of its parts, as far as it matters.
    """

    record: Callable[[Path], dict[str, Any] | bytes | None]
    dead: tuple[str, str] | None = None
    parts: dict[str, str] | None = None


def post(**fields: Any) -> dict[str, Any]:
    return {"post_id": "bad"} | fields


def image(data: bytes, **fields: Any) -> dict[str, Any]:
    return {"kind": "image", "content_type": "image/jpeg", "data": base64.b64encode(data).decode()} | fields


def audio(data: bytes, **fields: Any) -> dict[str, Any]:
    return {"kind": "audio", "content_type": "audio/wav", "data": base64.b64encode(data).decode()} | fields


def picture(form: str) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((160, 160)).save(file, form)
    return file.getvalue()


def corrupt(file: bytes) -> bytes:
    """The header of a picture, and noise where its content was."""
    return file[:200] + bytes(np.random.default_rng(1).integers(0, 255, 3000, dtype=np.uint8)) + b"\xff\xd9"


def vast_png() -> bytes:
    """50,000 x 50,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    content = zlib.compress(bytes(150_001))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def sound(samples: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), 8_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def three_hours() -> bytes:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8_000, 1, format="FLAC") as out:
        for _ in range(180):
            out.write(np.zeros(8_000 * 60, dtype=np.int16))
    return file.getvalue()


def stored(folder: Path, name: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "image", "uri": f"file://{folder}/{name}"} | fields


BAD = {
    "not JSON": Bad(lambda _: b"this is not JSON", ("not-json", "parse")),
    "wrong schema version": Bad(
        lambda _: json.dumps({"schema": "shoal.post/2", "post_id": "bad", "caption": CAPTION}).encode(),
        ("wrong-schema", "parse"),
    ),
    "no post_id": Bad(lambda _: json.dumps({"schema": SCHEMA, "caption": CAPTION}).encode(), ("invalid", "parse")),
    "no part at all": Bad(lambda _: post(), ("no-parts", "parse")),
    "caption of 10 MB": Bad(
        lambda _: post(caption="x" * 10_000_000, media=[image(picture("JPEG"))]),
        parts={"text": "too-long", "image": "used"},
    ),
    "caption of 10 MB alone": Bad(lambda _: post(caption="x" * 10_000_000), ("no-usable-part", "decode")),
    "caption of control characters": Bad(
        lambda _: post(caption="\u0001\u0002\u200b\u0000" * 40), ("no-parts", "parse")
    ),
    "caption of invalid UTF-8": Bad(
        lambda _: (
            json.dumps(post(caption="@", media=[image(picture("JPEG"))])).encode().replace(b"@", b"\xff\xc3\x28")
        ),
        parts={"text": "undecodable", "image": "used"},
    ),
    "caption of invalid UTF-8 alone": Bad(
        lambda _: b'{"schema": "shoal.post/1", "post_id": "bad", "caption": "\xff\xfe\xc3\x28"}',
        ("no-usable-part", "decode"),
    ),
    "half a surrogate pair": Bad(
        lambda _: b'{"schema": "shoal.post/1", "post_id": "bad", "caption": "cut in an emoji \\ud83d"}',
        parts={"text": "used"},
    ),
    "nesting without end": Bad(
        lambda _: b'{"schema": "shoal.post/1", "post_id": "bad", "more": ' + b"[" * 100_000, ("not-json", "parse")
    ),
    "a kind of media that nobody knows": Bad(
        lambda _: post(caption=CAPTION, media=[image(picture("PNG")) | {"kind": "hologram"}]),
        parts={"media": "unknown-kind", "text": "used"},
    ),
    "truncated JPEG": Bad(
        lambda _: post(caption=CAPTION, media=[image(picture("JPEG")[:900])]),
        parts={"image": "undecodable", "text": "used"},
    ),
    "truncated JPEG alone": Bad(lambda _: post(media=[image(picture("JPEG")[:900])]), ("no-usable-part", "decode")),
    "corrupt JPEG": Bad(
        lambda _: post(caption=CAPTION, media=[image(corrupt(picture("JPEG")))]),
        parts={"image": "undecodable", "text": "used"},
    ),
    "50,000 x 50,000 PNG": Bad(
        lambda _: post(caption=CAPTION, media=[image(vast_png())]), parts={"image": "too-many-pixels", "text": "used"}
    ),
    "wrong content_type": Bad(
        lambda _: post(media=[image(picture("PNG"), content_type="audio/mpeg")]), parts={"image": "used"}
    ),
    "zero-byte audio": Bad(
        lambda _: post(caption=CAPTION, media=[audio(b"")]), parts={"audio": "empty", "text": "used"}
    ),
    "NaN audio": Bad(
        lambda _: post(caption=CAPTION, media=[audio(sound(np.full(16_000, np.nan)))]),
        parts={"audio": "silent", "text": "used"},
    ),
    "playlist that names files": Bad(
        lambda _: post(caption=CAPTION, media=[audio(b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n")]),
        parts={"audio": "undecodable", "text": "used"},
    ),
    "silent audio": Bad(
        lambda _: post(caption=CAPTION, media=[audio(sound(np.zeros(16_000)))]),
        parts={"audio": "silent", "text": "used"},
    ),
    "three hours of audio": Bad(
        lambda _: post(caption=CAPTION, media=[audio(three_hours())]), parts={"audio": "too-long", "text": "used"}
    ),
    "base64 garbage": Bad(
        lambda _: post(caption=CAPTION, media=[image(b"") | {"data": "%%% not base64 %%%"}]),
        parts={"image": "bad-base64", "text": "used"},
    ),
    "uri outside the prefixes": Bad(
        lambda _: post(caption=CAPTION, media=[{"kind": "image", "uri": "s3://elsewhere/cat.jpg"}]),
        parts={"image": "uri-not-allowed", "text": "used"},
    ),
    "uri that climbs out": Bad(
        lambda folder: post(caption=CAPTION, media=[stored(folder, "../../../../etc/passwd")]),
        parts={"image": "uri-not-allowed", "text": "used"},
    ),
    "file://../../etc/passwd": Bad(
        lambda _: post(caption=CAPTION, media=[{"kind": "image", "uri": "file://../../etc/passwd"}]),
        parts={"image": "uri-not-allowed", "text": "used"},
    ),
    "missing object": Bad(
        lambda folder: post(caption=CAPTION, media=[stored(folder, "gone.jpg")]),
        parts={"image": "uri-not-found", "text": "used"},
    ),
    "sha256 that does not match": Bad(
        lambda folder: post(caption=CAPTION, media=[stored(folder, "cat.jpg", sha256="0" * 64)]),
        parts={"image": "digest-mismatch", "text": "used"},
    ),
    "post of 20 MB": Bad(lambda _: post(caption="x" * 20_000_000), ("too-large", "parse")),
    "dated years ahead": Bad(
        lambda _: post(caption=CAPTION, created_at="2099-01-01T00:00:00Z"), parts={"text": "used"}
    ),
    "dated years back": Bad(
        lambda _: post(caption=CAPTION, created_at="1999-01-01T00:00:00Z"), parts={"text": "used"}
    ),
    "tombstone": Bad(lambda _: None, ("empty", "parse")),
}


class Running(NamedTuple):
    """The pipeline at work, and the folder that posts may name files of."""

    platform: Platform
    worker: Worker
    folder: Path


@pytest.fixture(scope="module")
def running(new_platform: Callable[..., Platform], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("media")
    (folder / "cat.jpg").write_bytes(picture("JPEG"))
    platform = new_platform(media=Media(prefixes=(f"file://{folder}/",)))
    with working(platform.settings, tmp_path_factory.mktemp("logs")) as worker:
        yield Running(platform, worker, folder)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_and_counted_and_harms_nobody(running: Running, name: str) -> None:
    bad, (platform, worker, folder) = BAD[name], running
    before = counted(worker, bad)
    left = {"post_id": f"left of {name}", "caption": f"to the left of {name} stands an ordinary post"}
    right = {
        "post_id": f"right of {name}",
        "caption": f"the right neighbour of {name}",
        "media": [image(picture("PNG"))],
    }
    record = bad.record(folder)
    places = platform.publish(left, record, right, partition=0)

    def decided() -> list[Decision]:
        found = {(one.source.partition, one.source.offset): one for one in platform.decisions()}
        return [found[place] for place in places if place in found]

    first, decision, last = eventually(decided, lambda found: len(found) == 3)
    assert (first.post_id, first.outcome, first.parts["text"]) == (f"left of {name}", "clear", "used")
    assert (last.post_id, last.outcome, last.parts["image"]) == (f"right of {name}", "clear", "used")
    assert eventually(lambda: counted(worker, bad), lambda found: found > before or not reasons(bad)) >= before
    if bad.dead is None:
        assert decision.outcome == "clear"
        assert (bad.parts or {}).items() <= decision.parts.items()
        return
    assert (decision.outcome, decision.parts["post"]) == ("dead_letter", bad.dead[0])
    [letter] = [
        letter
        for letter in list_dead_letters(platform.settings, Selection(topic=platform.settings.topics.posts), limit=3)
        if (letter.source_partition, letter.source_offset) == places[1]
    ]
    assert (letter.reason, letter.step) == bad.dead
    assert letter.value == (json.dumps({"schema": SCHEMA} | record).encode() if isinstance(record, dict) else record)
    assert letter.headers == (("trace", b"1"),)


def reasons(bad: Bad) -> dict[str, str]:
    """The parts that were dropped."""
    return {part: reason for part, reason in (bad.parts or {}).items() if reason != "used"}


def counted(worker: Worker, bad: Bad) -> float:
    """What the metrics say of this kind of input."""
    if bad.dead is not None:
        return worker.metric("shoal_dead_letters_total", reason=bad.dead[0], step=bad.dead[1])
    return sum(
        worker.metric("shoal_media_rejections_total", modality=part, reason=reason)
        for part, reason in reasons(bad).items()
    )


def test_a_forged_date_counts_a_minute_ahead_at_most(running: Running) -> None:
    decisions = [one for one in running.platform.decisions() if one.post_id == "bad"]
    assert decisions != []
    for one in decisions:
        year = int(one.decided_at[:4])
        assert year < 2090, one
