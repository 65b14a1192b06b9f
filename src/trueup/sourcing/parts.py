"""Move, split and merge fulfilment orders by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.catalogue.quarantine import barred_refusal, closed
from trueup.catalogue.state import Catalogue, Location
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Concerns, Context, Decision, Event, State, Verb
from trueup.orders.fulfilment_orders import (
    FulfilmentOrdered,
    FulfilmentOrders,
    FulfilmentReduced,
    Part,
    PartChange,
    PartLine,
    PartRow,
)
from trueup.orders.state import OrderRow
from trueup.sourcing.allocate import Note, decision_by_hand, no_line, order_row, taken, want_lines_at
from trueup.sourcing.assign import parts_of, then_wants_order, wants_order
from trueup.sourcing.ready import kept_back
from trueup.sourcing.route import Share
from trueup.sourcing.state import OrderSourced
from trueup.stock.reserve import unknown_location
from trueup.stock.state import Claim, Stock, StockAllocated


class PartUnits(Body, frozen=True, forbid_unknown_fields=True):
    """Units of one line of a fulfilment order; None is all it still owes."""

    line: int
    quantity: Quantity | None = None


class MovePart(Command, frozen=True, kw_only=True):
    """Let another location (code) fulfil what a fulfilment order still owes, or some lines of it."""

    order: str
    fulfilment_order: str
    location: str
    lines: tuple[PartUnits, ...] = ()
    reason: Note = "by hand"
    version: int | None = None


class SplitPart(Command, frozen=True, kw_only=True):
    """Make a second fulfilment order of some of a first one's units, at the same location."""

    order: str
    fulfilment_order: str
    lines: Annotated[tuple[PartUnits, ...], msgspec.Meta(min_length=1)]
    version: int | None = None


class MergeParts(Command, frozen=True, kw_only=True):
    """Let one fulfilment order take over what another of the same order at the same location still owes."""

    order: str
    fulfilment_order: str
    into: str
    version: int | None = None


def move_part(state: State, command: MovePart, context: Context) -> Decision:
    """Move the units: allocated there, withdrawn here.

    Refuses what is not available at the other location, by line, and what a containment keeps
    from allocation, or from that location.
    """
    found = part_of(state, command.order, command.fulfilment_order, command.version)
    if isinstance(found, Refusal):
        return found
    row, part = found
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    chosen = chosen_units(part, command.lines)
    if isinstance(chosen, Refusal):
        return chosen
    if place.id == part.location:
        return Refusal("sourcing.same_location", f"It is at {place.code} already.", "Name another location.",
                       "location", command.location)  # fmt: skip
    kept = kept_back(state, row, [c.line for c in chosen], context)
    if kept:
        return barred_refusal(next(iter(kept.values())), "fulfilment_order")
    full = closed(state, [place.id], context)
    if full:
        return barred_refusal(full[place.id], "location")
    short = _short_there(state, row, chosen, place)
    if short:
        return Refusal("sourcing.short", f"{place.code} does not have it: " + "; ".join(d.what for d in short) + ".",
                       "Move less, or choose another location.", short[0].where, short[0].value, short)  # fmt: skip
    shares = [Share(c.line, part.lines[c.line].item, place.id, c.quantity) for c in chosen]
    replaces = [claim for c in chosen for claim in taken(state, command.order, c.line, part.location, c.quantity)]
    decision = decision_by_hand(state, row, shares, context, command.reason, ())
    parts = parts_of(shares, context, decision.id)
    claims = tuple(Claim(s.line, s.item, s.location, s.quantity, "allocation") for s in shares)
    events: list[Event] = [
        OrderSourced(order=command.order, decision=decision, at=context.now),
        StockAllocated(holder=command.order, claims=claims, at=context.now, replaces=tuple(replaces)),
        FulfilmentReduced(order=command.order, changes=tuple(chosen), why="moved", at=context.now),
        FulfilmentOrdered(order=command.order, parts=parts, at=context.now),
    ]
    return Accepted(events, command.order, {"order": command.order, "fulfilment_order": parts[0].id})


def split_part(state: State, command: SplitPart, context: Context) -> Decision:
    """Split the units off. Refuses splitting all that the part still owes, and more than that."""
    found = part_of(state, command.order, command.fulfilment_order, command.version)
    if isinstance(found, Refusal):
        return found
    _, part = found
    chosen = chosen_units(part, command.lines)
    if isinstance(chosen, Refusal):
        return chosen
    if sum((c.quantity for c in chosen), ZERO) >= sum((line.open for line in part.lines.values()), ZERO):
        return Refusal("sourcing.nothing_left", "Nothing would be left of the first part.", "Split off less.", "lines")
    return _reshaped(command.order, part, chosen, context)


