"""The `shoal` command as its user meets it: exit codes, one clear line for what is wrong, JSON for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from consumers.embedded import embedded_broker
from consumers.lookup import read_topic
from consumers.options import settings_from
from consumers.topics import needed_topics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.embedded import Broker

NOWHERE = ["--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", "kafka.request_timeout_seconds=1"]
NO_REDIS = ["--set", "redis.url=redis://127.0.0.1:1/0"]


def shoal(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with none of our settings from the environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    return subprocess.run(
        [sys.executable, "-m", "consumers.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean | environment,
        check=False,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    complaints = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(complaints) == 1, result.stderr
    assert complaints[0].startswith("shoal: ")
    for word in words:
        assert word in complaints[0]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with embedded_broker() as started:
        yield started


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("snapshot",), ("no snapshots.location", "--to")),
        (("snapshot", "7", "--to", "file:///tmp/"), ("cell 7", "cells 0 to 0")),
        (("restore", "7"), ("cell 7", "cells 0 to 0")),
    ],
)
def test_snapshots_that_cannot_be_meant_are_one_line(
    broker: Broker, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = shoal("state", *command, "--set", f"kafka.bootstrap_servers={broker.address}", *NO_REDIS)
    assert_one_line(result, 1, *words)


def test_help_names_every_command() -> None:
    result = shoal("--help")
    assert result.returncode == 0
    for name in (
        "run",
        "check",
        "produce",
        "verdict",
        "bank",
        "policies",
        "settings",
        "erase",
        "clusters",
        "dead-letters",
        "bundle",
        "demo",
        "train",
    ):
        assert f" {name} " in result.stdout


def test_an_unknown_command_is_wrong_use() -> None:
    assert shoal("fly").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("run", "--set", "kafka.nonsense=1"), {}, ("kafka.nonsense",)),
        (("run", "--set", "redis.url=http://x"), {}, ("redis.url", "SHOAL_REDIS__URL")),
        (("run", "--only", "encode,fly"), {}, ("--only", "fly", "encode, assign, route")),
        (("run", "--config", "/nonexistent.toml"), {}, ("/nonexistent.toml",)),
        (("run",), {"SHOAL_NONSENSE": "1"}, ("SHOAL_NONSENSE",)),
        (("run",), {"SHOAL_ENCODE__BATCH_POSTS": "many"}, ("SHOAL_ENCODE__BATCH_POSTS",)),
        (("check", "--set", "encode.provider=tpu"), {}, ("encode.provider",)),
        (("produce",), {}, ("FILE",)),
        (("produce", "posts.jsonl", "--images", "."), {}, ("not both",)),
        (("verdict", "uphold", "--policy", "scam"), {}, ("exactly one",)),
        (("verdict", "uphold", "p", "--flag", "f", "--policy", "scam"), {}, ("exactly one",)),
        (("verdict", "uphold", "p", "--policy", "Not A Name"), {}, ("policy",)),
        (("policies", "check", "pyproject.toml"), {}, ("pyproject.toml", "schema")),
        (("erase", "p" * 513), {}, ("POST_ID", "512")),
        (("dead-letters", "replay"), {}, ("--all",)),
        (("dead-letters", "show", "seven"), {}, ("PARTITION:OFFSET",)),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: tuple[str, ...], environment: dict[str, str], words: tuple[str, ...]
) -> None:
    assert_one_line(shoal(*arguments, **environment), 2, *words)


@pytest.mark.parametrize(
    "arguments",
    [
        ("produce", "-"),
        ("dead-letters", "list"),
        ("bank", "import", "bank.jsonl"),
        ("policies", "apply", "docs/examples/policies.toml"),
        ("policies", "show"),
        ("settings", "apply"),
        ("erase", "post-1"),
        ("verdict", "uphold", "p", "--policy", "scam", "--set", "kafka.delivery=at-least-once"),
        ("verdict", "uphold", "p", "--policy", "scam"),
    ],
)
def test_brokers_that_do_not_answer_are_one_clear_line(arguments: tuple[str, ...]) -> None:
    assert_one_line(shoal(*arguments, *NOWHERE), 1)


def test_a_missing_bundle_is_one_clear_line() -> None:
    assert_one_line(shoal("run", "--bundle", "/nonexistent", *NOWHERE, "--set", "http.port=0"), 1, "/nonexistent")


def test_a_file_that_is_not_there_is_one_clear_line(broker: Broker) -> None:
    at = f"kafka.bootstrap_servers={broker.address}"
    broker.create("posts")
    assert_one_line(shoal("produce", "/nonexistent.jsonl", "--set", at), 1, "/nonexistent.jsonl")


def test_produce_tells_what_it_wrote_and_what_it_could_not_read(broker: Broker, tmp_path: Path) -> None:
    broker.create("posts")
    file = tmp_path / "posts.jsonl"
    file.write_text('{"post_id": "a", "caption": "x"}\nnonsense\n')
    result = shoal("produce", str(file), "--json", "--set", f"kafka.bootstrap_servers={broker.address}")
    assert_one_line(result, 1, "posts.jsonl:2")
    assert json.loads(result.stdout) == {"written": 1, "refused": 0, "unreadable": 1}


def test_a_verdict_is_written_and_its_id_told(broker: Broker) -> None:
    broker.create("verdicts")
    at = ["--set", f"kafka.bootstrap_servers={broker.address}", "--set", "kafka.delivery=at-least-once"]
    result = shoal("verdict", "overturn", "post-1", "--policy", "scam", "--supersedes", "v-1", "--json", *at)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["decision"] == "overturn"
    settings = settings_from(None, at[1::2])
    written = [json.loads(message.value() or b"") for message in read_topic(settings, "verdicts")]
    assert [(one["verdict_id"], one["supersedes"]) for one in written if one.get("post_id") == "post-1"] == [
        (told["verdict_id"], "v-1")
    ]


def test_a_bank_is_imported_and_what_it_could_not_be_is_told(broker: Broker, tmp_path: Path) -> None:
    broker.create("verdicts")
    file = tmp_path / "bank.jsonl"
    file.write_text('{"post": {"caption": "x"}}\n{"post_id": "p"}\n')
    at = ["--set", f"kafka.bootstrap_servers={broker.address}", "--set", "kafka.delivery=at-least-once"]
    result = shoal("bank", "import", str(file), "--policy", "scam", "--json", *at)
    assert_one_line(result, 1, "bank.jsonl:2", "either a post")
    assert json.loads(result.stdout) == {"verdicts": 1, "refused": 1}
    assert_one_line(shoal("bank", "import", "/nonexistent.jsonl", *at), 1, "/nonexistent.jsonl")


def test_policies_are_checked_with_nothing_but_the_bundle() -> None:
    result = shoal("policies", "check", "docs/examples/policies.toml", "--json", *NOWHERE, *NO_REDIS)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["version"] == 3


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


def test_check_shows_a_line_for_everything_and_fails_when_one_is_red(broker: Broker) -> None:
    result = shoal("check", "--json", "--set", f"kafka.bootstrap_servers={broker.address}", *NO_REDIS)
    assert result.returncode == 1
    findings = {finding["subject"]: finding for finding in map(json.loads, result.stdout.splitlines())}
    assert findings["bundle"]["state"] == findings["kafka"]["state"] == "good"
    assert findings["redis"]["state"] == "bad"
    assert findings["redis"]["remedy"]
