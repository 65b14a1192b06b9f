"""Sourcing over the API: asked for, explained, changed by hand; and a store's people move their store's parts only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import stocked
from tests.organised import key_of, organise, scoped
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.test_broker import run, solved_here, two_cities, two_orders
from tests.sourcing.words import by, placed, publish
from tests.web.conftest import DEPUTY, Client, Reply, Serve

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders.channel import Channel
from trueup.sourcing.policy import LocationFilter, Rule

__all__ = ["solved_here"]
LEAD = "tu_" + "l" * 40


@pytest.fixture
async def lead(door: Door, client: Client) -> Client:
    """Two shops, A with four mugs and B with three, for one channel; and a fulfilment lead with a key."""
    await stocked(door, location="A", MUG=4)
    await stocked(door, location="B", MUG=3)
    await publish(door, "web", Channel(locations=("A", "B"), short="backorder"))
    await publish(door, "default", by(Rule("most stock", otherwise="partial")))
    client.tokens[LEAD] = await key_of(door, await scoped(door, "Lena"), LEAD)
    return client


async def sourced(client: Client, order: str, by: str = LEAD) -> dict[str, Any]:
    reply = await client.post(f"/v1/orders/{order}/source", {}, by=by)
    assert reply.status == 200, reply.body
    result: dict[str, Any] = reply.body["result"]
    return result


async def parts_of(client: Client, order: str) -> list[tuple[str, str, str]]:
    """The order's fulfilment orders as (location, status, units)."""
    reply = await client.get(f"/v1/orders/{order}/fulfilment-orders", LEAD)
    return [(part["location"], part["status"], part["units"]) for part in reply.body["items"]]


async def test_a_decision_is_explained_with_every_candidate(lead: Client, door: Door, url: str):
    near = Rule("near ones", where=LocationFilter(codes=("B",)), complete="order")
    await publish(door, "default", by(near, Rule("most stock", otherwise="partial")))
    order = await placed(door, MUG=5)
    result = await sourced(lead, order)
    assert result["outcome"] == "assigned"
    decision = (await lead.get(f"/v1/orders/{order}/sourcing", LEAD)).body["items"][0]["decision"]
    assert (decision["mode"], decision["rule"]) == ("demand", "most stock")
    first, second = decision["tried"]
    assert (first["rule"], first["outcome"]) == ("near ones", "no location has all of it: next")
    assert [(seen["location"], seen["rank"], seen["why"]) for seen in first["candidates"]] == [
        ("B", 1, "most_stock"),
        ("A", None, "not one of the rule's locations"),
    ]
    seen = [(seen["location"], seen["rank"], seen["units"]) for seen in second["candidates"]]
    assert seen == [("A", 1, {"MUG": "4"}), ("B", 2, {"MUG": "3"})]
    assert [(s["line"], s["sku"], s["location"], s["location_name"], s["quantity"]) for s in decision["shares"]] == [
        (1, "MUG", "A", "A", "4"),
        (1, "MUG", "B", "B", "1"),
    ]
    assert await parts_of(lead, order) == [("A", "open", "4"), ("B", "open", "1")]
    again = await lead.post(f"/v1/orders/{order}/source", {}, by=LEAD)
    assert (again.status, again.body["status"]) == (200, "merged")
    await prove(url)


async def test_only_the_mode_demand_can_be_asked_for(lead: Client, door: Door, url: str):
    order = await placed(door, MUG=1)
    bodies: tuple[dict[str, Any], ...] = ({"mode": "broker"}, {"run": "run_1"}, {"plan": []})
    for body in bodies:
        assert (await lead.post(f"/v1/orders/{order}/source", body, by=LEAD)).status == 400, body
    assert (await lead.post(f"/v1/orders/{order}/source", {}, by=DEPUTY)).status == 403
    assert await rows(url, "select count(*) from sourcing_decision") == [(0,)]


async def test_an_unknown_order_and_an_unknown_part_are_not_found(lead: Client, door: Door):
    for path in ("sourcing", "fulfilment-orders"):
        assert (await lead.get(f"/v1/orders/ord_none/{path}", LEAD)).status == 404
    assert (await lead.post("/v1/orders/ord_none/source", {}, by=LEAD)).status == 404
    assert (await lead.get("/v1/fulfilment-orders/ful_none", LEAD)).status == 404
    order = await placed(door, MUG=1)
    refused = await lead.post(f"/v1/orders/{order}/fulfilment-orders/ful_none/split", {"lines": [{"line": 1}]}, by=LEAD)
    assert (refused.status, refused.body["type"]) == (404, "urn:trueup:rule:sourcing.unknown_part")


