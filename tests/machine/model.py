"""The rules once more, as plainly as they can be said: dicts, no database, no batches. The machine compares with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

PRICE = Decimal("3.33")
Wanted = tuple[tuple[str, int], ...]


@dataclass
class Claim:
    """Units held for a holder's line until a time, or for good."""

    holder: str
    line: int
    sku: str
    units: int
    until: datetime | None = None


@dataclass
class Line:
    """Units ordered, and how many of them were cancelled."""

    sku: str
    units: int
    cancelled: int = 0


@dataclass
class Shop:
    """What is on the shelf, kept back and claimed, and who ordered what."""

    now: datetime
    on_hand: dict[str, int] = field(default_factory=dict)
    safety: dict[str, int] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    orders: dict[str, dict[int, Line]] = field(default_factory=dict)

    def counting(self, sku: str) -> int:
        """Units claimed that still count."""
        return sum(c.units for c in self.claims if c.sku == sku and (c.until is None or c.until > self.now))

    def available(self, sku: str) -> int:
        """Units that may still be promised."""
        return self.on_hand[sku] - self.safety[sku] - self.counting(sku)

    def short(self, wanted: Wanted) -> list[str]:
        """The places of the lines that cannot be served, in their order, each drawing on what those before left."""
        taken = dict.fromkeys(self.on_hand, 0)
        short = []
        for at, (sku, units) in enumerate(wanted):
            if self.available(sku) - taken[sku] < units:
                short.append(f"lines[{at}].quantity")
            else:
                taken[sku] += units
        return short

    def claim(self, holder: str, wanted: Wanted, until: datetime | None = None) -> None:
        """Hold every line."""
        self.claims += [Claim(holder, line, sku, units, until) for line, (sku, units) in enumerate(wanted, 1)]

    def place(self, order: str, wanted: Wanted) -> None:
        """Take an order."""
        self.orders[order] = {line: Line(sku, units) for line, (sku, units) in enumerate(wanted, 1)}
        self.claim(order, wanted)

    def release(self, cart: str) -> bool:
        """Give a cart back; tell whether anything was still held."""
        held = [c for c in self.claims if c.holder == cart and c.until is not None and c.until > self.now]
        self.claims = [c for c in self.claims if c.holder != cart]
        return bool(held)

    def open(self, order: str, line: int) -> int:
        """Units of a line that can be cancelled; 0 for a line that is not there."""
        found = self.orders[order].get(line)
        return found.units - found.cancelled if found else 0

    def cancel(self, order: str, line: int, units: int) -> None:
        """Cancel units of a line."""
        self.orders[order][line].cancelled += units
        for claim in self.claims:
            if (claim.holder, claim.line) == (order, line):
                claim.units -= units

    def adjust(self, sku: str, change: int) -> None:
        """Correct the shelf; it never holds less than nothing."""
        self.on_hand[sku] = max(0, self.on_hand[sku] + change)

    def total(self, order: str) -> Decimal:
        """What an order comes to."""
        kept = [
            (PRICE * line.units) * (line.units - line.cancelled) / line.units for line in self.orders[order].values()
        ]
        return sum((amount.quantize(Decimal("0.01"), ROUND_HALF_UP) for amount in kept), Decimal(0))
