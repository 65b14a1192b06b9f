"""The generated export is what its answer key says: a second reading finds each planted fault, and no other."""

import csv
import io
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.sandbox.second_reading import Export, Reading, Row, plain, read

from trueup.sandbox.answer_key import DEFAULT_RATES
from trueup.sandbox.dialects import (
    ENGLISH,
    GERMAN,
    SHEETS,
    TERSE,
    Sheet,
    dialect_named,
    shuffled,
)
from trueup.sandbox.legacy_export import ExportOptions, ExportTooSmall, scaled_rates, write_legacy_export

OTHER_RATES = {kind: 9 + 7 * place for place, kind in enumerate(DEFAULT_RATES)} | {"currency_decimals": 21}
CP1252 = replace(GERMAN, name="cp1252", encoding="cp1252", delimiter="\t")
EXPORTS = {
    "english": ExportOptions(seed=1),
    "another seed": ExportOptions(seed=2, until=date(2025, 3, 9)),
    "german": ExportOptions(seed=3, dialect=GERMAN, rates=OTHER_RATES),
    "terse": ExportOptions(seed=4, dialect=TERSE),
    "shuffled": ExportOptions(seed=5, dialect=dialect_named("shuffled", 5), rates=OTHER_RATES),
    "cp1252": ExportOptions(seed=6, dialect=shuffled(CP1252, 6)),
    "small": ExportOptions(seed=7, orders=400, items=80, customers=60, rates=scaled_rates(400)),
    "clean": ExportOptions(seed=8, rates={}),
}


@cache
def exported(name: str) -> Export:
    options = EXPORTS[name]
    with TemporaryDirectory() as place:
        key = Path(place) / "answer_key.csv"
        counts = write_legacy_export(Path(place) / "export", options, key)
        contents = {path.name: path.read_bytes() for path in (Path(place) / "export").iterdir()}
        keyed = list(csv.DictReader(io.StringIO(key.read_text(encoding="utf-8"))))
    sheet_of = {file: sheet for sheet, file in options.dialect.file_names.items()}
    planted = {(sheet_of[row["file"]], int(row["row"])): row["kind"] for row in keyed}
    assert len(planted) == len(keyed), "a row stands in the key twice"
    rows: dict[Sheet, list[Row]] = {}
    ignored: dict[tuple[Sheet, int], str] = {}
    for sheet in SHEETS:
        content = contents[options.dialect.file_names[sheet]]
        rows[sheet], skipped = read(content, options.dialect, sheet)
        ignored |= {(sheet, line): kind for line, kind in skipped.items()}
    return Export(options.dialect, contents, counts, planted, rows, ignored)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_second_reading_finds_every_planted_fault_and_no_other(name: str):
    export = exported(name)
    reading = Reading(export)
    found = {place: "+".join(sorted(kinds)) for place, kinds in reading.found.items()} | export.ignored
    assert found == export.planted


@pytest.mark.parametrize("name", EXPORTS)
def test_the_counts_are_the_rates(name: str):
    export, rates = exported(name), EXPORTS[name].rates
    assert export.counts == {kind: rates.get(kind, 0) for kind in DEFAULT_RATES}
    assert Counter(export.planted.values()) == Counter({kind: n for kind, n in rates.items() if n})


@pytest.mark.parametrize("name", EXPORTS)
def test_an_order_has_at_most_one_fault(name: str):
    export = exported(name)
    orders = [
        row.cells["order_number"]
        for sheet in ("orders", "order_lines")
        for row in export.rows[sheet]
        if (sheet, row.line) in export.planted
    ]
    assert max(Counter(orders).values(), default=0) <= 1


@pytest.mark.parametrize("name", EXPORTS)
def test_returns_are_the_same_however_faulty_and_cancelled_orders_are_read(name: str):
    export = exported(name)
    reading = Reading(export)
    cancelled = export.dialect.word("cancelled")
    passed_over = {row.cells["order_number"] for row in export.rows["orders"] if row.cells["status"] == cancelled}
    for sheet in ("orders", "order_lines"):
        for row in export.rows[sheet]:
            if (sheet, row.line) in export.planted and not row.cells["order_number"].startswith("R"):
                passed_over.add(row.cells["order_number"])
    assert len(passed_over) > 5
    assert reading.uncovered(passed_over) == reading.uncovered(set())


@pytest.mark.parametrize("name", EXPORTS)
def test_no_faulty_order_touches_goods_of_a_credit_document(name: str):
    export = exported(name)
    heads = {row.cells["order_number"]: row for row in export.rows["orders"]}
    faulty_orders = {
        row.cells["order_number"]
        for sheet in ("orders", "order_lines")
        for row in export.rows[sheet]
        if (sheet, row.line) in export.planted
    }
    returned, faulty = set(), set()
    for line in export.rows["order_lines"]:
        number = line.cells["order_number"]
        pair = heads[number].cells["customer_id"], plain(line.cells["sku"])
        if number.startswith("R"):
            returned.add(pair)
        elif number in faulty_orders:
            faulty.add(pair)
    assert len(returned) > 5
    assert not returned & faulty


