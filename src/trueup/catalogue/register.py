"""Register an item or a location, and give an item another spelling."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from zoneinfo import available_timezones

import msgspec

from trueup.catalogue import gtin
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
)
from trueup.catalogue.units import EACH
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields, Given, Value, checked
from trueup.core.money import Amount, is_currency
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Context, Decision, State, Verb

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^\S(.*\S)?$")]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^\S(.*\S)?$")]
Unit = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^\S(.*\S)?$")]
Days = Annotated[int, msgspec.Meta(ge=0, le=3650)]
PerDay = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


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
    `fields` policy does not know; nothing is written then. A repetition that changes nothing ends as merged.
    Source: behaviour 14.
    """
    catalogue = state.of(Catalogue)
    known = catalogue.item(command.sku)
    if known is not None and known.sku != command.sku:
        return _taken(command.sku, known)
    refusal = _item_refusal(command) or _kit_refusal(catalogue, command)
    if refusal is not None:
        return refusal
    fields = checked(context.policies.get(CustomFields, "item"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal):
        return fields
    item = _item(catalogue, command, known, fields, context)
    events: list[ItemRegistered | AliasAdded] = []
    if known is None or msgspec.structs.replace(item, version=known.version) != known:
        events.append(ItemRegistered(item=item, at=context.now))
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
    refusal = _location_refusal(command)
    if refusal is not None:
        return refusal
    fields = checked(context.policies.get(CustomFields, "location"), command.fields, known.fields if known else None)
    if isinstance(fields, Refusal):
        return fields
    location = _location(command, known, fields, context)
    result = {"location": location.id, "code": location.code}
    if known is not None and msgspec.structs.replace(location, version=known.version) == known:
        return Accepted((), location.id, result, "merged")
    return Accepted([LocationRegistered(location=location, at=context.now)], location.id, result)


def _location(
    command: RegisterLocation, known: Location | None, fields: dict[str, Value], context: Context
) -> Location:
    capacity = command.capacity_per_day
    return Location(
        id=known.id if known else context.new_id("loc"),
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


def _location_refusal(command: RegisterLocation) -> Refusal | None:
    if command.timezone not in available_timezones():
        return Refusal("catalogue.timezone", f"{command.timezone[:60]!r} is not a time zone.",
                       "Use an IANA name such as Europe/Berlin.", "timezone", command.timezone[:60])  # fmt: skip
    if (command.latitude is None) != (command.longitude is None):
        return Refusal("catalogue.position", "A position has a latitude and a longitude.", "Send both, or neither.",
                       "latitude" if command.latitude is None else "longitude")  # fmt: skip
    for name, value, most in (("latitude", command.latitude, 90), ("longitude", command.longitude, 180)):
        if value is not None and abs(value) > most:
            return Refusal("catalogue.position", f"There is no {name} {plain(value)}.",
                           f"Send degrees from -{most} to {most}.", name, plain(value))  # fmt: skip
    return None


def _item_refusal(command: RegisterItem) -> Refusal | None:
    if command.currency is not None and not is_currency(command.currency):
        return Refusal("catalogue.currency", f"{command.currency!r} is not a currency.", "Use an ISO 4217 code.",
                       "currency", command.currency)  # fmt: skip
    if command.weight_g is not None and command.weight_g < 0:
        return Refusal("catalogue.weight", "A weight is zero or more grams.", "Leave it out where it is not known.",
                       "weight_g", str(command.weight_g))  # fmt: skip
    if command.expires and command.tracking == "none":
        return Refusal("catalogue.expiry", "Only lots and serial numbers carry an expiry date.",
                       "Set tracking to lot or serial, or leave expires out.", "expires", "true")  # fmt: skip
    for name, number in command.units.items():
        if number <= 0 or name == EACH:
            return Refusal("catalogue.unit", f"{plain(number)} {EACH} is no {name!r}.",
                           f"Say how many {EACH} one is, above zero; {EACH} itself is one and needs no entry.",
                           f"units.{name}", plain(number))  # fmt: skip
    return None


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
    catalogue: Catalogue, command: RegisterItem, known: Item | None, fields: dict[str, Value], context: Context
) -> Item:
    findings = []
    number = command.gtin
    if number is not None and gtin.fault(number) is not None:
        findings.append("gtin.invalid")
        number = None
    parts = [(catalogue.item(part.sku), part.quantity) for part in command.components]
    return Item(
        id=known.id if known else context.new_id("itm"),
        sku=command.sku,
        name=command.name,
        kind=command.kind,
        gtin=number,
        weight_g=command.weight_g,
        category=command.category,
        unit_price=command.unit_price,
        currency=command.currency,
        findings=tuple(findings),
        version=known.version + 1 if known else 1,
        phantom=command.phantom,
        components=tuple(Component(item.id, Decimal(quantity)) for item, quantity in parts if item is not None),
        tax_class=command.tax_class,
        tracking=command.tracking,
        expires=command.expires,
        lead_days=command.lead_days,
        units={name: Decimal(number) for name, number in sorted(command.units.items())},
        fields=fields,
    )


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
    if command.phantom or command.kind == "charge":
        catalogue.want_use_as_part(command.sku)


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
    ),
    Verb(
        name="catalogue.register_location",
        command=RegisterLocation,
        decide=register_location,
        wants=lambda state, command, policies: state.of(Catalogue).want_location(command.code, change=True),
        touches=lambda command: (f"location:{command.code}",),
    ),
)
