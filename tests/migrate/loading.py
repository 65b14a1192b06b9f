"""A small legacy shop in four files, and how a test loads it."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from trueup.core import json
from trueup.core.checks import run_checks
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.house import CHECKS
from trueup.migrate.mapping import Mapping
from trueup.migrate.report import Report
from trueup.migrate.run import Means, run_migration

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ITEMS = 20
CUSTOMERS = 10
LINES_PER_ORDER = 4


def mapping(**changed: Any) -> Mapping:
    """The small shop's mapping."""
    document = {
        "source": "small-shop",
        "currency": "EUR",
        "files": [
            _file("item", "items.csv", "sku name unit_price"),
            _file("customer", "customers.csv", "number name email country"),
            _file("order", "orders.csv", "document placed_at customer charges source_total"),
            _file("line", "lines.csv", "document sku_written=sku quantity unit_price"),
            _file("count", "counts.csv", "sku_written=sku location counted"),
        ],
    }
    return json.convert({**document, **changed}, Mapping)


def _file(entity: str, name: str, fields: str) -> dict[str, Any]:
    pairs = [field.partition("=") for field in fields.split()]
    columns = {field: f'"{column or field}"' for field, _, column in pairs}
    return {"entity": entity, "match": [name], "columns": columns}


def small_shop(folder: Path, orders: int = 25, **spoilt: str) -> Path:
    """Write the shop's files. spoilt: `lines_7_quantity="x"` puts x into that column of lines.csv's 7th data row."""
    folder.mkdir(parents=True, exist_ok=True)
    prices = {f"SKU-{n:03}": f"{n + 1}.50" for n in range(ITEMS)}
    lines, headers = [], []
    for order in range(orders):
        total = 0
        for place in range(LINES_PER_ORDER):
            sku = f"SKU-{(order + place * 3) % ITEMS:03}"
            quantity = order % 3 + place + 1
            total += quantity * round(float(prices[sku]) * 100)
            lines.append([f"A-{order:05}", sku, str(quantity), prices[sku]])
        total += 490
        at = f"2025-0{order % 9 + 1}-{order % 27 + 1:02} 10:{order % 60:02}:00"
        headers.append([f"A-{order:05}", at, f"K{order % CUSTOMERS}", "4.90", f"{total // 100}.{total % 100:02}"])
    tables = {
        "items": [["sku", "name", "unit_price"], *([sku, f"Item {sku}", price] for sku, price in prices.items())],
        "customers": [["number", "name", "email", "country"],
                      *([f"K{n}", f"Person {n}", f"p{n}@example.com", "DE"] for n in range(CUSTOMERS))],
        "orders": [["document", "placed_at", "customer", "charges", "source_total"], *headers],
        "lines": [["document", "sku", "quantity", "unit_price"], *lines],
        "counts": [["sku", "location", "counted"], *([sku, "MAIN", str(n * 5)] for n, sku in enumerate(prices))],
    }  # fmt: skip
    for spot, value in spoilt.items():
        table, row, column = spot.split("_", 2)
        tables[table][int(row)][tables[table][0].index(column)] = value
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(rows)
    return folder


def means(door: Door, url: str, home: Path, **more: Any) -> Means:
    """What a run works with in a test."""
    return Means(door, url, home, **more)


async def migrate(door: Door, url: str, home: Path, *paths: Path, using: Mapping | None = None) -> Report:
    """Run a migration of the small shop's files."""
    return await run_migration(means(door, url, home), paths, using or mapping(), mapping_name="small-shop")


def fetch(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask the database, as its owner."""
    with psycopg.connect(url) as connection:
        return connection.execute(sql).fetchall()


def contents(url: str) -> list[tuple[Any, ...]]:
    """Everything a load brings, without the ids and times that differ from load to load."""
    orders = fetch(
        url,
        """select k.key, o.kind, o.currency, o.placed_at, o.total, o.source_total, c.number, l.line, l.sku, i.sku,
            l.quantity, l.unit_price, l.amount, l.source_row
        from orders o join order_key k on k.order_id = o.id and k.source = o.source
        left join customer c on c.id = o.customer join order_line l on l.order_id = o.id
        left join item i on i.id = l.item order by k.key collate "C", l.source_row""",
    )
    stock = fetch(url, "select i.sku, b.on_hand from stock_balance b join item i on i.id = b.item order by 1")
    return [*orders, *stock, *fetch(url, "select sku, name, kind from item order by sku"),
            *fetch(url, "select number, country from customer order by number")]  # fmt: skip


async def failing_checks(url: str) -> list[str]:
    """Which checks of the house find something."""
    connection = await connect(url)
    try:
        return [f"{found.name}: {found.sample}" for found in await run_checks(connection, CHECKS) if found.failing]
    finally:
        await connection.close()
