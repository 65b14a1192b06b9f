"""Sourcing in a replay: who waits for goods, and who claims what is gone, told from the rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from trueup.core.database import Connection
from trueup.core.past import Window
from trueup.core.verb import Command, Event, State
from trueup.orders.state import OrderRow, Orders
from trueup.sourcing.assign import open_units
from trueup.sourcing.policy import FillSort
from trueup.sourcing.read import WAITING_MAX, Short
from trueup.sourcing.state import OrderSourced, Sourcing
from trueup.stock.past import holders_at
from trueup.stock.state import Stock

_LATEST = float("inf")


class SourcingPast:
    """What the storyline would ask the database after goods came or went; see `core.replay.Past`."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._sourced: set[str] = set()

    @property
    def state(self) -> State:
        """The state it was begun with."""
        assert self._state is not None, "begin comes first"
        return self._state

    async def touched(self, connection: Connection, window: Window) -> Iterable[str]:
        """Return nobody: who waits to be sourced, the orders' past names."""
        return ()

    async def load(self, connection: Connection, state: State, window: Window) -> None:
        """Set how many orders locations had on each day to what it was."""
        rows = await connection.execute(
            """select l.location, l.day, l.orders - coalesce(s.orders, 0)::int from sourcing_load l left join (
                select load ->> 0 as location, (load ->> 1)::date as day, count(*) as orders
                from sourcing_decision d cross join lateral jsonb_array_elements(d.body -> 'loads') load
                where d.at >= %s group by 1, 2) s using (location, day)""",
            [window.since],
        )
        found = {(location, day): orders for location, day, orders in await rows.fetchall()}
        state.of(Sourcing).load_of = {key: orders for key, orders in found.items() if orders}

    def begin(self, state: State, now: datetime) -> None:
        """Take up which orders were sourced."""
        self._state = state
        self._sourced.update(order for order, _, _ in state.of(Sourcing)._decisions)

    def takes(self) -> Mapping[type[Event], Callable[[Any], None]]:
        """Note who was sourced."""
        return {OrderSourced: lambda event: self._sourced.add(event.order)}

    def turn(self, now: datetime) -> Sequence[Event]:
        """Nothing falls due."""
        return ()

    def answers(self) -> Mapping[type[Command], Callable[[Any], None]]:
        """Nothing is asked."""
        return {}

    def waiting_for(self, items: Collection[str], fill: Sequence[FillSort]) -> tuple[str, ...]:
        """Return what `read.waiting_for` returns: who was sourced in part and waits, in the order of their turn."""
        rows = [row for order in self._sourced if (row := self.state.of(Orders).order(order)) is not None]
        waiting = [
            row for row in rows
            if row.captured.managed and any(
                line.item in items and line.kind == "good" and open_units(row, line) > 0 for line in row.lines
            )
        ]  # fmt: skip
        waiting.sort(key=lambda row: (*(_turn(row, sort) for sort in fill), row.captured.placed_at, row.captured.id))
        return tuple(row.captured.id for row in waiting[:WAITING_MAX])

    def short_at(self, places: Sequence[tuple[str, str]]) -> tuple[Short, ...]:
        """Return what `read.short_at` returns: who claims what stock no longer covers, the latest promise first."""
        found: list[Short] = []
        for item, location in sorted(places):
            if self.state.of(Stock).balance(item, location).owed <= 0:
                continue
            rows = [self.state.of(Orders).order(holder) for holder in holders_at(self.state, item, location)]
            known = [row.captured for row in rows if row is not None]
            known.sort(key=lambda o: (o.promised_at is None, o.promised_at.timestamp() if o.promised_at else 0,
                                      o.placed_at, o.id), reverse=True)  # fmt: skip
            found += [Short(order.id, item, location) for order in known]
        return tuple(found[:WAITING_MAX])

    def spent(self, subjects: list[str]) -> list[str]:
        """Return those that do not wait to be filled."""
        rows = [(order, self.state.of(Orders).order(order)) for order in subjects]
        return [order for order, row in rows if order not in self._sourced or row is None or not _open(row)]

    def forget(self, subjects: Iterable[str]) -> None:
        """Drop what was decided and what would have been written."""
        sourcing = self.state.of(Sourcing)
        for order in subjects:
            self._sourced.discard(order)
            sourcing.queued.pop(order, None)
        for unwritten in (sourcing._decisions, sourcing._new_rejections, sourcing._new_loads, sourcing._changed_queue):
            unwritten.clear()


def _open(row: OrderRow) -> bool:
    return any(line.kind == "good" and open_units(row, line) > 0 for line in row.lines)


def _turn(row: OrderRow, sort: FillSort) -> Any:
    """Return what a sort of the fill compares, smallest first."""
    order = row.captured
    if sort == "priority":
        return -order.priority
    if sort == "promise":
        return order.promised_at.timestamp() if order.promised_at else _LATEST
    if sort == "contract":
        return order.business is None or order.business.contract is None
    return order.placed_at
