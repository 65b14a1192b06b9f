"""Commands about data contracts: import one from an ODCS file, and export one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from trueup.catalogue import breach_read
from trueup.cli.acting import As
from trueup.cli.do import do
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.core import database
from trueup.core.errors import TrueupError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def contracts() -> None:
    """Import a data contract from an ODCS file, and export one."""


@app.command("import")
def import_contract(
    file: Annotated[Path, typer.Argument(help="An ODCS 3.1 document, in YAML.")],
    name: Annotated[str | None, typer.Option("--name", help="What it is called here [the file's name].")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "imported",
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Show what would happen; nothing is written.")] = False,
    who: As = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Put a contract in force; rules for other engines are kept, and named as not run. Exit code 1 if it is refused."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrueupError(f"{file} cannot be read as UTF-8 text: {error}") from None
    called = name or file.name.partition(".")[0]
    fields = [f"name={called}", f"document={text}", f"reason={reason}"]
    do("catalogue.import_contract", fields, None, None, rehearse, who, home, database_url, as_json)


@app.command("export")
def export_contract(
    name: Annotated[str, typer.Argument(help="As `trueup show /v1/contracts` lists it.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; without it, the terminal.")] = None,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Write a contract as an ODCS 3.1 document."""
    text = on_database(home, database_url, lambda url: _exported(url, name))
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"written to {output}")


async def _exported(url: str, name: str) -> str:
    connection = await database.connect(url, default_transaction_read_only="on")
    try:
        found = await breach_read.contract(connection, name, datetime.now(UTC))
    finally:
        await connection.close()
    if found is None:
        raise TrueupError(f"there is no contract {name!r}; `trueup show /v1/contracts` lists them")
    return found.odcs
