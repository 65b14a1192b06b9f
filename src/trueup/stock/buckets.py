"""Change the status of goods: available, damaged, quality control, quarantined. Only what is available is promised."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from trueup.cases.state import CaseSubject
from trueup.catalogue.state import Catalogue, Item, Location
from trueup.catalogue.units import to_base
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Command, Context, Decision, Event, Movement, State, Verb, concerns_location
from trueup.stock.facts import by_lot, lot_case, short_case, stocked_item, unidentified, want_cases
from trueup.stock.lot_state import Lots
from trueup.stock.receive import BUCKET_OF, LotName, Reference, StockStatus, not_tracked
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Balance, Bucket, Move, Stock, StockMoved

Gone = Literal["damaged", "quality", "quarantined", "not_found"]


class RestateStock(Command, frozen=True, kw_only=True):
    """Change the status of units of an item at a location. quantity: above zero, in `unit` (base units without one).

    reported: somebody found them so, whatever the book and the promises say; otherwise it is asked for, and may be
    refused. lot: of an item that is tracked.
    """

    location: str
    sku: str
    quantity: Quantity
    from_status: StockStatus
    to_status: StockStatus
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    reference: Reference
    unit: str | None = None
    lot: LotName | None = None
    reported: bool = False


def restate_stock(state: State, command: RestateStock, context: Context) -> Decision:
    """Move units from one bucket to another.

    A request is refused where the bucket has less, or where on hand would no longer cover what is promised, naming
    both. A report posts: what the bucket does not have comes from the shortage account, promises it breaks are owed
    and a case. Refuses unknown names, a phantom kit, and a change of nothing. Source: rule 6, behaviours 5 and 37.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    item = stocked_item(state, command.sku, "")
    if isinstance(item, Refusal):
        return item
    units = to_base(item, command.quantity, command.unit)
    if isinstance(units, Refusal):
        return units
    if units <= 0 or command.from_status == command.to_status:
        return bad_line("quantity", command.sku, ZERO, item)
    if command.lot is not None and item.tracking == "none":
        return not_tracked(item, "lot", command.lot)
    source, target = BUCKET_OF[command.from_status], BUCKET_OF[command.to_status]
    balance = state.of(Stock).balance(item.id, place.id)
    there = _there(state, item, place, balance, source, command.lot)
    if not command.reported:
        refusal = _refusal(item, place, balance, source, units, there)
        if refusal is not None:
            return refusal
    taken = min(units, there)
    lot = command.lot or ""
    moves = [Move(item.id, taken, source, place.id, target, place.id, lot)] if taken > 0 else []
    if units > taken:
        moves.append(Move(item.id, units - taken, "shortage", None, target, place.id, lot))
    moves = by_lot(state, item, moves)
    events: list[Event] = [
        StockMoved(reference=command.reference, reason=command.reason, moves=tuple(moves), at=context.now)
    ]
    broken = _broken(item, place, balance, taken, units) if source == "on_hand" else []
    events += short_case(state, context, place, broken)
    events += lot_case(state, context, place, unidentified(item, place, moves))
    return Accepted(events, command.reference, {"reference": command.reference, "units": plain(units)})


def bucket_move(
    state: State,
    context: Context,
    item: Item,
    place: Location,
    quantity: Decimal,
    to: Gone,
    reference: str,
    lot: str = "",
    released: Decimal = ZERO,
) -> list[Event]:
    """Return the events of units that a location says it cannot ship: they leave on hand for where they are.

    to: a bucket, or `not_found`, which books them out as a difference. More than is on hand comes from the shortage
    account. released: claimed units that the same decision gives back; promises that remain uncovered are a case.
    Wants: the balance, `Lots.want`, and `facts.want_cases`. Source: behaviour 21.
    """
    balance = state.of(Stock).balance(item.id, place.id)
    taken = min(quantity, _there(state, item, place, balance, "on_hand", lot or None))
    account = "adjustment" if to == "not_found" else to
    target = None if to == "not_found" else place.id
    moves = [Move(item.id, taken, "on_hand", place.id, account, target, lot)] if taken > 0 else []
    if quantity > taken:
        moves.append(Move(item.id, quantity - taken, "shortage", None, account, target, lot if target else ""))
    moves = by_lot(state, item, moves)
    moved = StockMoved(reference=reference, reason=f"rejected: {to}", moves=tuple(moves), at=context.now)
    broken = _broken(item, place, balance, taken, quantity, released)
    return [moved, *short_case(state, context, place, broken)]


def _there(state: State, item: Item, place: Location, balance: Balance, bucket: Bucket, lot: str | None) -> Decimal:
    if lot is None:
        return balance.of(bucket)
    known = state.of(Lots).lot(item.id, place.id, lot)
    return known.on_hand if bucket == "on_hand" else known.held_in(bucket)


def _refusal(
    item: Item, place: Location, balance: Balance, bucket: Bucket, units: Decimal, there: Decimal
) -> Refusal | None:
    promised = balance.reserved + balance.allocated
    if bucket == "on_hand" and there >= units and balance.on_hand - units < promised:
        return Refusal("stock.promised",
                       f"{item.sku} at {place.code}: {plain(balance.on_hand)} on hand, {plain(promised)} of them "
                       f"promised ({plain(balance.reserved)} reserved, {plain(balance.allocated)} allocated).",
                       "Move fewer units, or report what was found; then what is owed is re-sourced.",
                       "quantity", plain(units))  # fmt: skip
    if there < units:
        return Refusal("stock.short", f"{item.sku} at {place.code}: {plain(units)} asked, {plain(there)} are there.",
                       "Lower the quantity, or report what was found.", "quantity", plain(units))  # fmt: skip
    return None


def _broken(
    item: Item, place: Location, balance: Balance, taken: Decimal, units: Decimal, released: Decimal = ZERO
) -> Sequence[CaseSubject]:
    promised = balance.reserved + balance.allocated - released
    left = balance.on_hand - taken
    if promised <= left and units == taken:
        return ()
    return (
        CaseSubject("item", item.id, f"{item.sku} at {place.code}: {plain(promised)} promised, {plain(left)} left"),
    )


def _wants(state: State, command: RestateStock, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    state.of(Catalogue).want_item(command.sku)
    state.of(Stock).want(command.sku, command.location)
    state.of(Lots).want(command.sku, command.location)
    want_cases(state, command.location)


VERBS = (
    Verb(
        name="stock.restate",
        command=RestateStock,
        decide=restate_stock,
        wants=_wants,
        concerns=concerns_location,
        moves=lambda state, command: (Movement(command.location, (command.sku,), "restate", fact=command.reported),),
    ),
)
