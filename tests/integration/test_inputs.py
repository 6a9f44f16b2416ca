"""What moderators and operators put in, on a real Kafka and a real Redis: banks, policies, erasures."""

from __future__ import annotations

import base64
import io
import json
import random
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from consumers.bundles import find_bundle
from consumers.changes.bank import Gaps, export_bank, import_bank
from consumers.changes.erase import erase_post
from consumers.changes.settings import settings_in_force
from consumers.changes.verdicts import verdict_message
from consumers.contracts.verdict import Verdict
from consumers.kafka.dead_letters import list_dead_letters
from consumers.kafka.delivery import open_delivery
from consumers.kafka.lookup import read_topic
from consumers.settings import Assign, Limits, Verdicts
from consumers.shown.settings import apply_policies
from consumers.state import codec
from consumers.state.codec import EvidenceValue, LabelValue
from consumers.state.keys import KINDS
from consumers.state.reading import opened_state
from models.manifest import read_manifest
from tests.integration.platform import eventually, working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.platform import Platform, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

CELLS = Assign(cells=2, batch_wait_ms=5.0)


def photo(seed: int) -> bytes:
    """A picture of its own, as a PNG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def variants(topic: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    """Captions that are alike, about something of their own."""
    caption = "".join(random.Random(topic).choices("abcdefghijklmnopqrstuvwxyz     ", k=90))
    return [{"post_id": f"{topic}-{n}", "caption": f"{caption} {n}"} for n in range(start, start + count)]


@pytest.fixture(scope="module")
def running(
    new_platform: Callable[..., Platform], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, Worker]]:
    """A platform of two cells with one worker; each test has captions and policies of its own."""
    limits = Limits(post_bytes=3 * 2**20, media_bytes=2 * 2**20)
    platform = new_platform(assign=CELLS, limits=limits, verdicts=Verdicts(actors=("moderator", "bank:*", "ada")))
    with working(platform.settings, tmp_path_factory.mktemp("worker")) as worker:
        yield platform, worker
    assert platform.state_differences() == []


@pytest.fixture
def platform(running: tuple[Platform, Worker]) -> Platform:
    return running[0]


def bring_in(platform: Platform, path: Path, *lines: dict[str, Any], **gaps: str) -> list[str]:
    """Import lines; gives what was refused."""
    if lines:
        path.write_text("\n".join(json.dumps(line) for line in lines))
    refused: list[str] = []
    import_bank(
        platform.settings, read_manifest(find_bundle(platform.settings.bundle)), path, Gaps(**gaps), refused.append
    )
    return refused


def evidence(platform: Platform) -> dict[str, EvidenceValue]:
    """The verdicts that count, over all cells."""
    with opened_state(platform.settings) as (_, store):
        found = [entry for cell in range(CELLS.cells) for entry in store.entries(cell, "evidence")]
    return {entry.field: codec.decode(EvidenceValue, entry) for entry in found}


def labels(platform: Platform, policy: str) -> list[tuple[str, float, int, int]]:
    """The labels under a policy in every cell."""
    with opened_state(platform.settings) as (_, store):
        found = [entry for cell in range(CELLS.cells) for entry in store.entries(cell, "labels")]
    values = [codec.decode(LabelValue, entry) for entry in found if entry.field.endswith(f":{policy}")]
    return sorted((value.state, value.bound, value.upheld, value.overturned) for value in values)


def counted(platform: Platform, policy: str, count: int) -> None:
    """Wait until so many verdicts count under a policy."""

    def found() -> int:
        return sum(value.policy == policy for value in evidence(platform).values())

    eventually(found, lambda number: number >= count)


def outcomes(platform: Platform, *posts: dict[str, Any]) -> list[str]:
    """Publish posts; gives what was decided about each."""
    wanted = {post["post_id"] for post in posts}
    platform.publish(*posts)

    def decided() -> dict[str | None, str]:
        return {one.post_id: one.outcome for one in platform.decisions() if one.post_id in wanted}

    found = eventually(decided, lambda found: found.keys() >= wanted)
    return [found[post["post_id"]] for post in posts]


def dead_letters(platform: Platform, reason: str) -> list[Verdict]:
    found = [letter for letter in list_dead_letters(platform.settings) if letter.reason == reason]
    return [msgspec.json.decode(letter.value or b"", type=Verdict) for letter in found]


def test_a_bank_flags_posts_from_the_first_on_and_is_counted_once(
    running: tuple[Platform, Worker], tmp_path: Path
) -> None:
    platform, worker = running
    image = photo(seed=3)
    (tmp_path / "image.png").write_bytes(image)
    known = [
        {"post": post, "policy": "coins", "source": {"list": "coins", "id": post["post_id"]}}
        for post in variants("coins", 2)
    ]
    known.append(
        {"post": {"media": [{"kind": "image", "path": "image.png"}]}, "source": {"list": "images", "id": "1"}}
    )
    assert bring_in(platform, tmp_path / "bank.jsonl", *known, policy="pictures") == []
    counted(platform, "coins", 1)
    counted(platform, "pictures", 1)
    before = evidence(platform)
    copy = {"post_id": "copy", "media": [{"kind": "image", "data": base64.b64encode(image).decode()}]}
    other = {"post_id": "other", "media": [{"kind": "image", "data": base64.b64encode(photo(seed=4)).decode()}]}
    assert outcomes(platform, *variants("coins", 2, 5), copy, other) == ["flagged", "flagged", "flagged", "clear"]

    def duplicates() -> float:
        return worker.metric("shoal_verdicts_total", decision="uphold", outcome="duplicate")

    known_before = duplicates()
    assert bring_in(platform, tmp_path / "bank.jsonl", policy="pictures") == []
    eventually(duplicates, lambda found: found >= known_before + 3)
    assert evidence(platform) == before


def test_what_cannot_be_used_is_a_dead_letter_and_harms_no_neighbour(platform: Platform) -> None:
    def give(number: int, **fields: Any) -> Any:
        given = {"verdict_id": f"mixed-{number}", "decision": "uphold", "policy": "mixed", "actor": "moderator"}
        return verdict_message(platform.settings, msgspec.convert(given | fields, Verdict))

    post, second = variants("mixed", 2)
    large = {"kind": "image", "data": base64.b64encode(random.Random(0).randbytes(2 * 2**20)).decode()}
    delivery = open_delivery(platform.settings, "test-of-mixed-verdicts")
    delivery.deliver(
        [
            give(0, post=post),
            give(1, post={"post_id": "nothing in it"}),
            give(2, post=second | {"media": [large]}),
            give(3, post=post, actor="mallory"),
            give(4, post_id="p", fused={"bundle": "another-1", "vector": "AAAA"}),
        ]
    )
    delivery.close()
    counted(platform, "mixed", 1)
    eventually(lambda: dead_letters(platform, "wrong-bundle"), bool)
    assert [one.verdict_id for one in dead_letters(platform, "no-parts")] == ["mixed-1"]
    assert [one.actor for one in dead_letters(platform, "actor-not-allowed")] == ["mallory"]
    assert outcomes(platform, *variants("mixed", 1, 7)) == ["flagged"]


def test_policies_change_by_a_record_in_every_log(platform: Platform, tmp_path: Path) -> None:
    before = settings_in_force(platform.settings)
    path = tmp_path / "policies.toml"
    path.write_text('schema = "shoal.policies/1"\nversion = 1\n[[policies]]\nname = "trial"\nmode = "shadow"\n')
    list(apply_policies(platform.settings, path, actor="ada", dry_run=False))

    def versions() -> list[int]:
        with opened_state(platform.settings) as (_, store):
            found = [store.some_entries(cell, "settings", ["settings"])[0] for cell in range(CELLS.cells)]
        return [codec.decode(codec.SettingsValue, entry).settings.policies_version for entry in found]

    eventually(versions, lambda found: found == [1, 1])
    after = settings_in_force(platform.settings)
    assert [found.rule("trial").mode for found in before + after] == ["live", "live", "shadow", "shadow"]
    about = variants("trial", 1)[0]
    bring_in(platform, tmp_path / "bank.jsonl", {"post": about, "policy": "trial"}, actor="ada")
    counted(platform, "trial", 1)
    assert outcomes(platform, *variants("trial", 1, 3)) == ["clear"]
    [flag] = [flag for flag in platform.flags() if flag.policy == "trial"]
    assert (flag.mode, flag.policy_version) == ("shadow", after[0].rule("trial").version)
    assert flag.policy_version != before[0].rule("trial").version


def test_an_exported_bank_means_the_same_elsewhere(
    platform: Platform, new_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    posts = variants("moving", 6)
    assert outcomes(platform, *posts[:3]) == ["clear"] * 3
    decided = {one.post_id: one for one in platform.decisions()}
    platform.give_verdict("uphold", "moving", decided["moving-0"])
    platform.give_verdict("uphold", "moving", decided["moving-1"], "ada")
    away = variants("exception", 1)[0]
    bring_in(platform, tmp_path / "in.jsonl", {"post": away, "decision": "overturn", "policy": "moving"}, actor="ada")
    counted(platform, "moving", 3)
    path = tmp_path / "out.jsonl"
    assert export_bank(platform.settings, path, "moving") == 3

    other = new_platform(assign=CELLS)
    with working(other.settings, tmp_path):
        assert bring_in(other, path) == []
        counted(other, "moving", 3)
        assert outcomes(other, *posts[3:], away) == ["flagged"] * 3 + ["clear"]
        assert labels(other, "moving") == labels(platform, "moving")
        flags = {flag.post_id: flag for flag in other.flags()}
    assert other.state_differences() == []
    assert outcomes(platform, *posts[3:]) == ["flagged"] * 3
    here = {flag.post_id: flag for flag in platform.flags() if flag.policy == "moving"}
    for name, flag in flags.items():
        assert flag.exemplar == here[name].exemplar
        assert flag.bound == here[name].bound


def test_an_erased_post_is_in_no_entry_of_redis(platform: Platform, tmp_path: Path) -> None:
    posts = variants("erasing", 5)
    outcomes(platform, *posts[:3])
    about = {one.post_id: one for one in platform.decisions()}["erasing-1"]
    platform.give_verdict("uphold", "erasing", about)
    counted(platform, "erasing", 1)
    assert outcomes(platform, posts[3]) == ["flagged"]
    found = erase_post(platform.settings, "erasing-1", patience_seconds=60.0)
    assert sum(erased.entries or 0 for erased in found) >= 3, "a member, a flagged post, evidence"
    assert all(erased.entries is not None for erased in found)
    with opened_state(platform.settings) as (_, store):
        for cell in range(CELLS.cells):
            for kind in KINDS:
                for entry in store.entries(cell, kind):
                    assert b"erasing-1" not in entry.value + entry.field.encode(), (kind, entry.field)
        states = [store.read(cell) for cell in range(CELLS.cells)]
    assert all(state is not None and not any(b"erasing-1" in kept.data for kept in state.outputs) for state in states)
    assert outcomes(platform, posts[4]) == ["clear"], "its evidence is gone"
    assert not any(
        b'"retract"' in (message.value() or b"")
        for message in read_topic(platform.settings, platform.settings.topics.flags)
        if message.key() == b"erasing-3"
    )
    assert [erased.entries for erased in erase_post(platform.settings, "erasing-1", patience_seconds=60.0)] == [0, 0]


def test_erasing_where_nobody_owns_the_cells_says_so(new_platform: Callable[..., Platform]) -> None:
    lonely = new_platform()
    assert [tuple(found) for found in erase_post(lonely.settings, "somebody's", patience_seconds=0.5)] == [(0, None)]
