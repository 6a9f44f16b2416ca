"""The promise of docs/delivery.md, checked on everything that a run has left behind.

    I1  every input record below the committed offset has exactly one terminal outcome
    I2  (flag_id, revision) never has two contents, and with transactions none is written twice
    I3  committed offsets never go back; the order within a partition and a cell is kept
    I4  the state in Redis is the fold of the log
    I5  no write of a stale owner landed
    I6  memory stays bounded
    I7  progress resumes, and everything comes to its end, within the stated time
    I8  every post after a verdict in the cell log is judged with it, and every kept post before it gets its flag or
        its retraction exactly once

Each cell's log is folded once more, by the code as it is, and every output compared byte for byte: whatever a worker
lost, doubled or made up shows. What the fold itself might get wrong is counted from the stream's own truth, in
verdict_truth.py.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from consumers.cells.fold import Fold
from consumers.cells.fold_settings import fold_settings
from consumers.cells.outputs import keep
from consumers.contracts.cell_log import (
    ContinueRecord,
    DeadRecord,
    EvidenceRecord,
    MissingRecord,
    PostRecord,
    SettingsRecord,
    VerdictRecord,
)
from consumers.contracts.verdict import Verdict
from tests.faults.verdict_truth import verdicts_counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumers.contracts.source import Source
    from tests.faults.found import Found

SHOWN = 3
"""Of the same kind of violation; the rest is counted."""


class Violation(NamedTuple):
    """A broken promise."""

    invariant: str
    text: str


def violations(found: Found) -> list[Violation]:
    """All that is wrong with a run; empty when every promise was kept."""
    return [
        Violation(name, text)
        for name, check in INVARIANTS.items()
        for part in check
        for text in _shortened(list(part(found)))
    ]


def _shortened(texts: Sequence[str]) -> Sequence[str]:
    rest = len(texts) - SHOWN
    return texts if rest <= 0 else [*texts[:SHOWN], f"... and {rest} more like it"]


def each_post_has_one_decision(found: Found) -> Iterator[str]:
    """I1. A decision is about a record of the posts topic, and broken posts have a dead letter too."""
    contents: defaultdict[tuple[str, int, int], list[bytes]] = defaultdict(list)
    for written, decision in found.decisions:
        contents[_place(decision.source)].append(written.value)
    unfolded = found.unfolded
    for place in sorted(found.posts - unfolded):
        if place[2] < found.committed["encode"].get(place[1], 0):
            yield from _one(contents.get(place, []), f"post at {place[1]}:{place[2]}", exact=found.exact)
    for place in sorted(contents.keys() - found.posts):
        yield f"a decision on {place}, where no post stands"
    letters = Counter(
        (letter.source_partition, letter.source_offset)
        for letter in found.dead_letters
        if letter.topic == found.settings.topics.posts
    )
    dead = {_place(decision.source) for _, decision in found.decisions if decision.outcome == "dead_letter"}
    for _, partition, offset in sorted(dead):
        count = letters.pop((partition, offset), 0)
        if count < 1 or (found.exact and not found.replayed and count > 1):
            yield f"post at {partition}:{offset} was given up, and has {count} dead letters"
    for partition, offset in letters.keys() - {(partition, offset) for _, partition, offset in unfolded}:
        yield f"post at {partition}:{offset} has a dead letter and no decision that says so"
    for place, post in found.published.items():
        if (post.kind == "broken") != (place in dead):
            yield f"post {post.post_id} ({post.kind}) was decided as if it were not"


def each_verdict_is_routed_once(found: Found) -> Iterator[str]:
    """I1, for verdicts: each record is in the log of every cell that was asked, or is a dead letter."""
    given = Counter(verdict.verdict_id for verdict in found.verdicts)
    routed: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for cell, log in found.logs.items():
        for entry in log:
            if isinstance(entry.record, VerdictRecord):
                routed[entry.record.verdict_id][cell] += 1
    dead = Counter(
        verdict.verdict_id
        for letter in found.dead_letters
        if letter.topic == found.settings.topics.verdicts and letter.step == "route"
        for verdict in [_verdict(letter.value)]
    )
    for verdict_id, count in given.items():
        outcomes = max(routed[verdict_id].values(), default=0) + dead[verdict_id]
        if outcomes < count or (found.exact and outcomes > count):
            yield f"verdict {verdict_id} was given {count} times and has {outcomes} outcomes"


def _verdict(value: bytes | None) -> Verdict:
    return msgspec.json.decode(value or b"", type=Verdict)


def _one(contents: Sequence[bytes], what: str, *, exact: bool) -> Iterator[str]:
    if not contents:
        yield f"{what} has no decision"
    elif len(set(contents)) > 1:
        yield f"{what} has {len(set(contents))} different decisions"
    elif exact and len(contents) > 1:
        yield f"{what} has {len(contents)} decisions"


def each_revision_is_written_once(found: Found) -> Iterator[str]:
    """I2."""
    contents: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
    for written, flag in found.flags:
        contents[flag.flag_id, flag.revision].append(written.value)
    for (flag_id, revision), values in contents.items():
        if len(set(values)) > 1:
            yield f"revision {revision} of flag {flag_id} has {len(set(values))} contents"
        elif found.exact and len(values) > 1:
            yield f"revision {revision} of flag {flag_id} was written {len(values)} times"
    for cell, log in found.logs.items():
        first = sum(isinstance(entry.record, SettingsRecord) and entry.record.first for entry in log)
        if found.exact and first > 1:
            yield f"the first settings of cell {cell} were written {first} times"


def offsets_never_went_back(found: Found) -> Iterator[str]:
    """I3, as far as it was seen while the scenario ran."""
    yield from found.went_back


def order_is_kept(found: Found) -> Iterator[str]:
    """I3: posts of a partition stand in a cell's log in their order, and decisions in the order of that log."""
    for cell, log in found.logs.items():
        by_partition: defaultdict[str, list[int]] = defaultdict(list)
        for entry in log:
            if isinstance(entry.record, PostRecord | DeadRecord):
                by_partition[entry.record.source.mark].append(entry.record.source.offset)
        for mark, offsets in by_partition.items():
            if not _ascends(offsets, strictly=found.exact and not found.replayed):
                yield f"the log of cell {cell} has the posts of {mark} in another order than their partition"
    decided: defaultdict[int, list[int]] = defaultdict(list)
    for written, decision in found.decisions:
        decided[written.partition].append(decision.cell_offset)
        if written.partition != decision.cell:
            yield f"a decision of cell {decision.cell} stands in partition {written.partition}"
    for cell, offsets in decided.items():
        if not _ascends(offsets, strictly=found.exact):
            yield f"the decisions of cell {cell} are in another order than its log"


