"""The shop's premises and policies: where its locations are, how orders find them, and what a person looks at first."""

from __future__ import annotations

from decimal import Decimal

from trueup.authority.publish import PublishPolicy
from trueup.catalogue.register import RegisterLocation
from trueup.catalogue.state import LocationKind
from trueup.core import json
from trueup.core.policy import Policy
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.orders.channel import Channel
from trueup.orders.conditions import Condition
from trueup.orders.holds import DecisionTable, HoldRule, HoldRules
from trueup.sourcing.policy import CostBand, Costs, Group, LocationFilter, OrderFilter, Routing, Rule

SUPPLIER = "FACTORY"
_PLACES: tuple[tuple[str, str, LocationKind, str, str, str, str], ...] = (
    ("BERLIN-DC", "Berlin distribution centre", "warehouse", "DE", "Europe/Berlin", "52.52", "13.40"),
    ("LEEDS-DC", "Leeds distribution centre", "warehouse", "GB", "Europe/London", "53.80", "-1.55"),
    ("STORE-01", "Rotterdam store", "store", "NL", "Europe/Amsterdam", "51.92", "4.48"),
)
CODES = tuple(code for code, *_ in _PLACES)
STORES = tuple(code for code, _, kind, *_ in _PLACES if kind == "store")


def premises() -> list[Command]:
    """Return the commands that say where the locations of the legacy export are, and who supplies them.

    The supplier has nothing on hand and owes what is short; customers pick up at the store.
    """
    places = [
        RegisterLocation(
            code=code,
            name=name,
            kind=kind,
            country=country,
            groups=(f"{kind}s",),
            timezone=zone,
            latitude=Quantity(latitude),
            longitude=Quantity(longitude),
            pickup=kind == "store",
        )
        for code, name, kind, country, zone, latitude, longitude in _PLACES
    ]
    return [*places, RegisterLocation(code=SUPPLIER, name="Factory in Brno", kind="supplier", country="CZ")]


def policies(channel: str) -> list[Command]:
    """Return the commands that publish how a channel's orders are taken, sourced and held."""
    return [
        _publish(channel, Channel(location=CODES[0], locations=CODES, short="backorder"), "several locations"),
        _publish("default", _routing(), "nearest first; what is short is owed by the supplier"),
        _publish(channel, _holds(), "dear orders and orders abroad are looked at first"),
    ]


def _routing() -> Routing:
    here = LocationFilter(distance_km_max=2500)
    whole = Rule("one parcel from nearby", where=here, sort=("distance",), complete="order")
    near = Rule("nearest first", where=here, sort=("distance", "most_stock"), splits_max=3)
    owed = Rule("the rest is owed", sort=("most_stock",), otherwise="backorder", backorder_at=(SUPPLIER,))
    queue = Rule("big ones whole", where=LocationFilter(groups=("warehouses",)), sort=("most_stock",), complete="order",
                 otherwise="queue", queue="split by hand")  # fmt: skip
    bands = (CostBand(300, Decimal("4.20")), CostBand(1000, Decimal("5.60")))
    return Routing(
        groups=(
            Group("big orders", (queue,), OrderFilter(deliveries=("ship",), total_min=Decimal(250))),
            Group("all others", (whole, near, owed)),
        ),
        costs=Costs(bands=bands),
    )


def _holds() -> HoldRules:
    dear = HoldRule("dear", "fraud", "More than 900 in one order",
                    (Condition("order.total", "over", "900"), Condition("order.currency", "is", "EUR")))  # fmt: skip
    abroad = HoldRule("overseas", "address", "Duties to be settled", (Condition("order.ship_country", "is", "GB"),
                                                                      Condition("order.units", "over", 6)))  # fmt: skip
    return HoldRules(tables=(DecisionTable("look_first", (dear, abroad)),))


def _publish(name: str, document: Policy, reason: str) -> PublishPolicy:
    return PublishPolicy(
        policy_kind=document.kind,
        policy_name=name,
        document=json.to_plain(document),
        reason=f"The shop opens: {reason}",
    )
