"""The values: described, closed against typing errors, and in step with what they set."""

from __future__ import annotations

import json
import re
from itertools import groupby
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from consumers.alerting.settings import Alert
from consumers.bundles import find_bundle
from consumers.settings import load_settings
from models.manifest import read_manifest
from tests.chart.helm import CHART, one, refusal, rendered, run
from tests.chart.values_schema import FILE, text_of, with_generated
from tests.servers import ROOT
from tests.test_docs import CODE, unknown_setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads(FILE.read_text())


def objects_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object, with where it stands."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" or isinstance(schema.get("properties"), dict):
            yield path, schema
        for name, inner in schema.items():
            named = inner if name in {"properties", "definitions"} else {"": inner}
            for key, one in named.items():
                yield from objects_of(one, f"{path}/{name}/{key}".rstrip("/"))
    elif isinstance(schema, list):
        for number, inner in enumerate(schema):
            yield from objects_of(inner, f"{path}/{number}")


def test_every_object_of_the_schema_takes_no_unknown_key() -> None:
    free = {path for path, schema in objects_of(SCHEMA) if "additionalProperties" not in schema}
    # what belongs to charts around this one, and a field of Kubernetes that takes anything
    assert free == {"/properties/global", "/definitions/kubernetes.FieldsV1"}


def test_the_generated_part_of_the_schema_is_what_settings_and_kubernetes_say_now() -> None:
    assert FILE.read_text() == text_of(with_generated(SCHEMA)), "run make chart-files"


