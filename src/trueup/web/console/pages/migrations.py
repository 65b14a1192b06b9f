"""Migration runs: the list, one run's report, and the rows behind each of its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from trueup.authority.standing import require
from trueup.core.errors import Refusal
from trueup.migrate import controls as control_totals
from trueup.migrate import quarantine, read
from trueup.migrate.report import Report
from trueup.migrate.run import Means
from trueup.migrate.state import BookedRow, Run, RunRefused
from trueup.web.console import runs
from trueup.web.console.other_loop import OtherLoopsDoor
from trueup.web.console.render import address
from trueup.web.console.visit import Visit, enter, unknown

CORRECT = "migrate.correct"
_COLUMN = "column:"
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
async def show_run(request: Request[Any, Any, Any], run: FromPath[str]) -> Response[Any]:
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
async def show_rows(request: Request[Any, Any, Any], run: FromPath[str]) -> Response[Any]:
    """Show the booked rows of a run: file, row, column, value, rule and fix."""
    return await _rows_page(await enter(request), run)


@post("/migrations/{run:str}/rows")
async def correct_row(request: Request[Any, Any, Any], run: FromPath[str]) -> Response[Any]:
    """Correct one quarantined row and run it again alone; one that is applied already is left as it is."""
    visit = await enter(request)
    form = await visit.form()
    refusal = require(visit.standing, visit.actor, CORRECT)
    if refusal is None:
        refusal = await _correct(visit, run, form)
    if refusal is not None:
        return await _rows_page(visit, run, refusal, form)
    return Redirect(address(f"/migrations/{run}/rows", {"file": form["file"], "row": form["row"]}), status_code=303)


async def _correct(visit: Visit, run: str, form: dict[str, str]) -> Refusal | None:
    """Run the row again beside the event loop; return what is still wrong with it, or None when it is applied."""
    file, row = form.get("file", ""), form.get("row", "")
    values = {name.removeprefix(_COLUMN): value for name, value in form.items() if name.startswith(_COLUMN)}
    number = int(row[:15]) if row.isdecimal() and row.isascii() else 0
    door = OtherLoopsDoor(visit.site.door, asyncio.get_running_loop())
    means = Means(
        door=door, url=str(visit.site.sign_in.conninfo), home=Path(), actor=visit.actor, clock=visit.site.clock
    )
    try:
        done = await asyncio.to_thread(asyncio.run, quarantine.correct(means, run, file, number, values))
    except RunRefused as error:
        return Refusal("migrate.correct", str(error), "Look at the row as it stands now, below.", f"{file}:{row}")
    if done.left:
        wrong = done.left[0]
        return Refusal(f"migrate.{wrong.rule}", f"The row is still wrong: {wrong.detail or wrong.rule}.",
                       wrong.fix or "Correct it further.", wrong.column_name or "", wrong.value or "")  # fmt: skip
    return None


async def _rows_page(
    visit: Visit, run: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    place: dict[str, str] = {name: entered[name] for name in ("file", "row") if name in entered} if entered else {}
    params: dict[str, str] = {**visit.params, **place}
    query = runs.RowQuery(
        outcome=params.get("outcome") if params.get("outcome") in _OUTCOMES else None,
        kind=params.get("kind"),
        rule=params.get("rule"),
        file=params.get("file"),
        row=_row_number(params),
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
        correction=_correction(page.items, query),
        refusal=refusal,
        entered=entered or {},
        filtered=any(params.get(name) for name in ("outcome", "kind", "rule", "file", "row", "identity")),
    )


def _correction(rows: Sequence[BookedRow], query: runs.RowQuery) -> BookedRow | None:
    """Return the row to correct: the one that was asked for by file and row, where it is quarantined."""
    if query.file is None or query.row is None:
        return None
    return next((row for row in rows if row.outcome == "quarantined" and row.written), None)


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


def _row_number(params: dict[str, str]) -> int | None:
    text = params.get("row", "")
    return int(text[:15]) if text.isdecimal() and text.isascii() else None


routes = [list_runs, show_run, show_rows, correct_row]
