"""Supply and promises over the API: a basket is asked about and writes nothing; supply is said and moved."""

from __future__ import annotations

from tests.conftest import stocked
from tests.organised import key_of, organise, scoped
from tests.proof import prove
from tests.requests import rows
from tests.web.conftest import Client, Serve

from trueup.core.door import Door

BASKET = {"lines": [{"sku": "MUG", "quantity": 4}], "country": "DE"}


async def test_supply_is_expected_moved_and_cancelled(client: Client, door: Door, url: str):
    await stocked(door, MUG=3)
    told = {
        "location": "MAIN",
        "sku": "MUG",
        "quantity": "5",
        "due": "2027-03-10",
        "reference": "PO-1",
        "source": "buyer",
    }
    made = await client.post("/v1/supplies", told)
    assert made.status == 201
    supply = made.body["result"]["supply"]
    assert made.headers["location"] == f"/v1/supplies/{supply}"
    assert (await client.get("/v1/supplies?sku=MUG&location=MAIN")).body["items"][0]["open"] == "5"
    moved = await client.post(f"/v1/supplies/{supply}/reschedule", {"due": "2027-03-12T08:00+01:00"})
    assert moved.body["result"]["due_at"] == "2027-03-12T07:00:00+00:00"
    refused = await client.post(f"/v1/supplies/{supply}/cancel", {"quantity": "9"})
    assert (refused.status, refused.body["where"]) == (422, "quantity")
    assert (await client.post(f"/v1/supplies/{supply}/cancel", {"quantity": "2"})).status == 200
    found = (await client.get(f"/v1/supplies/{supply}")).body
    assert (found["open"], found["cancelled"]) == ("3", "2")
    why = (await client.get("/v1/availability/explain?sku=MUG&location=MAIN")).body
    assert why["words"][0] == "3 on hand = 3 available"
    assert why["words"][1].startswith("3 to come with PO-1")
    assert (await client.get("/v1/stock/waiting?sku=MUG&location=MAIN")).body == {"items": []}
    await prove(url)


async def test_a_basket_is_promised_and_nothing_is_written(client: Client, door: Door, url: str):
    await stocked(door, MUG=5)
    before = await rows(url, "select max(position) from journal")
    promised = await client.post("/v1/promises", BASKET, key=None)
    assert promised.status == 200
    (method,) = promised.body["methods"]
    assert method["delivers_on"] is not None
    assert method["lines"][0]["sources"][0]["location"] == "MAIN"
    assert method["explain"][0] == "Line 1 is the last: 4 of 4 MUG on hand at MAIN."
    free = await client.post("/v1/availabilities", BASKET, key=None)
    assert free.body["locations"] == ["MAIN"]
    assert free.body["items"][0]["available"] == ["5"]
    assert await rows(url, "select max(position) from journal") == before


async def test_it_refuses_baskets_that_make_no_sense(client: Client, door: Door):
    await stocked(door, MUG=5)
    for path in ("/v1/promises", "/v1/availabilities"):
        unknown = await client.post(path, {"lines": [{"sku": "GHOST", "quantity": 1}]}, key=None)
        assert (unknown.status, unknown.body["where"]) == (422, "lines[0].sku")
        empty = await client.post(path, {"lines": []}, key=None)
        assert (empty.status, empty.body["where"]) == (400, "lines")
        assert (await client.post(path, BASKET, by=None, key=None)).status == 401


async def test_who_is_scoped_asks_about_their_own_sites_only(door: Door, serve: Serve):
    await organise(door)
    ada = await scoped(door, "Ada", "SHOP1")
    await key_of(door, ada, token := "tu_" + "a" * 40)
    bearer = f"Bearer {token}"
    async with serve() as client:
        mine = await client.post("/v1/availabilities", BASKET, by=None, key=None, Authorization=bearer)
        assert mine.body["locations"] == ["SHOP1"]
        others = {**BASKET, "locations": ["SHOP2"]}
        assert (await client.post("/v1/promises", others, by=None, key=None, Authorization=bearer)).status == 403
