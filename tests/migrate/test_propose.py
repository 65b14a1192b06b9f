"""A first mapping is proposed from names and values, in any language, order and delimiter."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from rich.console import Console
from tests.migrate.exports import ENGLISH, GERMAN, TERSE, clean_shop, write

from trueup.core import json
from trueup.migrate.mapping import check_mapping, read_mapping
from trueup.migrate.profile import as_table
from trueup.migrate.propose import explain
from trueup.migrate.stage import Staged, stage

ENTITIES = {"items": "item", "customers": "customer", "orders": "order", "lines": "line", "stock": "count"}
FIELDS = {
    "items": ["sku", "name", "category", "gtin", "weight_g", "unit_price"],
    "customers": ["number", "name", "email", "street", "postcode", "city", "country"],
    "orders": [
        "document",
        "placed_at",
        "customer",
        "currency",
        "country",
        "charges",
        "discount",
        "source_total",
        "status",
    ],
    "lines": ["document", "sku_written", "description", "quantity", "unit_price", "amount"],
    "stock": ["sku_written", "location", "counted", "counted_at"],
}
ABBREVIATED = {
    "items": ("art.csv", ["art_nr", "bez", "wgr", "ean", "gew_g", "vkp"]),
    "customers": ("kd.csv", ["kd_nr", "name", "mail", "str", "plz", "ort", "lkz"]),
    "orders": ("auf_kopf.csv", ["auf_nr", "dat", "kd_nr", "whg", "lkz", "frk", "rab", "ges", "sts"]),
    "lines": ("auf_pos.csv", ["auf_nr", "art_nr", "bez", "mng", "ep", "gp"]),
    "stock": ("lag.csv", ["art_nr", "lgo", "mng", "zeit"]),
}
# Where names say nothing, values tell at least these.
TOLD_BY_VALUES = {
    "items": {"sku", "gtin", "name", "unit_price"}, "customers": {"number", "email", "name", "country"},
    "orders": {"document", "placed_at", "customer", "currency", "country", "charges", "discount", "source_total"},
    "lines": set(FIELDS["lines"]), "stock": set(FIELDS["stock"]),
}  # fmt: skip


def proposed(staged: Staged) -> dict[str, dict[str, str]]:
    """Return column by field; what is read out of the words in another column is left to tests of its own."""
    return {
        entry.entity: {f: c.strip('"') for f, c in entry.columns.items() if f not in ("cancelled", "shipped")}
        for entry in staged.mapping.files
    }


def expected(dialect: dict[str, tuple[str, list[str]]], only: dict[str, set[str]] | None = None):
    return {
        ENTITIES[kind]: {f: c for f, c in zip(FIELDS[kind], header, strict=True) if only is None or f in only[kind]}
        for kind, (_, header) in dialect.items()
    }


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize(
    ("dialect", "delimiter", "comma", "dates"),
    [
        (ENGLISH, ",", False, "%Y-%m-%d %H:%M:%S"),
        (ENGLISH, "\t", False, "%m/%d/%Y %H:%M"),
        (GERMAN, ";", True, "%d.%m.%Y %H:%M"),
        (ABBREVIATED, "|", True, "%d.%m.%Y"),
    ],
    ids=["english", "american", "german", "abbreviated"],
)
def test_names_in_several_languages(tmp_path: Path, dialect, delimiter: str, comma: bool, dates: str, noise: bool):
    folder = write(clean_shop(150), tmp_path / "a", dialect, delimiter=delimiter, comma=comma, dates=dates, noise=noise)
    staged = stage([folder], None, tmp_path / "work")
    assert proposed(staged) == expected(dialect)
    orders = next(entry for entry in staged.mapping.files if entry.entity == "order")
    assert orders.dates == {"placed_at": dates}
    assert orders.decimal == ("," if comma else ".")


@pytest.mark.parametrize("noise", [False, True])
def test_values_tell_where_names_do_not(tmp_path: Path, noise: bool):
    staged = stage([write(clean_shop(300), tmp_path / "a", TERSE, noise=noise)], None, tmp_path / "work")
    found, least = proposed(staged), expected(TERSE, TOLD_BY_VALUES)
    assert {entity: {f: found[entity].get(f) for f in fields} for entity, fields in least.items()} == least


def test_a_single_file_of_lines_is_enough(tmp_path: Path):
    rows = "".join(
        f"{536365 + n // 3},S{n % 17},Thing {n % 17},{n % 4 + 1},2011-03-{n % 27 + 1:02d} 10:00,{n % 17}.50,"
        f"{17000 + n % 5},Spain\n"
        for n in range(200)
    )
    (tmp_path / "a.csv").write_text(
        f"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n{rows}"
    )
    staged = stage([tmp_path / "a.csv"], None, tmp_path / "work")
    assert proposed(staged) == {
        "line": {
            "document": "InvoiceNo", "sku_written": "StockCode", "description": "Description", "quantity": "Quantity",
            "placed_at": "InvoiceDate", "unit_price": "UnitPrice", "customer": "CustomerID", "country": "Country",
        }
    }  # fmt: skip
    assert staged.rows("apply") == 200


def test_a_proposal_is_a_mapping_document_with_reasons(tmp_path: Path):
    staged = stage([write(clean_shop(60), tmp_path / "a", GERMAN, delimiter=";")], None, tmp_path / "work")
    assert staged.proposal is not None
    again = read_mapping(json.encode(staged.mapping), "proposed")
    check_mapping(again, "proposed")
    assert again == staged.mapping
    assert all(0 < choice.confidence <= 1 and choice.reason for choice in staged.proposal.choices)
    console = Console(record=True, width=200)
    console.print(explain(staged.proposal))
    console.print(as_table(staged.profile[0]))
    assert "Artikelnummer" in console.export_text()


def test_a_profile_says_what_stands_in_a_column(tmp_path: Path):
    text = "id,price,note\n" + "".join(f"A{n % 9},{n % 5}.50,\n" for n in range(20)) + "A1,9999.00,x\nA1,9999.00,x\n"
    (tmp_path / "a.csv").write_text(text)
    profile = stage([tmp_path], None, tmp_path / "work").profile[0]
    assert (profile.rows, profile.duplicates, profile.wrong_rows) == (22, 1, 0)
    code, price, note = profile.columns
    assert (code.type, code.distinct, code.duplicates, code.patterns) == ("text", 9, 13, (("A9", 22),))
    assert (price.type, price.smallest, price.largest, price.outliers) == ("number", "0.50", "9999.00", 2)
    assert (note.type, note.nulls) == ("text", 20)


def test_words_for_what_was_shipped_become_shipped_units(tmp_path: Path):
    folder = write(clean_shop(60), tmp_path / "a", ENGLISH)
    staged = stage([folder], None, tmp_path / "work")
    orders = next(entry for entry in staged.mapping.files if entry.entity == "order")
    assert "lower(trim(" in orders.columns["shipped"]
    with duckdb.connect(str(staged.path), read_only=True) as connection:
        rows = connection.execute(
            """select o.status, sum(l.shipped) = sum(greatest(l.quantity, 0)) from c_order o
            join c_line l using (document) where l.quantity > 0 group by all"""
        ).fetchall()
    assert {status for status, wholly in rows if wholly} <= {"shipped", "delivered"}
    assert any(wholly for _, wholly in rows)
