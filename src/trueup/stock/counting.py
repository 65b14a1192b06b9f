"""Count sessions: open one, record blind counts, recount by another person, approve variances, close and post."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import msgspec

from trueup.cases.state import CaseSubject
from trueup.catalogue.cost import Costs
from trueup.catalogue.state import Catalogue, Item, Location
from trueup.catalogue.units import to_base
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.money import Amount
from trueup.core.policy import Policies, Policy
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import (
    Accepted,
    Body,
    Command,
    Concerns,
    Context,
    Decision,
    Event,
    Movement,
    State,
    Verb,
    Worth,
    concerns_location,
)
from trueup.stock.count import without_zone
from trueup.stock.count_state import (
    ITEMS_MAX,
    Count,
    CountApproved,
    CountClosed,
    CountOpened,
    CountRecorded,
    Counts,
    Entry,
    LineKey,
)
from trueup.stock.facts import adjustment, broken_promise, short_case, stocked_item, want_cases
from trueup.stock.ledger import Ledger
from trueup.stock.lot_state import UNIDENTIFIED, Lots
from trueup.stock.receive import LotName, Reference, not_tracked
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Move, Stock, StockMoved


class CountPolicy(Policy, frozen=True, kw_only=True):
    """What a count may differ from the book. Above either figure another person recounts, and a third one approves.

    tolerance_units: base units of one item or lot. tolerance_money: their unit cost in `currency`; where an item's cost
    is unknown, only the units decide.
    """

    kind: ClassVar[str] = "count"
    unreplayed: ClassVar[str] = "what was counted is taken as it was recorded"
    names: ClassVar[tuple[str, ...]] = ("default",)
    tolerance_units: Quantity = Quantity(5)
    tolerance_money: Amount = Amount(50)
    currency: str = "EUR"


class OpenCount(Command, frozen=True, kw_only=True):
    """Begin a count session at a location. skus: any keys of the items; none is all that lies on hand there.

    blind: whoever counts is not told what the book says. reference: the count's document.
    """

    location: str
    reference: Reference
    skus: Annotated[tuple[str, ...], msgspec.Meta(max_length=ITEMS_MAX)] = ()
    blind: bool = True


class FoundLine(Body, frozen=True, forbid_unknown_fields=True):
    """What was found of an item (any key): zero or more, in `unit`. lot: of a tracked item; none is unidentified."""

    sku: str
    units: Quantity
    counted_at: datetime
    unit: str | None = None
    lot: LotName | None = None


class RecordCount(Command, frozen=True, kw_only=True):
    """Report what one found in a session (`cnt_...`); whoever submits it is who counted."""

    count: str
    lines: Annotated[tuple[FoundLine, ...], msgspec.Meta(min_length=1, max_length=500)]


class ApprovedLine(Body, frozen=True, forbid_unknown_fields=True):
    """A variance one stands for: any key of the item, and its lot if it is tracked."""

    sku: str
    lot: LotName | None = None


class ApproveCount(Command, frozen=True, kw_only=True):
    """Stand for variances above the tolerance, of a session in which one did not count."""

    count: str
    lines: Annotated[tuple[ApprovedLine, ...], msgspec.Meta(min_length=1, max_length=500)]


class CloseCount(Command, frozen=True, kw_only=True):
    """End a session and post its variances; `abandon` ends it without posting anything."""

    count: str
    abandon: bool = False


def open_count(state: State, command: OpenCount, context: Context) -> Decision:
    """Open the session over the named items, or over all that lies on hand.

    Refuses unknown names, phantom kits, more items than one session holds, and an item that another open session at
    the location counts already.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    counts = state.of(Counts)
    items: list[str] = []
    for at, sku in enumerate(command.skus):
        item = stocked_item(state, sku, f"skus[{at}]")
        if isinstance(item, Refusal):
            return msgspec.structs.replace(item, where=f"skus[{at}]")
        items.append(item.id)
    items = sorted(set(items or counts.stocked.get(place.id, [])))
    if not items or len(items) > ITEMS_MAX:
        return Refusal("stock.count_scope", f"{len(items) or 'No'} items lie at {place.code}.",
                       f"Name the items to count, at most {ITEMS_MAX:,} in one session.", "skus")  # fmt: skip
    busy = next((counts.busy[place.id, item] for item in items if (place.id, item) in counts.busy), None)
    if busy is not None:
        return Refusal("stock.count_open", f"The session {busy} counts some of these items already.",
                       "Close or abandon it first, or leave its items out.", "skus", busy)  # fmt: skip
    count = Count(
        id=context.new_id("cnt"),
        reference=command.reference,
        location=place.id,
        blind=command.blind,
        opened_by=context.actor.id,
        opened_at=context.now,
    )
    return Accepted([CountOpened(count=count, items=tuple(items))], count.id, {"count": count.id, "items": len(items)})


