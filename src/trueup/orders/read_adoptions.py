"""Read which orders in flight a change lets walk by another version, which did, and which still have to follow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from trueup.core import json
from trueup.core.database import Connection
from trueup.orders.adopt import CARRIED_MAX, AdoptWorkflow, CarryAdoption, place_of
from trueup.orders.workflow import Workflow

FOLLOWING_MAX = 50_000
"""Orders that follow at one look; the next look finds the rest."""
Versions = Mapping[tuple[str, int], Workflow]
_SHIPPED = Workflow()


class OrderAdoption(msgspec.Struct, frozen=True):
    """That an order came to walk by another version: from which, where it stood and stands, when, until when."""

    adoption: str
    from_version: int
    to_version: int
    from_state: str
    state: str
    at: datetime
    returned_at: datetime | None


class InFlight(msgspec.Struct, frozen=True):
    """What an adoption means for the orders in flight.

    moving: orders that would follow now, or still have to. staying: that stand where the version has no state; where:
    those states. moved: that walk by it already. drafts: open ones that follow once they are orders. adoption: its id,
    once it was decided; returned_at: when it was taken back.
    """

    order_type: str
    version: int
    moving: int
    staying: int
    where: tuple[str, ...]
    moved: int
    drafts: int
    adoption: str | None = None
    returned_at: datetime | None = None


async def adoptions_of(connection: Connection, order: str) -> tuple[OrderAdoption, ...]:
    """Return how an order came to walk by the version it walks by, the latest first."""
    rows = await connection.execute(
        """select adoption, from_version, to_version, stood, stands, at, returned_at from order_adoption
        where order_id = %s order by at desc, adoption desc""",
        [order],
    )
    return tuple(OrderAdoption(*row) for row in await rows.fetchall())


async def in_flight(connection: Connection, asked: AdoptWorkflow, coming: Workflow | None = None) -> InFlight:
    """Return what an adoption means, or meant once it was decided. coming: the version, while it is only asked for."""
    versions = {**await _versions(connection)}
    if coming is not None:
        versions.setdefault((asked.order_type, asked.version), coming)
    known = await _decided(connection, asked)
    where, moving, staying = set[str](), 0, 0
    rows = await connection.execute(
        """select workflow_version, state, count(*)::int from orders where managed and type = %s
        and workflow_version < %s and state is not null and (%s or id = any(%s::text[])) group by 1, 2""",
        [asked.order_type, asked.version, not asked.orders, list(asked.orders)],
    )
    for by, state, orders in await rows.fetchall():
        former = versions.get((asked.order_type, by), _SHIPPED)
        if former.ends(state):
            continue
        version = versions.get((asked.order_type, asked.version), _SHIPPED)
        if place_of(state, former, version, asked.states) is None:
            staying, where = staying + orders, where | {state}
        else:
            moving += orders
    adoption, returned, moved = known
    drafts = 0 if asked.orders or returned else await _drafts(connection, asked)
    return InFlight(
        asked.order_type, asked.version, 0 if returned else moving, 0 if returned else staying, tuple(sorted(where)),
        moved, drafts, adoption, returned,
    )  # fmt: skip


async def _decided(connection: Connection, asked: AdoptWorkflow) -> tuple[str | None, datetime | None, int]:
    rows = await connection.execute(
        """select a.id, a.returned_at,
            (select count(*)::int from order_adoption m where m.adoption = a.id and m.returned_at is null)
        from workflow_adoption a where a.order_type = %s and a.version = %s and a.states = %s::jsonb
            and a.orders = %s::text[] order by a.number desc limit 1""",
        [asked.order_type, asked.version, json.encode(asked.states).decode(), list(dict.fromkeys(asked.orders))],
    )
    return await rows.fetchone() or (None, None, 0)


async def _drafts(connection: Connection, asked: AdoptWorkflow) -> int:
    rows = await connection.execute(
        """select count(*)::int from order_draft where type = %s and workflow_version < %s
        and confirmed_at is null and ended_at is null""",
        [asked.order_type, asked.version],
    )
    row = await rows.fetchone()
    return row[0] if row is not None else 0


async def following(connection: Connection) -> list[tuple[str, CarryAdoption]]:
    """Return the commands that put through what was decided, each under a key that names orders and their versions.

    The same orders as they were give the same key, so that asking twice moves nothing twice.
    """
    versions = await _versions(connection)
    found = await _going(connection, versions) + await _returning(connection, versions)
    by_adoption: dict[str, list[tuple[str, int]]] = {}
    for adoption, order, version in found[:FOLLOWING_MAX]:
        by_adoption.setdefault(adoption, []).append((order, version))
    return [
        (_key(adoption, some), CarryAdoption(adoption=adoption, orders=tuple(order for order, _ in some)))
        for adoption, orders in by_adoption.items()
        for at in range(0, len(orders), CARRIED_MAX)
        for some in (orders[at : at + CARRIED_MAX],)
    ]


async def due_to_follow(connection: Connection, now: datetime) -> list[tuple[str, CarryAdoption]]:
    """Return what still has to be put through; for the worker."""
    return await following(connection)


def _key(adoption: str, orders: Sequence[tuple[str, int]]) -> str:
    return f"{adoption}/{hashlib.sha256(json.encode(orders)).hexdigest()[:32]}"


async def _going(connection: Connection, versions: Versions) -> list[tuple[str, str, int]]:
    """Return (adoption, order, its version) of the orders that are to adopt and can."""
    rows = await connection.execute(
        """select distinct a.id, a.order_type, a.version, a.states, o.workflow_version, o.state
        from workflow_adoption a join orders o on o.managed and o.type = a.order_type
            and o.workflow_version < a.version and o.state is not null
        where a.returned_at is null order by a.id, o.workflow_version, o.state"""
    )
    found: list[tuple[str, str, int]] = []
    for id_, type_, version, states, by, state in await rows.fetchall():
        former, coming = versions.get((type_, by), _SHIPPED), versions.get((type_, version))
        if coming is None or former.ends(state) or place_of(state, former, coming, states) is None:
            continue
        orders = await connection.execute(
            """select a.id, o.id, o.version
            from workflow_adoption a join orders o on o.managed and o.type = a.order_type
                and (a.orders = '{}' or o.id = any(a.orders))
            where a.id = %s and o.workflow_version = %s and o.state = %s order by o.id limit %s""",
            [id_, by, state, FOLLOWING_MAX],
        )
        found += await orders.fetchall()
    return found


async def _returning(connection: Connection, versions: Versions) -> list[tuple[str, str, int]]:
    """Return (adoption, order, its version) of the orders that are to walk by their former version and can."""
    rows = await connection.execute(
        """select m.adoption, o.id, o.version, o.type, o.state, m.from_version, m.to_version, m.stood, m.stands
        from workflow_adoption a join order_adoption m on m.adoption = a.id and m.returned_at is null
        join orders o on o.id = m.order_id and o.workflow_version = m.to_version
        where a.returned_at is not null order by m.adoption, o.id limit %s""",
        [FOLLOWING_MAX],
    )
    found: list[tuple[str, str, int]] = []
    for adoption, order, version, type_, state, before, by, was, came in await rows.fetchall():
        present, former = versions.get((type_, by), _SHIPPED), versions.get((type_, before), _SHIPPED)
        if not present.ends(state) and place_of(state, present, former, {came: was}) is not None:
            found.append((adoption, order, version))
    return found


async def _versions(connection: Connection) -> Versions:
    """Return every version of every workflow there is, by type and number."""
    rows = await connection.execute("select name, version, document from policy where kind = %s", [Workflow.kind])
    return {
        (name, version): json.decode(bytes(document), Workflow) for name, version, document in await rows.fetchall()
    }
