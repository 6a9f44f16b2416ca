"""The state as the command shows it: how large it is, how far it is, and whether it is as the log says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicPartition

from consumers.findings import CheckError, Finding
from consumers.lookup import open_reader
from consumers.names import cell_log_topic
from consumers.rebuild_state import RebuildError, rebuild_cell
from consumers.state.reading import opened_state
from consumers.verify_state import VerifyError, verify_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.settings import Settings
    from consumers.state.store import StateStore
    from consumers.verify_state import Verified

SHOWN_DIFFERENCES = 10


def stats_rows(settings: Settings) -> Iterator[dict[str, Any]]:
    """Each cell: its position, the records of its log that are not folded yet, what it holds, and its memory.

    Raises:
        StateUnavailable, KafkaException: Redis or Kafka do not answer.
    """
    with opened_state(settings) as (manifest, store):
        reader = open_reader(settings)
        try:
            for cell in range(settings.assign.cells):
                place = TopicPartition(cell_log_topic(settings, manifest.bundle_id), cell)
                _, end = reader.get_watermark_offsets(place, timeout=settings.kafka.request_timeout_seconds)
                yield _stats(store, cell, end)
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
        _check_cell(settings, cell)
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
    _check_cell(settings, cell)
    with opened_state(settings) as (manifest, store):
        try:
            rebuilt = rebuild_cell(
                settings, manifest, store, cell, patience_seconds=patience_seconds, progress=progress
            )
        except RebuildError as error:
            raise CheckError(str(error)) from error
    if rebuilt.done:
        yield Finding(f"cell {cell}", "good", f"folded again up to {rebuilt.committed:,}")
    elif rebuilt.position is None:
        remedy = "it begins when the cell's next record comes, or a worker starts"
        yield Finding(f"cell {cell}", "hint", "its state is dropped, and nobody folds its log yet", remedy)
    else:
        remedy = "is its worker still running? it goes on where it was; shoal state stats shows how far it is"
        reached = f"stands at {rebuilt.position:,} of {rebuilt.committed:,} for {patience_seconds:.0f} s"
        yield Finding(f"cell {cell}", "bad", reached, remedy)


def _check_cell(settings: Settings, cell: int) -> None:
    if not 0 <= cell < settings.assign.cells:
        raise CheckError(f"cell {cell}: there are cells 0 to {settings.assign.cells - 1} (assign.cells)")


def _findings(cell: int, verified: Verified | None) -> Iterator[Finding]:
    if verified is None:
        yield Finding(f"cell {cell}", "hint", "Redis holds nothing of it")
        return
    told = f"{verified.clusters:,} clusters, {verified.entries:,} entries, position {verified.position:,}"
    count = len(verified.differences)
    if not count:
        yield Finding(f"cell {cell}", "good", f"as its log says: {told}")
        return
    remedy = "were settings of the fold changed? else restore a copy of Redis that is whole"
    yield Finding(f"cell {cell}", "bad", f"{count:,} entries are not as its log says: {told}", remedy)
    for found in verified.differences[:SHOWN_DIFFERENCES]:
        yield Finding(f"cell {cell}, {found.kind} {found.field}", "bad", found.text)


def _stats(store: StateStore, cell: int, end: int) -> dict[str, Any]:
    state, sizes = store.read(cell), store.sizes(cell)
    return {
        "cell": cell,
        "position": None if state is None else state.position,
        "behind": end if state is None else max(0, end - state.position),
        "clusters": sizes["clusters"][0],
        "labels": sizes["labels"][0],
        "evidence": sizes["evidence"][0],
        "members": sizes["members"][0],
        "stored outputs": sizes["outputs"][0],
        "memory MB": sum(size for _, size in sizes.values()) / 1e6,
    }
