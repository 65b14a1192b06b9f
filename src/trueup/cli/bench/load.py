"""The load generator: a process of its own that posts prepared bodies with so many concurrent clients.

`python -m trueup.cli.bench.load URL CLIENTS SECONDS TOKEN < bodies` reads one JSON body per line and prints what it
saw as one JSON object. A body is used once; each gets its own Idempotency-Key.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
import uuid
from collections.abc import Iterator

import aiohttp
import msgspec

from trueup.cli.bench.measure import Latencies


async def drive(url: str, clients: int, seconds: float, token: str, bodies: list[bytes]) -> Latencies:
    """Post bodies from `clients` connections for so long, or until they are used up; the first tenth is not counted."""
    seen = Latencies(0, 0, 0, 0.0, [], 0.0)
    supply = iter(bodies)
    connector = aiohttp.TCPConnector(limit=clients, force_close=False)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        start = time.perf_counter()
        counted_from, until = start + seconds / 10, start + seconds
        before = _own_cpu()
        await asyncio.gather(*(_client(session, url, supply, counted_from, until, seen) for _ in range(clients)))
        seen.seconds = min(time.perf_counter(), until + 1) - counted_from
        seen.cpu_seconds = _own_cpu() - before
    return seen


async def _client(
    session: aiohttp.ClientSession,
    url: str,
    supply: Iterator[bytes],
    counted_from: float,
    until: float,
    seen: Latencies,
) -> None:
    run = uuid.uuid4().hex
    for number, body in enumerate(supply):
        began = time.perf_counter()
        if began > until:
            return
        async with session.post(url, data=body, headers={"Idempotency-Key": f"{run}-{number}"}) as answer:
            await answer.read()
            ended = time.perf_counter()
            seen.sent += 1
            if answer.status not in (200, 201):
                seen.failed += 1
            elif began >= counted_from:
                seen.done += 1
                seen.milliseconds.append((ended - began) * 1000)


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Read bodies from standard input, drive, and print what was seen."""
    url, clients, seconds, token = sys.argv[1:5]
    bodies = sys.stdin.buffer.read().splitlines()
    seen = asyncio.run(drive(url, int(clients), float(seconds), token, bodies))
    sys.stdout.write(msgspec.json.encode(seen).decode())


if __name__ == "__main__":
    main()
