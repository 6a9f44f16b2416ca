"""The real helm and its kin, as `make chart-tools` installs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.servers import ROOT, Missing

CHART = ROOT / "helm" / "shoal"
VALUES = ROOT / "tests" / "chart" / "values"
TOOLS = ROOT / "build" / "tools"
NEWEST = "1.37.2"
RELEASE = "night"
CHANNELS = (VALUES / "channels.json").read_text()
"""What the secret that alert.existingSecret names holds."""

SECONDS = 120


def tool(name: str) -> str:
    """The program `name`, ours or the system's.

    Raises:
        Missing: there is neither.
    """
    own = TOOLS / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise Missing(f"no {name}: run make chart-tools")
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tools."""
    return subprocess.run(
        [tool(command[0]), *command[1:]], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=ROOT
    )


def template(*options: str, kubernetes: str = NEWEST) -> subprocess.CompletedProcess[str]:
    """`helm template` of the chart."""
    return run("helm", "template", RELEASE, str(CHART), "--kube-version", kubernetes, *options)


def refusal(values: dict[str, Any]) -> str:
    """Why helm refuses these values."""
    done = template(*_given(json.dumps(values)))
    assert done.returncode != 0, done.stdout
    return done.stderr


def rendered(values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The objects that the chart makes of these values."""
    return _rendered(json.dumps(values or {}))


@cache
def _rendered(values: str) -> list[dict[str, Any]]:
    done = template(*_given(values))
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def one(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The only object of a kind whose name ends so."""
    found = [
        each
        for each in objects
        if each["kind"] == kind and each["metadata"]["name"].endswith(f"-{name}" if name else "")
    ]
    assert len(found) == 1, [each["metadata"]["name"] for each in found]
    return found[0]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The specification of every pod, by its component."""
    return {name: pod["spec"] for name, pod in templates(objects).items()}


def templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The template of every pod, by its component."""
    found = {}
    for each in objects:
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "containers" in spec.get("template", {}).get("spec", {}):
            found[each["metadata"]["labels"]["app.kubernetes.io/component"]] = spec["template"]
    return found


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """A container's variables: their values, or from where they come."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


_folder = tempfile.TemporaryDirectory(prefix="shoal-values-")


@cache
def _given(values: str) -> tuple[str, ...]:
    """The options that give these values; a file, for JSON is YAML."""
    path = Path(_folder.name) / f"{len(list(Path(_folder.name).iterdir()))}.yaml"
    path.write_text(values)
    return ("--values", str(path))
