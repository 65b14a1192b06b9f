"""The writer registry: for each entity, cohort and time one system writes, and a guard on every write heeds it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.authority.cohorts import ENTITIES, NAMES, OURS, Cohort, Entity, WriterRule, Written, rule_for
from trueup.authority.decision_rights import who_decides
from trueup.authority.register import wants_authority
from trueup.authority.standing import Standing
from trueup.authority.writers_policy import Name, Registry, WritingSystems
from trueup.authority.writers_state import WriterAssigned, WriterEnded, Writers
from trueup.core import json
from trueup.core.batch import Guard
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import (
    Accepted,
    Actor,
    Command,
    Context,
    Decision,
    Event,
    Governance,
    Governed,
    SetAside,
    State,
    Verb,
)

Writes = Callable[[State, Verb[Any], Any], tuple[Written, ...]]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class AssignWriter(Command, frozen=True, kw_only=True):
    """Let one system write a cohort of an entity.

    entity: order, item, customer or stock. cohort: nothing named is everything. system: `trueup`, or a name in the
    policy `writers`. from_at: None is now. until_at: when it ends by itself; None is never.
    """

    entity: Entity
    system: Name
    reason: Reason
    cohort: Cohort = Cohort()
    from_at: datetime | None = None
    until_at: datetime | None = None


class EndWriter(Command, frozen=True, kw_only=True):
    """End the rule about this very cohort that holds now, or the next to come. at: when; None is now."""

    entity: Entity
    reason: Reason
    cohort: Cohort = Cohort()
    at: datetime | None = None


def assign_writer(state: State, command: AssignWriter, context: Context) -> Decision:
    """Assign the cohort. The database lets no two rules of one rank meet, so that one system at most may write.

    Where rules of different ranks meet, the one that names more holds; of those that name as many, the one that names
    a location, then a customer group, then a channel, then a share. Refuses a system that is not known, what the
    entity cannot be told apart by, times without a zone, in the past or in the wrong order, and a rule that meets one
    of the same rank; the same again is merged. Source: issue 4, writer registry.
    """
    same = _same(state, command)
    if same is not None and not same.over(context.now):
        return Accepted((), same.id, {"writer": same.id, "system": same.system}, "merged")
    refusal = _bad_cohort(command.entity, command.cohort) or _bad_system(command, context.policies)
    refusal = refusal or _bad_times(command, context.now)
    if refusal is not None:
        return refusal
    rule = WriterRule(
        id=context.new_id("wrt"),
        entity=command.entity,
        cohort=command.cohort,
        system=command.system,
        from_at=command.from_at or context.now,
        until_at=command.until_at,
        reason=command.reason,
        by=context.actor.id,
        at=context.now,
    )
    for other in sorted(state.of(Writers).rules.values(), key=lambda rule: rule.from_at):
        if rule.clashes(other):
            return _clash(rule, other)
    result = {"writer": rule.id, "system": rule.system, "from_at": rule.from_at.isoformat()}
    return Accepted([WriterAssigned(rule=rule)], rule.id, result)


def end_writer(state: State, command: EndWriter, context: Context) -> Decision:
    """End it. Refuses where no rule is about this very cohort, and an end in the past or after the rule's own."""
    at = command.at or context.now
    if at.tzinfo is None or at < context.now:
        return Refusal("authority.writer_time", "It ends now or later, at a time with a zone.",
                       "Leave `at` out to end it at once.", "at", str(at))  # fmt: skip
    found = [rule for rule in _about(state, command.entity, command.cohort) if not rule.over(context.now)]
    if not found:
        return Refusal("authority.unknown_writer", f"No rule is about {command.entity}: {command.cohort.text}.",
                       "Name the cohort as the registry lists it.", "cohort", command.cohort.text)  # fmt: skip
    rule = found[0]
    until = max(at, rule.from_at)
    if rule.until_at is not None and until >= rule.until_at:
        return Accepted((), rule.id, {"writer": rule.id, "until_at": rule.until_at.isoformat()}, "merged")
    event = WriterEnded(
        rule=rule.id, entity=rule.entity, until_at=until, reason=command.reason, by=context.actor.id, at=context.now
    )
    return Accepted([event], rule.id, {"writer": rule.id, "until_at": until.isoformat()})


