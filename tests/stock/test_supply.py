"""Supply to come, and who waits for it: dates are kept, moved with notice in time, never doubled. Behaviour 13."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import rows
from tests.stock.pegging import Arrive, Backorder, LetGo, Yard, pegging_house

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.stock import supply_read
from trueup.stock.promise import PromisePolicy
from trueup.stock.supply import CancelSupply, ExpectSupply, NoticeLateSupply, RescheduleSupply


@pytest.fixture
async def yard(url: str, clock: TurnedClock) -> AsyncIterator[Yard]:
    async with Door(url, pegging_house(), clock=clock) as door:
        await stocked(door, MUG=0, PLATE=0)
        yield Yard(door)


async def waits(url: str, holder: str | None = None) -> list[tuple[int, str | None, str | None]]:
    """(units, reference of the supply, due date) of the open pegs, in the order of their turn."""
    return [
        (int(quantity), reference, due)
        for quantity, reference, due in await rows(
            url,
            """select w.quantity, s.reference, to_char(w.due_at, 'YYYY-MM-DD') from stock_waiting w
            left join stock_supply s on s.id = w.supply where %s::text is null or w.holder = %s
            order by w.since, w.holder, w.line, w.number""",
            holder,
            holder,
        )
    ]


async def notices(url: str) -> dict[str, Any]:
    found = await rows(url, "select source, cause, subjects from cases where closed_at is null")
    assert len(found) == 1, "one case per location"
    assert found[0][1] == "promise:at_risk:MAIN"
    return {key.partition("/")[0]: entry for key, entry in found[0][0]["notices"].items()}


async def test_demand_is_pegged_to_the_earliest_supply_and_the_rest_waits_undated(yard: Yard, url: str):
    await yard.expect(3, "2026-03-20", "LATER")
    await yard.expect(2, "2026-03-10", "SOONER")
    holder = await yard.backorder(7)
    assert await waits(url, holder) == [(2, "SOONER", "2026-03-10"), (3, "LATER", "2026-03-20"), (2, None, None)]
    assert await rows(url, "select waiting::int from stock_backlog") == [(2,)]
    assert await rows(url, "select sum(on_hand), sum(reserved) from stock_balance") == [(None, None)], (
        "no claim on stock"
    )
    await prove(url)


async def test_no_unit_of_supply_is_promised_twice(yard: Yard, url: str):
    await yard.expect(5, "2026-03-10")
    first, second = await yard.backorder(4), await yard.backorder(4)
    assert await waits(url, first) == [(4, "PO-1", "2026-03-10")]
    assert await waits(url, second) == [(1, "PO-1", "2026-03-10"), (3, None, None)]
    await prove(url)


async def test_two_backorders_of_one_batch_see_each_other(yard: Yard, url: str):
    await yard.expect(5, "2026-03-10")
    commands = [(f"b{n}", Backorder(sku="MUG", quantity=Quantity(3))) for n in range(3)]
    await yard.door.submit_all(SYSTEM, commands)
    assert sorted(units for units, supply, _ in await waits(url) if supply) == [2, 3]
    await prove(url)


async def test_new_supply_goes_to_the_first_who_wait_undated(yard: Yard, url: str, clock: TurnedClock):
    first = await yard.backorder(2)
    clock.turn(timedelta(minutes=1))
    second = await yard.backorder(2)
    await yard.expect(3, "2026-03-12")
    assert await waits(url, first) == [(2, "PO-1", "2026-03-12")]
    assert await waits(url, second) == [(1, "PO-1", "2026-03-12"), (1, None, None)]
    assert await rows(url, "select count(*) from cases") == [(0,)], "who had no date has not been let down"
    await prove(url)


async def test_overdue_supply_promises_nothing(yard: Yard, url: str):
    await yard.expect(5, "2026-03-01")
    holder = await yard.backorder(2)
    assert await waits(url, holder) == [(2, None, None)]
    await prove(url)


async def test_what_is_cancelled_goes_to_the_next(yard: Yard, url: str, clock: TurnedClock):
    await yard.expect(3, "2026-03-10")
    first = await yard.backorder(3)
    clock.turn(timedelta(minutes=1))
    second = await yard.backorder(2)
    await yard.act(LetGo(holder=first, sku="MUG", quantity=Quantity(1)))
    assert await waits(url, first) == [(2, "PO-1", "2026-03-10")]
    assert await waits(url, second) == [(1, "PO-1", "2026-03-10"), (1, None, None)]
    await yard.act(LetGo(holder=first, sku="MUG"))
    assert await waits(url, first) == []
    assert await waits(url, second) == [(1, "PO-1", "2026-03-10"), (1, "PO-1", "2026-03-10")]
    await prove(url)


async def test_cancelling_gives_the_latest_units_back_and_filling_takes_the_soonest(yard: Yard, url: str):
    await yard.expect(2, "2026-03-10", "SOONER")
    await yard.expect(2, "2026-03-20", "LATER")
    holder = await yard.backorder(4)
    await yard.act(LetGo(holder=holder, sku="MUG", quantity=Quantity(1)))
    assert await waits(url, holder) == [(2, "SOONER", "2026-03-10"), (1, "LATER", "2026-03-20")]
    await yard.act(LetGo(holder=holder, sku="MUG", quantity=Quantity(1), reason="filled"))
    assert await waits(url, holder) == [(1, "SOONER", "2026-03-10"), (1, "LATER", "2026-03-20")]
    await prove(url)


async def test_a_receipt_takes_off_what_is_to_come_and_the_first_wait_to_be_filled(
    yard: Yard, url: str, clock: TurnedClock
):
    await yard.expect(5, "2026-03-10")
    first = await yard.backorder(2)
    clock.turn(timedelta(minutes=1))
    second = await yard.backorder(2)
    await yard.act(Arrive(sku="MUG", quantity=Quantity(3), reference="PO-1"))
    assert await rows(url, "select open::int, pegged::int from stock_supply") == [(2, 1)]
    assert await waits(url, first) == [(2, None, "2026-03-02")], "came in, and waits to be filled"
    assert await waits(url, second) == [(1, "PO-1", "2026-03-10"), (1, None, "2026-03-02")] or await waits(
        url, second
    ) == [(1, None, "2026-03-02"), (1, "PO-1", "2026-03-10")]
    await yard.act(Arrive(sku="MUG", quantity=Quantity(3), reference="OTHER"))
    assert await rows(url, "select open::int from stock_supply") == [(2,)], "another reference is no receipt of it"
    await yard.act(Arrive(sku="MUG", quantity=Quantity(9), reference="PO-1"))
    assert await rows(url, "select open::int, received::int from stock_supply") == [(0, 5)], "never beyond the supply"
    await prove(url)


async def test_a_later_date_is_a_case_with_its_notice_before_the_promise_breaks(
    yard: Yard, url: str, clock: TurnedClock
):
    moved = await yard.expect(3, "2026-03-10", "MOVED")
    holder = await yard.backorder(2)
    clock.turn(timedelta(minutes=1))
    patient = await yard.backorder(1)
    other = await yard.expect(2, "2026-03-15", "OTHER")
    await yard.act(RescheduleSupply(supply=moved, due="2026-04-20"))
    assert await waits(url, holder) == [(2, "OTHER", "2026-03-15")]
    assert await waits(url, patient) == [(1, "MOVED", "2026-04-20")]
    told = await notices(url)
    assert {key: (entry["promised"][:10], entry["now"][:10], entry["notice"]) for key, entry in told.items()} == {
        holder: ("2026-03-10", "2026-03-15", "notice"),
        patient: ("2026-03-10", "2026-04-20", "consent"),
    }
    details = dict(await rows(url, "select subject, detail from case_subject"))
    assert "promised 2026-03-10, now 2026-03-15; the customer must be told" in details[holder]
    await yard.act(CancelSupply(supply=other))
    assert (await notices(url))[holder]["now"][:10] == "2026-04-20", "the same case, with the last date"
    await prove(url)


async def test_an_earlier_date_and_a_shorter_delay_than_the_policy_need_no_notice(yard: Yard, url: str):
    policy = PublishPolicy(policy_kind="promise", policy_name="default",
                           document={"notice_after_days": 5, "consent_after_days": None}, reason="a test")  # fmt: skip
    await yard.act(policy)
    supply = await yard.expect(3, "2026-03-10")
    holder = await yard.backorder(2)
    await yard.act(RescheduleSupply(supply=supply, due="2026-03-08"))
    assert await rows(url, "select count(*) from cases") == [(0,)]
    await yard.act(RescheduleSupply(supply=supply, due="2026-03-12"))
    assert (await notices(url))[holder]["notice"] == "none", "measured from what was promised first"
    await yard.act(RescheduleSupply(supply=supply, due="2026-04-30"))
    assert (await notices(url))[holder]["notice"] == "notice", "this policy never asks for consent"
    await prove(url)


async def test_cancelled_supply_leaves_its_first_comers_alone(yard: Yard, url: str, clock: TurnedClock):
    supply = await yard.expect(5, "2026-03-10")
    first = await yard.backorder(2)
    clock.turn(timedelta(minutes=1))
    second = await yard.backorder(3)
    await yard.act(CancelSupply(supply=supply, quantity=Quantity(2)))
    assert await waits(url, first) == [(2, "PO-1", "2026-03-10")]
    assert await waits(url, second) == [(1, "PO-1", "2026-03-10"), (2, None, None)]
    told = await notices(url)
    assert list(told) == [second]
    assert (told[second]["now"], told[second]["notice"]) == (None, "consent")
    await yard.act(CancelSupply(supply=supply, quantity=Quantity(4)), "refused")
    await yard.act(CancelSupply(supply=supply))
    await yard.act(CancelSupply(supply=supply), "refused")
    assert await waits(url, first) == [(2, None, None)]
    await prove(url)


async def test_overdue_supply_that_somebody_waits_for_is_noticed_once(yard: Yard, url: str, clock: TurnedClock):
    supply = await yard.expect(3, "2026-03-04", "AWAITED")
    await yard.expect(3, "2026-03-03", "NOBODYS", sku="PLATE")
    holder = await yard.backorder(2)
    assert await at_risk(url, clock) == ()
    await yard.act(NoticeLateSupply(supply=supply), "merged")
    clock.turn(timedelta(days=3))
    assert await at_risk(url, clock) == (supply,)
    ((key, command),) = await due_to_notice(url, clock)
    assert key == f"stock/late/{supply}/2026-03-05T09"
    await yard.act(command)
    assert (await notices(url))[holder]["now"] is None
    assert await at_risk(url, clock) == ()
    await yard.act(NoticeLateSupply(supply=supply), "merged")
    await yard.act(RescheduleSupply(supply=supply, due="2026-03-06"))
    clock.turn(timedelta(days=3))
    assert await at_risk(url, clock) == (supply,), "the new time passed, too"
    await prove(url)


async def at_risk(url: str, clock: TurnedClock) -> tuple[str, ...]:
    connection = await connect(url)
    try:
        return await supply_read.at_risk(connection, PromisePolicy(), clock.now())
    finally:
        await connection.close()


async def due_to_notice(url: str, clock: TurnedClock) -> list[tuple[str, NoticeLateSupply]]:
    connection = await connect(url)
    try:
        return await supply_read.due_to_notice(connection, clock.now())
    finally:
        await connection.close()


async def test_it_refuses_what_nobody_registered_and_a_time_without_its_zone(yard: Yard, url: str):
    def expected(**changes: Any) -> ExpectSupply:
        fields = {"location": "MAIN", "sku": "MUG", "quantity": Quantity(1), "due": "2026-03-10", "reference": "PO",
                  "source": "test", **changes}  # fmt: skip
        return ExpectSupply(**fields)

    wrong: list[dict[str, Any]] = [
        {"location": "NOWHERE"},
        {"sku": "GHOST"},
        {"quantity": Quantity(0)},
        {"due": "2026-03-10T10:00"},
        {"due": "2026-02-30"},
        {"due": "next week, surely"},
    ]
    for changes in wrong:
        await yard.act(expected(**changes), "refused")
    await yard.act(RescheduleSupply(supply="sup_1", due="2026-03-10"), "refused")
    assert await rows(url, "select count(*) from stock_supply") == [(0,)]
    await yard.act(expected(due="2026-03-10T10:00+02:00"))
    assert await rows(url, "select due_at at time zone 'UTC' from stock_supply") == [
        ((START.replace(day=10, hour=8)).replace(tzinfo=None),)
    ]
    await prove(url)


async def test_what_waits_and_what_comes_is_read_and_explained(yard: Yard, url: str):
    await yard.expect(5, "2026-03-10")
    holder = await yard.backorder(2)
    connection = await connect(url)
    try:
        page = await supply_read.supplies(connection, supply_read.SupplyQuery(sku="MUG"), START)
        queue = await supply_read.waiting(connection, "MUG", "MAIN")
        told = await supply_read.explain(connection, Policies([]), "MUG", "MAIN", START)
    finally:
        await connection.close()
    assert [(int(row.open), int(row.pegged)) for row in page.items] == [(5, 2)]
    assert [(row.holder, int(row.quantity)) for row in queue] == [(holder, 2)]
    assert told is not None
    assert (int(told.available), int(told.to_come)) == (0, 3)
    assert told.words[1] == "5 to come with PO-1, due 2026-03-10 23:59 UTC, 2 of them promised to those who wait"
