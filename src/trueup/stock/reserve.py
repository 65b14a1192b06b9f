"""Reserve stock for a cart or a draft, with an expiry; and the one rule by which anything is reserved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.catalogue.state import Catalogue, Item
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Context, Decision, State, Verb
from trueup.stock.state import Claim, ClaimsReleased, Stock, StockReserved


class ReserveLine(Body, frozen=True, forbid_unknown_fields=True):
    """What to hold: any key of the item, and units above zero."""

    sku: str
    quantity: Quantity


class ReserveStock(Command, frozen=True, kw_only=True):
    """Hold stock for a cart or draft at one location until `expires_at` (with a zone)."""

    location: str
    lines: Annotated[tuple[ReserveLine, ...], msgspec.Meta(min_length=1, max_length=200)]
    expires_at: datetime


class ReleaseReservation(Command, frozen=True, kw_only=True):
    """Give a reservation (`rsv_...`) back before it expires."""

    reservation: str


class Demand(msgspec.Struct, frozen=True):
    """One line that wants stock: its number, its item, units, and where in the request it stands."""

    line: int
    item: Item
    quantity: Decimal
    where: str


def reserve_stock(state: State, command: ReserveStock, context: Context) -> Decision:
    """Hold every line until the expiry. Refuses the whole when a line is short, naming all short lines.

    An expired reservation counts on no read, whether or not a worker swept it. Source: behaviours 3, 13, 15.
    """
    if command.expires_at.tzinfo is None or command.expires_at <= context.now:
        return Refusal("stock.expiry_past", "The expiry lies in the past or has no zone.", "State a time to come.",
                       "expires_at", str(command.expires_at))  # fmt: skip
    catalogue = state.of(Catalogue)
    location = catalogue.location(command.location)
    if location is None:
        return unknown_location(command.location)
    demands = []
    for number, line in enumerate(command.lines, 1):
        item = catalogue.item(line.sku)
        if item is None or line.quantity <= 0:
            return bad_line(f"lines[{number - 1}]", line.sku, line.quantity, item)
        demands.append(Demand(number, item, line.quantity, f"lines[{number - 1}]"))
    claims = claim(state, demands, location.id)
    if isinstance(claims, Refusal):
        return claims
    reservation = context.new_id("rsv")
    event = StockReserved(holder=reservation, claims=claims, at=context.now, expires_at=command.expires_at)
    return Accepted([event], reservation, {"reservation": reservation, "expires_at": command.expires_at.isoformat()})


def release_reservation(state: State, command: ReleaseReservation, context: Context) -> Decision:
    """Release what is left of a reservation. Refuses an order's claims; one that ended already ends as merged."""
    if not command.reservation.startswith("rsv_"):
        return Refusal("stock.not_a_reservation", f"{command.reservation!r} is not a reservation.",
                       "Cancel an order's units instead.", "reservation", command.reservation)  # fmt: skip
    open_claims = state.of(Stock).open_claims(command.reservation)
    if not open_claims:
        return Accepted((), command.reservation, {"reservation": command.reservation}, "merged")
    claims = tuple(claim.units() for claim in open_claims)
    event = ClaimsReleased(holder=command.reservation, claims=claims, reason="released", at=context.now)
    return Accepted([event], command.reservation, {"reservation": command.reservation})


def claim(state: State, demands: Sequence[Demand], location: str) -> tuple[Claim, ...] | Refusal:
    """Claim every demand at one location, or refuse the whole naming every short line with what is available.

    Lines of one item draw on the same balance, in their order. Source: behaviours 3, 7, 13, 16.
    """
    stock = state.of(Stock)
    taken: dict[str, Decimal] = {}
    claims: list[Claim] = []
    short: list[RefusalDetail] = []
    for demand in demands:
        available = stock.balance(demand.item.id, location).available() - taken.get(demand.item.id, ZERO)
        if available < demand.quantity:
            left = plain(max(available, ZERO))
            short.append(
                RefusalDetail(
                    f"{demand.where}.quantity",
                    plain(demand.quantity),
                    f"{demand.item.sku}: {plain(demand.quantity)} asked, {left} available",
                )
            )
            continue
        taken[demand.item.id] = taken.get(demand.item.id, ZERO) + demand.quantity
        claims.append(Claim(demand.line, demand.item.id, location, demand.quantity))
    if short:
        return Refusal(
            "stock.short",
            "Not enough stock: " + "; ".join(detail.what for detail in short) + ".",
            "Lower the quantities, choose another location, or wait for a receipt.",
            short[0].where,
            short[0].value,
            tuple(short),
        )
    return tuple(claims)


def unknown_location(code: str) -> Refusal:
    """Return the refusal for a location nobody registered."""
    return Refusal("catalogue.unknown_location", f"There is no location {code!r}.",
                   "Register it first, or correct the code.", "location", code)  # fmt: skip


def bad_line(where: str, sku: str, quantity: Decimal, item: Item | None) -> Refusal:
    """Return the refusal for a line whose item is unknown or whose quantity is not above zero."""
    if item is None:
        return Refusal("catalogue.unknown_item", f"No item answers to {sku!r}.",
                       "Register the item, or add this spelling as its alias.", f"{where}.sku", sku)  # fmt: skip
    return Refusal("stock.quantity", f"The quantity of {sku!r} is not above zero.", "Ask for at least one unit.",
                   f"{where}.quantity", plain(quantity))  # fmt: skip


def _wants(state: State, command: ReserveStock, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    for line in command.lines:
        state.of(Catalogue).want_item(line.sku)
        state.of(Stock).want(line.sku, command.location)


VERBS = (
    Verb(name="stock.reserve", command=ReserveStock, decide=reserve_stock, wants=_wants),
    Verb(
        name="stock.release_reservation",
        command=ReleaseReservation,
        decide=release_reservation,
        wants=lambda state, command, policies: state.of(Stock).want_claims(command.reservation),
        touches=lambda command: (command.reservation,),
    ),
)
