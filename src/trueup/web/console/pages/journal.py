"""The journal: newest first with a filter, and one position with its exact bytes and the seal that holds it."""

from __future__ import annotations

import hashlib
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from trueup.core import journal
from trueup.core.errors import Refusal, Refused
from trueup.core.timeline import entry_of
from trueup.web.console import figures, words
from trueup.web.console.links import of_subject
from trueup.web.console.visit import Visit, enter, unknown

POSITION_MAX = 2**62


@get("/journal")
async def list_journal(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show what happened, newest first, about one subject or of one name."""
    visit = await enter(request)
    params = visit.params
    before = _position(params["before"], "before") if params.get("before") else None
    async with visit.reading() as connection:
        page = await figures.feed(connection, before, params.get("subject"), params.get("name"))
        head = await journal.head(connection)
        seal = await figures.last_seal(connection)
    return await visit.show(
        "journal.html",
        section="/journal",
        title="Journal",
        entries=page.entries,
        older=page.older,
        scanned=page.scanned,
        head=head,
        seal=seal,
        names=_names(visit),
    )


@get("/journal/{position:str}")
async def show_position(request: Request[Any, Any, Any], position: FromPath[str]) -> Response[Any]:
    """Show one row with its bytes; with `check=1`, compute its range's digest anew."""
    visit = await enter(request)
    at = _position(position, "position")
    async with visit.reading() as connection:
        rows = await journal.read(connection, at - 1, 1, upto=at)
        if not rows:
            raise unknown(f"The journal has no position {at} yet.")
        head = await journal.head(connection)
        seal = await figures.seal_of(connection, at)
        checked = seal is not None and visit.params.get("check") == "1"
        holds = await figures.seal_holds(connection, seal) if seal is not None and checked else None
    row = rows[0]
    body = bytes(row.body)
    return await visit.show(
        "journal_entry.html",
        section="/journal",
        title=f"Journal {at}",
        entry=entry_of(row),
        batch=row.batch,
        raw=body.decode(),
        size=len(body),
        digest=hashlib.sha256(body).hexdigest(),
        head=head,
        seal=seal,
        seal_holds=holds,
        subject_href=of_subject(row.subject),
    )


def _names(visit: Visit) -> list[tuple[str, str]]:
    chosen = visit.params.get("name")
    names = set(words.EVENTS) | ({chosen} if chosen else set())
    return [(name, words.EVENTS.get(name, name)) for name in sorted(names)]


def _position(text: str, where: str) -> int:
    if text.isdecimal() and text.isascii() and 0 < int(text[:20]) < POSITION_MAX:
        return int(text[:20])
    raise Refused(
        Refusal(
            "read.position",
            f"{text[:40]!r} is not a position.",
            "A position is a whole number from 1.",
            where,
            text[:40],
        )
    )


routes = [list_journal, show_position]
