"""`trueup orders import`: a file of orders typed at the command line, told again when it is imported again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.cli import orders
from trueup.cli.people import submit
from trueup.core.errors import Refused, TrueupError
from trueup.core.quantity import Quantity
from trueup.stock.receive import ReceivedLine, ReceiveStock

TABLE = "order,sku,quantity,unit_price\nA,MUG,2,5.00\nA,MUG,1,4.00\nB,MUG,99,5.00\nC,CUP,1,5.00\n"


@pytest.fixture
async def shop(url: str) -> str:
    """A location with ten mugs."""
    await submit(url, RegisterLocation(code="MAIN", name="Main"))
    await submit(url, RegisterItem(sku="MUG", name="Mug"))
    lines = (ReceivedLine("MUG", Quantity(10)),)
    await submit(url, ReceiveStock(location="MAIN", lines=lines, reference="opening"))
    return url


def typed(url: str, home: Path, *words: str, exit_code: int = 0) -> str:
    own = ["--database", url, "--home", str(home)]
    result = CliRunner().invoke(orders.app, ["import", *words, *own], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.stdout


def placed(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select channel, currency, total::text from orders").fetchall()


def test_a_file_is_imported_and_told_again(shop: str, tmp_path: Path):
    file = tmp_path / "orders.csv"
    file.write_text(TABLE)
    words = (str(file), "--channel", "fair", "--currency", "EUR")
    said = typed(shop, tmp_path / "home", *words, exit_code=1)
    assert "row 3 (B)" in said
    assert "99 asked, 7 available" in said
    assert "row 4 (C)" in said
    assert "1 of 3 orders placed" in said
    assert placed(shop) == [("fair", "EUR", "14.00")]
    again = json.loads(typed(shop, tmp_path / "home", *words, "--json", exit_code=1))
    assert (again["orders"], again["failed"], again["rows"][0]["repeated"]) == (3, 2, True)
    assert placed(shop) == [("fair", "EUR", "14.00")]
    file.write_text(TABLE.partition("B,")[0])
    typed(shop, tmp_path / "home", *words)
    assert len(placed(shop)) == 2, "another file is other orders"


def test_a_file_that_is_none_is_refused_with_what_to_do(shop: str, tmp_path: Path):
    with pytest.raises(TrueupError, match=r"no file that ends in \.ndjson"):
        typed(shop, tmp_path, str(tmp_path / "orders.xlsx"))
    file = tmp_path / "orders.csv"
    file.write_text(TABLE)
    with pytest.raises(Refused, match="currency"):
        typed(shop, tmp_path, str(file))
    assert placed(shop) == []
