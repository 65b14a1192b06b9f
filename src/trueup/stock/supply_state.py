"""Supply and pegs in one batch: the places locked in key order, the supply to come there, and who waits for it.

A peg is demand that waits for dated supply, never a claim on stock. Everything at a place is guarded by its row of
`stock_backlog`; where there is none yet, two batches meet at its key, and the second decides again (decision 0003).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.batch import Reload
from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, State, Statement, Takes
from trueup.stock import supply_rows as rows
from trueup.stock.state import Place, Stock


class Expected(msgspec.Struct, frozen=True):
    """What is to come: units of one item to one location, due at a moment, under a reference, as `source` says."""

    id: str
    item: str
    location: str
    quantity: Decimal
    due_at: datetime
    reference: str
    source: str


class Peg(msgspec.Struct, array_like=True, frozen=True):
    """Units of a line that wait. supply: None where nothing that is to come covers them.

    due_at: when they are to come; of units that came in and wait to be filled, when they came; None is not known.
    promised_at: the first such time that was given. since: when the demand began to wait.
    """

    line: int
    item: str
    location: str
    supply: str | None
    quantity: Decimal
    due_at: datetime | None
    promised_at: datetime | None
    since: datetime


class Unpeg(msgspec.Struct, array_like=True, frozen=True):
    """Units of one of a line's pegs, by its number, that no longer wait there."""

    line: int
    number: int
    quantity: Decimal


class SupplyExpected(Event, frozen=True, kw_only=True):
    """Somebody said that goods are to come."""

    name = "stock.supply_expected"
    about = "supply.id"
    supply: Expected
    at: datetime


class SupplyRescheduled(Event, frozen=True, kw_only=True):
    """What is still to come of a supply comes at another time."""

    name = "stock.supply_rescheduled"
    about = "supply"
    supply: str
    due_at: datetime
    at: datetime


class SupplyCancelled(Event, frozen=True, kw_only=True):
    """So many units of a supply do not come."""

    name = "stock.supply_cancelled"
    about = "supply"
    supply: str
    quantity: Decimal
    at: datetime


class SupplyReceived(Event, frozen=True, kw_only=True):
    """So many units of a supply came in."""

    name = "stock.supply_received"
    about = "supply"
    supply: str
    quantity: Decimal
    at: datetime


class SupplyNoticed(Event, frozen=True, kw_only=True):
    """A supply's due time passed without a receipt, and its case says so. due_at: the time that passed."""

    name = "stock.supply_noticed"
    about = "supply"
    supply: str
    due_at: datetime
    at: datetime


class DemandPegged(Event, frozen=True, kw_only=True):
    """Units of a holder (`ord_...`) wait; each peg gets the next number of its line."""

    name = "stock.demand_pegged"
    about = "holder"
    holder: str
    pegs: tuple[Peg, ...]
    reason: str
    at: datetime


class DemandUnpegged(Event, frozen=True, kw_only=True):
    """Units no longer wait there: filled, cancelled, arrived, or pegged elsewhere."""

    name = "stock.demand_unpegged"
    about = "holder"
    holder: str
    pegs: tuple[Unpeg, ...]
    reason: str
    at: datetime


EVENTS = (
    SupplyExpected,
    SupplyRescheduled,
    SupplyCancelled,
    SupplyReceived,
    SupplyNoticed,
    DemandPegged,
    DemandUnpegged,
)


class OpenSupply(msgspec.Struct):
    """One supply while its batch runs; in the order of its columns."""

    id: str
    item: str
    location: str
    quantity: Decimal
    received: Decimal
    cancelled: Decimal
    pegged: Decimal
    due_at: datetime
    reference: str
    source: str
    noticed_due_at: datetime | None = None
    version: int = 1

    @property
    def open(self) -> Decimal:
        """Units still to come."""
        return self.quantity - self.received - self.cancelled

    @property
    def free(self) -> Decimal:
        """Units still to come that nobody waits for."""
        return self.open - self.pegged


