"""A brokering run: the orders of brokered groups as one optimisation, carried out through the door like anything else.

The run decides nothing itself. It reads a picture, finds the plan of least total cost, and submits each order's share
of the plan; where stock has moved meanwhile the order is sourced by its rules instead. Its report puts the plan's cost
beside that of the sequential rules on the same orders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from decimal import Decimal
from functools import partial
from multiprocessing import get_context

from trueup.catalogue.state import Location
from trueup.core import ids
from trueup.core.calendars import WorkCalendar
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.money import minor_unit
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor
from trueup.sourcing import problem as problems
from trueup.sourcing.assign import AssignOrder, PlannedShare
from trueup.sourcing.finish_run import FinishRun
from trueup.sourcing.optimise import Result, optimise
from trueup.sourcing.picture import Picture, Sketch, unassigned_picture
from trueup.sourcing.policy import Group, Routing
from trueup.sourcing.route import dropped, need_blocks
from trueup.sourcing.schedule import is_due
from trueup.stock.delivery import Route
from trueup.stock.promise import ShippingMethods, Site

ORDERS_MAX = 10_000
SECONDS_MAX = 30.0
PLACES_MAX = 50


async def broker(
    connection: Connection,
    door: Door,
    actor: Actor,
    policies: Policies,
    *,
    limit: int = ORDERS_MAX,
    seconds_max: float = SECONDS_MAX,
    new_id: Callable[[str], str] = ids.new_id,
) -> FinishRun | None:
    """Run once over at most `limit` orders; return the report, or None where no order of a brokered group waits."""
    policy = policies.get(Routing)
    picture = await unassigned_picture(connection, policies, door.now(), limit)
    groups = {order.id: policy.group_of(order.facts) for order in picture.orders}
    orders = [order for order in picture.orders if groups[order.id].brokered and _is_whole(order)]
    if not orders:
        return None
    posed = pose(picture, orders, groups, policies)
    result = await _solved(posed, seconds_max)
    run = new_id("run")
    outcomes = await door.submit_all(actor, [(f"{run}/{o.id}", assignment(o, result, run)) for o in orders])
    planned = {order.id for order in orders if result.plan.shares.get(order.id)}
    fallen = sum(
        outcome.refusal is not None or outcome.result.get("rule") not in (None, "plan")
        for order, outcome in zip(orders, outcomes, strict=True)
        if order.id in planned
    )
    report = report_of(run, orders, planned, fallen, posed, result, policy)
    await door.submit(actor, report, f"{run}/finish")
    return report


async def _solved(posed: problems.Problem, seconds_max: float) -> Result:
    """Solve in a process of its own: the server goes on answering meanwhile."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as solver:
        running = asyncio.get_running_loop().run_in_executor(solver, partial(optimise, posed, seconds_max=seconds_max))
        return await running


def assignment(order: Sketch, result: Result, run: str) -> AssignOrder:
    """Return the command that carries an order's share of the plan out."""
    shares = tuple(
        PlannedShare(int(share.line), share.place, Quantity(share.units))
        for share in result.plan.shares.get(order.id, ())
    )
    return AssignOrder(order=order.id, mode="broker", plan=shares, run=run)


def report_of(
    run: str, orders: list[Sketch], planned: set[str], fallen: int, posed: problems.Problem, result: Result,
    policy: Routing,
) -> FinishRun:  # fmt: skip
    """Return the report: costs by kind under the plan, and the sequential rules' on the same orders.

    batches: solved again together. unreached: orders that there was no time for, which the sequential rules planned.
    """
    unit = minor_unit(policy.costs.currency)
    cost = problems.cost_of(posed, result.plan)
    return FinishRun(
        run=run,
        orders=len(orders),
        assigned=len(planned),
        fallen_back=fallen,
        cost=Quantity(cost.total * unit),
        sequential_cost=Quantity(result.sequential_total * unit),
        currency=policy.costs.currency,
        seconds=Quantity(round(Decimal(result.seconds), 3)),
        decided_by=result.by,
        report={
            **_by_kind(cost, unit),
            "sequential": _by_kind(result.sequential, unit),
            "batches": result.batches,
            "unreached": len(result.fell_back),
        },
    )


