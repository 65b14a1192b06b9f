"""Items: what the catalogue knows, and what its rules found missing or wrong."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority import change_read
from trueup.authority.change_read import ChangeQuery
from trueup.authority.propose import ProposeChange
from trueup.cases import read as cases
from trueup.catalogue import cost, lead
from trueup.catalogue import read as catalogue
from trueup.catalogue import read_quality as quality
from trueup.catalogue.amend import AmendItems
from trueup.catalogue.ownership import FieldOwnership, Row, owns, parts_of
from trueup.catalogue.read import ItemQuery
from trueup.catalogue.readiness import STEPS, ReadinessPolicy, readiness
from trueup.core import json, timeline
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields, Value
from trueup.web.console import words
from trueup.web.console.pages.amending import amending_of, inputs_of, patch_of, proposed_fields
from trueup.web.console.visit import Visit, enter, unknown


@get("/items")
async def list_items(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of items by SKU."""
    visit = await enter(request, scoped=True)
    query = ItemQuery(
        search=visit.params.get("q"),
        kind=visit.params.get("kind"),
        category=visit.params.get("category"),
        supplier=visit.params.get("supplier"),
        finding=visit.params.get("finding"),
        field=visit.params.get("field"),
        readiness=step if (step := visit.params.get("readiness")) in STEPS else None,
        cursor=visit.params.get("cursor"),
    )
    policies = visit.standing.policies
    policy = policies.get(ReadinessPolicy)
    async with visit.reading() as connection:
        page = await catalogue.items(connection, query, policies.get(CustomFields, "item"), policy)
        agreed = await lead.agreed(connection, page.items)
    return await visit.show(
        "items.html",
        section="/items",
        title="Items",
        items=page.items,
        next=page.next,
        findings=[(name, words.readable(name)) for name in words.FINDINGS],
        steps={item.id: readiness(item, policy, agreed[item.id]).step for item in page.items},
        ladder=[(step, words.READINESS[step].text) for step in STEPS],
        filtered=any(
            visit.params.get(name) for name in ("q", "kind", "category", "supplier", "finding", "field", "readiness")
        ),
    )


@get("/items/{reference:path}")
async def show_item(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Show one item by its id or any key it answers to."""
    return await _item_page(await enter(request, scoped=True), reference[1:])


@post("/items/amend")
async def amend_item(request: Request[Any, Any, Any]) -> Response[Any]:
    """Amend the fields that the form changed, or propose that as a change."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    sku = form.get("sku", "")
    patch = patch_of(form, visit.standing.policies.get(CustomFields, "item"))
    if isinstance(patch, Refusal):
        return await _item_page(visit, sku, patch, form)
    command = AmendItems(rows=(patch,), reason=form.get("reason", "").strip()[:500])
    if form.get("as") == "change":
        edit = {"verb": "catalogue.amend_items", "command": json.to_plain(command)}
        body = {"title": f"Amend {sku}"[:120], "reason": command.reason or f"Amend {sku}", "edits": [edit]}
        outcome = await visit.submit(ProposeChange, body, form)
    else:
        outcome = await visit.submit(AmendItems, json.to_plain(command), form)
    if outcome.refusal is not None:
        return await _item_page(visit, sku, outcome.refusal, form)
    return visit.done(visit.path_of("items", sku), form)


async def _item_page(
    visit: Visit, reference: str, refusal: Refusal | None = None, form: dict[str, str] | None = None
) -> Response[Any]:
    policies = visit.standing.policies
    async with visit.reading() as connection:
        found = await catalogue.item(connection, reference)
        if found is None:
            raise unknown(f"No item answers to {reference!r}.")
        entries = await timeline.about(connection, found.item.id)
        components = [await catalogue.item(connection, part.item) for part in found.item.components]
        costs = await cost.costs(connection, found.item.id) if visit.scope is None else ()
        agreed = (await lead.agreed(connection, [found.item]))[found.item.id]
        concerning = await _cases(visit, connection, found.item.id)
        plans = await quality.planned(connection, quality.PlannedQuery(object=found.item.id))
        wanted = ChangeQuery(object=f"item/{found.item.id}#", open=True, limit=20)
        pending = (await change_read.find_changes(connection, wanted, visit.now)).items if visit.scope is None else ()
        carried = await change_read.edits_of(connection, [one.id for one in pending])
    return await visit.show(
        "item.html",
        section="/items",
        title=f"Item {found.item.sku}",
        item=found.item,
        keys=found.keys,
        entries=entries,
        cases=concerning,
        components=[
            (detail.item, part.quantity)
            for detail, part in zip(components, found.item.components, strict=True)
            if detail is not None
        ],
        costs=costs,
        fields=shown_fields(visit, "item", found.item.fields),
        readiness=quality.readiness_of(found.item, policies, agreed),
        agreed=agreed,
        owned=quality.fields_of(policies, "item", found.item),
        holders=holders_shown(visit, found.item),
        plans=plans,
        pending=pending,
        proposed={id_: proposed_fields(edits, found.item, found.keys) for id_, edits in carried.items()},
        inputs=inputs_of(found.item, policies.get(CustomFields, "item")),
        amending=amending_of(found.item),
        partners_shown=visit.scope is None,
        declared=visit.standing.declared,
        refusal=refusal,
        entered=form or {},
    )


def holders_shown(visit: Visit, row: Row) -> dict[str, str]:
    """Return who answers for a record by each owner there is, by name; a role over other parts does not."""
    owners = {one.owner for one in visit.standing.policies.get(FieldOwnership).owners}
    present = visit.standing.at(visit.now).actors.values()
    names = {owner: sorted(actor.name for actor in present if owns(actor, owner, parts_of(row))) for owner in owners}
    return {owner: ", ".join(found) or "nobody holds it" for owner, found in names.items()}


async def _cases(visit: Visit, connection: Connection, item: str) -> tuple[cases.CaseSummary, ...]:
    """Return the cases that concern an item; they are the whole organisation's."""
    if visit.scope is not None:
        return ()
    query = cases.CaseQuery(subject=item, limit=20)
    return (await cases.cases(connection, query, visit.now, visit.standing.policies)).items


def shown_fields(visit: Visit, entity: str, values: dict[str, Value]) -> list[tuple[str, str, str | None]]:
    """Return label, value, and the filter that finds the same (None where it is not searchable) of custom fields."""
    rules = {rule.name: rule for rule in visit.standing.policies.get(CustomFields, entity).fields}
    shown = []
    for name, value in values.items():
        rule = rules.get(name)
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        found = f"{name}:{str(value).lower() if isinstance(value, bool) else value}"
        label = (rule.label if rule else "") or name.replace("_", " ")
        shown.append((label, text, found if rule and rule.searchable else None))
    return shown


routes = [list_items, amend_item, show_item]
