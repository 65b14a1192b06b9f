"""The simulated shop that goes on trading, through the door like anybody: baskets, orders, cancellations, deliveries.

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
from trueup.orders.cancel import CancelOrder
from trueup.orders.place import Charge, PlaceLine, PlaceOrder
from trueup.parties.state import Address, Contact
from trueup.stock.receive import ReceivedLine, ReceiveStock
from trueup.stock.reserve import ReserveLine, ReserveStock

_FIRST = ("Ada", "Bram", "Chiara", "Dries", "Elif", "Femke", "Goran", "Hanna", "Ivo", "Jonas", "Katia", "Lucía")
_LAST = ("Abel", "Björk", "Černý", "Duarte", "Egger", "Fournier", "Grün", "Håkansson", "Ilves", "Jansen")
_COUNTRIES = ("DE", "NL", "FR", "AT", "GB")


class Offer(msgspec.Struct, frozen=True):
    """What the shop sells: a key of the item, the location that has it, and its price in `currency`."""

    sku: str
    location: str
    price: Decimal
    currency: str


class Trade(msgspec.Struct):
    """What the shop did so far, by how it ended."""

    placed: int = 0
    refused: int = 0
    cancelled: int = 0
    received: int = 0
    baskets: int = 0
    unanswered: int = 0


class Shop:
    """A storefront in a box. seed: of its customers' choices. source: the system name its order numbers live under."""

    def __init__(
        self, door: Door, actor: Actor, offers: Sequence[Offer], *, seed: int, source: str = "webshop"
    ) -> None:
        if not offers:
            raise ValueError("a shop needs something to sell: load a catalogue with stock first")
        self._door = door
        self._actor = actor
        self._offers = list(offers)
        self._chance = random.Random(seed)
        self._source = source
        self._run = f"{datetime.now(UTC):%y%m%d%H%M%S}"
        self._number = 0
        self._open: list[str] = []
        self.trade = Trade()

    async def run(self, per_second: float, until: Callable[[], bool]) -> Trade:
        """Act so many times a second until told to stop; return what was done."""
        while not until():
            await self.act()
            await asyncio.sleep(self._chance.expovariate(per_second))
        return self.trade

    async def act(self) -> None:
        """Do one thing a shop's day brings: mostly orders, some baskets, now and then a cancellation or a delivery."""
        kind = self._chance.random()
        if kind < 0.70:
            await self._place()
        elif kind < 0.82:
            await self._fill_basket()
        elif kind < 0.92 and self._open:
            await self._cancel()
        else:
            await self._receive()

    async def _submit(self, command: Command) -> Outcome | None:
        self._number += 1
        try:
            return await self._door.submit(self._actor, command, f"{self._source}/{self._run}/{self._number}")
        except (Overloaded, DatabaseUnreachable, Unknown):
            self.trade.unanswered += 1
            return None

    async def _place(self) -> None:
        first = self._chance.choice(self._offers)
        same = [o for o in self._offers if (o.location, o.currency) == (first.location, first.currency)]
        basket = self._chance.sample(same, min(len(same), self._chance.randint(1, 4)))
        lines = tuple(PlaceLine(o.sku, Quantity(self._chance.randint(1, 3)), Amount(o.price)) for o in basket)
        freight = booked(Decimal("4.90"), first.currency)
        outcome = await self._submit(
            PlaceOrder(
                currency=first.currency,
                channel=self._source,
                location=first.location,
                lines=lines,
                charges=(Charge("SHIPPING", Amount(freight), "Shipping"),),
                external_ids={self._source: f"{self._source.upper()[:1]}{self._run}-{self._number:04d}"},
                contact=self._customer(),
                ship_country=self._chance.choice(_COUNTRIES),
            )
        )
        if outcome is None:
            return
        if outcome.status == "applied":
            self.trade.placed += 1
            self._open.append(outcome.result["order"])
        else:
            self.trade.refused += 1

    async def _fill_basket(self) -> None:
        offer = self._chance.choice(self._offers)
        outcome = await self._submit(
            ReserveStock(
                location=offer.location,
                lines=(ReserveLine(offer.sku, Quantity(1)),),
                expires_at=datetime.now(UTC) + timedelta(minutes=self._chance.randint(2, 15)),
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

    def _customer(self) -> Contact:
        first, last = self._chance.choice(_FIRST), self._chance.choice(_LAST)
        number = self._chance.randint(1, 140)
        name = f"{first} {last}"
        address = Address(name=name, street=f"Lindenweg {number}", postcode=f"{self._chance.randint(10000, 99999)}",
                          city="Musterstadt", country="DE")  # fmt: skip
        return Contact(name=name, email=f"customer{self._chance.randint(1, 400)}@example.com", ship_to=address)
