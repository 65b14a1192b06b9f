"""A location rejects its part of an order: it is sourced elsewhere, and the reason moves stock where it should."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.core.verb import Accepted, Command, Context, Decision, Event, Movement, State, Verb
from trueup.orders.fulfilment_orders import FulfilmentOrders, FulfilmentReduced
from trueup.orders.state import Orders
from trueup.orders.workflow import advance
from trueup.sourcing.allocate import taken
from trueup.sourcing.assign import then_wants_order, wants_order
from trueup.sourcing.parts import PartUnits, chosen_units, concerns_part, part_of
from trueup.sourcing.state import FulfilmentRejected, RejectedLine
from trueup.stock.buckets import Gone, bucket_move
from trueup.stock.facts import want_cases
from trueup.stock.lot_state import Lots
from trueup.stock.state import Claim, ClaimsReleased, Stock

Reason = Literal["damaged", "not_found", "quality", "no_capacity", "closed", "other"]
# What these say about the goods themselves; the other reasons leave the stock as it is.
_GOES: dict[str, Gone] = {"damaged": "damaged", "not_found": "not_found", "quality": "quality"}


class RejectPart(Command, frozen=True, kw_only=True):
    """Report that a location will not fulfil its part of an order, or some lines of it, and why."""

    order: str
    fulfilment_order: str
    reason: Reason
    lines: tuple[PartUnits, ...] = ()
    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""


def reject_part(state: State, command: RejectPart, context: Context) -> Decision:
    """Give the units back, remember the location, and book damaged and missing goods where they are.

    The storyline sources the order again, elsewhere. Refuses a part that owes nothing, and more than it owes.
    Source: behaviour 21.
    """
    found = part_of(state, command.order, command.fulfilment_order, None)
    if isinstance(found, Refusal):
        return found
    row, part = found
    chosen = chosen_units(part, command.lines)
    if isinstance(chosen, Refusal):
        return chosen
    lines = tuple(RejectedLine(c.line, part.lines[c.line].item, c.quantity) for c in chosen)
    claims = [claim for c in chosen for claim in taken(state, command.order, c.line, part.location, c.quantity)]
    events: list[Event] = [
        FulfilmentRejected(
            order=command.order,
            fulfilment_order=part.id,
            location=part.location,
            lines=lines,
            reason=command.reason,
            at=context.now,
        ),
        ClaimsReleased(holder=command.order, claims=tuple(claims), reason="rejected", at=context.now),
        FulfilmentReduced(order=command.order, changes=tuple(chosen), why="rejected", at=context.now),
        *_goods(state, command, part.location, claims, context),
        *advance(row, "rejected", context),
    ]
    result = {"order": command.order, "rejected": {str(c.line): plain(c.quantity) for c in chosen}}
    return Accepted(events, command.order, result)


def _goods(state: State, command: RejectPart, location: str, claims: list[Claim], context: Context) -> list[Event]:
    to = _GOES.get(command.reason)
    place = state.of(Catalogue).place_of(location)
    events: list[Event] = []
    # Two lines of one item leave the same shelf: what the first takes is not there for the second.
    units: dict[tuple[str, str], Decimal] = {}
    for claim in claims if to is not None and place is not None else ():
        units[claim.item, claim.lot] = units.get((claim.item, claim.lot), ZERO) + claim.quantity
    for (id_, lot), quantity in units.items():
        item = state.of(Catalogue).item_of(id_)
        assert to is not None
        assert place is not None
        assert item is not None, "its items were asked for with the order"
        events += bucket_move(state, context, item, place, quantity, to, command.fulfilment_order, lot, quantity)
    return events


def _moves(state: State, command: RejectPart) -> tuple[Movement, ...]:
    """Return what the report says of goods, once the part's location is known: a freeze of its movements holds it."""
    parts = state.of(FulfilmentOrders).of_order(command.order)
    part = next((part for part in parts if part.id == command.fulfilment_order), None)
    place = state.of(Catalogue).place_of(part.location) if part is not None else None
    row = state.of(Orders).order(command.order)
    if command.reason not in _GOES or part is None or place is None or row is None:
        return ()
    skus = tuple(line.sku for line in row.lines if line.line in part.lines)
    return (Movement(place.code, skus, "restate", fact=True),)


def _wants(state: State, command: RejectPart, policies: Policies) -> None:
    wants_order(state, command.order)


def _then_wants(state: State, command: RejectPart, policies: Policies) -> None:
    then_wants_order(state, command.order)
    row = state.of(Orders).order(command.order)
    parts = state.of(FulfilmentOrders).of_order(command.order)
    part = next((part for part in parts if part.id == command.fulfilment_order), None)
    if row is None or part is None:
        return
    place = state.of(Catalogue).place_of(part.location)
    if place is not None:
        want_cases(state, place.code)
    for line in part.lines.values():
        state.of(Catalogue).want_item_id(line.item)
        state.of(Stock).want_at(line.item, part.location)
        state.of(Lots).want_at(line.item, part.location)


VERBS = (
    Verb(
        name="sourcing.reject",
        command=RejectPart,
        decide=reject_part,
        wants=_wants,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_part,
        moves=_moves,
    ),
)
