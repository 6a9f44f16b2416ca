"""Snapshots that a process dies in the middle of, taking or restoring; and a disk that has no room for them."""

from __future__ import annotations

import resource
import signal
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from consumers.recovery.restore import contents, wanted_snapshot
from consumers.recovery.snapshot_store import SnapshotStore
from consumers.recovery.verify import differences, folded, held_of
from consumers.settings import Snapshots
from consumers.state.keys import CellKeys
from consumers.state.snapshot import SnapshotError
from tests.faults.context import DEATH_SECONDS, NotReached
from tests.faults.found import state_in_redis
from tests.faults.processes import Forked
from tests.faults.scenarios import fault
from tests.integration.platform import environment_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.recovery.snapshot_store import Stored
    from tests.faults.context import Context
    from tests.integration.platform import Worker

CELL = 0
"""The one that an operator restores."""

EVERY_SECONDS = 1.0
WAIT_SECONDS = 60.0
LEFT_BY = {"uploading", "closing", "closed"}
"""Where a process that dies leaves a file that is not whole."""

ROOM_BYTES = 12 * 1024
"""More than a worker logs, less than a snapshot takes."""


def begin(context: Context, *, kept: int = 100) -> SnapshotStore:
    """Snapshots every second, in a folder; encode and route run."""
    location = f"file://{context.folder}/snapshots/"
    snapshots = Snapshots(location=location, every_seconds=EVERY_SECONDS, kept=kept, timeout_seconds=5.0)
    context.configure(snapshots=snapshots)
    context.start("encode", "route")
    return SnapshotStore(context.settings, context.bundle.bundle_id, location)


def newest(context: Context, store: SnapshotStore) -> list[Stored | None]:
    """The newest snapshot of each cell."""
    return [next(iter(store.stored(cell)), None) for cell in range(context.settings.assign.cells)]


def await_snapshots(context: Context, store: SnapshotStore, before: list[Stored | None]) -> None:
    """Wait until every cell has a snapshot that it did not have before."""
    deadline = time.monotonic() + WAIT_SECONDS
    while any(one is None or one == old for one, old in zip(newest(context, store), before, strict=True)):
        if time.monotonic() > deadline:
            context.late.append(f"not within {WAIT_SECONDS:.0f} s: a snapshot of every cell")
            return
        time.sleep(0.1)


