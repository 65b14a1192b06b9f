"""The simulated shop trades through the door, and is refused like anybody when there is nothing left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.verb import Actor
from trueup.house import build
from trueup.sandbox import premises
from trueup.sandbox.shop import Offer, Shop, Warehouses
from trueup.storyline import settled

ACTS_MAX = 2000


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
    assert found == (trade.placed + trade.confirmed,)


async def test_it_is_refused_when_nothing_is_left(door: Door) -> None:
    await stocked(door, MUG=1)
    shop = Shop(door, SYSTEM, [Offer("MUG", "MAIN", Decimal("9.90"), "EUR")], seed=3)
    while not shop.trade.refused:
        await shop.act()
    assert shop.trade.refused == 1


async def test_it_opens_several_places_where_orders_are_sourced_picked_up_and_rejected(
    door: Door, url: str, clock: TurnedClock
) -> None:
    for code in premises.CODES:
        await stocked(door, location=code, MUG=120, PLATE=90, CUP=5)
    opening = premises.everything("webshop", door.now().date())
    expect_all(await door.submit_all(SYSTEM, [(f"opening {at}", command) for at, command in enumerate(opening)]))

    @asynccontextmanager
    async def reading() -> AsyncIterator[Connection]:
        connection = await connect(url)
        try:
            yield connection
        finally:
            await connection.close()

    counter = RegisterActor(name="Second counter", kind="service", roles=("Fulfilment Lead",))
    registered = await door.submit(SYSTEM, counter, "counter")
    second = Actor(registered.result["actor"], "service", counter.name, frozenset(counter.roles))
    offers = [
        Offer(sku, code, Decimal("60"), "EUR")
        for sku in ("MUG", "PLATE", "CUP", premises.TEA)
        for code in premises.CODES
    ]
    warehouses = Warehouses((SYSTEM, second, SYSTEM), premises.SUPPLIER, reading, frozenset({premises.TEA}))
    shop = Shop(door, SYSTEM, offers, seed=5, stores=premises.STORES, warehouses=warehouses)
    assert shop.backroom is not None
    work = shop.backroom.work
    outcomes: set[str] = set()
    for number in range(ACTS_MAX):
        if number > 200 and number % 20 == 0 and all(getattr(work, name) for name in work.__struct_fields__):
            outcomes = {outcome for (outcome,) in await rows(url, "select distinct outcome from sourcing_decision")}
            if outcomes >= {"assigned", "queued", "backordered"}:
                break
        await shop.act()
        await shop.backroom.act()
        clock.turn(timedelta(seconds=20))
        if number % 4 == 3:
            await settled(door, url, build())
    trade = shop.trade
    assert min(trade.pickups, trade.placed, trade.quoted, trade.confirmed, trade.baskets, trade.cancelled) > 0, trade
    assert not trade.unanswered
    assert {name for name in work.__struct_fields__ if not getattr(work, name)} == set(), "all of it is traded"
    assert outcomes >= {"assigned", "queued", "backordered"}, "something waits, and something is owed"
    picked = await rows(url, """select distinct l.code from orders o join fulfilment_order f on f.order_id = o.id
        join location l on l.id = f.location where o.delivery = 'pickup'""")  # fmt: skip
    assert {code for (code,) in picked} <= {*premises.STORES}
    assert await rows(url, "select count(*) > 0 from order_hold") == [(True,)]
    assert await rows(url, "select coalesce(sum(unmatched), 0) from orders") == [(0,)]
    await prove(url)
