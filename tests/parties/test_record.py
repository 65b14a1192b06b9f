"""Customers, and personal words that are kept only where something refers to them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from tests.proof import prove
from tests.requests import rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders.record import RecordedLine, RecordOrder, WithdrawRecord
from trueup.parties.record import RecordCustomer
from trueup.parties.state import Contact


def document(*row_names: str, contact: Contact | None = None) -> RecordOrder:
    lines = tuple(RecordedLine(name, "MUG", Quantity(1), Amount("2.50")) for name in row_names)
    placed_at = datetime(2024, 5, 1, tzinfo=UTC)
    return RecordOrder(
        source="legacy", document="D-1", placed_at=placed_at, currency="EUR", lines=lines, load="run", contact=contact
    )


async def test_two_doors_record_one_customer(door: Door, url: str, clock: TurnedClock):
    async with Door(url, house.build(), clock=clock) as other:
        for turn in range(15):
            same = RecordCustomer(source="shop", number=f"{turn}", contact=Contact(name="Quux"))
            outcomes = await asyncio.gather(
                door.submit(SYSTEM, same, f"a{turn}"), other.submit(SYSTEM, same, f"b{turn}")
            )
            assert outcomes[0].result == outcomes[1].result
    assert await rows(url, "select count(*), min(version), max(version) from customer") == [(15, 2, 2)]
    await prove(url)


async def test_words_that_nothing_refers_to_are_not_kept(door: Door, url: str):
    first = await door.submit(SYSTEM, document("r1", contact=Contact(name="Quux")), "one")
    more = await door.submit(SYSTEM, document("r1", "r2", contact=Contact(name="Corge")), "two")
    assert (first.status, more.status, more.result["rows"]) == ("applied", "applied", 1)
    assert await rows(url, "select name from person") == [("Quux",)]
    assert await rows(url, "select total from orders") == [(Decimal("5.00"),)]
    await prove(url)


async def test_a_record_that_is_withdrawn_is_no_bypass(door: Door, url: str):
    order = (await door.submit(SYSTEM, document("r1", "r2"), "one")).result["order"]
    assert (await door.submit(SYSTEM, document("r2", "r1"), "same rows")).status == "merged"
    assert (await door.submit(SYSTEM, WithdrawRecord(order=order, load="other"), "not theirs")).status == "refused"
    assert (await door.submit(SYSTEM, WithdrawRecord(order=order, load="run"), "withdraw")).status == "applied"
    assert (await door.submit(SYSTEM, WithdrawRecord(order=order, load="run"), "again")).status == "merged"
    assert await rows(url, "select id from orders union all select order_id from order_key") == []
    assert await rows(url, "select relation from bypass") == []
    assert (await door.submit(SYSTEM, document("r1", "r2"), "anew")).status == "applied"
    await prove(url)


async def test_recording_and_withdrawing_in_one_batch(door: Door, url: str):
    order = (await door.submit(SYSTEM, document("r1"), "one")).result["order"]
    outcomes = await door.submit_all(
        SYSTEM, [("w", WithdrawRecord(order=order)), ("r", document("r1", "r2")), ("e", document("r3"))]
    )
    assert [outcome.status for outcome in outcomes] == ["applied", "applied", "applied"]
    assert await rows(url, "select count(*) from order_line") == [(3,)]
    await prove(url)
