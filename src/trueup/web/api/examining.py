"""A guard on trial, and who did what as a file: reads of the API that are no rows of its table. Nothing is written."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse

from trueup.authority.audit import Act, AuditQuery, exported
from trueup.authority.standing import Standing, outside, require
from trueup.authority.trial import trial_of
from trueup.core import journal, json
from trueup.core.errors import Refused
from trueup.core.paging import Moment
from trueup.core.verb import Actor
from trueup.oversight.guard_costs import Days
from trueup.web.api.access import UNAUTHENTICATED
from trueup.web.api.bodies import read_query
from trueup.web.api.handlers import headers_of
from trueup.web.api.problems import refuse
from trueup.web.site import Site, site_of

TRIAL = "/v1/guards/{guard}/trial"
EXPORT = "/v1/audit/export"
Format = Literal["csv", "json"]
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


class TrialQuery(msgspec.Struct, frozen=True):
    """Over the commands of how many days."""

    days: Days = 7


class ExportQuery(msgspec.Struct, frozen=True):
    """Which acts, as in the list, and in which format; at most 100,000, the newest."""

    format: Format = "csv"
    actor: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    verb: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    subject: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    from_at: Moment | None = None
    until_at: Moment | None = None

    def acts(self) -> AuditQuery:
        """Return the query of the list."""
        return AuditQuery(self.actor, self.verb, self.subject, self.from_at, self.until_at)


@get("/v1/guards/{guard:str}/trial")
async def try_guard(request: Request[Any, Any, Any], guard: FromPath[str]) -> ASGIResponse:
    """Ask one guard about the commands of the last days."""
    site = site_of(request)
    admitted = await _admitted(request, site)
    if isinstance(admitted, ASGIResponse):
        return admitted
    query = read_query(request.scope["query_string"], TrialQuery)
    try:
        tried = await site.door.try_guard(guard, query.days)
    except Refused as error:
        return refuse(error.refusal, 404)
    return ASGIResponse(body=json.encode(trial_of(tried, admitted)), media_type="application/json")


@get(EXPORT)
async def export(request: Request[Any, Any, Any]) -> ASGIResponse:
    """Send the acts as a file."""
    site = site_of(request)
    admitted = await _admitted(request, site)
    if isinstance(admitted, ASGIResponse):
        return admitted
    return await file_of(site, read_query(request.scope["query_string"], ExportQuery))


async def file_of(site: Site, query: ExportQuery) -> ASGIStreamingResponse:
    """Return the acts as a file, with what the journal's verification said in its head, or in JSON beside them."""
    async with site.reading() as connection:
        verified = await journal.verify(connection)
    return ASGIStreamingResponse(
        iterator=text_of(site, query, verified),
        media_type="text/csv" if query.format == "csv" else "application/json",
        headers={
            "content-disposition": f'attachment; filename="audit.{query.format}"',
            "trueup-journal": summary(verified),
            "cache-control": "no-store",
        },
    )


def summary(verified: journal.Verified) -> str:
    """Return what the verification said, in one line."""
    told = f"{len(verified.breaks)} breaks" if verified.breaks else "verified"
    return f"{told}; rows {verified.rows}; sealed to {verified.sealed_to}; head {verified.head}"


async def text_of(site: Site, query: ExportQuery, verified: journal.Verified) -> AsyncIterator[bytes]:
    """Yield the file in parts, so that a long one is never held whole."""
    async with site.reading() as connection:
        if query.format == "json":
            yield b'{"journal":' + json.encode(verified) + b',"acts":['
            first = True
            async for act in exported(connection, query.acts()):
                yield (b"" if first else b",") + json.encode(act)
                first = False
            yield b"]}"
            return
        yield row_of(Act.__struct_fields__)
        async for act in exported(connection, query.acts()):
            values = [act.position, act.at.isoformat(), act.actor, act.name, act.kind, act.verb, act.subject]
            yield row_of([*values, " ".join(act.events)])


def row_of(values: Any) -> bytes:
    """Return one row of a CSV file; what a spreadsheet would take for a formula is led by an apostrophe."""
    text = io.StringIO()
    csv.writer(text).writerow(
        [f"'{value}" if isinstance(value, str) and value.startswith(_DANGEROUS) else value for value in values]
    )
    return text.getvalue().encode()


async def _admitted(request: Request[Any, Any, Any], site: Site) -> Standing | ASGIResponse:
    actor: Actor | None = await site.access.holder(headers_of(request).get(b"authorization"))
    if actor is None:
        return refuse(UNAUTHENTICATED)
    standing: Standing = await site.access.standing()
    refusal = require(standing, actor, "read")
    if refusal is None and standing.within(actor) is not None:
        refusal = outside(actor)
    return refuse(refusal, 403) if refusal is not None else standing


HANDLERS: tuple[HTTPRouteHandler, ...] = (try_guard, export)
