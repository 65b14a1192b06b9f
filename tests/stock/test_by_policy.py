"""What stock's policies choose, both ways: what a feed's figure counts, what a freeze sells, what a count may miss."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from tests.conftest import START, expect_all, stocked
from tests.proof import prove
from tests.requests import order_of, person, rows
from tests.sourcing.words import assigned, placed
from tests.stock.depth import account, balance, done, found, refused, tell
from tests.stock.test_feed import feed_of, massive, on_hand, sums, told
from tests.stock.test_freeze import frozen, publish, rule_of

from trueup.authority.standing import SYSTEM
from trueup.catalogue.cost import RecordCost
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.sourcing.assign import AssignOrder
from trueup.stock.counting import CloseCount, OpenCount
from trueup.stock.receive import AdjustStock

FLAGS = [
    # reserved, allocated: whether the figure counts them; what is on hand here after a figure of 5
    (True, True, 5),
    (True, False, 7),
    (False, True, 8),
    (False, False, 10),
]


@pytest.mark.parametrize(("reserved", "allocated", "after"), FLAGS)
async def test_behaviour_36_what_a_figure_counts_is_the_sources_policy(
    door: Door, url: str, reserved: bool, allocated: bool, after: int
):
    """Of ten mugs three are reserved and two allocated: 5 is what is free, 7 and 8 count one of both, 10 counts all."""
    await stocked(door, MUG=10)
    await assigned(door, await placed(door, "picked", MUG=2))
    await placed(door, "waits to be picked", MUG=3)
    assert await balance(url) == {"on_hand": 10, "reserved": 3, "allocated": 2}
    await publish(door, "feed", "shop", includes_reserved=reserved, includes_allocated=allocated)
    assert sums(await told(door, feed_of(START, source="shop", MUG=5))) == (
        (1, 0, 0, 0) if after != 10 else (0, 1, 0, 0)
    )
    assert await on_hand(url) == {"MUG": after}
    await prove(url)


@pytest.mark.parametrize(("reserved", "allocated", "figure"), [
    (True, True, 10), (True, False, 10), (False, True, 7), (False, False, 7),
])  # fmt: skip
async def test_behaviour_36_what_was_picked_after_the_sources_time_was_not_picked_then(
    door: Door, url: str, clock: TurnedClock, reserved: bool, allocated: bool, figure: int
):
    """At its time three mugs were reserved and none allocated; meanwhile the three are allocated and two more reserved.

    The figure is true as of then, so nothing changes.
    """
    await stocked(door, MUG=10)
    order = await placed(door, MUG=3)
    clock.turn(timedelta(minutes=1))
    seen = clock.now()
    clock.turn(timedelta(minutes=1))
    await done(door, AssignOrder(order=order))
    await placed(door, "since", MUG=2)
    assert await balance(url) == {"on_hand": 10, "reserved": 2, "allocated": 3}
    await publish(door, "feed", "shop", includes_reserved=reserved, includes_allocated=allocated)
    assert sums(await told(door, feed_of(seen, source="shop", MUG=figure))) == (0, 1, 0, 0)
    assert await on_hand(url) == {"MUG": 10}
    await prove(url)


@pytest.mark.parametrize(("percent", "units", "share", "items", "waits"), [
    ("99", "10", "30", 20, True),  # 10 of 30 items lose all of their 100: a third of the items, 100 % and 100 units
    ("100", "10", "30", 20, False),  # no more than 100 % is not more
    ("99", "99", "30", 20, True),
    ("99", "100", "30", 20, False),
    ("99", "10", "33", 20, True),  # a third is more than 33 %
    ("99", "10", "34", 20, False),
    ("99", "10", "30", 30, True),
    ("99", "10", "30", 31, False),
    ("99", "10", None, 20, False),
    ("0", "0", "99", 20, True),  # all 30 items change by more than nothing
])  # fmt: skip
async def test_behaviour_34_how_much_is_too_much_is_the_sources_policy(
    door: Door, url: str, percent: str, units: str, share: str | None, items: int, waits: bool
):
    """Thirty items of 100: ten go to 0, twenty to 99."""
    feed = await massive(door)
    await publish(door, "feed", "wms", mass_change_percent=percent, mass_change_units=units, mass_share_percent=share,
                  mass_items_min=items)  # fmt: skip
    outcome = await told(door, feed)
    assert (outcome.status, sums(outcome)) == (("quarantined", (0, 0, 30, 0)) if waits else ("applied", (30, 0, 0, 0)))
    assert (await on_hand(url))["S00"] == (100 if waits else 0)
    await prove(url)


@pytest.mark.parametrize(("percent", "units", "sold"), [
    (100, None, 8), (50, None, 4), (0, None, 0), (None, None, 8),  # of the eight that were available at the start
    (None, "3", 3), (50, "3", 3), (25, "3", 2), (100, "0", 0), (100, "9", 8),
])  # fmt: skip
async def test_what_may_be_sold_under_a_freeze(door: Door, url: str, percent: int | None, units: str | None, sold: int):
    """Ten mugs, two of them promised before it began."""
    await stocked(door, MUG=10)
    await publish(door, "freeze", sell_percent=percent, sell_units=units)
    expect_all([await door.submit(SYSTEM, order_of(MUG=2), "before")])
    await frozen(door)
    over = await door.submit(SYSTEM, order_of(MUG=sold + 1), "one more")
    assert rule_of(over) == "stock.short"
    assert over.refusal is not None
    assert f"{sold} available" in over.refusal.what
    if sold:
        expect_all([await door.submit(SYSTEM, order_of(MUG=sold), "all of it")])
    assert (await balance(url))["reserved"] == 2 + sold
    await prove(url)


@pytest.mark.parametrize(("policy", "alone"), [
    ({}, 96),  # as shipped, 5 units and 50.00: four mugs cost 48.00, five 60.00
    ({"tolerance_units": "1"}, 99),
    ({"tolerance_units": "0"}, 100),
    ({"tolerance_units": "9"}, 96),  # the money still allows no more than four
    ({"tolerance_money": "60"}, 95),
    ({"tolerance_money": "12"}, 99),
    ({"tolerance_money": "11.99"}, 100),
    ({"tolerance_money": "1000"}, 95),  # the units allow no more than five
    ({"currency": "CHF"}, 95),  # what it costs in francs nobody knows: the units alone decide
    ({"tolerance_money": "1000", "tolerance_units": "20"}, 80),
])  # fmt: skip
async def test_behaviour_5_how_far_one_count_is_believed_is_a_policy(
    door: Door, url: str, policy: dict[str, Any], alone: int
):
    """A hundred mugs of 12.00 each. alone: the lowest figure that one person's count may post."""
    await stocked(door, MUG=100)
    cost = RecordCost(sku="MUG", currency="EUR", cost=Amount("12"), effective_from=date(2026, 1, 1), source="invoice")
    await done(door, cost)
    await publish(door, "count", **policy)
    planner = await person(door, "Planner", "Fulfilment Lead")
    less = (await done(door, OpenCount(location="MAIN", reference="C-1", skus=("MUG",)))).result["count"]
    assert (await done(door, found(less, MUG=alone - 1), planner)).result["recount"] == ["MUG"]
    assert await refused(door, CloseCount(count=less)) == "stock.count_unfinished"
    await done(door, CloseCount(count=less, abandon=True))
    assert await balance(url) == {"on_hand": 100}
    count = (await done(door, OpenCount(location="MAIN", reference="C-2", skus=("MUG",)))).result["count"]
    assert (await done(door, found(count, MUG=alone), planner)).result["recount"] == []
    await done(door, CloseCount(count=count))
    assert await balance(url) == {"on_hand": alone}
    await prove(url)


