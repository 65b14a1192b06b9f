"""A second person confirms what was beyond the first one's limit; it is then carried out as the first one asked it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.authority.for_case import ActForCase
from trueup.authority.limits import AmountLimits, Exceeded, exceeded
from trueup.authority.overridable import AMOUNTS, hint_of
from trueup.authority.overrides_state import Overrides
from trueup.authority.parts import Written, roles_here
from trueup.authority.passing import lent_by_asker, mode_in, roll_of, want_people
from trueup.authority.pending_state import ActHeld, ActSettled, PendingAct, PendingActs
from trueup.authority.refusals import borrowed
from trueup.authority.separation import is_self_approval, may_approve
from trueup.authority.standing import Rights, roles_that_may
from trueup.authority.tenure import RIGHT, Roll
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core import json
from trueup.core.carry import Carried, Opened, Verbs, opened, readable
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import plain
from trueup.core.refused import RULE, Stop
from trueup.core.verb import Accepted, Actor, Command, Concerns, Context, Decision, Event, Movement, State, Verb

Why = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class ConfirmAct(Command, frozen=True, kw_only=True):
    """Confirm, as the second person, an act (`pnd_...`) that waits because it is beyond its asker's limit."""

    act: str


class DeclineAct(Command, frozen=True, kw_only=True):
    """Decline a waiting act, or take one's own back: nothing of it will happen."""

    act: str
    reason: Why


def under_limits(verb: Verb[Any], written: Written) -> Verb[Any]:
    """Return a verb whose act, beyond what its actor may do alone, waits for a second person instead of happening.

    What its rule refuses is refused at once; and what waits has been decided by the rule as if it happened. An override
    of `limits.amount` lets it happen, and says so. A role that is held over a part has its limit there; written: where
    what an event writes lies.
    """
    worth = verb.worth
    if worth is None:
        return verb
    wants, decide = verb.wants, verb.decide

    def act_of(command: Any) -> str:
        return command.act.verb if isinstance(command, ActForCase) else verb.name

    def wanting(state: State, command: Any, policies: Policies) -> None:
        wants(state, command, policies)
        limits = policies.find(AmountLimits, "default")
        if (limits is not None and limits.about(act_of(command))) or _bound(verb, command, policies) is not None:
            state.of(Cases).want_cause(_cause(act_of(command)))
            state.of(Overrides).want_open()

    def deciding(state: State, command: Any, context: Context) -> Decision:
        decision = decide(state, command, context)
        if isinstance(decision, Refusal) or "System" in context.actor.roles:
            return decision
        bound = _bound(verb, command, context.policies)
        if bound is None and context.policies.find(AmountLimits, "default") is None:
            return decision
        amounts = worth(state, command, decision.events)
        roles = roles_here(verb, state, command, decision, context, written)
        act = act_of(command)
        over = exceeded(context.policies, act, roles, amounts, bound)
        if over is None:
            return decision
        stop = Stop(RULE, _beyond(verb, act, command, over), context.actor, verb, command, context.now, state)
        used = borrowed(state.of(Overrides).overrides.values(), stop)
        if used is not None:
            return msgspec.structs.replace(decision, events=(used, *decision.events))
        return _held(state, verb.name, act, command, over, context)

    return msgspec.structs.replace(verb, wants=wanting, decide=deciding)


def _bound(verb: Verb[Any], command: Any, policies: Policies) -> Any:
    return verb.bound(command, policies) if verb.bound is not None else None


def _beyond(verb: Verb[Any], act: str, command: Command, over: Exceeded) -> Refusal:
    """Return what an override would let pass, as a refusal of the order, item or else the act that it is about."""
    what = f"{plain(over.amount)} {over.unit} is above {plain(over.limit)}."
    about = next(iter(verb.touches(command)), "") or getattr(command, "sku", "") or act
    return Refusal(AMOUNTS, what, "A second person confirms it.", "", about)


