"""Named places in the consumers at which a worker can be made to die, freeze or wait.

    encode     polled, handed (to the first stage), decoded, embedded, produced, offsets, committed
    route      polled, routed, produced, offsets, committed
    assign     polled, folded, stored, produced, offsets, committed, chunk (a verdict has reached some posts only),
               chunk_stored (the same, between Redis and Kafka), chunk_acknowledged (its outputs are at the broker)
    takeover   begun, claimed, offsets, committed (the committed offset again), read, and with stored outputs
               offsets and committed once more for each batch
    snapshot   begun, uploading (some parts are at the store), closing (all but its end), closed (all of it, and the
               store does not show it yet), saved
    restore    staging (a piece of a snapshot is set aside in Redis), set_aside (all of it is), in_place
    rebuild    dropped (where there is no snapshot)

`produced`: the records of a transaction are at the broker. `offsets`: the offsets are too. `committed`: the
transaction has ended. Without transactions there are `acknowledged` and `committed`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import confluent_kafka

from consumers import assign, encode, route
from consumers.cells import owner as cell_owner
from consumers.cells.fold import Fold
from consumers.cells.owner import CellOwner
from consumers.contracts import cell_log
from consumers.contracts.cell_log import ContinueRecord
from consumers.encoding import pipeline
from consumers.kafka import delivery
from consumers.recovery import snapshot_store
from consumers.recovery.snapshot_store import SnapshotStore
from consumers.state import snapshot
from consumers.state.copies import StateCopier
from consumers.state.snapshot import End
from consumers.state.store import StateStore
from tests.faults import trace
from tests.faults.patching import put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from consumers.cells.outputs import Kept
    from consumers.state.snapshot import Part

HOLD_SECONDS = 60.0
SIGNAL_SECONDS = 0.2
WRITERS = {"cell": "assign"}
"""A cell's owner writes in a thread of its own, `cell-0`."""

SMALL_BYTES = 2048
UPLOADED = 5
"""Blocks of a snapshot."""

RESTORING = {"stage": "restore.staging", "put_in_place": "restore.in_place"}
"""What has happened when the script of this name has run."""

SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}

_plans: dict[str, list[tuple[int, str]]] = {}
_reached: Counter[str] = Counter()
_lock = threading.Lock()
_doing = threading.local()


def install(spec: str) -> None:
    """Put the crash points in, and do at them what `spec` says.

    Args:
        spec: `assign.stored@3=kill` kills the process when it reaches the point for the third time; several with a
            comma. Instead of `kill` there are `freeze` (SIGSTOP), `sleep:SECONDS`, and `hold:FILE` (wait until the
            file is there); several with a plus.
    """
    for part in filter(None, spec.split(",")):
        place, _, action = part.partition("=")
        point, _, number = place.partition("@")
        _plans.setdefault(point, []).append((int(number or 1), action))
    if _plans:
        _patch_consumers()
        _patch_cells()
        _patch_delivery()
        _patch_snapshots()
        _patch_restores()


def reach(point: str, before: Callable[[], object] | None = None) -> None:
    """The process is at a crash point.

    Args:
        before: done first if something is to happen here now.
    """
    with _lock:
        _reached[point] += 1
        actions = [action for number, action in _plans.get(point, ()) if number == _reached[point]]
    for action in actions:
        if before is not None:
            before()
        trace.note(point)
        for step in action.split("+"):
            _act(step)


def _act(step: str) -> None:
    name, _, given = step.partition(":")
    if name in SIGNALS:
        os.kill(os.getpid(), SIGNALS[name])
        # a signal to the whole process reaches this thread a moment later: nothing more may happen until then
        time.sleep(SIGNAL_SECONDS)
    elif name == "sleep":
        time.sleep(float(given))
    elif name == "hold":
        deadline = time.monotonic() + HOLD_SECONDS
        while not Path(given).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    else:
        raise ValueError(f"no such action at a crash point: {step}")


def _patch_consumers() -> None:
    for module, name in ((pipeline, "encode"), (assign, "assign"), (route, "route")):
        put(module, "collect", _after(module.collect, f"{name}.polled", when=bool))
    embed, put_in = encode._Encoder.embed, pipeline.Pipeline._put_in

    def handed(self: Any, flight: Any) -> None:
        put_in(self, flight)
        if self._next is None:
            reach("encode.handed")

    def embedded(self: Any, batch: Any) -> None:
        reach("encode.decoded")
        embed(self, batch)
        reach("encode.embedded")

    put(encode._Encoder, "embed", embedded)
    put(pipeline.Pipeline, "_put_in", handed)
    put(route.Router, "route", _after(route.Router.route, "route.routed"))


