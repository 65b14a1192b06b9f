"""Quarantined rows: listed with what is wrong and what to do, exported to be corrected, and run again alone."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trueup.core import json
from trueup.core.database import Connection, connect
from trueup.core.ids import new_id
from trueup.core.quantity import plain
from trueup.migrate import commands, crosswalk, read, state
from trueup.migrate.bookkeeping import Ledger, files_of
from trueup.migrate.commands import Carried, Naming, open_staging
from trueup.migrate.controls import source_figures
from trueup.migrate.load import Books, Deviation, Known, pour
from trueup.migrate.mapping import Mapping as FileMappings
from trueup.migrate.restage import restage
from trueup.migrate.run import Means
from trueup.migrate.state import BookedRow, Run, RunRefused
from trueup.orders.record import WithdrawRecord

if TYPE_CHECKING:
    import duckdb

OWN_COLUMNS = ("_file", "_row", "_column", "_value", "_rule", "_fix")
Place = tuple[str, int]
Values = Mapping[str, str | None]


class Rerun(msgspec.Struct, frozen=True):
    """What became of corrected rows. rows: how many were corrected and sent. applied: rows that are in now.

    left: those that are still quarantined, with what is wrong now.
    """

    run: str
    rows: int
    applied: int
    left: tuple[BookedRow, ...]


async def list_quarantined(
    connection: Connection, run: str, *, after: tuple[str, int, int] = ("", 0, 0), limit: int = 1000
) -> list[BookedRow]:
    """Return the quarantined rows of a run in file order: file, row, column, value, rule and suggested fix."""
    return await read.rows_of(connection, run, outcome="quarantined", after=after, limit=limit)


async def export(connection: Connection, run: str, target: Path) -> int:
    """Write the quarantined rows as one CSV to correct: where and what first, then the source's columns as they stood.

    Only the source's columns are read back. Returns the rows written; with none, no file is made.
    """
    rows = {(row.file, row.row): row async for row in _all_quarantined(connection, run)}
    if not rows:
        return 0
    columns = list(dict.fromkeys(name for row in rows.values() for name in row.written or {} if name != "_text"))
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*OWN_COLUMNS, *columns])
        for row in rows.values():
            said = row.written or {}
            own = (row.file, row.row, row.column_name, row.value, row.rule, row.fix)
            writer.writerow([*own, *(said.get(name) for name in columns)])
    return len(rows)


def read_corrected(path: Path) -> dict[Place, dict[str, str | None]]:
    """Read a corrected export: the source's columns by file and row. Raises RunRefused when it is no such file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            sample = stream.readline()
            stream.seek(0)
            rows = list(csv.DictReader(stream, delimiter=max(",;\t", key=sample.count), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunRefused(
            f"{path.name} cannot be read as a corrected export: {error}. Export the rows again."
        ) from error
    corrected: dict[Place, dict[str, str | None]] = {}
    for number, row in enumerate(rows, 2):
        if not row.get("_file") or not (row.get("_row") or "").isdecimal() or None in row:
            raise RunRefused(f"{path.name} row {number}: _file and _row must name the source's row, and no field may "
                             "be added. Keep the columns of the export.")  # fmt: skip
        values = {name: value for name, value in row.items() if name not in OWN_COLUMNS}
        corrected[row["_file"], int(row["_row"])] = values
    return corrected


async def correct(means: Means, run_id: str, file: str, row: int, values: Values) -> Rerun:
    """Correct one row, given the columns that change, and run it again alone. Raises RunRefused."""
    return await rerun(means, run_id, {(file, row): values})


async def rerun(means: Means, run_id: str, corrected: Mapping[Place, Values]) -> Rerun:
    """Put corrected values in the place of quarantined rows and load what can be applied now, in the same run.

    All staged rows are judged again, since rows are judged by each other; only what became applicable goes through the
    door. The run's sums stay true. Raises RunRefused for rows that are not quarantined in this run.
    """
    connection = await connect(means.url, statement_timeout="10min")
    try:
        run = await state.find_run(connection, run_id)
        await state.lock_source(connection, run.source)
        quarantined = {(row.file, row.row): row async for row in _all_quarantined(connection, run.id)}
        whole = _check(run, corrected, quarantined)
        mapping = json.decode(run.mapping, FileMappings)
        restage(run.staging, files_of(run.files), mapping, whole, means.tick)
        books, freed = await _load_freed(connection, means, run, mapping, set(quarantined))
        applied = sorted(freed - {(entry.file, entry.row) for entry in books.deviations if entry.outcome != "merged"})
        written = {place: values for place, values in whole.items() if place in set(applied)}
        await state.correct_rows(connection, run.id, applied, written, means.clock.now())
        await _keep_figures(connection, run, books)
        left = await _still_wrong(run, books, [place for place in whole if place not in set(applied)])
    finally:
        await state.end_session(connection)
    return Rerun(run.id, len(corrected), len(applied), tuple(left))


def _check(
    run: Run, corrected: Mapping[Place, Values], quarantined: Mapping[Place, BookedRow]
) -> dict[Place, dict[str, str | None]]:
    """Return each corrected row whole: what it said, with what changed."""
    if run.status not in ("finished", "incomplete"):
        raise RunRefused(f"The run {run.id} is {run.status}; only rows of a finished run can be corrected.")
    if not run.staging.exists():
        raise RunRefused(
            f"The staging area of {run.id} is gone. Run the migration of the same files again, then correct."
        )
    whole = {}
    for (file, row), values in corrected.items():
        before = quarantined.get((file, row))
        if before is None:
            raise RunRefused(f"Row {row} of {file!r} is not quarantined in {run.id}. Leave it out.")
        said = before.written or {}
        unknown = [name for name, value in values.items() if value and name not in said]
        if unknown:
            raise RunRefused(f"{file!r} has no column {unknown[0]!r}; there are {', '.join(said)}.")
        whole[file, row] = {**said, **{name: value for name, value in values.items() if name in said}}
    return whole


async def _load_freed(
    connection: Connection, means: Means, run: Run, mapping: FileMappings, quarantined: set[Place]
) -> tuple[Books, set[Place]]:
    """Load the rows that were quarantined and can be applied now; return the books and those rows."""
    naming = Naming(run.source, mapping.channel, run.id, run.attempt, "." + new_id("try"))
    known = Known(await read.known_items(connection, run.source), await read.known_customers(connection, run.source))
    books = Books(again=True)
    opened = open_staging(run.staging)
    try:
        applicable = opened.execute("select file, row, entity from row_outcome where outcome = 'apply'").fetchall()
        freed = {(file, row): entity for file, row, entity in applicable if (file, row) in quarantined}
        documents = _documents(opened, freed)
        await _withdraw_refunded(connection, means, run, opened, freed)
        for feed in (
            commands.locations(opened, naming),
            commands.items(opened, naming, known.items),
            commands.customers(opened, naming, known.customers),
            commands.orders(opened, naming, documents),
            _counts_of(commands.counts(opened, naming, means.clock.now()), freed),
        ):
            await pour(means.door, feed, books, actor=means.actor)
    finally:
        opened.close()
    return books, set(freed)


def _documents(opened: duckdb.DuckDBPyConnection, freed: Mapping[Place, str]) -> list[str]:
    """Return the documents that rows belong to."""
    found: set[str] = set()
    for table in ("c_order", "c_line", "c_refund"):
        rows = opened.execute(f"select file, row, document from {table}").fetchall()
        found.update(document for file, row, document in rows if (file, row) in freed)
    return sorted(found)


def _counts_of(counts: Iterator[Carried], freed: Mapping[Place, str]) -> Iterator[Carried]:
    """Yield counts of single lines for these rows alone: what was counted long ago may have moved since."""
    for carried in counts:
        for single in commands.one_by_one(carried):
            if (single.rows[0].file, single.rows[0].row) in freed:
                yield single


async def _withdraw_refunded(
    connection: Connection, means: Means, run: Run, opened: duckdb.DuckDBPyConnection, freed: Mapping[Place, str]
) -> None:
    """Withdraw the orders whose refunds were corrected: a record's payments are taken over with it, as a whole."""
    rows = opened.execute("select file, row, document from c_refund").fetchall()
    documents = sorted({document for file, row, document in rows if freed.get((file, row)) == "refund"})
    found = await connection.execute(
        """select k.order_id from order_key k join orders o on o.id = k.order_id
        where k.source = %s and k.key = any(%s) and o.load = %s order by 1""",
        [run.source, documents, run.id],
    )
    orders = [order for (order,) in await found.fetchall()]
    await means.door.submit_all(
        means.actor,
        [(f"rerun/{order}", WithdrawRecord(order=order, load=run.id)) for order in orders],
    )


_COUNTED: tuple[tuple[crosswalk.Kind, str], ...] = (("item", "item keys"), ("customer", "customers"))


async def _keep_figures(connection: Connection, run: Run, books: Books) -> None:
    """Bring crosswalk and control figures up to date with the rows that were applied."""
    not_new = (set(run.not_new) | books.not_new) - await _own_documents(connection, run)
    with Ledger(run.staging, [entry async for entry in _deviations(connection, run.id)]) as ledger:
        counts = {name: plain(value) for name, value in source_figures(ledger.connection, not_new).items()}
    for kind, name in _COUNTED:
        legacy_ids = sorted(books.legacy_ids[kind])
        counts[name] = str(await crosswalk.fill(connection, run.source, run.id, kind, legacy_ids))
    await crosswalk.fill_orders(connection, run.source, run.id)
    await crosswalk.forget_orders(connection, run.source)
    await state.keep_counts(connection, run.id, counts, not_new, books.shared)


async def _own_documents(connection: Connection, run: Run) -> set[str]:
    """Return which documents that the door would not take before are this run's now."""
    rows = await connection.execute(
        """select k.key from order_key k join orders o on o.id = k.order_id
        where k.source = %s and k.key = any(%s) and o.load = %s""",
        [run.source, run.not_new, run.id],
    )
    return {key for (key,) in await rows.fetchall()}


async def _still_wrong(run: Run, books: Books, places: list[Place]) -> list[BookedRow]:
    """Return the rows that are quarantined although they were corrected, with what is wrong now."""
    with Ledger(run.staging, books.deviations) as ledger:
        wanted = set(places)
        return [row for row in ledger.rows(files_of(run.files)) if (row.file, row.row) in wanted]


async def _deviations(connection: Connection, run: str) -> AsyncIterator[Deviation]:
    for outcome in ("quarantined", "merged"):
        async for row in _all(connection, run, outcome):
            yield Deviation(row.file, row.row, row.entity, row.outcome, row.rule, "", "", "", "", row.identity or "")


async def _all_quarantined(connection: Connection, run: str) -> AsyncIterator[BookedRow]:
    async for row in _all(connection, run, "quarantined"):
        yield row


async def _all(connection: Connection, run: str, outcome: str) -> AsyncIterator[BookedRow]:
    after = ("", 0, 0)
    while page := await read.rows_of(connection, run, outcome=outcome, after=after, limit=5000):
        for row in page:
            yield row
        after = (page[-1].file, page[-1].row, page[-1].number)
