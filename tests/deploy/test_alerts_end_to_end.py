"""A real Prometheus scrapes a real worker; Redis is stopped: a page goes out, and is taken back after the fault."""

from __future__ import annotations

import json
import urllib.request
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from consumers.settings import Kafka, Redis
from tests.bundles import write_tiny_bundle
from tests.deploy.test_grafana import BOARDS, expressions
from tests.http_server import Response, http_server
from tests.integration.platform import Platform, eventually, make_topics, platform_settings, working
from tests.monitoring import DEPLOY, RULES, alertmanager, prometheus, rules, selectors, tool
from tests.redis_servers import own_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http_server import Request
    from tests.integration.platform import Worker
    from tests.redis_servers import RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.monitoring, pytest.mark.timeout(600)]

SHORTER = 60
"""Minutes of the rules are seconds here."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with own_redis("--maxmemory", "256mb") as server:
        yield server


@pytest.fixture(scope="module")
def worker(kafka: str, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with all consumers, which has decided a post."""
    folder = tmp_path_factory.mktemp("worker")
    write_tiny_bundle(folder / "tiny")
    settings = platform_settings(
        folder / "tiny", Kafka(bootstrap_servers=kafka), Redis(url=redis.url, timeout_seconds=1.0)
    )
    platform = Platform(settings)
    make_topics(platform)
    with working(settings, folder) as running:
        platform.publish({"post_id": "p-1", "caption": "hello"})
        platform.decided(1)
        yield running


@contextmanager
def pager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a service that takes events as PagerDuty does, and what it has taken."""
    taken: list[dict[str, Any]] = []

    def answer(request: Request) -> Response:
        taken.append(json.loads(request.body))
        return Response(HTTPStatus.ACCEPTED, body=b'{"status": "success"}')

    with http_server(answer) as address:
        yield f"{address}/", taken


def quick_rules(folder: Path) -> list[str]:
    """The rules of deploy/ with each `for` shortened, evaluated every second."""
    paths = []
    for file in RULES:
        content = yaml.safe_load(file.read_text())
        for group in content["groups"]:
            group["interval"] = "1s"
            for rule in group["rules"]:
                if "for" in rule:
                    waited = promql_parser.parse_duration(rule["for"]).total_seconds()
                    rule["for"] = f"{max(1, round(waited / SHORTER))}s"
        (folder / file.name).write_text(yaml.safe_dump(content))
        paths.append(str(folder / file.name))
    return paths


def quick_routes(folder: Path, url: str) -> Path:
    """The routes, receivers and templates of deploy/, with the pager's address, and hardly any waiting."""
    content = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yaml").read_text())
    key, password = folder / "key", folder / "password"
    key.write_text("key-of-the-test")
    password.write_text("none")
    content["global"] |= {"pagerduty_url": url, "smtp_auth_password_file": str(password)}
    content["templates"] = [str(DEPLOY / "alertmanager" / "*.tmpl")]
    for receiver in content["receivers"]:
        for service in receiver.get("pagerduty_configs", []):
            service["routing_key_file"] = str(key)
    for route in content["route"]["routes"]:
        if route["receiver"] == "pager":
            route |= {"group_wait": "100ms", "group_interval": "1s"}
    path = folder / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@contextmanager
def watching(worker: Worker, alerts: str, folder: Path) -> Iterator[str]:
    """A Prometheus that scrapes the worker and sends its alerts there; gives its address."""
    [served] = worker.events("serving")
    target = {"targets": [f"127.0.0.1:{served['port']}"], "labels": {"namespace": "test"}}
    config = {
        "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
        "rule_files": quick_rules(folder),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alerts]}]}]},
        "scrape_configs": [{"job_name": "shoal", "static_configs": [target]}],
    }
    with prometheus(config) as address:
        yield address


def asked(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{address}/api/v1/{path}", timeout=30) as answer:
        return json.load(answer)["data"]


def test_a_worker_shows_every_metric_that_rules_and_dashboards_ask_for(worker: Worker) -> None:
    shown: set[str] = set()
    for family in text_string_to_metric_families(worker._get("/metrics") or ""):
        shown |= {family.name, *(sample.name for sample in family.samples)}
        if family.type == "counter":
            shown.add(f"{family.name}_total")
        elif family.type == "histogram":
            shown |= {f"{family.name}_{end}" for end in ("bucket", "sum", "count")}
    recorded = {rule["record"] for rule in rules("record")}
    texts = [rule["expr"] for kind in ("alert", "record") for rule in rules(kind)]
    texts += [text for path in BOARDS for text in expressions(json.loads(path.read_text()))]
    asked_for = {name for text in texts for name, _ in selectors(text)} - recorded - {"ALERTS"}
    assert asked_for
    assert asked_for <= shown


def test_a_stopped_redis_pages_and_the_page_is_taken_back_when_it_is_there_again(
    worker: Worker, redis: RedisServer, tmp_path: Path
) -> None:
    tool("prometheus")

    def pages() -> list[dict[str, Any]]:
        return [event for event in taken if event["payload"]["class"] == "ShoalCellWaiting"]

    def actions() -> list[str]:
        return [page["event_action"] for page in pages()]

    with (
        pager() as (url, taken),
        alertmanager(quick_routes(tmp_path, url), tmp_path) as alerts,
        watching(worker, alerts, tmp_path) as address,
    ):
        eventually(lambda: asked(address, "query?query=up==1")["result"], bool)
        redis.kill()
        eventually(actions, lambda found: "trigger" in found, 300)
        every = [rule for group in asked(address, "rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in every} == {"ok"}, every
        redis.start()
        eventually(actions, lambda found: "resolve" in found, 300)
    page, over = pages()[0], pages()[-1]
    assert (page["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert page["dedup_key"] == over["dedup_key"]
    assert page["routing_key"] == "key-of-the-test"
    assert page["payload"]["summary"] == "Cell 0 waits for Redis or Kafka in test"
    assert "Since " in page["payload"]["custom_details"]["alerts"]
    assert page["links"] == [{"href": "https://runbooks.example.org/shoal/cell-waiting.md", "text": "What to do"}]
    worker.wait_ready()
