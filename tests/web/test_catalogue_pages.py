"""Attributes of items and locations through the API and on their pages."""

from __future__ import annotations

from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import until
from tests.web.conftest import ADMINISTRATOR, PLANNER, Client
from tests.web.console_visitor import console, person, signed_in

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

FIELDS = {"fields": [{"name": "colour", "searchable": True, "label": "Main colour"}]}


async def test_the_api_takes_and_shows_what_an_item_is(client: Client, door: Door, url: str):
    await stocked(door, MUG=1)
    policy = {"policy_kind": "fields", "policy_name": "item", "document": FIELDS, "reason": "seasons"}
    assert (await client.post("/v1/policies", policy, by=ADMINISTRATOR)).status == 201
    item = {
        "name": "Set", "kind": "kit", "phantom": True, "components": [{"sku": "MUG", "quantity": "2"}],
        "units": {"case": 12}, "fields": {"colour": "red"}, "lead_days": 4,
    }  # fmt: skip
    assert (await client.send("PUT", "/v1/items/SET", item, key="fresh")).status == 200
    found = (await client.get("/v1/items/SET")).body["item"]
    assert (found["phantom"], found["units"], found["fields"]) == (True, {"case": "12"}, {"colour": "red"})
    assert [part[1] for part in found["components"]] == ["2"]

    async def known() -> bool:
        return (await client.get("/v1/items?field=colour:red")).status == 200

    await until(known)  # a process reads policies at most a second late
    listed = await client.get("/v1/items?field=colour:red")
    assert [row["sku"] for row in listed.body["items"]] == ["SET"]
    wrong = await client.get("/v1/items?field=size:red")
    assert (wrong.status, "colour" in wrong.body["fix"]) == (400, True)
    await prove(url)


async def test_costs_and_site_operation_through_the_api(client: Client, door: Door, url: str):
    await stocked(door, MUG=1)
    cost = {"currency": "EUR", "cost": "4.25", "effective_from": "2026-01-01", "source": "invoice 9"}
    assert (await client.post("/v1/items/MUG/costs", cost)).status == 201
    shown = (await client.get("/v1/items/MUG/costs")).body["items"]
    assert [(row["cost"], row["effective_from"], row["source"]) for row in shown] == [
        ("4.25", "2026-01-01", "invoice 9")
    ]
    changed = await client.post("/v1/locations/MAIN/operate", {"capacity_per_day": 20, "cutoff": "11:30"})
    assert changed.status == 200
    place = (await client.get("/v1/locations/MAIN")).body
    assert (place["capacity_per_day"], place["cutoff"], place["open"]) == (20, "11:30", True)
    none = await client.post("/v1/locations/MAIN/operate", {"capacity_per_day": None})
    assert none.body["result"]["capacity_per_day"] is None
    assert (await client.post("/v1/locations/MAIN/operate", {"cutoff": "25:00"}, by=PLANNER)).status == 400
    await prove(url)


async def test_pages_show_the_attributes_and_operate_a_site(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    bands = PublishPolicy(
        policy_kind="site_bands", policy_name="MAIN", document={"capacity_max": 50}, reason="lease"
    )  # fmt: skip
    expect_all([await door.submit(SYSTEM, bands, "bands")])
    lead = await person(door, "Ada", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        page = await visitor.get("/items/MUG")
        assert "Tax class" in page.text
        page = await visitor.get("/locations")
        assert "until 15:00" in page.text
        action = "/locations/MAIN/operate"
        page = await visitor.fill_in("/locations/MAIN", action, open="1", capacity_per_day="51", cutoff="16:00")
        assert page.status == 422
        assert "site_bands/MAIN" in page.text
        page = await visitor.fill_in("/locations/MAIN", action, capacity_per_day="50", cutoff="16:00")
        assert page.status == 200
        assert "closed" in page.text
    await prove(url)
