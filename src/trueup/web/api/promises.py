"""Questions that have a body but write nothing: what a basket can have and when, and what a routing policy would do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from trueup.authority.standing import Scope, outside, require
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.core.policy import Known, Policies, read_document
from trueup.core.verb import Actor
from trueup.sourcing.policy import Routing
from trueup.sourcing.simulate import ORDERS_MAX, Simulation, simulate
from trueup.stock.kept_shelves import Shelves
from trueup.stock.promising import Available, Basket, Promised, available, promise
from trueup.web.api.access import UNAUTHENTICATED
from trueup.web.api.handlers import demand_json, headers_of
from trueup.web.api.problems import refusal_of_body, refuse
from trueup.web.site import site_of

Answering = Callable[[Connection, Any, Policies, datetime, Shelves], Awaitable[Any]]


class Question(msgspec.Struct, frozen=True):
    """One address that takes a body and answers. takes: the body; only a basket can be asked about within a scope."""

    path: str
    summary: str
    returns: Any
    answer: Answering
    takes: type[msgspec.Struct] = Basket


class RoutingProposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A routing policy to compare with the one in force, on the latest so many orders that were sourced."""

    document: Routing
    orders: Annotated[int, msgspec.Meta(ge=1, le=ORDERS_MAX)] = 500


async def _simulated(
    connection: Connection, proposal: RoutingProposal, policies: Policies, now: datetime, shelves: Shelves
) -> Simulation:
    proposed = read_document(
        {Routing.kind: Routing}, Routing.kind, json.to_plain(proposal.document), Known(commands={})
    )
    if isinstance(proposed, Refusal):
        raise Refused(proposed)
    return await simulate(connection, policies, proposal.document, now, proposal.orders)


QUESTIONS = (
    Question("/v1/promises", "Promise a basket: delivery dates by method, pickup days by store", Promised, promise),
    Question(
        "/v1/availabilities", "Tell what a basket can have at each location, and from when", Available, available
    ),
    Question(
        "/v1/sourcing/simulations", "Source recent orders anew under another routing policy, writing nothing",
        Simulation, _simulated, RoutingProposal,
    ),
)  # fmt: skip


def confined(asked: Any, actor: Actor, scope: Scope | None) -> Any:
    """Return what is asked, about the actor's part of the organisation alone. Raises Refused for what lies outside."""
    if scope is None:
        return asked
    if not isinstance(asked, Basket):
        raise Refused(outside(actor))
    mine = asked.locations or tuple(sorted(scope.sites))
    if not mine or not scope.sites.issuperset(mine):
        raise Refused(outside(actor))
    return msgspec.structs.replace(asked, locations=mine)


def questions() -> list[HTTPRouteHandler]:
    """Return the handlers of these addresses."""
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
            asked: Any = json.decode(await request.body(), row.takes)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(refusal_of_body(error)) from None
        asked = confined(asked, actor, standing.within(actor))
        async with site.reading() as connection:
            found = await row.answer(connection, asked, standing.policies, site.now(), site.shelves)
        return ASGIResponse(body=json.encode(found), media_type="application/json")

    return ask
