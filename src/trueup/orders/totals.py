"""Totals: line amounts, the discount's shares, taxes and freight, and what is left of them when units are cancelled.

Pure functions over plain values. Amounts stay as they were stated: where prices include tax, line amounts, charges and
discounts do too, and the tax is inside the total instead of on top of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, Protocol

import msgspec

from trueup.core.money import Amount, Apportion, apportion_amount, booked, minor_unit, total_of
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Body

Rounding = Literal["per_line", "per_total", "per_unit"]
FreightTax = Literal["highest", "proportional", "class"]
Category = Literal["S", "Z", "E", "AE", "G", "K", "O"]
_HUNDRED, _ONE = Decimal(100), Decimal(1)


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an order's money is computed; an order keeps the terms it was captured under. Source: behaviours 24, 25, 39.

    rounding: where tax is rounded half up: on each line, once per rate over the order, or on each unit.
    apportion: which lines get the odd minor units of a shared discount.
    prices_include_tax: whether unit prices, charges and discounts are stated with tax.
    freight_tax: a charge is taxed at the highest rate of the goods, in proportion to their rates, or as its own class.
    freight_class: that class.
    """

    rounding: Rounding = "per_line"
    apportion: Apportion = "largest_remainder"
    prices_include_tax: bool = False
    freight_tax: FreightTax = "highest"
    freight_class: str = "standard"


class TaxRate(msgspec.Struct, array_like=True, frozen=True):
    """A rate and why it applies. rate: per cent. code: the jurisdiction, `DE` or `US-CA`.

    category: VAT category of EN 16931 (UNCL5305): S standard, Z zero-rated, E exempt, AE reverse charge, G export,
    K supply within the union, O no tax at all. reason: code of the exemption, e.g. `VATEX-EU-IC`.
    """

    rate: Decimal
    category: Category
    code: str = ""
    reason: str = ""


class Taxable(msgspec.Struct, array_like=True, frozen=True):
    """What is taxed: a line's number, its units (not zero), its amount after discount, and its rate.

    rate: None for a charge that is taxed as the goods are, by the terms' `freight_tax`.
    """

    line: int
    quantity: Decimal
    amount: Decimal
    rate: TaxRate | None


class Taxed(msgspec.Struct, array_like=True, frozen=True):
    """The tax of one line at one rate: base before tax, and tax; both of `quantity` units together.

    A line of goods has one; a charge taxed in proportion has one for each rate of the goods.
    """

    line: int
    quantity: Decimal
    rate: TaxRate
    base: Decimal
    tax: Decimal


class RateTotal(msgspec.Struct, array_like=True, frozen=True):
    """What an order is taxed at one rate."""

    rate: TaxRate
    base: Decimal
    tax: Decimal


class Totals(msgspec.Struct, frozen=True):
    """An order's money in its currency: goods + charges - discount = total, plus tax where prices do not include it."""

    goods: Decimal
    charges: Decimal
    discount: Decimal
    tax: Decimal
    total: Decimal

    @property
    def net(self) -> Decimal:
        """The total before tax, whether prices include it or not."""
        return self.total - self.tax


class Priced(msgspec.Struct, frozen=True):
    """What lines and charges come to, each list in their order; `taxed` numbers lines from 1, then charges."""

    amounts: list[Decimal]
    discounts: list[Decimal]
    taxes: list[Decimal]
    charges: list[Decimal]
    charge_taxes: list[Decimal]
    taxed: tuple[Taxed, ...]


class Sold(Protocol):
    """A line as totals need it: `amount`, `discount` and `tax` are of the line before anything was cancelled."""

    @property
    def kind(self) -> str:
        """`charge`, or a kind of goods."""

    @property
    def quantity(self) -> Decimal:
        """Units ordered."""

    @property
    def cancelled(self) -> Decimal:
        """Units of them that were cancelled."""

    @property
    def amount(self) -> Decimal:
        """The booked value."""

    @property
    def discount(self) -> Decimal:
        """The share of the order's discount."""

    @property
    def tax(self) -> Decimal:
        """The tax, on top of the amount or inside it."""


# --- totals ------------------------------------------------------------------------------------------------------


def priced(
    lines: Sequence[tuple[Decimal, Decimal]],
    charges: Sequence[Decimal],
    discount: Decimal,
    currency: str,
    terms: Terms,
    rates: Sequence[TaxRate] = (),
    charge_rates: Sequence[TaxRate | None] = (),
) -> Priced:
    """Book each line (quantity, unit price), share the discount over them, and tax lines and charges.

    Without rates nothing is taxed; else there is one for each line, and one or None (as the goods are) for each charge.
    Source: behaviours 24, 25 and 26.
    """
    unit = minor_unit(currency)
    amounts = [(quantity * price).quantize(unit, ROUND_HALF_UP) for quantity, price in lines]
    fees = [charge.quantize(unit, ROUND_HALF_UP) for charge in charges]
    shares = apportion_amount(discount, amounts, currency, terms.apportion) if discount else [ZERO] * len(amounts)
    untaxed = Priced(amounts, shares, [ZERO] * len(amounts), fees, [ZERO] * len(fees), ())
    return with_tax(untaxed, [quantity for quantity, _ in lines], currency, terms, rates, charge_rates)


