"""The image of a flagged post, blurred beyond recognition, for channels that are allowed one.

It is made when a notification is sent, from the post as it stands in the posts topic: what is kept in Redis, and what
becomes a dead letter, holds no content.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import closing
from typing import TYPE_CHECKING

import cv2
import msgspec
import structlog
from confluent_kafka import KafkaException

from consumers.contracts.notification import Thumbnail
from consumers.kafka.delivery import DeliveryError
from consumers.kafka.lookup import open_reader, read_record, record_of
from consumers.kafka.topic_watch import TopicWatch
from consumers.steps import reasons
from consumers.steps.decode_image import decode_image
from consumers.steps.fetch import fetched
from consumers.steps.parse import parse
from consumers.steps.reasons import Rejected
from models.manifest import ImageInput

if TYPE_CHECKING:
    from consumers.alerting.settings import Channel
    from consumers.contracts.notification import FlaggedPost, Notification
    from consumers.contracts.post import Post
    from consumers.settings import Settings

DETAIL = 8
"""Averages a side: a thumbnail is made of DETAIL x DETAIL colours, and of nothing else in the image."""

SIDE = 128
QUALITY = 85
READ_SECONDS = 5.0
PAUSE_SECONDS = 60.0
"""Without thumbnails, after Kafka or the store of the media has not answered."""

MOST_KEPT = 256

log = structlog.get_logger()


def blurred(file: bytes, most_pixels: int) -> Thumbnail:
    """The image averaged to DETAIL x DETAIL colours, stretched smoothly to SIDE x SIDE, as a JPEG without any tags.

    Args:
        file: JPEG, PNG, WebP, GIF or AVIF.
        most_pixels: an image with more is rejected before it is decoded.

    Raises:
        Rejected: undecodable, or too many pixels.
    """
    colours = decode_image(file, ImageInput(size=DETAIL), most_pixels)
    smooth = cv2.resize(colours, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(smooth, cv2.COLOR_RGB2BGR), quality)
    return Thumbnail(media_type="image/jpeg", width=SIDE, height=SIDE, data=encoded.tobytes())


class Thumbnails:
    """Reads flagged posts anew and blurs their first image. Channels' threads share it."""

    def __init__(self, settings: Settings) -> None:
        """Connects for each thumbnail: they are few, for a campaign is told of now and then."""
        seconds = min(READ_SECONDS, settings.kafka.request_timeout_seconds)
        hasty = settings.kafka.model_copy(update={"request_timeout_seconds": seconds})
        self._settings = settings.model_copy(update={"kafka": hasty})
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._made: OrderedDict[str, Thumbnail | None] = OrderedDict()

    def added(self, notification: Notification, channel: Channel) -> Notification:
        """The notification with a thumbnail of its latest flagged post; as it was where there is none to be had.

        A summary gets none, nor does what the channel's settings do not name.
        """
        if notification.kind == "summary" or not notification.notices:
            return notification
        notice = notification.notices[0]
        post = next((one for one in reversed(notice.posts) if one.action == "flag"), None)
        if post is None or not channel.thumbnails.allow(notice.severity, notice.policy):
            return notification
        shown = msgspec.structs.replace(notice, thumbnail=self._of(post))
        return msgspec.structs.replace(notification, notices=(shown,))

    def _of(self, post: FlaggedPost) -> Thumbnail | None:
        """Of one post; None also while what holds it does not answer, for words must not wait for pictures."""
        with self._lock:
            if post.flag_id in self._made:
                return self._made[post.flag_id]
            if time.monotonic() < self._not_before:
                return None
            try:
                thumbnail = self._make(post)
            except (KafkaException, DeliveryError, Rejected) as error:
                log.warning("no thumbnail", flag=post.flag_id, reason=str(error))
                if not isinstance(error, Rejected) or error.reason == reasons.URI_UNREADABLE:
                    self._not_before = time.monotonic() + PAUSE_SECONDS
                    return None
                thumbnail = None
            except Exception:
                log.exception("a thumbnail could not be made", flag=post.flag_id)
                thumbnail = None
            self._made[post.flag_id] = thumbnail
            if len(self._made) > MOST_KEPT:
                self._made.popitem(last=False)
            return thumbnail

    def _make(self, post: FlaggedPost) -> Thumbnail | None:
        """Of the post's first image; None when it has none, or the topic no longer has the post.

        Raises:
            KafkaException, DeliveryError: the brokers do not tell.
            Rejected: the image cannot be had or decoded.
        """
        found = self._read(post)
        image = next((media for media in found.media if media.kind == "image"), None) if found else None
        if image is None:
            return None
        limits = self._settings.limits
        return blurred(fetched(image, self._settings.media, limits), limits.image_pixels)

    def _read(self, post: FlaggedPost) -> Post | None:
        """The post where its flag says that it stands, if it still stands there."""
        source, settings = post.source, self._settings
        if source is None or source.topic != settings.topics.posts:
            return None
        if TopicWatch(settings, source.topic).topic_id != source.topic_id:
            return None
        with closing(open_reader(settings)) as reader:
            message = read_record(reader, source.topic, source.partition, source.offset, timeout=READ_SECONDS)
        if message is None:
            return None
        now_ms = time.time_ns() // 1_000_000
        found = parse(record_of(message), settings.limits, now_ms, settings.encode.future_seconds).post
        return found if found is not None and found.post_id == post.post_id else None
