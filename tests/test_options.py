"""The options that every command shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.options import settings_from
from consumers.settings import SettingsError

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
