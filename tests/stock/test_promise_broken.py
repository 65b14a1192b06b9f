"""Promises that break one rule each, and the examples that catch them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.catching import caught, is_catch
from tests.core import test_calendars as calendar_examples
from tests.stock import pegging
from tests.stock import test_promise as promise_examples
from tests.stock import test_promising as basket_examples
from tests.stock import test_supply as supply_examples
from tests.stock.pegging import Yard, pegging_house

from trueup.core import calendars
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.stock import delivery, peg, promise, promising, shelves, supply
from trueup.stock.supply_state import OpenSupply

Breaking = Callable[[pytest.MonkeyPatch], None]


def everywhere(patch: pytest.MonkeyPatch, name: str, broken: Any) -> None:
    """Replace a function in every module that imported it, the examples included."""
    modules = (calendars, delivery, peg, promise, promising, supply, calendar_examples, promise_examples)
    for module in modules:
        if hasattr(module, name):
            patch.setattr(module, name, broken)


# --- broken calendars and dates: caught by examples that need no database ------------------------------------------


def the_cut_off_is_ignored(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "is_past", lambda moment, timezone, cutoff: False)


def the_cut_off_is_in_utc(patch: pytest.MonkeyPatch) -> None:
    past = calendars.is_past
    everywhere(patch, "is_past", lambda moment, timezone, cutoff: past(moment, "UTC", cutoff))


def the_minute_of_the_cut_off_is_still_in_time(patch: pytest.MonkeyPatch) -> None:
    past = calendars.is_past
    everywhere(patch, "is_past", lambda moment, timezone, cutoff: past(moment - timedelta(minutes=1), timezone, cutoff))


def an_hour_that_comes_again_is_before_the_cut_off(patch: pytest.MonkeyPatch) -> None:
    def by_the_wall(moment: Any, timezone: str, cutoff: str) -> bool:
        local = moment.astimezone(ZoneInfo(timezone))
        return bool(local.time() >= time.fromisoformat(cutoff))

    everywhere(patch, "is_past", by_the_wall)


def a_working_day_too_many(patch: pytest.MonkeyPatch) -> None:
    count = calendars.add_working_days
    everywhere(patch, "add_working_days", lambda day, number, calendar: count(day, number + 1, calendar))


def days_are_counted_as_they_come(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "add_working_days", lambda day, number, calendar: day + timedelta(days=number))


def holidays_are_worked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(calendars, "_holiday", lambda day, calendar: None)


def the_carrier_collects_when_the_site_is_closed(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "handover_on", lambda ready, site, carrier: calendars.next_working_day(ready, carrier))


def handling_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    ready = calendars.ready_by
    everywhere(patch, "ready_by", lambda moment, zone, cutoff, days, calendar: ready(moment, zone, cutoff, 0, calendar))


def any_lane_will_do(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(delivery, "_fits", lambda lane, site, to: True)


def the_widest_lane_holds(patch: pytest.MonkeyPatch) -> None:
    width = delivery._width
    patch.setattr(delivery, "_width", lambda lane: tuple(-part for part in width(lane)))


def lines_draw_on_the_same_units(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(delivery, "_take", lambda line, site, units, at, pools: None)


def a_kit_is_as_good_as_its_richest_part(patch: pytest.MonkeyPatch) -> None:
    made = promise.kits_of

    def richest(parts: Any, pools: Any) -> Any:
        alone = [made([part], [pool]) for part, pool in zip(parts, pools, strict=True)]
        return max(alone, key=lambda steps: sum((step.units for step in steps), Decimal(0)))

    everywhere(patch, "kits_of", richest)


def who_waits_goes_last(patch: pytest.MonkeyPatch) -> None:
    steps = promise.steps_of

    def regardless(shelf: promise.Shelf, *rest: Any, **options: Any) -> Any:
        return steps(promise.Shelf(max(shelf.available, Decimal(0)), shelf.incoming), *rest, **options)

    everywhere(patch, "steps_of", regardless)


def closed_sites_serve(patch: pytest.MonkeyPatch) -> None:
    serve = delivery.promise_by

    def all_open(lines: Any, sites: Any, *rest: Any) -> Any:
        opened = [promise.Site(msgspec.structs.replace(s.location, open=True), s.calendar) for s in sites]
        return serve(lines, opened, *rest)

    everywhere(patch, "promise_by", all_open)


def a_store_sells_what_others_have(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(delivery, "_all_at", lambda lines, site, shelves, terms: (terms.now, ""))


def every_delay_is_kept_quiet(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "notice_for", lambda policy, promised_at, due_at: "none")


PURE: tuple[Breaking, ...] = (
    the_cut_off_is_ignored, the_cut_off_is_in_utc, the_minute_of_the_cut_off_is_still_in_time,
    an_hour_that_comes_again_is_before_the_cut_off, a_working_day_too_many, days_are_counted_as_they_come,
    holidays_are_worked, the_carrier_collects_when_the_site_is_closed, handling_is_forgotten, any_lane_will_do,
    the_widest_lane_holds, lines_draw_on_the_same_units, a_kit_is_as_good_as_its_richest_part, who_waits_goes_last,
    closed_sites_serve, a_store_sells_what_others_have, every_delay_is_kept_quiet,
)  # fmt: skip


def pure_examples() -> list[Callable[[], None]]:
    """The examples of calendars and dates that take no arguments, or are a table of their own."""
    found: list[Callable[[], None]] = []
    for module in (calendar_examples, promise_examples):
        for name, example in vars(module).items():
            if not name.startswith("test_") or hasattr(example, "hypothesis"):
                continue
            marks = [mark for mark in getattr(example, "pytestmark", []) if mark.name == "parametrize"]
            if not marks:
                found.append(example)
            for row in marks[0].args[1] if marks else ():
                found.append(partial(example, *row))
    return found


def test_the_examples_hold_where_nothing_is_broken():
    for example in pure_examples():
        example()
    assert len(pure_examples()) > 40


@pytest.mark.parametrize("breaking", PURE, ids=lambda breaking: breaking.__name__)
def test_a_broken_date_is_caught(monkeypatch: pytest.MonkeyPatch, breaking: Breaking):
    breaking(monkeypatch)
    noticed = 0
    for example in pure_examples():
        try:
            example()
        except AssertionError as error:
            noticed += is_catch(error)
    assert noticed


# --- broken supply and reads: each caught by the example beside it --------------------------------------------------


def without(patch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> None:
    for name in ("_BY_KEY", "_BY_ID"):
        sql = getattr(shelves, name)
        for old, new in changes:
            assert old in sql
            sql = sql.replace(old, new)
        patch.setattr(shelves, name, sql)


def pegs_are_ignored(patch: pytest.MonkeyPatch) -> None:
    without(patch, ("s.open - s.pegged", "s.open"))


def those_who_wait_undated_are_ignored(patch: pytest.MonkeyPatch) -> None:
    without(patch, ("w.waiting > 0", "w.waiting < 0"))


def safety_stock_is_ignored(patch: pytest.MonkeyPatch) -> None:
    without(patch, (" - b.safety", ""))


def expired_carts_still_hold(patch: pytest.MonkeyPatch) -> None:
    without(patch, ("x.expires_at <= %s", "x.expires_at <= least(%s, timestamptz '2000-01-01')"))


def overdue_supply_counts(patch: pytest.MonkeyPatch) -> None:
    steps = promise.steps_of

    def in_any_case(shelf: Any, part: Any, timezone: str, now: Any, **options: Any) -> Any:
        return steps(shelf, part, timezone, now - timedelta(days=365), **options)

    everywhere(patch, "steps_of", in_any_case)


def places_without_a_row_shift_the_others(patch: pytest.MonkeyPatch) -> None:
    made = shelves._at_places

    def shifted(at: Any, free: Any, places: Any) -> Any:
        known = free[1:-1].split(",") if free is not None else []
        return made(places.ids, "{" + ",".join(known + ["0"] * (len(places.all) - len(known))) + "}", places)

    patch.setattr(shelves, "_at_places", shifted)


def supply_is_promised_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OpenSupply, "free", property(lambda self: self.open))


def the_latest_supply_goes_first(patch: pytest.MonkeyPatch) -> None:
    found = peg.sources_at
    everywhere(patch, "sources_at", lambda *rest, **options: list(reversed(found(*rest, **options))))


def what_is_freed_goes_to_nobody(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "repeg_events", lambda waiting, sources, reason, at: [])


def a_later_date_is_no_case(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "delays_in", lambda events: [])


def a_receipt_leaves_the_supply_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pegging, "receive_against", lambda *rest: [])


def a_receipt_forgets_who_waits(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "arrival_events", lambda *rest: [])


def a_date_begins_where_it_should_end(patch: pytest.MonkeyPatch) -> None:
    end = calendars.end_of_day

    def beginning(day: date, timezone: str) -> Any:
        return end(day - timedelta(days=1), timezone)

    everywhere(patch, "end_of_day", beginning)


STORED: tuple[tuple[Breaking, Callable[..., Any]], ...] = (
    (pegs_are_ignored, basket_examples.test_dated_supply_less_its_pegs_gives_later_dates),
    (those_who_wait_undated_are_ignored,
     basket_examples.test_claims_safety_stock_and_those_who_wait_come_off_what_is_free),
    (safety_stock_is_ignored, basket_examples.test_claims_safety_stock_and_those_who_wait_come_off_what_is_free),
    (expired_carts_still_hold, basket_examples.test_claims_safety_stock_and_those_who_wait_come_off_what_is_free),
    (overdue_supply_counts, basket_examples.test_dated_supply_less_its_pegs_gives_later_dates),
    (places_without_a_row_shift_the_others, basket_examples.test_reading_is_not_thrown_by_many_places_and_aliases),
    (supply_is_promised_twice, supply_examples.test_no_unit_of_supply_is_promised_twice),
    (the_latest_supply_goes_first,
     supply_examples.test_demand_is_pegged_to_the_earliest_supply_and_the_rest_waits_undated),
    (what_is_freed_goes_to_nobody, supply_examples.test_what_is_cancelled_goes_to_the_next),
    (a_later_date_is_no_case,
     supply_examples.test_a_later_date_is_a_case_with_its_notice_before_the_promise_breaks),
    (a_receipt_leaves_the_supply_open,
     supply_examples.test_a_receipt_takes_off_what_is_to_come_and_the_first_wait_to_be_filled),
    (a_receipt_forgets_who_waits, basket_examples.test_units_that_came_in_are_of_those_who_wait_for_them),
    (a_date_begins_where_it_should_end, supply_examples.test_what_waits_and_what_comes_is_read_and_explained),
)  # fmt: skip


@pytest.mark.parametrize(("breaking", "example"), STORED, ids=[breaking.__name__ for breaking, _ in STORED])
async def test_a_broken_promise_is_caught(
    url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch, breaking: Breaking, example: Callable[..., Any]
):
    breaking(monkeypatch)
    async with Door(url, pegging_house(), clock=clock) as door:
        module = basket_examples if example.__module__ == basket_examples.__name__ else supply_examples
        await (
            module.stocked(door, MUG=10, PLATE=4) if module is basket_examples else module.stocked(door, MUG=0, PLATE=0)
        )
        if module is basket_examples:
            await module.stocked(door, location="STORE", BOWL=1)
        known = {"yard": Yard(door), "url": url, "clock": clock}
        async with caught(url):
            await example(**{name: known[name] for name in inspect.signature(example).parameters})
