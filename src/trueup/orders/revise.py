"""Change where an order goes, before it has left: its words, its place, and the tax that follows from it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.catalogue.state import Catalogue
from trueup.core.countries import is_country
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Command, Context, Decision, Event, Personal, State, Verb
from trueup.orders.cancel import open_units
from trueup.orders.changes import OrderTaxed, Readdressed
from trueup.orders.hold import concerns_order
from trueup.orders.state import Orders, version_after
from trueup.orders.tax import Place
from trueup.orders.tax_state import OrderTaxes
from trueup.orders.taxing import place_named, retaxed
from trueup.orders.version import known_order, unknown_order
from trueup.parties.state import Contact, keep_contact


class ChangeAddress(Command, frozen=True, kw_only=True):
    """Send an order elsewhere. version: refuse unless the order still has this version.

    contact: all its personal words from now on, kept once; None leaves them as they are. ship_country, ship_region,
    ship_postcode, latitude, longitude: of where it goes; what is left out is not known any more.
    """

    order: str
    ship_country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]
    ship_region: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    ship_postcode: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    latitude: Quantity | None = None
    longitude: Quantity | None = None
    contact: Contact | str | None = None
    version: int | None = None


def change_address(state: State, command: ChangeAddress, context: Context) -> Decision:
    """Keep the new address, and tax what is not invoiced by it; amounts and discounts stay, totals follow.

    A line of which units were invoiced keeps the rate it was invoiced at. Refuses history, an order that is picked up,
    of which nothing is left to be sent, or that changed meanwhile, an unknown country, and what the tax provider and
    the channel's `on_outage` refuse.
    """
    row = state.of(Orders).order(command.order)
    refusal = known_order(row, command.order, command.version)
    if refusal is not None or row is None:
        return refusal or unknown_order(command.order)
    if row.captured.delivery == "pickup" or not any(open_units(line) > 0 for line in row.lines if line.item):
        return Refusal("orders.not_sent", "Nothing of the order is left to be sent.",
                       "What is picked up, was shipped or was cancelled has no address to change.",
                       "order", command.order)  # fmt: skip
    if not is_country(command.ship_country):
        return Refusal("orders.country", f"{command.ship_country!r} is no country.", "Use ISO 3166-1, as in DE.",
                       "ship_country", command.ship_country)  # fmt: skip
    taxes = retaxed(
        state,
        row,
        context,
        ship_from=place_named(row.captured.ship_from),
        to=Place(command.ship_country, command.ship_region),
        invoiced=state.of(OrderTaxes).lines(command.order),
    )
    if isinstance(taxes, Refusal):
        return taxes
    moved = Readdressed(
        order=command.order,
        at=context.now,
        person=command.contact if isinstance(command.contact, str) else None,
        ship_country=command.ship_country,
        ship_region=command.ship_region,
        ship_postcode=command.ship_postcode,
        latitude=command.latitude,
        longitude=command.longitude,
    )
    events: list[Event] = [moved, *taxes]
    totals = next((event.totals for event in taxes if isinstance(event, OrderTaxed)), row.totals)
    result = {
        "order": command.order, "total": str(totals.total), "tax": str(totals.tax),
        "version": version_after(row, events),
    }  # fmt: skip
    return Accepted(events, command.order, result)


def _then_wants(state: State, command: ChangeAddress, policies: Policies) -> None:
    row = state.of(Orders).order(command.order)
    for line in row.lines if row is not None else ():
        if line.item is not None:
            state.of(Catalogue).want_item_id(line.item)


def _wants(state: State, command: ChangeAddress, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(OrderTaxes).want(command.order)


VERBS = (
    Verb(
        name="orders.change_address",
        command=ChangeAddress,
        decide=change_address,
        wants=_wants,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
        personal=Personal("contact", keep_contact),
    ),
)
