"""`shoal check`: a line for everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.command import NO_REDIS, shoal

if TYPE_CHECKING:
    from consumers.embedded import Broker


def test_check_shows_a_line_for_everything_and_fails_when_one_is_red(broker: Broker) -> None:
    result = shoal("check", "--json", "--set", f"kafka.bootstrap_servers={broker.address}", *NO_REDIS)
    assert result.returncode == 1
    findings = {finding["subject"]: finding for finding in map(json.loads, result.stdout.splitlines())}
    assert findings["bundle"]["state"] == findings["kafka"]["state"] == "good"
    assert findings["redis"]["state"] == "bad"
    assert findings["redis"]["remedy"]
