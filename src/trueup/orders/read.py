"""What everybody else may ask about orders: lists by filter and cursor, search by number, one order whole."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core import timeline as journal_timeline
from trueup.core.database import Connection
from trueup.core.fields import NO_CUSTOM_FIELDS, CustomFields, contained
from trueup.core.ids import is_id
from trueup.core.paging import Limit, Moment, Page, bounded, page_of, prefix_range, read_cursor, write_cursor
from trueup.core.quantity import ZERO
from trueup.orders import read_holds
from trueup.orders.business import Business, LineTerms
from trueup.orders.read_adoptions import OrderAdoption, adoptions_of
from trueup.orders.read_capture import (
    CAPTURE,
    InvoicedTax,
    LineClaim,
    OrderCapture,
    Sold,
    capture_of,
    claims_of,
    margin_of,
    taxes_of,
)
from trueup.orders.read_holds import HoldDetail, Suspected, Unmatched
from trueup.orders.suspect import FLAG
from trueup.parties import read as parties
from trueup.parties.state import Contact

SEARCH_HITS_MAX = 500
LATEST_LOOKED_AT = 200


class OrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders. Every filter that is given must hold.

    search: the beginning of any number an order is known by, the customer's own for it among them, a customer's
    number, or a whole e-mail address. field: a searchable custom field and its value, `colour:red`.
    fulfilment, payment, hold: a status. state: of the order's workflow. unmatched: with events that it did not want.
    customer: id. flagged: with flags or a total that differs. managed: False for
    history. placed_from, placed_to: from (inclusive), to (exclusive). cursor: `next` of the page before.
    """

    search: str | None = None
    fulfilment: str | None = None
    payment: str | None = None
    hold: str | None = None
    state: str | None = None
    unmatched: bool | None = None
    channel: str | None = None
    source: str | None = None
    customer: str | None = None
    load: str | None = None
    flagged: bool | None = None
    managed: bool | None = None
    placed_from: Moment | None = None
    placed_to: Moment | None = None
    field: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class OrderSummary(msgspec.Struct, frozen=True):
    """One row of the list. Quantities in units, money in `currency`.

    type: of its workflow. state, state_reason: where its workflow has it; None for history. unmatched: events its
    workflow did not want. holds: open ones.
    """

    id: str
    number: str
    kind: str
    channel: str
    currency: str
    placed_at: datetime
    recorded_at: datetime
    managed: bool
    customer: str | None
    source: str | None
    external_ids: dict[str, str]
    units_ordered: Decimal
    units_cancelled: Decimal
    units_shipped: Decimal
    total: Decimal
    source_total: Decimal | None
    fulfilment_status: str
    payment_status: str
    hold_status: str
    total_differs: bool
    flags: tuple[str, ...]
    version: int
    customer_number: str | None
    ship_country: str | None
    type: str
    state: str | None
    state_reason: str | None
    unmatched: int
    holds: int


class OrderLine(msgspec.Struct, frozen=True):
    """One line: quantities in units; `amount` is before `discount`, both in the order's currency.

    waiting: units that are neither cancelled nor shipped, and for which nothing is claimed. parent: the line of the
    phantom kit it is a part of. tax: of all its units, at `tax_rate` per cent. terms: what was agreed for it.
    """

    line: int
    sku: str
    item: str | None
    description: str | None
    kind: str
    quantity: Decimal
    cancelled: Decimal
    reserved: Decimal
    shipped: Decimal
    returned: Decimal
    unit_price: Decimal
    amount: Decimal
    discount: Decimal
    location: str | None
    flags: tuple[str, ...]
    source_row: str | None
    allocated: Decimal
    parent: int | None
    tax: Decimal
    tax_rate: Decimal | None
    tax_code: str | None
    waiting: Decimal = ZERO
    terms: LineTerms | None = None


class OrderTotals(msgspec.Struct, frozen=True):
    """goods + charges - discount + tax = total, without the tax where prices include it; and facts about money."""

    goods: Decimal
    charges: Decimal
    discount: Decimal
    tax: Decimal
    total: Decimal
    authorised: Decimal
    captured: Decimal
    refunded: Decimal


