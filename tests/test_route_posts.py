"""Verdicts that bring their post along: encoded like every post, in the cell where such posts are."""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest

from consumers.contracts import cell_log
from consumers.contracts.cell_log import VerdictRecord
from consumers.contracts.source import Source
from consumers.encoding.suspects import Suspects
from consumers.encoding.work import Failure, PostInWork, SourceRecord
from consumers.kafka.marks import Mark
from consumers.route import RouteError, Router, post_brought
from consumers.settings import Assign, Encode, Kafka, Settings
from consumers.steps import decode as step
from consumers.steps.embed import EncoderError
from models.bundle import Bundle, open_bundle
from tests.bundles import write_tiny_bundle
from tests.fake_log import FakeMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.kafka.delivery import Outgoing

NOW = 1_800_000_000_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    write_tiny_bundle(folder)
    return open_bundle(folder, provider="cpu", intra_op_threads=1)


@pytest.fixture
def router(bundle: Bundle) -> Iterator[Router]:
    router = router_of(settings(), bundle, "id-of-verdicts")
    yield router
    router.close()


def router_of(settings: Settings, bundle: Bundle, topic_id: str) -> Router:
    return Router(settings, bundle, Mark(topic_id), Suspects(settings, bundle.folder))


def settings(**kafka: Any) -> Settings:
    return Settings(
        kafka=Kafka(bootstrap_servers="127.0.0.1:1", **kafka),
        assign=Assign(cells=4),
        encode=Encode(batch_posts=3),
    )


def verdict(number: int, **fields: Any) -> SourceRecord:
    given = {"verdict_id": f"v-{number}", "decision": "uphold", "policy": "spam", "actor": "mod"} | fields
    return SourceRecord(Source("verdicts", "", 0, number, NOW), None, msgspec.json.encode(given))


def bringing(number: int, **post: Any) -> SourceRecord:
    return verdict(number, post={"post_id": f"post-{number}"} | post)


def routed(found: list[Outgoing] | Failure) -> tuple[int, VerdictRecord]:
    assert isinstance(found, list), found
    [one] = found
    record = cell_log.decode(one.value or b"")
    assert isinstance(record, VerdictRecord)
    return one.partition, record


def failed(found: list[Outgoing] | Failure) -> tuple[str, str]:
    assert isinstance(found, Failure), found
    return found.reason, found.step


def vector_of(record: VerdictRecord) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.frombuffer(record.vector or b"", dtype="<f2").astype(np.float32)


def test_a_post_is_encoded_and_goes_to_its_cell(router: Router, bundle: Bundle) -> None:
    captions = ["a lamp", "12345 67890", "THE RIVER", "green bicycles everywhere", "zzz"]
    found = router.route([bringing(n, caption=text) for n, text in enumerate(captions)], now_ms=NOW)
    records = [routed(one) for one in found]
    vectors = np.stack([vector_of(record) for _, record in records])
    assert [cell for cell, _ in records] == bundle.cell_of(vectors, 4).tolist()
    assert len({cell for cell, _ in records}) > 1
    assert [(record.post_id, record.asked) for _, record in records] == [(f"post-{n}", 1) for n in range(5)]
    assert {record.source for _, record in records} == {
        Source("verdicts", "id-of-verdicts", 0, n, NOW) for n in range(5)
    }
    again = routed(router.route([bringing(9, caption=captions[2])], now_ms=NOW)[0])[1]
    assert again.vector == records[2][1].vector, "whatever its neighbours are"


