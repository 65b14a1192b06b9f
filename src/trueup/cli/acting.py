"""Who acts at the terminal: the operator, who holds the database's own credentials, or somebody by name."""

from __future__ import annotations

from typing import Annotated

import typer

from trueup.authority.standing import SYSTEM, Standing
from trueup.core.database import Connection
from trueup.core.errors import TrueupError
from trueup.core.verb import Actor

As = Annotated[
    str | None, typer.Option("--as", help="Id, e-mail address or name of who acts; then their rights and scope hold.")
]


async def acting(connection: Connection, standing: Standing, who: str | None) -> Actor:
    """Return who acts; nobody named is the operator. Raises TrueupError for somebody who is not there or not active."""
    if who is None:
        return SYSTEM
    found = standing.actors.get(await id_of(connection, who) if "@" in who else who)
    named = [found] if found is not None else [actor for actor in standing.actors.values() if actor.name == who]
    if len(named) != 1:
        what = f"{len(named)} people or services are called {who!r}" if named else f"nobody who may act is {who!r}"
        raise TrueupError(f"{what}; `trueup show /v1/actors` lists them with their ids")
    return named[0]


async def id_of(connection: Connection, email: str) -> str:
    """Return the id of the person with an e-mail address. Raises TrueupError when nobody has it."""
    row = await (await connection.execute("select id from actor where email = %s", [email])).fetchone()
    if row is None:
        raise TrueupError(f"nobody has the address {email}; register them with `trueup person`")
    return str(row[0])
