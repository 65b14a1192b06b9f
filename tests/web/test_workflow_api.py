"""Workflow as data, through the API alone: states added, an edge removed, an event bound; versions pinned; mistakes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.proof import prove
from tests.requests import rows
from tests.web.conftest import ADMINISTRATOR, PLANNER, Client, Reply

from trueup.core import json
from trueup.core.door import Door
from trueup.house import build
from trueup.orders.workflow import Workflow
from trueup.storyline import settled

LEAD = "tu_" + "f" * 40
TYPE = "made_to_order"
Document = dict[str, Any]


def shipped() -> Document:
    """The workflow as shipped, as the API takes it."""
    document: Document = msgspec.json.decode(json.encode(Workflow()))
    return document


def edge(from_: str, on: str, to: str, **more: Any) -> Document:
    return {"from": from_, "on": on, "to": to, **more}


def proofed() -> Document:
    """Two states of its own before goods are sourced; what is placed is not sourced until its proof was approved.

    The approval is an event of the shop's own, and sources the order.
    """
    document = shipped()
    document["states"] += [
        {"name": "proofing", "label": "Waiting for the proof", "reasons": ["sent", "sent again"]},
        {"name": "approved", "label": "Proof approved"},
    ]
    kept = [e for e in document["transitions"] if (e["from"], e["on"]) != ("placed", "sourced")]
    document["transitions"] = [
        *kept,
        edge("placed", "proof_sent", "proofing"),
        edge("proofing", "proof_sent", "proofing"),
        edge("proofing", "proof_approved", "approved", submit={"command": "sourcing.assign"}),
        edge("proofing", "cancelled", "cancelled"),
        edge("approved", "sourced", "sourced"),
        edge("approved", "partly_sourced", "waiting"),
        edge("approved", "backordered", "waiting"),
        edge("approved", "cancelled", "cancelled"),
    ]
    return document


def unproofed() -> Document:
    """The next version: what was sent is approved."""
    document = proofed()
    document["states"] = [state for state in document["states"] if state["name"] != "proofing"]
    kept = [e for e in document["transitions"] if "proofing" not in (e["from"], e["to"])]
    document["transitions"] = [*kept, edge("placed", "proof_sent", "approved")]
    return document


@pytest.fixture
async def shop(client: Client) -> Client:
    """Twenty mugs at MAIN, and somebody who may move orders; all of it through the API."""
    location = {"code": "MAIN", "name": "Main", "kind": "warehouse"}
    item = {"sku": "MUG", "name": "Mug", "unit_price": "9.90", "currency": "EUR"}
    receipt = {"location": "MAIN", "reference": "DN-1", "lines": [{"sku": "MUG", "quantity": 20}]}
    for path, body in (("/v1/locations", location), ("/v1/items", item), ("/v1/stock/receipts", receipt)):
        assert (await client.post(path, body)).status in (200, 201), path
    actor = {"name": "Lena", "kind": "service", "roles": ["Fulfilment Lead"]}
    lead = (await client.post("/v1/actors", actor, by=ADMINISTRATOR)).body["result"]["actor"]
    digest = hashlib.sha256(LEAD.encode()).hexdigest()
    key = {"digest": digest, "label": "test"}
    assert (await client.post(f"/v1/actors/{lead}/keys", key, by=ADMINISTRATOR)).status == 201
    client.tokens[LEAD] = LEAD
    return client


async def publish(client: Client, document: Document, name: str = TYPE) -> Reply:
    body = {"policy_kind": "workflow", "policy_name": name, "document": document, "reason": "the shop wants it"}
    return await client.post("/v1/policies", body, by=ADMINISTRATOR)


async def placed(client: Client, units: int = 1) -> str:
    line = {"sku": "MUG", "quantity": units, "unit_price": "9.90"}
    reply = await client.post("/v1/orders", {"currency": "EUR", "type": TYPE, "lines": [line]})
    assert reply.status == 201, reply.body
    order: str = reply.body["result"]["order"]
    return order


async def advance(client: Client, order: str, event: str, **body: Any) -> Reply:
    return await client.post(f"/v1/orders/{order}/advance", {"event": event, **body}, by=LEAD)


async def report(client: Client, order: str, event: str) -> Reply:
    return await client.post(f"/v1/orders/{order}/events", {"event": event, "source": "proofs"}, by=PLANNER)


async def where(client: Client, order: str) -> tuple[str, int]:
    """The order's state, and the version of the workflow it walks by."""
    body = (await client.get(f"/v1/orders/{order}")).body
    return body["summary"]["state"], body["workflow_version"]