def test_every_fault_comes_in_its_forms():
    export = exported("english")
    text = {place: row for sheet in SHEETS for row in export.rows[sheet] for place in [(sheet, row.line)]}
    faulty = defaultdict(list)
    for place, kind in export.planted.items():
        if place in text:
            faulty[kind].append((place[0], text[place]))
    spelt = [row.cells["sku"] for _, row in faulty["sku_spelling"]]
    assert any(sku != sku.strip() for sku in spelt)
    assert any(" " in sku.strip() for sku in spelt)
    assert any(sku != sku.upper() for sku in spelt)
    assert {sheet for sheet, _ in faulty["sku_spelling"]} == {"order_lines", "stock_count"}
    assert {sheet for sheet, _ in faulty["encoding"]} == {"order_lines", "customers"}
    assert {sheet for sheet, _ in faulty["unreadable_value"]} == {"order_lines", "stock_count"}
    assert {sheet for sheet, _ in faulty["currency_decimals"]} == {"order_lines", "orders"}
    assert {row.text.encode() == row.raw for _, row in faulty["encoding"]} == {True, False}
    dates = {
        re.sub(r"\d+", "9", re.sub("[A-Z][a-z]+", "M", row.cells["order_date"]))
        for _, row in faulty["mixed_date_format"]
    }
    assert dates == {"9.9.9 9:9", "9/9/9", "9 M 9"}
    assert {len(row.cells["gtin"]) == 13 for _, row in faulty["bad_gtin"]} == {True, False}
    gaps = [line - first for line, first in repeats(export)]
    assert 1 in gaps
    assert max(gaps) > 1000


def repeats(export: Export) -> list[tuple[int, int]]:
    first: dict[bytes, int] = {}
    return [
        (row.line, first[row.raw])
        for row in export.rows["order_lines"]
        if first.setdefault(row.raw, row.line) != row.line
    ]


def test_traps_are_there():
    rows = exported("english").rows
    skus = {row.cells["sku"] for row in rows["items"]}
    assert any(sku.isdigit() and sku.startswith("0") for sku in skus)
    assert any(sku.endswith("-B") and sku.removesuffix("-B") in skus for sku in skus)
    lengths = Counter(len(row.cells["gtin"]) for row in rows["items"])
    assert all(lengths[length] > 3 for length in (0, 8, 12, 13, 14))
    assert any(row.cells["gtin"].startswith("0") for row in rows["items"])
    descriptions = "".join(row.cells["description"] for row in rows["items"])
    assert set(',;|"½°ü') <= set(descriptions)
    lines = rows["order_lines"]
    assert any(row.cells["unit_price"] == "0.00" for row in lines)
    assert any(row.cells["quantity"].isdigit() and int(row.cells["quantity"]) > 999 for row in lines)
    baskets = defaultdict(list)
    for row in lines:
        baskets[row.cells["order_number"]].append((row.cells["sku"], row.cells["quantity"]))
    orders = rows["orders"]
    twice = Counter((row.cells["customer_id"], tuple(baskets[row.cells["order_number"]])) for row in orders)
    assert max(twice.values()) > 1
    assert {row.cells["currency"] for row in orders} == {"EUR", "GBP", "JPY"}
    assert {row.cells["status"] for row in orders} == {"open", "shipped", "delivered", "cancelled", "credited"}
    assert sum(row.cells["discount"] not in ("0", "0.00") for row in orders) > 100
    assert 150 < sum(row.cells["kind"] == "credit" for row in orders) < 300
    dates = sorted(row.cells["order_date"][:10] for row in orders if row.cells["order_date"][4] == "-")
    assert dates[0] < "2023-01-20"
    assert "2024-12-20" < dates[-1] <= "2024-12-31"


def test_customers_are_invented_and_not_twice():
    customers = [row.cells for row in exported("english").rows["customers"]]
    assert len({customer["customer_id"] for customer in customers}) == len(customers) == 600
    assert len({customer["email"] for customer in customers}) == len(customers)
    assert all(re.fullmatch(r"[a-z.]+\d+@example\.(com|org)", customer["email"]) for customer in customers)
    assert any("Ł" in customer["name"] or "ř" in customer["name"] for customer in customers)


# --- dialects ----------------------------------------------------------------------------------------------------


