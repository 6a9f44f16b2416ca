"""Posts that take their process along, and posts that are gone before they were read."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from consumers.contracts.post import SCHEMA, Post
from consumers.contracts.verdict import Verdict
from consumers.dead_letters import Selection, list_dead_letters
from consumers.names import encode_group
from consumers.settings import Encode
from tests.bundles import VECTOR_SIZE
from tests.faults.context import CLIENT, NotReached
from tests.faults.scenarios import fault
from tests.faults.stream import MODALITY, StreamPost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.context import Context
    from tests.integration.platform import Worker

RESTARTS = 2
"""A post may take its process along so often."""

OUTCOME_SECONDS = 120.0
PARTITIONS = 4

EATEN_MB = 1000.0
"""What the system lets a worker take before it ends it: the post that eats memory takes 600 MB."""


def _launch(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `shoal` with a decoder that some captions kill."""
    command = [sys.executable, "-m", "tests.integration.poisoned", *arguments]
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


def poison(caption: str) -> Callable[[Context], None]:
    """One post ends the process that decodes it; its supervisor starts it again."""

    def run(context: Context) -> None:
        prepare(context)
        context.start("assign", "route")
        worker = context.start("encode", launch=_launch)
        context.feeder  # noqa: B018
        time.sleep(0.5 + 0.3 * context.seed)
        value = json.dumps({"schema": SCHEMA, "post_id": "poison", "caption": f"a caption to {caption}"})
        context.feeder.publish(StreamPost("poison", "broken", -1, value.encode()), partition=0)
        start_again(context, worker, lambda: context.undecided(("poison",)))
        context.finish()

    return run


def poison_brought(caption: str) -> Callable[[Context], None]:
    """The same, of a post that a verdict brings along, among verdicts that bring harmless ones: route embeds it."""

    def run(context: Context) -> None:
        prepare(context)
        context.start("assign", "encode")
        worker = context.start("route", launch=_launch)
        context.feeder  # noqa: B018
        time.sleep(0.5 + 0.3 * context.seed)
        for number in range(10):
            told = caption if number == 3 + context.seed else "be read"
            context.feeder.send(
                Verdict(
                    verdict_id=f"brought-{number}",
                    decision="uphold",
                    policy="theft",
                    actor="ada",
                    post=Post(post_id=f"brought-{number}", caption=f"caption {number} to {told}"),
                ),
                key="bank",
            )
        letters = Selection(topic=context.settings.topics.verdicts, reason="kills-encoder")
        start_again(context, worker, lambda: not any(list_dead_letters(context.settings, letters)))
        context.finish()

    return run


def prepare(context: Context) -> None:
    """Let posts be suspected early enough for a test."""
    context.configure(
        encode=Encode(
            batch_posts=16,
            batch_wait_ms=10.0,
            decode_threads=1,
            intra_op_threads=1,
            provider="cpu",
            stuck_seconds=4.0,
            suspect_bytes=200 * 2**20,
        )
    )
    context.most_memory_mb = EATEN_MB


def start_again(context: Context, worker: Worker, open_: Callable[[], bool]) -> None:
    """Start the worker again whenever it has died, while the poison has no outcome."""
    name, restarts = worker.names[0], 0
    deadline = time.monotonic() + OUTCOME_SECONDS
    while open_() and restarts <= RESTARTS:
        if time.monotonic() > deadline:
            context.late.append(f"the post has no outcome after {OUTCOME_SECONDS:.0f} s and {restarts} restarts")
            return
        if worker.process.poll() is not None:
            restarts += 1
            context.forgive(worker)
            worker = context.start(name, launch=_launch, ready=False)
            context.fault_over(of=name)
        time.sleep(0.05)
    if restarts == 0:
        raise NotReached("the post ended no process")
    if restarts > RESTARTS:
        context.late.append(f"the post ended its process {restarts} times")


fault("a post that kills its process (SIGSEGV)")(poison("crash"))
fault("a post that eats memory")(poison("memory"))
fault("a post that never comes to an end")(poison("hang"))
fault("a verdict whose post kills its process (SIGSEGV)")(poison_brought("crash"))
fault("a verdict whose post eats memory")(poison_brought("memory"))


