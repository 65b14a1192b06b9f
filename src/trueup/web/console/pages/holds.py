"""Holds: what stops orders now, by type, channel and age; released many at once with one reason."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.core.errors import Refusal
from trueup.orders import read as orders
from trueup.orders import read_holds
from trueup.orders.hold import ReleaseHold, ReleaseHolds
from trueup.orders.holds import rules_of
from trueup.orders.read_holds import HoldQuery
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter

_FILTERS = ("status", "type", "channel", "due")


@get("/holds")
async def list_holds(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of holds, the oldest first; every filter is in the address."""
    return await _holds_page(await enter(request, scoped=True))


@post("/holds/release")
async def release(request: Request[Any, Any, Any]) -> Response[Any]:
    """Release the holds that were ticked, or all that the filter means, with one reason."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    chosen = sorted(name.removeprefix("hold-") for name in form if name.startswith("hold-"))
    body: dict[str, Any] = {"reason": form.get("reason", "").strip()}
    if form.get("all"):
        body |= {name: form[name] for name in ("type", "channel") if form.get(name)}
    else:
        body["holds"] = chosen
    if not chosen and not form.get("all"):
        refusal = Refusal("form.nothing_chosen", "No hold was ticked.", "Tick the holds to release.", "holds")
        return await _holds_page(visit, refusal, form)
    outcome = await visit.submit(ReleaseHolds, body, form)
    if outcome.refusal is not None:
        return await _holds_page(visit, outcome.refusal, form)
    return visit.done("/holds", form, **{name: form[name] for name in ("type", "channel") if form.get(name)})


@post("/holds/{hold:str}/release")
async def release_one(request: Request[Any, Any, Any], hold: FromPath[str]) -> Response[Any]:
    """Release one hold from the page of its order."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    outcome = await visit.submit(ReleaseHold, {"hold": hold, "reason": form.get("reason", "").strip()}, form)
    if outcome.refusal is not None:
        return await _holds_page(visit, outcome.refusal, form)
    return visit.done(f"/orders/{outcome.result['order']}", form)


async def _holds_page(
    visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    params = visit.params
    query = HoldQuery(
        status="released" if params.get("status") == "released" else "open",
        type=params.get("type"),
        channel=params.get("channel"),
        due=visit.flag("due"),
        cursor=params.get("cursor"),
    )
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, "policy/holds/")
        page = await read_holds.holds(connection, query, visit.now, visit.channels)
        there = await orders.choices(connection)
    policies = visit.standing.policies
    types = rules_of(policies, params.get("channel") or "default").types
    return await visit.show(
        "holds.html",
        section="/holds",
        pending=pending,
        title="Holds",
        holds=page.items,
        next=page.next,
        released=query.status == "released",
        types=[(kind.name, kind.label or kind.name) for kind in types],
        channels=[(value, value) for value in there["channel"] if visit.channels is None or value in visit.channels],
        filters=[
            (name, params[name], visit.link(**{name: None, "cursor": None})) for name in _FILTERS if name in params
        ],
        refusal=refusal,
        entered=entered or {},
    )


routes = [list_holds, release, release_one]
