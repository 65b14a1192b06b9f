"""A hypothesis state machine that drives the door and compares each answer, and what can be read, with the model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any, ClassVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.conftest import START
from tests.machine.model import PRICE, Shop, Wanted
from tests.proof import problems_of

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Command, Outcome
from trueup.orders.cancel import CancelLine, CancelOrder
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.stock import read
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceiveStock, SetSafetyStock
from trueup.stock.reserve import ReleaseReservation, ReserveLine, ReserveStock

SKUS = ("A", "B")
WANTED = st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 6)), min_size=1, max_size=3).map(tuple)
NUMBERS = st.integers(0, 1_000_000)


class Bench:
    """One database, one door and one clock for all examples of a run; each example trades in items of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = TurnedClock(START)
        self.numbers = count(1)
        self.runner = asyncio.Runner()
        self.door = Door(url, house.build(), clock=self.clock, writers=1)
        self.reads: Connection
        self.runner.run(self.open())

    async def open(self) -> None:
        self.reads = await connect(self.url)
        await self.door.open()
        await self.door.submit(SYSTEM, RegisterLocation(code="MAIN", name="Main"), "MAIN")

    async def close(self) -> None:
        await self.door.close()
        await self.reads.close()

    def submit(self, keyed: Sequence[tuple[str, Command]]) -> list[Outcome]:
        return self.runner.run(self.door.submit_all(SYSTEM, keyed))


@contextmanager
def bench_on(url: str) -> Iterator[Bench]:
    """Open a bench on a database, and close it whatever happens."""
    bench = Bench(url)
    try:
        yield bench
    finally:
        bench.runner.run(bench.close())
        bench.runner.close()


