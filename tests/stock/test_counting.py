"""Count sessions: blind, recounted by another, approved by a third; what moves meanwhile is netted."""

from __future__ import annotations

from datetime import date, timedelta

from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import adjust, order_of, person, receipt, rows
from tests.stock.depth import balance, cases, done, found, item, lots, lots_of, places, refused, tell

from trueup.authority.standing import SYSTEM
from trueup.catalogue.cost import RecordCost
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor
from trueup.stock.count import CountedLine, CountStock
from trueup.stock.counting import ApproveCount, ApprovedLine, CloseCount, FoundLine, OpenCount, RecordCount

HOUR = timedelta(hours=1)


async def crew(door: Door) -> tuple[Actor, Actor, Actor]:
    """Three who may count: the planner, the deputy, and somebody else."""
    return (
        await person(door, "Planner", "Fulfilment Lead"),
        await person(door, "Deputy", "Fulfilment Lead"),
        await person(door, "Other", "Fulfilment Lead"),
    )


async def opened(door: Door, *skus: str, blind: bool = True) -> str:
    outcome = await done(door, OpenCount(location="MAIN", reference="C-1", skus=skus, blind=blind))
    count: str = outcome.result["count"]
    return count


async def test_a_count_within_the_tolerance_is_posted_when_it_closes(door: Door, url: str):
    await stocked(door, MUG=100, PLATE=50)
    planner, _, _ = await crew(door)
    count = await opened(door)
    outcome = await done(door, found(count, MUG=97, PLATE=50), planner)
    assert outcome.result == {"count": count, "recorded": 2, "recount": []}, "blind: nothing tells the book's figure"
    assert await balance(url) == {"on_hand": 100}, "nothing is posted before the close"
    assert (await done(door, CloseCount(count=count))).result["changed"] == 1
    assert await balance(url) == {"on_hand": 97}
    assert await refused(door, CloseCount(count=count)) == "stock.no_open_count"
    await prove(url)


async def test_beyond_the_tolerance_another_recounts_and_a_third_approves(door: Door, url: str):
    await stocked(door, MUG=100)
    planner, deputy, other = await crew(door)
    count = await opened(door, "MUG")
    assert (await done(door, found(count, MUG=80), planner)).result["recount"] == ["MUG"]
    assert await refused(door, found(count, MUG=80), planner) == "stock.same_counter"
    approval = ApproveCount(count=count, lines=(ApprovedLine("MUG"),))
    assert await refused(door, approval, other) == "stock.nothing_to_approve"
    outcome = await tell(door, CloseCount(count=count), other)
    assert outcome.refusal is not None
    assert "recounted by somebody else" in outcome.refusal.what
    assert (await done(door, found(count, MUG=81), deputy)).result["recount"] == []
    assert await refused(door, CloseCount(count=count), planner) == "stock.count_unfinished"
    for counter in (planner, deputy):
        assert await refused(door, approval, counter) == "stock.counter_approves"
    await done(door, approval, other)
    await done(door, CloseCount(count=count), planner)
    assert await balance(url) == {"on_hand": 81}, "the recount holds"
    await prove(url)


async def test_a_later_count_voids_the_approval(door: Door, url: str):
    await stocked(door, MUG=100)
    planner, deputy, other = await crew(door)
    count = await opened(door, "MUG")
    await done(door, found(count, MUG=80), planner)
    await done(door, found(count, MUG=81), deputy)
    approval = ApproveCount(count=count, lines=(ApprovedLine("MUG"),))
    await done(door, approval, other)
    await done(door, found(count, MUG=60), planner)
    assert await refused(door, CloseCount(count=count)) == "stock.count_unfinished"
    assert await balance(url) == {"on_hand": 100}
    await done(door, approval, other)
    await done(door, CloseCount(count=count))
    await prove(url)


async def test_a_recount_that_agrees_with_the_book_needs_nobody_else(door: Door, url: str):
    await stocked(door, MUG=100)
    planner, deputy, _ = await crew(door)
    count = await opened(door, "MUG")
    await done(door, found(count, MUG=80), planner)
    await done(door, found(count, MUG=100), deputy)
    assert (await done(door, CloseCount(count=count))).result["changed"] == 0
    await prove(url)


async def test_money_decides_where_units_do_not(door: Door, url: str):
    await stocked(door, MUG=100)
    cost = RecordCost(sku="MUG", currency="EUR", cost=Amount("30"), effective_from=date(2026, 1, 1), source="invoice")
    await done(door, cost)
    planner, _, _ = await crew(door)
    count = await opened(door, "MUG")
    assert (await done(door, found(count, MUG=99), planner)).result["recount"] == []
    assert (await done(door, found(count, MUG=98), planner)).result["recount"] == ["MUG"], "two units are 60.00"
    assert await refused(door, found(count, MUG=98), planner) == "stock.same_counter"
    await prove(url)


