"""Approve or reject a change: bound to the content one read, by others than who asked, and never an administrator's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, TypeVar

import msgspec

from trueup.authority.changes import (
    cause_of,
    decided,
    find,
    find_proposed,
    is_small,
    missing,
    needed,
    plan,
    stale,
    still_asked,
)
from trueup.authority.changes_state import Approval, Change, ChangeApproved, ChangeEnded, ChangeReviewed, Changes
from trueup.authority.decision_rights import Need
from trueup.authority.passing import roll_of, want_people
from trueup.authority.people_policy import Separation
from trueup.authority.propose import Reason
from trueup.authority.register import touches_authority
from trueup.authority.sampled import not_opened
from trueup.authority.state import Authority
from trueup.authority.votes import own_say, said_in_stead
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core import carry
from trueup.core.carry import Verbs
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, Governed, State, Verb


class AboutChange(Command, frozen=True, kw_only=True):
    """What somebody does about a change that is there."""

    change: str


A = TypeVar("A", bound=AboutChange)


class ApproveChange(AboutChange, frozen=True, kw_only=True):
    """Say yes to a change. digest: of the content one read; another means that it was edited since.

    sample: of a change of many rows, the word that the opened sample shows to who approves.

    An emergency change that was applied is reviewed by the same act.
    """

    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    sample: Annotated[str, msgspec.Meta(max_length=80)] = ""


class RejectChange(AboutChange, frozen=True, kw_only=True):
    """Say no to a change; it stays as a record, with the reason."""

    reason: Reason


def approve_change(verbs: Verbs, state: State, command: ApproveChange, context: Context) -> Decision:
    """Record the approval; with the last that was needed, the change is approved, or the emergency reviewed.

    Refuses another content than the one in force, a base that moved, one's own change, who decides nothing of what it
    touches, and who did not open the sample of a change of many rows.
    """
    change = find(state, command.change)
    reviewing = isinstance(change, Change) and _waits_for_review(change)
    change = change if reviewing else find_proposed(state, command.change)
    if isinstance(change, Refusal):
        return change
    if command.digest != change.digest:
        return Refusal("authority.edited_since", "The change is not what you read: it was edited since.",
                       "Read it again, and approve what it says now.", "digest", command.digest)  # fmt: skip
    if any(approval.actor == context.actor.id for approval in change.counted()):
        return Accepted((), change.id, {"change": change.id, "status": "approved by you already"}, "merged")
    asked = _needs(state, change, verbs, context, reviewing=reviewing)
    if isinstance(asked, Refusal):
        return asked
    roles = _own_say(state, change, context.actor.id, context)
    refusal = _may_not(state, change, asked, context) or _said_already(state, change, asked, roles, context)
    refusal = refusal or not_opened(change, context.actor.id, command.sample)
    if refusal is not None:
        return refusal
    approval = Approval(change.digest, context.actor.id, roles, command.note, context.now)
    with_it = msgspec.structs.replace(change, approvals=(*change.approvals, approval))
    left = missing(asked, with_it, state, context)
    events: list[Event] = [ChangeApproved(change=change.id, approval=approval, complete=not left)]
    if reviewing and not left:
        events.append(ChangeReviewed(change=change.id, at=context.now))
    if context.actor.id == change.asker:
        events += _told(state, change, context)
    elif not left:
        events += decided(state, change, context)
    return Accepted(events, change.id, {"change": change.id, "complete": not left, "missing": still_asked(left)})


def reject_change(verbs: Verbs, state: State, command: RejectChange, context: Context) -> Decision:
    """Reject it. Refuses one that has ended, one's own (withdraw it), and who could not have approved it."""
    change = find_proposed(state, command.change)
    if isinstance(change, Refusal):
        return change
    found = plan(state, context.policies, verbs, change.edits)
    asked = found if isinstance(found, Refusal) else _asked(state, change, found.objects, context)
    # What is stale, or cannot even be read any more, can still be rejected by anybody on the board.
    refusal = None if isinstance(asked, Refusal) else _may_not(state, change, asked, context)
    if refusal is not None:
        return refusal
    event = ChangeEnded(change=change.id, how="rejected", why=command.reason, by=context.actor.id, at=context.now)
    return Accepted([event, *decided(state, change, context)], change.id, {"change": change.id})


def approving(verbs: Verbs) -> tuple[Verb[ApproveChange], Verb[RejectChange]]:
    """Return the verbs that approve and reject changes which carry commands of these verbs."""
    return (
        about_change(verbs, "authority.approve_change", ApproveChange, carry.bound(approve_change, verbs)),
        about_change(verbs, "authority.reject_change", RejectChange, carry.bound(reject_change, verbs)),
    )