def _held(state: State, verb: str, name: str, command: Command, over: Exceeded, context: Context) -> Decision:
    """Return that the act waits. verb: what was submitted; name: the act itself, which a case's right may carry."""
    act = PendingAct(
        id=context.new_id("pnd"),
        verb=verb,
        body=json.encode(command).decode(),
        asker=context.actor.id,
        amount=over.amount,
        unit=over.unit,
        limit_amount=over.limit,
        roles=over.roles,
        at=context.now,
    )
    what = f"{plain(over.amount)} {over.unit}, above {plain(over.limit)}: {' or '.join(over.roles)} confirms"
    case = case_events(
        state,
        context,
        cause=_cause(name),
        kind="confirmation",
        title=f"{name} beyond a limit waits for a second person",
        severity=3,
        owner_role=over.roles[0],
        subjects=[CaseSubject("pending_act", act.id, what)],
    )
    result = {"pending": act.id, "limit": plain(over.limit), "unit": over.unit, "confirmed_by": list(over.roles),
              "override": hint_of(AMOUNTS, "", context.policies)}  # fmt: skip
    return Accepted([ActHeld(act=act), *case], act.id, result, "pending_approval")


def confirming(verbs: Verbs) -> tuple[Verb[Any], ...]:
    """Return the verbs that settle waiting acts; `verbs` are the house's by name."""

    def confirm_act(state: State, command: ConfirmAct, context: Context) -> Decision:
        """Carry the act out, in its asker's name. Refuses its asker, whoever lacks the role, and what its rule refuses.

        In the small mode somebody who is alone may confirm their own after a waiting time, with a case that tells it.
        """
        act = _waiting(state, command.act)
        if isinstance(act, Refusal):
            return act
        roll = roll_of(state, context)
        asker = roll.actors.get(act.asker)
        if asker is None:
            return Refusal("authority.asker_gone", f"{act.asker} asked for it and may not act any more.",
                           "Decline it; whoever takes over asks again.", "act", act.id)  # fmt: skip
        lost = _lost(act, asker, context.policies)
        found = _may_not(state, roll, act, context) or lost or opened(verbs(), _carried(act), "act")
        if isinstance(found, Refusal):
            return found
        decision = found.verb.decide(state, found.command, msgspec.structs.replace(context, actor=asker))
        if isinstance(decision, Refusal):
            return decision
        settled = ActSettled(act=act.id, confirmed=True, by=context.actor.id, at=context.now)
        told = _told(state, act, context) if is_self_approval(context.actor.id, act.asker) else []
        result = {**decision.result, "act": act.id}
        return Accepted([*decision.events, settled, *told], act.id, result, decision.status)

    def then_want(state: State, command: ConfirmAct | DeclineAct, policies: Policies) -> None:
        for found in waiting_act(verbs, state, command.act):
            found.verb.wants(state, found.command, policies)
            if found.verb.then_wants is not None:
                found.verb.then_wants(state, found.command, policies)

    def concerns(state: State, command: ConfirmAct | DeclineAct) -> Concerns:
        for found in waiting_act(verbs, state, command.act):
            return found.verb.concerns(state, found.command)
        return Concerns()

    def moves(state: State, command: ConfirmAct) -> tuple[Movement, ...]:
        return tuple(
            movement
            for found in waiting_act(verbs, state, command.act)
            if found.verb.moves is not None
            for movement in found.verb.moves(state, found.command)
        )

    confirm = Verb(
        name="authority.confirm_act",
        command=ConfirmAct,
        decide=confirm_act,
        wants=_want,
        then_wants=then_want,
        touches=lambda command: (command.act,),
        concerns=concerns,
        moves=moves,
    )
    return confirm, _declining(concerns, then_want)


