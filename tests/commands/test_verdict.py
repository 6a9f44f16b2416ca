"""`shoal verdict`: the verdict stands on its topic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from consumers.kafka.lookup import read_topic
from consumers.options import settings_from
from tests.command import shoal

if TYPE_CHECKING:
    from consumers.embedded import Broker


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