class OrderDetail(msgspec.Struct, frozen=True):
    """One order whole. version: rises with each change. contact: personal words, None when erased or never given.

    workflow_version, channel_version: the documents it keeps; adoptions: how it came to another version of the first.
    holds: open and released ones, the oldest first.
    unmatched: events that its workflow did not want, the latest first. suspected: that it may be a duplicate.
    capture: how it was taken. claims: by line and location. taxes: as invoiced. margin: what its goods bring before
    tax, less their cost when it was placed; None where a cost is not known.
    """

    id: str
    number: str
    version: int
    summary: OrderSummary
    load: str | None
    totals: OrderTotals
    lines: tuple[OrderLine, ...]
    contact: Contact | None
    workflow_version: int = 0
    channel_version: int = 0
    holds: tuple[HoldDetail, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()
    suspected: Suspected | None = None
    capture: OrderCapture | None = None
    claims: tuple[LineClaim, ...] = ()
    taxes: tuple[InvoicedTax, ...] = ()
    margin: Decimal | None = None
    adoptions: tuple[OrderAdoption, ...] = ()


OrderPage = Page[OrderSummary]
_LINE = ", ".join(OrderLine.__struct_fields__[:-2])
_SUMMARY = """o.id, o.number, o.kind, o.channel, o.currency, o.placed_at, o.recorded_at, o.managed, o.customer,
    o.source, o.external_ids, o.units_ordered, o.units_cancelled, o.units_shipped, o.total, o.source_total,
    o.fulfilment_status, o.payment_status, o.hold_status, o.total_differs, o.flags, o.version"""
_WALK = "o.type, o.state, o.state_reason, o.unmatched, o.holds"
_FILTERS = {
    "fulfilment": "o.fulfilment_status = %s",
    "payment": "o.payment_status = %s",
    "hold": "o.hold_status = %s",
    "state": "o.state = %s",
    "channel": "o.channel = %s",
    "source": "o.source = %s",
    "customer": "o.customer = %s",
    "load": "o.load = %s",
    "managed": "o.managed = %s",
    "placed_from": "o.placed_at >= %s",
    "placed_to": "o.placed_at < %s",
}
_FLAGGED = "(o.flags <> '{}' or o.total_differs)"


async def find(
    connection: Connection,
    query: OrderQuery,
    channels: frozenset[str] | None = None,
    rules: CustomFields = NO_CUSTOM_FIELDS,
) -> OrderPage:
    """Return one page, latest placed first. Raises Refused for a cursor that is not one, and a field `rules` forbid.

    channels: those whose orders may be shown; None is every one.
    A search looks through the first SEARCH_HITS_MAX orders it matches and says `capped` when there are more.
    """
    conditions = [condition for name, condition in _FILTERS.items() if getattr(query, name) is not None]
    parameters: list[Any] = [value for name in _FILTERS if (value := getattr(query, name)) is not None]
    if channels is not None:
        conditions.append("o.channel = any(%s::text[])")
        parameters.append(sorted(channels))
    if query.flagged is not None:
        conditions.append(_FLAGGED if query.flagged else f"not {_FLAGGED}")
    if query.unmatched is not None:
        conditions.append("o.unmatched > 0" if query.unmatched else "o.unmatched = 0")
    if query.field is not None:
        conditions.append("o.fields @> %s::jsonb")
        parameters.append(contained(rules, query.field))
    if query.cursor is not None:
        conditions.append("(o.placed_at, o.id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    searched, capped = "orders", False
    if query.search is not None and query.search.strip():
        hits, capped = await search(connection, query.search.strip())
        # Looked up one by one and only then sorted; else the planner walks all orders by date to find these few.
        searched = "(select x.* from unnest(%s::text[]) h (id) join orders x on x.id = h.id offset 0)"
        parameters.insert(0, hits)
    limit = bounded(query.limit)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    # Never prepared: each set of filters is planned with its values, since a status may be common or rare.
    rows = await connection.execute(
        f"""select {_SUMMARY}, c.number, o.ship_country, {_WALK}
        from (select * from {searched} o {where} order by o.placed_at desc, o.id desc limit %s) o
        left join customer c on c.id = o.customer order by o.placed_at desc, o.id desc""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [_summary_of(row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.placed_at, row.id), capped=capped)


async def search(connection: Connection, text: str) -> tuple[list[str], bool]:
    """Return the ids of orders a text finds, and whether there are more than SEARCH_HITS_MAX."""
    parts = ["(select order_id from order_key where key >= %s and key < %s order by key limit %s)"]
    most = SEARCH_HITS_MAX + 1
    parameters: list[Any] = [*prefix_range(text), most]
    if text.upper() != text:
        parts.append(parts[0])
        parameters += [*prefix_range(text.upper()), most]
    parts.append(
        """(select id from orders where business is not null and (business ->> 'customer_order') collate "C" >= %s
            and (business ->> 'customer_order') collate "C" < %s limit %s)"""
    )
    parameters += [*prefix_range(text), most]
    parts.append(
        """(select o.id from customer c join orders o on o.customer = c.id where c.number = %s
            order by o.placed_at desc limit %s)"""
    )
    parameters += [text, most]
    if "@" in text:
        parts.append(
            """(select o.id from person p join orders o on o.person = p.id where lower(p.email) = lower(%s) limit %s)"""
        )
        parts.append(
            """(select o.id from person p join customer c on c.person = p.id join orders o on o.customer = c.id
                where lower(p.email) = lower(%s) limit %s)"""
        )
        parameters += [text, most] * 2
    if is_id(text, "ord"):
        parts.append("(select id from orders where id = %s)")
        parameters.append(text)
    rows = await connection.execute(" union ".join(parts), parameters, prepare=False)
    found = [row[0] for row in await rows.fetchall()]
    return found[:SEARCH_HITS_MAX], len(found) > SEARCH_HITS_MAX


async def order(
    connection: Connection, reference: str, channels: frozenset[str] | None = None, now: datetime | None = None
) -> OrderDetail | None:
    """Return one order by its id or by our own number, or None; None, too, where its channel may not be shown.

    now: claims that ended by then count no more; without it, they are shown as the ledger has them.
    """
    cursor = await connection.execute(
        f"""select {_SUMMARY}, c.number, o.ship_country, {_WALK}, o.load, o.total_goods, o.total_charges,
            o.total_discount, o.total_tax, o.total, o.authorised, o.captured, o.refunded, o.person,
            o.workflow_version, o.channel_version, {CAPTURE}
        from orders o left join customer c on c.id = o.customer
        where o.id = coalesce((select order_id from order_key where key = %s and source = ''), %s)""",
        [reference.upper(), reference],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    summary = _summary_of(row)
    if channels is not None and summary.channel not in channels:
        return None
    size = len(OrderSummary.__struct_fields__)
    lines = await connection.execute(
        f"select {_LINE} from order_line where order_id = %s order by line",
        [summary.id],
    )
    capture = capture_of(row[size + 12 :])
    shown = tuple(_line_of(line, summary.managed, capture.business) for line in await lines.fetchall())
    return OrderDetail(
        id=summary.id,
        number=summary.number,
        version=summary.version,
        summary=summary,
        load=row[size],
        totals=OrderTotals(*row[size + 1 : size + 9]),
        lines=shown,
        contact=await parties.contact(connection, row[size + 9]),
        workflow_version=row[size + 10],
        channel_version=row[size + 11],
        holds=await read_holds.holds_of(connection, summary.id),
        unmatched=await read_holds.unmatched_of(connection, summary.id) if summary.unmatched else (),
        suspected=await read_holds.suspected(connection, summary.id) if FLAG in summary.flags else None,
        capture=capture,
        claims=await claims_of(connection, summary.id, now),
        taxes=await taxes_of(connection, summary.id),
        margin=await _margin(connection, summary, shown, capture),
        adoptions=await adoptions_of(connection, summary.id),
    )


async def timeline(
    connection: Connection, subject: str, after: int = 0, limit: int = 100
) -> tuple[journal_timeline.Entry, ...]:
    """Return what the journal says about an order (or any other id), oldest first, past a position."""
    return await journal_timeline.about(connection, subject, after, limit)


async def choices(connection: Connection) -> dict[str, list[str]]:
    """Return the values of `channel` and `source` there are, for a filter's list: index hops, never a scan."""
    found: dict[str, list[str]] = {}
    for column in ("channel", "source"):
        rows = await connection.execute(
            f"""with recursive seen as (
                (select {column} as value from orders where {column} is not null order by {column} limit 1)
                union all
                select (select {column} from orders where {column} > seen.value order by {column} limit 1) from seen
                where seen.value is not null
            ) select value from seen where value is not null limit 100"""
        )
        found[column] = [row[0] for row in await rows.fetchall()]
    return found


async def channels_in_use(connection: Connection) -> tuple[str, ...]:
    """Return the channels that orders are taken in here, by name: some of each one's latest orders are managed."""
    rows = await connection.execute(
        """select c.channel from unnest(%s::text[]) c (channel) where exists (
            select from (select managed from orders o where o.channel = c.channel
                         order by o.placed_at desc, o.id desc limit %s) latest where latest.managed)
        order by c.channel""",
        [(await choices(connection))["channel"], LATEST_LOOKED_AT],
    )
    return tuple(row[0] for row in await rows.fetchall())


def _summary_of(row: tuple[Any, ...]) -> OrderSummary:
    return OrderSummary(*[*row[:20], tuple(row[20]), *row[21 : len(OrderSummary.__struct_fields__)]])


async def _margin(
    connection: Connection, summary: OrderSummary, lines: tuple[OrderLine, ...], capture: OrderCapture
) -> Decimal | None:
    if not summary.managed:
        return None
    sold = [Sold(x.item, x.kind, x.quantity, x.cancelled, x.amount, x.discount, x.tax) for x in lines]
    day = summary.placed_at.date()
    return await margin_of(connection, sold, summary.currency, day, tax_included=capture.tax_included)


def _line_of(row: tuple[Any, ...], managed: bool, business: Business | None) -> OrderLine:
    line = OrderLine(*[*row[:14], tuple(row[14]), *row[15:]])
    waiting = ZERO
    if managed and line.kind == "good":
        waiting = max(ZERO, line.quantity - line.cancelled - line.shipped - line.reserved - line.allocated)
    terms = business.line(line.line) if business is not None else None
    return msgspec.structs.replace(line, waiting=waiting, terms=terms)
