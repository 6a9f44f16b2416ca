"""A broker and a Redis for the tests of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.embedded import Broker, embedded_broker, embedded_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with embedded_broker() as started:
        yield started


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with embedded_redis() as url:
        yield url
