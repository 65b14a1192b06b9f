"""What administrators and the console may ask about people, services and their keys; never a digest or a password."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.authority.state import Node
from trueup.core.database import Connection
from trueup.core.paging import bounded


class ActorDetail(msgspec.Struct, frozen=True):
    """Somebody or something that may act. email: how a person signs in. scope: nodes; none named is everything."""

    id: str
    kind: str
    name: str
    email: str | None
    roles: tuple[str, ...]
    active: bool
    scope: tuple[str, ...]
    at: datetime


class KeyDetail(msgspec.Struct, frozen=True):
    """One API key of an actor; its secret is known to nobody but its holder."""

    id: str
    actor: str
    label: str
    at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    scope: tuple[str, ...]


_ACTOR = ", ".join(ActorDetail.__struct_fields__)


async def actors(connection: Connection, after: str = "", limit: int = 200) -> tuple[ActorDetail, ...]:
    """Return actors past an id, in the order in which they were registered."""
    rows = await connection.execute(
        f"select {_ACTOR} from actor where id > %s order by id limit %s",
        [after, bounded(limit)],
    )
    return tuple(_actor_of(row) for row in await rows.fetchall())


async def actor(connection: Connection, actor: str) -> ActorDetail | None:
    """Return one actor by id, or None."""
    cursor = await connection.execute(f"select {_ACTOR} from actor where id = %s", [actor])
    row = await cursor.fetchone()
    return _actor_of(row) if row else None


async def keys(connection: Connection, actor: str | None = None, after: str = "") -> tuple[KeyDetail, ...]:
    """Return up to 200 API keys past an id, of one actor or of all."""
    rows = await connection.execute(
        """select id, actor, label, at, expires_at, revoked_at, scope from api_key
        where id > %s and (%s::text is null or actor = %s) order by id limit 200""",
        [after, actor, actor],
    )
    return tuple(KeyDetail(*[*row[:6], tuple(row[6])]) for row in await rows.fetchall())


async def nodes(connection: Connection) -> tuple[Node, ...]:
    """Return the organisation's parts, by code."""
    rows = await connection.execute("select code, name, kind, parent from org_node order by code")
    return tuple(Node(*row) for row in await rows.fetchall())


def _actor_of(row: tuple[Any, ...]) -> ActorDetail:
    return ActorDetail(*[*row[:4], tuple(row[4]), row[5], tuple(row[6]), row[7]])
