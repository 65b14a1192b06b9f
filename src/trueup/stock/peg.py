"""Peg demand to dated supply: earliest supply first, first come first served; what nothing covers waits undated.

A peg is a promise of a date, never a claim on stock. All functions are pure; a verb that calls them asks the slice
`Supply` for the rows first, as each of them says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Event, State
from trueup.stock.reserve import Demand
from trueup.stock.supply_state import DemandPegged, DemandUnpegged, OpenPeg, OpenSupply, Peg, Supply, Unpeg

Released = Literal["cancelled", "filled", "moved", "rejected"]


class Source(msgspec.Struct):
    """Supply that units can be pegged to: what is free of it, due at a moment to come."""

    supply: str
    due_at: datetime
    free: Decimal


class Delay(msgspec.Struct, frozen=True):
    """Units of a holder's line that come later than was promised. due_at: None where nothing is known to come."""

    holder: str
    line: int
    item: str
    promised_at: datetime
    due_at: datetime | None


def peg_events(
    state: State, holder: str, demands: Sequence[Demand], location: str, at: datetime, *, reason: str = "backorder"
) -> list[Event]:
    """Peg every demand to the supply that is to come to one location; what no supply covers is pegged to none, undated.

    Lines of one item draw on the same supply, in their order, so pass all that a decision pegs at a location at once.
    Wants: `Supply.want(key, code)` of each item, and `want_pegs(holder)` unless the holder is new.
    Source: behaviour 13.
    """
    if not demands:
        return []
    sources = {demand.item.id: sources_at(state, demand.item.id, location, at) for demand in demands}
    pegs: list[Peg] = []
    for demand in demands:
        waits = Peg(demand.line, demand.item.id, location, None, demand.quantity, None, None, at)
        pegs += allot(waits, sources[demand.item.id])
    return [DemandPegged(holder=holder, pegs=tuple(pegs), reason=reason, at=at)]


def release_events(
    state: State, holder: str, units: Mapping[tuple[int, str], Decimal] | None, reason: Released, at: datetime
) -> list[Event]:
    """Let units of a holder's lines wait no longer; what that frees goes to the first who wait undated.

    units: by (line, item's id); None is all. More than waits is no more than what waits. Filled units are those that
    came in, then those that come first; otherwise those that come last are let go first: the rest keeps its date.
    Wants: `Supply.want_pegs(holder)`.
    """
    left = dict(units) if units is not None else None
    released: list[Unpeg] = []
    freed: dict[str, Decimal] = {}
    for peg in sorted(state.of(Supply).pegs_of(holder), key=_sooner, reverse=reason != "filled"):
        taken = peg.quantity if left is None else min(peg.quantity, left.get((peg.line, peg.item), ZERO))
        if taken <= 0:
            continue
        if left is not None:
            left[peg.line, peg.item] -= taken
        released.append(Unpeg(peg.line, peg.number, taken))
        if peg.supply is not None:
            freed[peg.supply] = freed.get(peg.supply, ZERO) + taken
    if not released:
        return []
    events: list[Event] = [DemandUnpegged(holder=holder, pegs=tuple(released), reason=reason, at=at)]
    for place in sorted({_place_of(state, supply) for supply in freed}):
        sources = sources_at(state, *place, at, freed=freed)
        others = [peg for peg in state.of(Supply).undated_at(*place) if peg.holder != holder]
        events += repeg_events(others, sources, "supply freed", at)
    return events


def repeg_events(waiting: Iterable[OpenPeg], sources: list[Source], reason: str, at: datetime) -> list[Event]:
    """Move pegs, in the order given, to the earliest of these sources that has units; a peg that gains nothing stays.

    What a peg lies on now must be counted as free in `sources` where it may stay there.
    """
    unpegged: dict[str, list[Unpeg]] = {}
    pegged: dict[str, list[Peg]] = {}
    for peg in waiting:
        waits = Peg(peg.line, peg.item, peg.location, None, peg.quantity, None, peg.promised_at, peg.since)
        parts = allot(waits, sources)
        if [(part.supply, part.due_at) for part in parts] == [(peg.supply, peg.due_at)]:
            continue
        unpegged.setdefault(peg.holder, []).append(Unpeg(peg.line, peg.number, peg.quantity))
        pegged.setdefault(peg.holder, []).extend(parts)
    events: list[Event] = []
    for holder, released in unpegged.items():
        events.append(DemandUnpegged(holder=holder, pegs=tuple(released), reason=reason, at=at))
    for holder, pegs in pegged.items():
        events.append(DemandPegged(holder=holder, pegs=tuple(pegs), reason=reason, at=at))
    return events


