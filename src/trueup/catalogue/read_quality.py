"""What everybody may ask about the quality of master data: how ready, whose, what is planned, what was overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, TypeVar

import msgspec

from trueup.authority.changes_state import Change
from trueup.authority.sampled import drawn
from trueup.catalogue import lead, read, read_partners
from trueup.catalogue.amendments import AmendmentEnded, AmendmentPlanned, Planned, planned_of
from trueup.catalogue.bulk_amend import rows_of
from trueup.catalogue.kinds import KINDS
from trueup.catalogue.ownership import FIELDS, Entity, FieldOwner, FieldOwnership, Row, as_data, values_of
from trueup.catalogue.partner_state import Partner, PartnerRegistered, Partners
from trueup.catalogue.readiness import STEPS, Missing, ReadinessPolicy, Step, condition_of, readiness
from trueup.catalogue.state import Catalogue, Item, ItemRegistered
from trueup.core import journal, json
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.policy import Policies
from trueup.core.verb import Slice

PLANS_SHOWN_MAX = 500
R = TypeVar("R", Item, Partner)


class MissingAt(msgspec.Struct, frozen=True):
    """What keeps an item from a step: why, what to do, and who owns the field, where somebody does."""

    step: Step
    rule: str
    field: str
    reason: str
    fix: str
    owner: str | None


class ItemReadiness(msgspec.Struct, frozen=True):
    """How far an item's data carries it. enforced: whether what is missing stops orders and parcels."""

    item: str
    sku: str
    step: Step
    enforced: bool
    missing: tuple[MissingAt, ...]


class OwnedField(msgspec.Struct, frozen=True):
    """One field and its owner; None is a finding: nobody is asked when it is written. value: the record's, if any."""

    entity: Entity
    field: str
    owner: str | None
    mode: str | None
    governed: bool
    value: Any = None


class PlannedAmendment(msgspec.Struct, frozen=True):
    """A plan with what is known of it. key: SKU or code. ending: None while it waits for its day."""

    amendment: Planned
    key: str
    ending: str | None
    why: str | None
    ended_at: datetime | None


class PlannedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which planned amendments. object: SKU, code or id. ending: `open` (default), or how they ended."""

    object: str | None = None
    ending: Literal["open", "applied", "withdrawn", "failed"] = "open"


class Overwritten(msgspec.Struct, frozen=True, kw_only=True):
    """A field that somebody else than its owner wrote: accepted, and listed."""

    id: str
    entity: Entity
    object: str
    key: str
    field: str
    owner: str
    written_by: str
    by_name: str
    before: Any
    after: Any
    at: datetime


class OverwrittenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which overwritten fields. object: SKU, code or id."""

    object: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """When: a time with its zone; to come, what is planned by now has happened."""

    at: datetime


OverwrittenPage = Page[Overwritten]


def readiness_of(item: Item, policies: Policies, agreed: int | None) -> ItemReadiness:
    """Return how far an item is, with who owns what is missing. agreed: its supplier's lead time."""
    policy, ownership = policies.get(ReadinessPolicy), policies.get(FieldOwnership)
    found = readiness(item, policy, agreed)
    missing = tuple(_missing(one, ownership) for one in found.missing)
    return ItemReadiness(item.id, item.sku, found.step, policy.enforce, missing)


def _missing(one: Missing, ownership: FieldOwnership) -> MissingAt:
    owner = ownership.owner_of("item", one.field)
    return MissingAt(one.step, one.rule, one.field, one.reason, one.fix, owner.owner if owner is not None else None)


async def item_readiness(connection: Connection, reference: str, policies: Policies) -> ItemReadiness | None:
    """Return how far an item (by its id or any key) is, or None where there is no such item."""
    found = await read.item(connection, reference)
    if found is None:
        return None
    return readiness_of(found.item, policies, (await lead.agreed(connection, [found.item]))[found.item.id])


async def short_of(
    connection: Connection, items: Sequence[str], step: Step, policies: Policies
) -> tuple[ItemReadiness, ...]:
    """Return those of these items (ids) that have not reached a step, where the policy enforces readiness."""
    if not items or not policies.get(ReadinessPolicy).enforce:
        return ()
    known = await read.items_by_id(connection, items)
    agreed = await lead.agreed(connection, known)
    found = [readiness_of(item, policies, agreed[item.id]) for item in known]
    return tuple(one for one in found if STEPS.index(one.step) < STEPS.index(step))


