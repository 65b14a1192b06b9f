"""The catalogue's rows in one batch: items by any of their keys, locations by code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.catalogue.packs import EACH as EACH
from trueup.catalogue.packs import Pack as Pack
from trueup.catalogue.packs import base_units
from trueup.catalogue.record import Amended, columns, merged, upsert
from trueup.core import json
from trueup.core.fields import Value
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes

ItemKind = Literal["good", "charge", "kit"]
LocationKind = Literal["warehouse", "store", "supplier"]
Tracking = Literal["none", "lot", "serial"]


class Component(msgspec.Struct, frozen=True, array_like=True):
    """What a kit is made of: an item's id, and how many base units of it one kit takes."""

    item: str
    quantity: Decimal


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item. findings: what its data lacks, by rule name; version rises by one with each change.

    phantom: a kit without stock of its own; its components are reserved and shipped. expires: its lots carry a date.
    lead_days: from ordering it to receiving it. units: unit of measure -> how many base units (`each`) one is.
    length_mm, width_mm, height_mm: of one base unit as it is packed. packs: unit of measure -> what it holds.
    return_days: after delivery, within which it may come back; 0 is never. net_content: what the pack declares, in
    net_content_unit. formulation: what it is made of or does, as declared. certifications: marks on the pack; None is
    not known. price_on_pack: the price that is printed on it. supplier: code of the partner it is bought from.
    """

    id: str
    sku: str
    name: str
    kind: ItemKind
    gtin: str | None = None
    weight_g: Decimal | None = None
    category: str | None = None
    unit_price: Decimal | None = None
    currency: str | None = None
    findings: tuple[str, ...] = ()
    version: int = 1
    phantom: bool = False
    components: tuple[Component, ...] = ()
    tax_class: str = "standard"
    tracking: Tracking = "none"
    expires: bool = False
    lead_days: int | None = None
    units: dict[str, Decimal] = {}
    fields: dict[str, Value] = {}
    length_mm: Decimal | None = None
    width_mm: Decimal | None = None
    height_mm: Decimal | None = None
    packs: dict[str, Pack] = {}
    return_days: int | None = None
    brand: str | None = None
    net_content: Decimal | None = None
    net_content_unit: str | None = None
    formulation: str | None = None
    certifications: tuple[str, ...] | None = None
    price_on_pack: Decimal | None = None
    supplier: str | None = None


def findings_of(item: Item, *, gtin_wrong: bool) -> tuple[str, ...]:
    """Return what an item's data lacks or contradicts, by rule name; what a policy's bands say is asked on read."""
    found = ["gtin.invalid"] if gtin_wrong else []
    if any(_inconsistent(item, name) for name in item.packs):
        found.append("packs.inconsistent")
    if item.gtin is not None and any(pack.gtin is None for pack in item.packs.values()):
        found.append("packs.no_gtin")
    return tuple(found)


def _inconsistent(item: Item, name: str) -> bool:
    units = base_units(item.packs, name)
    return units is None or item.units.get(name) != units


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """One place where stock can lie; `code` is what people call it. A supplier ships to customers itself (drop ship).

    groups: names that sourcing rules use. timezone: IANA name. calendar: the working days it keeps. cutoff: HH:MM,
    local; what comes later is worked on the next day. handling_days: from release to hand-over, beyond the same day.
    capacity_per_day: orders; None is no limit. pickup: customers may collect here.
    """

    id: str
    code: str
    name: str
    kind: LocationKind
    country: str | None = None
    version: int = 1
    groups: tuple[str, ...] = ()
    timezone: str = "UTC"
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    postcode: str | None = None
    calendar: str = "default"
    cutoff: str = "15:00"
    handling_days: int = 0
    capacity_per_day: int | None = None
    open: bool = True
    pickup: bool = False
    fields: dict[str, Value] = {}


class ItemRegistered(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An item exists, or its attributes are now these; its SKU is one of its keys.

    amended: the fields that changed, where somebody amended some; only these are taken from `item`.
    gtin_kept_because: why a change that asks for a new GTIN kept the old one. planned: the amendment that fell due.
    """

    name = "catalogue.item_registered"
    about = "item.id"
    item: Item
    at: datetime
    amended: tuple[Amended, ...] = ()
    reason: str | None = None
    gtin_kept_because: str | None = None
    planned: str | None = None


