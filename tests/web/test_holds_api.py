"""Holds, events and suspicions over the API; and the second of two writers is told what changed."""

from __future__ import annotations

from typing import Any

from tests.conftest import stocked
from tests.orders.holding import TYPES, rule, table
from tests.proof import prove
from tests.web.conftest import ADMINISTRATOR, DEPUTY, OTHER, PLANNER, Client
from tests.web.test_api_writes import expect_problem, order_of

from trueup import house
from trueup.core import json
from trueup.core.door import Door
from trueup.orders.workflow import Workflow
from trueup.storyline import settled


async def published(client: Client, kind: str, name: str, **document: Any) -> None:
    """Publish a policy document over the API."""
    body = {"policy_kind": kind, "policy_name": name, "document": document, "reason": "test"}
    reply = await client.post("/v1/policies", body, by=ADMINISTRATOR)
    assert reply.status == 201, reply.body


async def placed(client: Client, **more: Any) -> str:
    reply = await client.post("/v1/orders", order_of(2, **more))
    assert reply.status == 201, reply.body
    order: str = reply.body["result"]["order"]
    return order


async def test_a_hold_is_placed_shown_listed_and_released(client: Client, door: Door, url: str) -> None:
    await stocked(door, MUG=10)
    order = await placed(client)
    body = {"type": "address", "reason": "no street number", "line": 1}
    reply = await client.post(f"/v1/orders/{order}/holds", body, by=DEPUTY, If_Match='"1"')
    assert (reply.status, reply.headers["etag"]) == (201, '"2"')
    hold = reply.body["result"]["hold"]
    shown = (await client.get(f"/v1/orders/{order}")).body
    assert (shown["summary"]["hold_status"], shown["summary"]["holds"]) == ("held", 1)
    assert [(h["id"], h["line"], h["blocks"], h["status"]) for h in shown["holds"]] == [
        (hold, 1, ["sourced", "released"], "open")
    ]
    listed = (await client.get("/v1/holds?type=address&channel=web")).body["items"]
    assert [entry["id"] for entry in listed] == [hold]
    assert (await client.get("/v1/holds?type=fraud")).body["items"] == []
    assert (await client.get("/v1/holds?due=true")).body["items"] == []
    expect_problem(
        await client.post(f"/v1/holds/{hold}/release", {"reason": "fine"}, by=OTHER), 403, "authority.not_allowed"
    )
    released = await client.post(f"/v1/holds/{hold}/release", {"reason": "asked"}, by=DEPUTY)
    assert (released.status, released.headers["etag"]) == (200, '"3"')
    ended = (await client.get("/v1/holds?status=released")).body["items"]
    assert [(entry["id"], entry["release_reason"]) for entry in ended] == [(hold, "asked")]
    expect_problem(await client.post("/v1/holds/hld_0/release", {"reason": "x"}, by=DEPUTY), 404, "orders.unknown_hold")
    await prove(url)


async def test_a_hold_of_a_cancelled_order_is_listed_no_more(client: Client, door: Door, url: str) -> None:
    await stocked(door, MUG=10)
    order = await placed(client)
    await client.post(f"/v1/orders/{order}/holds", {"type": "address", "reason": "no street"}, by=DEPUTY)
    assert len((await client.get("/v1/holds")).body["items"]) == 1
    reply = await client.post(f"/v1/orders/{order}/cancel", {"reason": "customer"}, by=DEPUTY)
    assert reply.status == 200, reply.body
    assert (await client.get("/v1/holds")).body["items"] == []
    assert [hold["status"] for hold in (await client.get(f"/v1/orders/{order}")).body["holds"]] == ["open"]
    await prove(url)


async def test_many_holds_of_a_rule_are_released_in_bulk(client: Client, door: Door, url: str) -> None:
    await stocked(door, MUG=50)
    await published(client, "holds", "default", tables=[table(rule("dear", "credit", ("order.total", "over", "15")))])
    orders = [await placed(client) for _ in range(3)]
    page = (await client.get("/v1/holds?limit=2")).body
    rest = (await client.get(f"/v1/holds?limit=2&cursor={page['next']}")).body
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    assert {entry["order"] for entry in (*page["items"], *rest["items"])} == {*orders}
    assert {entry["rule"] for entry in page["items"]} == {"checks/dear"}
    reply = await client.post("/v1/holds/release", {"type": "credit", "reason": "limit raised"}, by=DEPUTY)
    assert reply.body["result"]["holds_released"] == 3
    assert (await client.get("/v1/orders?hold=held")).body["items"] == []
    await prove(url)


