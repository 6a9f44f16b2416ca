"""What the fold obeys, from the settings and the bundle: resolved once, then written into the cell log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from consumers.contracts.fold_settings import FOLD, FoldSettings
from consumers.settings import Policy
from models.policies import PolicyRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.contracts.policies import PolicyFile
    from consumers.settings import Settings
    from models.manifest import Manifest, Thresholds


REACH = 0.75
"""Of the cosine to an exemplar: what a post that follows a trail still needs of it."""


class OtherFold(RuntimeError):  # noqa: N818  # it tells what is there, not what went wrong
    """The cell is folded by another version of the fold, and this one would decide otherwise; the message says so."""


def check_fold(settings: FoldSettings) -> None:
    """Refuse settings that were written for another version of the fold.

    Raises:
        OtherFold.
    """
    if settings.fold != FOLD:
        raise OtherFold(
            f"its log is folded by version {settings.fold} of the fold, this Shoal folds by version {FOLD} and would "
            "decide otherwise; run a Shoal of that version, or begin another cell log with this one (topics.cells, "
            "redis.prefix)"
        )


def fold_settings(settings: Settings, manifest: Manifest) -> FoldSettings:
    """The settings of a cell's fold; what the settings leave open comes from the bundle."""
    assign, verdicts, thresholds = settings.assign, settings.verdicts, manifest.thresholds
    return FoldSettings(
        fold=FOLD,
        join=thresholds.join if assign.join is None else assign.join,
        cohesion=thresholds.cohesion,
        twin=thresholds.twin,
        half_life_seconds=assign.half_life_seconds or manifest.half_life_seconds,
        fade_weight=assign.fade_weight,
        maximum_clusters=assign.maximum_clusters,
        labelled_clusters=assign.labelled_clusters,
        members=assign.members,
        exemplars=assign.exemplars,
        maintenance_records=assign.maintenance_records,
        chunk_posts=verdicts.chunk_posts,
        flagged_posts=verdicts.flagged_posts,
        retraction_seconds=verdicts.retraction_seconds,
        waiting_verdicts=verdicts.waiting,
        waiting_seconds=verdicts.waiting_seconds,
        policies=tuple(policy_rule(policy, manifest) for policy in settings.policies),
        other=policy_rule(Policy(name="other"), manifest),
    )


def with_policies(settings: FoldSettings, file: PolicyFile, manifest: Manifest) -> FoldSettings:
    """The same settings under the policies of a file; what the file leaves open comes from the bundle."""
    rules = tuple(policy_rule(policy, manifest) for policy in sorted(file.policies, key=lambda policy: policy.name))
    return msgspec.structs.replace(settings, policies=rules, policies_version=file.version)


def with_own(in_force: FoldSettings, own: FoldSettings) -> FoldSettings:
    """A worker's own settings as they can stand in a cell's log: lists stay, and policies of a file the file's."""
    own = msgspec.structs.replace(own, lists=in_force.lists)
    if in_force.policies_version == 0 or own.policies:
        return own
    return msgspec.structs.replace(own, policies=in_force.policies, policies_version=in_force.policies_version)


def policy_rule(policy: Policy, manifest: Manifest) -> PolicyRule:
    """A policy with all its thresholds."""
    thresholds = manifest.thresholds
    least = {name: given.threshold for name, given in manifest.verification.items()}
    agreed = {name: given.cosine for name, given in manifest.verification.items() if given.cosine is not None}
    own = policy.exemplar is not None or policy.centroid is not None
    return PolicyRule(
        name=policy.name,
        severity=policy.severity,
        mode=policy.mode,
        promote=policy.promote,
        demote=policy.demote,
        centroid=thresholds.centroid if policy.centroid is None else policy.centroid,
        exemplar=thresholds.exemplar if policy.exemplar is None else policy.exemplar,
        cohesion=thresholds.cohesion if policy.cohesion is None else policy.cohesion,
        modality=thresholds.modality,
        together=policy.together,
        required=policy.required,
        alone=policy.alone,
        verification=least if policy.verification is None else policy.verification,
        agreed={} if own else agreed,
        trail=_trail(policy, thresholds),
        reach=REACH * (thresholds.exemplar if policy.exemplar is None else policy.exemplar),
        flags_per_verdict=policy.flags_per_verdict,
        sample=policy.sample,
    )


def _trail(policy: Policy, thresholds: Thresholds) -> float:
    """As near as posts of one micro-cluster; none where a policy has cosines of its own and does not ask for it."""
    if policy.alone is not None:
        return 1.0
    if policy.trail is not None:
        return policy.trail
    return thresholds.join if policy.exemplar is None and policy.centroid is None else 1.0


def changes(one: FoldSettings, two: FoldSettings) -> Iterator[str]:
    """What is different in `two`, one line each."""
    names = [name for name in FoldSettings.__struct_fields__ if name not in {"policies", "other"}]
    yield from _fields("", one, two, names)
    before, after = ({rule.name: rule for rule in given.policies} for given in (one, two))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"policy {name}: removed"
        elif name not in before:
            yield f"policy {name}: added"
        else:
            yield from _fields(f"policy {name}: ", before[name], after[name], PolicyRule.__struct_fields__)
    yield from _fields("other policies: ", one.other, two.other, PolicyRule.__struct_fields__)


def _fields(what: str, one: msgspec.Struct, two: msgspec.Struct, names: list[str] | tuple[str, ...]) -> Iterator[str]:
    for name in names:
        old, new = getattr(one, name), getattr(two, name)
        if old != new:
            yield f"{what}{name} {_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        value = tuple(f"{name}={number}" for name, number in sorted(value.items()))
    return "-" if value is None else ",".join(value) or "-" if isinstance(value, tuple) else str(value)
