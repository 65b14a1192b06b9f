"""Simulate: two routing policies on the same recent orders, from the stock they had, writing nothing."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal

import msgspec

from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.sourcing.picture import Picture, Sketch, recent_picture
from trueup.sourcing.policy import Routing
from trueup.sourcing.route import Route, Share, distance_km, route

ORDERS_MAX = 2000


class Outcome(msgspec.Struct, frozen=True):
    """What one policy comes to: orders by how they end, parts made, units nobody gives, kilometres, and cost."""

    orders: int
    whole: int
    split: int
    partly: int
    queued: int
    parts: int
    units_short: Decimal
    distance_km: int
    cost: Decimal
    currency: str


class Differs(msgspec.Struct, frozen=True):
    """One order that comes out differently: its parts as `code: line x units`, under each policy."""

    order: str
    number: str
    current: tuple[str, ...]
    proposed: tuple[str, ...]


class Simulation(msgspec.Struct, frozen=True):
    """Both outcomes, and the orders that differ; `differing` counts them all, `orders` shows the first."""

    current: Outcome
    proposed: Outcome
    differing: int
    orders: tuple[Differs, ...]


async def simulate(
    connection: Connection, policies: Policies, proposed: Routing, now: datetime, limit: int = 500, shown: int = 50
) -> Simulation:
    """Source the latest `limit` sourced orders anew under the routing policy in force and a proposed one, in memory.

    It takes a thread of its own: the server goes on answering meanwhile.
    """
    picture = await recent_picture(connection, policies, now, min(limit, ORDERS_MAX))
    return await asyncio.to_thread(compared, picture, policies.get(Routing), proposed, shown)


def compared(picture: Picture, current: Routing, proposed: Routing, shown: int) -> Simulation:
    """Return what both policies come to on a picture, each order sourced after the ones before it."""
    before, after = walk(picture, current), walk(picture, proposed)
    differing = [
        Differs(order.id, order.number, said(picture, before[order.id]), said(picture, after[order.id]))
        for order in picture.orders
        if said(picture, before[order.id]) != said(picture, after[order.id])
    ]
    return Simulation(
        outcome_of(picture, before, current),
        outcome_of(picture, after, proposed),
        len(differing),
        tuple(differing[:shown]),
    )


def walk(picture: Picture, policy: Routing) -> dict[str, Route]:
    """Return where each order of the picture goes by a policy's rules, each taking from what those before it left."""
    free = dict(picture.free)
    taken: dict[str, int] = {}
    owing = {place.code: place for place in picture.places.values()}
    routes: dict[str, Route] = {}
    for order in picture.orders:
        group = policy.group_of(order.facts)
        found = route(order.needs, picture.candidates(order, free, taken), group, policy.costs, owing)
        for share in found.shares:
            free[share.item, share.location] = free.get((share.item, share.location), ZERO) - share.quantity
        for location in {share.location for share in found.shares}:
            taken[location] = taken.get(location, 0) + 1
        routes[order.id] = found
    return routes


def said(picture: Picture, found: Route) -> tuple[str, ...]:
    """Return a route as text, to compare and to show."""
    if found.queue is not None:
        return (f"queue {found.queue}",)
    shares = sorted((picture.places[s.location].code, s.line, s.quantity) for s in found.shares)
    parts = [f"{code}: {line} x {plain(units)}" for code, line, units in shares]
    return (*parts, *(f"short: {line} x {plain(units)}" for line, units in found.short))


def outcome_of(picture: Picture, routes: dict[str, Route], policy: Routing) -> Outcome:
    """Return the figures of one policy's routes."""
    found = [(order, routes[order.id]) for order in picture.orders]
    places = [len(_locations(one.shares)) for _, one in found]
    return Outcome(
        orders=len(found),
        whole=sum(not one.short and count == 1 for (_, one), count in zip(found, places, strict=True)),
        split=sum(not one.short and count > 1 for (_, one), count in zip(found, places, strict=True)),
        partly=sum(bool(one.short) and one.queue is None for _, one in found),
        queued=sum(one.queue is not None for _, one in found),
        parts=sum(places),
        units_short=sum((units for _, one in found for _, units in one.short), ZERO),
        distance_km=round(sum(_kilometres(picture, order, one) for order, one in found)),
        cost=sum((cost_of(picture, order, one, policy) for order, one in found), ZERO),
        currency=policy.costs.currency,
    )


def cost_of(picture: Picture, order: Sketch, found: Route, policy: Routing) -> Decimal:
    """Return what an order's route costs: its parcels by distance, each after the first a split, each unit short."""
    costs = policy.costs
    locations = _locations(found.shares)
    parcels = sum((costs.of_distance(_distance(picture, order, location)) for location in locations), ZERO)
    short = sum((units for _, units in found.short), ZERO)
    return parcels + costs.split * max(0, len(locations) - 1) + costs.unserved * short


def _locations(shares: tuple[Share, ...]) -> list[str]:
    return sorted({share.location for share in shares})


def _distance(picture: Picture, order: Sketch, location: str) -> float | None:
    place = picture.places[location]
    return distance_km(order.point, (place.latitude, place.longitude))


def _kilometres(picture: Picture, order: Sketch, found: Route) -> float:
    return sum(_distance(picture, order, location) or 0.0 for location in _locations(found.shares))
