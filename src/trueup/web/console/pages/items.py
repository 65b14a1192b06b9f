"""Items and locations: what the catalogue knows, and what its rules found missing or wrong."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from trueup.cases import read as cases
from trueup.catalogue import read as catalogue
from trueup.catalogue.read import ItemQuery
from trueup.core import timeline
from trueup.web.console import words
from trueup.web.console.visit import enter, unknown


@get("/items")
async def list_items(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of items by SKU."""
    visit = await enter(request)
    query = ItemQuery(
        search=visit.params.get("q"),
        kind=visit.params.get("kind"),
        category=visit.params.get("category"),
        finding=visit.params.get("finding"),
        cursor=visit.params.get("cursor"),
    )
    async with visit.reading() as connection:
        page = await catalogue.items(connection, query)
    return await visit.show(
        "items.html",
        section="/items",
        title="Items",
        items=page.items,
        next=page.next,
        findings=[(name, words.readable(name)) for name in words.FINDINGS],
        filtered=any(visit.params.get(name) for name in ("q", "kind", "category", "finding")),
    )


@get("/items/{reference:path}")
async def show_item(request: Request[Any, Any, Any], reference: FromPath[str]) -> Response[Any]:
    """Show one item by its id or any key it answers to."""
    visit = await enter(request)
    reference = reference[1:]
    async with visit.reading() as connection:
        found = await catalogue.item(connection, reference)
        if found is None:
            raise unknown(f"No item answers to {reference!r}.")
        entries = await timeline.about(connection, found.item.id)
        concerning = await cases.cases(connection, cases.CaseQuery(subject=found.item.id, limit=20), visit.now)
    return await visit.show(
        "item.html",
        section="/items",
        title=f"Item {found.item.sku}",
        item=found.item,
        keys=found.keys,
        entries=entries,
        cases=concerning.items,
    )


@get("/locations")
async def list_locations(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show all locations."""
    visit = await enter(request)
    async with visit.reading() as connection:
        places = await catalogue.locations(connection)
    return await visit.show("locations.html", section="/items", title="Locations", locations=places)


routes = [list_items, show_item, list_locations]
