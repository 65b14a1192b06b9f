"""Propose a change, edit it, withdraw it. An emergency acts at once and is reviewed afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from trueup.authority.change_control import INDICATORS, ChangeControl, Template, covers, is_rule_of_changing
from trueup.authority.changes import (
    EDITS_MAX,
    Plan,
    carry_out,
    cause_of,
    content_digest,
    decided,
    find_proposed,
    in_window,
    needed,
    plan,
)
from trueup.authority.changes_state import (
    Change,
    ChangeApplied,
    ChangeEdited,
    ChangeEnded,
    ChangeProposed,
    Changes,
    Type,
)
from trueup.authority.decision_rights import DecisionRights, may_decide
from trueup.authority.register import touches_authority, wants_authority
from trueup.authority.standing import Rights, roles_that_may
from trueup.authority.state import Authority
from trueup.cases.state import Cases
from trueup.core import carry
from trueup.core.carry import Carried, Verbs
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Edits = Annotated[tuple[Carried, ...], msgspec.Meta(min_length=1, max_length=EDITS_MAX)]
Indicators = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=80)], ...], msgspec.Meta(max_length=20)]


class ProposeChange(Command, frozen=True, kw_only=True):
    """Ask for something governed to become another.

    edits: the commands that are put through when it is applied. type: `standard` by a pre-approved `template`, `normal`
    with a vote, `emergency` acts now and is reviewed after. effective_at: when it is applied; without it, when somebody
    does. indicators: what is watched afterwards.
    """

    title: Title
    reason: Reason
    edits: Edits
    type: Type = "normal"
    template: str | None = None
    effective_at: datetime | None = None
    indicators: Indicators = ()


class EditChange(Command, frozen=True, kw_only=True):
    """Replace what was proposed, or, with the same again, plan it anew on what stands now. Approvals start again."""

    change: str
    title: Title
    reason: Reason
    edits: Edits
    effective_at: datetime | None = None
    indicators: Indicators = ()


class WithdrawChange(Command, frozen=True, kw_only=True):
    """Take one's own proposal back; it stays as a record."""

    change: str
    reason: Reason


def propose_change(verbs: Verbs, state: State, command: ProposeChange, context: Context) -> Decision:
    """Propose it; an emergency is applied in the same act.

    Refuses edits that are none or change nothing, a template that does not cover them or was spent, an emergency
    by somebody who does not decide what it touches, and everything before governance is declared.
    """
    found = _planned(state, command.edits, verbs, context)
    if isinstance(found, Refusal):
        return found
    refusal = _refusal(state, command, found, context)
    if refusal is not None:
        return refusal
    version = context.policies.version(ChangeControl) if command.template is not None else None
    change = _sealed(
        Change(
            id=context.new_id("chg"),
            title=command.title,
            reason=command.reason,
            type=command.type,
            template=command.template,
            template_version=version,
            edits=command.edits,
            objects=found.objects,
            digest="",
            asker=context.actor.id,
            asked_at=context.now,
            planned_at=context.now,
            due_at=_due(context, found),
            effective_at=command.effective_at,
            indicators=command.indicators,
        )
    )
    events: list[Event] = [ChangeProposed(change=change)]
    if command.type == "emergency":
        carried = carry_out(state, found, context)
        if isinstance(carried, Refusal):
            return carried
        applied = ChangeApplied(change=change.id, inverse=found.inverse, by=context.actor.id, at=context.now)
        events += [*carried, applied]
    return Accepted(events, change.id, {"change": change.id, "digest": change.digest})


