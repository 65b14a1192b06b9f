"""The catalogue's rows in one batch: items by any of their keys, locations by code."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, of_kind

ItemKind = Literal["good", "charge", "kit"]
LocationKind = Literal["warehouse", "store", "supplier"]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item. findings: what its data lacks, by rule name; version rises by one with each change."""

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


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """One place where stock can lie; `code` is what people call it."""

    id: str
    code: str
    name: str
    kind: LocationKind
    country: str | None = None
    version: int = 1


class ItemRegistered(Event, frozen=True, kw_only=True):
    """An item exists, or its attributes are now these; its SKU is one of its keys."""

    name = "catalogue.item_registered"
    about = "item.id"
    item: Item
    at: datetime


class AliasAdded(Event, frozen=True, kw_only=True):
    """The item answers to another spelling, too."""

    name = "catalogue.alias_added"
    about = "item"
    item: str
    key: str


class LocationRegistered(Event, frozen=True, kw_only=True):
    """A location exists, or its attributes are now these."""

    name = "catalogue.location_registered"
    about = "location.id"
    location: Location
    at: datetime


EVENTS = (ItemRegistered, AliasAdded, LocationRegistered)
_ITEM = "i.id, i.sku, i.name, i.kind, i.gtin, i.weight_g, i.category, i.unit_price, i.currency, i.findings, i.version"


class Catalogue(Slice):
    """Items and locations a batch needs; `want_*` before loading, then plain lookups."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._codes: set[str] = set()
        self._changing_keys: set[str] = set()
        self._changing_codes: set[str] = set()
        self.items: dict[str, Item] = {}
        self.locations: dict[str, Location] = {}
        self._by_key: dict[str, str] = {}
        self._by_code: dict[str, str] = {}
        self._changed_items: dict[str, datetime] = {}
        self._changed_locations: dict[str, datetime] = {}
        self._new_keys: dict[str, str] = {}

    def want_item(self, key: str, *, change: bool = False) -> None:
        """Ask for the item that answers to this key; to change it, so that nobody else does meanwhile."""
        self._keys.add(key)
        if change:
            self._changing_keys.add(key)

    def want_location(self, code: str, *, change: bool = False) -> None:
        """Ask for the location of this code; to change it, so that nobody else does meanwhile."""
        self._codes.add(code)
        if change:
            self._changing_codes.add(code)

    def item(self, key: str) -> Item | None:
        """Return the item that answers to this key."""
        found = self._by_key.get(key)
        return self.items[found] if found else None

    def location(self, code: str) -> Location | None:
        """Return the location of this code."""
        found = self._by_code.get(code)
        return self.locations[found] if found else None

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read items and locations, after locking what changes; the uniqueness of keys guards what is not there yet."""
        statements = self._locks() if lock else []
        locks = len(statements)
        if self._keys:
            statements.append(
                Statement(
                    f"""select k.key, {_ITEM} from item_key k join item i on i.id = k.item
                    where k.key = any(%s::text[])""",
                    [sorted(self._keys)],
                )
            )
        if self._codes:
            statements.append(
                Statement(
                    "select id, code, name, kind, country, version from location where code = any(%s::text[])",
                    [sorted(self._codes)],
                )
            )
        if not statements:
            return
        answers = (yield statements)[locks:]
        if self._keys:
            for key, *columns in answers[0]:
                item = _item_of(columns)
                self.items[item.id] = item
                self._by_key[key] = item.id
        if self._codes:
            for id_, code, name, kind, country, version in answers[-1]:
                self.locations[id_] = Location(
                    id=id_, code=code, name=name, kind=kind, country=country, version=version
                )
                self._by_code[code] = id_

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

    def evolve(self, event: Event) -> None:
        """Take an item, alias or location in."""
        of_kind(
            event,
            {ItemRegistered: self._registered, AliasAdded: self._aliased, LocationRegistered: self._located},
        )

    def _registered(self, event: ItemRegistered) -> None:
        self.items[event.item.id] = event.item
        self._changed_items[event.item.id] = event.at
        if event.item.sku not in self._by_key:
            self._by_key[event.item.sku] = self._new_keys[event.item.sku] = event.item.id

    def _aliased(self, event: AliasAdded) -> None:
        self._by_key[event.key] = self._new_keys[event.key] = event.item

    def _located(self, event: LocationRegistered) -> None:
        self.locations[event.location.id] = event.location
        self._by_code[event.location.code] = event.location.id
        self._changed_locations[event.location.id] = event.at

    def rebuilt(self) -> list[Rebuilt]:
        """Return the items, their keys, and the locations."""
        item, place = Item.__struct_fields__[1:], Location.__struct_fields__[1:]
        return [
            Rebuilt(
                "item",
                f"select id, {', '.join(item)} from item",
                {(row.id,): tuple(getattr(row, name) for name in item) for row in self.items.values()},
            ),
            Rebuilt(
                "item_key", "select key, item from item_key", {(key,): (id_,) for key, id_ in self._by_key.items()}
            ),
            Rebuilt(
                "location",
                f"select id, {', '.join(place)} from location",
                {(row.id,): tuple(getattr(row, name) for name in place) for row in self.locations.values()},
            ),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upserts of what changed, and the new keys."""
        statements = []
        if self._changed_items:
            rows = [self.items[id_] for id_ in sorted(self._changed_items)]
            statements.append(_upsert_items(rows, [self._changed_items[row.id] for row in rows]))
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
            statements.append(_upsert_locations(places, [self._changed_locations[place.id] for place in places]))
        return statements


def _item_of(columns: list[object]) -> Item:
    names = Item.__struct_fields__
    values = dict(zip(names, columns, strict=True))
    values["findings"] = tuple(values["findings"])  # type: ignore[arg-type]
    return Item(**values)  # type: ignore[arg-type]


def _upsert_items(rows: list[Item], at: list[datetime]) -> Statement:
    return Statement(
        """insert into item (id, sku, name, kind, gtin, weight_g, category, unit_price, currency, findings, version, at)
        select id, sku, name, kind, gtin, weight_g, category, unit_price, currency,
               coalesce(string_to_array(nullif(findings, ''), ' '), '{}'), version, at
        from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::text[],
                    %s::numeric[], %s::text[], %s::text[], %s::int[], %s::timestamptz[])
             as n (id, sku, name, kind, gtin, weight_g, category, unit_price, currency, findings, version, at)
        on conflict (id) do update set name = excluded.name, kind = excluded.kind, gtin = excluded.gtin,
            weight_g = excluded.weight_g, category = excluded.category, unit_price = excluded.unit_price,
            currency = excluded.currency, findings = excluded.findings, version = excluded.version""",
        [
            [r.id for r in rows], [r.sku for r in rows], [r.name for r in rows], [r.kind for r in rows],
            [r.gtin for r in rows], [r.weight_g for r in rows], [r.category for r in rows],
            [r.unit_price for r in rows], [r.currency for r in rows], [" ".join(r.findings) for r in rows],
            [r.version for r in rows], at,
        ],
    )  # fmt: skip


def _upsert_locations(rows: list[Location], at: list[datetime]) -> Statement:
    return Statement(
        """insert into location (id, code, name, kind, country, version, at)
        select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::timestamptz[])
        on conflict (id) do update set name = excluded.name, kind = excluded.kind, country = excluded.country,
            version = excluded.version""",
        [
            [r.id for r in rows], [r.code for r in rows], [r.name for r in rows], [r.kind for r in rows],
            [r.country for r in rows], [r.version for r in rows], at,
        ],
    )  # fmt: skip
