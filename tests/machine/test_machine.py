"""The machine agrees with the house as it is, and with none of the houses that break one rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from tests.machine.machine import Trading, bench_on

from trueup.core import batch
from trueup.core.batch import Submission
from trueup.core.door import Door
from trueup.core.verb import Statement
from trueup.orders import cancel, place, totals
from trueup.orders.state import Line
from trueup.orders.totals import Totals
from trueup.stock import receive, reserve, rows
from trueup.stock.state import Balance, Claim, Move, Stock

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
        run_state_machine_as_test(type("Run", (Trading,), {"bench": bench}), settings=how)


def test_the_house_agrees_with_the_model(url: str):
    run(url, QUICK)
    # reaching this line is the assertion: any disagreement raised


@pytest.mark.crash
def test_the_house_agrees_with_the_model_for_long(url: str):
    run(url, LONG)
    # reaching this line is the assertion: any disagreement raised


# --- houses that break one rule ----------------------------------------------------------------------------------


def no_availability_check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Balance, "available", lambda self: Decimal(10**9))


def owed_rises_on_reserve(patch: pytest.MonkeyPatch) -> None:
    reserved = Stock._reserved

    def and_owe(self: Stock, event: Any) -> None:
        reserved(self, event)
        for claim in event.claims:
            self.balance(claim.item, claim.location).cover()

    patch.setattr(Stock, "_reserved", and_owe)
    no_availability_check(patch)


def expired_claims_still_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stock, "due", lambda self, now: [])


def expired_claims_are_never_looked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rows, "READ_EXPIRING", rows.READ_EXPIRING.replace("expires_at <= %s", "expires_at <= %s and false"))


def expiry_goes_by_the_databases_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rows, "READ_EXPIRING", rows.READ_EXPIRING.replace("<= %s", "<= least(%s, now() - interval '1 year')"))


def cancelling_releases_the_whole_line(patch: pytest.MonkeyPatch) -> None:
    def whole(state: Any, row: Any, chosen: Any) -> tuple[Claim, ...]:
        held = {c.line: c for c in state.of(Stock).open_claims(row.captured.id)}
        return tuple(held[c.line].units()
                     for c in chosen if c.line in held)  # fmt: skip

    patch.setattr(cancel, "_claims", whole)


def cancelling_releases_twice(patch: pytest.MonkeyPatch) -> None:
    released = Stock._released

    def twice(self: Stock, event: Any) -> None:
        released(self, event)
        if event.reason == "cancelled":
            for claim in event.claims:
                self._touch(claim.item, claim.location).reserved -= claim.quantity

    patch.setattr(Stock, "_released", twice)


def cancelling_releases_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cancel, "_claims", lambda state, row, chosen: ())


def cancelling_keeps_the_total(patch: pytest.MonkeyPatch) -> None:
    def before(lines: Sequence[Line], currency: str, *, prices_include_tax: bool) -> Totals:
        whole = [msgspec.structs.replace(line, cancelled=Decimal(0)) for line in lines]
        return totals.totals_of(whole, currency, prices_include_tax=prices_include_tax)

    patch.setattr(cancel, "totals_of", before)


def keys_are_not_looked_up(patch: pytest.MonkeyPatch) -> None:
    prepare, uses = Door._prepare, iter(range(10**9))

    def always_fresh(self: Door, actor: Any, command: Any, key: str) -> Submission:
        return prepare(self, actor, command, f"{key} {next(uses)}")

    patch.setattr(Door, "_prepare", always_fresh)


def a_keys_body_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    made = Submission.__init__

    def same_digest(self: Submission, *arguments: Any) -> None:
        made(self, *arguments)
        self.digest = b"the same"

    patch.setattr(Submission, "__init__", same_digest)


def refusals_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    answer = batch.answer_known

    async def forget(connection: Any, known: list[Submission]) -> None:
        await answer(connection, known)
        for submission in known:
            if (
                submission.outcome is not None
                and submission.outcome.refusal is not None
                and submission.outcome.repeated
            ):
                submission.outcome = None

    patch.setattr(batch, "answer_known", forget)


def adjusting_ignores_what_is_there(patch: pytest.MonkeyPatch) -> None:
    def all_of_it(item: str, location: str, change: Decimal, on_hand: Decimal) -> list[Move]:
        if change > 0:
            return [Move(item, change, "adjustment", None, "on_hand", location)]
        return [Move(item, -change, "on_hand", location, "adjustment", None)]

    patch.setattr(receive, "adjustment", all_of_it)


def safety_stock_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Balance, "available", lambda self: self.on_hand - self.reserved - self.allocated)


def lines_of_one_item_are_counted_separately(patch: pytest.MonkeyPatch) -> None:
    together = reserve.spread

    def separately(state: Any, demands: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        parts = [together(state, [demand], *arguments, **options) for demand in demands]
        if any(missing for _, missing in parts):
            return together(state, demands, *arguments, **options)
        return tuple(c for claims, _ in parts for c in claims), ()

    patch.setattr(reserve, "spread", separately)
    patch.setattr(place, "spread", separately)


def facts_are_not_covered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Balance, "cover", lambda self: None)


def a_batch_does_not_see_itself(patch: pytest.MonkeyPatch) -> None:
    available = Balance.available
    seen: dict[int, tuple[Balance, Decimal]] = {}

    def as_loaded(self: Balance) -> Decimal:
        return seen.setdefault(id(self), (self, available(self)))[1]

    patch.setattr(Balance, "available", as_loaded)


def ended_claims_stay_listed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rows, "delete_expiring", lambda ended: Statement("select"))


BROKEN: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    no_availability_check, owed_rises_on_reserve, expired_claims_still_count, expired_claims_are_never_looked_for,
    expiry_goes_by_the_databases_clock, cancelling_releases_the_whole_line, cancelling_releases_twice,
    cancelling_releases_nothing, cancelling_keeps_the_total, keys_are_not_looked_up, a_keys_body_is_not_compared,
    refusals_are_forgotten, adjusting_ignores_what_is_there, safety_stock_is_ignored,
    lines_of_one_item_are_counted_separately, facts_are_not_covered, a_batch_does_not_see_itself,
    ended_claims_stay_listed,
)  # fmt: skip


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda breaking: breaking.__name__)
def test_a_broken_rule_is_caught(url: str, monkeypatch: pytest.MonkeyPatch, breaking: Callable[..., None]):
    breaking(monkeypatch)
    with pytest.raises((AssertionError, Flaky, ExceptionGroup)):
        run(url, QUICK)
