"""`bench list`: first page, filtered page and search over HTTP at 10,000 and at 1,000,000 orders."""

from __future__ import annotations

import time
import urllib.request

import psycopg

from trueup.cli.bench.measure import Figure
from trueup.cli.bench.rig import Rig, rig, trueup_server

SMALL, LARGE = 10_000, 1_000_000
REQUESTS = 300

# Orders as the door writes them, made in bulk: the reads under test see the same tables, indexes and statistics.
_FILL = """
insert into orders (id, number, kind, channel, currency, placed_at, recorded_at, managed, source, external_ids,
    units_ordered, units_cancelled, units_shipped, total_goods, total_charges, total, captured, flags)
select 'ord_' || lpad(to_hex(n), 12, '0') || '7' || substr(md5(n::text), 1, 19), 'B' || n, 'sale',
    (array['web', 'store', 'fair'])[1 + n %% 3], 'EUR', timestamptz '2024-01-01' + n * interval '1 minute', now(),
    n %% 5 = 0, 'legacy', jsonb_build_object('legacy', 'L' || n), 3, case when n %% 40 = 0 then 3 else 0 end,
    case when n %% 40 <> 0 and n %% 7 <> 0 then 3 else 0 end, 30, 0, 30, case when n %% 9 = 0 then 0 else 30 end,
    case when n %% 100 = 0 then array['total_mismatch'] else array[]::text[] end
from generate_series(%(first)s::int, %(last)s) n;
"""
_FILL_LINES = """
insert into order_line (order_id, line, sku, item, kind, quantity, unit_price, amount)
select o.id, l, i.sku, i.id, 'good', 1, 10, 10
from orders o cross join generate_series(1, 3) l
join item i on i.sku = 'SKU-' || ((substr(o.number, 2)::int * 3 + l) %% 1000)
where substr(o.number, 2)::int between %(first)s and %(last)s;
"""
_FILL_KEYS = """
insert into order_key (key, source, order_id)
select number, '', id from orders where substr(number, 2)::int between %(first)s and %(last)s
union all select 'L' || substr(number, 2), 'legacy', id from orders
where substr(number, 2)::int between %(first)s and %(last)s;
"""
_PAGES = {
    "first page": "/v1/orders?limit=50",
    "filtered page": "/v1/orders?limit=50&fulfilment=cancelled",
    "flagged page": "/v1/orders?limit=50&flagged=true",
    "search by legacy number": "/v1/orders?search=L{n}",
    "search by prefix": "/v1/orders?limit=50&search=L{prefix}",
}


def lists() -> list[Figure]:
    """Measure each page at both sizes; the larger may take at most twice the smaller."""
    figures = []
    with rig(1000) as on, trueup_server(on) as (address, _):
        _fill(on, 1, SMALL)
        small = {name: _measure(on, address + path, SMALL) for name, path in _PAGES.items()}
        _fill(on, SMALL + 1, LARGE)
        large = {name: _measure(on, address + path, LARGE) for name, path in _PAGES.items()}
    for name in _PAGES:
        (p50, p99), (small_p50, small_p99) = large[name], small[name]
        ratio = p50 / small_p50
        figures.append(
            Figure(
                name=f"list, {name}",
                figure=p99,
                unit="ms (p99 at 1,000,000)",
                limit=small_p99,
                ratio=ratio,
                p50_ms=p50,
                p99_ms=p99,
                target="p99 under 50 ms, median at most twice that at 10,000",
                met=p99 < 50 and ratio <= 2,
                beside={"p50 at 10,000": small_p50, "p99 at 10,000": small_p99},
            )
        )
    return figures


def _fill(on: Rig, first: int, last: int) -> None:
    with psycopg.connect(on.url, autocommit=True) as connection:
        for statement in (_FILL, _FILL_LINES, _FILL_KEYS):
            connection.execute(statement, {"first": first, "last": last})
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")


def _measure(on: Rig, url: str, orders: int) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds of requests one after another, after a tenth as warm-up."""
    taken = []
    for number in range(REQUESTS + REQUESTS // 10):
        at = 1 + number * 7919 % orders
        filled = url.format(n=at, prefix=str(at)[:2])
        request = urllib.request.Request(filled, headers={"Authorization": f"Bearer {on.token}"})
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
        taken.append((time.perf_counter() - began) * 1000)
    counted = sorted(taken[REQUESTS // 10 :])
    return counted[len(counted) // 2], counted[len(counted) * 99 // 100]
