"""All settings of a worker: one frozen tree, filled from defaults < TOML file < environment < flags."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path  # noqa: TC003  # pydantic reads annotations when it runs
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableSource

from consumers.alerting.settings import Alert
from consumers.section import Section
from models.encoders.buckets import GPU_BUCKETS

PREFIX = "SHOAL_"
OTHER_VARIABLES = {"CONFIG", "REQUIRE"}
"""Variables with our prefix that are not settings: the settings file, and the tests' demand for every part."""


class SettingsError(ValueError):
    """Settings that cannot be used; the message is one line that names the setting and what to do."""


class Topics(Section):
    """Names of the topics. The cell log's name also holds the bundle's id and the number of cells."""

    posts: str = "posts"
    cells: str = "cells"
    decisions: str = "decisions"
    flags: str = "flags"
    verdicts: str = "verdicts"
    dead_letters: str = "dead-letters"
    alerts: str = "alerts"


class Partitions(Section):
    """How many partitions these topics are created with, and should have at least.

    Attributes:
        posts: the most workers that encode.
        verdicts: the most workers that route.
    """

    posts: Annotated[int, Field(gt=0)] = 4
    verdicts: Annotated[int, Field(gt=0)] = 1


class Kafka(Section):
    """The brokers and how messages are delivered.

    Attributes:
        bootstrap_servers: host:port, comma separated.
        group: prefix of the consumer groups and transactional ids.
        delivery: `transactions` (effectively once) or `at-least-once` (brokers without transactions).
        group_protocol: `classic` (cooperative-sticky) or `consumer` (KIP-848).
        topic_identity: stands in for topic ids where the broker has none (the embedded one).
        properties: any librdkafka property, passed to every client.
        request_timeout_seconds: limit of every call that waits for the broker.
    """

    bootstrap_servers: str = "localhost:9092"
    group: str = "shoal"
    delivery: Literal["transactions", "at-least-once"] = "transactions"
    group_protocol: Literal["classic", "consumer"] = "classic"
    topic_identity: str | None = None
    properties: dict[str, str | int | float | bool] = {}
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0


class Redis(Section):
    """The Redis, Valkey or Redis Cluster that holds the cells' state.

    Attributes:
        url: of the server, or of any node of the cluster that lives when a worker starts.
        username, password: of the ACL user, apart from the url: a password needs no percent signs so, and can come
            from a secret. Those in the url win.
        cluster: whether it is a node of a Redis Cluster.
        timeout_seconds: limit of one try of a call; a call has two tries.
        prefix: of all keys.
    """

    url: str = "redis://localhost:6379/0"
    username: str | None = None
    password: Annotated[str | None, Field(repr=False)] = None
    cluster: bool = False
    timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    prefix: str = "shoal"

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return url


class Limits(Section):
    """What a post may hold. A part beyond its limit is dropped with a reason; the post's other parts count."""

    post_bytes: Annotated[int, Field(gt=0)] = 16 * 2**20
    media_bytes: Annotated[int, Field(gt=0)] = 12 * 2**20
    image_pixels: Annotated[int, Field(gt=0)] = 50_000_000
    audio_seconds: Annotated[float, Field(gt=0)] = 600.0
    caption_characters: Annotated[int, Field(gt=0)] = 20_000
    parts: Annotated[int, Field(gt=0)] = 16


class Media(Section):
    """Where media named by `uri` may be read from, and how long that may take.

    Attributes:
        prefixes: allowed prefixes, `s3://bucket/posts/` or `file:///srv/media/`; any other uri drops its part.
        options: obstore's options by prefix (region, endpoint, keys).
        timeout_seconds: limit of one fetch.
    """

    prefixes: tuple[str, ...] = ()
    options: dict[str, dict[str, str]] = {}
    timeout_seconds: Annotated[float, Field(gt=0)] = 10.0


