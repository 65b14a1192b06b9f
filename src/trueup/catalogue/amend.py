"""Amend items field by field: what is not named stays; now, or from a day to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from trueup.catalogue import gtin
from trueup.catalogue.amendments import AmendmentEnded, AmendmentPlanned, Amendments, Planned
from trueup.catalogue.given import Because, Days, Marks, Name, Packs, Text, Unit, packs_of
from trueup.catalogue.governed import governed_fields, named_fields
from trueup.catalogue.gtin_rules import needs_no_gtin
from trueup.catalogue.ownership import (
    KEYS,
    Entity,
    FieldOwnership,
    Row,
    as_data,
    differences,
    start_of,
)
from trueup.catalogue.sound import unsound_item
from trueup.catalogue.state import Catalogue, Item, ItemRegistered, Location, findings_of
from trueup.core import json
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.fields import CustomFields, checked
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Event, Governance, Governed, State, Verb

ROWS_MAX = 1000
Reason = Annotated[str, msgspec.Meta(max_length=500)]
Patched = dict[Annotated[str, msgspec.Meta(max_length=40)], str | bool | int | None]


class ItemFields(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The fields of an item that can be amended; what is left out stays, and null takes away what may be missing.

    fields: custom ones by name, each by itself. units and packs are replaced as a whole. Units as at `RegisterItem`.
    """

    name: Text | msgspec.UnsetType = msgspec.UNSET
    gtin: str | msgspec.UnsetType | None = msgspec.UNSET
    weight_g: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    category: Text | msgspec.UnsetType | None = msgspec.UNSET
    unit_price: Amount | msgspec.UnsetType | None = msgspec.UNSET
    currency: str | msgspec.UnsetType | None = msgspec.UNSET
    tax_class: Name | msgspec.UnsetType = msgspec.UNSET
    lead_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    units: Annotated[dict[Unit, Quantity], msgspec.Meta(max_length=20)] | msgspec.UnsetType = msgspec.UNSET
    length_mm: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    width_mm: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    height_mm: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    packs: Packs | msgspec.UnsetType = msgspec.UNSET
    return_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    brand: Text | msgspec.UnsetType | None = msgspec.UNSET
    net_content: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    net_content_unit: Unit | msgspec.UnsetType | None = msgspec.UNSET
    formulation: Text | msgspec.UnsetType | None = msgspec.UNSET
    certifications: Marks | msgspec.UnsetType | None = msgspec.UNSET
    price_on_pack: Amount | msgspec.UnsetType | None = msgspec.UNSET
    fields: Patched | msgspec.UnsetType = msgspec.UNSET


