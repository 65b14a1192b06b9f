"""Ask for an order's tax and put it on its lines: at capture, and again when where it leaves or arrives changes.

A line has one rate; only a charge that is taxed in proportion to the goods has several parts. Lines of which units were
invoiced keep the rate they were invoiced at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.money import total_of
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO
from trueup.core.verb import Context, Event, State
from trueup.orders.business import LineTerms
from trueup.orders.business import Terms as BusinessTerms
from trueup.orders.changes import LineTaxed, OrderTaxed
from trueup.orders.channel import NO_TAX, TABLE, Channel, captured_under
from trueup.orders.state import Line, OrderRow
from trueup.orders.tax import (
    PROVIDERS,
    Place,
    TableProvider,
    TaxCustomer,
    TaxItem,
    TaxOutage,
    TaxQuote,
    TaxRequest,
    TaxTable,
    quoted,
    recomputed,
)
from trueup.orders.totals import Taxable, Taxed, TaxRate, Terms, totals_of

_NOBODY = TaxCustomer()
_NOWHERE: Mapping[int, Place] = {}
_NO_TABLE = TaxTable()


class _Missing:
    """Stands for a provider that a channel names and the house does not have: it never answers."""

    def __init__(self, name: str) -> None:
        self.name = name

    def quote(self, request: TaxRequest) -> TaxOutage:
        return TaxOutage(self.name, "the house has no such provider")


def tax_quote(
    channel: Channel, policies: Policies, request: TaxRequest, elsewhere: Mapping[int, Place] = _NOWHERE
) -> TaxQuote | Refusal:
    """Ask the channel's provider, by its outage policy.

    elsewhere: by their position, lines that go to another place than the order; it is asked once for each place, and
    charges are taxed where the order goes.
    """
    if not elsewhere:
        return _asked(channel, policies, request)
    groups: dict[Place | None, list[int]] = {request.ship_to: []}
    for at in range(len(request.lines)):
        groups.setdefault(elsewhere.get(at, request.ship_to), []).append(at)
    rates: dict[int, TaxRate] = {}
    answers: list[TaxQuote] = []
    for place, positions in groups.items():
        lines = tuple(request.lines[at] for at in positions)
        charges = () if answers else request.charges
        answer = _asked(
            channel, policies, msgspec.structs.replace(request, ship_to=place, lines=lines, charges=charges)
        )
        if isinstance(answer, Refusal) or answer.note == "none":
            return answer
        answers.append(answer)
        rates.update(zip(positions, answer.rates, strict=True))
    flags = tuple(dict.fromkeys(flag for answer in answers for flag in answer.flags))
    return msgspec.structs.replace(answers[0], rates=tuple(rates[at] for at in range(len(rates))), flags=flags)


def _asked(channel: Channel, policies: Policies, request: TaxRequest) -> TaxQuote | Refusal:
    table = TableProvider(policies.find(TaxTable, "default") or _NO_TABLE, policies.version(TaxTable))
    provider = table if channel.tax == TABLE else PROVIDERS.get(channel.tax) or _Missing(channel.tax)
    return quoted(provider, request, table, channel.on_outage)


def tax_day(channel: Channel, now: datetime) -> datetime:
    """Return the moment in the channel's zone: its day decides which rates apply."""
    return now.astimezone(ZoneInfo(channel.timezone))


def customer_of(terms: BusinessTerms | None) -> TaxCustomer:
    """Return what an order's terms say of the customer: who names a tax number is a business."""
    if terms is None or not (terms.tax_id or terms.exemption):
        return _NOBODY
    return TaxCustomer(terms.tax_id is not None, terms.tax_id, terms.exemption)


def place_named(code: str | None) -> Place | None:
    """Return the place that is written `DE` or `US-CA`."""
    if code is None:
        return None
    country, _, region = code.partition("-")
    return Place(country, region or None)


def named(place: Place | None) -> str | None:
    """Write a place as `DE` or `US-CA`."""
    if place is None:
        return None
    return f"{place.country}-{place.region}" if place.region else place.country


def code_of(rate: TaxRate) -> str:
    """Write why a rate applies as a line keeps it: `S DE`, `AE FR VATEX-EU-AE`."""
    return f"{rate.category} {rate.code} {rate.reason}".rstrip()


def rate_of(line: Line) -> TaxRate | None:
    """Return the rate a line is taxed at; None for one that is not taxed, or at several rates."""
    if line.tax_rate is None or line.tax_code is None:
        return None
    category, code, reason = (line.tax_code + "  ").split(" ", 3)[:3]
    return TaxRate(line.tax_rate, category, code, reason)  # type: ignore[arg-type]


def parts_of(line: Line, *, included: bool) -> tuple[Taxed, ...]:
    """Return what a line is taxed at each rate, all its units together; nothing where it is not taxed."""
    if line.tax_parts:
        return line.tax_parts
    rate = rate_of(line)
    if rate is None:
        return ()
    stated = line.amount - line.discount
    return (Taxed(line.line, line.quantity, rate, stated - line.tax if included else stated, line.tax),)


