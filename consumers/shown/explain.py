"""An explanation in words and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from rich.padding import Padding
from rich.text import Text

from consumers.bundles import find_bundle, open_encoders
from consumers.checks.findings import MARKS, CheckError
from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.post import SCHEMA, Post
from consumers.posts.produce import encode_post
from consumers.questions.decided import find_decision, kept_of
from consumers.questions.explain import explain
from consumers.questions.query import as_logged, embed_value
from consumers.state.judging import read_judging
from consumers.state.store import StateStore
from models.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from consumers.contracts.flag import Flag, NearestFlagged
    from consumers.questions.explain import Explanation, Reason, Threshold
    from consumers.settings import Settings
    from consumers.state.judging import Judging
    from models.manifest import Manifest

_decoder = msgspec.json.Decoder(Post)

OUTCOMES = {"clear": "clear", "flagged": "flagged", "review": "to review", "dead_letter": "dead letter"}
RESULTS = {"flag": "flagged", "review": "to review", "capped": "capped", "clear": "no flag"}
FAR = 0.4
"""Posts of three parts that share one of them stand at a third: below this nothing speaks for a policy."""


def explain_file(settings: Settings, path: Path, nearest: int) -> Explanation:
    """What a post in a file would come to, and why.

    Raises:
        CheckError: it is no post, or none that can be decided. ManifestError, StateUnavailable, CodecError, OSError.
    """
    try:
        post = decode_json(_decoder, path.read_bytes(), SCHEMA)
    except MessageError as error:
        raise CheckError(f"{path}: not a post: {error}") from error
    bundle = open_encoders(settings)
    work = embed_value(settings, bundle, encode_post(post)[1])
    if work.vector is None:
        why = "" if work.failure is None else f" {work.failure.reason}: {work.failure.detail}"
        raise CheckError(f"{path}: it would be a dead letter:{why}")
    vector = as_logged(work.vector)
    cell = int(bundle.cell_of(vector[None], settings.assign.cells)[0])
    store = StateStore(settings.redis, bundle.bundle_id, settings.assign.cells)
    try:
        judging = _judging(store, bundle.manifest, cell)
    finally:
        store.close()
    return explain(
        judging,
        vector,
        features=work.features,
        post_id=post.post_id,
        bundle=bundle.bundle_id,
        parts=work.parts,
        nearest=nearest,
    )


def explain_decision(settings: Settings, given: str, nearest: int) -> Explanation:
    """Why a post was decided as it was, and what a post like it would come to now.

    Raises:
        CheckError: there is no such decision, it is a dead letter's, or the post's vector is gone.
        KafkaException, ManifestError, StateUnavailable, CodecError.
    """
    manifest = read_manifest(find_bundle(settings.bundle))
    found = find_decision(settings, manifest.bundle_id, given)
    if found is None:
        raise CheckError(
            f"explain {given}: no such file, and no decision of bundle {manifest.bundle_id} with this id, on this "
            "post, with this flag, or at this place (CELL:OFFSET)"
        )
    decision = found.decision
    if decision.outcome == "dead_letter":
        raise CheckError(f"explain {given}: a dead letter, {decision.parts.get('post')}; shoal dead-letters list")
    store = StateStore(settings.redis, manifest.bundle_id, settings.assign.cells)
    try:
        kept = kept_of(settings, store, decision, manifest.fused_dimension)
        if kept is None:
            raise CheckError(f"explain {given}: neither the cell log nor Redis holds the post's vector any more")
        return explain(
            _judging(store, manifest, decision.cell),
            kept.vector,
            features=kept.features,
            post_id=decision.post_id or decision.decision_id,
            bundle=manifest.bundle_id,
            parts=decision.parts,
            decision=decision,
            flags=found.flags,
            nearest=nearest,
        )
    finally:
        store.close()


def told(found: Explanation) -> Iterator[Padding | list[dict[str, Any]]]:
    """The explanation for people: lines, and rows of tables."""
    parts = "  ".join(f"{name} {state}" for name, state in found.parts.items())
    yield _line(Text.assemble((found.post_id, "bold"), f"  cell {found.cell}  {parts}"))
    yield from _decided(found)
    yield _line()
    when = "a post like it would now be" if found.decision is not None else "it would be"
    yield _line(Text.assemble(f"By the state at offset {found.position} {when} ", (OUTCOMES[found.outcome], "bold")))
    yield from _joining(found)
    yield _line()
    yield _cluster_rows(found)
    if found.exemplars:
        yield _line()
        yield _exemplar_rows(found)
    yield from _policies(found)


def changes(found: Explanation) -> Iterator[str]:
    """What would have made another decision, a line each."""
    for reason in found.policies:
        if not is_far(reason):
            yield f"{reason.policy}: {_change(reason)}"
    same = [one.modality for one in found.without if not one.changed]
    for one in found.without:
        if one.changed:
            told = [f"{policy} {RESULTS[result]}" for policy, result in one.results.items() if result != "clear"]
            yield f"without its {one.modality}: {', '.join(told) or 'no flag'}"
    if same:
        yield f"without its {', '.join(same[:-1]) + ' or ' * (len(same) > 1) + same[-1]}: the same"


def is_far(reason: Reason) -> bool:
    """Whether nothing of a policy's exemplars is in the post, so that its thresholds need no telling."""
    return reason.result == "clear" and reason.exemplar_similarity < FAR


