"""The simulated shop trades through the door, and is refused like anybody when there is nothing left."""

from __future__ import annotations

from decimal import Decimal

from tests.conftest import stocked

from trueup.authority.standing import SYSTEM
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.sandbox.shop import Offer, Shop


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
