"""Freezes of movements: what is frozen where and until when; announce, start, thaw; and what waits for the thaw."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.catalogue import read as catalogue
from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.stock import freeze_read
from trueup.stock.freeze import AnnounceFreeze, CancelFreeze, StartFreeze, ThawFreeze, freezing
from trueup.stock.freeze_read import FreezeQuery
from trueup.stock.freeze_state import KINDS
from trueup.web.console.visit import Visit, enter, unknown

_ACTS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "start": (StartFreeze, ()),
    "thaw": (ThawFreeze, ("reason",)),
    "cancel": (CancelFreeze, ("reason",)),
}
_SHOWN = 50


@get("/freezes")
async def list_freezes(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of freezes, last announced first, and the form that announces one."""
    return await _list_page(await enter(request, scoped=True))


@post("/freezes/announce")
async def announce(request: Request[Any, Any, Any]) -> Response[Any]:
    """Announce a freeze; times in the form are UTC."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    chosen = [kind for kind in KINDS if form.get(f"kind-{kind}")]
    body: dict[str, Any] = {
        "location": form.get("location", ""),
        "mode": form.get("mode", ""),
        "reason": form.get("reason", "").strip(),
        "from_at": _utc(form.get("from_at", "")),
        "to_at": _utc(form.get("to_at", "")),
        "skus": form.get("skus", "").split(),
        "kinds": chosen or "",
    }
    outcome = await visit.submit(AnnounceFreeze, body, form)
    if outcome.refusal is not None:
        return await _list_page(visit, outcome.refusal, form)
    return visit.done(f"/freezes/{outcome.result['freeze']}", form)


@get("/freezes/{freeze:str}")
async def show_freeze(request: Request[Any, Any, Any], freeze: FromPath[str]) -> Response[Any]:
    """Show one freeze, its snapshot beside what is there now, and what waits."""
    return await _freeze_page(await enter(request, scoped=True), freeze)


@post("/freezes/{freeze:str}/{act:str}")
async def do(request: Request[Any, Any, Any], freeze: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Start, thaw or call off a freeze."""
    visit = await enter(request, scoped=True)
    if act not in _ACTS:
        raise unknown("A freeze can be started, thawed or called off.")
    form = await visit.form()
    command, fields = _ACTS[act]
    body = {"freeze": freeze, **{name: form.get(name, "").strip() for name in fields}}
    outcome = await visit.submit(command, body, form)
    if outcome.refusal is not None:
        return await _freeze_page(visit, freeze, outcome.refusal, form)
    return visit.done(f"/freezes/{freeze}", form)


async def _list_page(
    visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    query = FreezeQuery(
        location=visit.params.get("location"), live=bool(visit.flag("live")), cursor=visit.params.get("cursor")
    )
    async with visit.reading() as connection:
        page = await freeze_read.freezes(connection, query, visit.now, visit.sites)
        places = await catalogue.locations(connection)
    return await visit.show(
        "freezes.html",
        section="/stock",
        title="Freezes",
        freezes=page.items,
        next=page.next,
        places=[place for place in places if visit.sites is None or place.code in visit.sites],
        kinds=KINDS,
        filtered=any(visit.params.get(name) for name in ("location", "live")),
        refusal=refusal,
        entered=entered or {},
    )


async def _freeze_page(
    visit: Visit, freeze: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    async with visit.reading() as connection:
        detail = await freeze_read.freeze(connection, freeze, visit.now, visit.sites)
        if detail is None:
            raise unknown(f"There is no freeze {freeze!r}.")
        kept = await freeze_read.snapshot(connection, freeze, visit.params.get("cursor"), _SHOWN, visit.sites)
    return await visit.show(
        "freeze.html",
        section="/stock",
        title=f"Freeze of {detail.freeze.site}",
        detail=detail,
        freeze=detail.freeze,
        kept=kept.items,
        next=kept.next,
        policy=freezing(visit.standing.policies, detail.freeze.site),
        refusal=refusal,
        entered=entered or {},
    )


def _utc(moment: str) -> datetime | str:
    """A browser's date and time field has no zone; the console's times are UTC. What is no time is refused later."""
    try:
        return datetime.fromisoformat(moment).replace(tzinfo=UTC)
    except ValueError:
        return moment


routes = [list_freezes, announce, show_freeze, do]
