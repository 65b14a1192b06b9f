"""Tax as it was invoiced: rows that are only ever added, read under the lock of their order."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes
from trueup.orders.tax import reversal
from trueup.orders.totals import Taxed, TaxRate


class TaxRow(msgspec.Struct, array_like=True, frozen=True):
    """Units of a line, invoiced at a rate, with their base and tax. number: within its order, from 1.

    A charge that is taxed at several rates has a row for each, of the same units. reverses: the number of the row it
    takes units out of, and base and tax with them; None for an invoice's own.
    """

    number: int
    invoice: str
    line: int
    units: Decimal
    rate: TaxRate
    base: Decimal
    tax: Decimal
    reverses: int | None = None


class TaxCommitted(Event, frozen=True, kw_only=True):
    """An invoice froze the tax of these units."""

    name = "orders.tax_committed"
    about = "order"
    order: str
    rows: tuple[TaxRow, ...]
    at: datetime


class TaxReversed(Event, frozen=True, kw_only=True):
    """Invoiced tax was given back, at the rate it was invoiced at."""

    name = "orders.tax_reversed"
    about = "order"
    order: str
    rows: tuple[TaxRow, ...]
    reason: str
    at: datetime


EVENTS = (TaxCommitted, TaxReversed)
_COLUMNS = "order_id, number, invoice, line, units, rate, category, code, reason, base, tax, reverses"


class OrderTaxes(Slice):
    """The committed tax of orders that a batch needs; the order's own lock guards it."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._rows: dict[str, list[TaxRow]] = {}
        self._new: list[tuple[str, TaxRow, datetime]] = []

    def want(self, order: str) -> None:
        """Ask for what was committed of an order."""
        self._wanted.add(order)

    def of_order(self, order: str) -> list[TaxRow]:
        """Return an order's rows by number."""
        return self._rows.get(order, [])

    def knows(self, order: str, invoice: str) -> bool:
        """Tell whether this invoice was committed for the order."""
        return any(row.invoice == invoice for row in self.of_order(order))

    def invoiced(self, order: str, line: int) -> Decimal:
        """Return the units of a line that were ever invoiced, reversed ones among them."""
        rows = self.of_order(order)
        by_invoice = {row.invoice: row.units for row in rows if row.line == line and row.reverses is None}
        return sum(by_invoice.values(), ZERO)

    def standing(self, order: str, line: int) -> Decimal:
        """Return the units of a line that are invoiced and not reversed."""
        invoices = {row.invoice for row in self.of_order(order) if row.line == line}
        return sum((self.left(order, line, invoice) for invoice in invoices), ZERO)

    def lines(self, order: str) -> set[int]:
        """Return the numbers of the lines of which units stand invoiced."""
        return {line for line in {row.line for row in self.of_order(order)} if self.standing(order, line) > 0}

    def left(self, order: str, line: int, invoice: str) -> Decimal:
        """Return the units of a line that this invoice froze and that are not reversed."""
        for row in self.of_order(order):
            if (row.line, row.invoice, row.reverses) == (line, invoice, None):
                return row.units - self._reversed(order, row.number)
        return ZERO

    def reversals(
        self, order: str, line: int, units: Decimal, currency: str, first: int, invoice: str | None = None
    ) -> list[TaxRow]:
        """Return the rows that give back the tax of units of a line: of one invoice, or of the latest first.

        first: the number of the first row. More units than stand are no more than what stands.
        """
        own = [row for row in self.of_order(order) if row.line == line and row.reverses is None]
        invoices = [invoice] if invoice is not None else list(dict.fromkeys(row.invoice for row in reversed(own)))
        found: list[TaxRow] = []
        for name in invoices:
            taken = min(units, self.left(order, line, name))
            if taken <= 0:
                continue
            units -= taken
            for row in own:
                if row.invoice == name:
                    part = Taxed(row.line, row.units, row.rate, row.base, row.tax)
                    back = reversal(part, self._reversed(order, row.number), taken, currency)
                    number = first + len(found)
                    found.append(TaxRow(number, name, line, taken, row.rate, back.base, back.tax, row.number))
        return found

    def _reversed(self, order: str, number: int) -> Decimal:
        return sum((row.units for row in self.of_order(order) if row.reverses == number), ZERO)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read what was committed; it is added to under the lock of the order only."""
        if not self._wanted:
            return
        wanted, self._wanted = sorted(self._wanted), set()
        answers = yield [
            Statement(
                f"select {_COLUMNS} from order_tax where order_id = any(%s::text[]) order by order_id, number", [wanted]
            )
        ]
        self._rows |= {order: [] for order in wanted}
        for order, number, invoice, line, units, rate, category, code, reason, base, tax, reverses in answers[0]:
            kept = TaxRate(rate, category, code, reason)
            self._rows[order].append(TaxRow(number, invoice, line, units, kept, base, tax, reverses))

    def takes(self) -> Takes:
        """Take committed and reversed tax in."""
        return {TaxCommitted: self._added, TaxReversed: self._added}

    def _added(self, event: TaxCommitted | TaxReversed) -> None:
        self._rows.setdefault(event.order, []).extend(event.rows)
        self._new += [(event.order, row, event.at) for row in event.rows]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the append of the new rows."""
        if not self._new:
            return []
        rows = [(*_values(order, row), at) for order, row, at in self._new]
        columns = [list(column) for column in zip(*rows, strict=True)]
        return [
            Statement(
                f"""insert into order_tax ({_COLUMNS}, at)
                select * from unnest(%s::text[], %s::int[], %s::text[], %s::int[], %s::numeric[], %s::numeric[],
                    %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::int[], %s::timestamptz[])""",
                columns,
            )
        ]

    def rebuilt(self) -> list[Rebuilt]:
        """Return every row."""
        rows = {_values(order, row)[:2]: _values(order, row)[2:] for order, kept in self._rows.items() for row in kept}
        return [Rebuilt("order_tax", f"select {_COLUMNS} from order_tax", rows)]


def _values(order: str, row: TaxRow) -> tuple[Any, ...]:
    rate = row.rate
    return (
        order, row.number, row.invoice, row.line, row.units, rate.rate, rate.category, rate.code, rate.reason, row.base,
        row.tax, row.reverses,
    )  # fmt: skip
