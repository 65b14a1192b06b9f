"""`bench guards`: what the guards add to an order, in CPU: the same orders with guards and without, taking turns."""

from __future__ import annotations

import asyncio
import gc
import json as plain_json
import time
from typing import Any

import msgspec

from trueup import house
from trueup.authority.cohorts import Cohort
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.authority.writers import AssignWriter
from trueup.authority.writers_state import Writers
from trueup.cli.bench.measure import Figure, cpu_seconds, median
from trueup.cli.bench.rig import Rig, bodies, rig
from trueup.core import json
from trueup.core.batch import House
from trueup.core.door import Door
from trueup.orders.place import PlaceOrder

ROUNDS = 7
ORDERS = 1500
SKUS = 2000
_SYSTEMS: dict[str, Any] = {"systems": {f"system{n}": {"title": f"System {n}", "sources": [f"s{n}"]} for n in range(3)}}


def guards() -> list[Figure]:
    """Measure CPU per order, ours and the database's, with a registry in use; target: at most 10 % more."""
    with rig(SKUS) as on:
        seen = asyncio.run(_measure(on))
    without, with_ = median([pair[0] for pair in seen]), median([pair[1] for pair in seen])
    more = median([(on_ - off) / off * 100 for off, on_ in seen])
    return [
        Figure(
            name="guards",
            figure=more,
            unit="% more CPU per order",
            cpu_us_per_unit={"without guards": without, "with guards": with_},
            target="at most 10 % more CPU per order: rights, scope, changes, freezes, writers, overrides",
            met=more <= 10,
        )
    ]


def unguarded() -> House:
    """Return the house as shipped, but without guards, without the registry's lock, and without asking for freezes."""
    built = house.build()
    bare = {verb.command: verb for verb in house.VERBS}
    return msgspec.structs.replace(
        built, guards=(), verbs=bare, slices=tuple(part for part in built.slices if part is not Writers)
    )


async def _measure(on: Rig) -> list[tuple[float, float]]:
    """Return CPU microseconds per order of each round: without guards, with guards; the one that begins alternates."""
    async with Door(on.url, house.build()) as door:
        await _register(door)
    seen = []
    async with Door(on.url, unguarded()) as bare, Door(on.url, house.build()) as full:
        for at, door in enumerate((bare, full)):
            await _place(on, door, 10_000 + at)
        for number in range(ROUNDS):
            first, second = (bare, full) if number % 2 == 0 else (full, bare)
            used = [await _place(on, first, 2 * number), await _place(on, second, 2 * number + 1)]
            seen.append((used[0], used[1]) if first is bare else (used[1], used[0]))
    return seen


async def _register(door: Door) -> None:
    """Name other systems and give them what none of the orders is in, so that every rule is looked at."""
    policy = PublishPolicy(policy_kind="writers", policy_name="default", document=_SYSTEMS, reason="benchmark")
    await door.submit(SYSTEM, policy, "systems")
    for number in range(3):
        cohort = Cohort(channel=f"channel{number}")
        command = AssignWriter(entity="order", system=f"system{number}", cohort=cohort, reason="benchmark")
        outcome = await door.submit(SYSTEM, command, f"writer {number}")
        assert outcome.refusal is None, outcome.refusal


async def _place(on: Rig, door: Door, seed: int) -> float:
    """Place orders through a door and return the CPU microseconds that each took, the database's included."""
    wanted = [plain_json.loads(line) for line in bodies(ORDERS, SKUS, seed).decode().split("\n")]
    orders = [(f"guards {seed} {at}", json.convert(one, PlaceOrder)) for at, one in enumerate(wanted)]
    gc.collect()
    ours, base = time.process_time(), cpu_seconds(on.postmaster)
    outcomes = await door.submit_all(SYSTEM, orders)
    used = time.process_time() - ours + cpu_seconds(on.postmaster) - base
    failed = [outcome for outcome in outcomes if outcome.status != "applied"]
    assert not failed, failed[0]
    return used / ORDERS * 1e6
