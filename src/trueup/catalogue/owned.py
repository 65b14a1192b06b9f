"""Ask the owners of fields on every write: whatever verb changes an item or a location, its changes pass here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trueup.authority.changes_state import Changes
from trueup.authority.parts import lies_in, parts_of_right
from trueup.authority.propose import ProposeChange
from trueup.authority.standing import Rights, roles_that_may
from trueup.authority.state import Authority
from trueup.authority.tenure import RIGHT
from trueup.catalogue.amend import given_of
from trueup.catalogue.amendments import AmendmentEnded, AmendmentPlanned, Amendments, FieldOverwritten, Planned
from trueup.catalogue.kinds import KINDS
from trueup.catalogue.ownership import (
    KEYS,
    Entity,
    FieldOwner,
    FieldOwnership,
    Row,
    differences,
    entity_of,
    is_role,
    key_of,
    owns,
    parts_of,
)
from trueup.catalogue.partner_state import PartnerRegistered, Partners
from trueup.catalogue.record import Amended
from trueup.catalogue.state import Catalogue, ItemRegistered, Location, LocationRegistered
from trueup.core import json
from trueup.core.carry import Carried, Verbs
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Context, Decision, Event, Governed, State, Verb

DECIDED_BEFORE = ("authority.", "catalogue.apply_amendment")
"""What carries out what was decided: an approved change, and an amendment that was asked about when it was planned."""


class Written(msgspec.Struct, frozen=True):
    """One field of one record that a decision would write, by an actor who does not own it."""

    entity: Entity
    row: Row
    change: Amended
    owner: FieldOwner

    @property
    def name(self) -> str:
        """Which field of which record: `MUG#item.tax_class`."""
        return f"{key_of(self.row)}#{self.entity}.{self.change.field}"


def under_owners(verb: Verb[Any], verbs: Verbs) -> Verb[Any]:
    """Return a verb whose decisions are asked about owned fields before they stand.

    It looks at what a decision would write, not at the command, so that no verb can forget it. A field whose owner
    refuses strangers refuses the whole command, naming the owner; one that accepts and logs is written and listed; one
    that is proposed makes the command a change, of which its decider is asked. verbs: the house's, by name.
    """
    if verb.name.startswith(DECIDED_BEFORE):
        return verb
    if verb.governance is not None and verb.governance.keys in KEYS.values():
        verb = _proposing(verb, verbs)
    return asking_owners(verb)


def asking_owners(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb whose decisions are asked about owned fields, and that is what it was otherwise."""
    decide = verb.decide

    def asked(state: State, command: Any, context: Context) -> Decision:
        decision = decide(state, command, context)
        ownership = context.policies.find(FieldOwnership, "default")
        if ownership is None or not ownership.owners or isinstance(decision, Refusal):
            return decision
        written = [one for event in decision.events for one in _written(state, event, ownership, context)]
        return _settled(decision, written, context) if written else decision

    asked.__doc__ = decide.__doc__
    return msgspec.structs.replace(verb, decide=asked)


def _proposing(verb: Verb[Any], verbs: Verbs) -> Verb[Any]:
    """Return a verb that proposes itself as a change, once governance is declared, where owners ask for proposals."""
    governance, decide, wants = verb.governance, verb.decide, verb.wants
    assert governance is not None
    ask = governance.objects

    def objects(state: State, command: Any, policies: Policies) -> tuple[Governed, ...]:
        touched = ask(state, command, policies)
        return () if _all_proposed(touched, policies) else touched

    def wanting(state: State, command: Any, policies: Policies) -> None:
        wants(state, command, policies)
        if any(one.governed for one in policies.get(FieldOwnership).owners):
            state.of(Authority).want()
            state.of(Changes).want(None)

    def proposed(state: State, command: Any, context: Context) -> Decision:
        touched = ask(state, command, context.policies) if state.of(Authority).declared is not None else ()
        if not touched or not _all_proposed(touched, context.policies):
            return decide(state, command, context)
        title = f"{touched[0].object} and {len(touched) - 1} more" if len(touched) > 1 else touched[0].object
        reason = getattr(command, "reason", "") or f"{context.actor.name} wrote it; its owner decides."
        proposal = ProposeChange(title=title[:120], reason=reason, edits=(Carried(verb.name, json.to_plain(command)),))
        decision = verbs()["authority.propose_change"].decide(state, proposal, context)
        if isinstance(decision, Refusal):
            return decision
        return msgspec.structs.replace(decision, status="pending_approval")

    proposed.__doc__ = decide.__doc__
    governance = msgspec.structs.replace(governance, objects=objects)
    return msgspec.structs.replace(verb, decide=proposed, wants=wanting, governance=governance)


def _all_proposed(touched: Sequence[Governed], policies: Policies) -> bool:
    """Tell whether every governed field that is touched asks for a proposal instead of a refusal."""
    ownership = policies.get(FieldOwnership)
    modes = set()
    for one in touched:
        entity = next(entity for entity in KINDS if one.key.startswith(f"{entity}."))
        owner = ownership.owner_of(entity, one.object.rpartition("#")[2])
        modes.add(owner.mode if owner is not None else None)
    return modes == {"propose"}


class _Change(msgspec.Struct, frozen=True):
    """What an event makes of a record. parts: those that the record lies in."""

    entity: Entity
    before: Row | None
    row: Row
    parts: tuple[str, ...]

    @property
    def fields(self) -> tuple[Amended, ...]:
        return differences(self.before, self.row)