def await_lines(context: Context, worker: Worker, event: str, count: int = 1) -> list[dict[str, str]]:
    """Wait until a worker has logged so many lines with this event."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found := worker.events(event)) < count:
        if time.monotonic() > deadline:
            context.late.append(f"not within {WAIT_SECONDS:.0f} s: {event!r} in the log, {count} times")
            break
        time.sleep(0.1)
    return found


def lose_state(context: Context) -> None:
    """Redis holds nothing of the cells any more."""
    settings, cells = context.settings, range(context.settings.assign.cells)
    every = [CellKeys(settings.redis, context.bundle.bundle_id, len(cells), cell) for cell in cells]
    names = [name for keys in every for name in (keys.meta, keys.copying, *keys.hashes.values())]
    redis.Redis.from_url(settings.redis.url).unlink(*names)


def judge_snapshots(context: Context, store: SnapshotStore) -> None:
    """Each snapshot that the store shows must be whole, and the fold of the log up to its position."""
    settings, manifest = context.settings, context.bundle.manifest
    for cell in range(settings.assign.cells):
        wanted = wanted_snapshot(settings, manifest.bundle_id, cell, least=0, most=2**62)
        for stored in store.stored(cell):
            try:
                position = store.end(stored).position
                held = held_of(contents(store, stored, wanted))
            except SnapshotError as error:
                context.late.append(f"a snapshot that is not whole is shown: {stored.path}: {error}")
                continue
            context.differences += differences(folded(settings, manifest, cell, position), held)


def kill_in_snapshot(point: str) -> Callable[[Context], None]:
    """An owner dies there in a snapshot after the first ones; later its successor loses its state."""

    def run(context: Context) -> None:
        store = begin(context)
        points = f"snapshot.{point}@{4 + context.seed}=sleep:0.2+kill"
        victim = context.start("assign", points=points, ready=False)
        context.feeder  # noqa: B018
        context.await_death(victim)
        context.fault_over()
        whole = newest(context, store)
        left = list(Path(context.folder, "snapshots").rglob("*.snapshot#*"))
        if None in whole or (point in LEFT_BY) != bool(left):
            raise NotReached(f"it died among the snapshots {whole}, and left {left}")
        successor = context.start("assign", ready=False)
        await_snapshots(context, store, whole)
        torn = {path.name.partition("#")[0] for path in left}
        lose_state(context)
        restored = await_lines(context, successor, "state restored from a snapshot", len(whole))
        if any(line["path"].rpartition("/")[2] in torn for line in restored):
            context.late.append(f"a snapshot that is not whole was restored: {torn}")
        context.finish()
        judge_snapshots(context, store)

    return run


for _point in ("begun", "uploading", "closing", "closed", "saved"):
    fault(f"kill -9, in a snapshot: {_point}")(kill_in_snapshot(_point))


def judge_state(context: Context, cell: int) -> None:
    """What Redis holds of a cell that nobody writes to must be the fold of the log up to its position, or nothing."""
    settings, manifest = context.settings, context.bundle.manifest
    position, held = state_in_redis(settings, cell)
    if position is not None:
        context.differences += differences(folded(settings, manifest, cell, position), held)


def command(context: Context, *arguments: str, points: str = "") -> tuple[int, str]:
    """Run `shoal` to its end; gives its exit code and what it said."""
    log = context.folder / f"command-{uuid.uuid4().hex[:6]}.log"
    variables = {"SHOAL_TEST_POINTS": points, "SHOAL_TEST_TRACE": str(context.trace_file)}
    process = Forked([*arguments], environment_of(context.settings) | variables, log)
    context.closing.callback(process.kill)
    return process.wait(DEATH_SECONDS), log.read_text()


def die_and_try_again(context: Context, *arguments: str, point: str) -> None:
    """A command dies at a crash point, and is given once more: it must succeed."""
    code, said = command(context, *arguments, points=f"{point}=kill")
    if code != -signal.SIGKILL:
        raise NotReached(f"shoal {' '.join(arguments)} did not die at {point}: {code}: {said}")
    if arguments[1] == "restore":
        judge_state(context, CELL)
    code, said = command(context, *arguments)
    if code != 0:
        context.late.append(f"shoal {' '.join(arguments)} does not succeed after it died at {point}: {code}: {said}")


def kill_in_restore(point: str) -> Callable[[Context], None]:
    """The owner is away, Redis has lost everything, and `shoal state restore` dies: whole or nothing is there."""

    def run(context: Context) -> None:
        store = begin(context)
        owner = context.start("assign", ready=False)
        context.feeder  # noqa: B018
        await_snapshots(context, store, [None] * context.settings.assign.cells)
        await_decisions(context)
        assert owner.stop() == 0
        lose_state(context)
        number = f"@{context.seed}" if point == "staging" else ""
        die_and_try_again(context, "state", "restore", str(CELL), point=f"restore.{point}{number}")
        judge_state(context, CELL)
        context.start("assign", ready=False)
        context.fault_over()
        context.finish()
        judge_snapshots(context, store)

    return run


def kill_in_rebuild(point: str) -> Callable[[Context], None]:
    """`shoal state rebuild` dies while the owner works, which goes on with what it had or what was put in place."""

    def run(context: Context) -> None:
        if point != "rebuild.dropped":
            store = begin(context)
        else:
            context.start("encode", "route")
        context.start("assign", ready=False)
        context.feeder  # noqa: B018
        await_decisions(context)
        if point != "rebuild.dropped":
            await_snapshots(context, store, [None] * context.settings.assign.cells)
        time.sleep(0.3 * (context.seed - 1))
        die_and_try_again(context, "state", "rebuild", str(CELL), point=point)
        context.fault_over()
        context.finish()

    return run


for _point in ("staging", "set_aside", "in_place"):
    fault(f"kill -9, in shoal state restore: {_point}")(kill_in_restore(_point))
for _point in ("restore.set_aside", "restore.in_place", "rebuild.dropped"):
    fault(f"kill -9, in shoal state rebuild: {_point.partition('.')[2]}")(kill_in_rebuild(_point))


@fault("disk full for snapshots")
def snapshot_disk_full(context: Context) -> None:
    """The system takes no more than a few bytes of a file from the owner: its cells go on, and it says so."""
    store = begin(context)
    owner = context.start("assign", traced=False)
    context.feeder  # noqa: B018
    time.sleep(0.7 * (context.seed - 1))
    limit_files(owner, ROOM_BYTES)
    failed = await_lines(context, owner, "no snapshot was taken", 2)
    if any(not line["error"].startswith(store.location) for line in failed):
        raise NotReached(f"no snapshot was taken for another reason: {failed}")
    counted = [owner.metric("shoal_snapshot_failures_total", cell=line["cell"]) for line in failed]
    if not all(counted):
        context.late.append("a snapshot failed, and shoal_snapshot_failures_total does not say so")
    await_decisions(context)
    full = newest(context, store)
    limit_files(owner, resource.RLIM_INFINITY)
    context.fault_over()
    await_snapshots(context, store, full)
    context.finish()
    judge_snapshots(context, store)


def await_decisions(context: Context) -> None:
    """Wait until every cell has decided something that had not been decided yet."""
    begun = time.monotonic()
    while not all(context.watch.first_after(cell, begun) for cell in range(context.settings.assign.cells)):
        if time.monotonic() > begun + WAIT_SECONDS:
            context.late.append("a cell did not go on without its snapshots")
            return
        time.sleep(0.1)


def limit_files(worker: Worker, size_bytes: int) -> None:
    """From now on the system takes so many bytes of a file from this process, and answers as a full disk does."""
    _, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))