class Snapshots(Section):
    """Snapshots of the cells' state, which their owners take now and then, and from which a lost state is restored.

    Attributes:
        location: where they are kept, `s3://bucket/shoal/` or `file:///srv/shoal/`; unset, there are none.
        every_seconds: between two snapshots of a cell.
        kept: of each cell; the oldest beyond that are deleted.
        options: obstore's options by location (region, endpoint, keys), also for what lies in it, and for locations
            given to a command.
        timeout_seconds: limit of one request to the store; a large snapshot takes many.
    """

    location: str | None = None
    every_seconds: Annotated[float, Field(gt=0)] = 900.0
    kept: Annotated[int, Field(gt=0)] = 3
    options: dict[str, dict[str, str]] = {}
    timeout_seconds: Annotated[float, Field(gt=0)] = 30.0


class BundleStore(Section):
    """The store that `shoal bundle fetch` reads.

    Attributes:
        options: obstore's options by address (region, endpoint, keys).
        timeout_seconds: limit of one request; a large file takes many.
    """

    options: dict[str, dict[str, str]] = {}
    timeout_seconds: Annotated[float, Field(gt=0)] = 30.0


class Gpu(Section):
    """How the encoders run on a GPU; without one it counts for nothing (docs/gpu.md).

    Attributes:
        batch_sizes: rows of a call. Each call is filled up to one of these, a third of it at most where there are
            smaller sizes.
        text_lengths: tokens of a text in a call, likewise; longer texts have multiples of the last.
        cuda_graphs: record each of these shapes once and replay it: fewer launches, for encoders of many small steps.
        engine_cache: folder in which TensorRT keeps the engines it has built; unset, it builds them at every start.
    """

    batch_sizes: Annotated[tuple[Annotated[int, Field(gt=0, le=4096)], ...], Field(min_length=1)] = GPU_BUCKETS.rows
    text_lengths: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = GPU_BUCKETS.tokens
    cuda_graphs: bool = False
    engine_cache: Path | None = None


class Encode(Section):
    """The encoding consumer.

    Attributes:
        batch_posts, batch_bytes, batch_wait_ms: a batch is closed by whichever is reached first.
        queue_bytes: bytes of messages in flight before the consumer's partitions are paused.
        decode_threads: threads that fetch and decode media.
        embed_cpus: pin the threads that run the encoders to these cores; empty leaves them to the system.
        decode_cpus: the same for every other thread.
        intra_op_threads: threads of one encoder call; 0 lets onnxruntime choose.
        provider: `auto` takes the GPU when it works, `cuda` fails without it, and so does `tensorrt`, which runs on
            TensorRT; `cpu` never uses it.
        gpu: how the encoders run on a GPU.
        future_seconds: a post dated further ahead than this counts at the clamp.
        stuck_seconds: a stage of encode, or route at its posts, that has finished no post and no encoder call for so
            long ends the process. After a process that died, a post that takes longer by itself is a dead letter.
            More than the fetches of one post and the embedding of one batch may take.
        suspect_bytes: memory that a post may take, beyond the open bundle, when it is tried after a process died.
    """

    batch_posts: Annotated[int, Field(gt=0, le=4096)] = 128
    batch_bytes: Annotated[int, Field(gt=0)] = 32 * 2**20
    batch_wait_ms: Annotated[float, Field(ge=0)] = 20.0
    queue_bytes: Annotated[int, Field(gt=0)] = 96 * 2**20
    decode_threads: Annotated[int, Field(gt=0)] = 4
    embed_cpus: tuple[int, ...] = ()
    decode_cpus: tuple[int, ...] = ()
    intra_op_threads: Annotated[int, Field(ge=0)] = 0
    provider: Literal["auto", "cuda", "tensorrt", "cpu"] = "auto"
    gpu: Gpu = Gpu()
    future_seconds: Annotated[float, Field(ge=0)] = 60.0
    stuck_seconds: Annotated[float, Field(gt=0)] = 300.0
    suspect_bytes: Annotated[int, Field(gt=0)] = 2**30


