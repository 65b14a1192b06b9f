"""Freezes, feeds and pools over HTTP; an integration's key is stopped like anyone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import rows
from tests.stock.test_freeze import publish
from tests.web.conftest import DEPUTY, Client, Reply
from tests.web.test_api_writes import expect_problem

from trueup.core.clock import TurnedClock
from trueup.core.door import Door

NIGHT = (START + timedelta(hours=8)).isoformat()


async def freeze_main(client: Client) -> str:
    """Announce and start a freeze of MAIN over the API."""
    made = await client.post("/v1/freezes", {"location": "MAIN", "to_at": NIGHT, "reason": "stocktake"})
    assert made.status == 201, made.body
    freeze: str = made.body["result"]["freeze"]
    assert made.headers["location"] == f"/v1/freezes/{freeze}"
    started = await client.post(f"/v1/freezes/{freeze}/start", {})
    assert started.body["result"]["life"] == "frozen"
    return freeze


async def adjust(client: Client, change: int) -> Reply:
    body = {"location": "MAIN", "sku": "MUG", "change": change, "reason": "found", "reference": f"A{change}"}
    return await client.post("/v1/stock/adjustments", body)


@pytest.mark.parametrize("facts", ["queue", "refuse"])
async def test_an_integration_s_key_is_stopped_like_anyone(client: Client, door: Door, url: str, facts: str):
    await stocked(door, MUG=10)
    await publish(door, "freeze", facts=facts)
    freeze = await freeze_main(client)
    problem = expect_problem(await adjust(client, -1), 422, "stock.frozen")
    assert freeze in problem["detail"]
    receipt = {"location": "MAIN", "reference": "D1", "lines": [{"sku": "MUG", "quantity": 5}]}
    reply = await client.post("/v1/stock/receipts", receipt)
    if facts == "queue":
        assert (reply.status, reply.body["status"], reply.body["result"]["intent"]) == (202, "queued", 1)
    else:
        expect_problem(reply, 422, "stock.frozen")
    assert await rows(url, "select on_hand from stock_balance") == [(10,)]
    await prove(url)


async def test_a_freeze_is_read_thawed_and_listed(client: Client, door: Door, clock: TurnedClock):
    await stocked(door, MUG=10, PLATE=3)
    freeze = await freeze_main(client)
    await client.post(
        "/v1/stock/receipts", {"location": "MAIN", "reference": "D1", "lines": [{"sku": "MUG", "quantity": 5}]}
    )
    detail = (await client.get(f"/v1/freezes/{freeze}")).body
    assert (detail["life"], detail["intents"][0]["verb"]) == ("frozen", "stock.receive")
    kept = (await client.get(f"/v1/freezes/{freeze}/balances?limit=1")).body
    assert [row["sku"] for row in kept["items"]] == ["MUG"]
    rest = (await client.get(f"/v1/freezes/{freeze}/balances?limit=1&cursor={kept['next']}")).body
    assert [(row["sku"], row["on_hand"], row["on_hand_now"]) for row in rest["items"]] == [("PLATE", "3", "3")]
    thawed = await client.post(f"/v1/freezes/{freeze}/thaw", {"reason": "done"})
    assert thawed.body["result"]["waiting"] == 1
    listed = (await client.get("/v1/freezes?live=true&location=MAIN")).body["items"]
    assert [row["life"] for row in listed] == ["thawing"]
    assert (await client.get("/v1/freezes/frz_none")).status == 404
    expect_problem(await client.post("/v1/freezes/frz_none/thaw", {"reason": "x"}), 404, "stock.unknown_freeze")
    other = await client.post("/v1/freezes", {"location": "MAIN", "to_at": NIGHT, "reason": "no"}, by=DEPUTY)
    expect_problem(other, 403, "authority.not_allowed")


async def test_a_feed_with_bad_rows_is_taken_and_corrected(client: Client, door: Door, url: str):
    await stocked(door, MUG=10, PLATE=3)
    found: list[dict[str, Any]] = [
        {"sku": "MUG", "quantity": 8},
        {"sku": "CUP", "quantity": 1},
        {"sku": "PLATE", "quantity": 2.5},
        {"sku": "PLATE", "quantity": None, "location": "MAIN"},
    ]
    body = {"source": "wms", "as_of": START.isoformat(), "location": "MAIN", "rows": found}
    reply = await client.post("/v1/stock/feeds", body)
    assert reply.status == 200, reply.body
    result = reply.body["result"]
    assert (result["rows"], result["applied"], result["quarantined"]) == (4, 1, 3)
    listed = (await client.get("/v1/stock/feed-rows?source=wms&limit=2")).body
    assert [(row["row"], row["field"], row["value"]) for row in listed["items"]] == [
        (2, "sku", "CUP"),
        (3, "quantity", "2.5"),
    ]
    more = (await client.get(f"/v1/stock/feed-rows?limit=2&cursor={listed['next']}")).body
    assert [(row["row"], row["value"]) for row in more["items"]] == [(4, "null")]
    correction = {"row": 3, "quantity": "2.5", "reason": "written as a float"}
    assert (await client.post(f"/v1/stock/feeds/{result['feed']}/corrections", correction)).status == 200
    discard = {"row": 4, "reason": "noise"}
    assert (await client.post(f"/v1/stock/feeds/{result['feed']}/discards", discard)).status == 200
    summary = (await client.get(f"/v1/stock/feeds/{result['feed']}")).body
    assert [summary[name] for name in ("applied", "quarantined", "ignored")] == [2, 1, 1]
    assert [row["id"] for row in (await client.get("/v1/stock/feeds?open=true")).body["items"]] == [result["feed"]]
    whole = {**body, "rows": [{"sku": "MUG", "quantity": 1, "colour": "red"}]}
    expect_problem(await client.post("/v1/stock/feeds", whole), 400, "request.invalid")
    expect_problem(await client.post("/v1/stock/feeds/feed_x/reject", {"reason": "x"}), 404, "stock.unknown_feed")
    await prove(url)


async def test_a_pool_is_set_and_what_a_channel_may_claim_is_told(client: Client, door: Door):
    await stocked(door, MUG=10)
    pool = {"location": "MAIN", "sku": "MUG", "channel": "store", "mode": "reserve", "quantity": 6}
    assert (await client.post("/v1/stock/pools", pool)).status == 200
    listed = (await client.get("/v1/stock/pools?channel=store")).body["items"]
    assert [(row["sku"], row["mode"], row["quantity"], row["used"]) for row in listed] == [("MUG", "reserve", "6", "0")]
    web = (await client.get("/v1/claimable?sku=MUG&location=MAIN&channel=web")).body
    assert (web["available"], web["explanation"]) == ("4", "10 on hand - 6 kept for channel store = 4 available")
    store = (await client.get("/v1/claimable?sku=MUG&location=MAIN&channel=store")).body
    assert store["available"] == "10"
    assert (await client.post("/v1/stock/pools", {**pool, "quantity": None})).status == 200
    assert (await client.get("/v1/stock/pools")).body["items"] == []
    assert (await client.get("/v1/claimable?sku=CUP&location=MAIN")).status == 404
