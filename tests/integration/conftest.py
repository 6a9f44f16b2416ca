"""A platform on a real Kafka and a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from consumers.settings import Kafka, Redis
from tests.bundles import write_tiny_bundle
from tests.integration.platform import Platform, make_topics, platform_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "max.poll.interval.ms": 60_000}
"""A killed process is noticed within seconds."""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle: equal parts give equal embeddings."""
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def new_platform(bundle: Path, kafka: str, real_redis: str) -> Callable[..., Platform]:
    """Makes platforms, with other settings than the default ones where they are given by section."""

    def make(group_protocol: Any = "classic", **sections: Any) -> Platform:
        properties = dict(QUICK) if group_protocol == "classic" else {}
        connection = Kafka(bootstrap_servers=kafka, group_protocol=group_protocol, properties=properties)
        redis = Redis(url=real_redis, timeout_seconds=2.0)
        platform = Platform(platform_settings(bundle, connection, redis, **sections))
        make_topics(platform)
        return platform

    return make


@pytest.fixture
def platform(new_platform: Callable[..., Platform]) -> Platform:
    """A platform with one cell."""
    return new_platform()
