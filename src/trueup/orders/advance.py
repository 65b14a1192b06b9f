"""Move an order along its workflow: on somebody's request, or because something was reported to have happened."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb
from trueup.orders.hold import concerns_order
from trueup.orders.hold_state import Holds
from trueup.orders.holds import blocking, held_refusal, hold_events, then_wants_rules
from trueup.orders.state import EventUnmatched, OrderMoved, OrderRow, Orders, version_after
from trueup.orders.version import known_order, unknown_order
from trueup.orders.workflow import OWN_EVENTS, advance, allows, workflow_of

EventName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
_BY_VERB = {
    "confirmed": "confirm the draft",
    "cancelled": "cancel its units (orders.cancel)",
    "sourced": "source it (sourcing.assign)",
}


class AdvanceOrder(Command, frozen=True, kw_only=True):
    """Ask that an order goes on by an event of its workflow.

    reason: one of those the state it leads to lists. version: refuse unless the order still has this version.
    """

    order: str
    event: EventName
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    version: int | None = None


class ReportEvent(Command, frozen=True, kw_only=True):
    """Report that something happened to an order. source: the system that says so."""

    order: str
    event: EventName
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


def advance_order(state: State, command: AdvanceOrder, context: Context) -> Decision:
    """Take the edge of the order's own version of the workflow; tables that are asked on the event may place holds.

    Refuses an event that leads nowhere from here, naming state, reason and what would be allowed; a reason that the
    state does not list; what an open hold blocks; an order that changed meanwhile; and the events that Trueup reports
    itself, since the state would say what did not happen.
    """
    row = state.of(Orders).order(command.order)
    refusal = known_order(row, command.order, command.version)
    if refusal is not None or row is None:
        return refusal or unknown_order(command.order)
    refusal = _own_event(command) or allows(row, command.event, context.policies) or _bad_reason(row, command, context)
    if refusal is not None:
        return refusal
    held = blocking(state, row, command.event, context)
    if held:
        return held_refusal(row, held, context.policies)
    events: list[Event] = [*advance(row, command.event, context, command.reason)]
    events += hold_events(state, context, row.captured, row.lines, command.event)
    return Accepted(events, command.order, _told(row, events))


def report_event(state: State, command: ReportEvent, context: Context) -> Decision:
    """Post what happened: where an edge wants it the order moves, else it is recorded as no match; holds stop no fact.

    An event that Trueup reports itself moves nothing, for it did not happen here. History is left as it is, and the
    report ends as ignored. Refuses an unknown order only.
    """
    row = state.of(Orders).order(command.order)
    if row is None:
        return unknown_order(command.order)
    if not row.captured.managed:
        return Accepted((), command.order, {"order": command.order, "rule": "orders.history"}, "ignored")
    unmatched = EventUnmatched(
        order=command.order, event=command.event, state=row.state or "", at=context.now, source=command.source
    )
    if command.event in OWN_EVENTS:
        return Accepted([unmatched], command.order, _told(row, [unmatched]))
    moved = advance(row, command.event, context, command.reason)
    events: list[Event] = [unmatched if isinstance(event, EventUnmatched) else event for event in moved]
    events += hold_events(state, context, row.captured, row.lines, command.event)
    return Accepted(events, command.order, _told(row, events))


def _own_event(command: AdvanceOrder) -> Refusal | None:
    if command.event not in OWN_EVENTS:
        return None
    how = _BY_VERB.get(command.event, "do what leads to it")
    return Refusal("orders.own_event", f"Trueup reports {command.event!r} itself, when it happened.",
                   f"To bring it about, {how}.", "event", command.event)  # fmt: skip


def _bad_reason(row: OrderRow, command: AdvanceOrder, context: Context) -> Refusal | None:
    if command.reason is None:
        return None
    workflow = workflow_of(row, context.policies)
    to = workflow.edges[row.state or "", command.event].to
    reasons = next(state.reasons for state in workflow.states if state.name == to)
    if not reasons or command.reason in reasons:
        return None
    return Refusal("orders.reason", f"{command.reason!r} is no reason to be in state {to!r}.",
                   f"Give one of: {', '.join(reasons)}.", "reason", command.reason)  # fmt: skip


def _told(row: OrderRow, events: list[Event]) -> dict[str, Any]:
    moved = next((event for event in events if isinstance(event, OrderMoved)), None)
    return {
        "order": row.captured.id,
        "matched": moved is not None,
        "state": moved.to_state if moved else row.state,
        "reason": moved.reason if moved else (row.moved.reason if row.moved else None),
        "version": version_after(row, events),
    }


def _wants(state: State, command: AdvanceOrder | ReportEvent, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(Holds).want(command.order)


def _then_wants(state: State, command: AdvanceOrder | ReportEvent, policies: Policies) -> None:
    row = state.of(Orders).order(command.order)
    if row is not None:
        then_wants_rules(state, row, policies, command.event)


VERBS = (
    Verb(
        name="orders.advance",
        command=AdvanceOrder,
        decide=advance_order,
        wants=_wants,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
    Verb(
        name="orders.report_event",
        command=ReportEvent,
        decide=report_event,
        wants=_wants,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
)
