"""Reading over the API: cursors that skip nothing, filters, the journal's feed, and the description of it all."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import pytest
from tests.conftest import stocked
from tests.web.conftest import ADMINISTRATOR, OTHER, Client
from tests.web.test_api_writes import expect_problem, order_of

from trueup.core.door import Door
from trueup.core.errors import DatabaseUnreachable, Unknown
from trueup.web.api.problems import problem_of, refusal_of_error


async def place(client: Client, number: int) -> str:
    body = order_of(external_ids={"shop": f"W-{number:04}"}, contact={"name": "Ann", "email": "ann@example.com"})
    order: str = (await client.post("/v1/orders", body)).body["result"]["order"]
    return order


async def pages(client: Client, path: str) -> list[dict[str, Any]]:
    """Walk a list by its cursor to the end."""
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await client.get(path + cursor)).body
        rows += page["items"]
        if page["next"] is None:
            return rows
        cursor = f"&cursor={page['next']}"


async def test_pages_skip_nothing_while_orders_come_in(client: Client, door: Door) -> None:
    await stocked(door, MUG=1000)
    before = [await place(client, number) for number in range(25)]
    coming = asyncio.gather(*(place(client, number) for number in range(100, 140)))
    seen = [row["id"] for row in await pages(client, "/v1/orders?limit=4")]
    await coming
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)
    assert len(await pages(client, "/v1/orders?limit=7")) == 65


async def test_filters_and_search_find_orders(client: Client, door: Door) -> None:
    await stocked(door, MUG=1000)
    first, second = [await place(client, number) for number in (1, 2)]
    await client.post(f"/v1/orders/{first}/cancel", {})
    cancelled = (await client.get("/v1/orders?fulfilment=cancelled&managed=true&channel=web")).body["items"]
    assert [row["id"] for row in cancelled] == [first]
    number = (await client.get(f"/v1/orders/{second}")).body["number"]
    for text in ("W-0002", "w-0002", number, number.lower()[:12], second):
        assert [row["id"] for row in (await client.get(f"/v1/orders?search={text}")).body["items"]] == [second]
    assert len((await client.get("/v1/orders?search=ANN@example.com")).body["items"]) == 2
    assert (await client.get(f"/v1/orders/{number}")).body["id"] == second
    assert (await client.get("/v1/orders?search=nothing")).body == {"items": [], "next": None, "capped": False}


async def test_an_order_is_read_with_its_timeline(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    order = await place(client, 1)
    found = await client.get(f"/v1/orders/{order}")
    assert found.body["contact"]["email"] == "ann@example.com"
    assert found.body["totals"]["total"] == "10.00"
    assert (await client.get(f"/v1/orders/{order}", If_None_Match=found.headers["etag"])).status == 304
    assert (await client.send("HEAD", f"/v1/orders/{order}")).status == 200
    names = [entry["name"] for entry in (await client.get(f"/v1/orders/{order}/timeline")).body["items"]]
    assert names == ["orders.place", "orders.placed", "stock.reserved"]
    expect_problem(await client.get("/v1/orders/ord_none/timeline"), 404, "read.unknown")


async def test_the_feed_is_gapless_and_holds_no_personal_words(client: Client, door: Door) -> None:
    await stocked(door, MUG=100)
    await asyncio.gather(*(place(client, number) for number in range(20)))
    after, positions, text = 0, [], ""
    while (feed := (await client.get(f"/v1/events?after={after}&limit=7")).body)["items"]:
        positions += [entry["position"] for entry in feed["items"]]
        text += str(feed)
        after = feed["next"]
    assert positions == list(range(1, len(positions) + 1))
    assert "ann@example.com" not in text
    assert "per_" in text


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("colour=red", "colour"), ("limit=0", "limit"), ("limit=201", "limit"), ("limit=many", "limit"),
        ("limit=5&limit=6", "limit"), ("managed=perhaps", "managed"),
        ("placed_from=2026-01-01T00:00:00", "placed_from"),
        ("search=%00", "search"), ("search=" + "x" * 1001, "search"), ("cursor=nonsense", "cursor"),
        ("cursor=WyJhIiwiYiJd", "cursor"), ("search=%ff", ""),
    ],
)  # fmt: skip
async def test_it_names_what_is_wrong_with_a_query(client: Client, query: str, where: str) -> None:
    reply = await client.get(f"/v1/orders?{query}")
    problem = expect_problem(reply, 400, "read.cursor" if where == "cursor" else "request.invalid")
    assert problem.get("where", "") == where


async def test_reads_need_the_right(client: Client) -> None:
    expect_problem(await client.get("/v1/orders", by=None), 401, "authority.unauthenticated")
    expect_problem(await client.get("/v1/actors", by=OTHER), 403, "authority.not_allowed")
    assert (await client.get("/v1/actors", by=ADMINISTRATOR)).status == 200
    for path in ("/v1/items/none", "/v1/locations/none", "/v1/customers/none", "/v1/cases/none", "/v1/migrations/none",
                 "/v1/orders/a%00b", "/v1/nothing"):  # fmt: skip
        assert (await client.get(path)).status == 404, path
    reply = await client.send("PATCH", "/v1/orders", {})
    expect_problem(reply, 405, "http.method_not_allowed")
    assert "POST" in reply.headers["allow"]


async def test_health_needs_no_key(client: Client) -> None:
    assert (await client.get("/healthz", by=None)).status == 200
    assert (await client.get("/readyz", by=None)).status == 200
    await client.get("/v1/orders")
    assert b'route="/v1/orders",status="200"' in (await client.get("/metrics", by=None)).body


async def test_every_answer_carries_the_security_headers(client: Client) -> None:
    for path in ("/v1/orders", "/v1/nothing", "/nothing", "/v1/docs", "/healthz"):
        headers = (await client.get(path, by=None)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in headers, "only over https"
    assert "content-security-policy" in (await client.post("/v1/orders", {}, by=None)).headers


async def test_the_description_is_whole_and_the_reference_needs_no_other_host(client: Client) -> None:
    document = (await client.get("/v1/openapi.json", by=None)).body
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    names = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))
    assert names <= set(schemas)
    assert schemas["Charge"]["properties"]["amount"]["type"] == "string"
    assert schemas["PlaceOrder"]["additionalProperties"] is False
    assert {"type": "string"} not in schemas["PlaceOrder"]["properties"]["contact"].get("anyOf", [])
    assert "version" not in schemas["CancelOrderBody"]["properties"]
    page = (await client.get("/v1/docs", by=None)).body
    for name in ("reference.js", "reference.css"):
        page += (await client.get(f"/v1/docs/{name}", by=None)).body
    assert not re.findall(rb"""(?:src|href)=["']?https?:|url\(https?:|from ["']https?:""", page)
    assert (await client.get("/v1/docs/../app.py", by=None)).status == 404


def test_a_lost_answer_says_to_ask_again_with_the_same_key() -> None:
    lost, away = refusal_of_error(Unknown("x")), refusal_of_error(DatabaseUnreachable("x"))
    assert lost is not None
    assert away is not None
    assert problem_of(lost).status == 504
    assert "same Idempotency-Key" in problem_of(lost).fix
    assert problem_of(away).status == 503


async def test_a_head_without_end_is_cut_off(client: Client) -> None:
    host, port = client.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(
        b"X-%s: %s\r\n" % (uuid.uuid4().hex.encode(), b"y" * 900) for _ in range(80)
    ))  # fmt: skip
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_policy_is_read_as_shipped_and_as_published(client: Client) -> None:
    assert (await client.get("/v1/policies")).body["items"] == []
    kind = (await client.get("/v1/policies/ladder")).body
    assert (kind["shipped"]["pause_hours"], kind["versions"]) == (24, [])
    document = {**kind["shipped"], "pause_hours": 8}
    body = {"policy_kind": "ladder", "policy_name": "default", "document": document, "reason": "sooner"}
    assert (await client.post("/v1/policies", body, by=ADMINISTRATOR)).status == 201
    listed = (await client.get("/v1/policies")).body["items"]
    assert listed == [{"kind": "ladder", "name": "default", "version": 1}]
    (version,) = (await client.get("/v1/policies/ladder")).body["versions"]
    assert (version["document"], version["reason"], version["active"]) == (document, "sooner", True)
    expect_problem(await client.get("/v1/policies/nothing"), 404, "read.unknown")


