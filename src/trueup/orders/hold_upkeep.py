"""What Trueup does about holds by itself: release those whose cause is gone, and open a case for those grown old.

A rule releases only what its type allows: never a hold for fraud, compliance, or placed by hand. Source: behaviour 40.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

import msgspec

from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb
from trueup.orders.held import Hold, HoldNoticed, HoldReleased
from trueup.orders.hold import Name, Reason, concerns_order, open_hold, releasing, want_orders_of
from trueup.orders.hold_state import BULK_MAX, Holds
from trueup.orders.holds import ONLY_PEOPLE, HoldType, rules_of, stands, then_wants_rules
from trueup.orders.state import Orders
from trueup.orders.version import known_order, unknown_order

RECHECKED_MAX = 200


class ReleaseByRule(Command, frozen=True, kw_only=True):
    """Report that the cause of an order's holds of one type is gone. line: only those on it. rule: what saw it."""

    order: str
    type: Name
    reason: Reason
    rule: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] = "follow-up"
    line: int | None = None


class RecheckHolds(Command, frozen=True, kw_only=True):
    """Ask the tables again about holds they placed on these orders, and release those they would not place now."""

    orders: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=RECHECKED_MAX)]


class AgeHolds(Command, frozen=True, kw_only=True):
    """Notice the holds that are due: at most so many, the longest due first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=BULK_MAX)] = BULK_MAX


def release_by_rule(state: State, command: ReleaseByRule, context: Context) -> Decision:
    """Release the order's open holds of the type. Where none is open it ends as merged.

    Refuses a type that only people release, and one whose holds a table would place again as things are.
    Source: behaviour 40.
    """
    row = state.of(Orders).order(command.order)
    refusal = known_order(row, command.order)
    if refusal is not None or row is None:
        return refusal or unknown_order(command.order)
    found = [
        hold
        for hold in state.of(Holds).open_on(command.order)
        if hold.type == command.type and command.line in (None, hold.line)
    ]
    if command.type in ONLY_PEOPLE or not all(_by_rule(hold, context.policies, row.captured.channel) for hold in found):
        return Refusal("orders.released_by_people", f"A {command.type} hold is never released by a rule.",
                       "Let a person decide and release it.", "type", command.type)  # fmt: skip
    gone = [hold for hold in found if not stands(state, row, hold, context.policies)]
    if found and not gone:
        return Refusal("orders.cause_stands", f"The rule {found[0].rule} would place this hold again.",
                       "Correct what it looks at; or let a person release it.", "order", command.order)  # fmt: skip
    result = {"order": command.order, "released": [hold.id for hold in gone], "version": row.version + len(gone)}
    events = [releasing(context, hold, command.reason, command.rule) for hold in gone]
    return Accepted(events, command.order, result, "applied" if events else "merged")


def _by_rule(hold: Hold, policies: Policies, channel: str) -> bool:
    """Tell whether a rule may release it: the type allowed it when it was placed, and allows it now."""
    kind = rules_of(policies, channel).by_name.get(hold.type)
    return hold.by_rule and hold.type not in ONLY_PEOPLE and (kind is None or kind.releasable_by_rule)


def recheck_holds(state: State, command: RecheckHolds, context: Context) -> Decision:
    """Release what tables placed and would not place now, where the type allows; it ends as merged if nothing is."""
    events: list[Event] = []
    for order in dict.fromkeys(command.orders):
        row = state.of(Orders).order(order)
        if row is None:
            continue
        for hold in state.of(Holds).open_on(order):
            may = hold.rule is not None and _by_rule(hold, context.policies, row.captured.channel)
            if may and not stands(state, row, hold, context.policies):
                events.append(releasing(context, hold, "its cause is gone", hold.rule))
    released = [event.hold for event in events if isinstance(event, HoldReleased)]
    return Accepted(events, "holds", {"released": released}, "applied" if events else "merged")


def age_holds(state: State, command: AgeHolds, context: Context) -> Decision:
    """Open one case per type and channel for holds that are due, or let the open one grow; each is noticed once.

    `noticed` in the result is how many; with as many as the limit, there may be more.
    """
    events: list[Event] = []
    aged: dict[tuple[str, str], list[Hold]] = {}
    for id_ in state.of(Holds).due_holds:
        order = state.of(Holds).order_of(id_)
        row = state.of(Orders).order(order) if order is not None else None
        hold = open_hold(state, order, id_) if order is not None else None
        if row is not None and hold is not None and hold.due_at is not None and hold.due_at <= context.now:
            aged.setdefault((hold.type, row.captured.channel), []).append(hold)
            events.append(HoldNoticed(order=hold.order, hold=hold.id, at=context.now))
    for (name, channel), holds in sorted(aged.items()):
        kind = rules_of(context.policies, channel).by_name.get(name) or HoldType(name)
        events += _case(state, context, kind, channel, holds)
    noticed = sum(isinstance(event, HoldNoticed) for event in events)
    return Accepted(events, "holds", {"noticed": noticed}, "applied" if events else "merged")


def _case(state: State, context: Context, kind: HoldType, channel: str, holds: list[Hold]) -> list[Event]:
    return case_events(
        state,
        context,
        cause=_cause(kind.name, channel),
        kind="holds_old",
        title=f"{kind.label or kind.name.title()} holds in {channel} stand longer than they should",
        severity=kind.severity,
        owner_role=kind.owner_role,
        subjects=[CaseSubject("order", hold.order, f"{hold.type}: {hold.reason}") for hold in holds],
        source={"link": f"/holds?type={quote(kind.name)}&channel={quote(channel)}"},
    )


def _cause(type_: str, channel: str) -> str:
    return f"holds:{type_}:{channel}"


def _wants_order(state: State, command: ReleaseByRule, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(Holds).want(command.order)


def _then_wants_order(state: State, command: ReleaseByRule, policies: Policies) -> None:
    row = state.of(Orders).order(command.order)
    if row is not None:
        then_wants_rules(state, row, policies)


def _wants_recheck(state: State, command: RecheckHolds, policies: Policies) -> None:
    for order in command.orders:
        state.of(Orders).want(order)
        state.of(Holds).want(order)


def _then_wants_recheck(state: State, command: RecheckHolds, policies: Policies) -> None:
    for order in command.orders:
        row = state.of(Orders).order(order)
        if row is not None:
            then_wants_rules(state, row, policies)


def _then_wants_due(state: State, command: AgeHolds, policies: Policies) -> None:
    want_orders_of(state, state.of(Holds).due_holds)
    for type_, channel in state.of(Holds).due_groups:
        state.of(Cases).want_cause(_cause(type_, channel))


async def due_to_age(connection: Connection, now: datetime) -> list[tuple[str, Command]]:
    """Return the commands that notice every hold that is due; for the worker."""
    rows = await connection.execute(
        """select count(*) from order_hold h join orders o on o.id = h.order_id where h.released_at is null
            and h.noticed_at is null and h.due_at <= %s and o.fulfilment_status <> 'cancelled'""",
        [now],
    )
    (count,) = await rows.fetchone() or (0,)
    return [(f"{now:%Y-%m-%dT%H:%M}/{at}", AgeHolds()) for at in range(-(-count // BULK_MAX))]


async def due_to_recheck(connection: Connection, now: datetime) -> list[tuple[str, Command]]:
    """Return the commands that ask the tables again about every hold that they placed and may release."""
    rows = await connection.execute(
        """select distinct h.order_id from order_hold h join orders o on o.id = h.order_id where h.released_at is null
            and h.by_rule and h.rule is not null and o.fulfilment_status <> 'cancelled' order by h.order_id"""
    )
    orders = [order for (order,) in await rows.fetchall()]
    return [
        (f"{now:%Y-%m-%dT%H:%M}/{at}", RecheckHolds(orders=tuple(orders[at : at + RECHECKED_MAX])))
        for at in range(0, len(orders), RECHECKED_MAX)
    ]


VERBS = (
    Verb(
        name="orders.release_by_rule",
        command=ReleaseByRule,
        decide=release_by_rule,
        wants=_wants_order,
        then_wants=_then_wants_order,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
    Verb(
        name="orders.recheck_holds",
        command=RecheckHolds,
        decide=recheck_holds,
        wants=_wants_recheck,
        then_wants=_then_wants_recheck,
        touches=lambda command: command.orders,
    ),
    Verb(
        name="orders.age_holds",
        command=AgeHolds,
        decide=age_holds,
        wants=lambda state, command, policies: state.of(Holds).want_due(command.limit),
        then_wants=_then_wants_due,
        touches=lambda command: ("holds",),
    ),
)
