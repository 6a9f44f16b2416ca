"""Is everything there that a worker needs? One finding a line, with what to do when it is red."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from rich.text import Text

from consumers.bundles import find_bundle
from consumers.topics import Topic, create_topics, kafka_properties, needed_topics
from models.bundle import open_bundle
from models.manifest import ManifestError, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings

State = Literal["good", "hint", "bad"]

MARKS: dict[State, tuple[str, str]] = {"good": ("✓", "green"), "hint": ("!", "yellow"), "bad": ("✗", "bold red")}
LEAST_REDIS = (6, 2)
PATIENCE_SECONDS = 10.0
"""Longest wait for an answer: somebody is looking at the screen."""


class CheckError(RuntimeError):
    """Something that a worker needs is not there; the message is one line with what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `remedy` says what to do; it is empty when there is nothing to do."""

    subject: str
    state: State
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")

    def line(self) -> Text:
        """The finding in colour."""
        mark, style = MARKS[self.state]
        line = Text.assemble((mark, style), " ", (self.subject, "bold"), ": ", self.text)
        if self.remedy:
            line.append(f"\n    {self.remedy}", style="yellow")
        return line


def check_everything(settings: Settings, *, create: bool = False) -> Iterator[Finding]:
    """Every finding, as soon as it is known. With `create`, absent topics are created first."""
    bundle_id = None
    for finding, found in check_bundle(settings):
        bundle_id = found or bundle_id
        yield finding
    if bundle_id is None:
        yield Finding("topics", "hint", "not checked: the cell log's name needs the bundle", "mend the bundle first")
    else:
        kafka = check_kafka(settings, bundle_id, create=create)
        yield from kafka
        if kafka[0].state == "good":
            yield check_message_sizes(settings)
    yield from check_redis(settings)


def check_bundle(settings: Settings) -> Iterator[tuple[Finding, str | None]]:
    """The bundle's files and the execution provider that its encoders really run on; with the id once it is known."""
    try:
        folder = find_bundle(settings.bundle)
        manifest = read_manifest(folder)
        yield Finding("bundle", "good", f"{manifest.bundle_id} in {folder}"), manifest.bundle_id
        encode = settings.encode
        bundle = open_bundle(folder, provider=encode.provider, intra_op_threads=encode.intra_op_threads)
    except ManifestError as error:
        yield Finding("bundle", "bad", str(error)), None
        return
    yield Finding("digests", "good", f"{len(manifest.files)} files as the manifest says"), None
    for modality, provider in bundle.providers.items():
        yield Finding(f"encoder {modality}", "good", f"runs on {provider}"), None


def require(settings: Settings, bundle: str) -> None:
    """Check what the consumers need from Kafka and Redis before they start.

    Raises:
        CheckError: with the first red finding.
    """
    for finding in check_kafka(settings, bundle) + check_redis(settings):
        if finding.state == "bad":
            raise CheckError(str(finding))


def check_kafka(settings: Settings, bundle: str, *, create: bool = False) -> list[Finding]:
    """The brokers and every topic of `bundle` (its id). With `create`, absent topics are created first."""
    patience = min(settings.kafka.request_timeout_seconds, PATIENCE_SECONDS)
    servers = settings.kafka.bootstrap_servers
    try:
        admin = AdminClient(kafka_properties(settings))
        metadata = admin.list_topics(timeout=patience)
    except KafkaException as error:
        return [
            Finding(
                "kafka",
                "bad",
                f"{servers}: {_reason(error)}",
                "start the brokers, or set SHOAL_KAFKA__BOOTSTRAP_SERVERS (kafka.properties holds TLS and SASL)",
            )
        ]
    found = {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}
    topics = needed_topics(settings, bundle)
    findings = [Finding("kafka", "good", f"{servers}: {len(metadata.brokers)} broker(s)")]
    if create:
        absent = [topic for topic in topics if topic.name not in found]
        try:
            create_topics(settings, absent)
        except KafkaException as error:
            refused = f"cannot be created: {_reason(error)}"
            return [*findings, Finding("topics", "bad", refused, "create them by hand")]
        found |= {topic.name: topic.partitions for topic in absent}
    return findings + [_check_topic(topic, found.get(topic.name)) for topic in topics]


