"""What a customer wants, as it comes from outside: lines, charges, where it goes, and what was agreed about it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.catalogue.state import Catalogue
from trueup.core.countries import is_country
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields, Given, Value, checked
from trueup.core.money import Amount, booked, is_currency
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity, plain
from trueup.core.verb import Body, Command, State
from trueup.orders.business import LineTerms, Terms, terms_refusal
from trueup.orders.channel import Channel, Short
from trueup.orders.state import Delivery
from trueup.parties.state import Contact
from trueup.stock.reserve import unknown_location

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
LINES_MAX = 500


def _nothing() -> Amount:
    return Amount(0)


class PlaceLine(Body, frozen=True, forbid_unknown_fields=True):
    """What a customer wants: any key of the item, units above zero, the price of one unit.

    unit_price: the catalogue's where it is left out. unit: a unit of measure of the item that quantity and price are
    in; each, where it is left out. business: what was agreed for this line.
    """

    sku: str
    quantity: Quantity
    unit_price: Amount | None = None
    description: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    unit: Name | None = None
    business: LineTerms | None = None


class Charge(Body, frozen=True, forbid_unknown_fields=True):
    """What is paid besides the goods, e.g. `SHIPPING`; it has no stock."""

    code: Name
    amount: Amount
    description: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class Basket(Command, frozen=True, kw_only=True):
    """What orders and drafts have in common.

    channel: names the policy it is taken under; type: the workflow. location: code of the only place that may serve it;
    with delivery `pickup`, where it is picked up. external_ids: system -> the number it knows this order by; each is
    unique for ever. customer: number in `customer_source`. contact: personal words, kept once; the journal gets their
    id. promised_at: by when the customer was told to have it; sourcing heeds it. ship_region, ship_postcode, latitude,
    longitude: of where it goes. priority: higher is sourced earlier.
    discount: of the whole order, shared over its lines. source_total: what the shop said; kept, flagged if it differs.
    business: what was agreed beside goods and prices. fields: custom ones; nothing personal belongs there.
    short: what becomes of what stock does not cover, where the channel lets an order say so; None is as it says itself.
    """

    channel: Name = "web"
    location: str | None = None
    charges: Annotated[tuple[Charge, ...], msgspec.Meta(max_length=50)] = ()
    discount: Amount = msgspec.field(default_factory=_nothing)
    external_ids: Annotated[dict[Name, Name], msgspec.Meta(max_length=20)] = msgspec.field(default_factory=dict)
    customer: str | None = None
    customer_source: str = ""
    contact: Contact | str | None = None
    ship_country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None
    source_total: Amount | None = None
    placed_at: datetime | None = None
    promised_at: datetime | None = None
    type: Name = "sale"
    delivery: Delivery = "ship"
    ship_region: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    ship_postcode: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    latitude: Quantity | None = None
    longitude: Quantity | None = None
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    business: Terms | None = None
    fields: Given | None = None
    short: Short | None = None


def short_of(basket: Basket, channel: Channel) -> Short | Refusal:
    """Return what becomes of what stock does not cover: what the basket asks for, else what its channel says."""
    if basket.short is None or basket.short in ("refuse", channel.short, *channel.short_choices):
        return basket.short or channel.short
    there = sorted({"refuse", channel.short, *channel.short_choices})
    return Refusal("orders.short_choice", f"Orders of channel {basket.channel!r} may not ask for {basket.short!r}.",
                   f"Leave it out, or choose one of: {', '.join(there)}.", "short", basket.short)  # fmt: skip


def basket_refusal(basket: Basket, currency: str, lines: tuple[PlaceLine, ...]) -> Refusal | None:
    """Refuse what cannot be understood of a basket whatever the stock: currency, times, amounts, agreed terms."""
    if not is_currency(currency):
        return Refusal("orders.currency", f"{currency!r} is not a currency.", "Use an ISO 4217 code.",
                       "currency", currency)  # fmt: skip
    for where, moment in (("placed_at", basket.placed_at), ("promised_at", basket.promised_at)):
        if moment is not None and moment.tzinfo is None:
            return Refusal("orders.time_without_zone", f"The time {moment} has no zone.",
                           "State the offset, as in 2026-03-01T10:00Z.", where, str(moment))  # fmt: skip
    amounts = [(f"charges[{at}].amount", charge.amount) for at, charge in enumerate(basket.charges)]
    if basket.discount:
        amounts.append(("discount", basket.discount))
    for where, amount in amounts:
        if amount != booked(amount, currency) or amount < 0:
            return Refusal("orders.amount", f"{plain(amount)} cannot be booked in {currency}.",
                           "Send zero or more, with the currency's decimals.", where, str(amount))  # fmt: skip
    if basket.ship_country is not None and not is_country(basket.ship_country):
        return Refusal("orders.country", f"{basket.ship_country!r} is no country.", "Use ISO 3166-1, as in DE.",
                       "ship_country", basket.ship_country)  # fmt: skip
    agreed: list[tuple[Terms | LineTerms, str]] = [(basket.business, "business")] if basket.business is not None else []
    agreed += [(line.business, f"lines[{at}].business") for at, line in enumerate(lines) if line.business is not None]
    for terms, where in agreed:
        refusal = terms_refusal(terms, where)
        if refusal is not None:
            return refusal
    return None


def custom_fields(basket: Basket, policies: Policies) -> dict[str, Value] | Refusal:
    """Return the custom fields as an order keeps them, or why one may not stand."""
    rules = policies.find(CustomFields, "order")
    if rules is None and not basket.fields:
        return {}
    return checked(rules or CustomFields(), basket.fields or {})


def serving(basket: Basket, channel: Channel) -> tuple[str, ...]:
    """Return the codes of the locations a basket may be reserved at, first choice first."""
    return channel.serving if basket.location is None else (basket.location,)


def places_of(state: State, basket: Basket, channel: Channel) -> tuple[str, ...] | Refusal:
    """Return the ids of the locations a basket may be reserved at, first choice first."""
    if basket.delivery == "pickup" and basket.location is None:
        return Refusal("orders.pickup_where", "An order to be picked up names no location.",
                       "Name the store as `location`.", "location")  # fmt: skip
    found = []
    for code in serving(basket, channel):
        location = state.of(Catalogue).location(code)
        if location is None:
            return unknown_location(code) if basket.location is not None else _unserved(basket.channel, code)
        found.append(location.id)
    return tuple(found)


def _unserved(channel: str, code: str) -> Refusal:
    return Refusal("catalogue.unknown_location", f"Channel {channel!r} is served from {code!r}, which is no location.",
                   "Use another channel, name a `location`, or say in the policy `channel` where this one is served.",
                   "channel", channel)  # fmt: skip


def discount_refusal(basket: Basket, worth: Decimal) -> Refusal | None:
    """Refuse a discount of more than the goods are worth."""
    if basket.discount <= worth:
        return None
    return Refusal("orders.discount", f"The discount is more than the goods' {plain(worth)}.",
                   "Lower it; what a customer is owed beyond an order is no discount.",
                   "discount", str(basket.discount))  # fmt: skip
