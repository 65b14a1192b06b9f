"""POST /v1/changes/{change}/replay: what a change would have done to the last days' orders; it writes none of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from trueup.authority.change_read import change as change_of
from trueup.authority.standing import outside, require
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.oversight.change_impact import DAYS_MAX, replay_change
from trueup.oversight.impact import DAYS
from trueup.web.api.access import UNAUTHENTICATED
from trueup.web.api.handlers import demand_json, headers_of
from trueup.web.api.problems import refusal_of_body, refuse
from trueup.web.site import site_of

PATH = "/v1/changes/{change}/replay"


class ReplayAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many days of commands to replay under the proposed documents, and under those in force."""

    days: Annotated[int, msgspec.Meta(ge=1, le=DAYS_MAX)] = DAYS


@post("/v1/changes/{change:str}/replay", status_code=200)
async def replay(request: Request[Any, Any, Any], change: FromPath[str]) -> ASGIResponse:
    """Replay it, keep what came out for who votes, and answer with it."""
    site, headers = site_of(request), headers_of(request)
    actor = await site.access.holder(headers.get(b"authorization"))
    if actor is None:
        return refuse(UNAUTHENTICATED)
    standing = await site.access.standing()
    refusal = require(standing, actor, "read")
    if refusal is None and standing.within(actor) is not None:
        refusal = outside(actor)
    if refusal is not None:
        return refuse(refusal, 403)
    demand_json(headers)
    try:
        asked = json.decode(await request.body(), ReplayAsked)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return refuse(refusal_of_body(error))
    async with site.reading() as connection:
        known = await change_of(connection, change)
    if known is None:
        return refuse(Refusal("read.unknown", f"There is no change {change!r}.", "Look it up in the list.",
                              "change", change), 404)  # fmt: skip
    seen = await replay_change(site.url, site.house, known[0], site.now(), asked.days)
    if isinstance(seen, str):
        return refuse(Refusal("oversight.unreplayed", f"Its effect cannot be replayed: {seen}.",
                              "It needs the higher quorum instead.", "change", change))  # fmt: skip
    return ASGIResponse(body=json.encode(seen), media_type="application/json")


HANDLERS: tuple[HTTPRouteHandler, ...] = (replay,)
