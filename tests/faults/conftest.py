"""The servers of the whole test run, and a bundle for the fault suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bundles import write_tiny_bundle
from tests.faults.context import Servers
from tests.faults.stream import MODALITY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def servers(kafka: str, real_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Servers:
    """A broker, a Redis and a bundle whose posts are vectors."""
    bundle: Path = tmp_path_factory.mktemp("faults") / "tiny"
    write_tiny_bundle(bundle, ("text", MODALITY))
    return Servers(kafka, real_redis, bundle)