def with_tax(
    untaxed: Priced,
    quantities: Sequence[Decimal],
    currency: str,
    terms: Terms,
    rates: Sequence[TaxRate],
    charge_rates: Sequence[TaxRate | None],
) -> Priced:
    """Tax what is priced already; rates as at `priced`. quantities: of the lines, as sold."""
    if not rates:
        return untaxed
    amounts, shares, fees = untaxed.amounts, untaxed.discounts, untaxed.charges
    taxables = [
        Taxable(number, quantity, amount - share if share else amount, rate)
        for number, (quantity, amount, share, rate) in enumerate(
            zip(quantities, amounts, shares, rates, strict=True), 1
        )
    ]
    for number, (fee, charge_rate) in enumerate(zip(fees, charge_rates, strict=True), len(amounts) + 1):
        taxables.append(Taxable(number, _ONE, fee, charge_rate))
    parts = taxed(taxables, currency, terms)
    taxes = [ZERO] * len(taxables)
    for part in parts:
        taxes[part.line - 1] += part.tax
    return Priced(amounts, shares, taxes[: len(amounts)], fees, taxes[len(amounts) :], parts)


def totals_of(lines: Iterable[Sold], currency: str, *, prices_include_tax: bool = False) -> Totals:
    """Total what is left of an order's lines; a cancelled unit takes its share of amount, discount and tax with it.

    Net and tax always sum to the total, and the parts of a line to the line. Source: behaviours 19, 25 and 27.
    """
    goods = charges = discount = tax = ZERO
    for line in lines:
        amount, share, taxed_at = line.amount, line.discount, line.tax
        if line.cancelled:
            amount, share, taxed_at = (
                kept(part, line.quantity, line.cancelled, currency) for part in (amount, share, taxed_at)
            )
        if line.kind == "charge":
            charges += amount
        else:
            goods += amount
        discount += share
        tax += taxed_at
    total = goods + charges - discount
    return Totals(goods, charges, discount, tax, total if prices_include_tax else total + tax)


def kept(amount: Decimal, quantity: Decimal, cancelled: Decimal, currency: str) -> Decimal:
    """Return what a line keeps of an amount when `cancelled` of its units are gone: all, less their booked share.

    Rounding half up favours the one who cancels, and what is cancelled last takes the rest, so that the parts sum to
    the amount and nothing is left of it in the end. Source: behaviour 27.
    """
    if not cancelled or not quantity:
        return amount
    return amount - booked(amount * cancelled / quantity, currency)


# --- tax ---------------------------------------------------------------------------------------------------------


def taxed(lines: Sequence[Taxable], currency: str, terms: Terms) -> tuple[Taxed, ...]:
    """Tax each line at its rate, rounded half up where the terms say.

    Where prices include tax, the tax is rounded and the base is the rest. Per total: the tax of a rate is that of all
    its bases together, shared over them by the largest remainder. Raises ValueError on charges to be taxed as goods
    that are not there. Source: behaviours 25 and 26.
    """
    parts = lines if all(line.rate is not None for line in lines) else _as_the_goods(lines, currency, terms)
    unit, included = minor_unit(currency), terms.prices_include_tax
    if terms.rounding == "per_total":
        taxes = _taxes_per_total(parts, currency, included=included)
    else:
        taxes = [_tax(part, unit, included=included, per_unit=terms.rounding == "per_unit") for part in parts]
    return tuple(
        Taxed(part.line, part.quantity, _rate(part), part.amount - tax if included else part.amount, tax)
        for part, tax in zip(parts, taxes, strict=True)
    )


def by_rate(parts: Iterable[Taxed]) -> list[RateTotal]:
    """Sum taxes by rate, in the order in which the rates first appear."""
    found: dict[TaxRate, list[Taxed]] = {}
    for part in parts:
        found.setdefault(part.rate, []).append(part)
    return [
        RateTotal(rate, total_of([part.base for part in same]), total_of([part.tax for part in same]))
        for rate, same in found.items()
    ]


def _rate(part: Taxable) -> TaxRate:
    if part.rate is None:
        raise ValueError(f"line {part.line} is taxed as the goods are, and has no rate of its own")
    return part.rate


def _tax(part: Taxable, unit: Decimal, *, included: bool, per_unit: bool) -> Decimal:
    rate = _rate(part).rate
    if not rate:
        return ZERO
    # Multiplied first and divided once, so that a tie is seen as one.
    of = _HUNDRED + rate if included else _HUNDRED
    if per_unit:
        each = (part.amount * rate / (of * part.quantity)).quantize(unit, ROUND_HALF_UP)
        return (each * part.quantity).quantize(unit, ROUND_HALF_UP)
    return (part.amount * rate / of).quantize(unit, ROUND_HALF_UP)


