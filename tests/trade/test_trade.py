"""Trading with several locations agrees with the model: units are conserved, and no request over-allocates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.machine import bench_on
from tests.sourcing import test_broken_sourcing as broken
from tests.trade.machine import Trade

from trueup.core.quantity import ZERO
from trueup.sourcing import allocate
from trueup.stock.limits import Limits

QUICK = settings(
    max_examples=16,
    stateful_step_count=25,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LOOKING = settings(QUICK, max_examples=100, stateful_step_count=40, report_multiple_bugs=False)
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


# --- houses that break one rule: by hand and before a release, since each takes a while ------------------------------


def what_is_allocated_by_hand_waits_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(allocate, "no_longer_waits", lambda *_: [])


def those_who_wait_are_passed_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Limits, "waiting_at", lambda self, place: ZERO)


BROKEN: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    broken.a_rejection_is_forgotten, broken.rejected_goods_stay_on_the_shelf, broken.an_own_reservation_counts_twice,
    broken.an_own_reservation_counts_not_at_all, broken.a_reservation_stays_beside_the_allocation,
    broken.reservations_elsewhere_stay, broken.holds_are_ignored, broken.hands_ignore_holds,
    broken.parts_stay_when_units_are_cancelled, broken.a_backorder_is_not_pegged, broken.nothing_has_to_stay,
    what_is_allocated_by_hand_waits_on, those_who_wait_are_passed_over,
)  # fmt: skip


@pytest.mark.crash
@pytest.mark.parametrize("breaking", BROKEN, ids=lambda breaking: breaking.__name__)
def test_a_broken_rule_is_caught(url: str, monkeypatch: pytest.MonkeyPatch, breaking: Callable[..., None]):
    breaking(monkeypatch)
    with pytest.raises((AssertionError, Flaky, ExceptionGroup)):
        run(url, LOOKING)
