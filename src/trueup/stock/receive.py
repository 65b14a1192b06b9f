"""Post what happened to goods: received, adjusted, counted; no fact is refused for its size."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.catalogue.state import Catalogue, Item, Location
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Event, State, Verb
from trueup.stock.count import CountStock
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Balance, Move, SafetyStockSet, Stock, StockMoved

Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ReceivedLine(Body, frozen=True, forbid_unknown_fields=True):
    """What came in: any key of the item, and units above zero."""

    sku: str
    quantity: Quantity


class ReceiveStock(Command, frozen=True, kw_only=True):
    """Report goods received from a supplier. reference: the delivery note."""

    location: str
    lines: Annotated[tuple[ReceivedLine, ...], msgspec.Meta(min_length=1, max_length=1000)]
    reference: Reference


class AdjustStock(Command, frozen=True, kw_only=True):
    """Report that stock differs from the book by `change` units, up or down, and why."""

    location: str
    sku: str
    change: Quantity
    reason: Reason
    reference: Reference


class SetSafetyStock(Command, frozen=True, kw_only=True):
    """Keep so many units of an item at a location out of every promise."""

    location: str
    sku: str
    quantity: Quantity


def receive_stock(state: State, command: ReceiveStock, context: Context) -> Decision:
    """Post the receipt from the supplier's account to on hand. Refuses names that nobody registered."""
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    moves = []
    for number, line in enumerate(command.lines):
        item = state.of(Catalogue).item(line.sku)
        if item is None or line.quantity <= 0:
            return bad_line(f"lines[{number}]", line.sku, line.quantity, item)
        moves.append(Move(item.id, line.quantity, "supplier", None, "on_hand", place.id))
    event = StockMoved(reference=command.reference, reason="received", moves=tuple(moves), at=context.now)
    return Accepted([event], command.reference, {"reference": command.reference, "lines": len(moves)})


def adjust_stock(state: State, command: AdjustStock, context: Context) -> Decision:
    """Post the difference. What is missing beyond on hand goes to the shortage account; broken promises are a case.

    Refuses names that nobody registered, and a change of nothing. Source: rule 6, behaviours 5 and 37.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    item = state.of(Catalogue).item(command.sku)
    if item is None or command.change == 0:
        return bad_line("change", command.sku, command.change, item)
    balance = state.of(Stock).balance(item.id, place.id)
    moves = adjustment(item.id, place.id, command.change, balance.on_hand)
    events: list[Event] = [
        StockMoved(reference=command.reference, reason=command.reason, moves=tuple(moves), at=context.now)
    ]
    events += _short_case(state, context, place, _broken_promise(item, place, balance, command.change))
    on_hand = max(balance.on_hand + command.change, ZERO)
    return Accepted(events, command.reference, {"reference": command.reference, "on_hand": plain(on_hand)})


def count_stock(state: State, command: CountStock, context: Context) -> Decision:
    """Make the book say what was counted, by one adjustment per line that differs.

    Refuses unknown names, negative counts and an item counted twice; promises that the count broke are a case.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    moves: list[Move] = []
    broken: list[CaseSubject] = []
    seen: set[str] = set()
    for number, line in enumerate(command.lines):
        item = state.of(Catalogue).item(line.sku)
        if item is None or line.counted < 0:
            return bad_line(f"lines[{number}]", line.sku, line.counted, item)
        if item.id in seen:
            return Refusal("stock.counted_twice", f"{line.sku!r} stands twice in this count.",
                           "Send one line per item.", f"lines[{number}].sku", line.sku)  # fmt: skip
        seen.add(item.id)
        balance = state.of(Stock).balance(item.id, place.id)
        change = line.counted - balance.on_hand
        if change:
            moves += adjustment(item.id, place.id, change, balance.on_hand)
            broken += _broken_promise(item, place, balance, change)
    result = {"reference": command.reference, "lines": len(command.lines), "changed": len(moves)}
    if not moves:
        return Accepted((), command.reference, result, "merged")
    moved = StockMoved(reference=command.reference, reason=command.reason, moves=tuple(moves), at=context.now)
    return Accepted([moved, *_short_case(state, context, place, broken)], command.reference, result)


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


def adjustment(item: str, location: str, change: Decimal, on_hand: Decimal) -> list[Move]:
    """Return the movements of a difference; on hand never falls below zero, the rest is the shortage account's."""
    if change > 0:
        return [Move(item, change, "adjustment", None, "on_hand", location)]
    missing = -change
    there = min(missing, on_hand)
    moves = [Move(item, there, "on_hand", location, "adjustment", None)] if there else []
    if missing > there:
        moves.append(Move(item, missing - there, "shortage", None, "adjustment", None))
    return moves


def _broken_promise(item: Item, place: Location, balance: Balance, change: Decimal) -> list[CaseSubject]:
    promised = balance.reserved + balance.allocated
    left = max(balance.on_hand + change, ZERO)
    if change > 0 or (promised <= left and balance.on_hand + change >= 0):
        return []
    detail = f"{item.sku} at {place.code}: {plain(promised)} promised, {plain(left)} left"
    return [CaseSubject("item", item.id, detail)]


def _short_case(state: State, context: Context, place: Location, broken: list[CaseSubject]) -> list[Event]:
    """Return the events of the location's one case about promises that stock no longer covers."""
    if not broken:
        return []
    return case_events(
        state,
        context,
        cause=_cause(place.code),
        kind="stock_short",
        title=f"Stock at {place.code} no longer covers what was promised",
        severity=2,
        owner_role="Fulfilment Lead",
        subjects=broken,
    )


def _cause(code: str) -> str:
    return f"stock:short:{code}"


def _wants_line(state: State, location: str, sku: str) -> None:
    state.of(Catalogue).want_location(location)
    state.of(Catalogue).want_item(sku)
    state.of(Stock).want(sku, location)


def _wants_lines(state: State, command: ReceiveStock | CountStock, policies: Policies) -> None:
    for line in command.lines:
        _wants_line(state, command.location, line.sku)
    if isinstance(command, CountStock):
        state.of(Cases).want_cause(_cause(command.location))


def _wants_adjusted(state: State, command: AdjustStock, policies: Policies) -> None:
    _wants_line(state, command.location, command.sku)
    if command.change < 0:
        state.of(Cases).want_cause(_cause(command.location))


VERBS = (
    Verb(name="stock.receive", command=ReceiveStock, decide=receive_stock, wants=_wants_lines),
    Verb(name="stock.adjust", command=AdjustStock, decide=adjust_stock, wants=_wants_adjusted),
    Verb(name="stock.count", command=CountStock, decide=count_stock, wants=_wants_lines),
    Verb(
        name="stock.set_safety",
        command=SetSafetyStock,
        decide=set_safety_stock,
        wants=lambda state, command, policies: _wants_line(state, command.location, command.sku),
    ),
)