def differences(values: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Keys that only the values or only the schema have."""
    properties = schema.get("properties")
    if not isinstance(values, dict) or properties is None:
        return
    for name in values.keys() ^ properties.keys():
        yield f"{path}.{name}"
    for name in values.keys() & properties.keys():
        yield from differences(values[name], properties[name], f"{path}.{name}")


def test_values_and_schema_have_the_same_keys() -> None:
    assert list(differences(VALUES, SCHEMA)) == [".global"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"encoed": {}}, "encoed"),
        ({"encode": {"gpu": {"resource": "x"}}}, "resource"),
        ({"settings": {"assign": {"cell": 2}}}, "cell"),
        ({"settings": {"assign": {"cells": 3}}}, "cells"),
        ({"settings": {"kafka": {"bootstrap_servers": "elsewhere:9092"}}}, "bootstrap_servers"),
        ({"settings": {"policies": [{"nam": "scam"}]}}, "nam"),
        ({"encode": {"tolerations": [{"kee": "x"}]}}, "kee"),
        ({"encode": {"resources": {"limit": {}}}}, "limit"),
        ({"assign": {"affinity": {"nodeAffinity": {"required": {}}}}}, "required"),
        ({"podSecurityContext": {"runAsRoot": True}}, "runAsRoot"),
        ({"bundle": {"source": "s3"}}, "source"),
        ({"bundle": {"objectStore": {"manifestSha256": "abc"}}}, "manifestSha256"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"encode": {"replicas": "three"}}, "replicas"),
        ({"networkPolicy": {"egress": {"everything": {}}}}, "everything"),
        ({"rebuild": {"cells": ["all"]}}, "cells"),
        ({"settings": {"partitions": {"posts": 8}}}, "partitions"),
        ({"topics": {"extraEnv": [{"nam": "X"}]}}, "nam"),
        ({"encode": {"gpu": {"provider": "rocm"}}}, "provider"),
    ],
)
def test_a_typing_error_is_refused_by_its_place(values: dict[str, Any], reason: str) -> None:
    told = refusal(values)
    assert "values don't meet the specifications of the schema" in told
    assert reason in told


def test_the_default_bundle_is_the_one_that_comes_with_shoal() -> None:
    assert VALUES["bundle"]["id"] == read_manifest(find_bundle(VALUES["bundle"]["name"])).bundle_id


def test_every_value_is_described() -> None:
    described = {
        line.split("|")[1].strip()
        for line in (CHART / "README.md").read_text().splitlines()
        if line.startswith("| ") and not line.rstrip().endswith("|  |")
    }
    missing = [path for path in leaves(VALUES) if not any(covers(name, path) for name in described)]
    assert missing == []


def test_every_value_that_the_page_names_exists() -> None:
    sections = "|".join(name for name in VALUES)
    spans = CODE.findall((ROOT / "docs" / "helm.md").read_text())
    named = [span.partition(":")[0] for span in spans if re.match(rf"({sections})(\.[A-Za-z_]+)+(:|$)", span)]
    assert len(named) > 20
    assert [name for name in named if unknown_value(name)] == []
    assert unknown_value("settings.assign.cell")
    assert unknown_value("encode.gpus.enabled")


def unknown_value(name: str) -> bool:
    section, *keys = name.split(".")
    if section == "settings":
        return unknown_setting(".".join(keys))
    held = VALUES[section]
    for key in keys:
        if not isinstance(held, dict) or key not in held:
            return True
        held = held[key]
    return False


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        place = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict) and value:
            yield from leaves(value, place)
        else:
            yield place


def covers(described: str, path: str) -> bool:
    return path == described or path.startswith(f"{described}.")


def test_the_readme_is_made_from_the_values() -> None:
    done = run(
        "helm-docs", "--chart-search-root", "helm", "--sort-values-order", "file", "--dry-run", "--log-level", "error"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (CHART / "README.md").read_text().strip(), "run make chart-files"


def examples() -> list[str]:
    """The examples in the comments of values.yaml: what is indented by three."""
    lines = [line.strip() for line in (CHART / "values.yaml").read_text().splitlines()]
    blocks = groupby(lines, lambda line: line.startswith("#   "))
    return [dedent("\n".join(line.removeprefix("#") for line in block)) for indented, block in blocks if indented]


def example(begins: str) -> str:
    """The first that begins so."""
    return next(block for block in examples() if block.startswith(begins))


PIECES = [block for block in examples() if block.partition(":")[0] in VALUES]
"""Those that are pieces of a values file."""


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.split()[0].rstrip(":"))
def test_every_example_is_taken_and_makes_a_difference(piece: str, tmp_path: Path) -> None:
    objects = rendered(yaml.safe_load(piece))
    assert objects != rendered()
    (tmp_path / "shoal.toml").write_text(one(objects, "ConfigMap", "settings")["data"]["shoal.toml"])
    load_settings(tmp_path / "shoal.toml")


def test_there_is_an_example_of_everything_that_is_hard_to_guess() -> None:
    told = "\n".join(PIECES)
    for words in ("SCRAM", "OAUTHBEARER", "clientSecret", "rediss://", "mig-", "tensorrt", "keda", "manifestSha256"):
        assert words in told
    assert {name for block in PIECES for name in yaml.safe_load(block)} >= VALUES.keys() - UNTOLD


UNTOLD = {
    "nameOverride", "fullnameOverride", "commonLabels", "commonAnnotations", "extraObjects", "podSecurityContext",
    "securityContext", "revisionHistoryLimit", "temporary", "probes", "topologySpread", "route", "topics",
}  # fmt: skip
"""Values whose description is enough."""


def test_the_example_of_settings_is_taken(tmp_path: Path) -> None:
    given = yaml.safe_load(example("settings:\n  kafka:"))
    assert given["settings"].keys() >= {"assign", "policies", "media", "snapshots"}
    (tmp_path / "shoal.toml").write_text(one(rendered(given), "ConfigMap", "settings")["data"]["shoal.toml"])
    assert load_settings(tmp_path / "shoal.toml").policies[0].name == "scam"


def test_the_example_of_channels_is_taken() -> None:
    channels = Alert.model_validate({"channels": json.loads(example("[{").replace("whsec_...", "c2VjcmV0"))}).channels
    assert [channel.webhook is not None for channel in channels] == [True, False]


def test_the_example_of_the_network_names_all_peers() -> None:
    given = yaml.safe_load(example("networkPolicy:"))
    policies = [each for each in rendered(given) if each["kind"] == "NetworkPolicy"]
    assert policies
    for policy in policies:
        assert all(rule["to"] for rule in policy["spec"]["egress"])
