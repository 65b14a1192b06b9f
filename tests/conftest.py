"""A real PostgreSQL for every test: one server, one migrated template per run, one database per test."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core import database, embedded
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.memory import collect_seldom
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.stock.receive import ReceivedLine, ReceiveStock

_SHARED_MEMORY = Path("/dev/shm")
_ROOM = 4 * 1024**3
_STALE_SECONDS = 3600


def quick_folder() -> Path:
    """Return where throw-away servers live: in memory where there is room, since a database is 700 files to make."""
    roomy = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _ROOM
    return _SHARED_MEMORY if roomy else Path(tempfile.gettempdir())


QUICK = quick_folder()
# Copying files takes half the CPU, and two checkpoints, which are quick in memory only.
STRATEGY = "file_copy" if QUICK == _SHARED_MEMORY else "wal_log"
os.environ.setdefault("TRUEUP_SERVERS", str(QUICK / "trueup-test-servers"))
T = TypeVar("T")
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def pytest_configure() -> None:
    """Search for cycles seldom, as the server does: a worker holds a million objects that stay for the whole run."""
    collect_seldom()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[embedded.Embedded]:
    """One embedded server per worker, gone with it; its template database is migrated once."""
    _sweep(Path(os.environ["TRUEUP_SERVERS"]))
    home = QUICK / f"trueup-tests-{os.getpid()}-{worker_id}"
    running = embedded.start(home, shared_buffers_mb=128, settings={"max_wal_size": "512MB"})
    try:
        database.create_database(running.url("postgres"), "template")
        database.migrate(running.url("template"))
        yield running
    finally:
        embedded.remove(running, home)


def _sweep(servers: Path) -> None:
    """Delete what runs that were killed left behind an hour ago or more."""
    for folder in servers.glob("*"):
        pid = folder / "pg" / "postmaster.pid"
        if folder.stat().st_mtime < time.time() - _STALE_SECONDS and not _lives(pid):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), 0)
    except (OSError, ValueError):
        return False
    return True


class Databases:
    """The databases of one worker's server: each test has copies of its own, of ones that are made once."""

    def __init__(self, server: embedded.Embedded, admin: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._server = server
        self._admin = admin
        self._made: dict[Callable[..., object], Any] = {}

    def copied(self, url: str | None = None) -> str:
        """Return the address of a copy of a database that nobody is connected to, or of an empty one, migrated."""
        name = f"t{uuid.uuid4().hex[:16]}"
        template = self.name_of(url) if url else "template"
        self._admin.execute(f'create database "{name}" template "{template}" strategy {STRATEGY}')
        return self._server.url(name)

    def drop(self, url: str) -> None:
        self._admin.execute(f'drop database "{self.name_of(url)}" with (force)')

    async def once(self, make: Callable[[Databases], Awaitable[T]]) -> T:
        """Return what `make` made, once for all tests: databases that nobody connects to any more, to be copied."""
        if make not in self._made:
            self._made[make] = await make(self)
        made: T = self._made[make]
        return made

    @staticmethod
    def name_of(url: str) -> str:
        return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture(scope="session")
def databases(server: embedded.Embedded) -> Iterator[Databases]:
    with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
        yield Databases(server, admin)


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """A fresh database of this test's own."""
    made = databases.copied()
    yield made
    databases.drop(made)


@pytest.fixture
def clock() -> TurnedClock:
    """A clock that only the test turns."""
    return TurnedClock(START)


@pytest.fixture
async def door(url: str, clock: TurnedClock) -> AsyncIterator[Door]:
    """A door on the test's database, its time turned by hand."""
    async with Door(url, house.build(), clock=clock) as opened:
        yield opened


async def stocked(door: Door, *, location: str = "MAIN", **units: int) -> None:
    """Register a location and items, and receive so many units of each: `await stocked(door, MUG=10)`."""
    commands = [(f"location {location}", RegisterLocation(code=location, name=location.title()))]
    commands += [(f"item {sku}", RegisterItem(sku=sku, name=sku.title())) for sku in units]  # type: ignore[misc]
    expect_all(await door.submit_all(SYSTEM, commands))
    lines = tuple(ReceivedLine(sku, Quantity(count)) for sku, count in units.items() if count)
    if lines:
        receipt = ReceiveStock(location=location, lines=lines, reference=f"opening {location}")
        expect_all([await door.submit(SYSTEM, receipt, f"opening {location}")])


def expect_all(outcomes: list[Outcome]) -> None:
    """Fail on the first outcome that is neither applied nor merged, showing why."""
    for outcome in outcomes:
        assert outcome.status in ("applied", "merged"), outcome.refusal
