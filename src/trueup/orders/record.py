"""Record an order of the past: searchable, reported and returnable, and it triggers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.ids import short_number
from trueup.core.money import LIMIT, Amount, is_currency, total_of
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Personal, State, Verb
from trueup.orders.state import (
    Captured,
    Line,
    LineKind,
    OrderKind,
    OrderRecorded,
    OrderRow,
    Orders,
    RecordExtended,
    RecordWithdrawn,
)
from trueup.orders.totals import Totals
from trueup.parties.state import Contact, Parties, keep_contact

LINES_MAX = 5000
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class RecordedLine(Body, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One row of a source's document.

    row: identity of the row within the source (document, content, nth identical): loading it again changes nothing.
    quantity: negative for credits and write-offs. unit_price: as many decimals as the source had.
    sku: as written. kind: `charge` for freight and the like. flags: names of what is odd about it.
    shipped, returned: units, as the source knew. discount: what the source took off this row, in the order's currency;
    kept as it says, whatever a policy of ours would have shared.
    """

    row: str
    sku: str
    quantity: Quantity
    unit_price: Amount
    kind: LineKind = "good"
    description: str | None = None
    flags: tuple[str, ...] = ()
    shipped: Quantity = Quantity(0)
    returned: Quantity = Quantity(0)
    discount: Amount = Amount(0)


