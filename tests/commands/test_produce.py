"""`shoal produce` from a file: what was written, and what could not be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.command import assert_one_line, shoal

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.embedded import Broker


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
