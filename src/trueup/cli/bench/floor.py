"""The HTTP floor: a bare ASGI endpoint that writes an order by one prepared statement per request, without any rule.

It is what this machine, Python and PostgreSQL can do at most over HTTP; `bench place` is measured against it.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
from psycopg_pool import AsyncConnectionPool

SCHEMA = """
drop schema if exists floor cascade;
create schema floor;
create table floor.orders (id bigint generated always as identity primary key, at timestamptz not null default now(),
    currency text not null, total numeric not null);
create table floor.order_line (order_id bigint not null, line int not null, sku text not null,
    quantity numeric not null, unit_price numeric not null, primary key (order_id, line));
create table floor.stock (sku text primary key, on_hand numeric not null, check (on_hand >= 0)) with (fillfactor = 60);
create table floor.event (id bigint generated always as identity primary key, order_id bigint not null,
    body jsonb not null);
insert into floor.stock select 'SKU-' || n, 1e9 from generate_series(0, 9999) n;
"""

STATEMENT = """
with placed as (
    insert into floor.orders (currency, total) select %s, sum(q * p) from unnest(%s::numeric[], %s::numeric[]) l (q, p)
    returning id
), lines as (
    insert into floor.order_line select placed.id, l.n, l.sku, l.q, l.p
    from placed, unnest(%s::text[], %s::numeric[], %s::numeric[]) with ordinality l (sku, q, p, n)
), taken as (
    update floor.stock s set on_hand = s.on_hand - l.q
    from (select sku, q from unnest(%s::text[], %s::numeric[]) l (sku, q) order by sku) l where s.sku = l.sku
)
insert into floor.event (order_id, body) select placed.id, %s::jsonb from placed returning order_id
"""

# What a C client gets of the same database: one order per transaction, and a hundred per transaction.
PGBENCH_ONE = """\\set sku random(0, 9990)
with placed as (
    insert into floor.orders (currency, total) values ('EUR', 37.5) returning id
), lines as (
    insert into floor.order_line select placed.id, n, 'SKU-' || (:sku + n), 1, 12.5 from placed, generate_series(1, 3) n
), taken as (
    update floor.stock set on_hand = on_hand - 1
    where sku in ('SKU-' || (:sku + 1), 'SKU-' || (:sku + 2), 'SKU-' || (:sku + 3))
)
insert into floor.event (order_id, body) select id, '{"kind": "order"}' from placed;
"""
PGBENCH_HUNDRED = """\\set sku random(0, 9600)
with placed as (
    insert into floor.orders (currency, total) select 'EUR', 37.5 from generate_series(1, 100) returning id
), lines as (
    insert into floor.order_line select placed.id, n, 'SKU-' || (:sku + n), 1, 12.5 from placed, generate_series(1, 3) n
), taken as (
    update floor.stock s set on_hand = on_hand - 1
    from (select 'SKU-' || (:sku + n) as sku from generate_series(1, 300) n) l where s.sku = l.sku
)
insert into floor.event (order_id, body) select id, '{"kind": "order"}' from placed;
"""


class Line(msgspec.Struct):
    """One line of the body that the real endpoint takes, too."""

    sku: str
    quantity: str
    unit_price: str


class Order(msgspec.Struct):
    """What is read of the body."""

    currency: str
    lines: list[Line]


_decoder = msgspec.json.Decoder(Order)
_pool: AsyncConnectionPool[Any] | None = None


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Take one order; any path, any method."""
    global _pool
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            _pool = AsyncConnectionPool(os.environ["FLOOR_DATABASE"], min_size=16, max_size=16, open=False)
            await _pool.open(wait=True)
            await send({"type": "lifespan.startup.complete"})
        if _pool is not None:
            await _pool.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert _pool is not None
    body = b""
    while True:
        part = await receive()
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    order = _decoder.decode(body)
    skus, quantities = [x.sku for x in order.lines], [x.quantity for x in order.lines]
    prices = [x.unit_price for x in order.lines]
    async with _pool.connection() as connection:
        await connection.execute(
            STATEMENT,
            [order.currency, quantities, prices, skus, quantities, prices, skus, quantities, body.decode()],
            prepare=True,
        )
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"status":"applied"}'})
