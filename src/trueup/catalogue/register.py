"""Register an item or a location, and give an item another spelling."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.catalogue import gtin
from trueup.catalogue.state import (
    AliasAdded,
    Catalogue,
    Item,
    ItemKind,
    ItemRegistered,
    Location,
    LocationKind,
    LocationRegistered,
)
from trueup.core.errors import Refusal
from trueup.core.money import Amount, is_currency
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^\S(.*\S)?$")]
Text = Annotated[str, msgspec.Meta(max_length=1000)]


class RegisterItem(Command, frozen=True, kw_only=True):
    """Make an item known, or replace its attributes.

    sku: what it is called; unique, letter case counts. gtin: kept only when its check digit is right.
    weight_g: grams of one unit. unit_price: list price in `currency`. aliases: other spellings it answers to.
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


class RegisterLocation(Command, frozen=True, kw_only=True):
    """Make a location known, or replace its attributes. country: ISO 3166-1 alpha-2."""

    code: Key
    name: Text
    kind: LocationKind = "warehouse"
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None


def register_item(state: State, command: RegisterItem, context: Context) -> Decision:
    """Register the item with its aliases; an attribute that is wrong is left out and listed as a finding.

    Refuses a key that another item answers to, an unknown currency and a negative weight; nothing is written then.
    A repetition that changes nothing ends as merged.
    """
    catalogue = state.of(Catalogue)
    known = catalogue.item(command.sku)
    if known is not None and known.sku != command.sku:
        return _taken(command.sku, known)
    if command.currency is not None and not is_currency(command.currency):
        return Refusal("catalogue.currency", f"{command.currency!r} is not a currency.", "Use an ISO 4217 code.",
                       "currency", command.currency)  # fmt: skip
    if command.weight_g is not None and command.weight_g < 0:
        return Refusal("catalogue.weight", "A weight is zero or more grams.", "Leave it out where it is not known.",
                       "weight_g", str(command.weight_g))  # fmt: skip
    item = _item(command, known, context)
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
    """Register the location; a repetition that changes nothing ends as merged."""
    known = state.of(Catalogue).location(command.code)
    location = Location(
        id=known.id if known else context.new_id("loc"),
        code=command.code,
        name=command.name,
        kind=command.kind,
        country=command.country,
        version=known.version + 1 if known else 1,
    )
    result = {"location": location.id, "code": location.code}
    if known is not None and msgspec.structs.replace(location, version=known.version) == known:
        return Accepted((), location.id, result, "merged")
    return Accepted([LocationRegistered(location=location, at=context.now)], location.id, result)


def _item(command: RegisterItem, known: Item | None, context: Context) -> Item:
    findings = []
    number = command.gtin
    if number is not None and gtin.fault(number) is not None:
        findings.append("gtin.invalid")
        number = None
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
    for key in (command.sku, *command.aliases):
        catalogue.want_item(key, change=True)


VERBS = (
    Verb(
        name="catalogue.register_item",
        command=RegisterItem,
        decide=register_item,
        wants=_wants_item,
        touches=lambda command: tuple(f"sku:{key}" for key in (command.sku, *command.aliases)),
    ),
    Verb(
        name="catalogue.register_location",
        command=RegisterLocation,
        decide=register_location,
        wants=lambda state, command, policies: state.of(Catalogue).want_location(command.code, change=True),
        touches=lambda command: (f"location:{command.code}",),
    ),
)
