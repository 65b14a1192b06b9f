"""What the shop's warehouses do all day: goods come in and move between sites, are counted, break, and are reported.

Like its storefront it goes through the door like anybody, and its randomness comes from the shop's seed.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from trueup.core.database import Connection
from trueup.core.quantity import ZERO, Quantity
from trueup.core.verb import Actor, Command, Outcome
from trueup.sourcing.read import PartQuery, parts
from trueup.sourcing.reject import Reason, RejectPart
from trueup.stock.as_of import balances_as_of
from trueup.stock.buckets import RestateStock
from trueup.stock.counting import CloseCount, FoundLine, OpenCount, RecordCount
from trueup.stock.feed import FeedRow, ReportStockFeed
from trueup.stock.freeze import AnnounceFreeze
from trueup.stock.pools import SetPool
from trueup.stock.read import Availability, StockQuery
from trueup.stock.receive import ReceivedLine, ReceiveStock
from trueup.stock.supply import ExpectSupply, RescheduleSupply
from trueup.stock.transfer import ReceivedTransferLine, ReceiveTransfer, ShipTransfer, TransferredLine

_EXCUSES: tuple[Reason, ...] = ("not_found", "damaged", "no_capacity")
OPEN_MAX = 5
Reading = Callable[[], AbstractAsyncContextManager[Connection]]


class Work(msgspec.Struct):
    """What was done so far, by kind; of what was refused nothing counts. late: supplies that moved to a later day."""

    received: int = 0
    rejected: int = 0
    expected: int = 0
    late: int = 0
    shipped: int = 0
    arrived: int = 0
    counted: int = 0
    recounted: int = 0
    broken: int = 0
    reported: int = 0
    fenced: int = 0
    frozen: int = 0


Submit = Callable[[Command, Actor], Awaitable[Outcome | None]]
"""Sends one command for somebody; None is what got no answer."""


class Backroom:
    """The warehouses' people. crew: who works, who counts again, and the supplier's system.

    stocked: (SKU, location's code) of what the shop sells. supplier: code of the location that supplies it. channel:
    whose pools it sets. by_lot: SKUs whose stock is kept by lot. reading: lends a session to look at what is there.
    now: the door's time.
    """

    def __init__(
        self,
        submit: Submit,
        now: Callable[[], datetime],
        crew: tuple[Actor, Actor, Actor],
        stocked: Sequence[tuple[str, str]],
        reading: Reading,
        *,
        chance: random.Random,
        supplier: str,
        channel: str,
        run: str,
        by_lot: frozenset[str] = frozenset(),
    ) -> None:
        self._submit = submit
        self._now = now
        self._worker, self._second, self._supplier_system = crew
        self._stocked = sorted(set(stocked))
        self._places = sorted({place for _, place in self._stocked})
        self._reading = reading
        self._chance = chance
        self._supplier = supplier
        self._channel = channel
        self._run = run
        self._by_lot = by_lot
        self._number = 0
        self._supplies: list[tuple[str, ReceiveStock]] = []
        self._transfers: list[tuple[str, tuple[TransferredLine, ...]]] = []
        self.work = Work()
        self._acts: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self._receive, 6),
            (self._reject, 5),
            (self._expect, 3),
            (self._deliver, 3),
            (self._delay, 1),
            (self._ship, 3),
            (self._take_in, 3),
            (self._count, 2),
            (self._break, 2),
            (self._report, 2),
            (self._fence, 1),
            (self._freeze, 1),
        )

    async def act(self) -> None:
        """Do one thing that a day in the warehouses brings."""
        acts, weights = zip(*self._acts, strict=True)
        (chosen,) = self._chance.choices(acts, weights)
        await chosen()

    async def _done(self, command: Command, by: Actor | None = None) -> Outcome | None:
        """Send a command; return its outcome if it changed something."""
        outcome = await self._submit(command, by or self._worker)
        return outcome if outcome is not None and outcome.status == "applied" else None

    def _document(self, kind: str) -> str:
        self._number += 1
        return f"{kind}{self._run}-{self._number:04d}"

    def _some_of(self, place: str, most: int) -> list[str]:
        there = [sku for sku, at in self._stocked if at == place]
        return self._chance.sample(there, min(len(there), self._chance.randint(1, most)))

    def _delivery(self, place: str, reference: str, skus: Sequence[str]) -> ReceiveStock:
        lines = tuple(ReceivedLine(sku, Quantity(self._chance.randint(5, 40))) for sku in skus)
        return ReceiveStock(location=place, lines=lines, reference=reference)

    async def _receive(self) -> None:
        """Take in goods that nobody announced."""
        place = self._chance.choice(self._places)
        command = self._delivery(place, self._document("DN"), self._some_of(place, 5))
        self.work.received += await self._done(command) is not None

    async def _reject(self) -> None:
        """Let a location say that it will not fulfil one of the parts it was given."""
        async with self._reading() as connection:
            open_parts = (await parts(connection, PartQuery(status="open", limit=40))).items
        if open_parts:
            part = self._chance.choice(open_parts)
            reason = self._chance.choice(_EXCUSES)
            command = RejectPart(order=part.order, fulfilment_order=part.id, reason=reason)
            self.work.rejected += await self._done(command) is not None

    async def _expect(self) -> None:
        """Order goods of one item, to come within two weeks."""
        if len(self._supplies) >= OPEN_MAX:
            return
        place = self._chance.choice(self._places)
        delivery = self._delivery(place, self._document("PO"), self._some_of(place, 1))
        due = self._now().date() + timedelta(days=self._chance.randint(1, 14))
        command = ExpectSupply(
            location=place,
            sku=delivery.lines[0].sku,
            quantity=delivery.lines[0].quantity,
            due=due.isoformat(),
            reference=delivery.reference,
            source="purchasing",
        )
        outcome = await self._done(command)
        if outcome is not None:
            self._supplies.append((outcome.result["supply"], delivery))
            self.work.expected += 1

    async def _deliver(self) -> None:
        """Take in what was ordered earliest; its receipt names the order."""
        if self._supplies:
            _, delivery = self._supplies.pop(0)
            self.work.received += await self._done(delivery) is not None

    async def _delay(self) -> None:
        """Hear that something ordered comes later; whom it was promised to is told by a case."""
        if self._supplies:
            supply, _ = self._chance.choice(self._supplies)
            due = self._now().date() + timedelta(days=self._chance.randint(15, 30))
            self.work.late += await self._done(RescheduleSupply(supply=supply, due=due.isoformat())) is not None

    async def _ship(self) -> None:
        """Send a little of what one site has to another one."""
        if len(self._places) < 2 or len(self._transfers) >= OPEN_MAX:
            return
        source, target = self._chance.sample(self._places, 2)
        skus = self._some_of(source, 3)
        lines = tuple(TransferredLine(sku, Quantity(self._chance.randint(1, 3))) for sku in skus)
        command = ShipTransfer(from_location=source, to_location=target, lines=lines, reference=self._document("TR"))
        outcome = await self._done(command)
        if outcome is not None:
            self._transfers.append((outcome.result["transfer"], lines))
            self.work.shipped += 1

    async def _take_in(self) -> None:
        """Take a transfer in; of one in four a unit is missing, and the transfer is closed as it came."""
        if not self._transfers:
            return
        transfer, sent = self._transfers.pop(0)
        came: dict[str, Decimal] = {line.sku: line.quantity for line in sent}
        came[sent[0].sku] -= 1 if self._chance.random() < 0.25 else 0
        lines = tuple(ReceivedTransferLine(sku, Quantity(units)) for sku, units in came.items() if units > 0)
        command = ReceiveTransfer(transfer=transfer, lines=lines, close=True)
        self.work.arrived += await self._done(command) is not None

    async def _count(self) -> None:
        """Count a few items; where the first figure is far off, somebody else counts again."""
        place = self._chance.choice(self._places)
        there = {row.sku: row for row in await self._book(place)}
        if not there:
            return
        skus = self._chance.sample(sorted(there), min(len(there), 3))
        opened = await self._done(OpenCount(location=place, reference=self._document("CT"), skus=tuple(skus)))
        if opened is None:
            return
        count = opened.result["count"]
        slip = self._chance.random() < 0.3
        found = {sku: max(ZERO, there[sku].on_hand + self._chance.choice((-1, 0, 0, 0, 1))) for sku in skus}
        first = {sku: units + (30 if slip and sku == skus[0] else 0) for sku, units in found.items()}
        said = await self._done(self._figures(count, first))
        if said is not None and said.result["recount"]:
            again = {sku: found[sku] for sku in said.result["recount"]}
            self.work.recounted += await self._done(self._figures(count, again), self._second) is not None
        self.work.counted += await self._done(CloseCount(count=count)) is not None

    def _figures(self, count: str, found: dict[str, Decimal]) -> RecordCount:
        at = self._now()
        return RecordCount(
            count=count, lines=tuple(FoundLine(sku, Quantity(units), at) for sku, units in found.items())
        )

    async def _break(self) -> None:
        """Find a unit damaged, whoever it is promised to."""
        place = self._chance.choice(self._places)
        whole = [row for row in await self._book(place) if row.on_hand > 0]
        if whole:
            row = self._chance.choice(whole)
            command = RestateStock(
                location=place,
                sku=row.sku,
                quantity=Quantity(1),
                from_status="available",
                to_status="damaged",
                reason="fell off the shelf",
                reference=self._document("DM"),
                reported=True,
            )
            self.work.broken += await self._done(command) is not None

    async def _report(self) -> None:
        """Let the supplier's system say what it has; one row in ten names an item that nobody knows."""
        rows = tuple(
            FeedRow(sku if self._chance.random() < 0.9 else f"{sku}-OLD", self._chance.randint(0, 12), self._supplier)
            for sku in self._some_of(self._chance.choice(self._places), 10)
        )
        command = ReportStockFeed(source="factory", as_of=self._now(), rows=rows)
        self.work.reported += await self._done(command, self._supplier_system) is not None

    async def _fence(self) -> None:
        """Keep a few units of an item for the shop's own channel, or as few as it may sell."""
        sku, place = self._chance.choice(self._stocked)
        command = SetPool(
            location=place,
            sku=sku,
            channel=self._channel,
            mode="reserve",
            quantity=Quantity(self._chance.randint(1, 3)),
        )
        self.work.fenced += await self._done(command) is not None

    async def _freeze(self) -> None:
        """Freeze one site's book for a minute, while goods move on; it ends by itself."""
        now = self._now()
        command = AnnounceFreeze(
            location=self._chance.choice(self._places),
            from_at=now + timedelta(seconds=5),
            to_at=now + timedelta(seconds=65),
            reason="figures for the month",
            mode="frozen_book",
        )
        self.work.frozen += await self._done(command) is not None

    async def _book(self, place: str) -> Sequence[Availability]:
        """Return what the book says lies at a place, of the first items by SKU; lots are left to people."""
        now = self._now()
        async with self._reading() as connection:
            query = StockQuery(location=place, as_of=now, limit=200)
            rows = (await balances_as_of(connection, query, now)).items
        return [row for row in rows if row.sku not in self._by_lot]
