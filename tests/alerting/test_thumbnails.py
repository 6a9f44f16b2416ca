"""What a moderator may see of an image in a notification: its colours, and nothing from which it could be known."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from structlog.testing import capture_logs

from consumers.alerting.chat import open_chat
from consumers.alerting.settings import Channel
from consumers.alerting.thumbnails import DETAIL, SIDE, Thumbnails, blurred
from consumers.alerting.webhook import open_webhook
from consumers.contracts.source import Source
from consumers.embedded import Broker, embedded_broker
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.settings import Kafka, Media, Settings, Topics
from consumers.steps.reasons import Rejected
from tests.alerting.notices import notice, notification, post
from tests.alerting.receivers import mailbox, receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from consumers.contracts.notification import Thumbnail

PHOTOGRAPHS = sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg"))
each_photograph = pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
ALLOWED = {"severities": ["high"]}


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pixels_of(file: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), dtype=np.float64)


@given(st.integers(0, 2**32 - 1), st.sampled_from((2, 3, 4, 8, 16)))
def test_where_pixels_stand_within_a_cell_of_the_grid_leaves_no_trace(seed: int, side: int) -> None:
    """Shuffling the pixels of each cell gives the same file; in two steps of averages roundings may differ."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (DETAIL, DETAIL, side * side, 3), dtype=np.uint8)
    files = []
    for _ in range(2):
        cells = rng.permuted(cells, axis=2)
        whole = cells.reshape(DETAIL, DETAIL, side, side, 3).transpose(0, 2, 1, 3, 4).reshape(DETAIL * side, -1, 3)
        # each colour by itself is as much as may be shuffled: averages are taken of each
        files.append(blurred(png(np.ascontiguousarray(whole)), 10**9).data)
    if side <= 3:
        assert files[0] == files[1]
    assert np.abs(pixels_of(files[0]) - pixels_of(files[1])).mean() < 1.5


@each_photograph
def test_nothing_finer_than_the_grid_survives_of_a_photograph(path: Path) -> None:
    shown = pixels_of(blurred(path.read_bytes(), 10**9).data)
    assert shown.shape == (SIDE, SIDE, 3)
    colours = cv2.resize(pixels_of(path.read_bytes()), (DETAIL, DETAIL), interpolation=cv2.INTER_AREA)
    ours = np.clip(cv2.resize(colours, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 255)
    # what is shown is those colours, give or take what JPEG and rounding add
    assert np.abs(shown - ours).mean() < 3
    # and it has no frequency to speak of above theirs, of which the photograph itself is full
    assert fine(shown) < 0.01
    assert fine(cv2.resize(pixels_of(path.read_bytes()), (SIDE, SIDE), interpolation=cv2.INTER_AREA)) > 0.05


def fine(pixels: NDArray[Any]) -> float:
    """The part of an image's variance in details that are smaller than two cells of the grid."""
    grey = pixels.mean(axis=2)
    mirrored = np.block([[grey, grey[:, ::-1]], [grey[::-1], grey[::-1, ::-1]]])
    power = np.abs(np.fft.fft2(mirrored - mirrored.mean())) ** 2
    frequency = np.abs(np.fft.fftfreq(2 * SIDE, 1 / SIDE))
    above = np.maximum.outer(frequency, frequency) > DETAIL
    return float(power[above].sum() / power.sum())


@each_photograph
def test_tags_of_the_file_are_gone_and_it_stands_upright(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x013B] = 3, "where it was taken", "by whom"
    turned = io.BytesIO()
    with Image.open(path) as image:
        image.rotate(180).save(turned, "JPEG", exif=exif, comment=b"a comment", icc_profile=b"profile", quality=95)
    made = blurred(turned.getvalue(), 10**9)
    with Image.open(io.BytesIO(made.data)) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (SIDE, SIDE), {})
        assert not {"exif", "comment", "icc_profile"} & image.info.keys()
    assert np.abs(pixels_of(made.data) - pixels_of(blurred(path.read_bytes(), 10**9).data)).mean() < 3


def test_an_image_that_is_none_or_too_large_is_rejected() -> None:
    with pytest.raises(Rejected):
        blurred(b"no image", 10**9)
    with pytest.raises(Rejected):
        blurred(PHOTOGRAPHS[0].read_bytes(), 1000)


def test_a_channel_gets_none_unless_its_settings_name_some() -> None:
    cases: list[tuple[dict[str, list[str]], bool]] = [
        ({}, False),
        ({"severities": ["high"]}, True),
        ({"severities": ["low", "medium"]}, False),
        ({"policies": ["scam"]}, True),
        ({"policies": ["spam"]}, False),
        ({"policies": ["scam"], "severities": ["low"]}, False),
    ]
    for thumbnails, allowed in cases:
        channel = channel_of(webhook="http://127.0.0.1:1/", thumbnails=thumbnails)
        assert channel.thumbnails.allow("high", "scam") == allowed, thumbnails


def channel_of(**fields: Any) -> Channel:
    return Channel.model_validate({"name": "any", "thumbnails": ALLOWED} | fields)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with embedded_broker() as broker:
        yield broker


