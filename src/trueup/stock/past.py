"""The stock in a replay: claims that end, lots that expire, who waits, and the places that commands name by id."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from trueup.catalogue.state import Catalogue
from trueup.core.database import Connection
from trueup.core.past import Window
from trueup.core.quantity import ZERO
from trueup.core.verb import Command, Event, State
from trueup.stock.lot_state import Lot, Lots
from trueup.stock.pools import SetPool
from trueup.stock.state import Balance, Stock, StockReserved
from trueup.stock.supply_state import Supply, SupplyExpected, SupplyPlaces
from trueup.stock.transfer_state import Transfers, TransferShipped


class StockPast:
    """What the database would tell the stock's slices, told from the rows; see `core.replay.Past`."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._ends: list[tuple[datetime, str]] = []
        self._day = date.min

    @property
    def state(self) -> State:
        """The state it was begun with."""
        assert self._state is not None, "begin comes first"
        return self._state

    async def touched(self, connection: Connection, window: Window) -> Iterable[str]:
        """Return who still holds what ends by itself, who waits for supply, and whose goods went missing meanwhile."""
        rows = await connection.execute(
            """select holder from stock_expiring union select holder from stock_waiting
            union select c.holder from stock_claim c join (
                select distinct item, from_location as location from stock_movement
                where at >= %s and at <= %s and from_account = 'on_hand') m using (item, location)""",
            [window.since, window.until],
        )
        return [row[0] for row in await rows.fetchall()]

    async def load(self, connection: Connection, state: State, window: Window) -> None:
        """Set balances and lots to what they were; claims, supplies and who waits were folded."""
        await _set_balances(connection, state.of(Stock), window.since)
        await _set_lots(connection, state.of(Lots), window.since)

    def begin(self, state: State, now: datetime) -> None:
        """Take up which claims end, and where supplies and transfers go."""
        self._state = state
        for holder, held in state.of(Stock).claims.items():
            for claim in held.values():
                if claim.expires_at is not None and claim.quantity > 0:
                    heapq.heappush(self._ends, (claim.expires_at, holder))
        for supply in state.of(Supply).supplies.values():
            self._place(supply.id, supply.item, supply.location)
        for transfer in state.of(Transfers).transfers.values():
            self._codes(transfer.from_location, transfer.to_location)
        self._expire_lots(now)

    def takes(self) -> Mapping[type[Event], Callable[[Any], None]]:
        """Note claims that end, supplies, transfers."""
        return {StockReserved: self._reserved, SupplyExpected: self._expected, TransferShipped: self._shipped}

    def _reserved(self, event: StockReserved) -> None:
        if event.expires_at is not None:
            heapq.heappush(self._ends, (event.expires_at, event.holder))

    def _expected(self, event: SupplyExpected) -> None:
        self._place(event.supply.id, event.supply.item, event.supply.location)

    def _shipped(self, event: TransferShipped) -> None:
        self._codes(event.transfer.from_location, event.transfer.to_location)

    def _place(self, supply: str, item: str, location: str) -> None:
        place = self.state.of(Catalogue).place_of(location)
        if place is not None:
            self.state.of(SupplyPlaces).places[supply] = (item, place.code)

    def _codes(self, *locations: str) -> None:
        for location in locations:
            place = self.state.of(Catalogue).place_of(location)
            if place is not None:
                self.state.of(Transfers).codes[location] = place.code

    def turn(self, now: datetime) -> Sequence[Event]:
        """Return the releases of claims that ended; lots whose day is over are not promised any more."""
        stock = self.state.of(Stock)
        stock.limits.at(now)
        if now.date() != self._day:
            self._expire_lots(now)
        ended: set[str] = set()
        while self._ends and self._ends[0][0] <= now:
            ended.add(heapq.heappop(self._ends)[1])
        return stock.due(now, ended) if ended else ()

    def _expire_lots(self, now: datetime) -> None:
        self._day = now.date()
        stock = self.state.of(Stock)
        for place, lots in self.state.of(Lots)._lots.items():
            gone = [lot for lot in lots.values() if lot.expires_on is not None and lot.expires_on < self._day]
            stock._expired_lots[place] = {lot.lot for lot in gone}
            if place in stock.balances:
                stock.balances[place].expired = sum((lot.on_hand for lot in gone), ZERO)

    def answers(self) -> Mapping[type[Command], Callable[[Any], None]]:
        """Tell what a channel's claims hold, which a pool is measured by."""
        return {SetPool: self._used}

    def _used(self, command: SetPool) -> None:
        limits, catalogue = self.state.of(Stock).limits, self.state.of(Catalogue)
        item, place = catalogue.item(command.sku), catalogue.location(command.location)
        if item is None or place is None:
            return
        counted = item.components[0].item if item.phantom else item.id
        used = ZERO
        for held in self.state.of(Stock).claims.values():
            for claim in held.values():
                if (claim.item, claim.location, claim.channel) == (counted, place.id, command.channel) and (
                    not item.phantom or claim.kit == item.id
                ):
                    used += claim.quantity
        limits.uses[item.id, place.id, command.channel] = used

    def spent(self, subjects: list[str]) -> list[str]:
        """Return those that neither wait for supply nor hold what ends by itself."""
        claims, supply = self.state.of(Stock).claims, self.state.of(Supply)
        return [
            holder for holder in subjects
            if not any(claim.expires_at is not None and claim.quantity > 0 for claim in claims.get(holder, {}).values())
            and not supply.pegs_of(holder)
        ]  # fmt: skip

    def forget(self, subjects: Iterable[str]) -> None:
        """Drop the claims of holders that are done with, and what would have been written."""
        stock, supply, lots = self.state.of(Stock), self.state.of(Supply), self.state.of(Lots)
        for holder in subjects:
            for claim in stock.claims.pop(holder, {}).values():
                stock._numbers.pop((holder, claim.line), None)
            for peg in supply.pegs.pop(holder, {}).values():
                supply._numbers.pop((holder, peg.line), None)
        for unwritten in (
            stock._claim_rows, stock._changed, stock._expiring, stock._ended, stock._moves, supply._peg_rows,
            supply._changed_pegs, supply._changed_places, supply._changed_supplies, lots._changes, lots._dates,
        ):  # fmt: skip
            unwritten.clear()


