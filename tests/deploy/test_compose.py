"""compose.yaml keeps to the compose schema, names what is there, and gives workers what they need and no more."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml

from consumers.run import ALERT, CONSUMERS
from consumers.settings import PREFIX, load_settings
from tests.monitoring import DEPLOY

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if service["image"].startswith("shoal:")}
SCRAPED = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())


def test_it_keeps_to_the_schema_of_compose() -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text()))


def test_the_schema_finds_what_is_wrong() -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    wrong = COMPOSE | {"services": SERVICES | {"encode": SERVICES["encode"] | {"comand": []}}}
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validate(wrong, json.loads(schema.read_text()))


def test_every_image_of_others_is_pinned() -> None:
    for name, service in SERVICES.items():
        if name not in WORKERS:
            assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), name


def test_every_consumer_has_a_service_and_is_scraped() -> None:
    commands = [service["command"] for service in WORKERS.values()]
    assert {command[-1] for command in commands if command[0] == "run"} == {*CONSUMERS, ALERT}
    [scrape] = SCRAPED["scrape_configs"]
    targets = {target.partition(":")[0] for one in scrape["static_configs"] for target in one["targets"]}
    assert targets == {name for name, service in WORKERS.items() if service["command"][0] == "run"}


def test_workers_are_given_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in WORKERS.values():
        for variable, value in service["environment"].items():
            assert variable.startswith(PREFIX)
            # one without a value is taken from whoever starts it
            monkeypatch.setenv(variable, "[]" if value is None else str(value))
    settings = load_settings()
    assert settings.kafka.bootstrap_servers.partition(":")[0] in SERVICES
    assert settings.redis.url.removeprefix("redis://").partition(":")[0] in SERVICES


@pytest.mark.parametrize("name", sorted(WORKERS))
def test_a_worker_can_write_nothing_and_has_no_rights(name: str) -> None:
    service = WORKERS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_is_mounted_is_there_and_read_only() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source, _, mode = mount.split(":")[0], mount.split(":")[1], mount.split(":")[2:]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), mount
                assert mode == ["ro"], mount
            else:
                assert source in COMPOSE["volumes"], mount


def test_only_this_machine_is_answered() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_grafana_finds_the_dashboards_and_prometheus() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    [provider] = yaml.safe_load((folder / "dashboards" / "shoal.yaml").read_text())["providers"]
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"


def test_prometheus_and_alertmanager_find_their_files() -> None:
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["prometheus"]["volumes"])
    assert SCRAPED["rule_files"] == [f"{mounts['./prometheus/rules']}/*.yaml"]
    routed = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yaml").read_text())
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["alertmanager"]["volumes"])
    assert routed["templates"] == [mounts["./alertmanager/shoal.tmpl"].replace("shoal", "*")]
    key = routed["receivers"][0]["pagerduty_configs"][0]["routing_key_file"]
    assert key.startswith(mounts["./alertmanager/secrets"])
    [alerting] = SCRAPED["alerting"]["alertmanagers"]
    assert alerting["static_configs"][0]["targets"] == ["alertmanager:9093"]
