"""What administrators and the console may ask about people, services and their keys; never a digest or a password."""

from __future__ import annotations

from datetime import datetime

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import bounded


class ActorDetail(msgspec.Struct, frozen=True):
    """Somebody or something that may act. email: how a person signs in."""

    id: str
    kind: str
    name: str
    email: str | None
    roles: tuple[str, ...]
    active: bool
    at: datetime


class KeyDetail(msgspec.Struct, frozen=True):
    """One API key of an actor; its secret is known to nobody but its holder."""

    id: str
    actor: str
    label: str
    at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def actors(connection: Connection, after: str = "", limit: int = 200) -> tuple[ActorDetail, ...]:
    """Return actors past an id, in the order in which they were registered."""
    rows = await connection.execute(
        "select id, kind, name, email, roles, active, at from actor where id > %s order by id limit %s",
        [after, bounded(limit)],
    )
    return tuple(ActorDetail(*[*row[:4], tuple(row[4]), *row[5:]]) for row in await rows.fetchall())


async def actor(connection: Connection, actor: str) -> ActorDetail | None:
    """Return one actor by id, or None."""
    cursor = await connection.execute(
        "select id, kind, name, email, roles, active, at from actor where id = %s", [actor]
    )
    row = await cursor.fetchone()
    return ActorDetail(*[*row[:4], tuple(row[4]), *row[5:]]) if row else None


async def keys(connection: Connection, actor: str | None = None, after: str = "") -> tuple[KeyDetail, ...]:
    """Return up to 200 API keys past an id, of one actor or of all."""
    rows = await connection.execute(
        """select id, actor, label, at, expires_at, revoked_at from api_key
        where id > %s and (%s::text is null or actor = %s) order by id limit 200""",
        [after, actor, actor],
    )
    return tuple(KeyDetail(*row) for row in await rows.fetchall())
