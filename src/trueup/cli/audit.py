"""`trueup audit`: who did what, as a CSV or JSON file; `trueup trial`: what a guard would have stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueup import house
from trueup.authority.audit import Act, AuditQuery, exported
from trueup.authority.trial import Trial, trial_of
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.cli.printed import lines_of, plain, print_refusal
from trueup.core import database, journal, json
from trueup.core.door import Door
from trueup.core.errors import Refused
from trueup.core.json import to_plain
from trueup.web.api.examining import row_of, summary


def audit(
    file: Annotated[Path, typer.Argument(help="Where to write it: .csv, else JSON.")],
    verb: Annotated[str | None, typer.Option("--verb", help="Only this act or room, as in orders.cancel.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Only what is about this id.")] = None,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Write who did what to a file, and print whether the journal verifies. Exit code 1 if it does not."""
    query = AuditQuery(verb=verb, subject=subject)
    verified, count = on_database(home, database_url, lambda url: _export(url, query, file))
    typer.echo(f"{count} acts in {file}")
    typer.echo(f"journal: {summary(verified)}")
    if verified.breaks:
        raise typer.Exit(1)


def trial(
    guard: Annotated[str, typer.Argument(help="As in writer_guard; `trueup show /v1/policies/guards` tells more.")],
    days: Annotated[int, typer.Option("--days", min=1, max=30, help="Over the commands of how many days.")] = 7,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say which of the last days' commands a guard would stop as things stand now; nothing is written."""
    try:
        found = on_database(home, database_url, lambda url: _try(url, guard, days))
    except Refused as error:
        print_refusal(error.refusal)
        raise typer.Exit(1) from None
    typer.echo(json.encode(found).decode() if as_json else "\n".join(lines_of(plain(to_plain(found)))))


async def _export(url: str, query: AuditQuery, file: Path) -> tuple[journal.Verified, int]:
    connection = await database.connect(url, default_transaction_read_only="on", statement_timeout="15min")
    try:
        verified = await journal.verify(connection)
        acts = [act async for act in exported(connection, query)]
    finally:
        await connection.close()
    if file.suffix == ".csv":
        rows = [[*(getattr(act, name) for name in Act.__struct_fields__[:-1]), " ".join(act.events)] for act in acts]
        file.write_bytes(b"".join([row_of(Act.__struct_fields__), *map(row_of, rows)]))
    else:
        file.write_bytes(json.encode({"journal": verified, "acts": acts}))
    return verified, len(acts)


async def _try(url: str, guard: str, days: int) -> Trial:
    built = house.build()
    connection = await database.connect(url, default_transaction_read_only="on")
    try:
        standing = await built.load_standing(connection)
    finally:
        await connection.close()
    return trial_of(await Door(url, built).try_guard(guard, days), standing)