class OpenPeg(msgspec.Struct):
    """A peg that still waits; in the order of its columns."""

    holder: str
    line: int
    number: int
    item: str
    location: str
    supply: str | None
    quantity: Decimal
    due_at: datetime | None
    promised_at: datetime | None
    since: datetime

    @property
    def place_in_row(self) -> tuple[datetime, str, int, int]:
        """What first come, first served goes by."""
        return (self.since, self.holder, self.line, self.number)


class SupplyPlaces(Slice):
    """Where supplies that commands name by id are to come: it never changes, so nothing is locked for it."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self.places: dict[str, tuple[str, str]] = {}

    def want(self, supply: str) -> None:
        """Ask for the item's id and the location's code of a supply."""
        self._ids.add(supply)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read them."""
        if self._ids:
            ids, self._ids = sorted(self._ids), set()
            answers = yield [Statement(rows.READ_SUPPLY_PLACES, [ids])]
            self.places.update({id_: (item, code) for id_, item, code in answers[0]})


class Supply(Slice):
    """Supply to come and pegs that a batch needs; `want_*` before loading, then plain lookups."""

    late = True

    def __init__(self) -> None:
        self._places: set[Place] = set()
        self._holders: set[str] = set()
        self._ids: set[str] = set()
        self._arrivals: set[tuple[str, str, str]] = set()
        self._units: defaultdict[Place, Decimal] = defaultdict(lambda: ZERO)
        self.backlogs: dict[Place, Decimal] = {}
        self.supplies: dict[str, OpenSupply] = {}
        self.pegs: dict[str, dict[tuple[int, int], OpenPeg]] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._known_places: set[Place] = set()
        self._known_supplies: set[str] = set()
        self._changed_places: set[Place] = set()
        self._changed_supplies: set[str] = set()
        self._peg_rows: list[tuple[Any, ...]] = []
        self._changed_pegs: set[tuple[str, int, int]] = set()

    def meet(self, state: State) -> None:
        """Let the stock see who waits: what comes in is theirs before anybody else may claim it."""
        limits = state.of(Stock).limits
        limits.backlogs, limits.pegs = self.backlogs, self.pegs

    def want(self, key: str, code: str) -> None:
        """Ask for the open supply of the item that answers to `key` at the location of this code."""
        self._places.add((key, code))

    def want_pegs(self, holder: str) -> None:
        """Ask for a holder's pegs, and for who comes next where it gives units back."""
        self._holders.add(holder)

    def want_supply(self, supply: str) -> None:
        """Ask for one supply, whoever waits for it, and who could."""
        self._ids.add(supply)

    def want_arrival(self, reference: str, key: str, code: str) -> None:
        """Ask for the supply of an item at a place, and who waits for what comes under this reference."""
        self._places.add((key, code))
        self._arrivals.add((reference, key, code))

    def want_undated(self, key: str, code: str, units: Decimal) -> None:
        """Ask for the first of those who wait at a place with no supply, to whom so many more units could go."""
        self._places.add((key, code))
        self._units[key, code] += units

    def supplies_at(self, item: str, location: str) -> list[OpenSupply]:
        """Return the open supply of a place, earliest due first."""
        found = (s for s in self.supplies.values() if (s.item, s.location) == (item, location) and s.open > 0)
        return sorted(found, key=lambda supply: (supply.due_at, supply.id))

    def pegs_of(self, holder: str) -> list[OpenPeg]:
        """Return a holder's open pegs by line and number."""
        held = self.pegs.get(holder, {})
        return [held[key] for key in sorted(held) if held[key].quantity > 0]

    def pegs_on(self, supply: str) -> list[OpenPeg]:
        """Return who waits for a supply, first come first."""
        return self._in_row(lambda peg: peg.supply == supply)

    def undated_at(self, item: str, location: str) -> list[OpenPeg]:
        """Return who waits at a place for nothing that is known to come, first come first."""
        return self._in_row(
            lambda peg: peg.supply is None and peg.due_at is None and (peg.item, peg.location) == (item, location)
        )

    def waiting_at(self, item: str, location: str) -> Decimal:
        """Return the units that wait at a place and that no supply to come covers: stock that comes is theirs first."""
        return self.backlogs.get((item, location), ZERO)

    def _in_row(self, wanted: Any) -> list[OpenPeg]:
        found = (peg for held in self.pegs.values() for peg in held.values() if peg.quantity > 0 and wanted(peg))
        return sorted(found, key=lambda peg: peg.place_in_row)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the places in key order, and in the next statements read what those locks guard.

        Raises Reload when something moved to another place between naming the places and locking them.
        """
        if not (self._places or self._holders or self._ids):
            return
        places, self._places = sorted(self._places), set()
        holders, self._holders = sorted(self._holders), set()
        ids, self._ids = sorted(self._ids), set()
        arrivals, self._arrivals = sorted(self._arrivals), set()
        units, self._units = sorted(self._units.items()), defaultdict(lambda: ZERO)
        named = [[key for key, _ in places], [code for _, code in places], holders, ids]
        answers = yield [
            Statement(rows.LOCK_BACKLOGS if lock else rows.READ_BACKLOGS, named),
            Statement(rows.READ_SUPPLIES, [*named, ids]),
            Statement(
                rows.READ_PEGS,
                [
                    holders, ids, [a for a, _, _ in arrivals], [k for _, k, _ in arrivals], [c for _, _, c in arrivals],
                    [key for (key, _), _ in units], [code for (_, code), _ in units], [n for _, n in units],
                    ids, holders,
                ],
            ),
            Statement(rows.READ_NUMBERS, [holders]),
        ]  # fmt: skip
        self._take(answers)

    def _take(self, answers: list[Rows]) -> None:
        for item, location, waiting in answers[0]:
            self.backlogs[item, location] = waiting
            self._known_places.add((item, location))
        for row in answers[1]:
            supply = OpenSupply(*row)
            self._demand_locked(supply.item, supply.location)
            self.supplies[supply.id] = supply
            self._known_supplies.add(supply.id)
        for *columns, last in answers[2]:
            peg = OpenPeg(*columns)
            self._demand_locked(peg.item, peg.location)
            self.pegs.setdefault(peg.holder, {})[peg.line, peg.number] = peg
            self._numbers[peg.holder, peg.line] = last
        for holder, line, last in answers[3]:
            self._numbers[holder, line] = last

    def _demand_locked(self, item: str, location: str) -> None:
        if (item, location) not in self._known_places:
            raise Reload(f"{item} at {location} came into it meanwhile")

    def takes(self) -> Takes:
        """Take what is said of supply, and who waits for it, in."""
        return {
            SupplyExpected: self._expected,
            SupplyRescheduled: lambda e: self._change(e.supply, due_at=e.due_at),
            SupplyCancelled: lambda e: self._change(e.supply, cancelled=e.quantity),
            SupplyReceived: lambda e: self._change(e.supply, received=e.quantity),
            SupplyNoticed: lambda e: self._change(e.supply, noticed_due_at=e.due_at),
            DemandPegged: self._pegged,
            DemandUnpegged: self._unpegged,
        }

    def _expected(self, event: SupplyExpected) -> None:
        told = event.supply
        self.supplies[told.id] = OpenSupply(
            told.id, told.item, told.location, told.quantity, ZERO, ZERO, ZERO, told.due_at, told.reference, told.source
        )
        self._changed_supplies.add(told.id)
        self._wait(told.item, told.location, ZERO)

    def _change(self, id_: str, **changes: Any) -> None:
        supply = self.supplies[id_]
        for name, value in changes.items():
            counted = isinstance(value, Decimal)
            setattr(supply, name, getattr(supply, name) + value if counted else value)
        supply.version += 1
        self._changed_supplies.add(id_)

    def _wait(self, item: str, location: str, units: Decimal) -> None:
        self.backlogs[item, location] = self.backlogs.get((item, location), ZERO) + units
        self._changed_places.add((item, location))

    def _pegged(self, event: DemandPegged) -> None:
        for peg in event.pegs:
            number = self._next(event.holder, peg.line)
            opened = OpenPeg(
                event.holder, peg.line, number, peg.item, peg.location, peg.supply, peg.quantity, peg.due_at,
                peg.promised_at, peg.since,
            )  # fmt: skip
            self.pegs.setdefault(event.holder, {})[peg.line, number] = opened
            self._count(opened, peg.quantity, number, None, event.reason, event.at)

    def _unpegged(self, event: DemandUnpegged) -> None:
        for unpeg in event.pegs:
            # Only what waits can stop waiting: a release of anything else breaks here, and is quarantined.
            peg = self.pegs[event.holder][unpeg.line, unpeg.number]
            peg.quantity -= unpeg.quantity
            number = self._next(event.holder, unpeg.line)
            self._count(peg, -unpeg.quantity, number, unpeg.number, event.reason, event.at)

    def _next(self, holder: str, line: int) -> int:
        number = self._numbers[holder, line] = self._numbers.get((holder, line), 0) + 1
        return number

    def _count(
        self, peg: OpenPeg, units: Decimal, number: int, releases: int | None, reason: str, at: datetime
    ) -> None:
        if peg.supply is None:
            self._wait(peg.item, peg.location, units)
        else:
            self._wait(peg.item, peg.location, ZERO)
            self._change(peg.supply, pegged=units)
        self._changed_pegs.add((peg.holder, peg.line, peg.number))
        self._peg_rows.append(
            (peg.holder, peg.line, number, releases, peg.item, peg.location, peg.supply, units, peg.due_at,
             peg.promised_at, peg.since, reason, at)
        )  # fmt: skip

    def rebuilt(self) -> list[Rebuilt]:
        """Return the backlogs, the supplies, and the open pegs."""
        supplies = {(s.id,): msgspec.structs.astuple(s)[1:] for s in self.supplies.values()}
        waiting = {
            (peg.holder, peg.line, peg.number): msgspec.structs.astuple(peg)[3:]
            for holder in self.pegs
            for peg in self.pegs_of(holder)
        }
        return [
            Rebuilt("backlog", rows.ALL_BACKLOGS, {place: (units,) for place, units in self.backlogs.items()}),
            Rebuilt("supply", rows.ALL_SUPPLIES, supplies),
            Rebuilt("peg", rows.ALL_WAITING, waiting),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the net change of places, supplies and open pegs, and the pegs and releases behind it."""
        statements = []
        places = sorted(self._changed_places)
        for sql, known in ((rows.INSERT_BACKLOGS, False), (rows.UPDATE_BACKLOGS, True)):
            chosen = [place for place in places if (place in self._known_places) is known]
            if chosen:
                waiting = [self.backlogs[place] for place in chosen]
                statements.append(Statement(sql, [[i for i, _ in chosen], [at for _, at in chosen], waiting]))
        changed = sorted(self._changed_supplies)
        for sql, known in ((rows.INSERT_SUPPLIES, False), (rows.UPDATE_SUPPLIES, True)):
            found = [
                msgspec.structs.astuple(self.supplies[id_]) for id_ in changed if (id_ in self._known_supplies) is known
            ]
            if found:
                statements.append(Statement(sql, [list(column) for column in zip(*found, strict=True)]))
        if self._peg_rows:
            pegs = [self.pegs[holder][line, number] for holder, line, number in sorted(self._changed_pegs)]
            ended = [(peg.holder, peg.line, peg.number) for peg in pegs if peg.quantity == 0]
            still = [msgspec.structs.astuple(peg) for peg in pegs if peg.quantity > 0]
            statements.append(rows.insert_pegs(self._peg_rows))
            statements += [rows.delete_waiting(ended)] if ended else []
            statements += [rows.upsert_waiting(still)] if still else []
        return statements
