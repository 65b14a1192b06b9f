"""What is odd but real in a source without catalogue, which counts repeated lines: all of it applied, all reported."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from trueup.migrate.mapping import shipped
from trueup.migrate.stage import stage

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def line(
    no: str, code: str, quantity: int, day: int = 1, price: str = "2.55", who: str = "17850.0", text: str = "Mug"
) -> str:
    return f"{no},{code},{text},{quantity},2010-12-{day:02d} 08:26:00,{price},{who},United Kingdom\n"


def findings(tmp_path: Path, *lines: str) -> list[tuple[int, str]]:
    (tmp_path / "day.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    staged = stage([tmp_path / "day.csv"], shipped("online-retail"), tmp_path / "work")
    assert staged.rows("apply") == len(lines)
    with duckdb.connect(str(staged.path), read_only=True) as connection:
        return connection.execute("select row, kind from finding order by row, kind").fetchall()


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (line("536365", "71053", 6), []),
        (line("536365", "71053", -6), ["write_off"]),
        (line("536365", "71053", 6, price="0.0"), ["zero_price"]),
        (line("A563186", "B", 1, price="-11062.06"), ["negative_price"]),
        (line("536365", "71053", 6, text=""), ["missing_description"]),
        (line("536365", "71053", 6, who=""), ["no_customer"]),
        (line("C536365", "POST", -1), ["credit_line"]),
        (line("C536365", "71053", -1), ["credit_line", "unmatched_return"]),
        (line("C536365", "71053", -1, who=""), ["credit_line", "no_customer"]),
    ],
)
def test_one_odd_line(tmp_path: Path, row: str, kinds: list[str]):
    assert findings(tmp_path, row) == [(2, kind) for kind in kinds]


def test_a_repeated_line_and_another_letter_case(tmp_path: Path):
    rows = [
        line("536365", "85123A", 6),
        line("536365", "85123A", 6),
        line("536366", "85123a", 6),
        line("536367", "x1", 6),
    ]
    assert findings(tmp_path, *rows) == [(3, "repeated_line"), (4, "sku_case")]


def test_returns_are_walked_in_time_and_never_below_zero(tmp_path: Path):
    rows = [
        line("C1", "A1", -5, day=1),  # nothing bought yet
        line("2", "a1", 4, day=2),
        line("C3", "A1", -3, day=3),  # covered; one left
        line("C4", "A1", -3, day=4),  # one covered, two missing
        line("5", "A1", 2, day=5),
        line("C6", "A1", -2, day=6),  # covered: what was missing before is not owed
        line("C7", "A1", -1, day=6, who="9"),  # another customer
    ]
    unmatched = [(row, kind) for row, kind in findings(tmp_path, *rows) if "return" in kind]
    assert unmatched == [(2, "unmatched_return"), (5, "partly_matched_return"), (8, "unmatched_return")]
    # Not the place in the file counts, but the time.
    unmatched = [(row, kind) for row, kind in findings(tmp_path, *reversed(rows)) if "return" in kind]
    assert unmatched == [(2, "unmatched_return"), (5, "partly_matched_return"), (8, "unmatched_return")]


def test_charges_are_no_goods_and_spelling_keeps_what_was_written(tmp_path: Path):
    findings(tmp_path, line("1", "POST", 1), line("1", "gift_0001_20", 1), line("1", "85123a ", 1))
    with duckdb.connect(str(tmp_path / "work" / "staging.duckdb"), read_only=True) as connection:
        rows = connection.execute("select sku_written, sku, kind from c_line").fetchall()
    assert rows == [
        ("POST", "POST", "charge"),
        ("gift_0001_20", "GIFT_0001_20", "charge"),
        ("85123a ", "85123A", "good"),
    ]
