"""Every row ends in one outcome; identities do not depend on the file a row comes in; mappings are refused by name."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import pytest
from tests.migrate.exports import clean_shop, write
from tests.migrate.test_detect import found_in, rows_of

from trueup.migrate import typed
from trueup.migrate.mapping import FileMapping, Mapping, MappingRefused, load_mapping, read_mapping, shipped
from trueup.migrate.stage import stage

LINES = FileMapping(
    entity="line", match=("*.csv", "*.parquet"),
    columns={"document": "no", "sku_written": "sku", "quantity": "qty", "unit_price": "price", "placed_at": "day",
             "customer": "who"},
)  # fmt: skip
HEADER = "no,sku,qty,price,day,who\n"


def staged_lines(folder: Path, text: str, mapping: Mapping | None = None, name: str = "a.csv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(HEADER + text, encoding="utf-8")
    return stage([folder], mapping or Mapping(files=(LINES,)), folder.parent / "work")


def outcomes(staged) -> list[tuple[object, ...]]:
    return rows_of(staged, "select row, outcome, rule from row_outcome order by id")


def test_the_same_rows_have_the_same_identity_as_parquet_and_as_text(tmp_path: Path):
    first = staged_lines(tmp_path / "a", "536365,85123A,6,2.55,2010-12-01 08:26:00,17850.0\n")
    one = rows_of(first, "select identity, customer from c_line")
    (tmp_path / "b").mkdir()
    duckdb.execute(
        "copy (select 536365 as no, '85123A' as sku, 6 as qty, 2.550::decimal(9, 3) as price, "
        f"timestamp '2010-12-01 08:26:00' as day, 17850 as who) to '{tmp_path / 'b' / 'a.parquet'}' (format parquet)"
    )
    second = stage([tmp_path / "b"], Mapping(files=(LINES,)), tmp_path / "work")
    assert rows_of(second, "select identity, customer from c_line") == one == [(one[0][0], "17850")]
    assert len(str(one[0][0])) == 32


def test_a_file_fed_twice_is_merged_without_a_finding(tmp_path: Path):
    text = "1,A,1,2,2024-01-01,K\n1,A,1,2,2024-01-01,K\n2,B,1,2,2024-01-01,K\n"
    staged_lines(tmp_path / "a", text, name="a.csv")
    staged = staged_lines(tmp_path / "a", text, Mapping(files=(LINES,), identical_rows="count"), name="b.csv")
    assert [count.rows for count in staged.outcomes if count.rule == "same_row_again"] == [3]
    assert staged.rows("apply") == 3
    assert staged.findings == {"repeated_line": 1}


def test_identical_rows_merge_or_count_as_the_mapping_says(tmp_path: Path):
    text = "1,A,1,2,2024-01-01,K\n1,A,1,2.0,2024-01-01,K\n2,A,1,2,2024-01-01,K\n"
    merged = staged_lines(tmp_path / "a", text)
    assert outcomes(merged)[1] == (3, "merge", "duplicate_row")
    counted = staged_lines(tmp_path / "a", text, Mapping(files=(LINES,), identical_rows="count"))
    assert counted.rows("apply") == 3
    assert found_in(counted) == {("a.csv", 3, "repeated_line")}


def test_blank_rows_repeated_headers_and_own_rules_are_ignored_by_name(tmp_path: Path):
    mapping = Mapping(files=(msgspec.structs.replace(LINES, ignore={"test_orders": "who = 'TEST'"}),))
    staged = staged_lines(
        tmp_path / "a", f",,,,,\n{HEADER}1,A,1,2,2024-01-01,TEST\n2,A,1,2,2024-01-01,K\n3,A,1\n", mapping
    )
    assert outcomes(staged) == [
        (2, "ignore", "blank_row"), (3, "ignore", "repeated_header"), (4, "ignore", "test_orders"), (5, "apply", ""),
        (6, "quarantine", "wrong_field_count"),
    ]  # fmt: skip
    assert staged.rows() == 5


def test_a_file_no_mapping_names_is_ignored_by_name(tmp_path: Path):
    staged = stage([write(clean_shop(5), tmp_path / "a")], Mapping(), tmp_path / "work")
    assert {(count.outcome, count.rule) for count in staged.outcomes} == {("ignore", "file_not_mapped")}


@pytest.mark.parametrize(
    ("quantity", "fix"), [("12 pcs", "12"), ("1O", "10"), ("#REF!", ""), ("", ""), ("1.234,5", "1234.5"), ("--", "")]
)
def test_an_unreadable_value_is_quarantined_with_a_fix(tmp_path: Path, quantity: str, fix: str):
    quoted = f'"{quantity}"'
    staged = staged_lines(tmp_path / "a", f"1,A,{quoted},2,2024-01-01,K\n1,B,1,2,2024-01-01,K\n")
    found = rows_of(staged, "select outcome, rule, column_name, value, fix from row_outcome where row = 2")
    assert found == [("quarantine", "unreadable_value", "qty", quantity, fix)]
    assert rows_of(staged, "select sku from c_line") == [("B",)]


def test_a_line_whose_header_is_missing_or_held_is_held(tmp_path: Path):
    shop = clean_shop(60)
    missing = shop.orders.pop(20)[0]
    held = shop.orders[30]
    held[1] = "no date"
    folder = write(shop, tmp_path / "a")
    staged = stage([folder], None, tmp_path / "work")
    held_lines = sum(line[0] == held[0] for line in shop.lines)
    rules = {(count.entity, count.rule): count.rows for count in staged.outcomes if count.outcome == "quarantine"}
    assert rules == {
        ("line", "orphan_line"): sum(line[0] == missing for line in shop.lines),
        ("line", "header_quarantined"): held_lines, ("order", "unreadable_value"): 1,
    }  # fmt: skip
    assert staged.findings == {"orphan_line": rules["line", "orphan_line"], "unreadable_value": 1}


def test_a_header_without_a_line_to_apply_is_held_and_one_with_some_is_not(tmp_path: Path):
    shop = clean_shop(60)
    documents = [row[0] for row in shop.orders]
    single = next(d for d in documents if sum(line[0] == d for line in shop.lines) == 1)
    several = next(d for d in documents if sum(line[0] == d for line in shop.lines) > 1)
    for document in (single, several):
        shop.line_of(document)[3] = "???"
    bare = ["SO-100999", *shop.orders[9][1:]]
    shop.orders.append(bare)
    staged = stage([write(shop, tmp_path / "a")], None, tmp_path / "work")
    # The line that was set aside says it all; an order that never had one is odd itself.
    assert staged.findings == {"header_without_lines": 1, "unreadable_value": 2}
    held = rows_of(
        staged, "select rule, value from row_outcome where entity = 'order' and outcome = 'quarantine' order by value"
    )
    assert held == [("no_lines", single), ("no_lines", bare[0])]
    assert rows_of(staged, f"select count(*) from c_order where document = '{several}'") == [(1,)]


@pytest.mark.parametrize(
    ("written", "outcome", "at"),
    [
        ("13/01/2024", "apply", "2024-01-13 00:00:00"),
        ("01/13/2024 10:15", "apply", "2024-01-13 10:15:00"),
        ("4.3.2024", "apply", "2024-03-04 00:00:00"),
        ("04/04/2024", "apply", "2024-04-04 00:00:00"),
        ("03/04/2024", "quarantine", None),
    ],
)
def test_a_date_unlike_its_column_is_applied_when_it_can_only_mean_one_day(tmp_path: Path, written, outcome, at):
    usual = "".join(f"{n},A,1,2,2024-02-{n:02d},K\n" for n in range(1, 9))
    mapping = Mapping(files=(LINES,), timezone="Europe/Berlin")
    staged = staged_lines(tmp_path / "a", f"{usual}9,A,1,2,{written},K\n", mapping)
    assert staged.findings == {"mixed_date_format": 1}
    assert rows_of(staged, "select outcome from row_outcome where row = 10") == [(outcome,)]
    found = rows_of(staged, "select timezone('Europe/Berlin', placed_at)::varchar from c_line where document = '9'")
    assert found == ([(at,)] if at else [])


def test_an_order_with_a_line_set_aside_is_not_judged_by_its_total(tmp_path: Path):
    shop = clean_shop(60)
    document = next(d for d in (row[0] for row in shop.orders) if sum(line[0] == d for line in shop.lines) > 1)
    line = shop.line_of(document)
    line[3], line[5] = "???", "???"
    staged = stage([write(shop, tmp_path / "a")], None, tmp_path / "work")
    assert staged.findings == {"unreadable_value": 2}


def test_what_is_not_odd_is_not_flagged(tmp_path: Path):
    shop = clean_shop(60)
    shop.items[0][3] = "96385074"
    shop.items[1][3] = "036000291452"
    shop.items[2][3] = "10012345000017"
    shop.items[3][1] = 'Bowl, "large"; white'
    first, second = (row for row in shop.orders if row[3] == "EUR" and row[0] in ("SO-100002", "SO-100003"))
    shop.lines = [line for line in shop.lines if line[0] != second[0]]
    shop.lines += [[second[0], *line[1:]] for line in shop.lines if line[0] == first[0]]
    second[5:8] = first[5:8]
    shop.lines.append([first[0], "20000", "Gift", "1", "0.00", "0.00"])
    staged = stage([write(shop, tmp_path / "a")], None, tmp_path / "work")
    assert staged.findings == {}


def test_an_expression_that_cannot_run_names_field_and_columns(tmp_path: Path):
    broken = msgspec.structs.replace(LINES, columns={**LINES.columns, "quantity": "qtty"})
    with pytest.raises(MappingRefused, match=r"line quantity: the expression 'qtty'.*no, sku, qty"):
        staged_lines(tmp_path / "a", "1,A,1,2,2024-01-01,K\n", Mapping(files=(broken,)))


@pytest.mark.parametrize(
    "expression",
    [
        "(select count(*) from read_csv('/etc/passwd'))",
        "(select content from read_text('/etc/hostname'))",
        "qty); drop table raw_1; select (1",
        "qty) from raw_1; --",
        "1) as x, (2",
    ],
)
def test_an_expression_cannot_reach_outside(tmp_path: Path, expression: str):
    broken = msgspec.structs.replace(LINES, columns={**LINES.columns, "quantity": expression})
    with pytest.raises(MappingRefused):
        staged_lines(tmp_path / "a", "1,A,1,2,2024-01-01,K\n", Mapping(files=(broken,)))


def test_an_expression_that_does_not_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(typed, "SECONDS_MAX", 1.0)
    endless = "(select sum(a.range * b.range) from range(1000000) a, range(1000000) b)"
    slow = msgspec.structs.replace(LINES, columns={**LINES.columns, "quantity": endless})
    with pytest.raises(MappingRefused, match="was stopped"):
        staged_lines(tmp_path / "a", "1,A,1,2,2024-01-01,K\n", Mapping(files=(slow,)))


def test_a_mapping_is_refused_by_its_path():
    with pytest.raises(MappingRefused, match="quantty"):
        read_mapping(b'{"files": [{"entity": "line", "match": ["*"], "columns": {"quantty": "1"}}]}', "m.json")
    with pytest.raises(MappingRefused, match="lacks"):
        read_mapping(b'{"files": [{"entity": "line", "match": ["*"], "columns": {"quantity": "1"}}]}', "m.json")
    with pytest.raises(MappingRefused, match="unknown field"):
        read_mapping(b'{"colour": 1}', "m.json")
    with pytest.raises(MappingRefused, match="online-retail"):
        load_mapping("nothing")


@pytest.mark.parametrize("name", ["online-retail", "toy-store", "northwind"])
def test_shipped_mappings_are_valid(name: str):
    assert load_mapping(name) == shipped(name)
    assert shipped(name).source == name
