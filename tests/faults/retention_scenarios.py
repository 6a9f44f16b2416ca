"""Records deleted before they were read, in each of the topics: a stop with a clear message, never a silent jump."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

from consumers.contracts.cell_log import DeadRecord, PostRecord
from consumers.contracts.verdict import Verdict
from consumers.names import cell_log_topic, route_group
from consumers.recovery.verify import differences, folded
from tests.faults.context import NotReached
from tests.faults.found import committed_offsets, read_logs, state_in_redis
from tests.faults.posts_scenarios import decide_all, publish_all, publish_anew
from tests.faults.scenarios import fault

if TYPE_CHECKING:
    from tests.faults.context import Context

MORE_POSTS = 20
"""In each partition."""

MORE_VERDICTS = 6
CUT = 0
"""The cell whose log is cut."""

STOP_SECONDS = 60.0


@fault("retention past the offset of encode")
def retention_passed(context: Context) -> None:
    """Posts are deleted before they were read: encode must stop and say so, and go on when an operator lets it."""
    context.start("assign", "route")
    first = context.start("encode")
    context.feeder  # noqa: B018
    time.sleep(1.5)
    assert first.stop() == 0
    publish_all(context)
    ends: dict[int, int] = {}
    for partition, offset in context.feeder.published:
        ends[partition] = max(ends.get(partition, 0), offset + 1)
    low = {partition: end - context.seed for partition, end in ends.items()}
    delete_below(context, context.settings.topics.posts, low)
    context.await_refusal(context.start("encode", ready=False), "deleted before they were read")
    context.forget_undecided(low)
    context.read_posts_from(low)
    context.start("encode", ready=False)
    context.fault_over(of="encode")
    context.gone = True
    context.finish()


@fault("retention past the offset of route")
def verdicts_passed(context: Context) -> None:
    """The same of verdicts: those that are left are routed when an operator lets it."""
    context.start("assign", "encode")
    first = context.start("route")
    everything_at_rest(context)
    assert first.stop() == 0
    about = next(post.post_id for post in context.feeder.published.values() if post.kind == "noise")
    for number in range(MORE_VERDICTS):
        verdict = Verdict(
            verdict_id=f"late-{number}", decision="uphold", policy="theft", actor=f"late-{number}", post_id=about
        )
        context.feeder.send(verdict, key=about)
    context.feeder.finish()
    topic = context.settings.topics.verdicts
    committed = committed_offsets(context.settings, context.bundle.bundle_id)["route"]
    low = {partition: end - context.seed for partition, end in context.ends()["route"].items()}
    if not any(low[partition] > committed.get(partition, 0) for partition in low):
        raise NotReached(f"{low} lies below what is committed, {committed}")
    delete_below(context, topic, low)
    context.await_refusal(context.start("route", ready=False), "deleted before they were read")
    if committed_offsets(context.settings, context.bundle.bundle_id)["route"] != committed:
        context.late.append("route was refused its verdicts, and its committed offset moved")
    group = route_group(context.settings, context.bundle.bundle_id)
    context.read_from(group, topic, low)
    context.start("route", ready=False)
    context.fault_over(of="route")
    context.finish()


@fault("retention past the offset of assign")
def cell_log_passed(context: Context) -> None:
    """A cell's log loses records that are not folded: that cell stops and says so, at every start; others go on."""
    context.start("encode", "route")
    first = context.start("assign")
    everything_at_rest(context)
    assert first.stop() == 0
    publish_anew(context, MORE_POSTS)
    context.await_read_again()
    settings, manifest = context.settings, context.bundle.manifest
    log = read_logs(settings, manifest.bundle_id)[CUT]
    position = committed_offsets(settings, manifest.bundle_id)["assign"][CUT]
    before = folded(settings, manifest, CUT, position)
    low = log[-1].offset - context.seed
    if low <= position:
        raise NotReached(f"the log is cut at {low}, and folded up to {position}")
    context.stopped[CUT] = position
    context.cut[CUT] = [entry for entry in log if entry.offset < low]
    delete_below(context, cell_log_topic(settings, manifest.bundle_id), {CUT: low})
    for entry in log:
        if entry.offset >= position and isinstance(entry.record, PostRecord | DeadRecord):
            context.feeder.published.pop((entry.record.source.partition, entry.record.source.offset), None)
    for _ in range(2):
        await_stopped(context, f"the next offset is {position} and the cell log holds {low} to")
    context.differences += differences(before, state_in_redis(settings, CUT)[1])
    context.stop_all()


def await_stopped(context: Context, said: str) -> None:
    """Start an owner: it must stop the cell with these words, not be ready, and decide all of the other's posts."""
    owner = context.start("assign", ready=False)
    deadline = time.monotonic() + STOP_SECONDS
    while not any(said in line["reason"] for line in owner.events("cell stopped")):
        if time.monotonic() > deadline:
            context.late.append(f"the cell's owner does not say {said!r}")
            break
        time.sleep(0.1)
    context.await_decided()
    if not owner.metric("shoal_cell_stopped", cell=str(CUT)) or owner.metric("shoal_cell_stopped", cell="1"):
        context.late.append("shoal_cell_stopped does not tell which cell has stopped")
    assert owner.stop() == 0


def everything_at_rest(context: Context) -> None:
    """Let the stream come, and wait until all of it is decided and routed."""
    decide_all(context)
    context.await_rest()


def delete_below(context: Context, topic: str, low: dict[int, int]) -> None:
    """Delete the records of a topic's partitions below these offsets, as its retention does."""
    places = [TopicPartition(topic, partition, offset) for partition, offset in low.items()]
    for deleted in context.admin.delete_records(places).values():
        deleted.result(15)
