"""POST /v1/promises and /v1/availabilities: what can a basket have, when? They have a body, but write nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from trueup.authority.standing import outside, require
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.errors import Refused
from trueup.stock import promising
from trueup.stock.promising import Available, Basket, Promised
from trueup.web.api.access import UNAUTHENTICATED
from trueup.web.api.handlers import demand_json, headers_of
from trueup.web.api.problems import refusal_of_body, refuse
from trueup.web.site import Site, site_of

Answering = Callable[[Site, Connection, Basket], Awaitable[Any]]


class Question(msgspec.Struct, frozen=True):
    """One address that takes a basket and answers."""

    path: str
    summary: str
    returns: Any
    answer: Answering


async def _promised(site: Site, connection: Connection, basket: Basket) -> Promised:
    standing = await site.access.standing()
    return await promising.promise(connection, basket, standing.policies, site.now())


async def _available(site: Site, connection: Connection, basket: Basket) -> Available:
    return await promising.available(connection, basket, site.now())


QUESTIONS = (
    Question("/v1/promises", "Promise a basket: delivery dates by method, pickup days by store", Promised, _promised),
    Question(
        "/v1/availabilities", "Tell what a basket can have at each location, and from when", Available, _available
    ),
)


def questions() -> list[HTTPRouteHandler]:
    """Return the handlers of the addresses that take a basket."""
    return [_question(row) for row in QUESTIONS]


def _question(row: Question) -> HTTPRouteHandler:
    @post(row.path)
    async def ask(request: Request[Any, Any, Any]) -> ASGIResponse:
        site = site_of(request)
        headers = headers_of(request)
        actor = await site.access.holder(headers.get(b"authorization"))
        if actor is None:
            return refuse(UNAUTHENTICATED)
        standing = await site.access.standing()
        refusal = require(standing, actor, "read")
        if refusal is not None:
            return refuse(refusal, 403)
        demand_json(headers)
        try:
            basket = json.decode(await request.body(), Basket)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(refusal_of_body(error)) from None
        scope = standing.within(actor)
        if scope is not None:
            mine = basket.locations or tuple(sorted(scope.sites))
            if not mine or not scope.sites.issuperset(mine):
                return refuse(outside(actor), 403)
            basket = msgspec.structs.replace(basket, locations=mine)
        async with site.reading() as connection:
            found = await row.answer(site, connection, basket)
        return ASGIResponse(body=json.encode(found), media_type="application/json")

    return ask
