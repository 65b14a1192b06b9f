"""Fulfilment orders: an order's parts, each to be fulfilled by one location.

Sourcing makes them and fulfilment works them off; they are rows of the order, so that cancelling it reaches them. The
order's own lock guards them. What a part still owes is quantity - withdrawn - rejected - shipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes

Why = Literal["cancelled", "moved", "short", "released", "rejected"]


class PartLine(msgspec.Struct, array_like=True, frozen=True):
    """Units of one order line that a location fulfils."""

    line: int
    item: str
    quantity: Decimal


class Part(msgspec.Struct, array_like=True, frozen=True):
    """One fulfilment order as it was made. decision: the sourcing decision (`dec_...`) behind it."""

    id: str
    location: str
    lines: tuple[PartLine, ...]
    decision: str


class PartChange(msgspec.Struct, array_like=True, frozen=True):
    """Units of a fulfilment order's line that it will not fulfil."""

    fulfilment_order: str
    line: int
    quantity: Decimal


class FulfilmentOrdered(Event, frozen=True, kw_only=True):
    """Locations were given their parts of an order."""

    name = "orders.fulfilment_ordered"
    about = "order"
    order: str
    parts: tuple[Part, ...]
    at: datetime


class FulfilmentReduced(Event, frozen=True, kw_only=True):
    """Parts became smaller. why: `rejected` by the location, or withdrawn from it for another reason."""

    name = "orders.fulfilment_reduced"
    about = "order"
    order: str
    changes: tuple[PartChange, ...]
    why: Why
    at: datetime


EVENTS = (FulfilmentOrdered, FulfilmentReduced)


class PartLineRow(msgspec.Struct):
    """One line of a fulfilment order while its batch runs."""

    line: int
    item: str
    quantity: Decimal
    withdrawn: Decimal = ZERO
    rejected: Decimal = ZERO
    shipped: Decimal = ZERO

    @property
    def open(self) -> Decimal:
        """Units the location still owes."""
        return self.quantity - self.withdrawn - self.rejected - self.shipped


class PartRow(msgspec.Struct):
    """One fulfilment order while its batch runs; `number` counts within its order."""

    id: str
    order: str
    number: int
    location: str
    decision: str
    at: datetime
    lines: dict[int, PartLineRow]
    is_new: bool = False

    def total(self, field: str) -> Decimal:
        """Return the sum of a counter over the lines."""
        return sum((getattr(line, field) for line in self.lines.values()), ZERO)