def _judging(store: StateStore, manifest: Manifest, cell: int) -> Judging:
    judging = read_judging(store, manifest, cell)
    if judging is None:
        raise CheckError(f"cell {cell}: Redis holds nothing of it yet; is a worker running with this bundle?")
    return judging


def _change(reason: Reason) -> str:
    missed = [one for one in reason.thresholds if not one.passed]
    if reason.result == "capped" or (not missed and reason.flags >= reason.cap):
        return f"its label has flagged {reason.flags} posts of {reason.cap}; one more upheld verdict allows more"
    tight = next(one for one in reason.thresholds if one.name == reason.deciding)
    if not missed:
        return f"no flag if {tight.name} had to reach more than {tight.value:.3f}; {tight.threshold:.3f} is asked for"
    if len(missed) == 1:
        return f"{_missed(tight)}, all else passes"
    return "; ".join(_missed(one) for one in missed)


def _missed(one: Threshold) -> str:
    if one.value <= -1.0:
        return f"{one.name} is missing"
    return f"{one.name} {one.value:.3f} misses {one.threshold:.3f} by {-one.margin:.3f}"


def _decided(found: Explanation) -> Iterator[Padding]:
    decision = found.decision
    if decision is None:
        return
    yield _line()
    moment = f"Decided {decision.decided_at} at offset {decision.cell_offset}: "
    yield _line(Text.assemble(moment, (OUTCOMES[decision.outcome], "bold")))
    if decision.opened:
        yield _line(f"it opened cluster {decision.cluster_id}, none was near enough", 2)
    else:
        shares = _sum(decision.similarity or 0.0, decision.shares)
        yield _line(f"it joined cluster {decision.cluster_id}: {shares}", 2)
    for flag in found.flags:
        yield from _flag(flag)


def _flag(flag: Flag) -> Iterator[Padding]:
    """A flag with the thresholds that it had to reach when it was given."""
    exemplar = "" if flag.exemplar is None else f", exemplar {flag.exemplar.post_id}{_followed(flag.trail)}"
    action = "flag" if flag.action == "flag" else "flag taken back"
    head = Text.assemble((f"{flag.policy}: {action}", "bold"), f"  {flag.mode}, cause {flag.cause}")
    yield _line(head.append(f", by cluster {flag.cluster_id}{exemplar}"), 2)
    values = {"bound": flag.bound, "centroid": flag.similarity}
    if flag.trail is not None and flag.exemplar is not None:
        values = {"bound": flag.bound, "reach": flag.exemplar.similarity, "trail": flag.trail.similarity}
    elif flag.exemplar is not None:
        values["exemplar"] = flag.exemplar.similarity
    asked = {"bound": flag.thresholds.get("demote")} | flag.thresholds
    for name, value in values.items():
        threshold = asked.get(name)
        if threshold is not None:
            yield _gate(name, value, threshold, passed=value >= threshold, note="", indent=4)


