"""A shop that lives through a window of days, so that a replay of them can be held against what happened."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from tests.conftest import START, Databases, expect_all
from tests.requests import person, rows

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core import json
from trueup.core.batch import fold
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.past import Window
from trueup.core.policy import Policy
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Command, Outcome
from trueup.orders.cancel import CancelLine, CancelOrder
from trueup.orders.channel import Channel
from trueup.orders.hold import PlaceHold, ReleaseHolds
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.orders.tax import TaxEntry, TaxTable
from trueup.oversight.impact import side
from trueup.oversight.impact_orders import CameTo, Outcomes
from trueup.parties.record import RecordCustomer
from trueup.sourcing.policy import Group, Routing, Rule, When
from trueup.sourcing.reject import RejectPart
from trueup.stock.count import CountedLine, CountStock
from trueup.stock.pools import SetPool
from trueup.stock.receive import ReceivedLine, ReceiveStock, SetSafetyStock
from trueup.stock.reserve import ReserveLine, ReserveStock
from trueup.stock.supply import ExpectSupply
from trueup.storyline import settled

Proposal = dict[tuple[str, str], Policy]
PLACES = ("EAST", "MAIN", "WEST")


class Shop:
    """A shop that acts one step at a time, its storyline told after each; `orders` by the number of their shop."""

    def __init__(self, url: str, door: Door, clock: TurnedClock, agent: Actor | None = None) -> None:
        self.url, self.door, self.clock = url, door, clock
        self.agent = agent or SYSTEM
        self.orders: dict[str, str] = {}
        self._number = 0

    async def do(self, command: Command, actor: Actor = SYSTEM, minutes: int = 1) -> Outcome:
        """Let minutes pass, submit, and let follow what follows."""
        self.clock.turn(timedelta(minutes=minutes))
        self._number += 1
        outcome = await self.door.submit(actor, command, f"step {self.clock.now().isoformat()} {self._number}")
        await settled(self.door, self.url, house.build())
        return outcome

    async def order(self, number: str, minutes: int = 1, actor: Actor | None = None, **given: Any) -> None:
        """Place an order of units by SKU; one that is refused has no id."""
        units = {sku: given.pop(sku) for sku in [*given] if sku.isupper()}
        lines = tuple(PlaceLine(sku, Quantity(count), Amount("20.00")) for sku, count in units.items())
        command = PlaceOrder(currency="EUR", lines=lines, external_ids={"shop": number}, ship_country="DE", **given)
        outcome = await self.do(command, actor or SYSTEM, minutes)
        if outcome.refusal is None:
            self.orders[number] = outcome.result["order"]

    async def cancel(self, number: str, *lines: CancelLine) -> None:
        """Cancel an order, or units of it; of one that was refused, nobody asks."""
        await self.do(CancelOrder(order=self.orders.get(number, "ord_none"), lines=lines))

    async def reject(self, number: str) -> None:
        """Let the location with an order's first part turn it down, where it has one."""
        parts = await rows(
            self.url,
            "select id from fulfilment_order where order_id = %s order by number limit 1",
            self.orders.get(number, ""),
        )
        part = parts[0][0] if parts else "ful_none"
        order = self.orders.get(number, "ord_none")
        await self.do(RejectPart(order=order, fulfilment_order=part, reason="not_found"))

    async def receive(self, place: str, minutes: int = 1, **units: int) -> None:
        """Receive units."""
        lines = tuple(ReceivedLine(sku, Quantity(count)) for sku, count in units.items())
        await self.do(ReceiveStock(location=place, lines=lines, reference=f"r {self.clock.now()}"), minutes=minutes)

    async def count(self, place: str, **units: int) -> None:
        """Count units."""
        lines = tuple(CountedLine(sku, Quantity(count)) for sku, count in units.items())
        moment = self.clock.now()
        await self.do(CountStock(location=place, lines=lines, reference=f"c {moment}", counted_at=moment))

    async def publish(self, documents: Proposal) -> None:
        """Put documents in force."""
        for (kind, name), document in documents.items():
            command = PublishPolicy(
                policy_kind=kind, policy_name=name, document=json.to_plain(document), reason="proposed"
            )
            expect_all([await self.door.submit(SYSTEM, command, f"publish {kind} {name} {uuid.uuid4()}")])


