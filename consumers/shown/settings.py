"""The settings of the fold and the policies as the command shows them, and their change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.bundles import find_bundle
from consumers.cells.fold_settings import fold_settings
from consumers.changes.settings import (
    Change,
    changes_of_own,
    changes_of_policies,
    check_policies,
    settings_in_force,
    write_changes,
)
from consumers.checks.findings import Finding
from consumers.contracts.fold_settings import FoldSettings, SearchLists
from consumers.contracts.policies import read_policies
from models.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from consumers.settings import Settings


def policy_rows(settings: Settings) -> list[dict[str, Any]]:
    """The policies in force; cells that agree share their rows.

    Raises:
        StateUnavailable, KafkaException: Redis or Kafka do not answer.
    """
    in_force = settings_in_force(settings)
    return [
        {
            "cells": _cells([cell for cell, one in enumerate(in_force) if _policies(one) == _policies(found)]),
            "version": found.policies_version,
            "policy": rule.name,
            "severity": rule.severity,
            "mode": rule.mode,
            "thresholds": rule.thresholds,
            "modalities": _modalities(rule.together, rule.required, rule.alone),
            "flags per verdict": rule.flags_per_verdict,
            "sample": rule.sample,
            "policy_version": rule.version,
        }
        for first, found in enumerate(in_force)
        if all(_policies(one) != _policies(found) for one in in_force[:first])
        for rule in (*found.policies, found.other)
    ]


def setting_rows(settings: Settings) -> list[dict[str, Any]]:
    """Each setting of the fold: in force, by cell where they differ, and in the settings given.

    Raises:
        StateUnavailable, KafkaException: Redis or Kafka do not answer.
    """
    own = fold_settings(settings, read_manifest(find_bundle(settings.bundle)))
    in_force = settings_in_force(settings)
    names = [name for name in FoldSettings.__struct_fields__ if name not in {"policies", "other"}]
    return [
        {
            "setting": name,
            "in force": _one_or_each([_shown(getattr(found, name)) for found in in_force]),
            "own": _shown(getattr(own, name)),
        }
        for name in names
    ]


def policies_checked(settings: Settings, path: Path) -> dict[str, Any]:
    """What a file of policies holds, when the bundle can do what it asks for.

    Raises:
        SettingsError: it cannot, or the file is none.
    """
    file = read_policies(path)
    check_policies(file.policies, read_manifest(find_bundle(settings.bundle)))
    return {"version": file.version, "policies": [policy.name for policy in file.policies]}


def apply_policies(settings: Settings, path: Path, *, actor: str, dry_run: bool) -> Iterator[Finding]:
    """Put the policies of a file in force in every cell; what changes, one line each.

    Raises:
        SettingsError: the file cannot be used. CheckError: its version is not higher than the one in force.
        Aborted: Kafka refused, and nothing was written.
    """
    file, manifest = read_policies(path), read_manifest(find_bundle(settings.bundle))
    check_policies(file.policies, manifest)
    found = changes_of_policies(settings_in_force(settings), file, manifest)
    yield from _apply(settings, manifest.bundle_id, found, f"policies version {file.version}", actor, dry_run=dry_run)


def apply_settings(settings: Settings, *, actor: str, dry_run: bool) -> Iterator[Finding]:
    """Put the settings given in force in every cell; what changes, one line each.

    Raises:
        CheckError: both the settings and a file have policies. Aborted: Kafka refused, and nothing was written.
    """
    manifest = read_manifest(find_bundle(settings.bundle))
    found = changes_of_own(settings_in_force(settings), fold_settings(settings, manifest))
    yield from _apply(settings, manifest.bundle_id, found, "settings", actor, dry_run=dry_run)


def _apply(
    settings: Settings, bundle: str, found: Sequence[Change], what: str, actor: str, *, dry_run: bool
) -> Iterator[Finding]:
    for first, change in enumerate(found):
        if all(change.lines != other.lines for other in found[:first]):
            cells = _cells([other.cell for other in found if other.lines == change.lines])
            yield from (Finding(f"cells {cells}", "hint", line) for line in change.lines)
    if not found:
        yield Finding(what, "good", "in force in every cell; nothing to change")
    elif dry_run:
        yield Finding(what, "good", "would change as told; nothing was written")
    else:
        write_changes(settings, bundle, found, actor)
        yield Finding(what, "good", f"in the log of {len(found)} cell(s), in force from there on")


def _policies(found: FoldSettings) -> tuple[Any, ...]:
    return found.policies_version, found.policies, found.other


def _cells(cells: Sequence[int]) -> str:
    return ",".join(map(str, cells))


def _modalities(together: bool, required: tuple[str, ...], alone: str | None) -> str:
    if alone is not None:
        return f"{alone} alone"
    return "together" if together else ",".join(required) or "any"


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, SearchLists) else value


def _one_or_each(values: Sequence[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else list(values)
