"""Settings of an installation with two cells, on an embedded broker and a Redis, whose cell log is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.names import cell_log_topic
from consumers.options import settings_from
from tests.bundles import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.embedded import Broker
    from consumers.settings import Settings


def two_cells(broker: Broker, redis: str, folder: Path, name: str) -> Settings:
    """With a bundle in `folder`; topic and keys have the name, which may be that of a test with parameters."""
    bundle = write_tiny_bundle(folder / "tiny", ("text", "image"))
    name = name.replace("[", "-").replace("]", "")
    given = [
        f"bundle={folder / 'tiny'}",
        "assign.cells=2",
        f"redis.url={redis}",
        f"redis.prefix={name}",
        f"kafka.bootstrap_servers={broker.address}",
        "kafka.delivery=at-least-once",
        f"topics.cells={name}",
    ]
    found = settings_from(None, given)
    broker.create(cell_log_topic(found, bundle.bundle_id))
    return found
