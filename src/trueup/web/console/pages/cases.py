"""Cases: the dearest first, by rung and by root cause; one case with its ladder, its price, and what can be done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import quote

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority.for_case import ActForCase
from trueup.authority.standing import ROLES
from trueup.cases import notices, read_board
from trueup.cases import read as cases
from trueup.cases.act import ActOnCase, CommentOnCase
from trueup.cases.close import CloseCase
from trueup.cases.effects import effects_seen
from trueup.cases.ladder import RootCauses
from trueup.cases.merge import MergeCase
from trueup.cases.own import AcknowledgeCase, AssignCase
from trueup.cases.pause import PauseCase, SnoozeCase
from trueup.cases.read import CaseDetail, CaseQuery, CaseStatus
from trueup.cases.state import CaseSubject
from trueup.catalogue import breach_read
from trueup.catalogue.breach_read import BreachQuery, BreachRow
from trueup.catalogue.contract import CONTAINS
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.web.console.entered import chosen
from trueup.web.console.links import of_subject
from trueup.web.console.render import exact, local
from trueup.web.console.visit import Visit, enter, unknown

_STATUSES: tuple[CaseStatus, ...] = get_args(CaseStatus)
_FORMS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "act": (ActOnCase, ("effect", "note")),
    "comment": (CommentOnCase, ("text",)),
    "close": (CloseCase, ("root_cause", "note")),
    "acknowledge": (AcknowledgeCase, ()),
    "assign": (AssignCase, ("person",)),
    "pause": (PauseCase, ("minutes", "reason")),
    "snooze": (SnoozeCase, ("until", "more_subjects", "more_per_hour", "reason")),
    "merge": (MergeCase, ("into", "reason")),
}
_UNNAMED = Refusal(
    "cases.no_effect", "It was not said what the act changed.",
    "Choose it from the list, or name its id; to write something only, comment: that stops no clock.", "effect",
)  # fmt: skip
_NUMBERS = ("minutes", "more_subjects")
_PEOPLE_MAX = 200
_FILTERS = (
    "status", "severity", "owner_role", "kind", "subject", "overdue", "rung", "must_act", "assignee", "snoozed",
)  # fmt: skip


@get("/cases")
async def list_cases(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of cases by price per hour; without a status, those that are not closed nor snoozed."""
    visit = await enter(request)
    params = visit.params
    severity, rung = params.get("severity"), params.get("rung", "")
    query = CaseQuery(
        status=chosen(params.get("status"), _STATUSES),
        severity=int(severity) if severity in ("1", "2", "3", "4") else None,
        owner_role=params.get("owner_role") or None,
        kind=params.get("kind") or None,
        subject=params.get("subject") or None,
        overdue=visit.flag("overdue"),
        rung=int(rung) if rung.isdecimal() and len(rung) < 3 and int(rung) <= 10 else None,
        must_act=params.get("must_act") or None,
        assignee=params.get("assignee") or None,
        snoozed=visit.flag("snoozed") is True,
        cursor=params.get("cursor") or None,
    )
    async with visit.reading() as connection:
        page = await cases.cases(connection, query, visit.now, visit.standing.policies)
        totals = await cases.totals(connection)
    return await visit.show(
        "cases.html",
        section="/cases",
        title="Cases",
        cases=page.items,
        next=page.next,
        totals=totals,
        roles=[(role, role) for role in ROLES],
        filtered=any(params.get(name) for name in _FILTERS),
        without=lambda name: visit.link(**{name: None, "cursor": None}),
    )


