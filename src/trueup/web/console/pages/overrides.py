"""Overrides as loans: what is owed by whom, asking, granting, declining, giving back, and each use."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority.audit import accountable
from trueup.authority.overridable import SPONSOR, Overriding
from trueup.authority.overrides import AskOverride, DeclineOverride, EndOverride, GrantOverride
from trueup.authority.overrides_read import DebtQuery, OverrideQuery, debts, lent_rules, override, overrides
from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.web.console.entered import utc
from trueup.web.console.links import of_subject
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter, unknown

_ACTS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "grant": (GrantOverride, ()),
    "decline": (DeclineOverride, ("reason",)),
    "end": (EndOverride, ("reason",)),
}


@get("/overrides")
async def list_overrides(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show overrides, the last asked for first, what each department owes, and the form that asks for one."""
    return await _list_page(await enter(request))


@post("/overrides/ask")
async def ask(request: Request[Any, Any, Any]) -> Response[Any]:
    """Ask for an override; times in the form are UTC."""
    visit = await enter(request)
    form = await visit.form()
    body: dict[str, Any] = {
        name: form.get(name, "").strip() for name in ("rule", "verb", "department", "reason", "price_per_day")
    }
    body |= {name: form.get(name, "").split() for name in ("objects", "sites", "channels")}
    outcome = await visit.submit(AskOverride, {**body, "expires_at": utc(form.get("expires_at", ""))}, form)
    if outcome.refusal is not None:
        return await _list_page(visit, outcome.refusal, form)
    return visit.done(f"/overrides/{outcome.result['override']}", form)


@get("/overrides/{id_:str}")
async def show_override(request: Request[Any, Any, Any], id_: FromPath[str]) -> Response[Any]:
    """Show one override: its terms, who decided or could have, and each time it let something pass."""
    return await _page(await enter(request), id_)


@post("/overrides/{id_:str}/{act:str}")
async def do(request: Request[Any, Any, Any], id_: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Grant, decline or give back an override."""
    visit = await enter(request)
    if act not in _ACTS:
        raise unknown("An override can be granted, declined or given back.")
    form = await visit.form()
    command, fields = _ACTS[act]
    body = {"override": id_, **{name: form.get(name, "").strip() for name in fields}}
    outcome = await visit.submit(command, body, form)
    if outcome.refusal is not None:
        return await _page(visit, id_, outcome.refusal, form)
    return visit.done(f"/overrides/{id_}", form)


async def _list_page(
    visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    policy = visit.standing.policies.get(Overriding)
    query = OverrideQuery(
        department=visit.params.get("department"),
        rule=visit.params.get("rule"),
        open=bool(visit.flag("open")),
        cursor=visit.params.get("cursor"),
    )
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, "policy/overriding/")
        page = await overrides(connection, query, visit.now)
        owed = await debts(connection, visit.standing.policies, DebtQuery(), visit.now)
    return await visit.show(
        "overrides.html",
        section="/overrides",
        pending=pending,
        title="Overrides",
        overrides=page.items,
        next=page.next,
        owed=owed,
        policy=policy,
        rules=lent_rules(visit.standing.policies),
        filtered=any(visit.params.get(name) for name in ("department", "rule", "open")),
        refusal=refusal,
        entered=entered or {"rule": visit.params.get("ask", ""), "objects": visit.params.get("objects", "")},
    )


async def _page(
    visit: Visit, id_: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    async with visit.reading() as connection:
        detail = await override(connection, visit.standing.policies, id_, visit.now)
        if detail is None:
            raise unknown(f"There is no override {id_!r}.")
        behind = await accountable(connection, id_, visit.now)
    return await visit.show(
        "override.html",
        section="/overrides",
        title=f"Override of {detail.row.override.rule}",
        detail=detail,
        one=detail.row.override,
        behind=behind,
        may_decide=not {detail.decides, SPONSOR}.isdisjoint(
            visit.standing.present(visit.actor, visit.now).everywhere()
        ),
        of_subject=of_subject,
        refusal=refusal,
        entered=entered or {},
    )


routes = [list_overrides, ask, show_override, do]
