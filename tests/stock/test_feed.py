"""Stock feeds: a source's figures as of its own time. Behaviours 33, 34 and 36."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.conftest import START, expect_all, stocked
from tests.proof import prove
from tests.requests import adjust, cart_of, order_of, receipt, rows
from tests.stock.test_freeze import frozen, publish, rule_of

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.stock.feed import FeedRow, ReportStockFeed
from trueup.stock.feed_settle import CorrectFeedRow, DiscardFeedRow, RejectFeed, ReleaseFeed

ENDINGS = ("applied", "merged", "quarantined", "ignored")


def feed_of(as_of: datetime, *, source: str = "wms", location: str = "MAIN", **units: Any) -> ReportStockFeed:
    """A snapshot of so many units of each item."""
    found = tuple(FeedRow(sku, value) for sku, value in units.items())
    return ReportStockFeed(source=source, as_of=as_of, location=location, rows=found)


def delta_of(as_of: datetime, sequence: int, *, source: str = "wms", **units: Any) -> ReportStockFeed:
    """A delta of so many units of each item."""
    found = tuple(FeedRow(sku, value) for sku, value in units.items())
    return ReportStockFeed(source=source, as_of=as_of, location="MAIN", rows=found, kind="delta", sequence=sequence)


async def told(door: Door, command: ReportStockFeed, key: str = "") -> Outcome:
    """Send a feed."""
    return await door.submit(SYSTEM, command, key or f"{command.source} {command.as_of} {command.sequence}")


def sums(outcome: Outcome) -> tuple[int, ...]:
    """How many rows were applied, merged, quarantined, ignored; they sum to the rows."""
    found = tuple(outcome.result.get(name, 0) for name in ENDINGS)
    assert sum(found) == outcome.result.get("rows"), outcome
    return found


async def on_hand(url: str, code: str = "MAIN") -> dict[str, int]:
    """What is on hand at a place, by SKU."""
    found = await rows(
        url,
        """select i.sku, b.on_hand from stock_balance b join item i on i.id = b.item
        join location l on l.id = b.location where l.code = %s order by i.sku""",
        code,
    )
    return {sku: int(units) for sku, units in found}


async def test_a_snapshot_makes_the_book_say_what_the_source_says(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=4, BOWL=7)
    outcome = await told(door, feed_of(START, MUG=8, PLATE="4", BOWL="7.5"))
    assert outcome.status == "applied"
    assert sums(outcome) == (2, 1, 0, 0)
    assert await rows(url, "select count(distinct batch), count(*) from stock_movement where reason = 'feed wms'") == [
        (1, 2)
    ]
    assert await rows(url, "select on_hand from stock_balance where on_hand = 7.5") == [(7.5,)]
    again = await told(door, feed_of(START, MUG=8, PLATE=4, BOWL="7.5"), "the same figures")
    assert sums(again) == (0, 3, 0, 0)
    await prove(url)


async def test_behaviour_36_movements_after_the_source_s_time_stay_on_top(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    clock.turn(timedelta(minutes=10))
    seen = clock.now()
    clock.turn(timedelta(minutes=10))
    expect_all([await door.submit(SYSTEM, receipt(5), "came in after the source looked")])
    clock.turn(timedelta(minutes=10))
    assert sums(await told(door, feed_of(seen, MUG=9))) == (1, 0, 0, 0)
    assert await on_hand(url) == {"MUG": 14}, "9 then, and 5 since"
    clock.turn(timedelta(minutes=10))
    later = seen + timedelta(minutes=5)
    assert sums(await told(door, feed_of(later, MUG=9))) == (0, 1, 0, 0), "the correction is no movement since"
    assert await on_hand(url) == {"MUG": 14}
    assert sums(await told(door, feed_of(clock.now(), MUG=14))) == (0, 1, 0, 0)
    await prove(url)


async def test_behaviour_36_a_snapshot_older_than_the_last_is_refused(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=5)
    await told(door, feed_of(START, MUG=8))
    older = await told(door, feed_of(START - timedelta(seconds=1), MUG=3))
    assert rule_of(older) == "stock.feed_older"
    assert await on_hand(url) == {"MUG": 8, "PLATE": 5}
    part = await told(door, feed_of(START, PLATE=6), "the second part of the same snapshot")
    assert part.status == "applied"
    another = await told(door, feed_of(START - timedelta(hours=1), source="erp", MUG=7))
    assert another.status == "applied", "another source has its own time"
    await prove(url)


@pytest.mark.parametrize(
    ("row", "field", "rule"),
    [
        (FeedRow("CUP", 1), "sku", "catalogue.unknown_item"),
        (FeedRow(7, 1), "sku", "catalogue.unknown_item"),
        (FeedRow(None, 1), "sku", "catalogue.unknown_item"),
        (FeedRow("PLATE", -1), "quantity", "stock.negative"),
        (FeedRow("PLATE", "many"), "quantity", "stock.not_a_quantity"),
        (FeedRow("PLATE", 1.5), "quantity", "stock.not_a_quantity"),
        (FeedRow("PLATE", None), "quantity", "stock.not_a_quantity"),
        (FeedRow("PLATE", "NaN"), "quantity", "stock.not_a_quantity"),
        (FeedRow("PLATE", 1, "ATTIC"), "location", "catalogue.unknown_location"),
        (FeedRow("PLATE", 1, 9), "location", "catalogue.unknown_location"),
    ],
)
async def test_behaviour_33_a_bad_row_loses_that_row_only(door: Door, url: str, row: FeedRow, field: str, rule: str):
    await stocked(door, MUG=10, PLATE=4)
    good = (FeedRow("MUG", 3), row, FeedRow("MUG", 3))
    outcome = await told(door, ReportStockFeed(source="wms", as_of=START, location="MAIN", rows=good))
    assert outcome.status == "applied"
    assert sums(outcome) == (1, 0, 1, 1), "the first row for MUG was superseded by the last"
    assert [(bad["row"], bad["field"], bad["rule"]) for bad in outcome.result["bad"]] == [(2, field, rule)]
    assert await on_hand(url) == {"MUG": 3, "PLATE": 4}
    kept = await rows(url, "select row, field, rule, settled from stock_feed_row_quarantined")
    assert kept == [(2, field, rule, None)]
    assert await rows(url, "select kind from cases") == [("stock_feed_rows",)]
    await prove(url)


async def test_behaviour_33_of_a_thousand_rows_999_are_applied(door: Door, url: str):
    await stocked(door, **{f"S{number}": 5 for number in range(1000)})  # type: ignore[arg-type]
    figures: dict[str, Any] = {f"S{number}": 6 for number in range(1000)}
    figures["S500"] = "?"
    outcome = await told(door, feed_of(START, **figures))
    assert sums(outcome) == (999, 0, 1, 0)
    assert outcome.result["bad"] == [{"row": 501, "field": "quantity", "value": "?", "rule": "stock.not_a_quantity"}]
    await prove(url)


async def test_a_row_in_quarantine_is_corrected_or_discarded(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10, PLATE=4)
    outcome = await told(door, feed_of(START, MUG="?", CUP=9, PLATE=-2))
    feed = outcome.result["feed"]
    assert sums(outcome) == (0, 0, 3, 0)
    clock.turn(timedelta(minutes=1))
    expect_all([await door.submit(SYSTEM, receipt(5), "came in since")])
    wrong = CorrectFeedRow(feed=feed, row=1, reason="typed", sku="CUP", quantity=Quantity(7))
    assert rule_of(await door.submit(SYSTEM, wrong, "still wrong")) == "catalogue.unknown_item"
    right = CorrectFeedRow(feed=feed, row=1, reason="typed", quantity=Quantity(7))
    assert (await door.submit(SYSTEM, right, "right")).result["ending"] == "applied"
    assert await on_hand(url) == {"MUG": 12, "PLATE": 4}, "7 then, and 5 since"
    assert (await door.submit(SYSTEM, right, "twice")).status == "merged"
    renamed = CorrectFeedRow(feed=feed, row=2, reason="wrong name", sku="PLATE")
    expect_all([await door.submit(SYSTEM, renamed, "renamed")])
    expect_all([await door.submit(SYSTEM, DiscardFeedRow(feed=feed, row=3, reason="noise"), "discard")])
    assert await on_hand(url) == {"MUG": 12, "PLATE": 9}
    assert await rows(url, "select applied, merged, quarantined, ignored from stock_feed") == [(2, 0, 0, 1)]
    nothing = DiscardFeedRow(feed=feed, row=9, reason="x")
    assert rule_of(await door.submit(SYSTEM, nothing, "no such row")) == "stock.feed_row"
    await prove(url)


async def test_a_row_of_a_snapshot_that_was_overtaken_is_not_corrected(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    feed = (await told(door, feed_of(START, MUG="?"))).result["feed"]
    clock.turn(timedelta(minutes=1))
    await told(door, feed_of(clock.now(), MUG=6))
    late = CorrectFeedRow(feed=feed, row=1, reason="typed", quantity=Quantity(9))
    assert rule_of(await door.submit(SYSTEM, late, "late")) == "stock.feed_older"
    assert await on_hand(url) == {"MUG": 6}
    await prove(url)


async def massive(door: Door) -> ReportStockFeed:
    """Thirty items with 100 units each, and a feed that says ten of them are gone."""
    await stocked(door, **{f"S{number:02}": 100 for number in range(30)})  # type: ignore[arg-type]
    return feed_of(START, **{f"S{number:02}": 0 if number < 10 else 99 for number in range(30)})  # type: ignore[arg-type]


async def test_behaviour_34_a_feed_that_changes_too_much_is_held_whole_and_released_by_a_person(
    door: Door, url: str, clock: TurnedClock
):
    feed = await massive(door)
    held = await told(door, feed)
    assert held.status == "quarantined"
    assert sums(held) == (0, 0, 30, 0)
    assert "10 of 30 items" in held.result["held"]
    assert set((await on_hand(url)).values()) == {100}, "nothing was posted"
    assert await rows(url, "select kind, severity from cases") == [("stock_feed_mass", 2)]
    clock.turn(timedelta(minutes=5))
    expect_all([await door.submit(SYSTEM, receipt(7, "S00"), "came in since")])
    released = await door.submit(SYSTEM, ReleaseFeed(feed=held.result["feed"], reason="a fire"), "release")
    assert sums(released) == (30, 0, 0, 0)
    found = await on_hand(url)
    assert (found["S00"], found["S01"], found["S29"]) == (7, 0, 99)
    again = await door.submit(SYSTEM, ReleaseFeed(feed=held.result["feed"], reason="a fire"), "again")
    assert again.status == "merged"
    reject = RejectFeed(feed=held.result["feed"], reason="no")
    assert rule_of(await door.submit(SYSTEM, reject, "too late")) == "stock.feed_not_held"
    await prove(url)


async def test_behaviour_34_a_held_feed_is_rejected_or_overtaken(door: Door, url: str, clock: TurnedClock):
    feed = await massive(door)
    first = (await told(door, feed)).result["feed"]
    expect_all([await door.submit(SYSTEM, RejectFeed(feed=first, reason="wrong file"), "reject")])
    assert await rows(url, "select status, ignored, quarantined from stock_feed") == [("rejected", 30, 0)]
    second = (await told(door, feed, "once more")).result["feed"]
    clock.turn(timedelta(minutes=1))
    assert (await told(door, feed_of(clock.now(), S00=99))).status == "applied"
    late = await door.submit(SYSTEM, ReleaseFeed(feed=second, reason="true"), "late")
    assert rule_of(late) == "stock.feed_older"
    assert (await on_hand(url))["S01"] == 100
    await prove(url)


@pytest.mark.parametrize(
    "policy",
    [{"mass_share_percent": None}, {"mass_share_percent": 34}, {"mass_change_units": 100}, {"mass_items_min": 31}],
)
async def test_behaviour_34_the_guard_is_the_policy_s(door: Door, url: str, policy: dict[str, Any]):
    feed = await massive(door)
    await publish(door, "feed", "wms", **policy)
    assert sums(await told(door, feed)) == (30, 0, 0, 0)
    other = feed_of(START, source="erp", **{row.sku: 0 for row in feed.rows[10:]})  # type: ignore[arg-type]
    assert (await told(door, other)).status == "quarantined", "another source has the default"
    await prove(url)


async def test_a_first_feed_is_no_mass_change(door: Door, url: str):
    await stocked(door, **{f"S{number:02}": 0 for number in range(30)})  # type: ignore[arg-type]
    assert sums(await told(door, feed_of(START, **{f"S{number:02}": 500 for number in range(30)}))) == (30, 0, 0, 0)  # type: ignore[arg-type]
    await prove(url)


async def test_a_figure_without_what_is_promised_is_read_so(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await publish(door, "feed", "shop", includes_reserved=False)
    expect_all([await door.submit(SYSTEM, order_of(MUG=3), "order")])
    clock.turn(timedelta(minutes=1))
    seen = clock.now()
    clock.turn(timedelta(minutes=1))
    expect_all([await door.submit(SYSTEM, cart_of(clock.now() + timedelta(hours=1), MUG=2), "claimed since")])
    assert sums(await told(door, feed_of(seen, source="shop", MUG=7))) == (0, 1, 0, 0), "7 free then, 3 reserved"
    assert sums(await told(door, feed_of(seen, source="wms", MUG=7))) == (1, 0, 0, 0), "7 there then"
    assert await on_hand(url) == {"MUG": 7}
    await prove(url)


async def test_deltas_are_added_once_each_and_a_gap_is_a_case(door: Door, url: str):
    await stocked(door, MUG=10)
    assert sums(await told(door, delta_of(START, 1, MUG=-2))) == (1, 0, 0, 0)
    assert (await told(door, delta_of(START, 1, MUG=-2), "sent twice")).status == "merged"
    assert (await told(door, delta_of(START, 4, MUG=5))).status == "applied"
    assert await on_hand(url) == {"MUG": 13}
    assert await rows(url, "select detail from case_subject") == [("wms sent 4 after 1: 2 are missing",)]
    assert (await told(door, delta_of(START, 2, MUG=-1))).status == "applied", "a missing one, late"
    assert await on_hand(url) == {"MUG": 12}
    await prove(url)


async def test_a_delta_from_before_the_last_snapshot_is_ignored(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    clock.turn(timedelta(minutes=10))
    await told(door, feed_of(clock.now(), MUG=8))
    outcome = await told(door, delta_of(clock.now() - timedelta(minutes=1), 1, MUG=-2))
    assert (outcome.status, sums(outcome)) == ("ignored", (0, 0, 0, 1))
    assert outcome.result["rule"] == "stock.feed_before_snapshot"
    assert await on_hand(url) == {"MUG": 8}
    await prove(url)


async def test_a_delta_counts_from_the_source_s_time(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    clock.turn(timedelta(minutes=10))
    await told(door, delta_of(clock.now() - timedelta(minutes=5), 1, MUG=-2))
    assert sums(await told(door, feed_of(clock.now() - timedelta(minutes=3), MUG=8))) == (0, 1, 0, 0), "in the figure"
    assert await on_hand(url) == {"MUG": 8}
    await prove(url)


async def test_what_takes_away_what_was_promised_is_owed_and_a_case(door: Door, url: str):
    await stocked(door, MUG=10)
    expect_all([await door.submit(SYSTEM, order_of(MUG=8), "order")])
    await told(door, feed_of(START, MUG=5))
    assert await rows(url, "select on_hand, reserved, owed from stock_balance") == [(5, 8, 3)]
    assert await rows(url, "select kind from cases") == [("stock_short",)]
    await prove(url)


async def test_a_delta_below_nothing_goes_to_the_shortage_account(door: Door, url: str):
    await stocked(door, MUG=3)
    await told(door, delta_of(START, 1, MUG=-5))
    assert await on_hand(url) == {"MUG": 0}
    assert await rows(url, "select quantity from stock_movement where from_account = 'shortage'") == [(2,)]
    await prove(url)


async def test_what_a_supplier_reports_is_sold_but_never_ours(door: Door, url: str):
    await stocked(door, MUG=10)
    expect_all([await door.submit(SYSTEM, RegisterLocation(code="ACME", name="Acme", kind="supplier"), "acme")])
    await told(door, feed_of(START, source="acme", location="ACME", MUG=40))
    assert await on_hand(url, "ACME") == {"MUG": 40}
    accounts = await rows(url, "select from_account::text from stock_movement where reason = 'feed acme'")
    assert accounts == [("supplier_reported",)]
    order = type(order_of(MUG=1))(currency="EUR", lines=order_of(MUG=15).lines, location="ACME")
    expect_all([await door.submit(SYSTEM, order, "drop ship")])
    await prove(url)


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (feed_of(START.replace(tzinfo=None), MUG=1), "stock.feed_time"),
        (feed_of(START + timedelta(minutes=6), MUG=1), "stock.feed_time"),
        (
            ReportStockFeed(source="wms", as_of=START, location="MAIN", rows=(FeedRow("MUG", 1),), kind="delta"),
            "stock.feed_sequence",
        ),
        (
            ReportStockFeed(source="wms", as_of=START, location="MAIN", rows=(FeedRow("MUG", 1),), sequence=1),
            "stock.feed_sequence",
        ),
    ],
)
async def test_it_refuses_a_feed_that_cannot_be(door: Door, url: str, command: ReportStockFeed, rule: str):
    await stocked(door, MUG=3)
    assert rule_of(await told(door, command, "feed")) == rule
    assert await on_hand(url) == {"MUG": 3}
    assert await rows(url, "select * from stock_feed") == []
    await prove(url)


async def test_a_feed_waits_for_the_thaw_also_where_some_items_are_frozen(door: Door, url: str):
    await stocked(door, MUG=3, PLATE=3)
    await frozen(door, skus=("PLATE",))
    assert (await told(door, feed_of(START, MUG=4))).status == "applied"
    assert (await told(door, feed_of(START, source="erp", MUG=4, PLATE=5))).status == "queued"
    assert await on_hand(url) == {"MUG": 4, "PLATE": 3}
    assert rule_of(await door.submit(SYSTEM, adjust(1, "PLATE"), "adjust")) == "stock.frozen"
    await prove(url)