class Platform:
    """A posts topic with one record for each of the posts given."""

    def __init__(self, broker: Broker, name: str, *posts: dict[str, Any], media: Path | None = None) -> None:
        self.identity = broker.identity
        self.settings = Settings(
            kafka=Kafka(bootstrap_servers=broker.address, delivery="at-least-once", topic_identity=broker.identity),
            topics=Topics(posts=name),
            media=Media(prefixes=() if media is None else (f"file://{media}/",)),
        )
        broker.create(name)
        delivery = open_delivery(self.settings, "test")
        for one in posts:
            # one after the other, under one key: offsets are as the order
            delivery.deliver([Outgoing(name, b"key", msgspec.json.encode(one))])
        delivery.close()
        self.thumbnails = Thumbnails(self.settings)
        self.partition = self._partition(name)

    def _partition(self, name: str) -> int:
        from consumers.kafka.lookup import read_topic

        return next((message.partition() or 0 for message in read_topic(self.settings, name)), 0)

    def shown(self, number: int, channel: Channel | None = None, **source: Any) -> Thumbnail | None:
        """What is added to a notice of post `number`, which stands at that offset unless `source` says otherwise."""
        place: dict[str, Any] = {
            "topic": self.settings.topics.posts,
            "topic_id": self.identity,
            "partition": self.partition,
        }
        one = post(number, source=Source(**(place | {"offset": number, "timestamp": 0} | source)))
        given = notification(notice(posts=(one,)))
        return self.thumbnails.added(given, channel or channel_of(webhook="http://127.0.0.1:1/")).notices[0].thumbnail


def image_post(number: int, file: bytes, **fields: Any) -> dict[str, Any]:
    image = {"kind": "image", "data": base64.b64encode(file).decode()}
    return {"post_id": f"post-{number}", "media": [image]} | fields


def test_the_post_is_read_where_its_flag_says_that_it_stands(broker: Broker, tmp_path: Path) -> None:
    one, other = (path.read_bytes() for path in PHOTOGRAPHS[:2])
    (tmp_path / "other.jpg").write_bytes(other)
    stored = {"kind": "image", "uri": f"file://{tmp_path}/other.jpg"}
    elsewhere = {"kind": "image", "uri": "file:///etc/passwd"}
    platform = Platform(
        broker,
        "thumbnails-read",
        image_post(0, one),
        {"post_id": "post-1", "media": [{"kind": "audio", "data": "AAAA"}, stored]},
        {"post_id": "post-2", "caption": "no image"},
        {"post_id": "post-3", "media": [elsewhere]},
        image_post(99, one),
        image_post(5, b"no image"),
        media=tmp_path,
    )
    assert platform.shown(0) == blurred(one, 10**9)
    assert platform.shown(1) == blurred(other, 10**9)
    # none: no image, a place that is not allowed, another post than its flag says, undecodable, not there (any more)
    assert [platform.shown(number) for number in (2, 3, 4, 5, 6)] == [None] * 5
    # a topic of the same name that was made again, and a topic that is not the posts'
    assert platform.shown(7, topic_id="another life", offset=0) is None
    assert platform.shown(8, topic="flags", offset=0) is None
    assert platform.shown(0, channel_of(webhook="http://127.0.0.1:1/", thumbnails={})) is None


def test_what_is_taken_back_and_summaries_have_none(broker: Broker) -> None:
    platform = Platform(broker, "thumbnails-none", image_post(0, PHOTOGRAPHS[0].read_bytes()))
    source = Source("thumbnails-none", broker.identity, platform.partition, 0, 0)
    channel = channel_of(webhook="http://127.0.0.1:1/")
    flagged, gone = post(0, source=source), post(0, source=source, action="retract")
    for one in (
        notification(notice(posts=(gone,))),
        notification(notice(1, posts=(flagged,)), notice(2, posts=(flagged,))),
    ):
        assert platform.thumbnails.added(one, channel) == one


def test_brokers_that_do_not_answer_cost_one_wait_and_no_notification() -> None:
    kafka = Kafka(bootstrap_servers="127.0.0.1:1", request_timeout_seconds=0.2)
    thumbnails = Thumbnails(Settings(kafka=kafka))
    given = notification(notice(posts=(post(0, source=Source("posts", "id", 0, 0, 0)),)))
    channel = channel_of(webhook="http://127.0.0.1:1/")
    with capture_logs() as told:
        for _ in range(3):
            assert thumbnails.added(given, channel) == given
    assert [line["event"] for line in told] == ["no thumbnail"]


def test_a_webhook_gets_it_in_base64_and_a_mail_as_a_file(broker: Broker) -> None:
    file = PHOTOGRAPHS[0].read_bytes()
    platform = Platform(broker, "thumbnails-sent", image_post(1, file))
    source = Source("thumbnails-sent", broker.identity, platform.partition, 0, 0)
    given = notification(notice(posts=(post(1, source=source),)))
    expected = blurred(file, 10**9)
    with receiver() as server:
        channel = channel_of(webhook=server.url)
        open_webhook(channel)(platform.thumbnails.added(given, channel))
    told = msgspec.json.decode(server.taken[0].body)["notices"][0]["thumbnail"]
    assert (told["media_type"], told["width"], told["height"]) == ("image/jpeg", SIDE, SIDE)
    assert base64.b64decode(told["data"], validate=True) == expected.data
    with mailbox() as (box, url):
        channel = channel_of(apprise=url)
        open_chat(channel)(platform.thumbnails.added(given, channel))
        open_chat(channel)(given)
    attached = [list(mail.iter_attachments()) for mail in box.messages]
    assert [len(one) for one in attached] == [1, 0]
    [picture] = attached[0]
    assert (picture.get_content_type(), picture.get_filename()) == ("image/jpeg", "blurred.jpg")
    assert picture.get_content() == expected.data
    assert "similarity 0.91" in str(box.messages[0].get_body(("plain",)))
