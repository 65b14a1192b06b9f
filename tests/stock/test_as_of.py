"""Stock as it stood: the ledgers give every past figure, and what has been recorded then is what is told now."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import adjust, cart_of, order_of, receipt
from tests.stock.depth import arrive, done, item, lots, places, restate, ship

from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refused
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.stock import read
from trueup.stock.as_of import balances_as_of
from trueup.stock.read import Availability, StockQuery
from trueup.stock.receive import SetSafetyStock
from trueup.stock.reserve import ReleaseReservation

HOUR = timedelta(hours=1)


async def told(url: str, now: datetime, at: datetime | None = None, **query: Any) -> list[Availability]:
    """What is said of stock now, or as of a time; the version of a past balance is nobody's business."""
    connection = await connect(url)
    try:
        if at is None:
            page = await read.balances(connection, Policies([]), StockQuery(**query), now)
        else:
            page = await balances_as_of(connection, StockQuery(as_of=at, **query), now)
    finally:
        await connection.close()
    return [msgspec.structs.replace(row, version=0) for row in page.items]


async def test_every_past_figure_is_what_was_told_then(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=20, PLATE=5)
    await places(door, "SHOP")
    await item(door, "MILK", tracking="lot", expires=True)
    await done(door, lots(("L1", 6, START.date()), ("L2", 4, None)))
    seen: list[tuple[datetime, list[Availability]]] = []

    async def note() -> None:
        seen.append((clock.now(), await told(url, clock.now())))
        clock.turn(HOUR)

    await note()
    await done(door, order_of(MUG=4, PLATE=1))
    cart = (await done(door, cart_of(clock.now() + HOUR * 99, MUG=2))).result["reservation"]
    await done(door, cart_of(clock.now() + HOUR * 3 / 2, MUG=3))
    await note()
    await done(door, restate(2, "available", "damaged", "PLATE"))
    await done(door, SetSafetyStock(location="MAIN", sku="MUG", quantity=Quantity(2)))
    await note()
    await note()
    transfer = (await done(door, ship(MUG=5))).result["transfer"]
    await note()
    await done(door, arrive(transfer, MUG=4, close=True))
    await done(door, adjust(-12))
    await note()
    await done(door, ReleaseReservation(reservation=cart))
    await done(door, SetSafetyStock(location="MAIN", sku="MUG", quantity=Quantity(0)))
    clock.turn(timedelta(days=1))
    await note()
    await done(door, receipt(9))
    for at, then in seen:
        ever = {(row.sku, row.location) for row in then}
        later = [row for row in await told(url, clock.now(), at) if (row.sku, row.location) in ever]
        assert later == then, at
    assert [row.on_hand for row in await told(url, clock.now(), START - HOUR)] == [0, 0, 0, 0], "before anything came"
    await prove(url)


async def test_it_pages_and_filters_like_the_present(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=20, PLATE=5)
    clock.turn(HOUR)
    assert [row.sku for row in await told(url, clock.now(), START, search="PL")] == ["PLATE"]
    assert [row.sku for row in await told(url, clock.now(), START, limit=1)] == ["MUG"]
    assert await told(url, clock.now(), START, location="NOWHERE") == []


@pytest.mark.parametrize("query", [{"as_of": START + HOUR}, {"as_of": START.replace(tzinfo=None)}, {"short": True}])
async def test_it_refuses_a_time_to_come_or_without_a_zone(door: Door, url: str, query: dict[str, Any]):
    connection = await connect(url)
    try:
        with pytest.raises(Refused):
            await balances_as_of(connection, StockQuery(**query), START)
    finally:
        await connection.close()


async def test_behaviour_14_three_hundred_mugs_make_150_pairs(door: Door, url: str):
    await stocked(door, MUG=300, CARD=200)
    await item(door, "PAIR", kind="kit", phantom=True, parts={"MUG": 2, "CARD": 1})
    connection = await connect(url)
    try:
        at_main = await read.availability(connection, Policies([]), "PAIR", "MAIN", START)
        assert at_main is not None
        assert at_main.available == 150
        assert at_main.explanation == "200 CARD at 1 each, 300 MUG at 2 each make 150 available"
        places = await read.everywhere(connection, Policies([]), "PAIR", START)
        assert [(row.location, row.available) for row in places] == [("MAIN", Decimal(150))]
        await done(door, order_of(MUG=1))
        at_main = await read.availability(connection, Policies([]), "PAIR", "MAIN", START)
        assert at_main is not None
        assert at_main.available == 149
    finally:
        await connection.close()
