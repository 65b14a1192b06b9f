"""Carry an approved change out, roll it back, and settle emergencies that nobody reviewed."""

from __future__ import annotations

from datetime import timedelta

from trueup.authority.approve import AboutChange, about_change
from trueup.authority.change_control import ChangeControl, is_rule_of_changing
from trueup.authority.changes import (
    Plan,
    carry_out,
    cause_of,
    find,
    find_proposed,
    missing,
    needed,
    plan,
    stale,
    still_asked,
    stopped,
)
from trueup.authority.changes_state import Change, ChangeApplied, ChangeEnded, ChangeEscalated, ChangeReverted
from trueup.authority.decision_rights import BOARD, DecisionRights, may_decide, who_decides
from trueup.authority.propose import Reason, uncovered
from trueup.authority.standing import SYSTEM
from trueup.cases.open import case_events
from trueup.cases.state import CaseSubject
from trueup.core import carry
from trueup.core.carry import Verbs
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Context, Decision, Event, State, Verb


class ApplyChange(AboutChange, frozen=True, kw_only=True):
    """Carry a change out that was approved, or a standard one."""


class RevertChange(AboutChange, frozen=True, kw_only=True):
    """Put back, in one step, what stood before a change was applied."""

    reason: Reason


class EscalateChange(AboutChange, frozen=True, kw_only=True):
    """Leave an emergency change that nobody reviewed in force, at a price. reason: what reverting it would harm."""

    reason: Reason


def apply_change(verbs: Verbs, state: State, command: ApplyChange, context: Context) -> Decision:
    """Carry it out. Refuses what is not approved by all who must, stale, too early, or stopped by a blackout.

    A standard change whose command is refused has failed: its template loses the approval.
    """
    change = find_proposed(state, command.change)
    if isinstance(change, Refusal):
        return change
    found = plan(state, context.policies, verbs, change.edits)
    if isinstance(found, Refusal):
        return _failed(change, found, context)
    refusal = _not_approved(state, change, found, context) or stopped(change, state, context)
    if refusal is not None:
        return refusal
    carried = stale(change, found) or carry_out(state, found, context)
    if isinstance(carried, Refusal):
        return _failed(change, carried, context)
    applied = ChangeApplied(change=change.id, inverse=found.inverse, by=context.actor.id, at=context.now)
    return Accepted([*carried, applied], change.id, {"change": change.id, "applied": True})


def revert_change(verbs: Verbs, state: State, command: RevertChange, context: Context) -> Decision:
    """Roll it back.

    Refuses what was not applied, what somebody changed since, who decides nothing of it, and a rule of changing that
    was watched long enough: who eases that, asks.
    """
    change = find(state, command.change)
    if isinstance(change, Refusal):
        return change
    if change.applied_at is None or change.reverted_at is not None or change.inverse is None:
        return Refusal("authority.not_applied", f"The change {change.id} is not in force.",
                       "Only what was applied is rolled back.", "change", change.id)  # fmt: skip
    refusal = _may_not_revert(state, change, context) or _settled(change, context)
    refusal = refusal or _moved_since(verbs, state, change, context)
    if refusal is not None:
        return refusal
    back = plan(state, context.policies, verbs, change.inverse)
    carried = back if isinstance(back, Refusal) else carry_out(state, back, context)
    if isinstance(carried, Refusal):
        return carried
    event = ChangeReverted(change=change.id, why=command.reason, by=context.actor.id, at=context.now)
    return Accepted([*carried, event], change.id, {"change": change.id, "reverted": True})


def applying(verbs: Verbs) -> tuple[Verb[ApplyChange], Verb[RevertChange], Verb[EscalateChange]]:
    """Return the verbs that carry out and roll back changes which carry commands of these verbs."""
    return (
        about_change(verbs, "authority.apply_change", ApplyChange, carry.bound(apply_change, verbs)),
        about_change(verbs, "authority.revert_change", RevertChange, carry.bound(revert_change, verbs)),
        about_change(verbs, "authority.escalate_change", EscalateChange, escalate_change),
    )


