"""Every kind of fault is found in the row it was planted in, and nothing else is; through a mapping nobody wrote."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from tests.migrate.exports import ENGLISH, GERMAN, TERSE, Rows, Shop, clean_shop, write

from trueup.migrate.stage import Staged, stage

Planted = set[tuple[str, int, str]]


class Planter:
    """Plants faults in rows that carry none yet. `planted` says (table, row object, kind)."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, self.draw = shop, random.Random(seed)
        self.planted: list[tuple[str, list[str], str]] = []
        self.orders = [row for row in shop.orders if row[0].startswith("SO") and row[3] == "EUR"]
        self.draw.shuffle(self.orders)
        returned = {
            (row[2], line[1]) for row in shop.orders if row[0].startswith("CR") for line in self.lines_of(row[0])
        }
        bought = {(row[2], line[1]): row[0] for row in shop.orders for line in self.lines_of(row[0])}
        busy = {bought[key] for key in returned} | {document for key, document in bought.items() if key in returned}
        self.orders = [row for row in self.orders if row[0] not in busy]

    def lines_of(self, document: str) -> Rows:
        return [line for line in self.shop.lines if line[0] == document]

    def order(self) -> list[str]:
        return self.orders.pop()

    def line(self) -> list[str]:
        return self.lines_of(self.order()[0])[0]

    def note(self, table: str, row: list[str], kind: str) -> None:
        self.planted.append((table, row, kind))

    def change_total(self, document: str, by: Decimal) -> None:
        row = next(row for row in self.shop.orders if row[0] == document)
        row[7] = f"{Decimal(row[7]) + by}"


def plant_duplicate(at: Planter) -> None:
    line = at.line()
    place = next(i for i, row in enumerate(at.shop.lines) if row is line)
    copy = list(line)
    at.shop.lines.insert(place + at.draw.choice([1, 1, 2, 40]), copy)
    at.note("lines", copy, "duplicate_row")


def plant_spelling(at: Planter) -> None:
    line = at.line()
    while "-" not in line[1]:
        line = at.line()
    line[1] = at.draw.choice([line[1].lower(), line[1].replace("-", ""), f" {line[1]}", line[1].replace("-", " ")])
    at.note("lines", line, "sku_spelling")


def plant_spelling_in_stock(at: Planter) -> None:
    row = at.draw.choice([row for row in at.shop.stock if row[0].startswith("MUG-")])
    row[0] = row[0].replace("-", "_").lower()
    at.note("stock", row, "sku_spelling")


def plant_charge(at: Planter) -> None:
    order = at.order()
    code, text = at.draw.choice([("POST", "Postage"), ("VERSAND", "Versandkosten"), ("FEE-01", "Handling fee"),
                                 ("GIFTWRAP", "Gift wrap"), ("8001", "Expresszuschlag")])  # fmt: skip
    line = [order[0], code, text, "1", "3.50", "3.50"]
    at.shop.lines.append(line)
    at.change_total(order[0], Decimal("3.50"))
    at.note("lines", line, "charge_as_item")


def plant_negative(at: Planter) -> None:
    line = at.line()
    at.change_total(line[0], -2 * Decimal(line[5]))
    line[3], line[5] = f"-{line[3]}", f"-{line[5]}"
    at.note("lines", line, "negative_quantity")


def plant_gtin(at: Planter) -> None:
    row = at.draw.choice(
        [row for row in at.shop.items if len(row[3]) == 13 and not any(r is row for _, r, _ in at.planted)]
    )
    row[3] = row[3][:-1] + str((int(row[3][-1]) + 3) % 10)
    at.note("items", row, "bad_gtin")


def plant_total(at: Planter) -> None:
    order = at.order()
    at.change_total(order[0], Decimal("10.00"))
    at.note("orders", order, "total_mismatch")


def plant_return(at: Planter) -> None:
    number = sum(row[0].startswith("CR") for row in at.shop.orders)
    customer = at.draw.choice(at.shop.customers)[0]
    documents = {row[0] for row in at.shop.orders if row[2] == customer}
    bought = {line[1] for line in at.shop.lines if line[0] in documents}
    item = next(row for row in at.shop.items if row[0] not in bought)
    line = [f"CR-{910001 + number}", item[0], item[1], "-1", item[5], f"-{item[5]}"]
    last = max(row[1] for row in at.shop.orders if row[1][4] == "-")
    at.shop.orders.append([line[0], last, customer, "EUR", "DE", "0.00", "0.00", line[5], "open"])
    at.shop.lines.append(line)
    at.note("lines", line, "return_without_purchase")


def plant_date(at: Planter) -> None:
    order = next(row for row in reversed(at.orders) if int(row[1][8:10]) > 12)
    at.orders.remove(order)
    year, month, day = order[1][:10].split("-")
    order[1] = f"{month}/{day}/{year} 10:15"
    at.note("orders", order, "mixed_date_format")


