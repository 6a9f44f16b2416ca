"""Redis is compared with the fold of the log: nothing that differs is passed over, and nothing is made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pytest
import redis

from consumers.contracts import cell_log
from consumers.embedded import embedded_broker, embedded_redis
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.names import cell_log_topic
from consumers.options import settings_from
from consumers.recovery.verify import VerifyError, differences, verify_cell
from consumers.state import codec
from consumers.state.codec import ClusterValue, Entry, StateChanges
from consumers.state.keys import CellKeys
from consumers.state.store import StateStore
from tests.cells.small_cells import Cell, dead, directions, manifest, near, post, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.contracts.cell_log import Record
    from consumers.settings import Settings

MANIFEST = manifest()
A, B, C = directions(3)


def records() -> list[Record]:
    """Posts around three directions, a dead letter, and a verdict that labels the first cluster."""
    made: list[Record] = [post(n, near((A, B, C)[n % 3], 0.9, seed=n)) for n in range(700)]
    made[40] = dead(40)
    made[60] = verdict(60, post_id="post-57")
    return made


class Stored(NamedTuple):
    """A cell in Redis, and its log."""

    settings: Settings
    store: StateStore
    client: Any
    keys: CellKeys

    def verify(self) -> Any:
        return verify_cell(self.settings, MANIFEST, self.store, 0)

    def write(self, expected: int | None, position: int, changes: StateChanges) -> None:
        self.store.write(0, "owner", expected, position, changes, b"")


@pytest.fixture(scope="module")
def _servers() -> Iterator[tuple[str, str]]:
    with embedded_broker() as broker, embedded_redis() as url:
        yield broker.address, url


@pytest.fixture
def stored(_servers: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Stored]:
    address, url = _servers
    name = f"cells-{abs(hash(request.node.name))}"
    settings = settings_from(
        None,
        [f"kafka.bootstrap_servers={address}", "kafka.delivery=at-least-once", f"topics.cells={name}",
         f"redis.url={url}", f"redis.prefix={name}", "kafka.request_timeout_seconds=5"],
    )  # fmt: skip
    delivery = open_delivery(settings, "test")
    topic = cell_log_topic(settings, MANIFEST.bundle_id)
    delivery.deliver([Outgoing(topic, None, cell_log.encode(record), partition=0) for record in records()])
    delivery.close()
    store = StateStore(settings.redis, MANIFEST.bundle_id, 1)
    found = Stored(settings, store, redis.Redis.from_url(url), CellKeys(settings.redis, MANIFEST.bundle_id, 1, 0))
    store.claim(0, "owner")
    cell = Cell(settings)
    found.write(None, 0, cell.fold.first_changes())
    for start, end in ((0, 1), (1, 400), (400, 650)):
        found.write(start, end, cell.add(*records()[start:end]).changes)
    yield found
    store.close()


def test_a_cell_that_is_as_its_log_says_has_no_differences(stored: Stored) -> None:
    verified = stored.verify()
    assert (verified.cell, verified.position, verified.differences) == (0, 650, ())
    assert verified.clusters == 3
    assert verified.entries > 100


def test_a_cell_that_redis_does_not_hold_is_none(stored: Stored) -> None:
    stored.client.delete(stored.keys.meta)
    assert stored.verify() is None


@pytest.mark.parametrize(
    "kind", ["clusters", "members", "evidence", "labels", "marks", "clock", "settings", "flagged"]
)
def test_an_entry_that_is_gone_is_told(stored: Stored, kind: Any) -> None:
    field = next(iter(stored.client.hkeys(stored.keys.of(kind)))).decode()
    stored.client.hdel(stored.keys.of(kind), field)
    [found] = stored.verify().differences
    assert (found.kind, found.field, found.text) == (kind, field, "Redis lacks it")


def test_an_entry_too_many_and_one_with_another_value_are_told(stored: Stored) -> None:
    stored.client.hset(stored.keys.of("marks"), "strange", b"x")
    [field] = stored.client.hkeys(stored.keys.of("labels"))
    stored.client.hset(stored.keys.of("labels"), field, b"y")
    texts = {found.kind: found.text for found in stored.verify().differences}
    assert texts == {"marks": "the log knows nothing of it", "labels": "another value"}


def test_a_cluster_that_lost_a_batch_is_told_with_its_count(stored: Stored) -> None:
    key = stored.keys.of("clusters")
    value = codec.decode(ClusterValue, Entry("clusters", "0", stored.client.hget(key, "0")))
    fewer = msgspec.structs.replace(value, count=value.count - 3)
    stored.client.hset(key, "0", codec.encode(fewer))
    [found] = stored.verify().differences
    assert (found.kind, found.field) == ("clusters", "0")
    assert found.text == f"{value.count - 3} posts, the log says {value.count}"


def test_a_log_that_is_shorter_than_the_position_cannot_be_compared(stored: Stored) -> None:
    stored.write(650, 900, StateChanges())
    with pytest.raises(VerifyError, match="offsets 0 to 700, and Redis is at 900"):
        stored.verify()


def test_a_state_that_is_always_being_written_is_not_judged(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    read = stored.store.read
    moved = iter(range(651, 700))

    def busy(cell: int) -> Any:
        stored.client.hset(stored.keys.meta, "position", next(moved))
        return read(cell)

    monkeypatch.setattr(stored.store, "read", busy)
    with pytest.raises(VerifyError, match="written while it was read"):
        stored.verify()


def test_progress_ends_with_all_of_the_log(stored: Stored) -> None:
    told: list[tuple[int, int]] = []
    verify_cell(stored.settings, MANIFEST, stored.store, 0, lambda done, whole: told.append((done, whole)))
    assert told == [(512, 650), (650, 650)]


def cluster(sums: list[float], **changes: Any) -> bytes:
    given: dict[str, Any] = {
        "weight": 2.0, "squares": 1.5, "sums": np.array(sums, dtype="<f4").tobytes(), "time": 5, "count": 2,
        "opened": 1, "seen": 5, "members": (0, 1),
    } | changes  # fmt: skip
    return codec.encode(ClusterValue(**given))


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (cluster([1.0, 2.0]), None),
        (cluster([1.0, 2.0000002]), "another sums; centroids 4.3e-08 apart"),
        (cluster([1.0, 2.0], weight=2.0000001), "another weight; centroids 0 apart"),
        (cluster([1.0, 2.0], members=(0,)), "another members; centroids 0 apart"),
        (cluster([1.0, 2.0], count=3), "3 posts, the log says 2"),
        (cluster([1.0, 2.0, 0.0]), "another sums; centroids inf apart"),
        (b"nothing", "it cannot be read"),
    ],
)
def test_clusters_are_compared_to_the_last_byte(held: bytes, told: str | None) -> None:
    found = list(differences({("clusters", "0"): cluster([1.0, 2.0])}, {("clusters", "0"): held}))
    assert [difference.text for difference in found] == ([] if told is None else [told])