def edit_change(verbs: Verbs, state: State, command: EditChange, context: Context) -> Decision:
    """Replace the content. Refuses a change that has ended, and anybody but who asked for it."""
    change = find_proposed(state, command.change)
    if isinstance(change, Refusal):
        return change
    if change.asker != context.actor.id:
        return _not_yours(state, change)
    found = _planned(state, command.edits, verbs, context)
    if isinstance(found, Refusal):
        return found
    template = context.policies.get(ChangeControl).template(change.template)
    if change.template is not None:
        refusal = uncovered(state, template, change.template, found, context)
        if refusal is not None:
            return refusal
    edited = _sealed(
        msgspec.structs.replace(
            change,
            title=command.title,
            reason=command.reason,
            edits=command.edits,
            objects=found.objects,
            effective_at=command.effective_at,
            indicators=command.indicators,
            planned_at=context.now,
            due_at=_due(context, found),
            approved_at=None,
            version=change.version + 1,
        )
    )
    return Accepted([ChangeEdited(change=edited)], change.id, {"change": change.id, "digest": edited.digest})


def proposing(verbs: Verbs) -> tuple[Verb[ProposeChange], Verb[EditChange]]:
    """Return the verbs that propose and edit changes which carry commands of these verbs."""

    propose = Verb(
        name="authority.propose_change",
        command=ProposeChange,
        decide=carry.bound(propose_change, verbs),
        wants=lambda state, command, policies: _want(state, None, command.edits, verbs, policies),
        then_wants=lambda state, command, policies: carry.then_want(verbs(), command.edits, state, policies),
        touches=touches_authority,
    )
    edit = Verb(
        name="authority.edit_change",
        command=EditChange,
        decide=carry.bound(edit_change, verbs),
        wants=lambda state, command, policies: _want(state, command.change, command.edits, verbs, policies),
        then_wants=lambda state, command, policies: carry.then_want(verbs(), command.edits, state, policies),
        touches=touches_authority,
    )
    return propose, edit


def withdraw_change(state: State, command: WithdrawChange, context: Context) -> Decision:
    """Withdraw it. Refuses a change that has ended, and anybody but who asked for it."""
    change = find_proposed(state, command.change)
    if isinstance(change, Refusal):
        return change
    if change.asker != context.actor.id:
        return _not_yours(state, change)
    event = ChangeEnded(change=change.id, how="withdrawn", why=command.reason, by=context.actor.id, at=context.now)
    return Accepted([event, *decided(state, change, context)], change.id, {"change": change.id})


def _want(state: State, change: str | None, edits: tuple[Carried, ...], verbs: Verbs, policies: Policies) -> None:
    state.of(Authority).want()
    state.of(Changes).want(change)
    carry.want(verbs(), edits, state, policies)


def _planned(state: State, edits: tuple[Carried, ...], verbs: Verbs, context: Context) -> Plan | Refusal:
    if state.of(Authority).declared is None:
        return Refusal("authority.founding", "Governance is not declared here yet, so nothing needs a change.",
                       "Submit the command directly, or declare governance first (authority.declare_governance).",
                       "edits")  # fmt: skip
    found = plan(state, context.policies, verbs, edits)
    if isinstance(found, Refusal):
        return found
    if not found.objects:
        # What cannot be read changes nothing, either: its own rule says what is wrong with it.
        unread = carry_out(state, found, context)
        if isinstance(unread, Refusal):
            return unread
        return Refusal("authority.changes_nothing", "Of what is governed, what is proposed is what stands already.",
                       "Change something that is governed; what is not, is done directly.", "edits")  # fmt: skip
    rights = context.policies.get(Rights)
    mine = context.actor.everywhere()
    beside = [verb for verb in found.idle if mine.isdisjoint({"System", *roles_that_may(rights, verb)})]
    if beside:
        return Refusal(
            "authority.not_allowed",
            f"This {beside[0]} changes nothing that is governed, and {context.actor.name} may not do it.",
            "Leave it out; a change gives no right to what needs none.",
            "edits",
            beside[0],
        )
    # A command that its own rule would refuse is told now, not after the vote.
    tried = carry_out(state, found, context)
    if isinstance(tried, Refusal):
        return tried
    asked = needed(state, context.policies, edits, found.objects, overdue=False)
    return asked if isinstance(asked, Refusal) else found


