"""Open holds in one batch, read under the lock of their order, and what tables ask of a customer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from trueup.core.verb import Batch, Loading, Rebuilt, Rows, Slice, Statement, Takes
from trueup.orders.held import Hold, HoldNoticed, HoldPlaced, HoldReleased
from trueup.orders.state import OrderPlaced

BULK_MAX = 500
EARLIER_MAX = 1000
"""No rule counts further than so many earlier orders of a customer."""

_PLACED = {
    "id": "text", "order_id": "text", "line": "int", "type": "text", "reason": "text", "rule": "text",
    "blocks": "text", "by_rule": "bool", "placed_at": "timestamptz", "placed_by": "text", "due_at": "timestamptz",
}  # fmt: skip
_LATER = {
    "noticed_at": "timestamptz", "released_at": "timestamptz", "released_by": "text", "release_reason": "text",
    "released_rule": "text",
}  # fmt: skip
_COLUMNS = ", ".join({**_PLACED, **_LATER})
_ORDERS_OF = """select h.id, h.order_id, o.channel from order_hold h join orders o on o.id = h.order_id
    where h.id = any(%s::text[])"""
# By type or by channel, oldest first; of a channel alone, by way of its held orders.
_CHOSEN = """select h.id, h.order_id, o.channel from order_hold h join orders o on o.id = h.order_id
    where h.status = 'open' and (%s::text is null or h.type = %s) and (%s::text is null or o.channel = %s)
    order by h.placed_at, h.id limit %s"""
_DUE = """select h.id, h.order_id, o.channel, h.type from order_hold h join orders o on o.id = h.order_id
    where h.released_at is null and h.noticed_at is null and h.due_at <= %s
        and o.fulfilment_status <> 'cancelled' order by h.due_at, h.id limit %s"""
_OPEN = f"""select {_COLUMNS} from order_hold where order_id = any(%s::text[]) and released_at is null
    order by order_id, id"""
_CUSTOMERS = """select c.id, c.source, c.number, c.country, (
        select count(*) from (select from orders o where o.customer = c.id limit %s) e)
    from {wanted} join customer c {on}"""
_BY_NUMBER = _CUSTOMERS.format(
    wanted="unnest(%s::text[], %s::text[]) as w (source, number)", on="using (source, number)"
)
_BY_ID = _CUSTOMERS.format(wanted="unnest(%s::text[]) as w (id)", on="on c.id = w.id")


class HoldRow:
    """One hold while its batch runs: as it was placed, and what became of it."""

    __slots__ = ("hold", "is_new", "noticed_at", "released")

    def __init__(self, hold: Hold, *, is_new: bool, noticed_at: datetime | None = None) -> None:
        self.hold = hold
        self.is_new = is_new
        self.noticed_at = noticed_at
        self.released: HoldReleased | None = None

    def later(self) -> tuple[Any, ...]:
        """What the columns say that later events change."""
        end = self.released
        return (self.noticed_at, *((end.at, end.by, end.reason, end.rule) if end else (None, None, None, None)))


class Regular(NamedTuple):
    """What tables ask of a customer: the country, and how many orders there are of them."""

    country: str | None
    orders: int


class Choice(NamedTuple):
    """Which open holds a command means: of a type, of a channel, or both; None is any."""

    type: str | None
    channel: str | None


class Holds(Slice):
    """Open holds of the orders a batch needs; ask with the order. Loaded again, it reads only what was wanted since."""

    def __init__(self) -> None:
        self._orders: set[str] = set()
        self._ids: set[str] = set()
        self._choices: set[Choice] = set()
        self._due: int | None = None
        self._numbers: set[tuple[str, str]] = set()
        self._customers: set[str] = set()
        self.holds: dict[str, dict[str, HoldRow]] = {}
        self.known: dict[str, tuple[str, str]] = {}
        self.chosen: dict[Choice, tuple[str, ...]] = {}
        self.due_holds: tuple[str, ...] = ()
        self.due_groups: set[tuple[str, str]] = set()
        self.customers: dict[str, Regular] = {}
        self._changed: dict[str, HoldRow] = {}

    def want(self, order: str) -> None:
        """Ask for an order's open holds."""
        self._orders.add(order)

    def want_order_of(self, hold: str) -> None:
        """Ask which order a hold is on; its open holds are asked for when that is known."""
        self._ids.add(hold)

    def want_choice(self, choice: Choice) -> None:
        """Ask which holds a choice means, the oldest first."""
        self._choices.add(choice)

    def want_due(self, limit: int) -> None:
        """Ask which holds are due and have no case yet, the longest due first."""
        self._due = limit

    def want_customer(self, source: str, number: str) -> None:
        """Ask what tables ask of a customer."""
        self._numbers.add((source, number))

    def want_customer_id(self, customer: str) -> None:
        """Ask the same by the customer's id."""
        self._customers.add(customer)

    def order_of(self, hold: str) -> str | None:
        """Return the order that a hold is on."""
        found = self.known.get(hold)
        return found[0] if found else None

    def open_on(self, order: str) -> list[Hold]:
        """Return the open holds of an order, in the order of their ids."""
        held = self.holds.get(order, {})
        return [held[id_].hold for id_ in sorted(held) if held[id_].released is None]

    def row(self, order: str, hold: str) -> HoldRow | None:
        """Return one hold that is open, or was until this batch."""
        return self.holds.get(order, {}).get(hold)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read what was wanted since the last time; the orders, which are locked before, guard their holds."""
        reads: list[tuple[Any, Statement]] = []
        if self._orders:
            reads.append((self._take_open, Statement(_OPEN, [sorted(self._orders)])))
        if self._ids:
            reads.append((self._take_known, Statement(_ORDERS_OF, [sorted(self._ids)])))
        for choice in sorted(self._choices, key=str):
            chosen: list[Any] = [choice.type, choice.type, choice.channel, choice.channel, BULK_MAX]
            reads.append((lambda rows, of=choice: self._take_chosen(of, rows), Statement(_CHOSEN, chosen)))
        if self._due is not None:
            reads.append((self._take_due, Statement(_DUE, [now, self._due])))
        if self._numbers:
            numbers = sorted(self._numbers)
            wanted: list[Any] = [EARLIER_MAX, [source for source, _ in numbers], [number for _, number in numbers]]
            reads.append((self._take_customers, Statement(_BY_NUMBER, wanted)))
        if self._customers:
            reads.append((self._take_customers, Statement(_BY_ID, [EARLIER_MAX, sorted(self._customers)])))
        for wants in (self._orders, self._ids, self._choices, self._numbers, self._customers):
            wants.clear()
        self._due = None
        if not reads:
            return
        answers = yield [statement for _, statement in reads]
        for (take, _), rows in zip(reads, answers, strict=True):
            take(rows)

    def _take_open(self, rows: Rows) -> None:
        size = len(_PLACED)
        for row in rows:
            id_, order, line, type_, reason, rule, blocks, by_rule, placed_at, placed_by, due_at = row[:size]
            hold = Hold(id=id_, order=order, line=line, type=type_, reason=reason, rule=rule, blocks=tuple(blocks),
                        by_rule=by_rule, placed_at=placed_at, placed_by=placed_by, due_at=due_at)  # fmt: skip
            self.holds.setdefault(order, {})[id_] = HoldRow(hold, is_new=False, noticed_at=row[size])

    def _take_known(self, rows: Rows) -> None:
        self.known.update({id_: (order, channel) for id_, order, channel in rows})

    def _take_chosen(self, choice: Choice, rows: Rows) -> None:
        self._take_known(rows)
        self.chosen[choice] = tuple(row[0] for row in rows)

    def _take_due(self, rows: Rows) -> None:
        self._take_known([row[:3] for row in rows])
        self.due_holds = tuple(row[0] for row in rows)
        self.due_groups = {(row[3], row[2]) for row in rows}

    def _take_customers(self, rows: Rows) -> None:
        self.customers.update({id_: Regular(country, orders) for id_, _, _, country, orders in rows})

    def takes(self) -> Takes:
        """Take a hold's event in; and an order, which its customer has one more of now."""
        return {
            HoldPlaced: self._placed,
            HoldReleased: self._released,
            HoldNoticed: self._noticed,
            OrderPlaced: self._ordered,
        }

    def _placed(self, event: HoldPlaced) -> None:
        row = HoldRow(event.hold, is_new=True)
        self.holds.setdefault(event.hold.order, {})[event.hold.id] = row
        self._changed[event.hold.id] = row

    def _released(self, event: HoldReleased) -> None:
        # Only what is open can be released: anything else breaks here, and is quarantined.
        row = self.holds[event.order][event.hold]
        assert row.released is None, f"{event.hold} was released before"
        row.released = event
        self._changed[event.hold] = row

    def _noticed(self, event: HoldNoticed) -> None:
        row = self.holds[event.order][event.hold]
        row.noticed_at = event.at
        self._changed[event.hold] = row

    def _ordered(self, event: OrderPlaced) -> None:
        known = self.customers.get(event.order.customer or "")
        if known is not None and event.order.customer is not None:
            self.customers[event.order.customer] = known._replace(orders=known.orders + 1)

    def rebuilt(self) -> list[Rebuilt]:
        """Return every hold there was."""
        rows = {
            (row.hold.id,): (*_placed(row)[1:], *row.later()) for held in self.holds.values() for row in held.values()
        }
        return [Rebuilt("hold", f"select {_COLUMNS} from order_hold", rows)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the inserts of new holds, and what became of known ones."""
        changed = [self._changed[id_] for id_ in sorted(self._changed)]
        new = [row for row in changed if row.is_new]
        known = [row for row in changed if not row.is_new]
        statements = []
        if new:
            values = [(*_placed(row), *row.later()) for row in new]
            columns = [list(column) for column in zip(*values, strict=True)]
            # One word each, so that a list of lists travels as a list of texts.
            columns[list(_PLACED).index("blocks")] = [" ".join(row.hold.blocks) for row in new]
            statements.append(Statement(_INSERT, columns))
        if known:
            values = [(row.hold.id, *row.later()) for row in known]
            statements.append(Statement(_UPDATE, [list(column) for column in zip(*values, strict=True)]))
        return statements


def _placed(row: HoldRow) -> tuple[Any, ...]:
    hold = row.hold
    return (
        hold.id, hold.order, hold.line, hold.type, hold.reason, hold.rule, hold.blocks, hold.by_rule, hold.placed_at,
        hold.placed_by, hold.due_at,
    )  # fmt: skip


def _unnest(columns: dict[str, str]) -> str:
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in columns.values())}) as n ({', '.join(columns)})"


_VALUES = _COLUMNS.replace("blocks", "coalesce(string_to_array(nullif(blocks, ''), ' '), '{}')")
_INSERT = f"insert into order_hold ({_COLUMNS}) select {_VALUES} from {_unnest({**_PLACED, **_LATER})}"
_UPDATE = f"""update order_hold h set {", ".join(f"{name} = n.{name}" for name in _LATER)}
    from {_unnest({"id": "text", **_LATER})} where h.id = n.id"""
