"""What the verbs of changes share: what a proposal's edits are and touch, whose yes it needs, and what stops it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from trueup.authority.change_control import ChangeControl
from trueup.authority.changes_state import BUDGET_DAYS, Change, Changes
from trueup.authority.decision_rights import DecisionRights, Need, needs, small_holds
from trueup.authority.passing import roll_of
from trueup.authority.state import Authority, PolicyPublished
from trueup.authority.votes import counting, voted
from trueup.cases.case import CaseActed
from trueup.cases.ladder import CARRIERS
from trueup.cases.state import Cases
from trueup.core import json
from trueup.core.carry import Carried, Opened, Verbs, opened
from trueup.core.errors import Refusal
from trueup.core.policy import Policies, Policy
from trueup.core.verb import Accepted, Context, Event, Governed, State

EDITS_MAX = 50
REPLAYED = ("authority.publish_policy", "authority.withdraw_policy", "orders.adopt_workflow")
"""What an impact replay can show of a change: policies, and which orders in flight walk by them."""


class Plan(msgspec.Struct, frozen=True):
    """What edits come to now: the commands, what they touch, and what would put it back.

    idle: the verbs of those that touch nothing governed.
    """

    opened: tuple[Opened, ...]
    objects: tuple[Governed, ...]
    inverse: tuple[Carried, ...]
    idle: tuple[str, ...] = ()


def plan(state: State, policies: Policies, verbs: Verbs, edits: Sequence[Carried]) -> Plan | Refusal:
    """Return what the edits come to on the state as it is.

    Refuses what is no command, what needs no change or carries others, and two edits of one thing: of one document,
    too, since each brings all of it.
    """
    parts: list[Opened] = []
    objects: list[Governed] = []
    inverse: list[Carried] = []
    idle: list[str] = []
    seen: set[str] = set()
    for at, edit in enumerate(edits):
        part = opened(verbs(), edit, f"edits[{at}]")
        if isinstance(part, Refusal):
            return part
        governance = part.verb.governance
        if governance is None or edit.verb in CARRIERS:
            return Refusal("authority.not_governed", f"{edit.verb} needs no change.", "Submit it directly.",
                           f"edits[{at}].verb", edit.verb)  # fmt: skip
        touched = governance.objects(state, part.command, policies)
        twice = [one.object for one in touched if _whole(one) in seen]
        if twice:
            return Refusal("authority.edited_twice", f"Two edits change {twice[0]}.",
                           "Bring them together in one edit.", f"edits[{at}]", twice[0])  # fmt: skip
        back = governance.undo(state, part.command, policies) if touched else None
        if isinstance(back, Refusal):
            return back
        if back is not None:
            inverse.append(Carried(_verb_of(verbs, back), json.to_plain(back)))
        seen |= {_whole(one) for one in touched}
        parts.append(part)
        objects += touched
        idle += [] if touched else [edit.verb]
    return Plan(tuple(parts), tuple(objects), tuple(reversed(inverse)), tuple(idle))


def _whole(one: Governed) -> str:
    """Return what an edit of this brings along: of a policy the whole document, of a record only the field."""
    return one.object.partition("#")[0] if one.object.startswith("policy/") else one.object


def _verb_of(verbs: Verbs, command: object) -> str:
    return next(name for name, verb in verbs().items() if verb.command is type(command))


def content_digest(change: Change) -> str:
    """Return the SHA-256 that approvals bind to: of everything that was proposed, and of the bases it rests on.

    Of the version, too: who edits and then puts back what was there has not got the approvals back.
    """
    said = (change.version, change.title, change.reason, change.type, change.template, change.effective_at,
            change.indicators)  # fmt: skip
    content = json.encode((said, change.edits, sorted(change.objects, key=lambda one: one.object)))
    return hashlib.sha256(content).hexdigest()


def carry_out(state: State, found: Plan, context: Context) -> list[Event] | Refusal:
    """Decide the commands by their own rules, as parts of one act; refuses all of them where one is refused.

    Each is decided on what stands before the act. Of what earlier ones publish, later ones may name the version.
    """
    events: list[Event] = []
    for at, part in enumerate(found.opened):
        decision = part.verb.decide(state, part.command, context)
        if not isinstance(decision, Accepted):
            return msgspec.structs.replace(decision, where=f"edits[{at}].{decision.where}".rstrip("."))
        events += decision.events
        context = _knowing(context, decision.events)
    return events


def _knowing(context: Context, events: Sequence[Event]) -> Context:
    """Return the context in which the versions of pinned documents are known that these events publish."""
    for event in events:
        kind = context.policies.kinds.get(event.policy_kind) if isinstance(event, PolicyPublished) else None
        if isinstance(event, PolicyPublished) and kind is not None and kind.pinned:
            document = json.decode(event.document.encode(), kind)
            policies = context.policies.knowing(event.policy_name, event.version, document)
            context = msgspec.structs.replace(context, policies=policies)
    return context


def unreplayed(kinds: Mapping[str, type[Policy]], edits: Sequence[Carried]) -> tuple[str, ...]:
    """Return why the effect of edits cannot be replayed beforehand, by verb and kind; () where it can."""
    found: list[str] = []
    for edit in edits:
        if edit.verb not in REPLAYED:
            found.append(f"{edit.verb}: only policies are replayed")
            continue
        kind = kinds.get(str(edit.command.get("policy_kind")))
        if kind is not None and kind.unreplayed:
            found.append(f"{kind.kind}: {kind.unreplayed}")
    return tuple(sorted(set(found)))


def is_small(state: State) -> bool:
    """Tell whether the small mode holds: declared, and still fewer than five people."""
    authority = state.of(Authority)
    people = [actor for actor in authority.actors.values() if actor.active and actor.kind == "person"]
    return authority.declared is not None and small_holds(authority.declared.mode, len(people))


def needed(
    state: State, policies: Policies, edits: Sequence[Carried], objects: Sequence[Governed], *, overdue: bool
) -> tuple[Need, ...] | Refusal:
    """Return whose yes edits of these objects need; see `decision_rights.needs`."""
    return needs(
        policies.get(DecisionRights),
        objects,
        unreplayed=bool(unreplayed(policies.kinds, edits)),
        small=is_small(state),
        overdue=overdue,
    )


def missing(asked: Sequence[Need], change: Change, state: State, context: Context) -> list[tuple[Need, int]]:
    """Return the needs that the approvals of the present content do not meet yet, each with how many said yes.

    Counted are different people, and approvals that count at this moment; see `votes`.
    """
    roll = roll_of(state, context)
    said = counting(voted(change, roll.own, roll.tenure, context.now))
    found = [(need, len({a.actor for a in said if need.met_by(a.roles)})) for need in asked]
    return [(need, yes) for need, yes in found if yes < need.count]


def still_asked(left: Iterable[tuple[Need, int]]) -> list[str]:
    """Return what is missing in words, as the change's page counts it."""
    return [f"{yes} of {need.count} said yes of {need.who} ({need.why})" for need, yes in left]


