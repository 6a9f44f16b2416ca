"""Builds of Shoal with one guard removed: the checker must catch each of them, or it proves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer, Producer

from consumers import route
from consumers.cells import fold, retroactive
from consumers.cells import owner as cell_owner
from consumers.cells.cell import CellState
from consumers.cells.fold import Fold
from consumers.cells.owner import CellOwner
from consumers.contracts.cell_log import EvidenceRecord, VerdictRecord
from consumers.encoding import pipeline
from consumers.encoding.suspects import Suspects
from consumers.kafka import delivery
from consumers.kafka.delivery import Aborted, AtLeastOnce, Transactions
from consumers.kafka.topic_watch import TopicWatch
from consumers.state import store
from consumers.state.store import StateStore
from tests.faults.patching import put

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.contracts.cell_log import Record


def install(name: str | None) -> None:
    """Remove the guard called `name`; None leaves everything as it is."""
    if name is not None:
        MUTANTS[name]()


def _without_token() -> None:
    """The script takes a write from anybody."""
    _rewrite_script(("held[1] ~= token or (at ~= expected and at ~= position)", "at ~= expected and at ~= position"))


def _without_expected_position() -> None:
    """The script writes whatever position it finds."""
    _rewrite_script(
        ("held[1] ~= token or (at ~= expected and at ~= position)", "held[1] ~= token"),
        ("if at ~= expected then", "if false then"),
    )


def _rewrite_script(*changes: tuple[str, str]) -> None:
    text = store.script("write")
    for old, new in changes:
        assert old in text, "the script has changed: change its mutant too"
        text = text.replace(old, new)
    scripts = store.script
    put(store, "script", lambda name: text if name == "write" else scripts(name))


def _without_stored_outputs() -> None:
    """Redis gets the state, and not what has still to be written to Kafka."""
    write: Any = StateStore.write

    def written(self: StateStore, *arguments: Any, **options: Any) -> Any:
        *state, _outputs = arguments
        return write(self, *state, b"", **options)

    put(StateStore, "write", written)


def _without_transaction() -> None:
    """The records go out by themselves; the transaction holds the offsets alone."""
    deliver = Transactions.deliver

    def delivered(self: Transactions, messages: Any, *rest: Any) -> None:
        producer = Producer(_plain(self._properties))
        delivery._produce_all(producer, messages, delivery._Reports(self._dead_letters), 10.0)
        producer.flush(10.0)
        deliver(self, (), *rest)

    put(Transactions, "deliver", delivered)


def _plain(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if not name.startswith("transaction")}


def _without_member_check() -> None:
    """Offsets are sent also when the consumer is no member any more.

    A client that joins anew has neither a member id nor a generation, and Kafka takes such offsets from anybody. That
    moment cannot be chosen, so the metadata of a client that has not joined yet stand in for it.
    """

    def unchecked(consumer: Any) -> Any:
        if consumer.memberid():
            return consumer.consumer_group_metadata()
        stranger = Consumer({"bootstrap.servers": consumer._brokers, "group.id": consumer.group})
        metadata = stranger.consumer_group_metadata()
        stranger.close()
        return metadata

    for module in (pipeline, cell_owner, route):
        put(module, "group_metadata", unchecked)


def _without_duplicate_mark() -> None:
    """Every post is new."""

    def is_new(self: CellState, mark: str, offset: int) -> bool:
        return True

    put(CellState, "is_new", is_new)


def _without_take_over() -> None:
    """After an aborted transaction the owner goes on with what it has in memory."""
    deliver = CellOwner.deliver

    def delivered(self: CellOwner, *arguments: Any) -> None:
        try:
            deliver(self, *arguments)
        except Aborted:
            return

    put(CellOwner, "deliver", delivered)


def _commit_before_acknowledgement() -> None:
    """Offsets first, records afterwards."""
    deliver = AtLeastOnce.deliver

    def delivered(
        self: AtLeastOnce, messages: Any, offsets: Any = (), consumer: Any = None, group: Any = None
    ) -> None:
        deliver(self, (), offsets, consumer, group)
        deliver(self, messages, (), None, None)

    put(AtLeastOnce, "deliver", delivered)


def _late_label() -> None:
    """A verdict counts from the end of its batch on."""
    late: list[tuple[Fold, int, Record, Any]] = []
    other, take = Fold._fold_other, CellState.take_changes

    def deferred(self: Fold, offset: int, record: Record, batch: Any) -> None:
        if isinstance(record, VerdictRecord | EvidenceRecord):
            late.append((self, offset, record, batch))
        else:
            other(self, offset, record, batch)

    def taken(self: CellState) -> Any:
        while late:
            other(*late.pop(0))
        return take(self)

    put(Fold, "_fold_other", deferred)
    put(CellState, "take_changes", taken)


def _without_cursor() -> None:
    """A `continue` record is followed whatever its cursor says."""
    follow = retroactive.continue_reach

    def followed(state: CellState, record: Any, offset: int) -> Any:
        value = state.unfinished.get(record.cause)
        known = record if value is None else msgspec.structs.replace(record, cursor=value.cursor)
        return follow(state, known, offset)

    retroactive.continue_reach = followed
    put(fold, "continue_reach", followed)


def _without_suspects() -> None:
    """Whoever comes after a worker that died takes its posts as if nothing had happened."""

    def examine(self: Suspects, message: Any) -> None:
        return

    put(Suspects, "examine", examine)


def _without_topic_check() -> None:
    """Which topic it is, is asked when reading begins, and never again."""
    put(TopicWatch, "ask", lambda _self, _timeout=None: lambda: None)


MUTANTS: dict[str, Callable[[], None]] = {
    "token": _without_token,
    "expected position": _without_expected_position,
    "stored outputs": _without_stored_outputs,
    "transaction": _without_transaction,
    "member id check": _without_member_check,
    "duplicate mark": _without_duplicate_mark,
    "take-over after abort": _without_take_over,
    "commit before ack": _commit_before_acknowledgement,
    "label in the fold": _late_label,
    "chunk cursor": _without_cursor,
    "suspects": _without_suspects,
    "topic id of a batch": _without_topic_check,
}
