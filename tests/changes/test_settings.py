"""The settings in force are those of Redis and of the log after it, and change by one record in every cell's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from consumers.bundles import find_bundle
from consumers.cells.fold import Fold
from consumers.cells.fold_settings import changes, fold_settings, with_own
from consumers.changes.settings import settings_in_force
from consumers.checks.findings import CheckError
from consumers.contracts import cell_log
from consumers.contracts.cell_log import SettingsRecord
from consumers.contracts.fold_settings import FOLD
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.kafka.lookup import read_topic
from consumers.names import cell_log_topic
from consumers.settings import Assign, Policy, Settings, SettingsError
from consumers.shown.settings import apply_policies, apply_settings, policies_checked, policy_rows, setting_rows
from consumers.state.reading import opened_state
from models.manifest import read_manifest
from tests.cells.small_cells import rules
from tests.two_cells import two_cells

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.embedded import Broker
    from models.manifest import Manifest


@pytest.fixture
def settings(broker: Broker, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    return two_cells(broker, redis_url, tmp_path, request.node.name)


def topic(settings: Settings) -> str:
    return cell_log_topic(settings, read_manifest_of(settings).bundle_id)


def read_manifest_of(settings: Settings) -> Manifest:
    return read_manifest(find_bundle(settings.bundle))


def begin(settings: Settings, cell: int, position: int = 0) -> None:
    """A cell as its first owner leaves it in Redis."""
    with opened_state(settings) as (manifest, store):
        store.claim(cell, "owner")
        fold = Fold(fold_settings(settings, manifest), manifest, cell, position=position)
        store.write(cell, "owner", None, position, fold.first_changes(), b"")


def log_settings(settings: Settings, cell: int, *records: SettingsRecord) -> None:
    delivery = open_delivery(settings, "test")
    values = [cell_log.encode(record) for record in records]
    delivery.deliver([Outgoing(topic(settings), None, value, partition=cell) for value in values])
    delivery.close()


def logged(settings: Settings) -> list[tuple[int, SettingsRecord]]:
    found = [(m.partition() or 0, cell_log.decode(m.value() or b"")) for m in read_topic(settings, topic(settings))]
    records = [(cell, record) for cell, record in found if isinstance(record, SettingsRecord)]
    return sorted(records, key=lambda found: found[0])


def write(folder: Path, version: int, *policies: str) -> Path:
    path = folder / f"policies-{version}.toml"
    path.write_text(f'schema = "shoal.policies/1"\nversion = {version}\n' + "\n".join(policies))
    return path


SCAM = '[[policies]]\nname = "scam"\npromote = 0.8'
HARSH = '[[policies]]\nname = "scam"\npromote = 0.9'


def apply(settings: Settings, path: Path, *, dry_run: bool = False) -> list[str]:
    return [str(finding) for finding in apply_policies(settings, path, actor="ada", dry_run=dry_run)]


def with_join(settings: Settings, join: float) -> FoldSettings:
    other = settings.model_copy(update={"assign": settings.assign.model_copy(update={"join": join})})
    return fold_settings(other, read_manifest_of(settings))


def test_what_is_in_force_is_what_redis_and_the_log_after_it_say(settings: Settings) -> None:
    first, second, third = (with_join(settings, join) for join in (0.6, 0.7, 0.8))
    assert settings_in_force(settings) == [fold_settings(settings, read_manifest_of(settings))] * 2, "nobody began"
    log_settings(settings, 0, SettingsRecord(time=0, settings=first, first=True))
    assert settings_in_force(settings)[0] == first
    log_settings(settings, 0, SettingsRecord(time=0, settings=second))
    assert settings_in_force(settings)[0] == second
    begin(settings, 0, position=2)
    assert settings_in_force(settings)[0] == fold_settings(settings, read_manifest_of(settings))
    log_settings(settings, 0, SettingsRecord(time=0, settings=third))
    log_settings(settings, 0, SettingsRecord(time=0, settings=first, first=True))
    assert settings_in_force(settings)[0] == third, "what a first owner writes down changes nothing"


def test_policies_are_one_record_in_every_log_and_the_rest_stays(settings: Settings, tmp_path: Path) -> None:
    log_settings(settings, 1, SettingsRecord(time=0, settings=with_join(settings, 0.6), first=True))
    told = apply(settings, write(tmp_path, 1, SCAM))
    assert told == [
        "cells 0,1: policies_version 0 -> 1",
        "cells 0,1: policy scam: added",
        "policies version 1: in the log of 2 cell(s), in force from there on",
    ]
    written = [(cell, record) for cell, record in logged(settings) if not record.first]
    assert [(cell, record.actor, record.settings.policies_version) for cell, record in sorted(written)] == [
        (0, "ada", 1),
        (1, "ada", 1),
    ]
    after = settings_in_force(settings)
    assert [found.rule("scam").promote for found in after] == [0.8, 0.8]
    assert [found.join for found in after] == [0.75, 0.6]
    [row, _other, *rest] = policy_rows(settings)
    assert (row["cells"], row["version"], row["policy"], rest) == ("0,1", 1, "scam", [])


def test_what_is_in_force_is_not_written_again(settings: Settings, tmp_path: Path) -> None:
    apply(settings, write(tmp_path, 2, SCAM))
    before = logged(settings)
    assert apply(settings, write(tmp_path, 2, SCAM)) == [
        "policies version 2: in force in every cell; nothing to change"
    ]
    assert logged(settings) == before


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_that_is_not_higher_is_refused(settings: Settings, tmp_path: Path, version: int) -> None:
    apply(settings, write(tmp_path, 2, SCAM))
    before = logged(settings)
    with pytest.raises(CheckError, match=r"version 2 is in force in cell 0.* above 2"):
        apply(settings, write(tmp_path, version, HARSH))
    assert logged(settings) == before
    assert "policy scam: promote 0.8 -> 0.9" in "".join(apply(settings, write(tmp_path, 3, HARSH)))


def test_cells_that_another_version_folds_are_left_alone(settings: Settings, tmp_path: Path) -> None:
    other = msgspec.structs.replace(with_join(settings, 0.6), fold=FOLD + 1)
    log_settings(settings, 1, SettingsRecord(time=0, settings=other, first=True))
    with pytest.raises(CheckError, match=r"cell 1: .* version"):
        apply(settings, write(tmp_path, 1, SCAM))
    with pytest.raises(CheckError, match=r"cell 1: .* version"):
        list(apply_settings(settings, actor="ada", dry_run=False))
    assert len(logged(settings)) == 1


def test_a_dry_run_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    told = apply(settings, write(tmp_path, 1, SCAM), dry_run=True)
    assert told[-1] == "policies version 1: would change as told; nothing was written"
    assert logged(settings) == []


def test_a_policy_that_stands_there_twice_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="policy scam: stands there twice"):
        apply(settings, write(tmp_path, 1, SCAM, HARSH))


@pytest.mark.parametrize("line", ['required = ["audio"]', 'alone = "audio"\nexemplar = 0.9'])
def test_policies_about_modalities_that_the_bundle_has_not_are_refused(
    settings: Settings, tmp_path: Path, line: str
) -> None:
    path = write(tmp_path, 1, SCAM, line)
    for call in (lambda: apply(settings, path), lambda: policies_checked(settings, path)):
        with pytest.raises(SettingsError, match="policy scam: the bundle has no modality audio; it has text, image"):
            call()
    assert logged(settings) == []


def test_the_settings_given_are_put_in_force_and_the_policies_of_a_file_stay(
    settings: Settings, tmp_path: Path
) -> None:
    apply(settings, write(tmp_path, 4, SCAM))
    given = settings.model_copy(update={"assign": Assign(cells=2, join=0.8)})
    assert [str(finding) for finding in apply_settings(given, actor="ada", dry_run=False)] == [
        "cells 0,1: join 0.75 -> 0.8",
        "settings: in the log of 2 cell(s), in force from there on",
    ]
    assert {(found.join, found.policies_version) for found in settings_in_force(settings)} == {(0.8, 4)}
    [join] = [row for row in setting_rows(settings) if row["setting"] == "join"]
    assert join == {"setting": "join", "in force": 0.8, "own": 0.75}
    both = given.model_copy(update={"policies": (Policy(name="scam"),)})
    with pytest.raises(CheckError, match="has the policies of a file"):
        list(apply_settings(both, actor="ada", dry_run=False))


def test_a_worker_is_not_warned_of_policies_that_come_from_a_file() -> None:
    own = rules()
    in_force = rules(Policy(name="scam"))
    assert list(changes(in_force, with_own(in_force, own))) == ["policy scam: removed"]
    from_file = msgspec.structs.replace(in_force, policies_version=2)
    assert list(changes(from_file, with_own(from_file, own))) == []
    other = rules(Policy(name="spam"))
    assert len(list(changes(from_file, with_own(from_file, other)))) == 3
