"""A bank's lines become verdicts that mean the same wherever and however often they are imported."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.changes.bank import BankError, Gaps, export_bank, import_bank, verdict_of
from consumers.contracts.bank import BankLine
from consumers.contracts.verdict import Verdict
from consumers.embedded import embedded_broker, embedded_redis
from consumers.kafka.lookup import read_topic
from consumers.options import settings_from
from consumers.settings import Limits, Settings
from consumers.state.codec import StateChanges
from consumers.state.reading import opened_state
from tests.bundles import write_tiny_bundle
from tests.cells.small_cells import Cell, directions, manifest, near, post, source, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = manifest()
HERE = Path("/nowhere")
TEXT = {"caption": "double your coins"}
A, B = directions(2)
VECTOR = A.astype("<f2").tobytes()
FUSED = {"bundle": MANIFEST.bundle_id, "vector": base64.b64encode(VECTOR).decode()}


def read(folder: Path = HERE, gaps: Gaps = Gaps(), limits: Limits = Limits(), **fields: Any) -> Verdict:  # noqa: B008
    line = msgspec.convert({"policy": "scam"} | fields, BankLine)
    return verdict_of(line, folder, Settings(limits=limits), MANIFEST, gaps)


def test_a_line_is_a_verdict_with_its_whole_post() -> None:
    found = read(post=TEXT | {"post_id": "p", "surface": "feed"}, source={"list": "coins", "id": "7"})
    assert found.post is not None
    assert (found.decision, found.policy, found.actor, found.note) == ("uphold", "scam", "bank:coins", "coins 7")
    assert (found.post.post_id, found.post.caption, found.post.surface) == ("p", "double your coins", "feed")


def test_gaps_are_filled_and_nothing_else_is_replaced() -> None:
    gaps = Gaps("spam", "ada", "list")
    assert (read(gaps=gaps, post=TEXT).policy, read(gaps=gaps, post=TEXT, policy=None).policy) == ("scam", "spam")
    assert (read(gaps=gaps, post=TEXT).actor, read(gaps=gaps, post=TEXT, actor="bob").actor) == ("ada", "bob")
    assert read(gaps=Gaps(source="list"), post=TEXT).actor == "bank:list"
    assert read(gaps=Gaps(source="list"), post=TEXT, source={"list": "own"}).actor == "bank:own"


def test_a_post_without_an_id_has_one_that_stays() -> None:
    named = read(post=TEXT, source={"list": "coins", "id": "7"})
    first, again, other = read(post=TEXT), read(post=TEXT), read(post={"caption": "another"})
    assert all(found.post is not None for found in (named, first, again, other))
    ids = [found.post.post_id for found in (named, first, again, other) if found.post is not None]
    assert ids[0] == "coins/7"
    assert ids[1] == ids[2] != ids[3]


@given(st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9), st.sampled_from(["uphold", "overturn"]))
def test_the_same_entry_is_the_same_verdict_and_another_is_another(name: str, entry: str, decision: str) -> None:
    def identity(name: str, entry: str, **fields: Any) -> str:
        return read(**{"post": TEXT, "decision": decision, "source": {"list": name, "id": entry}} | fields).verdict_id

    one = identity(name, entry)
    assert one == identity(name, entry)
    assert one == identity(name, entry, post={"caption": "corrected"}, actor="somebody else"), (
        "the entry's id says it"
    )
    assert one != identity(name + "x", entry)
    assert one != identity(name, entry + "x")
    assert one != identity(name, entry, policy="spam")
    assert one != identity(name, entry, decision={"uphold": "overturn", "overturn": "uphold"}[decision])


def test_without_an_entry_the_content_says_which_it_is() -> None:
    assert read(post=TEXT).verdict_id == read(post=TEXT).verdict_id
    assert read(post=TEXT).verdict_id != read(post=TEXT | {"caption": "another"}).verdict_id
    assert read(post=TEXT).verdict_id != read(post=TEXT, source={"list": "coins"}).verdict_id
    assert read(post_id="p", fused=FUSED).verdict_id == read(post_id="p", fused=FUSED).verdict_id


def test_an_exported_verdict_keeps_its_id() -> None:
    found = read(post_id="p", fused=FUSED, verdict_id="v-1", actor="ada", decision="overturn")
    assert (found.verdict_id, found.actor, found.decision, found.post_id) == ("v-1", "ada", "overturn", "p")
    assert found.fused is not None
    assert found.fused.vector == VECTOR


def test_files_beside_the_bank_are_put_into_the_post(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(b"an image")
    found = read(tmp_path, post={"media": [{"kind": "image", "path": "images/1.jpg", "media_id": "m"}]})
    assert found.post is not None
    [media] = found.post.media
    assert (base64.b64decode(media.data or ""), media.media_id) == (b"an image", "m")
    assert "path" not in json.loads(msgspec.json.encode(found))["post"]["media"][0]


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "/etc/passwd", "link.jpg", "absent.jpg", "images", "large.jpg", "a\0"]
)
def test_a_file_elsewhere_or_that_cannot_be_had_refuses_the_line(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "bank"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "large.jpg").write_bytes(b"x" * 100)
    with pytest.raises(BankError) as caught:
        read(folder, limits=Limits(media_bytes=50), post={"media": [{"kind": "image", "path": path}]})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "either a post, or a post_id"),
        ({"post": TEXT, "post_id": "p", "fused": FUSED}, "either a post"),
        ({"post": TEXT, "post_id": "p"}, "either a post"),
        ({"post_id": "p"}, "either a post"),
        ({"fused": FUSED}, "either a post"),
        ({"post": TEXT, "policy": None}, "no policy"),
        ({"post": TEXT, "policy": "Not A Name"}, "policy must"),
        ({"post": TEXT, "actor": "a" * 1000}, "actor must"),
        ({"post_id": "p", "fused": FUSED | {"bundle": "other-1"}}, "of bundle other-1, this is small-"),
        ({"post_id": "p", "fused": FUSED | {"vector": "AAAA"}}, "no unit vector"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(BankError, match=text):
        read(**fields)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("bundle") / "small"
    write_tiny_bundle(folder)
    with embedded_broker() as broker, embedded_redis() as url:
        given = [f"kafka.bootstrap_servers={broker.address}", "kafka.delivery=at-least-once", f"redis.url={url}"]
        settings = settings_from(None, [*given, f"bundle={folder}", "assign.cells=2", "limits.post_bytes=2000"])
        broker.create(settings.topics.verdicts)
        yield settings


def as_changes(cell: Cell) -> StateChanges:
    changes = StateChanges()
    for entry in cell.store.entries():
        changes.set(entry.kind, entry.field, entry.value)
    return changes


def sent(settings: Settings) -> list[Verdict]:
    values = [message.value() or b"" for message in read_topic(settings, settings.topics.verdicts)]
    return [msgspec.json.decode(value, type=Verdict) for value in values]


def test_bad_lines_are_told_by_their_number_and_passed_over(running: Settings, tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    lines = [
        json.dumps({"post": TEXT | {"post_id": "one"}}),
        "nonsense",
        "",
        json.dumps({"policy": "scam"}),
        json.dumps({"schema": "shoal.bank/2", "post": TEXT}),
        json.dumps({"post": {"caption": "x" * 2500}}),
        json.dumps({"post": TEXT | {"post_id": "two"}, "decision": "overturn"}),
    ]
    path.write_text("\n".join(lines))
    refused: list[str] = []
    done: list[tuple[int, int]] = []
    count = import_bank(
        running, MANIFEST, path, Gaps(policy="scam"), refused.append, lambda *given: done.append(given)
    )
    assert count == 2
    assert [line.split(": ")[0] for line in refused] == [f"{path}:{number}" for number in (2, 4, 5, 6)]
    assert done[-1] == (path.stat().st_size, path.stat().st_size)
    found = {found.post.post_id: found for found in sent(running) if found.post is not None}
    assert {name: one.decision for name, one in found.items()} == {"one": "uphold", "two": "overturn"}


def test_what_verdicts_say_is_exported_once_and_read_again(running: Settings, tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    cell = Cell()
    cell.add(post(0, A), post(1, B), verdict(1, post_id="post-0"), verdict(2, "overturn", post_id="post-1"))
    carried = near(A, 0.9).astype("<f2").tobytes()
    cell.add(verdict(3, post_id="old", vector=carried, source=source(900), policy="spam", actor="bob"))
    with opened_state(running) as (bundle, store):
        for number in range(2):  # the second cell holds copies
            store.claim(number, "owner")
            store.write(number, "owner", None, 0, as_changes(cell), b"")
    assert export_bank(running, path, None) == 3
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {(line["verdict_id"], line.get("decision", "uphold"), line["actor"]) for line in lines} == {
        ("verdict-1", "uphold", "ada"),
        ("verdict-2", "overturn", "ada"),
        ("verdict-3", "uphold", "bob"),
    }
    assert {line["fused"]["bundle"] for line in lines} == {bundle.bundle_id}
    [old] = [line for line in lines if line["verdict_id"] == "verdict-3"]
    assert base64.b64decode(old["fused"]["vector"]) == carried
    assert export_bank(running, path, "spam") == 1
