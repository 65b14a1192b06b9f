"""Reserve stock for a cart or a draft, with an expiry; and the one rule by which anything is reserved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.catalogue.breach_state import Breaches
from trueup.catalogue.quarantine import barred_refusal, closed
from trueup.catalogue.state import Catalogue, Item
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Concerns, Context, Decision, State, Verb, concerns_location
from trueup.stock.state import Claim, ClaimsReleased, Place, Stock, StockReserved

_NOTHING: Mapping[Place, Decimal] = {}


_UNLIMITED = Decimal("Infinity")


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
    """One line that wants stock: its number, its item, units, and where in the request it stands.

    location: id of the only place it may come from (pickup); None where any that serves will do. kit: the phantom kit
    it is a part of; a channel's cap of the kit limits it.
    """

    line: int
    item: Item
    quantity: Decimal
    where: str
    location: str | None = None
    kit: Item | None = None


class Missing(msgspec.Struct, frozen=True):
    """What stock does not cover of a demand: units, and what was available for it everywhere it may come from."""

    demand: Demand
    quantity: Decimal
    available: Decimal


def reserve_stock(state: State, command: ReserveStock, context: Context) -> Decision:
    """Hold every line until the expiry. Refuses the whole when a line is short, naming all short lines, and where a
    containment lets nothing more be reserved.

    Of a phantom kit its parts are held. An expired reservation counts on no read, whether or not a worker swept it.
    Source: behaviours 3, 13, 14, 15.
    """
    if command.expires_at.tzinfo is None or command.expires_at <= context.now:
        return Refusal("stock.expiry_past", "The expiry lies in the past or has no zone.", "State a time to come.",
                       "expires_at", str(command.expires_at))  # fmt: skip
    catalogue = state.of(Catalogue)
    location = catalogue.location(command.location)
    if location is None:
        return unknown_location(command.location)
    full = closed(state, [location.id], context)
    if full:
        return barred_refusal(full[location.id], "location")
    demands = []
    for number, line in enumerate(command.lines, 1):
        item = catalogue.item(line.sku)
        if item is None or line.quantity <= 0:
            return bad_line(f"lines[{number - 1}]", line.sku, line.quantity, item)
        if item.kind == "charge":
            return Refusal("stock.charge", f"{line.sku!r} is a charge, which has no stock.", "Leave it out.",
                           f"lines[{number - 1}].sku", line.sku)  # fmt: skip
        demands.append(Demand(number, item, line.quantity, f"lines[{number - 1}]"))
    claims, missing = spread(state, stocked(state, demands, location.id), (location.id,))
    if missing:
        return short_refusal(missing)
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


def stocked(state: State, wanted: Sequence[Demand], location: str | None) -> list[Demand]:
    """Return what the lines want of stock: goods, assembled kits, and the parts of phantom kits on lines of their own.

    An assembled kit has stock of its own, like a good; a phantom kit has none, and charges want none.
    Source: behaviour 14.
    """
    demands = [
        Demand(demand.line, demand.item, demand.quantity, demand.where, location)
        for demand in wanted
        if demand.item.kind != "charge" and not demand.item.phantom
    ]
    number = len(wanted)
    for kit in wanted:
        for part in kit.item.components if kit.item.phantom else ():
            item = state.of(Catalogue).item_of(part.item)
            assert item is not None, "the catalogue loads a phantom kit with its parts"
            number += 1
            demands.append(Demand(number, item, kit.quantity * part.quantity, kit.where, location, kit.item))
    return demands


def spread(
    state: State,
    demands: Sequence[Demand],
    locations: Sequence[str],
    channel: str = "",
    *,
    partly: bool = False,
    own: Mapping[Place, Decimal] = _NOTHING,
) -> tuple[tuple[Claim, ...], tuple[Missing, ...]]:
    """Return the claims on the locations, first choice first, and what they do not cover.

    partly: a line that is short takes what there is; otherwise nothing, and leaves it to the lines behind it. own:
    units that the holder has reserved and gives back for these claims.
    Everything from one location where one has it all; else each line from one that has it; else split, most from the
    first. Lines of one item draw on the same balances, in their order. Source: behaviours 1, 2, 7, 13, 16.
    """
    stock = state.of(Stock)
    left: dict[tuple[str, ...], Decimal] = {}

    def free(item: str, location: str) -> Decimal:
        place = (item, location)
        known = left.get(place)
        if known is None:
            units = stock.available(item, location, channel)
            if own:
                units += own.get(place, ZERO)
            known = left[place] = units if units > 0 else ZERO
        return known

    def free_for(demand: Demand, location: str) -> Decimal:
        units = free(demand.item.id, location)
        if demand.kit is None:
            return units
        capped = left.setdefault((demand.kit.id, location, demand.item.id), _capped(stock, demand, location, channel))
        return min(units, capped)

    choice = _one_for_all(demands, locations, free) or locations
    claims: list[Claim] = []
    missing: list[Missing] = []
    for demand in demands:
        may = (demand.location,) if demand.location is not None else choice
        available = [(location, free_for(demand, location)) for location in may]
        wanted = demand.quantity
        whole = next((one for one in available if one[1] >= wanted), None)
        if whole is None and not partly and _sum(available) < wanted:
            missing.append(Missing(demand, wanted, _sum(available)))
            continue
        item, kit = demand.item.id, demand.kit.id if demand.kit is not None else ""
        for location, units in available if whole is None else (whole,):
            taken = min(units, wanted)
            if taken > 0:
                claims.append(Claim(demand.line, item, location, taken, kit=kit))
                left[item, location] -= taken
                if kit:
                    left[kit, location, item] -= taken
                wanted -= taken
            if not wanted:
                break
        if wanted:
            missing.append(Missing(demand, wanted, _sum(available)))
    return tuple(claims), tuple(missing)


def _sum(available: Sequence[tuple[str, Decimal]]) -> Decimal:
    return sum((units for _, units in available), ZERO)


def _capped(stock: Stock, demand: Demand, location: str, channel: str) -> Decimal:
    """Return the units of a kit's part that the channel's cap of the kit leaves; all that are wanted without one."""
    assert demand.kit is not None
    kits = stock.limits.cap((demand.kit.id, location), channel)
    if kits is None:
        return _UNLIMITED
    per = sum((part.quantity for part in demand.kit.components if part.item == demand.item.id), ZERO)
    return max(ZERO, kits * per)


def _one_for_all(
    demands: Sequence[Demand], locations: Sequence[str], free: Callable[[str, str], Decimal]
) -> tuple[str, ...]:
    """Return the first location that covers every line that is not bound to one, or nothing."""
    if len(locations) == 1:
        return ()
    wanted: dict[str, Decimal] = {}
    for demand in demands:
        if demand.location is None:
            wanted[demand.item.id] = wanted.get(demand.item.id, ZERO) + demand.quantity
    for location in locations:
        if all(free(item, location) >= units for item, units in wanted.items()):
            return (location,)
    return ()


def short_refusal(missing: Sequence[Missing]) -> Refusal:
    """Refuse the whole, naming every short line with what is available for it. Source: behaviours 3 and 7."""
    short = tuple(
        RefusalDetail(
            f"{m.demand.where}.quantity",
            plain(m.demand.quantity),
            f"{m.demand.item.sku}: {plain(m.demand.quantity)} asked, {plain(m.available)} available",
        )
        for m in missing
    )
    return Refusal(
        "stock.short",
        "Not enough stock: " + "; ".join(detail.what for detail in short) + ".",
        "Lower the quantities, choose another location, or wait for a receipt.",
        short[0].where,
        short[0].value,
        short,
    )


def unknown_location(code: str) -> Refusal:
    """Return the refusal for a location nobody registered."""
    return Refusal("catalogue.unknown_location", f"There is no location {code!r}.",
                   "Register it first, or correct the code.", "location", code)  # fmt: skip


def bad_line(where: str, sku: str, quantity: Decimal, item: Item | None) -> Refusal:
    """Return the refusal for a line whose item is unknown or whose quantity is not above zero."""
    if item is None:
        return Refusal("catalogue.unknown_item", f"No item answers to {sku!r}.",
                       "Correct it, register the item, or add this spelling as its alias.",
                       f"{where}.sku", sku)  # fmt: skip
    return Refusal("stock.quantity", f"The quantity of {sku!r} is not above zero.", "Ask for at least one unit.",
                   f"{where}.quantity", plain(quantity))  # fmt: skip


def _wants(state: State, command: ReserveStock, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    state.of(Breaches).want_bars()
    for line in command.lines:
        state.of(Catalogue).want_item(line.sku)
        state.of(Stock).want(line.sku, command.location)


def _wants_reservation(state: State, command: ReleaseReservation, policies: Policies) -> None:
    state.of(Stock).want_claims(command.reservation)
    state.of(Catalogue).want_every_location()


def _concerns_reservation(state: State, command: ReleaseReservation) -> Concerns:
    """Return the sites whose stock it holds; of one that ended already, none."""
    held = sorted({claim.location for claim in state.of(Stock).open_claims(command.reservation)})
    return Concerns(tuple(place.code for id_ in held if (place := state.of(Catalogue).place_of(id_)) is not None))


VERBS = (
    Verb(name="stock.reserve", command=ReserveStock, decide=reserve_stock, wants=_wants, concerns=concerns_location),
    Verb(
        name="stock.release_reservation",
        command=ReleaseReservation,
        decide=release_reservation,
        wants=_wants_reservation,
        concerns=_concerns_reservation,
        touches=lambda command: (command.reservation,),
    ),
)
