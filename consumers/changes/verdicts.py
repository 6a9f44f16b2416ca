"""Giving a verdict: what makes one valid, and how it is sent."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, Required, TypedDict, Unpack

import msgspec

from consumers.checks.kafka import require_brokers
from consumers.contracts.codec import CONTENT_TYPE
from consumers.contracts.verdict import Verdict
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.names import POLICY_NAME, place_of_cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.settings import Settings

ID_CHARACTERS = 512
TARGETS = ("post_id", "flag_id", "cluster_id", "post")

_encoder = msgspec.json.Encoder()


class Word(TypedDict, total=False):
    """What a moderator says: the fields of a verdict of these names."""

    decision: Required[Literal["uphold", "overturn"]]
    policy: Required[str]
    actor: Required[str]
    post_id: str | None
    flag_id: str | None
    cluster_id: str | None
    cell: int | None
    cell_offset: int | None
    note: str | None
    supersedes: str | None


class VerdictError(ValueError):
    """A verdict that nobody could act on; the message is one line that says what is wrong."""


def require_valid(verdict: Verdict, cells: int) -> None:
    """Check what the schema cannot say.

    Raises:
        VerdictError: not exactly one target, a policy that is no name, an empty or endless id, or a cell that
            does not exist.
    """
    targets = [name for name in TARGETS if getattr(verdict, name) is not None]
    if len(targets) != 1:
        found = " and ".join(targets) or "none"
        raise VerdictError(f"a verdict names exactly one of {', '.join(TARGETS)}; this one has {found}")
    if POLICY_NAME.fullmatch(verdict.policy) is None:
        raise VerdictError("policy must be 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit")
    for name, given in (
        ("verdict_id", verdict.verdict_id),
        ("actor", verdict.actor),
        (targets[0], target_of(verdict)),
    ):
        if not 0 < len(given) <= ID_CHARACTERS:
            raise VerdictError(f"{name} must have 1 to {ID_CHARACTERS} characters")
    if verdict.fused is not None and verdict.post_id is None:
        raise VerdictError("fused is the vector of the post that post_id names")
    if (verdict.post or verdict.fused) is not None and verdict.cell is not None:
        raise VerdictError("a verdict that brings its post along has no cell")
    if verdict.cell is not None and not 0 <= verdict.cell < cells:
        raise VerdictError(f"cell {verdict.cell} does not exist: this bundle has cells 0 to {cells - 1}")
    if verdict.cluster_id is not None:
        place = place_of_cluster(verdict.cluster_id)
        if place is None or place[0] >= cells:
            raise VerdictError("cluster_id must be that of a decision or flag: the cell, a hyphen, an offset")
    if verdict.cell_offset is not None and (verdict.cell is None or verdict.cell_offset < 0):
        raise VerdictError("cell_offset must not be negative, and goes with a cell")


def target_of(verdict: Verdict) -> str:
    """The id of what a verdict is about."""
    post_id = verdict.post_id if verdict.post is None else verdict.post.post_id
    return post_id or verdict.flag_id or verdict.cluster_id or ""


def may_judge(actor: str, allowed: Sequence[str]) -> bool:
    """Whether this actor's verdicts count: one of the names or patterns fits, or nobody is named."""
    return not allowed or any(fnmatchcase(actor, pattern) for pattern in allowed)


def verdict_message(settings: Settings, verdict: Verdict) -> Outgoing:
    """The record of the verdicts topic; verdicts about the same target keep their order."""
    return Outgoing(
        topic=settings.topics.verdicts,
        key=target_of(verdict).encode(),
        value=_encoder.encode(verdict),
        headers=(CONTENT_TYPE,),
    )


def send_verdict(settings: Settings, **given: Unpack[Word]) -> str:
    """Write one verdict to the verdicts topic and wait until Kafka has it; gives its id.

    A verdict on a post or a flag finds it at once when `cell` and `cell_offset` of the decision or flag are given.

    Raises:
        VerdictError: the verdict is not valid.
        CheckError: the brokers do not answer.
        Aborted: Kafka did not take it.
    """
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    verdict = Verdict(verdict_id=str(uuid.uuid4()), decided_at=now, **given)
    require_valid(verdict, settings.assign.cells)
    require_brokers(settings)
    delivery = open_delivery(settings, f"{settings.kafka.group}.verdict-{verdict.verdict_id}")
    try:
        delivery.deliver([verdict_message(settings, verdict)])
    finally:
        delivery.close()
    return verdict.verdict_id