class Assign(Section):
    """The assigning consumer and the fold.

    Attributes:
        batch_records, batch_wait_ms: a batch is closed by whichever is reached first.
        cells: number of cells; part of the cell log's name.
        maximum_clusters: unlabelled clusters of a cell; beyond it the faintest are evicted.
        labelled_clusters: clusters with evidence of a cell; a verdict that would need one more is a dead letter.
        members: recent members kept for a cluster.
        exemplars: kept for a cluster and policy.
        maintenance_records: twins are merged and faded clusters evicted whenever the log offset passes a multiple.
        fade_weight: an unlabelled cluster whose decayed weight is below this is evicted.
        half_life_seconds: overrides the bundle's.
        join: overrides the bundle's threshold of joining.
        search_threads: threads of the products that find clusters, of all cells of a process together. Those that
            wait for the next one keep their cores busy for a while; more than one pays beyond some 100,000 clusters.
    """

    batch_records: Annotated[int, Field(gt=0, le=10_000)] = 512
    batch_wait_ms: Annotated[float, Field(ge=0)] = 10.0
    cells: Literal[1, 2, 4, 8, 16] = 1
    maximum_clusters: Annotated[int, Field(gt=0)] = 100_000
    labelled_clusters: Annotated[int, Field(gt=0)] = 100_000
    members: Annotated[int, Field(gt=0)] = 64
    exemplars: Annotated[int, Field(gt=0)] = 16
    maintenance_records: Annotated[int, Field(gt=0)] = 2_000
    fade_weight: Annotated[float, Field(ge=0)] = 0.05
    half_life_seconds: Annotated[float, Field(gt=0)] | None = None
    join: Annotated[float, Field(gt=0, lt=1)] | None = None
    search_threads: Annotated[int, Field(gt=0)] = 1

    @field_validator("cells", mode="before")
    @classmethod
    def _number(cls, given: object) -> object:
        """The environment and the command line give text, which a Literal of numbers does not take."""
        return int(given) if isinstance(given, str) and given.isdigit() else given


class Verdicts(Section):
    """What moderators' verdicts may do.

    Attributes:
        actors: whose verdicts count: names, or patterns such as `team-*`; those of others are dead letters. Empty
            lets everybody's count.
        waiting: verdicts on posts not known yet that a cell keeps waiting.
        waiting_seconds: how long such a verdict waits, by the clock of the cell.
        chunk_posts: kept posts that one record looks at when a verdict reaches back; the rest follows.
        flagged_posts: flagged posts a cell keeps for retractions; the oldest go first.
        retraction_seconds: how long a flag can be taken back, by the clock of the cell.
    """

    actors: tuple[str, ...] = ()
    waiting: Annotated[int, Field(ge=0)] = 1_000
    waiting_seconds: Annotated[float, Field(ge=0)] = 600.0
    chunk_posts: Annotated[int, Field(gt=0)] = 256
    flagged_posts: Annotated[int, Field(ge=0)] = 100_000
    retraction_seconds: Annotated[float, Field(ge=0)] = 30 * 86_400.0


