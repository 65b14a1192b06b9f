"""A second reading of a generated export: every fault that is in its files, found without the generator.

It shares nothing with the generator but the dialect, which says which column is which.
"""

import csv
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from stdnum import ean

from trueup.sandbox.dialects import GERMAN_DATES, ISO_DATES, SHEETS, Dialect, Sheet


@dataclass(frozen=True)
class Row:
    line: int
    raw: bytes
    text: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Export:
    """One generated export, read back."""

    dialect: Dialect
    contents: dict[str, bytes]
    counts: dict[str, int]
    planted: dict[tuple[Sheet, int], str]
    rows: dict[Sheet, list[Row]]
    """Without rows that are blank or a header; those stand in `ignored`."""
    ignored: dict[tuple[Sheet, int], str]


def read(content: bytes, dialect: Dialect, sheet: Sheet) -> tuple[list[Row], dict[int, str]]:
    encoding = "cp1252" if dialect.encoding == "cp1252" else "utf-8"
    lines = content.removeprefix(b"\xef\xbb\xbf").split(dialect.line_ending.encode())
    assert lines.pop() == b"", "the last line ends like the others"
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    fields = [column.field for column in dialect.columns[sheet]]
    assert lines[0].decode(encoding).split(dialect.delimiter) == [column.header for column in dialect.columns[sheet]]
    rows, ignored = [], {}
    for number, raw in enumerate(lines[1:], 2):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            text = raw.decode("cp1252")
        [cells] = csv.reader([text], delimiter=dialect.delimiter)
        assert len(cells) == len(fields), (sheet, number)
        if raw == lines[0]:
            ignored[number] = "ignored:repeated_header"
        elif not any(cells):
            ignored[number] = "ignored:blank_row"
        else:
            rows.append(Row(number, raw, text, dict(zip(fields, cells, strict=True))))
    return rows, ignored


def number(text: str, dialect: Dialect) -> Decimal | None:
    try:
        return Decimal(text.replace(",", ".")) if dialect.decimal_mark == "," else Decimal(text)
    except InvalidOperation:
        return None


