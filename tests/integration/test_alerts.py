"""Moderators are told of every flag, over kills and lost state, on a real Kafka and a real Redis."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from consumers.alerting.settings import Alert
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.settings import Redis
from tests.alerting.flags import flag
from tests.alerting.receivers import Answer, Receiver, Told, receiver, wait_until
from tests.integration.platform import Platform, Worker
from tests.integration.test_decisions import benign, scam
from tests.redis_servers import own_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from consumers.contracts.flag import Flag
    from consumers.contracts.notification import Notification

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

FAST: dict[str, Any] = {
    "digest_seconds": 0.3,
    "escalation_flags": 0,
    "first_pause_seconds": 0.05,
    "longest_pause_seconds": 0.2,
    "lease_seconds": 3,
    "summary_above": 1000,  # each by itself, so that what is repeated can be counted
}
KILLS = 6


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as opened:
        yield opened


class Alerting:
    """A platform with channels; its workers are told of them by the environment, as secrets are."""

    def __init__(self, new_platform: Callable[..., Platform], folder: Path, *channels: dict[str, Any]) -> None:
        self._channels = channels
        self.platform = new_platform(alert=Alert.model_validate(FAST | {"channels": channels}))
        self._folder = folder

    def start(self, *names: str, **rules: Any) -> Worker:
        settings = self.platform.settings.model_copy(update={"alert": Alert()})
        alert = json.dumps(FAST | rules | {"channels": self._channels})
        worker = Worker(settings, self._folder / f"{uuid.uuid4().hex[:6]}.log", *names, SHOAL_ALERT=alert)
        worker.wait_ready()
        return worker

    @contextmanager
    def running(self, *names: str, **rules: Any) -> Iterator[Worker]:
        worker = self.start(*names, **rules)
        try:
            yield worker
            assert worker.stop() == 0, worker.log.read_text()[-4000:]
        finally:
            if worker.process.poll() is None:
                worker.kill()

    def flag(self, *flags: Flag) -> None:
        settings = self.platform.settings
        delivery = open_delivery(settings, f"{settings.kafka.group}.flagging")
        delivery.deliver(
            [Outgoing(settings.topics.flags, one.post_id.encode(), msgspec.json.encode(one)) for one in flags]
        )
        delivery.close()


def hook(server: Receiver) -> dict[str, Any]:
    return {"name": "hook", "webhook": server.url, "timeout_seconds": 30}


def told(server: Receiver) -> dict[str, Notification]:
    """What the receiver has taken, by id: a repetition is dropped."""
    return {one.notification_id: one for one in server.notifications}


def unreliable(request: Told) -> Answer:
    """A receiver on a bad day."""
    chance = random.random()
    if chance < 0.2:
        return Answer(500)
    if chance < 0.3:
        return Answer(429, (("Retry-After", "1"),))
    return Answer(after=0.3 if chance < 0.4 else 0.0)


def test_kills_lose_no_flag_and_repeat_only_under_the_same_id(
    new_platform: Callable[..., Platform], server: Receiver, tmp_path: Path
) -> None:
    alerting = Alerting(new_platform, tmp_path, hook(server))
    server.answer = unreliable
    done = threading.Event()
    flags = [flag(number, cluster_id=f"0-{number % 20}", exemplar=None) for number in range(300)]

    def write() -> None:
        for start in range(0, len(flags), 10):
            # a crash upstream may write a batch twice
            alerting.flag(*flags[start : start + 10], *flags[max(0, start - 5) : start])
            time.sleep(0.2)
        done.set()

    writing = threading.Thread(target=write)
    worker = alerting.start("alert")
    writing.start()
    for _ in range(KILLS):
        _wait_for_more(server, done)
        worker.kill()
        worker = alerting.start("alert")
    try:
        wait_until(lambda: done.is_set() and sum(one.flags for one in told(server).values()) >= len(flags))
    finally:
        writing.join()
        assert worker.stop() == 0
    bodies: dict[str, set[bytes]] = {}
    for request in server.requests:
        bodies.setdefault(request.headers["webhook-id"], set()).add(request.body)
    assert all(len(several) == 1 for several in bodies.values()), "an id has two contents"
    assert sum(one.flags for one in told(server).values()) == len(flags)
    totals: dict[str, int] = {}
    for one in told(server).values():
        [notice] = one.notices
        totals[notice.campaign] = max(totals.get(notice.campaign, 0), notice.flags_total)
    assert totals == {f"0-{number}": 15 for number in range(20)}
    repeated = len(server.taken) - len(told(server))
    print(f"{len(told(server))} notifications, {repeated} repeated over {KILLS} kills")  # noqa: T201  # for -s


def _wait_for_more(server: Receiver, done: threading.Event) -> None:
    """Let some notifications go out before the next kill."""
    enough = len(server.requests) + random.randrange(1, 8)
    wait_until(lambda: len(server.requests) >= enough or done.is_set())


def test_a_redis_that_lost_everything_costs_repetitions_and_no_flag(
    new_platform: Callable[..., Platform], server: Receiver, tmp_path: Path
) -> None:
    with own_redis() as own:
        given = Alerting(new_platform, tmp_path, hook(server))
        settings = given.platform.settings.model_copy(update={"redis": Redis(url=own.url, timeout_seconds=2.0)})
        given.platform.settings = settings
        with given.running("alert", digest_seconds=3600) as worker:
            given.flag(flag(1))
            wait_until(lambda: told(server))
            given.flag(flag(2), flag(3))
            wait_until(lambda: worker.metric("shoal_alert_untold_flags") == 2)
            own.client.flushall()
            wait_until(lambda: len(told(server)) == 2)
    first, again = told(server).values()
    assert [post.post_id for post in first.notices[0].posts] == ["post-1"]
    assert {post.post_id for post in again.notices[0].posts} == {"post-2", "post-3"}


def test_flags_from_before_the_first_start_are_told_as_far_back_as_asked(
    new_platform: Callable[..., Platform], server: Receiver, tmp_path: Path
) -> None:
    alerting = Alerting(new_platform, tmp_path, hook(server))
    alerting.flag(flag(1))
    old = time.time() + 2
    wait_until(lambda: time.time() > old)
    with alerting.running("alert", lookback_seconds=1):
        alerting.flag(flag(2))
        wait_until(lambda: told(server))
        assert [one.flags for one in told(server).values()] == [1]
    other = Alerting(new_platform, tmp_path, hook(server))
    other.flag(flag(3))
    with other.running("alert"):
        wait_until(lambda: any(one.notices[0].posts[-1].post_id == "post-3" for one in told(server).values()))


def test_a_receiver_that_hangs_slows_no_post_and_no_end(
    new_platform: Callable[..., Platform], server: Receiver, tmp_path: Path
) -> None:
    alerting = Alerting(new_platform, tmp_path, hook(server) | {"timeout_seconds": 120})
    platform = alerting.platform
    server.answer = lambda _: Answer(after=600)
    with alerting.running(digest_seconds=3600) as worker:
        platform.publish(scam(0))
        platform.give_verdict("uphold", "scam", platform.decided(1)["scam-0"])
        wait_until(lambda: worker.metric("shoal_verdicts_total", outcome="counted") == 1)
        platform.publish(*(scam(number) for number in range(1, 40)))
        wait_until(lambda: server.requests, lambda: worker.log.read_text()[-4000:])
        platform.publish(*(benign(number) for number in range(50)))
        platform.decided(90)
        assert server.taken == []
        assert worker.metric("shoal_alerts_pending", channel="hook") == 1
    [request, *_] = server.requests
    assert request.notification.notices[0].policy == "scam"