def writer_guard_of(writes: Writes) -> Guard:
    """Return the guard; `writes` tells what a command writes, as cohorts see it."""

    def writer_guard(
        standing: Standing, actor: Actor, verb: Verb[Any], command: Command, now: datetime, state: State
    ) -> Refusal | SetAside | None:
        """Refuse to write what another system writes now; set aside what was born in a system that does not write it.

        What the writing system itself reports is taken in. Source: issue 4, writer registry.
        """
        registry = standing.registry
        if registry.idle:
            return None
        born = registry.systems.born(actor, command)
        for one in writes(state, verb, command):
            rule = rule_for(registry.rules, one, now)
            owner = rule.system if rule is not None else OURS
            if owner == born:
                continue
            if born == OURS and rule is not None:
                return _elsewhere(registry, rule, standing.policies)
            return SetAside(_foreign(born, owner, one, rule, standing.policies))
        return None

    return writer_guard


def titled(registry: Registry, system: str) -> str:
    """Return what a system is called, with its name in the registry."""
    known = registry.systems.systems.get(system)
    return f"{known.title} ({system})" if known is not None else ("Trueup" if system == OURS else system)


def _elsewhere(registry: Registry, rule: WriterRule, policies: Policies) -> Refusal:
    until = f"until {rule.until_at:%Y-%m-%d %H:%M} UTC" if rule.until_at is not None else "until further notice"
    known = registry.systems.systems.get(rule.system)
    ask = f" or ask {known.contact}" if known is not None and known.contact else ""
    return Refusal(
        "writer.other_system",
        f"{titled(registry, rule.system)} writes this {rule.entity} ({rule.cohort.text}) {until}; Trueup does not.",
        f"Do it there{ask}. {who_decides(policies, f'writer.{rule.entity}')}",
        rule.id,
        rule.system,
    )


def _foreign(born: str, owner: str, one: Written, rule: WriterRule | None, policies: Policies) -> Refusal:
    cohort = rule.cohort.text if rule is not None else "everything"
    mine = "Trueup" if owner == OURS else owner
    return Refusal(
        "writer.born_elsewhere",
        f"This change was born in {born}, but {mine} writes this {one.entity} ({cohort}): it was set aside.",
        f"Enter it in {mine}, or dismiss it. {who_decides(policies, f'writer.{one.entity}')}",
        rule.id if rule is not None else "",
        born,
    )


def _bad_cohort(entity: Entity, cohort: Cohort) -> Refusal | None:
    if cohort.share_from >= cohort.share_to:
        return Refusal("authority.writer_share", "A share goes from one hundredth to a higher one.",
                       "0 to 30 are thirty of a hundred.", "cohort.share_to", str(cohort.share_to))  # fmt: skip
    wrong = [name for name in cohort.named if name not in NAMES[entity]]
    if not wrong:
        return None
    return Refusal("authority.writer_cohort", f"An {entity} is not told apart by {wrong[0]}.",
                   f"Use: {', '.join(NAMES[entity])}.", f"cohort.{wrong[0]}", wrong[0])  # fmt: skip


def _bad_system(command: AssignWriter, policies: Policies) -> Refusal | None:
    known = policies.get(WritingSystems).systems
    if command.system == OURS or command.system in known:
        return None
    there = ", ".join((OURS, *sorted(known)))
    return Refusal("authority.unknown_system", f"There is no system {command.system!r}.",
                   f"Use one of {there}, or name it in the policy writers.", "system", command.system)  # fmt: skip


