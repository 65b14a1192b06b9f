"""Changes: what is proposed, what differs, whose yes is missing, what stands in its way, and each act on it."""

from __future__ import annotations

import json
from typing import Any, get_args

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from trueup.authority import change_read
from trueup.authority.apply import ApplyChange, RevertChange
from trueup.authority.approve import ApproveChange, RejectChange
from trueup.authority.change_control import ChangeControl
from trueup.authority.change_read import ChangeDetail, ChangeQuery, ChangeStatus
from trueup.authority.decision_rights import Need
from trueup.authority.propose import EditChange, WithdrawChange
from trueup.catalogue.read_quality import sample as sample_of_rows
from trueup.core import timeline
from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.oversight.change_impact import DAYS_MAX, in_flight_of, kept_impact
from trueup.oversight.conflicts import change_seen
from trueup.oversight.impact import DAYS
from trueup.oversight.replaying import running
from trueup.oversight.watch import watched
from trueup.web.console.entered import chosen, utc
from trueup.web.console.pages.policies import parsed
from trueup.web.console.visit import Visit, enter, unknown

_ACTS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "approve": (ApproveChange, ("digest", "note", "sample")),
    "reject": (RejectChange, ("reason",)),
    "withdraw": (WithdrawChange, ("reason",)),
    "apply": (ApplyChange, ()),
    "revert": (RevertChange, ("reason",)),
}
_POLICY = "authority.publish_policy"
_STATUSES: tuple[ChangeStatus, ...] = get_args(ChangeStatus)
_RECORDS = {"item": "/items", "location": "/locations", "partner": "/partners", "writer": "/writers"}
"""Where keys lead that are no policy's."""
PATIENCE_SECONDS = 2.0
"""So long the answer to a form waits for a replay; a longer one is followed on the page."""


