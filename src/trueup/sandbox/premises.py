"""The shop's premises and policies: its organisation, where its locations are, how orders are taxed, promised and find
their location, and what a person looks at first.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from trueup.authority.organisation import SetNode
from trueup.authority.publish import PublishPolicy
from trueup.authority.state import NodeKind
from trueup.catalogue.register import KitPart, RegisterItem, RegisterLocation
from trueup.catalogue.register_partner import RegisterPartner
from trueup.catalogue.state import LocationKind
from trueup.core import json
from trueup.core.calendars import WorkCalendar
from trueup.core.money import Amount
from trueup.core.policy import Policy
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.orders.channel import Channel
from trueup.orders.conditions import Condition
from trueup.orders.holds import DecisionTable, HoldRule, HoldRules
from trueup.orders.tax import TaxEntry, TaxTable
from trueup.sourcing.policy import CostBand, Costs, Group, LocationFilter, OrderFilter, Routing, Rule, When
from trueup.stock.limits import Buffer, Buffers
from trueup.stock.promise import Lane, Method, ShippingMethods
from trueup.stock.receive import ReceivedLine, ReceivedLot, ReceiveStock

SUPPLIER = "FACTORY"
TEA = "TEA-GREEN"
# Who goods are bought from, and the terms; one carrier of the two that the shipping methods name has terms, too.
SUPPLIERS = (
    RegisterPartner(code="BRNO", name="Factory in Brno", gln="8590000000015", country="CZ", timezone="Europe/Prague",
                    currency="EUR", lead_days=14, minimum_order=Amount(500), payment_days=30, incoterm="DAP",
                    claim_days=5, returns_days=30, answer_within_minutes=240, order_cutoff="15:00"),
    RegisterPartner(code="SHIZUOKA", name="Tea growers of Shizuoka", country="JP", timezone="Asia/Tokyo",
                    currency="JPY", lead_days=45, minimum_order=Amount(200_000), payment_days=60, incoterm="FOB",
                    claim_days=10, returns_days=0, answer_within_minutes=1440, order_cutoff="12:00"),
)  # fmt: skip
CARRIER = RegisterPartner(code="POST", name="Parcel post", kind="carrier", country="DE", timezone="Europe/Berlin",
                          payment_days=14, claim_days=7, answer_within_minutes=30, order_cutoff="17:30")  # fmt: skip
_PLACES: tuple[tuple[str, str, LocationKind, str, str, str, str], ...] = (
    ("BERLIN-DC", "Berlin distribution centre", "warehouse", "DE", "Europe/Berlin", "52.52", "13.40"),
    ("LEEDS-DC", "Leeds distribution centre", "warehouse", "GB", "Europe/London", "53.80", "-1.55"),
    ("STORE-01", "Rotterdam store", "store", "NL", "Europe/Amsterdam", "51.92", "4.48"),
)
# Code, name, kind, and what it belongs to; sites and the channel are called as locations and orders call them.
_PARTS: tuple[tuple[str, str, NodeKind, str | None], ...] = (
    ("WARES", "Wares of the house", "brand", None),
    ("WARES-DE", "Wares GmbH", "company", "WARES"),
    ("WARES-GB", "Wares Ltd", "company", "WARES"),
    ("CONTINENT", "The Continent", "region", "WARES-DE"),
    ("BERLIN-DC", "Berlin distribution centre", "site", "CONTINENT"),
    ("STORE-01", "Rotterdam store", "site", "CONTINENT"),
    ("LEEDS-DC", "Leeds distribution centre", "site", "WARES-GB"),
)
# Per cent of the price; goods that leave the union are an export.
_RATES = (("DE", "19"), ("NL", "21"), ("FR", "20"), ("AT", "20"))
CODES = tuple(code for code, *_ in _PLACES)
STORES = tuple(code for code, _, kind, *_ in _PLACES if kind == "store")


def everything(channel: str, today: date) -> list[Command]:
    """Return the commands that open the shop, in their order; the organisation may be there before."""
    return [*organisation(channel), *premises(), *policies(channel), *goods(today)]


def premises() -> list[Command]:
    """Return the commands that say where the locations of the legacy export are, who supplies them and who carries.

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
    factory = RegisterLocation(code=SUPPLIER, name="Factory in Brno", kind="supplier", country="CZ")
    return [*places, factory, *SUPPLIERS, CARRIER]