def holders_at(state: State, item: str, location: str) -> dict[str, Decimal]:
    """Return the units that orders claim at a place, by order."""
    found: dict[str, Decimal] = {}
    for holder, held in state.of(Stock).claims.items():
        if holder.startswith("ord_"):
            for claim in held.values():
                if (claim.item, claim.location) == (item, location) and claim.quantity > 0:
                    found[holder] = found.get(holder, ZERO) + claim.quantity
    return found


async def _set_balances(connection: Connection, stock: Stock, since: datetime) -> None:
    """Set every balance to what it was before a time: as it is now, less what moved and was claimed since."""
    rows = await connection.execute(
        f"""select b.item, b.location, b.on_hand - m.on_hand, b.reserved - c.reserved, b.allocated - c.allocated,
            b.damaged - m.damaged, b.quality - m.quality, b.quarantined - m.quarantined
        from stock_balance b cross join lateral (
            select {_NETS} from stock_movement v
            where v.item = b.item and v.at >= %s and b.location in (v.to_location, v.from_location)
        ) m cross join lateral (
            select coalesce(sum(quantity) filter (where kind = 'reservation'), 0) as reserved,
                coalesce(sum(quantity) filter (where kind = 'allocation'), 0) as allocated
            from stock_claim where item = b.item and location = b.location and at >= %s
        ) c""",
        [since, since],
    )
    safety = {place: balance.safety for place, balance in stock.balances.items()}
    stock.balances.clear()
    stock._places_of.clear()
    for item, location, on_hand, reserved, allocated, *held in await rows.fetchall():
        figures = (on_hand, reserved, allocated, *held)
        kept = safety.get((item, location), ZERO)
        if any(figures) or kept:
            # Owed is exactly what is promised beyond what is on hand.
            owed = max(ZERO, reserved + allocated - on_hand)
            stock.balances[item, location] = Balance(on_hand, reserved, allocated, owed, kept, 1, *held)
            stock._places_of.setdefault(item, []).append(location)


async def _set_lots(connection: Connection, lots: Lots, since: datetime) -> None:
    """Set every lot to what it was before a time, and where each serial number was."""
    rows = await connection.execute(
        f"""select b.item, b.location, b.lot, b.expires_on, b.serial, b.allocated - c.allocated,
            b.on_hand - m.on_hand, b.damaged - m.damaged, b.quality - m.quality, b.quarantined - m.quarantined
        from stock_lot b cross join lateral (
            select {_NETS} from stock_movement v
            where v.item = b.item and v.lot = b.lot and v.at >= %s and b.location in (v.to_location, v.from_location)
        ) m cross join lateral (
            select coalesce(sum(quantity), 0) as allocated from stock_claim
            where item = b.item and location = b.location and lot = b.lot and at >= %s and kind = 'allocation'
        ) c""",
        [since, since],
    )
    lots._lots.clear()
    lots._serials.clear()
    for item, location, name, expires_on, serial, allocated, on_hand, *held in await rows.fetchall():
        in_buckets = {bucket: units for bucket, units in zip(HELD, held, strict=True) if units}
        if on_hand or allocated or in_buckets:
            lot = Lot(lot=name, expires_on=expires_on, on_hand=on_hand, held=in_buckets, allocated=allocated)
            lots._lots.setdefault((item, location), {})[name] = lot
            if serial and (on_hand or in_buckets):
                lots._serials[item, name] = location


HELD = ("damaged", "quality", "quarantined")
_NET = """coalesce(sum(
    case when v.to_account::text = '{bucket}' and v.to_location = b.location then v.quantity else 0 end
    - case when v.from_account::text = '{bucket}' and v.from_location = b.location then v.quantity else 0 end), 0)"""
_NETS = ", ".join(f"{_NET.format(bucket=name)} as {name}" for name in ("on_hand", *HELD))
