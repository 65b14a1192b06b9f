"""The orders' rows in one batch: new ones from their events, known ones locked in the order of their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.core import json
from trueup.core.fields import Value
from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes
from trueup.orders import rows
from trueup.orders.business import Business
from trueup.orders.changes import OrderTaxed, Readdressed, ReservationsLapsed, WorkflowAdopted, WorkflowReturned
from trueup.orders.fulfilment_orders import FulfilmentOrdered, FulfilmentReduced
from trueup.orders.held import DuplicateDismissed, HoldPlaced, HoldReleased
from trueup.orders.totals import Taxed, Totals
from trueup.stock.state import Claim, ClaimsReleased, StockAllocated, StockReserved

OrderKind = Literal["sale", "credit", "adjustment"]
LineKind = Literal["good", "charge", "kit"]
Delivery = Literal["ship", "pickup"]


class Line(msgspec.Struct, array_like=True, frozen=True):
    """One line as it was captured. amount: its booked value, `quantity` times `unit_price`, before `discount`.

    line: 1, 2, 3... item: None when the catalogue does not know the SKU (history only). discount: its stored share of
    the order's discount. location: where it must come from; None where sourcing chooses. source_row: identity of the
    source's row. shipped, returned: facts history came with. parent: the line of the phantom kit it is a part of.
    tax: its share of the order's tax, at `tax_rate` per cent; contained in `amount` where prices include it. tax_code:
    VAT category, jurisdiction and reason, `S DE` or `AE FR VATEX-EU-AE`. tax_parts: of a charge taxed at several rates.
    """

    line: int
    sku: str
    item: str | None
    description: str | None
    kind: LineKind
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    discount: Decimal = ZERO
    location: str | None = None
    flags: tuple[str, ...] = ()
    source_row: str | None = None
    cancelled: Decimal = ZERO
    shipped: Decimal = ZERO
    returned: Decimal = ZERO
    parent: int | None = None
    tax: Decimal = ZERO
    tax_rate: Decimal | None = None
    tax_code: str | None = None
    fields: dict[str, str] = {}
    tax_parts: tuple[Taxed, ...] = ()


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """An order as captured or recorded, without its lines.

    managed: False for history, which is searched, reported and returned but triggers nothing.
    source, external_ids: where it came from, and every number other systems know it by. load: the migration run.
    payment_known: False when the source said nothing about money received.
    type: names its workflow. state: of that workflow, where it began; None for history. workflow_version,
    channel_version: the documents it keeps. delivery: shipped, or picked up at the location its lines name.
    ship_region, ship_postcode: where it goes, as tax and transit need it. latitude, longitude: of there, coarse.
    business: what was agreed beside goods and prices. fields: custom ones. entered_by: the person who took it in.
    ship_from: `DE` or `US-CA`, where its tax took it to leave from. unpaid_until: then it ends if nothing was paid.
    """

    id: str
    number: str
    kind: OrderKind
    channel: str
    currency: str
    placed_at: datetime
    recorded_at: datetime
    totals: Totals
    managed: bool = True
    customer: str | None = None
    person: str | None = None
    ship_country: str | None = None
    source: str | None = None
    load: str | None = None
    external_ids: dict[str, str] = {}
    source_total: Decimal | None = None
    payment_known: bool = True
    captured: Decimal = ZERO
    refunded: Decimal = ZERO
    flags: tuple[str, ...] = ()
    type: str = "sale"
    state: str | None = None
    workflow_version: int = 0
    channel_version: int = 0
    delivery: Delivery = "ship"
    tax_included: bool = False
    ship_region: str | None = None
    ship_postcode: str | None = None
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    priority: int = 0
    promised_at: datetime | None = None
    business: Business | None = None
    fields: dict[str, Value] = {}
    entered_by: str | None = None
    ship_from: str | None = None
    unpaid_until: datetime | None = None


class OrderPlaced(Event, frozen=True, kw_only=True):
    """A customer's demand was taken, and is ours to fulfil."""

    name = "orders.placed"
    about = "order.id"
    order: Captured
    lines: tuple[Line, ...]


class OrderRecorded(Event, frozen=True, kw_only=True):
    """An order of the past was taken over, unmanaged."""

    name = "orders.recorded"
    about = "order.id"
    order: Captured
    lines: tuple[Line, ...]