class Trading(RuleBasedStateMachine):
    """Place, cancel, reserve, release, let expire, receive, adjust, repeat, and use keys twice."""

    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.number = next(self.bench.numbers)
        self.shop = Shop(self.bench.clock.now())
        self.carts: list[str] = []
        self.history: list[tuple[str, Command, Outcome]] = []

    def sku(self, name: str) -> str:
        return f"{name}-{self.number}"

    def submit(self, *commands: Command) -> list[Outcome]:
        keyed = [(f"{self.number}/{len(self.history) + at}", command) for at, command in enumerate(commands)]
        outcomes = self.bench.submit(keyed)
        self.history += [(key, command, outcome) for (key, command), outcome in zip(keyed, outcomes, strict=True)]
        assert not any(outcome.repeated for outcome in outcomes)
        return outcomes

    def expect(self, outcome: Outcome, status: str, rule_name: str = "") -> None:
        assert outcome.status == status, (outcome, status)
        assert (outcome.refusal.rule if outcome.refusal else "") == rule_name, outcome

    @initialize(units=st.tuples(st.integers(0, 12), st.integers(0, 12)))
    def stock_up(self, units: tuple[int, int]) -> None:
        for name, received in zip(SKUS, units, strict=True):
            self.shop.on_hand[name], self.shop.safety[name] = 0, 0
            self.expect(self.submit(RegisterItem(sku=self.sku(name), name=name))[0], "applied")
            if received:
                self.receive(name, received)

    def order(self, wanted: Wanted) -> PlaceOrder:
        lines = tuple(PlaceLine(self.sku(name), Quantity(units), Amount(PRICE)) for name, units in wanted)
        return PlaceOrder(currency="EUR", lines=lines)

    def placed(self, outcome: Outcome, wanted: Wanted) -> None:
        short = self.shop.short(wanted)
        self.expect(outcome, "refused" if short else "applied", "stock.short" if short else "")
        if outcome.refusal is not None:
            assert [detail.where for detail in outcome.refusal.details] == short
        else:
            self.shop.place(outcome.result["order"], wanted)

    @rule(wanted=WANTED)
    def place(self, wanted: Wanted) -> None:
        self.placed(self.submit(self.order(wanted))[0], wanted)

    @rule(several=st.lists(WANTED, min_size=2, max_size=5))
    def place_several_at_once(self, several: list[Wanted]) -> None:
        for outcome, wanted in zip(self.submit(*map(self.order, several)), several, strict=True):
            self.placed(outcome, wanted)

    @rule(wanted=WANTED, minutes=st.integers(1, 30))
    def reserve(self, wanted: Wanted, minutes: int) -> None:
        until = self.shop.now + timedelta(minutes=minutes)
        lines = tuple(ReserveLine(self.sku(name), Quantity(units)) for name, units in wanted)
        outcome = self.submit(ReserveStock(location="MAIN", lines=lines, expires_at=until))[0]
        short = self.shop.short(wanted)
        self.expect(outcome, "refused" if short else "applied", "stock.short" if short else "")
        if not short:
            self.carts.append(outcome.result["reservation"])
            self.shop.claim(self.carts[-1], wanted, until)

    @precondition(lambda self: self.carts)
    @rule(which=NUMBERS)
    def release(self, which: int) -> None:
        cart = self.carts[which % len(self.carts)]
        outcome = self.submit(ReleaseReservation(reservation=cart))[0]
        self.expect(outcome, "applied" if self.shop.release(cart) else "merged")

    @rule(minutes=st.integers(1, 40))
    def turn_the_clock(self, minutes: int) -> None:
        self.bench.clock.turn(timedelta(minutes=minutes))
        self.shop.now = self.bench.clock.now()

    @rule(name=st.sampled_from(SKUS), minutes=st.integers(1, 30))
    def sell_what_a_cart_held_until_it_expired(self, name: str, minutes: int) -> None:
        units = self.shop.available(name)
        if units > 0:
            self.reserve(((name, units),), minutes)
            self.place(((name, 1),))
            self.turn_the_clock(minutes)
            self.place(((name, units),))

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS, line=st.integers(1, 3), units=st.integers(0, 5))
    def cancel(self, which: int, line: int, units: int) -> None:
        order = self.chosen(which)
        can = self.shop.open(order, line)
        outcome = self.submit(CancelOrder(order=order, lines=(CancelLine(line, Quantity(units)),)))[0]
        if line not in self.shop.orders[order]:
            self.expect(outcome, "refused", "orders.unknown_line")
        elif not 0 < units <= can:
            self.expect(outcome, "refused", "orders.too_many")
        else:
            self.expect(outcome, "applied")
            self.shop.cancel(order, line, units)
            assert Decimal(outcome.result["total"]) == self.shop.total(order)

    @precondition(lambda self: self.shop.orders)
    @rule(which=NUMBERS)
    def cancel_the_rest(self, which: int) -> None:
        order = self.chosen(which)
        rest = {line: self.shop.open(order, line) for line in self.shop.orders[order]}
        outcome = self.submit(CancelOrder(order=order))[0]
        if not any(rest.values()):
            self.expect(outcome, "refused", "orders.nothing_left")
            return
        self.expect(outcome, "applied")
        for line, units in rest.items():
            self.shop.cancel(order, line, units)
        assert Decimal(outcome.result["total"]) == 0

    def chosen(self, which: int) -> str:
        return list(self.shop.orders)[which % len(self.shop.orders)]  # by age: ids of one moment come in random order

    @rule(name=st.sampled_from(SKUS), units=st.integers(1, 8))
    def receive(self, name: str, units: int) -> None:
        lines = (ReceivedLine(self.sku(name), Quantity(units)),)
        self.expect(self.submit(ReceiveStock(location="MAIN", lines=lines, reference="note"))[0], "applied")
        self.shop.on_hand[name] += units

    @rule(name=st.sampled_from(SKUS), change=st.integers(-9, 6).filter(bool))
    def adjust(self, name: str, change: int) -> None:
        change_by = Quantity(change)
        command = AdjustStock(location="MAIN", sku=self.sku(name), change=change_by, reason="found", reference="x")
        self.expect(self.submit(command)[0], "applied")
        self.shop.adjust(name, change)

    @rule(name=st.sampled_from(SKUS), units=st.integers(0, 4))
    def keep_back(self, name: str, units: int) -> None:
        command = SetSafetyStock(location="MAIN", sku=self.sku(name), quantity=Quantity(units))
        self.expect(self.submit(command)[0], "applied")
        self.shop.safety[name] = units

    @precondition(lambda self: self.history)
    @rule(which=NUMBERS)
    def repeat(self, which: int) -> None:
        key, command, first = self.history[which % len(self.history)]
        again = self.bench.submit([(key, command)])[0]
        assert again == msgspec.structs.replace(first, repeated=True)

    @precondition(lambda self: self.history)
    @rule(which=NUMBERS, wanted=WANTED)
    def use_a_key_for_something_else(self, which: int, wanted: Wanted) -> None:
        key, command, _ = self.history[which % len(self.history)]
        other = self.order((*wanted, *wanted))
        if other != command:
            self.expect(self.bench.submit([(key, other)])[0], "refused", "door.key_reused")

    @invariant()
    def what_can_be_read_is_what_the_model_says(self) -> None:
        for name in self.shop.on_hand:
            found = self.bench.runner.run(self.read(name))
            if found is not None:
                assert (found.on_hand, found.reserved, found.available) == (
                    self.shop.on_hand[name],
                    self.shop.counting(name),
                    self.shop.available(name),
                ), name

    async def read(self, name: str) -> Any:
        return await read.availability(self.bench.reads, Policies([]), self.sku(name), "MAIN", self.bench.clock.now())

    def teardown(self) -> None:
        totals = {order: self.shop.total(order) for order in self.shop.orders}
        assert self.bench.runner.run(self.totals(list(totals))) == totals
        assert self.bench.runner.run(problems_of(self.bench.url)) == []

    async def totals(self, orders: list[str]) -> dict[str, Decimal]:
        rows = await self.bench.reads.execute("select id, total from orders where id = any(%s)", [orders])
        return dict(await rows.fetchall())
