"""Whatever Redis does to a cell: it is noticed, told, made good from the log, and encoding goes on meanwhile."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from consumers.names import cell_log_topic, cell_name
from consumers.settings import Assign, Redis
from tests.integration.exactly_once import assert_exactly_once, caption
from tests.integration.platform import Platform, eventually, make_topics, working
from tests.proxy import proxied
from tests.redis_servers import own_redis, redis_cluster, replicated_redis, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.platform import Worker
    from tests.redis_servers import RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

TIMEOUT_SECONDS = 2.0


class Life:
    """A worker's life with a Redis that is not kind to it: one fault after the other, and posts all the time."""

    def __init__(self, platform: Platform, worker: Worker) -> None:
        self.platform = platform
        self.worker = worker
        self.published: list[tuple[int, int]] = []
        self._log = cell_log_topic(platform.settings, platform.bundle)

    def posts(self, count: int = 10) -> None:
        """Publish the next posts."""
        start = len(self.published)
        self.published += self.platform.publish(*(caption(number) for number in range(start, start + count)))

    def all_is_decided(self) -> None:
        """Wait until every post has its decision, and no cell is in trouble any more."""
        self.platform.decided(len(self.published))
        cells = self.platform.settings.assign.cells
        eventually(self.waiting, lambda waiting: waiting == 0)
        assert [self.worker.metric("shoal_cell_stopped", cell=str(cell)) for cell in range(cells)] == [0] * cells

    def waiting(self) -> float:
        """How many cells are not worked on now."""
        cells = range(self.platform.settings.assign.cells)
        return sum(self.worker.metric("shoal_cell_waiting", cell=str(cell)) for cell in cells)

    def key(self, cell: int, name: str) -> str:
        """A key of a cell in Redis."""
        settings = self.platform.settings
        return f"{settings.redis.prefix}:{{{cell_name(self.platform.bundle, settings.assign.cells, cell)}}}:{name}"

    def refusals(self, reason: str) -> float:
        """Batches and take-overs given up so far for a reason."""
        return self.worker.metric("shoal_aborts_total", consumer="assign", reason=reason)

    def folded_again(self) -> float:
        """Records folded again so far."""
        cells = range(self.platform.settings.assign.cells)
        return sum(self.worker.metric("shoal_folded_again_records_total", cell=str(cell)) for cell in cells)

    def encoded(self) -> int:
        """Records in the cell log."""
        return len(self.platform.values(self._log))

    @contextmanager
    def outage(self, reason: str = "redis") -> Iterator[None]:
        """Redis takes no writes within the block: it is noticed and told, nothing is decided, encoding goes on."""
        before, decided, encoded = self.refusals(reason), len(self.platform.decisions()), self.encoded()
        told = len(self.worker.events("cell will be taken over again"))
        self.posts()
        eventually(lambda: self.refusals(reason), lambda found: found > before)
        eventually(self.waiting, lambda found: found > 0)
        eventually(lambda: len(self.worker.events("cell will be taken over again")), lambda found: found > told)
        self.posts()
        eventually(self.encoded, lambda found: found >= encoded + 20)
        assert len(self.platform.decisions()) == decided
        yield
        self.all_is_decided()

    @contextmanager
    def loss(self) -> Iterator[None]:
        """Redis loses state within the block: a call of the owner's tells, and the log is folded again."""
        before, refused = self.folded_again(), self.refusals("stale-owner")
        yield
        self.posts()
        self.all_is_decided()
        assert self.refusals("stale-owner") > refused
        assert self.folded_again() > before
        assert self.worker.events("Redis has lost state: the log is folded again") != []


@contextmanager
def living(given: Platform, tmp_path: Path, url: str, *, cluster: bool = False) -> Iterator[Life]:
    """A worker on this Redis with a labelled cluster of posts; in the end all is exactly once and as the log says."""
    section = Redis(url=url, prefix="own", timeout_seconds=TIMEOUT_SECONDS, cluster=cluster)
    platform = Platform(given.settings.model_copy(update={"redis": section}))
    make_topics(platform)
    with working(platform.settings, tmp_path) as worker:
        life = Life(platform, worker)
        life.posts(20)
        found = platform.decided(20)
        platform.give_verdict("uphold", "scam", found["post-1"])
        life.posts(20)
        life.all_is_decided()
        yield life
        life.posts()
        life.all_is_decided()
    assert_exactly_once(platform, life.published)
    assert platform.state_differences() == []
    assert {flag.cause for flag in platform.flags()} == {"live", "retroactive"}


