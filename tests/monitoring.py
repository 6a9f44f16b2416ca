"""Prometheus and Alertmanager as the tests run them, and what rules and dashboards ask of them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prometheus_client
import promql_parser
import yaml

import consumers.metrics  # noqa: F401  # it registers them
from tests.servers import ROOT, Missing, free_port, started

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = ROOT / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yaml"))
INSTALLED = ROOT / "build" / "monitoring" / "usr" / "bin"
"""Where `make monitoring` puts what the system lacks."""

OF_THE_TARGET = {"namespace", "instance", "job"}
"""Labels that Prometheus gives to what it scrapes."""

OTHER_NAMES = {"alertmanager": "prometheus-alertmanager"}
"""Debian's."""


def tool(name: str) -> str:
    """The path of promtool, prometheus, amtool or alertmanager.

    Raises:
        Missing: this machine has none.
    """
    for one in (name, OTHER_NAMES.get(name, name)):
        found = shutil.which(one) or shutil.which(one, path=str(INSTALLED))
        if found:
            return found
    raise Missing(f"no {name}: run make monitoring, or install prometheus and prometheus-alertmanager")


def run_tool(name: str, *arguments: str | Path, folder: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    """Run one of them to its end."""
    return subprocess.run(
        [tool(name), *arguments], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )


def rules(kind: str) -> list[dict[str, Any]]:
    """Every rule of a kind (`alert` or `record`), over all files and groups."""
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that an expression reads, and the labels that it chooses them by."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name or "", {matcher.name for matcher in node.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


def labels_of(name: str) -> set[str]:
    """The labels of a sample that our metrics give."""
    collector: Any = prometheus_client.REGISTRY._names_to_collectors[name]
    own = set(collector._labelnames)
    return own | {"le"} if name.endswith("_bucket") else own


@contextmanager
def prometheus(config: dict[str, Any]) -> Iterator[str]:
    """The address of a Prometheus with this configuration."""
    with tempfile.TemporaryDirectory(prefix="shoal-prometheus-") as name:
        folder, port = Path(name), free_port()
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        command = [
            tool("prometheus"), f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with started(command, folder / "log", lambda: _answers(port)):
            yield f"127.0.0.1:{port}"


@contextmanager
def alertmanager(config: Path, folder: Path) -> Iterator[str]:
    """The address of an Alertmanager with this configuration."""
    port = free_port()
    command = [
        *_own_files(tool("alertmanager")), f"--config.file={config}", f"--storage.path={folder}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with started(command, folder / "alertmanager.log", lambda: _answers(port)):
        yield f"127.0.0.1:{port}"


def _own_files(program: str) -> list[str]:
    """The command that runs a program; one of INSTALLED finds its files below /usr/share, where they are not.

    It gets a view of the file system of its own, in which they are there too; that needs no root.
    """
    if Path(program).parent != INSTALLED:
        return [program]
    shown = f"mount -t overlay overlay -o lowerdir={INSTALLED.parent}/share:/usr/share /usr/share"
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{shown} && exec "$0" "$@"', program]


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2):
            return True
    except OSError:
        return False
