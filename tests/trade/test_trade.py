"""Trading with several locations agrees with the model: units are conserved, and no request over-allocates."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.machine import bench_on
from tests.trade.machine import Trade

QUICK = settings(
    max_examples=16,
    stateful_step_count=25,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=60, stateful_step_count=50, derandomize=False)


def run(url: str, how: settings) -> None:
    """Trade on a database; raise when model and house disagree."""
    with bench_on(url) as bench:
        run_state_machine_as_test(type("Run", (Trade,), {"bench": bench}), settings=how)


def test_trading_agrees_with_the_model(url: str):
    run(url, QUICK)
    # reaching this line is the assertion: any disagreement raised


@pytest.mark.crash
def test_trading_agrees_with_the_model_for_long(url: str):
    run(url, LONG)
    # reaching this line is the assertion: any disagreement raised
