"""What others may ask about people, services and their keys, never a digest or a password; and about policies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.authority.state import Node, PolicyWithdrawn
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.paging import bounded
from trueup.core.policy import P, Policy


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


class PolicyVersion(msgspec.Struct, frozen=True):
    """One version of a policy document. active: it is in force."""

    name: str
    version: int
    digest: str
    document: Any
    reason: str
    by_actor: str
    at: datetime
    active: bool


class PolicyWithdrawal(msgspec.Struct, frozen=True):
    """That a name has no document in force any more. version: the one that was, until then."""

    name: str
    version: int
    reason: str
    by_actor: str
    at: datetime


class PolicyInForce(msgspec.Struct, frozen=True):
    """The version of a policy document that is in force. What nobody published is as shipped, and not listed."""

    kind: str
    name: str
    version: int


class PolicyKind(msgspec.Struct, frozen=True):
    """One kind of policy documents. shipped: what holds where nothing was published; None for a kind that is gone.

    versions: by name, the newest first. withdrawn: by name, those that none is in force of any more. falls_back: a name
    without a document is read as `default`.
    """

    kind: str
    shipped: Any
    versions: tuple[PolicyVersion, ...]
    withdrawn: tuple[PolicyWithdrawal, ...] = ()
    falls_back: bool = False


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


async def in_force(connection: Connection, kind: type[P], name: str = "default") -> P:
    """Return a policy document as it is committed now; where none was published, as shipped."""
    return (await version_in_force(connection, kind, name))[0]


async def version_in_force(connection: Connection, kind: type[P], name: str = "default") -> tuple[P, int]:
    """Return a policy document and its version as they are committed now; what is shipped has the version 0."""
    cursor = await connection.execute(
        """select p.document, p.version from policy p join policy_active a using (kind, name, version)
        where p.kind = %s and p.name = %s""",
        [kind.kind, name],
    )
    row = await cursor.fetchone()
    return (json.decode(bytes(row[0]), kind), row[1]) if row is not None else (kind(), 0)


async def policies(connection: Connection) -> tuple[PolicyInForce, ...]:
    """Return the documents in force, by kind and name."""
    rows = await connection.execute(
        "select kind, name, version from policy_active where version is not null order by kind, name limit 1000"
    )
    return tuple(PolicyInForce(*row) for row in await rows.fetchall())


async def policy_versions(connection: Connection, kind: str) -> tuple[PolicyVersion, ...]:
    """Return the versions of all documents of a kind, by name, newest first."""
    rows = await connection.execute(
        """select p.name, p.version, p.digest, p.document, p.reason, p.by_actor, p.at, a.version is not null
        from policy p left join policy_active a using (kind, name, version)
        where p.kind = %s order by p.name, p.version desc limit 100""",
        [kind],
    )
    return tuple(
        PolicyVersion(row[0], row[1], bytes(row[2]).hex(), msgspec.json.decode(bytes(row[3])), *row[4:])
        for row in await rows.fetchall()
    )


async def policy_kind(connection: Connection, kind: str, known: type[Policy] | None) -> PolicyKind | None:
    """Return a kind's documents, and what is shipped; None where there is no such kind and never was."""
    versions = await policy_versions(connection, kind)
    if known is None and not versions:
        return None
    shipped = msgspec.json.decode(json.encode(known())) if known is not None else None
    falls_back = known is not None and known.falls_back
    return PolicyKind(kind, shipped, versions, await _withdrawn(connection, kind), falls_back)


async def _withdrawn(connection: Connection, kind: str) -> tuple[PolicyWithdrawal, ...]:
    """Return the names of a kind whose documents were withdrawn, with what the journal says of it."""
    rows = await connection.execute(
        """select said.body from policy_active a cross join lateral (
            select body from journal j where j.subject = a.kind || '/' || a.name and j.kind = 'e'
                and j.name = 'authority.policy_withdrawn' order by position desc limit 1
        ) said where a.kind = %s and a.version is null order by a.name limit 100""",
        [kind],
    )
    events = [json.decode(bytes(body), PolicyWithdrawn) for (body,) in await rows.fetchall()]
    return tuple(PolicyWithdrawal(e.policy_name, e.version, e.reason, e.by, e.at) for e in events)