class RecordExtended(Event, frozen=True, kw_only=True):
    """More rows of a recorded document turned up; totals are those of the whole."""

    name = "orders.record_extended"
    about = "order"
    order: str
    lines: tuple[Line, ...]
    totals: Totals
    at: datetime


class RecordWithdrawn(Event, frozen=True, kw_only=True):
    """A recorded order was taken out again, because its load was undone."""

    name = "orders.record_withdrawn"
    about = "order"
    order: str
    load: str | None
    at: datetime


class LineCancelled(msgspec.Struct, array_like=True, frozen=True):
    """How many units of a line were cancelled."""

    line: int
    quantity: Decimal


class OrderCancelled(Event, frozen=True, kw_only=True):
    """Units of an order will not be fulfilled."""

    name = "orders.cancelled"
    about = "order"
    order: str
    lines: tuple[LineCancelled, ...]
    totals: Totals
    reason: str
    at: datetime


class OrderMoved(Event, frozen=True, kw_only=True):
    """A business event led the order from one state of its workflow to another. command: what the edge binds."""

    name = "orders.moved"
    about = "order"
    order: str
    event: str
    from_state: str
    to_state: str
    at: datetime
    reason: str | None = None
    command: str | None = None
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class EventUnmatched(Event, frozen=True, kw_only=True):
    """A business event happened that no edge of the order's workflow wants in this state: no match.

    source: the system that reported it; None where Trueup itself did.
    """

    name = "orders.event_unmatched"
    about = "order"
    order: str
    event: str
    state: str
    at: datetime
    source: str | None = None


EVENTS = (OrderPlaced, OrderRecorded, RecordExtended, RecordWithdrawn, OrderCancelled, OrderMoved, EventUnmatched)


class Moved(msgspec.Struct, frozen=True):
    """Where the last event of an order's workflow led, why, and when."""

    state: str
    reason: str | None
    at: datetime


class OrderRow:
    """One order while its batch runs: what was captured, its lines, and its counters.

    version: 1, and one more with each later event of the order itself (`version_after`); a claim on stock comes in
    company of one.
    """

    __slots__ = (
        "allocated", "captured", "holds", "is_new", "line_at", "lines", "moved", "new_lines", "reserved", "totals",
        "unmatched", "version",
    )  # fmt: skip

    def __init__(self, captured: Captured, lines: list[Line], *, is_new: bool, version: int = 1) -> None:
        self.captured = captured
        self.totals = captured.totals
        self.lines = lines
        self.line_at = {line.line: index for index, line in enumerate(lines)}
        self.reserved: dict[int, Decimal] = {}
        self.allocated: dict[int, Decimal] = {}
        self.is_new = is_new
        self.new_lines: list[Line] = []
        self.version = version
        self.moved = None if captured.state is None else Moved(captured.state, None, captured.recorded_at)
        self.unmatched = 0
        self.holds = 0

    @property
    def state(self) -> str | None:
        """The state of the order's own workflow that its last event led to; None for history."""
        return self.moved.state if self.moved else None

    def line(self, number: int) -> Line | None:
        """Return the line of this number."""
        index = self.line_at.get(number)
        return None if index is None else self.lines[index]

    def replace(self, line: Line) -> None:
        """Put a changed line in the place of the one with its number."""
        self.lines[self.line_at[line.line]] = line


