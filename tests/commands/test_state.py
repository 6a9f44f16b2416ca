"""`shoal state`: arguments that cannot be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.command import NO_REDIS, assert_one_line, shoal

if TYPE_CHECKING:
    from consumers.embedded import Broker


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