async def parts(client: Client, order: str) -> int:
    """How many fulfilment orders it has."""
    return len((await client.get(f"/v1/orders/{order}/fulfilment-orders")).body["items"])


async def test_orders_walk_added_states_and_a_bound_event_sources_them(shop: Client, door: Door, url: str):
    published = await publish(shop, proofed())
    assert (published.status, published.body["result"]["version"]) == (201, 1)
    order = await placed(shop, 2)
    await settled(door, url, build())
    assert await where(shop, order) == ("placed", 1), "the removed edge is not taken on placement"
    asked = await shop.post(f"/v1/orders/{order}/source", {}, by=LEAD)
    assert asked.body["type"] == "urn:trueup:rule:orders.transition"
    assert await parts(shop, order) == 0

    skipped = await advance(shop, order, "proof_approved")
    assert (skipped.status, skipped.body["type"]) == (422, "urn:trueup:rule:orders.transition")
    assert "in state 'placed'" in skipped.body["detail"]
    assert "proof_sent" in skipped.body["fix"], "what would be allowed is named"
    assert (await advance(shop, order, "proof_sent", reason="because")).body["type"] == "urn:trueup:rule:orders.reason"
    assert (await advance(shop, order, "proof_sent", reason="sent")).body["result"]["state"] == "proofing"
    assert (await report(shop, order, "proof_approved")).body["result"]["matched"] is True
    assert await where(shop, order) == ("approved", 1)
    assert await parts(shop, order) == 0, "nothing follows inside the first transaction"
    await settled(door, url, build())
    assert await where(shop, order) == ("sourced", 1)
    assert await parts(shop, order) == 1
    decision = (await shop.get(f"/v1/orders/{order}/sourcing")).body["items"][0]["decision"]
    assert (decision["mode"], decision["outcome"]) == ("demand", "assigned")
    await prove(url)


async def test_an_order_pinned_to_version_1_walks_on_by_it_when_version_2_is_active(shop: Client, door: Door, url: str):
    await publish(shop, proofed())
    old = await placed(shop)
    assert (await publish(shop, unproofed())).body["result"]["version"] == 2
    new = await placed(shop)
    await settled(door, url, build())
    assert (await advance(shop, old, "proof_sent")).body["result"]["state"] == "proofing"
    assert (await advance(shop, new, "proof_sent")).body["result"]["state"] == "approved"
    assert await where(shop, old) == ("proofing", 1)
    assert await where(shop, new) == ("approved", 2)
    assert (await report(shop, old, "proof_approved")).body["result"]["matched"] is True
    assert (await report(shop, new, "proof_approved")).body["result"]["matched"] is False, (
        "version 2 knows no such edge"
    )
    await settled(door, url, build())
    assert await where(shop, old) == ("sourced", 1)
    assert await where(shop, new) == ("approved", 2)
    await prove(url)


async def test_what_a_transition_binds_is_submitted_with_its_arguments(shop: Client, door: Door, url: str):
    document = proofed()
    hold = {"command": "orders.place_hold", "arguments": {"type": "manual", "reason": "the proof was refused"}}
    document["transitions"].append(edge("proofing", "proof_refused", "proofing", submit=hold))
    await publish(shop, document)
    order = await placed(shop)
    await advance(shop, order, "proof_sent")
    await report(shop, order, "proof_refused")
    await settled(door, url, build())
    holds = (await shop.get(f"/v1/orders/{order}")).body["holds"]
    assert [(hold["type"], hold["reason"]) for hold in holds] == [("manual", "the proof was refused")]
    await prove(url)


async def test_an_event_that_nobody_wanted_is_shown_and_counted(shop: Client, url: str):
    order, other = await placed(shop), await placed(shop)
    told = await report(shop, order, "parcel_scanned")
    assert (told.status, told.body["result"]["matched"]) == (200, False)
    body = (await shop.get(f"/v1/orders/{order}")).body
    assert body["summary"]["unmatched"] == 1
    assert [(e["event"], e["state"], e["source"]) for e in body["unmatched"]] == [
        ("parcel_scanned", "placed", "proofs")
    ]
    assert [row["id"] for row in (await shop.get("/v1/orders?unmatched=true")).body["items"]] == [order]
    assert await where(shop, order) == await where(shop, other), "it moved nothing"
    await prove(url)