def _ascends(offsets: Sequence[int], *, strictly: bool) -> bool:
    """Whether they ascend; repeated ones are passed over unless they must not be there."""
    seen = offsets if strictly else list(dict.fromkeys(offsets))
    return all(one < two for one, two in itertools.pairwise(seen))


def state_is_the_fold_of_the_log(found: Found) -> Iterator[str]:
    """I4."""
    for cell in found.logs:
        position, committed = found.positions.get(cell), found.committed["assign"].get(cell)
        if position != committed:
            yield f"cell {cell}: Redis is at {position}, Kafka at {committed}, and no owner is left"
    for difference in found.differences:
        yield f"{difference.kind} {difference.field}: {difference.text}"


def no_stale_write_landed(found: Found) -> Iterator[str]:
    """I5: no owner wrote to Redis after the next one had claimed the cell."""
    claims = sorted((note for note in found.trace if note.event == "claimed"), key=lambda note: note.ended)
    for note in found.trace:
        if note.event != "wrote":
            continue
        later = [
            claim for claim in claims
            if claim.cell == note.cell and claim.token != note.token and claim.ended < note.began
        ]  # fmt: skip
        own = next((claim for claim in claims if claim.token == note.token), None)
        if own is not None and any(claim.began > own.ended for claim in later):
            yield f"cell {note.cell}: process {note.pid} wrote {note.expected} to {note.position} after a take-over"


