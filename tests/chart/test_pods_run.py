"""What the chart puts into pods, run as a kubelet would: commands, variables and settings, on a real Kafka and Redis.

Where a pod has volumes, this machine has folders: paths below /bundle and /etc/shoal are put into them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from standardwebhooks import Webhook

from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.settings import load_settings
from tests.alerting.flags import flag
from tests.alerting.receivers import receiver
from tests.bundles import write_tiny_bundle
from tests.chart.helm import environment, one, pods, rendered
from tests.chart.test_values import example
from tests.integration.platform import eventually
from tests.servers import free_port, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.alerting.receivers import Receiver

STORE = "s3://models/tiny/"
pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.timeout(600)]

PASSWORD = "p@ss/w%rd"  # a URL could not hold it as it is
SIGNED_WITH = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECONDS = 200


class Node:
    """A machine for pods.

    Attributes:
        objects: what helm rendered.
        folder: holds the volumes: `settings`, `bundle`.
        secrets: by name, then by key.
        server: where moderators are told.
    """

    server: Receiver

    def __init__(self, objects: list[dict[str, Any]], folder: Path, secrets: dict[str, dict[str, str]]) -> None:
        self.folder = folder
        self.secrets = secrets
        self.pods = pods(objects)
        for volume in ("settings", "bundle"):
            (folder / volume).mkdir()
        settings = one(objects, "ConfigMap", "settings")["data"]["shoal.toml"]
        (folder / "settings" / "shoal.toml").write_text(self.here(settings))

    def here(self, text: str) -> str:
        """Paths of a pod, and addresses of stores, as they are on this machine."""
        text = text.replace("/etc/shoal/settings", str(self.folder / "settings"))
        text = text.replace(STORE, f"file://{self.folder}/store/").replace(
            "s3://copies/", f"file://{self.folder}/copies/"
        )
        return text.replace("/bundle/", f"{self.folder}/bundle/")

    def command(self, container: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
        """A container's command and its environment, which holds nothing else of ours."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        for name, value in environment(container).items():
            key = value if isinstance(value, str) else value["secretKeyRef"]
            clean[name] = self.here(key) if isinstance(key, str) else self.secrets[key["name"]][key["key"]]
        arguments = [self.here(argument) for argument in container["args"]]
        return [sys.executable, "-m", "consumers.cli", *arguments], clean

    def done(self, container: dict[str, Any], *more: str) -> str:
        """Run a container that ends, with further arguments; gives what it printed."""
        command, variables = self.command(container)
        done = subprocess.run(
            [*command, *more], env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, component: str) -> Iterator[str]:
        """Run a worker until it is ready; gives what /readyz says. At the end it must end well."""
        [container] = self.pods[component]["containers"]
        port = free_port()
        command, variables = self.command(container)
        log = self.folder / f"{component}.log"
        with log.open("w") as file:
            process = subprocess.Popen(command, env=variables | {"SHOAL_HTTP__PORT": str(port)}, stderr=file)
        try:
            path = container["readinessProbe"]["httpGet"]["path"]
            yield eventually(lambda: probed(process, port, path, log), bool)
            process.terminate()
            assert process.wait(SECONDS) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def probed(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> str:
    """What the probe says once it is content."""
    assert process.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        time.sleep(0.1)
        return ""


@pytest.fixture(scope="module")
def node(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A machine on which the bundle has been fetched and the topics made, by what the chart has for that."""
    folder = tmp_path_factory.mktemp("node")
    bundle = write_tiny_bundle(folder / "store")
    mark = uuid.uuid4().hex[:8]
    topics = ("posts", "cells", "decisions", "flags", "verdicts", "dead_letters", "alerts")
    # no right to a channel: nothing is published
    _, _, _, *rights = example("ACL SETUSER").replace(">PASSWORD", f">{PASSWORD}").split()
    with receiver() as server, redis_server("--user", "worker", *rights) as url:
        values = {
            "kafka": {"bootstrapServers": kafka},
            "redis": {"url": url, "existingSecret": "redis-user", "usernameKey": "name"},
            "bundle": {"source": "objectStore", "id": bundle.bundle_id, "objectStore": {"url": STORE}},
            "settings": {
                "kafka": {"group": mark},
                "topics": {name: f"{mark}-{name}" for name in topics},
                "alert": {"links": {"console": "https://moderation.example/{campaign}"}},
            },
            "alert": {"enabled": True, "existingSecret": "channels", "channelsKey": "ours.json"},
            "topics": {"create": True},
            "encode": {"partitions": 6},
            "route": {"partitions": 2},
            "snapshot": {"enabled": True, "to": "s3://copies/"},
            "rebuild": {"cells": [0]},
        }
        channel = {"name": "console", "webhook": server.url, "secrets": [SIGNED_WITH]}
        secrets = {
            "redis-user": {"name": "worker", "password": PASSWORD},
            "channels": {"ours.json": json.dumps([channel])},
        }
        node = Node(rendered(values), folder, secrets)
        node.server = server
        [fetch] = node.pods["topics"]["initContainers"]
        node.done(fetch)
        node.done(node.pods["topics"]["containers"][0])
        yield node


@pytest.mark.parametrize(("component", "given"), [("encode", "6 partitions"), ("route", "2 partitions")])
def test_a_stateless_worker_becomes_ready_without_a_key_to_redis(node: Node, component: str, given: str) -> None:
    assert not [name for name in environment(node.pods[component]["containers"][0]) if "REDIS" in name]
    with node.running(component) as told:
        assert f"{component}: {given}" in told
        assert "encoder image: CPUExecutionProvider" in told


def test_the_job_of_helm_test_finds_all_that_a_worker_needs(node: Node) -> None:
    told = [json.loads(line) for line in node.done(node.pods["check"]["containers"][0], "--json").splitlines()]
    states = {finding["subject"]: finding["state"] for finding in told}
    assert states["redis"] == "good"
    assert "bad" not in states.values()


def test_an_owner_becomes_ready_and_the_jobs_about_its_cell_succeed(node: Node) -> None:
    with node.running("assign") as told:
        assert "cells owned: 0" in told
        for job in ("snapshot", "rebuild"):
            assert '"state":"good"' in node.done(node.pods[job]["containers"][0])
    assert list((node.folder / "copies").rglob("*.snapshot"))


def test_moderators_are_told_by_channels_of_a_secret(node: Node) -> None:
    settings = load_settings(node.folder / "settings" / "shoal.toml")
    with node.running("alert"):
        delivery = open_delivery(settings, "test")
        delivery.deliver([Outgoing(settings.topics.flags, b"key", msgspec.json.encode(flag(1)))])
        delivery.close()
        eventually(lambda: node.server.taken, bool)
    [request] = node.server.taken
    assert Webhook(SIGNED_WITH).verify(request.body, request.headers)
    assert request.notification.notices[0].links == {"console": "https://moderation.example/0-1"}
    assert "webhook" not in (node.folder / "alert.log").read_text()
