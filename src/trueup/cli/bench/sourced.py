"""`bench sourced`: orders placed and sourced, until the last one is assigned, beside orders that are only placed."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import msgspec
import psycopg

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.cli.bench.measure import Figure, Latencies, cpu_seconds, median
from trueup.cli.bench.rig import SKUS, Rig, bodies, drive, rig, trueup_server
from trueup.core import json
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.sourcing.policy import Routing, When

ROUNDS = 3
SECONDS = 6.0
CLIENTS = 64
TARGET = 0.5
WAIT_SECONDS_MAX = 120
_UNASSIGNED = """select count(*) from orders
    where managed and units_allocated + units_shipped + units_cancelled < units_ordered and placed_at >= %s"""


class Round(msgspec.Struct):
    """One round: orders, seconds until the last was placed, or assigned, and CPU seconds of ours and the database."""

    orders: int
    seconds: float
    server: float
    database: float

    @property
    def per_second(self) -> float:
        """Orders that were done with, per second."""
        return self.orders / self.seconds


def sourced() -> list[Figure]:
    """Interleave rounds whose orders are sourced on placement with rounds whose orders are sourced later."""
    placed: list[Round] = []
    assigned: list[Round] = []
    with rig() as on, trueup_server(on) as (address, pid):
        for number in range(ROUNDS + 1):
            asyncio.run(_publish(on, number, on_placement=False))
            without = _round(on, address, pid, until_assigned=False)
            asyncio.run(_publish(on, number, on_placement=True))
            with_ = _round(on, address, pid, until_assigned=True)
            if number:
                placed.append(without)
                assigned.append(with_)
    ratio = median([a.per_second / p.per_second for a, p in zip(assigned, placed, strict=True)])
    orders, bare = sum(run.orders for run in assigned), sum(run.orders for run in placed)
    cpu = {
        "server": sum(run.server for run in assigned) / orders * 1e6,
        "database": sum(run.database for run in assigned) / orders * 1e6,
        "server, only placed": sum(run.server for run in placed) / bare * 1e6,
        "database, only placed": sum(run.database for run in placed) / bare * 1e6,
    }
    return [
        Figure(
            name="sourced",
            figure=median([run.per_second for run in assigned]),
            unit="orders/s",
            limit=median([run.per_second for run in placed]),
            ratio=ratio,
            cpu_us_per_unit=cpu,
            target="until the last order is assigned, at least 0.5 of placing alone",
            met=ratio >= TARGET,
        )
    ]


def _round(on: Rig, address: str, pid: int, *, until_assigned: bool) -> Round:
    server, database, since = cpu_seconds(pid), cpu_seconds(on.postmaster), datetime.now(UTC)
    prepared = bodies(int(4000 * SECONDS), SKUS, time.monotonic_ns())
    seen: Latencies = drive(f"{address}/v1/orders", CLIENTS, SECONDS, on.token, prepared)
    waited = _until_assigned(on, since) if until_assigned else 0.0
    return Round(seen.sent, SECONDS + waited, cpu_seconds(pid) - server, cpu_seconds(on.postmaster) - database)


def _until_assigned(on: Rig, since: datetime) -> float:
    """Wait until no order placed since then is unassigned; return the seconds. Raises TrueupError after two minutes."""
    began = time.monotonic()
    with psycopg.connect(on.url, autocommit=True) as connection:
        while True:
            row = connection.execute(_UNASSIGNED, [since]).fetchone()
            if row is not None and row[0] == 0:
                return time.monotonic() - began
            if time.monotonic() - began > WAIT_SECONDS_MAX:
                raise TrueupError(f"{row[0] if row else '?'} orders were not assigned after {WAIT_SECONDS_MAX} s")
            time.sleep(0.02)


async def _publish(on: Rig, number: int, *, on_placement: bool) -> None:
    document = json.to_plain(Routing(when=When(on_placement=on_placement)))
    command = PublishPolicy(policy_kind="sourcing", policy_name="default", document=document, reason="bench")
    async with Door(on.url, house.build(), writers=1) as door:
        await door.submit(SYSTEM, command, f"publish {number} {on_placement}")
