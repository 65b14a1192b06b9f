"""The authority's rows in one batch: actors, API keys, policy versions, and the epoch that rises with each change."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, of_kind


class ActorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that may act. email: how a person signs in; None for services."""

    id: str
    kind: Literal["person", "service"]
    name: str
    roles: tuple[str, ...]
    email: str | None = None
    active: bool = True


class ActorRegistered(Event, frozen=True, kw_only=True):
    """An actor exists, or is now this (roles, active)."""

    name = "authority.actor_registered"
    about = "actor.id"
    actor: ActorRow
    at: datetime


class KeyIssued(Event, frozen=True, kw_only=True):
    """An API key works from now on; only its SHA-256 is known."""

    name = "authority.key_issued"
    about = "actor"
    key: str
    actor: str
    digest: str
    label: str
    at: datetime
    expires_at: datetime | None = None


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


EVENTS = (ActorRegistered, KeyIssued, KeyRevoked, PolicyPublished)


class Authority(Slice):
    """What a batch changes about rights. It is small and rare: a change locks the epoch, so changes go one by one."""

    def __init__(self) -> None:
        self._wanted = False
        self.actors: dict[str, ActorRow] = {}
        self.keys: dict[str, str] = {}
        self.digests: set[str] = set()
        self.versions: dict[tuple[str, str], tuple[int, str]] = {}
        self._events: list[Event] = []

    def want(self) -> None:
        """Ask for all of it."""
        self._wanted = True

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the epoch, then read who there is."""
        if not self._wanted:
            return
        answers = yield [
            Statement("select value from epoch" + (" for no key update" if lock else "")),
            Statement("select id, kind, name, roles, email, active from actor"),
            Statement("select id, actor from api_key where revoked_at is null"),
            Statement(
                """select p.kind, p.name, p.version, encode(p.digest, 'hex')
                from policy_active a join policy p using (kind, name, version)"""
            ),
            Statement("select encode(digest, 'hex') from api_key"),
        ]
        for id_, kind, name, roles, email, active in answers[1]:
            self.actors[id_] = ActorRow(id=id_, kind=kind, name=name, roles=tuple(roles), email=email, active=active)
        self.keys = dict(answers[2])
        self.versions = {(kind, name): (version, digest) for kind, name, version, digest in answers[3]}
        self.digests = {digest for (digest,) in answers[4]}

    def evolve(self, event: Event) -> None:
        """Take an actor, a key or a policy in."""
        of_kind(
            event,
            {
                ActorRegistered: self._registered,
                KeyIssued: self._issued,
                KeyRevoked: self._revoked,
                PolicyPublished: self._published,
            },
        )

    def _registered(self, event: ActorRegistered) -> None:
        self.actors[event.actor.id] = event.actor
        self._events.append(event)

    def _issued(self, event: KeyIssued) -> None:
        self.keys[event.key] = event.actor
        self.digests.add(event.digest)
        self._events.append(event)

    def _revoked(self, event: KeyRevoked) -> None:
        self.keys.pop(event.key, None)
        self._events.append(event)

    def _published(self, event: PolicyPublished) -> None:
        self.versions[event.policy_kind, event.policy_name] = (event.version, event.digest)
        self._events.append(event)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the actors, the keys that work, and the policy versions in force."""
        return [
            Rebuilt(
                "actor",
                "select id, kind, name, roles, email, active from actor",
                {(a.id,): (a.kind, a.name, a.roles, a.email, a.active) for a in self.actors.values()},
            ),
            Rebuilt(
                "api_key",
                "select id, actor from api_key where revoked_at is null",
                {(key,): (actor,) for key, actor in self.keys.items()},
            ),
            Rebuilt(
                "policy",
                """select kind, name, version, encode(digest, 'hex')
                from policy_active join policy using (kind, name, version)""",
                dict(self.versions.items()),
            ),
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
        """insert into actor (id, kind, name, email, roles, active, at) values (%s, %s, %s, %s, %s, %s, %s)
        on conflict (id) do update set kind = excluded.kind, name = excluded.name,
            email = excluded.email, roles = excluded.roles,
            active = excluded.active""",
        [actor.id, actor.kind, actor.name, actor.email, list(actor.roles), actor.active, event.at],
    )


def _write_key(event: KeyIssued) -> Statement:
    return Statement(
        "insert into api_key (id, actor, digest, label, at, expires_at) values (%s, %s, %s, %s, %s, %s)",
        [event.key, event.actor, bytes.fromhex(event.digest), event.label, event.at, event.expires_at],
    )


def _write_policy(event: PolicyPublished) -> Statement:
    return Statement(
        """insert into policy (kind, name, version, digest, document, reason, by_actor, at)
        values (%s, %s, %s, %s, %s, %s, %s, %s)""",
        [event.policy_kind, event.policy_name, event.version, bytes.fromhex(event.digest), event.document.encode(),
         event.reason, event.by, event.at],
    )  # fmt: skip


def _activate(event: PolicyPublished) -> Statement:
    return Statement(
        """insert into policy_active (kind, name, version) values (%s, %s, %s)
        on conflict (kind, name) do update set version = excluded.version""",
        [event.policy_kind, event.policy_name, event.version],
    )


_WRITERS: dict[type[Event], Any] = {
    ActorRegistered: _write_actor,
    KeyIssued: _write_key,
    KeyRevoked: lambda event: Statement("update api_key set revoked_at = %s where id = %s", [event.at, event.key]),
    PolicyPublished: _write_policy,
}
