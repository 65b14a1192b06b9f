"""What everybody else may ask about migration runs: their sums, their rows, what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.migrate.state import BookedRow, FileCount, Run, find_run, list_runs

__all__ = ["BookedRow", "FileCount", "Run", "RunSums", "find_run", "list_runs"]

_ROW = """file, row, number, entity, outcome, kind, rule, column_name, value, detail, fix, identity, written,
    corrected_at"""


class RunSums(msgspec.Struct, frozen=True):
    """How a run's rows ended; `rows_in` is the sum of the other four."""

    rows_in: int
    applied: int
    quarantined: int
    merged: int
    ignored: int

    def plain(self) -> dict[str, int]:
        """Return the sums as reports name them."""
        return {
            "in": self.rows_in, "applied": self.applied, "quarantined": self.quarantined, "merged": self.merged,
            "ignored": self.ignored,
        }  # fmt: skip


async def sums(connection: Connection, run: str) -> RunSums:
    """Return how a run's rows ended, over all its files."""
    rows = await connection.execute(
        """select coalesce(sum(rows_in), 0)::int, coalesce(sum(applied), 0)::int, coalesce(sum(quarantined), 0)::int,
            coalesce(sum(merged), 0)::int, coalesce(sum(ignored), 0)::int from migration_file where run = %s""",
        [run],
    )
    return RunSums(*(await rows.fetchall())[0])


async def files(connection: Connection, run: str) -> list[FileCount]:
    """Return how the rows of each file ended."""
    rows = await connection.execute(
        "select file, rows_in, applied, quarantined, merged, ignored from migration_file where run = %s order by file",
        [run],
    )
    return [FileCount(*row) for row in await rows.fetchall()]


async def rules(connection: Connection, run: str) -> list[tuple[str, str, int]]:
    """Return (outcome, rule, rows) for every rule by which rows were not plainly applied."""
    rows = await connection.execute(
        """select outcome, rule, count(distinct (file, row))::int from migration_row
        where run = %s and outcome <> 'applied' group by outcome, rule order by outcome, rule""",
        [run],
    )
    return [(outcome, rule, count) for outcome, rule, count in await rows.fetchall()]


async def found(connection: Connection, run: str) -> dict[str, int]:
    """Return how many rows each kind of finding was made in; rows corrected since count no more."""
    rows = await connection.execute(
        """select kind, count(distinct (file, row))::int from migration_row
        where run = %s and kind is not null and corrected_at is null group by kind order by kind""",
        [run],
    )
    return dict(await rows.fetchall())


async def rows_of(
    connection: Connection,
    run: str,
    *,
    kind: str | None = None,
    outcome: str | None = None,
    after: tuple[str, int, int] = ("", 0, 0),
    limit: int = 1000,
) -> list[BookedRow]:
    """Return the run's booked rows in file order, those of one kind or outcome only where given; `after` pages on."""
    conditions, parameters = ["run = %s", "(file, row, number) > (%s, %s, %s)"], [run, *after]
    for name, value in (("kind", kind), ("outcome", outcome)):
        if value is not None:
            conditions.append(f"{name} = %s")
            parameters.append(value)
    rows = await connection.execute(
        f"select {_ROW} from migration_row where {' and '.join(conditions)} order by file, row, number limit %s",
        [*parameters, limit],
    )
    return [_booked(row) for row in await rows.fetchall()]


async def corrections(connection: Connection, run: str) -> dict[tuple[str, int], dict[str, str | None]]:
    """Return what corrected rows say now, by file and row."""
    rows = await connection.execute(
        """select distinct on (file, row) file, row, written from migration_row
        where run = %s and corrected_at is not null and written is not null order by file, row, number""",
        [run],
    )
    return {(file, row): written for file, row, written in await rows.fetchall()}


async def known_items(connection: Connection, source: str) -> dict[str, tuple[str, str]]:
    """Return SKU -> (name, kind) of the items a source brought before."""
    rows = await connection.execute(
        """select c.legacy_id, i.name, i.kind from crosswalk c join item i on i.id = c.id
        where c.source = %s and c.kind = 'item'""",
        [source],
    )
    return {legacy_id: (name, kind) for legacy_id, name, kind in await rows.fetchall()}


async def known_customers(connection: Connection, source: str) -> dict[str, str | None]:
    """Return number -> country of the customers a source brought before."""
    rows = await connection.execute("select number, country from customer where source = %s", [source])
    return dict(await rows.fetchall())


async def orders_of(connection: Connection, run: str, after: str = "", limit: int = 1000) -> list[str]:
    """Return the ids of the orders that a run brought, in order; `after` pages on."""
    rows = await connection.execute(
        'select id from orders where load = %s and id > %s collate "C" order by id limit %s', [run, after, limit]
    )
    return [id_ for (id_,) in await rows.fetchall()]


def _booked(row: Sequence[Any]) -> BookedRow:
    return BookedRow(*row)