def record_count(state: State, command: RecordCount, context: Context) -> Decision:
    """Keep what was found, compared with the book as of when it was counted; movements since are left out of it.

    The answer names what somebody else has to count again, and, where the session is not blind, what the book said.
    Refuses a closed session, items that are not in it, a time without a zone, and a second count by the one person
    whose count is beyond the tolerance.
    """
    count = _open_count(state, command.count)
    if isinstance(count, Refusal):
        return count
    policy = context.policies.get(CountPolicy)
    entries: dict[LineKey, Entry] = {}
    names: dict[LineKey, str] = {}
    for at, line in enumerate(command.lines):
        entry = _entry(state, count, line, f"lines[{at}]", context, policy)
        if isinstance(entry, Refusal):
            return entry
        key = (entry.item, entry.lot)
        if key in entries:
            return Refusal("stock.counted_twice", f"{line.sku!r} stands twice in this count.", "Send one line of each.",
                           f"lines[{at}].sku", line.sku)  # fmt: skip
        entries[key] = entry
        names[key] = _name(line.sku, entry.lot)
    known = state.of(Counts).entries(count.id)
    again = [names[key] for key, entry in entries.items() if _needs_recount([*known.get(key, ()), entry])]
    result: dict[str, Any] = {"count": count.id, "recorded": len(entries), "recount": again}
    if not count.blind:
        result["book"] = {names[key]: plain(entry.book) for key, entry in entries.items()}
    event = CountRecorded(count=count.id, entries=tuple(entries.values()), at=context.now)
    return Accepted([event], count.id, result)


def approve_count(state: State, command: ApproveCount, context: Context) -> Decision:
    """Approve variances above the tolerance. Refuses whoever counted in this session, and what has yet to be recounted.

    A later count of the same line needs an approval of its own.
    """
    count = _open_count(state, command.count)
    if isinstance(count, Refusal):
        return count
    known = state.of(Counts).entries(count.id)
    if context.actor.id in {entry.counted_by for line in known.values() for entry in line}:
        return Refusal("stock.counter_approves", f"{context.actor.name} counted in this session.",
                       "Let somebody who did not count approve it.", "count", count.id)  # fmt: skip
    lines: list[LineKey] = []
    for at, line in enumerate(command.lines):
        item = state.of(Catalogue).item(line.sku)
        if item is None:
            return bad_line(f"lines[{at}]", line.sku, ZERO, None)
        key = (item.id, _lot_of(item, line.lot))
        if not _needs_approval(known.get(key, [])):
            return Refusal("stock.nothing_to_approve", f"{_name(line.sku, key[1])} has no variance to approve.",
                           "It is not counted, within the tolerance, approved, or to be recounted first.",
                           f"lines[{at}].sku", line.sku)  # fmt: skip
        lines.append(key)
    event = CountApproved(count=count.id, lines=tuple(dict.fromkeys(lines)), by=context.actor.id, at=context.now)
    return Accepted([event], count.id, {"count": count.id, "approved": len(event.lines)})


def close_count(state: State, command: CloseCount, context: Context) -> Decision:
    """Post every variance by one adjustment, effective when it was counted, and end the session.

    Refuses while something is not counted, not recounted or not approved, naming all of it. Promises that the count
    broke are a case. Source: behaviours 5 and 37.
    """
    count = _open_count(state, command.count)
    if isinstance(count, Refusal):
        return count
    closed = CountClosed(count=count.id, abandoned=command.abandon, at=context.now)
    if command.abandon:
        return Accepted([closed], count.id, {"count": count.id, "changed": 0})
    unfinished = _unfinished(state, count)
    if unfinished:
        return Refusal("stock.count_unfinished", f"{len(unfinished)} lines of this count are not finished: "
                       + "; ".join(detail.what for detail in unfinished[:5]) + ".",
                       "Count, recount or approve them; or abandon the session.", "count", count.id,
                       tuple(unfinished[:100]))  # fmt: skip
    place = state.of(Catalogue).location(state.of(Counts).codes[count.location])
    assert place is not None, "the session's location was asked for"
    moves, broken = _variances(state, count, place)
    events: list[Event] = [
        StockMoved(
            reference=count.id,
            reason="count",
            moves=tuple(moves[at]),
            at=context.now,
            effective_at=at if at < context.now else None,
        )
        for at in sorted(moves)
    ]
    events += [*short_case(state, context, place, broken), closed]
    changed = len({move.item for part in moves.values() for move in part})
    return Accepted(events, count.id, {"count": count.id, "changed": changed})