def plant_ambiguous_date(at: Planter) -> None:
    order = next(row for row in reversed(at.orders) if int(row[1][8:10]) <= 12 and row[1][8:10] != row[1][5:7])
    at.orders.remove(order)
    order[1] = f"{order[1][5:7]}/{order[1][8:10]}/{order[1][:4]} 10:15"
    at.note("orders", order, "mixed_date_format")


def plant_mojibake(at: Planter) -> None:
    line = at.line()
    line[2] = "Jürgens große Tasse".encode().decode("cp1252")
    at.note("lines", line, "encoding")


def plant_bytes(at: Planter) -> None:
    line = at.line()
    line[2] = "@@RAW@@ Schüssel"
    at.note("lines", line, "encoding")


def plant_orphan(at: Planter) -> None:
    order = at.order()
    order[2] = f"K{90000 + at.draw.randrange(9999)}"
    at.note("orders", order, "orphan_customer")


def plant_fraction(at: Planter) -> None:
    candidates = [line for line in at.shop.lines if not any(row is line for _, row, _ in at.planted)]
    yen = {row[0] for row in at.shop.orders if row[3] == "JPY" and row[0].startswith("SO")}
    line = at.draw.choice([line for line in candidates if line[0] in yen and len(at.lines_of(line[0])) > 1])
    line[4] = f"{line[4]}.50"
    at.note("lines", line, "currency_decimals")


def plant_unreadable(at: Planter) -> None:
    order = next(row for row in at.orders if len(at.lines_of(row[0])) > 1)
    at.orders.remove(order)
    line = at.lines_of(order[0])[0]
    place = at.draw.choice([3, 4])
    line[place] = at.draw.choice([f"{line[place]} pcs", "1O", "#REF!", "", "n/a"])
    at.note("lines", line, "unreadable_value")


PLANTS: list[Callable[[Planter], None]] = [
    plant_duplicate, plant_spelling, plant_charge, plant_negative, plant_gtin, plant_total, plant_return, plant_date,
    plant_ambiguous_date, plant_mojibake, plant_bytes, plant_orphan, plant_fraction, plant_unreadable,
]  # fmt: skip


def planted_export(folder: Path, plants: list[Callable[[Planter], None]], seed: int, **dialect: object) -> Planted:
    """Write an export with faults planted and return (file, row, kind) of each."""
    shop = clean_shop(400, seed)
    planter = Planter(shop, seed)
    for plant in plants:
        plant(planter)
    names = dialect.get("dialect", ENGLISH)
    assert isinstance(names, dict)
    key = set()
    for table, row, kind in planter.planted:
        place = next(number for number, own in enumerate(getattr(shop, table)) if own is row)
        key.add((names[table][0], place + 2, kind))
    write(shop, folder, seed=seed, **dialect)  # type: ignore[arg-type]
    for path in folder.iterdir():
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join(_windows(line) if b"@@RAW@@" in line else line for line in lines))
    return key


def _windows(line: bytes) -> bytes:
    return line.decode().replace("@@RAW@@", "Große").encode("cp1252")


def found_in(staged: Staged) -> Planted:
    with duckdb.connect(str(staged.path), read_only=True) as connection:
        return set(connection.execute("select file, row, kind from finding").fetchall())


def rows_of(staged: Staged, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(staged.path), read_only=True) as connection:
        return connection.execute(query).fetchall()


DIALECTS: dict[str, dict[str, object]] = {
    "english": {},
    "german": {"dialect": GERMAN, "delimiter": ";", "comma": True, "dates": "%d.%m.%Y %H:%M"},
    "noisy": {"noise": True, "delimiter": "\t"},
    "terse": {"dialect": TERSE, "delimiter": "|"},
    "german and noisy": {"dialect": GERMAN, "delimiter": ";", "comma": True, "noise": True},
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_every_planted_row_and_no_other(tmp_path: Path, dialect: str, seed: int):
    plants = [plant for plant in PLANTS for _ in range(3)] + [plant_spelling_in_stock]
    key = planted_export(tmp_path / "export", plants, seed, **DIALECTS[dialect])
    staged = stage([tmp_path / "export"], None, tmp_path / "work")
    found = found_in(staged)
    assert (sorted(key - found), sorted(found - key)) == ([], [])


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_it_finds_a_single_fault(tmp_path: Path, plant: Callable[[Planter], None]):
    key = planted_export(tmp_path / "export", [plant], 5)
    assert found_in(stage([tmp_path / "export"], None, tmp_path / "work")) == key


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_clean_export_has_no_findings(tmp_path: Path, dialect: str):
    write(clean_shop(120, 11), tmp_path / "export", **DIALECTS[dialect])  # type: ignore[arg-type]
    staged = stage([tmp_path / "export"], None, tmp_path / "work")
    assert staged.findings == {}
    assert {count.outcome for count in staged.outcomes} == {"apply"}
