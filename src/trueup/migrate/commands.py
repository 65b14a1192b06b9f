"""From staged rows to commands: what a load submits, in which order, under which key, and which rows each carries.

Keys are `load/<source>/<entity>/<legacy id>/<run>.<attempt>/<digest of content>`: the same rows give the same key
whatever order or file they come in, so that a resumed load is told what happened before, and a load after its undo is
carried out anew. Customers leave the run out: the same words are never kept twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core import json
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.migrate.sources import quoted
from trueup.migrate.typed import literal
from trueup.orders.record import LINES_MAX, RecordedLine, RecordOrder
from trueup.parties.record import RecordCustomer
from trueup.parties.state import Address, Contact
from trueup.stock.count import CountedLine, CountStock

if TYPE_CHECKING:
    import duckdb

FETCHED_ROWS = 10_000
COUNTED_LINES_MAX = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """One source row that a command carries; identity: as `RecordedLine.row` names it, else empty."""

    file: str
    row: int
    entity: str
    identity: str = ""


class Carried(NamedTuple):
    """One command, its key, and the source rows it carries; `fault` says why it cannot be sent as it is."""

    key: str
    command: Command
    rows: Sequence[Row]
    fault: str = ""


class Naming(msgspec.Struct, frozen=True):
    """What keys and commands of one run are named by. again: sets the tries of corrected rows apart."""

    source: str
    channel: str
    run: str
    attempt: int
    again: str = ""

    def key(self, entity: str, legacy_id: str, content: str, *, of_run: bool = True) -> str:
        """Return the door's key for a command made of this content."""
        digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        run = f"{self.run}.{self.attempt}{self.again}/" if of_run else ""
        return f"load/{self.source}/{entity}/{legacy_id}/{run}{digest}"


@lru_cache(maxsize=200_000)
def exact(text: str) -> Decimal:
    """Return the decimal written without trailing zeros; the same text gives the same object."""
    return Decimal(text)


