"""Real photographs and recordings through a real Kafka and Redis, as an engineer and a moderator would do it.

    python -m tests.quality.real_input MEDIA [--write docs/real-input.md]

MEDIA holds images/test and audio/test. Everything is done with the `shoal` command, as child processes; only the
flags are read with a plain consumer, as a platform would.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, TopicPartition

from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

UPHELD = 40
"""Originals that the moderator upholds: every ninth, so that posts with and without audio are among them."""

COPIES = 4
POLICY = "known-media"
PATIENCE_SECONDS = 300.0


@dataclass
class Counts:
    """What was sent, and what came back."""

    originals: int = 0
    upheld: int = 0
    copies: int = 0
    copies_of_upheld: int = 0
    flagged: int = 0
    wrongly: int = 0
    before: int = 0
    undecided: int = 0
    missed_by_transform: dict[str, list[int]] = field(default_factory=dict)


def shoal(*arguments: str, environment: dict[str, str]) -> str:
    """Run one `shoal` command; what it printed. Fails loudly."""
    command = [sys.executable, "-m", "consumers.cli", *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"shoal {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def worker(environment: dict[str, str], log: Path) -> Iterator[None]:
    """`shoal run` as a child process; ended as Kubernetes would."""
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "consumers.cli", "run"], env=environment, stderr=file)
        try:
            yield
            if process.poll() is not None:
                raise SystemExit(f"shoal run ended by itself: {log.read_text()[-2000:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait(60) != 0:
                raise SystemExit(f"shoal run ended badly: {log.read_text()[-2000:]}")


def read_all(address: str, topic: str) -> list[dict[str, Any]]:
    """Every committed message of a topic, by a plain consumer."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": str(uuid.uuid4()),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        messages = []
        while any(place.offset < ends[place.partition] for place in consumer.position(_places(topic, partitions))):
            message = consumer.poll(5.0)
            if message is None:
                break
            if message.error() is None:
                messages.append(json.loads(message.value() or b"{}"))
        return messages
    finally:
        consumer.close()


def _places(topic: str, partitions: Any) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in partitions]


def wait_for_decisions(address: str, count: int) -> list[dict[str, Any]]:
    """All decisions, once there are `count`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        decisions = read_all(address, "decisions")
        if len(decisions) >= count:
            return decisions
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(decisions)} of {count} posts decided after {PATIENCE_SECONDS:.0f} s")
        time.sleep(1.0)


def notes(path: Path) -> list[dict[str, Any]]:
    """The truth that `shoal produce` wrote."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(media: Path, address: str, redis_url: str, scratch: Path) -> tuple[Counts, dict[str, int]]:
    """The whole story; the counts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    environment |= {"SHOAL_KAFKA__BOOTSTRAP_SERVERS": address, "SHOAL_REDIS__URL": redis_url, "SHOAL_HTTP__PORT": "0"}
    folders = ["--images", str(media / "images" / "test"), "--audio", str(media / "audio" / "test")]
    shoal("check", "--create-topics", environment=environment)
    counts = Counts()
    with worker(environment, scratch / "run.log"):
        shoal("produce", *folders, "--variants", "0", "--truth", str(scratch / "originals"), environment=environment)
        originals = notes(scratch / "originals")
        decisions = {d["post_id"]: d for d in wait_for_decisions(address, len(originals))}
        counts.originals = len(originals)
        counts.before = len(read_all(address, "flags"))
        upheld = [note["post_id"] for note in originals[:: max(1, len(originals) // UPHELD)]][:UPHELD]
        for post in upheld:
            place = ["--cell", str(decisions[post]["cell"]), "--cell-offset", str(decisions[post]["cell_offset"])]
            shoal(
                "verdict", "uphold", post, "--policy", POLICY, "--actor", "moderator", *place, environment=environment
            )
        counts.upheld = len(upheld)
        time.sleep(5.0)
        copies = ["--variants", str(COPIES), "--no-originals", "--seed", "7", "--truth", str(scratch / "copies")]
        shoal("produce", *folders, *copies, environment=environment)
        sent = notes(scratch / "copies")
        decisions = {d["post_id"]: d for d in wait_for_decisions(address, len(originals) + len(sent))}
    count_flags(counts, sent, set(upheld), {flag["post_id"] for flag in read_all(address, "flags")})
    counts.undecided = len({note["post_id"] for note in sent} - decisions.keys())
    outcomes: dict[str, int] = {}
    for decision in decisions.values():
        outcomes[decision["outcome"]] = outcomes.get(decision["outcome"], 0) + 1
    return counts, outcomes


def count_flags(counts: Counts, sent: list[dict[str, Any]], upheld: set[str], flagged: set[str]) -> None:
    """Compare the flags with the truth: copies of upheld originals should have one, others none."""
    counts.copies = len(sent)
    for note in sent:
        hit = note["post_id"] in flagged
        if note["original"] not in upheld:
            counts.wrongly += hit
            continue
        counts.copies_of_upheld += 1
        counts.flagged += hit
        for name in note["variants"]:
            seen = counts.missed_by_transform.setdefault(name, [0, 0])
            seen[0] += not hit
            seen[1] += 1


PAGE = """# Real input

