"""`bench place`: orders of three lines, reserved, journalled and durable, over HTTP, beside the HTTP floor."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import psycopg

from trueup.cli.bench import floor
from trueup.cli.bench.measure import Figure, Latencies, cpu_seconds, median, peak_mb
from trueup.cli.bench.rig import SKUS, Rig, bodies, drive, floor_server, rig, trueup_server
from trueup.core import embedded
from trueup.core.errors import TrueupError

ROUNDS = 3
SECONDS = 6.0
_RATE = re.compile(r"tps = ([0-9.]+)")


def place() -> list[Figure]:
    """Measure 64 clients interleaved with the floor, then 8 and 1, and the database's own limits from a C client."""
    with rig() as on:
        with psycopg.connect(on.url, autocommit=True) as connection:
            connection.execute(floor.SCHEMA)
        with trueup_server(on) as (ours, pid), floor_server(on) as (bare, _):
            _drive(on, ours, 64, 3.0)
            figure = _at_64(on, ours, bare, pid)
            eight, one = _drive(on, ours, 8, SECONDS), _drive(on, ours, 1, SECONDS)
            floors = {f"floor at {clients}": _drive(on, bare, clients, 3.0).per_second() for clients in (8, 1)}
            figure.peak_mb = peak_mb(pid)
        figure.beside |= floors
        figure.beside["pgbench one per transaction"] = _pgbench(on, floor.PGBENCH_ONE, 1)
        figure.beside["pgbench hundred per transaction"] = _pgbench(on, floor.PGBENCH_HUNDRED, 100)
    return [figure, _figure("place, 8 clients", eight, ""), _figure("place, 1 client", one, "p50 under 8 ms")]


def _at_64(on: Rig, ours: str, bare: str, pid: int) -> Figure:
    seen: list[Latencies] = []
    floors: list[float] = []
    used = {"server": 0.0, "database": 0.0, "load generator": 0.0}
    for _ in range(ROUNDS):
        floors.append(_drive(on, bare, 64, SECONDS).per_second())
        server, base = cpu_seconds(pid), cpu_seconds(on.postmaster)
        seen.append(_drive(on, ours, 64, SECONDS))
        used["server"] += cpu_seconds(pid) - server
        used["database"] += cpu_seconds(on.postmaster) - base
        used["load generator"] += seen[-1].cpu_seconds
    sent = sum(run.sent for run in seen)
    rate, limit = median([run.per_second() for run in seen]), median(floors)
    ratio = median([run.per_second() / below for run, below in zip(seen, floors, strict=True)])
    p99 = median([run.percentile(99) for run in seen])
    return Figure(
        name="place",
        figure=rate,
        unit="orders/s",
        limit=limit,
        ratio=ratio,
        p50_ms=median([run.percentile(50) for run in seen]),
        p99_ms=p99,
        cpu_us_per_unit={who: seconds / sent * 1e6 for who, seconds in used.items()},
        target="1,500 orders/s, p99 under 150 ms, at least 0.6 of the HTTP floor",
        met=ratio >= 0.6 and p99 < 150 and not any(run.failed for run in seen),
        beside={"failed": float(sum(run.failed for run in seen))},
    )


def _figure(name: str, run: Latencies, target: str) -> Figure:
    return Figure(
        name=name,
        figure=run.per_second(),
        unit="orders/s",
        p50_ms=run.percentile(50),
        p99_ms=run.percentile(99),
        target=target,
        met=run.percentile(50) < 8 if target else None,
        beside={"failed": float(run.failed)},
    )


def _drive(on: Rig, address: str, clients: int, seconds: float) -> Latencies:
    return drive(f"{address}/v1/orders", clients, seconds, on.token, bodies(int(6000 * seconds), SKUS, clients))


def _pgbench(on: Rig, script: str, orders: int) -> float:
    """Return orders per second of the C client with eight connections. Raises TrueupError with its words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script)
        host = re.search(r"host=(\S+)", on.url)
        assert host is not None
        done = subprocess.run(
            [str(embedded.binary("pgbench")), "-n", "-M", "prepared", "-c", "8", "-j", "1", "-T", "4",
             "--max-tries=10", "-f", str(path), "-h", host.group(1), "-U", "postgres", "trueup"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    found = _RATE.search(done.stdout)
    if done.returncode or found is None:
        raise TrueupError(f"pgbench did not run: {done.stderr[-800:]}")
    return float(found.group(1)) * orders
