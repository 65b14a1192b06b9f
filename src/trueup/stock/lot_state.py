"""Lots and serial numbers in one batch: per (item, location, lot), guarded by the balance's lock.

Only items that ask for it have lots. A lot's units on hand are part of the balance's; the sum over lots is the balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Loading, Rebuilt, Slice, Statement, Takes
from trueup.stock.state import BUCKETS, Claim, ClaimsReleased, Place, StockAllocated, StockMoved

UNIDENTIFIED = "?"
LotKey = tuple[str, str, str]


class Lot(msgspec.Struct, kw_only=True):
    """Units of one lot at one place. held: those in the other buckets, by bucket. expires_on: the last good day."""

    lot: str
    expires_on: date | None = None
    on_hand: Decimal = ZERO
    held: dict[str, Decimal] = {}
    allocated: Decimal = ZERO

    def free(self) -> Decimal:
        """Return the units that are not allocated."""
        return max(ZERO, self.on_hand - self.allocated)

    def held_in(self, bucket: str) -> Decimal:
        """Return the units in a bucket that is not promised."""
        return self.held.get(bucket, ZERO)


def order_of(lot: Lot) -> tuple[bool, date, str]:
    """Return what lots are taken by: unidentified last, then what expires first, then the lot's name."""
    return (lot.lot == UNIDENTIFIED, lot.expires_on or date.max, lot.lot)


_AT = """select k.item, l.id as location from unnest(%s::text[], %s::text[]) as w (key, code)
        join item_key k using (key) join location l using (code)
    union select n.item, at.location from unnest(%s::text[], %s::text[]) as n (item, location)
        cross join lateral (
            select n.location where n.location <> '*' union all
            select s.location from stock_lot s where n.location = '*' and s.item = n.item and s.on_hand > 0
        ) at"""
_READ = f"""select l.item, l.location, l.lot, l.expires_on, l.on_hand, l.damaged, l.quality, l.quarantined, l.allocated
    from ({_AT}) p join stock_lot l using (item, location) order by l.item, l.location, l.lot"""
_SERIALS = """select l.item, l.lot, l.location from unnest(%s::text[], %s::text[]) as w (key, lot)
    join item_key k using (key) join stock_lot l on l.item = k.item and l.lot = w.lot
    where l.serial and l.on_hand + l.held > 0"""
_HELD = ("damaged", "quality", "quarantined")


