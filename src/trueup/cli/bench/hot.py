"""`bench hot`: 64 clients on one SKU, interleaved with many SKUs; nothing may be oversold."""

from __future__ import annotations

import psycopg

from trueup.cli.bench.measure import Figure, median
from trueup.cli.bench.rig import SKUS, bodies, drive, rig, trueup_server

ROUNDS = 3
SECONDS = 6.0


def hot() -> list[Figure]:
    """Measure orders of one line on one SKU against the same orders on many."""
    one, many, p50, p99, failed = [], [], [], [], 0
    with rig() as on:
        with trueup_server(on) as (address, _):
            drive(f"{address}/v1/orders", 64, 2.0, on.token, bodies(8000, SKUS, 0, lines=1))
            for number in range(ROUNDS):
                spread = bodies(int(6000 * SECONDS), SKUS, number, lines=1)
                many.append(drive(f"{address}/v1/orders", 64, SECONDS, on.token, spread).per_second())
                crowd = bodies(int(6000 * SECONDS), 1, number, lines=1)
                run = drive(f"{address}/v1/orders", 64, SECONDS, on.token, crowd)
                one.append(run.per_second())
                p50.append(run.percentile(50))
                p99.append(run.percentile(99))
                failed += run.failed
        oversold = _oversold(on.url)
    ratio = median([hot / spread for hot, spread in zip(one, many, strict=True)])
    return [
        Figure(
            name="hot",
            figure=median(one),
            unit="orders/s",
            limit=median(many),
            ratio=ratio,
            p50_ms=median(p50),
            p99_ms=median(p99),
            target="at least 0.7 of many SKUs, zero oversold",
            met=ratio >= 0.7 and not oversold and not failed,
            beside={"oversold": float(oversold), "failed": float(failed)},
        )
    ]


def _oversold(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """select count(*) from stock_balance b
            where b.reserved + b.allocated > b.on_hand
               or b.reserved <> (select coalesce(sum(quantity), 0) from stock_claim c
                                 where c.item = b.item and c.location = b.location)"""
        ).fetchone()
    return int(row[0]) if row else 0