def _patch_cells() -> None:
    put(Fold, "fold", _after(Fold.fold, "assign.folded"))
    put(StateStore, "write", _after(StateStore.write, "assign.stored"))
    put(StateStore, "claim", _after(StateStore.claim, "takeover.claimed"))
    put(StateStore, "read", _after(StateStore.read, "takeover.read"))
    put(cell_owner, "open_delivery", _after(delivery.open_delivery, "takeover.begun"))
    work, deliver, take_over = CellOwner.work, CellOwner.deliver, assign.take_over  # type: ignore[attr-defined]

    def chunked(self: CellOwner, messages: Any, *rest: Any) -> Any:
        done = work(self, messages, *rest)
        if self.fold._state.unfinished:
            reach("assign.chunk")
        return done

    def delivered(self: CellOwner, outputs: Any, *rest: Any) -> None:
        _doing.chunk = any(_continues(kept) for kept in outputs)
        if _doing.chunk:
            reach("assign.chunk_stored")
        deliver(self, outputs, *rest)
        _doing.chunk = False

    def taken_over(*arguments: Any) -> Any:
        _doing.take_over = True
        try:
            return take_over(*arguments)
        finally:
            _doing.take_over = False

    put(CellOwner, "work", chunked)
    put(CellOwner, "deliver", delivered)
    put(assign, "take_over", taken_over)


def _continues(kept: Kept) -> bool:
    return kept.role == "cells" and isinstance(cell_log.decode(kept.value or b""), ContinueRecord)


def _patch_snapshots() -> None:
    # so that even a small one is uploaded in several parts
    put(snapshot, "BLOCK_BYTES", SMALL_BYTES)
    put(snapshot_store, "PIECE_BYTES", SMALL_BYTES)
    save, write = SnapshotStore.save, snapshot_store.write_snapshot  # type: ignore[attr-defined]

    def closing(parts: Iterable[Part]) -> Iterator[Part]:
        for part in parts:
            if isinstance(part, End):
                reach("snapshot.closing")
            yield part

    def written(parts: Iterable[Part]) -> Iterator[bytes]:
        for number, piece in enumerate(write(closing(parts)), 1):
            yield piece
            if number == UPLOADED:
                reach("snapshot.uploading")
        reach("snapshot.closed")

    def saved(self: SnapshotStore, *arguments: Any) -> Any:
        reach("snapshot.begun")
        stored = save(self, *arguments)
        reach("snapshot.saved")
        return stored

    put(snapshot_store, "write_snapshot", written)
    put(SnapshotStore, "save", saved)


def _patch_restores() -> None:
    run = StateCopier._run

    def called(self: StateCopier, name: str, *arguments: Any) -> Any:
        if name == "put_in_place":
            reach("restore.set_aside")
        answer = run(self, name, *arguments)
        if name in RESTORING:
            reach(RESTORING[name])
        return answer

    put(StateCopier, "_run", called)
    put(StateStore, "drop", _after(StateStore.drop, "rebuild.dropped"))


def _patch_delivery() -> None:
    put(delivery, "Producer", _Producer)
    put(delivery.GroupConsumer, "commit_offsets", _after(delivery.GroupConsumer.commit_offsets, None))


class _Producer(confluent_kafka.Producer):
    """A producer that says where its transaction is."""

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        reach(f"{_who()}.produced", lambda: super(_Producer, self).flush(5.0))
        super().send_offsets_to_transaction(*arguments)
        reach(f"{_who()}.offsets")

    def commit_transaction(self, *arguments: Any) -> None:
        super().commit_transaction(*arguments)
        reach(f"{_who()}.committed")

    def flush(self, *arguments: Any) -> int:
        left = super().flush(*arguments)
        reach(f"{_who()}.acknowledged")
        if getattr(_doing, "chunk", False):
            reach(f"{_who()}.chunk_acknowledged")
        return left


def _who() -> str:
    """The consumer that this thread belongs to, or `takeover`."""
    if getattr(_doing, "take_over", False):
        return "takeover"
    name = threading.current_thread().name.partition("-")[0]
    return WRITERS.get(name, name)


def _after(function: Any, point: str | None, when: Callable[[Any], bool] = lambda _: True) -> Any:
    """The function, followed by a crash point if `when` says so of its result; None names it by the thread."""

    def call(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        if when(result):
            reach(f"{_who()}.committed" if point is None else point)
        return result

    with contextlib.suppress(AttributeError):
        call.__name__ = function.__name__
    return call
