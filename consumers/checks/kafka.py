"""Are the brokers and the topics as a worker needs them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from consumers.checks.findings import PATIENCE_SECONDS, CheckError, Finding
from consumers.kafka.topics import DEAD_LETTER_BYTES, Topic, create_topics, kafka_properties, needed_topics

if TYPE_CHECKING:
    from confluent_kafka.admin._metadata import ClusterMetadata

    from consumers.settings import Settings


def require_brokers(settings: Settings) -> None:
    """Make sure that the brokers answer, so that a command does not wait for them in vain.

    Raises:
        CheckError: one line with the address and what to do.
    """
    try:
        _ask(settings)
    except KafkaException as error:
        raise CheckError(str(_unreachable(settings, error))) from error


def check_kafka(settings: Settings, bundle: str, *, create: bool = False) -> list[Finding]:
    """The brokers and every topic of `bundle` (its id). With `create`, absent topics are created first."""
    try:
        metadata = _ask(settings)
    except KafkaException as error:
        return [_unreachable(settings, error)]
    found = {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}
    topics = needed_topics(settings, bundle)
    at = settings.kafka.bootstrap_servers
    findings = [Finding("kafka", "good", f"{at}: {len(metadata.brokers)} broker(s)")]
    if create:
        absent = [topic for topic in topics if topic.name not in found]
        try:
            create_topics(settings, absent)
        except KafkaException as error:
            refused = f"cannot be created: {_reason(error)}"
            return [*findings, Finding("topics", "bad", refused, "create them by hand")]
        found |= {topic.name: topic.partitions for topic in absent}
    return findings + [_check_topic(topic, found.get(topic.name)) for topic in topics]


def _ask(settings: Settings) -> ClusterMetadata:
    patience = min(settings.kafka.request_timeout_seconds, PATIENCE_SECONDS)
    return AdminClient(kafka_properties(settings)).list_topics(timeout=patience)


def _unreachable(settings: Settings, error: KafkaException) -> Finding:
    return Finding(
        "kafka",
        "bad",
        f"{settings.kafka.bootstrap_servers}: {_reason(error)}",
        "start the brokers, or set SHOAL_KAFKA__BOOTSTRAP_SERVERS (kafka.properties holds TLS and SASL)",
    )


def _check_topic(topic: Topic, partitions: int | None) -> Finding:
    subject = f"topic {topic.name}"
    if partitions is None:
        remedy = f"create it with {topic.partitions} partition(s), or run shoal check --create-topics"
        return Finding(subject, "bad", "absent", remedy)
    if partitions < topic.least:
        found = f"{partitions} partition(s), needs {topic.least}"
        return Finding(subject, "bad", found, "add partitions or set assign.cells lower")
    if topic.exact and partitions > topic.least:
        found = f"{partitions} partition(s), and {topic.least} cell(s): the others are not used"
        return Finding(subject, "hint", found, "more cells are another topic (assign.cells)")
    if topic.setting and partitions < topic.partitions:
        found = f"{partitions} partition(s), and {topic.setting} says {topic.partitions}: more workers would idle"
        return Finding(subject, "hint", found, f"add partitions, or set {topic.setting} lower")
    return Finding(subject, "good", f"{partitions} partition(s)")


def check_message_sizes(settings: Settings) -> Finding:
    """A dead letter holds the whole post, so its topic must take whatever the posts topic takes and a little more."""
    posts, dead = settings.topics.posts, settings.topics.dead_letters
    patience = min(settings.kafka.request_timeout_seconds, PATIENCE_SECONDS)
    wanted = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in (posts, dead)]
    try:
        admin = AdminClient(kafka_properties(settings))  # kept: the answers end with it
        answers = admin.describe_configs(wanted, request_timeout=patience)
        described = {resource.name: future.result(patience) for resource, future in answers.items()}
        limits = {name: int(properties["max.message.bytes"].value) for name, properties in described.items()}
    except (KafkaException, KeyError, ValueError, TimeoutError):
        return Finding("message size", "hint", "the broker does not tell its limits")
    text = f"posts take {limits[posts]:,} bytes, dead letters {limits[dead]:,}"
    needed = limits[posts] + DEAD_LETTER_BYTES
    if limits[dead] < needed:
        return Finding("message size", "bad", text, f"raise max.message.bytes of {dead} to {needed}")
    return Finding("message size", "good", text)


def _reason(error: KafkaException) -> str:
    found = error.args[0]
    return str(found.str()) if hasattr(found, "str") else str(found)