@get("/cases/board")
async def show_board(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show open cases by the rung they stand on, and by kind."""
    visit = await enter(request)
    async with visit.reading() as connection:
        columns = await read_board.board(connection, visit.now, visit.standing.policies)
        kinds = await read_board.kinds(connection)
    return await visit.show("case_board.html", section="/cases", title="Board of cases", columns=columns, kinds=kinds)


@get("/cases/pareto")
async def show_pareto(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show what cases cost by root cause, the dearest first."""
    visit = await enter(request)
    query = read_board.ParetoQuery(since=_day(visit.params.get("since")), until=_day(visit.params.get("until")))
    async with visit.reading() as connection:
        rows = await read_board.pareto(connection, query, visit.now, visit.standing.policies)
    whole = {row.currency: row.running for row in rows if row.root_cause is not None}
    return await visit.show(
        "case_pareto.html", section="/cases", title="What cases cost by root cause", rows=rows, whole=whole
    )


@get("/cases/notices")
async def list_notices(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show who was told of which case, and how that ended."""
    visit = await enter(request)
    query = notices.NoticeQuery(
        case=visit.params.get("case") or None,
        status=chosen(visit.params.get("status"), notices.STATUSES),
        cursor=visit.params.get("cursor") or None,
    )
    async with visit.reading() as connection:
        page = await notices.notices(connection, query)
    return await visit.show(
        "case_notices.html", section="/cases", title="Notices", notices=page.items, next=page.next,
        statuses=[(name, name) for name in notices.STATUSES],
    )  # fmt: skip


@get("/cases/{case:str}")
async def show_case(request: Request[Any, Any, Any], case: FromPath[str]) -> Response[Any]:
    """Show one case."""
    return await _case_page(await enter(request), case)


@post("/cases/{case:str}/{act:str}")
async def do(request: Request[Any, Any, Any], case: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Do one of the things that can be done about a case."""
    visit = await enter(request)
    form = await visit.form()
    kind: type[Command] = ActForCase
    if act == "act-for":
        body = _carried(case, form)
    elif act in _FORMS:
        kind, fields = _FORMS[act]
        body = {"case": case, **{name: form.get(name, "").strip() for name in fields}}
        if form.get("effect_id", "").strip():
            body["effect"] = form["effect_id"].strip()
        if act == "act" and not body["effect"]:
            return await _case_page(visit, case, _UNNAMED, form, act)
        if body.get("until"):
            body["until"] = _moment(str(body["until"]))
        body = {name: int(v) if name in _NUMBERS and str(v).isdecimal() else v for name, v in body.items()}
    else:
        raise unknown("There is no such thing to do about a case.")
    outcome = await visit.submit(kind, body, form)
    if outcome.refusal is not None:
        return await _case_page(visit, case, outcome.refusal, form, act)
    return visit.done(f"/cases/{case}", form)


def _carried(case: str, form: dict[str, str]) -> dict[str, Any]:
    """Return the body of an act for a case; a body that is no JSON object stays text, which the command refuses."""
    text = form.get("body", "").strip()
    try:
        body = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        body = text
    return {"case": case, "act": {"verb": form.get("verb", "").strip(), "command": body}}


def _moment(text: str) -> datetime | str:
    """Return what a field for date and time holds, in UTC; what is none is left for the command to refuse."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _day(text: str | None) -> datetime | None:
    """Return the begin of a day in UTC; None for what is none."""
    try:
        return datetime.fromisoformat(text[:10]).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None


async def _case_page(
    visit: Visit, case: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None, opened: str = ""
) -> Response[Any]:
    policies = visit.standing.policies
    async with visit.reading() as connection:
        detail = await cases.case(connection, case, visit.now, policies)
        if detail is None:
            raise unknown(f"There is no case {case!r}.")
        cursor = visit.params.get("cursor")
        more = await cases.subjects(connection, case, cursor) if cursor else None
        told = await notices.notices(connection, notices.NoticeQuery(case=case, limit=20))
        breach = await _first_failing(connection, detail, visit.now)
        seen = () if detail.summary.closed_at else await effects_seen(connection, case, visit.actor.id)
    people = [actor for actor in visit.standing.actors.values() if actor.kind == "person"]
    mine = visit.standing.present(visit.actor, visit.now)
    return await visit.show(
        "case.html",
        section="/cases",
        title=detail.summary.title,
        case=detail.summary,
        detail=detail,
        standing=detail.standing,
        told=told.items,
        breach=breach,
        does=CONTAINS.get(breach.breach.containment) if breach is not None else None,
        effects=seen,
        my_rights=[
            (right, rung.rung)
            for rung in detail.standing.rungs
            if rung.reached and (rung.role in mine.roles or rung.on_call == mine.id)
            for right in rung.rights
        ],
        people=sorted(((actor.id, actor.name) for actor in people), key=lambda pair: pair[1])[:_PEOPLE_MAX],
        listed_causes=[(cause.name, cause.label) for cause in policies.get(RootCauses).causes],
        **_priced(detail),
        subjects=more.items if more else detail.subjects,
        subjects_next=more.next if more else detail.subjects_next,
        subject_link=_subject_link,
        refusal=refusal,
        entered=entered or {},
        opened=opened,
    )


async def _first_failing(connection: Connection, detail: CaseDetail, now: datetime) -> BreachRow | None:
    """Return the oldest breach that the case is about while it fails; its containment is shown with the case."""
    if detail.summary.kind != "contract_breach":
        return None
    found = (await breach_read.breaches(connection, BreachQuery(case=detail.id, limit=1), now)).items
    return found[0] if found else None


def _priced(detail: CaseDetail) -> dict[str, Any]:
    """Return what the price is made of, as the case's source keeps it: formula, inputs, and where the rows are."""
    source = detail.source
    exposure = source.get("exposure") or source
    per_day = source.get("per_day") or exposure.get("per_day")
    link = source.get("link")
    known = ("formula", "inputs", "per_day", "currency", "exposure", "link", "run", "kind", "rows",
             "orders_in_other_currencies", "priced_subjects")  # fmt: skip
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


routes = [list_cases, show_board, show_pareto, list_notices, show_case, do]
