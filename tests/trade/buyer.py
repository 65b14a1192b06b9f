"""A process with a door of its own, through which buyers place orders and source them, as fast as they can.

    python -m tests.trade.buyer URL PREFIX BUYERS lock|free

One SKU comes per line on standard input; then every buyer wants two of it, in its own order, and sources that at once.
The answer is one line of JSON: how many orders ended how, and the units that sourcing said it allocated. `free` takes
the lock of balances away.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from decimal import Decimal

import structlog

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.assign import AssignOrder
from trueup.stock import rows

UNITS = 2
WRITERS = 4


async def buy(door: Door, sku: str, key: str, told: Counter[str]) -> None:
    """Place an order and source it; count how both ended."""
    line = PlaceLine(sku, Quantity(UNITS), Amount("10.00"))
    placed = await door.submit(SYSTEM, PlaceOrder(currency="EUR", lines=(line,)), f"{key} {sku}")
    told[f"placed: {placed.status}"] += 1
    if placed.status != "applied":
        return
    sourced = await door.submit(SYSTEM, AssignOrder(order=placed.result["order"]), f"{key} {sku} source")
    told[f"sourced: {sourced.status}"] += 1
    for part in sourced.result.get("fulfilment_orders", ()):
        told["units"] += int(sum(Decimal(units) for units in part["lines"].values()))


async def run(url: str, prefix: str, buyers: int) -> None:
    """Buy each SKU that comes, until none comes."""
    async with Door(url, house.build(), writers=WRITERS) as door:
        print("ready", flush=True)
        while sku := (await asyncio.to_thread(sys.stdin.readline)).strip():
            told = Counter[str]()
            await asyncio.gather(*(buy(door, sku, f"{prefix} {buyer}", told) for buyer in range(buyers)))
            print(json.dumps(told), flush=True)


def main() -> None:
    """Read the arguments and run."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.WARNING)
    url, prefix, buyers, how = sys.argv[1:5]
    if how == "free":
        rows.LOCK_BALANCES = rows.READ_BALANCES
    asyncio.run(run(url, prefix, int(buyers)))


if __name__ == "__main__":
    main()
