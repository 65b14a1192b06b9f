"""Cases: the dearest first; one case with its price, what it concerns, its timeline, and what can be done about it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority.standing import ROLES
from trueup.cases import read as cases
from trueup.cases.act import ActOnCase, CommentOnCase
from trueup.cases.close import CloseCase
from trueup.cases.read import CaseDetail, CaseQuery, CaseSummary
from trueup.cases.state import CaseSubject
from trueup.core.errors import Refusal
from trueup.core.money import booked
from trueup.core.verb import Command
from trueup.web.console.links import of_subject
from trueup.web.console.render import exact, local
from trueup.web.console.visit import Visit, enter, unknown

_STATUSES = ("open", "acted", "closed")
_FORMS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "act": (ActOnCase, ("effect", "note")),
    "comment": (CommentOnCase, ("text",)),
    "close": (CloseCase, ("root_cause", "note")),
}


@get("/cases")
async def list_cases(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of cases by price per hour; without a status, those that are not closed."""
    visit = await enter(request)
    params = visit.params
    status, severity = params.get("status"), params.get("severity")
    query = CaseQuery(
        status=status if status in _STATUSES else None,  # type: ignore[arg-type]
        severity=int(severity) if severity in ("1", "2", "3", "4") else None,
        owner_role=params.get("owner_role") or None,
        kind=params.get("kind") or None,
        subject=params.get("subject") or None,
        overdue=visit.flag("overdue"),
        cursor=params.get("cursor") or None,
    )
    async with visit.reading() as connection:
        page = await cases.cases(connection, query, visit.now)
        totals = await cases.totals(connection)
    names = ("status", "severity", "owner_role", "kind", "subject", "overdue")
    return await visit.show(
        "cases.html",
        section="/cases",
        title="Cases",
        cases=page.items,
        next=page.next,
        totals=totals,
        roles=[(role, role) for role in ROLES],
        filtered=any(params.get(name) for name in names),
        without=lambda name: visit.link(**{name: None, "cursor": None}),
    )


@get("/cases/{case:str}")
async def show_case(request: Request[Any, Any, Any], case: FromPath[str]) -> Response[Any]:
    """Show one case."""
    return await _case_page(await enter(request), case)


@post("/cases/{case:str}/{act:str}")
async def do(request: Request[Any, Any, Any], case: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Act on, comment on, or close a case."""
    visit = await enter(request)
    if act not in _FORMS:
        raise unknown("A case can be acted on, commented on or closed.")
    form = await visit.form()
    command, fields = _FORMS[act]
    outcome = await visit.submit(command, {"case": case, **{name: form.get(name, "").strip() for name in fields}}, form)
    if outcome.refusal is not None:
        return await _case_page(visit, case, outcome.refusal, form, act)
    return visit.done(f"/cases/{case}", form)


async def _case_page(
    visit: Visit, case: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None, opened: str = ""
) -> Response[Any]:
    async with visit.reading() as connection:
        detail = await cases.case(connection, case, visit.now)
        if detail is None:
            raise unknown(f"There is no case {case!r}.")
        cursor = visit.params.get("cursor")
        more = await cases.subjects(connection, case, cursor) if cursor else None
    return await visit.show(
        "case.html",
        section="/cases",
        title=detail.summary.title,
        case=detail.summary,
        detail=detail,
        **_priced(detail),
        spent=spent(detail.summary, visit.now),
        subjects=more.items if more else detail.subjects,
        subjects_next=more.next if more else detail.subjects_next,
        subject_link=_subject_link,
        refusal=refusal,
        entered=entered or {},
        opened=opened,
    )


def spent(case: CaseSummary, now: datetime) -> Decimal | None:
    """Return what a case has cost by its price of now, from its opening to the act that stopped its clock or to now."""
    if not case.price_per_hour:
        return None
    end = case.acted_at or case.closed_at or now
    seconds = max(0, int((end - case.opened_at).total_seconds()))
    return booked(case.price_per_hour * seconds / 3600, case.currency)


def _priced(detail: CaseDetail) -> dict[str, Any]:
    """Return what the price is made of, as the case's source keeps it: formula, inputs, and where the rows are."""
    source = detail.source
    exposure = source.get("exposure") or source
    per_day = source.get("per_day") or exposure.get("per_day")
    link = source.get("link")
    known = ("formula", "inputs", "per_day", "currency", "exposure", "link", "run", "kind", "rows")
    return {
        "formula": exposure.get("formula"),
        "inputs": exposure.get("inputs") or [],
        "per_day": exact(str(per_day)) if per_day is not None else detail.price_per_day,
        "rows_link": link if isinstance(link, str) and local(link) == link else None,
        "run": source.get("run"),
        "source_facts": [(k, str(v)) for k, v in source.items() if k not in known and isinstance(v, str | int)],
    }


def _subject_link(subject: CaseSubject, detail: CaseDetail) -> str | None:
    """Return the page that shows what a case concerns; a source's row is shown in its run's report."""
    if subject.type == "row":
        run = detail.source.get("run") or detail.source.get("load")
        file, _, row = subject.id.rpartition(":")
        if run is None and subject.id.count(":") > 1:
            run, _, file = file.partition(":")
        return f"/migrations/{quote(str(run))}/rows?file={quote(file)}&row={quote(row)}" if run else None
    return of_subject(subject.id, subject.type)


routes = [list_cases, show_case, do]
