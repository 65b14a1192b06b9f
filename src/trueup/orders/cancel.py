"""Cancel units of an order, by line and quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.core.errors import Refusal
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Event, State, Verb, Worth
from trueup.orders.channel import cancellable_until
from trueup.orders.fulfilment_orders import FulfilmentOrders, FulfilmentReduced, Why, reduction
from trueup.orders.hold import concerns_order
from trueup.orders.hold_state import Holds
from trueup.orders.holds import blocking, held_refusal
from trueup.orders.lapse import lapsed_events
from trueup.orders.state import Line, LineCancelled, OrderCancelled, OrderRow, Orders, version_after
from trueup.orders.tax_state import OrderTaxes, TaxReversed, TaxRow
from trueup.orders.totals import totals_of
from trueup.orders.version import known_order, unknown_order
from trueup.orders.workflow import BusinessEvent, advance, allows
from trueup.stock.peg import release_events
from trueup.stock.state import Claim, ClaimsReleased, Stock
from trueup.stock.supply_state import Supply


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
    allow it, what an open hold stops, the time after the cancellation window the order was captured under, and an order
    that changed meanwhile. Source: behaviours 9, 14, 19, 39.
    """
    row = state.of(Orders).order(command.order)
    refusal = known_order(row, command.order, command.version)
    if refusal is not None or row is None:
        return refusal or unknown_order(command.order)
    chosen = _choose(row, command)
    if isinstance(chosen, Refusal):
        return chosen
    refusal = allows(row, "cancelled", context.policies) or _too_late(row, context)
    if refusal is not None:
        return refusal
    chosen = [*chosen, *_parts(row, chosen)]
    cancelled = [*chosen, *orphaned_charges(row, chosen)]
    held = blocking(state, row, "cancelled", context, {c.line for c in cancelled})
    if held:
        return held_refusal(row, held, context.policies)
    events = cancelling(state, row, cancelled, context, "cancelled", command.reason)
    total = next(event.totals.total for event in events if isinstance(event, OrderCancelled))
    result = {"order": command.order, "total": str(total), "version": version_after(row, events)}
    return Accepted(events, command.order, result)


def cancelling(
    state: State,
    row: OrderRow,
    cancelled: Sequence[LineCancelled],
    context: Context,
    business_event: BusinessEvent,
    reason: str,
) -> list[Event]:
    """Return what cancelling these units does: totals, claims, pegs, the locations' parts, and invoiced tax.

    Units that only wait are let go first, then reserved ones, then allocated ones. When nothing is left, the business
    event leads the order on; when nothing waits any more, the order is sourced. Wants: what `want_cancelling` asks for.
    """
    order, now = row.captured.id, context.now
    after = {c.line: c.quantity for c in cancelled}
    lines = [msgspec.structs.replace(line, cancelled=line.cancelled + after.get(line.line, ZERO)) for line in row.lines]
    totals = totals_of(lines, row.captured.currency, prices_include_tax=row.captured.tax_included)
    events = lapsed_events(state, row, now)
    events.append(OrderCancelled(order=order, lines=tuple(cancelled), totals=totals, reason=reason, at=now))
    claims = _claims(state, row, cancelled)
    if claims:
        events.append(ClaimsReleased(holder=order, claims=claims, reason=business_event, at=now))
        events += withdrawn(state, order, claims, "cancelled", context)
    waiting = {
        (line.line, line.item): min(after[line.line], unclaimed(state, row, line))
        for line in row.lines
        if line.line in after and line.item is not None
    }
    events += release_events(state, order, waiting, "cancelled", now)
    events += _tax_given_back(state, row, lines, context)
    if all(line.quantity <= line.cancelled for line in lines):
        events += advance(row, business_event, context, reason)
    elif _waits(row.lines, row.allocated) and not _waits(lines, _kept(row, claims)):
        events += advance(row, "sourced", context)
    return events


def _waits(lines: Sequence[Line], allocated: Mapping[int, Decimal]) -> bool:
    """Tell whether units of these lines are wanted and not allocated."""
    return any(line.kind == "good" and open_units(line) > allocated.get(line.line, ZERO) for line in lines)


def _kept(row: OrderRow, released: Sequence[Claim]) -> dict[int, Decimal]:
    """Return what stays allocated of each line when these claims are released."""
    kept = dict(row.allocated)
    for claim in released:
        if claim.kind == "allocation":
            kept[claim.line] -= claim.quantity
    return kept


