"""The report of a run: rows to the row, control totals to the cent, what was found, and a priced case for each kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from hashlib import sha256

import msgspec

from trueup.authority.standing import SYSTEM
from trueup.cases.open import OpenCase
from trueup.cases.state import SUBJECTS_PER_EVENT_MAX, CaseSubject
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.core.money import Amount
from trueup.core.verb import Actor
from trueup.migrate import read
from trueup.migrate.controls import Control, controls
from trueup.migrate.state import BookedRow, FileCount, Run

OWNER_ROLE = "Data Steward"
# What is odd but real needs no correction soon; what could not be taken, or moves money or stock, does. Default 3.
SEVERITY = {
    **dict.fromkeys(("unreadable_value", "missing_key", "wrong_field_count", "orphan_line", "refused", "total_mismatch",
                     "currency_decimals", "header_without_lines", "secret_column"), 2),
    **dict.fromkeys(("credit_line", "no_customer", "missing_description", "repeated_line", "sku_case", "zero_price",
                     "encoding"), 4),
}  # fmt: skip


class Price(msgspec.Struct, frozen=True):
    """What a kind of finding costs per day and hour while it stays, and how that was computed."""

    per_day: Decimal
    per_hour: Decimal
    currency: str
    source: dict[str, object]


PriceOf = Callable[[Connection, str, str, int, int], Awaitable[Price]]
"""(connection, run, kind, rows it was found in, rows of the run) -> what that costs per day."""


class CaseOfKind(msgspec.Struct, frozen=True):
    """One kind of finding with its case. count: rows; price_per_day: in `currency`, None where nothing was computed."""

    kind: str
    count: int
    case: str
    title: str
    severity: int
    owner_role: str
    due_at: datetime
    status: str
    price_per_day: str | None
    currency: str


class Report(msgspec.Struct, frozen=True):
    """A run's report. rows: in = applied + quarantined + merged + ignored. rules: rows by the rule that took them out.

    seconds: by step, of the run that has just been made; empty for a report read later.
    """

    run: str
    source: str
    status: str
    mapping: str
    started_at: datetime
    finished_at: datetime | None
    rows: dict[str, int]
    files: tuple[FileCount, ...]
    rules: tuple[dict[str, str | int], ...]
    controls: tuple[Control, ...]
    found: dict[str, int]
    cases: tuple[CaseOfKind, ...]
    seconds: dict[str, float] = {}

    @property
    def agrees(self) -> bool:
        """Whether every control total is equal on both sides."""
        return all(control.equal for control in self.controls)


class CaseRefused(TrueupError):
    """A case for a finding was refused; the message has the refusal's words."""


async def report(connection: Connection, run: Run, seconds: dict[str, float] | None = None) -> Report:
    """Put a run's report together from its books, the tables and its cases as they are now."""
    sums = await read.sums(connection, run.id)
    rules = await read.rules(connection, run.id)
    return Report(
        run=run.id,
        source=run.source,
        status=run.status,
        mapping=run.mapping_name,
        started_at=run.started_at,
        finished_at=run.finished_at,
        rows=sums.plain(),
        files=tuple(await read.files(connection, run.id)),
        rules=tuple({"outcome": outcome, "rule": rule, "rows": rows} for outcome, rule, rows in rules),
        controls=tuple(await controls(connection, run.source)),
        found=await read.found(connection, run.id),
        cases=tuple(await _cases(connection, run)),
        seconds=seconds or {},
    )


async def open_cases(
    door: Door, connection: Connection, run: Run, price_of: PriceOf | None = None, *, actor: Actor = SYSTEM
) -> None:
    """Open one case per kind of finding, or let the open one grow. Doing it again for the same rows changes nothing.

    price_of: what a kind costs per day; without it cases carry no price. Raises CaseRefused.
    """
    rows = (await read.sums(connection, run.id)).rows_in
    for kind, count in (await _kinds(connection, run)).items():
        subjects = await _subjects(connection, run, kind)
        price = await price_of(connection, run.id, kind, count, rows) if price_of is not None else None
        await _open(door, actor, run, kind, count, subjects, price)


