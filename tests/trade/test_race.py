"""Sixteen buyers in two processes place and source scarce stock at three locations. Behaviour 16, with sourcing on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.conftest import expect_all, stocked
from tests.proof import problems_of, prove
from tests.requests import rows
from tests.sourcing.words import publish
from tests.trade.buyer import UNITS

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.orders.channel import Channel, Short
from trueup.stock.receive import ReceivedLine, ReceiveStock

ROOT = Path(__file__).resolve().parents[2]
SHELVES = {"A": 4, "B": 3, "C": 3}
STOCK = sum(SHELVES.values())
BUYERS = 16
TURNS = 8
CONTROL_TURNS = 40
Shops = list["subprocess.Popen[str]"]


@contextmanager
def two_processes(url: str, how: str) -> Iterator[Shops]:
    """Two processes with eight buyers each, ready to be told a SKU."""
    arguments = [sys.executable, "-m", "tests.trade.buyer", url]
    shops = [
        subprocess.Popen(
            [*arguments, name, str(BUYERS // 2), how],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    try:
        for shop in shops:
            assert _line(shop) == "ready"
        yield shops
    finally:
        for shop in shops:
            shop.communicate("\n", timeout=60)


def _line(shop: subprocess.Popen[str]) -> str:
    assert shop.stdout is not None
    return shop.stdout.readline().strip()


async def rush(shops: Shops, sku: str) -> Counter[str]:
    """Let all buyers want an item at once; return how their orders ended."""
    for shop in shops:
        assert shop.stdin is not None
        shop.stdin.write(f"{sku}\n")
        shop.stdin.flush()
    told = [json.loads(await asyncio.to_thread(_line, shop)) for shop in shops]
    return sum((Counter(one) for one in told), Counter[str]())


async def open_shops(door: Door, short: Short, turns: int) -> None:
    """Three locations that serve the web, and of each turn's item a few units at each of them."""
    skus = [f"T{turn}" for turn in range(turns)]
    expect_all(await door.submit_all(SYSTEM, [(sku, RegisterItem(sku=sku, name=sku)) for sku in skus]))
    for code, units in SHELVES.items():
        await stocked(door, location=code)
        lines = tuple(ReceivedLine(sku, Quantity(units)) for sku in skus)
        receipt = ReceiveStock(location=code, lines=lines, reference=f"opening {code}")
        expect_all([await door.submit(SYSTEM, receipt, f"fill {code}")])
    await publish(door, "web", Channel(locations=tuple(SHELVES), short=short))


async def sold(url: str) -> dict[str, tuple[int, int]]:
    """Return, by item, the units that orders claim and those that locations owe them."""
    found = await rows(
        url,
        """select i.sku, (select coalesce(sum(c.quantity), 0) from stock_claim c where c.item = i.id),
            (select coalesce(sum(l.quantity - l.withdrawn), 0) from fulfilment_line l where l.item = i.id)
        from item i""",
    )
    return {sku: (int(claimed), int(owed)) for sku, claimed, owed in found}


@pytest.mark.parametrize("short", ["refuse", "backorder", "partial"])
async def test_behaviour_16_each_unit_is_sold_once_whatever_becomes_of_the_others(door: Door, url: str, short: Short):
    await open_shops(door, short, TURNS)
    with two_processes(url, "lock") as shops:
        for turn in range(TURNS):
            told = await rush(shops, f"T{turn}")
            accepted = BUYERS if short == "backorder" else STOCK // UNITS
            assert told["placed: applied"] == told["sourced: applied"] == accepted, told
            assert (told["placed: refused"], told["units"]) == (BUYERS - accepted, STOCK), told
    assert set((await sold(url)).values()) == {(STOCK, STOCK)}
    balances = await rows(url, "select distinct on_hand - allocated, reserved, owed from stock_balance")
    assert balances == [(0, 0, 0)]
    await prove(url)


async def test_the_control_without_the_lock_units_are_sold_twice(door: Door, url: str):
    await open_shops(door, "refuse", CONTROL_TURNS)
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute("alter table stock_balance drop constraint promised_is_covered")
    with two_processes(url, "free") as shops:
        for turn in range(CONTROL_TURNS):
            await rush(shops, f"T{turn}")
            if (await sold(url))[f"T{turn}"][0] > STOCK:
                break
    assert max(claimed for claimed, _ in (await sold(url)).values()) > STOCK, "the control must oversell"
    assert [problem for problem in await problems_of(url) if problem.startswith("stock.")]
