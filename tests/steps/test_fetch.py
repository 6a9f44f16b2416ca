from __future__ import annotations

import base64
import hashlib
import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumers.contracts.post import Media, Post
from consumers.contracts.source import Source
from consumers.encoding.work import PostInWork, SourceRecord
from consumers.settings import Limits
from consumers.settings import Media as MediaSettings
from consumers.steps import reasons
from consumers.steps.fetch import allowed_place, fetch
from consumers.steps.reasons import Rejected

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(media_bytes=1_000, parts=3)


def fetched(*media: Media, allowed: MediaSettings | None = None) -> PostInWork:
    work = PostInWork(SourceRecord(Source("posts", "id", 0, 0, 0), None, b""), post=Post(post_id="p", media=media))
    fetch(work, allowed or MediaSettings(), LIMITS)
    return work


def inline(data: bytes, **fields: str) -> Media:
    return Media(kind="image", data=base64.b64encode(data).decode(), **fields)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "a b.jpg").write_bytes(b"picture")
    (folder / "large.jpg").write_bytes(bytes(1_001))
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.txt")
    (folder / "inside.jpg").symlink_to(folder / "a b.jpg")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    for name in ("50%.jpg", "\u00fc.jpg", "a#b?c.jpg"):
        (folder / name).write_bytes(b"picture")
    return folder


def test_inline_files_are_decoded() -> None:
    assert fetched(inline(b"picture")).files == {"image": [b"picture"]}


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        (Media(kind="image", data="not base64!"), reasons.BAD_BASE64),
        (Media(kind="image", data="AAA"), reasons.BAD_BASE64),
        (Media(kind="image", data="\u00e9\u00e9\u00e9\u00e9"), reasons.BAD_BASE64),
        (Media(kind="image", data=""), reasons.EMPTY),
        (Media(kind="image"), reasons.NO_CONTENT),
        (inline(bytes(1_001)), reasons.TOO_LARGE),
        (inline(b"picture", sha256="0" * 64), reasons.DIGEST_MISMATCH),
        (Media(kind="image", uri="http://example.org/a.jpg"), reasons.URI_NOT_ALLOWED),
    ],
)
def test_a_file_that_cannot_be_had_leaves_its_reason_and_the_others_count(media: Media, reason: str) -> None:
    work = fetched(media, Media(kind="audio", data="QUJD"))
    assert work.parts == {"image": reason}
    assert work.files["audio"] == [b"ABC"]
    assert not work.files.get("image")


def test_a_part_of_an_unknown_kind_is_dropped_under_a_name_of_ours() -> None:
    work = fetched(Media(kind="hologram-42", data="QUJD"), inline(b"picture"))
    assert work.parts == {"media": reasons.UNKNOWN_KIND}
    assert work.files == {"image": [b"picture"]}


def test_the_text_that_held_the_files_is_freed() -> None:
    work = fetched(inline(b"picture"))
    assert work.post is not None
    assert work.post.media == ()


@given(st.binary(max_size=40))
def test_what_is_encoded_is_decoded_again(content: bytes) -> None:
    assert fetched(inline(content + b"x")).files == {"image": [content + b"x"]}


def decoded_strictly(data: str) -> bytes:
    """What the standard library reads, but no padding after whole groups, which it lets pass (RFC 4648, 4)."""
    digits = data.rstrip("=")
    if len(data) - len(digits) != -len(digits) % 4:
        message = "wrong padding"
        raise ValueError(message)
    return base64.b64decode(data, validate=True)


@example("0000=")
@given(st.text(alphabet="ABab01+/=-_ \n\u00e9", max_size=12))
def test_base64_is_read_as_strictly_as_by_the_standard_library(data: str) -> None:
    try:
        expected = decoded_strictly(data)
    except ValueError:
        assert fetched(Media(kind="image", data=data)).parts == {"image": reasons.BAD_BASE64}
    else:
        assert fetched(Media(kind="image", data=data)).files["image"] == [expected] * bool(expected)


def test_a_matching_digest_is_accepted_in_either_case() -> None:
    digest = hashlib.sha256(b"picture").hexdigest()
    for given_digest in (digest, digest.upper()):
        assert fetched(inline(b"picture", sha256=given_digest)).files == {"image": [b"picture"]}


