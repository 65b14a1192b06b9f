"""Let orders in flight walk by a newer version of their workflow, and let them walk by the former one again.

It is decided once, for orders of one type, and governed: a change carries it, mostly beside the document it is about.
The orders follow in batches after the change was applied, each by its own event; so no order ever walks by a version
that is not in force yet. An order whose state has no place in the version stays pinned until it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, Governance, Governed, State, Verb
from trueup.orders.adoption import (
    NAMED_MAX,
    Adoption,
    AdoptionDecided,
    AdoptionReturned,
    Adoptions,
    adoption_id,
)
from trueup.orders.changes import WorkflowAdopted, WorkflowReturned
from trueup.orders.state import OrderRow, Orders
from trueup.orders.workflow import Name, Workflow

KEY = "workflow.in_flight"
NAMED_ORDERS_MAX = 1000
CARRIED_MAX = 200
OrderType = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
OrderId = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class AdoptWorkflow(Command, frozen=True, kw_only=True):
    """Let orders in flight walk by the newest version of their type's workflow.

    version: that version; in a change, the one that the same change publishes before. orders: ids of those that do;
    without any, all that walk by an older one, drafts too as soon as they are orders. states: where an order stands ->
    where that is in the version, for states that it names otherwise or has not.
    """

    order_type: OrderType
    version: Annotated[int, msgspec.Meta(ge=1)]
    orders: Annotated[tuple[OrderId, ...], msgspec.Meta(max_length=NAMED_ORDERS_MAX)] = ()
    states: Annotated[dict[Name, Name], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=dict)


class ReturnWorkflow(Command, frozen=True, kw_only=True):
    """Let exactly the orders that adopted a version walk by their former ones again. adoption: its number, 1, 2..."""

    order_type: OrderType
    adoption: Annotated[int, msgspec.Meta(ge=1)]


class CarryAdoption(Command, frozen=True, kw_only=True):
    """Put through what was decided for some orders. adoption: its id, `sale/1`."""

    adoption: OrderType
    orders: Annotated[tuple[OrderId, ...], msgspec.Meta(min_length=1, max_length=CARRIED_MAX)]


def adopt_workflow(state: State, command: AdoptWorkflow, context: Context) -> Decision:
    """Decide that the orders walk by the version; they follow in batches. What walks by it or has ended is left alone.

    Refuses a version that is not the newest, states to which nothing can be mapped, orders that are unknown, of another
    type or history, and, naming them, orders that stand where the version has no state and nothing is mapped.
    """
    policies, version = context.policies, command.version
    newest = policies.version(Workflow, command.order_type)
    # A version that was withdrawn is still at hand, for the orders that are pinned to it.
    if not (version == newest and newest) and not policies.comes(Workflow, command.order_type, version):
        return Refusal("orders.not_newest", f"Version {version} of the workflow {command.order_type} is not the newest"
                       f"{f': that is {newest}' if newest else ', and none is published'}.",
                       f"Name version {newest}, or {newest + 1} after an edit of the same change that publishes it.",
                       "version", str(version))  # fmt: skip
    adoptions = state.of(Adoptions)
    adoption = Adoption(
        order_type=command.order_type, number=adoptions.next_number(command.order_type), version=version,
        states=command.states, orders=tuple(dict.fromkeys(command.orders)), at=context.now, by=context.actor.id,
    )  # fmt: skip
    refusal = _bad_states(adoption, policies) or _strange(state, adoption)
    if refusal is not None:
        return refusal
    moving, lost = _told_apart(state, adoption, policies)
    if lost:
        return _lost(adoption, lost)
    if not _stands(adoptions, command):
        result = {"adoption": adoption.id, "version": version, "orders": moving}
        return Accepted([AdoptionDecided(adoption=adoption)], adoption.id, result)
    latest = adoptions.latest(command.order_type)
    return Accepted((), adoption.id, {"adoption": latest.id if latest else "", "version": version}, "merged")


def return_workflow(state: State, command: ReturnWorkflow, context: Context) -> Decision:
    """Take an adoption back; its orders follow in batches. What was taken back before ends as merged.

    An order that stands meanwhile where its former version has no state stays until it has. Refuses an unknown one.
    """
    id_ = adoption_id(command.order_type, command.adoption)
    adoptions = state.of(Adoptions)
    if id_ not in adoptions.known:
        return Refusal("orders.unknown_adoption", f"No orders adopted a workflow by the number {id_}.",
                       "Look at the change that carried it.", "adoption", str(command.adoption))  # fmt: skip
    if id_ in adoptions.returned:
        return Accepted((), id_, {"adoption": id_}, "merged")
    event = AdoptionReturned(adoption=id_, by=context.actor.id, at=context.now)
    return Accepted([event], id_, {"adoption": id_})


def carry_adoption(state: State, command: CarryAdoption, context: Context) -> Decision:
    """Move the orders that can be, to the version or back from it; where none is, it ends as merged.

    `stay` in the result are those that cannot be moved as they stand. Refuses an unknown adoption.
    """
    adoptions = state.of(Adoptions)
    adoption = adoptions.known.get(command.adoption)
    if adoption is None:
        return Refusal("orders.unknown_adoption", f"No orders adopted a workflow by the number {command.adoption}.",
                       "Look at the change that carried it.", "adoption", command.adoption)  # fmt: skip
    events: list[Event] = []
    for order in dict.fromkeys(command.orders):
        row = state.of(Orders).order(order)
        if row is None:
            continue
        if adoption.id not in adoptions.returned:
            moved: Event | None = adopting(row, adoption, context.policies, context.now)
        else:
            made = adoptions.made.get((order, adoption.id)) if (order, adoption.id) not in adoptions.back else None
            moved = returning(row, made, context.policies, context.now) if made is not None else None
        events += [moved] if moved is not None else []
    done = {event.subject for event in events}
    result = {"adoption": adoption.id, "orders": len(events), "stay": [o for o in command.orders if o not in done]}
    return Accepted(events, adoption.id, result, "applied" if events else "merged")


def adopting(row: OrderRow, adoption: Adoption, policies: Policies, now: datetime) -> WorkflowAdopted | None:
    """Return how an order comes to walk by the version; None where it does, ended, or has no place there yet."""
    captured, state = row.captured, row.state
    if state is None or not captured.managed or captured.type != adoption.order_type:
        return None
    if captured.workflow_version >= adoption.version or (adoption.orders and captured.id not in adoption.orders):
        return None
    if not policies.knows(Workflow, captured.type, adoption.version):
        return None
    former = policies.at(Workflow, captured.type, captured.workflow_version)
    place = place_of(state, former, policies.at(Workflow, captured.type, adoption.version), adoption.states)
    if place is None or former.ends(state):
        return None
    return WorkflowAdopted(
        order=captured.id, adoption=adoption.id, from_version=captured.workflow_version, to_version=adoption.version,
        from_state=state, state=place, at=now,
    )  # fmt: skip


def returning(row: OrderRow, made: WorkflowAdopted, policies: Policies, now: datetime) -> WorkflowReturned | None:
    """Return how an order comes to walk by its former version; None where it does not, ended, or has no place there."""
    captured, state = row.captured, row.state
    if state is None or captured.workflow_version != made.to_version:
        return None
    present = policies.at(Workflow, captured.type, made.to_version)
    back = {made.state: made.from_state}
    place = place_of(state, present, policies.at(Workflow, captured.type, made.from_version), back)
    if place is None or present.ends(state):
        return None
    return WorkflowReturned(
        order=captured.id, adoption=made.adoption, from_version=made.to_version, to_version=made.from_version,
        from_state=state, state=place, at=now,
    )  # fmt: skip


def place_of(state: str, former: Workflow, version: Workflow, states: dict[str, str]) -> str | None:
    """Return where in a version an order stands that stood in a state of the former one; None where nowhere."""
    place = states.get(state, state)
    return place if any(known.name == place for known in version.states) else None


def _bad_states(adoption: Adoption, policies: Policies) -> Refusal | None:
    version = policies.at(Workflow, adoption.order_type, adoption.version)
    names = {known.name for known in version.states}
    can = sorted(name for name in names if not version.ends(name))
    for state, place in sorted(adoption.states.items()):
        if place not in can:
            why = "is final there: cancelling an order is an act of its own" if place in names else "is no state there"
            return Refusal("orders.no_place", f"{state!r} cannot become {place!r} in version {adoption.version}: "
                           f"it {why}.", f"Map it to one of: {', '.join(can)}.",
                           f"states.{state}", place)  # fmt: skip
    return None


def _strange(state: State, adoption: Adoption) -> Refusal | None:
    """Refuse orders that are unknown, of another type, or history."""
    strange = []
    for order in adoption.orders:
        row = state.of(Orders).order(order)
        if row is None:
            strange.append(RefusalDetail("orders", order, "unknown"))
        elif not row.captured.managed or row.captured.type != adoption.order_type:
            what = f"of the type {row.captured.type}" if row.captured.managed else "history"
            strange.append(RefusalDetail("orders", order, what))
    if not strange:
        return None
    first = strange[0]
    return Refusal("orders.not_in_flight", f"{len(strange)} of the orders are no {adoption.order_type} orders in "
                   f"flight: {first.value} is {first.what}.", "Leave them out.", "orders", first.value,
                   tuple(strange[:NAMED_MAX]))  # fmt: skip


def _told_apart(state: State, adoption: Adoption, policies: Policies) -> tuple[int, list[RefusalDetail]]:
    """Return how many orders would move now, and those that stand where the version has no state."""
    version = policies.at(Workflow, adoption.order_type, adoption.version)
    moving, lost = 0, list[RefusalDetail]()
    for where, by, orders, named in _standing(state, adoption):
        former = policies.at(Workflow, adoption.order_type, by)
        if by >= adoption.version or former.ends(where):
            continue
        if place_of(where, former, version, adoption.states) is None:
            lost += [RefusalDetail("orders", order, where) for order in named]
        else:
            moving += orders
    return moving, lost


def _standing(state: State, adoption: Adoption) -> list[tuple[str, int, int, Sequence[str]]]:
    """Return (state, version, how many, ids of some) of the orders an adoption is about."""
    if not adoption.orders:
        return [
            (s.state, s.version, s.orders, s.named) for s in state.of(Adoptions).stands.get(adoption.order_type, ())
        ]
    found = (state.of(Orders).order(order) for order in adoption.orders)
    return [(r.state, r.captured.workflow_version, 1, (r.captured.id,)) for r in found if r is not None and r.state]


def _lost(adoption: Adoption, lost: list[RefusalDetail]) -> Refusal:
    states = sorted({detail.what for detail in lost})
    named = ", ".join(detail.value for detail in lost[:3])
    return Refusal(
        "orders.no_place",
        f"Orders stand in {', '.join(map(repr, states))}, which version {adoption.version} does not have: {named}"
        f"{'...' if len(lost) > 3 else ''}.",
        "Say in `states` where they stand in that version, or wait until they have left it.",
        "states",
        states[0],
        tuple(lost[:NAMED_MAX]),
    )


def _stands(adoptions: Adoptions, command: AdoptWorkflow) -> bool:
    """Tell whether exactly this is what was decided last for the type, and was not taken back."""
    latest = adoptions.latest(command.order_type)
    return latest is not None and (latest.version, latest.states, latest.orders) == (
        command.version, command.states, tuple(dict.fromkeys(command.orders)))  # fmt: skip


def _object(adoptions: Adoptions, order_type: str) -> tuple[Governed, ...]:
    """Return the one thing both acts change: which adoption of the type was decided last."""
    latest = adoptions.latest(order_type)
    base = hashlib.sha256(latest.id.encode()).hexdigest() if latest is not None else ""
    return (Governed(KEY, f"in_flight/{order_type}", base),)


def _adopts(state: State, command: AdoptWorkflow, policies: Policies) -> tuple[Governed, ...]:
    adoptions = state.of(Adoptions)
    return () if _stands(adoptions, command) else _object(adoptions, command.order_type)


def _returns(state: State, command: ReturnWorkflow, policies: Policies) -> tuple[Governed, ...]:
    adoptions, id_ = state.of(Adoptions), adoption_id(command.order_type, command.adoption)
    return _object(adoptions, command.order_type) if id_ in adoptions.known and id_ not in adoptions.returned else ()


def _undo_adopting(state: State, command: AdoptWorkflow, policies: Policies) -> Command:
    number = state.of(Adoptions).next_number(command.order_type)
    return ReturnWorkflow(order_type=command.order_type, adoption=number)


def _undo_returning(state: State, command: ReturnWorkflow, policies: Policies) -> Command:
    found = state.of(Adoptions).known[adoption_id(command.order_type, command.adoption)]
    return AdoptWorkflow(order_type=found.order_type, version=found.version, orders=found.orders, states=found.states)


def _wants(state: State, command: AdoptWorkflow, policies: Policies) -> None:
    state.of(Adoptions).want(command.order_type, None if command.orders else command.version)
    for order in command.orders:
        state.of(Orders).want(order)


def _wants_carried(state: State, command: CarryAdoption, policies: Policies) -> None:
    state.of(Adoptions).want(command.adoption.rpartition("/")[0])
    for order in command.orders:
        state.of(Adoptions).want_order(command.adoption, order)
        state.of(Orders).want(order)


def _touches(command: Any) -> tuple[str, ...]:
    return (f"in_flight/{command.order_type}",)


VERBS: tuple[Verb[Any], ...] = (
    Verb(
        name="orders.adopt_workflow",
        command=AdoptWorkflow,
        decide=adopt_workflow,
        wants=_wants,
        touches=_touches,
        governance=Governance(keys=(KEY,), objects=_adopts, undo=_undo_adopting),
    ),
    Verb(
        name="orders.return_workflow",
        command=ReturnWorkflow,
        decide=return_workflow,
        wants=lambda state, command, policies: state.of(Adoptions).want(command.order_type),
        touches=_touches,
        governance=Governance(keys=(KEY,), objects=_returns, undo=_undo_returning),
    ),
    Verb(
        name="orders.carry_adoption",
        command=CarryAdoption,
        decide=carry_adoption,
        wants=_wants_carried,
        touches=lambda command: command.orders,
    ),
)
