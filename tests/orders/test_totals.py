"""What an order comes to: line amounts, discounts, taxes, freight, and what is left of them. Behaviours 19, 24 to 27.

Figures are checked against fractions, which cannot round; only the half-up rule is written a second time here.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core import json
from trueup.core.money import Amount, Apportion, minor_unit, total_of
from trueup.core.quantity import Quantity
from trueup.orders.totals import (
    Freight,
    FreightStep,
    FreightTax,
    Priced,
    Rounding,
    Taxable,
    TaxRate,
    Terms,
    Totals,
    by_rate,
    demand_bookable,
    freight_of,
    kept,
    priced,
    taxed,
    totals_of,
)

ROUNDINGS: tuple[Rounding, ...] = ("per_line", "per_total", "per_unit")


class Sale(msgspec.Struct, frozen=True):
    """A line of an order, as totals need it."""

    kind: str
    quantity: Decimal
    amount: Decimal
    discount: Decimal
    tax: Decimal
    cancelled: Decimal = Decimal(0)


def vat(rate: str, code: str = "DE") -> TaxRate:
    return TaxRate(Decimal(rate), "S", code)


def sales(result: Priced, quantities: list[Decimal]) -> list[Sale]:
    goods = [
        Sale("good", *values) for values in zip(quantities, result.amounts, result.discounts, result.taxes, strict=True)
    ]
    fees = zip(result.charges, result.charge_taxes, strict=True)
    return goods + [Sale("charge", Decimal(1), fee, Decimal(0), tax) for fee, tax in fees]


def order(
    lines: list[tuple[str, str, TaxRate]],
    terms: Terms,
    charges: tuple[str, ...] = (),
    discount: str = "0",
    currency: str = "EUR",
) -> tuple[Priced, Totals]:
    sold = [(Decimal(quantity), Decimal(price)) for quantity, price, _ in lines]
    fees = [Decimal(charge) for charge in charges]
    rates = [rate for _, _, rate in lines]
    result = priced(sold, fees, Decimal(discount), currency, terms, rates, [None] * len(fees))
    return result, totals_of(
        sales(result, [quantity for quantity, _ in sold]), currency, prices_include_tax=terms.prices_include_tax
    )


def half_up(exact: Fraction) -> int:
    return floor(exact + Fraction(1, 2))


# --- the examples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounding", "gross"), [("per_line", "755.04"), ("per_total", "755.04"), ("per_unit", "755.20")]
)
def test_behaviour_25_the_policy_says_where_tax_is_rounded(rounding: Rounding, gross: str):
    _, totals = order([("80", "7.80", vat("21"))], Terms(rounding=rounding))
    assert (totals.net, totals.total) == (Decimal("624.00"), Decimal(gross))
    assert totals.net + totals.tax == totals.total


@pytest.mark.parametrize(("currency", "price", "unit"), [("JPY", "100", "1"), ("EUR", "1.00", "0.01")])
@pytest.mark.parametrize(
    ("rounding", "net", "tax"), [("per_line", 167, 33), ("per_total", 167, 33), ("per_unit", 166, 34)]
)
def test_behaviour_25_tax_is_taken_out_of_prices_that_include_it(
    currency: str, price: str, unit: str, rounding: Rounding, net: int, tax: int
):
    """Two times a hundred minor units, including 20 %: 167 + 33, in yen as in cents."""
    terms = Terms(prices_include_tax=True, rounding=rounding)
    result, totals = order([("2", price, vat("20"))], terms, currency=currency)
    assert (totals.goods, totals.total) == (200 * Decimal(unit), 200 * Decimal(unit)), "the stated price is paid"
    assert (totals.net, totals.tax) == (net * Decimal(unit), tax * Decimal(unit))
    assert (result.taxed[0].base, result.taxed[0].tax) == (totals.net, totals.tax)


def test_behaviour_25_the_same_in_whole_euros_keeps_its_cents():
    _, totals = order([("2", "100.00", vat("20"))], Terms(prices_include_tax=True))
    assert (totals.net, totals.tax, totals.total) == (Decimal("166.67"), Decimal("33.33"), Decimal(200))


@pytest.mark.parametrize(("rounding", "tax"), [("per_line", "1.04"), ("per_unit", "1.04"), ("per_total", "1.02")])
def test_behaviour_26_percentages_are_rounded_per_line(rounding: Rounding, tax: str):
    lines = [("1", price, vat("10")) for price in ("1.06", "2.06", "3.06", "4.06")]
    result, totals = order(lines, Terms(rounding=rounding))
    assert totals.tax == sum(result.taxes) == Decimal(tax)
    if rounding == "per_line":
        assert [str(share) for share in result.taxes] == ["0.11", "0.21", "0.31", "0.41"]


@pytest.mark.parametrize(
    ("quantity", "amount", "rate", "per_line", "per_unit"),
    [("1", "0.50", "5", "0.03", "0.03"), ("1", "1.50", "19", "0.29", "0.29"), ("3", "1.00", "1.5", "0.02", "0.03"),
     ("3", "1.00", "19.5", "0.20", "0.21"), ("7", "2.50", "21", "0.53", "0.56"), ("3", "3.25", "6", "0.20", "0.21")],
)  # fmt: skip
def test_a_tie_is_rounded_up_even_where_the_price_of_a_unit_never_ends(
    quantity: str, amount: str, rate: str, per_line: str, per_unit: str
):
    line = Taxable(1, Decimal(quantity), Decimal(amount), vat(rate))
    assert taxed([line], "EUR", Terms())[0].tax == Decimal(per_line)
    assert taxed([line], "EUR", Terms(rounding="per_total"))[0].tax == Decimal(per_line)
    assert taxed([line], "EUR", Terms(rounding="per_unit"))[0].tax == Decimal(per_unit)


def test_a_tie_inside_a_price_goes_to_the_tax():
    part = taxed([Taxable(1, Decimal(1), Decimal("0.05"), vat("100"))], "EUR", Terms(prices_include_tax=True))[0]
    assert (part.base, part.tax) == (Decimal("0.02"), Decimal("0.03"))


@pytest.mark.parametrize(
    ("apportion", "shares"),
    [("largest_remainder", ["0.34", "0.33", "0.33"]), ("first_lines", ["0.34", "0.33", "0.33"]),
     ("last_line", ["0.33", "0.33", "0.34"])],
)  # fmt: skip
def test_behaviour_24_a_discount_is_shared_by_the_policy_and_lowers_the_tax(apportion: Apportion, shares: list[str]):
    lines = [("1", "10.00", vat("20")), ("1", "10.00", vat("20")), ("1", "10.00", vat("0"))]
    result, totals = order(lines, Terms(apportion=apportion), discount="1.00")
    assert [str(share) for share in result.discounts] == shares
    assert totals.discount == Decimal("1.00")
    assert [part.base for part in result.taxed] == [Decimal(10) - Decimal(share) for share in shares]


def test_without_rates_nothing_is_taxed():
    result = priced([(Decimal(2), Decimal("1.005"))], [Decimal(5)], Decimal(0), "EUR", Terms())
    assert result.amounts == [Decimal("2.01")]
    assert result.taxes == result.charge_taxes == [Decimal(0)]
    assert result.taxed == ()
    assert str(result.charges[0]) == "5.00", "booked with the currency's decimals"


# --- freight -----------------------------------------------------------------------------------------------------

MIXED = [("3", "10.00", vat("19")), ("1", "10.00", vat("7"))]


@pytest.mark.parametrize(
    ("freight_tax", "parts"),
    [("highest", [("19", "4.90", "0.93")]), ("proportional", [("19", "3.68", "0.70"), ("7", "1.22", "0.09")])],
)
def test_freight_is_taxed_at_the_highest_rate_or_in_proportion(
    freight_tax: FreightTax, parts: list[tuple[str, str, str]]
):
    result, totals = order(MIXED, Terms(freight_tax=freight_tax), charges=("4.90",))
    found = [(str(part.rate.rate), str(part.base), str(part.tax)) for part in result.taxed if part.line == 3]
    assert found == parts
    assert result.charge_taxes == [sum(Decimal(tax) for _, _, tax in parts)]
    assert totals.total == totals.goods + totals.charges + totals.tax


def test_freight_with_a_class_of_its_own_is_taxed_at_its_rate():
    lines = [(Decimal(3), Decimal("10.00"))]
    result = priced(lines, [Decimal("5.00")], Decimal(0), "EUR", Terms(), [vat("19")], [vat("7")])
    assert result.charge_taxes == [Decimal("0.35")]


def test_freight_as_the_goods_needs_goods():
    with pytest.raises(ValueError, match="no line has a rate"):
        taxed([Taxable(1, Decimal(1), Decimal(5), None)], "EUR", Terms())


def test_the_tax_of_a_total_is_that_of_all_its_bases_by_rate():
    result, totals = order(MIXED, Terms(rounding="per_total"), charges=("4.90",), discount="0.07")
    assert [(str(one.rate.rate), str(one.base)) for one in by_rate(result.taxed)] == [("19", "34.85"), ("7", "9.98")]
    assert [one.tax for one in by_rate(result.taxed)] == [Decimal("6.62"), Decimal("0.70")]
    assert totals.tax == Decimal("7.32")


STEPS = (FreightStep(up_to=Quantity(2000), amount=Amount("4.90")), FreightStep(amount=Amount("9.90")))


@pytest.mark.parametrize(
    ("freight", "goods", "weight", "expected"),
    [
        (Freight(), "10", "1", None),
        (Freight(rule="flat", amount=Amount("4.90")), "10", None, "4.90"),
        (Freight(rule="flat", amount=Amount("4.90"), free_from=Amount(50)), "49.99", None, "4.90"),
        (Freight(rule="flat", amount=Amount("4.90"), free_from=Amount(50)), "50.00", None, None),
        (Freight(rule="by_weight", steps=STEPS), "10", "2000", "4.90"),
        (Freight(rule="by_weight", steps=STEPS), "10", "2000.001", "9.90"),
        (Freight(rule="by_weight", steps=STEPS, amount=Amount(7)), "10", None, "7"),
        (Freight(rule="by_amount", steps=STEPS), "2000", "9", "4.90"),
        (Freight(rule="by_amount", steps=STEPS), "2001", None, "9.90"),
    ],
)
def test_freight_is_charged_once_by_the_stated_rule(
    freight: Freight, goods: str, weight: str | None, expected: str | None
):
    weight_g = None if weight is None else Decimal(weight)
    found = freight_of(freight, Decimal(goods), weight_g, Decimal(3))
    assert found == (None if expected is None else Decimal(expected))
    assert freight_of(freight, Decimal(goods), weight_g, Decimal(0)) is None, "nothing is shipped"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"rule": "flat", "amount": "-1"}, "below zero: -1"),
        ({"rule": "flat", "amount": 4.9}, "amount"),
        ({"rule": "by_weight"}, "'by_weight' needs steps"),
        ({"rule": "flat", "steps": [{"amount": "1"}]}, "'flat' has no steps"),
        ({"rule": "by_weight", "steps": [{"amount": "1", "up_to": 5}]}, r"steps\[0\].up_to: the last step"),
        ({"rule": "by_weight", "steps": [{"amount": "1"}, {"amount": "2"}]}, r"steps\[0\].up_to: each step"),
        ({"rule": "by_weight", "steps": [{"amount": "1", "up_to": 0}, {"amount": "2"}]}, r"steps\[0\].up_to: each"),
        ({"rule": "by_weight", "steps": [{"amount": "1", "up_to": 5}, {"amount": "2", "up_to": 5}, {"amount": "3"}]},
         r"steps\[1\].up_to: each step"),
    ],
)  # fmt: skip
def test_it_refuses_freight_with_a_mistake(document: dict[str, object], place: str):
    with pytest.raises(msgspec.ValidationError, match=place):
        json.convert(document, Freight)


def test_it_refuses_freight_that_the_currency_cannot_book():
    demand_bookable({"EUR": Freight(rule="by_weight", steps=STEPS), "JPY": Freight(rule="flat", amount=Amount(490))})
    with pytest.raises(ValueError, match=r"JPY.steps\[0\].amount: 4.9 has more decimals"):
        demand_bookable({"JPY": Freight(rule="by_weight", steps=STEPS)})


# --- what is left ------------------------------------------------------------------------------------------------


def test_behaviour_27_the_first_unit_credits_the_larger_half():
    line = Sale("good", Decimal(2), Decimal("1.67"), Decimal(0), Decimal("0.33"))
    left = [
        totals_of([msgspec.structs.replace(line, cancelled=Decimal(gone))], "EUR", prices_include_tax=True)
        for gone in range(3)
    ]
    credited = [before.total - after.total for before, after in pairwise(left)]
    assert [str(credit) for credit in credited] == ["0.84", "0.83"]
    assert left[2] == Totals(*[Decimal(0)] * 5), "the line ends at exactly nothing"


def test_behaviour_19_the_last_unit_cancelled_with_its_shipping_leaves_nothing():
    result, totals = order([("2", "12.10", vat("19"))], Terms(), charges=("4.90",), discount="0.99")
    assert totals.total == (Decimal("24.20") - Decimal("0.99") + Decimal("4.90")) + Decimal("5.34")
    lines = sales(result, [Decimal(2)])
    one = [msgspec.structs.replace(lines[0], cancelled=Decimal(1)), lines[1]]
    assert totals_of(one, "EUR") == Totals(
        Decimal("12.10"), Decimal("4.90"), Decimal("0.49"), Decimal("3.13"), Decimal("19.64")
    )
    none = [msgspec.structs.replace(line, cancelled=line.quantity) for line in lines]
    assert totals_of(none, "EUR") == Totals(*[Decimal(0)] * 5)


@given(
    st.integers(-(10**6), 10**6),
    st.integers(1, 60),
    st.lists(st.integers(1, 20), max_size=12),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_parts_of_a_line_always_sum_to_the_line(minor: int, quantity: int, turns: list[int], currency: str):
    amount = minor * minor_unit(currency)
    gone, credited = 0, Decimal(0)
    for units in [*turns, quantity]:
        before, gone = gone, min(quantity, gone + units)
        credit = kept(amount, Decimal(quantity), Decimal(before), currency) - kept(
            amount, Decimal(quantity), Decimal(gone), currency
        )
        exact = Fraction(amount) * (gone - before) / quantity
        assert abs(Fraction(credit) - exact) <= Fraction(minor_unit(currency))
        credited += credit
        assert kept(amount, Decimal(quantity), Decimal(gone), currency) == amount - credited
    assert credited == amount


# --- what always holds -------------------------------------------------------------------------------------------

rates = st.sampled_from([vat("19"), vat("7"), vat("21"), vat("5.5"), vat("8.875", "US-NY"), TaxRate(Decimal(0), "Z")])
prices = st.integers(0, 10**7).map(lambda minor: Decimal(minor).scaleb(-4))
baskets = st.lists(st.tuples(st.integers(1, 120), prices, rates), min_size=1, max_size=12)
terms = st.builds(
    Terms,
    rounding=st.sampled_from(ROUNDINGS),
    apportion=st.sampled_from(["largest_remainder", "first_lines", "last_line"]),
    prices_include_tax=st.booleans(),
    freight_tax=st.sampled_from(["highest", "proportional"]),
)


@given(baskets, st.lists(st.integers(0, 3000), max_size=3), st.integers(0, 100), terms, st.sampled_from(["EUR", "JPY"]))
def test_sums_are_totals_and_net_and_tax_are_gross(
    basket: list[tuple[int, Decimal, TaxRate]], fees: list[int], percent: int, terms: Terms, currency: str
):
    unit = minor_unit(currency)
    lines = [(Decimal(quantity), price) for quantity, price, _ in basket]
    worth = sum((Decimal(half_up(Fraction(q * p) / Fraction(unit))) * unit for q, p in lines), Decimal(0))
    discount = Decimal(int(worth / unit) * percent // 100) * unit
    charges = [fee * unit for fee in fees]
    result = priced(lines, charges, discount, currency, terms, [rate for _, _, rate in basket], [None] * len(charges))
    totals = totals_of(sales(result, [q for q, _ in lines]), currency, prices_include_tax=terms.prices_include_tax)
    assert (totals.goods, totals.discount, totals.charges) == (worth, discount, sum(charges))
    stated = worth - discount + sum(charges)
    assert totals.total == (stated if terms.prices_include_tax else stated + totals.tax)
    assert sum(part.tax for part in result.taxed) == totals.tax == sum(result.taxes) + sum(result.charge_taxes)
    assert sum(part.base for part in result.taxed) == totals.net == totals.total - totals.tax
    assert all(part.tax >= 0 and part.base >= 0 for part in result.taxed)
    assert all(amount == amount.quantize(unit) for part in result.taxed for amount in (part.base, part.tax))


@given(baskets, st.booleans())
def test_each_line_is_taxed_half_up_to_the_minor_unit(basket: list[tuple[int, Decimal, TaxRate]], included: bool):
    lines = [(Decimal(quantity), price) for quantity, price, _ in basket]
    line_rates = [rate for _, _, rate in basket]
    result = priced(lines, [], Decimal(0), "EUR", Terms(prices_include_tax=included), line_rates)
    for amount, tax, rate in zip(result.amounts, result.taxes, line_rates, strict=True):
        share = Fraction(rate.rate) / (100 + (Fraction(rate.rate) if included else 0))
        assert tax * 100 == half_up(Fraction(amount) * share * 100)
    for (quantity, price), amount in zip(lines, result.amounts, strict=True):
        assert amount * 100 == half_up(Fraction(quantity) * Fraction(price) * 100)


@given(st.lists(st.tuples(st.integers(1, 9), prices), min_size=1, max_size=12), rates, st.booleans())
def test_roundings_differ_by_no_more_than_they_round(lines: list[tuple[int, Decimal]], rate: TaxRate, included: bool):
    sold = [(Decimal(quantity), price) for quantity, price in lines]
    tax = {
        rounding: total_of(
            priced(
                sold, [], Decimal(0), "EUR", Terms(rounding=rounding, prices_include_tax=included), [rate] * len(sold)
            ).taxes
        )
        for rounding in ROUNDINGS
    }
    units = sum(quantity for quantity, _ in lines)
    assert abs(tax["per_line"] - tax["per_total"]) * 100 <= len(lines)
    assert abs(tax["per_unit"] - tax["per_line"]) * 100 <= units
    assert abs(tax["per_unit"] - tax["per_total"]) * 100 <= units


@given(baskets, st.booleans())
def test_the_tax_of_a_total_is_exact_by_rate_and_shared_without_loss(
    basket: list[tuple[int, Decimal, TaxRate]], included: bool
):
    lines = [(Decimal(quantity), price) for quantity, price, _ in basket]
    line_rates = [rate for _, _, rate in basket]
    how = Terms(rounding="per_total", prices_include_tax=included)
    result = priced(lines, [], Decimal(0), "EUR", how, line_rates)
    for one in by_rate(result.taxed):
        stated = sum(Fraction(a) for a, rate in zip(result.amounts, line_rates, strict=True) if rate == one.rate)
        share = Fraction(one.rate.rate) / (100 + (Fraction(one.rate.rate) if included else 0))
        assert one.tax * 100 == half_up(stated * share * 100)
