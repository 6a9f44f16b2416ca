"""I8 from the stream's truth alone: which copies of a campaign must have which flags.

Nothing here folds anything. A copy is the very post that moderators judged, so no threshold has a say in it: while
its campaign is upheld and nobody has overturned that, it must be flagged, and its flag must be taken back when as
many moderators have overturned it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from consumers.contracts.cell_log import ContinueRecord, PostRecord, VerdictRecord
from consumers.contracts.source import flag_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumers.contracts.flag import Flag
    from tests.faults.found import Found, Logged


class Turn(NamedTuple):
    """From log offset `offset` on, the campaign is upheld under the policy, or not any more."""

    offset: int
    upheld: bool
    verdict_id: str


def verdicts_counted(found: Found) -> Iterator[str]:
    """The flags of every copy are those that the verdicts in its cell's log ask for, each exactly once."""
    flags: defaultdict[str, dict[int, Flag]] = defaultdict(dict)
    for _, flag in found.flags:
        flags[flag.flag_id][flag.revision] = flag
    for cell, whole in found.logs.items():
        log = [entry for entry in whole if entry.offset < found.stopped.get(cell, entry.offset + 1)]
        copies = _copies(found, log)
        for policy, campaign in sorted(set(_subjects(found, log))):
            turns = _turns(found, log, policy, campaign)
            if _overtaken(log, turns):
                continue
            for entry in copies.get(campaign, ()):
                assert isinstance(entry.record, PostRecord)
                given = flags.get(flag_id(found.bundle_id, entry.record.source, policy), {})
                told = _compare(entry.offset, turns, [given[revision] for revision in sorted(given)])
                if told is not None:
                    yield f"{entry.record.post_id} at log offset {entry.offset}, policy {policy}: {told}"


def _copies(found: Found, log: Sequence[Logged]) -> dict[int, list[Logged]]:
    """The copies of each campaign in a log, each record of the posts topic once."""
    copies: defaultdict[int, list[Logged]] = defaultdict(list)
    seen = set()
    for entry in log:
        if not isinstance(entry.record, PostRecord):
            continue
        source = entry.record.source
        place = (source.topic_id, source.partition, source.offset)
        post = found.published.get(place)
        if post is not None and post.kind == "copy" and place not in seen:
            seen.add(place)
            copies[post.campaign].append(entry)
    return copies


def _campaign_of(found: Found, post_id: str | None) -> int | None:
    return next(
        (post.campaign for post in found.published.values() if post.post_id == post_id and post.kind == "copy"), None
    )


def _subjects(found: Found, log: Sequence[Logged]) -> Iterator[tuple[str, int]]:
    for entry in log:
        if isinstance(entry.record, VerdictRecord):
            campaign = _campaign_of(found, entry.record.post_id)
            if campaign is not None:
                yield entry.record.policy, campaign


def _turns(found: Found, log: Sequence[Logged], policy: str, campaign: int) -> list[Turn]:
    """When the campaign began and ceased to be upheld, by counting verdicts; a verdict waits for its post."""
    arrived: dict[str, int] = {}
    for entry in log:
        if isinstance(entry.record, PostRecord):
            arrived.setdefault(entry.record.post_id, entry.offset)
    counted: dict[str, VerdictRecord] = {}
    superseded: set[str] = set()
    turns: list[Turn] = []
    effective = sorted(
        (max(entry.offset, arrived[entry.record.post_id or ""]), entry.offset, entry.record)
        for entry in log
        if isinstance(entry.record, VerdictRecord)
        and entry.record.policy == policy
        and entry.record.post_id in arrived
        and _campaign_of(found, entry.record.post_id) == campaign
    )
    for offset, _, verdict in effective:
        if verdict.verdict_id in counted or verdict.verdict_id in superseded:
            continue
        counted[verdict.verdict_id] = verdict
        superseded |= {verdict.supersedes} if verdict.supersedes else set()
        standing = {one.actor: one.decision for name, one in counted.items() if name not in superseded}
        overturned = sum(decision == "overturn" for decision in standing.values())
        upheld = len(standing) - overturned
        was = bool(turns) and turns[-1].upheld
        if overturned == 0 and upheld > 0 and not was:
            turns.append(Turn(offset, upheld=True, verdict_id=verdict.verdict_id))
        elif overturned >= upheld and was:
            turns.append(Turn(offset, upheld=False, verdict_id=verdict.verdict_id))
    return turns


def _overtaken(log: Sequence[Logged], turns: Sequence[Turn]) -> bool:
    """Whether a verdict was still reaching back when the next one came: then it depends on how far it had got."""
    return any(
        isinstance(entry.record, ContinueRecord)
        and entry.record.cause == turn.verdict_id
        and entry.offset > following.offset
        for turn, following in itertools.pairwise(turns)
        for entry in log
    )


def _compare(offset: int, turns: Sequence[Turn], given: Sequence[Flag]) -> str | None:
    """What is wrong with the flags of the copy at a log offset; None when they are as they must be."""
    before = [turn for turn in turns if turn.offset < offset]
    expected: list[tuple[str, int]] = []
    if before and before[-1].upheld:
        expected.append(("live", offset))
    for turn in turns[len(before) :]:
        if turn.upheld:
            expected.append(("retroactive", turn.offset))
        elif expected:
            expected.append(("retract", turn.offset))
    found = [(flag.cause if flag.action == "flag" else "retract", flag.revision) for flag in given]
    if [cause for cause, _ in found] != [cause for cause, _ in expected]:
        return f"flags {found}, the verdicts ask for {expected}"
    if any(revision < least for (_, revision), (_, least) in zip(found, expected, strict=True)):
        return f"flags {found} came before the verdicts that ask for them, {expected}"
    return None
