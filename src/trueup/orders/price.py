"""What a basket costs: its prices, the discount's shares, freight, and tax, by the terms of its channel."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from trueup.catalogue.state import Catalogue, Item
from trueup.core.errors import Refusal
from trueup.core.money import LIMIT, Amount
from trueup.core.quantity import ZERO, plain
from trueup.core.verb import Context, State
from trueup.orders.basket import Basket, Charge, PlaceLine
from trueup.orders.changes import LineTaxed
from trueup.orders.channel import NO_TAX, Channel
from trueup.orders.tax import Place, TaxItem, TaxRequest
from trueup.orders.taxing import charge_class, customer_of, lines_elsewhere, named, on_lines, tax_day, tax_quote
from trueup.orders.totals import Priced, freight_of, priced, with_tax
from trueup.stock.reserve import Demand


class Sums(msgspec.Struct, frozen=True):
    """What lines and charges come to. taxed: by number; charges are numbered after the lines. flags: of the tax."""

    amounts: list[Decimal]
    discounts: list[Decimal]
    charges: tuple[Charge, ...]
    taxed: dict[int, LineTaxed] = {}
    flags: tuple[str, ...] = ()
    ship_from: str | None = None


def prices_of(lines: Sequence[PlaceLine], wanted: Sequence[Demand], currency: str) -> list[Decimal] | Refusal:
    """Return the price of one unit of each line, as it is sold: as stated, or the catalogue's where none is.

    Refuses a price below zero, a line that amounts to too much, and a line without a price whose item has none in the
    order's currency.
    """
    prices: list[Decimal] = []
    for at, (line, demand) in enumerate(zip(lines, wanted, strict=True)):
        price: Decimal | None = line.unit_price
        if price is None:
            price = _list_price(demand.item, demand.quantity / line.quantity, currency)
            if price is None:
                return Refusal("orders.price_unknown", f"{line.sku!r} has no price in {currency}.",
                               "Send a unit_price, or register the item with one.",
                               f"lines[{at}].unit_price", line.sku)  # fmt: skip
        if price < 0:
            return Refusal("orders.price", f"The price of {line.sku!r} is below zero.", "Send a discount instead.",
                           f"lines[{at}].unit_price", str(price))  # fmt: skip
        if line.quantity * price >= LIMIT:
            return Refusal("orders.amount_too_large", f"Line {at + 1} amounts to {LIMIT:f} or more.",
                           "Correct quantity and price.", f"lines[{at}]", plain(line.quantity))  # fmt: skip
        prices.append(price)
    return prices


def _list_price(item: Item, units: Decimal, currency: str) -> Decimal | None:
    return item.unit_price * units if item.unit_price is not None and item.currency == currency else None


def sums_of(
    state: State,
    basket: Basket,
    lines: Sequence[PlaceLine],
    wanted: Sequence[Demand],
    prices: Sequence[Decimal],
    currency: str,
    channel: Channel,
    context: Context,
) -> Sums | Refusal:
    """Total a basket: amounts, the discount's shares, its charges and the channel's freight, and the tax on them.

    Refuses only what the tax provider and the channel's `on_outage` refuse. Source: behaviours 24, 25 and 26.
    """
    sold = [(line.quantity, price) for line, price in zip(lines, prices, strict=True)]
    charges = basket.charges
    sums = priced(sold, [charge.amount for charge in charges], basket.discount, currency, channel.terms)
    if channel.freight:
        fee = _freight(basket, wanted, sums, currency, channel)
        if fee is not None:
            charges = (*charges, Charge(channel.freight_code, Amount(fee)))
            sums = priced(sold, [charge.amount for charge in charges], basket.discount, currency, channel.terms)
    if channel.tax == NO_TAX:
        return Sums(sums.amounts, sums.discounts, charges)
    request = _request(state, basket, wanted, charges, sums, currency, channel, context)
    terms = [line.business for line in lines]
    elsewhere = lines_elsewhere(terms) if any(terms) and basket.delivery == "ship" else {}
    quote = tax_quote(channel, context.policies, request, elsewhere)
    if isinstance(quote, Refusal):
        return quote
    ship_from = named(request.ship_from)
    if quote.note == "none":
        return Sums(sums.amounts, sums.discounts, charges, {}, quote.flags, ship_from)
    sums = with_tax(sums, [line.quantity for line in lines], currency, channel.terms, quote.rates, quote.charges)
    return Sums(sums.amounts, sums.discounts, charges, on_lines(sums.taxed), quote.flags, ship_from)


def _freight(basket: Basket, wanted: Sequence[Demand], sums: Priced, currency: str, channel: Channel) -> Decimal | None:
    rule = channel.freight.get(currency)
    stated = any(charge.code == channel.freight_code for charge in basket.charges)
    if rule is None or stated or basket.delivery == "pickup":
        return None
    shipped = [demand for demand in wanted if demand.item.kind != "charge"]
    weights = [demand.item.weight_g for demand in shipped]
    weight = None
    if rule.rule == "by_weight" and None not in weights:
        weight = sum((d.quantity * w for d, w in zip(shipped, weights, strict=True) if w is not None), ZERO)
    goods = sum(sums.amounts, ZERO) - basket.discount
    return freight_of(rule, goods, weight, sum((demand.quantity for demand in shipped), ZERO))


def _request(
    state: State,
    basket: Basket,
    wanted: Sequence[Demand],
    charges: Sequence[Charge],
    sums: Priced,
    currency: str,
    channel: Channel,
    context: Context,
) -> TaxRequest:
    fee_class = charge_class(channel)
    place = state.of(Catalogue).location(basket.location) if basket.location is not None else None
    ships = basket.delivery == "ship" and basket.ship_country is not None
    return TaxRequest(
        currency=currency,
        ship_from=Place(place.country) if place is not None and place.country else None,
        ship_to=Place(basket.ship_country, basket.ship_region) if ships and basket.ship_country else None,
        lines=tuple(
            [
                TaxItem(demand.item.tax_class, amount - share if share else amount)
                for demand, amount, share in zip(wanted, sums.amounts, sums.discounts, strict=True)
            ]
        ),
        charges=tuple([TaxItem(fee_class, charge.amount) for charge in charges]),
        customer=customer_of(basket.business),
        on=tax_day(channel, context.now).date(),
    )