def plain(sku: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", sku.upper())


def is_mojibake(cell: str) -> bool:
    if cell.isascii():
        return False
    try:
        cell.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return False
    return True


def moment(text: str) -> datetime:
    for form in (ISO_DATES, GERMAN_DATES, "%m/%d/%Y", "%d %b %Y"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise AssertionError(f"{text} is no date")


class Reading:
    """Every fault that one reader finds, as (sheet, line) -> kinds."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.dialect = export.dialect
        self.found: dict[tuple[Sheet, int], set[str]] = defaultdict(set)
        self.skus = {row.cells["sku"] for row in export.rows["items"]}
        self.plain_skus = {plain(sku): sku for sku in self.skus}
        assert len(self.plain_skus) == len(self.skus), "two SKUs are the same without punctuation"
        self.orders = {row.cells["order_number"]: row for row in export.rows["orders"]}
        assert len(self.orders) == len(export.rows["orders"])
        self.lines = defaultdict(list)
        for row in export.rows["order_lines"]:
            self.lines[row.cells["order_number"]].append(row)
        assert set(self.lines) == set(self.orders)
        self.encodings()
        self.items()
        self.stock()
        self.order_lines()
        self.order_heads()
        self.returns()

    def report(self, sheet: Sheet, row: Row, kind: str, fault: object) -> None:
        if fault:
            self.found[sheet, row.line].add(kind)

    def number(self, text: str) -> Decimal | None:
        return number(text, self.dialect)

    def encodings(self) -> None:
        for sheet in SHEETS:
            for row in self.export.rows[sheet]:
                damaged = row.text.encode() != row.raw and self.dialect.encoding != "cp1252"
                self.report(sheet, row, "encoding", damaged or any(map(is_mojibake, row.cells.values())))

    def items(self) -> None:
        gtins = Counter(row.cells["gtin"] for row in self.export.rows["items"] if row.cells["gtin"])
        assert max(gtins.values()) == 1
        for row in self.export.rows["items"]:
            gtin = row.cells["gtin"]
            self.report("items", row, "bad_gtin", gtin and not ean.is_valid(gtin))
            assert self.number(row.cells["unit_price"]) is not None
            assert int(row.cells["weight"]) > 0

    def stock(self) -> None:
        places = set()
        for row in self.export.rows["stock_count"]:
            self.spelling("stock_count", row)
            quantity = row.cells["counted_quantity"]
            self.report("stock_count", row, "unreadable_value", not re.fullmatch(r"\d+", quantity))
            assert row.cells["location_code"] in {"BERLIN-DC", "LEEDS-DC", "STORE-01"}
            assert moment(row.cells["counted_at"]).year > 2000
            places.add((plain(row.cells["sku"]), row.cells["location_code"]))
        assert len(places) == len(self.export.rows["stock_count"])

    def spelling(self, sheet: Sheet, row: Row) -> None:
        sku = row.cells["sku"]
        self.report(sheet, row, "sku_spelling", sku not in self.skus and plain(sku) in self.plain_skus)

    def order_lines(self) -> None:
        seen = set()
        for row in self.export.rows["order_lines"]:
            cells, order = row.cells, self.orders[row.cells["order_number"]].cells
            self.report("order_lines", row, "duplicate_row", row.raw in seen)
            seen.add(row.raw)
            self.spelling("order_lines", row)
            self.report("order_lines", row, "charge_as_item", plain(cells["sku"]) not in self.plain_skus)
            price, amount = self.number(cells["unit_price"]), self.number(cells["line_amount"])
            readable = re.fullmatch(r"-?\d+", cells["quantity"]) and price is not None
            self.report("order_lines", row, "unreadable_value", not readable)
            assert amount is not None
            yen = order["currency"] == "JPY"
            self.report("order_lines", row, "currency_decimals", yen and (amount % 1 or (price and price % 1)))
            if readable and price is not None:
                assert int(cells["quantity"]) * price == amount
                is_return = cells["order_number"].startswith("R")
                negative = int(cells["quantity"]) < 0
                self.report("order_lines", row, "negative_quantity", negative and not is_return)
                assert int(cells["quantity"]) != 0
                assert negative or not is_return

    def order_heads(self) -> None:
        customers = {row.cells["customer_id"] for row in self.export.rows["customers"]}
        own = {ISO_DATES: r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", GERMAN_DATES: r"\d\d\.\d\d\.\d{4} \d\d:\d\d"}
        for row in self.export.rows["orders"]:
            cells = row.cells
            self.report("orders", row, "orphan_customer", cells["customer_id"] not in customers)
            mixed = not re.fullmatch(own[self.dialect.date_format], cells["order_date"])
            self.report("orders", row, "mixed_date_format", mixed)
            assert not mixed or moment(cells["order_date"]).day > 12
            freight, discount, total = (self.number(cells[name]) for name in ("freight", "discount", "total"))
            assert freight is not None
            assert discount is not None
            assert total is not None
            yen = cells["currency"] == "JPY"
            self.report("orders", row, "currency_decimals", yen and (freight % 1 or discount % 1 or total % 1))
            amounts = {line.raw: self.number(line.cells["line_amount"]) for line in self.lines[cells["order_number"]]}
            difference = abs(sum(filter(None, amounts.values())) + freight - discount - total)
            self.report("orders", row, "total_mismatch", difference)
            assert difference == 0 or difference >= (5 if yen else Decimal("0.05"))

    def returns(self) -> None:
        for row in self.uncovered(set()):
            self.report("order_lines", row, "return_without_purchase", True)

    def uncovered(self, passed_over: set[str]) -> list[Row]:
        """The returns without a purchase, when the orders of these numbers are no purchases."""
        bought: Counter[tuple[str, str]] = Counter()
        found = []
        for order in sorted(self.orders.values(), key=lambda row: moment(row.cells["order_date"])):
            for line in self.lines[order.cells["order_number"]]:
                quantity = line.cells["quantity"]
                if order.cells["order_number"] in passed_over or not re.fullmatch(r"-?\d+", quantity):
                    continue
                pair = order.cells["customer_id"], line.cells["sku"]
                if order.cells["order_number"].startswith("R") and bought[pair] + int(quantity) < 0:
                    found.append(line)
                bought[pair] += int(quantity)
        return found
