"""What businesses agree on beside goods and prices: their own number, dates, terms, and where each line goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import msgspec

from trueup.core.countries import is_country
from trueup.core.errors import Refusal
from trueup.core.money import Amount
from trueup.core.verb import Body

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]


class LineTerms(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What was agreed for one line. line: filled in when the order is taken.

    requested_from, requested_to: first and last day it is wanted. ship_country, ship_region, ship_postcode: where this
    line goes when not where the order goes; its personal words are in the order's contact. contract: the source's
    agreement behind the price. list_price: what the source's list says, kept and compared. substitutions_allowed: a
    like item may be sent instead.
    """

    line: int = 0
    requested_from: date | None = None
    requested_to: date | None = None
    ship_country: Country | None = None
    ship_region: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    ship_postcode: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    contract: Text | None = None
    list_price: Amount | None = None
    substitutions_allowed: bool | None = None


class Terms(Body, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What was agreed for the whole order.

    customer_order: the customer's own number for it; it is searched, and need not be unique. requested_from,
    requested_to: first and last day it is wanted. payment_terms: as the source words them, `NET30`. contract: the
    agreement behind its prices. tax_id: the customer's tax number, which makes it a business; exemption: the code under
    which it pays no tax.
    """

    customer_order: Text | None = None
    requested_from: date | None = None
    requested_to: date | None = None
    payment_terms: Text | None = None
    contract: Text | None = None
    tax_id: Annotated[str, msgspec.Meta(min_length=4, max_length=40)] | None = None
    exemption: Text | None = None


class Business(Terms, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Terms as an order keeps them. lines: those of its lines that have some."""

    lines: tuple[LineTerms, ...] = ()

    def line(self, number: int) -> LineTerms | None:
        """Return the terms of one line."""
        return next((terms for terms in self.lines if terms.line == number), None)


def business_of(terms: Terms | None, lines: Sequence[LineTerms | None]) -> Business | None:
    """Return what an order keeps of its terms and of those of its lines, numbered from 1; None when there are none."""
    agreed = tuple(
        msgspec.structs.replace(line, line=number) for number, line in enumerate(lines, 1) if line is not None
    )
    if terms is None and not agreed:
        return None
    kept = terms or Terms()
    return Business(**{name: getattr(kept, name) for name in Terms.__struct_fields__}, lines=agreed)


def terms_refusal(terms: Terms | LineTerms, where: str) -> Refusal | None:
    """Refuse a window that ends before it begins, a country that is none, and a list price below zero."""
    first, last = terms.requested_from, terms.requested_to
    if first is not None and last is not None and last < first:
        return Refusal("orders.requested", f"The requested window ends on {last}, before it begins on {first}.",
                       "Swap the days, or name one.", f"{where}.requested_to", str(last))  # fmt: skip
    if isinstance(terms, LineTerms):
        if terms.ship_country is not None and not is_country(terms.ship_country):
            return Refusal("orders.country", f"{terms.ship_country!r} is no country.", "Use ISO 3166-1, as in DE.",
                           f"{where}.ship_country", terms.ship_country)  # fmt: skip
        if terms.list_price is not None and terms.list_price < 0:
            return Refusal("orders.price", "The list price is below zero.", "Send zero or more, or leave it out.",
                           f"{where}.list_price", str(terms.list_price))  # fmt: skip
    return None
