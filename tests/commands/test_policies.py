"""`shoal policies`: a file is checked at the desk."""

from __future__ import annotations

import json

from tests.command import NO_REDIS, NOWHERE, shoal


def test_policies_are_checked_with_nothing_but_the_bundle() -> None:
    result = shoal("policies", "check", "docs/examples/policies.toml", "--json", *NOWHERE, *NO_REDIS)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["version"] == 3
