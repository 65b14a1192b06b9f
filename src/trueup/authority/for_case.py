"""Act for a case with the authority that its ladder gives: a rung lets a role do what its own rights do not.

The rights are the rung's, for this case alone, from the moment the rung was reached until the case ends; whoever is on
call has them too. What is carried out is an act like any other, decided by its own rule, and counts as one on the case.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.authority.parts import Written, outside, places_of
from trueup.authority.standing import ROLES, Standing
from trueup.cases.act import find_open
from trueup.cases.case import Case, CaseActed
from trueup.cases.ladder import CARRIERS
from trueup.cases.notices import Person
from trueup.cases.own import AssignCase
from trueup.cases.standing import CaseState, RungState, documents_of, stands
from trueup.cases.state import Cases
from trueup.core.carry import Carried, Opened, Verbs, opened, readable, then_want, want
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import (
    Accepted,
    Actor,
    Bound,
    Command,
    Concerns,
    Context,
    Decision,
    Event,
    Governance,
    Governed,
    Movement,
    State,
    Verb,
    Worth,
)

SAFE_MAX = 500
CaseId = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class ActForCase(Command, frozen=True, kw_only=True):
    """Carry out an act for a case by the right of its rung. act: the verb, and its body as plain data."""

    case: CaseId
    act: Carried


class TakeSafeAction(Command, frozen=True, kw_only=True):
    """Do what was agreed for the last rung. Trueup's own follow-up. acts: its template, filled in for each subject."""

    case: CaseId
    rung: Annotated[int, msgspec.Meta(ge=1)]
    acts: Annotated[tuple[Carried, ...], msgspec.Meta(min_length=1, max_length=SAFE_MAX)]


def for_case_guard(
    standing: Standing, actor: Actor, verb: Verb[Any], command: Command, now: datetime, state: State
) -> Refusal | None:
    """Refuse an act for a case that no rung reached by now gives to the actor, and a case given to nobody there is.

    The refusal names who may by the ladder, and when.
    """
    if isinstance(command, AssignCase) and command.person is not None:
        person = standing.actors.get(command.person)
        if person is None or person.kind != "person" or not standing.allows(person.roles, "cases.act"):
            return Refusal("cases.unknown_person", f"{command.person!r} is no active person who may act on a case.",
                           "Look the id up in the list of people.", "person", command.person)  # fmt: skip
    if not isinstance(command, ActForCase):
        return None
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    current = standing.present(actor, now)
    where = stands(case, standing.policies, now)
    if right_by_rung(where, current, command.act.verb) is not None:
        return None
    return _not_yet(where, current, command.act.verb)


async def people_to_tell(connection: Connection, standing: Standing, now: datetime) -> dict[str, list[Person]]:
    """Return who has an e-mail address, by each role they hold now, and each alone by id."""
    rows = await connection.execute(
        "select id, name, email from actor where active and kind = 'person' and email is not null order by id"
    )
    known = {id_: Person(id_, name, email) for id_, name, email in await rows.fetchall()}
    found = {id_: [person] for id_, person in known.items()}
    for role in ROLES:
        found[role] = [known[id_] for id_ in dict.fromkeys(standing.holders(role, None, now)) if id_ in known]
    return found


def right_by_rung(state: CaseState, actor: Actor, verb: str) -> RungState | None:
    """Return the rung, reached by now, that gives the actor this act; the highest where several do.

    One whose role they hold over everything comes before one whose role they hold over a part.
    """
    found = [
        rung
        for rung in state.rungs
        if rung.reached and verb in rung.rights and (rung.role in actor.roles or rung.on_call == actor.id)
    ]
    whole = [rung for rung in found if rung.role not in actor.over or rung.on_call == actor.id]
    return (whole or found)[-1] if found else None


def _not_yet(state: CaseState, actor: Actor, verb: str) -> Refusal:
    giving = [rung for rung in state.rungs if verb in rung.rights]
    if not giving:
        return Refusal("cases.no_right", f"No rung of this case's ladder gives the right to {verb}.",
                       "Somebody whose role has the right can do it directly.", "act.verb", verb)  # fmt: skip
    may = [rung for rung in giving if rung.reached]
    what = f"{actor.name} may not {verb} for this case: "
    what += f"rung {state.rung} is reached." if state.rung else "no rung is reached yet."
    words = [_who(rung) for rung in may or giving]
    return Refusal("cases.no_right", what, f"Who may: {'; '.join(words)}.", "act.verb", verb)


def _who(rung: RungState) -> str:
    when = "now" if rung.reached else f"from {rung.at:%Y-%m-%d %H:%M} UTC on" if rung.at else "only if the clock ran on"
    called = f", and {rung.on_call} who is on call" if rung.on_call else ""
    return f"{rung.role}{called}, {when}"


