"""What a benchmark runs on: a throw-away embedded server, a stocked shop, and the processes under test."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.cli.bench.measure import Latencies, postmaster
from trueup.cli.people import issue_key
from trueup.core import database, embedded
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.stock.receive import ReceivedLine, ReceiveStock

SKUS = 10_000
_PLENTY = 100_000_000
_POLICIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("tax", "default", {
        "home": "DE",
        "entries": [{"country": "DE", "tax_class": "standard", "rate": "19", "valid_from": "2020-01-01"}],
    }),
    ("channel", "web", {"tax": "table"}),
    ("sourcing", "default", {"when": {"on_placement": False}}),
)  # fmt: skip


class Rig(msgspec.Struct):
    """A running database with a stocked shop, and the key that may place orders. postmaster: its process id.

    Its web channel taxes orders by a table, holds and workflow are as shipped, and orders are sourced later.
    """

    url: str
    token: str
    postmaster: int
    home: Path


@contextmanager
def rig(skus: int = SKUS) -> Iterator[Rig]:
    """Start a throw-away server with `skus` items in plenty at location MAIN; all of it is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="trueup-bench-"))
    server = embedded.start(home)
    try:
        database.create_database(server.url("postgres"), "trueup")
        url = server.url()
        database.refuse_unsafe(url)
        database.migrate(url)
        token = asyncio.run(_stock(url, skus))
        yield Rig(url, token, postmaster(server.data), home)
    finally:
        embedded.remove(server, home)
        shutil.rmtree(home, ignore_errors=True)


async def _stock(url: str, skus: int) -> str:
    async with Door(url, house.build()) as door:
        agent = RegisterActor(name="Bench", kind="service", roles=("Integration Owner",))
        actor = (await door.submit(SYSTEM, agent, "bench")).result["actor"]
        await door.submit(SYSTEM, RegisterLocation(code="MAIN", name="Main"), "main")
        names = [f"SKU-{number}" for number in range(skus)]
        items: list[tuple[str, Command]] = [(sku, RegisterItem(sku=sku, name=sku)) for sku in names]
        await door.submit_all(SYSTEM, items)
        for number, (kind, name, document) in enumerate(_POLICIES):
            command = PublishPolicy(policy_kind=kind, policy_name=name, document=document, reason="benchmark")
            outcome = await door.submit(SYSTEM, command, f"policy {number}")
            assert outcome.refusal is None, outcome.refusal
        receipts: list[tuple[str, Command]] = []
        for first in range(0, skus, 500):
            lines = tuple(ReceivedLine(sku, Quantity(_PLENTY)) for sku in names[first : first + 500])
            receipts.append((f"r{first}", ReceiveStock(location="MAIN", lines=lines, reference=f"opening {first}")))
        await door.submit_all(SYSTEM, receipts)
    return await issue_key(url, actor, "bench")


def bodies(count: int, skus: int, seed: int, lines: int = 3) -> bytes:
    """Return `count` orders of so many lines over `skus` items, one JSON body a line; each has its own shop number."""
    chance = random.Random(seed)
    run = uuid.uuid4().hex[:8]
    made = []
    for number in range(count):
        chosen = sorted(chance.sample(range(skus), lines)) if skus >= lines else [0] * lines
        order = {
            "currency": "EUR",
            "ship_country": "DE",
            "external_ids": {"shop": f"{run}-{number}"},
            "lines": [{"sku": f"SKU-{at}", "quantity": "1", "unit_price": "12.50"} for at in chosen],
        }
        made.append(json.dumps(order))
    return "\n".join(made).encode()


def drive(url: str, clients: int, seconds: float, token: str, prepared: bytes) -> Latencies:
    """Run the load generator as a process of its own and return what it saw."""
    done = subprocess.run(
        [sys.executable, "-m", "trueup.cli.bench.load", url, str(clients), str(seconds), token],
        input=prepared,
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Latencies)


@contextmanager
def trueup_server(on: Rig) -> Iterator[tuple[str, int]]:
    """Serve the rig as `trueup up` does; yields the address and the process id."""
    port = _free_port()
    environment = {**os.environ, "TRUEUP_DATABASE": on.url, "TRUEUP_HOME": str(on.home)}
    with _process([sys.executable, "-m", "trueup.cli.main", "up", "--port", str(port)], environment) as pid:
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/healthz")
        yield address, pid


@contextmanager
def floor_server(on: Rig) -> Iterator[tuple[str, int]]:
    """Serve the HTTP floor on the same database; yields the address and the process id."""
    port = _free_port()
    environment = {**os.environ, "FLOOR_DATABASE": on.url}
    command = [sys.executable, "-m", "uvicorn", "trueup.cli.bench.floor:app", "--port", str(port), "--loop", "uvloop",
               "--http", "httptools", "--no-access-log", "--log-level", "warning"]  # fmt: skip
    with _process(command, environment) as pid:
        _wait_for_port(port)
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield process.pid
        except BaseException:
            output.seek(0)
            sys.stderr.write(output.read().decode(errors="replace")[-3000:])
            raise
        finally:
            process.terminate()
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _wait_for_port(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
