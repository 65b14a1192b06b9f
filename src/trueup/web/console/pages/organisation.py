"""The organisation as a tree: brands, companies, regions, sites and channels, and who is scoped to each part."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from litestar import Request, Response, get, post

from trueup.authority import read as authority
from trueup.authority.organisation import RemoveNode, SetNode
from trueup.authority.state import Node, NodeKind
from trueup.catalogue import read as catalogue
from trueup.core.errors import Refusal
from trueup.web.console.visit import Visit, enter

KINDS: tuple[str, ...] = get_args(NodeKind)


class Placed(msgspec.Struct, frozen=True):
    """A node as the page shows it. depth: 0 for a root. unmatched: a site whose code is no location's."""

    node: Node
    depth: int
    parts: int
    scoped: tuple[str, ...]
    unmatched: bool


@get("/organisation")
async def show_organisation(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the tree."""
    return await _page(await enter(request))


@post("/organisation")
async def set_node(request: Request[Any, Any, Any]) -> Response[Any]:
    """Put a part into the tree, or change or move it."""
    visit = await enter(request)
    form = await visit.form()
    body = {name: form.get(name, "").strip() for name in ("code", "name", "kind", "parent")}
    outcome = await visit.submit(SetNode, body, form)
    if outcome.refusal is not None:
        return await _page(visit, outcome.refusal, form)
    return visit.done("/organisation", form)


@post("/organisation/remove")
async def remove_node(request: Request[Any, Any, Any]) -> Response[Any]:
    """Take a part out of the tree."""
    visit = await enter(request)
    form = await visit.form()
    outcome = await visit.submit(RemoveNode, {"code": form.get("code", "")}, form)
    if outcome.refusal is not None:
        return await _page(visit, outcome.refusal)
    return visit.done("/organisation", form)


async def _page(visit: Visit, refusal: Refusal | None = None, form: dict[str, str] | None = None) -> Response[Any]:
    async with visit.reading() as connection:
        nodes = await authority.nodes(connection)
        people = await authority.actors(connection)
        codes = {place.code for place in await catalogue.locations(connection)}
    scoped: dict[str, list[str]] = {}
    for actor in people:
        for code in actor.scope:
            scoped.setdefault(code, []).append(actor.name)
    return await visit.show(
        "organisation.html",
        section="/actors",
        title="Organisation",
        tree=_tree(nodes, scoped, codes),
        parents=[node for node in nodes if node.kind not in ("site", "channel")],
        kinds=KINDS,
        refusal=refusal,
        entered=form or {},
    )


def _tree(nodes: tuple[Node, ...], scoped: dict[str, list[str]], codes: set[str]) -> list[Placed]:
    """Return the nodes from the roots down, each before its parts."""
    below: dict[str | None, list[Node]] = {}
    for node in nodes:
        below.setdefault(node.parent, []).append(node)
    placed: list[Placed] = []
    waiting = [(node, 0) for node in reversed(below.get(None, []))]
    while waiting:
        node, depth = waiting.pop()
        parts = below.get(node.code, [])
        unmatched = node.kind == "site" and node.code not in codes
        placed.append(Placed(node, depth, len(parts), tuple(sorted(scoped.get(node.code, ()))), unmatched))
        waiting += [(part, depth + 1) for part in reversed(parts)]
    return placed


routes = [show_organisation, set_node, remove_node]
