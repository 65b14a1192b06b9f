"""Options that several commands share, and the settings they make."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from trueup.core import database, embedded
from trueup.core.settings import Settings, load_settings

T = TypeVar("T")

Home = Annotated[Path | None, typer.Option("--home", help="Folder of the embedded PostgreSQL [TRUEUP_HOME].")]
Database = Annotated[str | None, typer.Option("--database", help="URL of your own PostgreSQL 16+ [TRUEUP_DATABASE].")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on [TRUEUP_HOST, 127.0.0.1].")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on [TRUEUP_PORT, 8080].")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]


def prepared(settings: Settings) -> tuple[str, embedded.Embedded | None]:
    """Return what `database.prepare` does; say on standard error where a new, empty home is made for that."""
    if settings.database is None and not embedded.has_cluster(settings.home):
        typer.echo(
            f"{settings.home} is a new, empty home and is made now; --home or TRUEUP_HOME names another one "
            "(`trueup demo` says which is its own).",
            err=True,
        )
    return database.prepare(settings)


def on_database(home: Path | None, database_url: str | None, work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on the database of these options; stop its server again when it was started for this."""
    url, server = prepared(load_settings(home, database_url))
    try:
        return asyncio.run(work(url))
    finally:
        if server is not None and server.started:
            embedded.stop(server)