class AliasAdded(Event, frozen=True, kw_only=True):
    """The item answers to another spelling, too."""

    name = "catalogue.alias_added"
    about = "item"
    item: str
    key: str


class LocationRegistered(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A location exists, or its attributes are now these. amended, reason, planned: as at `ItemRegistered`."""

    name = "catalogue.location_registered"
    about = "location.id"
    location: Location
    at: datetime
    amended: tuple[Amended, ...] = ()
    reason: str | None = None
    planned: str | None = None


class SiteOperated(Event, frozen=True, kw_only=True):
    """A site works like this from now on: open or not, orders a day (None is no limit), cut-off as local HH:MM."""

    name = "catalogue.site_operated"
    about = "location"
    location: str
    open: bool
    capacity_per_day: int | None
    cutoff: str
    at: datetime


EVENTS = (ItemRegistered, AliasAdded, LocationRegistered, SiteOperated)
_ITEM = ", ".join(f"i.{name}" for name in Item.__struct_fields__)
_LOCATION = ", ".join(Location.__struct_fields__)
_AGREED = "case when i.supplier is not null then (select p.lead_days from partner p where p.code = i.supplier) end"
_BY_KEY = f"select {_AGREED}, k.key, {_ITEM} from item_key k join item i on i.id = k.item where k.key = any(%s::text[])"
_BY_ID = f"select {_AGREED}, {_ITEM} from item i where i.id = any(%s::text[])"
_BY_CODE = f"select {_LOCATION} from location where code = any(%s::text[])"
_PARTS = """select k.key from unnest(%s::text[]) as w (key) join item_key k on k.key = w.key
    where exists (select from item u where u.components @> jsonb_build_array(jsonb_build_array(k.item)))"""


class Catalogue(Slice):
    """Items and locations a batch needs; `want_*` before loading, then plain lookups.

    The components of a phantom kit come with it. It may be loaded again for what was wanted since.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._ids: set[str] = set()
        self._codes: set[str] = set()
        self._changing_keys: set[str] = set()
        self._changing_codes: set[str] = set()
        self._parts_of: set[str] = set()
        self._every_location = False
        self.items: dict[str, Item] = {}
        self.locations: dict[str, Location] = {}
        self._by_key: dict[str, str] = {}
        self._by_code: dict[str, str] = {}
        self._part_keys: set[str] = set()
        self._agreed: dict[str, int | None] = {}
        self._changed_items: dict[str, datetime] = {}
        self._changed_locations: dict[str, datetime] = {}
        self._new_keys: dict[str, str] = {}

    def want_item(self, key: str, *, change: bool = False) -> None:
        """Ask for the item that answers to this key; to change it, so that nobody else does meanwhile."""
        self._keys.add(key)
        if change:
            self._changing_keys.add(key)

    def want_item_id(self, item: str) -> None:
        """Ask for the item of this id."""
        self._ids.add(item)

    def want_use_as_part(self, key: str) -> None:
        """Ask whether the item that answers to this key is part of a kit."""
        self._parts_of.add(key)

    def want_location(self, code: str, *, change: bool = False) -> None:
        """Ask for the location of this code; to change it, so that nobody else does meanwhile."""
        self._codes.add(code)
        if change:
            self._changing_codes.add(code)

    def want_every_location(self) -> None:
        """Ask for all locations; sourcing chooses among them."""
        self._every_location = True

    def item(self, key: str) -> Item | None:
        """Return the item that answers to this key."""
        found = self._by_key.get(key)
        return self.items[found] if found else None

    def item_of(self, item: str) -> Item | None:
        """Return the item of this id."""
        return self.items.get(item)

    def agreed_lead_days(self, supplier: str) -> int | None:
        """Return the lead time that was agreed with the supplier (code) of an item that was asked for."""
        return self._agreed.get(supplier)

    def is_part(self, key: str) -> bool:
        """Tell whether the item that answers to this key is part of a kit; `want_use_as_part` asked for it."""
        item = self.item(key)
        made = (kit for kit in self.items.values() if kit.components)
        return key in self._part_keys or (
            item is not None and any(part.item == item.id for kit in made for part in kit.components)
        )

    def location(self, code: str) -> Location | None:
        """Return the location of this code."""
        found = self._by_code.get(code)
        return self.locations[found] if found else None

    def place_of(self, location: str) -> Location | None:
        """Return the location of this id."""
        return self.locations.get(location)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read items and locations, after locking what changes; the uniqueness of keys guards what is not there yet.

        Asks for what was wanted since the last loading. A second round trip brings the components of phantom kits.
        """
        locking = self._locks() if lock else []
        keys, ids, parts = sorted(self._keys), sorted(self._ids), sorted(self._parts_of)
        reads: list[tuple[Callable[[Rows], None], Statement]] = []
        if keys:
            reads.append((self._take_keyed, Statement(_BY_KEY, [keys])))
        if ids:
            reads.append((self._take_items, Statement(_BY_ID, [ids])))
        if parts:
            reads.append((self._take_parts, Statement(_PARTS, [parts])))
        if self._every_location:
            reads.append((self._take_locations, Statement(f"select {_LOCATION} from location")))
        elif self._codes:
            reads.append((self._take_locations, Statement(_BY_CODE, [sorted(self._codes)])))
        for wanted in (self._keys, self._ids, self._codes, self._changing_keys, self._changing_codes, self._parts_of):
            wanted.clear()
        self._every_location = False
        if not reads:
            return
        answers = (yield [*locking, *(statement for _, statement in reads)])[len(locking) :]
        for (take, _), rows in zip(reads, answers, strict=True):
            take(rows)
        if keys or ids:
            parts = sorted({part.item for kit in self.items.values() if kit.phantom for part in kit.components})
            missing = [part for part in parts if part not in self.items]
            if missing:
                answers = yield [Statement(_BY_ID, [missing])]
                self._take_items(answers[0])

    def _take_keyed(self, rows: Rows) -> None:
        for agreed, key, *values in rows:
            self._by_key[key] = self._take_item(agreed, values)

    def _take_items(self, rows: Rows) -> None:
        for agreed, *values in rows:
            self._take_item(agreed, values)

    def _take_item(self, agreed: int | None, values: Sequence[Any]) -> str:
        item = item_of(values)
        self.items[item.id] = item
        if item.supplier is not None:
            self._agreed[item.supplier] = agreed
        return item.id

    def _take_parts(self, rows: Rows) -> None:
        self._part_keys.update(key for (key,) in rows)

    def _take_locations(self, rows: Rows) -> None:
        for values in rows:
            place = location_of(values)
            self.locations[place.id] = place
            self._by_code[place.code] = place.id

    def _locks(self) -> list[Statement]:
        statements = []
        if self._changing_keys:
            statements.append(
                Statement(
                    """select id from item where id in (select item from item_key where key = any(%s::text[]))
                    order by id for no key update""",
                    [sorted(self._changing_keys)],
                )
            )
        if self._changing_codes:
            statements.append(
                Statement(
                    "select id from location where code = any(%s::text[]) order by id for no key update",
                    [sorted(self._changing_codes)],
                )
            )
        return statements

    def takes(self) -> Takes:
        """Take an item, alias or location in."""
        return {
            ItemRegistered: self._registered,
            AliasAdded: self._aliased,
            LocationRegistered: self._located,
            SiteOperated: self._operated,
        }

    def _registered(self, event: ItemRegistered) -> None:
        item, known = event.item, self.items.get(event.item.id)
        if event.amended and known is not None:
            item = merged(known, item, event.amended)
            gtin_wrong = "gtin.invalid" in (event.item if _names(event.amended, "gtin") else known).findings
            item = msgspec.structs.replace(item, findings=findings_of(item, gtin_wrong=gtin_wrong))
        self.items[item.id] = item
        self._changed_items[event.item.id] = event.at
        if event.item.sku not in self._by_key:
            self._by_key[event.item.sku] = self._new_keys[event.item.sku] = event.item.id

    def _aliased(self, event: AliasAdded) -> None:
        self._by_key[event.key] = self._new_keys[event.key] = event.item

    def _located(self, event: LocationRegistered) -> None:
        place, known = event.location, self.locations.get(event.location.id)
        self.locations[place.id] = merged(known, place, event.amended) if event.amended and known else place
        self._by_code[event.location.code] = event.location.id
        self._changed_locations[event.location.id] = event.at

    def _operated(self, event: SiteOperated) -> None:
        place = self.locations[event.location]
        self.locations[place.id] = msgspec.structs.replace(
            place,
            open=event.open,
            capacity_per_day=event.capacity_per_day,
            cutoff=event.cutoff,
            version=place.version + 1,
        )
        self._changed_locations[place.id] = event.at

    def rebuilt(self) -> list[Rebuilt]:
        """Return the items, their keys, and the locations."""
        item, place = Item.__struct_fields__[1:], Location.__struct_fields__[1:]
        return [
            Rebuilt(
                "item",
                f"select id, {', '.join(item)} from item",
                {(row.id,): tuple(columns(row).values())[1:] for row in self.items.values()},
            ),
            Rebuilt(
                "item_key", "select key, item from item_key", {(key,): (id_,) for key, id_ in self._by_key.items()}
            ),
            Rebuilt(
                "location",
                f"select id, {', '.join(place)} from location",
                {(row.id,): tuple(columns(row).values())[1:] for row in self.locations.values()},
            ),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upserts of what changed, and the new keys."""
        statements = []
        if self._changed_items:
            rows = [self.items[id_] for id_ in sorted(self._changed_items)]
            statements.append(upsert("item", rows, self._changed_items))
        if self._new_keys:
            keys = sorted(self._new_keys)
            statements.append(
                Statement(
                    "insert into item_key (key, item) select * from unnest(%s::text[], %s::text[])",
                    [keys, [self._new_keys[key] for key in keys]],
                )
            )
        if self._changed_locations:
            places = [self.locations[id_] for id_ in sorted(self._changed_locations)]
            statements.append(upsert("location", places, self._changed_locations))
        return statements


def _names(amended: Sequence[Amended], field: str) -> bool:
    return any(one.field == field for one in amended)


def item_of(columns: Sequence[Any]) -> Item:
    """Make an item of its columns, in the struct's order; columns that are JSON are empty for nearly all items."""
    values = dict(zip(Item.__struct_fields__, columns, strict=True))
    values["findings"] = tuple(values["findings"])
    parts, units = values["components"], values["units"]
    values["components"] = tuple([Component(item, Decimal(quantity)) for item, quantity in parts]) if parts else ()
    values["units"] = {name: Decimal(number) for name, number in units.items()} if units else {}
    values["fields"] = values["fields"] or {}
    packs, marks = values["packs"], values["certifications"]
    values["packs"] = json.convert(packs, dict[str, Pack]) if packs else {}
    values["certifications"] = tuple(marks) if marks is not None else None
    return Item(**values)


def location_of(columns: Sequence[Any]) -> Location:
    """Make a location of its columns, in the struct's order."""
    values = dict(zip(Location.__struct_fields__, columns, strict=True))
    values["groups"] = tuple(values["groups"])
    values["fields"] = values["fields"] or {}
    return Location(**values)