Photographs of garments ({originals_images} files, CC0) and environmental sounds ({originals_audio} clips, CC0 or
CC BY) that no training, calibration or choice ever saw, posted, judged and posted again through a real Kafka and a
real Redis. Posts have a photograph, and the first {originals_audio} also a recording; none has a caption.
Bundle: {bundle}.

    python -m tests.quality.real_input MEDIA --write docs/real-input.md

It runs `shoal check --create-topics`, `shoal run`, `shoal produce --images DIR --audio DIR`, `shoal verdict uphold
POST_ID` for every {step}th original, `shoal produce --variants {copies_each} --no-originals`, and reads the flags
with a plain confluent-kafka consumer (read_committed).

| | |
|---|---|
| originals posted and decided | {originals} |
| flags before any verdict | {before} |
| originals upheld by one verdict each | {upheld} |
| altered copies posted and decided | {copies} |
| copies of upheld originals | {copies_of_upheld} |
| of these flagged (recall) | {flagged} ({recall:.3f}) |
| flags on copies of other originals | {wrongly} of {others} ({false:.4f}) |
| precision of the flags | {precision:.3f} |
| posts without a decision | {undecided} |
| outcomes of all decisions | {outcomes} |

The photographs are all of one kind, on plain grounds in like poses: other garments are hard look-alikes. Before
features were compared, cosines alone flagged 54 of the copies of others, and .887 of those of upheld ones. Copies of
upheld originals that were missed, by transform (a copy may have several):

| transform | missed | of |
|---|---|---|
{transforms}
"""


def page(counts: Counts, outcomes: dict[str, int], media: Path) -> str:
    """The page for docs/."""
    others = counts.copies - counts.copies_of_upheld
    flags = counts.flagged + counts.wrongly
    rows = sorted(counts.missed_by_transform.items(), key=lambda item: (-item[1][0], item[0]))
    bundle = json.loads(shoal("bundle", "info", "--json", environment=dict(os.environ)))
    return PAGE.format(
        **vars(counts),
        originals_images=len(list((media / "images" / "test").iterdir())),
        originals_audio=len(list((media / "audio" / "test").iterdir())),
        bundle=bundle["bundle"],
        step=max(1, counts.originals // UPHELD),
        copies_each=COPIES,
        others=others,
        recall=counts.flagged / max(1, counts.copies_of_upheld),
        false=counts.wrongly / max(1, others),
        precision=counts.flagged / max(1, flags),
        outcomes=", ".join(f"{name} {number}" for name, number in sorted(outcomes.items())),
        transforms="\n".join(f"| {name} | {missed} | {of} |" for name, (missed, of) in rows),
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path)
    parser.add_argument("--write", type=Path, help="where to write the page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, kafka_broker() as address, redis_server() as url:
        counts, outcomes = run(arguments.media, address, url, Path(scratch))
    text = page(counts, outcomes, arguments.media)
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
