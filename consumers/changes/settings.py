"""Changing what the fold obeys: one record in the log of every cell, in force from there on."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from confluent_kafka import TopicPartition

from consumers.cells.fold_settings import OtherFold, changes, check_fold, fold_settings, with_own, with_policies
from consumers.checks.findings import CheckError
from consumers.contracts import cell_log
from consumers.contracts.cell_log import SettingsRecord
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.kafka.lookup import open_reader, read_until
from consumers.names import cell_log_topic
from consumers.settings import SettingsError
from consumers.state import codec
from consumers.state.codec import SettingsValue
from consumers.state.reading import opened_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Consumer

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.contracts.policies import PolicyFile
    from consumers.settings import Policy, Settings
    from consumers.state.store import StateStore
    from models.manifest import Manifest


class Change(NamedTuple):
    """The settings of a cell as they are and as they shall be."""

    cell: int
    before: FoldSettings
    after: FoldSettings

    @property
    def lines(self) -> list[str]:
        """What is different, one line each."""
        return list(changes(self.before, self.after))


def settings_in_force(settings: Settings) -> list[FoldSettings]:
    """What each cell obeys once it has folded all that stands in its log.

    A cell that nobody has begun would begin with the settings given.

    Raises:
        CheckError: a cell is folded by another version of the fold: what is written here would stop it.
        StateUnavailable, CodecError, KafkaException: Redis or Kafka do not answer as they should.
    """
    with opened_state(settings) as (manifest, store):
        reader = open_reader(settings)
        try:
            found = [_in_force(settings, manifest, store, reader, cell) for cell in range(settings.assign.cells)]
        finally:
            reader.close()
        own = fold_settings(settings, manifest)
    for cell, one in enumerate(found):
        try:
            check_fold(own if one is None else one)
        except OtherFold as error:
            raise CheckError(f"cell {cell}: {error}") from error
    return [own if one is None else one for one in found]


def check_policies(policies: Sequence[Policy], manifest: Manifest) -> None:
    """Check that each policy stands there once, and that the bundle has what it looks at.

    Raises:
        SettingsError: one line with the first policy that is wrong.
    """
    known = [modality.name for modality in manifest.modalities]
    names = [policy.name for policy in policies]
    for policy in policies:
        if names.count(policy.name) > 1:
            raise SettingsError(f"policy {policy.name}: stands there twice")
        asked = (*policy.required, *([] if policy.alone is None else [policy.alone]), *(policy.verification or {}))
        for name in asked:
            if name not in known:
                raise SettingsError(
                    f"policy {policy.name}: the bundle has no modality {name}; it has {', '.join(known)}"
                )


def changes_of_policies(in_force: Sequence[FoldSettings], file: PolicyFile, manifest: Manifest) -> list[Change]:
    """What a file of policies would change in each cell; nothing when it is in force everywhere.

    Raises:
        CheckError: its version is not higher than one in force.
    """
    found = [Change(cell, before, with_policies(before, file, manifest)) for cell, before in enumerate(in_force)]
    if all(change.before == change.after for change in found):
        return []
    for change in found:
        version = change.before.policies_version
        if file.version < version or (file.version == version and change.before != change.after):
            raise CheckError(
                f"policies: version {version} is in force in cell {change.cell}, and the file has other policies as "
                f"version {file.version}; give it a version above {version}"
            )
    return found


def changes_of_own(in_force: Sequence[FoldSettings], own: FoldSettings) -> list[Change]:
    """What a worker's own settings would change in each cell; policies that come from a file stay.

    Raises:
        CheckError: the settings have policies, and so has a file.
    """
    for cell, before in enumerate(in_force):
        if own.policies and before.policies_version:
            raise CheckError(
                f"settings: cell {cell} has the policies of a file (version {before.policies_version}); "
                "take policies out of the settings, and change them by shoal policies apply"
            )
    found = [Change(cell, before, with_own(before, own)) for cell, before in enumerate(in_force)]
    return [] if all(change.before == change.after for change in found) else found


def write_changes(settings: Settings, bundle: str, found: Sequence[Change], actor: str) -> None:
    """Put the new settings into the log of every cell, in one transaction where the brokers have them.

    Raises:
        Aborted: nothing was written.
    """
    topic, now = cell_log_topic(settings, bundle), time.time_ns() // 1_000_000
    records = [(change.cell, SettingsRecord(time=now, settings=change.after, actor=actor)) for change in found]
    delivery = open_delivery(settings, f"{settings.kafka.group}.settings-{uuid.uuid4()}")
    try:
        delivery.deliver(
            [Outgoing(topic, b"settings", cell_log.encode(record), partition=cell) for cell, record in records]
        )
    finally:
        delivery.close()


def _in_force(
    settings: Settings, manifest: Manifest, store: StateStore, reader: Consumer, cell: int
) -> FoldSettings | None:
    """What the state in Redis obeys, or what the log after it says."""
    state = store.read(cell)
    [*kept] = store.some_entries(cell, "settings", ["settings"])
    found = codec.decode(SettingsValue, kept[0]).settings if kept else None
    for record in _records(settings, manifest, reader, cell, 0 if state is None else state.position):
        if found is None or not record.first:
            found = record.settings
    return found


def _records(
    settings: Settings, manifest: Manifest, reader: Consumer, cell: int, start: int
) -> Iterator[SettingsRecord]:
    """The settings in a cell's log from an offset on."""
    topic, patience = cell_log_topic(settings, manifest.bundle_id), settings.kafka.request_timeout_seconds
    low, high = reader.get_watermark_offsets(TopicPartition(topic, cell), timeout=patience)
    if max(low, start) >= high:
        return
    for message in read_until(reader, TopicPartition(topic, cell, max(low, start)), high, patience):
        try:
            record = cell_log.decode(message.value() or b"")
        except msgspec.DecodeError:
            continue
        if isinstance(record, SettingsRecord):
            yield record
