"""A brokering run: the orders of brokered groups as one optimisation, carried out through the door like anything else.

The run decides nothing itself. It reads a picture, finds the plan of least total cost, and submits each order's share
of the plan; where stock has moved meanwhile the order is sourced by its rules instead, as is what no plan can say. Its
report puts the plan's cost beside that of the sequential rules on the same orders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from functools import partial
from multiprocessing import get_context

import msgspec

from trueup.core import ids
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.money import minor_unit
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Outcome
from trueup.sourcing import problem as problems
from trueup.sourcing.assign import PLAN_UNMET, AssignOrder, PlannedShare
from trueup.sourcing.finish_run import FinishRun
from trueup.sourcing.optimise import Result, optimise
from trueup.sourcing.picture import Sketch, unassigned_picture
from trueup.sourcing.policy import Routing
from trueup.sourcing.pose import pose
from trueup.sourcing.route import for_a_run
from trueup.sourcing.schedule import is_due

ORDERS_MAX = 10_000
SECONDS_MAX = 30.0
SOLVING_SECONDS_MIN = 5.0
PASSES_MAX = 10


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
    """Run once over at most `limit` orders; return the report, or None where no order of a brokered group waits.

    seconds_max: until there is a plan, from looking on; carrying it out comes after.
    """
    began = time.monotonic()
    policy = policies.get(Routing)
    picture = await unassigned_picture(connection, policies, door.now(), limit)
    groups = {order.id: policy.group_of(order.facts) for order in picture.orders}
    orders = [order for order in picture.orders if groups[order.id].brokered and for_a_run(order.needs)]
    if not orders:
        return None
    posed = await asyncio.to_thread(pose, picture, orders, groups, policies)
    left = seconds_max - (time.monotonic() - began)
    result = await _solved(posed, max(SOLVING_SECONDS_MIN, left))
    run = new_id("run")
    outcomes = await carried_out(door, actor, run, [assignment(order, result, run) for order in orders])
    planned = {order.id for order in orders if result.plan.shares.get(order.id)}
    fallen = sum(
        outcomes[order].refusal is not None or outcomes[order].result.get("rule") not in (None, "plan")
        for order in planned
    )
    report = report_of(run, len(orders), len(planned), fallen, posed, result, policy)
    await door.submit(actor, report, f"{run}/finish")
    return report


async def _solved(posed: problems.Problem, seconds_max: float) -> Result:
    """Solve in a process of its own: the server goes on answering meanwhile."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as solver:
        running = asyncio.get_running_loop().run_in_executor(solver, partial(optimise, posed, seconds_max=seconds_max))
        return await running


async def carried_out(door: Door, actor: Actor, run: str, commands: Sequence[AssignOrder]) -> dict[str, Outcome]:
    """Carry the orders' shares of a plan out; return how each order ended.

    What a plan gives one order, another one of the run may still have reserved until its own turn. So whose plan does
    not fit yet changes nothing and is tried again after the others, last one first, as long as that serves any and at
    most so many times. Only then the rest, and what the plan says nothing of, is sourced by the rules.
    """
    outcomes: dict[str, Outcome] = {}
    waiting = [command for command in commands if command.plan]
    number = 0
    while waiting and number < PASSES_MAX:
        number += 1
        strict = [msgspec.structs.replace(command, fall_back=False) for command in waiting]
        tried = await door.submit_all(actor, [(f"{run}/{number}/{one.order}", one) for one in strict])
        unmet = []
        for command, outcome in zip(waiting, tried, strict=True):
            if outcome.refusal is not None and outcome.refusal.rule == PLAN_UNMET:
                unmet.append(command)
            else:
                outcomes[command.order] = outcome
        if len(unmet) == len(waiting):
            break
        waiting = unmet[::-1]
    rest = [command for command in commands if command.order not in outcomes]
    ended = await door.submit_all(actor, [(f"{run}/{command.order}", command) for command in rest])
    return outcomes | {command.order: outcome for command, outcome in zip(rest, ended, strict=True)}


def assignment(order: Sketch, result: Result, run: str) -> AssignOrder:
    """Return the command that carries an order's share of the plan out."""
    shares = tuple(
        PlannedShare(int(share.line), share.place, Quantity(share.units))
        for share in result.plan.shares.get(order.id, ())
    )
    return AssignOrder(order=order.id, mode="broker", plan=shares, run=run)


def report_of(
    run: str, orders: int, planned: int, fallen: int, posed: problems.Problem, result: Result, policy: Routing
) -> FinishRun:  # fmt: skip
    """Return the report: costs by kind under the plan, and the sequential rules' on the same orders.

    batches: solved again together. unreached: orders that there was no time for, which the sequential rules planned.
    by_rules: orders whose rule no plan can say, which are in neither cost.
    """
    unit = minor_unit(policy.costs.currency)
    cost = problems.cost_of(posed, result.plan)
    return FinishRun(
        run=run,
        orders=orders,
        assigned=planned,
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
            "by_rules": orders - len(posed.orders),
        },
    )


def _by_kind(cost: problems.Cost, unit: Decimal) -> dict[str, str]:
    return {name: str(getattr(cost, name) * unit) for name in cost.__struct_fields__}


async def broker_when_due(connection: Connection, door: Door, actor: Actor, policies: Policies) -> FinishRun | None:
    """Run where the policy's minute has come and a group is brokered; see `schedule.due_to_source`."""
    policy = policies.get(Routing)
    if not any(group.brokered for group in policy.groups) or not is_due(policy, door.now()):
        return None
    return await broker(connection, door, actor, policies)
