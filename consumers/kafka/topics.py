"""The topics that Shoal needs: how many partitions each must have, and creating those that are absent."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from consumers.log import LIBRDKAFKA
from consumers.names import cell_log_topic

if TYPE_CHECKING:
    from consumers.settings import Settings

_librdkafka = logging.getLogger(LIBRDKAFKA)
_librdkafka.addHandler(logging.NullHandler())
_librdkafka.propagate = False

POSTS, VERDICTS = "partitions.posts", "partitions.verdicts"
"""The settings that say how many workers may share a topic."""

WEEK_MS = 7 * 24 * 3600 * 1000
ENVELOPE_BYTES = 2**20
"""Room for a record's key and headers beside its value."""

DEAD_LETTER_BYTES = 64 * 2**10
"""What a dead letter is larger than its record."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as Shoal needs it.

    Attributes:
        role: which setting of `topics` names it.
        least: fewest partitions that work.
        partitions: how many it is created with.
        setting: says how many that is, where one does.
        configuration: properties it is created with.
        exact: partitions beyond `least` are not used.
    """

    role: str
    name: str
    least: int
    partitions: int
    configuration: dict[str, str] = field(default_factory=dict)
    exact: bool = False
    setting: str = ""


def needed_topics(settings: Settings, bundle: str) -> list[Topic]:
    """The topics of a bundle; decisions keep their cell's partition number, so they need a partition a cell."""
    names, cells = settings.topics, settings.assign.cells
    largest = settings.limits.post_bytes + ENVELOPE_BYTES
    large = {"max.message.bytes": str(largest)}
    larger = {"max.message.bytes": str(largest + DEAD_LETTER_BYTES), "retention.ms": str(4 * WEEK_MS)}
    forever = {"retention.ms": "-1"}
    verdicts = large | forever  # a verdict may carry a whole post
    told = [Topic("alerts", names.alerts, 1, 1)] if settings.alert.channels else []
    return [
        Topic("posts", names.posts, 1, settings.partitions.posts, large, setting=POSTS),
        Topic("cells", cell_log_topic(settings, bundle), cells, cells, {"retention.ms": str(WEEK_MS)}, exact=True),
        Topic("decisions", names.decisions, cells, cells, {"retention.ms": str(WEEK_MS)}),
        Topic("flags", names.flags, 1, cells, forever),
        Topic("verdicts", names.verdicts, 1, settings.partitions.verdicts, verdicts, setting=VERDICTS),
        Topic("dead_letters", names.dead_letters, 1, 1, larger),
        *told,
    ]


def kafka_properties(settings: Settings) -> dict[str, Any]:
    """What every client needs: the brokers, the operator's own librdkafka properties, and where librdkafka logs."""
    ours = {"bootstrap.servers": settings.kafka.bootstrap_servers, "log_level": 4, "logger": _librdkafka}
    return ours | settings.kafka.properties


def create_topics(settings: Settings, topics: list[Topic]) -> None:
    """Create `topics` with the broker's default replication; one that exists already is left as it is.

    Raises:
        KafkaException: the broker refused one.
    """
    if not topics:
        return
    admin = AdminClient(kafka_properties(settings))
    timeout = settings.kafka.request_timeout_seconds
    wanted = [NewTopic(t.name, t.partitions, replication_factor=-1, config=t.configuration) for t in topics]
    for future in admin.create_topics(wanted, operation_timeout=timeout, request_timeout=timeout).values():
        try:
            future.result(timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
