"""Commands that examine an installation: doctor, verify."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from trueup import house
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.core import database, embedded, journal, json
from trueup.core.checks import record_checks
from trueup.core.errors import TrueupError
from trueup.core.rebuild import rebuilt_differences
from trueup.core.settings import Settings, load_settings

Rebuild = Annotated[bool, typer.Option("--rebuild", help="Also fold every event and compare with the tables.")]


def doctor(home: Home = None, database_url: Database = None) -> None:
    """Say whether this machine and database can run Trueup, and what to change where not."""
    settings = load_settings(home, database_url)
    reached: list[tuple[str, embedded.Embedded | None]] = []
    failed = False
    try:
        for name, what in _examinations(settings, reached):
            try:
                typer.secho(f"  ok    {name}: {what()}", fg="green")
            except (TrueupError, OSError) as error:
                failed = True
                typer.secho(f"  FAILS {name}: {error}", fg="red")
    finally:
        for _, server in reached:
            if server is not None and server.started:
                embedded.stop(server)
    raise typer.Exit(1 if failed else 0)


def verify(home: Home = None, database_url: Database = None, rebuild: Rebuild = False, as_json: AsJson = False) -> None:
    """Walk the journal's seals and run every room's checks; exit code 1 when anything does not hold."""
    report = on_database(home, database_url, lambda url: _verify(url, rebuild))
    if as_json:
        typer.echo(json.encode(report).decode())
    else:
        _print_verified(report)
    sys.exit(1 if report["breaks"] or report["failing"] or report["differences"] else 0)


def _examinations(
    settings: Settings, reached: list[tuple[str, embedded.Embedded | None]]
) -> list[tuple[str, Callable[[], str]]]:
    """Return what is looked at, by name; the database that answers is put into `reached`."""

    def reach() -> str:
        reached.append(database.prepare(settings))
        return "reachable, migrated, and set to lose nothing"

    def roles() -> str:
        async def ask() -> str:
            connection = await database.connect(reached[0][0])
            try:
                row = await (await connection.execute("select current_user, version()")).fetchone()
            finally:
                await connection.close()
            assert row is not None
            return f"{row[1].split(' on ')[0]}, working as {row[0]}"

        if not reached:
            raise TrueupError("not examined, since the database is not reachable")
        return asyncio.run(ask())

    return [
        ("python", lambda: sys.version.split()[0]),
        ("home", lambda: f"{settings.home} {'exists' if settings.home.exists() else 'will be made'}"),
        ("database", reach),
        ("roles", roles),
    ]


async def _verify(url: str, rebuild: bool) -> dict[str, Any]:
    connection = await database.connect(url, statement_timeout="15min")
    try:
        await journal.seal(connection)
        verified = await journal.verify(connection)
        results = await record_checks(connection, house.CHECKS)
        differences = await rebuilt_differences(connection, house.build()) if rebuild else None
    finally:
        await connection.close()
    return {
        "rows": verified.rows,
        "seals": verified.seals,
        "head": verified.head,
        "breaks": [json.to_plain(entry) for entry in verified.breaks],
        "checks": len(results),
        "failing": [json.to_plain(result) for result in results if result.failing],
        "differences": None if differences is None else [json.to_plain(row) for row in differences],
    }


def _print_verified(report: dict[str, Any]) -> None:
    typer.echo(f"journal: {report['rows']} rows in {report['seals']} seals, head {report['head'][:16]}…")
    for entry in report["breaks"]:
        typer.secho(f"  position {entry['position']}: {entry['what']}", fg="red")
    typer.echo(f"checks:  {report['checks']} run, {len(report['failing'])} found something")
    for result in report["failing"]:
        typer.secho(f"  {result['name']}: {result['failing']} — {result['promise']}", fg="red")
    if report["differences"] is not None:
        typer.echo(f"rebuild: {len(report['differences'])} rows differ from what the journal's events give")
    for row in (report["differences"] or [])[:20]:
        typer.secho(f"  {row['subject_type']} {row['subject']}: {row['detail']}", fg="red")
    if not report["breaks"] and not report["failing"] and not report["differences"]:
        typer.secho("everything holds", fg="green")
