"""What holds during one authority epoch: who exists, which keys work, who may what, and the policies in force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from trueup.authority.overrides_state import Override
from trueup.authority.people_state import (
    APPOINTMENTS,
    DELEGATIONS,
    EMPLOYMENTS,
    appointment_of,
    delegation_of,
    employment_of,
)
from trueup.authority.state import Declared, Node
from trueup.authority.tenure import EVER, NOBODY, RIGHT, Tenure, actors_at, holders_at
from trueup.authority.writers_policy import Registry
from trueup.core import json
from trueup.core.batch import roundtrip
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Active, Policies, Policy
from trueup.core.verb import Actor, Command, State, Statement, Verb

SYSTEM = Actor("act_system", "service", "Trueup", frozenset({"System"}))
"""The operator at the command line, who holds the database's own credentials, and Trueup's own follow-ups."""

ROLES = (
    "Administrator",
    "Auditor",
    "Change Control Board",
    "Data Steward",
    "Finance",
    "Fulfilment Lead",
    "IT Process Owner",
    "Integration Owner",
    "Master Data Owner",
    "Operations Process Owner",
    "Order Agent",
    "Sponsor",
    "Trainer",
)


_LENDS = ("authority.grant_override", "authority.decline_override")
_BORROWS = ("authority.ask_override", "authority.end_override")
_CASES = ("cases.*", "authority.act_for_case")
_ASKS = ("authority.propose_change", "authority.edit_change", "authority.withdraw_change", *_BORROWS)
_DECIDES = ("authority.approve_change", "authority.reject_change", "authority.apply_change", "authority.revert_change",
            *_LENDS)  # fmt: skip


class Rights(Policy, frozen=True, kw_only=True):
    """Which role may do what: role -> rights, each `room.verb`, `room.*` or `read`. What is not listed is denied."""

    kind: ClassVar[str] = "rights"
    roles: dict[str, tuple[str, ...]] = msgspec.field(
        default_factory=lambda: {
            "System": ("*",),
            "Administrator": ("authority.*", "read"),
            "Auditor": ("read",),
            "Change Control Board": (*_ASKS, *_DECIDES, *_CASES, "read"),
            "IT Process Owner": (*_ASKS, *_DECIDES, *_CASES, "read"),
            "Operations Process Owner": ("catalogue.operate_site", "orders.adopt_workflow", "orders.return_workflow",
                                         *_ASKS, *_DECIDES, *_CASES, "read"),
            "Master Data Owner": ("catalogue.*", *_ASKS, *_DECIDES, *_CASES, "read"),
            "Trainer": ("cases.act", "cases.comment", "read"),
            "Data Steward": ("catalogue.*", "parties.*", "orders.record", "orders.withdraw_record", "stock.count",
                             "orders.place_hold", "orders.release_hold", "orders.release_holds", *_CASES,
                             "migrate.*", *_ASKS, "authority.apply_change", "read"),
            "Finance": ("catalogue.record_cost", "orders.commit_tax", "orders.reverse_tax", "orders.place_hold",
                        "orders.release_hold", "orders.release_holds", *_ASKS, *_DECIDES, *_CASES, "read"),
            "Fulfilment Lead": ("stock.*", "orders.cancel", "orders.advance", "orders.place_hold",
                                "orders.release_hold", "orders.release_holds", "sourcing.*", "catalogue.operate_site",
                                *_ASKS, *_LENDS, *_CASES, "read"),
            "Integration Owner": ("orders.place", "orders.draft", "orders.confirm_draft", "orders.discard_draft",
                                  "orders.change_address", "orders.commit_tax", "orders.reverse_tax", "orders.cancel",
                                  "orders.place_hold", "orders.release_by_rule",
                                  "orders.report_event", "orders.record", "stock.*", "parties.*",
                                  "catalogue.*", *_CASES, "migrate.*", "authority.assign_writer",
                                  "authority.end_writer", *_ASKS, *_DECIDES, "read"),
            "Order Agent": ("orders.place", "orders.draft", "orders.confirm_draft", "orders.discard_draft",
                            "orders.change_address", "orders.cancel", "orders.advance", "orders.place_hold",
                            "orders.release_hold", "orders.release_holds", "orders.dismiss_duplicate",
                            "stock.reserve", "stock.release_reservation", "parties.*", "cases.act", "cases.comment",
                            "cases.acknowledge", "cases.assign", "authority.act_for_case",
                            *_BORROWS, "read"),
            "Sponsor": ("authority.declare_governance", *_ASKS, *_DECIDES, *_CASES, "read"),
        }
    )  # fmt: skip


def roles_that_may(rights: Rights, right: str) -> list[str]:
    """Return the roles that have a right, for the text of a refusal; Trueup's own is nobody one could ask."""
    room = right.partition(".")[0] + ".*"
    return sorted(
        role for role, granted in rights.roles.items() if role != "System" and {right, room, "*"} & {*granted}
    )