def stale(change: Change, found: Plan) -> Refusal | None:
    """Return why a change cannot go on: what it rests on is not what stands there any more."""
    planned = {one.object: one.base for one in change.objects}
    now = {one.object: one.base for one in found.objects}
    if planned == now:
        return None
    moved = sorted(name for name in planned.keys() | now.keys() if planned.get(name) != now.get(name))
    return Refusal(
        "authority.stale",
        f"{moved[0]} is not what it was when the change was planned.",
        "Plan it anew on what stands now (authority.edit_change; approvals start again), or withdraw it.",
        "change",
        change.id,
    )


def stopped(change: Change, state: State, context: Context) -> Refusal | None:
    """Return what stops a change from being applied now: its time, a blackout, or the window's budget.

    An override lets either of the latter two pass, for as long as it lasts.
    """
    control = context.policies.get(ChangeControl)
    if change.effective_at is not None and context.now < change.effective_at:
        return Refusal("authority.not_yet", f"It is to take effect at {change.effective_at:%Y-%m-%d %H:%M} UTC.",
                       "It is applied then by itself.", "effective_at", change.effective_at.isoformat())  # fmt: skip
    blackout = control.blackout(change.objects, context.now)
    if blackout is not None and not context.excuses("authority.blackout", change.id):
        free = control.next_free(change.objects, context.now)
        until = f"{blackout.until:%Y-%m-%d %H:%M} UTC"
        return Refusal("authority.blackout", f"The blackout {blackout.name!r} lasts until {until}.",
                       f"The next free moment is {free:%Y-%m-%d %H:%M} UTC.", "change", change.id)  # fmt: skip
    spent = in_window(state, context.now) and len(state.of(Changes).applied) >= control.window_budget
    if spent and not context.excuses("authority.budget", change.id):
        free = min(state.of(Changes).applied, default=context.now) + timedelta(days=BUDGET_DAYS)
        return Refusal("authority.budget", f"{control.window_budget} changes were applied within seven days, which is "
                       "all that the stabilisation window allows.",
                       f"Room comes at {free:%Y-%m-%d %H:%M} UTC; an emergency needs no budget.",
                       "change", change.id)  # fmt: skip
    return None


def in_window(state: State, now: datetime) -> bool:
    """Tell whether the stabilisation window after the declaration lasts."""
    declared = state.of(Authority).declared
    return declared is not None and now < declared.window_until


def find(state: State, change: str) -> Change | Refusal:
    """Return the change, or why there is none."""
    found = state.of(Changes).changes.get(change)
    if found is None:
        return Refusal("authority.unknown_change", f"There is no change {change!r}.", "Look it up in the list.",
                       "change", change)  # fmt: skip
    return found


def find_proposed(state: State, change: str) -> Change | Refusal:
    """Return the change whose fate is open, or why there is none."""
    found = find(state, change)
    if isinstance(found, Change) and found.ended():
        return Refusal("authority.change_ended", f"The change {change} has ended already.",
                       "Propose a new one.", "change", change)  # fmt: skip
    return found


def cause_of(change: str) -> str:
    """Return the cause under which a case about a change is grouped."""
    return f"change:{change}"


def decided(state: State, change: Change, context: Context) -> list[Event]:
    """Return the act on the case of a stalemate, where there is one: deciding is what it waits for."""
    case = state.of(Cases).open_for(cause_of(change.id))
    if case is None:
        return []
    return [CaseActed(case=case.id, effect=change.id, note="decided", at=context.now)]
