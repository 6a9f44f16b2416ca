"""Posts become records of the cell log: each once, in order, whatever their neighbours are."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pytest

from consumers.contracts import cell_log
from consumers.contracts.cell_log import DeadRecord, PostRecord
from consumers.embedded import embedded_broker, embedded_redis
from consumers.encode import run_encode
from consumers.encoding import prepare as module
from consumers.http import Health
from consumers.kafka.delivery import DeliveryError
from consumers.kafka.lookup import read_topic
from consumers.metrics import LAG_RECORDS
from consumers.names import cell_log_topic
from consumers.settings import Assign, Kafka, Redis
from consumers.steps.embed import EncoderError
from models.bundle import Bundle, open_bundle
from tests.bundles import write_tiny_bundle
from tests.integration.platform import Platform, Worker, eventually, make_topics, platform_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.settings import Settings

QUICK: dict[str, str | int | float | bool] = {"session.timeout.ms": 3000, "heartbeat.interval.ms": 200}
NO_REDIS = Redis(url="redis://127.0.0.1:1/0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return open_bundle(folder, provider="cpu", intra_op_threads=1)


@pytest.fixture
def real(folder: Path, kafka: str) -> Platform:
    """Topics on a real broker, with transactions."""
    connection = Kafka(bootstrap_servers=kafka, properties=QUICK)
    platform = Platform(platform_settings(folder, connection, NO_REDIS, assign=Assign(cells=4)))
    make_topics(platform)
    time.sleep(0.5)
    return platform


@pytest.fixture
def embedded(folder: Path) -> Iterator[Platform]:
    """Topics on the embedded broker, at least once."""
    with embedded_broker() as broker:
        connection = Kafka(
            bootstrap_servers=broker.address,
            delivery="at-least-once",
            topic_identity=broker.identity,
            properties=QUICK,
        )
        platform = Platform(platform_settings(folder, connection, NO_REDIS, assign=Assign(cells=4)))
        topics = platform.settings.topics
        broker.create(topics.posts, topics.dead_letters, cell_log_topic(platform.settings, platform.bundle))
        yield platform


@pytest.fixture(params=["real", "embedded"])
def platform(request: pytest.FixtureRequest) -> Platform:
    return cast("Platform", request.getfixturevalue(request.param))


class Encoding:
    """An encoder in a thread of its own."""

    def __init__(self, settings: Settings, bundle: Bundle) -> None:
        self.health = Health(("encode",))
        self.stop = threading.Event()
        self.raised: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(settings, bundle))

    def _run(self, settings: Settings, bundle: Bundle) -> None:
        try:
            run_encode(settings, bundle, self.stop, self.health)
        except Exception as error:  # noqa: BLE001
            self.raised = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.raised is None


def texts(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"post_id": f"post-{n}", "caption": f"caption number {n} of many"} for n in range(start, start + count)]


def records(platform: Platform) -> list[PostRecord | DeadRecord]:
    """The cell log as a reader of committed records sees it."""
    topic = cell_log_topic(platform.settings, platform.bundle)
    return [cast("Any", cell_log.decode(value)) for value in platform.values(topic)]


def encoded(platform: Platform, count: int, seconds: float = 60.0) -> list[PostRecord | DeadRecord]:
    eventually(lambda: len(records(platform)), lambda found: found >= count, seconds)
    return records(platform)


def places(found: list[PostRecord | DeadRecord]) -> list[tuple[int, int]]:
    return sorted((record.source.partition, record.source.offset) for record in found)


@pytest.mark.kafka
def test_posts_are_written_to_their_cells_and_bad_ones_are_dead_letters(platform: Platform, bundle: Bundle) -> None:
    settings = platform.settings
    with Encoding(settings, bundle) as encoding:
        published = platform.publish(*texts(20), b"not JSON", None, {"post_id": "empty"}, partition=3)
        found = encoded(platform, 23)
        eventually(lambda: encoding.health.ready()[0], bool)
        eventually(LAG_RECORDS.labels("encode")._value.get, lambda lag: lag == 0)
    assert places(found) == sorted(published)
    good = {record.post_id: record for record in found if isinstance(record, PostRecord)}
    assert len(good) == 20
    vectors = np.stack([np.frombuffer(good[f"post-{n}"].vector, dtype="<f2") for n in range(20)]).astype(np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(20), abs=2e-3)
    log = cell_log_topic(settings, platform.bundle)
    cells = {cast("Any", cell_log.decode(m.value() or b"")).post_id: m.partition() for m in read_topic(settings, log)}
    assert [cells[f"post-{n}"] for n in range(20)] == bundle.cell_of(vectors, 4).tolist()
    assert good["post-0"].parts == {"text": "used", "image": "absent", "audio": "absent"}
    dead = [record for record in found if isinstance(record, DeadRecord)]
    assert sorted((record.reason, record.source.partition) for record in dead) == [
        ("empty", 3),
        ("no-parts", 3),
        ("not-json", 3),
    ]
    assert {cells[record.post_id] for record in dead} == {3}
    letters = list(read_topic(settings, settings.topics.dead_letters))
    assert sorted(letter.value() or b"" for letter in letters)[:2] == [b"", b"not JSON"]
    assert len(letters) == 3


@pytest.mark.kafka
def test_the_one_post_that_breaks_an_encoder_is_a_dead_letter(
    platform: Platform, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = bundle.encoders["text"]
    embed = encoder.embed

    def break_on_poison(items: list[str]) -> Any:
        if any("poison" in item for item in items):
            raise RuntimeError("the graph broke")
        return embed(cast("Any", items))

    monkeypatch.setattr(encoder, "embed", break_on_poison)
    with Encoding(platform.settings, bundle):
        platform.publish(*texts(13), {"post_id": "bad", "caption": "poison"}, *texts(10, 13), partition=0)
        found = encoded(platform, 24)
    assert len(found) == 24
    [dead] = [record for record in found if isinstance(record, DeadRecord)]
    assert (dead.post_id, dead.reason, dead.step) == ("bad", "embedding-failed", "embed")


@pytest.mark.kafka
def test_an_encoder_that_is_lost_ends_the_process_and_no_post_pays_for_it(
    real: Platform, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_items: list[str]) -> Any:
        raise RuntimeError("the device is gone")

    with monkeypatch.context() as patch:
        patch.setattr(bundle.encoders["text"], "embed", lost)
        published = real.publish(*texts(20), partition=2)
        with pytest.raises(EncoderError, match="the device is gone"):
            run_encode(real.settings, bundle, threading.Event(), Health(("encode",)))
    assert records(real) == []
    with Encoding(real.settings, bundle):
        found = encoded(real, 20)
    assert places(found) == sorted(published)
    assert all(isinstance(record, PostRecord) for record in found)


@pytest.mark.kafka
@pytest.mark.parametrize("step", ["parse", "fetch", "decode"])
def test_a_step_that_fails_unexpectedly_fails_its_post_alone(
    real: Platform, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = getattr(module, step)

    def broken(first: Any, *rest: Any) -> Any:
        value = (first if step == "parse" else first.record).value
        if b"post-3" in value:
            raise ZeroDivisionError("a defect")
        return run(first, *rest)

    monkeypatch.setattr(module, step, broken)
    with Encoding(real.settings, bundle):
        real.publish(*texts(6), partition=1)
        found = encoded(real, 6)
    [dead] = [record for record in found if isinstance(record, DeadRecord)]
    assert (dead.source.offset, dead.reason, dead.step) == (3, "internal-error", step)
    assert dead.time <= time.time() * 1000


@pytest.mark.kafka
def test_a_record_too_large_for_the_cell_log_is_a_dead_letter(real: Platform, bundle: Bundle) -> None:
    author = {"post_id": "author", "caption": "fine", "author": "a" * 2_000_000}
    with Encoding(real.settings, bundle):
        real.publish(*texts(2), author, *texts(2, 2), partition=0)
        found = encoded(real, 5)
    assert {record.post_id for record in found if isinstance(record, PostRecord)} == {f"post-{n}" for n in range(4)}
    dead = {record.post_id: record.reason for record in found if isinstance(record, DeadRecord)}
    assert dead == {"author": "record-too-large"}


@pytest.mark.kafka
def test_encoders_come_and_go_and_every_post_is_encoded_once(real: Platform, bundle: Bundle) -> None:
    """Rebalances with batches in flight."""
    published: list[tuple[int, int]] = []
    done = threading.Event()

    def publish() -> None:
        while not done.is_set():
            published.extend(real.publish(*texts(20, len(published))))
            done.wait(0.1)

    publisher = threading.Thread(target=publish)
    with Encoding(real.settings, bundle):
        publisher.start()
        try:
            encoded(real, 50)
            with Encoding(real.settings, bundle) as second:
                eventually(lambda: bool(second.health.ready()[0]), bool)
                encoded(real, len(published) + 100)
            encoded(real, len(published) + 100)
            with Encoding(real.settings, bundle), Encoding(real.settings, bundle) as fourth:
                eventually(lambda: bool(fourth.health.ready()[0]), bool)
                encoded(real, len(published) + 100)
        finally:
            done.set()
            publisher.join(30)
        found = encoded(real, len(published))
    assert Counter(places(found)) == Counter(published)


@pytest.mark.kafka
@pytest.mark.parametrize("where", ["real", "embedded"])
def test_a_worker_that_is_told_to_end_in_the_middle_loses_and_repeats_nothing(
    request: pytest.FixtureRequest, where: str, tmp_path: Path
) -> None:
    platform: Platform = request.getfixturevalue(where)
    published = []
    with embedded_redis() as url:
        platform.settings = platform.settings.model_copy(update={"redis": Redis(url=url)})
        if where == "real":
            make_topics(platform)
        else:
            for topic in vars(platform.settings.topics).values():
                platform._producer.list_topics(topic, timeout=10)
        for number in range(3):
            published += platform.publish(*texts(300, 300 * number))
            worker = Worker(platform.settings, tmp_path / f"worker-{number}.log", "encode")
            try:
                worker.wait_ready()
                encoded(platform, 300 * number + 40)
            finally:
                assert worker.stop() == 0, worker.log.read_text()[-3000:]
        last = Worker(platform.settings, tmp_path / "last.log", "encode")
        try:
            last.wait_ready()
            found = encoded(platform, 900)
        finally:
            assert last.stop() == 0
    assert Counter(places(found)) == Counter(published)


def test_an_absent_broker_is_told_in_one_line(folder: Path, bundle: Bundle) -> None:
    connection = Kafka(bootstrap_servers="127.0.0.1:1", request_timeout_seconds=0.5)
    settings = platform_settings(folder, connection, NO_REDIS)
    with pytest.raises(DeliveryError) as caught:
        run_encode(settings, bundle, threading.Event(), Health(("encode",)))
    assert "\n" not in str(caught.value)