def outputs_are_those_of_the_log(found: Found) -> Iterator[tuple[str, str]]:
    """Every output of an honest fold stands in the topics, and nothing else; gives (invariant, text)."""
    expected = _expected(found)
    actual = _actual(found)
    for output in sorted((expected - actual).keys() if found.exact else expected.keys() - actual.keys()):
        yield ("I1" if output[0] == "decisions" else "I8", f"{output[0]}: missing {_told(output)}")
    for output in sorted((actual - expected).keys()):
        if output in expected:
            if found.exact:
                yield "I2", f"{output[0]}: {actual[output]} times instead of {expected[output]} {_told(output)}"
        else:
            yield "I5", f"{output[0]}: the log does not give {_told(output)}"


def _outputs(invariant: str) -> Callable[[Found], Iterator[str]]:
    def part(found: Found) -> Iterator[str]:
        return (text for name, text in outputs_are_those_of_the_log(found) if name == invariant)

    return part


Key = tuple[str, int, bytes]


def _expected(found: Found) -> Counter[Key]:
    """What the fold of each cell's log gives, up to the committed offset."""
    outputs: Counter[Key] = Counter()
    for cell, log in found.logs.items():
        first = next((entry.record.settings for entry in log if isinstance(entry.record, SettingsRecord)), None)
        begun = first or fold_settings(found.settings, found.manifest)
        fold = Fold(begun, found.manifest, cell, position=0, quantizer=found.quantizer)
        end = found.committed["assign"].get(cell, 0)
        records = [(entry.offset, entry.record) for entry in log if entry.offset < end]
        if not records:
            continue
        folded = fold.fold(records, position=end)
        for output, offset in zip(folded.outputs, folded.offsets, strict=True):
            kept = keep(output, cell, offset, found.settings)
            partition = kept.partition if kept.role in {"cells", "decisions"} else -1
            outputs[kept.role, partition, kept.value or b""] += 1
    return outputs


def _actual(found: Found) -> Counter[Key]:
    outputs: Counter[Key] = Counter()
    outputs.update(("decisions", written.partition, written.value) for written, _ in found.decisions)
    outputs.update(("flags", -1, written.value) for written, _ in found.flags)
    outputs.update(("dead_letters", -1, one.value or b"") for one in found.dead_letters if one.step == "assign")
    for cell, log in found.logs.items():
        for entry in log:
            if isinstance(entry.record, ContinueRecord | EvidenceRecord | MissingRecord):
                outputs["cells", cell, entry.value] += 1
    return outputs


def _told(output: Key) -> str:
    return output[2].decode(errors="replace")[:200]


def memory_is_bounded(found: Found) -> Iterator[str]:
    """I6."""
    if found.memory_mb > found.most_memory_mb:
        yield f"a worker took {found.memory_mb:.0f} MB, more than {found.most_memory_mb:.0f}"


def it_came_to_its_end(found: Found) -> Iterator[str]:
    """I7."""
    yield from found.late


def _place(source: Source) -> tuple[str, int, int]:
    return source.topic_id, source.partition, source.offset


INVARIANTS: dict[str, tuple[Callable[[Found], Iterator[str]], ...]] = {
    "I1": (each_post_has_one_decision, each_verdict_is_routed_once, _outputs("I1")),
    "I2": (each_revision_is_written_once, _outputs("I2")),
    "I3": (offsets_never_went_back, order_is_kept),
    "I4": (state_is_the_fold_of_the_log,),
    "I5": (no_stale_write_landed, _outputs("I5")),
    "I6": (memory_is_bounded,),
    "I7": (it_came_to_its_end,),
    "I8": (verdicts_counted, _outputs("I8")),
}
