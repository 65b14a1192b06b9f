"""What trading with several locations must come to, as plainly as it can be said: dicts, no database, no batches.

The shop does not choose locations. It predicts totals, refusals and states exactly; where a claim lies it is told
(`Shop.claims`), and says whether that was allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

PRICE = Decimal("3.33")
MUG, PLATE, KIT = "MUG", "PLATE", "KIT"
STOCKED = (MUG, PLATE)
PARTS = {MUG: 2, PLATE: 1}
"""What a phantom kit is made of."""
PLACES = ("A", "B", "C")
Wanted = tuple[tuple[str, int], ...]
Short = Literal["refuse", "backorder", "partial"]
Kind = Literal["reservation", "allocation"]
KINDS: tuple[Kind, ...] = ("reservation", "allocation")
Place = tuple[str, str]


@dataclass(frozen=True)
class Claim:
    """Units of an item held for a holder's line at a place, until a time or for good."""

    holder: str
    line: int
    item: str
    place: str
    units: int
    kind: Kind = "reservation"
    until: datetime | None = None


@dataclass
class Line:
    """Units ordered; how many were cancelled, how many wait; who rejected it. parent: of a kit's part, the kit's.

    pegged: of those that wait, the units that wait at the first place for what is to come.
    """

    item: str
    units: int
    parent: int | None = None
    cancelled: int = 0
    waiting: int = 0
    rejected: set[str] = field(default_factory=set)
    pegged: int = 0

    @property
    def open(self) -> int:
        """Units that are still wanted."""
        return self.units - self.cancelled

    @property
    def good(self) -> bool:
        """Whether it has stock: a phantom kit has none."""
        return self.item != KIT


@dataclass
class Order:
    """An order's lines by number, the state of its workflow, and its open holds: id -> (type, line)."""

    lines: dict[int, Line]
    state: str = "placed"
    holds: dict[str, tuple[str, int | None]] = field(default_factory=dict)

    def held(self, line: int) -> bool:
        """Whether a hold keeps a line from being sourced; one on a kit's line keeps its parts."""
        own = {None, line, self.lines[line].parent or line}
        return any(on in own for _, on in self.holds.values())

    def goods(self) -> dict[int, Line]:
        """The lines that have stock."""
        return {number: line for number, line in self.lines.items() if line.good}


@dataclass
class Transfer:
    """Units of an item on their way to a place."""

    item: str
    to: str
    open: int
    closed: bool = False


@dataclass(frozen=True)
class Taken:
    """What placing an order comes to. short: the places in the request that stock does not cover."""

    lines: dict[int, Line]
    short: list[str]
    refused: bool


