"""`trueup up`: serve an installation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

import typer

from trueup import house
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.cli.options import Database, Home, Host, Port, prepared
from trueup.core import database, embedded
from trueup.core.door import Door
from trueup.core.settings import Settings, load_settings
from trueup.web.app import Beside
from trueup.web.console.errors import show_error
from trueup.web.console.routes import router as console
from trueup.web.server import Ready, serve
from trueup.web.sign_in import make_link
from trueup.web.site import Site
from trueup.worker import working

Processes = Annotated[int, typer.Option("--processes", min=1, max=64, help="Server processes on the same port.")]


def up(
    home: Home = None, database_url: Database = None, host: Host = None, port: Port = None, processes: Processes = 1
) -> None:
    """Serve API and console until interrupted; the first start prints a one-time sign-in link."""
    settings = load_settings(home, database_url, host, port)
    url, server = prepared(settings)
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
