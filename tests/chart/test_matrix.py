"""The chart with several sets of values, through the tools that a platform team uses."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from consumers.names import encode_group
from consumers.settings import Settings, load_settings
from tests.chart.helm import CHANNELS, CHART, NEWEST, VALUES, environment, one, pods, rendered, run, template
from tests.chart.schemas import KUBERNETES, lay_out
from tests.chart.test_values import PIECES
from tests.test_docs import unknown_word

if TYPE_CHECKING:
    from pathlib import Path

MATRIX = sorted(VALUES.glob("*.yaml"))
SECRETS = {"SHOAL_REDIS__URL": "redis://from-a-secret/0", "SHOAL_ALERT__CHANNELS": CHANNELS}
"""What secrets hold, where not anything will do."""

each_values = pytest.mark.parametrize("path", MATRIX, ids=lambda path: path.stem)


def values_of(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas of Kubernetes, KEDA and the Prometheus operator, as kubeconform looks for them."""
    folder = tmp_path_factory.mktemp("schemas")
    lay_out(folder)
    return folder


def conform(schemas: Path, kubernetes: str, *manifests: Path) -> tuple[int, str]:
    place = f"{schemas}/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    options = ("-strict", "-summary", "-kubernetes-version", kubernetes, "-schema-location", place)
    done = run("kubeconform", *options, *map(str, manifests))
    return done.returncode, done.stdout + done.stderr


@each_values
def test_helm_lints_it_strictly(path: Path) -> None:
    done = run("helm", "lint", "--strict", "--kube-version", NEWEST, "--values", str(path), str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_kubernetes_keda_and_the_prometheus_operator_take_all_of_it(
    kubernetes: str, schemas: Path, tmp_path: Path
) -> None:
    examples = [tmp_path / f"example-{number}.yaml" for number in range(len(PIECES))]
    for path, piece in zip(examples, PIECES, strict=True):
        path.write_text(piece)
    manifests = []
    for path in [*MATRIX, *examples]:
        done = template("--values", str(path), kubernetes=kubernetes)
        assert done.returncode == 0, done.stderr
        manifests.append(tmp_path / f"made-of-{path.name}")
        manifests[-1].write_text(done.stdout)
    code, told = conform(schemas, kubernetes, *manifests)
    assert code == 0, told
    assert "Invalid: 0, Errors: 0, Skipped: 0" in told


def test_a_misspelt_field_does_not_conform(schemas: Path, tmp_path: Path) -> None:
    deployment = one(rendered(), "Deployment", "encode")
    for number, name in enumerate(("replicas", "replica")):
        manifest = tmp_path / f"{number}.yaml"
        manifest.write_text(yaml.safe_dump(deployment | {"spec": deployment["spec"] | {name: 1}}))
        assert (conform(schemas, NEWEST, manifest)[0] == 0) == (name == "replicas")


@each_values
def test_every_file_and_variable_of_settings_is_one_that_shoal_takes(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = rendered(values_of(path))
    settings = settings_of(objects, tmp_path)
    assert settings.http.port == 9108
    for variable in [name for name in os.environ if name.startswith("SHOAL_")]:
        monkeypatch.delenv(variable)
    for component, pod in pods(objects).items():
        with monkeypatch.context() as patched:
            for name, value in environment(pod["containers"][0]).items():
                if name.startswith("SHOAL_") and name != "SHOAL_CONFIG":
                    patched.setenv(name, value if isinstance(value, str) else SECRETS.get(name, "a secret"))
            found = load_settings(tmp_path / "shoal.toml")
            assert component != "alert" or found.alert.channels


def test_settings_arrive_as_they_were_given(tmp_path: Path) -> None:
    given = values_of(VALUES / "gpu-keda.yaml")["settings"]
    objects = rendered(values_of(VALUES / "gpu-keda.yaml"))
    settings = settings_of(objects, tmp_path)
    assert settings.kafka.properties["client.id"] == 'a<b> "c" \\d'
    assert settings.kafka.properties["fetch.wait.max.ms"] == 100
    assert settings.kafka.properties["socket.keepalive.enable"] is True
    assert settings.assign.half_life_seconds is None
    held = tomllib.loads((tmp_path / "shoal.toml").read_text())
    for section in ("limits", "media", "snapshots", "topics"):
        assert held[section] == given[section]
    assert held["policies"] == given["policies"]
    assert held["assign"] == {"cells": 4, "join": 0.8}


def test_keda_looks_at_the_group_and_the_topic_that_encode_reads(tmp_path: Path) -> None:
    values = values_of(VALUES / "gpu-keda.yaml")
    objects = rendered(values)
    settings = settings_of(objects, tmp_path)
    [trigger] = one(objects, "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == encode_group(settings, values["bundle"]["id"])
    assert trigger["metadata"]["topic"] == settings.topics.posts == "incoming"


@each_values
def test_every_command_of_a_pod_is_one_of_shoal(path: Path) -> None:
    for pod in pods(rendered(values_of(path))).values():
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            words = [argument.partition("=")[0] for argument in container["args"]]
            assert unknown_word(words) is None, container["args"]


@each_values
def test_every_pod_is_locked_down(path: Path) -> None:
    for pod in pods(rendered(values_of(path))).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@each_values
def test_every_pod_has_the_volumes_that_it_mounts_and_mounts_all_that_it_has(path: Path) -> None:
    for pod in pods(rendered(values_of(path))).values():
        mounted = {
            mount["name"]
            for container in [*pod.get("initContainers", []), *pod["containers"]]
            for mount in container["volumeMounts"]
        }
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@each_values
def test_names_are_unique_and_short_enough(path: Path) -> None:
    objects = rendered(values_of(path))
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    assert max(len(name) for _, name in names) <= 63


def settings_of(objects: list[dict[str, Any]], folder: Path) -> Settings:
    """The settings that the pods will read."""
    file = folder / "shoal.toml"
    file.write_text(one(objects, "ConfigMap", "settings")["data"]["shoal.toml"])
    return load_settings(file)
