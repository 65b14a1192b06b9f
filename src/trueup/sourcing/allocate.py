"""Allocate an order's units at a location by hand, and give allocated units back."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.catalogue.quarantine import barred_refusal, closed
from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Command, Concerns, Context, Decision, Event, State, Verb
from trueup.orders.cancel import withdrawn
from trueup.orders.fulfilment_orders import FulfilmentOrdered, Why
from trueup.orders.hold import concerns_order
from trueup.orders.holds import blocking, held_refusal
from trueup.orders.state import OrderRow, Orders
from trueup.orders.version import FIND_ORDER
from trueup.orders.workflow import advance, allows
from trueup.sourcing import state as sourcing
from trueup.sourcing.assign import (
    allocation,
    loads_of,
    no_longer_waits,
    open_units,
    overdue,
    parts_of,
    then_wants_order,
    wants_order,
)
from trueup.sourcing.policy import Routing
from trueup.sourcing.ready import kept_back
from trueup.sourcing.route import Share
from trueup.sourcing.state import OrderSourced
from trueup.stock.reserve import unknown_location
from trueup.stock.state import Claim, ClaimsReleased, Stock

Note = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class AllocateUnits(Command, frozen=True, kw_only=True):
    """Allocate units of an order's line at a location (code) by hand, whatever the rules would choose."""

    order: str
    line: int
    location: str
    quantity: Quantity
    reason: Note = "by hand"
    version: int | None = None


class ReleaseAllocation(Command, frozen=True, kw_only=True):
    """Give allocated units of a line at a location (code) back; the order waits for them until somebody sources it."""

    order: str
    line: int
    location: str
    quantity: Quantity
    reason: Note = "by hand"
    version: int | None = None


class ReleaseShortage(Command, frozen=True, kw_only=True):
    """Give back what an order claims of an item at a location (ids) as far as stock there no longer covers it."""

    order: str
    item: str
    location: str


def allocate_units(state: State, command: AllocateUnits, context: Context) -> Decision:
    """Allocate the units there.

    Refuses more than the line is open for, more than is available to the order, and what an open hold or a containment
    stops, of the item or the location.
    What was allocated before stays as it was. Source: behaviour 4.
    """
    row = order_row(state, command.order, command.version)
    if isinstance(row, Refusal):
        return row
    refusal = allows(row, "sourced", context.policies) or overdue(row, context.now)
    if refusal is not None:
        return refusal
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    line = row.line(command.line)
    if line is None or line.item is None or line.kind != "good":
        return no_line(command.line)
    held = blocking(state, row, "sourced", context, (line.line,))
    if held:
        return held_refusal(row, held, context.policies)
    kept = kept_back(state, row, [line.line], context)
    if kept:
        return barred_refusal(kept[line.line], "line")
    full = closed(state, [place.id], context)
    if full:
        return barred_refusal(full[place.id], "location")
    open_ = open_units(row, line)
    available = state.of(Stock).available_to(command.order, line.item, place.id, row.captured.channel, (line.line,))
    if not 0 < command.quantity <= min(open_, available):
        return Refusal(
            "sourcing.too_many",
            f"{plain(command.quantity)} of {line.sku} asked at {place.code}: the line is open for {plain(open_)}, "
            f"and {plain(max(ZERO, available))} are available to it there.",
            "Lower the quantity, or choose another location.",
            "quantity",
            plain(command.quantity),
        )
    shares = (Share(command.line, line.item, place.id, command.quantity),)
    left = _open_after(row, {command.line: command.quantity})
    events = _by_hand(state, row, shares, context, command.reason, left)
    return Accepted(events, command.order, {"order": command.order, "allocated": plain(command.quantity)})


def release_allocation(state: State, command: ReleaseAllocation, context: Context) -> Decision:
    """Give the units back; on hand does not change. Refuses more than is allocated there.

    Source: behaviours 5 and 6.
    """
    row = order_row(state, command.order, command.version)
    if isinstance(row, Refusal):
        return row
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    claims = taken(state, command.order, command.line, place.id, command.quantity)
    held = sum((claim.quantity for claim in claims), ZERO)
    if command.quantity <= 0 or held < command.quantity:
        return Refusal("sourcing.not_allocated", f"{plain(held)} units of line {command.line} are allocated there.",
                       "Release at most these.", "quantity", plain(command.quantity))  # fmt: skip
    events = given_back(state, row, claims, "released", context)
    result = {"order": command.order, "allocated": plain(_allocated(row) - command.quantity)}
    return Accepted([*events, *advance(row, "partly_sourced", context, command.reason)], command.order, result)


def release_shortage(state: State, command: ReleaseShortage, context: Context) -> Decision:
    """Give up what stock no longer covers: what is only reserved first. Where all is covered it ends as merged.

    Source: behaviour 5: the earliest promises keep what is there, since the latest are asked first.
    """
    row = order_row(state, command.order, None)
    if isinstance(row, Refusal):
        return row
    stock = state.of(Stock)
    owed = stock.balance(command.item, command.location).owed
    claims = []
    held = [c for c in stock.open_claims(command.order) if (c.item, c.location) == (command.item, command.location)]
    for claim in sorted(held, key=lambda claim: (claim.kind == "allocation", -claim.line)):
        units = min(claim.quantity, owed)
        if units > 0:
            claims.append(claim.units(units))
            owed -= units
    if not claims:
        return Accepted((), command.order, {"order": command.order, "released": "0"}, "merged")
    events = given_back(state, row, claims, "short", context)
    if any(claim.kind == "allocation" for claim in claims):
        events += advance(row, "partly_sourced", context, "out of stock")
    released = sum((claim.quantity for claim in claims), ZERO)
    return Accepted(events, command.order, {"order": command.order, "released": plain(released)})


