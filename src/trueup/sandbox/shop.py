"""The simulated shop that goes on trading, through the door like anybody: baskets, quotes, orders, pickups,
cancellations; and what its warehouses do meanwhile (`backroom`).

Its randomness comes from a seed and its pace from an argument, so that a run can be repeated and hurried.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from trueup.core.door import Door
from trueup.core.errors import DatabaseUnreachable, Overloaded, Unknown
from trueup.core.money import Amount, booked
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Command, Outcome
from trueup.orders.business import Terms
from trueup.orders.cancel import CancelOrder
from trueup.orders.draft import ConfirmDraft, SaveDraft
from trueup.orders.place import Charge, PlaceLine, PlaceOrder
from trueup.parties.state import Address, Contact
from trueup.sandbox.backroom import Backroom, Reading
from trueup.stock.receive import ReceivedLine, ReceiveStock
from trueup.stock.reserve import ReserveLine, ReserveStock

_FIRST = ("Ada", "Bram", "Chiara", "Dries", "Elif", "Femke", "Goran", "Hanna", "Ivo", "Jonas", "Katia", "Lucía")
_LAST = ("Abel", "Björk", "Černý", "Duarte", "Egger", "Fournier", "Grün", "Håkansson", "Ilves", "Jansen")
# Where its customers live: country, town, latitude, longitude.
_TOWNS = (
    ("DE", "Hamburg", "53.55", "9.99"),
    ("DE", "Leipzig", "51.34", "12.37"),
    ("NL", "Utrecht", "52.09", "5.12"),
    ("FR", "Lille", "50.63", "3.06"),
    ("AT", "Graz", "47.07", "15.44"),
    ("GB", "York", "53.96", "-1.08"),
)


class Offer(msgspec.Struct, frozen=True):
    """What the shop sells: a key of the item, the location that has it, and its price in `currency`."""

    sku: str
    location: str
    price: Decimal
    currency: str


class Trade(msgspec.Struct):
    """What the shop did so far, by how it ended."""

    placed: int = 0
    pickups: int = 0
    quoted: int = 0
    confirmed: int = 0
    refused: int = 0
    cancelled: int = 0
    received: int = 0
    baskets: int = 0
    unanswered: int = 0


class Warehouses(msgspec.Struct, frozen=True):
    """Who works in the shop's warehouses; see `backroom.Backroom`."""

    crew: tuple[Actor, Actor, Actor]
    supplier: str
    reading: Reading
    by_lot: frozenset[str] = frozenset()