def _joining(found: Explanation) -> Iterator[Padding]:
    one = found.joining
    if one is None:
        yield _line("it would open the first cluster", 2)
        return
    verb = "join" if one.joins else "not join"
    yield _line(f"it would {verb} its nearest cluster, {one.cluster_id}", 2)
    yield _gate("join", one.similarity, one.join, passed=one.similarity >= one.join, note="", indent=4)
    stays = one.cohesion >= one.least_cohesion
    yield _gate("cohesion", one.cohesion, one.least_cohesion, passed=stays, note="", indent=4)


def _policies(found: Explanation) -> Iterator[Padding]:
    if not found.policies:
        yield _line()
        yield _line("No verdict counts in its cell, so no policy has anything to say.")
        return
    for reason in found.policies:
        if not is_far(reason):
            yield _line()
            yield from _reason(reason)
    far = [reason.policy for reason in found.policies if is_far(reason)]
    if far:
        yield _line()
        yield _line(f"far from everything under {', '.join(far)}")
    lines = list(changes(found))
    if lines:
        yield _line()
        yield _line(Text("What would change it", style="bold"))
        yield from (_line(line, 2) for line in lines)


def _cluster_rows(found: Explanation) -> list[dict[str, Any]]:
    return [
        {"cluster": one.cluster_id, "similarity": one.similarity}
        | _shares(one.shares)
        | {"posts": one.posts, "cohesion": one.cohesion, "labels": one.labels}
        for one in found.clusters
    ]


def _exemplar_rows(found: Explanation) -> list[dict[str, Any]]:
    return [
        {"exemplar": one.post_id, "similarity": one.similarity}
        | _shares(one.shares)
        | {"said": f"{one.policy} {one.said}", "cluster": one.cluster_id}
        for one in found.exemplars
    ]


def _reason(reason: Reason) -> Iterator[Padding]:
    shadow = " (shadow)" if reason.mode == "shadow" else ""
    exemplar = "" if reason.exemplar is None else f", exemplar {reason.exemplar}{_followed(reason.trail)}"
    head = Text(f"{reason.policy}{shadow}: {RESULTS[reason.result]}", style="bold")
    yield _line(Text.assemble(head, f"  by cluster {reason.cluster_id}{exemplar}"))
    for one in reason.thresholds:
        note = "decides" if one.name == reason.deciding else ""
        yield _gate(one.name, one.value, one.threshold, passed=one.passed, note=note, indent=2)


def _followed(trail: NearestFlagged | None) -> str:
    return "" if trail is None else f", after flagged post {trail.post_id}"


def _gate(name: str, value: float, threshold: float, *, passed: bool, note: str, indent: int) -> Padding:
    mark, style = MARKS["good" if passed else "bad"]
    shown = "missing" if value <= -1.0 else f"{value:.3f}"
    numbers = f" {name:<16}{shown:>8}  of {threshold:.3f}  {value - threshold:+.3f}  "
    return _line(Text.assemble((mark, style), numbers, (note, "bold")), indent)


def _line(text: Text | str = "", indent: int = 0) -> Padding:
    """A line whose rest stays indented where the terminal is too narrow for it."""
    return Padding(text, (0, 0, 0, indent))


def _shares(shares: Mapping[str, float]) -> dict[str, float]:
    return {f"{'+' if number else '='} {name}": share for number, (name, share) in enumerate(shares.items())}


def _sum(similarity: float, shares: Mapping[str, float]) -> str:
    return f"cosine {similarity:.3f} = " + " + ".join(f"{name} {share:.3f}" for name, share in shares.items())
