"""The tables against the journal: folding every event must give what the tables hold."""

from __future__ import annotations

from typing import Any

from trueup.core.batch import House, fold
from trueup.core.checks import Broken
from trueup.core.database import Connection
from trueup.core.verb import Rebuilt


async def rebuilt_differences(connection: Connection, house: House) -> list[Broken]:
    """Return each row that the journal and the tables tell differently; reads everything, in one snapshot."""
    await connection.execute("begin transaction isolation level repeatable read read only")
    try:
        state = await fold(connection, house)
        found: list[Broken] = []
        for part in state.parts():
            for table in part.rebuilt():
                found += await _compare(connection, table)
    finally:
        await connection.execute("rollback")
    return found


async def _compare(connection: Connection, table: Rebuilt) -> list[Broken]:
    width = len(next(iter(table.rows), ("",)))
    rows = await (await connection.execute(table.sql)).fetchall()
    if not table.rows and rows:
        return [Broken(table.subject_type, str(row[0]), "in the table, but in no event") for row in rows]
    stored = {row[:width]: _plain(row[width:]) for row in rows}
    told = {key: _plain(values) for key, values in table.rows.items()}
    return [
        Broken(table.subject_type, " ".join(map(str, key)), f"table: {stored.get(key)}; journal: {told.get(key)}")
        for key in sorted(stored.keys() | told.keys(), key=str)
        if stored.get(key) != told.get(key)
    ]


def _plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
