"""The settings that a cell began with: the first that stand in its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import TopicPartition

from consumers.contracts import cell_log
from consumers.contracts.cell_log import SettingsRecord
from consumers.kafka.lookup import open_reader, read_until
from consumers.names import cell_log_topic

if TYPE_CHECKING:
    from consumers.contracts.fold_settings import FoldSettings
    from consumers.settings import Settings
    from models.manifest import Manifest


def first_settings(settings: Settings, manifest: Manifest, cell: int) -> FoldSettings | None:
    """The first settings in the log of a cell; they count from its beginning on, also for records before them.

    A cell's first owner writes them before it folds anything, so the log alone says what the state is.

    Raises:
        KafkaException: the log cannot be read.
    """
    patience = settings.kafka.request_timeout_seconds
    topic = cell_log_topic(settings, manifest.bundle_id)
    reader = open_reader(settings)
    try:
        low, high = reader.get_watermark_offsets(TopicPartition(topic, cell), timeout=patience)
        if low == high:
            return None
        for message in read_until(reader, TopicPartition(topic, cell, low), high, patience):
            try:
                record = cell_log.decode(message.value() or b"")
            except msgspec.DecodeError:
                continue
            if isinstance(record, SettingsRecord):
                return record.settings
    finally:
        reader.close()
    return None
