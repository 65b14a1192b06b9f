"""Let somebody else do for a time what is one's own to do; it ends by itself, and cannot be passed on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

import msgspec

from trueup.authority.appoint import Over, Role
from trueup.authority.passing import mode_in, roll_of, want_people
from trueup.authority.people_policy import PeoplePolicy
from trueup.authority.people_state import Delegated, Delegation, DelegationEnded, People
from trueup.authority.register import touches_authority
from trueup.authority.separation import may_hold
from trueup.authority.standing import ROLES, Rights, roles_that_may
from trueup.authority.tenure import Roll
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

RIGHTS_MAX = 20
Right = Annotated[str, msgspec.Meta(pattern=r"^[a-z_]+\.[a-z_]+$", max_length=80)]


class Delegate(Command, frozen=True, kw_only=True):
    """Let a person act in one's place. to: their id.

    Either a role of one's own (`over` a part of it), or single rights. until_on: the last day, in the business's zone.
    from_on: the first day, None for at once.
    """

    to: str
    until_on: date
    role: Role | None = None
    over: Over | None = None
    rights: Annotated[tuple[Right, ...], msgspec.Meta(max_length=RIGHTS_MAX)] = ()
    from_on: date | None = None


class EndDelegation(Command, frozen=True, kw_only=True):
    """Take a delegation (`dlg_...`) back, or give it back, before its date."""

    delegation: str


def delegate(state: State, command: Delegate, context: Context) -> Decision:
    """Delegate until a day.

    Refuses neither or both of role and rights, what one does not hold oneself (what was delegated to one is not passed
    on), oneself and who is no active person, dates that end before they begin or lie too far ahead, a circle, and roles
    that do not go together.
    """
    if (command.role is None) == (not command.rights):
        return Refusal("authority.delegation_what", "A delegation names either a role or single rights.",
                       "Send `role`, or `rights`.", "role", str(command.role))  # fmt: skip
    if command.role is not None and command.role not in ROLES:
        return Refusal("authority.unknown_role", f"There is no role {command.role!r}.", f"Use: {', '.join(ROLES)}.",
                       "role", command.role)  # fmt: skip
    roll = roll_of(state, context)
    refusal = _no_taker(roll, command, context) or _not_own(state, roll, command, context)
    if refusal is not None:
        return refusal
    dated = _dated(command, context)
    if isinstance(dated, Refusal):
        return dated
    refusal = _circle(state, roll, dated, context)
    if command.role is not None and refusal is None:
        held = {*roll.roles(command.to), command.role}
        refusal = may_hold(context.policies, roll.name(command.to), held, mode_in(state), "to")
    if refusal is not None:
        return refusal
    return Accepted([Delegated(delegation=dated)], dated.taker, {"delegation": dated.id})


def end_delegation(state: State, command: EndDelegation, context: Context) -> Decision:
    """End it. Refuses one that has ended, and whoever is neither giver nor taker nor appoints people."""
    found = state.of(People).delegations.get(command.delegation)
    if found is None or found.ended_at is not None or found.until_at <= context.now:
        return Refusal("authority.unknown_delegation", f"There is no open delegation {command.delegation!r}.",
                       "It ended; nothing is left to do.", "delegation", command.delegation)  # fmt: skip
    roll = roll_of(state, context)
    may = roles_that_may(context.policies.get(Rights), "authority.appoint")
    mine = context.actor.id in (found.giver, found.taker) or "System" in context.actor.roles
    if not mine and context.actor.everywhere().isdisjoint(may):
        return Refusal("authority.not_allowed", f"{found.id} is {roll.name(found.giver)}'s.",
                       f"They can take it back at any time; else ask {', '.join(may)}.",
                       "delegation", found.id)  # fmt: skip
    event = DelegationEnded(delegation=found.id, taker=found.taker, at=context.now)
    return Accepted([event], found.taker, {"delegation": found.id})


def _no_taker(roll: Roll, command: Delegate, context: Context) -> Refusal | None:
    if command.to == context.actor.id:
        return Refusal("authority.own_roles", "Nobody delegates to themselves.", "Name somebody else.",
                       "to", command.to)  # fmt: skip
    found = roll.present.get(command.to)
    if found is None or found.kind != "person":
        return Refusal("authority.unknown_actor", f"There is nobody {command.to!r} who may act now.",
                       "Name an active person; an administrator registers one at once.", "to", command.to)  # fmt: skip
    return None


def _not_own(state: State, roll: Roll, command: Delegate, context: Context) -> Refusal | None:
    """Look at what the giver holds without what others lent them."""
    me = context.actor.id
    if command.role is not None:
        if me in roll.firm_holders(command.role, command.over):
            return None
        lent = command.role in roll.roles(me)
        return Refusal(
            "authority.not_own",
            f"{command.role} was lent to {roll.name(me)}; what is lent is not passed on." if lent
            else f"{context.actor.name} is not {command.role}.",
            f"Ask its holder to delegate it directly: {roll.names(roll.firm_holders(command.role)) or 'nobody now'}.",
            "role", command.role,
        )  # fmt: skip
    firm = {role for role in ROLES if me in _any_part(state, roll, role)}
    rights = context.policies.get(Rights)
    for at, right in enumerate(command.rights):
        may = roles_that_may(rights, right)
        if firm.isdisjoint(may):
            return Refusal("authority.not_own", f"{right} is not {context.actor.name}'s own to give.",
                           f"It belongs to: {', '.join(may) or 'no role'}; ask one of them to delegate it.",
                           f"rights[{at}]", right)  # fmt: skip
    return None


def _any_part(state: State, roll: Roll, role: str) -> set[str]:
    parts = {a.over for a in state.of(People).appointments.values()} | {None}
    return {id_ for over in parts for id_ in roll.firm_holders(role, over)}


def _dated(command: Delegate, context: Context) -> Delegation | Refusal:
    rules = context.policies.get(PeoplePolicy)
    today = rules.day_of(context.now)
    begins = max(command.from_on or today, today)
    if command.until_on < begins:
        return Refusal("authority.dates", f"The last day {command.until_on} lies before {begins}.",
                       "Name a last day on or after the first one and today.",
                       "until_on", str(command.until_on))  # fmt: skip
    latest = begins + timedelta(days=rules.delegation_days_max)
    if command.until_on > latest:
        return Refusal("authority.delegation_too_long",
                       f"A delegation lasts at most {rules.delegation_days_max} days: here until {latest}.",
                       "Delegate it for a shorter time and again later, or have them appointed (authority.appoint).",
                       "until_on", str(command.until_on))  # fmt: skip
    return Delegation(
        id=context.new_id("dlg"),
        giver=context.actor.id,
        taker=command.to,
        from_at=max(context.now, rules.begin_of(begins)),
        until_at=rules.end_of(command.until_on),
        role=command.role,
        over=command.over,
        rights=tuple(sorted(set(command.rights))),
    )


def _circle(state: State, roll: Roll, wanted: Delegation, context: Context) -> Refusal | None:
    """Return the circle that this would close: whoever lends a role to who lends it to them has nobody who has it."""
    lent = {
        d.giver: d.taker
        for d in state.of(People).delegations.values()
        if d.role == wanted.role and wanted.role is not None and d.ended_at is None and context.now < d.until_at
    }
    path = [wanted.giver, wanted.taker]
    while path[-1] not in path[:-1] and path[-1] in lent:
        path.append(lent[path[-1]])
    if path[-1] not in path[:-1]:
        return None
    return Refusal("authority.delegation_cycle",
                   f"{wanted.role} would be lent in a circle: {' -> '.join(roll.name(id_) for id_ in path)}.",
                   "Delegate it to somebody outside of it, or end the other delegation first.",
                   "to", wanted.taker)  # fmt: skip


def _wants(state: State, command: Any, policies: Any) -> None:
    want_people(state)


VERBS: tuple[Verb[Any], ...] = (
    Verb(name="authority.delegate", command=Delegate, decide=delegate, wants=_wants, touches=touches_authority),
    Verb(
        name="authority.end_delegation",
        command=EndDelegation,
        decide=end_delegation,
        wants=_wants,
        touches=touches_authority,
    ),
)