def cause_of(source: str, kind: str) -> str:
    """Return the cause under which findings of a kind are one case."""
    return f"migration:{source}:{kind}"[:200]


async def _kinds(connection: Connection, run: Run) -> dict[str, int]:
    """Return rows by kind of finding; rows that only the door refused are of kind `refused`."""
    kinds = await read.found(connection, run.id)
    refused = await connection.execute(
        """select count(distinct (file, row))::int from migration_row r where run = %s and outcome = 'quarantined'
        and kind is null and (rule like '%%.%%')""",
        [run.id],
    )
    row = await refused.fetchone()
    return kinds | ({"refused": row[0]} if row and row[0] else {})


async def _subjects(connection: Connection, run: Run, kind: str) -> tuple[CaseSubject, ...]:
    if kind == "refused":
        rows = [row for row in await read.rows_of(connection, run.id, outcome="quarantined",
                                                  limit=SUBJECTS_PER_EVENT_MAX) if row.kind is None]  # fmt: skip
    else:
        rows = await read.rows_of(connection, run.id, kind=kind, limit=SUBJECTS_PER_EVENT_MAX)
    subjects = {f"{row.file}:{row.row}": CaseSubject("row", f"{row.file}:{row.row}", _detail(row)) for row in rows}
    return tuple(subjects.values())


def _detail(row: BookedRow) -> str:
    """Say what is wrong in a row without its words: a value of a customer may be personal."""
    value = f" {row.value!r}" if row.value and row.entity != "customer" else ""
    return f"{row.column_name or row.entity}{value}: {row.detail or row.rule}"[:300]


async def _open(
    door: Door, actor: Actor, run: Run, kind: str, count: int, subjects: tuple[CaseSubject, ...], price: Price | None
) -> None:
    title = f"{count:,} {'row' if count == 1 else 'rows'} of {run.source}: {kind.replace('_', ' ')}"
    source: dict[str, object] = {
        "run": run.id,
        "kind": kind,
        "rows": count,
        "link": f"/migrations/{run.id}?kind={kind}",
    }
    if price is not None:
        source |= {"per_day": format(price.per_day, "f"), "exposure": price.source}
    command = OpenCase(
        cause=cause_of(run.source, kind),
        kind=kind[:80],
        title=title[:200],
        severity=SEVERITY.get(kind, 3),
        owner_role=OWNER_ROLE,
        price_per_hour=Amount(price.per_hour if price else 0),
        currency=price.currency if price else "EUR",
        subjects=subjects,
        source=source,
    )
    content = "\n".join((str(count), *(subject.id for subject in subjects)))
    digest = sha256(content.encode()).hexdigest()[:32]
    key = f"load/{run.source}/case/{kind}/{run.id}.{run.attempt}/{digest}"
    outcome = await door.submit(actor, command, key)
    if outcome.refusal is not None and outcome.refusal.rule != "door.key_reused":
        raise CaseRefused(f"The case for {kind} of {run.id} was refused: {outcome.refusal.what} {outcome.refusal.fix}")


async def _cases(connection: Connection, run: Run) -> list[CaseOfKind]:
    kinds = await _kinds(connection, run)
    rows = await connection.execute(
        """select distinct on (cause) cause, id, title, severity, owner_role, due_at, status, currency, source
        from cases where cause = any(%s) order by cause, opened_at desc""",
        [[cause_of(run.source, kind) for kind in kinds]],
    )
    by_cause = {row[0]: row[1:] for row in await rows.fetchall()}
    cases = []
    for kind, count in kinds.items():
        if (found := by_cause.get(cause_of(run.source, kind))) is not None:
            case, title, severity, owner_role, due_at, status, currency, source = found
            per_day = source.get("per_day")
            cases.append(CaseOfKind(kind, count, case, title, severity, owner_role, due_at, status, per_day, currency))
    return cases