def unclaimed(state: State, row: OrderRow, line: Line) -> Decimal:
    """Return the units of a line that wait: open, and nothing is claimed for them."""
    claims = state.of(Stock).open_claims(row.captured.id)
    return open_units(line) - sum((claim.quantity for claim in claims if claim.line == line.line), ZERO)


def _tax_given_back(state: State, row: OrderRow, lines: Sequence[Line], context: Context) -> list[Event]:
    """Return the reversal of the tax of units that are invoiced and will not be fulfilled any more."""
    taxes, order = state.of(OrderTaxes), row.captured.id
    rows: list[TaxRow] = []
    for line in lines:
        excess = taxes.standing(order, line.line) - (line.quantity - line.cancelled)
        if excess > 0:
            first = len(taxes.of_order(order)) + len(rows) + 1
            rows += taxes.reversals(order, line.line, excess, row.captured.currency, first)
    return [TaxReversed(order=order, rows=tuple(rows), reason="cancelled", at=context.now)] if rows else []


def _too_late(row: OrderRow, context: Context) -> Refusal | None:
    window = cancellable_until(row, context.policies)
    if window is None or context.now <= row.captured.recorded_at + window:
        return None
    if context.excuses("orders.cancellation_window", row.captured.id):
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
            found.append(LineCancelled(part.line, min(kits[kit.line] * part.quantity / kit.quantity, open_units(part))))
    return found


def _is_kit(line: Line | None) -> bool:
    return line is not None and line.kind == "kit"


def _choose(row: OrderRow, command: CancelOrder) -> list[LineCancelled] | Refusal:
    if not command.lines:
        chosen = [
            LineCancelled(x.line, open_units(x))
            for x in row.lines
            if x.kind != "charge" and x.parent is None and open_units(x) > 0
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
        quantity = open_units(line) if wanted.quantity is None else wanted.quantity
        if quantity <= 0 or quantity > open_units(line):
            return Refusal("orders.too_many", f"{plain(open_units(line))} units of line {line.line} can be cancelled.",
                           "Lower the quantity; shipped units are returned instead.",
                           f"{where}.quantity", plain(quantity))  # fmt: skip
        chosen.append(LineCancelled(line.line, quantity))
    return chosen


def open_units(line: Line) -> Decimal:
    """Return the units of a line that are neither cancelled nor shipped."""
    return line.quantity - line.cancelled - line.shipped


def orphaned_charges(row: OrderRow, chosen: Sequence[LineCancelled]) -> list[LineCancelled]:
    """Return the charges that go with the last units of goods."""
    gone = {c.line: c.quantity for c in chosen}
    goods = [line for line in row.lines if line.kind == "good"]
    if any(line.quantity > line.cancelled + gone.get(line.line, ZERO) for line in goods):
        return []
    return [
        LineCancelled(line.line, line.quantity - line.cancelled)
        for line in row.lines
        if line.kind == "charge" and line.quantity > line.cancelled and line.line not in gone
    ]


def _claims(state: State, row: OrderRow, chosen: Sequence[LineCancelled]) -> tuple[Claim, ...]:
    """Return what the order claims for these units: none for those that only wait, then what is only reserved."""
    held = state.of(Stock).open_claims(row.captured.id)
    held.sort(key=lambda claim: (claim.kind == "allocation", claim.location))
    claims = []
    for cancelled in chosen:
        line = row.line(cancelled.line)
        left = cancelled.quantity - (unclaimed(state, row, line) if line is not None else ZERO)
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


def want_cancelling(state: State, order: str) -> None:
    """Ask for the rows that cancelling units of an order needs."""
    state.of(Orders).want(order)
    state.of(FulfilmentOrders).want(order)
    state.of(OrderTaxes).want(order)
    state.of(Holds).want(order)
    state.of(Stock).want_claims(order)
    state.of(Supply).want_pegs(order)


def _worth(state: State, command: CancelOrder, events: Sequence[Event]) -> tuple[Worth, ...]:
    """Return what the order loses of its total."""
    row = state.of(Orders).orders.get(command.order)
    if row is None:
        return ()
    return tuple(
        Worth(row.totals.total - event.totals.total, row.captured.currency)
        for event in events
        if isinstance(event, OrderCancelled)
    )


VERBS = (
    Verb(
        name="orders.cancel",
        worth=_worth,
        command=CancelOrder,
        decide=cancel_order,
        wants=lambda state, command, policies: want_cancelling(state, command.order),
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
)