def about_change(verbs: Verbs, name: str, command: type[A], decide: Callable[[State, A, Context], Decision]) -> Verb[A]:
    """Return a verb about a change: it sees the change, who there is, and the rows that its own commands want."""
    return Verb(
        name=name,
        command=command,
        decide=decide,
        wants=wants_change,
        then_wants=lambda state, command, policies: then_wants_edits(state, command.change, verbs, policies),
        touches=touches_authority,
    )


def wants_change(state: State, command: AboutChange, policies: Policies) -> None:
    """Ask for the change a command names, for who there is, and for the case that may be opened about it."""
    want_people(state)
    state.of(Changes).want(command.change)
    state.of(Cases).want_cause(cause_of(command.change))


def then_wants_edits(state: State, change: str, verbs: Verbs, policies: Policies) -> None:
    """Ask for the rows that the change's own commands want, both ways."""
    known = state.of(Changes).changes.get(change)
    if known is not None:
        carry.want(verbs(), (*known.edits, *(known.inverse or ())), state, policies)


def _waits_for_review(change: Change) -> bool:
    return change.type == "emergency" and change.applied_at is not None and change.reverted_at is None


def _needs(
    state: State, change: Change, verbs: Verbs, context: Context, *, reviewing: bool
) -> Sequence[Need] | Refusal:
    """Return whose yes it needs; a change that is applied already rests on nothing that could still move."""
    if reviewing:
        return _asked(state, change, change.objects, context)
    found = plan(state, context.policies, verbs, change.edits)
    if isinstance(found, Refusal):
        return found
    return stale(change, found) or _asked(state, change, found.objects, context)


def _asked(state: State, change: Change, objects: Sequence[Governed], context: Context) -> tuple[Need, ...] | Refusal:
    return needed(state, context.policies, change.edits, objects, overdue=context.now > change.due_at)


def _may_not(state: State, change: Change, asked: Sequence[Need], context: Context) -> Refusal | None:
    """Return why this actor's word does not count here."""
    who = state.of(Authority).actors.get(context.actor.id)
    if who is None or who.kind != "person":
        return Refusal("authority.not_a_person", "A change is approved or rejected by people.",
                       "Sign in as yourself.", "actor", context.actor.id)  # fmt: skip
    if who.id == change.asker:
        return _own(state, change, context)
    if any(need.met_by(context.actor.deciding()) for need in asked):
        return None
    roles = sorted({role for need in asked for role in need.roles})
    return Refusal(
        "authority.not_decider",
        f"{who.name} decides nothing that this change touches.",
        f"It is for: {', '.join(roles)}, by {change.due_at:%Y-%m-%d %H:%M} UTC.",
        "actor",
        who.id,
    )


def _own_say(state: State, change: Change, actor: str, context: Context) -> tuple[str, ...]:
    """Return what somebody decides this change by, of their own."""
    roll = roll_of(state, context)
    return own_say(change, actor, roll.own, roll.tenure, context.now)


def _said_already(
    state: State, change: Change, asked: Sequence[Need], roles: tuple[str, ...], context: Context
) -> Refusal | None:
    """Refuse a second vote by one role, and one by a role that who asked gave."""
    me = context.actor.id
    if me == change.asker:
        return None
    if not any(need.met_by(roles) for need in asked):
        return Refusal("authority.lent_vote", f"{context.actor.name} decides this only by a role from who asked for it "
                       "or approved it.", "Somebody who holds the role without them has to.", "actor", me)  # fmt: skip
    roll = roll_of(state, context)
    if said_in_stead(change, me, asked, roll.own, roll.tenure, context.now):
        return Refusal("authority.lent_vote", f"Somebody approved it in {context.actor.name}'s stead already.",
                       "It counts; another of those who decide has to approve it, too.", "actor", me)  # fmt: skip
    return None


def _own(state: State, change: Change, context: Context) -> Refusal | None:
    """Refuse one's own change; but for somebody who is alone in a small company, who has slept on it."""
    others = [
        actor for actor in state.of(Authority).actors.values()
        if actor.active and actor.kind == "person" and actor.id != change.asker
    ]  # fmt: skip
    wait = change.planned_at + timedelta(hours=context.policies.get(Separation).self_approval_hours)
    if is_small(state) and not others:
        if context.now >= wait:
            return None
        return Refusal("authority.own_change", "You are alone here: you may approve your own change after a while.",
                       f"Approve it from {wait:%Y-%m-%d %H:%M} UTC on; a case will tell of it.", "change",
                       change.id)  # fmt: skip
    return Refusal("authority.own_change", "Nobody approves or rejects their own change.",
                   "Somebody else has to; you may withdraw it.", "change", change.id)  # fmt: skip


def _told(state: State, change: Change, context: Context) -> list[Event]:
    """Return the case that tells of a self-approval."""
    return case_events(
        state,
        context,
        cause=cause_of(change.id),
        kind="self_approval",
        title=f"Approved by who asked for it: {change.title}",
        severity=4,
        owner_role="Sponsor",
        subjects=[CaseSubject("change", change.id, change.reason[:200])],
    )
