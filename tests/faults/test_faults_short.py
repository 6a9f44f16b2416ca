"""A shorter cut of `make faults`: what each guard of the protocol is there for, once, and a few kills at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.crash_scenarios import random_kills
from tests.faults.proofs import PROOFS
from tests.faults.scenarios import Fault, load
from tests.faults.suite import run_fault

if TYPE_CHECKING:
    from tests.faults.context import Servers

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.timeout(900)]

PATIENCE = 3.0
"""The stated times are for a machine that does nothing else; `make faults` holds Shoal to them."""

SHORT = (
    *dict.fromkeys(proof.fault for proof in PROOFS),
    "kill -9, encode: produced",
    "kill -9, route: offsets",
    "kill -9, take-over: stored outputs written",
    "frozen between its Redis call and its transaction, woken after a take-over",
    "SIGTERM in the middle of a batch, encode",
)


@pytest.mark.parametrize("name", SHORT)
def test_every_promise_is_kept_through(servers: Servers, name: str) -> None:
    assert run_fault(load()[name], servers, seed=1, patience=PATIENCE).outcome.violations == []


def test_every_promise_is_kept_through_ten_kills_at_random(servers: Servers) -> None:
    fault = Fault("ten kills", lambda context: random_kills(context, 10))
    assert run_fault(fault, servers, seed=1, patience=PATIENCE).outcome.violations == []