class FulfilmentOrders(Slice):
    """The fulfilment orders of the orders a batch needs."""

    def __init__(self) -> None:
        self._orders: set[str] = set()
        self._parts: set[str] = set()
        self.parts: dict[str, PartRow] = {}
        self._of_order: dict[str, list[PartRow]] = {}
        self._changed: set[str] = set()

    def want(self, order: str) -> None:
        """Ask for all of an order's; the order itself must be asked for, too, since its lock guards them."""
        self._orders.add(order)

    def of_order(self, order: str) -> list[PartRow]:
        """Return an order's fulfilment orders, oldest first."""
        return self._of_order.get(order, [])

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read them in the statement after the orders' locks."""
        if not self._orders:
            return
        wanted, self._orders = [sorted(self._orders)], set()
        headers, lines = yield [
            Statement(
                """select id, order_id, number, location, decision, at from fulfilment_order
                where order_id = any(%s::text[]) order by order_id, number""",
                wanted,
            ),
            Statement(
                """select f.id, l.line, l.item, l.quantity, l.withdrawn, l.rejected, l.shipped
                from fulfilment_order f join fulfilment_line l on l.fulfilment_order = f.id
                where f.order_id = any(%s::text[])""",
                wanted,
            ),
        ]
        for id_, order, number, location, decision, at in headers:
            part = PartRow(id_, order, number, location, decision, at, {})
            self.parts[part.id] = part
            self._of_order.setdefault(part.order, []).append(part)
        for id_, *columns in lines:
            self.parts[id_].lines[columns[0]] = PartLineRow(*columns)

    def takes(self) -> Takes:
        """Take new parts and reductions in."""
        return {FulfilmentOrdered: self._ordered, FulfilmentReduced: self._reduced}

    def _ordered(self, event: FulfilmentOrdered) -> None:
        parts = self._of_order.setdefault(event.order, [])
        for part in event.parts:
            lines = {line.line: PartLineRow(line.line, line.item, line.quantity) for line in part.lines}
            number = len(parts) + 1
            row = PartRow(part.id, event.order, number, part.location, part.decision, event.at, lines, is_new=True)
            self.parts[part.id] = row
            parts.append(row)

    def _reduced(self, event: FulfilmentReduced) -> None:
        for change in event.changes:
            part = self.parts[change.fulfilment_order]
            line = part.lines[change.line]
            if event.why == "rejected":
                line.rejected += change.quantity
            else:
                line.withdrawn += change.quantity
            if not part.is_new:
                self._changed.add(part.id)

    def rebuilt(self) -> list[Rebuilt]:
        """Return all fulfilment orders and their lines."""
        headers: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        lines: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for part in self.parts.values():
            headers[part.id,] = (part.order, part.number, part.location, part.decision, part.at, *_totals(part))
            for x in part.lines.values():
                lines[part.id, x.line] = (x.item, x.quantity, x.withdrawn, x.rejected, x.shipped)
        return [
            Rebuilt(
                "fulfilment_order",
                """select id, order_id, number, location, decision, at, units, withdrawn, rejected, shipped
                from fulfilment_order""",
                headers,
            ),
            Rebuilt(
                "fulfilment_line",
                "select fulfilment_order, line, item, quantity, withdrawn, rejected, shipped from fulfilment_line",
                lines,
            ),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the inserts of new parts and the counters of changed ones."""
        new = [part for _, part in sorted(self.parts.items()) if part.is_new]
        changed = [self.parts[id_] for id_ in sorted(self._changed)]
        return [*(_insert(new) if new else []), *(_update(changed) if changed else [])]


def reduction(parts: Iterable[PartRow], line: int, location: str, units: Decimal) -> list[PartChange]:
    """Return which parts give up so many units of a line at a location: the newest first, as far as they still owe."""
    changes = []
    for part in sorted(parts, key=lambda part: -part.number):
        held = part.lines.get(line)
        if part.location == location and held is not None and held.open > 0 and units > 0:
            changes.append(PartChange(part.id, line, min(held.open, units)))
            units -= changes[-1].quantity
    return changes


def _totals(part: PartRow) -> tuple[Decimal, ...]:
    return tuple(part.total(field) for field in ("quantity", "withdrawn", "rejected", "shipped"))


def _lines(parts: Sequence[PartRow]) -> list[tuple[str, PartLineRow]]:
    return [(part.id, part.lines[number]) for part in parts for number in sorted(part.lines)]


def _insert(new: Sequence[PartRow]) -> list[Statement]:
    totals = [_totals(part) for part in new]
    lines = _lines(new)
    only = [line for _, line in lines]
    return [
        Statement(
            """insert into fulfilment_order
                (id, order_id, number, location, decision, at, units, withdrawn, rejected, shipped)
            select * from unnest(%s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::timestamptz[],
                %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])""",
            [
                [part.id for part in new], [part.order for part in new], [part.number for part in new],
                [part.location for part in new], [part.decision for part in new], [part.at for part in new],
                *(list(column) for column in zip(*totals, strict=True)),
            ],
        ),
        Statement(
            """insert into fulfilment_line (fulfilment_order, line, item, quantity, withdrawn, rejected, shipped)
            select * from unnest(%s::text[], %s::int[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
                %s::numeric[])""",
            [[id_ for id_, _ in lines], [x.line for x in only], [x.item for x in only], [x.quantity for x in only],
             [x.withdrawn for x in only], [x.rejected for x in only], [x.shipped for x in only]],
        ),
    ]  # fmt: skip


def _update(changed: Sequence[PartRow]) -> list[Statement]:
    lines = _lines(changed)
    only = [line for _, line in lines]
    return [
        Statement(
            """update fulfilment_order f set withdrawn = n.withdrawn, rejected = n.rejected, shipped = n.shipped
            from unnest(%s::text[], %s::numeric[], %s::numeric[], %s::numeric[]) as n (id, withdrawn, rejected, shipped)
            where f.id = n.id""",
            [[part.id for part in changed], *([part.total(field) for part in changed] for field in _COUNTERS)],
        ),
        Statement(
            """update fulfilment_line l set withdrawn = n.withdrawn, rejected = n.rejected, shipped = n.shipped
            from unnest(%s::text[], %s::int[], %s::numeric[], %s::numeric[], %s::numeric[])
                as n (fulfilment_order, line, withdrawn, rejected, shipped)
            where l.fulfilment_order = n.fulfilment_order and l.line = n.line""",
            [[id_ for id_, _ in lines], [x.line for x in only], [x.withdrawn for x in only],
             [x.rejected for x in only], [x.shipped for x in only]],
        ),
    ]  # fmt: skip


_COUNTERS = ("withdrawn", "rejected", "shipped")