async def test_behaviour_40_a_rule_is_refused_what_people_decide(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    order = await placed(client)
    for type_, status in (("fraud", 422), ("manual", 422), ("compliance", 422), ("stock", 200), ("data", 200)):
        await client.post(f"/v1/orders/{order}/holds", {"type": type_, "reason": "look"}, by=DEPUTY)
        body = {"type": type_, "reason": "cause gone"}
        reply = await client.post(f"/v1/orders/{order}/holds/release-by-rule", body, by=PLANNER)
        assert reply.status == status, reply.body
    shown = (await client.get(f"/v1/orders/{order}")).body
    assert {h["type"] for h in shown["holds"] if h["status"] == "open"} == {"fraud", "manual", "compliance"}


async def test_a_mistake_in_the_document_is_refused_with_its_place(client: Client) -> None:
    types = [{**kind, "releasable_by_rule": True} for kind in TYPES]
    body = {"policy_kind": "holds", "policy_name": "default", "document": {"types": types}, "reason": "test"}
    problem = expect_problem(await client.post("/v1/policies", body, by=ADMINISTRATOR), 422, "policy.invalid")
    assert {detail["where"] for detail in problem["details"]} == {
        f"types[{at}].releasable_by_rule"
        for at, kind in enumerate(TYPES)
        if kind["name"] in ("fraud", "manual", "compliance")
    }


async def test_the_second_writer_is_told_what_changed(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    order = await placed(client)
    assert (await client.get(f"/v1/orders/{order}")).headers["etag"] == '"1"'
    first = await client.post(
        f"/v1/orders/{order}/cancel", {"lines": [{"line": 1, "quantity": 1}], "reason": "too many"}, If_Match='"1"'
    )
    assert first.status == 200
    held = await client.post(f"/v1/orders/{order}/holds", {"type": "address", "reason": "which street"}, by=DEPUTY)
    assert held.status == 201
    for path, body in (("cancel", {}), ("holds", {"type": "credit", "reason": "x"}), ("advance", {"event": "check"})):
        reply = await client.post(f"/v1/orders/{order}/{path}", body, by=DEPUTY, If_Match='"1"')
        problem = expect_problem(reply, 412, "orders.changed")
        assert [(detail["where"], detail["value"]) for detail in problem["details"]] == [
            ("version 2", "orders.cancelled"), ("version 3", "orders.hold_placed"),
        ]  # fmt: skip
        assert f"by {PLANNER}" in problem["detail"]
        assert "too many" in problem["details"][0]["what"]
        assert f"by {DEPUTY}" in problem["details"][1]["what"]
    newer = await client.post(f"/v1/orders/{order}/cancel", {}, If_Match='"2"')
    assert [d["where"] for d in expect_problem(newer, 412, "orders.changed")["details"]] == ["version 3"]
    ahead = await client.post(f"/v1/orders/{order}/cancel", {}, If_Match='"9"')
    assert "details" not in expect_problem(ahead, 412, "orders.changed")


async def test_a_workflow_is_walked_pinned_and_bound_through_the_api_alone(
    client: Client, door: Door, url: str
) -> None:
    """Two own states, one optional edge less, an own event bound to a command; version 1 holds after version 2."""
    await stocked(door, MUG=10)
    shipped = json.to_plain(Workflow())
    bound = {"command": "orders.place_hold", "arguments": {"type": "address", "reason": "under review"}}
    states = [*shipped["states"], {"name": "review"}, {"name": "approved"}]
    edges = [edge for edge in shipped["transitions"] if (edge["from"], edge["on"]) != ("placed", "unpaid")]
    edges += [
        {"from": "placed", "on": "review", "to": "review", "submit": bound},
        {"from": "review", "on": "approve", "to": "approved"},
        {"from": "review", "on": "cancelled", "to": "cancelled"},
        {"from": "approved", "on": "sourced", "to": "sourced"},
        {"from": "approved", "on": "cancelled", "to": "cancelled"},
    ]
    await published(client, "workflow", "sale", states=states, transitions=edges)
    order = await placed(client)
    await published(client, "workflow", "sale", **shipped)
    younger = await placed(client)
    assert (await client.post(f"/v1/orders/{order}/advance", {"event": "review"}, by=DEPUTY)).status == 200
    refused = await client.post(f"/v1/orders/{younger}/advance", {"event": "review"}, by=DEPUTY)
    assert "'placed'" in expect_problem(refused, 422, "orders.transition")["detail"]
    await settled(door, url, house.build())
    reported = await client.post(f"/v1/orders/{order}/events", {"event": "approve", "source": "desk"})
    assert reported.body["result"]["state"] == "approved"
    shown = (await client.get(f"/v1/orders/{order}")).body
    assert (shown["summary"]["state"], shown["workflow_version"]) == ("approved", 1)
    assert "address" in {entry["type"] for entry in shown["holds"]}
    listed = (await client.get("/v1/orders?state=approved")).body["items"]
    assert [entry["id"] for entry in listed] == [order]
    await client.post(f"/v1/orders/{order}/events", {"event": "weighed", "source": "WMS"})
    unmatched = (await client.get("/v1/orders?unmatched=true")).body["items"]
    assert [(entry["id"], entry["unmatched"]) for entry in unmatched] == [(order, 1)]
    shown = (await client.get(f"/v1/orders/{order}")).body["unmatched"]
    assert [(event["event"], event["state"], event["source"]) for event in shown] == [("weighed", "approved", "WMS")]
    await prove(url)


async def test_a_suspected_duplicate_is_shown_and_dismissed(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    first = await placed(client, contact={"email": "ada@example.com"})
    second = await placed(client, contact={"email": "ada@example.com"})
    shown = (await client.get(f"/v1/orders/{second}")).body["suspected"]
    assert (shown["earlier"], shown["status"]) == (first, "open")
    reply = await client.post(f"/v1/orders/{second}/dismiss-duplicate", {"reason": "two gifts"}, by=DEPUTY)
    assert reply.status == 200
    assert (await client.get(f"/v1/orders/{second}")).body["suspected"]["status"] == "dismissed"
    assert (await client.get(f"/v1/orders/{first}")).body["suspected"] is None
