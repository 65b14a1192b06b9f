"""`trueup audit`: who did what, as a CSV or JSON file; `trueup trial`: what a guard would have stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueup import house
from trueup.authority.audit import Act, AuditQuery, exported
from trueup.authority.refusals import GUARDS
from trueup.authority.trial import Trial, trial_of
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.cli.printed import print_refusal
from trueup.core import database, journal, json
from trueup.core.door import Door
from trueup.core.errors import Refused, TrueupError
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
    if not file.parent.is_dir():
        raise TrueupError(f"there is no folder {file.parent}; make it first, or name another file")
    verified, count = on_database(home, database_url, lambda url: _export(url, query, file))
    typer.echo(f"{count:,} acts in {file}")
    typer.echo(f"journal: {summary(verified)}")
    if verified.breaks:
        raise typer.Exit(1)


def trial(
    guard: Annotated[str, typer.Argument(help=f"One of {', '.join(GUARDS)}.")],
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
    if as_json:
        typer.echo(json.encode(found).decode())
    else:
        _print(found)


def _print(found: Trial) -> None:
    typer.secho(
        f"{found.guard} would have stopped {found.stopped:,} of {found.acts:,} acts; nothing was written", bold=True
    )
    typer.echo(f"  {found.from_at:%Y-%m-%d %H:%M} to {found.to_at:%Y-%m-%d %H:%M} UTC, as rights and rules are now")
    typer.echo(f"  {found.through:,} of them went through at the time; the guard is {found.mode} now")
    if found.more:
        typer.secho("  there were more acts in these days: only the newest were tried", fg="yellow")
    if found.unreadable:
        typer.secho(f"  {found.unreadable:,} acts cannot be read any more, and were not tried", fg="yellow")
    for what, shares in (("act", found.by_verb), ("role", found.by_role)):
        for share in shares:
            if share.stopped:
                typer.echo(f"  {what} {share.name}: {share.stopped:,} of {share.acts:,}")
    for stop in found.stops:
        typer.echo(f"  {stop.at:%Y-%m-%d %H:%M}  {stop.verb} {stop.subject}: {stop.what}")


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