def merge_parts(state: State, command: MergeParts, context: Context) -> Decision:
    """Merge two parts into a new one. Refuses parts of other orders or at other locations, and a part with itself."""
    found = part_of(state, command.order, command.fulfilment_order, command.version)
    other = part_of(state, command.order, command.into, command.version)
    if isinstance(found, Refusal):
        return found
    if isinstance(other, Refusal):
        return other
    first, second = found[1], other[1]
    if first.id == second.id or first.location != second.location:
        return Refusal("sourcing.cannot_merge", "Only two parts at one location can be merged.",
                       "Move one of them to the other's location first.", "into", command.into)  # fmt: skip
    chosen = [c for part in (first, second) for c in _all_open(part)]
    if not chosen:
        return owes_nothing(command.fulfilment_order)
    lines: dict[int, PartLine] = {}
    for c in chosen:
        line = (first if c.fulfilment_order == first.id else second).lines[c.line]
        before = lines[c.line].quantity if c.line in lines else ZERO
        lines[c.line] = PartLine(c.line, line.item, before + c.quantity)
    part = Part(context.new_id("ful"), first.location, tuple(lines[n] for n in sorted(lines)), second.decision)
    return _as_events(command.order, chosen, part, context)


def _reshaped(order: str, part: PartRow, chosen: Sequence[PartChange], context: Context) -> Decision:
    lines = tuple(PartLine(c.line, part.lines[c.line].item, c.quantity) for c in chosen)
    return _as_events(order, chosen, Part(context.new_id("ful"), part.location, lines, part.decision), context)


def _as_events(order: str, gone: Sequence[PartChange], part: Part, context: Context) -> Accepted:
    events = [
        FulfilmentReduced(order=order, changes=tuple(gone), why="moved", at=context.now),
        FulfilmentOrdered(order=order, parts=(part,), at=context.now),
    ]
    return Accepted(events, order, {"order": order, "fulfilment_order": part.id})


def chosen_units(part: PartRow, lines: Sequence[PartUnits]) -> list[PartChange] | Refusal:
    """Return the units that a command names of a part, all it owes where it names none. Refuses more than that."""
    if not lines:
        return _all_open(part) or owes_nothing(part.id)
    chosen: list[PartChange] = []
    for at, wanted in enumerate(lines):
        line = part.lines.get(wanted.line)
        if line is None or wanted.line in {c.line for c in chosen}:
            return no_line(wanted.line, f"lines[{at}].line")
        quantity = line.open if wanted.quantity is None else wanted.quantity
        if not 0 < quantity <= line.open:
            return Refusal("sourcing.too_many", f"The part owes {plain(line.open)} units of line {line.line}.",
                           "Name at most these.", f"lines[{at}].quantity", plain(quantity))  # fmt: skip
        chosen.append(PartChange(part.id, wanted.line, quantity))
    return chosen


def _all_open(part: PartRow) -> list[PartChange]:
    return [PartChange(part.id, line.line, line.open) for line in part.lines.values() if line.open > 0]


def _short_there(
    state: State, row: OrderRow, chosen: Sequence[PartChange], place: Location
) -> tuple[RefusalDetail, ...]:
    left: dict[str, Decimal] = {}
    short = []
    for change in chosen:
        line = row.line(change.line)
        assert line is not None
        assert line.item is not None
        if line.item not in left:
            left[line.item] = state.of(Stock).available(line.item, place.id, row.captured.channel)
        if left[line.item] < change.quantity:
            what = f"{line.sku}: {plain(change.quantity)} asked, {plain(max(ZERO, left[line.item]))} available"
            short.append(RefusalDetail(f"line {change.line}", plain(change.quantity), what))
        left[line.item] -= change.quantity
    return tuple(short)


def part_of(state: State, order: str, part: str, version: int | None) -> tuple[OrderRow, PartRow] | Refusal:
    """Return an order of ours with one of its fulfilment orders, or why not."""
    row = order_row(state, order, version)
    if isinstance(row, Refusal):
        return row
    found = next((p for p in state.of(FulfilmentOrders).of_order(order) if p.id == part), None)
    if found is None:
        return Refusal("sourcing.unknown_part", f"The order has no fulfilment order {part!r}.",
                       "Name one of its fulfilment orders.", "fulfilment_order", part)  # fmt: skip
    return row, found


def owes_nothing(part: str) -> Refusal:
    """Return the refusal for a part of which nothing is left."""
    return Refusal("sourcing.owes_nothing", "The fulfilment order owes nothing any more.", "Choose an open one.",
                   "fulfilment_order", part)  # fmt: skip


def _wants(state: State, command: MovePart | SplitPart | MergeParts, policies: Policies) -> None:
    wants_order(state, command.order)


def _then_wants(state: State, command: MovePart | SplitPart | MergeParts, policies: Policies) -> None:
    then_wants_order(state, command.order)
    if isinstance(command, MovePart):
        want_lines_at(state, command.order, command.location)


def concerns_part(state: State, command: Any) -> Concerns:
    """Return the sites of the parts a command names, and of where it moves them: a store's people move its work only.

    Of a part that the order does not have, none.
    """
    named = {command.fulfilment_order, getattr(command, "into", None)}
    places = {part.location for part in state.of(FulfilmentOrders).of_order(command.order) if part.id in named}
    sites = [place.code for id_ in sorted(places) if (place := state.of(Catalogue).place_of(id_)) is not None]
    if sites and isinstance(command, MovePart):
        sites.append(command.location)
    return Concerns(tuple(sites))


VERBS = (
    Verb(
        name="sourcing.move",
        command=MovePart,
        decide=move_part,
        wants=_wants,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_part,
    ),
    Verb(
        name="sourcing.split",
        command=SplitPart,
        decide=split_part,
        wants=_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_part,
    ),
    Verb(
        name="sourcing.merge",
        command=MergeParts,
        decide=merge_parts,
        wants=_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_part,
    ),
)
