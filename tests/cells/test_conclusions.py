"""Times as decisions and flags say them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.cells.conclusions import EARLIEST_MS, LATEST_MS, rfc3339


@settings(deadline=None)
@given(st.integers(EARLIEST_MS, LATEST_MS))
def test_a_time_reads_as_the_moment_it_is(time: int) -> None:
    found = rfc3339(time)
    assert len(found) == len("2026-01-01T00:00:00.000Z")
    assert (datetime.fromisoformat(found) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 == pytest.approx(
        time, abs=0.1
    )
    assert found < rfc3339(time + 1) or time == LATEST_MS


@pytest.mark.parametrize("beyond", [1, 10**18])
def test_a_time_that_cannot_be_said_is_the_nearest_that_can(beyond: int) -> None:
    assert rfc3339(LATEST_MS + beyond) == "9999-12-31T23:59:59.999Z"
    assert rfc3339(EARLIEST_MS - beyond) == "0001-01-01T00:00:00.000Z"
