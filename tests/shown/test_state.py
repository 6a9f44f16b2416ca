"""The state as the command shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from consumers.checks.findings import CheckError, Finding
from consumers.embedded import embedded_broker, embedded_redis
from consumers.names import cell_log_topic
from consumers.options import settings_from
from consumers.recovery.rebuild import RebuildError, Rebuilt
from consumers.recovery.verify import Difference, Verified, VerifyError
from consumers.shown import state as module
from consumers.shown.state import SHOWN_DIFFERENCES, rebuild_findings, stats_rows, verify_findings
from consumers.state.reading import opened_state
from tests.bundles import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_tiny_bundle(tmp_path, ("text",))
    return settings_from(None, [f"bundle={tmp_path}", "assign.cells=2"])


@pytest.fixture
def running(settings: Settings) -> Iterator[Settings]:
    with embedded_broker() as broker, embedded_redis() as url:
        given = [f"bundle={settings.bundle}", "assign.cells=2", f"redis.url={url}"]
        found = settings_from(None, [*given, f"kafka.bootstrap_servers={broker.address}"])
        with opened_state(found) as (manifest, store):
            broker.create(cell_log_topic(found, manifest.bundle_id))
            store.claim(1, "owner")
        yield found


def findings(settings: Settings, monkeypatch: pytest.MonkeyPatch, verified: Any) -> list[Finding]:
    def verify(*_: Any) -> Any:
        if isinstance(verified, Exception):
            raise verified
        return verified

    monkeypatch.setattr(module, "verify_cell", verify)
    return list(verify_findings(settings, cell=1, progress=lambda _done, _whole: None))


def test_a_cell_as_its_log_says_is_one_green_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = findings(settings, monkeypatch, Verified(1, 1234, 56, 7890, ()))
    assert str(found) == "cell 1: as its log says: 56 clusters, 7,890 entries, position 1,234"
    assert found.state == "good"


def test_differences_are_counted_and_the_first_are_shown(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    differing = tuple(Difference("clusters", str(n), "5 posts, the log says 6") for n in range(30))
    found = findings(settings, monkeypatch, Verified(1, 1234, 56, 7890, differing))
    assert {finding.state for finding in found} == {"bad"}
    assert "30 entries are not as its log says" in found[0].text
    assert len(found) == 1 + SHOWN_DIFFERENCES
    assert str(found[1]) == "cell 1, clusters 0: 5 posts, the log says 6"


def test_what_cannot_be_compared_is_a_red_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = findings(settings, monkeypatch, VerifyError("cell 1: its log holds too little"))
    assert (str(found), found.state) == ("cell 1: its log holds too little", "bad")
    [empty] = findings(settings, monkeypatch, None)
    assert (str(empty), empty.state) == ("cell 1: Redis holds nothing of it", "hint")


def test_a_cell_that_is_not_there_is_refused(settings: Settings) -> None:
    with pytest.raises(CheckError, match="there are cells 0 to 1"):
        list(verify_findings(settings, cell=2, progress=lambda _done, _whole: None))


def test_stats_have_a_row_for_every_cell(running: Settings) -> None:
    rows = list(stats_rows(running))
    assert [row["cell"] for row in rows] == [0, 1]
    assert {(row["position"], row["behind"], row["clusters"]) for row in rows} == {(None, 0, 0)}
    assert {(row["committed"], row["log"], row["snapshot"], row["snapshot age s"]) for row in rows} == {
        (None, "0-0", None, None)
    }
    assert all(row["memory MB"] >= 0 for row in rows)


@pytest.mark.parametrize(
    ("rebuilt", "state", "text"),
    [
        (Rebuilt(1, 1200, 1200), "good", "folded again up to 1,200"),
        (Rebuilt(1, 1200, 1200, 900), "good", "folded again from its snapshot at 900 up to 1,200"),
        (Rebuilt(1, None, 1200), "hint", "its state is dropped, and nobody folds its log yet"),
        (
            Rebuilt(1, 900, 1200, 900),
            "hint",
            "its state is that of its snapshot at 900, and nobody folds its log yet",
        ),
        (Rebuilt(1, 7, 1200), "bad", "stands at 7 of 1,200 for 30 s"),
    ],
)
def test_what_became_of_a_rebuilt_cell_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, rebuilt: Rebuilt, state: str, text: str
) -> None:
    monkeypatch.setattr(module, "rebuild_cell", lambda *_, **__: rebuilt)
    [found] = rebuild_findings(settings, cell=1, patience_seconds=30.0, progress=lambda _done, _whole: None)
    assert (found.subject, found.state, found.text) == ("cell 1", state, text)


def test_a_cell_that_cannot_be_rebuilt_is_one_clear_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Rebuilt:
        raise RebuildError("cell 1: its log begins at offset 5")

    monkeypatch.setattr(module, "rebuild_cell", refused)
    with pytest.raises(CheckError, match="begins at offset 5"):
        list(rebuild_findings(settings, cell=1, patience_seconds=1.0, progress=lambda _done, _whole: None))
