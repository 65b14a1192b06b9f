"""Stock feeds: how each one's rows ended, those that wait whole for a person, and single rows in quarantine."""

from __future__ import annotations

from typing import Any, get_args

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.stock import feed_read
from trueup.stock.feed_read import FeedQuery, FeedStatus, RowQuery
from trueup.stock.feed_settle import CorrectFeedRow, DiscardFeedRow, RejectFeed, ReleaseFeed
from trueup.web.console.entered import chosen
from trueup.web.console.visit import Visit, enter, unknown

_ACTS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "release": (ReleaseFeed, ("reason",)),
    "reject": (RejectFeed, ("reason",)),
    "correct": (CorrectFeedRow, ("row", "reason", "sku", "location", "quantity")),
    "discard": (DiscardFeedRow, ("row", "reason")),
}
_STATUSES: tuple[FeedStatus, ...] = get_args(FeedStatus)


@get("/feeds")
async def list_feeds(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of feeds, last received first; every filter is in the address."""
    visit = await enter(request)
    params = visit.params
    query = FeedQuery(
        source=params.get("source"),
        status=chosen(params.get("status"), _STATUSES),
        open=bool(visit.flag("open")),
        cursor=params.get("cursor"),
    )
    async with visit.reading() as connection:
        page = await feed_read.feeds(connection, query)
    return await visit.show(
        "feeds.html",
        section="/stock",
        title="Stock feeds",
        feeds=page.items,
        next=page.next,
        statuses=[(name, name) for name in _STATUSES],
        filtered=any(params.get(name) for name in ("source", "status", "open")),
    )


@get("/feeds/{feed:str}")
async def show_feed(request: Request[Any, Any, Any], feed: FromPath[str]) -> Response[Any]:
    """Show one feed with its rows in quarantine, each with its forms."""
    return await _feed_page(await enter(request), feed)


@post("/feeds/{feed:str}/{act:str}")
async def do(request: Request[Any, Any, Any], feed: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Release or reject a held feed; correct or discard a row."""
    visit = await enter(request)
    if act not in _ACTS:
        raise unknown("A feed can be released or rejected, a row of it corrected or discarded.")
    form = await visit.form()
    command, fields = _ACTS[act]
    body = {"feed": feed, **{name: form.get(name, "").strip() for name in fields}}
    outcome = await visit.submit(command, body, form)
    if outcome.refusal is not None:
        return await _feed_page(visit, feed, outcome.refusal, form)
    return visit.done(f"/feeds/{feed}", form)


async def _feed_page(
    visit: Visit, feed: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    async with visit.reading() as connection:
        found = await feed_read.feed(connection, feed)
        if found is None:
            raise unknown(f"There is no feed {feed!r}.")
        query = RowQuery(feed=feed, all=bool(visit.flag("all")), cursor=visit.params.get("cursor"))
        rows = await feed_read.quarantined_rows(connection, query)
    return await visit.show(
        "feed.html",
        section="/stock",
        title=f"Feed of {found.source}",
        feed=found,
        rows=rows.items,
        next=rows.next,
        refusal=refusal,
        entered=entered or {},
    )


routes = [list_feeds, show_feed, do]
