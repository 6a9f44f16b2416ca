from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from consumers.settings import Policy, Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for variable in list(os.environ):
        if variable.startswith("SHOAL_"):
            monkeypatch.delenv(variable)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shoal.toml"
    path.write_text('bundle = "from-file"\n[kafka]\ngroup = "from-file"\nbootstrap_servers = "from-file:1"\n')
    return path


def test_flags_win_over_environment_over_file_over_defaults(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KAFKA__GROUP", "from-environment")
    monkeypatch.setenv("SHOAL_BUNDLE", "from-environment")
    settings = load_settings(file, {"bundle": "from-flags"})
    assert settings.bundle == "from-flags"
    assert settings.kafka.group == "from-environment"
    assert settings.kafka.bootstrap_servers == "from-file:1"
    assert settings.kafka.delivery == "transactions"


def test_two_settings_point_it_at_an_existing_kafka_and_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KAFKA__BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("SHOAL_REDIS__URL", "rediss://state:6380/1")
    settings = load_settings()
    assert (settings.kafka.bootstrap_servers, settings.redis.url) == ("broker:9092", "rediss://state:6380/1")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"kafka": {"grup": "x"}}, "kafka.grup"),
        ({"redis": {"url": "http://localhost"}}, "redis.url"),
        ({"assign": {"cells": 3}}, "assign.cells"),
        ({"encode": {"batch_posts": 0}}, "encode.batch_posts"),
        ({"policies": [{"name": "No Spaces"}]}, "policies.0.name"),
        ({"nothing": 1}, "nothing"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(flags: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        load_settings(None, flags)
    assert "\n" not in str(caught.value)


def test_a_misspelt_environment_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KAFAK__GROUP", "x")
    with pytest.raises(SettingsError, match="SHOAL_KAFAK__GROUP"):
        load_settings()


def test_variables_of_the_tests_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_REQUIRE", "all")
    monkeypatch.setenv("SHOAL_TEST_KAFKA", "localhost:1")
    assert load_settings().model_dump() == Settings().model_dump()


def test_a_property_of_librdkafka_from_the_environment_joins_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shoal.toml"
    file.write_text('[kafka.properties]\n"security.protocol" = "SASL_SSL"\n')
    monkeypatch.setenv("SHOAL_KAFKA__PROPERTIES__sasl.password", 'a"b$(c)')
    found = load_settings(file).kafka.properties
    assert found == {"security.protocol": "SASL_SSL", "sasl.password": 'a"b$(c)'}


def test_policies_can_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_POLICIES", '[{"name": "scam", "severity": "high"}]')
    assert load_settings().policies == (Policy(name="scam", severity="high"),)


def test_policies_that_are_not_json_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_POLICIES", "scam")
    with pytest.raises(SettingsError, match="policies"):
        load_settings()


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml"):
        load_settings(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("kafka = [")
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        load_settings(broken)


def test_settings_cannot_change_while_they_are_used() -> None:
    with pytest.raises(ValidationError):
        load_settings().kafka.group = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ({"alone": "image"}, "alone needs exemplar"),
        ({"alone": "image", "exemplar": 0.9, "together": True}, "alone looks at one modality"),
        ({"alone": "image", "exemplar": 0.9, "required": ["text"]}, "alone looks at one modality"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(policy: dict[str, object], what: str) -> None:
    with pytest.raises(SettingsError, match=what):
        load_settings(flags={"policies": [{"name": "scam"} | policy]})
