"""The half of the trading machine that is about goods: received, adjusted, counted, sent elsewhere, held in carts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.machine.machine import NUMBERS, Bench
from tests.trade.model import KIT, PARTS, PLACES, STOCKED, Claim, Shop, Short, Transfer, Wanted
from tests.trade.watching import CAPPED, HOWS, How

from trueup.authority.publish import PublishPolicy
from trueup.catalogue.register import KitPart, RegisterItem, RegisterLocation
from trueup.core import json
from trueup.core.policy import Policies, Policy
from trueup.core.quantity import Quantity
from trueup.core.verb import Command, Outcome
from trueup.orders.channel import Channel
from trueup.stock import read
from trueup.stock.count import CountedLine, CountStock
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceiveStock, SetSafetyStock
from trueup.stock.reserve import ReleaseReservation, ReserveLine, ReserveStock
from trueup.stock.transfer import ReceivedTransferLine, ReceiveTransfer, ShipTransfer, TransferredLine

ITEMS = st.sampled_from(STOCKED)
WHERE = st.sampled_from(PLACES)
WANTED = st.lists(st.tuples(st.sampled_from((*STOCKED, KIT)), st.integers(1, 5)), min_size=1, max_size=3).map(tuple)
CART = st.lists(st.tuples(ITEMS, st.integers(1, 3)), min_size=1, max_size=2).map(tuple)
LEDGER_SQL = """select i.name, a.account::text, sum(a.units) from stock_movement m
    cross join lateral (values (m.to_account, m.quantity), (m.from_account, -m.quantity)) a (account, units)
    join item i on i.id = m.item where i.sku = any(%s) group by i.name, a.account having sum(a.units) <> 0"""


class Goods(RuleBasedStateMachine):
    """Receive, adjust, keep back, count, transfer; carts come, go and expire."""

    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.number = next(self.bench.numbers)
        self.submitted = 0
        self.shop = Shop(self.bench.clock.now(), "refuse")
        self.how = HOWS[0]
        self.carts: list[str] = []

    # --- the door ---------------------------------------------------------------------------------------------

    def name(self, plain: str) -> str:
        return f"{plain}-{self.number}"

    def submit(self, *commands: Command) -> list[Outcome]:
        first, self.submitted = self.submitted, self.submitted + len(commands)
        return self.bench.submit([(f"{self.number}/{first + at}", command) for at, command in enumerate(commands)])

    def told(self, command: Command, status: str = "applied", rule_name: str = "") -> Outcome:
        (outcome,) = self.submit(command)
        assert outcome.status == status, (outcome, status, rule_name)
        assert (outcome.refusal.rule if outcome.refusal else "") == rule_name, outcome
        return outcome

    def publish(self, name: str, document: Policy) -> None:
        command = PublishPolicy(
            policy_kind=document.kind, policy_name=name, document=json.to_plain(document), reason="so it is done here"
        )
        (outcome,) = self.submit(command)
        assert outcome.status in ("applied", "merged"), outcome

    @initialize(
        short=st.sampled_from(("refuse", "backorder", "backorder", "partial")),
        how=st.sampled_from(HOWS),
        units=st.lists(st.integers(0, 9), min_size=6, max_size=6),
        orders=st.lists(WANTED, min_size=1, max_size=3),
    )
    def open_shop(self, short: Short, how: How, units: list[int], orders: list[Wanted]) -> None:
        self.shop.short, self.how = short, how
        for place in PLACES:
            code = self.name(place)
            self.told(RegisterLocation(code=code, name=place, capacity_per_day=CAPPED.get(place)))
        for item in STOCKED:
            self.told(RegisterItem(sku=self.name(item), name=item))
        parts = tuple(KitPart(sku=self.name(item), quantity=Quantity(per)) for item, per in PARTS.items())
        self.told(RegisterItem(sku=self.name(KIT), name=KIT, kind="kit", phantom=True, components=parts))
        self.publish(self.name("shop"), Channel(locations=tuple(map(self.name, PLACES)), short=short))
        self.publish("default", how.policy())
        for (item, place), received in zip(((i, p) for i in STOCKED for p in PLACES), units, strict=True):
            if received:
                self.receive(item, place, received)
        for wanted in orders:
            self.place(wanted)

    def place(self, wanted: Wanted) -> None:
        """Place an order."""
        raise NotImplementedError

    @rule(wanted=CART, place=WHERE, minutes=st.integers(1, 30), which=NUMBERS, back=st.booleans())
    def a_cart_comes_or_goes(self, wanted: Wanted, place: str, minutes: int, which: int, back: bool) -> None:
        if back and self.carts:
            self.give_a_cart_back(which)
        else:
            self.reserve(wanted, place, minutes)

    @rule(what=st.sampled_from(("adjust", "count", "keep back")), item=ITEMS, place=WHERE, units=st.integers(-6, 8))
    def the_shelf_is_looked_at(self, what: str, item: str, place: str, units: int) -> None:
        if what == "adjust" and units:
            self.adjust(item, place, units)
        elif what == "count":
            self.count(item, place, abs(units), minutes=5 * max(0, -units))
        else:
            self.keep_back(item, place, abs(units) % 4)

    @rule(which=NUMBERS, item=ITEMS, place=WHERE, to=WHERE, units=st.integers(0, 5), arrive=st.booleans())
    def goods_travel(self, which: int, item: str, place: str, to: str, units: int, arrive: bool) -> None:
        if arrive and self.shop.transfers:
            self.let_a_transfer_arrive(which, units, close=which % 2 == 0)
        else:
            self.send_elsewhere(item, place, to, units + 1)

    # --- carts and the clock --------------------------------------------------------------------------------------

    def reserve(self, wanted: Wanted, place: str, minutes: int) -> None:
        until = self.shop.now + timedelta(minutes=minutes)
        lines = tuple(ReserveLine(self.name(item), Quantity(units)) for item, units in wanted)
        command = ReserveStock(location=self.name(place), lines=lines, expires_at=until)
        left = {item: self.shop.available(item, place) for item in STOCKED}
        short = False
        for item, units in wanted:
            if left[item] < units:
                short = True
            else:
                left[item] -= units
        if short:
            self.told(command, "refused", "stock.short")
            return
        cart = self.told(command).result["reservation"]
        self.carts.append(cart)
        self.shop.claims += [
            Claim(cart, line, item, place, units, until=until) for line, (item, units) in enumerate(wanted, 1)
        ]

    def give_a_cart_back(self, which: int) -> None:
        cart = self.carts[which % len(self.carts)]
        held = any(claim.holder == cart and self.shop.counts(claim) for claim in self.shop.claims)
        self.told(ReleaseReservation(reservation=cart), "applied" if held else "merged")
        self.shop.claims = [claim for claim in self.shop.claims if claim.holder != cart]

    @rule(minutes=st.integers(1, 40))
    def turn_the_clock(self, minutes: int) -> None:
        self.pass_time(timedelta(minutes=minutes))

    def pass_time(self, by: timedelta) -> None:
        self.bench.clock.turn(by)
        self.shop.now = self.bench.clock.now()

    # --- goods ------------------------------------------------------------------------------------------------

    @rule(item=ITEMS, place=WHERE, units=st.integers(1, 9))
    def receive(self, item: str, place: str, units: int) -> None:
        lines = (ReceivedLine(self.name(item), Quantity(units)),)
        self.told(ReceiveStock(location=self.name(place), lines=lines, reference=f"note {self.submitted}"))
        self.shop.post(item, place, units, "supplier")

    def adjust(self, item: str, place: str, change: int) -> None:
        command = AdjustStock(
            location=self.name(place), sku=self.name(item), change=Quantity(change), reason="found", reference="x"
        )
        self.told(command)
        self.shop.adjust(item, place, change)

    def count(self, item: str, place: str, counted: int, minutes: int) -> None:
        at = self.shop.now - timedelta(minutes=minutes)
        lines = (CountedLine(self.name(item), Quantity(counted)),)
        change = counted - self.shop.book(item, place, at)
        command = CountStock(location=self.name(place), lines=lines, reference="count", counted_at=at)
        self.told(command, "applied" if change else "merged")
        if change:
            self.shop.adjust(item, place, change, at)

    def keep_back(self, item: str, place: str, units: int) -> None:
        self.told(SetSafetyStock(location=self.name(place), sku=self.name(item), quantity=Quantity(units)))
        self.shop.safety[item, place] = units

    def send_elsewhere(self, item: str, place: str, to: str, units: int) -> None:
        lines = (TransferredLine(self.name(item), Quantity(units)),)
        command = ShipTransfer(from_location=self.name(place), to_location=self.name(to), lines=lines, reference="t")
        if place == to:
            self.told(command, "refused", "stock.transfer_to_itself")
        elif units > max(0, self.shop.available(item, place)):
            self.told(command, "refused", "stock.short")
        else:
            self.shop.transfers[self.told(command).result["transfer"]] = Transfer(item, to, units)
            self.shop.post(item, place, -units, "in_transit")

    def let_a_transfer_arrive(self, which: int, units: int, close: bool) -> None:
        id_ = list(self.shop.transfers)[which % len(self.shop.transfers)]
        transfer = self.shop.transfers[id_]
        lines = (ReceivedTransferLine(self.name(transfer.item), Quantity(units)),) if units else ()
        says = bool(units) or (close and not transfer.closed)
        self.told(ReceiveTransfer(transfer=id_, lines=lines, close=close), "applied" if says else "merged")
        self.shop.arrive(transfer, units, close=close)

    # --- what can be read -----------------------------------------------------------------------------------------

    @invariant()
    def what_can_be_read_is_what_the_model_says(self) -> None:
        if not self.submitted:
            return
        shop = self.shop
        for item in STOCKED:
            for place, found in self.everywhere(item).items():
                told = (found.on_hand, found.damaged, found.reserved + found.allocated, found.available)
                assert told == (
                    shop.on_hand[item, place], shop.damaged[item, place], shop.counting(item, place),
                    shop.available(item, place),
                ), (item, place, told)  # fmt: skip
        for place, found in self.everywhere(KIT).items():
            assert found.available == shop.kits(place), (KIT, place)

    def everywhere(self, item: str) -> dict[str, Any]:
        found = self.bench.runner.run(read.everywhere(self.bench.reads, Policies([]), self.name(item), self.shop.now))
        return {row.location_name: row for row in found}

    def demand_conserved(self) -> None:
        """What came in, less what was booked out, is on hand, damaged or on its way: account by account."""
        accounts = +self.shop.accounts
        accounts.update({key: units for key, units in self.shop.accounts.items() if units < 0})
        for item, place in self.shop.on_hand:
            accounts[item, "on_hand"] += self.shop.on_hand[item, place]
        expected = {key: units for key, units in accounts.items() if units}
        assert self.bench.runner.run(self.ledger()) == expected
        for item in STOCKED:
            assert sum(units for (of, _), units in expected.items() if of == item) == 0
            damaged = sum(units for (of, _), units in self.shop.damaged.items() if of == item)
            assert expected.get((item, "damaged"), 0) == damaged
            on_its_way = sum(transfer.open for transfer in self.shop.transfers.values() if transfer.item == item)
            assert expected.get((item, "in_transit"), 0) == on_its_way

    async def ledger(self) -> dict[tuple[str, str], int]:
        rows = await self.bench.reads.execute(LEDGER_SQL, [[self.name(item) for item in STOCKED]])
        return {(item, account): int(units) for item, account, units in await rows.fetchall()}