def test_bad_posts_harm_no_neighbour(router: Router) -> None:
    image = base64.b64encode(b"no image").decode()
    found = router.route(
        [
            bringing(0, caption="the first good one"),
            bringing(1),
            bringing(2, media=[{"kind": "image", "data": image}]),
            bringing(3, caption="the second good one", media=[{"kind": "image", "data": image}]),
            verdict(4, post={"caption": "without an id"}),
            verdict(5, post={"post_id": "", "caption": "with an empty id"}),
            verdict(6, post={"post_id": "p", "caption": "with a cell"}, cell=1),
            verdict(7, post={"post_id": "p", "caption": "with another target"}, post_id="q"),
            verdict(8, cluster_id="3-1"),
        ],
        now_ms=NOW,
    )
    assert [failed(one) for one in found if isinstance(one, Failure)] == [
        ("no-parts", "parse"),
        ("no-usable-part", "decode"),
        ("invalid", "route"),
        ("invalid", "route"),
        ("invalid", "route"),
        ("invalid", "route"),
    ]
    assert [routed(one)[1].verdict_id for one in found if not isinstance(one, Failure)] == ["v-0", "v-3", "v-8"]


def test_a_post_that_breaks_an_encoder_is_alone_in_that(
    router: Router, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = bundle.encoders["text"].embed

    def break_on_poison(items: list[str]) -> Any:
        if any("poison" in item for item in items):
            raise RuntimeError("the graph broke")
        return embed(cast("Any", items))

    monkeypatch.setattr(bundle.encoders["text"], "embed", break_on_poison)
    captions = ["good", "poison", "good too", "good as well"]
    found = router.route([bringing(n, caption=text) for n, text in enumerate(captions)], now_ms=NOW)
    assert failed(found[1]) == ("embedding-failed", "embed")
    assert [routed(found[n])[1].verdict_id for n in (0, 2, 3)] == ["v-0", "v-2", "v-3"]


def test_no_verdict_pays_for_an_encoder_that_is_lost(
    router: Router, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_items: list[str]) -> Any:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(bundle.encoders["text"], "embed", lost)
    with pytest.raises(EncoderError):
        router.route([bringing(0, caption="a good one")], now_ms=NOW)


def test_a_post_that_hangs_ends_the_process_and_one_that_is_slow_does_not(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = settings().model_copy(update={"encode": Encode(stuck_seconds=2.0)})
    beats: list[None] = []
    suspects = Suspects(impatient, bundle.folder)
    router = Router(impatient, bundle, Mark("id"), suspects, meanwhile=lambda: beats.append(None))
    go_on, decode = threading.Event(), step.decode

    def slow(work: PostInWork, *given: Any) -> None:
        go_on.wait(0.5 if work.post and "slow" in (work.post.caption or "") else None)
        decode(work, *given)

    monkeypatch.setattr("consumers.encoding.prepare.decode", slow)
    found = router.route([bringing(number, caption=f"slow {number}") for number in range(6)], now_ms=NOW)
    assert [routed(one)[1].verdict_id for one in found] == [f"v-{number}" for number in range(6)]
    assert beats
    with pytest.raises(RouteError, match="hangs: nothing was finished for 2 s") as caught:
        router.route([bringing(9, caption="for ever")], now_ms=NOW)
    go_on.set()
    assert "\n" not in str(caught.value)
    router.close()


class Record(FakeMessage):
    """A verdict as Kafka gives it."""

    def __init__(self, number: int, value: bytes | None) -> None:
        super().__init__(number, 0)
        self.given = value

    def value(self) -> bytes:
        return cast("bytes", self.given)

    def headers(self) -> None:
        return None


def test_a_post_that_killed_its_process_is_a_dead_letter_and_is_not_embedded_again(
    router: Router, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspects, embedded = router._suspects, []
    embed = bundle.encoders["text"].embed

    def noted(items: list[str]) -> Any:
        embedded.extend(items)
        return embed(cast("Any", items))

    monkeypatch.setattr(bundle.encoders["text"], "embed", noted)
    monkeypatch.setattr(suspects._trial, "death_by", lambda _: "killed its process: SIGSEGV")
    suspects.expect(0, start=0, count=1, end=10)
    poison = bringing(1, caption="poison")
    suspects.examine(cast("Any", Record(1, poison.value)))
    records = [
        bringing(0, caption="before it"),
        poison,
        verdict(2, cluster_id="3-1"),
        bringing(3, caption="after it"),
    ]
    found = router.route(records, now_ms=NOW)
    assert failed(found[1]) == ("kills-encoder", "route")
    assert [routed(found[n])[1].verdict_id for n in (0, 2, 3)] == ["v-0", "v-2", "v-3"]
    assert sorted(embedded) == ["after it", "before it"]
    suspects.forget(poison.source)
    routed(router.route([poison], now_ms=NOW)[0])


def test_only_posts_that_verdicts_bring_are_tried() -> None:
    brought = post_brought(cast("Any", Record(5, bringing(5, caption="a caption").value)))
    assert brought is not None
    assert (brought.source.partition, brought.source.offset) == (0, 5)
    post = msgspec.json.decode(brought.value or b"")
    assert (post["post_id"], post["caption"]) == ("post-5", "a caption")
    for value in (verdict(6, cluster_id="3-1").value, b"nonsense", None):
        assert post_brought(cast("Any", Record(6, value))) is None


def test_the_encoders_wait_for_whoever_uses_them(router: Router, bundle: Bundle) -> None:
    done = threading.Event()

    def work() -> None:
        router.route([bringing(0, caption="a caption")], now_ms=NOW)
        done.set()

    with bundle.lock:
        thread = threading.Thread(target=work)
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(30)
    thread.join()


def test_a_vector_is_taken_as_it_is(router: Router, bundle: Bundle) -> None:
    _, first = routed(router.route([bringing(0, caption="some caption of it")], now_ms=NOW)[0])
    fused = {"bundle": bundle.bundle_id, "vector": base64.b64encode(first.vector or b"").decode()}
    cell, record = routed(router.route([verdict(1, post_id="elsewhere", fused=fused)], now_ms=NOW)[0])
    assert (record.vector, record.post_id, record.asked) == (first.vector, "elsewhere", 1)
    assert cell == bundle.cell_of(vector_of(record)[None], 4)[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bundle": "compact-1"}, "wrong-bundle"),
        ({"vector": ""}, "invalid-vector"),
        ({"vector": base64.b64encode(b"\0" * 192).decode()}, "invalid-vector"),
        ({"vector": "*"}, "invalid"),
    ],
)
def test_a_vector_that_is_none_of_this_bundle_is_refused(
    router: Router, bundle: Bundle, change: dict[str, str], reason: str
) -> None:
    vector = np.zeros(bundle.layout.size, dtype="<f2")
    vector[0] = 1
    fused = {"bundle": bundle.bundle_id, "vector": base64.b64encode(vector.tobytes()).decode()}
    routed(router.route([verdict(0, post_id="p", fused=fused)], now_ms=NOW)[0])
    found = router.route([verdict(1, post_id="p", fused=fused | change)], now_ms=NOW)
    assert failed(found[0]) == (reason, "route")


@pytest.mark.parametrize("target", [{"cluster_id": "0-1"}, {"post_id": "p", "cell": 0}, {"flag_id": "f"}])
def test_a_vector_goes_with_a_post_id_alone(router: Router, bundle: Bundle, target: dict[str, Any]) -> None:
    fused = {"bundle": bundle.bundle_id, "vector": ""}
    assert failed(router.route([verdict(0, fused=fused, **target)], now_ms=NOW)[0]) == ("invalid", "route")


def test_where_brokers_have_no_topic_ids_no_verdict_is_taken_for_a_post(bundle: Bundle) -> None:
    router = router_of(settings(topic_identity="run-1", delivery="at-least-once"), bundle, "run-1")
    _, record = routed(router.route([bringing(5, caption="a caption")], now_ms=NOW)[0])
    router.close()
    assert record.source == Source("verdicts", "run-1.verdicts", 0, 5, NOW)
