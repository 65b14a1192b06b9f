"""Which field belongs to whom: a policy, asked on every write of a record of master data, whichever verb makes it.

Source: a field that two systems write is right by chance; who owns it decides, and a field nobody owns is a finding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from trueup.authority.standing import ROLES
from trueup.catalogue.partner_state import Partner
from trueup.catalogue.record import Amended
from trueup.catalogue.state import Item, Location
from trueup.core import json
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.core.quantity import plain
from trueup.core.verb import Actor, Governed

Entity = Literal["item", "location", "partner"]
Mode = Literal["refuse", "accept_and_log", "propose"]
Row: TypeAlias = Item | Location | Partner
_KINDS: dict[Entity, type[Row]] = {"item": Item, "location": Location, "partner": Partner}
_OURS = {"id", "sku", "code", "findings", "version", "open", "capacity_per_day", "cutoff"}
"""What names a row, what Trueup itself computes, and what a site operates within its bands: no field of anybody's."""
FIELDS: dict[Entity, tuple[str, ...]] = {
    entity: tuple(name for name in kind.__struct_fields__ if name not in _OURS) for entity, kind in _KINDS.items()
}
KEYS: dict[Entity, tuple[str, ...]] = {
    entity: tuple(f"{entity}.{field}" for field in fields) for entity, fields in FIELDS.items()
}
"""What the register of decision rights maps; custom fields are one, `item.fields`."""
_DEFAULTS: dict[Entity, Row] = {
    "item": Item(id="", sku="", name="", kind="good"),
    "location": Location(id="", code="", name="", kind="warehouse"),
    "partner": Partner(id="", code="", name="", kind="supplier"),
}
_ENTITIES: dict[type[Row], Entity] = {kind: entity for entity, kind in _KINDS.items()}


def entity_of(row: Row) -> Entity:
    """Return which kind of master data a record is."""
    return _ENTITIES[type(row)]


def key_of(row: Row) -> str:
    """Return what people call a record: its SKU, or its code."""
    return row.sku if isinstance(row, Item) else row.code


class FieldOwner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who owns a field. field: of the record, or `fields.<name>` for a custom one. owner: a role, or a service's name.

    mode: what becomes of a write by anybody else: refused; accepted, logged and listed; or proposed to the owner.
    governed: it changes only by an approved change, once governance is declared.
    """

    entity: Entity
    field: str
    owner: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    mode: Mode = "refuse"
    governed: bool = False


class FieldOwnership(Policy, frozen=True, kw_only=True):
    """The owners of fields. A field that is not listed anybody may write who may amend items, and it is a finding.

    timezone: IANA name; where the day begins on which an item's amendment takes effect. Locations and partners have
    their own.
    """

    kind: ClassVar[str] = "field_ownership"
    unreplayed: ClassVar[str] = "master data is taken as it was recorded, whoever may write it"
    names: ClassVar[tuple[str, ...]] = ("default",)
    owners: Annotated[tuple[FieldOwner, ...], msgspec.Meta(max_length=500)] = ()
    timezone: str = "UTC"

    def faults(self, known: Known) -> list[Fault]:
        """Return fields there are not, fields with two owners, and a time zone nobody knows."""
        found = []
        seen: set[tuple[str, str]] = set()
        for at, one in enumerate(self.owners):
            head = one.field.partition(".")[0]
            if head not in FIELDS[one.entity] or ("." in one.field and head != "fields"):
                what = f"the fields of {one.entity}: {', '.join(FIELDS[one.entity])}, and fields.<name>"
                found.append(Fault(f"owners[{at}].field", one.field, what))
            if (one.entity, one.field) in seen:
                found.append(Fault(f"owners[{at}].field", one.field, "a field has one owner"))
            if one.mode == "propose" and not one.governed:
                found.append(Fault(f"owners[{at}].mode", one.mode, "only what is governed is proposed; set governed"))
            seen.add((one.entity, one.field))
        if self.timezone not in available_timezones():
            found.append(Fault("timezone", self.timezone, "there is no such zone; name one like Europe/Berlin"))
        return found

    def owner_of(self, entity: Entity, field: str) -> FieldOwner | None:
        """Return who owns a field; a custom one that is not listed by its name belongs to who owns `fields`."""
        by_name = {one.field: one for one in self.owners if one.entity == entity}
        return by_name.get(field) or by_name.get(field.partition(".")[0])

    def governs(self, entity: Entity, field: str) -> bool:
        """Tell whether a field changes only by an approved change."""
        owner = self.owner_of(entity, field)
        return owner is not None and owner.governed


def owned_by(policies: Policies, entity: Entity) -> Callable[[str], str]:
    """Return the function that names a field's owner, for texts."""
    ownership = policies.get(FieldOwnership)

    def name(field: str) -> str:
        owner = ownership.owner_of(entity, field)
        return owner.owner if owner is not None else "nobody yet; a Master Data Owner names its owner"

    return name


def parts_of(row: Row) -> tuple[str, ...]:
    """Return the parts a record lies in, whose owners decide: an item's category and brand as it stands, a partner."""
    if isinstance(row, Partner):
        return (f"partner:{row.code}",)
    return tuple(f"{kind}:{part}" for kind in ("category", "brand") if (part := getattr(row, kind, None)))


def owns(actor: Actor, owner: str, parts: Collection[str] = ()) -> bool:
    """Tell whether an actor is a field's owner: by a role, or as the service of this name.

    parts: the record's; a role that is held over some parts only owns nothing of the others.
    """
    if owner in actor.roles:
        return owner not in actor.over or not set(actor.over[owner]).isdisjoint(parts)
    return actor.kind == "service" and actor.name == owner


def is_role(owner: str) -> bool:
    """Tell whether an owner is a role; otherwise it is a system."""
    return owner in ROLES


def values_of(row: Row) -> Iterator[tuple[str, Any]]:
    """Yield each field with its value as plain data; custom ones as `fields.<name>`."""
    for field in FIELDS[entity_of(row)]:
        value = getattr(row, field)
        if field == "fields":
            yield from ((f"fields.{name}", part) for name, part in value.items())
        else:
            yield field, as_data(value)


def as_data(value: Any) -> Any:
    """Return a value as plain data, a figure always in the same digits: 300 and 300.0 are one."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, msgspec.Struct):
        return {name: as_data(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: as_data(part) for name, part in value.items()}
    return [as_data(part) for part in value] if isinstance(value, tuple | list) else value


def differences(before: Row | None, after: Row) -> tuple[Amended, ...]:
    """Return the fields that differ; of a new record, those that say more than the default."""
    known = before or _DEFAULTS[entity_of(after)]
    was, now = dict(values_of(known)), dict(values_of(after))
    return tuple(
        Amended(field, was.get(field), now.get(field))
        for field in dict.fromkeys((*now, *was))
        if was.get(field) != now.get(field)
    )


def digest_of(value: Any) -> str:
    """Return the digest that a change's base is told by: of the value as plain data, "" for none."""
    return "" if value is None else hashlib.sha256(json.encode(value)).hexdigest()


def governed_of(entity: Entity, object_: str, field: str, base: Any, over: tuple[str, ...] = ()) -> Governed:
    """Return one governed field of one record. over: the parts it lies in, an item's category and brand."""
    return Governed(f"{entity}.{field.partition('.')[0]}", f"{entity}/{object_}#{field}", digest_of(base), over)


def start_of(day: date, timezone: str) -> datetime:
    """Return the moment a day begins in a zone."""
    return datetime.combine(day, time(), ZoneInfo(timezone))