def open_staging(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a staging file for reading, beside an in-memory database that can hold what is derived from it.

    Every table of the file is visible by its name from any cursor; `plain(d)` writes a decimal without trailing zeros.
    """
    import duckdb

    connection = duckdb.connect(config={"memory_limit": "400MB", "threads": 2})
    connection.execute(f"attach {literal(str(path))} as staged (read_only)")
    found = connection.execute("select table_name from duckdb_tables() where database_name = 'staged'").fetchall()
    for (table,) in found:
        connection.execute(f"create view {quoted(table)} as from staged.{quoted(table)}")
    connection.execute(
        "create macro plain(d) as case when contains(d::varchar, '.') "
        "then rtrim(rtrim(d::varchar, '0'), '.') else d::varchar end"
    )
    return connection


def locations(staging: duckdb.DuckDBPyConnection, naming: Naming) -> Iterator[Carried]:
    """Yield the places that stock was counted at."""
    found = staging.execute("select distinct location from c_count order by location").fetchall()
    for (code,) in found:
        yield _checked(naming.key("location", code, code), RegisterLocation(code=code, name=code), ())


_ITEMS = """
    with spelled as (
        select sku, trim(sku_written) as key from c_line union select sku, trim(sku_written) from c_count
    ),
    aliases as (
        select sku, list(distinct key order by key) as keys from spelled
        where key <> sku and key <> '' and key not in (select sku from known_items) group by sku
    )
    select i.sku, i.name, i.kind, i.gtin, plain(i.weight_g), i.category, plain(i.unit_price), i.currency,
        coalesce(a.keys, []), i.file, i.row
    from known_items i left join aliases a using (sku) order by i.sku
"""
_OF_FILE = """
    create or replace table known_items as
    select distinct on (i.sku) i.* from c_item i join row_outcome o using (file, row)
    where o.outcome = 'apply' order by i.sku, i.file, i.row
"""
_OF_LINES = """
    create or replace table known_items as
    select l.sku, coalesce(mode(nullif(trim(l.description), '')), l.sku) as name,
        case when bool_and(l.kind = 'charge') then 'charge' else 'good' end as kind,
        null::varchar as gtin, null::decimal(18, 6) as weight_g, null::varchar as category,
        null::decimal(18, 6) as unit_price, null::varchar as currency, null::varchar as file, null::bigint as row
    from c_line l join row_outcome o using (file, row) where o.outcome = 'apply' and l.sku is not null group by l.sku
"""


def items(
    staging: duckdb.DuckDBPyConnection, naming: Naming, known: Mapping[str, tuple[str, str]]
) -> Iterator[Carried]:
    """Yield the items with their spellings: those of the item file, else every SKU that was sold.

    known: SKU -> (name, kind) of items there are already; what is only derived from lines never overwrites them.
    """
    own_file = row_count(staging, "c_item") > 0
    staging.execute(_OF_FILE if own_file else _OF_LINES)
    for columns in _fetch(staging, _ITEMS):
        sku, name, kind, gtin, weight_g, category, unit_price, currency, aliases, file, row = columns
        if not own_file:
            name, kind = known.get(sku, (name, kind))
        command = RegisterItem(
            sku=sku,
            name=(name or sku)[:1000],
            kind=kind or "good",
            gtin=gtin,
            weight_g=_quantity(weight_g),
            category=category,
            unit_price=_amount(unit_price),
            currency=currency if unit_price is not None else None,
            aliases=tuple(aliases),
        )
        rows = (Row(file, row, "item"),) if own_file else ()
        yield _checked(naming.key("item", sku, repr((name, kind, *columns[3:9]))), command, rows)


_CUSTOMERS = """
    select c.number, c.name, c.email, c.phone, c.street, c.postcode, c.city, c.region, c.country, c.file, c.row
    from c_customer c join row_outcome o using (file, row) where o.outcome = 'apply' order by c.number, c.file, c.row
"""
_CUSTOMERS_OF_ORDERS = """
    select customer, null, null, null, null, null, null, null, mode(country), null, null
    from c_order where customer is not null group by customer order by customer
"""


def customers(staging: duckdb.DuckDBPyConnection, naming: Naming, known: Mapping[str, str | None]) -> Iterator[Carried]:
    """Yield the customers: those of the customer file, else every number that an order names.

    known: number -> country of customers there are already; what is only derived from orders never overwrites it.
    """
    own_file = row_count(staging, "c_customer") > 0
    for columns in _fetch(staging, _CUSTOMERS if own_file else _CUSTOMERS_OF_ORDERS):
        number, name, email, phone, street, postcode, city, region, country, file, row = columns
        if not own_file:
            country = known.get(number, country)
        address = Address(street=street, postcode=postcode, city=city, region=region, country=country)
        contact = None
        if any((name, email, phone, street, postcode, city)):
            contact = Contact(name=name, email=email, phone=phone, bill_to=address)
        command = RecordCustomer(source=naming.source, number=number, contact=contact, country=country)
        rows = (Row(file, row, "customer"),) if own_file else ()
        yield _checked(naming.key("customer", number, repr((*columns[:8], country)), of_run=False), command, rows)


_HEADERS = """
    select c.document, epoch_us(c.placed_at), c.customer, c.currency, c.country, plain(c.charges), plain(c.discount),
        plain(c.tax), plain(c.source_total), c.kind, plain(c.paid), plain(c.refunded), c.cancelled, c.flags,
        o.file, o.row
    from c_order c left join row_outcome o on o.file = c.file and o.row = c.row and o.entity = 'order'
    where coalesce(o.outcome, 'apply') = 'apply'{only} order by c.document, c.file, c.row
"""
_LINES = """
    select l.document, l.identity, trim(l.sku_written), plain(l.quantity), plain(l.unit_price), l.kind, l.description,
        l.flags, plain(l.shipped), plain(l.returned), plain(l.discount), l.file, l.row
    from c_line l join row_outcome o using (file, row)
    where o.outcome = 'apply'{only} order by l.document, l.file, l.row
"""


def orders(staging: duckdb.DuckDBPyConnection, naming: Naming, only: Sequence[str] | None = None) -> Iterator[Carried]:
    """Yield one command per document, in the documents' order; more than 5,000 lines go in several.

    only: restrict to these documents. A document whose lines have no usable header carries a fault instead.
    """
    condition = "" if only is None else " and document in (select unnest(?))"
    parameters: list[Any] = [] if only is None else [list(only)]
    headers = _fetch(staging, _HEADERS.format(only=condition.replace(" document", " c.document")), parameters)
    lines = groupby(_fetch(staging, _LINES.format(only=condition), parameters), key=itemgetter(0))
    header = next(headers, None)
    for document, group in lines:
        while header is not None and header[0] < document:
            yield from _order(naming, header, [])
            header = _next_document(headers, header[0])
        if header is not None and header[0] == document:
            yield from _order(naming, header, list(group))
            header = _next_document(headers, document)
        else:
            yield _headless(naming, document, list(group))
    while header is not None:
        yield from _order(naming, header, [])
        header = _next_document(headers, header[0])


def _next_document(headers: Iterator[tuple[Any, ...]], document: str) -> tuple[Any, ...] | None:
    return next((header for header in headers if header[0] != document), None)


def _order(naming: Naming, header: tuple[Any, ...], group: list[tuple[Any, ...]]) -> Iterator[Carried]:
    (document, micros, customer, currency, country, charges, discount, tax, source_total, kind, paid, refunded,
     cancelled, flags, file, row) = header  # fmt: skip
    first = [Row(file, row, "order")] if file is not None else []
    for start in range(0, max(len(group), 1), LINES_MAX):
        part = group[start : start + LINES_MAX]
        command = RecordOrder(
            source=naming.source,
            document=document,
            placed_at=_EPOCH + timedelta(microseconds=micros),
            currency=currency,
            lines=tuple(_line(columns) for columns in part),
            kind=kind,
            channel=naming.channel,
            customer=customer,
            ship_country=country,
            load=naming.run,
            charges=_amount(charges) or Amount(0),
            discount=_amount(discount) or Amount(0),
            tax=_amount(tax) or Amount(0),
            source_total=_amount(source_total),
            paid=_amount(paid),
            refunded=_amount(refunded),
            cancelled=bool(cancelled),
            flags=tuple(flags or ()),
        )
        # The discount is part of a row's identity, too. It stands here so that a load whose commands had none for their
        # lines gets other keys, and is told that its rows are known, not that its keys were used for something else.
        content = "\n".join((repr(header[1:14]), *(f"{columns[1]} {columns[10]}" for columns in part)))
        rows = [*first, *(Row(columns[11], columns[12], "line", columns[1]) for columns in part)]
        fault = "" if len(document) <= 120 and len(customer or "") <= 120 else "a number has more than 120 characters"
        fault = fault if group else "no line of this order can be applied"
        yield Carried(naming.key("order", document[:120], content), command, rows, fault)
        first = []


def _line(columns: tuple[Any, ...]) -> RecordedLine:
    _, row, sku, quantity, unit_price, kind, description, flags, shipped, returned, discount, _, _ = columns
    return RecordedLine(
        row,
        sku,
        cast(Quantity, exact(quantity)),
        cast(Amount, exact(unit_price)),
        kind,
        description,
        tuple(flags) if flags else (),
        cast(Quantity, exact(shipped or "0")),
        cast(Quantity, exact(returned or "0")),
        cast(Amount, exact(discount)),
    )


def _headless(naming: Naming, document: str, group: list[tuple[Any, ...]]) -> Carried:
    command = RecordOrder(source=naming.source, document=document, placed_at=_EPOCH, currency="EUR", lines=())
    rows = [Row(columns[11], columns[12], "line", columns[1]) for columns in group]
    return Carried("", command, rows, "its order has no header row that could be taken")


_COUNTS = """
    select c.location, coalesce(k.sku, trim(c.sku_written)), plain(c.counted),
        epoch_us(c.counted_at), c.file, c.row,
        row_number() over (partition by c.location, coalesce(c.sku, c.sku_written) order by c.file, c.row)
    from c_count c join row_outcome o using (file, row) left join known_items k on k.sku = c.sku
    where o.outcome = 'apply' order by 7, 1, c.file, c.row
"""


def counts(staging: duckdb.DuckDBPyConnection, naming: Naming, today: datetime) -> Iterator[Carried]:
    """Yield the opening stock as counts of at most 500 lines of one location; `items` must have been drained before.

    An item counted a second time at one location carries a fault. today: the count's time where the file has none.
    """
    for (code, again), group in groupby(_fetch(staging, _COUNTS), key=lambda columns: (columns[0], columns[6] > 1)):
        part: list[tuple[Any, ...]] = []
        for columns in group:
            if again:
                yield _count_of(naming, code, [columns], today, "the item stands twice in the count of this location")
                continue
            part.append(columns)
            if len(part) == COUNTED_LINES_MAX:
                yield _count_of(naming, code, part, today)
                part = []
        if part:
            yield _count_of(naming, code, part, today)


def one_by_one(carried: Carried) -> Iterator[Carried]:
    """Cut a count that was refused into one command per line, so that its good lines are not lost with the bad one."""
    command = carried.command
    assert isinstance(command, CountStock)
    for number, (line, row) in enumerate(zip(command.lines, carried.rows, strict=True)):
        single = msgspec.structs.replace(command, lines=(line,), reference=f"{command.reference}.{number}")
        yield Carried(f"{carried.key}/{number}", single, (row,))


def _count_of(naming: Naming, code: str, part: list[tuple[Any, ...]], today: datetime, fault: str = "") -> Carried:
    counted_at = max((columns[3] for columns in part if columns[3] is not None), default=None)
    content = repr([columns[:4] for columns in part])
    key = naming.key("count", code[:120], content)
    command = CountStock(
        location=code,
        lines=tuple(CountedLine(columns[1], cast(Quantity, exact(columns[2]))) for columns in part),
        reference=f"opening {naming.run} {key[-12:]}",
        counted_at=today if counted_at is None else _EPOCH + timedelta(microseconds=counted_at),
        reason=f"opening stock of {naming.source}"[:200],
    )
    return Carried(key, command, [Row(columns[4], columns[5], "count") for columns in part], fault)


def _checked(key: str, command: Command, rows: Sequence[Row]) -> Carried:
    """Make sure that the command reads back; what is built here skips the checks of what comes as JSON."""
    try:
        json.decode(json.encode(command), type(command))
    except msgspec.ValidationError as error:
        return Carried(key, command, rows, str(error))
    return Carried(key, command, rows)


def _amount(text: str | None) -> Amount | None:
    return None if text is None else cast(Amount, exact(text))


def _quantity(text: str | None) -> Quantity | None:
    return None if text is None else cast(Quantity, exact(text))


def row_count(staging: duckdb.DuckDBPyConnection, table: str, condition: str = "") -> int:
    """Count a table's rows, all or those of an SQL condition."""
    found = staging.execute(f"select count(*) from {table} {condition}").fetchone()
    return int(found[0]) if found else 0


def _fetch(staging: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
    """Stream a query's rows over a cursor of its own."""
    cursor = staging.cursor()
    cursor.execute(sql, list(parameters)) if parameters else cursor.execute(sql)
    while page := cursor.fetchmany(FETCHED_ROWS):
        yield from page
