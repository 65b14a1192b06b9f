"""The writer registry: which system writes which cohort when, and who writes one thing now."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from trueup.authority.cohorts import ENTITIES, NAMES, OURS
from trueup.authority.writers import AssignWriter, EndWriter
from trueup.authority.writers_policy import WritingSystems
from trueup.authority.writers_read import WhoWrites, WriterQuery, who_writes, writers
from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.web.console.entered import utc
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter

_COHORT = ("channel", "location", "customer_group")


@get("/writers")
async def show_writers(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the registry, the form that assigns a cohort, and an answer to who writes one thing now."""
    return await _page(await enter(request))


@post("/writers/assign")
async def assign(request: Request[Any, Any, Any]) -> Response[Any]:
    """Assign a cohort to a system; times in the form are UTC."""
    visit = await enter(request)
    form = await visit.form()
    body: dict[str, Any] = {name: form.get(name, "").strip() for name in ("entity", "system", "reason")}
    body |= {name: utc(form.get(name, "")) for name in ("from_at", "until_at")}
    return await _put(visit, AssignWriter, {**body, "cohort": _cohort(form)}, form)


@post("/writers/end")
async def end(request: Request[Any, Any, Any]) -> Response[Any]:
    """End the rule about a cohort now."""
    visit = await enter(request)
    form = await visit.form()
    body = {"entity": form.get("entity", ""), "reason": form.get("reason", "").strip(), "cohort": _cohort(form)}
    return await _put(visit, EndWriter, body, form)


async def _put(visit: Visit, kind: type[Command], body: dict[str, Any], form: dict[str, str]) -> Response[Any]:
    """Put it through, or propose it where the form says so."""
    if form.get("as") == "change":
        verb = visit.site.house.verbs[kind].name
        outcome = await visit.propose(verb, body, f"Who writes {body['entity']}: {form.get('system', 'an end')}", form)
    else:
        outcome = await visit.submit(kind, body, form)
    if outcome.refusal is not None:
        return await _page(visit, outcome.refusal, form)
    if "change" in outcome.result:
        return visit.done(visit.path_of("changes", str(outcome.result["change"])), form)
    return visit.done("/writers", form)


async def _page(visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None) -> Response[Any]:
    entity = visit.params.get("entity", "")
    query = WriterQuery(
        entity=entity if entity in ENTITIES else None,
        live=bool(visit.flag("live")),
        cursor=visit.params.get("cursor"),
    )
    policies = visit.standing.policies
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, "writer/", "policy/writers/")
        page = await writers(connection, policies, query, visit.now)
        asked = _asked(visit)
        now = await who_writes(connection, policies, asked, visit.now) if asked is not None else None
    return await visit.show(
        "writers.html",
        section="/writers",
        pending=pending,
        title="Who writes what",
        writers=page.items,
        next=page.next,
        systems=[(OURS, "Trueup"), *((name, one.title) for name, one in policies.get(WritingSystems).systems.items())],
        entities=ENTITIES,
        names=NAMES,
        asked=asked,
        answer=now,
        declared=visit.standing.declared,
        filtered=any(visit.params.get(name) for name in ("entity", "live")),
        refusal=refusal,
        entered=entered or {},
    )


def _asked(visit: Visit) -> WhoWrites | None:
    entity = visit.params.get("who", "")
    if entity not in ENTITIES:
        return None
    named = {name: (visit.params.get(f"who-{name}", "").strip()[:200] or None) for name in _COHORT}
    return WhoWrites(entity=entity, key=visit.params.get("who-key", "")[:300], **named)


def _cohort(form: dict[str, str]) -> dict[str, Any]:
    """Return the cohort a form names; what is left empty is any."""
    found: dict[str, Any] = {name: form[name].strip() for name in _COHORT if form.get(name, "").strip()}
    for name in ("share_from", "share_to"):
        given = form.get(name, "").strip()
        if given:
            found[name] = int(given) if given.isdecimal() and len(given) < 5 else given
    return found


routes = [show_writers, assign, end]
