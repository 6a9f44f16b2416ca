"""kill -9 at every named crash point of every consumer."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from consumers.settings import Verdicts
from tests.faults.scenarios import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.context import Context

OTHERS = {"encode": ("assign", "route"), "assign": ("encode", "route"), "route": ("encode", "assign")}
POINTS = {
    "encode": ("polled", "handed", "decoded", "embedded", "produced", "offsets", "committed"),
    "assign": ("polled", "folded", "stored", "produced", "offsets", "committed", "chunk", "chunk_stored"),
    "route": ("polled", "routed", "produced", "offsets", "committed"),
}
RARE = {"chunk", "chunk_stored"}


def kill_at(consumer: str, point: str) -> Callable[[Context], None]:
    """The worker with `consumer` dies there; a standby takes over, or it is started again: the seed decides."""

    def run(context: Context) -> None:
        rng = random.Random(context.seed)
        most = 2 if consumer == "route" else 3 if point in RARE else 12
        number = rng.randint(1, most)
        context.start(*OTHERS[consumer])
        victim = context.start(consumer, points=f"{consumer}.{point}@{number}=kill", ready=False)
        standby = rng.random() < 0.5
        if standby:
            context.await_partitions(victim, consumer)
            context.start(consumer, ready=False)
        context.feeder  # noqa: B018  # it begins with its first use
        context.await_death(victim)
        context.fault_over(of=consumer if consumer == "route" else "assign")
        if not standby:
            context.start(consumer, ready=False)
        context.finish()

    return run


for _consumer, _points in POINTS.items():
    for _point in _points:
        fault(f"kill -9, {_consumer}: {_point}")(kill_at(_consumer, _point))


def kill_in_take_over(point: str) -> Callable[[Context], None]:
    """An owner dies between Redis and Kafka, and the one that takes over dies in the middle of that."""

    def run(context: Context) -> None:
        rng = random.Random(context.seed)
        context.start("encode", "route")
        first = context.start("assign", ready=False, points=f"assign.stored@{rng.randint(3, 12)}=kill")
        context.feeder  # noqa: B018
        context.await_death(first)
        # two cells are taken over; it dies at the first of them or the second
        second = context.start("assign", ready=False, points=f"takeover.{point}@{rng.randint(1, 2)}=kill")
        context.await_death(second)
        context.fault_over()
        context.start("assign", ready=False)
        context.finish()

    return run


for _point in ("begun", "claimed", "offsets", "committed", "read"):
    fault(f"kill -9, take-over: {_point}")(kill_in_take_over(_point))


@fault("kill -9, take-over: stored outputs written")
def killed_after_stored_outputs(context: Context) -> None:
    """The third commit of a take-over of two cells at the latest is that of stored outputs."""
    context.start("encode", "route")
    first = context.start("assign", ready=False, points=f"assign.stored@{5 + context.seed}=kill")
    context.feeder  # noqa: B018
    context.await_death(first)
    second = context.start("assign", ready=False, points="takeover.committed@3=kill")
    context.await_death(second)
    context.fault_over()
    context.start("assign", ready=False)
    context.finish()


@fault("kill -9, without transactions: records acknowledged")
def killed_before_the_commit(context: Context) -> None:
    """Without transactions what was written stands there twice, with the same bytes."""
    _kill_without_transactions(context, "assign", f"acknowledged@{7 + context.seed}")


@fault("kill -9, without transactions: offsets committed")
def killed_after_the_commit(context: Context) -> None:
    """Nothing may be missing of what is committed."""
    _kill_without_transactions(context, "assign", f"committed@{7 + context.seed}")


@fault("kill -9, without transactions: in a retroactive chunk")
def killed_in_a_chunk(context: Context) -> None:
    """The `continue` record is written twice: it must be followed once."""
    context.configure(verdicts=Verdicts(chunk_posts=2))
    _kill_without_transactions(context, "assign", f"chunk_acknowledged@{12 + context.seed}")


@fault("kill -9, without transactions: encode, records acknowledged")
def encode_killed_before_the_commit(context: Context) -> None:
    """The records stand in the cell log twice, and count once."""
    _kill_without_transactions(context, "encode", f"acknowledged@{5 + context.seed}")


@fault("kill -9, without transactions: route, verdicts acknowledged")
def route_killed_before_the_commit(context: Context) -> None:
    """The verdicts stand in the cell log twice, and count once."""
    _kill_without_transactions(context, "route", f"acknowledged@{1 + context.seed % 2}")


def _kill_without_transactions(context: Context, consumer: str, point: str) -> None:
    context.configure(kafka=context.kafka(delivery="at-least-once"))
    context.start(*OTHERS[consumer])
    victim = context.start(consumer, points=f"{consumer}.{point}=kill", ready=False)
    context.feeder  # noqa: B018
    context.await_death(victim)
    context.fault_over(of=consumer if consumer == "route" else "assign")
    context.start(consumer, ready=False)
    context.finish()


@fault("200 kills -9 at random, three processes")
def two_hundred_kills(context: Context) -> None:
    """Each process runs all consumers, dies after a second or so, and is started again."""
    random_kills(context, 200)


def random_kills(context: Context, kills: int) -> None:
    """Kill one of three processes `kills` times, in a stream that goes on."""
    rng = random.Random(context.seed)
    context.rate = 30.0
    workers = [context.start(ready=False) for _ in range(3)]
    context.feeder  # noqa: B018
    for _ in range(kills):
        time.sleep(rng.uniform(0.2, 2.0))
        number = rng.randrange(3)
        workers[number].kill()
        workers[number] = context.start(ready=False)
    context.fault_over()
    context.finish()
