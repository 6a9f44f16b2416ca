"""Is everything there that a worker needs."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import redis

from consumers.checks.findings import CheckError
from consumers.checks.kafka import check_kafka, check_message_sizes
from consumers.checks.redis import check_redis
from consumers.checks.worker import check_own_policies, check_settings, require
from consumers.embedded import embedded_broker, embedded_redis
from consumers.kafka.topics import Topic, create_topics, needed_topics
from consumers.options import settings_from
from consumers.settings import Policy, Settings
from consumers.state.store import StateStore, StateUnavailable
from tests.cells.small_cells import manifest
from tests.integration.platform import eventually
from tests.redis_servers import redis_cluster
from tests.servers import redis_server

BUNDLE = "compact-00000000"
NO_REDIS = "redis://127.0.0.1:1/0"


def settings_for(address: str = "127.0.0.1:1", url: str = NO_REDIS, *more: str) -> Settings:
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
        # the embedded broker gives every topic four partitions
        hints = [finding.subject for finding in findings if finding.state == "hint"]
        assert hints == [f"topic cells.{BUNDLE}.1", "redis persistence"]
        assert check_message_sizes(settings).state == "hint"


def test_settings_are_told_by_name_and_never_by_value() -> None:
    finding = check_settings(settings_for("broker:9092", "redis://:secret@host/0"))
    assert finding.text == "set: kafka.bootstrap_servers, kafka.request_timeout_seconds, redis.url"
    assert check_settings(Settings()).text == "all as by default"


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
        settings = settings_for(broker.address, NO_REDIS, "assign.cells=8")
        broker.create(*(topic.name for topic in needed_topics(settings, BUNDLE)))
        bad = {finding.subject: finding.text for finding in check_kafka(settings, BUNDLE) if finding.state == "bad"}
        assert bad == dict.fromkeys((f"topic cells.{BUNDLE}.8", "topic decisions"), "4 partition(s), needs 8")


def test_fewer_partitions_than_workers_are_meant_to_share_are_a_hint() -> None:
    with embedded_broker() as broker:
        settings = settings_for(broker.address, NO_REDIS, "partitions.posts=8", "partitions.verdicts=4")
        broker.create(*(topic.name for topic in needed_topics(settings, BUNDLE)))
        found = {finding.subject: finding for finding in check_kafka(settings, BUNDLE)}
    assert (found["topic posts"].state, found["topic verdicts"].state) == ("hint", "good")
    assert "4 partition(s), and partitions.posts says 8" in found["topic posts"].text


def test_brokers_that_do_not_answer_are_one_red_line_naming_the_setting() -> None:
    (finding,) = check_kafka(settings_for(), BUNDLE)
    assert finding.state == "bad"
    assert "127.0.0.1:1" in finding.text
    assert "SHOAL_KAFKA__BOOTSTRAP_SERVERS" in finding.remedy


def test_a_property_that_librdkafka_does_not_know_is_one_red_line() -> None:
    settings = settings_for("127.0.0.1:1", NO_REDIS, "kafka.properties.no.such.property=1")
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
        ({"cluster_enabled": 1}, "redis", "bad"),
        ({"role": "master"}, "redis", "good"),
        ({"role": "slave"}, "redis", "bad"),
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


@pytest.mark.redis
def test_name_and_password_of_an_acl_user_may_stand_apart_from_the_url() -> None:
    word = "p@ss/w%rd"
    with redis_server("--user", "shoal", "on", f">{word}", "~*", "&*", "+@all") as url:
        named = ("127.0.0.1:1", url, "redis.username=shoal")
        right, wrong = (settings_for(*named, f"redis.password={given}") for given in (word, "guess"))
        assert check_redis(right)[0].state == "good"
        (bad,) = check_redis(wrong)
        assert (bad.state, "guess" in str(bad)) == ("bad", False)
        StateStore(right.redis, BUNDLE, 1).claim(0, "token")
        with pytest.raises(StateUnavailable):
            StateStore(wrong.redis, BUNDLE, 1).claim(0, "token")


def test_policies_that_the_bundle_cannot_serve_are_red() -> None:
    good = Settings(policies=(Policy(name="scam", required=("image",)),))
    assert check_own_policies(good, manifest()).state == "good"
    for policies in ((Policy(name="scam", required=("smell",)),), (Policy(name="scam"), Policy(name="scam"))):
        finding = check_own_policies(Settings(policies=policies), manifest())
        assert (finding.state, finding.text.split(":")[0]) == ("bad", "policy scam")


@pytest.mark.redis
def test_every_primary_of_a_cluster_is_judged_and_what_they_share_is_said_once() -> None:
    with redis_cluster(3) as cluster:
        settings = settings_for("127.0.0.1:1", cluster.url, "redis.cluster=true")
        cluster.primaries[1].client.config_set("maxmemory-policy", "allkeys-lru")
        found = [(finding.subject, finding.state) for finding in check_redis(settings)]
        (single,) = [one for one in check_redis(settings_for("127.0.0.1:1", cluster.url)) if one.state == "bad"]
    good, bad = ("redis eviction", "good"), ("redis eviction", "bad")
    assert sorted(found) == sorted([*[("redis", "good")] * 3, good, bad, ("redis persistence", "hint")])
    assert single.remedy == "set redis.cluster to true"


def test_a_single_server_taken_for_a_cluster_is_red() -> None:
    with embedded_redis() as url:
        (finding,) = check_redis(settings_for("127.0.0.1:1", url, "redis.cluster=true"))
    assert (finding.subject, finding.state) == ("redis", "bad")


def test_encoding_alone_does_without_redis() -> None:
    with embedded_broker() as broker:
        settings = settings_for(broker.address, NO_REDIS)
        broker.create(*(topic.name for topic in needed_topics(settings, BUNDLE)))
        require(settings, BUNDLE, state=False)
        with pytest.raises(CheckError, match="start Redis"):
            require(settings, BUNDLE)


@pytest.mark.kafka
def test_absent_topics_are_created_on_request_with_room_for_whole_posts(kafka: str) -> None:
    mark = uuid.uuid4().hex[:8]
    names = ("posts", "cells", "decisions", "flags", "verdicts", "dead_letters")
    own = (f"topics.{name}={mark}-{name}" for name in names)
    settings = settings_for(kafka, NO_REDIS, "assign.cells=2", "partitions.posts=6", *own)
    assert {finding.state for finding in check_kafka(settings, BUNDLE)[1:]} == {"bad"}
    assert {finding.state for finding in check_kafka(settings, BUNDLE, create=True)} == {"good"}
    found = {finding.subject: finding.text for finding in check_kafka(settings, BUNDLE)}
    assert found[f"topic {mark}-cells.{BUNDLE}.2"] == found[f"topic {mark}-decisions"] == "2 partition(s)"
    assert found[f"topic {mark}-posts"] == "6 partition(s)"
    sizes = check_message_sizes(settings)
    assert (sizes.state, sizes.text) == ("good", "posts take 17,825,792 bytes, dead letters 17,891,328")
    assert {finding.state for finding in check_kafka(settings, BUNDLE, create=True)} == {"good"}


@pytest.mark.kafka
def test_a_dead_letter_topic_that_takes_less_than_the_posts_topic_is_red(kafka: str) -> None:
    mark = uuid.uuid4().hex[:8]
    settings = settings_for(kafka, NO_REDIS, f"topics.posts={mark}-posts", f"topics.dead_letters={mark}-dead")
    large, small = {"max.message.bytes": "9000000"}, {"max.message.bytes": "1000000"}
    create_topics(
        settings, [Topic("posts", f"{mark}-posts", 1, 1, large), Topic("dead", f"{mark}-dead", 1, 1, small)]
    )
    # a broker that is busy tells of a topic a moment after it has created it
    finding = eventually(lambda: check_message_sizes(settings), lambda found: found.state != "hint")
    assert finding.state == "bad"
    assert "raise max.message.bytes" in finding.remedy
