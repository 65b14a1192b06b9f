"""Post what happened to goods: received, adjusted; no fact is refused for its size."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from trueup.cases.state import CaseSubject
from trueup.catalogue.state import Catalogue, Item, Location
from trueup.catalogue.units import to_base
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import (
    Accepted,
    Body,
    Command,
    Context,
    Decision,
    Event,
    Movement,
    State,
    Verb,
    Worth,
)
from trueup.stock.facts import (
    adjustment,
    broken_promise,
    by_lot,
    lot_case,
    short_case,
    stocked_item,
    unidentified,
    want_cases,
)
from trueup.stock.lot_state import UNIDENTIFIED, Lots
from trueup.stock.reasons import alone, reason_for
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Bucket, Move, SafetyStockSet, Stock, StockMoved
from trueup.stock.supply import receive_against
from trueup.stock.supply_state import Supply

Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
LotName = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^[^\s?](.*\S)?$")]
StockStatus = Literal["available", "damaged", "quality", "quarantined"]
BUCKET_OF: dict[str, Bucket] = {
    "available": "on_hand", "damaged": "damaged", "quality": "quality", "quarantined": "quarantined"
}  # fmt: skip


class ReceivedLot(Body, frozen=True, forbid_unknown_fields=True):
    """Units of one lot, or one unit by its serial number. quantity: in the line's unit. expires_on: last good day."""

    lot: LotName
    quantity: Quantity = msgspec.field(default_factory=lambda: Quantity(1))
    expires_on: date | None = None


class ReceivedLine(Body, frozen=True, forbid_unknown_fields=True):
    """What came in: any key of the item, and units above zero, in `unit` (base units, `each`, without one).

    status: the bucket it goes to. lots: of an item that is tracked; what they do not name is unidentified.
    """

    sku: str
    quantity: Quantity
    unit: str | None = None
    status: StockStatus = "available"
    lots: Annotated[tuple[ReceivedLot, ...], msgspec.Meta(max_length=1000)] = ()


class ReceiveStock(Command, frozen=True, kw_only=True):
    """Report goods received from a supplier. reference: the delivery note."""

    location: str
    lines: Annotated[tuple[ReceivedLine, ...], msgspec.Meta(min_length=1, max_length=1000)]
    reference: Reference


class AdjustStock(Command, frozen=True, kw_only=True):
    """Report that stock differs from the book by `change` units, up or down.

    reason: a code of the policy `adjustment_reasons`. status: the bucket. lot: of an item that is tracked.
    """

    location: str
    sku: str
    change: Quantity
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    reference: Reference
    status: StockStatus = "available"
    lot: LotName | None = None


class SetSafetyStock(Command, frozen=True, kw_only=True):
    """Keep so many units of an item at a location out of every promise."""

    location: str
    sku: str
    quantity: Quantity


def receive_stock(state: State, command: ReceiveStock, context: Context) -> Decision:
    """Post the receipt from the supplier's account to the buckets the lines name.

    A tracked item's units without lot, a serial number that is somewhere already, a lot without its date or with
    another one than is known: they post, and are a case. What was expected under the same reference has come.

    Refuses names that nobody registered, a phantom kit, a unit the item does not have, and lots beyond their line.
    Source: behaviours 14 and 37.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    moves: list[Move] = []
    doubts: list[CaseSubject] = []
    for number, line in enumerate(command.lines):
        posted = _received(state, place, line, f"lines[{number}]", moves)
        if isinstance(posted, Refusal):
            return posted
        doubts += posted
    events: list[Event] = [
        StockMoved(reference=command.reference, reason="received", moves=tuple(moves), at=context.now)
    ]
    usable: dict[str, Decimal] = {}
    for move in moves:
        if move.to_account == "on_hand":
            usable[move.item] = usable.get(move.item, ZERO) + move.quantity
    for item, units in usable.items():
        events += receive_against(state, item, place.id, units, command.reference, context.now)
    result = {"reference": command.reference, "lines": len(command.lines)}
    return Accepted([*events, *lot_case(state, context, place, doubts)], command.reference, result)


def adjust_stock(state: State, command: AdjustStock, context: Context) -> Decision:
    """Post the difference. What is missing beyond the bucket goes to the shortage account; broken promises are a case.

    Refuses names that nobody registered, a phantom kit, a reason the policy does not know or that needs somebody else
    for so much, a lot of an item that has none, and a change of nothing. Source: rule 6, behaviours 5 and 37.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    item = stocked_item(state, command.sku, "")
    if isinstance(item, Refusal):
        return item
    if command.change == 0:
        return bad_line("change", command.sku, command.change, item)
    reason = reason_for(context.policies, command.reason)
    if isinstance(reason, Refusal):
        return reason
    if command.lot is not None and item.tracking == "none":
        return not_tracked(item, "lot", command.lot)
    bucket, lot = BUCKET_OF[command.status], command.lot or ""
    balance = state.of(Stock).balance(item.id, place.id)
    there = balance.of(bucket)
    if lot:
        known = state.of(Lots).lot(item.id, place.id, lot)
        there = known.on_hand if bucket == "on_hand" else known.held_in(bucket)
    moves = by_lot(
        state, item,
        adjustment(item.id, place.id, command.change, there, account=reason.account, bucket=bucket, lot=lot),
    )  # fmt: skip
    events: list[Event] = [
        StockMoved(reference=command.reference, reason=command.reason, moves=tuple(moves), at=context.now)
    ]
    if bucket == "on_hand":
        change = max(command.change, -there) if lot else command.change
        events += short_case(state, context, place, broken_promise(item, place, balance, change))
    events += lot_case(state, context, place, unidentified(item, place, moves))
    left = max(balance.of(bucket) + max(command.change, -there), ZERO)
    name = "on_hand" if bucket == "on_hand" else bucket
    return Accepted(events, command.reference, {"reference": command.reference, name: plain(left)})


