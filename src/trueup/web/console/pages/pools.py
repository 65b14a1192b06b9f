"""Channel pools: what is kept for a channel or caps it, and what a channel may claim of an item, and why."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from trueup.catalogue import read as catalogue
from trueup.core.errors import Refusal
from trueup.stock import pools
from trueup.stock.pools import Claimable, SetPool
from trueup.web.console.visit import Visit, enter

_NAMED = ("location", "sku", "channel", "mode")


@get("/pools")
async def list_pools(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the pools, the form that sets one, and the answer to what a channel may claim."""
    return await _page(await enter(request, scoped=True))


@post("/pools/set")
async def set_one(request: Request[Any, Any, Any]) -> Response[Any]:
    """Set or change a pool."""
    return await _set(await enter(request, scoped=True), "set")


@post("/pools/end")
async def end_one(request: Request[Any, Any, Any]) -> Response[Any]:
    """End a pool: the channel sells like any other."""
    return await _set(await enter(request, scoped=True), "end")


async def _set(visit: Visit, act: str) -> Response[Any]:
    form = await visit.form()
    body: dict[str, Any] = {name: form.get(name, "").strip() for name in _NAMED}
    body["quantity"] = None if act == "end" else form.get("quantity", "").strip()
    outcome = await visit.submit(SetPool, body, form)
    if outcome.refusal is not None:
        return await _page(visit, outcome.refusal, form)
    return visit.done("/pools", form, sku=body["sku"], location=body["location"])


async def _page(visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None) -> Response[Any]:
    params = visit.params
    item, place = params.get("item", "").strip(), params.get("at", "")
    answer: Claimable | None = None
    async with visit.reading() as connection:
        rows = await pools.pools(
            connection, params.get("location"), params.get("channel"), params.get("sku"), visit.sites
        )
        if item and place and (visit.sites is None or place in visit.sites):
            answer = await pools.claimable(
                connection, visit.standing.policies, item, place, params.get("for", "").strip(), visit.now
            )
        places = await catalogue.locations(connection)
    return await visit.show(
        "pools.html",
        section="/stock",
        title="Channel pools",
        pools=rows,
        cut=len(rows) == pools.LISTED_MAX,
        asked=bool(item and place),
        answer=answer,
        places=[(p.code, p.code) for p in places if visit.sites is None or p.code in visit.sites],
        filtered=any(params.get(name) for name in ("location", "sku", "channel")),
        refusal=refusal,
        entered=entered or {},
    )


routes = [list_pools, set_one, end_one]
