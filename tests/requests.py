"""The commands that tests submit, in few words, and the people who submit them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Outcome
from trueup.orders.cancel import CancelLine, CancelOrder
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceiveStock
from trueup.stock.reserve import ReserveLine, ReserveStock


def order_of(**units: int) -> PlaceOrder:
    """An order of so many units of each item, 10.00 each: `order_of(MUG=3)`."""
    return priced_order("10.00", **units)


def priced_order(price: str, **units: int) -> PlaceOrder:
    """An order of so many units of each item at one price."""
    lines = tuple(PlaceLine(sku, Quantity(count), Amount(price)) for sku, count in units.items())
    return PlaceOrder(currency="EUR", lines=lines)


def cart_of(expires_at: datetime, **units: int) -> ReserveStock:
    """A reservation of so many units of each item until a time."""
    lines = tuple(ReserveLine(sku, Quantity(count)) for sku, count in units.items())
    return ReserveStock(location="MAIN", lines=lines, expires_at=expires_at)


def cancel(order: str, **units: int) -> CancelOrder:
    """A cancellation of units by line: `cancel(order, line1=2)`; without lines, of all that is left."""
    lines = tuple(CancelLine(int(name.removeprefix("line")), Quantity(count)) for name, count in units.items())
    return CancelOrder(order=order, lines=lines)


def adjust(change: int, sku: str = "MUG", location: str = "MAIN") -> AdjustStock:
    """An adjustment of one item."""
    return AdjustStock(location=location, sku=sku, change=Quantity(change), reason="found", reference=f"adj {change}")


def receipt(units: int, sku: str = "MUG") -> ReceiveStock:
    """A receipt of one item."""
    return ReceiveStock(location="MAIN", lines=(ReceivedLine(sku, Quantity(units)),), reference="note")


async def person(door: Door, name: str, *roles: str) -> Actor:
    """Register somebody with these roles."""
    outcome = await door.submit(SYSTEM, RegisterActor(name=name, roles=roles), f"register {name}")
    assert outcome.status == "applied", outcome.refusal
    return Actor(outcome.result["actor"], "person", name, frozenset(roles))


async def rows(url: str, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Read from the test's database as the application does."""
    connection = await connect(url)
    try:
        return await (await connection.execute(sql, parameters)).fetchall()
    finally:
        await connection.close()


async def figures(url: str, sku: str = "MUG") -> dict[str, int]:
    """Return an item's balance at MAIN in whole units."""
    found = await rows(
        url,
        """select on_hand, reserved, owed from stock_balance b join item i on i.id = b.item
        join location l on l.id = b.location where i.sku = %s and l.code = 'MAIN'""",
        sku,
    )
    return dict(zip(("on_hand", "reserved", "owed"), map(int, found[0]), strict=True))


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    """Wait for something to become true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def statuses(outcomes: list[Outcome]) -> dict[str, int]:
    """Count outcomes by status."""
    counted: dict[str, int] = {}
    for outcome in outcomes:
        counted[outcome.status] = counted.get(outcome.status, 0) + 1
    return counted