def escalate_change(state: State, command: EscalateChange, context: Context) -> Decision:
    """Open the case of an emergency that stays. Refuses one that was reviewed or reverted, or is not due yet."""
    change = find(state, command.change)
    if isinstance(change, Refusal):
        return change
    control = context.policies.get(ChangeControl)
    open_still = change.type == "emergency" and change.applied_at is not None
    if not open_still or change.reviewed_at or change.reverted_at or change.escalated_at:
        return Refusal("authority.not_open", f"The change {change.id} is no emergency that waits for its review.",
                       "Nothing has to be done.", "change", change.id)  # fmt: skip
    assert change.applied_at is not None
    if context.now < change.applied_at + timedelta(hours=control.review_hours):
        return Refusal("authority.review_not_due", "Its review is not overdue yet.", "Review it.", "change", change.id)
    events: list[Event] = case_events(
        state,
        context,
        cause=cause_of(change.id),
        kind="unreviewed_emergency",
        title=f"Emergency change stays unreviewed: {change.title}",
        severity=2,
        owner_role="Sponsor",
        subjects=[CaseSubject("change", change.id, command.reason[:200])],
        price_per_hour=(control.emergency_price_per_day / 24).quantize(control.emergency_price_per_day.scaleb(-6)),
        currency=control.currency,
        source={"price_per_day": str(control.emergency_price_per_day), "policy": "change_control"},
    )
    events.append(ChangeEscalated(change=change.id, why=command.reason, at=context.now))
    return Accepted(events, change.id, {"change": change.id})


def _not_approved(state: State, change: Change, found: Plan, context: Context) -> Refusal | None:
    """Return whose yes is missing for the content as it is; a standard change was approved with its template.

    The template is asked again: it may have lost its approval, or be gone, since the change was proposed.
    """
    if change.template is not None:
        template = context.policies.get(ChangeControl).template(change.template)
        return uncovered(state, template, change.template, found, context)
    asked = needed(state, context.policies, change.edits, found.objects, overdue=context.now > change.due_at)
    if isinstance(asked, Refusal):
        return asked
    left = missing(asked, change, state, context)
    if not left:
        return None
    return Refusal("authority.not_approved", f"The change is not approved yet: {'; '.join(still_asked(left))}.",
                   f"They decide by {change.due_at:%Y-%m-%d %H:%M} UTC.", "change", change.id)  # fmt: skip


def _failed(change: Change, refusal: Refusal, context: Context) -> Decision:
    if change.template is None:
        return refusal
    event = ChangeEnded(change=change.id, how="failed", why=refusal.what, by=context.actor.id, at=context.now)
    return Accepted([event], change.id, {"change": change.id, "applied": False, "failed": refusal.what})


def _moved_since(verbs: Verbs, state: State, change: Change, context: Context) -> Refusal | None:
    """Refuse where what the change wrote is not what stands: putting its edits through again would change it."""
    again = plan(state, context.policies, verbs, change.edits)
    if isinstance(again, Plan) and again.objects:
        return Refusal("authority.changed_since", f"{again.objects[0].object} was changed again since.",
                       "Roll the later change back first, or propose a change.", "change", change.id)  # fmt: skip
    return None


def _settled(change: Change, context: Context) -> Refusal | None:
    """Refuse rolling back, by one person and long after, one of the rules by which changes are decided."""
    rules = [one.key for one in change.objects if is_rule_of_changing(one.key)]
    hours = context.policies.get(ChangeControl).watch_hours
    if not rules or change.applied_at is None or context.now < change.applied_at + timedelta(hours=hours):
        return None
    return Refusal("authority.settled_rule", f"{rules[0]} is one of the rules of changing, in force for more than the "
                   f"{hours} hours that a change is watched.",
                   f"Propose a change that puts back what stood. {who_decides(context.policies, rules[0])}",
                   "change", change.id)  # fmt: skip


def _may_not_revert(state: State, change: Change, context: Context) -> Refusal | None:
    """Rolling back is for who decides what was touched, the board, the Sponsor, who asked, and the clock."""
    register = context.policies.get(DecisionRights)
    decisions = [(one, decision) for one in change.objects if (decision := register.of(one.key)) is not None]
    may = {BOARD, "Sponsor", *(decision.decider for _, decision in decisions)}
    everywhere = not {BOARD, "Sponsor"}.isdisjoint(context.actor.everywhere())
    decides = any(may_decide(context.actor, (decision.decider,), one) for one, decision in decisions)
    if context.actor.id in (change.asker, SYSTEM.id) or everywhere or decides:
        return None
    return Refusal("authority.not_decider", f"{context.actor.name} decides nothing that this change touches.",
                   f"Ask: {', '.join(sorted(may))}.", "actor", context.actor.id)  # fmt: skip
