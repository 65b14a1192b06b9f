"""Commands about orders: import a file of them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.core import json
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.orders.bulk import BulkResult, Format, place_all, read_file

app = typer.Typer(no_args_is_help=True)
_FORMATS: dict[str, Format] = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv"}


@app.callback()
def orders() -> None:
    """Take orders over from a file."""


@app.command("import")
def import_orders(
    file: Annotated[Path, typer.Argument(help="A .csv, .ndjson or .jsonl file; the columns are in the API's docs.")],
    channel: Annotated[str | None, typer.Option("--channel", help="For orders that name none.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="ISO 4217, for orders that name none.")] = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Place every order of a file and say how each ended; a broken row loses only its order.

    The same file again is told the same. Exit code 1 if any order was not placed.
    """
    kind = _FORMATS.get(file.suffix.lower())
    if kind is None or not file.is_file():
        raise TrueupError(f"{file} is no file that ends in {', '.join(_FORMATS)}")
    body = file.read_bytes()
    defaults = {name: value for name, value in (("channel", channel), ("currency", currency)) if value is not None}
    rows = read_file(body, kind, defaults)
    digest = hashlib.sha256(repr(sorted(defaults.items())).encode() + body).hexdigest()[:40]

    async def place(url: str) -> list[BulkResult]:
        async with Door(url, house.build()) as door:
            return await place_all(door, SYSTEM, rows, f"import/{digest}")

    results = on_database(home, database_url, place)
    failed = [result for result in results if result.refusal is not None]
    if as_json:
        typer.echo(json.encode({"orders": len(results), "failed": len(failed), "rows": results}).decode())
    else:
        _print(results, failed)
    sys.exit(1 if failed else 0)


def _print(results: list[BulkResult], failed: list[BulkResult]) -> None:
    for result in failed:
        assert result.refusal is not None
        where = f" at {result.refusal.where}" if result.refusal.where else ""
        typer.secho(f"row {result.row} ({result.reference}){where}: {result.refusal.what}", fg="red")
    again = sum(result.repeated for result in results)
    typer.echo(f"{len(results) - len(failed)} of {len(results)} orders placed" + (f", {again} before" if again else ""))
