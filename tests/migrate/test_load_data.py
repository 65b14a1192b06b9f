"""The big real files end in PostgreSQL with every listed fact, hashes included, computed from the target."""

from __future__ import annotations

import os
import random
import resource
import sys
import time
from pathlib import Path

import pytest
from tests.migrate.loading import contents, failing_checks, fetch, means
from tests.migrate.test_facts import facts_of

from trueup.migrate.mapping import shipped
from trueup.migrate.report import Report
from trueup.migrate.run import run_migration

DATA = Path(os.environ.get("TRUEUP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")]

ONLINE_RETAIL = {
    "rows": "320705", "invoices": "16459", "cancelling invoices": "2554", "lines of cancelling invoices": "5847",
    "quantity": "3089482", "amount": "5761931.382", "amount of cancelling invoices": "-520770.560",
    "rows without a customer": "88652", "customers": "3360", "SKUs as written": "3774",
    "negative rows that are no cancellation": "925", "zero prices": "1797", "negative prices": "2",
    "descriptions missing": "1161", "excess exact duplicates": "2483",
    "invoice-total hash": "5b250839128b21260722de003a62f9106d13afcb247a225331fa32b993797f80",
    "net units per SKU hash": "593c0674bb84041e0eaa80b031b923080d45d14ad3c412c946924728449d99b0",
    "return lines": "5328", "return lines covered by earlier purchases": "4424", "return lines covered partly": "25",
    "return lines not covered": "879", "units returned": "143584", "units returned with no earlier sale": "17377",
}  # fmt: skip
TOY_STORE = {
    "orders": "10033", "amount": "522522.01", "items": "10199", "refunded items": "514", "refunds": "25944.86",
    "orders wholly refunded": "503", "orders partly refunded": "10",
    "net per order hash": "c9379f07892e0148969f19dc12cc4642cb910542d54ce2e6add666f6c0f8e390",
}  # fmt: skip
NORTHWIND = {
    "orders": "830", "lines": "2155", "net": "1265793.29", "freight": "64942.69", "unshipped": "21",
    "order-net hash": "8137592aff10f8ed97eaddea94a22e031d5df85ed5b3cb4b436a300213f0fa8a",
}  # fmt: skip


async def load_shipped(door, url: str, home: Path, name: str, *paths: Path) -> Report:
    made = await run_migration(means(door, url, home), paths, shipped(name), mapping_name=name)
    assert made.agrees, [control for control in made.controls if not control.equal]
    assert sum(count for outcome, count in made.rows.items() if outcome != "in") == made.rows["in"]
    return made


async def target_facts(url: str, made: Report) -> dict[str, str]:
    found = await facts_of(url, made.run)
    assert all(fact.equal for fact in found.values())
    return {name: fact.target for name, fact in found.items()}


async def test_online_retail_with_every_fact(door, url, tmp_path: Path):
    began = time.monotonic()
    made = await load_shipped(
        door, url, tmp_path, "online-retail", DATA / "online_retail" / "online_retail_dev.parquet"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    assert made.rows == {"in": 320705, "applied": 320705, "quarantined": 0, "merged": 0, "ignored": 0}
    assert await target_facts(url, made) == ONLINE_RETAIL
    assert peak < 1500
    assert time.monotonic() - began < 120
    assert not await failing_checks(url)


async def test_daily_files_twice_and_shuffled_change_nothing(door, url, tmp_path: Path):
    days = sorted((DATA / "online_retail" / "by_day").glob("*.csv"))[:20]
    first = await load_shipped(door, url, tmp_path, "online-retail", *days)
    before, facts_before = contents(url), await target_facts(url, first)
    shuffled = [*days, *days]
    random.Random(7).shuffle(shuffled)
    again = await load_shipped(door, url, tmp_path, "online-retail", *shuffled)
    assert again.rows["in"] == 2 * first.rows["in"]
    assert again.rows["applied"] == 0
    assert contents(url) == before
    for day in shuffled[:6]:
        await load_shipped(door, url, tmp_path, "online-retail", day)
    assert contents(url) == before
    assert await target_facts(url, first) == facts_before
    assert not await failing_checks(url)


async def test_day_by_day_in_any_order_ends_like_all_at_once(door, url, tmp_path: Path):
    days = sorted((DATA / "online_retail" / "by_day").glob("*.csv"))[:8]
    random.Random(3).shuffle(days)
    for day in days:
        await load_shipped(door, url, tmp_path, "online-retail", day)
    lines = fetch(url, "select count(*), count(distinct source_row), sum(amount) from order_line")
    made = await load_shipped(door, url, tmp_path, "online-retail", *days)
    assert made.rows["applied"] == 0
    assert fetch(url, "select count(*), count(distinct source_row), sum(amount) from order_line") == lines
    assert lines[0][0] == made.rows["in"]


async def test_toy_store_with_every_fact(door, url, tmp_path: Path):
    made = await load_shipped(door, url, tmp_path, "toy-store", DATA / "toy_store")
    assert await target_facts(url, made) == TOY_STORE
    assert not await failing_checks(url)


async def test_northwind_with_every_fact(door, url, tmp_path: Path):
    made = await load_shipped(door, url, tmp_path, "northwind", DATA / "northwind")
    assert await target_facts(url, made) == NORTHWIND
    assert not await failing_checks(url)
