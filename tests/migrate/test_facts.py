"""Facts are recomputed from what is there, by a recipe that anybody can follow."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from tests.migrate.loading import migrate, small_shop

from trueup.core.database import connect
from trueup.migrate.facts import Fact, facts, hash_of, match_returns
from trueup.migrate.state import find_run


async def facts_of(url: str, run: str) -> dict[str, Fact]:
    connection = await connect(url)
    try:
        return {fact.name: fact for fact in await facts(connection, await find_run(connection, run))}
    finally:
        await connection.close()


def test_a_hash_is_over_keys_in_code_point_order():
    rows = [("b", Decimal("2")), ("B", Decimal("1.5")), ("a|", Decimal("-0.001")), ("a", Decimal("0.005"))]
    text = "B|1.50\na|0.01\na||0.00\nb|2.00\n"
    assert hash_of(rows, 2) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("rows", "covered", "partly", "never", "missing"),
    [
        ([("1", "12345A", 3, "sale"), ("1", "12345A", -3, "credit")], "1", "0", "0", "0"),
        ([("1", "12345A", 2, "sale"), ("1", "12345A", -3, "credit")], "0", "1", "0", "1"),
        ([("1", "12345A", -3, "credit"), ("1", "12345A", 3, "sale")], "0", "0", "1", "3"),
        ([("2", "12345A", 3, "sale"), ("1", "12345A", -3, "credit")], "0", "0", "1", "3"),
        ([("1", "POST", 3, "sale"), ("1", "POST", -3, "credit")], "0", "0", "0", "0"),
        ([("1", "12345", 5, "sale"), ("1", "12345", -3, "credit"), ("1", "12345", -3, "credit")], "1", "1", "0", "1"),
    ],
)
def test_returns_are_matched_with_earlier_purchases(rows, covered, partly, never, missing):
    found = match_returns([(customer, sku, Decimal(units), kind) for customer, sku, units, kind in rows])
    assert found["return lines covered by earlier purchases"] == covered
    assert found["return lines covered partly"] == partly
    assert found["return lines not covered"] == never
    assert found["units returned with no earlier sale"] == missing


async def test_both_sides_are_computed_apart(door, url, tmp_path: Path):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop"))
    assert all(fact.equal for fact in (await facts_of(url, made.run)).values())
    with psycopg.connect(url) as connection:
        connection.execute("update order_line set quantity = quantity + 1 where line = 1 and sku = 'SKU-003'")
    found = await facts_of(url, made.run)
    assert {name for name, fact in found.items() if not fact.equal} == {"units", "net units per SKU hash"}
