"""What a process keeps of the shelves is what the tables say, whatever happened since it was read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import stocked
from tests.stock.depth import done, item, lots, tell
from tests.stock.test_freeze import announced, publish
from tests.stock.test_told import order, policies_of

from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.orders.cancel import CancelOrder
from trueup.sourcing.assign import AssignOrder
from trueup.stock import kept_shelves, promising
from trueup.stock.freeze import StartFreeze, ThawFreeze
from trueup.stock.kept_shelves import Shelves
from trueup.stock.pools import SetPool
from trueup.stock.promising import Available, Basket, BasketLine
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceiveStock, SetSafetyStock
from trueup.stock.reserve import ReleaseReservation, ReserveLine, ReserveStock
from trueup.stock.supply import CancelSupply, ExpectSupply, RescheduleSupply

SKUS = ("MUG", "CUP", "PEN", "MILK")
PLACES = ("MAIN", "SHOP")
STEPS = 60


class Stale(Exception):
    """What is kept is not what the tables say; after what happened last."""


class Day:
    """One random day at a shop: what may happen next, and what has happened that more can happen to."""

    def __init__(self, door: Door, chance: random.Random, clock: TurnedClock) -> None:
        self.door, self.chance, self.clock = door, chance, clock
        self.orders: list[str] = []
        self.carts: list[str] = []
        self.supplies: list[str] = []
        self.freezes: list[str] = []
        self.number = 0

    async def next(self) -> str:
        """Let something happen; what is refused changes nothing either. Returns what it was."""
        self.number += 1
        if self.chance.random() < 0.1:
            self.clock.turn(timedelta(minutes=self.chance.choice((1, 20, 600))))
            return "time"
        if self.freezes == [] and self.chance.random() < 0.05:
            self.freezes.append(await announced(self.door, reason=f"count {self.number}", to_at=self.later(12)))
        return await self.tell(self.chance.choice(self.choices()))

    async def tell(self, command: Command) -> str:
        """Submit a command, and keep what more can happen to."""
        outcome = await tell(self.door, command)
        for name, known in (("order", self.orders), ("reservation", self.carts), ("supply", self.supplies)):
            if name in outcome.result and outcome.result[name] not in known:
                known.append(outcome.result[name])
        return f"{type(command).__name__} {outcome.status}"

    def later(self, hours: int) -> Any:
        return self.clock.now() + timedelta(hours=hours)

    def units(self, most: int = 6) -> Quantity:
        return Quantity(self.chance.randint(1, most))

    def choices(self) -> list[Command]:
        chance, sku, place = self.chance, self.chance.choice(SKUS), self.chance.choice(PLACES)
        due = self.later(chance.choice((1, 30, 90))).isoformat()
        found: list[Command] = [
            ReceiveStock(location=place, lines=(ReceivedLine(sku, self.units()),), reference=f"PO {sku}"),
            AdjustStock(location=place, sku=sku, change=Quantity(-2), reason="found", reference="count"),
            SetSafetyStock(location=place, sku=sku, quantity=self.units(3)),
            ReserveStock(location=place, lines=(ReserveLine(sku, self.units(3)),), expires_at=self.later(1)),
            order("web", sku, self.units(3)),
            order("later", sku, self.units(9)),
            order("web", "PAIR", 1),
            ExpectSupply(location=place, sku=sku, quantity=self.units(9), due=due, reference=f"PO {sku}", source="us"),
            SetPool(
                location=place, sku=chance.choice(("MUG", "PAIR")), channel="web",
                mode=chance.choice(("cap", "reserve")), quantity=chance.choice((None, self.units())),
            ),
            RegisterItem(sku=sku, name=sku, aliases=(f"{sku} {self.number}",), lead_days=chance.randint(1, 9)),
            RegisterLocation(code=place, name=place, timezone=chance.choice(("UTC", "Asia/Tokyo"))),
            lots((f"L{self.number}", 3, self.clock.now().date() + timedelta(days=chance.choice((-1, 0, 5))))),
        ]  # fmt: skip
        for known, make in self.again(due):
            if known:
                found.append(make(chance.choice(known)))
        return found

    def again(self, due: str) -> list[tuple[list[str], Callable[[str], Command]]]:
        return [
            (self.carts, lambda id_: ReleaseReservation(reservation=id_)),
            (self.orders, lambda id_: CancelOrder(order=id_)),
            (self.orders, lambda id_: AssignOrder(order=id_)),
            (self.supplies, lambda id_: RescheduleSupply(supply=id_, due=due)),
            (self.supplies, lambda id_: CancelSupply(supply=id_, quantity=Quantity(1))),
            (self.freezes, lambda id_: StartFreeze(freeze=id_)),
            (self.freezes, lambda id_: ThawFreeze(freeze=id_, reason="done")),
        ]


BASKETS = (
    Basket(lines=tuple(BasketLine(sku, Quantity(2)) for sku in (*SKUS, "PAIR"))),
    Basket(lines=(BasketLine("MUG", Quantity(5)), BasketLine("PAIR", Quantity(1))), channel="web"),
    Basket(lines=(BasketLine("CUP", Quantity(1)),), channel="later", locations=("SHOP",)),
)


async def a_day(door: Door, url: str, clock: TurnedClock, seed: int) -> None:
    """Live through a day; after everything that happens, what is kept must be what the tables say."""
    chance = random.Random(seed)
    await stocked(door, location="SHOP", MUG=3, CUP=9)
    await stocked(door, MUG=20, CUP=5, PEN=0)
    await item(door, "MILK", tracking="lot", expires=True)
    await item(door, "PAIR", kind="kit", phantom=True, parts={"MUG": 2, "CUP": 1})
    await publish(door, "channel", "later", short="backorder")
    await publish(door, "freeze", sell_percent=30)
    day, shelves = Day(door, chance, clock), Shelves()
    connection = await connect(url, default_transaction_read_only="on")
    happened: list[str] = []
    try:
        waits = (await done(door, order("later", "PEN", 5))).result["order"]
        await promising.available(connection, BASKETS[0], Policies(()), clock.now(), shelves)
        for step in range(STEPS):
            if chance.random() < 0.03:
                await publish(door, "buffers", buffers=[{"units": str(chance.randint(1, 3))}])
            happened.append(await day.next() if step else await day.tell(CancelOrder(order=waits)))
            policies = await policies_of(connection)
            for basket in BASKETS:
                kept = await promising.available(connection, basket, policies, clock.now(), shelves)
                fresh = await promising.available(connection, basket, policies, clock.now())
                if kept != fresh:
                    raise Stale(happened[-3:])
            basket = BASKETS[step % len(BASKETS)]
            promised = await promising.promise(connection, basket, policies, clock.now(), shelves)
            if promised != await promising.promise(connection, basket, policies, clock.now()):
                raise Stale(happened[-3:])
    finally:
        await connection.close()


# Each day asks hundreds of times; `make test-crash` lives through eight.
DAYS = [*range(2), *(pytest.param(seed, marks=pytest.mark.crash) for seed in range(2, 8))]


@pytest.mark.parametrize("seed", DAYS)
async def test_what_is_kept_is_what_the_tables_say(door: Door, url: str, clock: TurnedClock, seed: int):
    await a_day(door, url, clock, seed)
    # reaching this line is the assertion: any difference raised


def nothing_is_followed(patch: pytest.MonkeyPatch) -> None:
    async def stay(self: Any, connection: Connection) -> None:
        self._cursor = 0

    patch.setattr(Shelves, "_follow", stay)


def demand_that_is_let_go_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(kept_shelves, "_WAITED", "select item from stock_peg where holder = any(%s::text[]) and false")


def supply_that_moves_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    changed = Shelves._changed

    def unless_supply(self: Any, subject: str, body: bytes) -> None:
        if not subject.startswith("sup_"):
            changed(self, subject, body)

    patch.setattr(Shelves, "_changed", unless_supply)


def time_changes_nothing(patch: pytest.MonkeyPatch) -> None:
    kept = Shelves._kept
    patch.setattr(Shelves, "_kept", lambda self, item, channel, now: kept(self, item, channel, now.replace(year=2000)))


def what_names_no_item_changes_nothing(patch: pytest.MonkeyPatch) -> None:
    changed = Shelves._changed

    def if_named(self: Any, subject: str, body: bytes) -> None:
        if subject.startswith("sup_") or b"itm_" in body:
            changed(self, subject, body)

    patch.setattr(Shelves, "_changed", if_named)


# Each with the seed of a day on which it matters.
BROKEN = (
    (nothing_is_followed, 0), (demand_that_is_let_go_is_not_noticed, 0), (supply_that_moves_is_not_noticed, 0),
    (time_changes_nothing, 2), (what_names_no_item_changes_nothing, 1),
)  # fmt: skip


@pytest.mark.parametrize(("breaking", "seed"), BROKEN)
async def test_shelves_that_go_stale_are_caught(
    door: Door,
    url: str,
    clock: TurnedClock,
    monkeypatch: pytest.MonkeyPatch,
    breaking: Callable[[Any], None],
    seed: int,
):
    breaking(monkeypatch)
    with pytest.raises(Stale):
        await a_day(door, url, clock, seed)


async def test_questions_that_come_together_are_answered_together(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    connections = [await connect(url, default_transaction_read_only="on") for _ in range(4)]
    shelves, basket = Shelves(), Basket(lines=(BasketLine("MUG", Quantity(1)),))

    async def ask(connection: Connection) -> Available:
        return await promising.available(connection, basket, Policies(()), clock.now(), shelves)

    try:
        first = await asyncio.gather(*map(ask, connections))
        await done(door, AdjustStock(location="MAIN", sku="MUG", change=Quantity(-4), reason="found", reference="x"))
        then = await asyncio.gather(*map(ask, connections))
    finally:
        for connection in connections:
            await connection.close()
    assert [int(found.items[0].available[0]) for found in first] == [10] * 4
    assert [int(found.items[0].available[0]) for found in then] == [6] * 4, "none is older than its question"


async def test_a_question_that_fails_leaves_the_others_their_answers(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    good, bad = [await connect(url, default_transaction_read_only="on") for _ in range(2)]
    shelves, basket = Shelves(), Basket(lines=(BasketLine("MUG", Quantity(1)),))
    await bad.close()
    ended = await asyncio.gather(
        promising.available(bad, basket, Policies(()), clock.now(), shelves),
        promising.available(good, basket, Policies(()), clock.now(), shelves),
        return_exceptions=True,
    )
    await good.close()
    assert isinstance(ended[0], Exception)
    assert isinstance(ended[1], Available)
    assert int(ended[1].items[0].available[0]) == 10


async def test_no_more_is_kept_than_may_be(door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch):
    await stocked(door, MUG=1, CUP=2, PEN=3)
    monkeypatch.setattr(kept_shelves, "FIGURES_MAX", 2)
    shelves = Shelves()
    connection = await connect(url, default_transaction_read_only="on")
    try:
        for skus in (("MUG", "CUP", "PEN"), ("PEN",), ("MUG", "PEN")):
            basket = Basket(lines=tuple(BasketLine(sku, Quantity(1)) for sku in skus))
            found = await promising.available(connection, basket, Policies(()), clock.now(), shelves)
            assert {row.sku: int(row.available[0]) for row in found.items} == {
                sku: {"MUG": 1, "CUP": 2, "PEN": 3}[sku] for sku in skus
            }
            assert len(shelves._items) <= 2
    finally:
        await connection.close()