async def test_a_partner_is_registered_amended_and_read_as_of_a_time(client: Client) -> None:
    terms = {"name": "Brno", "lead_days": 14, "gln": "4012345000009"}
    assert (await client.send("PUT", "/v1/partners/BRNO", terms, key="fresh")).status == 200
    wrong = await client.post("/v1/partners/amend", {"rows": [{"code": "BRNO", "fields": {"gln": "4012345000008"}}]})
    expect_problem(wrong, 422, "catalogue.gln")
    later = {"rows": [{"code": "BRNO", "fields": {"lead_days": 9}, "effective_from": "2099-01-01"}]}
    assert (await client.post("/v1/partners/amend", later)).body["result"] == {"partners": 0, "planned": 1}
    found = (await client.get("/v1/partners/BRNO")).body
    assert (found["partner"]["lead_days"], found["agreement"], found["items"]) == (14, "in_force", 0)
    assert (await client.get(f"/v1/partners/{found['partner']['id']}")).body == found
    listed = (await client.get("/v1/partners?kind=supplier&search=BR")).body["items"]
    assert [one["partner"]["code"] for one in listed] == ["BRNO"]
    assert (await client.get("/v1/partners/BRNO/as-of?at=2099-01-02T00:00:00Z")).body["lead_days"] == 9
    assert [one["key"] for one in (await client.get("/v1/amendments?object=BRNO")).body["items"]] == ["BRNO"]
    assert (await client.get("/v1/partners/NONE")).status == 404
