"""Promise dates, by plain examples: what a basket gets, from where, when, and why. Behaviours 2 and 14."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from trueup.catalogue.state import Location
from trueup.core import json
from trueup.core.calendars import NAMES, Hours, WorkCalendar
from trueup.stock.delivery import promise_by, promise_pickup
from trueup.stock.promise import (
    Destination,
    Incoming,
    Lane,
    Method,
    Part,
    PromisedMethod,
    PromisePolicy,
    Shelf,
    ShippingMethods,
    Site,
    Terms,
    Wanted,
    notice_for,
)

WEEK = WorkCalendar()
SEVEN_DAYS = WorkCalendar(week={name: Hours() for name in NAMES})
TUESDAY = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
PARCEL = Method(name="parcel", carrier="Post", lanes=(Lane(days=2),))
POLICY = PromisePolicy()


def site(code: str, calendar: WorkCalendar = WEEK, **fields: Any) -> Site:
    return Site(Location(id=f"loc_{code}", code=code, name=code, kind="warehouse", **fields), calendar)


def line(units: int, sku: str = "MUG", number: int = 1, lead_days: int | None = None) -> Wanted:
    return Wanted(number, sku, Decimal(units), (Part(f"itm_{sku}", sku, Decimal(1), lead_days),))


def shelf(units: int, *incoming: tuple[int, datetime]) -> Shelf:
    return Shelf(Decimal(units), tuple(Incoming(due, Decimal(count), f"PO-{due.day}") for count, due in incoming))


def day_of(number: int, hour: int = 9) -> datetime:
    return datetime(2026, 3, number, hour, tzinfo=UTC)


def promised(
    lines: list[Wanted],
    sites: list[Site],
    shelves: dict[tuple[str, str], Shelf],
    *,
    now: datetime = TUESDAY,
    method: Method = PARCEL,
    to: Destination = Destination(),  # noqa: B008
    carrier: WorkCalendar = WEEK,
    policy: PromisePolicy = POLICY,
) -> PromisedMethod:
    named = {(f"itm_{sku}", f"loc_{code}"): found for (sku, code), found in shelves.items()}
    terms = Terms(now, (method,), {method.calendar: carrier}, policy)
    return promise_by(lines, sites, named, to, terms, method)


def delivered(*arguments: Any, **options: Any) -> str | None:
    found = promised(*arguments, **options).delivers_on
    return found.isoformat() if found is not None else None


STOCKED = {("MUG", "MAIN"): shelf(5)}


def test_stock_on_hand_before_the_cut_off_ships_today():
    assert delivered([line(5)], [site("MAIN")], STOCKED) == "2026-03-05"


def test_after_the_cut_off_of_the_sites_own_zone_work_begins_tomorrow():
    late = day_of(3, 15)
    assert delivered([line(5)], [site("MAIN")], STOCKED, now=late) == "2026-03-06"
    assert delivered([line(5)], [site("MAIN", timezone="America/New_York")], STOCKED, now=late) == "2026-03-05"
    just = datetime(2026, 3, 3, 14, 59, 59, tzinfo=UTC)
    assert delivered([line(5)], [site("MAIN")], STOCKED, now=just) == "2026-03-05"


def test_handling_days_holidays_and_weekends_of_site_and_carrier_are_waited_for():
    closed = WorkCalendar(holidays={date(2026, 3, 4): "Stocktaking"})
    assert delivered([line(5)], [site("MAIN", handling_days=1)], STOCKED) == "2026-03-06"
    assert delivered([line(5)], [site("MAIN", closed, handling_days=1)], STOCKED) == "2026-03-09"
    assert delivered([line(5)], [site("MAIN", SEVEN_DAYS)], STOCKED, now=day_of(7)) == "2026-03-11"
    assert delivered([line(5)], [site("MAIN", SEVEN_DAYS)], STOCKED, now=day_of(7), carrier=SEVEN_DAYS) == "2026-03-09"
    assert delivered([line(5)], [site("MAIN")], STOCKED, carrier=closed) == "2026-03-06"
    assert delivered([line(5)], [site("MAIN")], STOCKED, now=day_of(6)) == "2026-03-10", "Friday, over the weekend"


def test_a_site_and_a_carrier_that_never_work_on_one_day_ship_nothing():
    sundays, mondays = (WorkCalendar(week={name: Hours()}) for name in ("sunday", "monday"))
    found = promised([line(1)], [site("MAIN", sundays)], STOCKED, carrier=mondays)
    assert found.delivers_on is None


def test_dated_supply_covers_what_is_not_on_hand_and_who_waits_goes_first():
    shelves = {("MUG", "MAIN"): shelf(3, (4, day_of(10)), (9, day_of(20)))}
    assert delivered([line(3)], [site("MAIN")], shelves) == "2026-03-05"
    assert delivered([line(4)], [site("MAIN")], shelves) == "2026-03-12"
    assert delivered([line(8)], [site("MAIN")], shelves) == "2026-03-24"
    assert delivered([line(17)], [site("MAIN")], shelves) is None
    behind = {("MUG", "MAIN"): shelf(-2, (4, day_of(10)), (9, day_of(20)))}
    assert delivered([line(2)], [site("MAIN")], behind) == "2026-03-12"
    assert delivered([line(3)], [site("MAIN")], behind) == "2026-03-24"
    overdue = {("MUG", "MAIN"): shelf(0, (4, day_of(2)))}
    assert delivered([line(1)], [site("MAIN")], overdue) is None


def test_the_lead_time_counts_where_nothing_is_to_come_and_no_promise_passes_the_horizon():
    empty = {("MUG", "MAIN"): shelf(1)}
    assert delivered([line(1, lead_days=14)], [site("MAIN")], empty) == "2026-03-05"
    # Ordered on 3 March, there at the end of the 17th, worked on the 18th.
    assert delivered([line(2, lead_days=14)], [site("MAIN")], empty) == "2026-03-20"
    assert delivered([line(2, lead_days=14)], [site("MAIN")], empty, policy=PromisePolicy(horizon_days=10)) is None
    assert delivered([line(2)], [site("MAIN")], empty) is None


def test_lines_never_draw_on_the_same_units_twice():
    found = promised([line(3), line(3, number=2)], [site("MAIN")], STOCKED)
    assert [row.missing for row in found.lines] == [0, 1]
    assert found.delivers_on is None
    assert "Line 2: 1 of 3 MUG are neither on hand nor to come" in found.explain[0]


def test_one_site_serves_a_line_unless_several_are_sooner():
    both = {("MUG", "FAR"): shelf(4), ("MUG", "NEAR"): shelf(4, (9, day_of(20)))}
    sites = [site("FAR"), site("NEAR")]
    found = promised([line(6)], sites, both)
    assert [(part.location, int(part.quantity)) for part in found.lines[0].sources] == [("FAR", 4), ("NEAR", 2)]
    assert found.delivers_on == date(2026, 3, 5)
    assert [parcel.location for parcel in found.parcels] == ["FAR", "NEAR"]
    assert found.together is not None
    assert (found.together.location, found.together.delivers_on) == ("NEAR", date(2026, 3, 24))
    whole = promised([line(6)], sites, {**both, ("MUG", "FAR"): shelf(6)})
    assert [part.location for part in whole.lines[0].sources] == ["FAR"]


def test_the_second_line_joins_the_first_ones_parcel_where_it_is_no_later():
    shelves = {("MUG", "B"): shelf(1), ("PLATE", "A"): shelf(1), ("PLATE", "B"): shelf(1)}
    found = promised([line(1), line(1, "PLATE", 2)], [site("A"), site("B")], shelves)
    assert [(parcel.location, parcel.lines) for parcel in found.parcels] == [("B", (1, 2))]


def test_the_basket_is_there_with_its_last_line_and_parcels_have_their_own_dates():
    shelves = {("MUG", "MAIN"): shelf(5), ("PLATE", "MAIN"): shelf(0, (5, day_of(10)))}
    found = promised([line(1), line(1, "PLATE", 2)], [site("MAIN")], shelves)
    assert [(parcel.delivers_on.day, parcel.lines) for parcel in found.parcels] == [(5, (1,)), (12, (2,))]
    assert found.delivers_on == date(2026, 3, 12)
    assert found.together is not None
    assert found.together.ships_on == date(2026, 3, 10)


def test_a_closed_site_serves_nobody():
    assert delivered([line(1)], [site("MAIN", open=False)], STOCKED) is None


KIT = Wanted(1, "SET", Decimal(2), (Part("itm_MUG", "MUG", Decimal(2)), Part("itm_PLATE", "PLATE", Decimal(1))), True)


def test_a_kit_without_stock_is_as_good_as_its_scarcest_part():
    shelves = {("MUG", "MAIN"): shelf(3, (1, day_of(10))), ("PLATE", "MAIN"): shelf(9)}
    found = promised([KIT], [site("MAIN")], shelves)
    assert [(int(part.quantity), part.available_at.day) for part in found.lines[0].sources] == [(1, 3), (1, 10)]
    assert "its scarcest part MUG is enough for 2" in found.explain[0]
    short = promised([KIT], [site("MAIN")], {**shelves, ("PLATE", "MAIN"): shelf(1)})
    assert short.lines[0].missing == 1
    assert delivered([KIT], [site("MAIN")], {("MUG", "MAIN"): shelf(4)}) is None, "without a plate there is no set"


def test_a_kit_and_a_line_share_the_parts():
    shelves = {("MUG", "MAIN"): shelf(5), ("PLATE", "MAIN"): shelf(9)}
    assert promised([KIT, line(1, number=2)], [site("MAIN")], shelves).delivers_on == date(2026, 3, 5)
    assert promised([KIT, line(2, number=2)], [site("MAIN")], shelves).lines[1].missing == 1
    assert promised([line(2), KIT], [site("MAIN")], shelves).lines[1].missing == 1


def test_the_narrowest_lane_holds():
    lanes = (
        Lane(days=9),
        Lane(days=4, to_country="FR"),
        Lane(days=2, from_country="DE", to_country="FR"),
        Lane(days=1, to_country="FR", to_postcode="67"),
        Lane(days=7, to_country="FR", to_postcode="67", from_group="islands"),
    )
    method = Method(name="m", carrier="c", lanes=lanes)

    def days(to: Destination, **fields: Any) -> str | None:
        return delivered([line(1)], [site("MAIN", SEVEN_DAYS, **fields)], STOCKED, method=method, to=to,
                         carrier=SEVEN_DAYS)  # fmt: skip

    assert days(Destination("US")) == "2026-03-12"
    assert days(Destination("FR")) == "2026-03-07"
    assert days(Destination("FR"), country="DE") == "2026-03-05"
    assert days(Destination("FR", "67000"), country="DE") == "2026-03-04"
    assert days(Destination("FR", "67000"), groups=("islands",)) == "2026-03-10"
    only = Method(name="m", carrier="Post", lanes=(Lane(days=1, to_country="DE"),))
    nowhere = promised([line(1)], [site("MAIN")], STOCKED, method=only, to=Destination("FR"))
    assert nowhere.delivers_on is None
    assert nowhere.explain == ("Post goes from none of the sites to this destination.",)


def test_a_promise_says_why_it_is_what_it_is():
    berlin = site("MAIN", WorkCalendar(holidays={date(2026, 3, 9): "Women's Day"}), timezone="Europe/Berlin",
                  handling_days=1)  # fmt: skip
    now = datetime(2026, 3, 5, 15, 30, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    assert promised([line(2)], [berlin], STOCKED, now=now).explain == (
        "Line 1 is the last: 2 of 2 MUG on hand at MAIN.",
        "2026-03-05 15:30 is past MAIN's cut-off of 15:00 Europe/Berlin: work begins the next working day.",
        "MAIN does not work on 2026-03-07: Saturdays are not worked.",
        "MAIN does not work on 2026-03-08: Sundays are not worked.",
        "MAIN does not work on 2026-03-09: Women's Day.",
        "MAIN begins on 2026-03-06 and 1 working day of handling: ready on 2026-03-10.",
        "Post collects on 2026-03-10 and takes 2 working days: delivered 2026-03-12.",
    )
    supplied = promised([line(2)], [site("MAIN")], {("MUG", "MAIN"): shelf(0, (2, day_of(10)))})
    assert supplied.explain[0] == "Line 1 is the last: 2 of 2 MUG to come with PO-10, due 2026-03-10 at MAIN."


def test_a_store_hands_over_only_what_it_has_or_gets_itself():
    shelves = {("itm_MUG", "loc_STORE"): shelf(4, (3, day_of(10))), ("itm_MUG", "loc_MAIN"): shelf(99)}
    terms = Terms(TUESDAY, (PARCEL,), {}, POLICY)
    store = site("STORE", pickup=True)
    has = promise_pickup([line(4)], store, shelves, terms)
    assert has.ready_on == date(2026, 3, 3)
    assert [entry.day.day for entry in has.days] == [3, 4, 5, 6, 9], "not on the weekend"
    assert (has.days[0].opens, has.days[0].closes) == ("09:00", "17:00")
    gets = promise_pickup([line(5)], store, shelves, terms)
    assert gets.ready_on == date(2026, 3, 10)
    never = promise_pickup([line(8)], store, shelves, terms)
    assert (never.ready_on, never.days) == (None, ())
    assert never.explain == ("STORE has too little of MUG, now and to come.",)


@pytest.mark.parametrize(
    ("due", "notice"),
    [(day_of(10), "none"), (day_of(11), "notice"), (datetime(2026, 4, 8, 9, tzinfo=UTC), "notice"),
     (datetime(2026, 4, 9, 9, tzinfo=UTC), "consent"), (day_of(9), "none"), (None, "consent")],
)  # fmt: skip
def test_a_delay_asks_for_what_the_policy_says(due: datetime | None, notice: str):
    assert notice_for(PromisePolicy(), day_of(10), due) == notice


def test_it_refuses_shipping_methods_that_make_no_sense():
    lane = {"days": 1}
    twice = {"methods": [{"name": "a", "carrier": "c", "lanes": [lane]}] * 2}
    documents: list[dict[str, Any]] = [
        twice,
        {"methods": []},
        {"methods": [{"name": "a", "carrier": "c", "lanes": []}]},
        {"methods": [{"name": "a", "carrier": "c", "lanes": [{"days": -1}]}]},
    ]
    for document in documents:
        with pytest.raises(msgspec.ValidationError):
            json.convert(document, ShippingMethods)
