"""Orders in a replay: what the database would be asked of customers, earlier orders and holds, told from the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from trueup.core.database import Connection
from trueup.core.past import Window
from trueup.core.verb import Command, Event, State
from trueup.orders.adoption import Adoptions
from trueup.orders.draft_state import Drafts
from trueup.orders.fulfilment_orders import FulfilmentOrders
from trueup.orders.held import HoldPlaced
from trueup.orders.hold import ReleaseHolds
from trueup.orders.hold_state import BULK_MAX, Choice, Holds, Regular
from trueup.orders.hold_upkeep import AgeHolds
from trueup.orders.state import OrderCancelled, OrderPlaced, Orders
from trueup.orders.suspect import Last, Print, Suspects
from trueup.orders.tax_state import OrderTaxes
from trueup.parties.state import CustomerRecorded, Parties

_SUSPECTED_FOR = timedelta(days=1)


_TOUCHED = """
    select id from orders where managed and units_allocated + units_shipped + units_cancelled < units_ordered
        and recorded_at < %(since)s
    union select order_id from order_hold where released_at is null and placed_at < %(since)s
    union select id from orders where recorded_at >= %(day)s and recorded_at < %(since)s and customer is not null
    union select k.order_id from refused_command r
        cross join lateral jsonb_each_text(convert_from(r.body, 'UTF8')::jsonb -> 'external_ids') n
        join order_key k on k.source = n.key and k.key = n.value
        where r.verb = 'orders.place' and r.at >= %(since)s and r.at <= %(until)s
    union select customer from orders where recorded_at >= %(day)s and recorded_at <= %(until)s and customer is not null
    union select id from workflow_adoption where at < %(since)s
    union select o.customer from order_hold h join orders o on o.id = h.order_id
        where h.released_at is null and o.customer is not null
    union select c.id from refused_command r join customer c
            on c.source = convert_from(r.body, 'UTF8')::jsonb ->> 'customer_source'
            and c.number = convert_from(r.body, 'UTF8')::jsonb ->> 'customer'
        where r.verb = 'orders.place' and r.at >= %(since)s and r.at <= %(until)s"""


class _Everything(set[bytes]):
    """What is asked for, where all rows are there: everything."""

    def __contains__(self, value: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


class OrdersPast:
    """What the database would tell the orders' slices, told from the rows; see `core.replay.Past`."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._prints: dict[str, Print] = {}

    @property
    def state(self) -> State:
        """The state it was begun with."""
        assert self._state is not None, "begin comes first"
        return self._state

    async def touched(self, connection: Connection, window: Window) -> Iterable[str]:
        """Return the orders whose numbers were asked for again, those that wait or are held, and of the day before.

        A customer's events are wanted with their orders'.
        """
        rows = await connection.execute(_TOUCHED, {"since": window.since, "until": window.until,
                                                   "day": window.since - _SUSPECTED_FOR})  # fmt: skip
        return [row[0] for row in await rows.fetchall()]

    async def load(self, connection: Connection, state: State, window: Window) -> None:
        """Count what orders each customer had before the window."""
        known = {customer.id: customer.country for customer in state.of(Parties).customers.values()}
        rows = await connection.execute(
            """select customer, count(*)::int from orders where customer = any(%s::text[]) and recorded_at < %s
            group by customer""",
            [sorted(known), window.since],
        )
        counted: dict[str, int] = dict(await rows.fetchall())
        for customer, country in known.items():
            state.of(Holds).customers[customer] = Regular(country, counted.get(customer, 0))

    def begin(self, state: State, now: datetime) -> None:
        """Take up who ordered what lately, how many orders each customer has, and which order each hold is on."""
        self._state = state
        suspects, holds, orders = state.of(Suspects), state.of(Holds), state.of(Orders)
        suspects._goods = _Everything()
        counted: dict[str, int] = {}
        for row in sorted(orders.orders.values(), key=lambda row: row.captured.recorded_at):
            captured = row.captured
            if captured.customer is not None:
                counted[captured.customer] = counted.get(captured.customer, 0) + 1
            if captured.managed and captured.recorded_at > now - _SUSPECTED_FOR:
                found = suspects._print(captured, row.lines)
                if found is not None:
                    self._prints[captured.id] = found
                    suspects._last[found] = Last(captured.id, captured.recorded_at, not _gone(state, captured.id))
        for customer in state.of(Parties).customers.values():
            known = holds.customers.get(customer.id)
            holds.customers[customer.id] = Regular(
                customer.country, known.orders if known else counted.get(customer.id, 0)
            )
        for held in holds.holds.values():
            for hold in held.values():
                self._known(hold.hold.id, hold.hold.order)

    def takes(self) -> Mapping[type[Event], Callable[[Any], None]]:
        """Note orders, their ends, holds, customers."""
        return {
            OrderPlaced: self._placed,
            OrderCancelled: self._cancelled,
            HoldPlaced: lambda event: self._known(event.hold.id, event.hold.order),
            CustomerRecorded: self._recorded,
        }

    def _recorded(self, event: CustomerRecorded) -> None:
        customers = self.state.of(Holds).customers
        known = customers.get(event.customer.id)
        customers[event.customer.id] = Regular(event.customer.country, known.orders if known else 0)

    def _placed(self, event: OrderPlaced) -> None:
        if event.order.customer or event.order.person:
            found = self.state.of(Suspects)._print(event.order, event.lines)
            if found is not None:
                self._prints[event.order.id] = found

    def _cancelled(self, event: OrderCancelled) -> None:
        found = self._prints.get(event.order)
        last = self.state.of(Suspects)._last.get(found) if found is not None else None
        if found is not None and last is not None and last.order == event.order and _gone(self.state, event.order):
            self.state.of(Suspects)._last[found] = last._replace(stands=False)

    def _known(self, hold: str, order: str) -> None:
        row = self.state.of(Orders).order(order)
        if row is not None:
            self.state.of(Holds).known[hold] = (order, row.captured.channel)

    def turn(self, now: datetime) -> Sequence[Event]:
        """Nothing falls due by itself that the orders know of."""
        return ()

    def answers(self) -> Mapping[type[Command], Callable[[Any], None]]:
        """Tell which holds are meant, or due."""
        return {ReleaseHolds: self._meant, AgeHolds: self._due}

    def _meant(self, command: ReleaseHolds) -> None:
        holds = self.state.of(Holds)
        choice = Choice(command.type, command.channel)
        meant = [
            row.hold for held in holds.holds.values() for row in held.values()
            if row.released is None and choice.type in (None, row.hold.type)
            and choice.channel in (None, holds.known.get(row.hold.id, ("", ""))[1])
        ]  # fmt: skip
        meant.sort(key=lambda hold: (hold.placed_at, hold.id))
        holds.chosen[choice] = tuple(hold.id for hold in meant[:BULK_MAX])

    def _due(self, command: AgeHolds) -> None:
        holds = self.state.of(Holds)
        due = [
            row.hold for held in holds.holds.values() for row in held.values()
            if row.released is None and row.noticed_at is None and row.hold.due_at is not None
        ]  # fmt: skip
        due.sort(key=lambda hold: (str(hold.due_at), hold.id))
        holds.due_holds = tuple(hold.id for hold in due[: command.limit])

    def spent(self, subjects: list[str]) -> list[str]:
        """Return those whose holds and drafts are no matter of time."""
        held, drafts = self.state.of(Holds).holds, self.state.of(Drafts)
        return [order for order in subjects if order not in held and drafts.draft(order) is None]

    def forget(self, subjects: Iterable[str]) -> None:
        """Drop orders that are done with, with their parts, holds and taxes, and what would have been written."""
        orders, parts, holds = self.state.of(Orders), self.state.of(FulfilmentOrders), self.state.of(Holds)
        taxes, drafts, suspects = self.state.of(OrderTaxes), self.state.of(Drafts), self.state.of(Suspects)
        gone = set(subjects)
        self.state.of(Adoptions).forget(gone)
        for order in gone:
            orders.orders.pop(order, None)
            for part in parts._of_order.pop(order, ()):
                parts.parts.pop(part.id, None)
            for hold in holds.holds.pop(order, {}):
                holds.known.pop(hold, None)
            taxes._rows.pop(order, None)
            drafts.rows.pop(order, None)
            suspects.suspicions.pop(order, None)
        for unwritten in (
            orders._changed, orders._revised, orders._withdrawn, parts._changed, holds._changed, taxes._new,
            drafts._changed, suspects._changed, suspects._decided,
        ):  # fmt: skip
            unwritten.clear()


def _gone(state: State, order: str) -> bool:
    """Tell whether an order was cancelled as a whole."""
    row = state.of(Orders).order(order)
    goods = [line for line in row.lines if line.kind == "good"] if row is not None else []
    return bool(goods) and all(line.cancelled >= line.quantity for line in goods)
