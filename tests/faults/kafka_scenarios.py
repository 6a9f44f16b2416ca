"""What brokers and operators of Kafka may do; and a Redis that forgets its last writes, as after a failover."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import redis
from confluent_kafka.cimpl import NewPartitions

from consumers.state.keys import KINDS, CellKeys
from tests.faults.scenarios import fault

if TYPE_CHECKING:
    from tests.faults.context import Context


@fault("broker killed and restarted")
def broker_restarted(context: Context) -> None:
    """The only broker dies without a word; after a pause it comes back."""
    rng = random.Random(context.seed)
    broker = context.own_broker()
    worker = context.start()
    context.feeder  # noqa: B018
    time.sleep(rng.uniform(1.0, 2.5))
    broker.kill()
    time.sleep(rng.uniform(0.5, 4.0))
    broker.start()
    context.fault_over()
    context.restart_if_dead(worker)
    context.finish()


@fault("broker killed while a transaction is open, workers with it")
def broker_and_worker_killed(context: Context) -> None:
    """An owner dies with its records at the broker, and the broker right after it."""
    broker = context.own_broker()
    others = context.start("encode", "route")
    victim = context.start("assign", points=f"assign.produced@{5 + context.seed}=kill", ready=False)
    context.feeder  # noqa: B018
    context.await_death(victim)
    broker.kill()
    broker.start()
    context.fault_over()
    context.restart_if_dead(others)
    context.start("assign", ready=False)
    context.finish()


@fault("replay of the whole posts topic")
def replay(context: Context) -> None:
    """The encoders read everything again: the same records, at the same offsets."""
    context.start("assign", "route")
    first = context.start("encode")
    context.feeder  # noqa: B018
    context.feeder.finish()
    context.await_decided()
    assert first.stop() == 0
    context.replayed = True
    with context.sampler.forgetting("encode"):
        context.read_posts_from(dict.fromkeys(range(4), 0))
    context.start("encode", ready=False)
    context.await_read_again()
    context.finish()


@fault("the decisions topic refuses records for a while")
def decisions_refused(context: Context) -> None:
    """The broker takes nothing larger than a few bytes there: transactions are aborted, and nothing goes on."""
    context.start("encode", "route")
    owner = context.start("assign")
    context.feeder  # noqa: B018
    time.sleep(0.5 + 0.3 * context.seed)
    with context.refusing(context.settings.topics.decisions):
        time.sleep(1.5)
    context.fault_over()
    context.restart_if_dead(owner)
    context.finish()


@fault("the dead-letter topic refuses records for a while")
def dead_letters_refused(context: Context) -> None:
    """Broken posts cannot be put away: their batch is not committed, and comes again."""
    context.start("assign", "route")
    encoder = context.start("encode")
    context.feeder  # noqa: B018
    time.sleep(0.5)
    with context.refusing(context.settings.topics.dead_letters):
        time.sleep(2.0 + context.seed)
    context.fault_over(of="encode")
    context.restart_if_dead(encoder)
    context.finish()


@fault("the dead-letter topic deleted, and made again")
def dead_letters_deleted(context: Context) -> None:
    """The letters written so far are gone with it; no post is passed over meanwhile."""
    topic = context.settings.topics.dead_letters
    context.start("assign", "route")
    encoder = context.start("encode")
    context.delete_topic(topic)
    context.feeder  # noqa: B018
    time.sleep(4.0 + context.seed)
    context.make_topic(topic, 1)
    context.fault_over(of="encode")
    time.sleep(1.0)
    context.restart_if_dead(encoder)
    context.finish()


@fault("partitions added to posts")
def partitions_added(context: Context) -> None:
    """Four become six while everything runs."""
    context.start("encode", "route")
    context.start("encode", "assign")
    context.feeder  # noqa: B018
    time.sleep(1.0 + 0.3 * context.seed)
    topic = context.settings.topics.posts
    for future in context.admin.create_partitions([NewPartitions(topic, 6)]).values():
        future.result(15)
    time.sleep(2.0)  # until the publisher knows of them
    context.feeder.partitions = 6
    context.fault_over()
    context.finish()


@fault("Redis forgets its last writes")
def last_writes_forgotten(context: Context) -> None:
    """As after a failover to a replica that was behind: the token is the same, the position an older one."""
    context.start("encode", "route")
    context.start("assign")
    context.feeder  # noqa: B018
    time.sleep(1.0)
    client = redis.Redis.from_url(context.settings.redis.url)
    names = []
    for cell in range(context.settings.assign.cells):
        keys = CellKeys(context.settings.redis, context.bundle.bundle_id, context.settings.assign.cells, cell)
        names += [keys.meta, keys.outputs, *map(keys.of, KINDS)]
    with client.pipeline(transaction=True) as all_at_once:
        for name in names:
            all_at_once.dump(name)
        older = all_at_once.execute()
    time.sleep(0.5 + 0.2 * context.seed)
    with client.pipeline(transaction=True) as all_at_once:
        all_at_once.unlink(*names)
        for name, value in zip(names, older, strict=True):
            if value is not None:
                all_at_once.restore(name, 0, value)
        all_at_once.execute()
    context.fault_over()
    context.finish()