class Orders(Slice):
    """Orders a batch needs, locked; found by id, or by a number under which a source knows them."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._numbers: set[tuple[str, str]] = set()
        self.orders: dict[str, OrderRow] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._changed: set[str] = set()
        self._revised: set[str] = set()
        self._withdrawn: dict[str, OrderRow] = {}

    def want(self, order: str) -> None:
        """Ask for an order by its id."""
        self._ids.add(order)

    def want_number(self, number: str, source: str) -> None:
        """Ask for the order that a source knows by this number; source `` is Trueup itself."""
        self._numbers.add((number, source))

    def order(self, order: str) -> OrderRow | None:
        """Return the order of this id."""
        return self.orders.get(order)

    def numbered(self, number: str, source: str) -> OrderRow | None:
        """Return the order that a source knows by this number."""
        found = self._by_key.get((number, source))
        return self.orders.get(found) if found else None

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the orders by id, then read their lines; numbers that are free are guarded by their uniqueness."""
        if not self._ids and not self._numbers:
            return
        numbers, self._numbers = sorted(self._numbers), set()
        orders, self._ids = sorted(self._ids), set()
        wanted = [orders, [number for number, _ in numbers], [source for _, source in numbers]]
        answers = yield [
            Statement(rows.LOCK_ORDERS if lock else rows.READ_ORDERS, wanted),
            Statement(rows.READ_LINES, wanted),
            Statement(rows.READ_KEYS, wanted[1:]),
        ]
        self._take(answers[0], answers[1])
        self._by_key.update({(key, source): order for key, source, order in answers[2]})

    def _take(self, orders: Rows, lines: Rows) -> None:
        by_order: dict[str, list[Line]] = {}
        reserved: dict[str, dict[int, Decimal]] = {}
        allocated: dict[str, dict[int, Decimal]] = {}
        for order, held, taken, *columns in lines:
            by_order.setdefault(order, []).append(_line_of(columns))
            reserved.setdefault(order, {})[columns[0]] = held
            allocated.setdefault(order, {})[columns[0]] = taken
        for moved, unmatched, holds, version, goods, charges, discount, tax, total, *columns in orders:
            values = dict(zip(rows.CAPTURED, columns, strict=True))
            values["flags"] = tuple(values["flags"])
            values["fields"] = values["fields"] or {}
            if values["business"] is not None:
                values["business"] = json.convert(values["business"], Business)
            captured = Captured(totals=Totals(goods, charges, discount, tax, total), **values)
            row = OrderRow(captured, by_order.get(captured.id, []), is_new=False, version=version)
            row.moved = json.decode(moved, Moved) if moved else None
            row.unmatched, row.holds = unmatched, holds
            row.reserved = reserved.get(captured.id, {})
            row.allocated = allocated.get(captured.id, {})
            self.orders[captured.id] = row

    def takes(self) -> Takes:
        """Take what happened to an order, or to the stock claimed for it, in."""
        handlers: Takes = {
            OrderPlaced: self._captured,
            OrderRecorded: self._captured,
            RecordExtended: self._extended,
            RecordWithdrawn: self._taken_out,
            OrderCancelled: self._cancelled,
            OrderMoved: self._moved,
            EventUnmatched: self._unmatched,
            Readdressed: lambda event: self._revise(self.orders[event.order], **event.revises()),
            OrderTaxed: self._taxed,
            ReservationsLapsed: self._lapsed,
            WorkflowAdopted: self._walks,
            WorkflowReturned: self._walks,
            HoldPlaced: self._held,
            HoldReleased: self._freed,
            StockReserved: self._reserved,
            StockAllocated: self._allocated,
            ClaimsReleased: self._released,
        }
        for kind in _RAISING:
            handlers[kind] = self._raising(handlers.get(kind))
        return handlers

    def _raising(self, handler: Callable[[Any], None] | None) -> Callable[[Any], None]:
        """Return a handler that raises the order's version before the event is taken in."""

        def raise_then_take(event: Any) -> None:
            row = self.orders.get(event.subject)
            if row is not None:
                row.version += 1
                self._change(row)
            if handler is not None:
                handler(event)

        return raise_then_take

    def _captured(self, event: OrderPlaced | OrderRecorded) -> None:
        row = OrderRow(event.order, list(event.lines), is_new=True)
        self.orders[event.order.id] = row
        self._by_key[event.order.number, ""] = event.order.id
        for source, number in event.order.external_ids.items():
            self._by_key[number, source] = event.order.id

    def _extended(self, event: RecordExtended) -> None:
        row = self.orders[event.order]
        for line in event.lines:
            row.line_at[line.line] = len(row.lines)
            row.lines.append(line)
            if not row.is_new:
                row.new_lines.append(line)
        row.totals = event.totals
        self._change(row)

    def _taken_out(self, event: RecordWithdrawn) -> None:
        row = self.orders.pop(event.order)
        self._by_key = {key: order for key, order in self._by_key.items() if order != event.order}
        self._changed.discard(event.order)
        if not row.is_new:
            self._withdrawn[event.order] = row

    def _cancelled(self, event: OrderCancelled) -> None:
        row = self.orders[event.order]
        for cancelled in event.lines:
            line = row.lines[row.line_at[cancelled.line]]
            row.replace(msgspec.structs.replace(line, cancelled=line.cancelled + cancelled.quantity))
        row.totals = event.totals
        self._change(row)

    def _taxed(self, event: OrderTaxed) -> None:
        row = self.orders[event.order]
        for taxed in event.lines:
            line = row.lines[row.line_at[taxed.line]]
            row.replace(msgspec.structs.replace(line, **msgspec.structs.asdict(taxed)))
        row.totals = event.totals
        flags = tuple(dict.fromkeys((*row.captured.flags, *event.flags)))
        self._revise(row, flags=flags, ship_from=event.ship_from)

    def _walks(self, event: WorkflowAdopted | WorkflowReturned) -> None:
        row = self.orders[event.order]
        if row.state != event.state:
            row.moved = Moved(event.state, None, event.at)
        self._revise(row, workflow_version=event.to_version)

    def _revise(self, row: OrderRow, **changes: Any) -> None:
        row.captured = msgspec.structs.replace(row.captured, **changes)
        if not row.is_new:
            self._revised.add(row.captured.id)
        self._change(row)

    def _lapsed(self, event: ReservationsLapsed) -> None:
        row = self.orders[event.order]
        for line, units in event.lines:
            row.reserved[line] -= units
        self._change(row)

    def _moved(self, event: OrderMoved) -> None:
        row = self.orders.get(event.order)
        if row is not None:  # else a draft's
            row.moved = Moved(event.to_state, event.reason, event.at)
            self._change(row)

    def _unmatched(self, event: EventUnmatched) -> None:
        row = self.orders.get(event.order)
        if row is not None:  # else a draft's
            row.unmatched += 1
            self._change(row)

    def _held(self, event: HoldPlaced) -> None:
        self.orders[event.hold.order].holds += 1

    def _freed(self, event: HoldReleased) -> None:
        self.orders[event.order].holds -= 1

    def _reserved(self, event: StockReserved) -> None:
        self._claim(event.holder, event.claims, 1)

    def _allocated(self, event: StockAllocated) -> None:
        self._claim(event.holder, event.replaces, -1)
        self._claim(event.holder, event.claims, 1)

    def _released(self, event: ClaimsReleased) -> None:
        # What expires is found by whoever next wants the stock, with the order not at hand: see ReservationsLapsed.
        if event.reason != "expired":
            self._claim(event.holder, event.claims, -1)

    def _claim(self, holder: str, claims: tuple[Claim, ...], sign: int) -> None:
        row = self.orders.get(holder)
        if row is None:
            return
        for claim in claims:
            held = row.reserved if claim.kind == "reservation" else row.allocated
            held[claim.line] = held.get(claim.line, ZERO) + sign * claim.quantity
        self._change(row)

    def _change(self, row: OrderRow) -> None:
        if not row.is_new:
            self._changed.add(row.captured.id)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the orders with their totals and counters, their lines, and their keys."""
        return rows.rebuilt(self.orders.values(), self._by_key)

    def write(self, batch: Batch) -> list[Statement]:
        """Return the inserts of new orders, the new counters of known ones, and the removals of withdrawn ones."""
        new = sorted((row for row in self.orders.values() if row.is_new), key=lambda row: row.captured.id)
        changed = [self.orders[order] for order in sorted(self._changed)]
        statements: list[Statement] = []
        if self._withdrawn:
            statements += rows.delete_orders([row for _, row in sorted(self._withdrawn.items())])
        if new:
            statements += rows.insert_orders(new)
        if changed:
            statements += rows.update_orders(changed)
        revised = [self.orders[order] for order in sorted(self._revised)]
        return [*statements, rows.revise_orders(revised)] if revised else statements


# An order's version rises with each of these, so that who decided on an older one is told.
_RAISING: frozenset[type[Event]] = frozenset({
    RecordExtended, OrderCancelled, OrderMoved, FulfilmentOrdered, FulfilmentReduced, HoldPlaced,
    HoldReleased, Readdressed, OrderTaxed, EventUnmatched, DuplicateDismissed, WorkflowAdopted, WorkflowReturned,
})  # fmt: skip
VERSIONED = tuple(sorted(kind.name for kind in _RAISING))


def version_after(row: OrderRow, events: Iterable[Event]) -> int:
    """Return the version an order will have when these events are taken in."""
    return row.version + sum(type(event) in _RAISING for event in events)


def _line_of(columns: list[Any]) -> Line:
    columns[_FLAGS] = tuple(columns[_FLAGS])
    parts = columns[_TAX_PARTS]
    columns[_TAX_PARTS] = json.convert(parts, tuple[Taxed, ...]) if parts else ()
    return Line(*columns)


_FLAGS, _TAX_PARTS = Line.__struct_fields__.index("flags"), Line.__struct_fields__.index("tax_parts")