def book_at(state: State, item: Item, location: str, lot: str, counted_at: datetime) -> Decimal:
    """Return what the ledger said of an item, or of one lot of it, at a time: on hand less what came since."""
    if item.tracking == "none":
        there = state.of(Stock).balance(item.id, location).on_hand
        return there - state.of(Ledger).since(item.id, location, counted_at)
    there = state.of(Lots).lot(item.id, location, lot).on_hand
    return there - state.of(Ledger).since(item.id, location, counted_at, lot)


def _entry(
    state: State, count: Count, line: FoundLine, where: str, context: Context, policy: CountPolicy
) -> Entry | Refusal:
    item = stocked_item(state, line.sku, where)
    if isinstance(item, Refusal):
        return item
    if item.id not in state.of(Counts).items[count.id]:
        return Refusal("stock.not_in_count", f"{line.sku!r} is not to be counted in this session.",
                       "Open another session for it.", f"{where}.sku", line.sku)  # fmt: skip
    if line.lot is not None and item.tracking == "none":
        return not_tracked(item, f"{where}.lot", line.lot)
    units = to_base(item, line.units, line.unit)
    if isinstance(units, Refusal):
        return msgspec.structs.replace(units, where=f"{where}.{units.where}")
    if units < 0 or (item.tracking == "serial" and line.lot is not None and units > 1):
        return bad_line(where, line.sku, line.units, item)
    zoneless = without_zone(line.counted_at, f"{where}.counted_at")
    if zoneless is not None:
        return zoneless
    lot = _lot_of(item, line.lot)
    known = state.of(Counts).entries(count.id).get((item.id, lot), [])
    if _needs_recount(known) and known[-1].counted_by == context.actor.id:
        return Refusal("stock.same_counter", f"{_name(line.sku, lot)} is to be counted again by somebody else.",
                       "Let another person count it.", f"{where}.sku", line.sku)  # fmt: skip
    book = book_at(state, item, count.location, lot, line.counted_at)
    cost = state.of(Costs).on(item.id, policy.currency, count.opened_at.date())
    worth = None if cost is None else (units - book) * cost.cost
    beyond = abs(units - book) > policy.tolerance_units or (worth is not None and abs(worth) > policy.tolerance_money)
    # A clock that runs ahead is taken for now.
    at = min(line.counted_at, context.now)
    return Entry(item.id, lot, len(known) + 1, units, book, worth, policy.currency, beyond, at, context.actor.id)


def _needs_recount(entries: Iterable[Entry]) -> bool:
    """Tell whether the last count is beyond the tolerance and only one person has counted."""
    found = list(entries)
    return bool(found) and found[-1].beyond and len({entry.counted_by for entry in found}) == 1


def _needs_approval(entries: list[Entry]) -> bool:
    return bool(entries) and entries[-1].beyond and not _needs_recount(entries) and entries[-1].approved_by is None


def _unfinished(state: State, count: Count) -> list[RefusalDetail]:
    known = state.of(Counts).entries(count.id)
    found: list[RefusalDetail] = []
    for id_ in state.of(Counts).items[count.id]:
        item = state.of(Catalogue).items[id_]
        keys = {key for key in known if key[0] == id_}
        if item.tracking == "none":
            keys.add((id_, ""))
        else:
            keys |= {(id_, lot.lot) for lot in state.of(Lots).at(id_, count.location) if lot.on_hand}
        for key in sorted(keys):
            entries = known.get(key, [])
            if not entries:
                what = "not counted"
            elif _needs_recount(entries):
                what = "to be recounted by somebody else"
            elif _needs_approval(entries):
                what = "to be approved by somebody who did not count"
            else:
                continue
            found.append(RefusalDetail("count", _name(item.sku, key[1]), f"{_name(item.sku, key[1])} is {what}"))
    return found


def _variances(state: State, count: Count, place: Location) -> tuple[dict[datetime, list[Move]], list[CaseSubject]]:
    """Return the movements of all variances by the time they were found, and the promises they break."""
    moves: dict[datetime, list[Move]] = {}
    changes: dict[str, Decimal] = {}
    for (id_, lot), entries in sorted(state.of(Counts).entries(count.id).items()):
        item, last = state.of(Catalogue).items[id_], entries[-1]
        balance = state.of(Stock).balance(id_, place.id)
        there = balance.on_hand if item.tracking == "none" else state.of(Lots).lot(id_, place.id, lot).on_hand
        change = last.units - book_at(state, item, place.id, lot, last.counted_at)
        if change:
            moves.setdefault(last.counted_at, []).extend(adjustment(id_, place.id, change, there, lot=lot))
            changes[id_] = changes.get(id_, ZERO) + change
    broken: list[CaseSubject] = []
    for id_, change in changes.items():
        broken += broken_promise(state.of(Catalogue).items[id_], place, state.of(Stock).balance(id_, place.id), change)
    return moves, broken