async def opened(shop: Shop) -> None:
    """Set the shop up: three places, five items, policies, and a past before the window."""
    for at, place in enumerate(PLACES):
        await shop.do(
            RegisterLocation(
                code=place, name=place.title(), country="DE", latitude=Quantity(50 + at), longitude=Quantity(8)
            )
        )
    for sku in ("MUG", "TEE", "CAP", "BAG", "PEN"):
        await shop.do(RegisterItem(sku=sku, name=sku.title(), category="cups" if sku == "MUG" else "wear"))
    shop.agent = await person(shop.door, "Ada", "Order Agent")
    await shop.publish(
        {
            ("channel", "web"): Channel(locations=PLACES, short="backorder", tax="table"),
            ("tax", "default"): TaxTable(home="DE", entries=(TaxEntry(country="DE", rate=Quantity(19)),)),
        }
    )
    for place, units in (("MAIN", 12), ("EAST", 6), ("WEST", 30)):
        await shop.receive(place, MUG=units, TEE=units, CAP=units)
    await shop.do(RecordCustomer(source="crm", number="C1", country="DE"))
    await shop.order("old-1", MUG=2, TEE=1)
    await shop.order("old-2", CAP=3)
    await shop.order("old-3", MUG=3, customer="C1", customer_source="crm")
    await shop.do(cart(shop, 40, MUG=2))
    await shop.do(cart(shop, 600, TEE=4))
    await shop.cancel("old-2", CancelLine(1, Quantity(1)))


def cart(shop: Shop, minutes: int, **units: int) -> ReserveStock:
    """Hold units at MAIN for so many minutes."""
    lines = tuple(ReserveLine(sku, Quantity(count)) for sku, count in units.items())
    return ReserveStock(location="MAIN", lines=lines, expires_at=shop.clock.now() + timedelta(minutes=minutes))


async def window(shop: Shop) -> None:
    """What was asked and reported in the days that are replayed; the same whoever's policies decide."""
    await shop.order("n1", MUG=1)
    await shop.order("n2", MUG=4, TEE=2, actor=shop.agent)
    await shop.order("n3", TEE=9, customer="C1", customer_source="crm")
    await shop.do(cart(shop, 30, CAP=5))
    await shop.order("n4", CAP=8, MUG=1, priority=3)
    await shop.cancel("n1")
    await shop.cancel("old-1", CancelLine(2, Quantity(1)))
    await shop.order("n5", MUG=14, minutes=45)
    await shop.receive("EAST", MUG=5, CAP=2)
    await shop.do(SetSafetyStock(location="MAIN", sku="TEE", quantity=Quantity(3)))
    await shop.order("n6", TEE=12, delivery="pickup", location="WEST")
    await shop.order("n7", BAG=2)
    await shop.do(
        ExpectSupply(location="EAST", sku="BAG", quantity=Quantity(5), due="2026-03-20", reference="PO", source="erp")
    )
    await shop.order("n8", BAG=3, actor=shop.agent)
    await shop.reject("n2")
    await shop.reject("old-3")
    await shop.count("MAIN", MUG=3, CAP=20)
    await shop.do(PlaceHold(order=shop.orders.get("n4", "ord_none"), type="manual", reason="look at it"))
    await shop.order("n9", MUG=6, CAP=6, minutes=20)
    await shop.do(ReleaseHolds(reason="looked", type="manual"))
    await shop.receive("EAST", BAG=4, MUG=3, minutes=120)
    await shop.do(SetPool(location="WEST", sku="TEE", channel="app", mode="reserve", quantity=Quantity(4)))
    await shop.order("n10", TEE=5)
    await shop.order("n11", TEE=5, minutes=600)
    await shop.cancel("n5")
    await shop.order("n12", MUG=10)
    await shop.order("n13", TEE=300, short="partial")
    await shop.cancel("n12", CancelLine(1, Quantity(1)))