def acting_for_cases(verbs: Verbs, written: Written) -> tuple[Verb[Any], ...]:
    """Return the verbs that carry others out for a case; `verbs` are the house's by name, without amount limits.

    Those are asked of the act as a whole, so that what a second person confirms is still done for the case. written:
    in which parts lies what an event writes.
    """
    return (_acting(verbs, written), _safe_action(verbs))


def _acting(verbs: Verbs, written: Written) -> Verb[ActForCase]:
    def act_for_case(state: State, command: ActForCase, context: Context) -> Decision:
        """Carry out an act that a rung of the case's ladder gives to the actor's role, by the act's own rule.

        What happened counts as an act on the case, and stops its clock. Refuses a case that ended, an act that no rung
        reached by now gives to this actor, one that carries others, one with personal words, and what the act's own
        rule refuses.
        """
        case = find_open(state, command.case)
        if isinstance(case, Refusal):
            return case
        found = opened(verbs(), command.act, "act")
        if isinstance(found, Refusal):
            return found
        refusal = _not_carried(found)
        if refusal is not None:
            return refusal
        decision = found.verb.decide(state, found.command, _by_the_rung(context))
        if isinstance(decision, Refusal):
            return decision
        where = stands(case, context.policies, context.now)
        rung = right_by_rung(where, context.actor, found.verb.name)
        if rung is None:
            return _not_yet(where, context.actor, found.verb.name)
        if rung.on_call != context.actor.id and rung.role in context.actor.over:
            places = places_of(found.verb, state, found.command, decision, written)
            strange = outside(found.verb, context.actor.over[rung.role], places, context)
            if strange is not None:
                return strange
        result = {**decision.result, "case": case.id}
        if not decision.events:
            return Accepted((), case.id, result, decision.status)
        acted = _acted(case, context, decision, found.verb.name, rung.rung)
        return Accepted([*decision.events, acted], case.id, result, decision.status)

    return Verb(
        name="authority.act_for_case",
        command=ActForCase,
        decide=act_for_case,
        wants=lambda state, command, policies: _want(verbs, state, command.case, (command.act,), policies),
        then_wants=lambda state, command, policies: then_want(verbs(), (command.act,), state, policies),
        touches=lambda command: (command.case, *_touches(verbs, command.act)),
        concerns=lambda state, command: _concerns(verbs, state, command.act),
        moves=lambda state, command: _moves(verbs, state, (command.act,)),
        governance=Governance(
            keys=(),
            objects=lambda state, command, policies: _governed(verbs, state, command.act, policies),
            undo=lambda state, command, policies: _undo(verbs, state, command.act, policies),
        ),
        worth=lambda state, command, events: _worth(verbs, state, command.act, events),
        bound=lambda command, policies: _bound(verbs, command.act, policies),
    )


def _by_the_rung(context: Context) -> Context:
    """Return the context for an act by a rung's right: what somebody may do over parts only gives and takes nothing."""
    actor = context.actor
    if not actor.over:
        return context
    return msgspec.structs.replace(
        context, actor=msgspec.structs.replace(actor, roles=actor.everywhere(), over={})
    )  # fmt: skip


def _safe_action(verbs: Verbs) -> Verb[TakeSafeAction]:
    def take_safe_action(state: State, command: TakeSafeAction, context: Context) -> Decision:
        """Carry out the safe action of the last rung for each subject; what a rule refuses is told in the result.

        It ends as merged where somebody acted before. Refuses anybody but Trueup itself, a case that ended, a rung that
        is not reached, and acts that are not the rung's. Acts of one command do not see one another.
        """
        if "System" not in context.actor.roles:
            return Refusal("cases.safe_action_by_itself", "The safe action happens by itself at the last rung.",
                           "Act yourself, by the right of your rung.", "actor", context.actor.id)  # fmt: skip
        case = find_open(state, command.case)
        if isinstance(case, Refusal):
            return case
        refusal = _not_agreed(case, command, context)
        if refusal is not None:
            return refusal
        if case.acted_at is not None:
            return Accepted((), case.id, {"case": case.id}, "merged")
        return _all_of(verbs, state, command, context, case)

    return Verb(
        name="authority.take_safe_action",
        command=TakeSafeAction,
        decide=take_safe_action,
        wants=lambda state, command, policies: _want(verbs, state, command.case, command.acts, policies),
        then_wants=lambda state, command, policies: then_want(verbs(), command.acts, state, policies),
        touches=lambda command: (command.case,),
        concerns=lambda state, command: Concerns(),
        moves=lambda state, command: _moves(verbs, state, command.acts),
    )


