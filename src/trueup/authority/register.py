"""Register people and services, and issue and revoke their API keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from trueup.authority.consultants import left_to_consultants
from trueup.authority.decision_rights import deciding_roles
from trueup.authority.given import given_events, want_given
from trueup.authority.outgrown import outgrown_events, outgrows, want_outgrown
from trueup.authority.passing import leaving, mode_in, roll_of, vacated, want_people
from trueup.authority.people_state import People
from trueup.authority.separation import may_hold
from trueup.authority.standing import ROLES
from trueup.authority.state import ActorRegistered, ActorRow, Authority, KeyIssued, KeyRevoked, Node
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class RegisterActor(Command, frozen=True, kw_only=True):
    """Let somebody act, or change what they are. actor: id of one who is there; None makes a new one.

    roles: of the roles there are; nobody gives roles to themselves. active: False takes all access away at once.
    scope: codes of the parts of the organisation they may see and move, () for all of it; None keeps what they have.
    """

    name: Name
    roles: tuple[str, ...]
    kind: Literal["person", "service"] = "person"
    email: Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=200)] | None = None
    actor: str | None = None
    active: bool = True
    scope: tuple[str, ...] | None = None


class IssueKey(Command, frozen=True, kw_only=True):
    """Let an API key act for somebody. digest: SHA-256 of the secret in hex, so that no secret passes the door.

    scope: codes of parts of the organisation; the key may do what lies both in them and in its actor's scope.
    """

    actor: str
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    label: Name
    expires_at: datetime | None = None
    scope: tuple[str, ...] = ()


class RevokeKey(Command, frozen=True, kw_only=True):
    """Stop an API key (`key_...`); it holds from the next batch in every process."""

    key: str


def register_actor(state: State, command: RegisterActor, context: Context) -> Decision:
    """Register the actor.

    Refuses unknown roles and nodes, changing one's own roles or scope, an e-mail address that is taken, roles that do
    not go together, and in the stabilisation window handing a governance role to nobody. Taking all access away is
    never refused for that: the roles then pass to a deputy, or to the Sponsor with a case. A role that decides is not
    given unseen: the Sponsor gets a case. With the fifth person the small mode ends.
    """
    authority = state.of(Authority)
    unknown = [role for role in command.roles if role not in ROLES]
    if unknown:
        return Refusal("authority.unknown_role", f"There is no role {unknown[0]!r}.", f"Use: {', '.join(ROLES)}.",
                       "roles", unknown[0])  # fmt: skip
    known = authority.actors.get(command.actor) if command.actor else None
    if command.actor is not None and known is None:
        return _unknown(command.actor)
    if known is not None and known.id == context.actor.id and set(known.roles) != set(command.roles):
        return Refusal("authority.own_roles", "Nobody gives roles to themselves.", "Ask another administrator.",
                       "roles", ", ".join(command.roles))  # fmt: skip
    scope = tuple(sorted(set(command.scope))) if command.scope is not None else (known.scope if known else ())
    if known is not None and known.id == context.actor.id and known.scope != scope:
        return Refusal("authority.own_scope", "Nobody gives a scope to themselves.", "Ask another administrator.",
                       "scope", ", ".join(scope))  # fmt: skip
    missing = unknown_node(authority.nodes, scope)
    if missing is not None:
        return missing
    taken = [a for a in authority.actors.values() if command.email and a.email == command.email and a is not known]
    if taken:
        return Refusal("authority.email_taken", f"{command.email} belongs to {taken[0].name}.",
                       "Use another address, or change that person.", "email", str(command.email))  # fmt: skip
    actor = ActorRow(
        id=known.id if known else context.new_id("act"),
        kind=command.kind,
        name=command.name,
        roles=tuple(sorted(set(command.roles))),
        email=command.email,
        active=command.active,
        scope=scope,
    )
    refusal = _held_together(state, context, actor) or _handed_over(state, context, actor, known)
    if refusal is not None:
        return refusal
    left = known is not None and known.active and not actor.active
    events: list[Event] = leaving(state, context, actor.id, "access was revoked") if left else []
    had = {*known.roles} if known is not None and known.active else set()
    if actor.active:
        events += given_events(state, context, {role: {actor.id: actor.name} for role in {*actor.roles} - had})
    if outgrows(state, actor):
        events += outgrown_events(state, roll_of(state, context), context)
    return Accepted([ActorRegistered(actor=actor, at=context.now), *events], actor.id, {"actor": actor.id})


def _held_together(state: State, context: Context, actor: ActorRow) -> Refusal | None:
    """Look at the roles given here together with those that they were appointed to, or that were delegated to them."""
    if not actor.active:
        return None
    people = state.of(People)
    given = {a.role for a in people.appointments.values() if actor.id in (a.actor, a.deputy) and a.open(context.now)}
    lent = {d.role for d in people.delegations.values() if d.taker == actor.id and d.role and d.holds(context.now)}
    mode = "full" if outgrows(state, actor) else mode_in(state)
    return may_hold(context.policies, actor.name, {*actor.roles, *given, *lent}, mode, "roles")


def _handed_over(state: State, context: Context, actor: ActorRow, known: ActorRow | None) -> Refusal | None:
    """Look at the governance roles that are taken away while access stays."""
    if known is None or not known.active or not actor.active:
        return None
    for role in sorted({*known.roles} - {*actor.roles}):
        refusal = vacated(state, context, actor.id, role, None, "roles") or left_to_consultants(
            state, context, roll_of(state, context), actor.id, role, None
        )
        if refusal is not None:
            return refusal
    return None


def issue_key(state: State, command: IssueKey, context: Context) -> Decision:
    """Issue the key. Refuses an actor who is not there or not active, unknown nodes, and a secret used before.

    Once governance is declared, nobody but the operator issues a key that would decide in another person's name.
    """
    actor = state.of(Authority).actors.get(command.actor)
    if actor is None or not actor.active:
        return _unknown(command.actor)
    refusal = _in_their_name(state, actor, context)
    if refusal is not None:
        return refusal
    missing = unknown_node(state.of(Authority).nodes, command.scope)
    if missing is not None:
        return missing
    if command.digest in state.of(Authority).digests:
        return Refusal("authority.secret_used", "This secret is or was an API key already.",
                       "Draw a fresh one; a secret is used once.", "digest", command.digest)  # fmt: skip
    key = context.new_id("key")
    event = KeyIssued(
        key=key,
        actor=actor.id,
        digest=command.digest,
        label=command.label,
        at=context.now,
        expires_at=command.expires_at,
        scope=tuple(sorted(set(command.scope))),
    )
    return Accepted([event], actor.id, {"key": key})


def _in_their_name(state: State, actor: ActorRow, context: Context) -> Refusal | None:
    """Refuse a key of a person who decides changes: with it, whoever issued it could vote in their stead."""
    mine = actor.id == context.actor.id or "System" in context.actor.roles
    if state.of(Authority).declared is None or actor.kind != "person" or mine:
        return None
    held = sorted(deciding_roles(context.policies) & roll_of(state, context).roles(actor.id))
    if not held:
        return None
    return Refusal("authority.anothers_key", f"{actor.name} decides changes, as {held[0]}; a key acts in their name.",
                   "They sign in themselves; where they need a key, the operator issues it at the command line.",
                   "actor", actor.id)  # fmt: skip


def revoke_key(state: State, command: RevokeKey, context: Context) -> Decision:
    """Revoke the key; one that was revoked already ends as merged."""
    actor = state.of(Authority).keys.get(command.key)
    if actor is None:
        return Accepted((), command.key, {"key": command.key}, "merged")
    return Accepted([KeyRevoked(key=command.key, actor=actor, at=context.now)], actor, {"key": command.key})


def unknown_node(nodes: dict[str, Node], scope: tuple[str, ...]) -> Refusal | None:
    """Return why a scope cannot be given: a node that is not in the tree."""
    missing = [code for code in scope if code not in nodes]
    if not missing:
        return None
    return Refusal("authority.unknown_node", f"The organisation has no part {missing[0]!r}.",
                   "Set it first, or correct its code.", "scope", missing[0])  # fmt: skip


def _unknown(actor: str) -> Refusal:
    return Refusal("authority.unknown_actor", f"There is no active actor {actor!r}.", "Register it first.",
                   "actor", actor)  # fmt: skip


def wants_authority(state: State, command: Command, policies: Policies) -> None:
    """Ask for everything about rights; the `wants` of every verb of this room."""
    state.of(Authority).want()


def _wants_registered(state: State, command: RegisterActor, policies: Policies) -> None:
    want_people(state, command.actor)
    want_given(state, command.roles)
    want_outgrown(state)


def touches_authority(command: Command) -> tuple[str, ...]:
    """Rights change one batch at a time."""
    return ("authority",)


_ACTS: tuple[tuple[str, type[Command], Callable[[State, Any, Context], Decision]], ...] = (
    ("authority.register_actor", RegisterActor, register_actor),
    ("authority.issue_key", IssueKey, issue_key),
    ("authority.revoke_key", RevokeKey, revoke_key),
)
_WANTS: dict[type[Command], Callable[[State, Any, Policies], None]] = {
    RegisterActor: _wants_registered,
    IssueKey: lambda state, command, policies: want_people(state),
}
VERBS: tuple[Verb[Any], ...] = tuple(
    Verb(
        name=name,
        command=command,
        decide=decide,
        wants=_WANTS.get(command, wants_authority),
        touches=touches_authority,
    )
    for name, command, decide in _ACTS
)