def allot(waits: Peg, sources: list[Source]) -> list[Peg]:
    """Divide units that wait over the sources, in their order, taking from them; the rest is pegged to none.

    The first date that units are given is what was promised; later moves keep it.
    """
    left = waits.quantity
    parts: list[Peg] = []
    for source in sources:
        taken = min(left, source.free)
        if taken <= 0:
            continue
        source.free -= taken
        left -= taken
        promised = waits.promised_at or source.due_at
        parts.append(
            msgspec.structs.replace(
                waits, supply=source.supply, quantity=taken, due_at=source.due_at, promised_at=promised
            )
        )
    if left > 0:
        parts.append(msgspec.structs.replace(waits, quantity=left))
    return parts


def sources_at(
    state: State, item: str, location: str, at: datetime, *, freed: Mapping[str, Decimal] | None = None
) -> list[Source]:
    """Return what can be pegged to at a place, earliest due first. What is overdue promises no date, so it is left out.

    freed: units by supply that the decision at hand gives back.
    """
    supplies = state.of(Supply).supplies_at(item, location)
    return [source_of(supply, (freed or {}).get(supply.id, ZERO)) for supply in supplies if supply.due_at > at]


def source_of(supply: OpenSupply, freed: Decimal = ZERO) -> Source:
    """Return a supply as a source, with units that the decision at hand gives back."""
    return Source(supply.id, supply.due_at, supply.free + freed)


def beyond(row: Sequence[OpenPeg], units: Decimal) -> list[OpenPeg]:
    """Return what so many units leave uncovered of a row of pegs, first come first; of one covered in part its rest."""
    left = units
    uncovered: list[OpenPeg] = []
    for peg in row:
        covered = min(left, peg.quantity)
        left -= covered
        if covered < peg.quantity:
            uncovered.append(msgspec.structs.replace(peg, quantity=peg.quantity - covered))
    return uncovered


def arrival_events(state: State, supply: OpenSupply, units: Decimal, at: datetime) -> list[Event]:
    """Let the first who wait for a supply wait for nothing but to be filled: so many of its units came in."""
    unpegged: dict[str, list[Unpeg]] = {}
    pegged: dict[str, list[Peg]] = {}
    left = units
    for peg in state.of(Supply).pegs_on(supply.id):
        taken = min(left, peg.quantity)
        if taken <= 0:
            break
        left -= taken
        unpegged.setdefault(peg.holder, []).append(Unpeg(peg.line, peg.number, taken))
        arrived = Peg(peg.line, peg.item, peg.location, None, taken, at, peg.promised_at, peg.since)
        pegged.setdefault(peg.holder, []).append(arrived)
    events: list[Event] = []
    for holder, released in unpegged.items():
        events.append(DemandUnpegged(holder=holder, pegs=tuple(released), reason="arrived", at=at))
        events.append(DemandPegged(holder=holder, pegs=tuple(pegged[holder]), reason="arrived", at=at))
    return events


def delays_in(events: Iterable[Event]) -> list[Delay]:
    """Return whose promise these events make later than it was given, one entry per line and item, in their order."""
    found: dict[tuple[str, int, str], Delay] = {}
    for event in events:
        if not isinstance(event, DemandPegged):
            continue
        for peg in event.pegs:
            late = peg.promised_at is not None and (peg.due_at is None or peg.due_at > peg.promised_at)
            if not late or peg.promised_at is None:
                continue
            key = (event.holder, peg.line, peg.item)
            before = found.get(key)
            due = peg.due_at
            if before is not None and due is not None:
                due = max(due, before.due_at) if before.due_at is not None else None
            found[key] = Delay(event.holder, peg.line, peg.item, peg.promised_at, due)
    return list(found.values())


def _place_of(state: State, supply: str) -> tuple[str, str]:
    found = state.of(Supply).supplies[supply]
    return (found.item, found.location)


def _sooner(peg: OpenPeg) -> tuple[int, datetime, int, int]:
    """What came in, then what is to come by its date, then what nothing is known of."""
    rank = 2 if peg.due_at is None else 0 if peg.supply is None else 1
    return (rank, peg.due_at or peg.since, peg.line, peg.number)