async def counted(connection: Connection, policies: Policies) -> dict[Step, int]:
    """Return how many items are exactly at each step, of all there are."""
    policy = policies.get(ReadinessPolicy)
    parts: list[str] = []
    parameters: list[Any] = []
    for step in STEPS:
        sql, values = condition_of(step, policy)
        parts.append(f"count(*) filter (where {sql})")
        parameters += values
    rows = await connection.execute(f"select {', '.join(parts)} from item i", parameters, prepare=False)
    row = await rows.fetchone()
    assert row is not None
    return dict(zip(STEPS, row, strict=True))


def fields_of(policies: Policies, entity: Entity, row: Row | None = None) -> tuple[OwnedField, ...]:
    """Return every field of an entity with its owner, custom ones by name; row: the record whose values are told."""
    ownership = policies.get(FieldOwnership)
    custom = [f"fields.{rule.name}" for rule in policies.get(CustomFields, entity).fields]
    values = dict(values_of(row)) if row is not None else {}
    names = [*(field for field in FIELDS[entity] if field != "fields"), *custom]
    return tuple(_owned(entity, name, ownership.owner_of(entity, name), values.get(name)) for name in names)


def _owned(entity: Entity, field: str, owner: FieldOwner | None, value: Any) -> OwnedField:
    if owner is None:
        return OwnedField(entity, field, None, None, False, value)
    return OwnedField(entity, field, owner.owner, owner.mode, owner.governed, value)


def unowned(policies: Policies) -> tuple[OwnedField, ...]:
    """Return the fields that nobody owns, as findings: two systems that write one are right by chance."""
    return tuple(one for entity in FIELDS for one in fields_of(policies, entity) if one.owner is None)


async def all_fields(policies: Policies) -> tuple[OwnedField, ...]:
    """Return the fields of every entity with their owners."""
    return tuple(one for entity in FIELDS for one in fields_of(policies, entity))


_NAMES = ", ".join(f"p.{name}" for name in Planned.__struct_fields__)
_OBJECT = """(%s::text is null or {column} in (
    select item from item_key where key = %s union all select id from location where code = %s
    union all select id from partner where code = %s union all select %s))"""


async def planned(connection: Connection, query: PlannedQuery) -> tuple[PlannedAmendment, ...]:
    """Return planned amendments by the day they take effect, at most PLANS_SHOWN_MAX."""
    rows = await connection.execute(
        f"""select {_NAMES}, coalesce(i.sku, l.code, r.code), p.ending, p.why, p.ended_at from planned_amendment p
        left join item i on p.entity = 'item' and i.id = p.object
        left join location l on p.entity = 'location' and l.id = p.object
        left join partner r on p.entity = 'partner' and r.id = p.object
        where coalesce(p.ending, 'open') = %s and {_OBJECT.format(column="p.object")}
        order by p.effective_at, p.id limit %s""",
        [query.ending, *[query.object] * 5, PLANS_SHOWN_MAX],
        prepare=False,
    )
    width = len(Planned.__struct_fields__)
    return tuple(PlannedAmendment(planned_of(row[:width]), *row[width:]) for row in await rows.fetchall())


