"""Cancel units of an order, by line and quantity."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Event, State, Verb
from trueup.orders.place import totals_of
from trueup.orders.state import Line, LineCancelled, OrderCancelled, OrderRow, Orders
from trueup.stock.state import Claim, ClaimsReleased, Stock


class CancelLine(Body, frozen=True, forbid_unknown_fields=True):
    """How many units of a line to cancel; None is all that are left."""

    line: int
    quantity: Quantity | None = None


class CancelOrder(Command, frozen=True, kw_only=True):
    """Cancel some lines, or with no lines all that is left. version: refuse unless the order still has this version."""

    order: str
    lines: Annotated[tuple[CancelLine, ...], msgspec.Meta(max_length=500)] = ()
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "customer"
    version: int | None = None


def cancel_order(state: State, command: CancelOrder, context: Context) -> Decision:
    """Cancel the units, release their claims and total what is left; prices and amounts per unit are kept.

    Cancelling every unit of goods cancels the charges too. Refuses history, unknown lines, more units than are neither
    cancelled nor shipped, and an order that changed meanwhile. Source: behaviours 9 and 19.
    """
    row = state.of(Orders).order(command.order)
    if row is None:
        return Refusal("orders.unknown", f"There is no order {command.order!r}.",
                       "Look it up by its number.", "order", command.order)  # fmt: skip
    if not row.captured.managed:
        return Refusal("orders.history", f"Order {command.order} is history of {row.captured.source}.",
                       "History can be returned, not cancelled.", "order", command.order)  # fmt: skip
    if command.version is not None and command.version != row.version:
        return Refusal("orders.changed", f"The order is at version {row.version}, not {command.version}.",
                       "Read it again and decide anew.", "version", str(command.version))  # fmt: skip
    chosen = _choose(row, command)
    if isinstance(chosen, Refusal):
        return chosen
    cancelled = [*chosen, *_orphaned_charges(row, chosen)]
    after = {c.line: c.quantity for c in cancelled}
    lines = [msgspec.structs.replace(line, cancelled=line.cancelled + after.get(line.line, ZERO)) for line in row.lines]
    event = OrderCancelled(
        order=command.order, lines=tuple(cancelled), totals=totals_of(lines), reason=command.reason, at=context.now
    )
    events: list[Event] = [event]
    claims = _claims(state, command.order, chosen)
    if claims:
        events.append(ClaimsReleased(holder=command.order, claims=claims, reason="cancelled", at=context.now))
    result = {"order": command.order, "total": str(event.totals.total), "version": row.version + 1}
    return Accepted(events, command.order, result)


def _choose(row: OrderRow, command: CancelOrder) -> list[LineCancelled] | Refusal:
    if not command.lines:
        chosen = [LineCancelled(x.line, _open(x)) for x in row.lines if x.kind == "good" and _open(x) > 0]
        if not chosen:
            return Refusal("orders.nothing_left", "No unit of the order can be cancelled any more.",
                           "Units that were shipped are returned instead.", "order", command.order)  # fmt: skip
        return chosen
    chosen = []
    for at, wanted in enumerate(command.lines):
        line = row.line(wanted.line)
        where = f"lines[{at}]"
        if line is None or line.line in {c.line for c in chosen}:
            return Refusal("orders.unknown_line", f"The order has no line {wanted.line} to cancel once.",
                           "Name each line once, by its number.", f"{where}.line", str(wanted.line))  # fmt: skip
        quantity = _open(line) if wanted.quantity is None else wanted.quantity
        if quantity <= 0 or quantity > _open(line):
            return Refusal("orders.too_many", f"{plain(_open(line))} units of line {line.line} can be cancelled.",
                           "Lower the quantity; shipped units are returned instead.",
                           f"{where}.quantity", plain(quantity))  # fmt: skip
        chosen.append(LineCancelled(line.line, quantity))
    return chosen


def _open(line: Line) -> Decimal:
    return line.quantity - line.cancelled - line.shipped


def _orphaned_charges(row: OrderRow, chosen: list[LineCancelled]) -> list[LineCancelled]:
    gone = {c.line: c.quantity for c in chosen}
    goods = [line for line in row.lines if line.kind == "good"]
    if any(line.quantity > line.cancelled + gone.get(line.line, ZERO) for line in goods):
        return []
    return [
        LineCancelled(line.line, line.quantity - line.cancelled)
        for line in row.lines
        if line.kind == "charge" and line.quantity > line.cancelled and line.line not in gone
    ]


def _claims(state: State, order: str, chosen: list[LineCancelled]) -> tuple[Claim, ...]:
    """Return what the order claims for these units: what is only reserved goes first."""
    held = sorted(state.of(Stock).open_claims(order), key=lambda claim: (claim.kind == "allocation", claim.location))
    claims = []
    for cancelled in chosen:
        left = cancelled.quantity
        for claim in held:
            if claim.line == cancelled.line and left > 0:
                claims.append(claim.units(min(claim.quantity, left)))
                left -= claims[-1].quantity
    return tuple(claims)


def _wants(state: State, command: CancelOrder, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(Stock).want_claims(command.order)


VERBS = (
    Verb(
        name="orders.cancel",
        command=CancelOrder,
        decide=cancel_order,
        wants=_wants,
        touches=lambda command: (command.order,),
    ),
)