async def test_parts_are_moved_split_merged_and_rejected_at_the_version_read(
    lead: Client, door: Door, url: str, clock: TurnedClock
):
    order = await placed(door, MUG=3)
    part = (await sourced(lead, order))["fulfilment_orders"][0]["fulfilment_order"]

    async def change(part: str, act: str, body: dict[str, Any], **headers: str) -> Reply:
        return await lead.post(f"/v1/orders/{order}/fulfilment-orders/{part}/{act}", body, by=LEAD, **headers)

    version = (await lead.get(f"/v1/orders/{order}", LEAD)).headers["etag"]
    split = await change(part, "split", {"lines": [{"line": 1, "quantity": 1}]}, If_Match=version)
    assert split.status == 200, split.body
    late = await change(part, "move", {"location": "B"}, If_Match=version)
    assert (late.status, late.body["type"]) == (412, "urn:trueup:rule:orders.changed")
    other = split.body["result"]["fulfilment_order"]
    assert await parts_of(lead, order) == [("A", "open", "3"), ("A", "open", "1")]
    merged = (await change(other, "merge", {"into": part})).body["result"]["fulfilment_order"]
    clock.turn(timedelta(minutes=1))
    moved = (await change(merged, "move", {"location": "B", "reason": "closer"})).body["result"]["fulfilment_order"]
    assert (await lead.get(f"/v1/fulfilment-orders/{moved}", LEAD)).body["location"] == "B"
    too_many = await change(moved, "move", {"location": "A", "lines": [{"line": 1, "quantity": 9}]})
    assert (too_many.status, too_many.body["where"]) == (422, "lines[0].quantity")
    rejected = await change(moved, "reject", {"reason": "damaged", "lines": [{"line": 1, "quantity": 2}]})
    assert rejected.body["result"]["rejected"] == {"1": "2"}
    assert await rows(
        url, "select damaged from stock_balance b join location l on l.id = b.location order by code"
    ) == [
        (0,),
        (2,),
    ]
    by_hand = (await lead.get(f"/v1/orders/{order}/sourcing", LEAD)).body["items"][0]["decision"]
    assert (by_hand["mode"], by_hand["note"]) == ("manual", "Lena: closer")
    await prove(url)


async def test_units_are_allocated_and_released_by_hand(lead: Client, door: Door, url: str):
    order = await placed(door, MUG=3)
    wanted = {"line": 1, "location": "B", "quantity": 2}
    allocated = await lead.post(f"/v1/orders/{order}/allocations", wanted, by=LEAD)
    assert allocated.status == 200, allocated.body
    refused = await lead.post(f"/v1/orders/{order}/allocations", wanted, by=LEAD)
    assert (refused.status, refused.body["type"]) == (422, "urn:trueup:rule:sourcing.too_many")
    released = await lead.post(f"/v1/orders/{order}/allocations/release", wanted, by=LEAD)
    assert released.body["result"]["allocated"] == "0"
    await prove(url)


async def test_what_waits_is_listed_by_queue(lead: Client, door: Door, clock: TurnedClock):
    await publish(door, "default", by(Rule("whole", complete="order", otherwise="queue", queue="by hand")))
    order = await placed(door, MUG=6)
    reply = await lead.post(f"/v1/orders/{order}/source", {}, by=LEAD)
    assert (reply.status, reply.body["status"]) == (202, "queued")
    clock.turn(timedelta(seconds=1))
    short = await placed(door, "later", MUG=1)
    queued = (await lead.get("/v1/sourcing/queues?queue=by+hand", LEAD)).body["items"]
    assert [(row["order"], row["units"], row["queue"]) for row in queued] == [(order, "6", "by hand")]
    assert (await lead.get("/v1/sourcing/queues?queue=other", LEAD)).body["items"] == []
    waiting = (await lead.get("/v1/sourcing/waiting", LEAD)).body["items"]
    assert [(row["order"], row["queue"]) for row in waiting] == [(order, "by hand"), (short, None)]
    only = (await lead.get("/v1/sourcing/waiting?queued=false", LEAD)).body["items"]
    assert [row["order"] for row in only] == [short]
    assert (await lead.get("/v1/sourcing/runs", LEAD)).body["items"] == []