def set_safety_stock(state: State, command: SetSafetyStock, context: Context) -> Decision:
    """Set the safety stock; claims that stand already are kept. Refuses unknown names and negative numbers."""
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    item = state.of(Catalogue).item(command.sku)
    if item is None or command.quantity < 0:
        return bad_line("quantity", command.sku, command.quantity, item)
    event = SafetyStockSet(item=item.id, location=place.id, quantity=command.quantity, at=context.now)
    return Accepted([event], item.id, {"item": item.id, "safety": plain(command.quantity)})


def not_tracked(item: Item, where: str, value: str) -> Refusal:
    """Return the refusal of a lot that an item does not have."""
    return Refusal("stock.not_tracked", f"{item.sku} is not kept by lot or serial number.",
                   "Leave the lot out, or register the item with tracking.", where, value)  # fmt: skip


def _received(
    state: State, place: Location, line: ReceivedLine, where: str, moves: list[Move]
) -> list[CaseSubject] | Refusal:
    """Add a line's movements to those of the lines before it; return what is doubtful about its lots."""
    item = stocked_item(state, line.sku, where)
    if isinstance(item, Refusal):
        return item
    if line.quantity <= 0:
        return bad_line(where, line.sku, line.quantity, item)
    units = _units(item, line.quantity, line.unit, where)
    if isinstance(units, Refusal):
        return units
    if line.lots and item.tracking == "none":
        return not_tracked(item, f"{where}.lots", line.lots[0].lot)
    bucket = BUCKET_OF[line.status]
    left, doubts = units, []
    for number, lot in enumerate(line.lots):
        of_lot = _units(item, lot.quantity, line.unit, f"{where}.lots[{number}]")
        if isinstance(of_lot, Refusal):
            return of_lot
        if of_lot <= 0 or of_lot > left or (item.tracking == "serial" and of_lot != 1):
            return Refusal("stock.lots", f"{plain(of_lot)} units of {lot.lot!r} do not fit a line of {plain(units)}.",
                           "Lots have units above zero and no more than their line; a serial number is one unit.",
                           f"{where}.lots[{number}].quantity", plain(of_lot))  # fmt: skip
        left -= of_lot
        name, doubt = _named(state, place, item, lot, moves)
        doubts += [CaseSubject("lot", f"{item.id}/{lot.lot}", f"{item.sku} {lot.lot} at {place.code}: {doubt}")] * (
            doubt != ""
        )
        moves.append(Move(item.id, of_lot, "supplier", None, bucket, place.id, name, lot.expires_on))
    if left and item.tracking != "none":
        rest = Move(item.id, left, "supplier", None, bucket, place.id, UNIDENTIFIED)
        doubts += unidentified(item, place, [rest])
        moves.append(rest)
    elif left:
        moves.append(Move(item.id, left, "supplier", None, bucket, place.id))
    return doubts


def _named(state: State, place: Location, item: Item, lot: ReceivedLot, moves: list[Move]) -> tuple[str, str]:
    """Return the lot that units are posted to, and what is doubtful about it."""
    if item.tracking == "serial":
        taken = any(move.item == item.id and move.lot == lot.lot for move in moves)
        if taken or state.of(Lots).place_of_serial(item.id, lot.lot) is not None:
            return UNIDENTIFIED, "this serial number is in stock already; the unit is unidentified"
    known = state.of(Lots).lot(item.id, place.id, lot.lot).expires_on
    if item.expires and lot.expires_on is None and known is None:
        return lot.lot, "no expiry date was given"
    if known is not None and lot.expires_on not in (None, known):
        return lot.lot, f"expires on {lot.expires_on} or {known}; the earlier date holds"
    return lot.lot, ""


def _units(item: Item, quantity: Decimal, unit: str | None, where: str) -> Decimal | Refusal:
    units = to_base(item, quantity, unit)
    if isinstance(units, Refusal):
        return msgspec.structs.replace(units, where=f"{where}.{units.where}")
    return units


def _wants_line(state: State, location: str, sku: str) -> None:
    state.of(Catalogue).want_location(location)
    state.of(Catalogue).want_item(sku)
    state.of(Stock).want(sku, location)


def _wants_received(state: State, command: ReceiveStock, policies: Policies) -> None:
    want_cases(state, command.location)
    for line in command.lines:
        _wants_line(state, command.location, line.sku)
        state.of(Lots).want(line.sku, command.location)
        state.of(Supply).want_arrival(command.reference, line.sku, command.location)
        for lot in line.lots:
            state.of(Lots).want_serial(line.sku, lot.lot)


def _wants_adjusted(state: State, command: AdjustStock, policies: Policies) -> None:
    _wants_line(state, command.location, command.sku)
    state.of(Lots).want(command.sku, command.location)
    want_cases(state, command.location)


VERBS = (
    Verb(
        name="stock.receive",
        command=ReceiveStock,
        decide=receive_stock,
        wants=_wants_received,
        moves=lambda state, command: (
            Movement(command.location, tuple(line.sku for line in command.lines), "receive"),
        ),
    ),
    Verb(
        name="stock.adjust",
        command=AdjustStock,
        decide=adjust_stock,
        wants=_wants_adjusted,
        moves=lambda state, command: (Movement(command.location, (command.sku,), "adjust", fact=False),),
        worth=lambda state, command, events: (Worth(abs(command.change), "units"),),
        bound=lambda command, policies: alone(policies, command.reason),
    ),
    Verb(
        name="stock.set_safety",
        command=SetSafetyStock,
        decide=set_safety_stock,
        wants=lambda state, command, policies: _wants_line(state, command.location, command.sku),
    ),
)
