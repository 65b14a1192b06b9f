"""Audit: who did what, who approved it, who could have and did not; the journal's verification; the export."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response.streaming import ASGIStreamingResponse

from trueup.authority.audit import AuditQuery, accountable, acts
from trueup.core import journal
from trueup.web.api.examining import ExportQuery, Format, file_of
from trueup.web.console.entered import utc
from trueup.web.console.links import of_subject
from trueup.web.console.visit import Visit, enter, unknown


@get("/audit")
async def show_audit(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show who did what, the newest first; where it was asked for, whether the journal verifies."""
    visit = await enter(request)
    async with visit.reading() as connection:
        page = await acts(connection, _query(visit, visit.params.get("cursor")))
        verified = await journal.verify(connection) if visit.flag("verify") else None
    return await visit.show(
        "audit.html",
        section="/audit",
        title="Audit",
        acts=page.items,
        next=page.next,
        verified=verified,
        of_subject=of_subject,
        filtered=any(visit.params.get(name) for name in ("actor", "verb", "subject", "from_at", "until_at")),
    )


@get("/audit/export")
async def export(request: Request[Any, Any, Any]) -> ASGIStreamingResponse:
    """Send the acts of a query as a file, with the verification of the journal."""
    visit = await enter(request)
    asked = _query(visit, None)
    kind: Format = "json" if visit.params.get("format") == "json" else "csv"
    query = ExportQuery(kind, asked.actor, asked.verb, asked.subject, asked.from_at, asked.until_at)
    return await file_of(visit.site, query)


@get("/audit/{subject:str}")
async def show_accountable(request: Request[Any, Any, Any], subject: FromPath[str]) -> Response[Any]:
    """Show who stands behind a change or an override."""
    visit = await enter(request)
    async with visit.reading() as connection:
        found = await accountable(connection, subject, visit.now)
    if found is None:
        raise unknown(f"There is no change or override {subject!r}.")
    return await visit.show(
        "accountable.html", section="/audit", title="Who decided", found=found, of_subject=of_subject
    )


def _query(visit: Visit, cursor: str | None) -> AuditQuery:
    moments = {name: utc(visit.params.get(name, "")) for name in ("from_at", "until_at")}
    named = {name: (visit.params.get(name, "").strip()[:120] or None) for name in ("actor", "verb", "subject")}
    times = {name: at if isinstance(at, datetime) else None for name, at in moments.items()}
    return AuditQuery(named["actor"], named["verb"], named["subject"], times["from_at"], times["until_at"], cursor)


routes = [show_audit, export, show_accountable]