def _change(state: State, event: Event, context: Context) -> _Change | None:
    """Return what an event writes of master data, now or later; a plan that is taken back is written, too."""
    match event:
        case ItemRegistered(item=after):
            item = state.of(Catalogue).items.get(after.id)
            return _Change("item", item, after, parts_of(item or after))
        case LocationRegistered(location=place):
            return _Change("location", state.of(Catalogue).locations.get(place.id), place, parts_of(place))
        case PartnerRegistered(partner=partner):
            return _Change("partner", state.of(Partners).partners.get(partner.id), partner, parts_of(partner))
        case AmendmentPlanned(amendment=plan):
            known, later = _planned(state, plan, context)
            return _Change(plan.entity, known, later, parts_of(known))
        case AmendmentEnded(amendment=id_, ending="withdrawn"):
            plan = state.of(Amendments).open[id_]
            known, later = _planned(state, plan, context)
            return _Change(plan.entity, later, known, parts_of(known))
    return None


def _planned(state: State, plan: Planned, context: Context) -> tuple[Row, Row]:
    known = KINDS[plan.entity].held(state, plan.object)
    assert known is not None, "what is amended was asked for"
    return known, _as_planned(known, plan.fields, context.policies)


def _written(state: State, event: Event, ownership: FieldOwnership, context: Context) -> list[Written]:
    made = _change(state, event, context)
    if made is None:
        return []
    found = []
    declared = state.of(Authority).declared is not None
    for change in made.fields:
        owner = ownership.owner_of(made.entity, change.field)
        # Of what is governed, once governance is declared, those decide who approve its change.
        decided = owner is None or (owner.governed and declared)
        if owner is not None and not decided and not owns(context.actor, owner.owner, made.parts):
            found.append(Written(made.entity, made.row, change, owner))
    return found


def as_proposed(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb as a change tries it when it is proposed: by its bare rule, with the owners of fields asked.

    A change is voted on for what is governed, and gives no right to the rest: that is for who may do it directly.
    """
    decide = asking_owners(verb).decide

    def asked(state: State, command: Any, context: Context) -> Decision:
        decision = decide(state, command, context)
        if isinstance(decision, Refusal):
            return decision
        made = (change for event in decision.events if (change := _change(state, event, context)) is not None)
        return next((refusal for one in made if (refusal := _beside(verb, one, context)) is not None), decision)

    asked.__doc__ = verb.decide.__doc__
    return msgspec.structs.replace(verb, decide=asked)


def _beside(verb: Verb[Any], made: _Change, context: Context) -> Refusal | None:
    """Refuse what is written beside governed fields by who neither owns it nor may write it."""
    ownership, actor = context.policies.get(FieldOwnership), context.actor
    owners = {one.field: ownership.owner_of(made.entity, one.field) for one in made.fields}
    beside = [
        field
        for field, one in owners.items()
        if one is None or not (one.governed or owns(actor, one.owner, made.parts))
    ]
    giving = {*roles_that_may(context.policies.get(Rights), verb.name), RIGHT + verb.name, "System"}
    if not beside or not giving.isdisjoint(actor.everywhere()):
        return None
    here = (f"location:{made.row.code}",) if isinstance(made.row, Location) else made.parts
    if lies_in([here], parts_of_right(context.policies, actor, verb.name) or ()):
        return None
    return Refusal("authority.not_allowed", f"{made.entity}.{beside[0]} of {key_of(made.row)} is not governed, and "
                   f"{actor.name} may not {verb.name} there.",
                   "Leave it out; a change gives no right to what needs none.", beside[0],
                   key_of(made.row))  # fmt: skip


def _as_planned(before: Row, fields: dict[str, Any], policies: Policies) -> Row:
    kind = KINDS[entity_of(before)]
    patch = json.convert(fields, kind.fields)
    made: Row | Refusal = kind.patched(before, patch, policies, "")
    if not isinstance(made, Refusal):
        return made
    # Another row of the same act may make it possible; whoever owns what it names is asked all the same.
    given = given_of(patch)
    custom = {**before.fields, **given.pop("fields", {})}
    return msgspec.structs.replace(before, **given, fields=custom)


def _settled(decision: Accepted, written: Sequence[Written], context: Context) -> Decision:
    refused = [one for one in written if one.owner.mode != "accept_and_log" and not context.excuses(RULE, one.name)]
    if refused:
        return _refusal(refused, context)
    logged = [_overwritten(one, context) for one in written]
    return msgspec.structs.replace(decision, events=(*decision.events, *logged))


RULE = "catalogue.not_the_owner"


def _refusal(refused: Sequence[Written], context: Context) -> Refusal:
    first = refused[0]
    owner = first.owner.owner
    details = tuple(
        RefusalDetail(f"{key_of(one.row)}.{one.change.field}", str(one.change.after)[:80], f"{one.owner.owner} owns it")
        for one in refused
    )
    who = f"somebody who holds the role {owner}" if is_role(owner) else f"the system {owner}"
    return Refusal(
        RULE,
        f"{first.entity}.{first.change.field} belongs to {owner}; {context.actor.name} may not write it.",
        f"Leave it out, or ask {who}; the policy `field_ownership` says who owns a field.",
        first.change.field,
        first.name,
        details,
    )


def _overwritten(one: Written, context: Context) -> FieldOverwritten:
    return FieldOverwritten(
        id=context.new_id("ovw"),
        entity=one.entity,
        object=one.row.id,
        key=key_of(one.row),
        field=one.change.field,
        owner=one.owner.owner,
        written_by=context.actor.id,
        at=context.now,
        before=one.change.before,
        after=one.change.after,
    )
