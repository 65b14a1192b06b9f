"""The authority's rows in one batch: actors, API keys, policy versions, and the epoch that rises with each change."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes

NodeKind = Literal["brand", "company", "region", "site", "channel"]


class Node(msgspec.Struct, frozen=True):
    """A part of the organisation; a site's code is its location's, a channel's code is the channel's name."""

    code: str
    name: str
    kind: NodeKind
    parent: str | None = None


class ActorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that may act. email: how a person signs in; None for services.

    scope: the parts of the organisation they may see and move; none named is all of it.
    """

    id: str
    kind: Literal["person", "service"]
    name: str
    roles: tuple[str, ...]
    email: str | None = None
    active: bool = True
    scope: tuple[str, ...] = ()


class ActorRegistered(Event, frozen=True, kw_only=True):
    """An actor exists, or is now this (roles, active)."""

    name = "authority.actor_registered"
    about = "actor.id"
    actor: ActorRow
    at: datetime


class KeyIssued(Event, frozen=True, kw_only=True):
    """An API key works from now on; only its SHA-256 is known. scope: narrows its actor's; none named does not."""

    name = "authority.key_issued"
    about = "actor"
    key: str
    actor: str
    digest: str
    label: str
    at: datetime
    expires_at: datetime | None = None
    scope: tuple[str, ...] = ()


class KeyRevoked(Event, frozen=True, kw_only=True):
    """An API key stopped working."""

    name = "authority.key_revoked"
    about = "actor"
    key: str
    actor: str
    at: datetime


class PolicyPublished(Event, frozen=True, kw_only=True):
    """A version of a policy document was written and is in force."""

    name = "authority.policy_published"
    policy_kind: str
    policy_name: str
    version: int
    digest: str
    document: str
    reason: str
    by: str
    at: datetime

    @property
    def subject(self) -> str:
        """Kind and name of the document."""
        return f"{self.policy_kind}/{self.policy_name}"


class PolicyWithdrawn(Event, frozen=True, kw_only=True):
    """A document is out of force: its name is read as if none were there. version: which one it was."""

    name = "authority.policy_withdrawn"
    policy_kind: str
    policy_name: str
    version: int
    reason: str
    by: str
    at: datetime

    @property
    def subject(self) -> str:
        """Kind and name of the document."""
        return f"{self.policy_kind}/{self.policy_name}"


class NodeSet(Event, frozen=True, kw_only=True):
    """A part of the organisation exists, or is now this."""

    name = "authority.node_set"
    about = "node.code"
    node: Node
    at: datetime


class NodeRemoved(Event, frozen=True, kw_only=True):
    """A part of the organisation is gone."""

    name = "authority.node_removed"
    about = "code"
    code: str
    at: datetime


class Declared(msgspec.Struct, frozen=True):
    """Governance in force. mode: `full`, or `small` for under five people. window_until: when stabilisation ends."""

    mode: Literal["small", "full"]
    declared_at: datetime
    window_until: datetime


class GovernanceDeclared(Event, frozen=True, kw_only=True):
    """From now on what is governed changes only by a change."""

    name = "authority.governance_declared"
    declared: Declared
    by: str
    at: datetime

    @property
    def subject(self) -> str:
        """There is one."""
        return "governance"


EVENTS = (
    ActorRegistered, KeyIssued, KeyRevoked, PolicyPublished, PolicyWithdrawn, NodeSet, NodeRemoved, GovernanceDeclared,
)  # fmt: skip