def goods(today: date) -> list[Command]:
    """Return the commands that bring what a legacy export has none of: tea in lots with a date, and a phantom kit."""
    items = [
        RegisterItem(sku=TEA, name="Green tea, 100 g", category="food", unit_price=Amount("7.50"),
                     currency="EUR", tracking="lot", expires=True, units={"case": Quantity(12)},
                     supplier=SUPPLIERS[1].code),
        RegisterItem(sku="TEAPOT", name="Teapot", unit_price=Amount("24.00"), currency="EUR",
                     supplier=SUPPLIERS[0].code),
        RegisterItem(sku="TEA-FOR-TWO", name="Teapot with tea", kind="kit", phantom=True, unit_price=Amount("29.00"),
                     currency="EUR",
                     components=(KitPart(sku="TEAPOT", quantity=Quantity(1)), KitPart(sku=TEA, quantity=Quantity(1)))),
    ]  # fmt: skip
    return [*items, *(_first_delivery(code, today, at) for at, code in enumerate(CODES))]


def _first_delivery(code: str, today: date, number: int) -> Command:
    lots = tuple(
        ReceivedLot(f"L{number}{at}", Quantity(units), today + timedelta(days=days))
        for at, (units, days) in enumerate(((12, 6), (24, 90), (36, 240)))
    )
    tea = ReceivedLine(TEA, Quantity(sum(lot.quantity for lot in lots)), lots=lots)
    return ReceiveStock(location=code, lines=(tea, ReceivedLine("TEAPOT", Quantity(20))), reference=f"OPENING-{code}")


def organisation(channel: str) -> list[Command]:
    """Return the commands that make the tree of brand, companies, region, sites and the channel."""
    nodes = [SetNode(code=code, name=name, kind=kind, parent=parent) for code, name, kind, parent in _PARTS]
    return [*nodes, SetNode(code=channel, name="The web shop", kind="channel", parent="WARES")]


def policies(channel: str) -> list[Command]:
    """Return the commands that publish how a channel's orders are taken, taxed, promised, sourced and held."""
    taken = Channel(location=CODES[0], locations=CODES, short="backorder", short_choices=("partial",), tax="table",
                    prices_include_tax=True, timezone="Europe/Berlin")  # fmt: skip
    return [
        _publish("default", _taxes(), "taxed where goods arrive"),
        _publish("default", WorkCalendar(country="DE"), "Germany's public holidays"),
        _publish("default", _shipping(), "a standard way and a fast one"),
        _publish("default", Buffers(buffers=(Buffer(kinds=("store",), units=Quantity(1)),)), "stores keep one on show"),
        _publish(channel, taken, "several locations, prices with tax"),
        _publish("default", _routing(), "nearest first; what is short is owed by the supplier"),
        _publish(channel, _holds(), "dear orders and orders abroad are looked at first"),
    ]


def _taxes() -> TaxTable:
    entries = tuple(TaxEntry(country=country, rate=Quantity(rate)) for country, rate in _RATES)
    return TaxTable(home="DE", union=tuple(country for country, _ in _RATES), entries=entries)


def _shipping() -> ShippingMethods:
    at_home = [Lane(days=2, from_country=country, to_country=country) for country in ("DE", "NL", "GB")]
    over_night = [Lane(days=1, from_country=country, to_country=country) for country in ("DE", "NL", "GB")]
    return ShippingMethods(
        methods=(
            Method(name="standard", carrier="Parcel post", lanes=(*at_home, Lane(days=4))),
            Method(name="express", carrier="Night courier", lanes=(*over_night, Lane(days=2))),
        )
    )


def _routing() -> Routing:
    here = LocationFilter(distance_km_max=2500)
    whole = Rule("one parcel from nearby", where=here, sort=("distance",), complete="order")
    near = Rule("nearest first", where=here, sort=("distance", "most_stock"), splits_max=3)
    owed = Rule("the rest is owed", sort=("most_stock",), otherwise="backorder", backorder_at=(SUPPLIER,))
    queue = Rule("big ones whole", where=LocationFilter(groups=("warehouses",)), sort=("most_stock",), complete="order",
                 otherwise="queue", queue="split by hand")  # fmt: skip
    anywhere = Rule("cheapest plan", where=here, sort=("cost",), splits_max=3)
    bands = (CostBand(300, Decimal("4.20")), CostBand(1000, Decimal("5.60")))
    return Routing(
        when=When(every_minutes=5),
        groups=(
            Group("big orders", (queue,), OrderFilter(deliveries=("ship",), total_min=Decimal(250))),
            Group("abroad, as one plan", (anywhere, owed), OrderFilter(deliveries=("ship",), countries=("FR", "AT")),
                  brokered=True),
            Group("all others", (whole, near, owed)),
        ),
        costs=Costs(bands=bands),
    )  # fmt: skip


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
