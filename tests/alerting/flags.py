"""Flags as assign writes them, for alerting's tests."""

from __future__ import annotations

from typing import Any

from consumers.cells.conclusions import rfc3339
from consumers.contracts.flag import Flag, NearestExemplar
from consumers.contracts.source import Source

NOW = 1_800_000_000_000


def flag(number: int = 0, **fields: Any) -> Flag:
    """The flag of post `number`, in cluster 0-1 under scam."""
    given: dict[str, Any] = {
        "flag_id": f"flag-{number}",
        "revision": number,
        "action": "flag",
        "mode": "live",
        "cause": "live",
        "post_id": f"post-{number}",
        "source": Source("posts", "topic-id", 0, number, NOW),
        "policy": "scam",
        "severity": "high",
        "cluster_id": "0-1",
        "bound": 0.66,
        "cell": 0,
        "cell_offset": number,
        "similarity": 0.9,
        "shares": {"text": 0.5, "image": 0.4},
        "exemplar": NearestExemplar("exemplar-1", 0.95),
        "thresholds": {"bound": 0.6},
        "bundle": "tiny-00000000",
        "policy_version": "1",
        "decided_at": rfc3339(NOW),
    }
    return Flag(**(given | fields))


def taken_back(number: int, revision: int, **fields: Any) -> Flag:
    """The retraction of that flag."""
    return flag(number, revision=revision, action="retract", cause="verdict-1", exemplar=None, **fields)
