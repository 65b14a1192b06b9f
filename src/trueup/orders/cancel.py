"""Cancel units of an order, by line and quantity."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Concerns, Context, Decision, Event, State, Verb
from trueup.orders.channel import cancellable_until
from trueup.orders.fulfilment_orders import FulfilmentOrders, FulfilmentReduced, Why, reduction
from trueup.orders.place import totals_of
from trueup.orders.state import Line, LineCancelled, OrderCancelled, OrderRow, Orders, version_after
from trueup.orders.workflow import advance, allows
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

    Cancelling every unit of goods cancels the charges too, and a phantom kit takes its parts along. Refuses history,
    unknown lines, parts of kits, more units than are neither cancelled nor shipped, a state whose workflow does not
    allow it, the time after the cancellation window the order was captured under, and an order that changed meanwhile.
    Source: behaviours 9, 14, 19, 39.
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
    refusal = allows(row, "cancelled", context.policies) or _too_late(row, context)
    if refusal is not None:
        return refusal
    chosen = [*chosen, *_parts(row, chosen)]
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
        events += withdrawn(state, command.order, claims, "cancelled", context)
    if all(line.quantity <= line.cancelled for line in lines):
        events += advance(row, "cancelled", context, command.reason)
    result = {"order": command.order, "total": str(event.totals.total), "version": version_after(row, events)}
    return Accepted(events, command.order, result)


def _too_late(row: OrderRow, context: Context) -> Refusal | None:
    window = cancellable_until(row, context.policies)
    if window is None or context.now <= row.captured.recorded_at + window:
        return None
    until = row.captured.recorded_at + window
    return Refusal("orders.cancellation_window", f"The order could be cancelled until {until:%Y-%m-%d %H:%M} UTC.",
                   "Let it be shipped and returned.", "order", row.captured.id)  # fmt: skip


def _parts(row: OrderRow, chosen: list[LineCancelled]) -> list[LineCancelled]:
    """Return what phantom kits that are cancelled take along of their parts."""
    kits = {c.line: c.quantity for c in chosen if _is_kit(row.line(c.line))}
    found = []
    for part in row.lines:
        kit = row.line(part.parent) if part.parent is not None else None
        if kit is not None and kit.line in kits:
            found.append(LineCancelled(part.line, min(kits[kit.line] * part.quantity / kit.quantity, _open(part))))
    return found


def _is_kit(line: Line | None) -> bool:
    return line is not None and line.kind == "kit"


def _choose(row: OrderRow, command: CancelOrder) -> list[LineCancelled] | Refusal:
    if not command.lines:
        chosen = [
            LineCancelled(x.line, _open(x))
            for x in row.lines
            if x.kind != "charge" and x.parent is None and _open(x) > 0
        ]
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
        if line.parent is not None:
            return Refusal("orders.part_of_kit", f"Line {line.line} is a part of the kit on line {line.parent}.",
                           "Cancel the kit.", f"{where}.line", str(wanted.line))  # fmt: skip
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


def withdrawn(state: State, order: str, claims: Sequence[Claim], why: Why, context: Context) -> list[Event]:
    """Return what the locations' parts of the order lose with these claims; a reservation has no part yet."""
    parts = state.of(FulfilmentOrders).of_order(order)
    changes = [
        change
        for claim in claims
        if claim.kind == "allocation"
        for change in reduction(parts, claim.line, claim.location, claim.quantity)
    ]
    if not changes:
        return []
    return [FulfilmentReduced(order=order, changes=tuple(changes), why=why, at=context.now)]


def _wants(state: State, command: CancelOrder, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(FulfilmentOrders).want(command.order)
    state.of(Stock).want_claims(command.order)


def _concerns(state: State, command: CancelOrder) -> Concerns:
    row = state.of(Orders).order(command.order)
    return Concerns(channels=(row.captured.channel,)) if row is not None else Concerns()


VERBS = (
    Verb(
        name="orders.cancel",
        command=CancelOrder,
        decide=cancel_order,
        wants=_wants,
        touches=lambda command: (command.order,),
        concerns=_concerns,
    ),
)