def _without_waiting(document: Document) -> None:
    document["states"] = [state for state in document["states"] if state["name"] != "waiting"]


def _with(**more: Any) -> Callable[[Document], None]:
    """Add an edge; `from_` is its source."""
    return lambda document: document["transitions"].append({"from": more.pop("from_"), **more})


def _unreachable(document: Document) -> None:
    document["states"].append({"name": "engraving"})
    document["transitions"].append(edge("engraving", "sourced", "sourced"))


def _stuck(document: Document) -> None:
    document["states"].append({"name": "engraving"})
    document["transitions"].append(edge("placed", "engraved", "engraving"))


def _no_way_out(document: Document) -> None:
    document["transitions"] = [e for e in document["transitions"] if (e["from"], e["on"]) != ("placed", "cancelled")]


def _mistyped(document: Document) -> None:
    document["transitions"][0]["to"] = 5


_NEXT = len(shipped()["transitions"])
_SOURCED = [(e["from"], e["on"]) for e in shipped()["transitions"]].index(("placed", "sourced"))
MISTAKES: dict[str, tuple[Callable[[Document], None], str, str]] = {
    "a shipped state removed": (_without_waiting, "states", "the shipped state 'waiting' cannot be removed"),
    "an edge to nowhere": (
        _with(from_="placed", on="engraved", to="engraving"),
        f"transitions[{_NEXT}].to",
        "there is no state 'engraving'",
    ),
    "an edge from nowhere": (
        _with(from_="engraving", on="engraved", to="placed"),
        f"transitions[{_NEXT}].from",
        "there is no state 'engraving'",
    ),
    "an unknown command": (
        _with(from_="placed", on="engraved", to="placed", submit={"command": "orders.engrave"}),
        f"transitions[{_NEXT}].submit.command",
        "bind one of: ",
    ),
    "a command that is about no order": (
        _with(from_="placed", on="engraved", to="placed", submit={"command": "stock.receive"}),
        f"transitions[{_NEXT}].submit.command",
        "bind one of: ",
    ),
    "arguments of the wrong type": (
        _with(from_="placed", on="x", to="placed", submit={"command": "orders.cancel", "arguments": {"reason": 5}}),
        f"transitions[{_NEXT}].submit.arguments",
        "Expected `str`, got `int`",
    ),
    "arguments that the command does not have": (
        _with(from_="placed", on="x", to="placed", submit={"command": "orders.cancel", "arguments": {"why": "so"}}),
        f"transitions[{_NEXT}].submit.arguments",
        "unknown field `why`",
    ),
    "a state that nothing leads to": (_unreachable, "states", "no transition leads to 'engraving'"),
    "a state that nothing leads out of": (_stuck, "states", "'engraving' is not final, and nothing leads out of it"),
    "an edge out of a final state": (
        _with(from_="cancelled", on="revived", to="placed"),
        f"transitions[{_NEXT}].from",
        "nothing leads out of a final state",
    ),
    "two edges for one event": (
        _with(from_="placed", on="sourced", to="waiting"),
        f"transitions[{_SOURCED}].on",
        "'placed' has another edge for this event",
    ),
    "a required way out removed": (_no_way_out, "transitions", "the way out of 'placed' by 'cancelled' cannot be"),
    "an unknown first state": (lambda d: d.update(initial="new"), "initial", "there is no state 'new'"),
    "two states of one name": (lambda d: d["states"].append({"name": "placed"}), "states", "two states have one name"),
    "a value of the wrong type": (_mistyped, "transitions[0].to", "Expected `str`, got `int`"),
    "a field that is none": (lambda d: d.update(start="placed"), "", "unknown field `start`"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_document_with_a_mistake_is_refused_with_place_and_rule(shop: Client, url: str, mistake: str):
    change, place, words = MISTAKES[mistake]
    document = shipped()
    change(document)
    refused = await publish(shop, document)
    assert (refused.status, refused.body["type"]) == (422, "urn:trueup:rule:policy.invalid"), refused.body
    found = [detail for detail in refused.body["details"] if detail["where"] == place and words in detail["what"]]
    assert found, refused.body["details"]
    assert words in refused.body["detail"]
    assert await rows(url, "select count(*) from policy where kind = 'workflow'") == [(0,)], "nothing was published"
