"""Is everything there that a worker needs? One finding a line, with what to do when it is red."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.bundles import find_bundle, open_encoders
from consumers.changes.settings import check_policies
from consumers.checks.alert import check_alert
from consumers.checks.findings import CheckError, Finding
from consumers.checks.kafka import check_kafka, check_message_sizes
from consumers.checks.media import check_media
from consumers.checks.redis import check_redis
from consumers.checks.snapshots import check_snapshots
from consumers.settings import SettingsError
from models.manifest import ManifestError, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings
    from models.manifest import Manifest


def check_everything(settings: Settings, *, create: bool = False) -> Iterator[Finding]:
    """Every finding, as soon as it is known. With `create`, absent topics are created first."""
    yield check_settings(settings)
    bundle_id = None
    for finding, found in check_bundle(settings):
        bundle_id = found or bundle_id
        yield finding
    if bundle_id is None:
        yield Finding("topics", "hint", "not checked: the cell log's name needs the bundle", "mend the bundle first")
    else:
        kafka = check_kafka(settings, bundle_id, create=create)
        yield from kafka
        if all(finding.state != "bad" for finding in kafka):
            yield check_message_sizes(settings)
    yield from check_redis(settings)
    yield from check_media(settings)
    yield from check_alert(settings)
    if bundle_id is not None:
        yield from check_snapshots(settings, bundle_id)


def check_settings(settings: Settings) -> Finding:
    """Which settings are not the defaults; they were found valid when they were read. Their values may be secrets."""
    given = settings.model_dump(exclude_defaults=True)
    names = [
        name
        for section, value in given.items()
        for name in ([f"{section}.{key}" for key in value] if isinstance(value, dict) else [section])
    ]
    return Finding("settings", "good", f"set: {', '.join(names)}" if names else "all as by default")


def check_bundle(settings: Settings) -> Iterator[tuple[Finding, str | None]]:
    """The bundle's files and the execution provider that its encoders really run on; with the id once it is known."""
    try:
        folder = find_bundle(settings.bundle)
        manifest = read_manifest(folder)
        yield Finding("bundle", "good", f"{manifest.bundle_id} in {folder}"), manifest.bundle_id
        bundle = open_encoders(settings, folder)
    except ManifestError as error:
        yield Finding("bundle", "bad", str(error)), None
        return
    yield check_own_policies(settings, manifest), None
    yield Finding("digests", "good", f"{len(manifest.files)} files as the manifest says"), None
    for modality, provider in bundle.providers.items():
        yield Finding(f"encoder {modality}", "good", f"runs on {provider} ({bundle.graphs[modality]})"), None
    for remark in bundle.remarks:
        yield Finding("encoders", "hint", remark), None


def check_own_policies(settings: Settings, manifest: Manifest) -> Finding:
    """Whether the policies of the settings can be had with the bundle."""
    try:
        check_policies(settings.policies, manifest)
    except SettingsError as error:
        return Finding("policies", "bad", str(error), "change it in the settings (policies)")
    return Finding(
        "policies", "good", f"{len(settings.policies)} in the settings; a file may have put others in force"
    )


def require(settings: Settings, bundle: str, *, state: bool = True) -> None:
    """Check what the consumers need from Kafka, Redis and the media's stores before they start.

    Args:
        state: whether they need Redis; encoding and routing do not, and go on while it is away.

    Raises:
        CheckError: with the first red finding.
    """
    redis = check_redis(settings) if state else []
    for finding in check_media(settings) + check_kafka(settings, bundle) + redis:
        if finding.state == "bad":
            raise CheckError(str(finding))
