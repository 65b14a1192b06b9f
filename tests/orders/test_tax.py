"""Tax: the table's rules, what an outage does, and the life of a tax from estimate to reversal.

The seller is in Germany; the other two are a consumer and a business, in France or elsewhere.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.quantity import Quantity
from trueup.orders.tax import (
    Note,
    OnOutage,
    Place,
    TableProvider,
    TaxCustomer,
    TaxItem,
    TaxOutage,
    TaxQuote,
    TaxRequest,
    TaxTable,
    committed,
    quoted,
    recomputed,
    reversal,
    tax_id_country,
)
from trueup.orders.totals import Taxable, Taxed, TaxRate, Terms, kept, priced, taxed

DAY = date(2026, 3, 2)
DOCUMENT: dict[str, Any] = {
    "home": "DE",
    "union": ["DE", "FR", "AT"],
    "exemptions": [
        {"code": "EMBASSY", "reason": "VATEX-EU-151"},
        {"code": "NONPROFIT", "reason": "VATEX-EU-132", "countries": ["DE"]},
    ],
    "entries": [
        {"country": "DE", "rate": 16, "valid_from": "2020-07-01", "valid_to": "2020-12-31"},
        {"country": "DE", "rate": "19", "valid_from": "2021-01-01"},
        {"country": "DE", "tax_class": "books", "rate": "7"},
        {"country": "DE", "tax_class": "letters", "rate": 0, "category": "E", "reason": "VATEX-EU-132-1A"},
        {"country": "FR", "rate": "20"},
        {"country": "FR", "region": "20", "rate": "0.9"},
        {"country": "FR", "tax_class": "papers", "rate": 0},
    ],
}
TABLE = TableProvider(json.convert(DOCUMENT, TaxTable), version=3)
BUSINESS = TaxCustomer(business=True, tax_id="FR 40 303 265 045")
CONSUMER = TaxCustomer()
GERMANY, FRANCE = Place("DE"), Place("FR")


def asked(
    *classes: str | None,
    ship_from: Place | None = GERMANY,
    ship_to: Place | None = GERMANY,
    customer: TaxCustomer = CONSUMER,
    on: date = DAY,
    charges: tuple[str | None, ...] = (None,),
) -> TaxRequest:
    def items(of: tuple[str | None, ...]) -> tuple[TaxItem, ...]:
        return tuple(TaxItem(tax_class, Decimal(10)) for tax_class in of)

    return TaxRequest(
        currency="EUR",
        ship_from=ship_from,
        ship_to=ship_to,
        lines=items(classes or (None,)),
        charges=items(charges),
        customer=customer,
        on=on,
    )


def quote(request: TaxRequest, provider: TableProvider = TABLE) -> TaxQuote:
    answer = provider.quote(request)
    assert isinstance(answer, TaxQuote), answer
    return answer


def with_table(**changes: object) -> TableProvider:
    return TableProvider(json.convert({**DOCUMENT, **changes}, TaxTable))


def short(rate: TaxRate) -> tuple[str, str, str]:
    return str(rate.rate), rate.category, rate.code


# --- the table ---------------------------------------------------------------------------------------------------


def test_each_class_has_its_rate_and_charges_follow_the_goods():
    answer = quote(asked(None, "books", "letters", charges=(None, "books")))
    assert [short(rate) for rate in answer.rates] == [("19", "S", "DE"), ("7", "S", "DE"), ("0", "E", "DE")]
    assert answer.rates[2].reason == "VATEX-EU-132-1A"
    assert answer.charges == (None, answer.rates[1])
    assert (answer.note, answer.provider, answer.version, answer.flags) == ("standard", "table", 3, ())


@pytest.mark.parametrize(
    ("on", "rate"),
    [("2020-07-01", "16"), ("2020-12-31", "16"), ("2021-01-01", "19"), ("2020-06-30", None)],
)
def test_the_rate_is_that_of_the_day(on: str, rate: str | None):
    answer = TABLE.quote(asked(on=date.fromisoformat(on)))
    if rate is None:
        assert answer == TaxOutage("table", f"no rate for DE, class 'standard', on {on}")
    else:
        assert isinstance(answer, TaxQuote)
        assert str(answer.rates[0].rate) == rate


@pytest.mark.parametrize(("principle", "code", "rate"), [("destination", "FR", "20"), ("origin", "DE", "19")])
def test_a_consumer_in_the_union_pays_by_the_principle(principle: str, code: str, rate: str):
    provider = with_table(principle=principle)
    assert short(quote(asked(ship_to=FRANCE), provider).rates[0]) == (rate, "S", code)
    assert short(quote(asked(ship_from=None, ship_to=FRANCE), provider).rates[0]) == (rate, "S", code), "home is taken"
    assert quote(asked(ship_from=FRANCE, ship_to=None), provider).rates[0].code == "FR", "handed over there"


def test_a_regions_rate_goes_before_its_countrys():
    answer = quote(asked(None, "papers", ship_to=Place("FR", "20")))
    assert [short(rate) for rate in answer.rates] == [("0.9", "S", "FR-20"), ("0", "Z", "FR")]
    assert short(quote(asked(ship_to=Place("FR", "75"))).rates[0]) == ("20", "S", "FR")


@pytest.mark.parametrize(
    ("customer", "note", "goods", "service", "flags"),
    [
        (BUSINESS, "reverse_charge", ("K", "VATEX-EU-IC"), ("AE", "VATEX-EU-AE"), ()),
        (TaxCustomer(business=True, tax_id="ATU13585627"), "reverse_charge", ("K", "VATEX-EU-IC"),
         ("AE", "VATEX-EU-AE"), ()),
        (TaxCustomer(business=True), "standard", ("S", ""), ("S", ""), ()),
        (TaxCustomer(tax_id=BUSINESS.tax_id), "standard", ("S", ""), ("S", ""), ()),
        (TaxCustomer(business=True, tax_id="FR40303265046"), "standard", ("S", ""), ("S", ""),
         ("tax_id_not_accepted",)),
        (TaxCustomer(business=True, tax_id="DE136695976"), "standard", ("S", ""), ("S", ""), ("tax_id_not_accepted",)),
        (TaxCustomer(business=True, tax_id="CHE107787577"), "standard", ("S", ""), ("S", ""),
         ("tax_id_not_accepted",)),
    ],
)  # fmt: skip
def test_reverse_charge_is_for_a_business_with_a_number_of_another_country(
    customer: TaxCustomer,
    note: Note,
    goods: tuple[str, str],
    service: tuple[str, str],
    flags: tuple[str, ...],
):
    entries = [*DOCUMENT["entries"], {"country": "FR", "tax_class": "service", "rate": 20}]
    answer = quote(asked(None, "service", ship_to=FRANCE, customer=customer), with_table(entries=entries))
    assert (answer.note, answer.flags) == (note, flags)
    assert [(rate.category, rate.reason) for rate in answer.rates] == [goods, service]
    assert all((rate.rate == 0) == (rate.category != "S") for rate in answer.rates)


def test_a_business_at_home_pays():
    answer = quote(asked(customer=BUSINESS))
    assert (answer.note, short(answer.rates[0]), answer.flags) == ("standard", ("19", "S", "DE"), ())


@pytest.mark.parametrize("customer", [TaxCustomer(), BUSINESS, TaxCustomer(exemption="EMBASSY")])
@pytest.mark.parametrize(("ship_from", "ship_to"), [("DE", "CH"), ("US", "DE")])
def test_what_leaves_the_union_or_comes_from_outside_is_export(customer: TaxCustomer, ship_from: str, ship_to: str):
    answer = quote(asked(None, "books", ship_from=Place(ship_from), ship_to=Place(ship_to), customer=customer))
    assert answer.note == "export"
    assert {(*short(rate), rate.reason) for rate in answer.rates} == {("0", "G", ship_to, "VATEX-EU-G")}


@pytest.mark.parametrize(
    ("code", "ship_to", "note", "flags"),
    [
        ("EMBASSY", "FR", "exempt", ()),
        ("NONPROFIT", "DE", "exempt", ()),
        ("NONPROFIT", "FR", "standard", ("tax_exemption_not_accepted",)),
        ("FRIEND", "DE", "standard", ("tax_exemption_not_accepted",)),
    ],
)
def test_an_exemption_holds_where_the_table_says(code: str, ship_to: str, note: Note, flags: tuple[str, ...]):
    answer = quote(asked(ship_to=Place(ship_to), customer=TaxCustomer(exemption=code)))
    assert (answer.note, answer.flags) == (note, flags)
    if note == "exempt":
        assert short(answer.rates[0]) == ("0", "E", ship_to)
        assert answer.rates[0].reason.startswith("VATEX-EU-1")


def test_without_a_table_nothing_is_taxed():
    empty = TableProvider(TaxTable())
    answer = quoted(empty, asked(ship_to=Place("ZZ")), empty, "refuse")
    assert answer == TaxQuote((), (), "none", "table")


def test_without_a_union_other_countries_are_export_and_regions_count():
    entries = [{"country": "US", "rate": 0}, {"country": "US", "region": "CA", "rate": "7.25"}]
    provider = TableProvider(json.convert({"home": "US", "entries": entries}, TaxTable))
    california, nevada = Place("US", "CA"), Place("US", "NV")
    assert short(quote(asked(ship_from=nevada, ship_to=california), provider).rates[0]) == ("7.25", "S", "US-CA")
    assert short(quote(asked(ship_from=california, ship_to=nevada), provider).rates[0]) == ("0", "Z", "US")
    assert quote(asked(ship_from=california, ship_to=Place("CA")), provider).note == "export"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"rate": 101}, "rate: 101 per cent is not between 0 and 100"),
        ({"rate": "-1"}, "rate: -1 per cent is not between"),
        ({"rate": 19.0}, "never a float"),
        ({"country": "UK"}, "country: 'UK' is no country"),
        ({"country": "de"}, "country: 'de' is no country"),
        ({"valid_from": "2026-01-02", "valid_to": "2026-01-01"}, "valid_to: 2026-01-01 is before valid_from"),
        ({"category": "Z"}, "category: Z does not fit a rate of 20 per cent"),
        ({"rate": 0, "category": "S"}, "category: S does not fit a rate of 0"),
        ({"rate": 0, "category": "E"}, "reason: an exempt class says"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_it_refuses_an_entry_with_a_mistake_and_says_where(changes: dict[str, object], place: str):
    entries = [*DOCUMENT["entries"], {"country": "AT", "rate": 20, **changes}]
    with pytest.raises(msgspec.ValidationError, match=place) as refused:
        with_table(entries=entries)
    assert "entries[" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"home": None}, "home: a table with entries names"),
        ({"home": "EU"}, "home: 'EU' is no country"),
        ({"union": ["DE", "EL"]}, r"union\[1\]: 'EL' is no country"),
        ({"exemptions": [{"code": "A", "reason": "B", "countries": ["XX"]}]}, r"countries\[0\]: 'XX' is no country"),
        ({"exemptions": [{"code": "A", "reason": "B"}, {"code": "A", "reason": "C"}]}, r"exemptions\[1\].code: 'A'"),
    ],
)
def test_it_refuses_a_table_with_a_mistake_and_says_where(changes: dict[str, object], place: str):
    with pytest.raises(msgspec.ValidationError, match=place):
        with_table(**changes)


@pytest.mark.parametrize(
    ("first", "second", "day"),
    [
        ({}, {"valid_from": "2026-01-01"}, "2026-01-01"),
        ({"valid_to": "2026-01-01"}, {"valid_from": "2026-01-01"}, "2026-01-01"),
        ({"valid_from": "2026-01-01"}, {"valid_from": "2025-01-01", "valid_to": "2026-06-30"}, "2026-01-01"),
        ({"region": "9"}, {"region": "9", "valid_from": "2026-01-01"}, "2026-01-01"),
    ],
)
def test_it_refuses_two_rates_for_one_day_and_names_both(first: object, second: object, day: str):
    entries = [{"country": "DE", "rate": 19}, *({"country": "AT", "rate": 20, **one} for one in (first, second))]  # type: ignore[dict-item]
    with pytest.raises(msgspec.ValidationError, match=rf"entries\[(1\] and entries\[2|2\] and entries\[1)\].*{day}"):
        with_table(entries=entries)


@pytest.mark.parametrize(
    "second", [{"valid_from": "2026-01-02"}, {"region": "9"}, {"tax_class": "books"}, {"country": "DE"}]
)
def test_rates_that_follow_each_other_or_differ_in_place_or_class_are_fine(second: dict[str, object]):
    first = {"country": "AT", "rate": 20, "valid_to": "2026-01-01"}
    assert with_table(entries=[first, {"country": "AT", "rate": 10, **second}]).table.entries


@pytest.mark.parametrize(
    ("number", "country"),
    [("DE136695976", "DE"), ("de 136 695 976", "DE"), ("EL094259216", "GR"), ("DE136695977", None), ("", None),
     ("DE", None), ("CHE107787577", "CH"), ("EU372022452", None), ("ＤＥ136695976", None)],
)  # fmt: skip
def test_a_tax_number_tells_who_issued_it(number: str, country: str | None):
    assert tax_id_country(number) == country


@given(st.text(max_size=20) | st.from_regex(r"(DE|FR|IT|ES|IE|NL|XI)[ -~]{0,15}", fullmatch=True))
def test_no_tax_number_breaks_anything(number: str):
    country = tax_id_country(number)
    assert country is None or len(country) == 2


# --- outages -----------------------------------------------------------------------------------------------------


class Fixed:
    """A provider that always answers the same."""

    def __init__(self, answer: TaxQuote | TaxOutage) -> None:
        self.answer = answer

    def quote(self, request: TaxRequest) -> TaxQuote | TaxOutage:
        return self.answer


SPAIN = asked(None, "books", ship_to=Place("ES"))
S21 = TaxRate(Decimal(21), "S", "ES")
FITTING = TaxQuote((S21, S21), (None,), "standard", "other", 9)


def test_an_answer_is_taken_as_it_is():
    assert quoted(Fixed(FITTING), SPAIN, TABLE, "refuse") == FITTING


@pytest.mark.parametrize(
    "answer",
    [
        TaxOutage("other", "timed out"),
        msgspec.structs.replace(FITTING, rates=(S21,)),
        msgspec.structs.replace(FITTING, charges=()),
        msgspec.structs.replace(FITTING, rates=(S21, TaxRate(Decimal(2100), "S", "ES"))),
        msgspec.structs.replace(FITTING, charges=(TaxRate(Decimal(-1), "S", "ES"),)),
    ],
)
@pytest.mark.parametrize(
    ("on_outage", "flags"),
    [("estimate", ("tax_estimated",)), ("hold", ("tax_estimated", "tax_hold")), ("refuse", None)],
)
def test_an_outage_or_an_answer_that_does_not_fit_goes_by_policy(
    answer: TaxQuote | TaxOutage, on_outage: OnOutage, flags: tuple[str, ...] | None
):
    found = quoted(Fixed(answer), asked(None, "books", ship_to=FRANCE), TABLE, on_outage)
    if flags is None:
        assert isinstance(found, Refusal)
        assert (found.rule, found.value) == ("orders.tax_outage", "FR")
        assert "other" in found.what
    else:
        assert isinstance(found, TaxQuote)
        assert (found.provider, found.flags) == ("table", ("tax_rate_missing", *flags))
        assert [short(rate) for rate in found.rates] == [("20", "S", "FR")] * 2, "books at the standard rate"


@pytest.mark.parametrize(
    ("place", "what"), [("AT", "no rate for AT, class 'standard', on 2026-03-02"), ("ZZ", "'ZZ' is no country")]
)
def test_a_table_without_the_rate_is_an_outage_too(place: str, what: str):
    request = asked(ship_to=Place(place))
    answer = TABLE.quote(request)
    assert isinstance(answer, TaxOutage)
    assert what in answer.what
    refused = quoted(TABLE, request, TABLE, "refuse")
    assert isinstance(refused, Refusal)
    assert what in refused.what
    found = quoted(TABLE, request, TABLE, "hold")
    assert isinstance(found, TaxQuote)
    assert found.flags == ("tax_rate_missing", "tax_estimated", "tax_hold")
    assert short(found.rates[0]) == ("19", "S", "DE"), "nothing better is known than the rate of home"


# --- the life of a tax -------------------------------------------------------------------------------------------

LINES = (
    Taxable(1, Decimal(2), Decimal("24.20"), None),
    Taxable(2, Decimal(1), Decimal("8.00"), None),
)
FEES = (Taxable(3, Decimal(1), Decimal("4.90"), None),)


def estimate(ship_to: Place, terms: Terms, customer: TaxCustomer = CONSUMER) -> tuple[TaxQuote, tuple[Taxed, ...]]:
    answer = quote(asked(None, "papers" if ship_to == FRANCE else "books", ship_to=ship_to, customer=customer))
    lines = [(Decimal(2), Decimal("12.10")), (Decimal(1), Decimal("8.00"))]
    result = priced(lines, [Decimal("4.90")], Decimal(0), "EUR", terms, answer.rates, answer.charges)
    return answer, result.taxed


@pytest.mark.parametrize("included", [False, True])
def test_a_new_address_is_taxed_anew_and_amounts_stay(included: bool):
    terms = Terms(prices_include_tax=included)
    _, before = estimate(GERMANY, terms)
    answer, after = estimate(FRANCE, terms)
    change = recomputed(before, answer, LINES, FEES, "EUR", terms)
    assert change is not None
    assert change.taxed == after
    assert change.lines == (1, 2, 3)
    assert (change.before, change.after) == (sum(p.tax for p in before), sum(p.tax for p in after))
    assert change.before != change.after
    stated = Decimal("37.10")
    assert sum(part.base for part in change.taxed) == (stated - change.after if included else stated)


def test_only_lines_that_are_taxed_otherwise_are_named():
    terms = Terms()
    answer, before = estimate(GERMANY, terms)
    assert recomputed(before, answer, LINES, FEES, "EUR", terms) is None
    books = msgspec.structs.replace(answer, rates=(answer.rates[0], TaxRate(Decimal(5), "S", "DE")))
    change = recomputed(before, books, LINES, FEES, "EUR", terms)
    assert change is not None
    assert (change.lines, change.after - change.before) == ((2,), Decimal("-0.16"))


def test_a_business_that_turns_out_to_pay_itself_owes_no_tax():
    _, before = estimate(FRANCE, Terms())
    answer, _ = estimate(FRANCE, Terms(), BUSINESS)
    change = recomputed(before, answer, LINES, FEES, "EUR", Terms())
    assert change is not None
    assert change.after == 0
    assert [part.rate.category for part in change.taxed] == ["K", "K", "K"]


def test_a_quote_for_other_lines_is_not_applied():
    answer, before = estimate(GERMANY, Terms())
    with pytest.raises(ValueError, match="zip"):
        recomputed(before, answer, LINES[:1], FEES, "EUR", Terms())


def part_of(quantity: int, base: str, tax: str) -> Taxed:
    return Taxed(1, Decimal(quantity), TaxRate(Decimal(19), "S", "DE"), Decimal(base), Decimal(tax))


def test_invoices_and_cancellations_together_are_the_line_in_any_order():
    """1.67 with 0.33 of tax, two units: what the invoice takes and what the cancellation credits are the line."""
    part = part_of(2, "1.67", "0.33")
    invoice = committed(part, Decimal(0), Decimal(1), "EUR")
    assert (invoice.base, invoice.tax) == (Decimal("0.83"), Decimal("0.16"))
    assert invoice.base == kept(part.base, Decimal(2), Decimal(1), "EUR"), "what the order comes to without the other"
    assert invoice.tax == kept(part.tax, Decimal(2), Decimal(1), "EUR")


@pytest.mark.parametrize(("before", "units"), [(0, 0), (0, 4), (3, 1), (-1, 1), (1, -1)])
def test_units_the_line_does_not_have_are_neither_committed_nor_reversed(before: int, units: int):
    part = part_of(3, "1.00", "0.19")
    for act in (committed, reversal):
        with pytest.raises(ValueError, match="are not in line 1, which has 3"):
            act(part, Decimal(before), Decimal(units), "EUR")


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=10)
minors = st.integers(0, 10**6).map(lambda minor: Decimal(minor).scaleb(-2))


@given(sizes, minors, minors, st.randoms(use_true_random=False))
def test_reversals_sum_to_what_was_committed_in_any_order(sizes: list[int], base: Decimal, tax: Decimal, chance: Any):
    part = Taxed(1, Decimal(sum(sizes)), TaxRate(Decimal(19), "S", "DE"), base, tax)
    chance.shuffle(sizes)
    gone, parts = 0, []
    for size in sizes:
        parts.append(reversal(part, Decimal(gone), Decimal(size), "EUR"))
        gone += size
    assert sum(one.tax for one in parts) == tax
    assert sum(one.base for one in parts) == base
    assert {one.rate for one in parts} == {part.rate}, "at the rate it was committed at"
    for one in parts:
        assert abs(one.tax - tax * one.quantity / part.quantity) <= Decimal("0.01")


@given(sizes, st.data(), minors, minors)
def test_what_is_cancelled_committed_and_reversed_always_sums_to_the_line(
    sizes: list[int], data: st.DataObject, base: Decimal, tax: Decimal
):
    part = Taxed(1, Decimal(sum(sizes)), TaxRate(Decimal(19), "S", "DE"), base, tax)
    invoiced = cancelled = Decimal(0)
    invoices: list[Taxed] = []
    for size in sizes:
        if data.draw(st.booleans()):
            invoices.append(committed(part, invoiced, Decimal(size), "EUR"))
            invoiced += size
        else:
            cancelled += size
    left = kept(tax, part.quantity, cancelled, "EUR")
    assert sum(one.tax for one in invoices) == left, "what the order's totals say is what was invoiced"
    assert sum(one.base for one in invoices) == kept(base, part.quantity, cancelled, "EUR")
    back = [reversal(one, Decimal(0), one.quantity, "EUR") for one in invoices]
    assert sum(one.tax for one in back) == left
    assert all(one.tax >= 0 for one in invoices)


def test_a_policy_document_reads_as_it_was_written():
    again = json.decode(json.encode(TABLE.table), TaxTable)
    assert again == TABLE.table
    assert all(type(entry.rate) is Decimal for entry in again.entries)
    assert not any(isinstance(entry.rate, Quantity) for entry in again.entries)


def test_a_taxed_line_survives_the_journal():
    parts = taxed([Taxable(1, Decimal(3), Decimal("9.99"), TaxRate(Decimal("5.5"), "S", "FR"))], "EUR", Terms())
    assert json.decode(json.encode(parts), tuple[Taxed, ...]) == parts
