"""Run a migration from files to report: stage, load, books, crosswalk, cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.clock import Clock, SystemClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.policy import digest
from trueup.core.quantity import plain
from trueup.core.verb import Actor
from trueup.migrate import crosswalk, read, state
from trueup.migrate.bookkeeping import Ledger, files_of
from trueup.migrate.commands import Naming
from trueup.migrate.controls import source_figures
from trueup.migrate.load import Books, Known, load
from trueup.migrate.mapping import Mapping
from trueup.migrate.report import PriceOf, Report, open_cases, report
from trueup.migrate.restage import restage
from trueup.migrate.sources import find
from trueup.migrate.stage import Staged, stage
from trueup.migrate.state import Run

Tick = Callable[[str, int, int], None]


class Means(msgspec.Struct, frozen=True):
    """What a run works with.

    url: of the door's database, for the books. home: folder that keeps the staging areas. price_of: what a kind of
    finding costs per day. tick: called with (step, done, of).
    """

    door: Door
    url: str
    home: Path
    actor: Actor = SYSTEM
    clock: Clock = SystemClock()
    price_of: PriceOf | None = None
    tick: Tick | None = None


async def run_migration(
    means: Means, paths: Sequence[Path], mapping: Mapping | None, *, mapping_name: str = "proposed"
) -> Report:
    """Take the files below `paths` over and return the report; without a mapping, one is proposed from the files.

    The same files with the same mapping are the same run: it goes on where it was killed, and done again it changes
    nothing. Raises SourceRefused, NothingToRead or MappingRefused before anything is loaded, RunRefused when the source
    is at work already.
    """
    stopwatch = _Stopwatch()
    with stopwatch.measure("stage"):
        files_digest = state.digest_of_files(path for path, _ in find(paths))
        workspace = means.home / "migrations" / files_digest[:16]
        staged = stage(paths, mapping, workspace, tick=means.tick)
    connection = await connect(means.url, statement_timeout="10min", idle_in_transaction_session_timeout="10min")
    try:
        await state.lock_source(connection, staged.mapping.source)
        run = await _begin(connection, means, staged, mapping_name, files_digest, paths)
        corrections = await read.corrections(connection, run.id)
        if corrections:
            with stopwatch.measure("stage"):
                restage(run.staging, staged.files, staged.mapping, corrections, means.tick)
        return await _load_and_report(connection, means, run, staged.mapping, stopwatch)
    finally:
        await state.end_session(connection)


async def _load_and_report(
    connection: Connection, means: Means, run: Run, mapping: Mapping, stopwatch: _Stopwatch
) -> Report:
    naming = Naming(run.source, mapping.channel, run.id, run.attempt)
    known = Known(await read.known_items(connection, run.source), await read.known_customers(connection, run.source))
    with stopwatch.measure("load"):
        books = await load(
            # A count without a time of its own has that of the run: loaded again, it is the same command. After an undo
            # it is now, since what the undo moved does not stay on top of it.
            means.door,
            run.staging,
            naming,
            known,
            run.started_at if run.attempt <= 1 else means.clock.now(),
            actor=means.actor,
            tick=means.tick,
        )
    with stopwatch.measure("books"):
        await close_books(connection, run, books, means.clock.now())
    with stopwatch.measure("report"):
        run = await state.find_run(connection, run.id)
        await open_cases(means.door, connection, run, means.price_of, actor=means.actor)
        made = await report(connection, run, stopwatch.seconds)
        await state.keep_report(connection, run.id, json.encode(made))
    return msgspec.structs.replace(made, seconds=stopwatch.seconds)


_KEYED: tuple[tuple[crosswalk.Kind, str], ...] = (
    ("item", "item keys"), ("customer", "customers"), ("location", "locations"),
)  # fmt: skip


async def close_books(connection: Connection, run: Run, books: Books, now: datetime) -> None:
    """Write a finished load's books: rows, sums, crosswalk, and the figures its controls are held against."""
    with Ledger(run.staging, books.deviations) as ledger:
        counts = {name: plain(value) for name, value in source_figures(ledger.connection, books.not_new).items()}
        for kind, name in _KEYED:
            legacy_ids = sorted(books.legacy_ids[kind])
            own = await crosswalk.fill(connection, run.source, run.id, kind, legacy_ids)
            if name != "locations":
                counts[name] = str(own)
        await crosswalk.fill_orders(connection, run.source, run.id)
        rows = ledger.rows(files_of(run.files))
        await state.keep_books(connection, run.id, ledger.files(), rows, books.shared, counts, books.not_new, now)


async def _begin(
    connection: Connection, means: Means, staged: Staged, mapping_name: str, files_digest: str, paths: Sequence[Path]
) -> Run:
    document = json.encode(staged.mapping)
    return await state.begin(
        connection,
        means.clock.now(),
        source=staged.mapping.source,
        mapping_name=mapping_name,
        mapping=document.decode(),
        mapping_digest=digest(document).hex(),
        files_digest=files_digest,
        paths=[str(path) for path in paths],
        workspace=staged.path.parent,
        files=json.encode(staged.files).decode(),
    )


class _Stopwatch:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Add the time inside the `with` to a step."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds.get(step, 0.0) + time.perf_counter() - began, 3)