def _refusal(state: State, command: ProposeChange, found: Plan, context: Context) -> Refusal | None:
    if (command.type == "standard") != (command.template is not None):
        return Refusal("authority.template", "A standard change names its template, and no other type does.",
                       "Name the template, or choose another type.", "template", command.template or "")  # fmt: skip
    if command.effective_at is not None and (
        command.effective_at.tzinfo is None or command.effective_at <= context.now or command.type == "emergency"
    ):
        return Refusal("authority.effective_at", "A change takes effect at a time to come; an emergency now.",
                       "Name a time with its offset, or leave it out.", "effective_at",
                       command.effective_at.isoformat())  # fmt: skip
    strange = [name for name in command.indicators if name not in INDICATORS]
    if strange:
        return Refusal("authority.unknown_indicator", f"There is no indicator {strange[0]!r}.",
                       f"Use: {', '.join(INDICATORS)}.", "indicators", strange[0])  # fmt: skip
    if command.template is not None:
        template = context.policies.get(ChangeControl).template(command.template)
        return uncovered(state, template, command.template, found, context)
    if command.type == "emergency":
        return _no_emergency(state, found, context)
    return None


def uncovered(state: State, template: Template | None, name: str, found: Plan, context: Context) -> Refusal | None:
    """Return why the template does not carry this change."""
    if template is None:
        return Refusal("authority.unknown_template", f"There is no template {name!r}.",
                       "Look at the policy change_control, or propose a normal change.", "template", name)  # fmt: skip
    outside = [one.key for one in found.objects if not covers(template.keys, one.key)]
    if outside:
        return Refusal("authority.outside_template", f"The template {name!r} does not cover {outside[0]}.",
                       "Propose a normal change.", "template", outside[0])  # fmt: skip
    if in_window(state, context.now) and not template.in_window:
        return Refusal("authority.narrowed", f"The template {name!r} is not used while the stabilisation window lasts.",
                       "Propose a normal change.", "template", name)  # fmt: skip
    spent = state.of(Changes).spent.get(name)
    if spent is not None and spent >= context.policies.version(ChangeControl):
        return Refusal("authority.template_spent", f"The template {name!r} lost its approval: a use of it failed or "
                       "was rolled back.", "Propose a normal change; a change of the policy change_control approves "
                       "the template again.", "template", name)  # fmt: skip
    return None


def _no_emergency(state: State, found: Plan, context: Context) -> Refusal | None:
    register = context.policies.get(DecisionRights)
    for one in found.objects:
        if is_rule_of_changing(one.key):
            return Refusal("authority.no_emergency", f"{one.key} is one of the rules an emergency is reviewed by.",
                           "Propose a normal change; it is decided before it holds.", "type",
                           "emergency")  # fmt: skip
        decision = register.of(one.key)
        if decision is not None and not may_decide(context.actor, (decision.decider, decision.tie_breaker), one):
            return Refusal("authority.no_emergency", f"An emergency change of {one.key} is for its decider.",
                           f"Ask {decision.decider} or {decision.tie_breaker} to act now, or propose a normal change.",
                           "type", "emergency")  # fmt: skip
    return None


def _due(context: Context, found: Plan) -> datetime:
    """Return when it should be decided: within the shortest time of what it touches."""
    register = context.policies.get(DecisionRights)
    hours = [decision.hours for one in found.objects if (decision := register.of(one.key)) is not None]
    return context.now + timedelta(hours=min(hours))


def _sealed(change: Change) -> Change:
    return msgspec.structs.replace(change, digest=content_digest(change))


def _not_yours(state: State, change: Change) -> Refusal:
    asker = state.of(Authority).actors.get(change.asker)
    return Refusal("authority.not_asker", "Only who asked for a change edits or withdraws it.",
                   f"Ask {asker.name if asker else change.asker}, reject it, or propose another.", "change",
                   change.id)  # fmt: skip


def _wants_withdrawn(state: State, command: WithdrawChange, policies: Policies) -> None:
    wants_authority(state, command, policies)
    state.of(Changes).want(command.change)
    state.of(Cases).want_cause(cause_of(command.change))


VERBS = (
    Verb(
        name="authority.withdraw_change",
        command=WithdrawChange,
        decide=withdraw_change,
        wants=_wants_withdrawn,
        touches=touches_authority,
    ),
)