def _by_kind(cost: problems.Cost, unit: Decimal) -> dict[str, str]:
    return {name: str(getattr(cost, name) * unit) for name in cost.__struct_fields__}


def pose(picture: Picture, orders: list[Sketch], groups: dict[str, Group], policies: Policies) -> problems.Problem:
    """Return the run's problem: whole units and minor units, as the solver wants them."""
    policy = policies.get(Routing)
    unit = minor_unit(policy.costs.currency)
    items = {need.item for order in orders for need in order.needs}
    # A run has one limit per place: where any of its rules heeds capacity, nobody goes beyond it.
    hard = any(groups[order.id].rules[0].where.capacity for order in orders)
    stock = {key: int(units) for key, units in picture.free.items() if key[0] in items and units >= 1}
    places = tuple(
        problems.Place(place.id, picture.room.get(place.id), None if hard else int(policy.costs.over_capacity / unit))
        for place in picture.places.values()
    )
    costs = problems.Costs(
        split=int(policy.costs.split / unit),
        late_day=int(policy.costs.late_day / unit),
        unserved=int(policy.costs.unserved / unit),
    )
    posed = tuple(_posed(picture, order, groups[order.id], policies) for order in orders)
    return problems.Problem(posed, places, stock, costs)


def _posed(picture: Picture, order: Sketch, group: Group, policies: Policies) -> problems.BrokeredOrder:
    """Return one order of the problem, offered by the locations its group's first rule allows."""
    policy, rule = policies.get(Routing), group.rules[0]
    unit = minor_unit(policy.costs.currency)
    offers = {
        candidate.location.id: problems.Offer(
            int(policy.costs.of_distance(candidate.distance_km) / unit),
            days_late(order, candidate.location, policies, picture.at),
        )
        for candidate in picture.candidates(order, picture.free, {})
        if dropped(order.needs, candidate, rule.where) is None
    }
    whole = rule.complete == "order"
    kits = need_blocks(order.needs, together=rule.kits_together)
    return problems.BrokeredOrder(
        id=order.id,
        lines=tuple(problems.BrokeredLine(str(n.line), n.item, int(n.quantity)) for n in order.needs),
        offers=offers,
        places_max=1 if whole else rule.splits_max or PLACES_MAX,
        kits=tuple(tuple(str(need.line) for need in block) for block in kits if len(block) > 1),
        whole=whole,
        priority=1 + max(0, order.facts.priority),
    )


def days_late(order: Sketch, place: Location, policies: Policies, now: datetime) -> int:
    """Return how many days after its promise an order would arrive from a place, by the first way of shipping.

    0 where nothing was promised, and where the carrier says nothing of that way.
    """
    if order.promised_at is None:
        return 0
    method = policies.get(ShippingMethods).methods[0]
    calendar = policies.find(WorkCalendar, method.calendar) or WorkCalendar()
    site = Site(place, policies.find(WorkCalendar, place.calendar) or WorkCalendar())
    leg = Route(method, calendar, order.to).leg(site, now)
    return 0 if leg is None else max(0, (leg.delivers_on - order.promised_at.date()).days)


def _is_whole(order: Sketch) -> bool:
    """Tell whether the solver can have an order: whole units, and no line bound to a place or rejected somewhere."""
    return all(
        need.quantity == need.quantity.to_integral_value() and need.only is None and not need.rejected
        for need in order.needs
    )


async def broker_when_due(connection: Connection, door: Door, actor: Actor, policies: Policies) -> FinishRun | None:
    """Run where the policy's minute has come and a group is brokered; see `schedule.due_to_source`."""
    policy = policies.get(Routing)
    if not any(group.brokered for group in policy.groups) or not is_due(policy, door.now()):
        return None
    return await broker(connection, door, actor, policies)