def test_german_is_written_as_german():
    export = exported("german")
    assert set(export.contents) == {"artikel.csv", "kunden.csv", "auftraege.csv", "positionen.csv", "inventur.csv"}
    orders = export.contents["auftraege.csv"]
    assert orders.startswith("\ufeffAuftragsnummer;Belegart;Auftragsdatum;".encode())
    assert orders.count(b"\r\n") == orders.count(b"\n") > 4000
    cells = [row.cells for row in export.rows["orders"]]
    assert {cell["kind"] for cell in cells} == {"Auftrag", "Gutschrift"}
    assert {cell["status"] for cell in cells} == {"offen", "versandt", "geliefert", "storniert", "gutgeschrieben"}
    assert all("." not in cell["total"] for cell in cells)
    assert any(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", cell["order_date"]) for cell in cells)


def test_terse_has_noise_no_kind_and_yen_with_zeros():
    export = exported("terse")
    assert export.contents["orders.csv"].startswith(b"ord_no|ord_dt|cust_no|cur|ctry|frt|disc|tot|st|usr\n")
    yen = [row.cells["total"] for row in export.rows["orders"] if row.cells["currency"] == "JPY"]
    assert len([total for total in yen if total.endswith(".00")]) > 100


def test_shuffled_has_the_same_columns_in_another_order():
    shuffled_columns = dialect_named("shuffled", 5).columns
    assert all(
        sorted(map(str, shuffled_columns[sheet])) == sorted(map(str, ENGLISH.columns[sheet])) for sheet in SHEETS
    )
    assert shuffled_columns != ENGLISH.columns
    assert dialect_named("shuffled", 6).columns != shuffled_columns == dialect_named("shuffled", 5).columns


def test_a_cp1252_file_is_cp1252_and_its_encoding_faults_are_mojibake():
    export = exported("cp1252")
    for content in export.contents.values():
        content.decode("cp1252")
    customers = export.contents["kunden.csv"]
    with pytest.raises(UnicodeDecodeError):
        customers.decode("utf-8")
    assert "Lódz".encode("cp1252") in customers
    assert export.counts["encoding"] == DEFAULT_RATES["encoding"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_content_is_the_same_in_every_dialect(delimiter: str):
    english = exported("clean")
    other = replace(shuffled(ENGLISH, 3), delimiter=delimiter)
    with TemporaryDirectory() as place:
        write_legacy_export(Path(place), replace(EXPORTS["clean"], dialect=other), Path(place) / "key.csv")
        for sheet in SHEETS:
            rows, _ = read((Path(place) / f"{sheet}.csv").read_bytes(), other, sheet)
            assert [row.cells for row in rows] == [row.cells for row in english.rows[sheet]]


# --- promises ----------------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_in_another_process(tmp_path: Path):
    options = EXPORTS["english"]
    write_legacy_export(tmp_path / "a", options, tmp_path / "a_key.csv")
    program = (
        "from pathlib import Path; from trueup.sandbox.legacy_export import *;"
        "write_legacy_export(Path('b'), ExportOptions(seed=1), Path('b_key.csv'))"
    )
    package = str(Path(__file__).parents[2] / "src")
    other = {"PYTHONPATH": package, "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=other)
    assert (tmp_path / "a_key.csv").read_bytes() == (tmp_path / "b_key.csv").read_bytes()
    for name, content in exported("english").contents.items():
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() == content


def test_another_seed_is_another_shop():
    assert exported("english").contents["orders.csv"] != exported("another seed").contents["orders.csv"]


def test_a_default_export_is_quick(tmp_path: Path):
    started = time.process_time()
    write_legacy_export(tmp_path, ExportOptions(seed=11), tmp_path / "key.csv")
    assert time.process_time() - started < 1.5


@pytest.mark.parametrize("seed", range(20, 32))
def test_the_smallest_exports_carry_every_kind(tmp_path: Path, seed: int):
    options = ExportOptions(seed=seed, orders=300, items=60, customers=50, rates=scaled_rates(300))
    assert write_legacy_export(tmp_path, options, tmp_path / "key.csv") == options.rates


@pytest.mark.parametrize(
    ("kind", "rate"), [("bad_gtin", 400), ("orphan_customer", 4900), ("return_without_purchase", 260)]
)
def test_it_refuses_more_faults_than_there_are_rows(tmp_path: Path, kind: str, rate: int):
    options = ExportOptions(seed=1, rates={kind: rate})
    with pytest.raises(ExportTooSmall, match=f"{kind}: {rate} rows"):
        write_legacy_export(tmp_path / "export", options, tmp_path / "key.csv")
    assert not list(tmp_path.iterdir())


def test_it_refuses_options_that_cannot_be():
    with pytest.raises(ValueError, match="rates names 'typo'"):
        ExportOptions(seed=1, rates={"typo": 1})
    with pytest.raises(ValueError, match="it is a number of rows"):
        ExportOptions(seed=1, rates={"encoding": -1})
    with pytest.raises(ValueError, match="customers is 3"):
        ExportOptions(seed=1, customers=3)
    with pytest.raises(ValueError, match="delimiter"):
        replace(ENGLISH, delimiter="::")
    with pytest.raises(ValueError, match="choose one of english"):
        dialect_named("klingon")
