"""Tax: what a provider is asked and answers, the provider that reads a table, and the life of a tax.

A tax is estimated at capture, recomputed when ship-from or address changes, committed at invoice, and reversed at the
rate it was committed at. Everything is pure: a provider that asks another system is asked before a rule decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Protocol

import msgspec
from stdnum.eu import vat

from trueup.core.countries import is_country
from trueup.core.errors import Refusal
from trueup.core.money import total_of
from trueup.core.policy import Policy
from trueup.core.quantity import Quantity, plain
from trueup.core.verb import Body
from trueup.orders.totals import Category, Taxable, Taxed, TaxRate, Terms, kept, taxed

Note = Literal["standard", "exempt", "reverse_charge", "export", "none"]
OnOutage = Literal["estimate", "hold", "refuse"]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]

STANDARD = "standard"
_UNTAXED = TaxRate(Decimal(0), "O")
_SUPPLY = TaxRate(Decimal(0), "K", "", "VATEX-EU-IC")
_REVERSE = TaxRate(Decimal(0), "AE", "", "VATEX-EU-AE")
_EXPORT = TaxRate(Decimal(0), "G", "", "VATEX-EU-G")


# --- what a provider is asked, and what it answers ----------------------------------------------------------------


class Place(msgspec.Struct, frozen=True):
    """Where goods leave or arrive: country by ISO 3166-1 alpha-2, region as the table writes it (`CA`)."""

    country: str
    region: str | None = None


class TaxItem(msgspec.Struct, frozen=True):
    """One line or charge to be taxed: its class, and its amount after discount, as stated.

    tax_class: None for the standard class; of a charge, None for one that is taxed as the goods are.
    """

    tax_class: str | None
    amount: Decimal


class TaxCustomer(msgspec.Struct, frozen=True):
    """What is known of the customer: a business or not, its tax number, the code under which it is exempt."""

    business: bool = False
    tax_id: str | None = None
    exemption: str | None = None


class TaxRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taxed. ship_from: None until it is known. ship_to: None when the goods are handed over there.

    on: the day, in the business's zone, whose rates apply.
    """

    currency: str
    ship_from: Place | None
    ship_to: Place | None
    lines: tuple[TaxItem, ...]
    charges: tuple[TaxItem, ...] = ()
    customer: TaxCustomer = TaxCustomer()
    on: date


class TaxQuote(msgspec.Struct, frozen=True):
    """The rates of lines and charges in their order, and why. Empty with the note `none`: nothing is taxed at all.

    charges: None for one that is taxed as the goods are. version: of the provider's table. flags: what to look at.
    """

    rates: tuple[TaxRate, ...]
    charges: tuple[TaxRate | None, ...]
    note: Note
    provider: str
    version: int = 0
    flags: tuple[str, ...] = ()


class TaxOutage(msgspec.Struct, frozen=True):
    """A provider could not answer, and what was the matter."""

    provider: str
    what: str


class TaxProvider(Protocol):
    """Whoever knows tax rates. `quote` does no I/O: the same request gets the same answer."""

    def quote(self, request: TaxRequest) -> TaxQuote | TaxOutage:
        """Return a rate for each line and charge, or what kept it from answering."""


PROVIDERS: dict[str, TaxProvider] = {}
"""Providers besides the table, by the name that a channel's policy gives; `house.py` or a plug-in puts them in."""


# --- the table ---------------------------------------------------------------------------------------------------