@get("/changes")
async def list_changes(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the changes, the latest first; without a filter, those that are open."""
    visit = await enter(request)
    status = visit.params.get("status", "")
    query = ChangeQuery(
        status=chosen(status, _STATUSES),
        open=True if status in ("", "open") and not visit.params.get("object") else None,
        object=visit.params.get("object"),
        key=visit.params.get("key"),
        cursor=visit.params.get("cursor"),
    )
    async with visit.reading() as connection:
        page = await change_read.find_changes(connection, query, visit.now)
    return await visit.show(
        "changes.html",
        section="/changes",
        title="Changes",
        changes=page.items,
        next=page.next,
        declared=visit.standing.declared,
        filtered=bool(set(visit.params) & {"status", "object", "key", "cursor"}),
    )


@get("/changes/{change:str}")
async def show_change(request: Request[Any, Any, Any], change: FromPath[str]) -> Response[Any]:
    """Show one change."""
    return await _page(await enter(request), change)


@post("/changes/{change:str}/{act:str}")
async def act(request: Request[Any, Any, Any], change: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Approve, reject, withdraw, apply or roll back, as the form says."""
    visit = await enter(request)
    if act not in _ACTS:
        raise unknown(f"A change is not something to {act}.")
    command, fields = _ACTS[act]
    form = await visit.form()
    body = {"change": change, **{field: form.get(field, "").strip() for field in fields}}
    outcome = await visit.submit(command, body, form)
    if outcome.refusal is not None:
        return await _page(visit, change, outcome.refusal, form, opened=act)
    return visit.done(visit.path_of("changes", change), form)


@post("/changes/{change:str}/edit")
async def edit(request: Request[Any, Any, Any], change: FromPath[str]) -> Response[Any]:
    """Replace the content of one's own proposal, or plan the same anew on what stands now."""
    visit = await enter(request)
    form = await visit.form()
    async with visit.reading() as connection:
        known = await change_read.change(connection, change)
    if known is None:
        raise unknown(f"There is no change {change!r}.")
    found = known[0]
    edits: list[dict[str, Any]] = []
    for at, one in enumerate(found.edits):
        command = dict(one.command)
        if one.verb == _POLICY and f"document-{at}" in form:
            document = parsed(form[f"document-{at}"])
            if isinstance(document, Refusal):
                return await _page(visit, change, document, form, opened="edit")
            command["document"] = document
        edits.append({"verb": one.verb, "command": command})
    body = {
        "change": change,
        "title": form.get("title", "").strip(),
        "reason": form.get("reason", "").strip(),
        "edits": edits,
        "effective_at": utc(form["effective_at"]) if form.get("effective_at") else "",
        "indicators": list(found.indicators),
    }
    outcome = await visit.submit(EditChange, body, form)
    if outcome.refusal is not None:
        return await _page(visit, change, outcome.refusal, form, opened="edit")
    return visit.done(visit.path_of("changes", change), form)


@post("/changes/{change:str}/replay")
async def replay(request: Request[Any, Any, Any], change: FromPath[str]) -> Response[Any]:
    """Replay the last days' orders under what is proposed, and keep it for who votes; a long one runs on beside."""
    visit = await enter(request)
    form = await visit.form()
    async with visit.reading() as connection:
        known = await change_read.change(connection, change)
    if known is None:
        raise unknown(f"There is no change {change!r}.")
    days = form.get("days", "")
    if not days.isdecimal() or not 0 < int(days[:4]) <= DAYS_MAX:
        refusal = Refusal("form.days", f"{days[:20]!r} is no number of days that can be replayed.",
                          f"Enter 1 to {DAYS_MAX}.", "days", days[:20])  # fmt: skip
        return await _page(visit, change, refusal, form, opened="replay")
    site = visit.site
    reason = await site.replays.start(site.url, site.house, known[0], visit.now, int(days), patience=PATIENCE_SECONDS)
    if reason is not None:
        refusal = Refusal("oversight.unreplayed", f"Its effect cannot be replayed: {reason}.",
                          "It needs the higher quorum instead.", "change", change)  # fmt: skip
        return await _page(visit, change, refusal, form)
    return Redirect(visit.path_of("changes", change) + "#effect", status_code=303)


@get("/decisions")
async def decisions(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show who decides what: every governed key there is."""
    visit = await enter(request)
    wanted = visit.params.get("q", "").lower()
    async with visit.reading() as connection:
        found = await change_read.who_decides(connection, visit.standing.policies, visit.now)
    rows = [row for row in found if wanted in f"{row.key} {row.decider} {row.domain}".lower()]
    return await visit.show(
        "decisions.html",
        section="/decisions",
        title="Who decides this?",
        rows=rows,
        known=len(found),
        unmapped=sum(not row.decider for row in found),
        pages={**{kind: visit.path_of("policies", kind) for kind in visit.site.kinds}, **_RECORDS},
    )


async def _page(
    visit: Visit,
    change: str,
    refusal: Refusal | None = None,
    entered: dict[str, str] | None = None,
    opened: str = "",
) -> Response[Any]:
    async with visit.reading() as connection:
        found = await change_seen(connection, change, visit.standing.policies, visit.now)
        if found is None:
            raise unknown(f"There is no change {change!r}.")
        entries = await timeline.about(connection, change, 0, 200)
        kept = await kept_impact(connection, change, found.change.digest)
        reads = await visit.site.replays.reads(connection, visit.now, kept.days if kept else DAYS)
        runs = await running(connection, found.change)
        control = visit.standing.policies.get(ChangeControl)
        flying = await in_flight_of(connection, found.change.edits)
        sample = await sample_of_rows(connection, found.change, visit.actor.id)
        watching = await watched(connection, found.change, visit.now, control.watch_hours)
    return await visit.show(
        "change.html",
        section="/changes",
        title=found.change.title,
        detail=found,
        change=found.change,
        documents=[
            json.dumps(edit.command["document"], indent=2, ensure_ascii=False) if edit.verb == _POLICY else ""
            for edit in found.edits
        ],
        entries=entries,
        kept=kept,
        reads=reads,
        running=runs,
        ended=visit.site.replays.ended(found.change),
        sample=sample,
        flying=flying,
        watching=watching,
        days_max=DAYS_MAX,
        said=any(approval.actor == visit.actor.id for approval in found.change.counted()),
        able=any(visit.actor.id in vote.can for vote in found.votes),
        decides=_decides(visit, found),
        mine=found.change.asker == visit.actor.id,
        refusal=refusal,
        entered=entered or {},
        opened=opened,
    )


def _decides(visit: Visit, found: ChangeDetail) -> bool:
    """Tell whether the visitor decides any of it, be it by what others gave them."""
    held = visit.standing.present(visit.actor, visit.now).deciding()
    return any(Need(one.roles, one.count, one.why, one.over).met_by(held) for one in found.votes)


routes = [list_changes, show_change, edit, replay, act, decisions]
