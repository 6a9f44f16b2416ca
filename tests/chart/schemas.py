"""The schemas of what the chart renders: facts about public APIs, taken from the modules that define them.

`python -m tests.chart.schemas` writes tests/chart/apis/ anew from the Go module proxy. Only what the chart uses is
kept, without its descriptions, and closed: a field that an API does not know is an error.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent / "apis"
LICENCE = "Apache-2.0"

CORE = {
    "Deployment": "apps/v1",
    "CronJob": "batch/v1",
    "Job": "batch/v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
INTEGER_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
NUMBER_OR_STRING = {"anyOf": [{"type": "number"}, {"type": "string"}]}
KEPT = {
    "$ref", "additionalProperties", "allOf", "anyOf", "enum", "format", "items", "maxItems", "maxLength", "maximum",
    "minItems", "minLength", "minimum", "not", "oneOf", "pattern", "properties", "required", "type",
}  # fmt: skip
"""Keywords that say what is valid."""


@dataclass(frozen=True, slots=True)
class Source:
    """A Go module, and the files of it that define kinds."""

    module: str
    files: tuple[str, ...]


KUBERNETES = {
    "1.27.16": Source("k8s.io/kubernetes@v1.27.16", ("api/openapi-spec/swagger.json",)),
    "1.37.2": Source("k8s.io/kubernetes@v1.37.2", ("api/openapi-spec/swagger.json",)),
}
"""The oldest Kubernetes that the chart names, and the newest it is checked with."""

RESOURCES = {
    "keda": Source(
        "github.com/kedacore/keda/v2@v2.18.1",
        ("config/crd/bases/keda.sh_scaledobjects.yaml", "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    ),
    "prometheus-operator": Source(
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
            for kind in ("podmonitors", "servicemonitors", "prometheusrules")
        ),
    ),
}
"""What others add to Kubernetes."""


def closed(schema: Any) -> Any:
    """The schema without what does not say what is valid; objects take the fields they name and no other."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return INTEGER_OR_STRING
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            kept[name] = {field: closed(inner) for field, inner in value.items()}
        elif name in KEPT:
            kept[name] = [closed(one) for one in value] if isinstance(value, list) else closed(value)
    free = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not free:
        kept["additionalProperties"] = False
    return kept


def references(schema: Any) -> Iterator[str]:
    """The definitions that a schema names."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "$ref":
                yield value.rpartition("/")[2]
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def kubernetes_definitions(swagger: dict[str, Any]) -> dict[str, Any]:
    """Every kind of CORE, and every definition that it needs."""
    found: dict[str, Any] = {}
    waiting = [_definition(kind, version) for kind, version in CORE.items()]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = closed(swagger["definitions"][name])
            waiting += references(found[name])
    # a quantity may be written as a number
    found["io.k8s.apimachinery.pkg.api.resource.Quantity"] = NUMBER_OR_STRING
    return dict(sorted(found.items()))


def _definition(kind: str, version: str) -> str:
    group, _, number = f"core/{version}".rpartition("/")
    return f"io.k8s.api.{group.removeprefix('core/').partition('.')[0]}.{number}.{kind}"


def resource_definitions(resource: dict[str, Any]) -> dict[str, Any]:
    """The kind that a custom resource defines, in the version that is stored."""
    [version] = [one for one in resource["spec"]["versions"] if one["storage"]]
    kind, group = resource["spec"]["names"]["kind"], resource["spec"]["group"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return {f"{group}/{version['name']}/{kind}": schema}


def write_schemas() -> None:
    """Fetch the modules, and write a file for each."""
    FOLDER.mkdir(exist_ok=True)
    for version, source in KUBERNETES.items():
        swagger = json.loads((_module(source.module) / source.files[0]).read_text())
        definitions = kubernetes_definitions(swagger)
        kinds = {f"{place}/{kind}": _definition(kind, place) for kind, place in CORE.items()}
        _write(f"kubernetes-{version}", source, kinds, definitions)
    for name, source in RESOURCES.items():
        folder = _module(source.module)
        definitions = {}
        for file in source.files:
            definitions |= resource_definitions(yaml.safe_load((folder / file).read_text()))
        _write(name, source, {kind: kind for kind in definitions}, definitions)


def _write(name: str, source: Source, kinds: dict[str, str], definitions: dict[str, Any]) -> None:
    whole = {"source": source.module, "licence": LICENCE, "kinds": kinds, "definitions": definitions}
    (FOLDER / f"{name}.json").write_text(json.dumps(whole, indent=None, separators=(",", ":")) + "\n")


def _module(module: str) -> Path:
    done = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, check=True, timeout=600)
    return Path(json.loads(done.stdout)["Dir"])


def lay_out(folder: Path) -> None:
    """Write a file for each kind as kubeconform looks for them: `<version>/<kind>-<group>-<version>.json`."""
    for version in KUBERNETES:
        target = folder / f"v{version}"
        target.mkdir(parents=True)
        for name in (f"kubernetes-{version}", *RESOURCES):
            held = json.loads((FOLDER / f"{name}.json").read_text())
            for place, definition in held["kinds"].items():
                group, _, kind = place.rpartition("/")
                suffix = "-".join(part.partition(".")[0] for part in group.split("/"))
                pointer = definition.replace("/", "~1")
                whole = {"$ref": f"#/definitions/{pointer}", "definitions": held["definitions"]}
                (target / f"{kind.lower()}-{suffix}.json").write_text(json.dumps(whole))


if __name__ == "__main__":
    write_schemas()