def on_lines(parts: Iterable[Taxed]) -> dict[int, LineTaxed]:
    """Return by its number how each line is taxed; one of several parts has no rate of its own."""
    every = tuple(parts)
    found: dict[int, LineTaxed] = {}
    codes: dict[int, str] = {}
    for part in every:
        number, rate = part.line, part.rate
        if number in found:
            same = tuple(other for other in every if other.line == number)
            found[number] = LineTaxed(number, total_of([other.tax for other in same]), None, None, same)
            continue
        code = codes.get(id(rate))
        if code is None:
            code = codes[id(rate)] = code_of(rate)
        found[number] = LineTaxed(number, part.tax, rate.rate, code)
    return found


def retaxed(
    state: State,
    row: OrderRow,
    context: Context,
    *,
    ship_from: Place | None,
    invoiced: Collection[int] = (),
    to: Place | None = None,
) -> list[Event] | Refusal:
    """Return the new taxes of an order's lines when it leaves from or goes elsewhere; nothing where none changes.

    ship_from: where its goods leave, as sourcing decided; None while that is not known. to: where it goes from now on;
    None is where it went. invoiced: numbers of lines of which units were invoiced; they keep their rates. Amounts and
    discounts stay, by the terms the order keeps. Refused only by the channel's `on_outage`.
    Wants: `Catalogue.want_item_id` of its lines' items.
    """
    captured = row.captured
    channel = captured_under(row, context.policies)
    if channel.tax == NO_TAX:
        return []
    open_ = [line for line in row.lines if line.line not in invoiced and line.parent is None]
    goods = [line for line in open_ if line.item is not None]
    charges = [line for line in open_ if line.item is None]
    ship_to = to or _where(row)
    request = TaxRequest(
        currency=captured.currency,
        ship_from=ship_from,
        ship_to=None if captured.delivery == "pickup" else ship_to,
        lines=tuple(TaxItem(_class_of(state, line), line.amount - line.discount) for line in goods),
        charges=tuple(TaxItem(charge_class(channel), line.amount) for line in charges),
        customer=customer_of(captured.business),
        on=tax_day(channel, context.now).date(),
    )
    terms = captured.business.line if captured.business is not None else _no_terms
    elsewhere = lines_elsewhere([terms(line.line) for line in goods]) if captured.delivery == "ship" else _NOWHERE
    quote = tax_quote(channel, context.policies, request, elsewhere)
    if isinstance(quote, Refusal):
        return quote
    by_line = _changed(row, goods, charges, quote, channel.terms)
    if not by_line and captured.ship_from == named(ship_from):
        return []
    after = [
        msgspec.structs.replace(line, **msgspec.structs.asdict(by_line[line.line])) if line.line in by_line else line
        for line in row.lines
    ]
    event = OrderTaxed(
        order=captured.id,
        lines=tuple(by_line.values()),
        totals=totals_of(after, captured.currency, prices_include_tax=captured.tax_included),
        at=context.now,
        ship_from=named(ship_from),
        flags=quote.flags,
    )
    return [event]


def _changed(
    row: OrderRow, goods: Sequence[Line], charges: Sequence[Line], quote: TaxQuote, terms: Terms
) -> dict[int, LineTaxed]:
    """Return by number the lines that a new quote taxes otherwise, and how."""
    if not goods and quote.note != "none":
        # Only charges are open: they are taxed as the goods were.
        known = [rate for line in row.lines if line.item is not None and (rate := rate_of(line)) is not None]
        highest = max(known, key=lambda rate: rate.rate, default=TaxRate(ZERO, "O"))
        quote = msgspec.structs.replace(quote, charges=tuple(rate or highest for rate in quote.charges))
    change = recomputed(
        [part for line in (*goods, *charges) for part in parts_of(line, included=terms.prices_include_tax)],
        quote,
        [_taxable(line) for line in goods],
        [_taxable(line) for line in charges],
        row.captured.currency,
        terms,
    )
    if change is None:
        return {}
    after = on_lines(change.taxed)
    return {number: after.get(number) or LineTaxed(number, ZERO, None, None) for number in change.lines}


def _taxable(line: Line) -> Taxable:
    return Taxable(line.line, line.quantity, line.amount - line.discount, None)


def _no_terms(number: int) -> LineTerms | None:
    return None


def lines_elsewhere(terms: Sequence[LineTerms | None]) -> Mapping[int, Place]:
    """Return by their position the lines whose terms name a country of their own."""
    return {
        at: Place(line.ship_country, line.ship_region)
        for at, line in enumerate(terms)
        if line is not None and line.ship_country is not None
    }


def _where(row: OrderRow) -> Place | None:
    captured = row.captured
    return Place(captured.ship_country, captured.ship_region) if captured.ship_country is not None else None


def _class_of(state: State, line: Line) -> str | None:
    item = state.of(Catalogue).item_of(line.item) if line.item is not None else None
    return item.tax_class if item is not None else None


def charge_class(channel: Channel) -> str | None:
    """Return the class its charges are taxed as; None is as the goods are."""
    return channel.freight_class if channel.freight_tax == "class" else None
