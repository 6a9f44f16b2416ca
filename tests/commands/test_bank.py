"""`shoal bank`: lines that are good are imported, the others told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.command import assert_one_line, shoal

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.embedded import Broker


def test_a_bank_is_imported_and_what_it_could_not_be_is_told(broker: Broker, tmp_path: Path) -> None:
    broker.create("verdicts")
    file = tmp_path / "bank.jsonl"
    file.write_text('{"post": {"caption": "x"}}\n{"post_id": "p"}\n')
    at = ["--set", f"kafka.bootstrap_servers={broker.address}", "--set", "kafka.delivery=at-least-once"]
    result = shoal("bank", "import", str(file), "--policy", "scam", "--json", *at)
    assert_one_line(result, 1, "bank.jsonl:2", "either a post")
    assert json.loads(result.stdout) == {"verdicts": 1, "refused": 1}
    assert_one_line(shoal("bank", "import", "/nonexistent.jsonl", *at), 1, "/nonexistent.jsonl")
