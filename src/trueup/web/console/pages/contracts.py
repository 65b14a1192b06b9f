"""Data contracts and their breaches: what master data must hold, what fails, what it costs, what applies itself."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority.overrides_read import OverrideQuery, lent_rules, overrides
from trueup.cases import read as cases
from trueup.catalogue import breach_read
from trueup.catalogue.breach_read import BreachQuery
from trueup.catalogue.contract import CONTAINS
from trueup.catalogue.contract_import import ImportContract
from trueup.catalogue.quarantine import RULE as CONTAINED
from trueup.catalogue.quarantine import ReleaseContainment, lifting_per_day, named
from trueup.core.errors import Refusal
from trueup.oversight import breach_exposure
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter, unknown

_SHOWN = 50


@get("/contracts")
async def list_contracts(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the contracts with what fails, and the form that imports one."""
    return await _list_page(await enter(request))


@post("/contracts/import")
async def import_contract(request: Request[Any, Any, Any]) -> Response[Any]:
    """Import a contract from the text of an ODCS document; where governance is declared, propose that."""
    visit = await enter(request)
    form = await visit.form()
    body = {name: form.get(name, "").strip() for name in ("name", "document", "reason")}
    if form.get("as") == "change":
        outcome = await visit.propose("catalogue.import_contract", body, f"Contract {body['name']}", form)
    else:
        outcome = await visit.submit(ImportContract, body, form)
    if outcome.refusal is not None:
        return await _list_page(visit, outcome.refusal, form)
    if "change" in outcome.result:
        return visit.done(visit.path_of("changes", str(outcome.result["change"])), form)
    return visit.done(visit.path_of("contracts", body["name"]), form)


@get("/contracts/{contract:str}")
async def show_contract(request: Request[Any, Any, Any], contract: FromPath[str]) -> Response[Any]:
    """Show one contract: its rules with their last results, its document, and the keys that fail."""
    visit = await enter(request)
    query = BreachQuery(contract=contract, rule=visit.params.get("rule"), cursor=visit.params.get("cursor"))
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, f"policy/contract/{contract}#")
        found = await breach_read.contract(connection, contract, visit.now)
        if found is None:
            raise unknown(f"There is no contract {contract!r}.")
        failing = await breach_read.breaches(connection, query, visit.now)
    return await visit.show(
        "contract.html",
        section="/items",
        pending=pending,
        title=f"Contract {contract}",
        contract=found,
        document=found.document,
        failing=failing.items,
        next=failing.next,
    )


@get("/contracts/{contract:str}/odcs.yaml")
async def export_contract(request: Request[Any, Any, Any], contract: FromPath[str]) -> Response[str]:
    """Send the contract as a file."""
    visit = await enter(request)
    async with visit.reading() as connection:
        found = await breach_read.contract(connection, contract, visit.now)
    if found is None:
        raise unknown(f"There is no contract {contract!r}.")
    headers = {"content-disposition": 'attachment; filename="contract.odcs.yaml"', "cache-control": "no-store"}
    return Response(found.odcs, media_type="application/yaml; charset=utf-8", headers=headers)


@get("/breaches/{case:str}")
async def show_breach(request: Request[Any, Any, Any], case: FromPath[str]) -> Response[Any]:
    """Show the breach of one rule: the orders it touches, the money at stake, the keys, the clock, the containment."""
    return await _breach_page(await enter(request), case)


@post("/breaches/{case:str}/release")
async def release(request: Request[Any, Any, Any], case: FromPath[str]) -> Response[Any]:
    """Ask that the containment is lifted for some hours; the override that is asked for is shown next."""
    visit = await enter(request)
    form = await visit.form()
    body: dict[str, Any] = {
        "case": case,
        "keys": form.get("keys", "").split(),
        "hours": int(hours) if (hours := form.get("hours", "").strip()).isdecimal() else hours,
        "reason": form.get("reason", "").strip(),
    }
    outcome = await visit.submit(ReleaseContainment, body, form)
    if outcome.refusal is not None:
        return await _breach_page(visit, case, outcome.refusal, form)
    return visit.done(f"/overrides/{outcome.result['override']}", form)


async def _list_page(
    visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, "policy/contract/")
        found = await breach_read.contracts(connection, visit.now)
    return await visit.show(
        "contracts.html",
        section="/items",
        pending=pending,
        title="Data contracts",
        contracts=found,
        declared=visit.standing.declared,
        refusal=refusal,
        entered=entered or {},
    )


async def _breach_page(
    visit: Visit, case: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    policies = visit.standing.policies
    async with visit.reading() as connection:
        known = await cases.case(connection, case, visit.now, policies)
        if known is None or known.summary.kind != "contract_breach":
            raise unknown(f"There is no breach {case!r}.")
        query = BreachQuery(case=case, ended=bool(visit.flag("ended")), cursor=visit.params.get("keys"))
        keys = await breach_read.breaches(connection, query, visit.now)
        now_failing = await breach_read.breaches(connection, BreachQuery(case=case), visit.now)
        entity, subjects = await breach_exposure.failing(connection, case)
        first = now_failing.items[0].breach if now_failing.items else None
        parcels = first is not None and first.containment == "not_for_parcel"
        stake = await breach_exposure.stake(connection, entity, subjects, visit.now, parcels=parcels)
        lifting = {name for row in now_failing.items for name in (row.breach.key, case, named(row.breach))}
        open_ = await overrides(connection, OverrideQuery(rule=CONTAINED, open=True), visit.now)
        orders = await breach_exposure.touched(
            connection, entity, subjects, visit.now, visit.params.get("cursor"), _SHOWN
        )
    return await visit.show(
        "breach.html",
        section="/cases",
        title=known.summary.title,
        case=known.summary,
        priced_at=known.priced_at,
        keys=keys.items,
        next_keys=keys.next,
        failing=len(subjects),
        stake=stake,
        orders=orders.items,
        next=orders.next,
        first=first,
        does=CONTAINS.get(first.containment) if first is not None else None,
        loans=[one for one in open_.items if lifting & {*one.override.objects}],
        lent=next(rule for rule in lent_rules(policies) if rule.rule == CONTAINED),
        lent_per_day=lifting_per_day(known.summary.price_per_hour, known.summary.currency, policies),
        contained=any(row.stage == "contained" for row in now_failing.items),
        refusal=refusal,
        entered=entered or {},
    )


routes = [list_contracts, import_contract, show_contract, export_contract, show_breach, release]
