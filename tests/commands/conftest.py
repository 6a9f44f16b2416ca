"""The embedded broker that commands talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.embedded import embedded_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.embedded import Broker


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with embedded_broker() as started:
        yield started
