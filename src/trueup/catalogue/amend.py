"""Amend records field by field, items first: what is not named stays; now, or from a day to come.

How one kind of record is amended is an `Amendable`; the mechanism is one for all kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from trueup.catalogue import gtin
from trueup.catalogue.amendments import AmendmentEnded, AmendmentPlanned, Amendments, Planned
from trueup.catalogue.given import Because, Days, Key, Marks, Name, Packs, Text, Unit, packs_of
from trueup.catalogue.governed import governed_fields, named_fields
from trueup.catalogue.gtin_rules import needs_no_gtin
from trueup.catalogue.ownership import (
    KEYS,
    Entity,
    FieldOwnership,
    Row,
    as_data,
    differences,
    entity_of,
    key_of,
    start_of,
)
from trueup.catalogue.partner_state import Partner, Partners
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
    supplier: Key | msgspec.UnsetType | None = msgspec.UNSET
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


R = TypeVar("R", Item, Location, Partner)


class Amendable(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """How one kind of record is amended. key: which value of a row names its record; plural: what many are called.

    find: a record by its key. held: a record by its id. unknown: refuses a key that nothing answers to. patched: a
    record with the fields of a patch, or why it cannot be like that, the path to the fields given. allowed: what else
    stands against it, asked of the record before and after and of the row. timezone: where its days begin. registered:
    the event of the record as it is now.
    """

    entity: Entity
    key: str
    plural: str
    rows: type[Any]
    patch: type[Body]
    fields: type[Body]
    find: Callable[[State, str], R | None]
    held: Callable[[State, str], R | None]
    unknown: Callable[[str, str], Refusal]
    patched: Callable[[R, Any, Policies, str], R | Refusal]
    timezone: Callable[[R, Policies], str]
    registered: Callable[..., Event]
    allowed: Callable[[State, R, R, Any, str], Refusal | None] = lambda state, before, after, row, where: None

    def key_in(self, row: Any) -> str:
        """Return the key of the record that a row names."""
        return str(getattr(row, self.key))


class Amendment(msgspec.Struct, Generic[R], frozen=True):
    """What one row comes to: the record before and after, what it gives that is new, and the plans it takes back."""

    before: R
    after: R
    given: dict[str, Any]
    withdrawn: tuple[Planned, ...] = ()


def amend_items(state: State, command: AmendItems, context: Context) -> Decision:
    """Amend the items, or plan it for the day it takes effect; all rows, or none of them.

    Refuses, naming each row and field: an item nobody knows, a field that cannot be like this (a GTIN whose check digit
    is wrong and a supplier nobody registered among them), and a change that asks for a new GTIN while the old one stays
    without a reason; nothing is written then. Rows on one item see each other. What changes nothing ends as merged.
    """
    return amend(ITEMS, state, command, context)


def amend(kind: Amendable[R], state: State, command: Any, context: Context) -> Decision:
    """Amend records of one kind, or plan it for the day it takes effect; all rows of the command, or none of them."""
    rows: dict[str, R] = {}
    kept: dict[str, str] = {}
    events: list[Event] = []
    refused: list[Refusal] = []
    for number, row in enumerate(command.rows):
        found = amended(kind, state, row, f"rows[{number}]", context.policies, rows)
        if isinstance(found, Refusal):
            refused.append(found)
            continue
        events += withdrawals(found.withdrawn, context)
        day = started(row.effective_from, kind.timezone(found.before, context.policies), context)
        because = getattr(row, "gtin_kept_because", None)
        if day is None:
            rows[found.before.id] = found.after
            kept[found.before.id] = kept.get(found.before.id) or because or ""
        elif found.after != found.before:
            events.append(planned(kind.entity, found, day, row.effective_from, command.reason, context, because))
    if refused:
        return refused_rows(refused)
    for id_, after in rows.items():
        before = kind.held(state, id_)
        if before is not None and after != before:
            more = {"gtin_kept_because": kept[id_]} if kept[id_] else {}
            changed = msgspec.structs.replace(after, version=before.version + 1)
            said = {"amended": differences(before, after), "reason": command.reason or None, **more}
            events.append(kind.registered(changed, at=context.now, **said))
    later = sum(isinstance(event, AmendmentPlanned) for event in events)
    result = {kind.plural: len(rows), "planned": later, **_noted(command.rows, context)}
    subject = next(iter(rows), None) or (events[0].subject if events else kind.plural)
    return Accepted(events, subject, result, "applied" if events else "merged")


def _noted(rows: Sequence[Any], context: Context) -> dict[str, str]:
    """Return which days that rows name are over, so that nobody believes it held since then."""
    today = context.now.astimezone(UTC).date()
    over = sorted({row.effective_from for row in rows if row.effective_from is not None and row.effective_from < today})
    if not over:
        return {}
    have = "has" if len(over) == 1 else "have"
    return {"note": f"{', '.join(map(str, over[:5]))} {have} begun: it holds from now on"}


def amended(
    kind: Amendable[R], state: State, row: Any, where: str, policies: Policies, rows: dict[str, R]
) -> Amendment[R] | Refusal:
    """Return what a row makes of its record, or why it cannot. rows: what earlier rows have made of records, by id."""
    known = kind.find(state, kind.key_in(row))
    if known is None:
        return kind.unknown(kind.key_in(row), where)
    before = rows.get(known.id, known)
    at = f"{where}.fields."
    given = given_of(row.fields)
    after = kind.patched(before, row.fields, policies, at)
    if isinstance(after, Refusal):
        return after
    refusal = kind.allowed(state, before, after, row, at)
    if refusal is not None:
        return refusal
    taken = taken_back(state, known.id, given, withdraw=row.withdraw_planned)
    changed = _changed(given, before, after)
    if is_planned(state, known.id, row.effective_from, changed):
        after = before
    return Amendment(before, after, changed, taken)


def _changed(given: dict[str, Any], before: Row, after: Row) -> dict[str, Any]:
    """Return of a patch what differs from what stands: to say that again plans nothing, and puts nothing back later."""
    fields = {change.field for change in differences(before, after)}
    custom = {name: value for name, value in given.get("fields", {}).items() if f"fields.{name}" in fields}
    return {name: custom if name == "fields" else value for name, value in given.items() if name in fields or (
        name == "fields" and custom)}  # fmt: skip


def _unknown(sku: str, where: str) -> Refusal:
    return Refusal("catalogue.unknown_item", f"No item answers to {sku[:80]!r}.",
                   "Correct it, register the item, or add this spelling as its alias.",
                   f"{where}.sku", sku[:80])  # fmt: skip


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
    kept = {name: value for name, value in merged.items() if value is not None}
    found = checked(policies.get(CustomFields, entity_of(before)), kept, before.fields)
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


def touched(kind: Amendable[R], state: State, command: Any, policies: Policies) -> tuple[Governed, ...]:
    """Return what rows would change together; of a row that cannot be, every governed field that it names."""
    found: dict[str, Governed] = {}
    together: dict[str, R] = {}
    for number, row in enumerate(command.rows):
        known = kind.find(state, kind.key_in(row))
        if known is None:
            continue
        made = amended(kind, state, row, f"rows[{number}]", policies, together)
        if isinstance(made, Refusal):
            fields = named_fields(state, kind.entity, known, given_of(row.fields), policies)
        else:
            fields = governed_fields(state, kind.entity, known, made.after, policies, made.withdrawn)
            if row.effective_from is None:
                together[known.id] = made.after
        found |= {one.object: one for one in fields}
    return tuple(found[name] for name in sorted(found))


def undone(kind: Amendable[R], state: State, command: Any, policies: Policies) -> Command | Refusal:
    """Return the amendment with what stands now; it takes back what the command would plan."""
    rows = []
    for number, row in enumerate(command.rows):
        known = kind.find(state, kind.key_in(row))
        if known is None:
            return kind.unknown(kind.key_in(row), f"rows[{number}]")
        fields = present(known, given_of(row.fields))
        rows.append(put_back(kind, known, fields, withdraw_planned=row.effective_from is not None))
    back: Command = json.convert({"rows": rows, "reason": PUT_BACK}, kind.rows)
    return back


def put_back(kind: Amendable[R], known: R, fields: dict[str, Any], *, withdraw_planned: bool = False) -> dict[str, Any]:
    """Return the row that gives a record these fields again, as plain data."""
    kept = {"gtin_kept_because": PUT_BACK} if "gtin_kept_because" in kind.patch.__struct_fields__ else {}
    return {kind.key: key_of(known), "fields": fields, "withdraw_planned": withdraw_planned, **kept}


PUT_BACK = "it puts back what stood before"


def present(before: Row, given: dict[str, Any]) -> dict[str, Any]:
    """Return what stands now in the fields that a patch names, as the patch that puts it back."""
    standing = {name: as_data(getattr(before, name)) for name in given if name != "fields"}
    if "fields" in given:
        standing["fields"] = {name: before.fields.get(name) for name in given["fields"]}
    return standing


def _item_allowed(state: State, before: Item, after: Item, row: ItemPatch, where: str) -> Refusal | None:
    if after.supplier != before.supplier and (refusal := no_supplier(state, after.supplier, where)) is not None:
        return refusal
    return needs_no_gtin(before, after, row.gtin_kept_because, where)


def no_supplier(state: State, code: str | None, where: str = "") -> Refusal | None:
    """Return why a code is no supplier's, or None. where: the path to the field in the request."""
    known = state.of(Partners).partner(code) if code is not None else None
    if code is None or (known is not None and known.kind == "supplier"):
        return None
    what = f"{code[:80]!r} is a {known.kind}" if known is not None else f"There is no partner {code[:80]!r}"
    return Refusal("catalogue.unknown_supplier", f"{what}, and goods are bought from a supplier.",
                   "Register it as a partner of kind supplier first, or correct the code.",
                   f"{where}supplier", code[:80])  # fmt: skip


ITEMS: Amendable[Item] = Amendable(
    entity="item",
    key="sku",
    plural="items",
    rows=AmendItems,
    patch=ItemPatch,
    fields=ItemFields,
    find=lambda state, key: state.of(Catalogue).item(key),
    held=lambda state, id_: state.of(Catalogue).items.get(id_),
    unknown=_unknown,
    patched=patched_item,
    allowed=_item_allowed,
    timezone=lambda item, policies: policies.get(FieldOwnership).timezone,
    registered=lambda item, **said: ItemRegistered(item=item, **said),
)


def _wants(state: State, command: AmendItems, policies: Policies) -> None:
    for row in command.rows:
        state.of(Catalogue).want_item(row.sku, change=True)
        state.of(Amendments).want(item=row.sku)
        if isinstance(row.fields.supplier, str):
            state.of(Partners).want(row.fields.supplier)


VERBS = (
    Verb(
        name="catalogue.amend_items",
        command=AmendItems,
        decide=amend_items,
        wants=_wants,
        touches=lambda command: tuple(f"sku:{row.sku}" for row in command.rows),
        governance=Governance(keys=KEYS["item"], objects=partial(touched, ITEMS), undo=partial(undone, ITEMS)),
    ),
)
