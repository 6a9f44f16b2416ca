"""Is a topic still the one it was? Deleted and made again, it has another id and begins at offset 0."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from consumers.kafka.delivery import DeliveryError, RecordsGoneError, error_of
from consumers.kafka.topics import kafka_properties

if TYPE_CHECKING:
    from collections.abc import Callable

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
            self.topic_id = self._asked(self._timeout)()
        except (KafkaException, TimeoutError) as error:
            raise DeliveryError(
                f"Kafka does not tell the id of topic {topic}: {error_of(error).str()}; "
                "create it (shoal check --create-topics), or set kafka.topic_identity where brokers have no topic ids"
            ) from error

    def ask(self, timeout: float | None = None) -> Callable[[], None]:
        """Ask the brokers now; what is given waits for the answer, for at most `timeout` seconds or a request's time.

        An id never comes again: whatever was read before this call is of the topic, where the answer is its id. Half
        a millisecond, which passes while the batch is worked on.

        Raises, when the answer is waited for:
            RecordsGoneError: the topic is another one.
            KafkaException: the brokers do not tell, or do not know the topic (any more).
        """
        answer = self._asked(timeout or self._timeout)

        def require_same() -> None:
            try:
                found = answer()
            except TimeoutError as error:
                raise KafkaException(error_of(error)) from error
            if found != self.topic_id:
                raise RecordsGoneError(f"topic {self._topic} was deleted and made again while it was read: restart")

        return require_same

    def check(self, timeout: float | None = None) -> None:
        """Ask, and wait for the answer.

        Raises:
            RecordsGoneError, KafkaException: see `ask`.
        """
        self._next = time.monotonic() + EVERY_SECONDS
        self.ask(timeout)()

    def check_now_and_then(self) -> None:
        """Look every five seconds, whether anything is read or not; brokers that do not tell are another's affair.

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

    def _asked(self, timeout: float) -> Callable[[], str]:
        if self._admin is None:
            return lambda: self._given or ""
        found = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=timeout)
        return lambda: str(found[self._topic].result(timeout).topic_id)
