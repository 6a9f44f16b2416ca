"""The options that commands share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from consumers.options import AsJson, settings_from, with_settings
from consumers.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_setting_of_the_command_line_wins_over_environment_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shoal.toml"
    file.write_text('[kafka]\ngroup = "file"\nbootstrap_servers = "file:1"\n[redis]\nprefix = "file"\n')
    monkeypatch.setenv("SHOAL_KAFKA__GROUP", "environment")
    monkeypatch.setenv("SHOAL_REDIS__PREFIX", "environment")
    settings = settings_from(file, ["kafka.group=flag"])
    assert settings.kafka.group == "flag"
    assert settings.redis.prefix == "environment"
    assert settings.kafka.bootstrap_servers == "file:1"


def test_a_property_of_librdkafka_keeps_its_dots() -> None:
    settings = settings_from(None, ["kafka.properties.security.protocol=SSL", "kafka.properties.fetch.min.bytes=1"])
    assert settings.kafka.properties == {"security.protocol": "SSL", "fetch.min.bytes": "1"}


def test_lists_are_written_in_json_and_numbers_as_they_are() -> None:
    settings = settings_from(None, ['policies=[{"name": "scam", "together": true}]', "encode.batch_posts=8"], "mine")
    assert settings.policies[0].together
    assert settings.encode.batch_posts == 8
    assert settings.bundle == "mine"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("kafka.group", "KEY=VALUE"),
        ("=1", "KEY=VALUE"),
        ("kafka.nonsense=1", "kafka.nonsense"),
        ("nonsense=1", "nonsense"),
        ("encode.batch_posts=many", "encode.batch_posts"),
        ("policies=[1", "not JSON"),
        ("redis.url=http://localhost", "redis.url"),
        ("bundle.x=1", "bundle"),
    ],
)
def test_a_wrong_assignment_names_the_setting(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        settings_from(None, [assignment])
    assert "\n" not in str(caught.value)


def options_of(app: typer.Typer) -> list[str]:
    told = CliRunner().invoke(app, ["--help"])
    assert told.exit_code == 0
    return re.findall(r"(--[a-z-]+)", told.stdout.partition("Options")[2])


def test_a_command_gets_settings_made_of_its_shared_options(tmp_path: Path) -> None:
    given: list[tuple[Settings, str, int, bool]] = []
    app = typer.Typer(add_completion=False)

    @app.command()
    @with_settings()
    def command(settings: Settings, place: str, *, limit: int = 3, as_json: AsJson = False) -> None:
        """What the command does."""
        given.append((settings, place, limit, as_json))

    file = tmp_path / "shoal.toml"
    file.write_text('[kafka]\ngroup = "file"\n')
    arguments = ["here", "--config", str(file), "--set", "redis.prefix=flag", "--bundle", "other", "--json"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    [(settings, place, limit, as_json)] = given
    assert (settings.kafka.group, settings.redis.prefix, settings.bundle) == ("file", "flag", "other")
    assert (place, limit, as_json) == ("here", 3, True)
    assert options_of(app) == ["--limit", "--bundle", "--config", "--set", "--json", "--help"]
    assert "What the command does." in CliRunner().invoke(app, ["--help"]).stdout


def test_a_command_that_needs_no_bundle_does_not_ask_for_one() -> None:
    app = typer.Typer(add_completion=False)

    @app.command()
    @with_settings(bundle=False)
    def command(settings: Settings) -> None:
        assert settings.bundle == settings_from(None, []).bundle

    assert CliRunner().invoke(app, []).exit_code == 0
    assert CliRunner().invoke(app, ["--bundle", "other"]).exit_code == 2
    assert options_of(app) == ["--config", "--set", "--help"]