def _all_of(verbs: Verbs, state: State, command: TakeSafeAction, context: Context, case: Case) -> Decision:
    events: list[Event] = []
    refused: list[str] = []
    first: Accepted | None = None
    for number, act in enumerate(command.acts):
        found = opened(verbs(), act, f"acts[{number}]")
        decision = found if isinstance(found, Refusal) else found.verb.decide(state, found.command, context)
        if isinstance(decision, Refusal):
            refused.append(f"{decision.rule}: {decision.what}")
            continue
        first = first or (decision if decision.events else None)
        events += decision.events
    result = {"case": case.id, "done": len(command.acts) - len(refused), "refused": refused[:20]}
    if first is None:
        return Accepted((), case.id, result, "merged")
    acted = _acted(case, context, first, command.acts[0].verb, command.rung)
    return Accepted([*events, acted], case.id, result)


def _not_carried(found: Opened) -> Refusal | None:
    if found.verb.name in CARRIERS:
        return Refusal("cases.carries_others", f"{found.verb.name} carries other acts.", "Send the act itself.",
                       "act.verb", found.verb.name)  # fmt: skip
    personal = found.verb.personal
    if personal is not None and getattr(found.command, personal.field) is not None:
        return Refusal("cases.personal", f"{found.verb.name} brings personal words, which are kept apart.",
                       "Somebody whose role has the right can do it directly.",
                       f"act.command.{personal.field}")  # fmt: skip
    return None


def _not_agreed(case: Case, command: TakeSafeAction, context: Context) -> Refusal | None:
    ladder, _ = documents_of(case, context.policies)
    rungs = ladder.severities[case.severity].rungs
    agreed = rungs[-1].safe_action
    if command.rung != len(rungs) or stands(case, context.policies, context.now).rung < len(rungs):
        return Refusal("cases.rung_not_reached", "The last rung of this case is not reached.", "Wait.", "rung",
                       str(command.rung))  # fmt: skip
    if agreed is None or any(act.verb != agreed.verb for act in command.acts):
        return Refusal("cases.not_agreed", "That is not what was agreed for the last rung.",
                       "The policy `ladder` says what is.", "acts")  # fmt: skip
    return None


def _acted(case: Case, context: Context, decision: Accepted, verb: str, rung: int | None) -> CaseActed:
    by = f"rung {rung} of the ladder" if rung is not None else "the ladder"
    return CaseActed(case=case.id, effect=decision.subject, note=f"{verb}, by the right of {by}", at=context.now,
                     verb=verb, rung=rung)  # fmt: skip


def _want(verbs: Verbs, state: State, case: str, acts: Sequence[Carried], policies: Policies) -> None:
    state.of(Cases).want(case)
    want(verbs(), acts, state, policies)


def _touches(verbs: Verbs, act: Carried) -> tuple[str, ...]:
    return tuple(id_ for found in readable(verbs(), (act,)) for id_ in found.verb.touches(found.command))


def _concerns(verbs: Verbs, state: State, act: Carried) -> Concerns:
    for found in readable(verbs(), (act,)):
        return found.verb.concerns(state, found.command)
    return Concerns()


def _moves(verbs: Verbs, state: State, acts: Sequence[Carried]) -> tuple[Movement, ...]:
    return tuple(
        movement
        for found in readable(verbs(), acts)
        if found.verb.moves is not None
        for movement in found.verb.moves(state, found.command)
    )


def _worth(verbs: Verbs, state: State, act: Carried, events: Sequence[Event]) -> tuple[Worth, ...]:
    return tuple(
        worth
        for found in readable(verbs(), (act,))
        if found.verb.worth is not None
        for worth in found.verb.worth(state, found.command, events)
    )


def _bound(verbs: Verbs, act: Carried, policies: Policies) -> Bound | None:
    for found in readable(verbs(), (act,)):
        return found.verb.bound(found.command, policies) if found.verb.bound is not None else None
    return None


def _governed(verbs: Verbs, state: State, act: Carried, policies: Policies) -> tuple[Governed, ...]:
    for found in readable(verbs(), (act,)):
        if found.verb.governance is not None:
            return found.verb.governance.objects(state, found.command, policies)
    return ()


def _undo(verbs: Verbs, state: State, act: Carried, policies: Policies) -> Command | Refusal:
    for found in readable(verbs(), (act,)):
        if found.verb.governance is not None:
            return found.verb.governance.undo(state, found.command, policies)
    return Refusal("cases.nothing_governed", "This act changes nothing that is governed.", "Nothing is to be undone.")
