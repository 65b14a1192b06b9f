"""People and services: their roles and API keys. Secrets are shown once and kept nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from datetime import timedelta
from operator import itemgetter
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority import people_read
from trueup.authority import read as authority
from trueup.authority.register import IssueKey, RegisterActor, RevokeKey
from trueup.authority.standing import ROLES
from trueup.core import timeline
from trueup.core.errors import Refusal
from trueup.web.console.visit import Visit, enter, unknown

_ACTORS_PER_PAGE = 200
_DAYS_MAX = 3650


@get("/actors")
async def list_actors(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show everybody."""
    return await _list_page(await enter(request))


@post("/actors")
async def register(request: Request[Any, Any, Any]) -> Response[Any]:
    """Register somebody or something."""
    visit = await enter(request)
    form = await visit.form()
    outcome = await visit.submit(RegisterActor, await _body(visit, form), form)
    if outcome.refusal is not None:
        return await _list_page(visit, outcome.refusal, form)
    return visit.done(f"/actors/{outcome.result['actor']}", form)


@get("/actors/{actor:str}")
async def show_actor(request: Request[Any, Any, Any], actor: FromPath[str]) -> Response[Any]:
    """Show one actor with roles, keys and the timeline of both."""
    return await actor_page(await enter(request), actor)


@post("/actors/{actor:str}")
async def change(request: Request[Any, Any, Any], actor: FromPath[str]) -> Response[Any]:
    """Change name, roles and access."""
    visit = await enter(request)
    form = await visit.form()
    body = {**await _body(visit, form), "actor": actor, "active": form.get("active") == "1"}
    outcome = await visit.submit(RegisterActor, body, form)
    if outcome.refusal is not None:
        return await actor_page(visit, actor, outcome.refusal, form)
    return visit.done(f"/actors/{actor}", form)


@post("/actors/{actor:str}/keys")
async def issue_key(request: Request[Any, Any, Any], actor: FromPath[str]) -> Response[Any]:
    """Issue an API key and show its secret on the answer, the only time; sent twice, it is the same key."""
    visit = await enter(request)
    form = await visit.form()
    secret = _secret(visit, actor, form["key"])
    body: dict[str, Any] = {
        "actor": actor, "label": form.get("label", "").strip(), "digest": hashlib.sha256(secret.encode()).hexdigest(),
        "scope": await _chosen(visit, "scope"),
    }  # fmt: skip
    days = form.get("days", "").strip()
    if days:
        if not days.isdecimal() or not 0 < int(days[:6]) <= _DAYS_MAX:
            refusal = Refusal("form.days", f"{days[:20]!r} is no number.", f"Enter 1 to {_DAYS_MAX}, or nothing.",
                              "days", days[:20])  # fmt: skip
            return await actor_page(visit, actor, refusal, form, opened="key")
        midnight = visit.now.replace(hour=0, minute=0, second=0, microsecond=0)
        body["expires_at"] = midnight + timedelta(days=int(days) + 1)
    outcome = await visit.submit(IssueKey, body, form)
    if outcome.refusal is not None:
        return await actor_page(visit, actor, outcome.refusal, form, opened="key")
    return await actor_page(visit, actor, secret=secret)


@post("/actors/{actor:str}/keys/{key:str}/revoke")
async def revoke_key(request: Request[Any, Any, Any], actor: FromPath[str], key: FromPath[str]) -> Response[Any]:
    """Revoke a key; it stops with the next batch, in every process."""
    visit = await enter(request)
    form = await visit.form()
    outcome = await visit.submit(RevokeKey, {"key": key}, form)
    if outcome.refusal is not None:
        return await actor_page(visit, actor, outcome.refusal)
    return visit.done(f"/actors/{actor}", form)


async def _list_page(visit: Visit, refusal: Refusal | None = None, form: dict[str, str] | None = None) -> Response[Any]:
    async with visit.reading() as connection:
        found = await authority.actors(connection, visit.params.get("cursor", ""), _ACTORS_PER_PAGE)
        keys = await authority.keys(connection)
        nodes = await authority.nodes(connection)
    live = Counter(
        key.actor for key in keys if not key.revoked_at and (not key.expires_at or key.expires_at > visit.now)
    )
    return await visit.show(
        "actors.html",
        section="/actors",
        title="People and services",
        actors=found,
        actor=None,
        next=found[-1].id if len(found) == _ACTORS_PER_PAGE else None,
        live_keys=live,
        roles=ROLES,
        chosen_roles=await _chosen(visit, "roles") if form else (),
        nodes=nodes,
        chosen_scope=await _chosen(visit, "scope") if form else (),
        secret=None,
        refusal=refusal,
        entered=form or {},
    )


async def actor_page(
    visit: Visit,
    actor: str,
    refusal: Refusal | None = None,
    form: dict[str, str] | None = None,
    *,
    opened: str = "",
    secret: str | None = None,
) -> Response[Any]:
    """Answer with the page of one actor. opened: the form that was sent, kept as it was entered."""
    async with visit.reading() as connection:
        found = await authority.actor(connection, actor)
        if found is None:
            raise unknown(f"There is no actor {actor!r}.")
        keys = await authority.keys(connection, actor)
        nodes = await authority.nodes(connection)
        entries = await timeline.about(connection, actor)
        about = people_read.PeopleQuery(actor=actor, limit=_ACTORS_PER_PAGE)
        appointments = await people_read.appointments(connection, about, visit.now)
        delegations = await people_read.delegations(connection, about, visit.now)
        employment = await people_read.employment(connection, actor, visit.now)
    # What was just appointed or lent shows at once.
    standing = await visit.site.access.standing(fresh=True)
    own, held = standing.own.values(), standing.actors.get(actor)
    return await visit.show(
        "actor.html",
        section="/actors",
        title=found.name,
        actor=found,
        keys=sorted(keys, key=lambda key: key.at, reverse=True),
        entries=entries,
        appointments=appointments,
        delegations=delegations,
        employment=employment,
        apart=people_read.not_together(standing.policies, held.roles if held else frozenset(found.roles)),
        governed=standing.declared is not None,
        held=sorted(held.roles - {*found.roles}) if held else [],
        names={one.id: one.name for one in own},
        people=sorted(((one.id, one.name) for one in own if one.kind == "person"), key=itemgetter(1)),
        roles=ROLES,
        chosen_roles=await _chosen(visit, "roles") if form and not opened else found.roles,
        nodes=nodes,
        chosen_scope=await _chosen(visit, "scope") if form and not opened else found.scope,
        secret=secret,
        refusal=refusal,
        entered=form or {},
        opened=opened,
    )


async def _body(visit: Visit, form: dict[str, str]) -> dict[str, Any]:
    return {
        "name": form.get("name", "").strip(),
        "kind": form.get("kind", ""),
        "email": form.get("email", "").strip(),
        "roles": await _chosen(visit, "roles"),
        "scope": await _chosen(visit, "scope"),
    }


async def _chosen(visit: Visit, name: str) -> list[str]:
    """Return the values of the boxes that were checked."""
    sent = (await visit.request.form()).getall(name, [])
    return [value for value in sent if isinstance(value, str)]


def _secret(visit: Visit, actor: str, key: str) -> str:
    """Return a new key's secret, made from the session's own and the form, so that a second click gives the same."""
    seed = f"api key/{actor}/{key}".encode()
    digest = hmac.digest(visit.secret, seed, "sha256")
    return "tu_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


routes = [list_actors, register, show_actor, change, issue_key, revoke_key]
