"""Control totals compare what was given with what is there, and notice what somebody changed on the side."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from tests.migrate.loading import mapping, migrate, small_shop

from trueup.core.database import connect
from trueup.migrate.controls import controls, side_by_side, written


async def differing(url: str) -> dict[str, tuple[str, str]]:
    connection = await connect(url)
    try:
        return {c.name: (c.source, c.target) for c in await controls(connection, "small-shop") if not c.equal}
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("tampering", "names"),
    [
        ("update order_line set quantity = quantity + 1 where line = 2 and order_id = (select min(id) from orders)",
         {"units", "units, sale"}),
        ("update order_line set amount = amount + 0.01 where line = 1 and order_id = (select min(id) from orders)",
         {"amount EUR", "amount, sale EUR"}),
        ("delete from order_line where line = 4 and order_id = (select min(id) from orders)", {"lines", "lines, sale"}),
        ("delete from order_key where order_id = (select min(id) from orders);"
         "delete from order_line where order_id = (select min(id) from orders);"
         "delete from orders where id = (select min(id) from orders)", {"documents", "lines", "total EUR"}),
        ("update orders set source_total = source_total + 1 where id = (select min(id) from orders)",
         {"stated total EUR", "documents with another stated total"}),
        ("delete from item_key where key = 'SKU-003'", {"item keys"}),
    ],
)  # fmt: skip
async def test_a_change_on_the_side_shows(door, url, tmp_path: Path, tampering: str, names: set[str]):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop"))
    assert made.agrees, [control for control in made.controls if not control.equal]
    with psycopg.connect(url) as connection:
        connection.execute(tampering)
    assert names <= set(await differing(url))


async def test_money_is_exact_and_rounding_has_its_own_line(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", lines_1_unit_price="1.505", lines_2_unit_price="0.3333")
    made = await migrate(door, url, tmp_path / "home", shop, using=mapping())
    totals = {control.name: control for control in made.controls}
    total, booked = Decimal(totals["total EUR"].target), Decimal(totals["booked total EUR"].target)
    assert total - booked == Decimal(totals["rounding difference EUR"].target) != 0
    assert made.agrees


async def test_currencies_are_never_added_up(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop")
    first, _, rest = (shop / "orders.csv").read_text().partition("\n")
    rows = rest.splitlines()
    codes = ["JPY" if number % 5 == 0 else "EUR" for number in range(len(rows))]
    spoilt = [f"{row},{code}" for row, code in zip(rows, codes, strict=True)]
    (shop / "orders.csv").write_text("\n".join([f"{first.strip()},currency", *spoilt]) + "\n")
    using = mapping()
    files = [entry for entry in using.files if entry.entity != "order"]
    header = next(entry for entry in using.files if entry.entity == "order")
    columns = {**header.columns, "currency": '"currency"'}
    made = await migrate(door, url, tmp_path / "home", shop, using=mapping(files=[
        *({"entity": f.entity, "match": f.match, "columns": f.columns} for f in files),
        {"entity": "order", "match": header.match, "columns": columns},
    ]))  # fmt: skip
    assert {c.name for c in made.controls if c.name.startswith("amount ")} <= {"amount EUR", "amount JPY"}
    assert made.agrees, [control for control in made.controls if not control.equal]


def test_a_side_that_is_missing_is_zero():
    assert not side_by_side({"lines": Decimal(3)}, {})[0].equal
    assert side_by_side({"lines": Decimal(3)}, {"lines": Decimal("3.00")})[0].equal


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("units", "5.000000", "5"),
        ("amount EUR", "5.1", "5.10"),
        ("amount GBP", "5761931.382", "5761931.382"),
        ("amount JPY", "500", "500"),
        ("lines, sale", "12", "12"),
        ("rounding difference KWD", "0", "0.000"),
    ],
)
def test_figures_are_written_for_people(name: str, value: str, text: str):
    assert written(name, Decimal(value)) == text
