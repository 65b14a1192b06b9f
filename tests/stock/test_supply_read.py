"""Who waits, read page by page: on one supply, and where at all; nobody is shown twice, and nobody is left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.stock.pegging import Yard, pegging_house

from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.stock import supply_read
from trueup.stock.supply_read import SupplyQuery, WaitingPlaceQuery


@pytest.fixture
async def yard(url: str, clock: TurnedClock) -> AsyncIterator[Yard]:
    async with Door(url, pegging_house(), clock=clock) as door:
        await stocked(door, MUG=0, PLATE=0)
        yield Yard(door)


async def test_who_waits_for_a_supply_is_paged_first_come_first(yard: Yard, url: str, clock: TurnedClock):
    supply = await yard.expect(10, "2026-03-10")
    other = await yard.expect(10, "2026-03-11", sku="PLATE")
    holders = []
    for _ in range(3):
        holders.append(await yard.backorder(2))
        clock.turn(timedelta(minutes=1))
    await yard.backorder(1, "PLATE")
    connection = await connect(url)
    seen, cursor = list[str](), None
    for _ in range(3):
        page = await supply_read.waiting_on(connection, supply, cursor, limit=1)
        seen += [row.holder for row in page.items]
        cursor = page.next
    assert (seen, cursor) == (holders, None)
    assert len((await supply_read.waiting_on(connection, other)).items) == 1
    waited = await supply_read.supplies(connection, SupplyQuery(pegged=True), clock.now())
    assert [row.id for row in waited.items] == [supply, other]
    await yard.expect(4, "2026-03-12", "SPARE")
    spare = await supply_read.supplies(connection, SupplyQuery(pegged=False), clock.now())
    assert [row.reference for row in spare.items] == ["SPARE"]
    await connection.close()
    await prove(url)


async def test_places_where_somebody_waits_are_paged_the_longest_wait_first(yard: Yard, url: str, clock: TurnedClock):
    await yard.expect(3, "2026-03-10")
    await yard.backorder(2, "PLATE")
    clock.turn(timedelta(minutes=1))
    for units in (2, 4):
        await yard.backorder(units)
    connection = await connect(url)
    first = await supply_read.waiting_places(connection, WaitingPlaceQuery(limit=1))
    second = await supply_read.waiting_places(connection, WaitingPlaceQuery(limit=1, cursor=first.next))
    assert [(p.sku, int(p.quantity), int(p.pegged), p.holders) for p in (*first.items, *second.items)] == [
        ("PLATE", 2, 0, 1),
        ("MUG", 6, 3, 2),
    ]
    assert second.next is None
    assert [p.sku for p in (await supply_read.waiting_places(connection, WaitingPlaceQuery(sku="MUG"))).items] == [
        "MUG"
    ]
    assert (await supply_read.waiting_places(connection, WaitingPlaceQuery(), sites=["STORE"])).items == ()
    await connection.close()
    await prove(url)