def _bad_times(command: AssignWriter, now: datetime) -> Refusal | None:
    for name, at in (("from_at", command.from_at), ("until_at", command.until_at)):
        if at is not None and at.tzinfo is None:
            return Refusal("authority.writer_time", f"The time {at} has no zone.", "State the offset.", name, str(at))
    if command.from_at is not None and command.from_at < now:
        return Refusal("authority.writer_time", "What was written is written: a rule begins now or later.",
                       "Leave `from_at` out to begin at once.", "from_at", str(command.from_at))  # fmt: skip
    if command.until_at is not None and command.until_at <= (command.from_at or now):
        return Refusal("authority.writer_time", "A rule ends after it begins.",
                       "Leave `until_at` out where it ends by a decision.", "until_at",
                       str(command.until_at))  # fmt: skip
    return None


def _clash(rule: WriterRule, other: WriterRule) -> Refusal:
    until = f"until {other.until_at:%Y-%m-%d %H:%M} UTC" if other.until_at is not None else "for good"
    return Refusal(
        "authority.writer_clash",
        f"{other.system} writes {other.entity}: {other.cohort.text} from {other.from_at:%Y-%m-%d %H:%M} UTC {until} "
        f"({other.id}), which meets {rule.cohort.text}.",
        "End that rule first, begin after it, or name a cohort that does not meet it.",
        "cohort",
        rule.cohort.text,
    )


def _same(state: State, command: AssignWriter) -> WriterRule | None:
    """Return the rule that says what a command asks for already."""
    for rule in state.of(Writers).rules.values():
        wanted = (command.entity, command.cohort, command.system, command.until_at, command.from_at or rule.from_at)
        if wanted == (rule.entity, rule.cohort, rule.system, rule.until_at, rule.from_at):
            return rule
    return None


def _about(state: State, entity: Entity, cohort: Cohort) -> list[WriterRule]:
    """Return the rules about one very cohort, the first to hold first."""
    found = [r for r in state.of(Writers).rules.values() if (r.entity, r.cohort) == (entity, cohort)]
    return sorted(found, key=lambda rule: (rule.from_at, rule.id))


def _objects(state: State, command: AssignWriter | EndWriter, policies: Policies) -> tuple[Governed, ...]:
    """Return the cohort, resting on every rule of its entity: two changes of one entity's writers are told apart.

    What stands already, and the end of what is not there, changes nothing.
    """
    if isinstance(command, AssignWriter) and _same(state, command) is not None:
        return ()
    if isinstance(command, EndWriter) and not _about(state, command.entity, command.cohort):
        return ()
    rules = sorted((r for r in state.of(Writers).rules.values() if r.entity == command.entity), key=lambda r: r.id)
    base = hashlib.sha256(json.encode(rules)).hexdigest() if rules else ""
    return (Governed(f"writer.{command.entity}", f"writer/{command.entity}#{command.cohort.text}", base),)


def _undo(state: State, command: AssignWriter | EndWriter, policies: Policies) -> Command | Refusal:
    if isinstance(command, AssignWriter):
        return EndWriter(entity=command.entity, cohort=command.cohort, reason="rolled back")
    found = _about(state, command.entity, command.cohort)
    if not found:
        return Refusal("authority.unknown_writer", f"No rule is about {command.cohort.text}.",
                       "There is nothing to put back.", "cohort", command.cohort.text)  # fmt: skip
    rule = found[0]
    return AssignWriter(
        entity=rule.entity, cohort=rule.cohort, system=rule.system, until_at=rule.until_at, reason="rolled back"
    )


def _wants(state: State, command: Command, policies: Policies) -> None:
    wants_authority(state, command, policies)
    state.of(Writers).want()


GOVERNED = tuple(f"writer.{entity}" for entity in ENTITIES)
EVENTS: tuple[type[Event], ...] = (WriterAssigned, WriterEnded)
VERBS: tuple[Verb[Any], ...] = (
    Verb(
        name="authority.assign_writer",
        command=AssignWriter,
        decide=assign_writer,
        wants=_wants,
        touches=lambda command: ("authority",),
        governance=Governance(keys=GOVERNED, objects=_objects, undo=_undo),
    ),
    Verb(
        name="authority.end_writer",
        command=EndWriter,
        decide=end_writer,
        wants=_wants,
        touches=lambda command: ("authority",),
        governance=Governance(keys=GOVERNED, objects=_objects, undo=_undo),
    ),
)
