"""`trueup feed FILE`: send a stock feed from a file, CSV or NDJSON, and say how its rows ended."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.core import json
from trueup.core.door import Door
from trueup.core.errors import Refused, TrueupError
from trueup.core.verb import Outcome
from trueup.stock.feed import ROWS_MAX, FeedRow, ReportStockFeed

_COUNTS = ("rows", "applied", "merged", "quarantined", "ignored")
_FIELDS = ("sku", "quantity", "location")


class Kind(StrEnum):
    """What the figures are."""

    SNAPSHOT = "snapshot"
    DELTA = "delta"


class Sums(msgspec.Struct):
    """How a file's rows ended; the four endings sum to `rows`. feeds: one per 10,000 rows."""

    feeds: list[str]
    rows: int = 0
    applied: int = 0
    merged: int = 0
    quarantined: int = 0
    ignored: int = 0
    held: list[str] = []
    queued: int = 0
    bad: list[dict[str, Any]] = []


def feed(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or NDJSON: sku, quantity, and location or not.")],
    source: Annotated[str, typer.Option("--source", help="The system that says so.")],
    as_of: Annotated[str, typer.Option("--as-of", help="Its time of the figures, as in 2026-03-01T10:00Z.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What the figures are.")] = Kind.SNAPSHOT,
    location: Annotated[str | None, typer.Option("--location", help="Code, for rows that name none.")] = None,
    sequence: Annotated[int | None, typer.Option("--sequence", min=0, help="Number of a delta.")] = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Send a stock feed. The same file sent again changes nothing; bad rows wait in quarantine."""
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError:
        raise TrueupError(f"--as-of {as_of!r} is not a time; write it as in 2026-03-01T10:00Z") from None
    found = tuple(_read(file))
    if not found:
        raise TrueupError(f"{file} has no rows")
    if kind is Kind.DELTA and len(found) > ROWS_MAX:
        raise TrueupError(f"{file} has {len(found):,} rows; a delta is one feed of at most {ROWS_MAX:,}: split it")
    commands = [
        ReportStockFeed(
            source=source,
            as_of=moment,
            rows=found[first : first + ROWS_MAX],
            kind=kind.value,
            sequence=sequence,
            location=location,
        )
        for first in range(0, len(found), ROWS_MAX)
    ]
    sums = _sum(on_database(home, database_url, lambda url: _send(url, commands)))
    typer.echo(json.encode(sums).decode() if as_json else _in_words(sums))


def _read(file: Path) -> Iterator[FeedRow]:
    """Yield the rows; a line that is no row at all is one that its own fields explain. Raises TrueupError."""
    try:
        if file.suffix.lower() in (".ndjson", ".jsonl"):
            yield from (_row_of(line) for line in file.read_bytes().splitlines() if line.strip())
            return
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if "sku" not in (reader.fieldnames or ()) or "quantity" not in (reader.fieldnames or ()):
                raise TrueupError(f"{file} needs the columns sku and quantity; it has {reader.fieldnames}")
            yield from (FeedRow(*(row.get(name) or None for name in _FIELDS)) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrueupError(f"{file} cannot be read: {error}") from error


def _row_of(line: bytes) -> FeedRow:
    try:
        return msgspec.json.decode(line, type=FeedRow)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return FeedRow(sku={"line": line[:500].decode(errors="replace")})


async def _send(url: str, commands: list[ReportStockFeed]) -> list[Outcome]:
    async with Door(url, house.build(), writers=1) as door:
        keyed = [(f"feed/{hashlib.sha256(json.encode(command)).hexdigest()}", command) for command in commands]
        outcomes = [await door.submit(SYSTEM, command, key) for key, command in keyed]
    for outcome in outcomes:
        if outcome.refusal is not None:
            raise Refused(outcome.refusal)
    return outcomes


def _sum(outcomes: list[Outcome]) -> Sums:
    sums = Sums([])
    for outcome in outcomes:
        result = outcome.result
        if outcome.status == "queued":
            sums.queued += 1
            continue
        if "feed" in result:
            sums.feeds.append(result["feed"])
        for name in _COUNTS:
            setattr(sums, name, getattr(sums, name) + result.get(name, 0))
        if "held" in result:
            sums.held.append(result["held"])
        sums.bad += [{"feed": result["feed"], **bad} for bad in result.get("bad", ())]
    return sums


def _in_words(sums: Sums) -> str:
    lines = [
        f"{sums.rows:,} rows: {sums.applied:,} applied, {sums.merged:,} were so already, "
        f"{sums.quarantined:,} in quarantine, {sums.ignored:,} ignored"
    ]
    lines += [f"held for a person: {why}" for why in sums.held]
    lines += [f"{bad['feed']} row {bad['row']}: {bad['field']} {bad['value']!r}, {bad['rule']}" for bad in sums.bad]
    if sums.queued:
        lines.append(f"{sums.queued} feeds wait for the end of a freeze")
    return "\n".join(lines)