def test_parts_over_the_limit_are_dropped() -> None:
    work = fetched(*[inline(bytes([number + 1])) for number in range(5)])
    assert len(work.files["image"]) == 3
    assert work.parts == {"image": reasons.TOO_MANY_PARTS}


def test_files_below_an_allowed_prefix_are_read(store: Path) -> None:
    allowed = MediaSettings(prefixes=(f"file://{store}",))
    assert fetched(Media(kind="image", uri=f"file://{store}/a%20b.jpg"), allowed=allowed).files == {
        "image": [b"picture"]
    }


@pytest.mark.parametrize(
    "path", ["50%25.jpg", "%C3%BC.jpg", "\u00fc.jpg", "a%23b%3Fc.jpg", "a#b?c.jpg", "inside.jpg"]
)
def test_every_file_name_can_be_told(store: Path, path: str) -> None:
    allowed = MediaSettings(prefixes=(f"file://{store}/",))
    assert fetched(Media(kind="image", uri=f"file://{store}/{path}"), allowed=allowed).files == {
        "image": [b"picture"]
    }


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/absent.jpg", reasons.URI_NOT_FOUND),
        ("/large.jpg", reasons.TOO_LARGE),
        ("/../secret.txt", reasons.URI_NOT_ALLOWED),
        ("/%2e%2e/secret.txt", reasons.URI_NOT_ALLOWED),
        ("/..%2fsecret.txt", reasons.URI_NOT_ALLOWED),
        ("/link.jpg", reasons.URI_NOT_ALLOWED),
        ("/circle.jpg", reasons.URI_NOT_FOUND),
        ("/folder", reasons.URI_NOT_FOUND),
        ("/pipe.jpg", reasons.URI_NOT_FOUND),
        ("/%00.jpg", reasons.URI_NOT_ALLOWED),
        ("/" + "x" * 5_000, reasons.URI_NOT_FOUND),
        ("/a//a%20b.jpg", reasons.URI_NOT_ALLOWED),
        ("-elsewhere/a.jpg", reasons.URI_NOT_ALLOWED),
        ("/", reasons.URI_NOT_ALLOWED),
    ],
)
def test_nothing_outside_the_prefix_is_read(store: Path, path: str, reason: str) -> None:
    allowed = MediaSettings(prefixes=(f"file://{store}",))
    work = fetched(Media(kind="image", uri=f"file://{store}{path}"), allowed=allowed)
    assert work.parts == {"image": reason}


@given(st.text(max_size=30))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_stands_after_the_prefix_gives_the_file_or_a_reason(store: Path, path: str) -> None:
    allowed = MediaSettings(prefixes=(f"file://{store}",))
    work = fetched(Media(kind="image", uri=f"file://{store}/{path}"), allowed=allowed)
    assert work.files.get("image") == [b"picture"] or work.parts["image"].startswith("uri-")


def test_a_store_that_does_not_answer_drops_the_part_in_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        allowed = MediaSettings(
            prefixes=("s3://bucket/posts/",),
            timeout_seconds=0.3,
            options={
                "s3://bucket/posts/": {
                    "endpoint": address,
                    "access_key_id": "x",
                    "secret_access_key": "y",
                    "region": "z",
                    "allow_http": "true",
                }
            },
        )
        work = fetched(Media(kind="image", uri="s3://bucket/posts/a.jpg"), allowed=allowed)
    assert work.parts == {"image": reasons.URI_UNREADABLE}


def test_the_password_file_is_not_read() -> None:
    work = fetched(
        Media(kind="image", uri="file://../../etc/passwd"), allowed=MediaSettings(prefixes=("file:///srv/",))
    )
    assert work.parts == {"image": reasons.URI_NOT_ALLOWED}


@given(st.text(max_size=40))
def test_a_path_never_leaves_its_prefix(path: str) -> None:
    try:
        _, below = allowed_place("s3://bucket/posts/" + path, ("s3://bucket/posts",))
    except Rejected as rejection:
        assert rejection.reason == reasons.URI_NOT_ALLOWED
    else:
        assert ".." not in below.split("/")
        assert not below.startswith("/")
