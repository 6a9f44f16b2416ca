"""The `shoal` command in a process of its own, as its user meets it."""

from __future__ import annotations

import os
import subprocess
import sys

NOWHERE = ["--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", "kafka.request_timeout_seconds=1"]
NO_REDIS = ["--set", "redis.url=redis://127.0.0.1:1/0"]


def shoal(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with none of our settings from the environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    return subprocess.run(
        [sys.executable, "-m", "consumers.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
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