def decline_act(state: State, command: DeclineAct, context: Context) -> Decision:
    """Decline it. Refuses whoever is neither its asker nor could have confirmed it."""
    act = _waiting(state, command.act)
    if isinstance(act, Refusal):
        return act
    roll = roll_of(state, context)
    if context.actor.id != act.asker and context.actor.everywhere().isdisjoint(act.roles):
        return Refusal("authority.not_decider", f"This is decided by {' or '.join(act.roles)}.",
                       f"Ask one of them; {roll.name(act.asker)} can take it back.", "act", act.id)  # fmt: skip
    settled = ActSettled(act=act.id, confirmed=False, by=context.actor.id, at=context.now, why=command.reason)
    return Accepted([settled], act.id, {"act": act.id})


def _declining(
    concerns: Callable[[State, Any], Concerns], then_want: Callable[[State, Any, Policies], None]
) -> Verb[DeclineAct]:
    return Verb(
        name="authority.decline_act",
        command=DeclineAct,
        decide=decline_act,
        wants=_want,
        then_wants=then_want,
        touches=lambda command: (command.act,),
        concerns=concerns,
    )


def _want(state: State, command: ConfirmAct | DeclineAct, policies: Policies) -> None:
    want_people(state)
    state.of(PendingActs).want(command.act)
    state.of(Cases).want_cause(_self_cause(command.act))


def _may_not(state: State, roll: Roll, act: PendingAct, context: Context) -> Refusal | None:
    """Return why this actor may not confirm it."""
    me, mode = context.actor.id, mode_in(state)
    now = _Now(roll, context.policies)
    refusal = may_approve(now, me, act.asker, act.roles, mode, context.now, asked_at=act.at)
    if refusal is not None or me == act.asker or any(me in roll.without(act.asker, me).holders(r) for r in act.roles):
        return refusal
    return lent_by_asker(context.actor.name, roll.name(act.asker), "act", act.id)


def _lost(act: PendingAct, asker: Actor, policies: Policies) -> Refusal | None:
    """Refuse what its asker has no right to any more."""
    giving = {"System", RIGHT + act.verb, *roles_that_may(policies.get(Rights), act.verb)}
    if not giving.isdisjoint(asker.roles):
        return None
    return Refusal("authority.asker_gone", f"{asker.name} asked for it and may not {act.verb} any more.",
                   "Decline it; whoever may asks again.", "act", act.id)  # fmt: skip


class _Now(msgspec.Struct, frozen=True):
    """A roll that answers as a standing does, for one moment."""

    roll: Roll
    policies: Policies

    def holders(self, role: str, over: str | None, now: datetime) -> tuple[str, ...]:
        """Return who holds a role at the roll's moment."""
        return self.roll.holders(role, over)


def _waiting(state: State, id_: str) -> PendingAct | Refusal:
    found = state.of(PendingActs).acts.get(id_)
    if found is not None and found.settled_at is None:
        return found
    what = f"There is no act {id_!r} that waits." if found is None else f"{id_} was settled at {found.settled_at}."
    return Refusal("authority.nothing_pending", what, "`trueup show pending-acts` lists what waits.", "act", id_)


def _carried(act: PendingAct) -> Carried:
    return Carried(act.verb, json.decode(act.body.encode(), dict[str, Any]))


def waiting_act(verbs: Verbs, state: State, id_: str) -> list[Opened]:
    """Return the act that waits under an id, where it can be read; what is none is no act."""
    found = state.of(PendingActs).acts.get(id_)
    return readable(verbs(), (_carried(found),)) if found is not None else []


def _told(state: State, act: PendingAct, context: Context) -> list[Event]:
    """Return the case that tells of a self-approval: it is allowed where somebody is alone, and never silent."""
    return case_events(
        state,
        context,
        cause=_self_cause(act.id),
        kind="self_approval",
        title=f"{_name(context.actor)} confirmed their own {act.verb}",
        severity=3,
        owner_role="Sponsor",
        subjects=[CaseSubject("pending_act", act.id, f"{plain(act.amount)} {act.unit}")],
    )


def _name(actor: Actor) -> str:
    return actor.name


def _cause(verb: str) -> str:
    return f"authority:confirm:{verb}"


def _self_cause(act: str) -> str:
    return f"authority:self_approval:{act}"