@fault("retention past the offset of encode")
def retention_passed(context: Context) -> None:
    """Posts are deleted before they were read: encode must stop and say so, and go on when an operator lets it."""
    context.start("assign", "route")
    first = context.start("encode")
    context.feeder  # noqa: B018
    time.sleep(1.5)
    assert first.stop() == 0
    while context.feeder.sent < context.stream.posts:
        time.sleep(0.1)
    context.feeder.finish()
    ends: dict[int, int] = {}
    for partition, offset in context.feeder.published:
        ends[partition] = max(ends.get(partition, 0), offset + 1)
    topic = context.settings.topics.posts
    kept = [TopicPartition(topic, partition, end - context.seed) for partition, end in ends.items()]
    for deleted in context.admin.delete_records(kept).values():
        deleted.result(15)
    context.await_refusal(context.start("encode", ready=False), "deleted before they were read")
    low = {place.partition: place.offset for place in kept}
    context.forget_undecided(low)
    context.read_posts_from(low)
    context.start("encode", ready=False)
    context.fault_over(of="encode")
    context.gone = True
    context.finish()


@fault("the posts topic deleted and made again")
def posts_made_again(context: Context) -> None:
    """The new topic holds more than encode had read of the former: it must stop and say so, not read on in it.

    Its successor begins at the new one's beginning: by itself where Kafka forgot the offsets along with the topic,
    else when an operator says so.
    """
    context.start("assign", "route")
    running = context.start("encode")
    context.feeder  # noqa: B018
    while context.feeder.sent < context.stream.posts:
        time.sleep(0.1)
    context.feeder.finish()
    context.await_decided()
    read = max(offset for _, offset in context.feeder.published)
    context.make_posts_again(PARTITIONS, pause=1.5 * context.seed)
    publish_anew(context, read + 30)
    context.await_refusal(running, "was deleted and made again", "UNKNOWN_TOPIC")
    successor = context.start("encode", ready=False)
    context.forgive(successor)
    while context.undecided(("anew-0-0",)) and successor.process.poll() is None:
        time.sleep(0.1)
    if successor.process.poll() is not None:
        context.await_refusal(successor, "the committed offsets are of the topic with the id")
        group, topic = encode_group(context.settings, context.bundle.bundle_id), context.settings.topics.posts
        places = [TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
        for moved in context.admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)]
        ).values():
            moved.result(15)
        context.sampler.forget("encode")
        context.start("encode", ready=False)
    context.finish()


@fault("the posts topic deleted and made again, unnoticed by its reader")
def posts_made_again_unnoticed(context: Context) -> None:
    """It is frozen meanwhile, and finds records where it goes on: they count as the new topic's alone."""
    context.configure(kafka=context.kafka(properties=CLIENT | {"session.timeout.ms": 30_000}))
    context.start("assign", "route")
    running = context.start("encode")
    context.feeder  # noqa: B018
    while context.feeder.sent < context.stream.posts:
        time.sleep(0.1)
    context.feeder.finish()
    context.await_decided()
    read = max(offset for _, offset in context.feeder.published)
    context.freeze(running)
    context.make_posts_again(PARTITIONS, pause=0.0)
    publish_anew(context, read + 30)
    context.wake(running)
    context.await_refusal(running, "was deleted and made again")
    context.sampler.forget("encode")
    context.start("encode", ready=False)
    context.finish()


def publish_anew(context: Context, count: int) -> None:
    """Publish so many posts to each partition of a posts topic that was made again."""
    rng = random.Random(context.seed)
    for partition in range(PARTITIONS):
        posts = [
            {
                "post_id": f"anew-{partition}-{number}",
                "vectors": {MODALITY: [rng.gauss(0.0, 1.0) for _ in range(VECTOR_SIZE)]},
            }
            for number in range(count)
        ]
        for place, post in zip(context.platform.publish(*posts, partition=partition), posts, strict=True):
            context.feeder.published[place] = StreamPost(str(post["post_id"]), "noise", -1, b"")


@fault("a post that raises")
def post_that_raises(context: Context) -> None:
    """A step fails on it as nobody foresaw: it is a dead letter, and its process goes on."""
    context.start("assign", "route")
    worker = context.start("encode", launch=_launch)
    context.feeder  # noqa: B018
    time.sleep(0.5 + 0.3 * context.seed)
    value = json.dumps({"schema": SCHEMA, "post_id": "poison", "caption": "a caption to raise"})
    context.feeder.publish(StreamPost("poison", "broken", -1, value.encode()), partition=0)
    context.fault_over(of="encode")
    context.finish()
    if "a step failed on a post" not in worker.log.read_text():
        raise NotReached("no step failed")