class Lots(Slice):
    """The lots at the places a batch asked for. Changes of any lot are written, loaded or not."""

    late = True

    def __init__(self) -> None:
        self._places: set[tuple[str, str]] = set()
        self._ids: set[Place] = set()
        self._numbers: set[tuple[str, str]] = set()
        self._lots: dict[Place, dict[str, Lot]] = {}
        self._serials: dict[tuple[str, str], str] = {}
        self._changes: dict[LotKey, dict[str, Decimal]] = {}
        self._dates: dict[LotKey, date] = {}

    def want(self, key: str, code: str) -> None:
        """Ask for the lots of the item that answers to `key` at the location of this code; its balance goes with it."""
        self._places.add((key, code))

    def want_at(self, item: str, location: str) -> None:
        """Ask for lots by the ids of item and location."""
        self._ids.add((item, location))

    def want_everywhere(self, item: str) -> None:
        """Ask for an item's lots wherever it has any on hand; an item without lots has none."""
        self._ids.add((item, "*"))

    def want_serial(self, key: str, number: str) -> None:
        """Ask where this serial number of the item that answers to `key` is."""
        self._numbers.add((key, number))

    def at(self, item: str, location: str) -> list[Lot]:
        """Return the lots of a place: the unidentified units first, then what expires first."""
        found = self._lots.get((item, location), {}).values()
        return sorted(found, key=lambda lot: (lot.lot != UNIDENTIFIED, order_of(lot)))

    def lot(self, item: str, location: str, lot: str) -> Lot:
        """Return one lot; what never was there has no units."""
        return self._lots.get((item, location), {}).get(lot) or Lot(lot=lot)

    def place_of_serial(self, item: str, number: str) -> str | None:
        """Return the id of the location that has this serial number."""
        return self._serials.get((item, number))

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read what the balances' locks guard; the lots themselves are locked in key order, too."""
        if not self._places and not self._ids and not self._numbers:
            return
        places, ids, numbers = sorted(self._places), sorted(self._ids), sorted(self._numbers)
        for wanted in (self._places, self._ids, self._numbers):
            wanted.clear()
        answers = yield [
            Statement(
                _READ + (" for no key update of l" if lock else ""),
                [
                    [key for key, _ in places], [code for _, code in places],
                    [item for item, _ in ids], [location for _, location in ids],
                ],
            ),
            Statement(_SERIALS, [[key for key, _ in numbers], [number for _, number in numbers]]),
        ]  # fmt: skip
        for item, location, name, expires_on, on_hand, *rest in answers[0]:
            held = dict(zip(_HELD, rest[:3], strict=True))
            lot = Lot(lot=name, expires_on=expires_on, on_hand=on_hand, held=held, allocated=rest[3])
            self._lots.setdefault((item, location), {})[name] = lot
        for item, number, location in answers[1]:
            self._serials[item, number] = location

    def takes(self) -> Takes:
        """Take movements and allocations in."""
        return {StockMoved: self._moved, StockAllocated: self._allocated, ClaimsReleased: self._released}

    def _moved(self, event: StockMoved) -> None:
        for move in event.moves:
            if not move.lot:
                continue
            if move.from_location is not None and move.from_account in BUCKETS:
                self._change((move.item, move.from_location, move.lot), move.from_account, -move.quantity)
                self._serials.pop((move.item, move.lot), None)
            if move.to_location is not None and move.to_account in BUCKETS:
                self._change((move.item, move.to_location, move.lot), move.to_account, move.quantity, move.expires_on)
                self._serials[move.item, move.lot] = move.to_location

    def _allocated(self, event: StockAllocated) -> None:
        self._claim(event.replaces, -1)
        self._claim(event.claims, 1)

    def _released(self, event: ClaimsReleased) -> None:
        self._claim(event.claims, -1)

    def _claim(self, claims: Sequence[Claim], sign: int) -> None:
        for claim in claims:
            if claim.lot and claim.kind == "allocation":
                self._change((claim.item, claim.location, claim.lot), "allocated", sign * claim.quantity)

    def _change(self, key: LotKey, column: str, units: Decimal, expires_on: date | None = None) -> None:
        item, location, name = key
        lots = self._lots.setdefault((item, location), {})
        lot = lots.get(name)
        if lot is None:
            lot = lots[name] = Lot(lot=name, held={})
        if column in _HELD:
            lot.held[column] = lot.held_in(column) + units
        else:
            setattr(lot, column, getattr(lot, column) + units)
        changes = self._changes.setdefault(key, {})
        changes[column] = changes.get(column, ZERO) + units
        if expires_on is not None and name != UNIDENTIFIED:
            # Where two dates are told of one lot, the earlier holds.
            lot.expires_on = self._dates[key] = min(expires_on, lot.expires_on or expires_on)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the lots."""
        rows = {
            (item, location, lot.lot): (lot.expires_on, lot.on_hand, *map(lot.held_in, _HELD), lot.allocated)
            for (item, location), lots in self._lots.items()
            for lot in lots.values()
        }
        sql = """select item, location, lot, expires_on, on_hand, damaged, quality, quarantined, allocated
            from stock_lot"""
        return [Rebuilt("lot", sql, rows)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the net changes: rows that are new first, then what leaves a place before what comes to one."""
        if not self._changes:
            return []
        keys = sorted(self._changes)
        leaving = [key for key in keys if sum(units for name, units in self._units(key)) < 0]
        coming = [key for key in keys if key not in set(leaving)]
        named = [[key[at] for key in keys] for at in range(3)]
        return [Statement(_INSERT, named), *(self._update(part) for part in (leaving, coming) if part)]

    def _units(self, key: LotKey) -> list[tuple[str, Decimal]]:
        return [(name, units) for name, units in self._changes[key].items() if name != "allocated"]

    def _update(self, keys: list[LotKey]) -> Statement:
        changes: list[list[Any]] = [
            [self._changes[key].get(name, ZERO) for key in keys] for name in ("on_hand", *_HELD, "allocated")
        ]
        dates = [self._dates.get(key) for key in keys]
        return Statement(
            _UPDATE,
            [*([key[at] for key in keys] for at in range(3)), *changes, [day and day.isoformat() for day in dates]],
        )


_INSERT = """insert into stock_lot (item, location, lot, serial)
    select n.item, n.location, n.lot, i.tracking = 'serial'
    from unnest(%s::text[], %s::text[], %s::text[]) as n (item, location, lot) join item i on i.id = n.item
    on conflict do nothing"""
_UPDATE = """update stock_lot l set on_hand = l.on_hand + n.on_hand, damaged = l.damaged + n.damaged,
        quality = l.quality + n.quality, quarantined = l.quarantined + n.quarantined,
        allocated = l.allocated + n.allocated, expires_on = least(l.expires_on, n.expires_on::date)
    from unnest(%s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                %s::numeric[], %s::text[])
        as n (item, location, lot, on_hand, damaged, quality, quarantined, allocated, expires_on)
    where (l.item, l.location, l.lot) = (n.item, n.location, n.lot)"""