async def afterwards(shop: Shop) -> None:
    """What changed the stock after the window: receipts, counts, expiries, orders."""
    await shop.receive("MAIN", MUG=100, TEE=100, CAP=100, BAG=100, minutes=2000)
    await shop.count("WEST", TEE=1, MUG=0)
    await shop.order("later", MUG=40, TEE=20)


def routing(rule: Rule, **when: Any) -> Routing:
    return Routing(groups=(Group("all", (rule,)),), when=When(**when))


@asynccontextmanager
async def shop_at(url: str, moment: Any, agent: Actor | None = None) -> AsyncIterator[Shop]:
    clock = TurnedClock(moment)
    async with Door(url, house.build(), clock=clock) as door:
        yield Shop(url, door, clock, agent)


async def head_of(url: str) -> tuple[int, Any]:
    return (await rows(url, "select position, at from journal order by position desc limit 1"))[0]


class Past(msgspec.Struct):
    """A shop whose window was lived through: the database before it and after it, and where it lies."""

    before: str
    lived: str
    window: Window
    agent: Actor
    moment: Any
    orders: dict[str, str]


async def living(databases: Databases) -> Past:
    """One shop before the window, and one that lived through it and what came after."""
    before = databases.copied()
    async with shop_at(before, START) as shop:
        await opened(shop)
        agent, moment, orders = shop.agent, shop.clock.now(), dict(shop.orders)
    lived = databases.copied(before)
    after, since = await head_of(lived)
    async with shop_at(lived, moment, agent) as shop:
        shop.orders = dict(orders)
        await window(shop)
        upto, until = await head_of(lived)
        found = Window(after, upto, since + timedelta(seconds=1), until, clean=True)
        await afterwards(shop)
    return Past(before, lived, found, agent, moment, orders)


async def happened(url: str) -> dict[str, CameTo]:
    """What a shop's orders really came to, from all its journal, by the number of their shop."""
    connection = await connect(url)
    try:
        built = house.build()
        standing = await built.load_standing(connection)
        state = await fold(connection, built)
        seen = Outcomes(standing.policies)
        numbers = await by_number(url)
        seen.done(state, numbers)
    finally:
        await connection.close()
    return {numbers[order]: plain(came) for order, came in seen.orders.items()}


async def by_number(url: str) -> dict[str, str]:
    known = dict(await rows(url, "select order_id, key from order_key where source = 'shop'"))
    refused = await rows(
        url,
        """select 'ref_' || id, convert_from(body, 'UTF8')::jsonb #>> '{external_ids,shop}' from refused_command
        where verb = 'orders.place'""",
    )
    return {**known, **dict(refused)}


def plain(came: CameTo) -> CameTo:
    return msgspec.structs.replace(came, number="", shipping=Decimal(0), margin=None)


async def predicted(past: Past, proposal: Proposal) -> dict[str, CameTo]:
    """What the replay says the orders of the window come to, by the number of their shop; refused ones left out."""
    answer = await side(past.lived, house.build(), past.window, proposal)
    assert answer.tally.broken == 0, answer.tally.why
    numbers = await by_number(past.lived)
    return {
        numbers[order]: plain(came)
        for order, came in answer.orders.items()
        if not came.outcome.startswith("refused") and order in numbers
    }


async def happened_at(past: Past) -> dict[str, CameTo]:
    connection = await connect(past.lived)
    try:
        built = house.build()
        standing = await built.load_standing(connection)
        state = await fold(connection, built, past.window.upto)
        seen = Outcomes(standing.policies)
        numbers = await by_number(past.lived)
        seen.done(state, numbers)
    finally:
        await connection.close()
    return {numbers[order]: plain(came) for order, came in seen.orders.items()}
