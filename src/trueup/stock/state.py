"""The stock's rows in one batch: balances locked in key order, the claims on them, and what moves.

Availability for a request is `on_hand - reserved - allocated - safety`. `reserved + allocated <= on_hand + owed` holds
always; `owed` rises only by a fact that took away what was promised, and falls as soon as stock covers it again.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.core.batch import Reload
from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, of_kind
from trueup.stock import rows

Account = Literal["supplier", "on_hand", "in_transit", "shipped", "returned", "scrapped", "shortage", "adjustment"]
ClaimKind = Literal["reservation", "allocation"]
Place = tuple[str, str]


class Claim(msgspec.Struct, array_like=True, frozen=True):
    """Units of one item at one location claimed for a holder's line."""

    line: int
    item: str
    location: str
    quantity: Decimal


class Move(msgspec.Struct, array_like=True, frozen=True):
    """Units of one item going from one account to another; `on_hand` names its location."""

    item: str
    quantity: Decimal
    from_account: Account
    from_location: str | None
    to_account: Account
    to_location: str | None


class StockReserved(Event, frozen=True, kw_only=True):
    """Units were claimed for a holder (`ord_...`, `rsv_...`). expires_at: None for an order's claim."""

    name = "stock.reserved"
    about = "holder"
    holder: str
    claims: tuple[Claim, ...]
    at: datetime
    expires_at: datetime | None = None


class ClaimsReleased(Event, frozen=True, kw_only=True):
    """Claimed units are free again. reason: `cancelled`, `released` or `expired`."""

    name = "stock.claims_released"
    about = "holder"
    holder: str
    claims: tuple[Claim, ...]
    reason: str
    at: datetime


class StockMoved(Event, frozen=True, kw_only=True):
    """Goods changed accounts. reference: the document that says so, which timelines are read by."""

    name = "stock.moved"
    about = "reference"
    reference: str
    reason: str
    moves: tuple[Move, ...]
    at: datetime


class SafetyStockSet(Event, frozen=True, kw_only=True):
    """So many units of an item at a location are not promised."""

    name = "stock.safety_set"
    about = "item"
    item: str
    location: str
    quantity: Decimal
    at: datetime


EVENTS = (StockReserved, ClaimsReleased, StockMoved, SafetyStockSet)


class Balance:
    """One (item, location) while its batch runs; units."""

    __slots__ = ("allocated", "is_new", "on_hand", "owed", "reserved", "safety", "version")

    def __init__(
        self,
        on_hand: Decimal = ZERO,
        reserved: Decimal = ZERO,
        allocated: Decimal = ZERO,
        owed: Decimal = ZERO,
        safety: Decimal = ZERO,
        version: int = 0,
    ) -> None:
        self.on_hand = on_hand
        self.reserved = reserved
        self.allocated = allocated
        self.owed = owed
        self.safety = safety
        self.version = version
        self.is_new = version == 0

    def available(self) -> Decimal:
        """Return what a request may still claim; below zero where more is promised than there is."""
        return self.on_hand - self.reserved - self.allocated - self.safety

    def cover(self) -> None:
        """Owe exactly what is promised beyond what is on hand; called after facts and releases, never after a claim."""
        self.owed = max(ZERO, self.reserved + self.allocated - self.on_hand)


class OpenClaim:
    """What a holder's line still claims at one place. number: of the last row of this (holder, line)."""

    __slots__ = ("expires_at", "item", "kind", "location", "number", "quantity")

    def __init__(
        self, item: str, location: str, kind: ClaimKind, quantity: Decimal, number: int, expires_at: datetime | None
    ) -> None:
        self.item = item
        self.location = location
        self.kind = kind
        self.quantity = quantity
        self.number = number
        self.expires_at = expires_at


