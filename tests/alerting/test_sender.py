"""Each channel goes its own way: one that is slow, fails or asks for a pause makes no other wait."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from consumers.alerting.sender import Outcome, Sender
from consumers.alerting.settings import Alert, Channel
from consumers.contracts.notification import Notification, Thumbnail
from consumers.state.alerts import Unsent
from tests.alerting.notices import notice, notification
from tests.alerting.receivers import Answer, Receiver, receiver, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURE = Thumbnail(media_type="image/jpeg", width=1, height=1, data=b"a picture")
RULES: dict[str, Any] = {"first_pause_seconds": 0.05, "longest_pause_seconds": 0.2}


def with_picture(given: Notification, _channel: Channel) -> Notification:
    """As thumbnails are added to what a channel gets."""
    return msgspec.structs.replace(given, notices=(notice(thumbnail=PICTURE),))


def unsent(number: int) -> Unsent:
    return Unsent(channel="hook", notification=notification(notice(number)), held={"p": number}, serial=number)


class Running:
    """A sender of one webhook, and what it said of each notification."""

    def __init__(self, server: Receiver, may_send: bool = True, **fields: Any) -> None:
        rules = Alert.model_validate(
            RULES | {name: fields.pop(name) for name in list(fields) if name in RULES | {"queue": 0}}
        )
        given = {"name": "hook", "webhook": server.url, "timeout_seconds": 30} | fields
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.may_send = may_send
        channel = Channel.model_validate(given)
        self.sender = Sender(channel, rules, self.outcomes, lambda: self.may_send, with_picture)

    def next(self) -> Outcome:
        return self.outcomes.get(timeout=60)


@contextmanager
def running(server: Receiver, **fields: Any) -> Iterator[Running]:
    made = Running(server, **fields)
    try:
        yield made
    finally:
        server.closing.set()
        made.sender.stop()
        made.sender.join(30)


def test_what_is_put_is_sent_in_order() -> None:
    with receiver() as server, running(server) as run:
        for number in range(5):
            run.sender.put(unsent(number))
        assert [run.next().unsent.serial for _ in range(5)] == [0, 1, 2, 3, 4]
        assert [one.notices[0].campaign for one in server.notifications] == [f"0-{number}" for number in range(5)]


def test_a_receiver_that_fails_for_a_while_gets_everything_once() -> None:
    with receiver() as server, running(server) as run:
        server.answer = lambda _: Answer(500) if len(server.requests) < 8 else Answer()
        for number in range(4):
            run.sender.put(unsent(number))
        outcomes = [run.next() for _ in range(4)]
    assert {outcome.given_up for outcome in outcomes} == {None}
    assert sorted(one.notification_id for one in server.notifications) == [
        unsent(n).notification.notification_id for n in range(4)
    ]


def test_a_receiver_that_limits_the_rate_is_asked_again_when_it_said() -> None:
    with receiver() as server, running(server, longest_pause_seconds=60) as run:
        server.answer = lambda _: Answer(429, (("Retry-After", "1"),)) if len(server.requests) == 1 else Answer()
        run.sender.put(unsent(0))
        run.sender.put(unsent(1))
        assert [run.next().given_up, run.next().given_up] == [None, None]
        refused, *after = server.requests
        assert all(request.at - refused.at >= 1 for request in after)


def test_a_pause_that_is_asked_for_has_a_bound() -> None:
    with receiver() as server, running(server) as run:
        server.answer = lambda _: Answer(429, (("Retry-After", "86400"),)) if len(server.requests) == 1 else Answer()
        run.sender.put(unsent(0))
        assert run.next().given_up is None


def test_one_that_is_never_taken_is_given_up_and_the_others_go_by() -> None:
    with receiver() as server, running(server, patience_seconds=1) as run:
        bad = unsent(0).notification.notification_id
        server.answer = lambda request: Answer(500 if request.headers["webhook-id"] == bad else 204)
        for number in range(3):
            run.sender.put(unsent(number))
        first, second, last = (run.next() for _ in range(3))
    assert [first.unsent.serial, second.unsent.serial] == [1, 2]
    assert (last.unsent.serial, last.given_up is None) == (0, False)
    assert "HTTP 500" in str(last.given_up)


def test_one_that_the_receiver_finds_wrong_is_given_up_at_once() -> None:
    with receiver() as server, running(server) as run:
        server.answer = lambda _: Answer(422, body=b"no such policy")
        run.sender.put(unsent(0))
        assert run.next().given_up == "HTTP 422 no such policy"
        assert len(server.requests) == 1


def test_a_receiver_that_hangs_holds_up_nobody_else() -> None:
    with receiver() as hanging, receiver() as good, running(hanging) as slow, running(good) as quick:
        hanging.answer = lambda _: Answer(after=600)
        slow.sender.put(unsent(0))
        wait_until(lambda: hanging.requests)
        for number in range(20):
            quick.sender.put(unsent(number))
            assert quick.next().given_up is None
        assert slow.outcomes.empty()


def test_the_queue_has_a_bound() -> None:
    with receiver() as server, running(server, queue=3) as run:
        run.may_send = False
        for number in range(2):
            run.sender.put(unsent(number))
        assert run.sender.has_room(0)
        assert not run.sender.has_room(1)


def test_nothing_is_sent_while_the_lease_is_lost() -> None:
    asked: list[bool] = []
    held = [False]
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def may_send() -> bool:
        asked.append(held[0])
        return held[0]

    with receiver() as server:
        channel = Channel.model_validate({"name": "hook", "webhook": server.url})
        sender = Sender(channel, Alert.model_validate(RULES), outcomes, may_send, with_picture)
        sender.put(unsent(0))
        wait_until(lambda: len(asked) > 5)
        assert server.requests == []
        held[0] = True
        assert outcomes.get(timeout=60).given_up is None
        sender.stop()
        sender.join(30)


def test_a_defect_gives_one_notification_up_and_not_the_channel() -> None:
    with receiver() as server, running(server) as run:
        broken = unsent(0)
        good = run.sender._send

        def send(one: Any) -> None:
            if one.notification_id == broken.notification.notification_id:
                raise KeyError("defect")
            good(one)

        run.sender._send = send
        run.sender.put(broken)
        run.sender.put(unsent(1))
        assert "internal error" in str(run.next().given_up)
        assert run.next().given_up is None


@pytest.mark.parametrize(("severities", "picture"), [([], None), (["high"], PICTURE)])
def test_pictures_go_to_channels_whose_settings_name_some_and_stay_at_each_attempt(
    severities: list[str], picture: Thumbnail | None
) -> None:
    with receiver() as server, running(server, thumbnails={"severities": severities}) as run:
        server.answer = lambda _: Answer(500) if len(server.requests) < 3 else Answer()
        run.sender.put(unsent(0))
        assert run.next().given_up is None
    assert [one.notification.notices[0].thumbnail for one in server.requests] == [picture] * 3


def test_a_service_that_takes_no_picture_gets_the_words_alone() -> None:
    with receiver() as server:
        service = server.url.replace("http://", "json://")
        fields = {"webhook": None, "apprise": service, "thumbnails": {"policies": ["scam"]}}
        with running(server, **fields) as run:
            server.answer = lambda request: Answer(413 if b"blurred.jpg" in request.body else 200)
            run.sender.put(unsent(0))
            assert run.next().given_up is None
        assert [b"blurred.jpg" in request.body for request in server.requests] == [True, False]