def _check_topic(topic: Topic, partitions: int | None) -> Finding:
    subject = f"topic {topic.name}"
    if partitions is None:
        remedy = f"create it with {topic.partitions} partition(s), or run shoal check --create-topics"
        return Finding(subject, "bad", "absent", remedy)
    if partitions < topic.least:
        found = f"{partitions} partition(s), needs {topic.least}"
        return Finding(subject, "bad", found, "add partitions or set assign.cells lower")
    return Finding(subject, "good", f"{partitions} partition(s)")


def check_message_sizes(settings: Settings) -> Finding:
    """A dead letter holds the whole post, so its topic must take whatever the posts topic takes."""
    posts, dead = settings.topics.posts, settings.topics.dead_letters
    patience = min(settings.kafka.request_timeout_seconds, PATIENCE_SECONDS)
    wanted = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in (posts, dead)]
    try:
        answers = AdminClient(kafka_properties(settings)).describe_configs(wanted, request_timeout=patience)
        described = {resource.name: future.result(patience) for resource, future in answers.items()}
        limits = {name: int(properties["max.message.bytes"].value) for name, properties in described.items()}
    except (KafkaException, KeyError, ValueError, TimeoutError):
        return Finding("message size", "hint", "the broker does not tell its limits")
    text = f"posts take {limits[posts]:,} bytes, dead letters {limits[dead]:,}"
    if limits[dead] < limits[posts]:
        return Finding("message size", "bad", text, f"raise max.message.bytes of {dead} to {limits[posts]}")
    return Finding("message size", "good", text)


def check_redis(settings: Settings) -> list[Finding]:
    """That Redis answers, is new enough, never evicts keys, and whether it keeps them over a restart."""
    url = _without_password(settings.redis.url)
    kind = redis.RedisCluster if settings.redis.cluster else redis.Redis
    timeout = min(settings.redis.timeout_seconds, PATIENCE_SECONDS)
    try:
        client: Any = kind.from_url(settings.redis.url, socket_timeout=timeout, socket_connect_timeout=timeout)
        info = client.info(target_nodes=redis.RedisCluster.RANDOM) if settings.redis.cluster else client.info()
        saves = _saves(client)
        client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        return [Finding("redis", "bad", f"{url}: {_line(error)}", "start Redis or set SHOAL_REDIS__URL")]
    return [*_check_version(url, info), _check_eviction(info), _check_persistence(info, saves)]


def _check_version(url: str, info: dict[str, Any]) -> list[Finding]:
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < LEAST_REDIS:
        return [Finding("redis", "bad", f"{url}: version {version}", "Shoal needs Redis 6.2 or newer, or Valkey")]
    return [Finding("redis", "good", f"{url}: version {version}")]


def _check_eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return Finding("redis eviction", "good", "maxmemory-policy noeviction")
    return Finding(
        "redis eviction", "bad", f"maxmemory-policy {policy}: keys of the state could vanish", "set it to noeviction"
    )


def _check_persistence(info: dict[str, Any], saves: str | None) -> Finding:
    if info.get("aof_enabled"):
        return Finding("redis persistence", "good", "append-only file")
    if saves:
        return Finding("redis persistence", "hint", "snapshots only: a crash loses a suffix", "set appendonly yes")
    if saves is None:
        return Finding("redis persistence", "hint", "unknown: the server does not tell", "make sure it is persistent")
    return Finding("redis persistence", "hint", "none: a restart of Redis loses the state", "set appendonly yes")


def _saves(client: Any) -> str | None:
    """The snapshot schedule; None where CONFIG is forbidden, as on many hosted servers."""
    try:
        answer = client.config_get("save")
    except redis.RedisError:
        return None
    return str(answer.get("save", "")) if isinstance(answer, dict) else None


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _reason(error: KafkaException) -> str:
    found = error.args[0]
    return str(found.str()) if hasattr(found, "str") else str(found)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
