"""Register an item or a location, and give an item another spelling."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.catalogue import gtin
from trueup.catalogue.amend import PUT_BACK, AmendItems, ItemFields, ItemPatch, no_supplier, present
from trueup.catalogue.amend_locations import AmendLocations, LocationFields, LocationPatch
from trueup.catalogue.amendments import Amendments
from trueup.catalogue.given import Because, Days, Key, Marks, Name, Packs, PerDay, Text, TimeOfDay, Unit, packs_of
from trueup.catalogue.governed import governed_fields
from trueup.catalogue.gtin_rules import needs_no_gtin
from trueup.catalogue.ownership import KEYS, Entity, Row
from trueup.catalogue.partner_state import Partners
from trueup.catalogue.sound import unsound_item, unsound_location
from trueup.catalogue.state import (
    AliasAdded,
    Catalogue,
    Component,
    Item,
    ItemKind,
    ItemRegistered,
    Location,
    LocationKind,
    LocationRegistered,
    Tracking,
    findings_of,
)
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields, Given, Value, checked
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Governance, Governed, State, Verb


class KitPart(Body, frozen=True, kw_only=True):
    """What one kit takes of another item: any key of it, base units above zero."""

    sku: Key
    quantity: Quantity


class RegisterItem(Command, frozen=True, kw_only=True):
    """Make an item known, or replace its attributes.

    sku: what it is called; unique, letter case counts. gtin: kept only when its check digit is right.
    weight_g: grams of one unit. unit_price: list price in `currency`. aliases: other spellings it answers to.
    phantom: a kit without stock of its own, sold as its components; a kit that is assembled has stock like a good.
    tracking: whether its stock is kept by lot or serial number; expires: lots carry a date. lead_days: from ordering
    it to receiving it. units: unit of measure -> base units in one (`{"case": "24"}`); `each` is one, unsaid.
    What follows `fields` stays as it is when left out, and null takes it away: the size of one unit as packed, in mm;
    packs: unit -> what it holds; return_days: after delivery, 0 is never; what the pack declares (brand, net content
    and its unit, formulation, certification marks, price on pack); supplier: code of the partner it is bought from,
    whose lead time it has where it says none. gtin_kept_because: why a change that asks for a new GTIN keeps the old.
    """

    sku: Key
    name: Text
    kind: ItemKind = "good"
    gtin: str | None = None
    weight_g: Quantity | None = None
    category: Text | None = None
    unit_price: Amount | None = None
    currency: str | None = None
    aliases: tuple[Key, ...] = ()
    phantom: bool = False
    components: Annotated[tuple[KitPart, ...], msgspec.Meta(max_length=200)] = ()
    tax_class: Name = "standard"
    tracking: Tracking = "none"
    expires: bool = False
    lead_days: Days | None = None
    units: Annotated[dict[Unit, Quantity], msgspec.Meta(max_length=20)] = msgspec.field(default_factory=dict)
    fields: Given = msgspec.field(default_factory=dict)
    length_mm: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    width_mm: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    height_mm: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    packs: Packs | msgspec.UnsetType | None = msgspec.UNSET
    return_days: Days | msgspec.UnsetType | None = msgspec.UNSET
    brand: Text | msgspec.UnsetType | None = msgspec.UNSET
    net_content: Quantity | msgspec.UnsetType | None = msgspec.UNSET
    net_content_unit: Unit | msgspec.UnsetType | None = msgspec.UNSET
    formulation: Text | msgspec.UnsetType | None = msgspec.UNSET
    certifications: Marks | msgspec.UnsetType | None = msgspec.UNSET
    price_on_pack: Amount | msgspec.UnsetType | None = msgspec.UNSET
    supplier: Key | msgspec.UnsetType | None = msgspec.UNSET
    gtin_kept_because: Because | None = None


class RegisterLocation(Command, frozen=True, kw_only=True):
    """Make a location known, or replace its attributes; what its site operates (the last three) stays when left out.

    country: ISO 3166-1 alpha-2. groups: names that sourcing rules use. timezone: IANA name. latitude, longitude: in
    degrees. calendar: the working days it keeps. handling_days: from release to hand-over, beyond the same day.
    pickup: customers may collect here. cutoff: HH:MM, local; later work is the next day's. capacity_per_day: orders,
    null is no limit.
    """

    code: Key
    name: Text
    kind: LocationKind = "warehouse"
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None
    groups: Annotated[tuple[Name, ...], msgspec.Meta(max_length=50)] = ()
    timezone: str = "UTC"
    latitude: Quantity | None = None
    longitude: Quantity | None = None
    postcode: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    calendar: Name = "default"
    handling_days: Days = 0
    pickup: bool = False
    fields: Given = msgspec.field(default_factory=dict)
    cutoff: TimeOfDay | None = None
    capacity_per_day: PerDay | msgspec.UnsetType | None = msgspec.UNSET
    open: bool | None = None


def register_item(state: State, command: RegisterItem, context: Context) -> Decision:
    """Register the item with its aliases; an attribute that is wrong is left out and listed as a finding.

    Refuses a key that another item answers to, an unknown currency, a negative weight, a kit whose parts cannot be
    (unknown, itself, a phantom kit, a charge), expiry without lots, units that are none, and custom fields that the
    `fields` policy does not know; a supplier nobody registered as one; and a change that asks for a new GTIN while the
    old one stays without a reason. Nothing is written then. A repetition that changes nothing ends as merged.
    Source: behaviour 14; GS1 GTIN Management Standard.
    """
    catalogue = state.of(Catalogue)
    known = catalogue.item(command.sku)
    if known is not None and known.sku != command.sku:
        return _taken(command.sku, known)
    refusal = _kit_refusal(catalogue, command)
    if refusal is not None:
        return refusal
    fields = checked(context.policies.get(CustomFields, "item"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal):
        return fields
    item = _item(catalogue, command, known, fields, context.new_id("itm"))
    refusal = unsound_item(item) or (needs_no_gtin(known, item, command.gtin_kept_because) if known else None)
    if isinstance(command.supplier, str):
        refusal = refusal or no_supplier(state, command.supplier)
    if refusal is not None:
        return refusal
    events: list[ItemRegistered | AliasAdded] = []
    if known is None or msgspec.structs.replace(item, version=known.version) != known:
        kept = command.gtin_kept_because
        events.append(ItemRegistered(item=item, at=context.now, gtin_kept_because=kept))
    for alias in dict.fromkeys(command.aliases):
        other = catalogue.item(alias)
        if other is not None and other.id != item.id:
            return _taken(alias, other)
        if other is None and alias != command.sku:
            events.append(AliasAdded(item=item.id, key=alias))
    result = {"item": item.id, "sku": item.sku, "findings": list(item.findings)}
    return Accepted(events, item.id, result, "applied" if events else "merged")


def register_location(state: State, command: RegisterLocation, context: Context) -> Decision:
    """Register the location; a repetition that changes nothing ends as merged.

    Refuses an unknown time zone, a point that is not on the globe, and unknown custom fields.
    """
    known = state.of(Catalogue).location(command.code)
    fields = checked(context.policies.get(CustomFields, "location"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal):
        return fields
    location = _location(command, known, fields, context.new_id("loc"))
    refusal = unsound_location(location)
    if refusal is not None:
        return refusal
    result = {"location": location.id, "code": location.code}
    if known is not None and msgspec.structs.replace(location, version=known.version) == known:
        return Accepted((), location.id, result, "merged")
    return Accepted([LocationRegistered(location=location, at=context.now)], location.id, result)


def _location(command: RegisterLocation, known: Location | None, fields: dict[str, Value], new_id: str) -> Location:
    capacity = command.capacity_per_day
    return Location(
        id=known.id if known else new_id,
        code=command.code,
        name=command.name,
        kind=command.kind,
        country=command.country,
        version=known.version + 1 if known else 1,
        groups=tuple(sorted(set(command.groups))),
        timezone=command.timezone,
        latitude=command.latitude,
        longitude=command.longitude,
        postcode=command.postcode,
        calendar=command.calendar,
        cutoff=command.cutoff or (known.cutoff if known else "15:00"),
        handling_days=command.handling_days,
        capacity_per_day=capacity if capacity is not msgspec.UNSET else (known.capacity_per_day if known else None),
        open=command.open if command.open is not None else (known.open if known else True),
        pickup=command.pickup,
        fields=fields,
    )


def _kit_refusal(catalogue: Catalogue, command: RegisterItem) -> Refusal | None:
    """Return why the kit cannot be of these parts, or why a part of kits cannot become this."""
    if command.components and command.kind != "kit":
        return Refusal("catalogue.not_a_kit", f"{command.sku!r} is a {command.kind}; only a kit has components.",
                       "Register it with kind kit, or leave the components out.", "components")  # fmt: skip
    if command.phantom and (command.kind != "kit" or not command.components):
        return Refusal("catalogue.phantom", "A phantom is a kit that is sold as its components, and it names none.",
                       "Send kind kit with components, or leave phantom out.", "phantom", "true")  # fmt: skip
    if command.phantom and command.tracking != "none":
        return Refusal("catalogue.phantom", "A phantom kit has no stock to track.",
                       "Track its components instead.", "tracking", command.tracking)  # fmt: skip
    if (command.phantom or command.kind == "charge") and catalogue.is_part(command.sku):
        return Refusal("catalogue.is_part", f"{command.sku!r} is a component of a kit and needs stock of its own.",
                       "Take it out of the kit first.", "sku", command.sku)  # fmt: skip
    seen: set[str] = set()
    for at, part in enumerate(command.components):
        item = catalogue.item(part.sku)
        fault = _part_fault(part, item, command.sku)
        if fault is None and item is not None and item.id in seen:
            fault = "is there twice; give the sum of both"
        if fault is not None or item is None:
            return Refusal("catalogue.component", f"The component {part.sku!r} {fault}.",
                           "Correct the components; nothing was changed.", f"components[{at}]", part.sku)  # fmt: skip
        seen.add(item.id)
    return None


def _part_fault(part: KitPart, item: Item | None, sku: str) -> str | None:
    if part.sku == sku or (item is not None and item.sku == sku):
        return "is the kit itself"
    if item is None:
        return "is not an item; register it first"
    if item.phantom:
        return "is a phantom kit, which has no stock; name what that is made of"
    if item.kind == "charge":
        return "is a charge, which has no stock"
    return "has no quantity above zero" if part.quantity <= 0 else None


def _item(
    catalogue: Catalogue, command: RegisterItem, known: Item | None, fields: dict[str, Value], new_id: str
) -> Item:
    number = command.gtin
    wrong = number is not None and gtin.fault(number) is not None
    parts = [(catalogue.item(part.sku), part.quantity) for part in command.components]
    item = Item(
        id=known.id if known else new_id,
        sku=command.sku,
        name=command.name,
        kind=command.kind,
        gtin=None if wrong else number,
        weight_g=command.weight_g,
        category=command.category,
        unit_price=command.unit_price,
        currency=command.currency,
        version=known.version + 1 if known else 1,
        phantom=command.phantom,
        components=tuple(Component(item.id, Decimal(quantity)) for item, quantity in parts if item is not None),
        tax_class=command.tax_class,
        tracking=command.tracking,
        expires=command.expires,
        lead_days=command.lead_days,
        units={name: Decimal(number) for name, number in sorted(command.units.items())},
        fields=fields,
        **{name: value for name in STAYS if (value := _given(command, known, name)) is not None},
    )
    return msgspec.structs.replace(item, findings=findings_of(item, gtin_wrong=wrong))


STAYS = (
    "length_mm", "width_mm", "height_mm", "packs", "return_days", "brand", "net_content", "net_content_unit",
    "formulation", "certifications", "price_on_pack", "supplier",
)  # fmt: skip
"""The attributes of an item that stay as they are when a registration leaves them out."""


def _given(command: RegisterItem, known: Item | None, name: str) -> Any:
    """Return the attribute as it is kept: what the command says, else what is known; None where there is none."""
    value = getattr(command, name)
    if value is msgspec.UNSET:
        return getattr(known, name) if known is not None else None
    return packs_of(value) if name == "packs" and value is not None else value


def _item_objects(state: State, command: RegisterItem, policies: Policies) -> tuple[Governed, ...]:
    """Return the governed fields that the registration would change; of a new item, those it gives a value."""
    known = state.of(Catalogue).item(command.sku)
    fields = checked(policies.get(CustomFields, "item"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal) or (known is not None and known.sku != command.sku):
        return ()
    item = _item(state.of(Catalogue), command, known, fields, f"sku:{command.sku}")
    return _governed(state, "item", known, item, policies)


def _location_objects(state: State, command: RegisterLocation, policies: Policies) -> tuple[Governed, ...]:
    known = state.of(Catalogue).location(command.code)
    fields = checked(policies.get(CustomFields, "location"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal):
        return ()
    return _governed(state, "location", known, _location(command, known, fields, f"code:{command.code}"), policies)


def _governed(state: State, entity: Entity, known: Row | None, row: Row, policies: Policies) -> tuple[Governed, ...]:
    found = governed_fields(state, entity, known, row, policies)
    return tuple(sorted(found, key=lambda one: one.object))


def _undo_item(state: State, command: RegisterItem, policies: Policies) -> AmendItems | Refusal:
    """Return the amendment that puts back what a known item is; what is new is not made unknown again."""
    known = state.of(Catalogue).item(command.sku)
    if known is None:
        return _not_undone(command.sku)
    given = dict.fromkeys(name for name in ItemFields.__struct_fields__ if name != "fields")
    fields = json.convert({**present(known, given), "fields": {**dict.fromkeys(command.fields), **known.fields}},
                          ItemFields)  # fmt: skip
    return AmendItems(rows=(ItemPatch(sku=known.sku, fields=fields, gtin_kept_because=PUT_BACK),), reason=PUT_BACK)


def _undo_location(state: State, command: RegisterLocation, policies: Policies) -> AmendLocations | Refusal:
    known = state.of(Catalogue).location(command.code)
    if known is None:
        return _not_undone(command.code)
    given = dict.fromkeys(name for name in LocationFields.__struct_fields__ if name != "fields")
    fields = json.convert({**present(known, given), "fields": {**dict.fromkeys(command.fields), **known.fields}},
                          LocationFields)  # fmt: skip
    return AmendLocations(rows=(LocationPatch(code=known.code, fields=fields),), reason=PUT_BACK)


def _not_undone(key: str) -> Refusal:
    return Refusal("catalogue.registered", f"{key!r} is registered by this; what is known does not become unknown.",
                   "Amend its fields instead.", "sku", key)  # fmt: skip


def _taken(key: str, item: Item) -> Refusal:
    return Refusal(
        "catalogue.key_taken",
        f"{key!r} already names the item {item.sku!r} ({item.id}).",
        "Use another SKU, or register it as the alias of one item only.",
        "sku",
        key,
    )


def _wants_item(state: State, command: RegisterItem, policies: Policies) -> None:
    catalogue = state.of(Catalogue)
    for key in _keys_of(command):
        catalogue.want_item(key, change=True)
    state.of(Amendments).want(item=command.sku)
    if isinstance(command.supplier, str):
        state.of(Partners).want(command.supplier)
    if command.phantom or command.kind == "charge":
        catalogue.want_use_as_part(command.sku)


def _wants_location(state: State, command: RegisterLocation, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.code, change=True)
    state.of(Amendments).want(location=command.code)


def _keys_of(command: RegisterItem) -> tuple[str, ...]:
    """A kit's parts are held, too: none becomes a phantom while the kit is registered."""
    return (command.sku, *command.aliases, *(part.sku for part in command.components))


VERBS = (
    Verb(
        name="catalogue.register_item",
        command=RegisterItem,
        decide=register_item,
        wants=_wants_item,
        touches=lambda command: tuple(f"sku:{key}" for key in _keys_of(command)),
        governance=Governance(keys=KEYS["item"], objects=_item_objects, undo=_undo_item),
    ),
    Verb(
        name="catalogue.register_location",
        command=RegisterLocation,
        decide=register_location,
        wants=_wants_location,
        touches=lambda command: (f"location:{command.code}",),
        governance=Governance(keys=KEYS["location"], objects=_location_objects, undo=_undo_location),
    ),
)
