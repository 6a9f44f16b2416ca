"""Is a topic still the one it was? Deleted and made again, it has another id and begins at offset 0."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from consumers.delivery import DeliveryError, RecordsGoneError, error_of
from consumers.topics import kafka_properties

if TYPE_CHECKING:
    from consumers.settings import Settings

EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 1.0


class TopicWatch:
    """Keeps the id of a topic and looks whether it changes.

    A client may not notice that a topic was made again: it reads on at its offset, in another log.

    Attributes:
        topic_id: as it was found first; on brokers without ids, `kafka.topic_identity` stands in.

    Raises:
        DeliveryError: the brokers do not answer, or do not know the topic.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._given = settings.kafka.topic_identity
        self._timeout = settings.kafka.request_timeout_seconds
        self._admin = None if self._given is not None else AdminClient(kafka_properties(settings))
        self._next = time.monotonic() + EVERY_SECONDS
        try:
            self.topic_id = self._ask(self._timeout)
        except (KafkaException, TimeoutError) as error:
            raise DeliveryError(
                f"Kafka does not tell the id of topic {topic}: {error_of(error).str()}; "
                "create it (shoal check --create-topics), or set kafka.topic_identity where brokers have no topic ids"
            ) from error

    def check(self, timeout: float | None = None) -> None:
        """Look now, for at most `timeout` seconds, or as long as every request may take.

        Raises:
            RecordsGoneError: the topic is another one.
            KafkaException: the brokers do not tell, or do not know the topic (any more).
        """
        self._next = time.monotonic() + EVERY_SECONDS
        try:
            found = self._ask(timeout or self._timeout)
        except TimeoutError as error:
            raise KafkaException(error_of(error)) from error
        if found != self.topic_id:
            raise RecordsGoneError(f"topic {self._topic} was deleted and made again while it was read: restart")

    def check_now_and_then(self) -> None:
        """Look every five seconds; brokers that do not tell are another's affair.

        Raises:
            RecordsGoneError: the topic is another one.
        """
        if time.monotonic() >= self._next:
            try:
                self.check(PATIENCE_SECONDS)
            except KafkaException:
                return

    def made_again(self, former: str) -> str:
        """What to say where an offset belongs to a topic of the same name and of this id."""
        return (
            f"topic {self._topic} was deleted and made again: the committed offsets are of the topic with the id "
            f"{former}, now it is {self.topic_id}"
        )

    def _ask(self, timeout: float) -> str:
        if self._admin is None:
            return self._given or ""
        found = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=timeout)
        return str(found[self._topic].result(timeout).topic_id)