def given_back(state: State, row: OrderRow, claims: Sequence[Claim], why: Why, context: Context) -> list[Event]:
    """Return the release of claims, and what the locations' parts lose with them."""
    order = row.captured.id
    released = ClaimsReleased(holder=order, claims=tuple(claims), reason=why, at=context.now)
    return [released, *withdrawn(state, order, claims, why, context)]


def taken(state: State, order: str, line: int, location: str, quantity: Decimal) -> list[Claim]:
    """Return so many of the units that an order's line has allocated at a location."""
    claims = []
    for claim in state.of(Stock).open_claims(order):
        if (claim.line, claim.location, claim.kind) == (line, location, "allocation") and quantity > 0:
            claims.append(claim.units(min(claim.quantity, quantity)))
            quantity -= claims[-1].quantity
    return claims


def _by_hand(
    state: State, row: OrderRow, shares: Sequence[Share], context: Context, reason: str,
    short: tuple[tuple[int, Decimal], ...],
) -> list[Event]:  # fmt: skip
    decision = decision_by_hand(state, row, shares, context, reason, short)
    order = row.captured.id
    left = {share.line: dict(short).get(share.line, ZERO) for share in shares}
    return [
        OrderSourced(order=order, decision=decision, at=context.now),
        allocation(state, row, shares, {share.line for share in shares}, context.now),
        FulfilmentOrdered(order=order, parts=parts_of(shares, context, decision.id), at=context.now),
        *no_longer_waits(state, order, left, context.now),
        *advance(row, "partly_sourced" if short else "sourced", context, reason if short else None),
    ]


def decision_by_hand(
    state: State, row: OrderRow, shares: Sequence[Share], context: Context, reason: str,
    short: tuple[tuple[int, Decimal], ...],
) -> sourcing.Decision:  # fmt: skip
    """Return the record of what a person decided."""
    decision = context.new_id("dec")
    return sourcing.Decision(
        id=decision,
        mode="manual",
        outcome="partly" if short else "assigned",
        policy_version=context.policies.version(Routing),
        shares=tuple(shares),
        short=short,
        loads=loads_of(state, parts_of(shares, context, decision), context.now),
        note=f"{context.actor.name}: {reason}",
    )


def _open_after(row: OrderRow, taken: dict[int, Decimal]) -> tuple[tuple[int, Decimal], ...]:
    left = [(x.line, open_units(row, x) - taken.get(x.line, ZERO)) for x in row.lines if x.kind == "good"]
    return tuple((line, units) for line, units in left if units > 0)


def _allocated(row: OrderRow) -> Decimal:
    return sum(row.allocated.values(), ZERO)


def order_row(state: State, order: str, version: int | None) -> OrderRow | Refusal:
    """Return an order of ours at the version the caller has read, or why not."""
    row = state.of(Orders).order(order)
    if row is None or not row.captured.managed:
        return Refusal("orders.unknown", f"There is no order {order!r} of ours.", FIND_ORDER,
                       "order", order)  # fmt: skip
    if version is not None and version != row.version:
        return Refusal("orders.changed", f"The order is at version {row.version}, not {version}.",
                       "Read it again and decide anew.", "version", str(version))  # fmt: skip
    return row


def no_line(line: int, where: str = "line") -> Refusal:
    """Return the refusal for a line that is not there, or stands twice."""
    return Refusal("orders.unknown_line", f"There is no line {line} of goods to name once.", "Name each line once.",
                   where, str(line))  # fmt: skip


def wants_part(state: State, command: AllocateUnits | ReleaseAllocation | ReleaseShortage, policies: Policies) -> None:
    """Ask for the order, its parts, and the place the command names."""
    wants_order(state, command.order)
    if not isinstance(command, ReleaseShortage):
        state.of(Catalogue).want_location(command.location)


def _then_wants(state: State, command: AllocateUnits | ReleaseAllocation | ReleaseShortage, policies: Policies) -> None:
    then_wants_order(state, command.order)
    if isinstance(command, ReleaseShortage):
        state.of(Stock).want_at(command.item, command.location)
    else:
        want_lines_at(state, command.order, command.location)


def want_lines_at(state: State, order: str, code: str) -> None:
    """Ask for the balances of an order's goods at a location, whether or not there is any of them."""
    row, place = state.of(Orders).order(order), state.of(Catalogue).location(code)
    for line in row.lines if row is not None and place is not None else ():
        if line.item is not None and place is not None:
            state.of(Stock).want_at(line.item, place.id)


def _concerns(state: State, command: AllocateUnits | ReleaseAllocation) -> Concerns:
    """Return the order's channel and the site: who has one of them only does not decide over the other."""
    return Concerns((command.location,), concerns_order(state, command).channels)


VERBS = (
    Verb(
        name="sourcing.allocate",
        command=AllocateUnits,
        decide=allocate_units,
        wants=wants_part,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=_concerns,
    ),
    Verb(
        name="sourcing.release",
        command=ReleaseAllocation,
        decide=release_allocation,
        wants=wants_part,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=_concerns,
    ),
    Verb(
        name="sourcing.release_shortage",
        command=ReleaseShortage,
        decide=release_shortage,
        wants=wants_part,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
)
