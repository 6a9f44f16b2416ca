"""Processes that freeze, are asked to end, come and go, or have a wrong clock."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Literal

from consumers.names import assign_group
from consumers.settings import Assign
from tests.faults.context import CLIENT, RESUME_SECONDS, SESSION_SECONDS, NotReached
from tests.faults.scenarios import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.settings import Kafka
    from tests.faults.context import Context

FROZEN_SECONDS = SESSION_SECONDS + 3.0


@fault("frozen past the session timeout, then woken")
def frozen(context: Context) -> None:
    """SIGSTOP at any moment; another process has taken everything over when it wakes up."""
    rng = random.Random(context.seed)
    zombie = context.start()
    context.start(ready=False)
    context.feeder  # noqa: B018
    time.sleep(rng.uniform(1.0, 3.0))
    context.freeze(zombie)
    context.fault_over()
    time.sleep(FROZEN_SECONDS)
    context.wake(zombie)
    context.finish()


def frozen_at(point: str) -> Callable[[Context], None]:
    """An owner freezes exactly there, and wakes up when others have taken its cells over and gone on."""

    def run(context: Context) -> None:
        context.start("encode", "route")
        zombie = context.start("assign", points=f"assign.{point}@{5 + context.seed}=freeze", ready=False)
        context.feeder  # noqa: B018
        context.await_point(f"assign.{point}")
        context.fault_over()
        successor = context.start("assign", ready=False)
        context.await_notes(lambda note: note.event == "wrote" and note.pid == successor.process.pid)
        time.sleep(1.0)
        context.wake(zombie)
        context.finish()

    return run


for _point, _told in (("stored", "its Redis call and its transaction"), ("produced", "its records and its offsets")):
    fault(f"frozen between {_told}, woken after a take-over")(frozen_at(_point))


@fault("frozen before its Redis call, woken during a take-over")
def woken_during_a_take_over(context: Context) -> None:
    """The successor has the cell's token and has read the position, not yet the state."""
    context.configure(assign=Assign(cells=1, batch_wait_ms=200.0, batch_records=512, members=512))
    context.start("encode", "route")
    zombie = context.start("assign", points=f"assign.folded@{3 + context.seed}=freeze", ready=False)
    context.feeder  # noqa: B018
    context.await_point("assign.folded")
    go_on = context.folder / "go-on"
    context.fault_over()
    context.start("assign", ready=False, points=f"takeover.read=hold:{go_on}")
    context.await_point("takeover.read")
    context.wake(zombie)
    written = {"wrote", "refused", "done"}
    woken = time.monotonic_ns()
    context.await_notes(lambda note: note.event in written and note.pid == zombie.process.pid and note.ended > woken)
    go_on.touch()
    context.finish()


@fault("encode holds a batch past the poll interval, out of its group")
def held_out_of_its_group(context: Context) -> None:
    """Its client has left the group by itself: it has no member id any more, and Kafka takes offsets without one.

    Meanwhile another process has encoded that very batch. The batch comes to its transaction before the next poll
    says that the partitions are lost.
    """
    context.configure(kafka=context.kafka(properties=CLIENT | {"max.poll.interval.ms": 4000}))
    context.start("assign", "route")
    go_on = context.folder / "go-on"
    points = f"encode.polled@{context.seed}=hold:{go_on},encode.handed@{context.seed}=sleep:1.5"
    context.start("encode", points=points, ready=False)
    context.feeder  # noqa: B018
    context.await_point("encode.polled")
    context.start("encode", ready=False)
    context.fault_over()
    context.feeder.finish()
    context.await_decided()
    go_on.touch()
    time.sleep(4.0)
    context.finish()


def asked_to_end_at(consumer: str, point: str, others: tuple[str, ...], *numbers: int) -> Callable[[Context], None]:
    """SIGTERM while a batch is at the point: one of these, counted from 1, by the seed."""

    def run(context: Context) -> None:
        context.start(*others)
        number = numbers[context.seed % len(numbers)]
        worker = context.start(consumer, points=f"{consumer}.{point}@{number}=sleep:1", ready=False)
        context.feeder  # noqa: B018
        context.await_point(f"{consumer}.{point}")
        context.ask_to_end(worker)
        context.fault_over()
        context.start(consumer, ready=False)
        context.finish()

    return run


fault("SIGTERM in the middle of a batch, encode")(asked_to_end_at("encode", "embedded", ("assign", "route"), 5, 6, 7))
fault("SIGTERM in the middle of a batch, assign")(asked_to_end_at("assign", "stored", ("encode", "route"), 5, 6, 7))
fault("SIGTERM in the middle of a batch, route")(asked_to_end_at("route", "routed", ("encode", "assign"), 1))


