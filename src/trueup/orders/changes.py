"""What changes about an order after it was taken: its address, its taxes, and reservations that ended by themselves."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.verb import Event
from trueup.orders.totals import Taxed, Totals


class Readdressed(Event, frozen=True, kw_only=True):
    """The order goes elsewhere. person: the words of the new contact; None where they stay as they are."""

    name = "orders.readdressed"
    about = "order"
    order: str
    at: datetime
    person: str | None = None
    ship_country: str | None = None
    ship_region: str | None = None
    ship_postcode: str | None = None
    latitude: Decimal | None = None
    longitude: Decimal | None = None

    def revises(self) -> dict[str, Any]:
        """Return what is other about the order now, by field of `Captured`."""
        names = ("ship_country", "ship_region", "ship_postcode", "latitude", "longitude")
        changed = {name: getattr(self, name) for name in names}
        return {**changed, "person": self.person} if self.person is not None else changed


class LineTaxed(msgspec.Struct, array_like=True, frozen=True):
    """The tax of all units of a line, its rate in per cent, its VAT category and jurisdiction; see `Line`."""

    line: int
    tax: Decimal
    tax_rate: Decimal | None
    tax_code: str | None
    tax_parts: tuple[Taxed, ...] = ()


class OrderTaxed(Event, frozen=True, kw_only=True):
    """Lines are taxed otherwise from now on. ship_from: `DE` or `US-CA`, where it was decided on; flags: added."""

    name = "orders.taxed"
    about = "order"
    order: str
    lines: tuple[LineTaxed, ...]
    totals: Totals
    at: datetime
    ship_from: str | None = None
    flags: tuple[str, ...] = ()


class ReservationsLapsed(Event, frozen=True, kw_only=True):
    """Units (line, units) are not reserved any more: the claims of an unpaid order ended at its deadline."""

    name = "orders.reservations_lapsed"
    about = "order"
    order: str
    lines: tuple[tuple[int, Decimal], ...]
    at: datetime


class WorkflowAdopted(Event, frozen=True, kw_only=True):
    """The order walks by another version of its workflow from now on. from_state, state: where it stood, and stands."""

    name = "orders.workflow_adopted"
    about = "order"
    order: str
    adoption: str
    from_version: int
    to_version: int
    from_state: str
    state: str
    at: datetime


class WorkflowReturned(Event, frozen=True, kw_only=True):
    """The order walks by the version again that it walked by before an adoption, which was taken back."""

    name = "orders.workflow_returned"
    about = "order"
    order: str
    adoption: str
    from_version: int
    to_version: int
    from_state: str
    state: str
    at: datetime


EVENTS = (Readdressed, OrderTaxed, ReservationsLapsed, WorkflowAdopted, WorkflowReturned)
