"""`shoal run` as its user meets it: what is missing at the start is one clear line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from consumers.embedded import embedded_broker
from consumers.kafka.topics import needed_topics
from consumers.options import settings_from
from tests.command import NO_REDIS, NOWHERE, assert_one_line, shoal

if TYPE_CHECKING:
    from consumers.embedded import Broker


def test_a_missing_bundle_is_one_clear_line() -> None:
    assert_one_line(shoal("run", "--bundle", "/nonexistent", *NOWHERE, "--set", "http.port=0"), 1, "/nonexistent")


def test_a_topic_that_is_absent_is_one_clear_line() -> None:
    with embedded_broker() as empty:
        at = ["--set", f"kafka.bootstrap_servers={empty.address}", *NO_REDIS, "--set", "http.port=0"]
        assert_one_line(shoal("run", *at), 1, "topic posts: absent", "--create-topics")


def test_a_redis_that_is_down_at_the_start_is_one_clear_line(broker: Broker) -> None:
    at = ["--set", f"kafka.bootstrap_servers={broker.address}", *NO_REDIS, "--set", "http.port=0"]
    bundle = json.loads(shoal("bundle", "info", "--json").stdout)["bundle"]
    broker.create(*(topic.name for topic in needed_topics(settings_from(None, []), bundle)))
    assert_one_line(shoal("run", *at), 1, "redis: redis://127.0.0.1:1/0", "SHOAL_REDIS__URL")


def test_a_gpu_that_is_required_and_absent_is_one_clear_line() -> None:
    result = shoal("run", *NOWHERE, "--set", "encode.provider=cuda", "--set", "http.port=0", CUDA_VISIBLE_DEVICES="")
    assert_one_line(result, 1, "encode.provider")
