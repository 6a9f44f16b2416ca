"""The demo as its viewer starts it: real consumers in a process of their own, embedded servers, no terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from tests.conftest import lacks

if TYPE_CHECKING:
    from pathlib import Path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "consumers.cli", "demo", "--plain", *arguments]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}


def test_the_demo_decides_every_post_flags_violations_and_writes_its_numbers(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    result = subprocess.run(
        command("--posts", "300", "--json", str(file)),
        capture_output=True,
        text=True,
        timeout=280,
        env=environment(),
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    numbers = json.loads(file.read_text())
    assert numbers["posts"] == numbers["decisions"] == 300
    assert numbers["flags"] > 0
    assert 0 < numbers["retroactive_flags"] < numbers["flags"]
    assert numbers["posts_per_second"] > 0
    assert numbers["encoder_posts_per_second"] > 0
    assert 0 < numbers["latency_ms"]["p50"] <= numbers["latency_ms"]["p95"] <= numbers["latency_ms"]["p99"]
    assert numbers["first_flag_seconds"] > 0
    assert sum(policy["flags"] for policy in numbers["policies"].values()) == numbers["flags"]
    assert "uphold" in result.stdout
    assert "standing" in result.stdout


def test_an_interrupted_demo_ends_with_a_summary_of_what_was_done_and_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    with subprocess.Popen(
        command("--posts", "5000", "--json", str(file)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "uphold" in line:
                break
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) == 2
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        process.wait(60)
    assert "Traceback" not in rest
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    numbers = json.loads(file.read_text())
    assert 0 < numbers["posts"] == numbers["decisions"] < 5000


def test_a_demo_that_is_killed_leaves_nothing_running() -> None:
    if shutil.which("setpriv") is None:
        lacks("no setpriv: install util-linux")
    with subprocess.Popen(
        command("--posts", "5000"), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) == 2
        process.kill()
    gone, alive = psutil.wait_procs(started, timeout=60)
    assert (len(gone), alive) == (2, [])


def test_a_bundle_that_is_not_there_is_one_clear_line() -> None:
    result = subprocess.run(
        command("--bundle", "/nonexistent"),
        capture_output=True,
        text=True,
        timeout=200,
        env=environment(),
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("shoal: bundle '/nonexistent'")
    assert result.stderr.count("\n") == 1
