"""The simulated shop trades through the door, and is refused like anybody when there is nothing left."""

from __future__ import annotations

from decimal import Decimal

from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority.standing import SYSTEM
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.house import build
from trueup.sandbox import premises
from trueup.sandbox.shop import Offer, Shop
from trueup.sourcing.read import PartDetail, PartQuery, parts
from trueup.storyline import settled


async def test_it_places_cancels_reserves_and_receives(door: Door, url: str) -> None:
    await stocked(door, MUG=400, PLATE=400)
    offers = [Offer("MUG", "MAIN", Decimal("9.90"), "EUR"), Offer("PLATE", "MAIN", Decimal("4.50"), "EUR")]
    shop = Shop(door, SYSTEM, offers, seed=7)
    for _ in range(60):
        await shop.act()
    trade = shop.trade
    assert min(trade.placed, trade.cancelled, trade.baskets, trade.received) > 0
    assert not trade.unanswered
    connection = await connect(url)
    try:
        found = await (await connection.execute("select count(*) from orders where channel = 'webshop'")).fetchone()
    finally:
        await connection.close()
    assert found == (trade.placed,)


async def test_it_is_refused_when_nothing_is_left(door: Door) -> None:
    await stocked(door, MUG=1)
    shop = Shop(door, SYSTEM, [Offer("MUG", "MAIN", Decimal("9.90"), "EUR")], seed=3)
    while not shop.trade.refused:
        await shop.act()
    assert shop.trade.refused == 1


async def test_it_opens_several_places_where_orders_are_sourced_picked_up_and_rejected(door: Door, url: str) -> None:
    for code in premises.CODES:
        await stocked(door, location=code, MUG=6, PLATE=6, CUP=1)
    opening = [*premises.premises(), *premises.policies("webshop")]
    expect_all(await door.submit_all(SYSTEM, [(f"opening {at}", command) for at, command in enumerate(opening)]))

    async def open_parts() -> tuple[PartDetail, ...]:
        connection = await connect(url)
        try:
            return (await parts(connection, PartQuery(status="open"))).items
        finally:
            await connection.close()

    offers = [Offer(sku, code, Decimal("60"), "EUR") for sku in ("MUG", "PLATE", "CUP") for code in premises.CODES]
    shop = Shop(door, SYSTEM, offers, seed=5, stores=premises.STORES, open_parts=open_parts)
    for number in range(120):
        await shop.act()
        if number % 4 == 3:
            await settled(door, url, build())
    trade = shop.trade
    assert min(trade.pickups, trade.rejected, trade.placed, trade.received) > 0
    assert not trade.unanswered
    outcomes = {outcome for (outcome,) in await rows(url, "select distinct outcome from sourcing_decision")}
    assert {"assigned", "queued", "backordered"} <= outcomes, "something waits, and something is owed"
    picked = await rows(url, """select distinct l.code from orders o join fulfilment_order f on f.order_id = o.id
        join location l on l.id = f.location where o.delivery = 'pickup'""")  # fmt: skip
    assert {code for (code,) in picked} <= {*premises.STORES}
    assert await rows(url, "select count(*) > 0 from order_hold") == [(True,)]
    assert await rows(url, "select coalesce(sum(unmatched), 0) from orders") == [(0,)]
    await prove(url)
