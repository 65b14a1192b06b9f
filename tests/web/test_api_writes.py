"""Writing over the API: keys, versions, refusals. Every refusal says what, where, why and what to do."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg
import pytest
from tests.conftest import stocked
from tests.web.conftest import ADMINISTRATOR, DEPUTY, OTHER, PLANNER, Client, Reply, Serve

from trueup import house
from trueup.authority.register import RevokeKey
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.orders.place import PlaceOrder
from trueup.web.app import routed


def order_of(units: int = 1, **more: Any) -> dict[str, Any]:
    return {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": units, "unit_price": "10.00"}], **more}


def expect_problem(reply: Reply, status: int, rule: str) -> dict[str, Any]:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.body["type"] == f"urn:trueup:rule:{rule}"
    assert reply.body["status"] == status
    assert reply.body["title"]
    assert reply.body["detail"]
    assert reply.body["fix"]
    assert reply.body["instance"].startswith("urn:trueup:request:req_")
    body: dict[str, Any] = reply.body
    return body


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])


async def test_it_places_an_order_and_tells_the_same_again(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    first = await client.post("/v1/orders", order_of(3), key="one")
    again = await client.post("/v1/orders", order_of(3), key="one")
    assert first.status == again.status == 201
    assert first.body["result"] == again.body["result"]
    assert first.headers["location"] == again.headers["location"] == f"/v1/orders/{first.body['result']['order']}"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


async def test_one_key_sent_at_once_has_one_effect(client: Client, door: Door, url: str) -> None:
    await stocked(door, MUG=10)
    replies = await asyncio.gather(*(client.post("/v1/orders", order_of(), key="same") for _ in range(12)))
    assert {reply.body["result"]["order"] for reply in replies} == {replies[0].body["result"]["order"]}
    assert count(url, "orders") == 1


async def test_it_refuses_another_body_under_a_used_key(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    await client.post("/v1/orders", order_of(1), key="one")
    problem = expect_problem(await client.post("/v1/orders", order_of(2), key="one"), 409, "door.key_reused")
    assert problem["where"] == "Idempotency-Key"


@pytest.mark.parametrize("key", [None, "x" * 201, "with space", ""])
async def test_it_refuses_a_write_without_a_usable_key(client: Client, url: str, key: str | None) -> None:
    before = count(url, "door_key")
    problem = expect_problem(await client.post("/v1/orders", order_of(), key=key), 400, "request.key_missing")
    assert problem["where"] == "Idempotency-Key"
    assert count(url, "door_key") == before


async def test_it_refuses_who_is_nobody_and_writes_nothing(client: Client, url: str) -> None:
    before = count(url, "door_key")
    for authorization in ("", "Bearer tu_guessed", "Basic dXNlcjpwYXNz", "Bearer "):
        for path in ("/v1/orders", "/v1/orders/ord_x/cancel"):
            reply = await client.post(path, order_of(), by=None, Authorization=authorization)
            expect_problem(reply, 401, "authority.unauthenticated")
            assert reply.headers["www-authenticate"].startswith("Bearer")
    assert count(url, "door_key") == before


async def test_it_refuses_who_may_not(client: Client, door: Door, url: str) -> None:
    await stocked(door, MUG=10)
    problem = expect_problem(await client.post("/v1/orders", order_of(), by=OTHER), 403, "authority.not_allowed")
    assert "Order Agent" in problem["fix"]
    assert count(url, "orders") == 0
    assert (await client.post("/v1/orders", order_of(), by=DEPUTY)).status == 201


async def test_a_revoked_key_is_refused_at_once_whatever_this_process_remembers(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    assert (await client.post("/v1/orders", order_of())).status == 201
    keys = await client.get("/v1/actors", by=ADMINISTRATOR)
    actor = next(entry["id"] for entry in keys.body["items"] if entry["name"] == PLANNER)
    listed = await client.get(f"/v1/actors/{actor}/keys", by=ADMINISTRATOR)
    assert set(listed.body["items"][0]) == {"id", "actor", "label", "at", "expires_at", "revoked_at", "scope"}
    await door.submit(SYSTEM, RevokeKey(key=listed.body["items"][0]["id"]), "revoke")
    expect_problem(await client.post("/v1/orders", order_of()), 401, "authority.unauthenticated")


@pytest.mark.parametrize(
    ("body", "rule", "where"),
    [
        (b'{"currency": "EUR"', "request.malformed", ""),
        (b"", "request.malformed", ""),
        (b'{"currency": "\xff"}', "request.malformed", ""),
        (b"[]", "request.invalid", ""),
        (b'{"currency": "EUR", "lines": []}', "request.invalid", "lines"),
        (order_of(colour="red"), "request.invalid", "colour"),
        ({"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 1, "unit_price": 1.5}]}, "request.invalid",
         "lines[0].unit_price"),
        ({"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 1.5, "unit_price": "1"}]}, "request.invalid",
         "lines[0].quantity"),
        ({"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 1, "unit_price": "NaN"}]}, "request.invalid",
         "lines[0].unit_price"),
        ({"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 1, "unit_price": "1", "size": 3}]},
         "request.invalid", "lines[0].size"),
        (order_of(contact="per_somebody_else"), "request.invalid", "contact"),
        (b'{"currency": "EUR\\u0000"}', "request.invalid", ""),
    ],
)  # fmt: skip
async def test_it_names_what_is_wrong_with_a_body(client: Client, url: str, body: Any, rule: str, where: str) -> None:
    before = count(url, "door_key")
    problem = expect_problem(await client.post("/v1/orders", body), 400, rule)
    assert problem.get("where", "") == where
    assert count(url, "door_key") == before, "what cannot be understood takes no key"


async def test_it_limits_the_size_of_a_body(client: Client) -> None:
    expect_problem(await client.post("/v1/orders", b" " * 1_000_001), 413, "request.too_large")
    reply = await client.post("/v1/orders/ord_x/cancel", b" " * 1_000_001)
    expect_problem(reply, 413, "http.request_entity_too_large")
    expect_problem(await client.post("/v1/stock/counts", b" " * 1_000_001), 400, "request.malformed")


async def test_it_takes_plain_json_only(client: Client) -> None:
    reply = await client.post("/v1/orders", b"<order/>", Content_Type="application/xml")
    expect_problem(reply, 415, "request.media_type")
    reply = await client.post("/v1/orders", b"{}", Content_Encoding="gzip")
    expect_problem(reply, 415, "request.media_type")


async def test_a_refused_order_names_every_short_line(client: Client, door: Door, url: str) -> None:
    await stocked(door, MUG=2, PLATE=1)
    body = order_of(3)
    body["lines"].append({"sku": "PLATE", "quantity": 2, "unit_price": "5.00"})
    problem = expect_problem(await client.post("/v1/orders", body), 422, "stock.short")
    assert [detail["where"] for detail in problem["details"]] == ["lines[0].quantity", "lines[1].quantity"]
    assert problem["value"] == "3"
    assert count(url, "orders") == 0
    assert (await client.post("/v1/orders", order_of(2))).status == 201, "nothing was reserved by the refused order"


async def test_a_version_that_moved_is_refused(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    order = (await client.post("/v1/orders", order_of(5))).body["result"]["order"]
    seen = await client.get(f"/v1/orders/{order}")
    assert seen.headers["etag"] == '"1"'
    one = {"lines": [{"line": 1, "quantity": 1}], "reason": "customer"}
    first = await client.post(f"/v1/orders/{order}/cancel", one, If_Match='"1"')
    assert first.status == 200
    assert first.headers["etag"] == '"2"'
    expect_problem(await client.post(f"/v1/orders/{order}/cancel", one, If_Match='"1"'), 412, "orders.changed")
    expect_problem(await client.post(f"/v1/orders/{order}/cancel", one, If_Match="yes"), 400, "request.header")
    now = await client.get(f"/v1/orders/{order}")
    assert now.body["lines"][0]["cancelled"] == "1"
    assert (await client.post(f"/v1/orders/{order}/cancel", b"")).status == 200, "no body cancels all that is left"


async def test_what_is_not_there_is_404(client: Client) -> None:
    expect_problem(await client.post("/v1/orders/ord_none/cancel", {}), 404, "orders.unknown")
    expect_problem(await client.post("/v1/cases/case_none/comment", {"text": "?"}), 404, "cases.unknown")
    expect_problem(await client.send("PUT", "/v1/actors/act_none", {"name": "N", "roles": []}, ADMINISTRATOR, "fresh"),
                   404, "authority.unknown_actor")  # fmt: skip
    expect_problem(await client.post("/v1/nothing", {}), 404, "http.not_found")


async def test_a_full_queue_is_told_to_wait(serve: Serve) -> None:
    async with serve(queue_max=0) as client:
        reply = await client.post("/v1/orders", order_of())
    expect_problem(reply, 429, "server.busy")
    assert reply.headers["retry-after"] == "1"


async def test_a_command_that_breaks_is_set_aside_and_said_so(serve: Serve, door: Door, url: str) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    shipped = house.build()
    verb = msgspec.structs.replace(shipped.verbs[PlaceOrder], decide=broken)
    broken_house = msgspec.structs.replace(shipped, verbs={**shipped.verbs, PlaceOrder: verb})
    async with serve(routed(broken_house)) as client:
        expect_problem(await client.post("/v1/orders", order_of()), 500, "door.quarantined")
    assert count(url, "quarantined_command") == 1


async def test_the_verbs_of_a_day(client: Client) -> None:
    assert (await client.post("/v1/locations", {"code": "MAIN", "name": "Main"})).status == 201
    assert (await client.send("PUT", "/v1/items/MUG", {"name": "Mug", "aliases": ["mug-1"]}, key="fresh")).status == 200
    assert (await client.send("PUT", "/v1/items/MUG", {"name": "Mug"}, key="fresh")).body["status"] == "merged"
    customer = await client.post("/v1/customers", {"source": "shop", "number": "7", "contact": {"name": "Ann Bee"}})
    assert (await client.get(customer.headers["location"])).body["contact"]["name"] == "Ann Bee"
    lines = [{"sku": "mug-1", "quantity": 9}]
    receipt = {"location": "MAIN", "lines": lines, "reference": "D1"}
    assert (await client.post("/v1/stock/receipts", receipt)).status == 200
    safety = {"location": "MAIN", "sku": "MUG", "quantity": 2}
    assert (await client.post("/v1/stock/safety", safety)).status == 200
    held = {"location": "MAIN", "lines": [{"sku": "MUG", "quantity": 3}], "expires_at": "2026-03-02T10:00:00Z"}
    reservation = (await client.post("/v1/reservations", held)).body["result"]["reservation"]
    found = (await client.get("/v1/availability?sku=mug-1&location=MAIN")).body["items"][0]
    assert (found["available"], found["reserved"]) == ("4", "3")
    assert found["explanation"] == "9 on hand - 3 reserved - 2 safety stock = 4 available"
    assert (await client.send("DELETE", f"/v1/reservations/{reservation}", key="fresh")).status == 200
    change = {"location": "MAIN", "sku": "MUG", "change": "-1", "reason": "broken", "reference": "A1"}
    assert (await client.post("/v1/stock/adjustments", change)).body["result"]["on_hand"] == "8"
    counted = {"location": "MAIN", "lines": [{"sku": "MUG", "counted": 7}], "reference": "C1",
               "counted_at": "2026-03-02T09:00:00Z"}  # fmt: skip
    assert (await client.post("/v1/stock/counts", counted)).status == 200
    assert [row["on_hand"] for row in (await client.get("/v1/stock?search=MU")).body["items"]] == ["7"]


async def test_a_case_is_opened_acted_on_and_closed(client: Client, door: Door) -> None:
    await stocked(door, MUG=1)
    order = (await client.post("/v1/orders", order_of())).body["result"]["order"]
    opened = {"cause": "test:1", "kind": "test", "title": "Odd", "severity": 2, "owner_role": "Finance",
              "price_per_hour": "2.50", "subjects": [{"type": "order", "id": order, "detail": "odd"}]}  # fmt: skip
    case = (await client.post("/v1/cases", opened)).body["result"]["case"]
    assert (await client.post(f"/v1/cases/{case}/comment", {"text": "looking"})).status == 200
    early = {"root_cause": "software", "note": "fixed"}
    expect_problem(await client.post(f"/v1/cases/{case}/close", early), 422, "cases.not_acted")
    held = await client.post(f"/v1/orders/{order}/holds", {"type": "manual", "reason": "looking"})
    assert held.status == 201, held.body
    assert (await client.post(f"/v1/cases/{case}/act", {"effect": order, "note": "held"})).status == 200
    assert (await client.post(f"/v1/cases/{case}/close", early)).status == 200
    detail = (await client.get(f"/v1/cases/{case}")).body
    assert detail["summary"]["status"] == "closed"
    assert detail["price_per_day"] == "60.00"
    assert detail["subjects"][0]["id"] == order


async def test_it_rehearses_and_leaves_nothing(client: Client, door: Door, url: str) -> None:
    await stocked(door, MUG=4)
    before = count(url, "journal"), count(url, "door_key")
    step = {"verb": "orders.place", "command": order_of(3)}
    reply = await client.post("/v1/rehearse", {"commands": [step, step]}, key=None)
    assert [item["outcome"]["status"] for item in reply.body["items"]] == ["applied", "refused"]
    assert [event["name"] for event in reply.body["items"][0]["events"]] == ["orders.placed", "stock.reserved"]
    assert (count(url, "journal"), count(url, "door_key")) == before
    wrong = {"commands": [step, {"verb": "orders.place", "command": {"currency": "EUR", "lines": [{"sku": 1}]}}]}
    problem = expect_problem(await client.post("/v1/rehearse", wrong, key=None), 400, "request.invalid")
    assert problem["where"] == "commands[1].command.lines[0].sku"