async def test_what_moves_during_the_count_is_netted(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=100)
    planner, _, _ = await crew(door)
    count = await opened(door, "MUG")
    clock.turn(HOUR)
    counted_at = clock.now()
    clock.turn(HOUR)
    await done(door, receipt(40))
    outcome = await done(door, found(count, counted_at, MUG=98), planner)
    assert outcome.result["recount"] == [], "40 units came after the count: it is two short, not 42"
    clock.turn(HOUR)
    await done(door, adjust(-10))
    await done(door, CloseCount(count=count))
    assert await balance(url) == {"on_hand": 128}, "98 counted, 40 received, 10 lost since"
    await prove(url)


async def test_a_single_count_honours_when_it_was_made(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=100)
    clock.turn(HOUR)
    counted_at = clock.now()
    clock.turn(HOUR)
    await done(door, receipt(40))

    def counted(units: int, at: object = counted_at) -> CountStock:
        lines = (CountedLine("MUG", Quantity(units)),)
        return CountStock(location="MAIN", lines=lines, reference="C", counted_at=at)  # type: ignore[arg-type]

    outcomes = await door.submit_all(SYSTEM, [("receipt", receipt(5)), ("count", counted(90))])
    assert [outcome.status for outcome in outcomes] == ["applied", "applied"]
    assert await balance(url) == {"on_hand": 135}, "90 counted, 40 and 5 received since, the 5 in the same batch"
    assert (await tell(door, counted(90))).status == "merged", "the count itself is no movement after it"
    clock.turn(HOUR)
    await done(door, counted(95, counted_at + HOUR / 2))
    assert await balance(url) == {"on_hand": 140}, "what the first count found was so before the second"
    await done(door, counted(7, clock.now() + HOUR))
    assert await balance(url) == {"on_hand": 7}, "a clock that runs ahead is taken for now"
    assert await refused(door, counted(1, START.replace(tzinfo=None))) == "stock.time_without_zone"
    await prove(url)


async def test_it_closes_only_when_all_is_counted_and_posts_nothing_when_abandoned(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=10)
    planner, _, _ = await crew(door)
    count = await opened(door)
    await done(door, found(count, MUG=9), planner)
    outcome = await tell(door, CloseCount(count=count))
    assert outcome.refusal is not None
    assert [detail.what for detail in outcome.refusal.details] == ["PLATE is not counted"]
    assert await refused(door, OpenCount(location="MAIN", reference="C-2", skus=("MUG",))) == "stock.count_open"
    await done(door, CloseCount(count=count, abandon=True))
    assert await balance(url) == {"on_hand": 10}
    other = await opened(door, "MUG", blind=False)
    assert (await done(door, found(other, MUG=9), planner)).result["book"] == {"MUG": "10"}
    assert await refused(door, found(other, PLATE=9), planner) == "stock.not_in_count"
    assert await refused(door, found(other, MUG=-1), planner) == "stock.quantity"
    assert await refused(door, found(other, START.replace(tzinfo=None), MUG=1), planner) == "stock.time_without_zone"
    await prove(url)


async def test_behaviour_5_a_count_that_breaks_promises_is_a_case_and_they_are_owed(door: Door, url: str):
    await stocked(door, MUG=80)
    await done(door, order_of(MUG=80))
    planner, deputy, other = await crew(door)
    count = await opened(door, "MUG")
    await done(door, found(count, MUG=20), planner)
    await done(door, found(count, MUG=20), deputy)
    await done(door, ApproveCount(count=count, lines=(ApprovedLine("MUG"),)), other)
    await done(door, CloseCount(count=count), other)
    assert await balance(url) == {"on_hand": 20, "reserved": 80, "owed": 60}
    assert await cases(url) == ["stock_short"]
    await prove(url)


async def test_a_tracked_item_is_counted_lot_by_lot(door: Door, url: str):
    await places(door, "MAIN")
    await item(door, "MILK", tracking="lot")
    await done(door, lots(("L1", 5, None), ("L2", 3, None), units=9))
    planner, _, _ = await crew(door)
    count = await opened(door)

    def line(units: int, lot: str | None) -> FoundLine:
        return FoundLine("MILK", Quantity(units), START, lot=lot)

    first = RecordCount(count=count, lines=(line(4, "L1"), line(2, "L9")))
    await done(door, first, planner)
    outcome = await tell(door, CloseCount(count=count))
    assert outcome.refusal is not None
    assert [detail.value for detail in outcome.refusal.details] == ["MILK lot ?", "MILK lot L2"]
    await done(door, RecordCount(count=count, lines=(line(0, None), line(3, "L2"))), planner)
    await done(door, CloseCount(count=count))
    assert await lots_of(url) == {"L1": 4, "L2": 3, "L9": 2}
    assert (await balance(url, "MILK"))["on_hand"] == 9
    assert await rows(url, "select count(*) from stock_movement where reference = %s", count) == [(3,)]
    await prove(url)
