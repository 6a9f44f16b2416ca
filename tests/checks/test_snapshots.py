from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.checks.snapshots import check_snapshots
from consumers.settings import Settings, Snapshots

if TYPE_CHECKING:
    from pathlib import Path


def test_a_location_that_is_usable_is_told(tmp_path: Path) -> None:
    location = f"file://{tmp_path}/new/"
    [found] = check_snapshots(Settings(snapshots=Snapshots(location=location)), "small-1")
    assert (found.state, found.text) == ("good", f"kept in {location}; 0 of cell 0")


def test_a_location_that_can_never_be_used_is_red() -> None:
    [found] = check_snapshots(Settings(snapshots=Snapshots(location="ftp://example.org/")), "small-1")
    assert found.state == "bad"
    assert "snapshots.location: 'ftp://example.org/' must start with file://" in found.text


def test_a_store_that_does_not_answer_is_no_reason_to_stop() -> None:
    location = "s3://bucket/shoal/"
    options = {"endpoint": "http://127.0.0.1:9", "region": "z", "skip_signature": "true", "allow_http": "true"}
    snapshots = Snapshots(location=location, timeout_seconds=0.5, options={location: options})
    [found] = check_snapshots(Settings(snapshots=snapshots), "small-1")
    assert (found.state, found.subject) == ("hint", "snapshots")


def test_without_a_location_there_is_nothing_to_say() -> None:
    assert check_snapshots(Settings(), "small-1") == []