class Shop:
    """A storefront in a box. seed: of its customers' choices. source: the system name its order numbers live under.

    stores: codes of the locations where customers pick up. warehouses: who works there; without anybody, goods come in
    and that is all.
    """

    def __init__(
        self,
        door: Door,
        actor: Actor,
        offers: Sequence[Offer],
        *,
        seed: int,
        source: str = "webshop",
        stores: Sequence[str] = (),
        warehouses: Warehouses | None = None,
    ) -> None:
        if not offers:
            raise ValueError("a shop needs something to sell: load a catalogue with stock first")
        self._door = door
        self._actor = actor
        self._offers = list(offers)
        self._chance = random.Random(seed)
        self._source = source
        self._stores = tuple(stores)
        self._run = f"{datetime.now(UTC):%y%m%d%H%M%S}"
        self._number = 0
        self._open: list[str] = []
        self._quotes: list[str] = []
        self.trade = Trade()
        self.backroom = None if warehouses is None else Backroom(
            self._submit, door.now, warehouses.crew, [(offer.sku, offer.location) for offer in offers],
            warehouses.reading, chance=self._chance, supplier=warehouses.supplier, channel=source, run=self._run,
            by_lot=warehouses.by_lot,
        )  # fmt: skip

    async def run(self, per_second: float, until: Callable[[], bool]) -> Trade:
        """Act so many times a second until told to stop; return what was done."""
        while not until():
            await self.act()
            await asyncio.sleep(self._chance.expovariate(per_second))
        return self.trade

    async def act(self) -> None:
        """Do one thing a shop's day brings: mostly orders; baskets, quotes, cancellations, and warehouse work."""
        kind = self._chance.random()
        if kind < 0.56:
            await self._place(self._shipped())
        elif kind < 0.64:
            await self._place(self._picked_up() or self._shipped())
        elif kind < 0.70:
            await (self._confirm() if self._quotes else self._quote())
        elif kind < 0.80:
            await self._fill_basket()
        elif kind < 0.86 and self._open:
            await self._cancel()
        elif self.backroom is not None:
            await self.backroom.act()
        else:
            await self._receive()

    async def _submit(self, command: Command, by: Actor | None = None) -> Outcome | None:
        self._number += 1
        try:
            return await self._door.submit(by or self._actor, command, f"{self._source}/{self._run}/{self._number}")
        except (Overloaded, DatabaseUnreachable, Unknown):
            self.trade.unanswered += 1
            return None

    def _shipped(self) -> PlaceOrder:
        """Return an order that goes to a customer, from wherever sourcing chooses."""
        first = self._chance.choice(self._offers)
        country, town, latitude, longitude = self._chance.choice(_TOWNS)
        return PlaceOrder(
            currency=first.currency,
            channel=self._source,
            lines=self._basket([o for o in self._offers if o.currency == first.currency]),
            charges=(Charge("SHIPPING", Amount(booked(Decimal("4.90"), first.currency)), "Shipping"),),
            contact=self._customer(town, country),
            ship_country=country,
            latitude=Quantity(latitude),
            longitude=Quantity(longitude),
            priority=5 if self._chance.random() < 0.1 else 0,
        )

    def _picked_up(self) -> PlaceOrder | None:
        """Return an order that a customer collects at a store, or None where there is none to collect at."""
        there = [offer for offer in self._offers if offer.location in self._stores]
        if not there:
            return None
        first = self._chance.choice(there)
        near = [o for o in there if (o.location, o.currency) == (first.location, first.currency)]
        return PlaceOrder(
            currency=first.currency,
            channel=self._source,
            location=first.location,
            delivery="pickup",
            lines=self._basket(near),
            contact=self._customer(_TOWNS[2][1], _TOWNS[2][0]),
        )

    def _basket(self, offers: Sequence[Offer]) -> tuple[PlaceLine, ...]:
        by_sku = {offer.sku: offer for offer in offers}
        chosen = self._chance.sample(sorted(by_sku), min(len(by_sku), self._chance.randint(1, 4)))
        return tuple(PlaceLine(sku, Quantity(self._chance.randint(1, 3)), Amount(by_sku[sku].price)) for sku in chosen)

    async def _place(self, order: PlaceOrder) -> None:
        number = f"{self._source.upper()[:1]}{self._run}-{self._number:04d}"
        outcome = await self._submit(msgspec.structs.replace(order, external_ids={self._source: number}))
        if outcome is None:
            return
        if outcome.status != "applied":
            self.trade.refused += 1
            return
        self.trade.placed += 1
        self.trade.pickups += order.delivery == "pickup"
        self._open.append(outcome.result["order"])

    async def _quote(self) -> None:
        """Save a business customer's quote, which holds its prices for a week and stock for ten minutes."""
        order = self._shipped()
        quote = SaveDraft(
            currency=order.currency,
            channel=order.channel,
            lines=order.lines,
            contact=order.contact,
            ship_country=order.ship_country,
            latitude=order.latitude,
            longitude=order.longitude,
            business=Terms(customer_order=f"PO-{self._chance.randint(1000, 9999)}", payment_terms="NET30"),
            valid_until=self._door.now() + timedelta(days=7),
            reserve_minutes=10,
        )
        outcome = await self._submit(quote)
        if outcome is not None and outcome.status == "applied":
            self._quotes.append(outcome.result["draft"])
            self.trade.quoted += 1

    async def _confirm(self) -> None:
        """Let a customer accept a quote."""
        outcome = await self._submit(ConfirmDraft(draft=self._quotes.pop(0)))
        if outcome is not None and outcome.status == "applied":
            self.trade.confirmed += 1
            self._open.append(outcome.result["order"])

    async def _fill_basket(self) -> None:
        offer = self._chance.choice(self._offers)
        outcome = await self._submit(
            ReserveStock(
                location=offer.location,
                lines=(ReserveLine(offer.sku, Quantity(1)),),
                expires_at=self._door.now() + timedelta(minutes=self._chance.randint(2, 15)),
            )
        )
        self.trade.baskets += outcome is not None and outcome.status == "applied"

    async def _cancel(self) -> None:
        order = self._open.pop(self._chance.randrange(len(self._open)))
        outcome = await self._submit(CancelOrder(order=order, reason="customer changed their mind"))
        self.trade.cancelled += outcome is not None and outcome.status == "applied"

    async def _receive(self) -> None:
        place = self._chance.choice(self._offers).location
        there = [offer for offer in self._offers if offer.location == place]
        chosen = self._chance.sample(there, min(len(there), 5))
        outcome = await self._submit(
            ReceiveStock(
                location=place,
                lines=tuple(ReceivedLine(offer.sku, Quantity(self._chance.randint(5, 40))) for offer in chosen),
                reference=f"DN{self._run}-{self._number:04d}",
            )
        )
        self.trade.received += outcome is not None and outcome.status == "applied"

    def _customer(self, town: str, country: str) -> Contact:
        first, last = self._chance.choice(_FIRST), self._chance.choice(_LAST)
        number = self._chance.randint(1, 140)
        name = f"{first} {last}"
        address = Address(name=name, street=f"Lindenweg {number}", postcode=f"{self._chance.randint(10000, 99999)}",
                          city=town, country=country)  # fmt: skip
        return Contact(name=name, email=f"customer{self._chance.randint(1, 400)}@example.com", ship_to=address)
