"""Count sessions: which are open, what was found, who counts again, who stands for what differs, and the close."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.catalogue import read as catalogue
from trueup.core import timeline
from trueup.core.errors import Refusal
from trueup.core.verb import Command, Outcome
from trueup.stock import count_read
from trueup.stock.count_read import CountLineRow, CountQuery, CountRow, CountStanding, LineQuery
from trueup.stock.counting import ApproveCount, CloseCount, OpenCount, RecordCount
from trueup.stock.lot_state import UNIDENTIFIED
from trueup.web.console.entered import Row, rows_of, said_by_row, utc
from trueup.web.console.render import address
from trueup.web.console.visit import Visit, enter, unknown

_FREE = ("free-sku", "free-lot", "free-units")
_FREE_ROWS, _FREE_FROM = 2, 100_000
_APPROVED_MAX = 200
_UNFINISHED = ("not_counted", "recount", "approve")
_KEPT = ("state", "q", "cursor", "variances")


@get("/counts")
async def list_counts(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of sessions, newest first, and the form that opens one."""
    return await _list_page(await enter(request, scoped=True))


@post("/counts/open")
async def open_session(request: Request[Any, Any, Any]) -> Response[Any]:
    """Open a session over the named items, or over all that lies there."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    body: dict[str, Any] = {
        "location": form.get("location", ""),
        "reference": form.get("reference", "").strip(),
        "skus": [sku.strip() for sku in form.get("skus", "").splitlines() if sku.strip()],
        "blind": bool(form.get("blind")),
    }
    outcome = await visit.submit(OpenCount, body, form)
    if outcome.refusal is not None:
        return await _list_page(visit, outcome.refusal, form)
    return visit.done(f"/counts/{outcome.result['count']}", form)


@get("/counts/{count:str}")
async def show_count(request: Request[Any, Any, Any], count: FromPath[str]) -> Response[Any]:
    """Show one session; the book of one that is blind and open only to who approves its variances and asks for it."""
    return await _count_page(await enter(request, scoped=True), count)


@post("/counts/{count:str}/{act:str}")
async def do(request: Request[Any, Any, Any], count: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Record what was found, approve variances, close the session, or abandon it."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    if act == "record" and form.get("more"):
        return await _count_page(visit, count, None, form)
    lines: list[tuple[int, Row]] = []
    command: type[Command] = CloseCount
    body: dict[str, Any] = {"count": count}
    if act == "record":
        command, lines = RecordCount, _found(form)
        at = utc(form.get("counted_at", ""))
        body["lines"] = [{**line, "counted_at": at} for _, line in lines]
    elif act == "approve":
        command, lines = ApproveCount, _ticked(form)
        body["lines"] = [line for _, line in lines]
    elif act in ("close", "abandon"):
        body["abandon"] = act == "abandon"
    else:
        raise unknown("A session can be recorded in, approved, closed or abandoned.")
    outcome = _nothing(act) if "lines" in body and not lines else await visit.submit(command, body, form)
    if outcome.refusal is not None:
        why = said_by_row(outcome.refusal, [row for row, _ in lines])
        return await _count_page(visit, count, outcome.refusal, form, why)
    return visit.done(f"/counts/{count}", form, **_kept(visit))


def _nothing(act: str) -> Outcome:
    """Refuse a form in which nothing stands."""
    fix = "Enter what was found; nothing at all is 0." if act == "record" else "Tick the variances you stand for."
    return Outcome("refused", refusal=Refusal("form.invalid", "The form says nothing.", fix, "lines"))


def _found(form: dict[str, str]) -> list[tuple[int, Row]]:
    """Return what the form says was found, each line with its row: those that were listed, then further ones."""
    numbers = sorted(
        int(name[6:]) for name, value in form.items()
        if name.startswith("units-") and name[6:].isdecimal() and value.strip()
    )  # fmt: skip
    found = [(at, _line(form.get(f"sku-{at}", ""), form.get(f"lot-{at}", ""), form[f"units-{at}"])) for at in numbers]
    for at, row in enumerate(rows_of(form, _FREE, _FREE_ROWS)):
        if any(row.values()):
            found.append((_FREE_FROM + at, _line(*(row[name] for name in _FREE))))
    return found


def _ticked(form: dict[str, str]) -> list[tuple[int, Row]]:
    """Return the variances that are ticked."""
    numbers = sorted(int(name[5:]) for name in form if name.startswith("tick-") and name[5:].isdecimal())
    return [(at, _line(form.get(f"of-sku-{at}", ""), form.get(f"of-lot-{at}", ""))) for at in numbers]


def _line(sku: str, lot: str, units: str | None = None) -> Row:
    line = {"sku": sku.strip()}
    if lot.strip() and lot.strip() != UNIDENTIFIED:
        line["lot"] = lot.strip()
    if units is not None and units.strip():
        line["units"] = units.strip()
    return line


def _kept(visit: Visit) -> dict[str, str]:
    """Return what the address says about the list, so that a form ends where it began."""
    return {name: visit.params[name] for name in _KEPT if name in visit.params}


async def _list_page(
    visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    visit.path = "/counts"
    params = visit.params
    query = CountQuery(
        status=params.get("status"),
        location=params.get("location"),
        search=params.get("q"),
        cursor=params.get("cursor"),
    )
    async with visit.reading() as connection:
        page = await count_read.counts(connection, query, visit.sites)
        places = await catalogue.locations(connection)
    return await visit.show(
        "counts.html",
        section="/stock",
        title="Counts",
        counts=page.items,
        next=page.next,
        codes=[place.code for place in places if visit.sites is None or place.code in visit.sites],
        filtered=any(params.get(name) for name in ("status", "location", "q")),
        refusal=refusal,
        entered=entered or {},
    )


async def _count_page(
    visit: Visit,
    count: str,
    refusal: Refusal | None = None,
    entered: dict[str, str] | None = None,
    why: dict[int, list[str]] | None = None,
) -> Response[Any]:
    visit.path = f"/counts/{count}"
    params, form = visit.params, entered or {}
    query = LineQuery(state=params.get("state"), search=params.get("q"), cursor=params.get("cursor"))
    async with visit.reading() as connection:
        session = await count_read.count_row(connection, count, visit.sites)
        if session is None:
            raise unknown(f"There is no count session {count!r}.")
        standing = await count_read.count_standing(connection, session)
        approves = session.status == "open" and visit.may("stock.approve_count")
        tell = approves and params.get("variances") == "true" and visit.actor.id not in standing.counters
        if tell:
            standing = await count_read.count_standing(connection, session, tell=True)
        page = await count_read.count_lines(connection, session, query, tell=tell)
        hidden = session.blind and session.status == "open" and not tell
        waiting = LineQuery(state="approve", limit=_APPROVED_MAX)
        asked = approves and not hidden
        variances = (await count_read.count_lines(connection, session, waiting, tell=tell)).items if asked else ()
        # The journal's rows hold the book: who counts blind is not shown them.
        entries = await timeline.about(connection, count) if session.status == "closed" else ()
    return await visit.show(
        "count.html",
        section="/stock",
        title=f"Count {session.reference}",
        **_said(visit, session, standing, page.items, form),
        next=page.next,
        hidden=hidden,
        told=tell,
        approves=approves,
        variances=variances,
        entries=entries,
        abandoned=any(e.name == "stock.count_closed" and e.body.get("abandoned") for e in entries),
        filtered=any(params.get(name) for name in ("state", "q")),
        refusal=refusal,
        entered=form,
        why=why or {},
    )


def _said(
    visit: Visit, session: CountRow, standing: CountStanding, lines: tuple[CountLineRow, ...], form: dict[str, str]
) -> dict[str, Any]:
    """Return a session as the page shows it, with what a form that was refused said of each line."""
    kept = _kept(visit)
    names = {actor.id: actor.name for actor in visit.standing.actors.values()}
    return {
        "count": session,
        "standing": standing,
        "lines": lines,
        "typed": {
            at: (form.get(f"units-{at}", ""), form.get(f"lot-{at}", ""))
            for at, line in enumerate(lines)
            if form.get(f"sku-{at}") == line.sku
        },
        "unfinished": {state: standing.states[state] for state in _UNFINISHED if standing.states.get(state)},
        "counters": sorted(names.get(who, who) for who in standing.counters),
        "counted_here": visit.actor.id in standing.counters,
        "free_rows": rows_of(form, _FREE, _FREE_ROWS),
        "free_from": _FREE_FROM,
        "free_open": bool(form.get("more")) or any(value for name, value in form.items() if name.startswith("free-")),
        "unidentified": UNIDENTIFIED,
        "lots_max": count_read.LOTS_MAX,
        "actions": {act: address(f"{visit.path}/{act}", kept) for act in ("record", "approve", "close", "abandon")},
    }


routes = [list_counts, open_session, show_count, do]