async def overwritten(connection: Connection, query: OverwrittenQuery) -> OverwrittenPage:
    """Return one page of what was written over owners, the latest first."""
    where, parameters = _OBJECT.format(column="o.object"), [query.object] * 5
    values: list[Any] = [*parameters]
    if query.cursor is not None:
        where += " and (o.at, o.id) < (%s, %s)"
        values += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select o.id, o.entity, o.object, o.key, o.field, o.owner, o.written_by,
            coalesce(a.name, case o.written_by when 'act_system' then 'Trueup' else o.written_by end),
            o.before, o.after, o.at
        from field_overwritten o left join actor a on a.id = o.written_by
        where {where} order by o.at desc, o.id desc limit %s""",
        [*values, limit + 1],
        prepare=False,
    )
    found = [Overwritten(**dict(zip(Overwritten.__struct_fields__, row, strict=True))) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.at, row.id))


async def item_as_of(connection: Connection, reference: str, at: datetime, policies: Policies) -> Item | None:
    """Return an item (by its id or any key) as it was at a time, or as it will be by what is planned now.

    None where there is no such item, or there was none yet. A plan that cannot be carried out by then is left out.
    """
    found = await read.item(connection, reference)
    past = Catalogue()
    known = past.items
    return await _as_of(connection, found.item.id, ItemRegistered, past, known, at, policies) if found else None


async def partner_as_of(connection: Connection, reference: str, at: datetime, policies: Policies) -> Partner | None:
    """Return a partner (by its id or code) as it was at a time, or as it will be by what is planned; as an item."""
    found = await read_partners.partner(connection, reference, at)
    past = Partners()
    id_ = found.partner.id if found is not None else ""
    return await _as_of(connection, id_, PartnerRegistered, past, past.partners, at, policies) if found else None


async def _as_of(
    connection: Connection,
    object_: str,
    registered: type[ItemRegistered | PartnerRegistered],
    past: Slice,
    known: Mapping[str, R],
    at: datetime,
    policies: Policies,
) -> R | None:
    """Fold what was registered and planned by a time into an empty slice; known: its records by id."""
    take = past.takes()[registered]
    plans: dict[str, Planned] = {}
    cursor = 0
    names = (registered.name, AmendmentPlanned.name, AmendmentEnded.name)
    while rows := await journal.read(connection, cursor, 1000, subject=object_, names=names):
        cursor = rows[-1].position
        for row in rows:
            if row.name == registered.name:
                event = json.decode(row.body, registered)
                if event.at <= at:
                    take(event)
            elif row.name == AmendmentPlanned.name:
                plan = json.decode(row.body, AmendmentPlanned).amendment
                if plan.planned_at <= at:
                    plans[plan.id] = plan
            elif (ended := json.decode(row.body, AmendmentEnded)).at <= at:
                plans.pop(ended.amendment, None)
    record = known.get(object_)
    for plan in sorted(plans.values(), key=lambda one: (one.effective_at, one.id)):
        if record is not None and plan.effective_at <= at:
            kind = KINDS[plan.entity]
            made = kind.patched(record, json.convert(plan.fields, kind.fields), policies, "")
            record = record if isinstance(made, Refusal) else made
    return record


class SampledRow(msgspec.Struct, frozen=True):
    """One row of a change that is to be looked at. differences: field -> (now, proposed)."""

    number: int
    key: str
    effective_from: date | None
    differences: dict[str, tuple[Any, Any]]


class Sample(msgspec.Struct, frozen=True):
    """What of a change of many rows is looked at: how many rows there are, and those drawn for who asks.

    word: what their approval brings as `sample`; "" where these are all rows.
    """

    rows: int
    chosen: tuple[SampledRow, ...]
    word: str = ""


async def sample(connection: Connection, change: Change, voter: str) -> Sample | None:
    """Return what is drawn for somebody of a change's rows; None where it amends no master data."""
    rows = rows_of(change.edits)
    if not rows:
        return None
    found = drawn(change, voter)
    return Sample(found.rows, await sampled(connection, rows, found.chosen), found.word)


async def sampled(
    connection: Connection, rows: Sequence[tuple[Entity, str, dict[str, Any]]], chosen: tuple[int, ...]
) -> tuple[SampledRow, ...]:
    """Return the chosen rows (from 0) of a change of master data, each with what stands now beside it."""
    found = []
    for number in chosen:
        entity, key, row = rows[number]
        record = await _record(connection, entity, key)
        values = dict(values_of(record)) if record is not None else {}
        day = row.get("effective_from")
        found.append(
            SampledRow(number + 1, key, date.fromisoformat(day) if day else None, _beside(values, row["fields"]))
        )
    return tuple(found)


async def _record(connection: Connection, entity: Entity, key: str) -> Row | None:
    if entity == "item":
        detail = await read.item(connection, key)
        return detail.item if detail is not None else None
    return await (read.location if entity == "location" else read_partners.record)(connection, key)


def _beside(values: dict[str, Any], fields: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    flat = {name: value for name, value in fields.items() if name != "fields"}
    flat |= {f"fields.{name}": value for name, value in fields.get("fields", {}).items()}
    return {name: (values.get(name), as_data(value)) for name, value in flat.items()}