class Key(msgspec.Struct, frozen=True):
    """One API key: whose it is, and when it ends."""

    id: str
    actor: str
    expires_at: datetime | None
    revoked_at: datetime | None
    scope: tuple[str, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """The part of the organisation somebody may see and move. sites: codes of locations. channels: their names."""

    sites: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()


class Standing:
    """The snapshot of one epoch; commands of the next batch see the next one as soon as it is committed.

    actors: who may act and with which roles, at the moment last given to `at`: appointments begin and contracts end
    by themselves. Where nothing does, it is the same at every moment. registry, overrides: see `lent`.
    names: of everybody there ever was, those who left too, and of Trueup itself.
    """

    def __init__(
        self,
        epoch: int,
        actors: dict[str, Actor],
        keys: dict[bytes, Key],
        policies: Policies,
        nodes: Sequence[Node] = (),
        declared: Declared | None = None,
        tenure: Tenure = NOBODY,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.epoch = epoch
        self.own = {SYSTEM.id: SYSTEM, **actors}
        self.actors = self.own
        self.names = {**(names or {}), **{id_: actor.name for id_, actor in self.own.items()}}
        self.tenure = tenure
        self._span = EVER if tenure == NOBODY else (EVER[0], EVER[0])
        self.keys = keys
        self.policies = policies
        self.declared = declared
        self.registry = Registry()
        self.overrides: tuple[Override, ...] = ()
        self._rights = policies.get(Rights)
        self._allowed: dict[tuple[frozenset[str], str], bool] = {}
        self._nodes = {node.code: node for node in nodes}
        self._under: dict[tuple[str, ...], Scope] = {}

    def at(self, now: datetime) -> Standing:
        """Return itself, its actors as of a moment; works only when something began or ended since the last one."""
        if not self._span[0] <= now < self._span[1]:
            self._span = self.tenure.span(now)
            self.actors = actors_at(self.own, self.tenure, now, self.allows)
        return self

    def present(self, actor: Actor, now: datetime) -> Actor:
        """Return the actor with the roles held at a moment, and the scope of the key they came with."""
        current = self.at(now).actors.get(actor.id)
        if current is None:
            return msgspec.structs.replace(actor, roles=frozenset())
        return msgspec.structs.replace(current, key_scope=actor.key_scope) if actor.key_scope else current

    def holders(self, role: str, over: str | None, now: datetime) -> tuple[str, ...]:
        """Return the ids of who holds a role over something at a moment, each deputy after the holder."""
        present = {id_: actor for id_, actor in self.own.items() if not self.tenure.gone(id_, now)}
        return holders_at(present, self.tenure, role, over, now)

    def allows(self, roles: frozenset[str], right: str) -> bool:
        """Tell whether any of the roles has the right."""
        answer = self._allowed.get((roles, right))
        if answer is None:
            room = right.partition(".")[0] + ".*"
            granted = {entry for role in roles for entry in self._rights.roles.get(role, ())}
            # No rights policy can lock Trueup's own follow-ups out, nor the operator who would have to correct it.
            granted |= {entry.removeprefix(RIGHT) for entry in roles if entry.startswith(RIGHT)}
            answer = self._allowed[roles, right] = "System" in roles or bool(granted & {right, room, "*"})
        return answer

    def who_may(self, right: str) -> list[str]:
        """Return the roles that have a right, for the text of a refusal."""
        return roles_that_may(self._rights, right)

    def holder_of(self, digest: bytes, now: datetime) -> Actor | None:
        """Return the active actor whose API key has this digest, unless the key was revoked or has expired."""
        key = self.keys.get(digest)
        if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            return None
        actor = self.at(now).actors.get(key.actor)
        return msgspec.structs.replace(actor, key_scope=key.scope) if actor is not None and key.scope else actor

    def within(self, actor: Actor) -> Scope | None:
        """Return what an actor may see and move, by the key they came with; None is everything.

        A scope whose nodes are gone names nothing, never everything.
        """
        current = self.actors.get(actor.id, actor)
        if not current.scope and not actor.key_scope:
            return None
        if not current.scope or not actor.key_scope:
            return self._resolve(current.scope or actor.key_scope)
        wide, narrow = self._resolve(current.scope), self._resolve(actor.key_scope)
        return Scope(wide.sites & narrow.sites, wide.channels & narrow.channels)

    def _resolve(self, scope: tuple[str, ...]) -> Scope:
        found = self._under.get(scope)
        if found is None:
            inside = [node for node in self._nodes.values() if not self._above(node).isdisjoint(scope)]
            found = self._under[scope] = Scope(
                frozenset(node.code for node in inside if node.kind == "site"),
                frozenset(node.code for node in inside if node.kind == "channel"),
            )
        return found

    def _above(self, node: Node) -> set[str]:
        """Return the codes from a node up to its root, its own among them."""
        codes: set[str] = set()
        above: Node | None = node
        while above is not None and above.code not in codes:
            codes.add(above.code)
            above = self._nodes.get(above.parent) if above.parent is not None else None
        return codes


# Acts on what is one's own, which every person may; their rules ask whose it is.
FREE_OF_ROLE = frozenset(
    {
        "authority.accept_appointment",
        "authority.confirm_act",
        "authority.decline_act",
        "authority.delegate",
        "authority.end_appointment",
        "authority.end_delegation",
        "authority.resign_deputy",
    }
)


def require(standing: Standing, actor: Actor, right: str) -> Refusal | None:
    """Return why this actor may not do this now, or None. The one question of the house: not granted is denied."""
    current = standing.actors.get(actor.id)
    if current is None:
        return Refusal("authority.unknown_actor", f"{actor.name} may not act any more.",
                       "Ask an administrator for access.", "actor", actor.id)  # fmt: skip
    if right in FREE_OF_ROLE and current.kind == "person":
        return None
    if not standing.allows(current.roles, right):
        may = standing.who_may(right)
        return Refusal(
            "authority.not_allowed",
            f"{current.name} ({', '.join(sorted(current.roles)) or 'no role'}) may not {right}.",
            f"Ask somebody who may: {', '.join(may)}." if may else "No role may do this; the rights policy says so.",
            "actor",
            actor.id,
        )
    return None


def outside(actor: Actor) -> Refusal:
    """Return why somebody who is confined to a part of the organisation is not shown what belongs to all of it."""
    return Refusal(
        "authority.outside_scope",
        f"This shows more than {actor.name}'s part of the organisation.",
        "Ask somebody without a scope, or an administrator to widen it.",
        "actor",
        actor.id,
    )


def role_guard(
    standing: Standing, actor: Actor, verb: Verb[Command], command: Command, now: datetime, state: State
) -> Refusal | None:
    """Ask `require` before every command, of the roles that are held at this moment."""
    return require(standing.at(now), actor, verb.name)


# What concerns no site or channel is the whole organisation's, and refused to who is scoped to a part of it; but for a
# comment, which moves nothing and stops no clock, and what is one's own.
FREE_OF_SCOPE = frozenset({"cases.comment"}) | (FREE_OF_ROLE - {"authority.confirm_act", "authority.decline_act"})


def scope_guard(
    standing: Standing, actor: Actor, verb: Verb[Command], command: Command, now: datetime, state: State
) -> Refusal | None:
    """Refuse a command that concerns a site or channel outside the actor's scope, or the organisation as a whole."""
    scope = standing.within(actor)
    if scope is None or verb.name in FREE_OF_SCOPE:
        return None
    concerns = verb.concerns(state, command)
    needed = Scope(frozenset(concerns.sites), frozenset(concerns.channels))
    if needed == Scope():
        return Refusal(
            "authority.outside_scope",
            f"{verb.name} concerns more than {actor.name}'s part of the organisation.",
            _who_may(standing, verb.name, needed),
            "actor",
            actor.id,
        )
    outside = [("site", code) for code in sorted(needed.sites - scope.sites)]
    outside += [("channel", name) for name in sorted(needed.channels - scope.channels)]
    if not outside:
        return None
    kind, name = outside[0]
    what = f"The {kind} {name!r} is outside {actor.name}'s part of the organisation."
    return Refusal("authority.outside_scope", what, _who_may(standing, verb.name, needed), kind, name)


def _who_may(standing: Standing, right: str, needed: Scope) -> str:
    """Name up to three who may do it there; what needs nothing by name is the whole's, for the unscoped only."""
    may = []
    for actor in standing.actors.values():
        scope = standing.within(actor)
        inside = scope is not None and needed.sites <= scope.sites and needed.channels <= scope.channels
        covers = scope is None or (inside and needed != Scope())
        if actor is not SYSTEM and covers and standing.allows(actor.roles, right):
            may.append(actor.name)
    return f"Ask somebody who may: {', '.join(sorted(may)[:3])}." if may else "Ask an administrator to widen the scope."


def loader(kinds: dict[str, type[Policy]]) -> Callable[[Connection], Awaitable[Standing]]:
    """Return the function that reads a standing; `kinds` are the policy documents the rooms know."""

    pinned = sorted(name for name, kind in kinds.items() if kind.pinned)

    async def load_standing(connection: Connection) -> Standing:
        answers = await roundtrip(
            connection,
            [
                Statement("select value from epoch"),
                Statement("select id, kind, name, roles, scope, active from actor"),
                Statement("select digest, id, actor, expires_at, revoked_at, scope from api_key"),
                Statement(
                    """select p.kind, p.name, p.version, p.digest, p.document, a.kind is not null
                    from policy p left join policy_active a using (kind, name, version)
                    where a.kind is not null or p.kind = any(%s::text[])""",
                    [pinned],
                ),
                Statement("select code, name, kind, parent from org_node"),
                Statement("select mode, declared_at, window_until from governance"),
                Statement(f"{APPOINTMENTS} where ended_at is null"),
                Statement(f"{DELEGATIONS} where ended_at is null"),
                Statement(EMPLOYMENTS),
            ],
        )
        actors = {
            id_: Actor(id_, kind, name, frozenset(roles), tuple(scope))
            for id_, kind, name, roles, scope, active in answers[1]
            if active
        }
        names = {row[0]: row[2] for row in answers[1]}
        keys = {bytes(digest): Key(*[*columns, tuple(scope)]) for digest, *columns, scope in answers[2]}
        documents: dict[bool, list[Active]] = {True: [], False: []}
        for kind, name, version, digest, document, in_force in answers[3]:
            if kind in kinds:
                entry = Active(name, version, bytes(digest), json.decode(bytes(document), kinds[kind]))
                documents[in_force].append(entry)
        policies = Policies(documents[True], documents[False], kinds)
        nodes = [Node(*columns) for columns in answers[4]]
        declared = Declared(*answers[5][0]) if answers[5] else None
        tenure = Tenure(
            tuple(appointment_of(row) for row in answers[6]),
            tuple(delegation_of(row) for row in answers[7]),
            {row[0]: employment_of(row) for row in answers[8]},
        )
        return Standing(answers[0][0][0], actors, keys, policies, nodes, declared, tenure, names)

    return load_standing
