"""The `shoal` command as its user meets it, whatever comes after it: help, exit codes, one clear line."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.command import NOWHERE, assert_one_line, shoal

COMMANDS = [
    *("run", "check", "produce", "verdict", "erase", "flags", "search", "explain", "campaigns", "demo", "calibrate"),
    *("bundle", "bench", "export", "train", "clusters", "bank"),
    *("policies", "settings", "dead-letters", "state", "alert"),
]
HEAVY = {"av", "confluent_kafka", "cv2", "numpy", "onnxruntime", "redis", "river", "scipy", "sklearn", "torch"}


def test_help_names_every_command_in_its_order() -> None:
    result = shoal("--help")
    assert result.returncode == 0
    assert re.findall(r"^│ ([a-z][a-z-]*) ", result.stdout, re.MULTILINE) == COMMANDS


def test_help_answers_without_the_libraries_that_commands_need() -> None:
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "consumers.cli", "--help"],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert "consumers.options" in imported
    assert not imported & HEAVY


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
        (("search",), {}, ("--text", "--image", "--audio")),
        (("search", "--vector", "reading.json"), {}, ("--vector", "NAME=FILE")),
        (("search", "--text", "coins", "--in", "smell"), {}, ("--in smell", "text, image, audio")),
        (("campaigns", "--count", "3"), {}, ("--count", "kmeans")),
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
        ("explain", "post-1"),
        ("verdict", "uphold", "p", "--policy", "scam", "--set", "kafka.delivery=at-least-once"),
        ("verdict", "uphold", "p", "--policy", "scam"),
    ],
)
def test_brokers_that_do_not_answer_are_one_clear_line(arguments: tuple[str, ...]) -> None:
    assert_one_line(shoal(*arguments, *NOWHERE), 1)
