"""The state as the command shows it: how large it is, how far it is, and whether it is as the log says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicPartition

from consumers.checks.findings import CheckError, Finding
from consumers.kafka.lookup import cell_offsets, open_reader, records_left
from consumers.names import assign_group, cell_log_topic
from consumers.recovery.rebuild import RebuildError, rebuild_cell
from consumers.recovery.snapshot_store import SnapshotStore
from consumers.recovery.verify import VerifyError, verify_cell
from consumers.state.reading import opened_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.kafka.lookup import CellOffsets
    from consumers.recovery.verify import Verified
    from consumers.settings import Settings

SHOWN_DIFFERENCES = 10


def stats_rows(settings: Settings) -> Iterator[dict[str, Any]]:
    """Each cell: how far Redis and its owner are, what its log holds, its newest snapshot, its entries, its memory.

    Raises:
        StateUnavailable, KafkaException, SnapshotStoreError: Redis, Kafka or the store do not answer.
    """
    location = settings.snapshots.location
    with opened_state(settings) as (manifest, store):
        snapshots = None if location is None else SnapshotStore(settings, manifest.bundle_id, location)
        reader = open_reader(settings, group=assign_group(settings, manifest.bundle_id))
        try:
            for cell in range(settings.assign.cells):
                offsets = cell_offsets(reader, settings, manifest.bundle_id, cell)
                state = store.read(cell)
                position = offsets.low if state is None else max(state.position, offsets.low)
                start = TopicPartition(cell_log_topic(settings, manifest.bundle_id), cell, position)
                left = records_left(reader, start, offsets.high, settings.kafka.request_timeout_seconds)
                told = {"cell": cell, "position": None if state is None else state.position}
                yield told | _stats(store.sizes(cell), offsets, left) | _newest(snapshots, cell)
        finally:
            reader.close()


def verify_findings(
    settings: Settings, *, cell: int | None, progress: Callable[[int, int], None]
) -> Iterator[Finding]:
    """One finding a cell, and one for each of the first differences.

    Raises:
        CheckError: there is no such cell.
        StateUnavailable, StateVersionError, KafkaException: Redis or Kafka do not answer as they should.
    """
    if cell is not None:
        check_cell(settings, cell)
    with opened_state(settings) as (manifest, store):
        for number in range(settings.assign.cells) if cell is None else [cell]:
            try:
                verified = verify_cell(settings, manifest, store, number, progress)
            except VerifyError as error:
                yield Finding(f"cell {number}", "bad", str(error).partition(": ")[2])
            else:
                yield from _findings(number, verified)


def rebuild_findings(
    settings: Settings, *, cell: int, patience_seconds: float, progress: Callable[[int, int], None]
) -> Iterator[Finding]:
    """What became of the cell that is folded again.

    Raises:
        CheckError: there is no such cell, or it cannot be rebuilt.
        StateUnavailable, KafkaException: Redis or Kafka do not answer.
    """
    check_cell(settings, cell)
    with opened_state(settings) as (manifest, store):
        try:
            rebuilt = rebuild_cell(
                settings, manifest, store, cell, patience_seconds=patience_seconds, progress=progress
            )
        except RebuildError as error:
            raise CheckError(str(error)) from error
    source = "" if rebuilt.begun is None else f"from its snapshot at {rebuilt.begun:,} "
    replaced = "dropped" if rebuilt.begun is None else f"that of its snapshot at {rebuilt.begun:,}"
    if rebuilt.done:
        yield Finding(f"cell {cell}", "good", f"folded again {source}up to {rebuilt.committed:,}")
    elif rebuilt.position == rebuilt.begun:
        remedy = "a worker that runs begins within seconds, else the next that starts"
        yield Finding(f"cell {cell}", "hint", f"its state is {replaced}, and nobody folds its log yet", remedy)
    else:
        remedy = "is its worker still running? it goes on where it was; shoal state stats shows how far it is"
        reached = f"stands at {rebuilt.position:,} of {rebuilt.committed:,} for {patience_seconds:.0f} s"
        yield Finding(f"cell {cell}", "bad", reached, remedy)


def check_cell(settings: Settings, cell: int) -> None:
    """Refuse a number that is no cell's.

    Raises:
        CheckError: one line with the numbers there are.
    """
    if not 0 <= cell < settings.assign.cells:
        raise CheckError(f"cell {cell}: there are cells 0 to {settings.assign.cells - 1} (assign.cells)")


def _findings(cell: int, verified: Verified | None) -> Iterator[Finding]:
    if verified is None:
        yield Finding(f"cell {cell}", "hint", "Redis holds nothing of it")
        return
    told = f"{verified.clusters:,} clusters, {verified.entries:,} entries, position {verified.position:,}"
    source = "its log says"
    if verified.begun is not None:
        source = f"its snapshot at {verified.begun:,} and its log since then say (the beginning of the log is gone)"
    count = len(verified.differences)
    if not count:
        yield Finding(f"cell {cell}", "good", f"as {source}: {told}")
        return
    remedy = "were settings of the fold changed? else restore a copy of Redis that is whole"
    yield Finding(f"cell {cell}", "bad", f"{count:,} entries are not as {source}: {told}", remedy)
    for found in verified.differences[:SHOWN_DIFFERENCES]:
        yield Finding(f"cell {cell}, {found.kind} {found.field}", "bad", found.text)


def _stats(sizes: dict[str, tuple[int, int]], offsets: CellOffsets, left: int) -> dict[str, Any]:
    return {
        "committed": offsets.committed,
        "log": f"{offsets.low}-{offsets.high}",
        "behind": left,
        "clusters": sizes["clusters"][0],
        "labels": sizes["labels"][0],
        "evidence": sizes["evidence"][0],
        "members": sizes["members"][0],
        "stored outputs": sizes["outputs"][0],
        "memory MB": sum(size for _, size in sizes.values()) / 1e6,
    }


def _newest(snapshots: SnapshotStore | None, cell: int) -> dict[str, Any]:
    """Of the newest snapshot: the position when it was begun, and its age in seconds."""
    newest = None if snapshots is None else next(iter(snapshots.stored(cell)), None)
    return {
        "snapshot": None if newest is None else newest.begun,
        "snapshot age s": None if newest is None else int(time.time() - newest.created_at / 1000),
    }