@fault("SIGTERM in the middle of a rebalance")
def asked_to_end_while_rebalancing(context: Context) -> None:
    """One joins, and before its first poll is answered another one is asked to end."""
    rng = random.Random(context.seed)
    first = context.start()
    context.feeder  # noqa: B018
    time.sleep(1.0)
    context.start(ready=False)
    time.sleep(rng.uniform(0.05, 1.0))
    context.ask_to_end(first)
    context.fault_over()
    context.finish()


def _joining_and_leaving(context: Context) -> None:
    rng = random.Random(context.seed)
    first = context.start()
    context.feeder  # noqa: B018
    others = []
    for _ in range(3):
        time.sleep(rng.uniform(0.3, 1.2))
        others.append(context.start(ready=False))
    for leaving in (first, others[0]):
        time.sleep(rng.uniform(0.5, 1.5))
        context.ask_to_end(leaving)
    context.fault_over()
    context.finish()


@fault("processes join and leave in the middle of batches")
def join_and_leave(context: Context) -> None:
    """Three join, two leave."""
    _joining_and_leaving(context)


@fault("processes join and leave, newer group protocol")
def join_and_leave_under_the_newer_protocol(context: Context) -> None:
    """KIP-848: the broker assigns the partitions."""
    context.configure(kafka=newer_protocol(context))
    _joining_and_leaving(context)


def newer_protocol(context: Context) -> Kafka:
    """The settings of Kafka with the protocol in which the broker states the timeouts."""
    own = {"session.timeout.ms", "heartbeat.interval.ms"}
    properties = {name: value for name, value in CLIENT.items() if name not in own}
    return context.kafka(group_protocol="consumer", properties=properties)


def spare_joins(protocol: Literal["classic", "consumer"]) -> Callable[[Context], None]:
    """A batch stands in Redis when another process joins, for nothing: the owner writes it, and keeps its state."""

    def run(context: Context) -> None:
        if protocol == "consumer":
            context.configure(kafka=newer_protocol(context))
        context.configure(assign=Assign(cells=1, batch_wait_ms=5.0, batch_records=32, members=512))
        context.start("encode", "route")
        go_on = context.folder / "go-on"
        owner = context.start("assign", points=f"assign.stored@{5 + context.seed}=hold:{go_on}", ready=False)
        context.feeder  # noqa: B018
        context.await_point("assign.stored")
        context.start("assign", ready=False)
        context.await_members(assign_group(context.settings, context.bundle.bundle_id), 2)
        go_on.touch()
        context.fault_over()
        context.finish()
        if not owner.events("the group has moved on, the batch is sent again"):
            raise NotReached("no batch met another generation of the group")
        if owner.events("cell will be taken over again") or len(owner.events("cell taken over")) != 1:
            context.late.append("a spare joined, and the owner read its cell's state once more")

    return run


fault("a spare joins in the middle of a batch")(spare_joins("classic"))
fault("a spare joins in the middle of a batch, newer group protocol")(spare_joins("consumer"))


@fault("clocks an hour off, either way")
def wrong_clocks(context: Context) -> None:
    """Two encoders and two owners, each with another hour; nobody's clock decides anything alone."""
    for clock in (3600.0, -3600.0):
        context.start("encode", clock=clock, ready=False)
        context.start("assign", clock=-clock, ready=False)
    context.start("route", clock=3600.0)
    context.feeder  # noqa: B018
    time.sleep(min(3.0, RESUME_SECONDS))
    context.finish()


@fault("a backlog with verdicts in it")
def backlog(context: Context) -> None:
    """Nobody assigns for a while: verdicts and the posts after them come in one batch."""
    context.configure(assign=Assign(cells=2, batch_wait_ms=200.0, batch_records=512, members=512))
    context.start("encode", "route")
    context.feeder  # noqa: B018
    while context.feeder.sent < context.stream.posts // 2:
        time.sleep(0.1)
    time.sleep(1.0)
    context.fault_over()
    context.start("assign", ready=False)
    context.finish()


@fault("a process whose log cannot be written")
def log_disk_full(context: Context) -> None:
    """Standard error goes to a full disk: what cannot be told is not told, and the work goes on."""
    context.start("encode", "route", "assign", full_disk=True, ready=False)
    context.feeder  # noqa: B018
    context.fault_over()
    context.finish()
