"""Workflow as data: an order type's states, and which business event leads from one to the next.

States, reasons and transitions are a policy document per order type. An order pins the version it was captured under
and walks by it to its end, whatever version is in force by then, unless a change lets it adopt that (`adopt`). The own
state of an order is never written: it is where its last workflow event led. No other module compares a state's name;
rules ask `allows`, and say what happened with `advance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, get_args

import msgspec

from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.core.verb import Command, Context, Event
from trueup.orders.state import EventUnmatched, OrderMoved, OrderRow

BusinessEvent = Literal[
    "confirmed", "sourced", "partly_sourced", "backordered", "rejected", "cancelled", "expired", "unpaid"
]
"""What Trueup itself reports about an order; a workflow may bind more of its own."""
OWN_EVENTS: frozenset[str] = frozenset(get_args(BusinessEvent))
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$")]


class WorkflowState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One state. reasons: why an order may be in it, for people to choose from. final: no event leads out."""

    name: Name
    label: str = ""
    reasons: tuple[str, ...] = ()
    final: bool = False


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Trueup does when a transition was taken: a verb, and its fields besides `order`, which is filled in."""

    command: str
    arguments: dict[str, Any] = {}


class Transition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One edge: in the state `from_`, the event `on` leads to the state `to`; then `submit` follows."""

    from_: str
    on: Name
    to: str
    reason: str | None = None
    submit: Binding | None = None


STATES = (
    WorkflowState("draft", "Draft", ("entered by staff", "quote")),
    WorkflowState("placed", "Placed"),
    WorkflowState("waiting", "Waiting for stock", ("backordered", "partly sourced")),
    WorkflowState("sourced", "Sourced"),
    WorkflowState("cancelled", "Cancelled", ("customer", "unpaid", "expired", "out of stock"), final=True),
)
TRANSITIONS = (
    Transition("draft", "confirmed", "placed"),
    Transition("draft", "expired", "cancelled", "expired"),
    Transition("draft", "cancelled", "cancelled"),
    Transition("placed", "sourced", "sourced"),
    Transition("placed", "partly_sourced", "waiting", "partly sourced"),
    Transition("placed", "backordered", "waiting", "backordered"),
    Transition("placed", "unpaid", "cancelled", "unpaid"),
    Transition("placed", "cancelled", "cancelled"),
    Transition("waiting", "sourced", "sourced"),
    Transition("waiting", "partly_sourced", "waiting", "partly sourced"),
    Transition("waiting", "backordered", "waiting", "backordered"),
    Transition("waiting", "rejected", "waiting", "rejected"),
    Transition("waiting", "unpaid", "cancelled", "unpaid"),
    Transition("waiting", "cancelled", "cancelled"),
    Transition("sourced", "sourced", "sourced"),
    Transition("sourced", "partly_sourced", "waiting", "partly sourced"),
    Transition("sourced", "rejected", "waiting", "rejected"),
    Transition("sourced", "unpaid", "cancelled", "unpaid"),
    Transition("sourced", "cancelled", "cancelled"),
)
# An order must always have these ways out; all other edges are a shop's own to remove or to lead elsewhere.
_REQUIRED = (("draft", "confirmed"), ("placed", "cancelled"), ("waiting", "cancelled"), ("sourced", "cancelled"))


class Workflow(Policy, frozen=True, kw_only=True, dict=True):
    """How orders of one type move. initial, draft: the state a placed order and a draft begin in."""

    kind: ClassVar[str] = "workflow"
    pinned: ClassVar[bool] = True
    states: tuple[WorkflowState, ...] = STATES
    transitions: tuple[Transition, ...] = TRANSITIONS
    initial: str = "placed"
    draft: str = "draft"

    @cached_property
    def edges(self) -> dict[tuple[str, str], Transition]:
        """The edges by (state, event)."""
        return {(edge.from_, edge.on): edge for edge in self.transitions}

    def allowed(self, state: str) -> list[str]:
        """Return the events that lead somewhere from a state."""
        return sorted(event for source, event in self.edges if source == state)

    def ends(self, state: str) -> bool:
        """Tell whether a state is final."""
        return any(known.final for known in self.states if known.name == state)

    def named_parts(self, field: str) -> dict[str, Any]:
        """Return the edges one by one, each as `state>event`, besides what has a name of its own."""
        if field == "transitions":
            return {f"{edge.from_}>{edge.on}": edge for edge in self.transitions}
        return super().named_parts(field)

    def faults(self, known: Known) -> list[Fault]:
        """Return what is wrong: unknown or lost states, edges that clash, lead nowhere or bind what is no verb."""
        names = {state.name for state in self.states}
        found = [
            Fault("states", shipped.name, f"the shipped state {shipped.name!r} cannot be removed")
            for shipped in STATES
            if shipped.name not in names
        ]
        if len(names) < len(self.states):
            found.append(Fault("states", "", "two states have one name"))
        found += [
            Fault(field, value, f"there is no state {value!r}")
            for field, value in (("initial", self.initial), ("draft", self.draft))
            if value not in names
        ]
        for at, edge in enumerate(self.transitions):
            found += _edge_faults(edge, f"transitions[{at}]", names, self, known)
        found += [
            Fault("transitions", event, f"the way out of {state!r} by {event!r} cannot be removed")
            for state, event in _REQUIRED
            if (state, event) not in self.edges
        ]
        return [*found, *self._lost(names)]

    def _lost(self, names: set[str]) -> list[Fault]:
        """Return the states that no order can reach, and those it could never leave without being final."""
        reached = {self.initial, self.draft}
        while more := {edge.to for edge in self.transitions if edge.from_ in reached} - reached:
            reached |= more
        left = {edge.from_ for edge in self.transitions if edge.to != edge.from_}
        shipped = {state.name for state in STATES}
        found = [
            Fault("states", name, f"no transition leads to {name!r}") for name in sorted(names - reached - shipped)
        ]
        return found + [
            Fault("states", state.name, f"{state.name!r} is not final, and nothing leads out of it")
            for state in self.states
            if not state.final and state.name not in left
        ]


