"""Migration runs: the list, one run's report, and the rows behind each of its numbers."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.response import Redirect

from trueup.migrate import controls as control_totals
from trueup.migrate import read
from trueup.migrate.report import Report
from trueup.migrate.state import Run, RunRefused
from trueup.web.console import runs
from trueup.web.console.visit import Visit, enter, unknown

_OUTCOMES = ("applied", "quarantined", "merged", "ignored")


@get("/migrations")
async def list_runs(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the runs, newest first, each with its sum."""
    visit = await enter(request)
    async with visit.reading() as connection:
        page = await runs.listed(connection, visit.params.get("cursor"))
    return await visit.show(
        "migrations.html", section="/migrations", title="Migrations", runs=page.items, next=page.next
    )


@get("/migrations/{run:str}")
async def show_run(request: Request[Any, Any, Any], run: str) -> Response[Any]:
    """Show a run's report; with `kind` or `outcome`, the rows of it. `check=1` compares the control totals anew."""
    visit = await enter(request)
    if visit.params.get("kind") or visit.params.get("outcome"):
        return Redirect(f"/migrations/{run}/rows?{visit.request.url.query}", status_code=303)
    async with visit.reading() as connection:
        found = await _run(connection, run)
        kept = await runs.kept_report(connection, run)
        fresh = kept is None or visit.params.get("check") == "1"
        totals = (
            await control_totals.controls(connection, found.source) if fresh else list(kept.controls if kept else ())
        )
        cases = kept.cases if kept else ()
        standing = await runs.cases_now(connection, [case.case for case in cases])
        sums = await read.sums(connection, run)
        files = await read.files(connection, run)
        rules = await read.rules(connection, run)
        kinds = await read.found(connection, run)
    return await visit.show(
        "migration.html",
        section="/migrations",
        title=f"Migration of {found.source}",
        run=found,
        sums=sums,
        files=files,
        rules=rules,
        controls=totals,
        controls_at=None if fresh else found.finished_at,
        kinds=_kinds(kinds, kept),
        standing=standing,
    )


@get("/migrations/{run:str}/rows")
async def show_rows(request: Request[Any, Any, Any], run: str) -> Response[Any]:
    """Show the booked rows of a run: file, row, column, value, rule and fix."""
    visit = await enter(request)
    params = visit.params
    query = runs.RowQuery(
        outcome=params.get("outcome") if params.get("outcome") in _OUTCOMES else None,
        kind=params.get("kind"),
        rule=params.get("rule"),
        file=params.get("file"),
        row=_row_number(visit),
        identity=params.get("identity"),
        cursor=params.get("cursor"),
    )
    async with visit.reading() as connection:
        found = await _run(connection, run)
        page = await runs.booked_rows(connection, run, query)
        kinds = await read.found(connection, run)
        rules = await read.rules(connection, run)
        files = await read.files(connection, run)
    return await visit.show(
        "migration_rows.html",
        section="/migrations",
        title=f"Rows of {found.source}",
        run=found,
        rows=page.items,
        next=page.next,
        outcomes=[(name, name) for name in _OUTCOMES],
        kinds=[(kind, kind.replace("_", " ")) for kind in kinds],
        rules=[(rule, rule) for rule in sorted({rule for _, rule, _ in rules})],
        files=[(file.file, file.file) for file in files],
        filtered=any(params.get(name) for name in ("outcome", "kind", "rule", "file", "row", "identity")),
    )


async def _run(connection: Any, run: str) -> Run:
    try:
        return await read.find_run(connection, run)
    except RunRefused as error:
        raise unknown(f"There is no migration run {run!r}.") from error


def _kinds(kinds: dict[str, int], kept: Report | None) -> list[tuple[str, int, Any]]:
    """Return (kind, rows, its case) of each kind of finding, the dearest first."""
    cases = {case.kind: case for case in kept.cases} if kept else {}
    names = {**{kind: case.count for kind, case in cases.items() if kind == "refused"}, **kinds}
    rows = [(kind, count, cases.get(kind)) for kind, count in names.items()]
    return sorted(rows, key=lambda row: (-_price(row[2]), -row[1], row[0]))


def _price(case: Any) -> float:
    return float(case.price_per_day or 0) if case is not None else 0.0


def _row_number(visit: Visit) -> int | None:
    text = visit.params.get("row", "")
    return int(text[:15]) if text.isdecimal() and text.isascii() else None


routes = [list_runs, show_run, show_rows]
