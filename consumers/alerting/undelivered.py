"""Notifications that no channel has taken, as dead letters, and their way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from consumers.contracts.codec import CONTENT_TYPE, MessageError, decode_json
from consumers.contracts.notification import SCHEMA, Notification
from consumers.contracts.source import Source
from consumers.encoding.work import Failure, SourceRecord
from consumers.kafka.dead_letters import dead_letter

if TYPE_CHECKING:
    from consumers.kafka.delivery import Outgoing
    from consumers.settings import Settings
    from consumers.state.alerts import Unsent

STEP = "alert"
NOT_DELIVERED = "not-delivered"
CHANNEL = "shoal.channel"
NOWHERE = -1
"""The offset of a notification that has not stood in the topic of those put back."""

_decoder = msgspec.json.Decoder(Notification)


def undelivered(unsent: Unsent, detail: str, settings: Settings, now_ms: int) -> Outgoing:
    """The dead letter of a notification; `shoal dead-letters replay` puts it into the alerts topic."""
    source = Source(settings.topics.alerts, "", 0, NOWHERE, now_ms)
    record = SourceRecord(
        source,
        unsent.notification.notification_id.encode(),
        msgspec.json.encode(unsent.notification),
        (CONTENT_TYPE, (CHANNEL, unsent.channel.encode())),
    )
    return dead_letter(record, Failure(NOT_DELIVERED, STEP, f"{unsent.channel}: {detail}"), settings)


def put_back(record: SourceRecord) -> tuple[str, Notification]:
    """The channel and the notification of a record in the alerts topic.

    Raises:
        MessageError: it is none of ours.
    """
    channel = next((value for name, value in record.headers if name == CHANNEL), None)
    if not channel:
        raise MessageError("invalid", f"no header {CHANNEL}")
    return channel.decode(errors="replace"), decode_json(_decoder, record.value, SCHEMA)