class TaxEntry(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rate, per cent, of a class of goods in a country or one region of it; a region's goes before its country's.

    valid_from, valid_to: first and last day it is in force. category: S above zero and Z at zero, unless said.
    reason: code of the reason for a category other than those, e.g. `VATEX-EU-132`.
    """

    country: str
    rate: Quantity
    region: Code | None = None
    tax_class: Code = STANDARD
    valid_from: date = date.min
    valid_to: date | None = None
    category: Literal["S", "Z", "E", "O"] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=40)] = ""

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown country, a rate outside 0 to 100, an end before its start, a bad category."""
        super().__post_init__()
        _demand_country(self.country, "country")
        if not 0 <= self.rate <= 100:
            raise ValueError(f"rate: {plain(self.rate)} per cent is not between 0 and 100")
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to: {self.valid_to} is before valid_from {self.valid_from}")
        if (self.rate > 0) != (self.vat_category == "S"):
            raise ValueError(f"category: {self.vat_category} does not fit a rate of {plain(self.rate)} per cent")
        if self.vat_category == "E" and not self.reason:
            raise ValueError("reason: an exempt class says by which code it is exempt")

    @property
    def vat_category(self) -> Category:
        """The category as said, or as the rate implies."""
        return self.category or ("S" if self.rate > 0 else "Z")

    @property
    def code(self) -> str:
        """The jurisdiction: `DE`, `US-CA`."""
        return f"{self.country}-{self.region}" if self.region else self.country


class TaxExemption(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A code under which customers are exempt. reason: what invoices say. countries: where it holds; empty is all."""

    code: Code
    reason: Code
    countries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown country."""
        super().__post_init__()
        for at, country in enumerate(self.countries):
            _demand_country(country, f"countries[{at}]")


class TaxTable(Policy, frozen=True, kw_only=True, dict=True):
    """Tax rates and the rules of the home country. Without entries nothing is taxed.

    home: the country goods are taken to leave from while that is not known. principle: within the union, consumers pay
    the tax of where goods arrive or of where they leave. union: countries between which a business with a tax number of
    another one pays the tax itself, and outside of which is export. services: classes that are no goods: between
    businesses of the union those are reverse charge (AE), goods are union supply (K).
    """

    kind: ClassVar[str] = "tax"
    home: str | None = None
    principle: Literal["destination", "origin"] = "destination"
    union: tuple[str, ...] = ()
    services: tuple[Code, ...] = ("service",)
    exemptions: tuple[TaxExemption, ...] = ()
    entries: tuple[TaxEntry, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError, with the place, for what is unknown, named twice, or in force twice on one day."""
        if self.home is not None:
            _demand_country(self.home, "home")
        elif self.entries:
            raise ValueError("home: a table with entries names the country that goods leave from")
        for at, country in enumerate(self.union):
            _demand_country(country, f"union[{at}]")
        codes = [exemption.code for exemption in self.exemptions]
        for at, code in enumerate(codes):
            if code in codes[:at]:
                raise ValueError(f"exemptions[{at}].code: {code!r} is named twice")
        self._demand_one_rate_a_day()

    def _demand_one_rate_a_day(self) -> None:
        numbered = sorted(
            enumerate(self.entries),
            key=lambda one: (one[1].country, one[1].region or "", one[1].tax_class, one[1].valid_from, one[0]),
        )
        for (at, entry), (then, later) in pairwise(numbered):
            same = (entry.country, entry.region, entry.tax_class) == (later.country, later.region, later.tax_class)
            if same and (entry.valid_to is None or later.valid_from <= entry.valid_to):
                raise ValueError(
                    f"entries[{at}] and entries[{then}] are both in force on {later.valid_from} "
                    f"for {entry.code}, class {entry.tax_class!r}"
                )

    def rate(self, place: Place, tax_class: str | None, on: date) -> TaxRate | None:
        """Return the rate of a class at a place on a day, a region's before its country's; None when there is none."""
        for region in (place.region, None) if place.region else (None,):
            for entry, rate in self._by_place.get((place.country, region, tax_class or STANDARD), ()):
                if entry.valid_from <= on and (entry.valid_to is None or on <= entry.valid_to):
                    return rate
        return None

    def exemption(self, code: str | None, country: str) -> TaxExemption | None:
        """Return the exemption of this code, if it holds in the country."""
        for exemption in self.exemptions:
            if exemption.code == code and (not exemption.countries or country in exemption.countries):
                return exemption
        return None

    @cached_property
    def _by_place(self) -> dict[tuple[str, str | None, str], list[tuple[TaxEntry, TaxRate]]]:
        found: dict[tuple[str, str | None, str], list[tuple[TaxEntry, TaxRate]]] = {}
        for entry in self.entries:
            rate = TaxRate(entry.rate, entry.vat_category, entry.code, entry.reason)
            found.setdefault((entry.country, entry.region, entry.tax_class), []).append((entry, rate))
        return found


def _demand_country(code: str, where: str) -> None:
    if not is_country(code):
        raise ValueError(f"{where}: {code!r} is no country of ISO 3166-1 (two capitals, as DE)")


class TableProvider:
    """Quotes from a table: export, then exemption, then reverse charge, then the rate of where the tax is due."""

    name = "table"

    def __init__(self, table: TaxTable, version: int = 0) -> None:
        self.table = table
        self.version = version

    def quote(self, request: TaxRequest) -> TaxQuote | TaxOutage:
        """Return the table's rates; an outage names every class and place it has none for, or what is no country."""
        answer, faults = self._answer(request)
        return TaxOutage(self.name, "; ".join(faults)) if faults else answer

    def estimate(self, request: TaxRequest) -> TaxQuote:
        """Return a quote whatever is missing: the place's standard rate, else that of home, else none; flagged then."""
        answer, faults = self._answer(request)
        return msgspec.structs.replace(answer, flags=(*answer.flags, "tax_rate_missing")) if faults else answer

    def _answer(self, request: TaxRequest) -> tuple[TaxQuote, list[str]]:
        """Return the best quote there is, and what the table did not know for it."""
        table = self.table
        if not table.entries or table.home is None:
            return TaxQuote((), (), "none", self.name, self.version), []
        home = Place(table.home)
        origin = request.ship_from or home
        destination = request.ship_to or origin
        faults = [
            f"{place.country!r} is no country" for place in (origin, destination) if not is_country(place.country)
        ]
        if not faults:
            special = self._special(request, origin, destination)
            if special is not None:
                return special, []
        due = destination if table.principle == "destination" else origin
        rates = [self._rate(item.tax_class, due, home, request.on, faults) for item in request.lines]
        charges = [
            None if item.tax_class is None else self._rate(item.tax_class, due, home, request.on, faults)
            for item in request.charges
        ]
        flags = _refused_facts(request.customer, origin, destination)
        quote = TaxQuote(tuple(rates), tuple(charges), "standard", self.name, self.version, flags)
        return quote, list(dict.fromkeys(faults))

    def _rate(self, tax_class: str | None, due: Place, home: Place, on: date, faults: list[str]) -> TaxRate:
        rate = self.table.rate(due, tax_class, on)
        if rate is not None:
            return rate
        faults.append(f"no rate for {due.country}, class {tax_class or STANDARD!r}, on {on}")
        return self.table.rate(due, STANDARD, on) or self.table.rate(home, STANDARD, on) or _UNTAXED

    def _special(self, request: TaxRequest, origin: Place, destination: Place) -> TaxQuote | None:
        """Return the quote of an order on which no tax is charged, for a reason that concerns it as a whole."""
        if origin.country != destination.country and not self._both_inside(origin, destination):
            return self._untaxed(request, "export", _at(_EXPORT, destination), _at(_EXPORT, destination))
        exemption = self.table.exemption(request.customer.exemption, destination.country)
        if exemption is not None:
            exempt = TaxRate(Decimal(0), "E", destination.country, exemption.reason)
            return self._untaxed(request, "exempt", exempt, exempt)
        if self._pays_itself(request.customer, origin, destination):
            return self._untaxed(request, "reverse_charge", _at(_SUPPLY, destination), _at(_REVERSE, destination))
        return None

    def _untaxed(self, request: TaxRequest, note: Note, goods: TaxRate, services: TaxRate) -> TaxQuote:
        def of(item: TaxItem) -> TaxRate:
            return services if item.tax_class in self.table.services else goods

        rates = tuple(of(item) for item in request.lines)
        charges = tuple(None if item.tax_class is None else of(item) for item in request.charges)
        return TaxQuote(rates, charges, note, self.name, self.version)

    def _both_inside(self, origin: Place, destination: Place) -> bool:
        return origin.country in self.table.union and destination.country in self.table.union

    def _pays_itself(self, customer: TaxCustomer, origin: Place, destination: Place) -> bool:
        if not customer.business or not customer.tax_id or origin.country == destination.country:
            return False
        issued = tax_id_country(customer.tax_id)
        return issued in self.table.union and issued != origin.country


def _refused_facts(customer: TaxCustomer, origin: Place, destination: Place) -> tuple[str, ...]:
    """Flag what a customer claimed and was taxed in spite of."""
    flags = () if customer.exemption is None else ("tax_exemption_not_accepted",)
    if customer.business and customer.tax_id and origin.country != destination.country:
        return (*flags, "tax_id_not_accepted")
    return flags


def _at(rate: TaxRate, place: Place) -> TaxRate:
    return msgspec.structs.replace(rate, code=place.country)


def tax_id_country(tax_id: str) -> str | None:
    """Return the country that issued a tax number, by its prefix; None for one that cannot be right.

    Numbers of the European Union are checked by their check digits (`EL` is Greece); of others the prefix is taken.
    """
    number = tax_id.upper().replace(" ", "")
    prefix = {"EL": "GR"}.get(number[:2], number[:2])
    if not number.isascii() or not is_country(prefix) or len(number) < 5:
        return None
    if prefix.lower() in vat.MEMBER_STATES and not vat.is_valid(number):
        return None
    return prefix


def quoted(
    provider: TaxProvider, request: TaxRequest, fallback: TableProvider, on_outage: OnOutage
) -> TaxQuote | Refusal:
    """Ask the provider; on an outage go by the channel's policy.

    estimate: the table's estimate, flagged `tax_estimated`. hold: the same, flagged `tax_hold` too, for a hold of type
    data. refuse: a refusal that says what to do. An answer that does not fit the request is an outage.
    """
    answer = provider.quote(request)
    fault = answer.what if isinstance(answer, TaxOutage) else _fault(request, answer)
    if fault is None and isinstance(answer, TaxQuote):
        return answer
    if on_outage == "refuse":
        return Refusal("orders.tax_outage", f"The tax provider {answer.provider!r} has no answer: {fault}.",
                       "Try again later, complete the tax table, or let the channel's `on_outage` be estimate or hold.",
                       "ship_country", request.ship_to.country if request.ship_to else "")  # fmt: skip
    estimate = fallback.estimate(request)
    flags = ("tax_estimated", "tax_hold") if on_outage == "hold" else ("tax_estimated",)
    return msgspec.structs.replace(estimate, flags=(*estimate.flags, *flags))


def _fault(request: TaxRequest, quote: TaxQuote) -> str | None:
    if quote.note == "none" and not quote.rates and not quote.charges:
        return None
    if len(quote.rates) != len(request.lines) or len(quote.charges) != len(request.charges):
        return f"it answered {len(quote.rates)} of {len(request.lines)} lines and " \
               f"{len(quote.charges)} of {len(request.charges)} charges"  # fmt: skip
    seen: TaxRate | None = None
    for rate in (*quote.rates, *quote.charges):
        if rate is None or rate is seen:
            continue
        seen = rate
        if not 0 <= rate.rate <= 100:
            return f"it answered a rate of {plain(rate.rate)} per cent"
    return None


# --- the life of a tax -------------------------------------------------------------------------------------------


class TaxChange(msgspec.Struct, frozen=True):
    """What recomputing changes. lines: numbers of those taxed otherwise. before, after: the tax of all lines."""

    lines: tuple[int, ...]
    before: Decimal
    after: Decimal
    taxed: tuple[Taxed, ...]


def recomputed(
    before: Sequence[Taxed],
    quote: TaxQuote,
    lines: Sequence[Taxable],
    charges: Sequence[Taxable],
    currency: str,
    terms: Terms,
) -> TaxChange | None:
    """Tax what is not committed yet at the rates of a new quote; None when nothing changes.

    Amounts and discounts stay, by the terms the order was captured under: where prices include tax, so does the total.
    before: the estimate so far. lines, charges: as they are to be taxed; their old rates are not looked at. Raises
    ValueError for a quote of other lines.
    """
    after: tuple[Taxed, ...] = ()
    if quote.note != "none":
        rates = [*zip(lines, quote.rates, strict=True), *zip(charges, quote.charges, strict=True)]
        after = taxed([msgspec.structs.replace(line, rate=rate) for line, rate in rates], currency, terms)
    changed = set(before) ^ set(after)
    if not changed:
        return None
    lines_changed = tuple(sorted({part.line for part in changed}))
    return TaxChange(
        lines_changed, total_of([part.tax for part in before]), total_of([part.tax for part in after]), after
    )


def committed(part: Taxed, invoiced: Decimal, units: Decimal, currency: str) -> Taxed:
    """Return the tax of `units` more of a line, to be frozen with their invoice, after `invoiced` units before.

    Cancelled units take their share from one end of the line and invoiced ones from the other, so that both together
    are the line, in whatever order they come. Raises ValueError for units the part does not have.
    """
    _demand_units(part, invoiced, units)
    return _between(part, part.quantity - invoiced - units, part.quantity - invoiced, currency)


def reversal(part: Taxed, reversed_before: Decimal, units: Decimal, currency: str) -> Taxed:
    """Return what reversing `units` of a committed tax gives back, at the rate it was committed at.

    The parts sum exactly to the committed base and tax, however many there are and whatever their sizes. Raises
    ValueError for more units than are left.
    """
    _demand_units(part, reversed_before, units)
    return _between(part, reversed_before, reversed_before + units, currency)


def _between(part: Taxed, first: Decimal, last: Decimal, currency: str) -> Taxed:
    def share(amount: Decimal) -> Decimal:
        return kept(amount, part.quantity, first, currency) - kept(amount, part.quantity, last, currency)

    return Taxed(part.line, last - first, part.rate, share(part.base), share(part.tax))


def _demand_units(part: Taxed, before: Decimal, units: Decimal) -> None:
    if units <= 0 or before < 0 or before + units > part.quantity:
        raise ValueError(
            f"{plain(units)} units after {plain(before)} are not in line {part.line}, which has {plain(part.quantity)}"
        )