class RecordOrder(Command, frozen=True, kw_only=True):
    """Take one document of another system over as history.

    source: the legacy system. document: its number there. kind: `sale`, `credit` or `adjustment`.
    customer: its customer number in `source`. load: the migration run, so that the load can be undone as a whole.
    tax, charges: the source's figures for the whole document. discount: what it took off the document as a whole,
    beside its rows' discounts; shared over no line. source_total: what it said the total was; kept, and shown as
    differing when it does. paid, refunded: money received and given back; None when the source is silent.
    cancelled: the source says nothing of it was or will be delivered.
    """

    source: Name
    document: Name
    placed_at: datetime
    currency: str
    lines: Annotated[tuple[RecordedLine, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    kind: OrderKind = "sale"
    channel: str = "legacy"
    customer: str | None = None
    contact: Contact | str | None = None
    ship_country: str | None = None
    load: str | None = None
    charges: Amount = Amount(0)
    discount: Amount = Amount(0)
    tax: Amount = Amount(0)
    source_total: Amount | None = None
    paid: Amount | None = None
    refunded: Amount | None = None
    cancelled: bool = False
    flags: tuple[str, ...] = ()


class WithdrawRecord(Command, frozen=True, kw_only=True):
    """Take a recorded order out again; what happened stays in the journal."""

    order: str
    load: str | None = None


def record_order(state: State, command: RecordOrder, context: Context) -> Decision:
    """Record the document, or add the rows of it that are not known yet; with none, it ends as merged.

    The result has the order's id and how many rows were new; for an order that another load brought, also that `load`,
    and which rows were `known` where some were new.

    Amounts are kept as exact as the source had them, and so is which line bears how much of a discount: nothing is
    apportioned here, and a discount of the document alone stays on the document. Refuses an unknown currency, a time
    without a zone, and a number that names an order of ours. Source: DESIGN section 4, behaviours 24 and 38.
    """
    refusal = _refusal(command)
    if refusal is not None:
        return refusal
    known = state.of(Orders).numbered(command.document, command.source)
    if known is not None:
        return _extend(state, command, known, context)
    lines = _lines(state, command, 1)
    customer = state.of(Parties).customer(command.source, command.customer) if command.customer else None
    order = context.new_id("ord")
    captured = Captured(
        id=order,
        number=short_number(order),
        kind=command.kind,
        channel=command.channel,
        currency=command.currency,
        placed_at=command.placed_at,
        recorded_at=context.now,
        totals=_totals(lines, command, total_of([line.discount for line in lines])),
        managed=False,
        customer=customer.id if customer else None,
        person=command.contact if isinstance(command.contact, str) else None,
        ship_country=command.ship_country,
        source=command.source,
        load=command.load,
        external_ids={command.source: command.document},
        source_total=command.source_total,
        payment_known=command.paid is not None,
        captured=command.paid or ZERO,
        refunded=command.refunded or ZERO,
        flags=command.flags,
    )
    return Accepted([OrderRecorded(order=captured, lines=lines)], order, {"order": order, "rows": len(lines)})


def withdraw_record(state: State, command: WithdrawRecord, context: Context) -> Decision:
    """Take the order out. Refuses an order of ours, and one of another load; one that is gone ends as merged."""
    row = state.of(Orders).order(command.order)
    if row is None:
        return Accepted((), command.order, {"order": command.order}, "merged")
    if row.captured.managed or (command.load is not None and row.captured.load != command.load):
        return Refusal(
            "orders.not_of_load",
            f"Order {command.order} was not recorded by this load.",
            "Only orders of the past that the load brought can be withdrawn with it.",
            "order",
            command.order,
        )
    event = RecordWithdrawn(order=command.order, load=row.captured.load, at=context.now)
    return Accepted([event], command.order, {"order": command.order})


def _refusal(command: RecordOrder) -> Refusal | None:
    if not is_currency(command.currency):
        return Refusal("orders.currency", f"{command.currency!r} is not a currency.", "Use an ISO 4217 code.",
                       "currency", command.currency)  # fmt: skip
    if command.placed_at.tzinfo is None:
        return Refusal("orders.time_without_zone", f"The time {command.placed_at} has no zone.",
                       "State the offset, as in 2026-03-01T10:00Z.", "placed_at", str(command.placed_at))  # fmt: skip
    for row in command.lines:
        if abs(row.quantity * row.unit_price) >= LIMIT:
            return Refusal("orders.amount_too_large", f"Row {row.row} amounts to {LIMIT:f} or more.",
                           "Correct quantity and price.", "lines", row.sku)  # fmt: skip
    return None


def _extend(state: State, command: RecordOrder, known: OrderRow, context: Context) -> Decision:
    order = known.captured.id
    if known.captured.managed:
        return Refusal("orders.number_taken", f"{command.document!r} of {command.source} is an order of ours.",
                       "Give the history another source name.", "document", command.document)  # fmt: skip
    present = {line.source_row for line in known.lines}
    rows = tuple(row for row in command.lines if row.row not in present)
    result: dict[str, Any] = {"order": order, "rows": len(rows)}
    if known.captured.load != command.load:
        result["load"] = known.captured.load
    if not rows:
        return Accepted((), order, result, "merged")
    if "load" in result:
        result["known"] = [row.row for row in command.lines if row.row in present]
    lines = _lines(state, msgspec.structs.replace(command, lines=rows), max(known.line_at) + 1)
    # A row recorded before rows had discounts has none of its own; what the source says of it counts all the same.
    said = {row.row: row.discount for row in command.lines}
    shares = [said.get(line.source_row or "", line.discount) for line in known.lines]
    totals = _totals([*known.lines, *lines], command, total_of([*shares, *(line.discount for line in lines)]))
    event = RecordExtended(order=order, lines=lines, totals=totals, at=context.now)
    return Accepted([event], order, result)


def _lines(state: State, command: RecordOrder, first: int) -> tuple[Line, ...]:
    catalogue = state.of(Catalogue)
    lines = []
    for number, row in enumerate(command.lines, first):
        item = catalogue.item(row.sku)
        lines.append(
            Line(
                line=number,
                sku=row.sku,
                item=item.id if item else None,
                description=row.description,
                kind=row.kind,
                quantity=row.quantity,
                unit_price=row.unit_price,
                amount=row.quantity * row.unit_price,
                discount=row.discount,
                flags=row.flags,
                source_row=row.row,
                cancelled=max(row.quantity, ZERO) if command.cancelled else ZERO,
                shipped=row.shipped,
                returned=row.returned,
            )
        )
    return tuple(lines)


def _totals(lines: Sequence[Line], command: RecordOrder, shares: Decimal) -> Totals:
    goods = total_of([line.amount for line in lines if line.kind == "good"])
    extra = total_of([line.amount for line in lines if line.kind == "charge"]) + command.charges
    discount = command.discount + shares
    return Totals(goods, extra, discount, command.tax, goods + extra - discount + command.tax)


def _wants(state: State, command: RecordOrder, policies: Policies) -> None:
    state.of(Orders).want_number(command.document, command.source)
    if command.customer:
        state.of(Parties).want(command.source, command.customer)
    catalogue = state.of(Catalogue)
    for row in command.lines:
        catalogue.want_item(row.sku)


VERBS = (
    Verb(
        name="orders.record",
        command=RecordOrder,
        decide=record_order,
        wants=_wants,
        touches=lambda command: (f"document:{command.source}:{command.document}",),
        personal=Personal("contact", keep_contact),
    ),
    Verb(
        name="orders.withdraw_record",
        command=WithdrawRecord,
        decide=withdraw_record,
        wants=lambda state, command, policies: state.of(Orders).want(command.order),
        touches=lambda command: (command.order,),
    ),
)