class Policy(Section):
    """One policy: how sure and how near a post must be for a flag. Unset cosines come from the bundle.

    Attributes:
        severity: repeated in the flag.
        mode: `shadow` writes flags that nobody is meant to act on.
        promote, demote: a cluster is labelled when its bound reaches `promote`, and no longer below `demote`.
        together: every modality that post and exemplar share must reach the bundle's modality threshold, and the
            post must have all modalities of the exemplar: for things that violate only in combination.
        required: modalities that post and exemplar must both have, each reaching that threshold.
        alone: the one modality that decides, whatever the others hold: a known image under any caption. `exemplar`
            must then be given: it is the least cosine in that modality.
        verification: modality -> how well features of post and exemplar must agree; unset, as the bundle says; empty,
            features are not asked.
        trail: least cosine, over the post's parts, to one that the label flagged, from which a post is flagged too
            while a confirmed one is within three quarters of `exemplar`: campaigns that drift are followed. Unset,
            the bundle's cosine of joining a micro-cluster, or none where `exemplar` or `centroid` is set; 1 is none.
        flags_per_verdict: a label gives at most so many flags for each verdict that upholds it, then it asks:
        sample: of the posts beyond that, one in so many goes to review.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    severity: Literal["low", "medium", "high", "critical"] = "medium"
    mode: Literal["live", "shadow"] = "live"
    promote: Annotated[float, Field(gt=0, lt=1)] = 0.60
    demote: Annotated[float, Field(gt=0, lt=1)] = 0.50
    centroid: Annotated[float, Field(gt=0, le=1)] | None = None
    exemplar: Annotated[float, Field(gt=0, le=1)] | None = None
    cohesion: Annotated[float, Field(ge=0, le=1)] | None = None
    together: bool = False
    required: tuple[str, ...] = ()
    alone: str | None = None
    verification: dict[str, Annotated[float, Field(ge=-1, le=1)]] | None = None
    trail: Annotated[float, Field(gt=0, le=1)] | None = None
    flags_per_verdict: Annotated[int, Field(gt=0)] = 1_000
    sample: Annotated[int, Field(gt=0)] = 100

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        if self.demote > self.promote:
            raise ValueError(f"policy {self.name}: demote must not be above promote")
        if self.alone is not None and self.exemplar is None:
            raise ValueError(f"policy {self.name}: alone needs exemplar, the least cosine in that modality")
        if self.alone is not None and (self.together or self.required):
            raise ValueError(f"policy {self.name}: alone looks at one modality; together and required at several")
        return self


class Http(Section):
    """The port of /metrics, /livez, /readyz and /startupz; 0 takes a free one, unset serves nothing."""

    port: Annotated[int, Field(ge=0, le=65535)] | None = 9108
    host: str = "0.0.0.0"  # noqa: S104  # Prometheus and the kubelet come from outside


class Log(Section):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(BaseSettings):
    """The whole tree. `SHOAL_KAFKA__BOOTSTRAP_SERVERS` sets kafka.bootstrap_servers, and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    bundle: str = "compact"
    bundle_store: BundleStore = BundleStore()
    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    topics: Topics = Topics()
    partitions: Partitions = Partitions()
    limits: Limits = Limits()
    media: Media = Media()
    snapshots: Snapshots = Snapshots()
    encode: Encode = Encode()
    assign: Assign = Assign()
    verdicts: Verdicts = Verdicts()
    policies: tuple[Policy, ...] = ()
    alert: Alert = Alert()
    http: Http = Http()
    log: Log = Log()
    shutdown_seconds: Annotated[float, Field(gt=0)] = 25.0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags (given to the constructor) win over the environment, the environment over the file."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load_settings(file: Path | None = None, flags: dict[str, Any] | None = None) -> Settings:
    """Read the settings: defaults < `file` (TOML) < environment < `flags` (a nested mapping).

    Raises:
        SettingsError: one line that says which setting is wrong and how it is set.
    """
    _refuse_unknown_environment()
    if file is not None and not file.is_file():
        raise SettingsError(f"{file}: no such file; give a TOML file with settings, or leave the option out")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile(**(flags or {}))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        variable = PREFIX + name.upper().replace(".", "__")
        raise SettingsError(f"setting {name}: {first['msg']} (in the environment: {variable})") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: not TOML: {error}") from error
    except UnreadableSource as error:
        raise SettingsError(str(error)) from error


def _refuse_unknown_environment() -> None:
    known = {name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    for variable in sorted(os.environ):
        head = variable.removeprefix(PREFIX).split("__")[0].upper()
        if variable.startswith(PREFIX) and not head.startswith("TEST_") and head not in known:
            raise SettingsError(f"environment variable {variable}: unknown; known: {', '.join(sorted(known))}")
