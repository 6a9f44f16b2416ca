"""Is everything there that a worker needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from consumers.check import require
from consumers.check_kafka import check_kafka, check_message_sizes
from consumers.check_redis import check_redis
from consumers.embedded import embedded_broker, embedded_redis
from consumers.findings import CheckError
from consumers.options import settings_from
from consumers.topics import needed_topics

if TYPE_CHECKING:
    from consumers.settings import Settings

BUNDLE = "compact-00000000"


def settings_for(address: str = "127.0.0.1:1", url: str = "redis://127.0.0.1:1/0", *more: str) -> Settings:
    return settings_from(
        None,
        [f"kafka.bootstrap_servers={address}", f"redis.url={url}", "kafka.request_timeout_seconds=2", *more],
    )


def test_everything_there_is_all_green() -> None:
    with embedded_broker() as broker, embedded_redis() as url:
        settings = settings_for(broker.address, url)
        broker.create(*(topic.name for topic in needed_topics(settings, BUNDLE)))
        require(settings, BUNDLE)
        findings = check_kafka(settings, BUNDLE) + check_redis(settings)
        assert {finding.state for finding in findings} == {"good", "hint"}
        assert [f.subject for f in findings if f.state == "hint"] == ["redis persistence"]
        assert check_message_sizes(settings).state == "hint"


def test_an_absent_topic_is_red_and_says_how_to_create_it() -> None:
    with embedded_broker() as broker:
        settings = settings_for(broker.address)
        names = [topic.name for topic in needed_topics(settings, BUNDLE)]
        broker.create(*names[1:])
        bad = [finding for finding in check_kafka(settings, BUNDLE) if finding.state == "bad"]
        assert [finding.subject for finding in bad] == ["topic posts"]
        assert "--create-topics" in bad[0].remedy
        with pytest.raises(CheckError, match="topic posts: absent; create it with 4 partition"):
            require(settings, BUNDLE)


def test_too_few_partitions_for_the_cells_are_red() -> None:
    with embedded_broker() as broker:
        settings = settings_for(broker.address, "redis://127.0.0.1:1/0", "assign.cells=8")
        broker.create(*(topic.name for topic in needed_topics(settings, BUNDLE)))
        bad = {finding.subject: finding.text for finding in check_kafka(settings, BUNDLE) if finding.state == "bad"}
        assert bad == dict.fromkeys((f"topic cells.{BUNDLE}.8", "topic decisions"), "4 partition(s), needs 8")


def test_brokers_that_do_not_answer_are_one_red_line_naming_the_setting() -> None:
    (finding,) = check_kafka(settings_for(), BUNDLE)
    assert finding.state == "bad"
    assert "127.0.0.1:1" in finding.text
    assert "SHOAL_KAFKA__BOOTSTRAP_SERVERS" in finding.remedy


def test_a_property_that_librdkafka_does_not_know_is_one_red_line() -> None:
    settings = settings_for("127.0.0.1:1", "redis://127.0.0.1:1/0", "kafka.properties.no.such.property=1")
    (finding,) = check_kafka(settings, BUNDLE)
    assert finding.state == "bad"
    assert "no.such.property" in finding.text


def test_a_redis_that_does_not_answer_is_red_and_its_password_is_not_shown() -> None:
    (finding,) = check_redis(settings_for(url="redis://user:secret@127.0.0.1:1/0"))
    assert finding.state == "bad"
    assert "secret" not in str(finding)
    assert "SHOAL_REDIS__URL" in finding.remedy


@pytest.mark.parametrize(
    ("change", "subject", "state"),
    [
        ({"redis_version": "6.0.16"}, "redis", "bad"),
        ({"redis_version": "6.2.0"}, "redis", "good"),
        ({"redis_version": "7.2.4"}, "redis", "good"),
        ({"maxmemory_policy": "allkeys-lru"}, "redis eviction", "bad"),
        ({"aof_enabled": 1}, "redis persistence", "good"),
        ({"aof_enabled": 0}, "redis persistence", "hint"),
    ],
)
def test_what_a_redis_says_of_itself_is_judged(
    change: dict[str, Any], subject: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"redis_version": "7.0.15", "maxmemory_policy": "noeviction", "aof_enabled": 1} | change
    monkeypatch.setattr(redis.Redis, "info", lambda _self: answer)
    monkeypatch.setattr(redis.Redis, "config_get", lambda _self, _name: {"save": ""})
    found = {finding.subject: finding.state for finding in check_redis(settings_for())}
    assert found[subject] == state
