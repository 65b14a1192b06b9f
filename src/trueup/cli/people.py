"""Commands about who may act: people, sign-in links, API keys."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated
from urllib.parse import urlsplit

import typer

from trueup import house
from trueup.authority.register import IssueKey, RegisterActor
from trueup.authority.standing import ROLES, SYSTEM
from trueup.cli.acting import id_of
from trueup.cli.options import Database, Home, Host, Port, on_database
from trueup.core import database
from trueup.core.door import Door
from trueup.core.errors import Refused, TrueupError
from trueup.core.ids import new_id
from trueup.core.settings import load_settings
from trueup.core.verb import Command
from trueup.web.sign_in import make_link

KEY_PREFIX = "tu_"


def person(
    name: Annotated[str, typer.Argument(help="The person's name.")],
    role: Annotated[list[str], typer.Option("--role", help=f"One of: {', '.join(ROLES)}. May be repeated.")],
    email: Annotated[str | None, typer.Option("--email", help="How the person signs in.")] = None,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Let a person act, and print their id."""
    command = RegisterActor(name=name, roles=tuple(role), email=email)
    typer.echo(on_database(home, database_url, lambda url: submit(url, command))["actor"])


def link(
    actor: Annotated[str, typer.Argument(help="Id or e-mail address of the person.")],
    address: Annotated[
        str | None,
        typer.Option("--url", help="Where people reach it, as in https://oms.example.com."),
    ] = None,
    home: Home = None,
    database_url: Database = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Print a one-time sign-in link; it works once, for 15 minutes."""
    settings = load_settings(home, database_url, host, port)
    if address is not None and urlsplit(address).scheme not in ("http", "https"):
        raise TrueupError(f"--url {address!r} is no address; write it as in https://oms.example.com")
    token = on_database(home, database_url, lambda url: _link(url, actor))
    host_shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    typer.echo(f"{(address or f'http://{host_shown}:{settings.port}').rstrip('/')}/sign-in/{token}")


def key(
    actor: Annotated[str, typer.Argument(help="Id of the person or service the key acts for.")],
    label: Annotated[str, typer.Option("--label", help="What the key is for.")] = "command line",
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Issue an API key and print it; it is shown this once."""
    typer.echo(on_database(home, database_url, lambda url: issue_key(url, actor, label)))


async def issue_key(url: str, actor: str, label: str) -> str:
    """Issue an API key for an actor and return its secret; only its SHA-256 is kept."""
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    await submit(url, IssueKey(actor=actor, digest=hashlib.sha256(secret.encode()).hexdigest(), label=label))
    return secret


async def submit(url: str, command: Command) -> dict[str, str]:
    """Put one command through a door of its own, as the operator. Raises Refused."""
    async with Door(url, house.build(), writers=1) as door:
        outcome = await door.submit(SYSTEM, command, new_id("cli"))
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return outcome.result


async def _link(url: str, actor: str) -> str:
    if "@" in actor:
        connection = await database.connect(url)
        try:
            actor = await id_of(connection, actor)
        finally:
            await connection.close()
    return await make_link(url, actor)
