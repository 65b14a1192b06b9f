"""`bench replay`: the impact of a policy on 100,000 orders, both sides at once, with the database's rows counted."""

from __future__ import annotations

import asyncio
import os
import time

import msgspec
import psycopg

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.cli.bench.measure import Figure, cpu_seconds
from trueup.cli.bench.rig import SKUS, Rig, bodies, rig
from trueup.core import json
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.orders.channel import Channel
from trueup.orders.place import PlaceOrder
from trueup.oversight.impact import Impact, impact

ORDERS = 100_000
RATE_TARGET, MB_TARGET = 10_000.0, 1_000.0
_CHANGED = """select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_user_tables"""


def replay() -> list[Figure]:
    """Place orders, then replay them under a channel whose prices include tax; nothing of the database may change."""
    with rig() as on:
        first = asyncio.run(_place(on, ORDERS))
        before = _state_of(on)
        server, base = cpu_seconds(os.getpid()), cpu_seconds(on.postmaster)
        began = time.monotonic()
        found = asyncio.run(_replay(on, first))
        seconds = time.monotonic() - began
        used = {"both sides": cpu_seconds(os.getpid()) - server, "database": cpu_seconds(on.postmaster) - base}
        after = _state_of(on)
    if found.differing != ORDERS or found.proposed.commands != ORDERS:
        raise TrueupError(f"{found.differing} of {ORDERS} orders differ, which all should")
    rate = ORDERS / seconds
    return [
        Figure(
            name="replay",
            figure=rate,
            unit="orders/s",
            peak_mb=found.peak_mb,
            cpu_us_per_unit={who: spent / ORDERS * 1e6 for who, spent in used.items()},
            target=f"{RATE_TARGET:,.0f} orders/s, under {MB_TARGET:,.0f} MB together, no row changed",
            met=rate >= RATE_TARGET and found.peak_mb < MB_TARGET and before == after,
            beside={"seconds": seconds, "rows changed": float(after - before)},
        )
    ]


async def _place(on: Rig, count: int) -> int:
    """Place orders through the door, and return the position that they come after."""
    connection = await connect(on.url)
    row = await (await connection.execute("select max(position) from journal")).fetchone()
    await connection.close()
    lines = bodies(count, SKUS, 1).splitlines()
    async with Door(on.url, house.build()) as door:
        for start in range(0, count, 2000):
            orders = [json.decode(line, PlaceOrder) for line in lines[start : start + 2000]]
            await door.submit_all(SYSTEM, [(f"order {start + at}", order) for at, order in enumerate(orders)])
    return int(row[0]) if row else 0


async def _replay(on: Rig, first: int) -> Impact:
    built = house.build()
    connection = await connect(on.url)
    channel = (await built.load_standing(connection)).policies.get(Channel, "web")
    await connection.close()
    proposed = msgspec.structs.replace(channel, prices_include_tax=True)
    return await impact(on.url, built, {("channel", "web"): proposed}, since_position=first, apart=True)


def _state_of(on: Rig) -> int:
    """Return how many rows were ever inserted, updated or deleted."""
    with psycopg.connect(on.url, autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush()")
        row = connection.execute(_CHANGED).fetchone()
    return int(row[0]) if row else 0
