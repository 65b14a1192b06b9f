"""Commands that run and examine an installation: up, doctor, verify."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

import typer

from trueup import house
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.cli.options import AsJson, Database, Home, Host, Port
from trueup.core import database, embedded, journal, json
from trueup.core.checks import record_checks
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.core.rebuild import rebuilt_differences
from trueup.core.settings import Settings, load_settings
from trueup.web.app import Beside
from trueup.web.console.errors import show_error
from trueup.web.console.routes import router as console
from trueup.web.server import Ready, serve
from trueup.web.sign_in import make_link
from trueup.web.site import Site
from trueup.worker import working

Processes = Annotated[int, typer.Option("--processes", min=1, max=64, help="Server processes on the same port.")]

Rebuild = Annotated[bool, typer.Option("--rebuild", help="Also fold every event and compare with the tables.")]


def up(
    home: Home = None, database_url: Database = None, host: Host = None, port: Port = None, processes: Processes = 1
) -> None:
    """Serve API and console until interrupted; the first start prints a one-time sign-in link."""
    settings = load_settings(home, database_url, host, port)
    url, server = database.prepare(settings)
    try:
        first_link = asyncio.run(_first_person(url))

        def ready(address: str) -> None:
            typer.echo(f"Trueup serves {address}")
            if first_link:
                typer.echo(f"Sign in once, within 15 minutes: {address}/sign-in/{first_link}")

        serve_all(settings, url, processes, on_ready=ready)
    finally:
        if server is not None and server.started:
            embedded.stop(server)


def serve_all(
    settings: Settings, url: str, processes: int = 1, beside: Sequence[Beside] = (), on_ready: Ready | None = None
) -> None:
    """Serve API and console, with the worker beside them; blocks until interrupted."""
    built = house.build()

    def work(site: Site) -> AbstractAsyncContextManager[Any]:
        return working(url, built, site.door)

    serve(
        settings,
        url,
        built,
        processes,
        pages=console,
        error_page=show_error,
        beside=(work, *beside),
        on_ready=on_ready,
    )


def doctor(home: Home = None, database_url: Database = None) -> None:
    """Say whether this machine and database can run Trueup, and what to change where not."""
    settings = load_settings(home, database_url)
    failed = False
    for name, what in _examinations(settings):
        try:
            typer.secho(f"  ok    {name}: {what()}", fg="green")
        except (TrueupError, OSError) as error:
            failed = True
            typer.secho(f"  FAILS {name}: {error}", fg="red")
    raise typer.Exit(1 if failed else 0)


def verify(home: Home = None, database_url: Database = None, rebuild: Rebuild = False, as_json: AsJson = False) -> None:
    """Walk the journal's seals and run every room's checks; exit code 1 when anything does not hold."""
    settings = load_settings(home, database_url)
    url, server = database.prepare(settings)
    try:
        report = asyncio.run(_verify(url, rebuild))
    finally:
        if server is not None and server.started:
            embedded.stop(server)
    if as_json:
        typer.echo(json.encode(report).decode())
    else:
        _print_verified(report)
    sys.exit(1 if report["breaks"] or report["failing"] or report["differences"] else 0)


def _examinations(settings: Settings) -> list[tuple[str, Any]]:
    state: dict[str, str] = {}

    def reach() -> str:
        state["url"], _ = database.prepare(settings)
        return "reachable, migrated, and set to lose nothing"

    def roles() -> str:
        async def ask() -> str:
            connection = await database.connect(state["url"])
            try:
                row = await (await connection.execute("select current_user, version()")).fetchone()
            finally:
                await connection.close()
            assert row is not None
            return f"{row[1].split(' on ')[0]}, working as {row[0]}"

        if "url" not in state:
            raise TrueupError("not examined, since the database is not reachable")
        return asyncio.run(ask())

    return [
        ("python", lambda: sys.version.split()[0]),
        ("home", lambda: f"{settings.home} {'exists' if settings.home.exists() else 'will be made'}"),
        ("database", reach),
        ("roles", roles),
    ]


async def _first_person(url: str) -> str | None:
    """Register the first administrator of an empty installation and return a sign-in link for them."""
    connection = await database.connect(url)
    try:
        row = await (await connection.execute("select count(*) from actor")).fetchone()
    finally:
        await connection.close()
    if row is None or row[0]:
        return None
    async with Door(url, house.build(), writers=1) as door:
        first = RegisterActor(name="First administrator", roles=("Administrator",))
        outcome = await door.submit(SYSTEM, first, "first administrator")
    return await make_link(url, outcome.result["actor"])


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
