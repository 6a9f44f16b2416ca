"""Posts that take their process along or make it fail, and a posts topic that is made again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from consumers.contracts.post import SCHEMA, Post
from consumers.contracts.verdict import Verdict
from consumers.kafka.dead_letters import Selection, list_dead_letters
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


def poisoned(consumer: str, publish: Callable[[Context], Callable[[], bool]]) -> Callable[[Context], None]:
    """Something that is published ends the process with `consumer`; its supervisor starts it again.

    Args:
        publish: gives a function that says whether it has no outcome yet.
    """

    def run(context: Context) -> None:
        prepare(context)
        context.start(*(name for name in ("assign", "encode", "route") if name != consumer))
        worker = context.start(consumer, launch=_launch)
        context.feeder  # noqa: B018
        time.sleep(0.5 + 0.3 * context.seed)
        start_again(context, worker, publish(context))
        context.finish()

    return run


def post_to(do: str) -> Callable[[Context], Callable[[], bool]]:
    """One post that does this to whoever decodes it."""

    def publish(context: Context) -> Callable[[], bool]:
        value = json.dumps({"schema": SCHEMA, "post_id": "poison", "caption": f"a caption to {do}"})
        context.feeder.publish(StreamPost("poison", "broken", -1, value.encode()), partition=0)
        return lambda: context.undecided(("poison",))

    return publish


def verdict_to(do: str) -> Callable[[Context], Callable[[], bool]]:
    """A verdict that brings such a post along, among verdicts that bring harmless ones: route embeds it."""

    def publish(context: Context) -> Callable[[], bool]:
        for number in range(10):
            told = do if number == 3 + context.seed else "be read"
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
        return lambda: not any(list_dead_letters(context.settings, letters))

    return publish


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


for _do, _told in (
    ("crash", "kills its process (SIGSEGV)"),
    ("memory", "eats memory"),
    ("hang", "never comes to an end"),
):
    fault(f"a post that {_told}")(poisoned("encode", post_to(_do)))
    fault(f"a verdict whose post {_told}")(poisoned("route", verdict_to(_do)))


def publish_all(context: Context) -> None:
    """Publish the whole stream, and no more."""
    context.feeder  # noqa: B018
    while context.feeder.sent < context.stream.posts:
        time.sleep(0.1)
    context.feeder.finish()


def decide_all(context: Context) -> int:
    """Publish the whole stream, await its decisions, and give the highest offset of the posts topic."""
    publish_all(context)
    context.await_decided()
    return max(offset for _, offset in context.feeder.published)


@fault("the posts topic deleted and made again")
def posts_made_again(context: Context) -> None:
    """The new topic holds more than encode had read of the former: it must stop and say so, not read on in it.

    Its successor begins at the new one's beginning: by itself where Kafka forgot the offsets along with the topic,
    else when an operator says so.
    """
    context.start("assign", "route")
    running = context.start("encode")
    read = decide_all(context)
    context.make_posts_again(PARTITIONS, pause=1.5 * context.seed)
    publish_anew(context, read + 30)
    context.await_refusal(running, "was deleted and made again", "UNKNOWN_TOPIC")
    successor = context.start("encode", ready=False)
    context.forgive(successor)
    while context.undecided(("anew-0-0",)) and successor.process.poll() is None:
        time.sleep(0.1)
    if successor.process.poll() is not None:
        context.await_refusal(successor, "the committed offsets are of the topic with the id")
        with context.sampler.forgetting("encode"):
            context.read_posts_from(dict.fromkeys(range(PARTITIONS), 0))
        context.start("encode", ready=False)
    context.finish()


@fault("the posts topic deleted and made again, unnoticed by its reader")
def posts_made_again_unnoticed(context: Context) -> None:
    """It is frozen meanwhile, and finds records where it goes on: they count as the new topic's alone."""
    context.configure(kafka=context.kafka(properties=CLIENT | {"session.timeout.ms": 30_000}))
    context.start("assign", "route")
    running = context.start("encode")
    read = decide_all(context)
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