def test_a_redis_that_takes_no_writes_for_a_while(platform: Platform, tmp_path: Path) -> None:
    """Out of memory, read-only, too few replicas, its writes held back, its scripts forgotten."""
    with own_redis() as server, living(platform, tmp_path, server.url) as life:
        server.fill()
        with life.outage():
            server.empty()
        server.make_read_only()
        with life.outage():
            server.promote()
        server.client.config_set("min-replicas-to-write", 1)
        with life.outage():
            server.client.config_set("min-replicas-to-write", 0)
        server.client.client_pause(60_000, all=False)
        with life.outage():
            server.client.client_unpause()
        refused = life.refusals("redis")
        server.client.script_flush()
        life.posts()
        life.all_is_decided()
        assert life.refusals("redis") == refused
        assert life.folded_again() == 0


def test_a_redis_that_loses_state(platform: Platform, tmp_path: Path) -> None:
    """Flushed, also at rest, back to an older dump, and empty after a restart."""
    with own_redis() as server, living(platform, tmp_path, server.url) as life:
        dump = server.dump()
        with life.loss():
            server.client.flushall()
        server.restart_with(dump)
        life.posts()
        life.all_is_decided()
        assert life.worker.events("Redis has lost state: the log is folded again")[-1]["start"] > 0
        server.restart_with(None)
        life.posts()
        life.all_is_decided()
        before = life.folded_again()
        server.client.flushall()
        # nothing is published: the owner asks by itself
        eventually(life.folded_again, lambda found: found > before)


def test_a_network_that_is_not_kind_to_redis(platform: Platform, tmp_path: Path) -> None:
    """Replies lost, one direction lost, connections refused, a quarter of a second on every reply."""
    with (
        own_redis() as server,
        proxied(server.port) as proxy,
        living(platform, tmp_path, f"redis://127.0.0.1:{proxy.port}/0") as life,
    ):
        for script in (b"Applies one batch", b"Makes a token", b"Reads what"):
            proxy.lose_reply(script)
            server.client.hset(life.key(0, "meta"), "token", "somebody else")
            life.posts()
            life.all_is_decided()
        assert proxy.lost == 3
        assert life.refusals("redis") == 0
        proxy.passes_replies = False
        with life.outage():
            proxy.passes_replies = True
        proxy.passes_requests = False
        with life.outage():
            proxy.passes_requests = True
        proxy.refuse()
        with life.outage():
            proxy.listen()
        proxy.latency = 0.25
        refused = life.refusals("redis")
        for _ in range(3):
            life.posts()
            life.all_is_decided()
        assert life.refusals("redis") == refused
        proxy.latency = 0.0
        assert life.folded_again() == 0


def test_a_failover_to_a_replica_that_lacks_the_last_writes(platform: Platform, tmp_path: Path) -> None:
    with (
        replicated_redis() as (primary, replica),
        proxied(primary.port) as proxy,
        living(platform, tmp_path, f"redis://127.0.0.1:{proxy.port}/0") as life,
    ):
        lose_a_suffix(life, primary, replica)
        with life.loss():
            replica.promote()
            proxy.target = replica.port
            primary.kill()
            proxy.cut()


def lose_a_suffix(life: Life, primary: RedisServer, replica: RedisServer) -> None:
    """Let the replica miss the last writes."""
    offset = primary.client.info("replication")["master_repl_offset"]
    wait_until(lambda: replica.client.info("replication")["slave_repl_offset"] >= offset)
    primary.stop_replication()
    life.posts()
    life.all_is_decided()


def test_cells_on_a_cluster_whose_primary_dies(new_platform: Callable[..., Platform], tmp_path: Path) -> None:
    """Its replica is promoted by the cluster, and lacks the last writes; the other cells' primaries go on."""
    given = new_platform(assign=Assign(cells=4, batch_wait_ms=5.0))
    with redis_cluster(3, replicas=1) as cluster, living(given, tmp_path, cluster.url, cluster=True) as life:
        primary, [replica] = cluster.primaries[0], cluster.replicas
        nodes = [cluster.node_of(life.key(cell, "meta")) for cell in range(4)]
        assert 0 < nodes.count(primary) < 4
        lose_a_suffix(life, primary, replica)
        refused = life.refusals("redis")
        primary.kill()
        life.posts()
        life.all_is_decided()
        assert replica.client.info("replication")["role"] == "master"
        assert life.refusals("redis") > refused
        assert life.folded_again() > 0
