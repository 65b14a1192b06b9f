"""Policy documents: which version is in force, what it says, and the default where none was published."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from trueup.authority.standing import Rights
from trueup.cases.ladder import Ladder
from trueup.core import json
from trueup.core.policy import Policy
from trueup.orders.channel import Channel
from trueup.orders.holds import HoldRules
from trueup.oversight.exposure import ExposurePolicy
from trueup.web.console import figures
from trueup.web.console.visit import enter, unknown

KINDS: dict[str, type[Policy]] = {kind.kind: kind for kind in (Rights, Ladder, Channel, HoldRules, ExposurePolicy)}


@get("/policies/{kind:str}")
async def show_policy(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[Any]:
    """Show every version of a kind of document, the one in force opened."""
    visit = await enter(request)
    async with visit.reading() as connection:
        versions = await figures.policy_versions(connection, kind)
    if kind not in KINDS and not versions:
        raise unknown(f"There is no policy of kind {kind!r}.")
    default = msgspec.json.decode(json.encode(KINDS[kind]())) if kind in KINDS else None
    return await visit.show(
        "policy.html",
        section="",
        title=f"Policy {kind}",
        kind=kind,
        kinds=sorted(KINDS),
        about=(KINDS[kind].__doc__ or "") if kind in KINDS else "",
        versions=versions,
        default=default,
    )


routes = [show_policy]
