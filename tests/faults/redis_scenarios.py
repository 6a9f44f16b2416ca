"""Everything that Redis, or the network before it, may do to a cell."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from consumers.names import cell_name
from consumers.settings import Redis
from tests.faults.context import NotReached
from tests.faults.scenarios import fault
from tests.proxy import Proxy, proxied
from tests.redis_servers import RedisServer, own_redis, redis_cluster, replicated_redis, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.context import Context
    from tests.integration.platform import Worker

TIMEOUT_SECONDS = 1.0
NOTICE_SECONDS = 30.0


def begin(context: Context, url: str, *, cluster: bool = False) -> Worker:
    """A worker on this Redis, and posts that have been flowing for a while that the seed decides."""
    context.configure(redis=Redis(url=url, prefix="own", timeout_seconds=TIMEOUT_SECONDS, cluster=cluster))
    worker = context.start()
    context.feeder  # noqa: B018  # it begins with its first use
    linger(context)
    return worker


def linger(context: Context) -> None:
    """Let some posts pass, another time with every seed."""
    time.sleep(random.Random(context.seed).uniform(0.5, 2.5))


def begin_behind_proxy(context: Context, server: RedisServer) -> tuple[Worker, Proxy]:
    """The same, with a proxy in front."""
    proxy = context.closing.enter_context(proxied(server.port))
    return begin(context, f"redis://127.0.0.1:{proxy.port}/0"), proxy


@contextmanager
def noticed(context: Context, worker: Worker, *reasons: str) -> Iterator[None]:
    """What happens in the block must make the worker give a batch or a cell up, for one of these reasons."""

    def given_up() -> float:
        return sum(worker.metric("shoal_aborts_total", consumer="assign", reason=reason) for reason in reasons)

    before, deadline = given_up(), time.monotonic() + NOTICE_SECONDS
    yield
    while given_up() <= before:
        if time.monotonic() > deadline:
            context.late.append(f"nothing was given up for {' or '.join(reasons)} within {NOTICE_SECONDS:.0f} s")
            return
        time.sleep(0.05)


def outage(
    begins: Callable[[RedisServer], object], ends: Callable[[RedisServer], object]
) -> Callable[[Context], None]:
    """Redis takes no writes for some seconds."""

    def run(context: Context) -> None:
        server = context.closing.enter_context(own_redis())
        worker = begin(context, server.url)
        with noticed(context, worker, "redis"):
            begins(server)
        linger(context)
        ends(server)
        context.fault_over()
        context.finish()

    return run


fault("redis out of memory")(outage(RedisServer.fill, RedisServer.empty))
fault("redis read-only")(outage(RedisServer.make_read_only, RedisServer.promote))
fault("redis frozen")(outage(RedisServer.freeze, RedisServer.wake))
fault("redis without enough replicas")(
    outage(
        lambda server: server.client.config_set("min-replicas-to-write", 1),
        lambda server: server.client.config_set("min-replicas-to-write", 0),
    )
)
fault("redis holds writes back")(
    outage(
        lambda server: server.client.client_pause(600_000, all=False),
        lambda server: server.client.client_unpause(),
    )
)


def loss(lose: Callable[[RedisServer, bytes], object]) -> Callable[[Context], None]:
    """Redis loses state, of which it had a dump."""

    def run(context: Context) -> None:
        server = context.closing.enter_context(own_redis())
        worker = begin(context, server.url)
        dump = server.dump()
        linger(context)
        with noticed(context, worker, "stale-owner", "redis"):
            lose(server, dump)
        context.fault_over()
        context.finish()

    return run


fault("redis flushed")(loss(lambda server, _: server.client.flushall()))
fault("redis killed, restarted with an older dump")(loss(RedisServer.restart_with))
fault("redis killed, restarted empty")(loss(lambda server, _: server.restart_with(None)))


@fault("redis forgets its scripts")
def scripts_flushed(context: Context) -> None:
    """Again and again."""
    server = context.closing.enter_context(own_redis())
    begin(context, server.url)
    for _ in range(10):
        server.client.script_flush()
        time.sleep(0.1)
    context.fault_over()
    context.finish()


@fault("redis reply lost after the script ran")
def replies_lost(context: Context) -> None:
    """Of writes, and of the claim and the reading of a take-over."""
    server = context.closing.enter_context(own_redis())
    _, proxy = begin_behind_proxy(context, server)
    for number, script in enumerate([b"Applies one batch"] * 4 + [b"Makes a token", b"Reads what"], 1):
        proxy.lose_reply(script)
        if script != b"Applies one batch":
            server.client.flushall()
        deadline = time.monotonic() + NOTICE_SECONDS
        while proxy.lost < number:
            if time.monotonic() > deadline:
                raise NotReached(f"no reply to {script.decode()!r} was lost")
            time.sleep(0.02)
    context.fault_over()
    context.finish()


def partition(direction: str) -> Callable[[Context], None]:
    """Bytes of one direction vanish without a word."""

    def run(context: Context) -> None:
        server = context.closing.enter_context(own_redis())
        worker, proxy = begin_behind_proxy(context, server)
        with noticed(context, worker, "redis"):
            setattr(proxy, f"passes_{direction}", False)
        linger(context)
        setattr(proxy, f"passes_{direction}", True)
        context.fault_over()
        context.finish()

    return run


fault("redis partition: requests are lost")(partition("requests"))
fault("redis partition: replies are lost")(partition("replies"))


@fault("redis replies 500 ms late")
def slow_replies(context: Context) -> None:
    """To the end: nothing is given up for it."""
    server = context.closing.enter_context(own_redis())
    _, proxy = begin_behind_proxy(context, server)
    proxy.latency = 0.5
    context.fault_over()
    context.finish()


@fault("redis failover to a replica that lacks the last writes")
def failover(context: Context) -> None:
    """The address leads to the new primary, as behind a load balancer."""
    primary, replica = context.closing.enter_context(replicated_redis())
    worker, proxy = begin_behind_proxy(context, primary)
    primary.stop_replication()
    linger(context)
    with noticed(context, worker, "stale-owner"):
        replica.promote()
        proxy.target = replica.port
        primary.kill()
        proxy.cut()
    context.fault_over()
    context.finish()


@fault("redis cluster: a primary dies, its replica lacks the last writes")
def cluster_failover(context: Context) -> None:
    """The primary of cell 0 dies; the cluster promotes its replica by itself."""
    cluster = context.closing.enter_context(redis_cluster(3, replicas=3))
    primary = cluster.node_of(f"{{{cell_name(context.bundle.bundle_id, 2, 0)}}}")
    place = cluster.primaries.index(primary)
    replica = cluster.replicas[place]
    # the address must be of a node that lives
    worker = begin(context, cluster.primaries[place - 1].url, cluster=True)
    primary.stop_replication()
    linger(context)
    with noticed(context, worker, "redis"):
        primary.kill()
    wait_until(lambda: replica.client.info("replication")["role"] == "master")
    context.fault_over()
    context.finish()
