"""The parts that tests need from the machine, and a loud word about those it lacks.

A missing part skips its tests; with SHOAL_REQUIRE=all it fails them. The last lines of a run say what was skipped.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import hypothesis
import pytest
import structlog

from consumers.embedded import embedded_broker, embedded_redis
from consumers.log import LIBRDKAFKA
from tests.servers import GIVEN_KAFKA, Missing, kafka_broker, redis_server
from tests.spread import LongFirst, process_count, rank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer

    from consumers.embedded import Broker

REQUIRED = "SHOAL_REQUIRE"

# no test asserts a time: an example that takes long on a busy machine is no failure
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


def lacks(what: str) -> NoReturn:
    """Skip the test for want of a part, or fail it where every part is required."""
    if os.environ.get(REQUIRED) == "all":
        pytest.fail(f"{REQUIRED}=all, and this machine has {what}", pytrace=False)
    pytest.skip(what)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """A fixture wants a part that is missing."""
    with _told_if_missing():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """A test wants a part that is missing."""
    with _told_if_missing():
        return (yield)


@contextmanager
def _told_if_missing() -> Iterator[None]:
    try:
        yield
    except Missing as missing:
        lacks(str(missing))


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a real broker, one for the whole run."""
    with kafka_broker() as address:
        yield address


@pytest.fixture(scope="session")
def real_redis() -> Iterator[str]:
    """The URL of a real redis-server, one for the whole run; keep to a prefix of your own."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """An embedded broker, one for a file."""
    with embedded_broker() as started:
        yield started


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """The URL of an embedded Redis, one for a file."""
    with embedded_redis() as url:
        yield url


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A test that configures logs writes to a stream that is closed after it: the next one must not."""
    yield
    structlog.reset_defaults()
    logging.getLogger(LIBRDKAFKA).handlers = [logging.NullHandler()]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many processes as `-n auto` takes."""
    return process_count()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongFirst:
    """Spread the tests over the processes our way."""
    return LongFirst(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Start one broker for all processes, which find it in their environment; and no process takes all cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    closing = ExitStack()
    config.add_cleanup(closing.close)
    with suppress(Missing):  # the tests that want it say so
        os.environ[GIVEN_KAFKA] = closing.enter_context(kafka_broker())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where a run is spread over processes: what takes long goes first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines what could not run, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if not reasons:
        return
    terminalreporter.section("COULD NOT RUN ON THIS MACHINE", sep="=", red=True, bold=True)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} test(s): {reason}", red=True)
