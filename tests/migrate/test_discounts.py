"""Behaviour 24 through a migration: what a source takes off its lines stays on them, and the controls are exact."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.migrate.loading import contents, failing_checks, fetch, means, migrate, small_shop
from tests.migrate.loading import mapping as small_mapping
from tests.migrate.test_facts import facts_of
from tests.migrate.test_quarantine import report_of
from tests.proof import prove

from trueup.core import json
from trueup.core.door import Door
from trueup.migrate.mapping import Mapping
from trueup.migrate.quarantine import correct
from trueup.migrate.report import Report
from trueup.migrate.undo import undo

LINES = {("A-00001", 1): Decimal("2.00"), ("A-00001", 3): Decimal("0.99"), ("A-00002", 2): Decimal("0.005"),
         ("A-00004", 4): Decimal("-1.10")}  # fmt: skip
DOCUMENTS = {"A-00001": "1.25", "A-00003": "5.00"}


def mapping() -> Mapping:
    """The small shop's mapping, with the discounts of its lines and orders."""
    plain: Any = json.to_plain(small_mapping())
    for entry in plain["files"]:
        if entry["entity"] in ("line", "order"):
            entry["columns"]["discount"] = '"discount"'
    return json.convert(plain, Mapping)


def discounted(folder: Path, **spoilt: str) -> Path:
    """Write the small shop with six orders; some have discounts on lines, on the document, or on both."""
    small_shop(folder, orders=6, **spoilt)
    tables = {name: _read(folder / f"{name}.csv") for name in ("lines", "orders")}
    off = {document: Decimal(amount) for document, amount in DOCUMENTS.items()}
    nth: dict[str, int] = {}
    for line in tables["lines"][1:]:
        document = line[0]
        nth[document] = nth.get(document, 0) + 1
        line.append(str(LINES.get((document, nth[document]), "")))
        off[document] = off.get(document, Decimal(0)) + Decimal(line[-1] or 0)
    for order in tables["orders"][1:]:
        order[-1] = str(Decimal(order[-1]) - off[order[0]])
        order.append(DOCUMENTS.get(order[0], ""))
    for name, table in tables.items():
        table[0].append("discount")
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(table)
    return folder


def _read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def shares(url: str) -> dict[tuple[str, int], Decimal]:
    """What lines have as their discount, by document and place in it, where it is not zero."""
    found = fetch(
        url,
        """select k.key, row_number() over (partition by k.key order by l.line), l.discount
        from order_line l join orders o on o.id = l.order_id join order_key k on k.order_id = o.id
        and k.source = o.source order by 1, 2""",
    )
    return {(document, place): share for document, place, share in found if share}


def discounts(url: str) -> dict[str, Decimal]:
    """What is taken off each document in all, where it is anything."""
    found = fetch(
        url,
        """select k.key, o.total_discount from orders o join order_key k on k.order_id = o.id and k.source = o.source
        where o.total_discount <> 0""",
    )
    return dict(found)


def figure(made: Report, name: str) -> tuple[str, str]:
    return next((control.source, control.target) for control in made.controls if control.name == name)


def agreed(made: Report) -> None:
    assert made.agrees, [control for control in made.controls if not control.equal]


async def test_behaviour_24_line_discounts_stay_on_their_lines_and_document_discounts_on_theirs(
    door: Door, url: str, tmp_path: Path
):
    made = await migrate(door, url, tmp_path / "home", discounted(tmp_path / "shop"), using=mapping())
    agreed(made)
    assert shares(url) == LINES
    assert discounts(url) == {"A-00001": Decimal("4.24"), "A-00002": Decimal("0.005"), "A-00003": 5,
                              "A-00004": Decimal("-1.10")}  # fmt: skip
    assert fetch(url, "select count(*) from orders where total_differs") == [(0,)]
    assert figure(made, "discount EUR") == ("8.145", "8.145")
    assert figure(made, "discount of lines EUR") == ("1.895", "1.895")
    found = await facts_of(url, made.run)
    assert (found["discount of lines"].target, [name for name, fact in found.items() if not fact.equal]) == (
        "1.895", []
    )  # fmt: skip
    assert not await failing_checks(url)
    await prove(url)


async def test_behaviour_24_a_corrected_row_brings_its_share(door: Door, url: str, tmp_path: Path):
    shop = discounted(tmp_path / "shop", lines_7_quantity="?")
    made = await migrate(door, url, tmp_path / "home", shop, using=mapping())
    agreed(made)
    assert shares(url) == {spot: share for spot, share in LINES.items() if spot != ("A-00001", 3)}
    assert figure(made, "discount of lines EUR") == ("0.905", "0.905")
    await correct(means(door, url, tmp_path / "home"), made.run, "lines.csv", 8, {"quantity": "4"})
    agreed(await report_of(url, made.run))
    assert fetch(url, "select discount from order_line where sku = 'SKU-007' and discount <> 0") == [(Decimal("0.99"),)]
    assert discounts(url)["A-00001"] == Decimal("4.24")
    assert fetch(url, "select count(*) from orders where total_differs") == [(0,)]
    await prove(url)


async def test_behaviour_24_the_same_files_again_and_more_lines_of_an_order(door: Door, url: str, tmp_path: Path):
    shop = discounted(tmp_path / "shop")
    first = await migrate(door, url, tmp_path / "home", shop, using=mapping())
    before = (shares(url), discounts(url), contents(url))
    again = await migrate(door, url, tmp_path / "home", shop, using=mapping())
    agreed(again)
    assert (again.run, again.rows) == (first.run, first.rows)
    assert (shares(url), discounts(url), contents(url)) == before
    with (shop / "lines.csv").open("a") as stream:
        stream.write("A-00001,SKU-019,9,20.50,0.77\n")
    second = await migrate(door, url, tmp_path / "home", shop, using=mapping())
    agreed(second)
    assert second.run != first.run
    assert shares(url) == {**LINES, ("A-00001", 5): Decimal("0.77")}
    assert discounts(url)["A-00001"] == Decimal("5.01")
    await prove(url)
    await undo(door, url, second.run)
    assert "A-00001" not in discounts(url)
    await undo(door, url, first.run)
    assert shares(url) == {}
    agreed(await report_of(url, first.run))
    await prove(url)


@pytest.mark.parametrize(
    ("tampering", "name"),
    [
        ("update order_line set discount = discount + 0.01 where discount = 0.99", "discount of lines EUR"),
        ("update orders set total_discount = total_discount + 0.01 where total_discount = 4.24", "discount EUR"),
    ],
)
async def test_a_discount_changed_on_the_side_shows(door: Door, url: str, tmp_path: Path, tampering: str, name: str):
    made = await migrate(door, url, tmp_path / "home", discounted(tmp_path / "shop"), using=mapping())
    with psycopg.connect(url) as connection:
        connection.execute(tampering)
    source, target = figure(await report_of(url, made.run), name)
    assert Decimal(target) - Decimal(source) == Decimal("0.01")
