"""The generated part of values.schema.json: the settings of Shoal, and what Kubernetes takes as it is.

`python -m tests.chart.values_schema` writes it anew; the rest of that file is written by hand. So a misspelt setting,
or a misspelt toleration, is refused by helm before anything reaches a cluster.
"""

from __future__ import annotations

import json
from typing import Any

from consumers.settings import Settings
from tests.chart.schemas import FOLDER, KUBERNETES, references
from tests.servers import ROOT

FILE = ROOT / "helm" / "shoal" / "values.schema.json"

OURS = {
    "": ("bundle", "http", "partitions"),
    "Kafka": ("bootstrap_servers",),
    "Redis": ("url", "cluster", "username", "password"),
    "Encode": ("provider",),
}
"""Settings that other values of the chart set, by section."""

AS_IN_KUBERNETES = (
    "Affinity",
    "Container",
    "DeploymentStrategy",
    "EnvVar",
    "Lifecycle",
    "NetworkPolicyEgressRule",
    "NetworkPolicyIngressRule",
    "NetworkPolicyPeer",
    "PodSecurityContext",
    "ResourceRequirements",
    "SecurityContext",
    "Toleration",
    "Volume",
    "VolumeMount",
)
GENERATED = ("settings", "kubernetes")
"""How the names of generated definitions begin."""


def settings_definitions() -> dict[str, Any]:
    """`settings`, and `settings.<Section>` for each section; without what the chart sets itself."""
    whole = Settings.model_json_schema()
    sections = {"": {name: part for name, part in whole.items() if name != "$defs"}} | whole.get("$defs", {})
    for section, names in OURS.items():
        for name in names:
            del sections[section]["properties"][name]
    root = {f"settings.{name}".removesuffix("."): _renamed(part, "settings.") for name, part in sections.items()}
    return {name: root[name] for name in _reached(root, ["settings"])}


def kubernetes_definitions() -> dict[str, Any]:
    """`kubernetes.<Kind>` for what values hold as Kubernetes has it, and all that it needs."""
    held = json.loads((FOLDER / f"kubernetes-{list(KUBERNETES)[-1]}.json").read_text())["definitions"]
    renamed = {f"kubernetes.{_short(name)}": _renamed(part, "kubernetes.") for name, part in held.items()}
    reached = _reached(renamed, [f"kubernetes.{name}" for name in AS_IN_KUBERNETES])
    return {name: renamed[name] for name in sorted(reached)}


def _reached(definitions: dict[str, Any], waiting: list[str]) -> list[str]:
    found: list[str] = []
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            waiting += references(definitions[name])
    return sorted(found)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _renamed(schema: Any, prefix: str) -> Any:
    """The schema with references into `definitions`, and without titles and descriptions."""
    if isinstance(schema, list):
        return [_renamed(one, prefix) for one in schema]
    if not isinstance(schema, dict):
        return schema
    renamed: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "$ref":
            renamed[name] = f"#/definitions/{prefix}{_short(value.rpartition('/')[2])}"
        elif name == "properties":
            renamed[name] = {field: _renamed(inner, prefix) for field, inner in value.items()}
        elif name not in {"title", "description", "default", "format", "writeOnly"}:
            renamed[name] = _renamed(value, prefix)
    return renamed


def with_generated(schema: dict[str, Any]) -> dict[str, Any]:
    """The whole schema, its generated definitions made anew."""
    by_hand = {
        name: part for name, part in schema.get("definitions", {}).items() if name.partition(".")[0] not in GENERATED
    }
    return schema | {"definitions": by_hand | settings_definitions() | kubernetes_definitions()}


def text_of(schema: dict[str, Any]) -> str:
    """As the file holds it."""
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text_of(with_generated(json.loads(FILE.read_text()))))
