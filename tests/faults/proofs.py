"""For each guard of the protocol a fault that it alone survives: without it the checker must object."""

from __future__ import annotations

from typing import NamedTuple


class Proof(NamedTuple):
    """A guard removed, the fault that then breaks a promise, and the invariants one of which must be violated."""

    mutant: str
    fault: str
    invariants: frozenset[str]


PROOFS = (
    Proof("token", "frozen before its Redis call, woken during a take-over", frozenset({"I5"})),
    Proof("expected position", "Redis forgets its last writes", frozenset({"I4"})),
    Proof("stored outputs", "kill -9, assign: stored", frozenset({"I1"})),
    Proof("transaction", "kill -9, assign: offsets", frozenset({"I1", "I2"})),
    Proof("member id check", "encode holds a batch past the poll interval, out of its group", frozenset({"I3"})),
    Proof("duplicate mark", "replay of the whole posts topic", frozenset({"I1"})),
    Proof("take-over after abort", "the decisions topic refuses records for a while", frozenset({"I1"})),
    Proof("commit before ack", "kill -9, without transactions: offsets committed", frozenset({"I1"})),
    Proof("label in the fold", "a backlog with verdicts in it", frozenset({"I8"})),
    Proof(
        "topic id of a batch", "the posts topic deleted and made again, unnoticed by its reader", frozenset({"I1"})
    ),
    Proof("suspects", "a post that kills its process (SIGSEGV)", frozenset({"I7"})),
    Proof("chunk cursor", "kill -9, without transactions: in a retroactive chunk", frozenset({"I5", "I8"})),
)
