"""What facts do to stock, the same for all of them: differences, the lots they concern, and promises they break."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.catalogue.state import Catalogue, Item, Location
from trueup.core.errors import Refusal
from trueup.core.quantity import ZERO, plain
from trueup.core.verb import Context, Event, State
from trueup.stock.lot_state import UNIDENTIFIED, Lot, Lots
from trueup.stock.reserve import bad_line
from trueup.stock.state import BUCKETS, Account, Balance, Bucket, Move, Stock


def stocked_item(state: State, sku: str, where: str) -> Item | Refusal:
    """Return the item that answers to a key, or refuse one that nobody registered or that has no stock of its own."""
    item = state.of(Catalogue).item(sku)
    if item is None:
        return bad_line(where, sku, ZERO, item)
    if not item.phantom:
        return item
    parts = [state.of(Catalogue).item_of(part.item) for part in item.components]
    names = ", ".join(part.sku for part in parts if part is not None)
    return Refusal("stock.phantom", f"{item.sku} is a phantom kit and has no stock of its own.",
                   f"Post its components instead: {names}.", f"{where}.sku" if where else "sku", sku)  # fmt: skip


def adjustment(
    item: str,
    location: str,
    change: Decimal,
    there: Decimal,
    *,
    account: Account = "adjustment",
    bucket: Bucket = "on_hand",
    lot: str = "",
) -> list[Move]:
    """Return the movements of a difference; a bucket never falls below zero, the rest is the shortage account's.

    there: what the bucket (of the lot, where one is named) holds. account: where the difference goes, or comes from.
    """
    if change > 0:
        return [Move(item, change, account, None, bucket, location, lot)]
    missing = -change
    taken = min(missing, there)
    moves = [Move(item, taken, bucket, location, account, None, lot)] if taken > 0 else []
    if missing > taken and account != "shortage":
        moves.append(Move(item, missing - taken, "shortage", None, account, None))
    return moves


def by_lot(state: State, item: Item, moves: Sequence[Move]) -> list[Move]:
    """Return the movements with the lots they concern, so that a tracked item's lots still sum to its stock.

    What leaves without a lot leaves the units from before the item was tracked and the unidentified ones first, then
    the lot that expires first; what comes in without one is unidentified. The verb must have asked for the lots of the
    places. An untracked item's movements stay as they are.
    """
    if item.tracking == "none":
        return list(moves)
    left: dict[tuple[str, str], list[tuple[Lot, Decimal]]] = {}
    spread: list[Move] = []
    for move in moves:
        source = move.from_location if move.from_account in BUCKETS else None
        if source is None:
            into = move.to_account in BUCKETS and not move.lot
            spread.append(msgspec.structs.replace(move, lot=UNIDENTIFIED) if into else move)
            continue
        place = (source, move.from_account)
        if place not in left:
            left[place] = _units_by_lot(state, item, *place)
        wanted = move.quantity
        for at, (lot, there) in enumerate(left[place]):
            taken = min(there, wanted) if move.lot in ("", lot.lot) else ZERO
            if taken > 0:
                left[place][at] = (lot, there - taken)
                wanted -= taken
                spread.append(msgspec.structs.replace(move, quantity=taken, lot=lot.lot, expires_on=lot.expires_on))
        if wanted > 0:
            spread.append(msgspec.structs.replace(move, quantity=wanted))
    return spread


def _units_by_lot(state: State, item: Item, location: str, bucket: str) -> list[tuple[Lot, Decimal]]:
    """Return a bucket's units by lot; first, without a name, those from before the item was tracked."""
    lots = state.of(Lots).at(item.id, location)
    units = [(lot, lot.on_hand if bucket == "on_hand" else lot.held_in(bucket)) for lot in lots]
    balance: Decimal = getattr(state.of(Stock).balance(item.id, location), bucket)
    loose = balance - sum((there for _, there in units), ZERO)
    return [(Lot(lot=""), loose), *units]


def broken_promise(item: Item, place: Location, balance: Balance, change: Decimal) -> list[CaseSubject]:
    """Return what to tell where a change of on hand leaves less than was promised, or less than nothing."""
    promised = balance.reserved + balance.allocated
    left = max(balance.on_hand + change, ZERO)
    if change > 0 or (promised <= left and balance.on_hand + change >= 0):
        return []
    detail = f"{item.sku} at {place.code}: {plain(promised)} promised, {plain(left)} left"
    return [CaseSubject("item", item.id, detail)]


def short_case(state: State, context: Context, place: Location, broken: Sequence[CaseSubject]) -> list[Event]:
    """Return the events of the location's one case about promises that stock no longer covers."""
    if not broken:
        return []
    return case_events(
        state,
        context,
        cause=short_cause(place.code),
        kind="stock_short",
        title=f"Stock at {place.code} no longer covers what was promised",
        severity=2,
        owner_role="Fulfilment Lead",
        subjects=broken,
    )


def lot_case(state: State, context: Context, place: Location, doubts: Sequence[CaseSubject]) -> list[Event]:
    """Return the events of the location's one case about lots, serial numbers and dates that are missing or wrong."""
    if not doubts:
        return []
    return case_events(
        state,
        context,
        cause=lot_cause(place.code),
        kind="stock_lot",
        title=f"Lots at {place.code} are unidentified, expired or contradict what is known",
        severity=3,
        owner_role="Fulfilment Lead",
        subjects=doubts,
    )


def unidentified(item: Item, place: Location, moves: Sequence[Move]) -> list[CaseSubject]:
    """Return what to tell where units came in that nobody identified."""
    units = sum((m.quantity for m in moves if m.lot == UNIDENTIFIED and m.to_account == "on_hand"), ZERO)
    if not units:
        return []
    detail = f"{item.sku} at {place.code}: {plain(units)} came in without a {item.tracking} number"
    return [CaseSubject("item", item.id, detail)]


def short_cause(code: str) -> str:
    """Return the cause of the case about a location's broken promises."""
    return f"stock:short:{code}"


def lot_cause(code: str) -> str:
    """Return the cause of the case about a location's lots."""
    return f"stock:lot:{code}"


def want_cases(state: State, code: str) -> None:
    """Ask for the cases that a fact about a location's stock may open."""
    state.of(Cases).want_cause(short_cause(code))
    state.of(Cases).want_cause(lot_cause(code))
