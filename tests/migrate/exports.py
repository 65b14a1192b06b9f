"""Small hand-made exports of a shop, clean unless a test plants something, in several dialects."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from trueup.catalogue.gtin import check_digit

Rows = list[list[str]]

ENGLISH = {
    "items": ("items.csv", ["sku", "name", "category", "gtin", "weight_g", "unit_price"]),
    "customers": ("customers.csv", ["customer_no", "name", "email", "street", "postcode", "city", "country"]),
    "orders": (
        "orders.csv",
        ["order_no", "order_date", "customer_no", "currency", "country", "freight", "discount", "total", "status"],
    ),
    "lines": ("order_lines.csv", ["order_no", "sku", "description", "quantity", "unit_price", "amount"]),
    "stock": ("stock_count.csv", ["sku", "location", "counted", "counted_at"]),
}
GERMAN = {
    "items": ("Artikelstamm.csv", ["Artikelnummer", "Bezeichnung", "Warengruppe", "EAN", "Gewicht (g)", "Listenpreis"]),
    "customers": ("Kunden.csv", ["Kundennr.", "Name", "E-Mail", "Straße", "PLZ", "Ort", "Land"]),
    "orders": (
        "Auftragskopf.csv",
        [
            "Auftragsnr",
            "Bestelldatum",
            "Kundennr",
            "Währung",
            "Lieferland",
            "Versandkosten",
            "Rabatt",
            "Gesamtbetrag",
            "Status",
        ],
    ),
    "lines": (
        "Auftragspositionen.csv",
        ["Auftragsnr", "Artikelnr", "Bezeichnung", "Menge", "Einzelpreis", "Positionsbetrag"],
    ),
    "stock": ("Lagerbestand.csv", ["Artikelnr", "Lagerort", "Bestand", "Zähldatum"]),
}
TERSE = {
    "items": ("A.txt", ["a1", "a2", "a3", "a4", "a5", "a6"]),
    "customers": ("B.txt", ["b1", "b2", "b3", "b4", "b5", "b6", "b7"]),
    "orders": ("C.txt", ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"]),
    "lines": ("D.txt", ["d1", "d2", "d3", "d4", "d5", "d6"]),
    "stock": ("E.txt", ["e1", "e2", "e3", "e4"]),
}


@dataclass
class Shop:
    """A clean shop. Tables are lists of rows of text with a point as decimal separator and ISO dates."""

    items: Rows = field(default_factory=list)
    customers: Rows = field(default_factory=list)
    orders: Rows = field(default_factory=list)
    lines: Rows = field(default_factory=list)
    stock: Rows = field(default_factory=list)

    def line_of(self, order: str) -> list[str]:
        """Return the first line of an order."""
        return next(line for line in self.lines if line[0] == order)


def gtin13(body: int) -> str:
    """Return a GTIN-13 that checks."""
    digits = f"40{body:010d}"
    return f"{digits}{check_digit(digits)}"


def clean_shop(orders: int = 60, seed: int = 7) -> Shop:
    """Make a shop of 40 items, 25 customers, `orders` orders and some credits, without a single fault."""
    draw = random.Random(seed)
    shop = Shop()
    prices = {}
    for number in range(40):
        sku = f"MUG-{1000 + number}" if number % 5 else f"{20000 + number}"
        prices[sku] = Decimal(draw.randrange(150, 9000)) / 100
        name = f"{draw.choice(['Blue', 'Red', 'Green', 'White'])} {draw.choice(['mug', 'bowl', 'plate'])} No {number}"
        code = gtin13(number * 7919 + 123) if number % 6 else ""
        shop.items.append(
            [sku, name, draw.choice(["Kitchen", "Garden"]), code, str(draw.randrange(80, 900)), f"{prices[sku]}"]
        )
        shop.stock.append([sku, draw.choice(["MAIN", "SHOP"]), str(draw.randrange(0, 300)), "2024-06-30 18:00:00"])
    for number in range(25):
        first, last = draw.choice(["Anna", "Ben", "Clara", "Jürgen"]), draw.choice(["Müller", "Smith", "Weiß", "Doe"])
        name = f"{first} {last}{number}"
        shop.customers.append(
            [f"K{5000 + number}", name, f"person{number}@example.org", f"Main Street {number + 1}", f"{10115 + number}",
             draw.choice(["Berlin", "Wien", "Zürich"]), draw.choice(["DE", "AT", "CH"])]
        )  # fmt: skip
    names = {row[0]: row[1] for row in shop.items}
    placed = datetime(2024, 1, 13, 9, 0)  # noqa: DTZ001 - exports carry no zone
    for number in range(orders):
        placed += timedelta(hours=draw.randrange(5, 90), minutes=draw.randrange(60))
        customer = draw.choice(shop.customers)
        currency = "JPY" if number % 9 == 0 else "EUR"
        document, freight, discount = f"SO-{100001 + number}", Decimal("4.90"), Decimal(0)
        if currency == "JPY":
            freight = Decimal(500)
        elif number % 4 == 0:
            discount = Decimal("1.50")
        total = freight - discount
        for sku in draw.sample(sorted(prices), draw.randrange(1, 4)):
            price = prices[sku] if currency == "EUR" else Decimal(int(prices[sku] * 100))
            price = Decimal(0) if number == 11 else price
            quantity = draw.choice([1, 2, 3, 240])
            total += quantity * price
            shop.lines.append([document, sku, names[sku], str(quantity), f"{price}", f"{quantity * price}"])
        shop.orders.append(
            [document, placed.strftime("%Y-%m-%d %H:%M:%S"), customer[0], currency, customer[6], f"{freight}",
             f"{discount}", f"{total}", draw.choice(["shipped", "open"])]
        )  # fmt: skip
    _add_credits(shop, placed)
    return shop


def _add_credits(shop: Shop, placed: datetime) -> None:
    for number, order in enumerate(shop.orders[1:40:8]):
        document = f"CR-{900001 + number}"
        sold = shop.line_of(order[0])
        amount = -Decimal(sold[4])
        when = (placed + timedelta(days=1, hours=number)).strftime("%Y-%m-%d %H:%M:%S")
        shop.lines.append([document, sold[1], sold[2], "-1", sold[4], f"{amount}"])
        shop.orders.append([document, when, order[2], order[3], order[4], "0.00", "0.00", f"{amount}", "shipped"])


def write(
    shop: Shop, folder: Path, dialect: dict[str, tuple[str, list[str]]] = ENGLISH, *, delimiter: str = ",",
    comma: bool = False, dates: str = "%Y-%m-%d %H:%M:%S", noise: bool = False, seed: int = 0,
) -> Path:  # fmt: skip
    """Write the shop's files. comma: decimal commas. noise: columns that mean nothing, and another column order."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    for kind, (name, header) in dialect.items():
        rows = [_in_dialect(row, kind, comma, dates) for row in getattr(shop, kind)]
        if noise:
            header = [*header, "X1", "export_batch"]
            rows = [[*row, draw.choice("AB"), "7"] if len(row) == len(header) - 2 else row for row in rows]
            order = draw.sample(range(len(header)), len(header))
            header = [header[place] for place in order]
            rows = [[row[place] for place in order] if len(row) == len(order) else row for row in rows]
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    return folder


_NUMBERS = {"items": {4, 5}, "orders": {5, 6, 7}, "lines": {3, 4, 5}, "stock": {2}, "customers": set[int]()}
_DATES = {"orders": 1, "stock": 3}


def _in_dialect(row: list[str], kind: str, comma: bool, dates: str) -> list[str]:
    changed = list(row)
    for place, cell in enumerate(row):
        if comma and place in _NUMBERS[kind]:
            changed[place] = cell.replace(".", ",")
        if place == _DATES.get(kind):
            try:
                changed[place] = datetime.strptime(cell, "%Y-%m-%d %H:%M:%S").strftime(dates)  # noqa: DTZ007
            except ValueError:
                continue
    return changed