@dataclass
class Shop:
    """What is on the shelves, kept back, claimed and on its way, and who ordered what."""

    now: datetime
    short: Short
    on_hand: Counter[Place] = field(default_factory=Counter)
    damaged: Counter[Place] = field(default_factory=Counter)
    safety: Counter[Place] = field(default_factory=Counter)
    accounts: Counter[tuple[str, str]] = field(default_factory=Counter)
    moved: list[tuple[datetime, str, str, int]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    loads: Counter[tuple[str, date]] = field(default_factory=Counter)

    # --- what can be promised ---------------------------------------------------------------------------------

    def counting(self, item: str, place: str) -> int:
        """Units claimed at a place that still count."""
        return sum(c.units for c in self.claims if (c.item, c.place) == (item, place) and self.counts(c))

    def counts(self, claim: Claim) -> bool:
        """Whether a claim still counts."""
        return claim.until is None or claim.until > self.now

    def backlog(self, item: str, place: str, order: str | None = None, lines: Collection[int] | None = None) -> int:
        """Units that wait at a place, which is the first one: of every order, or of lines of one."""
        if place != PLACES[0]:
            return 0
        return sum(
            line.pegged
            for id_, known in self.orders.items()
            for number, line in known.lines.items()
            if line.item == item and order in (None, id_) and (lines is None or number in lines)
        )

    def available(self, item: str, place: str) -> int:
        """Units that may still be promised at a place; what is there belongs first to those who wait."""
        free = self.on_hand[item, place] - self.safety[item, place] - self.counting(item, place)
        return free - self.backlog(item, place)

    def kits(self, place: str) -> int:
        """How many kits their parts at a place make."""
        return min(max(0, self.available(item, place)) // units for item, units in PARTS.items())

    def owed(self, item: str, place: str) -> int:
        """Units promised that stock no longer covers."""
        return max(0, self.counting(item, place) - self.on_hand[item, place])

    def available_to(self, order: str, item: str, place: str, lines: Collection[int]) -> int:
        """Units that lines of an order may be allocated at a place: what is free, and what they reserved there.

        What they reserved counts as far as stock is there for it.
        """
        own = sum(
            c.units
            for c in self.claims
            if (c.holder, c.item, c.place, c.kind) == (order, item, place, "reservation") and c.line in lines
        )
        free, mine = self.available(item, place), self.backlog(item, place, order, lines)
        if mine:
            free = max(free + mine, min(mine, free + self.backlog(item, place)))
        return max(free + own, min(own, own - self.owed(item, place)))

    # --- orders -----------------------------------------------------------------------------------------------

    def taking(self, wanted: Wanted) -> Taken:
        """Say what placing this order comes to: goods first, then the kits' parts, each from what those before left."""
        lines = {at: Line(item, units) for at, (item, units) in enumerate(wanted, 1)}
        for number, kit in [(number, line) for number, line in lines.items() if line.item == KIT]:
            for item, per in PARTS.items():
                lines[len(lines) + 1] = Line(item, kit.units * per, parent=number)
        left = {item: sum(max(0, self.available(item, place)) for place in PLACES) for item in STOCKED}
        missing: dict[int, int] = {}
        for number, line in lines.items():
            if line.good:
                taken = min(left[line.item], line.units)
                if taken < line.units:
                    missing[number] = line.units - taken
                    taken = 0 if self.short == "refuse" else taken
                left[line.item] -= taken
        short = [f"lines[{(lines[number].parent or number) - 1}].quantity" for number in missing]
        if self.short == "backorder":
            for number, units in missing.items():
                lines[number].waiting = lines[number].pegged = units
        elif self.short == "partial":
            _without(lines, missing)
        claimed = any(line.good and line.open > line.waiting for line in lines.values())
        refused = bool(missing) and (self.short == "refuse" or (self.short == "partial" and not claimed))
        return Taken(lines, short, refused)

    def held_by(self, holder: str, line: int, kind: Kind) -> int:
        """Units a holder's line claims of one kind."""
        return sum(c.units for c in self.claims if (c.holder, c.line, c.kind) == (holder, line, kind))

    def by_place(self, order: str, kind: Kind) -> Counter[tuple[int, str]]:
        """Units of one kind by line and place."""
        found: Counter[tuple[int, str]] = Counter()
        for claim in self.claims:
            if (claim.holder, claim.kind) == (order, kind):
                found[claim.line, claim.place] += claim.units
        return found

    def unallocated(self, order: str) -> int:
        """Units of an order that are wanted and not allocated."""
        goods = self.orders[order].goods()
        return sum(line.open - self.held_by(order, number, "allocation") for number, line in goods.items())

    def cancel(self, order: str, units: dict[int, int]) -> dict[int, tuple[int, int]]:
        """Cancel units of lines, and of kits their parts: what waits first, then what is reserved, then allocated.

        Returns what is reserved and allocated of each line then. An order of which no unit waits any more is sourced.
        """
        lines, waited = self.orders[order].lines, self.unallocated(order)
        left, wanted = {}, 0
        for number, line in lines.items():
            parent = units.get(line.parent or 0, 0)
            gone = parent * PARTS[line.item] if parent else units.get(number, 0)
            line.cancelled += gone
            if not line.good:
                continue
            reserved, allocated = (self.held_by(order, number, kind) for kind in KINDS)
            waits = min(line.waiting, gone)
            line.waiting -= waits
            line.pegged = max(0, line.pegged - waits)
            freed = min(reserved, gone - waits)
            left[number] = (reserved - freed, allocated - (gone - waits - freed))
            wanted += line.open - left[number][1]
        if all(line.open == 0 for line in lines.values()):
            self.orders[order].state = "cancelled"
        elif waited and not wanted:
            self.orders[order].state = "sourced"
        return left

    def total(self, order: str) -> Decimal:
        """What an order comes to; a kit's parts are priced in the kit."""
        kept = [
            (PRICE * line.units) * line.open / line.units
            for line in self.orders[order].lines.values()
            if line.parent is None
        ]
        return sum((amount.quantize(Decimal("0.01"), ROUND_HALF_UP) for amount in kept), Decimal(0))

    # --- goods ------------------------------------------------------------------------------------------------

    def post(self, item: str, place: str, units: int, account: str, at: datetime | None = None) -> None:
        """Let units come on hand from an account, or with a negative number go there."""
        self.on_hand[item, place] += units
        self.accounts[item, account] -= units
        self.moved.append((at or self.now, item, place, units))

    def adjust(self, item: str, place: str, change: int, at: datetime | None = None) -> None:
        """Correct the shelf; it never holds less than nothing, and the rest is the shortage account's."""
        posted = max(change, -self.on_hand[item, place])
        self.post(item, place, posted, "adjustment", at)
        self.accounts[item, "shortage"] += change - posted
        self.accounts[item, "adjustment"] -= change - posted

    def spoil(self, item: str, place: str, units: int) -> None:
        """Put units among the damaged ones; those that are not there come from the shortage account."""
        there = min(units, self.on_hand[item, place])
        self.post(item, place, -there, "damaged")
        self.accounts[item, "shortage"] -= units - there
        self.accounts[item, "damaged"] += units - there
        self.damaged[item, place] += units

    def book(self, item: str, place: str, at: datetime) -> int:
        """What the book said at a time."""
        since = sum(units for when, *where, units in self.moved if where == [item, place] and when > at)
        return self.on_hand[item, place] - since

    def arrive(self, transfer: Transfer, units: int, *, close: bool) -> None:
        """Let units of a transfer arrive: what was on its way, and what is over; a close gives up the rest."""
        due = min(units, transfer.open)
        transfer.open -= due
        self.post(transfer.item, transfer.to, due, "in_transit")
        self.post(transfer.item, transfer.to, units - due, "shortage")
        if close and not transfer.closed:
            self.accounts[transfer.item, "in_transit"] -= transfer.open
            self.accounts[transfer.item, "shortage"] += transfer.open
            transfer.open, transfer.closed = 0, True


def _without(lines: dict[int, Line], missing: dict[int, int]) -> None:
    """Cancel at once what is missing; a kit loses whole kits."""
    kits: Counter[int] = Counter()
    for number, units in missing.items():
        line = lines[number]
        if line.parent is None:
            line.cancelled = units
        else:
            kits[line.parent] = max(kits[line.parent], -(-units // PARTS[line.item]))
    for number, line in lines.items():
        if number in kits:
            line.cancelled = kits[number]
        elif line.parent is not None and line.parent in kits:
            line.cancelled = kits[line.parent] * PARTS[line.item]