@pytest.mark.parametrize(("reasons", "change", "ended", "booked"), [
    (None, -3, "applied", ("adjustment", 3)),
    ({"found": {"account": "scrapped"}}, -3, "applied", ("scrapped", 3)),
    ({"found": {"account": "shortage"}}, -3, "applied", ("shortage", 3)),
    ({"broken": {}}, -3, "refused", ("adjustment", 0)),
    ({"found": {"units_max": "3", "role_above": "Finance"}}, -3, "applied", ("adjustment", 3)),
    ({"found": {"units_max": "2", "role_above": "Finance"}}, -3, "pending_approval", ("adjustment", 0)),
    ({"found": {"units_max": "2", "role_above": "Fulfilment Lead"}}, -3, "applied", ("adjustment", 3)),
])  # fmt: skip
async def test_why_stock_may_be_adjusted_and_where_that_is_booked(
    door: Door, url: str, reasons: dict[str, Any] | None, change: int, ended: str, booked: tuple[str, int]
):
    """Ten mugs; a lead of fulfilment says that three fewer were found."""
    await stocked(door, MUG=10)
    lead = await person(door, "Lead", "Fulfilment Lead")
    if reasons is not None:
        await publish(door, "adjustment_reasons", reasons=reasons)
    adjust = AdjustStock(location="MAIN", sku="MUG", change=Quantity(change), reason="found", reference="shelf 4")
    assert (await tell(door, adjust, lead)).status == ended
    assert await account(url, booked[0]) == booked[1]
    assert await balance(url) == {"on_hand": 10 - booked[1]}
    assert await rows(url, "select count(*) from stock_movement") == [(1 + (ended == "applied"),)]
    await prove(url)
