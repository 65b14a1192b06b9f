"""The staging area reproduces every fact of the big real files, hashes included."""

from __future__ import annotations

import os
import random
import resource
import sys
import time
from pathlib import Path

import duckdb
import pytest

from trueup.migrate.mapping import shipped
from trueup.migrate.stage import Staged, stage

DATA = Path(os.environ.get("TRUEUP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")]
HASH = "select sha256(string_agg(k || '|' || a || chr(10), '' order by k)) from ({})"


def query(staged: Staged, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(staged.path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def text(staged: Staged, sql: str) -> list[str]:
    return [str(value) for value in query(staged, sql)[0]]


@pytest.fixture(scope="module")
def retail(tmp_path_factory) -> Staged:
    # CPU seconds of all threads: a busy machine changes them less than the clock on the wall.
    started = time.process_time()
    staged = stage(
        [DATA / "online_retail" / "online_retail_dev.parquet"], shipped("online-retail"), tmp_path_factory.mktemp("w")
    )
    assert time.process_time() - started < 20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    assert peak < 1000
    return staged


def test_online_retail_counts(retail: Staged):
    assert text(
        retail,
        """select count(*), count(distinct document), count(distinct document) filter (starts_with(document, 'C')),
        count(*) filter (starts_with(document, 'C')), sum(quantity)::bigint,
        sum(quantity * unit_price)::decimal(18, 3),
        (sum(quantity * unit_price) filter (starts_with(document, 'C')))::decimal(18, 3),
        count(*) filter (customer is null), count(distinct customer), count(distinct sku_written),
        (select count(*) from c_order where kind = 'credit') from c_line""",
    ) == [
        "320705", "16459", "2554", "5847", "3089482", "5761931.382", "-520770.560", "88652", "3360", "3774", "2554",
    ]  # fmt: skip


def test_online_retail_findings(retail: Staged):
    assert retail.findings == {
        "credit_line": 5847, "missing_description": 1161, "negative_price": 2, "no_customer": 88652,
        "partly_matched_return": 25, "repeated_line": 2483, "sku_case": 1363, "unmatched_return": 879, "write_off": 925,
        "zero_price": 1797,
    }  # fmt: skip
    assert retail.rows("apply") == 320_705


def test_online_retail_hashes(retail: Staged):
    totals = "select document as k, sum(quantity * unit_price)::decimal(18, 3)::varchar as a from c_line group by 1"
    units = "select sku_written as k, sum(quantity)::bigint::varchar as a from c_line group by 1"
    assert text(retail, HASH.format(totals)) == ["5b250839128b21260722de003a62f9106d13afcb247a225331fa32b993797f80"]
    assert text(retail, HASH.format(units)) == ["593c0674bb84041e0eaa80b031b923080d45d14ad3c412c946924728449d99b0"]


def test_online_retail_returns(retail: Staged):
    units = r"""
        select count(*), sum(-quantity)::bigint from c_line where kind = 'good' and customer is not null
        and quantity < 0 and starts_with(document, 'C') and regexp_full_match(sku, '\d{5}[A-Z]{0,2}')"""
    missing = r"""
        select sum(regexp_extract(detail, ', ([0-9.]+) were', 1)::double)::bigint from finding
        where kind in ('unmatched_return', 'partly_matched_return')"""
    assert text(retail, units) == ["5328", "143584"]
    assert text(retail, missing) == ["17377"]
    assert 5328 - retail.findings["unmatched_return"] - retail.findings["partly_matched_return"] == 4424


def test_daily_files_are_the_same_rows_in_any_order_and_twice(retail: Staged, tmp_path: Path):
    days = sorted((DATA / "online_retail" / "by_day").iterdir())
    once = stage(days, shipped("online-retail"), tmp_path / "once")
    shuffled = days * 2
    random.Random(4).shuffle(shuffled)
    twice = stage(shuffled, shipped("online-retail"), tmp_path / "twice")
    assert twice.rows("apply") == once.rows("apply") == once.rows() == 105_335
    assert twice.rows("merge") == 105_335
    assert twice.findings == once.findings
    with duckdb.connect() as connection:
        for name, staged in (("a", once), ("b", twice), ("p", retail)):
            connection.execute(f"attach '{staged.path}' as {name} (read_only)")
        for name in ("b", "p"):
            missing = f"select count(*) from a.c_line where identity not in (select identity from {name}.c_line)"
            assert connection.execute(missing).fetchall() == [(0,)]


def test_toy_store(tmp_path: Path):
    staged = stage([DATA / "toy_store"], shipped("toy-store"), tmp_path)
    orders = """select count(*), sum(source_total)::decimal(18, 2), sum(refunded)::decimal(18, 2),
        count(*) filter (refunded = source_total), count(*) filter (refunded > 0 and refunded < source_total)
        from c_order"""
    assert text(staged, orders) == ["10033", "522522.01", "25944.86", "503", "10"]
    assert text(staged, "select count(*), sum(returned)::int from c_line") == ["10199", "514"]
    net = """select document as k, (sum(quantity * unit_price) - any_value(refunded))::decimal(18, 2)::varchar as a
        from c_line join c_order using (document) group by 1"""
    assert text(staged, HASH.format(net)) == ["c9379f07892e0148969f19dc12cc4642cb910542d54ce2e6add666f6c0f8e390"]
    assert staged.findings == {}


def test_northwind(tmp_path: Path):
    staged = stage([DATA / "northwind" / "northwind.sql"], shipped("northwind"), tmp_path)
    assert text(staged, "select count(*), sum(charges)::decimal(18, 2) from c_order") == ["830", "64942.69"]
    lines = "select count(*), count(distinct document) filter (shipped = 0) from c_line"
    assert text(staged, lines) == ["2155", "21"]
    net = """select document as k, (sum(quantity * unit_price) - sum(l.discount))::decimal(18, 2)::varchar as a
        from c_line l join c_order using (document) group by 1"""
    assert text(staged, HASH.format(net)) == ["8137592aff10f8ed97eaddea94a22e031d5df85ed5b3cb4b436a300213f0fa8a"]
    assert text(staged, f"select sum(a::decimal(18, 2)) from ({net})") == ["1265793.29"]
    assert staged.findings == {}