class Stock(Slice):
    """Balances and claims a batch needs."""

    def __init__(self) -> None:
        self._places: set[tuple[str, str]] = set()
        self._holders: set[str] = set()
        self.balances: dict[Place, Balance] = {}
        self.claims: dict[str, dict[int, OpenClaim]] = {}
        self._changed: set[Place] = set()
        self._claim_rows: list[tuple[Any, ...]] = []
        self._expiring: dict[tuple[str, int], OpenClaim] = {}
        self._ended: set[tuple[str, int]] = set()
        self._moves: list[tuple[Any, ...]] = []

    def want(self, key: str, code: str) -> None:
        """Ask for the balance of the item that answers to `key` at the location of this code."""
        self._places.add((key, code))

    def want_claims(self, holder: str) -> None:
        """Ask for a holder's claims and the balances they lie on."""
        self._holders.add(holder)

    def balance(self, item: str, location: str) -> Balance:
        """Return the balance; a place that never had this item has an empty one."""
        return self.balances.get((item, location)) or Balance()

    def open_claims(self, holder: str) -> dict[int, OpenClaim]:
        """Return a holder's open claims by line."""
        return {line: claim for line, claim in self.claims.get(holder, {}).items() if claim.quantity > 0}

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the balances in key order, and in the next statements read what those locks guard.

        Raises Reload when a holder's claims moved to another place between naming the balances and locking them.
        """
        if not self._places and not self._holders:
            return
        places = sorted(self._places)
        wanted = [[key for key, _ in places], [code for _, code in places], sorted(self._holders)]
        answers = yield [
            Statement(rows.LOCK_BALANCES if lock else rows.READ_BALANCES, wanted),
            Statement(rows.READ_CLAIMS, [sorted(self._holders)]),
            Statement(rows.READ_EXPIRING, [*wanted, now]),
        ]
        for item, location, *columns in answers[0]:
            self.balances[item, location] = Balance(*columns)
        self._take_claims(answers[1])
        self._take_claims(answers[2])

    def _take_claims(self, claims: Rows) -> None:
        for holder, line, item, location, kind, quantity, number, expires_at in claims:
            if quantity > 0 and (item, location) not in self.balances:
                raise Reload(f"the claims of {holder} moved to {location}")
            claim = OpenClaim(item, location, kind, quantity, number, expires_at)
            self.claims.setdefault(holder, {})[line] = claim

    def due(self, now: datetime) -> list[Event]:
        """Return the releases of claims that expired: they stopped counting then, and are written off now."""
        events: list[Event] = []
        for holder, lines in sorted(self.claims.items()):
            expired = tuple(
                Claim(line, claim.item, claim.location, claim.quantity)
                for line, claim in sorted(lines.items())
                if claim.quantity > 0 and claim.expires_at is not None and claim.expires_at <= now
            )
            if expired:
                events.append(ClaimsReleased(holder=holder, claims=expired, reason="expired", at=now))
        return events

    def evolve(self, event: Event) -> None:
        """Take a claim, a release, a movement or a safety stock in."""
        of_kind(
            event,
            {
                StockReserved: self._reserved,
                ClaimsReleased: self._released,
                StockMoved: self._moved,
                SafetyStockSet: self._safety,
            },
        )

    def _touch(self, item: str, location: str) -> Balance:
        balance = self.balances.get((item, location))
        if balance is None:
            balance = self.balances[item, location] = Balance()
        self._changed.add((item, location))
        return balance

    def _reserved(self, event: StockReserved) -> None:
        lines = self.claims.setdefault(event.holder, {})
        for claim in event.claims:
            self._touch(claim.item, claim.location).reserved += claim.quantity
            before = lines.get(claim.line)
            number = before.number + 1 if before else 1
            held = before.quantity if before else ZERO
            lines[claim.line] = OpenClaim(
                claim.item, claim.location, "reservation", held + claim.quantity, number, event.expires_at
            )
            self._record(event.holder, claim, number, claim.quantity, "reserved", event.expires_at, event.at)

    def _released(self, event: ClaimsReleased) -> None:
        lines = self.claims.setdefault(event.holder, {})
        for claim in event.claims:
            balance = self._touch(claim.item, claim.location)
            balance.reserved -= claim.quantity
            balance.cover()
            open_claim = lines[claim.line]
            open_claim.quantity -= claim.quantity
            open_claim.number += 1
            self._record(event.holder, claim, open_claim.number, -claim.quantity, event.reason, None, event.at)

    def _record(
        self, holder: str, claim: Claim, number: int, quantity: Decimal, reason: str,
        expires_at: datetime | None, at: datetime,
    ) -> None:  # fmt: skip
        self._claim_rows.append(
            (holder, claim.line, number, claim.item, claim.location, "reservation", quantity, reason, expires_at, at)
        )
        open_claim = self.claims[holder][claim.line]
        if open_claim.expires_at is None:
            return
        key = (holder, claim.line)
        self._ended.add(key)
        self._expiring.pop(key, None)
        if open_claim.quantity > 0:
            self._expiring[key] = open_claim

    def _moved(self, event: StockMoved) -> None:
        for move in event.moves:
            if move.from_account == "on_hand" and move.from_location is not None:
                balance = self._touch(move.item, move.from_location)
                balance.on_hand -= move.quantity
                balance.cover()
            if move.to_account == "on_hand" and move.to_location is not None:
                balance = self._touch(move.item, move.to_location)
                balance.on_hand += move.quantity
                balance.cover()
            self._moves.append((move, event.reason, event.reference, event.at))

    def _safety(self, event: SafetyStockSet) -> None:
        self._touch(event.item, event.location).safety = event.quantity

    def rebuilt(self) -> list[Rebuilt]:
        """Return the balances and the open claims."""
        balances = {place: (b.on_hand, b.reserved, b.allocated, b.owed, b.safety) for place, b in self.balances.items()}
        claims = {
            (holder, line): (c.item, c.location, c.kind, c.quantity, c.number, c.expires_at)
            for holder in self.claims
            for line, c in self.open_claims(holder).items()
        }
        return [Rebuilt("balance", rows.ALL_BALANCES, balances), Rebuilt("claim", rows.ALL_OPEN_CLAIMS, claims)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the net new balances, and the claims and movements behind them."""
        statements = []
        if self._changed:
            places = sorted(self._changed)
            new = [place for place in places if self.balances[place].is_new]
            known = [place for place in places if not self.balances[place].is_new]
            statements += rows.write_balances(rows.INSERT_BALANCES, new, self.balances)
            statements += rows.write_balances(rows.UPDATE_BALANCES, known, self.balances)
        if self._claim_rows:
            statements.append(rows.insert_claims(self._claim_rows))
        if self._ended:
            statements.append(rows.delete_expiring(sorted(self._ended)))
        if self._expiring:
            statements.append(rows.insert_expiring(self._expiring))
        if self._moves:
            statements.append(rows.insert_moves(batch.id, self._moves))
        return statements