def _edge_faults(edge: Transition, where: str, names: set[str], workflow: Workflow, known: Known) -> list[Fault]:
    found = [
        Fault(f"{where}.{field}", value, f"there is no state {value!r}")
        for field, value in (("from", edge.from_), ("to", edge.to))
        if value not in names
    ]
    final = {state.name for state in workflow.states if state.final}
    if edge.from_ in final:
        found.append(Fault(f"{where}.from", edge.from_, "nothing leads out of a final state"))
    if workflow.edges[edge.from_, edge.on] is not edge:
        found.append(Fault(f"{where}.on", edge.on, f"{edge.from_!r} has another edge for this event"))
    if edge.submit is not None:
        found += _binding_faults(edge.submit, f"{where}.submit", known)
    return found


def _binding_faults(binding: Binding, where: str, known: Known) -> list[Fault]:
    command = known.commands.get(binding.command)
    if command is None or "order" not in command.__struct_fields__:
        can = sorted(name for name, kind in known.commands.items() if "order" in kind.__struct_fields__)
        return [Fault(f"{where}.command", binding.command, f"bind one of: {', '.join(can)}")]
    try:
        json.convert({**binding.arguments, "order": "ord_0"}, command)
    except msgspec.ValidationError as error:
        return [Fault(f"{where}.arguments", "", str(error))]
    return []


def workflow_of(row: OrderRow, policies: Policies) -> Workflow:
    """Return the workflow an order walks by: the version it was captured under, or adopted since."""
    return policies.at(Workflow, row.captured.type, row.captured.workflow_version)


def allows(row: OrderRow, event: str, policies: Policies) -> Refusal | None:
    """Return why this event leads nowhere from where the order is, naming what would be allowed; or None."""
    workflow = workflow_of(row, policies)
    state = row.state or ""
    if (state, event) in workflow.edges:
        return None
    reason = f" ({row.moved.reason})" if row.moved and row.moved.reason else ""
    can = workflow.allowed(state)
    return Refusal(
        "orders.transition",
        f"The order is in state {state!r}{reason}, where {event!r} is not allowed.",
        _ways(can),
        "order",
        row.captured.id,
    )


def _ways(events: Sequence[str]) -> str:
    """Return what would be allowed, in words: what people may say, and what Trueup reports when it happens."""
    said = [event for event in events if event not in OWN_EVENTS]
    own = [event for event in events if event in OWN_EVENTS]
    told = [f"Allowed there: {', '.join(said)}."] if said else []
    told += [f"Trueup itself reports there: {', '.join(own)}."] if own else []
    return " ".join(told) or "The state is final."


def stays(row: OrderRow, event: str, policies: Policies) -> bool:
    """Tell whether an event leads the order to the state it is in already."""
    edge = workflow_of(row, policies).edges.get((row.state or "", event))
    return edge is not None and edge.to == row.state


def advance(row: OrderRow, event: str, context: Context, reason: str | None = None) -> list[Event]:
    """Return where an event leads the order; one that no edge wants is recorded as unmatched, and changes nothing."""
    edge = workflow_of(row, context.policies).edges.get((row.state or "", event))
    order = row.captured.id
    if edge is None:
        return [EventUnmatched(order=order, event=event, state=row.state or "", at=context.now)]
    moved = OrderMoved(
        order=order,
        event=event,
        from_state=edge.from_,
        to_state=edge.to,
        reason=reason or edge.reason,
        command=edge.submit.command if edge.submit else None,
        arguments=edge.submit.arguments if edge.submit else {},
        at=context.now,
    )
    return [moved]


def bound_command(moved: OrderMoved, commands: dict[str, type[Command]]) -> Command | None:
    """Return the command that a workflow bound to the transition that was taken, or None."""
    if moved.command is None:
        return None
    return json.convert({**moved.arguments, "order": moved.order}, commands[moved.command])
