"""Count stock: what somebody found on the shelf replaces what the book said at that time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from trueup.cases.state import CaseSubject
from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Movement, State, Verb, concerns_location
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
from trueup.stock.ledger import Ledger
from trueup.stock.lot_state import Lots
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Move, Stock, StockMoved


class CountedLine(Body, frozen=True, forbid_unknown_fields=True):
    """What was counted of one item. sku: any key the item answers to. counted: units, zero or more."""

    sku: str
    counted: Quantity


class CountStock(Command, frozen=True, kw_only=True):
    """Report a count at one location. reference: the count's document. counted_at: when, with a zone.

    Goods that moved after counted_at are applied on top of what was counted.
    """

    location: str
    lines: Annotated[tuple[CountedLine, ...], msgspec.Meta(min_length=1, max_length=1000)]
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    counted_at: datetime
    reason: str = "count"


def count_stock(state: State, command: CountStock, context: Context) -> Decision:
    """Make the book say what was counted, by one adjustment per line that differs from the book as of the count.

    Movements after the count are netted: they stay on top. A time that is yet to come (a clock runs ahead) is now.
    Refuses unknown names, a phantom kit, negative counts, an item counted twice, and a time without a zone; promises
    that the count broke are a case.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    zoneless = without_zone(command.counted_at, "counted_at")
    if zoneless is not None:
        return zoneless
    moves: list[Move] = []
    broken: list[CaseSubject] = []
    doubts: list[CaseSubject] = []
    seen: set[str] = set()
    for number, line in enumerate(command.lines):
        item = stocked_item(state, line.sku, f"lines[{number}]")
        if isinstance(item, Refusal):
            return item
        if line.counted < 0:
            return bad_line(f"lines[{number}]", line.sku, line.counted, item)
        if item.id in seen:
            return Refusal("stock.counted_twice", f"{line.sku!r} stands twice in this count.",
                           "Send one line per item.", f"lines[{number}].sku", line.sku)  # fmt: skip
        seen.add(item.id)
        balance = state.of(Stock).balance(item.id, place.id)
        book = balance.on_hand - state.of(Ledger).since(item.id, place.id, command.counted_at)
        change = line.counted - book
        if change:
            posted = by_lot(state, item, adjustment(item.id, place.id, change, balance.on_hand))
            moves += posted
            broken += broken_promise(item, place, balance, change)
            doubts += unidentified(item, place, posted)
    changed = len({move.item for move in moves})
    result = {"reference": command.reference, "lines": len(command.lines), "changed": changed}
    if not moves:
        return Accepted((), command.reference, result, "merged")
    moved = StockMoved(
        reference=command.reference,
        reason=command.reason,
        moves=tuple(moves),
        at=context.now,
        effective_at=command.counted_at if command.counted_at < context.now else None,
    )
    cases = [*short_case(state, context, place, broken), *lot_case(state, context, place, doubts)]
    return Accepted([moved, *cases], command.reference, result)


def without_zone(counted_at: datetime, where: str) -> Refusal | None:
    """Refuse a time of counting that has no zone."""
    if counted_at.tzinfo is not None:
        return None
    return Refusal("stock.time_without_zone", f"The time {counted_at} has no zone.",
                   "State the offset, as in 2026-03-01T10:00Z.", where, str(counted_at))  # fmt: skip


def _wants(state: State, command: CountStock, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    want_cases(state, command.location)
    for line in command.lines:
        state.of(Catalogue).want_item(line.sku)
        state.of(Stock).want(line.sku, command.location)
        state.of(Lots).want(line.sku, command.location)
        if command.counted_at.tzinfo is not None:
            state.of(Ledger).want(line.sku, command.location, command.counted_at)


VERBS = (
    Verb(
        name="stock.count",
        command=CountStock,
        decide=count_stock,
        wants=_wants,
        concerns=concerns_location,
        moves=lambda state, command: (Movement(command.location, tuple(line.sku for line in command.lines), "count"),),
    ),
)
