"""Write a fictional retailer's legacy export with planted faults, and the answer key by row.

Files of one seed and the same options are identical byte for byte. Nothing here knows how faults are found, and what
finds them does not import this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random

from trueup.sandbox.answer_key import BLANK_ROW, DEFAULT_RATES, KINDS, REPEATED_HEADER, write_answer_key
from trueup.sandbox.catalogue import build_assortment, count_stock
from trueup.sandbox.clientele import invent_customers
from trueup.sandbox.dialects import ENGLISH, SHEETS, Dialect
from trueup.sandbox.faults import ExportTooSmall, History, plant_faults
from trueup.sandbox.order_history import OrderLine, trade
from trueup.sandbox.sheets import Rows, lay_out, scatter_ignorable_rows

__all__ = ["ExportOptions", "ExportTooSmall", "scaled_rates", "write_legacy_export"]

ITEMS_MIN = 20
"""Fewer items cannot fill the baskets."""
CUSTOMERS_MIN = 25
"""With fewer customers not every currency is there."""
ORDERS_MIN = 100
ORDERS_DEFAULT = 5000


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to generate. Raises ValueError naming the option that cannot be."""

    seed: int
    orders: int = ORDERS_DEFAULT
    """Orders and credit documents together; about one in twenty is a credit document."""
    items: int = 400
    customers: int = 600
    until: date = date(2024, 12, 31)
    """Last day of the two years, on whose evening the stock was counted."""
    rates: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_RATES))
    """Kind -> rows to plant; a kind that is left out is not planted."""
    dialect: Dialect = ENGLISH

    def __post_init__(self) -> None:
        for option, value, least in (
            ("orders", self.orders, ORDERS_MIN),
            ("items", self.items, ITEMS_MIN),
            ("customers", self.customers, CUSTOMERS_MIN),
        ):
            if value < least:
                raise ValueError(f"{option} is {value}; an export has at least {least}")
        for kind, count in self.rates.items():
            if kind not in KINDS:
                raise ValueError(f"rates names {kind!r}, which is none of {', '.join(KINDS)}")
            if count < 0:
                raise ValueError(f"rates of {kind} is {count}; it is a number of rows")


def scaled_rates(orders: int) -> dict[str, int]:
    """The default counts for an export of another size, in proportion, at least one of each kind."""
    return {kind: max(1, count * orders // ORDERS_DEFAULT) for kind, count in DEFAULT_RATES.items()}


def write_legacy_export(directory: Path, options: ExportOptions, answer_key: Path) -> dict[str, int]:
    """Write the export's five files into `directory`, the answer key to `answer_key`, and return the planted counts.

    The counts are by kind, zeros too; `ignored:blank_row` and `ignored:repeated_header` are rows that a named rule
    ignores, no faults. Directories are made where missing and files of the same names are replaced. Raises
    ExportTooSmall when too few rows could carry a kind; nothing is written then.
    """
    files, planted = [], []
    for sheet, rows in _rows(options).items():
        content, key = lay_out(sheet, rows, options.dialect)
        files.append((options.dialect.file_names[sheet], content))
        planted += key
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files:
        (directory / name).write_bytes(content)
    answer_key.parent.mkdir(parents=True, exist_ok=True)
    return write_answer_key(answer_key, planted)


def _rows(options: ExportOptions) -> Rows:
    """The rows of every file. Each step draws from its own stream, so that the history is the same in all dialects."""
    rates = {kind: options.rates.get(kind, 0) for kind in KINDS}
    history = _history(options)
    lines: Sequence[OrderLine] = plant_faults(_stream(options, "faults"), history, rates, options.dialect)
    rows: Rows = {
        "items": [*history.items],
        "customers": [*history.customers],
        "orders": [*history.documents],
        "order_lines": [*lines],
        "stock_count": [*history.stock],
    }
    scatter_ignorable_rows(_stream(options, "layout"), rows, rates[BLANK_ROW], rates[REPEATED_HEADER])
    return {sheet: rows[sheet] for sheet in SHEETS}


def _history(options: ExportOptions) -> History:
    items = build_assortment(_stream(options, "items"), options.items)
    customers = invent_customers(_stream(options, "customers"), options.customers)
    return History(
        items=items,
        customers=customers,
        documents=trade(_stream(options, "orders"), items, customers, options.orders, options.until),
        stock=count_stock(_stream(options, "stock"), items, options.until),
    )


def _stream(options: ExportOptions, step: str) -> Random:
    return Random(f"{options.seed}/{step}")