async def test_a_run_is_read_with_its_orders(door: Door, url: str, client: Client, clock: TurnedClock):
    await two_cities(door, east=1, west=10)
    first, second = await two_orders(door, clock)
    report = await run(url, door)
    listed = (await client.get("/v1/sourcing/runs?limit=1")).body
    assert ([row["id"] for row in listed["items"]], listed["next"]) == ([report.run], None)
    one = (await client.get(f"/v1/sourcing/runs/{report.run}")).body
    assert (one["cost"], one["sequential_cost"], one["assigned"]) == ("6.00", "11.00", 2)
    assert {name: one["report"][name] for name in ("shipping", "split", "unreached")} == {
        "shipping": "6.00", "split": "0.00", "unreached": 0,
    }  # fmt: skip
    assert one["report"]["sequential"]["shipping"] == "11.00"
    orders = (await client.get(f"/v1/sourcing/runs/{report.run}/orders?limit=1")).body
    rest = (await client.get(f"/v1/sourcing/runs/{report.run}/orders?limit=1&cursor={orders['next']}")).body
    shown = [(row["order"], row["rule"], row["locations"]) for row in (*orders["items"], *rest["items"])]
    assert shown == sorted([(first, "plan", ["WEST"]), (second, "plan", ["EAST"])])
    assert rest["next"] is None
    assert (await client.get(f"/v1/sourcing/runs/{report.run}/orders?planned=false")).body["items"] == []
    for path in ("/v1/sourcing/runs/run_none", "/v1/sourcing/runs/run_none/orders"):
        assert (await client.get(path)).status == 404, path


async def test_the_description_names_what_a_decision_says(client: Client):
    described = (await client.get("/v1/openapi.json")).body
    candidate = described["components"]["schemas"]["CandidateSeen"]
    assert set(candidate["properties"]) == {"location", "location_name", "rank", "why", "distance_km", "units"}
    assert "/v1/sourcing/runs/{run}" in described["paths"]


async def test_a_stores_people_see_and_move_their_stores_parts_only(door: Door, serve: Serve, url: str):
    await organise(door)
    await publish(door, "web", Channel(locations=("SHOP1", "SHOP2")))
    rule = Rule("north first", sort=("priority",), ranking=("SHOP1", "SHOP2"), otherwise="partial")
    await publish(door, "default", by(rule))
    ada, whole = "tu_" + "a" * 40, "tu_" + "w" * 40
    async with serve() as client:
        client.tokens[ada] = await key_of(door, await scoped(door, "Ada", "SHOP1"), ada)
        client.tokens[whole] = await key_of(door, await scoped(door, "Wim"), whole)
        order = await placed(door, MUG=12)
        assert (await client.post(f"/v1/orders/{order}/source", {}, by=ada)).status == 403, "its channel is not hers"
        parts = {
            p["location"]: p["fulfilment_order"] for p in (await sourced(client, order, whole))["fulfilment_orders"]
        }
        listed = (await client.get("/v1/fulfilment-orders", ada)).body["items"]
        assert [part["location"] for part in listed] == ["SHOP1"]
        assert (await client.get("/v1/fulfilment-orders?location=SHOP2", ada)).body["items"] == []
        assert (await client.get(f"/v1/fulfilment-orders/{parts['SHOP2']}", ada)).status == 404
        assert (await client.get(f"/v1/orders/{order}/sourcing", ada)).status == 404
        path = f"/v1/orders/{order}/fulfilment-orders"
        units = {"lines": [{"line": 1, "quantity": 1}]}
        for part, act, body in (
            (parts["SHOP2"], "reject", {"reason": "other"}),
            (parts["SHOP2"], "split", units),
            (parts["SHOP2"], "merge", {"into": parts["SHOP1"]}),
            (parts["SHOP1"], "move", {"location": "SHOP2", **units}),
            ("ful_none", "reject", {"reason": "other"}),
        ):
            refused = await client.post(f"{path}/{part}/{act}", body, by=ada)
            assert refused.body["type"] == "urn:trueup:rule:authority.outside_scope", (part, act)
        taken = {"line": 1, "location": "SHOP1", "quantity": 1}
        assert (await client.post(f"/v1/orders/{order}/allocations/release", taken, by=ada)).status == 403
        assert (await client.post(f"{path}/{parts['SHOP1']}/split", units, by=ada)).status == 200
        rejected = await client.post(f"{path}/{parts['SHOP1']}/reject", {"reason": "not_found", **units}, by=ada)
        assert rejected.status == 200, rejected.body
    assert await rows(url, "select location, rejected from fulfilment_order where rejected > 0") != []
    await prove(url)