def _open_count(state: State, id_: str) -> Count | Refusal:
    count = state.of(Counts).counts.get(id_)
    if count is None or count.closed_at is not None:
        what = f"There is no count {id_[:60]!r}." if count is None else f"The count {id_} is closed."
        return Refusal("stock.no_open_count", what, "Open a session first.", "count", id_[:60])
    return count


def _lot_of(item: Item, lot: str | None) -> str:
    return "" if item.tracking == "none" else lot or UNIDENTIFIED


def _name(sku: str, lot: str) -> str:
    return f"{sku} lot {lot}" if lot else sku


def _wants_opened(state: State, command: OpenCount, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    state.of(Counts).want_scope(command.location)
    for sku in command.skus:
        state.of(Catalogue).want_item(sku)


def _wants_recorded(state: State, command: RecordCount | ApproveCount, policies: Policies) -> None:
    state.of(Counts).want(command.count)
    for line in command.lines:
        state.of(Catalogue).want_item(line.sku)


def _then_wants_recorded(state: State, command: RecordCount, policies: Policies) -> None:
    count = state.of(Counts).counts.get(command.count)
    if count is None:
        return
    code = state.of(Counts).codes[count.location]
    currency = policies.get(CountPolicy).currency
    for line in command.lines:
        state.of(Stock).want(line.sku, code)
        state.of(Lots).want(line.sku, code)
        state.of(Costs).want(line.sku, currency, count.opened_at.date())
        if line.counted_at.tzinfo is not None:
            state.of(Ledger).want(line.sku, code, line.counted_at)


def _then_wants_closed(state: State, command: CloseCount, policies: Policies) -> None:
    count = state.of(Counts).counts.get(command.count)
    if count is None or command.abandon:
        return
    code = state.of(Counts).codes[count.location]
    state.of(Catalogue).want_location(code)
    want_cases(state, code)
    for item in state.of(Counts).items[count.id]:
        state.of(Catalogue).want_item_id(item)
        state.of(Stock).want_at(item, count.location)
        state.of(Lots).want_at(item, count.location)
    for (item, _), entries in state.of(Counts).entries(count.id).items():
        state.of(Ledger).want_at(item, count.location, entries[-1].counted_at)


def _concerned(state: State, command: Any) -> Concerns:
    count = state.of(Counts).counts.get(command.count)
    return Concerns(sites=(state.of(Counts).codes[count.location],) if count is not None else ())


def _moves(state: State, command: CloseCount) -> tuple[Movement, ...]:
    items = [state.of(Catalogue).item_of(item) for item in state.of(Counts).items.get(command.count, ())]
    keys = tuple(item.sku for item in items if item is not None)
    return tuple(Movement(site, keys, "count") for site in _concerned(state, command).sites)


def _worth(state: State, command: ApproveCount, events: Sequence[Event]) -> tuple[Worth, ...]:
    """Return what is approved: the units by which shelf and book differ, and their cost where it is known."""
    entries = state.of(Counts).entries(command.count)
    approved = [entries[key][-1] for event in events if isinstance(event, CountApproved) for key in event.lines]
    units = sum((abs(entry.units - entry.book) for entry in approved), ZERO)
    costs: dict[str, Decimal] = {}
    for entry in approved:
        if entry.worth is not None:
            costs[entry.currency] = costs.get(entry.currency, ZERO) + abs(entry.worth)
    return (Worth(units, "units"), *(Worth(cost, currency) for currency, cost in sorted(costs.items())))


VERBS = (
    Verb(
        name="stock.open_count",
        command=OpenCount,
        decide=open_count,
        wants=_wants_opened,
        touches=lambda command: (f"count:{command.location}",),
        concerns=concerns_location,
    ),
    Verb(
        name="stock.record_count",
        command=RecordCount,
        decide=record_count,
        wants=_wants_recorded,
        then_wants=_then_wants_recorded,
        touches=lambda command: (command.count,),
        concerns=_concerned,
    ),
    Verb(
        name="stock.approve_count",
        worth=_worth,
        command=ApproveCount,
        decide=approve_count,
        wants=_wants_recorded,
        touches=lambda command: (command.count,),
        concerns=_concerned,
    ),
    Verb(
        name="stock.close_count",
        command=CloseCount,
        decide=close_count,
        wants=lambda state, command, policies: state.of(Counts).want(command.count),
        then_wants=_then_wants_closed,
        touches=lambda command: (command.count,),
        concerns=_concerned,
        moves=_moves,
    ),
)
