"""How long it takes until a verdict counts: from its publication to the first decision that flags by it.

Posts of the simulated stream come at half of what the worker can do. Beside them, again and again: the first post of
a campaign of its own (a caption nobody else has), once it is decided a verdict that upholds it, and right behind the
verdict further posts with the same caption, one after the other, until one of them is flagged.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from confluent_kafka import Producer

from consumers.bundles import find_bundle
from consumers.changes.verdicts import verdict_message
from consumers.contracts.post import Post
from consumers.contracts.verdict import Verdict
from consumers.demo.feed import post_of
from consumers.kafka.topics import create_topics, needed_topics
from consumers.settings import Encode, Http, Kafka, Log, Redis, Settings
from models.manifest import read_manifest
from models.synthetic.captions import generate_caption
from models.synthetic.posts import StreamPlan, generate_stream
from tests.benchmarks.pipeline import ENCODER_CORE, OTHER_CORE
from tests.benchmarks.platform import PATIENCE_SECONDS, Platform, worker
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.contracts.decision import Decision

POLICY = "scam"
LOAD = 0.5
BETWEEN_POSTS_SECONDS = 0.1
"""Between two posts of a campaign behind its verdict."""

CAMPAIGNS_AT_ONCE = 2
SETTLE_SECONDS = 3.0
"""The stream alone, before the first campaign: what saturation left in the queues is gone by then."""


@dataclass
class Figures:
    """Milliseconds from a verdict until a decision that flags by it can be read."""

    saturation: float = 0.0
    rate: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    first_flagged: int = 0

    def quantiles(self) -> dict[str, float]:
        """The usual ones."""
        found = np.percentile(self.milliseconds, [50, 95, 99, 100])
        return dict(zip(("p50", "p95", "p99", "longest"), map(float, found), strict=True))

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self) | self.quantiles()

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        yield "posts", f"{self.rate:.0f} a second of {self.saturation:.0f} at saturation"
        yield "verdicts, each on a campaign of its own", str(len(self.milliseconds))
        told = ", ".join(f"{name} {value:.0f} ms" for name, value in self.quantiles().items())
        yield "from the verdict until a decision that flags by it can be read", told
        yield "the post right behind the verdict was flagged at once", f"{self.first_flagged} times"


@dataclass
class _Campaign:
    """One caption on its way.

    Attributes:
        upheld: when its verdict was published, in seconds since 1970.
        next_post: when the next post is due, by the monotonic clock.
    """

    caption: str
    first: str
    upheld: float | None = None
    next_post: float = 0.0
    posts: int = 0


def measure_verdicts(posts: int, seconds: float) -> Figures:
    """Measure saturation on `posts` posts, then verdicts for so many seconds; about two minutes with the defaults."""
    figures = Figures()
    plan = StreamPlan(seed=74, posts=posts)
    stream = [msgspec.json.encode(post_of(made)) for made in generate_stream(plan)]
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("this benchmark pins the encoders to a core of their own: it needs two cores")
    os.sched_setaffinity(0, {OTHER_CORE})  # the servers and the worker inherit it
    with kafka_broker() as address, redis_server() as url, tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            kafka=Kafka(bootstrap_servers=address),
            redis=Redis(url=url),
            encode=Encode(embed_cpus=(ENCODER_CORE,), decode_cpus=(OTHER_CORE,), intra_op_threads=1),
            http=Http(port=None),
            log=Log(level="warning"),
        )
        create_topics(settings, needed_topics(settings, read_manifest(find_bundle(settings.bundle)).bundle_id))
        platform = Platform(settings)
        platform.publish(stream, rate=None)
        with worker(settings, Path(folder) / "log"):
            figures.saturation = platform.rate_of(len(stream))
            figures.rate = LOAD * figures.saturation
            _Show(settings, platform, stream, figures).run(seconds)
        platform.close()
    return figures


class _Show:
    """The stream and the campaigns beside it, in one thread."""

    def __init__(self, settings: Settings, platform: Platform, stream: list[bytes], figures: Figures) -> None:
        self._settings = settings
        self._platform = platform
        self._stream = stream
        self._figures = figures
        self._producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, "linger.ms": 0})
        self._rng = np.random.default_rng(8)
        self._campaigns: dict[str, _Campaign] = {}
        self._sent = 0
        self._started = 0

    def run(self, seconds: float) -> None:
        """Begin campaigns for so long, then finish those on their way."""
        start = time.monotonic()
        end = start + SETTLE_SECONDS + seconds
        while (now := time.monotonic()) < end or self._campaigns:
            if now > end + PATIENCE_SECONDS:
                raise SystemExit(f"{len(self._campaigns)} verdicts still count for nothing")
            while self._sent < (now - start) * self._figures.rate:
                self._publish(self._stream[self._sent % len(self._stream)])
            if start + SETTLE_SECONDS < now < end and len(self._campaigns) < CAMPAIGNS_AT_ONCE:
                self._begin()
            for campaign in self._campaigns.values():
                if campaign.upheld is not None and campaign.next_post <= now:
                    self._post(campaign, now)
            self._producer.poll(0)
            for seen, decision in self._platform.seen(0.002):
                self._look(seen, decision)

    def _publish(self, value: bytes) -> None:
        self._producer.produce(self._settings.topics.posts, value)
        self._sent += 1

    def _begin(self) -> None:
        self._started += 1
        caption = f"{generate_caption(self._rng)} {uuid.UUID(bytes=self._rng.bytes(16))}"
        campaign = _Campaign(caption, f"campaign-{self._started}")
        self._campaigns[campaign.first] = campaign
        self._publish(msgspec.json.encode(Post(post_id=campaign.first, caption=caption)))

    def _post(self, campaign: _Campaign, now: float) -> None:
        campaign.posts += 1
        campaign.next_post = now + BETWEEN_POSTS_SECONDS
        post = Post(post_id=f"{campaign.first}/{campaign.posts}", caption=campaign.caption)
        self._publish(msgspec.json.encode(post))

    def _look(self, seen: float, decision: Decision) -> None:
        """The first post is decided: uphold it. A later one is flagged: measured."""
        first, _, number = (decision.post_id or "").partition("/")
        campaign = self._campaigns.get(first)
        if campaign is None:
            return
        if not number and decision.outcome == "flagged":
            del self._campaigns[first]  # an earlier verdict was about the like of it
        elif not number:
            self._uphold(campaign, decision)
        elif decision.outcome == "flagged" and campaign.upheld is not None:
            self._figures.milliseconds.append(1000.0 * (seen - campaign.upheld))
            self._figures.first_flagged += number == "1"
            del self._campaigns[first]

    def _uphold(self, campaign: _Campaign, decision: Decision) -> None:
        verdict = Verdict(
            verdict_id=str(uuid.uuid4()),
            decision="uphold",
            policy=POLICY,
            post_id=decision.post_id,
            cell=decision.cell,
            cell_offset=decision.cell_offset,
            actor="moderator",
            decided_at=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        )
        message = verdict_message(self._settings, verdict)
        campaign.upheld = time.time()
        self._producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
        self._post(campaign, time.monotonic())