def _taxes_per_total(parts: Sequence[Taxable], currency: str, *, included: bool) -> list[Decimal]:
    places: dict[TaxRate, list[int]] = {}
    for place, part in enumerate(parts):
        places.setdefault(_rate(part), []).append(place)
    taxes = [ZERO] * len(parts)
    for rate, same in places.items():
        amounts = [parts[place].amount for place in same]
        whole = Taxable(0, Decimal(1), total_of(amounts), rate)
        tax = _tax(whole, minor_unit(currency), included=included, per_unit=False)
        if tax:
            for place, share in zip(same, apportion_amount(tax, amounts, currency), strict=True):
                taxes[place] = share
    return taxes


def _as_the_goods(lines: Sequence[Taxable], currency: str, terms: Terms) -> list[Taxable]:
    """Give each charge without a rate the goods' highest, or split it over their rates by what they come to."""
    worth: dict[TaxRate, Decimal] = {}
    for line in lines:
        if line.rate is not None:
            worth[line.rate] = worth.get(line.rate, ZERO) + line.amount
    if not worth:
        raise ValueError("a charge is taxed as the goods are, and no line has a rate")
    rates = list(worth)
    if terms.freight_tax != "proportional":
        rates = [max(rates, key=lambda rate: rate.rate)]
    weights = [worth[rate] for rate in rates]
    parts: list[Taxable] = []
    for line in lines:
        if line.rate is not None:
            parts.append(line)
        elif len(rates) == 1:
            parts.append(Taxable(line.line, line.quantity, line.amount, rates[0]))
        else:
            shares = apportion_amount(line.amount, weights, currency)
            parts += [
                Taxable(line.line, line.quantity, share, rate)
                for rate, share in zip(rates, shares, strict=True)
                if share
            ]
    return parts


# --- freight -----------------------------------------------------------------------------------------------------


class FreightStep(Body, frozen=True, forbid_unknown_fields=True):
    """What is charged up to a weight in grams or a goods total; up_to: None in the last step, for all beyond."""

    amount: Amount
    up_to: Quantity | None = None


class Freight(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a channel charges for shipping, once per order, in one currency.

    rule: nothing; `amount`; or the step that the order's weight or its goods total falls into.
    amount: of the flat rule; by weight, what is charged when the weight of an item is not known.
    free_from: goods total from which nothing is charged.
    """

    rule: Literal["none", "flat", "by_weight", "by_amount"] = "none"
    amount: Amount = Amount(0)
    steps: tuple[FreightStep, ...] = ()
    free_from: Amount | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for amounts below zero, and for steps that are missing, out of order, or leave a gap."""
        super().__post_init__()
        amounts = [self.amount, *(step.amount for step in self.steps), self.free_from or ZERO]
        if min(amounts) < 0:
            raise ValueError(f"freight below zero: {plain(min(amounts))}")
        if bool(self.steps) != self.rule.startswith("by_"):
            raise ValueError(f"rule {self.rule!r} {'has no' if self.steps else 'needs'} steps")
        limits = [step.up_to for step in self.steps]
        if limits and limits[-1] is not None:
            raise ValueError(
                f"steps[{len(limits) - 1}].up_to: the last step has none, or an order beyond has no freight"
            )
        for place, limit in enumerate(limits[:-1]):
            if limit is None or limit <= (limits[place - 1] or ZERO if place else ZERO):
                raise ValueError(f"steps[{place}].up_to: each step ends above the one before; only the last has no end")


def freight_of(freight: Freight, goods: Decimal, weight_g: Decimal | None, units: Decimal) -> Decimal | None:
    """Return the freight to charge when an order names none; None when there is nothing to charge.

    goods: their total after discount. weight_g: grams of all units, None when one is not known. units: of goods that
    are shipped; without one there is no freight.
    """
    if freight.rule == "none" or units <= 0 or (freight.free_from is not None and goods >= freight.free_from):
        return None
    measure = goods if freight.rule == "by_amount" else weight_g
    if freight.rule == "flat" or measure is None:
        return freight.amount or None
    step = next(step for step in freight.steps if step.up_to is None or measure <= step.up_to)
    return step.amount or None


def demand_bookable(freights: Mapping[str, Freight]) -> None:
    """Raise ValueError for freight by currency code that its currency cannot book, naming the place."""
    for currency, freight in freights.items():
        amounts = {"amount": freight.amount, "free_from": freight.free_from or ZERO}
        amounts |= {f"steps[{place}].amount": step.amount for place, step in enumerate(freight.steps)}
        for where, amount in amounts.items():
            if amount != booked(amount, currency):
                raise ValueError(f"{currency}.{where}: {plain(amount)} has more decimals than {currency} is paid in")