class ItemPatch(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The fields of one item (any key of it) and what they become.

    effective_from: the local day from which it holds; left out, or a day that has begun, is now. withdraw_planned: take
    back what is planned for these fields on later days. gtin_kept_because: why a change that asks for a new GTIN keeps
    the old one; it is recorded.
    """

    sku: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    fields: ItemFields
    effective_from: date | None = None
    withdraw_planned: bool = False
    gtin_kept_because: Because | None = None


class AmendItems(Command, frozen=True, kw_only=True):
    """Change fields of items, all rows or none. reason: why, in the record."""

    rows: Annotated[tuple[ItemPatch, ...], msgspec.Meta(min_length=1, max_length=ROWS_MAX)]
    reason: Reason = ""


R = TypeVar("R", Item, Location)


class Amendment(msgspec.Struct, Generic[R], frozen=True):
    """What one row comes to: the record before and after, and the plans of these fields that it takes back."""

    before: R
    after: R
    given: dict[str, Any]
    withdrawn: tuple[Planned, ...] = ()


def amend_items(state: State, command: AmendItems, context: Context) -> Decision:
    """Amend the items, or plan it for the day it takes effect; all rows, or none of them.

    Refuses, naming each row and field: an item nobody knows, a field that cannot be like this (a GTIN whose check digit
    is wrong among them), and a change that asks for a new GTIN while the old one stays without a reason; nothing is
    written then. Rows on one item see each other. What changes nothing ends as merged.
    """
    rows: dict[str, Item] = {}
    kept: dict[str, list[ItemPatch]] = {}
    events: list[Event] = []
    refused: list[Refusal] = []
    for number, row in enumerate(command.rows):
        found = amended_item(state, row, f"rows[{number}]", context.policies, rows)
        if isinstance(found, Refusal):
            refused.append(found)
            continue
        events += withdrawals(found.withdrawn, context)
        day = started(row.effective_from, context.policies.get(FieldOwnership).timezone, context)
        if day is None:
            rows[found.before.id] = found.after
            kept.setdefault(found.before.id, []).append(row)
        elif found.after != found.before:
            events.append(
                planned("item", found, day, row.effective_from, command.reason, context, row.gtin_kept_because)
            )
    if refused:
        return refused_rows(refused)
    events += [
        event for id_, after in rows.items() for event in _changed(state, id_, after, kept[id_], command, context)
    ]
    result = {"items": len(rows), "planned": sum(isinstance(event, AmendmentPlanned) for event in events)}
    subject = next(iter(rows), None) or (events[0].subject if events else "items")
    return Accepted(events, subject, result, "applied" if events else "merged")


def _changed(
    state: State, id_: str, after: Item, rows: Sequence[ItemPatch], command: AmendItems, context: Context
) -> list[Event]:
    before = state.of(Catalogue).items[id_]
    changes = differences(before, after)
    if not changes and before.findings == after.findings:
        return []
    because = next((row.gtin_kept_because for row in rows if row.gtin_kept_because), None)
    item = msgspec.structs.replace(after, version=before.version + 1)
    return [
        ItemRegistered(
            item=item, at=context.now, amended=changes, reason=command.reason or None, gtin_kept_because=because
        )
    ]


def amended_item(
    state: State, row: ItemPatch, where: str, policies: Policies, rows: dict[str, Item]
) -> Amendment[Item] | Refusal:
    """Return what a row makes of its item, or why it cannot. rows: what earlier rows have made of items, by id."""
    known = state.of(Catalogue).item(row.sku)
    if known is None:
        return _unknown(row, where)
    before = rows.get(known.id, known)
    at = f"{where}.fields."
    given = given_of(row.fields)
    after = patched_item(before, row.fields, policies, at)
    if isinstance(after, Refusal):
        return after
    refusal = needs_no_gtin(before, after, row.gtin_kept_because, at)
    if refusal is not None:
        return refusal
    if is_planned(state, known.id, row.effective_from, given):
        after = before
    return Amendment(before, after, given, taken_back(state, known.id, given, withdraw=row.withdraw_planned))


def _unknown(row: ItemPatch, where: str) -> Refusal:
    return Refusal("catalogue.unknown_item", f"No item answers to {row.sku[:80]!r}.",
                   "Correct it, register the item, or add this spelling as its alias.",
                   f"{where}.sku", row.sku[:80])  # fmt: skip


def patched_item(before: Item, patch: ItemFields, policies: Policies, where: str) -> Item | Refusal:
    """Return the item with the fields of a patch, or why it cannot be like that."""
    given = given_of(patch)
    number = given.get("gtin")
    fault = gtin.fault(number) if number is not None else None
    if fault is not None:
        fix = "Correct it in the source; the last digit checks the others."
        return Refusal("catalogue.gtin", f"{number!r} is no GTIN: {fault}.", fix, f"{where}gtin", str(number))
    fields = patched_fields(before, given, policies, where)
    if isinstance(fields, Refusal):
        return fields
    if "packs" in given:
        given["packs"] = packs_of(given["packs"])
    if "units" in given:
        given["units"] = {name: Decimal(units) for name, units in sorted(given["units"].items())}
    after = msgspec.structs.replace(before, **{**given, "fields": fields})
    wrong = "gtin.invalid" in before.findings and "gtin" not in given
    after = msgspec.structs.replace(after, findings=findings_of(after, gtin_wrong=wrong))
    return unsound_item(after, where) or after


def patched_fields(before: Row, given: dict[str, Any], policies: Policies, where: str) -> dict[str, Any] | Refusal:
    """Return the custom fields with those of a patch, null taking one away, or why they may not be."""
    if "fields" not in given:
        return before.fields
    merged = {**before.fields, **given["fields"]}
    entity = "item" if isinstance(before, Item) else "location"
    kept = {name: value for name, value in merged.items() if value is not None}
    found = checked(policies.get(CustomFields, entity), kept, before.fields)
    return msgspec.structs.replace(found, where=f"{where}{found.where}") if isinstance(found, Refusal) else found


def given_of(fields: Body) -> dict[str, Any]:
    """Return what a patch says."""
    return {name: value for name in fields.__struct_fields__ if (value := getattr(fields, name)) is not msgspec.UNSET}


def is_planned(state: State, object_: str, day: date | None, given: dict[str, Any]) -> bool:
    """Tell whether exactly this is planned for the record on the day already: to say it again changes nothing."""
    plans = state.of(Amendments).of(object_) if day is not None else []
    return any(one.effective_from == day and one.fields == json.to_plain(given) for one in plans)


def taken_back(state: State, object_: str, given: dict[str, Any], *, withdraw: bool) -> tuple[Planned, ...]:
    """Return the open plans of a record for any of these fields, where the row takes them back."""
    plans = state.of(Amendments).of(object_) if withdraw else []
    return tuple(one for one in plans if not given.keys().isdisjoint(one.fields))


def withdrawals(plans: Sequence[Planned], context: Context) -> list[Event]:
    """Return the ends of plans that are taken back."""
    return [AmendmentEnded(amendment=one.id, object=one.object, ending="withdrawn", at=context.now) for one in plans]


def started(day: date | None, timezone: str, context: Context) -> Any:
    """Return the moment a day to come begins, or None where it has begun, or no day is named."""
    if day is None:
        return None
    begins = start_of(day, timezone)
    return begins if begins > context.now else None


def planned(
    entity: Entity,
    found: Amendment[Any],
    begins: Any,
    day: date | None,
    reason: str,
    context: Context,
    gtin_kept_because: str | None = None,
) -> AmendmentPlanned:
    """Return the plan of what a row makes of its record, for the day it takes effect."""
    assert day is not None, "a plan has its day"
    return AmendmentPlanned(
        amendment=Planned(
            id=context.new_id("amd"),
            entity=entity,
            object=found.before.id,
            fields=json.to_plain(found.given),
            effective_from=day,
            effective_at=begins,
            planned_by=context.actor.id,
            reason=reason,
            planned_at=context.now,
            gtin_kept_because=gtin_kept_because,
        )
    )


def refused_rows(refused: Sequence[Refusal]) -> Refusal:
    """Return one refusal of all rows that cannot be, each with its place, value and what it should have been."""
    first = refused[0]
    if len(refused) == 1:
        return first
    details = tuple(RefusalDetail(one.where, one.value, f"{one.what} {one.fix}") for one in refused)
    return msgspec.structs.replace(first, what=f"{len(refused)} rows cannot be: {first.what}", details=details)


def touched_by_rows(
    state: State,
    entity: Entity,
    rows: Sequence[Any],
    find: Callable[[Any], R | None],
    amended: Callable[[Any, str, dict[str, R]], Amendment[R] | Refusal],
    policies: Policies,
) -> tuple[Governed, ...]:
    """Return what rows would change together; of a row that cannot be, every governed field that it names.

    find: the record of a row. amended: what a row makes of it, given what earlier rows have made of records, by id.
    """
    found: dict[str, Governed] = {}
    together: dict[str, R] = {}
    for number, row in enumerate(rows):
        known = find(row)
        if known is None:
            continue
        made = amended(row, f"rows[{number}]", together)
        if isinstance(made, Refusal):
            touched = named_fields(state, entity, known, given_of(row.fields), policies)
        else:
            touched = governed_fields(state, entity, known, made.after, policies, made.withdrawn)
            if row.effective_from is None:
                together[known.id] = made.after
        found |= {one.object: one for one in touched}
    return tuple(found[name] for name in sorted(found))


def _objects(state: State, command: AmendItems, policies: Policies) -> tuple[Governed, ...]:
    return touched_by_rows(
        state,
        "item",
        command.rows,
        lambda row: state.of(Catalogue).item(row.sku),
        lambda row, where, rows: amended_item(state, row, where, policies, rows),
        policies,
    )


def _undo(state: State, command: AmendItems, policies: Policies) -> AmendItems | Refusal:
    """Return the amendment with what stands now; it takes back what the command would plan."""
    rows = []
    for number, row in enumerate(command.rows):
        known = state.of(Catalogue).item(row.sku)
        if known is None:
            return _unknown(row, f"rows[{number}]")
        fields = json.convert(present(known, given_of(row.fields)), ItemFields)
        later = row.effective_from is not None
        rows.append(ItemPatch(sku=known.sku, fields=fields, withdraw_planned=later, gtin_kept_because=PUT_BACK))
    return AmendItems(rows=tuple(rows), reason=PUT_BACK)


PUT_BACK = "it puts back what stood before"


def present(before: Row, given: dict[str, Any]) -> dict[str, Any]:
    """Return what stands now in the fields that a patch names, as the patch that puts it back."""
    standing = {name: as_data(getattr(before, name)) for name in given if name != "fields"}
    if "fields" in given:
        standing["fields"] = {name: before.fields.get(name) for name in given["fields"]}
    return standing


def _wants(state: State, command: AmendItems, policies: Policies) -> None:
    for row in command.rows:
        state.of(Catalogue).want_item(row.sku, change=True)
        state.of(Amendments).want(item=row.sku)


VERBS = (
    Verb(
        name="catalogue.amend_items",
        command=AmendItems,
        decide=amend_items,
        wants=_wants,
        touches=lambda command: tuple(f"sku:{row.sku}" for row in command.rows),
        governance=Governance(keys=KEYS["item"], objects=_objects, undo=_undo),
    ),
)
