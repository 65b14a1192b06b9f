"""Which lots to take, first expired first out; and what happens to those past their date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.cases.state import CaseSubject
from trueup.catalogue.state import Catalogue, Item
from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.core.verb import Accepted, Command, Context, Decision, Movement, State, Verb, concerns_location
from trueup.stock.facts import broken_promise, lot_case, short_case, want_cases
from trueup.stock.lot_state import UNIDENTIFIED, Lot, Lots, order_of
from trueup.stock.reserve import unknown_location
from trueup.stock.state import Move, Stock, StockMoved

LOTS_PER_RUN_MAX = 500


class LotChoice(msgspec.Struct, frozen=True):
    """Units by lot, in the order they are taken, and what no lot covers. An untracked item has the lot `""`."""

    lots: tuple[tuple[str, Decimal], ...]
    short: Decimal


class ExpireLots(Command, frozen=True, kw_only=True):
    """Report that these items (any key) have lots past their date at a location; what is, goes into quarantine."""

    location: str
    skus: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=LOTS_PER_RUN_MAX)]


def choose_lots(
    lots: Iterable[Lot],
    quantity: Decimal,
    day: date,
    min_remaining_days: int = 0,
    taken: Mapping[str, Decimal] | None = None,
) -> LotChoice:
    """Choose lots for so many units: first expired, first out; units nobody identified last.

    A lot is good through its date, on which it has no day left. Lots that end before `day` plus `min_remaining_days`
    are left; so is what is allocated already, and what `taken` says other lines of the same decision take.
    """
    chosen: list[tuple[str, Decimal]] = []
    wanted = quantity
    first_good = day + timedelta(days=min_remaining_days)
    for lot in sorted(lots, key=order_of):
        if lot.expires_on is not None and lot.expires_on < first_good:
            continue
        units = min(lot.free() - (taken or {}).get(lot.lot, ZERO), wanted)
        if units > 0:
            chosen.append((lot.lot, units))
            wanted -= units
    return LotChoice(tuple(chosen), wanted)


def allocate_lots(
    state: State,
    item: Item,
    location: str,
    quantity: Decimal,
    day: date,
    min_remaining_days: int = 0,
    taken: Mapping[str, Decimal] | None = None,
) -> LotChoice:
    """Choose the lots of an allocation at a location (id); an untracked item has one, without a name.

    The verb must have asked for the lots (`Lots.want` or `want_at`) along with the balance.
    """
    if item.tracking == "none":
        return LotChoice((("", quantity),), ZERO)
    return choose_lots(state.of(Lots).at(item.id, location), quantity, day, min_remaining_days, taken)


def expire_lots(state: State, command: ExpireLots, context: Context) -> Decision:
    """Move what is past its date from on hand into quarantine; promises on it are owed, and all of it is a case.

    A lot is good through its date, a day in UTC. Its units stopped being available when the day ended, on every read
    and for every request; this only tidies the book. Refuses an unknown location; nothing expired ends as merged.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    day = context.now.date()
    moves: list[Move] = []
    doubts: list[CaseSubject] = []
    broken: list[CaseSubject] = []
    found = [state.of(Catalogue).item(sku) for sku in command.skus]
    for item in {item.id: item for item in found if item is not None}.values():
        gone = ZERO
        for lot in state.of(Lots).at(item.id, place.id):
            if lot.expires_on is None or lot.expires_on >= day or not lot.on_hand:
                continue
            moves.append(
                Move(item.id, lot.on_hand, "on_hand", place.id, "quarantined", place.id, lot.lot, lot.expires_on)
            )
            gone += lot.on_hand
            detail = f"{item.sku} lot {lot.lot}: {plain(lot.on_hand)} at {place.code} expired on {lot.expires_on}"
            doubts.append(CaseSubject("lot", f"{item.id}/{lot.lot}", detail))
        broken += broken_promise(item, place, state.of(Stock).balance(item.id, place.id), -gone) if gone else []
    result = {"location": place.code, "lots": len(moves)}
    if not moves:
        return Accepted((), place.id, result, "merged")
    moved = StockMoved(reference=place.id, reason="expired", moves=tuple(moves), at=context.now)
    cases = [*lot_case(state, context, place, doubts), *short_case(state, context, place, broken)]
    return Accepted([moved, *cases], place.id, result)


async def due_to_expire(connection: Connection, now: datetime) -> list[tuple[str, ExpireLots]]:
    """Return the nightly sweep of each location where units lie on hand past their date, keyed by place and day."""
    day = now.date()
    rows = await connection.execute(
        """select l.code, (array_agg(distinct i.sku order by i.sku))[1:%s::int]
        from stock_lot s join item i on i.id = s.item join location l on l.id = s.location
        where s.on_hand > 0 and s.expires_on < %s and s.lot <> %s group by l.code order by l.code""",
        [LOTS_PER_RUN_MAX, day, UNIDENTIFIED],
    )
    found = await rows.fetchall()
    return [(f"{code}/{day}", ExpireLots(location=code, skus=tuple(skus))) for code, skus in found]


def _wants(state: State, command: ExpireLots, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    want_cases(state, command.location)
    for sku in command.skus:
        state.of(Catalogue).want_item(sku)
        state.of(Stock).want(sku, command.location)
        state.of(Lots).want(sku, command.location)


VERBS = (
    Verb(
        name="stock.expire_lots",
        command=ExpireLots,
        decide=expire_lots,
        wants=_wants,
        concerns=concerns_location,
        moves=lambda state, command: (Movement(command.location, command.skus, "restate", fact=False),),
    ),
)