class Authority(Slice):
    """What a batch changes about rights. It is small and rare: a change locks the epoch, so changes go one by one."""

    def __init__(self) -> None:
        self._wanted = False
        self.actors: dict[str, ActorRow] = {}
        self.keys: dict[str, str] = {}
        self.key_scopes: dict[str, tuple[str, ...]] = {}
        self.nodes: dict[str, Node] = {}
        self.digests: set[str] = set()
        self.versions: dict[tuple[str, str], tuple[int, str]] = {}
        self.withdrawn: dict[tuple[str, str], int] = {}
        self.declared: Declared | None = None
        self._events: list[Event] = []

    def want(self) -> None:
        """Ask for all of it."""
        self._wanted = True

    def last_version(self, kind: str, name: str) -> int:
        """Return the number of the last version published, in force or withdrawn since; 0 where there is none."""
        return self.versions.get((kind, name), (self.withdrawn.get((kind, name), 0), ""))[0]

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the epoch, then read who there is."""
        if not self._wanted:
            return
        self._wanted = False
        answers = yield [
            Statement("select value from epoch" + (" for no key update" if lock else "")),
            Statement("select id, kind, name, roles, email, active, scope from actor"),
            Statement("select id, actor, scope from api_key where revoked_at is null"),
            Statement(
                """select p.kind, p.name, p.version, encode(p.digest, 'hex')
                from policy_active a join policy p using (kind, name, version)"""
            ),
            Statement("select encode(digest, 'hex') from api_key"),
            Statement("select code, name, kind, parent from org_node"),
            Statement("select mode, declared_at, window_until from governance"),
            Statement(_WITHDRAWN),
        ]
        for id_, kind, name, roles, email, active, scope in answers[1]:
            self.actors[id_] = ActorRow(
                id=id_, kind=kind, name=name, roles=tuple(roles), email=email, active=active, scope=tuple(scope)
            )
        self.keys = {key: actor for key, actor, _ in answers[2]}
        self.key_scopes = {key: tuple(scope) for key, _, scope in answers[2]}
        self.versions = {(kind, name): (version, digest) for kind, name, version, digest in answers[3]}
        self.digests = {digest for (digest,) in answers[4]}
        self.nodes = {columns[0]: Node(*columns) for columns in answers[5]}
        self.declared = Declared(*answers[6][0]) if answers[6] else None
        self.withdrawn = {(kind, name): version for kind, name, version in answers[7]}

    def takes(self) -> Takes:
        """Take an actor, a key, a policy or a part of the organisation in."""
        return {
            ActorRegistered: self._registered,
            KeyIssued: self._issued,
            KeyRevoked: self._revoked,
            PolicyPublished: self._published,
            PolicyWithdrawn: self._withdraw,
            NodeSet: self._set,
            NodeRemoved: self._removed,
            GovernanceDeclared: self._declared,
        }

    def _registered(self, event: ActorRegistered) -> None:
        self.actors[event.actor.id] = event.actor
        self._events.append(event)

    def _issued(self, event: KeyIssued) -> None:
        self.keys[event.key] = event.actor
        self.key_scopes[event.key] = event.scope
        self.digests.add(event.digest)
        self._events.append(event)

    def _revoked(self, event: KeyRevoked) -> None:
        self.keys.pop(event.key, None)
        self.key_scopes.pop(event.key, None)
        self._events.append(event)

    def _published(self, event: PolicyPublished) -> None:
        self.versions[event.policy_kind, event.policy_name] = (event.version, event.digest)
        self.withdrawn.pop((event.policy_kind, event.policy_name), None)
        self._events.append(event)

    def _withdraw(self, event: PolicyWithdrawn) -> None:
        self.versions.pop((event.policy_kind, event.policy_name), None)
        self.withdrawn[event.policy_kind, event.policy_name] = event.version
        self._events.append(event)

    def _set(self, event: NodeSet) -> None:
        self.nodes[event.node.code] = event.node
        self._events.append(event)

    def _removed(self, event: NodeRemoved) -> None:
        self.nodes.pop(event.code, None)
        self._events.append(event)

    def _declared(self, event: GovernanceDeclared) -> None:
        self.declared = event.declared
        self._events.append(event)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the actors, the keys that work, the policy versions in force, and the organisation."""
        return [
            Rebuilt(
                "actor",
                "select id, kind, name, roles, email, active, scope from actor",
                {(a.id,): (a.kind, a.name, a.roles, a.email, a.active, a.scope) for a in self.actors.values()},
            ),
            Rebuilt(
                "api_key",
                "select id, actor, scope from api_key where revoked_at is null",
                {(key,): (actor, self.key_scopes[key]) for key, actor in self.keys.items()},
            ),
            Rebuilt(
                "node",
                "select code, name, kind, parent from org_node",
                {(n.code,): (n.name, n.kind, n.parent) for n in self.nodes.values()},
            ),
            Rebuilt(
                "governance",
                "select mode, declared_at, window_until from governance",
                {(d.mode,): (d.declared_at, d.window_until) for d in (self.declared,) if d is not None},
            ),
            Rebuilt(
                "policy",
                """select kind, name, version, encode(digest, 'hex')
                from policy_active join policy using (kind, name, version)""",
                dict(self.versions.items()),
            ),
            Rebuilt("policy, withdrawn", _WITHDRAWN, {key: (last,) for key, last in self.withdrawn.items()}),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the writes, one per event since these are rare, and the rise of the epoch."""
        if not self._events:
            return []
        statements = [_WRITERS[type(event)](event) for event in self._events]
        activated = [_activate(event) for event in self._events if isinstance(event, PolicyPublished)]
        return [*statements, *activated, Statement("update epoch set value = value + 1")]


def _write_actor(event: ActorRegistered) -> Statement:
    actor = event.actor
    return Statement(
        """insert into actor (id, kind, name, email, roles, active, scope, at)
        values (%s, %s, %s, %s, %s::text[], %s, %s::text[], %s)
        on conflict (id) do update set kind = excluded.kind, name = excluded.name,
            email = excluded.email, roles = excluded.roles,
            active = excluded.active, scope = excluded.scope""",
        [actor.id, actor.kind, actor.name, actor.email, list(actor.roles), actor.active, list(actor.scope), event.at],
    )


def _write_key(event: KeyIssued) -> Statement:
    return Statement(
        """insert into api_key (id, actor, digest, label, at, expires_at, scope)
        values (%s, %s, %s, %s, %s, %s, %s::text[])""",
        [
            event.key,
            event.actor,
            bytes.fromhex(event.digest),
            event.label,
            event.at,
            event.expires_at,
            list(event.scope),
        ],
    )


def _write_node(event: NodeSet) -> Statement:
    node = event.node
    return Statement(
        """insert into org_node (code, name, kind, parent, at) values (%s, %s, %s, %s, %s)
        on conflict (code) do update set name = excluded.name, kind = excluded.kind, parent = excluded.parent""",
        [node.code, node.name, node.kind, node.parent, event.at],
    )


def _write_policy(event: PolicyPublished) -> Statement:
    return Statement(
        """insert into policy (kind, name, version, digest, document, reason, by_actor, at)
        values (%s, %s, %s, %s, %s, %s, %s, %s)""",
        [event.policy_kind, event.policy_name, event.version, bytes.fromhex(event.digest), event.document.encode(),
         event.reason, event.by, event.at],
    )  # fmt: skip


_WITHDRAWN = """select a.kind, a.name, max(p.version) from policy_active a join policy p using (kind, name)
    where a.version is null group by a.kind, a.name"""


def _withdraw(event: PolicyWithdrawn) -> Statement:
    return Statement(
        "update policy_active set version = null where kind = %s and name = %s", [event.policy_kind, event.policy_name]
    )


def _activate(event: PolicyPublished) -> Statement:
    return Statement(
        """insert into policy_active (kind, name, version) values (%s, %s, %s)
        on conflict (kind, name) do update set version = excluded.version""",
        [event.policy_kind, event.policy_name, event.version],
    )


def _write_declared(event: GovernanceDeclared) -> Statement:
    declared = event.declared
    return Statement(
        """insert into governance (mode, declared_at, window_until, by) values (%s, %s, %s, %s)
        on conflict (one) do update set mode = excluded.mode, by = excluded.by""",
        [declared.mode, declared.declared_at, declared.window_until, event.by],
    )


_WRITERS: dict[type[Event], Any] = {
    ActorRegistered: _write_actor,
    KeyIssued: _write_key,
    KeyRevoked: lambda event: Statement("update api_key set revoked_at = %s where id = %s", [event.at, event.key]),
    PolicyPublished: _write_policy,
    PolicyWithdrawn: _withdraw,
    NodeSet: _write_node,
    NodeRemoved: lambda event: Statement("delete from org_node where code = %s", [event.code]),
    GovernanceDeclared: _write_declared,
}
