"""How orders of one channel are taken: the policy that place, cancel and promise ask.

What an order keeps (totals, rounding, cancellation) is read from the version it was captured under; what is decided
later (short stock, locations) from the version in force. Source: behaviour 39.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from trueup.core.money import Apportion, is_currency
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.orders.state import OrderRow
from trueup.orders.tax import PROVIDERS, OnOutage
from trueup.orders.totals import Freight, FreightTax, Rounding, Terms, demand_bookable

Short = Literal["refuse", "backorder", "partial"]


NO_TAX, TABLE = "none", "table"


class Channel(Policy, frozen=True, kw_only=True, dict=True):
    """How orders of one channel are taken.

    location: code of the location that serves it unless an order names one. locations: codes of all that may serve it,
    in the order in which they are reserved from until sourcing has chosen; empty means `location` alone.
    short: what becomes of a line that stock does not cover, unless an order asks for one of `short_choices`, which are
    none at first, or to be refused, which it always may. cancellation_minutes: how long a customer may cancel;
    None while nothing was shipped.
    rounding, apportion, prices_include_tax, freight_tax, freight_class: see `totals.Terms`.
    tax: who knows the rates: `none`, `table` (the policy `tax`), or a provider's name. on_outage: what happens when it
    has no answer. freight: currency code -> what shipping costs, charged once unless an order states a charge of
    `freight_code`. timezone: IANA name; its day decides which rates apply.
    unpaid_minutes: how long an order may stay unpaid before it ends; None for ever. reserve_minutes: how long a draft
    holds stock, unless it says so itself.
    duplicate_minutes: how long the same goods for the same person are suspected to be a duplicate; 0 is never.
    duplicates: a suspected one is flagged only, or held until a person decides.
    """

    kind: ClassVar[str] = "channel"
    pinned: ClassVar[bool] = True
    location: str = "MAIN"
    locations: tuple[str, ...] = ()
    short: Short = "refuse"
    short_choices: tuple[Short, ...] = ()
    cancellation_minutes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    rounding: Rounding = "per_line"
    apportion: Apportion = "largest_remainder"
    prices_include_tax: bool = False
    tax: str = NO_TAX
    on_outage: OnOutage = "estimate"
    freight: dict[str, Freight] = msgspec.field(default_factory=dict)
    freight_code: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] = "SHIPPING"
    freight_tax: FreightTax = "highest"
    freight_class: str = "standard"
    timezone: str = "UTC"
    unpaid_minutes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    reserve_minutes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    duplicate_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 10
    duplicates: Literal["flag", "hold"] = "flag"

    @property
    def serving(self) -> tuple[str, ...]:
        """The locations that may serve it, first choice first."""
        return self.locations or (self.location,)

    @cached_property
    def terms(self) -> Terms:
        """How its orders' money is computed."""
        return Terms(
            rounding=self.rounding,
            apportion=self.apportion,
            prices_include_tax=self.prices_include_tax,
            freight_tax=self.freight_tax,
            freight_class=self.freight_class,
        )

    def unpaid_until(self, taken_at: datetime) -> datetime | None:
        """Return when an order that was taken then, and of which nothing was paid, ends; None is never."""
        return None if self.unpaid_minutes is None else taken_at + timedelta(minutes=self.unpaid_minutes)

    def faults(self, known: Known) -> list[Fault]:
        """Return what is wrong: an unknown tax provider or zone, and freight in no currency or beyond its decimals."""
        found = []
        if self.tax not in (NO_TAX, TABLE, *PROVIDERS):
            there = ", ".join((NO_TAX, TABLE, *sorted(PROVIDERS)))
            found.append(Fault("tax", self.tax, f"there is no tax provider {self.tax!r}; use one of: {there}"))
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            found.append(Fault("timezone", self.timezone, "there is no such zone; name one like Europe/Berlin"))
        unknown = [code for code in self.freight if not is_currency(code)]
        found += [Fault(f"freight.{code}", code, "no currency of ISO 4217") for code in unknown]
        try:
            demand_bookable({code: rule for code, rule in self.freight.items() if code not in unknown})
        except ValueError as error:
            found.append(Fault("freight", "", str(error)))
        return found


def captured_under(row: OrderRow, policies: Policies) -> Channel:
    """Return the channel's terms that an order keeps."""
    return policies.at(Channel, row.captured.channel, row.captured.channel_version)


def cancellable_until(row: OrderRow, policies: Policies) -> timedelta | None:
    """Return how long after capture the order may be cancelled under the terms it was captured under; None for ever."""
    minutes = captured_under(row, policies).cancellation_minutes
    return None if minutes is None else timedelta(minutes=minutes)
