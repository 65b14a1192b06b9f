"""The stock's rows in one batch: balances locked in key order, the claims on them, and what moves.

Availability for a request is `on_hand - reserved - allocated - safety`. `reserved + allocated <= on_hand + owed` holds
always; `owed` rises only by a fact that took away what was promised, and falls as soon as stock covers it again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.core.batch import Reload
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes
from trueup.stock import rows
from trueup.stock.limits import LIMITING, Limits, PoolSet

Bucket = Literal["on_hand", "damaged", "quality", "quarantined"]
Account = Literal[
    "supplier", "on_hand", "in_transit", "shipped", "returned", "scrapped", "shortage", "adjustment",
    "damaged", "quality", "quarantined", "assembly", "supplier_reported",
]  # fmt: skip
BUCKETS: frozenset[str] = frozenset({"on_hand", "damaged", "quality", "quarantined"})
"""The accounts that a balance holds; only on hand is promised."""
ClaimKind = Literal["reservation", "allocation"]
Place = tuple[str, str]
ClaimKey = tuple[int, str, str, ClaimKind, str]


class Claim(msgspec.Struct, array_like=True, frozen=True):
    """Units of one item at one location claimed for a holder's line.

    lot: of an allocation, where the item has lots. kit: of a part of a phantom kit, the kit's item.
    """

    line: int
    item: str
    location: str
    quantity: Decimal
    kind: ClaimKind = "reservation"
    lot: str = ""
    kit: str = ""

    @property
    def key(self) -> ClaimKey:
        """What adds up to one open claim of its holder."""
        return (self.line, self.item, self.location, self.kind, self.lot)


class Move(msgspec.Struct, array_like=True, frozen=True):
    """Units of one item going from one account to another; a bucket names its location.

    lot: where the item is tracked, `?` if nobody identified it. expires_on: of what comes in, the last day it is good.
    """

    item: str
    quantity: Decimal
    from_account: Account
    from_location: str | None
    to_account: Account
    to_location: str | None
    lot: str = ""
    expires_on: date | None = None


class StockReserved(Event, frozen=True, kw_only=True):
    """Units were claimed for a holder (`ord_...`, `rsv_...`). expires_at: None for an order's claim.

    channel: whose pools they count in, as do their releases later; empty where nobody said.
    """

    name = "stock.reserved"
    about = "holder"
    holder: str
    claims: tuple[Claim, ...]
    at: datetime
    expires_at: datetime | None = None
    channel: str = ""


class StockAllocated(Event, frozen=True, kw_only=True):
    """Units were claimed for good, at the places that will ship them. replaces: the claims that gave way to these."""

    name = "stock.allocated"
    about = "holder"
    holder: str
    claims: tuple[Claim, ...]
    at: datetime
    replaces: tuple[Claim, ...] = ()
    channel: str = ""


class ClaimsReleased(Event, frozen=True, kw_only=True):
    """Claimed units are free again. reason: `cancelled`, `released`, `expired`, or why a location rejected them."""

    name = "stock.claims_released"
    about = "holder"
    holder: str
    claims: tuple[Claim, ...]
    reason: str
    at: datetime


class StockMoved(Event, frozen=True, kw_only=True):
    """Goods changed accounts. reference: the document that says so, which timelines are read by.

    effective_at: since when it was so, where that was earlier (a count); None is `at`.
    """

    name = "stock.moved"
    about = "reference"
    reference: str
    reason: str
    moves: tuple[Move, ...]
    at: datetime
    effective_at: datetime | None = None


class SafetyStockSet(Event, frozen=True, kw_only=True):
    """So many units of an item at a location are not promised."""

    name = "stock.safety_set"
    about = "item"
    item: str
    location: str
    quantity: Decimal
    at: datetime


EVENTS = (StockReserved, StockAllocated, ClaimsReleased, StockMoved, SafetyStockSet)


class Balance:
    """One (item, location) while its batch runs; units.

    expired: of on hand, in lots past their date today; they are not promised. No column: the lots say it.
    """

    __slots__ = (
        "allocated", "damaged", "expired", "is_new", "on_hand", "owed", "quality", "quarantined", "reserved", "safety",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        on_hand: Decimal = ZERO,
        reserved: Decimal = ZERO,
        allocated: Decimal = ZERO,
        owed: Decimal = ZERO,
        safety: Decimal = ZERO,
        version: int = 0,
        damaged: Decimal = ZERO,
        quality: Decimal = ZERO,
        quarantined: Decimal = ZERO,
    ) -> None:
        self.on_hand = on_hand
        self.reserved = reserved
        self.allocated = allocated
        self.owed = owed
        self.safety = safety
        self.version = version
        self.damaged = damaged
        self.quality = quality
        self.quarantined = quarantined
        self.expired = ZERO
        self.is_new = version == 0

    def available(self) -> Decimal:
        """Return what a request may still claim; below zero where more is promised than there is."""
        return self.on_hand - self.expired - self.reserved - self.allocated - self.safety

    def of(self, bucket: Bucket) -> Decimal:
        """Return the units in a bucket."""
        units: Decimal = getattr(self, bucket)
        return units

    def cover(self) -> None:
        """Owe exactly what is promised beyond what is on hand; called after facts, never after a claim."""
        self.owed = max(ZERO, self.reserved + self.allocated - self.on_hand)

    def uncover(self) -> None:
        """Owe no more than is missing; called after claims were given back, so that a request never raises it."""
        self.owed = min(self.owed, max(ZERO, self.reserved + self.allocated - self.on_hand))

    def claim(self, kind: ClaimKind, quantity: Decimal) -> None:
        """Take a claim in, or with a negative quantity its release."""
        if kind == "reservation":
            self.reserved += quantity
        else:
            self.allocated += quantity


class OpenClaim(msgspec.Struct):
    """What a holder's line still claims at one place, in units. expires_at: of a cart's; None for an order's.

    channel: it was claimed through. kit: the phantom kit it is a part of.
    """

    line: int
    item: str
    location: str
    kind: ClaimKind
    lot: str
    quantity: Decimal
    expires_at: datetime | None
    channel: str = ""
    kit: str = ""

    def units(self, quantity: Decimal | None = None) -> Claim:
        """Return it, or so many units of it, as an event names it."""
        taken = self.quantity if quantity is None else quantity
        return Claim(self.line, self.item, self.location, taken, self.kind, self.lot, self.kit)


class Stock(Slice):
    """Balances and claims a batch needs."""

    late = True

    def __init__(self) -> None:
        self._places: set[tuple[str, str]] = set()
        self._holders: set[str] = set()
        self._ids: set[Place] = set()
        self.limits = Limits()
        self.balances: dict[Place, Balance] = {}
        self._places_of: dict[str, list[str]] = {}
        self.claims: dict[str, dict[ClaimKey, OpenClaim]] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._changed: set[Place] = set()
        self._claim_rows: list[tuple[Any, ...]] = []
        self._expiring: dict[tuple[str, ClaimKey], OpenClaim] = {}
        self._ended: set[tuple[str, ClaimKey]] = set()
        self._moves: list[tuple[Move, StockMoved]] = []
        self._expired_lots: dict[Place, set[str]] = {}

    def want(self, key: str, code: str) -> None:
        """Ask for the balance of the item that answers to `key` at the location of this code."""
        self._places.add((key, code))

    def want_at(self, item: str, location: str) -> None:
        """Ask for a balance by the ids of item and location."""
        self._ids.add((item, location))

    def want_claims(self, holder: str) -> None:
        """Ask for a holder's claims and the balances they lie on."""
        self._holders.add(holder)

    def want_everywhere(self, item: str) -> None:
        """Ask for all balances of an item (its id) that have something on hand."""
        self._ids.add((item, "*"))

    def balance(self, item: str, location: str) -> Balance:
        """Return the balance; a place that never had this item has an empty one."""
        return self.balances.get((item, location)) or Balance()

    def available(self, item: str, location: str, channel: str = "", mine: Decimal = ZERO) -> Decimal:
        """Return the units that a request of this channel may still claim at a place; mine: that it waits for there."""
        place, limits = (item, location), self.limits
        balance = self.balances.get(place) or Balance()
        return limits.available(balance, place, channel, mine) if limits.found else balance.available()

    def under(self, policies: Policies) -> None:
        """Take the confidence buffers in force."""
        self.limits.under(policies)

    def want_scope(self, location: str, items: tuple[str, ...]) -> None:
        """Ask for a site's balances to be locked, of these items or of all where none is named: a freeze starts."""
        self.limits.scopes[location] = items

    def available_to(
        self, holder: str, item: str, location: str, channel: str = "", lines: Collection[int] | None = None
    ) -> Decimal:
        """Return the units that a holder may allocate at a place: what is free to it, and what it reserved there.

        Its own count as far as stock covers them, even if safety stock was raised over them. lines: only theirs count.
        """
        held = [c for c in self.claims.get(holder, {}).values() if lines is None or c.line in lines]
        here = (item, location, "reservation")
        own = sum((c.quantity for c in held if (c.item, c.location, c.kind) == here), ZERO)
        free = self.available(item, location, channel, self.limits.waits(holder, (item, location), lines))
        return max(free + own, min(own, own - self.balance(item, location).owed))

    def places_of(self, item: str) -> list[str]:
        """Return the locations that have a balance of an item, as far as this batch loaded them."""
        return self._places_of.get(item, [])

    def open_claims(self, holder: str) -> list[OpenClaim]:
        """Return a holder's open claims by line, item and location."""
        held = self.claims.get(holder, {})
        return [held[key] for key in sorted(held) if held[key].quantity > 0]

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the balances in key order, and in the next statements read what those locks guard.

        Raises Reload when a holder's claims moved to another place between naming the balances and locking them.
        """
        if not self._places and not self._holders and not self._ids and not self.limits.scopes:
            return
        places, self._places = sorted(self._places), set()
        holders, self._holders = sorted(self._holders), set()
        wanted: list[Any] = [[key for key, _ in places], [code for _, code in places], holders]
        balances, expiring = (rows.LOCK_BALANCES if lock else rows.READ_BALANCES), rows.READ_EXPIRING
        if self._ids:
            ids, self._ids = sorted(self._ids), set()
            wanted += [[item for item, _ in ids], [location for _, location in ids]]
            balances, expiring = rows.by_id_too(balances), rows.by_id_too(expiring)
        answers = yield [
            Statement(balances, wanted),
            Statement(rows.READ_CLAIMS, [holders]),
            Statement(expiring, [*wanted, now.date().isoformat(), *wanted[2:], now, *wanted[2:]]),
            *self.limits.reads(wanted, now, lock=lock),
        ]
        for item, location, *columns in answers[0]:
            self.balances[item, location] = Balance(*columns)
            self._places_of.setdefault(item, []).append(location)
        self._take_claims(answers[1])
        self._take_claims(answers[2])
        self.limits.take(answers[3:])

    def _take_claims(self, claims: Rows) -> None:
        for holder, line, item, location, kind, lot, quantity, number, expires_at, channel, kit in claims:
            if kind == "waiting":
                self.limits.waiting[item, location] = quantity
                continue
            if kind == "lot":
                self.balances[item, location].expired += quantity
                self._expired_lots.setdefault((item, location), set()).add(lot)
                continue
            self._numbers[holder, line] = number
            if quantity > 0 and (item, location) not in self.balances:
                raise Reload(f"the claims of {holder} moved to {location}")
            claim = OpenClaim(line, item, location, kind, lot, quantity, expires_at, channel, kit)
            self.claims.setdefault(holder, {})[line, item, location, kind, lot] = claim

    def due(self, now: datetime, among: Collection[str] | None = None) -> list[Event]:
        """Return the releases of claims that expired, of these holders: they stopped counting then, and go now."""
        self.limits.at(now)
        events: list[Event] = []
        for holder in sorted(self.claims if among is None else among):
            held = self.open_claims(holder)
            expired = tuple(c.units() for c in held if c.expires_at is not None and c.expires_at <= now)
            if expired:
                events.append(ClaimsReleased(holder=holder, claims=expired, reason="expired", at=now))
        return events

    def takes(self) -> Takes:
        """Take a claim, a release, a movement, a safety stock, or what limits claims in."""
        return {
            StockReserved: self._reserved,
            StockAllocated: self._allocated,
            ClaimsReleased: self._released,
            StockMoved: self._moved,
            SafetyStockSet: self._safety,
            **dict.fromkeys(LIMITING, self._limited),
        }

    def _limited(self, event: Event) -> None:
        if isinstance(event, PoolSet):
            self._touch(event.item, event.location)
        self.limits.evolve(event, self.balances)

    def _touch(self, item: str, location: str) -> Balance:
        balance = self.balances.get((item, location))
        if balance is None:
            balance = self.balances[item, location] = Balance()
            self._places_of.setdefault(item, []).append(location)
        self._changed.add((item, location))
        return balance

    def _reserved(self, event: StockReserved) -> None:
        for claim in event.claims:
            self._touch(claim.item, claim.location).claim("reservation", claim.quantity)
            self._record(event.holder, claim, claim.quantity, "reserved", event.expires_at, event.at, event.channel)

    def _allocated(self, event: StockAllocated) -> None:
        for claim in event.replaces:
            self._touch(claim.item, claim.location).claim(claim.kind, -claim.quantity)
            self._record(event.holder, claim, -claim.quantity, "allocated", None, event.at)
        for claim in event.claims:
            self._touch(claim.item, claim.location).claim(claim.kind, claim.quantity)
            self._record(event.holder, claim, claim.quantity, "allocated", None, event.at, event.channel)
        for claim in event.replaces:
            self.balances[claim.item, claim.location].uncover()

    def _released(self, event: ClaimsReleased) -> None:
        for claim in event.claims:
            balance = self._touch(claim.item, claim.location)
            balance.claim(claim.kind, -claim.quantity)
            balance.uncover()
            self._record(event.holder, claim, -claim.quantity, event.reason, None, event.at)

    def _record(
        self,
        holder: str,
        claim: Claim,
        quantity: Decimal,
        reason: str,
        expires_at: datetime | None,
        at: datetime,
        channel: str = "",
    ) -> None:
        held = self.claims.setdefault(holder, {})
        key = line, item, location, kind, lot = claim.key
        # Only what is claimed can be given back: a release of anything else breaks here, and is quarantined.
        open_claim = held[key] if quantity < 0 else held.get(key)
        if open_claim is None:
            open_claim = held[key] = self._opened(held, claim, expires_at, channel)
        open_claim.quantity += quantity
        if quantity > 0:
            open_claim.expires_at = expires_at
        number = self._numbers[holder, line] = self._numbers.get((holder, line), 0) + 1
        self._claim_rows.append(
            (holder, line, number, item, location, kind, lot, quantity, reason, expires_at, at, open_claim.channel,
             open_claim.kit)
        )  # fmt: skip
        if open_claim.channel and (self.limits.pools or self.limits.uses):
            self.limits.claimed(open_claim, quantity)
        if open_claim.expires_at is None:
            return
        self._ended.add((holder, key))
        self._expiring.pop((holder, key), None)
        if open_claim.quantity > 0:
            self._expiring[holder, key] = open_claim

    def _opened(
        self, held: dict[ClaimKey, OpenClaim], claim: Claim, expires_at: datetime | None, channel: str
    ) -> OpenClaim:
        """Return a claim of nothing yet: a holder's claims all count in one channel, and a line's part in one kit."""
        kit = claim.kit
        if held:
            channel = channel or next(iter(held.values())).channel
            if claim.kind == "allocation" and not kit:
                kit = next((c.kit for c in held.values() if (c.line, c.item) == (claim.line, claim.item)), "")
        return OpenClaim(*claim.key, ZERO, expires_at, channel, kit)

    def _moved(self, event: StockMoved) -> None:
        for move in event.moves:
            if move.from_location is not None and move.from_account in BUCKETS:
                self._post(move, move.from_account, move.from_location, -move.quantity, event.at)
            if move.to_location is not None and move.to_account in BUCKETS:
                self._post(move, move.to_account, move.to_location, move.quantity, event.at)
            self._moves.append((move, event))

    def _post(self, move: Move, bucket: str, location: str, quantity: Decimal, at: datetime) -> None:
        balance = self._touch(move.item, location)
        setattr(balance, bucket, getattr(balance, bucket) + quantity)
        if bucket != "on_hand":
            return
        if move.lot:
            expired = self._expired_lots.setdefault((move.item, location), set())
            if move.expires_on is not None and move.expires_on < at.date():
                expired.add(move.lot)
            if move.lot in expired:
                balance.expired += quantity
        balance.cover()

    def _safety(self, event: SafetyStockSet) -> None:
        self._touch(event.item, event.location).safety = event.quantity

    def rebuilt(self) -> list[Rebuilt]:
        """Return the balances and the open claims."""
        balances = {
            place: (b.on_hand, b.reserved, b.allocated, b.owed, b.safety, b.damaged, b.quality, b.quarantined)
            for place, b in self.balances.items()
        }
        claims = {
            (holder, c.line, c.item, c.location, c.kind, c.lot): (c.quantity, c.expires_at)
            for holder in self.claims
            for c in self.open_claims(holder)
        }
        return [
            Rebuilt("balance", rows.ALL_BALANCES, balances),
            Rebuilt("claim", rows.ALL_OPEN_CLAIMS, claims),
            *self.limits.rebuilt(),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the net new balances, and the claims and movements behind them."""
        statements = self.limits.write_snapshots()
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
        return statements + self.limits.write_pools()
