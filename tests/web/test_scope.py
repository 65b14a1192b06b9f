"""Who is scoped to a part of the organisation is shown that part only, in the API and the console."""

from __future__ import annotations

import hashlib

import pytest
from tests.organised import key_of, ordered, organise, scoped
from tests.proof import prove
from tests.requests import rows
from tests.web.conftest import Client, Serve
from tests.web.console_visitor import console, signed_in

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door


@pytest.fixture
async def organised(door: Door) -> Door:
    """Two shops with ten mugs each, channels web and app served by them, in one company."""
    await organise(door)
    return door


async def test_the_api_shows_only_the_scope(organised: Door, serve: Serve, url: str):
    ada = await scoped(organised, "Ada", "SHOP1", "app")
    await key_of(organised, ada, token := "tu_" + "a" * 40)
    item = (await rows(url, "select id from item"))[0][0]
    orders = {
        channel: (await organised.submit(SYSTEM, ordered(channel), channel)).result["order"]
        for channel in ("app", "web")
    }
    async with serve() as client:
        reply = await asked(client, "/v1/stock", token)
        assert [row["location"] for row in reply["items"]] == ["SHOP1"]
        reply = await asked(client, "/v1/availability?sku=MUG", token)
        assert [row["location"] for row in reply["items"]] == ["SHOP1"]
        for path in (
            "/v1/stock?location=SHOP2",
            "/v1/availability?sku=MUG&location=SHOP2",
            f"/v1/stock/claims?item={item}&location=SHOP2",
        ):
            assert (await asked(client, path, token))["items"] == [], path
        reply = await asked(client, f"/v1/items/{item}/movements", token)
        assert {row["to_location"] for row in reply["items"]} == {"SHOP1"}
        reply = await asked(client, "/v1/orders", token)
        assert [row["id"] for row in reply["items"]] == [orders["app"]]
        assert (await client.get(f"/v1/orders/{orders['app']}", token)).status == 200
        for path in (f"/v1/orders/{orders['web']}", f"/v1/orders/{orders['web']}/timeline"):
            assert (await client.get(path, token)).status == 404
        for path in ("/v1/events", "/v1/cases", "/v1/customers", f"/v1/items/{item}/costs"):
            assert (await client.get(path, token)).status == 403, path
        whole = await key_of(organised, await scoped(organised, "Ben"), "tu_" + "b" * 40)
        reply = await asked(client, "/v1/orders", whole)
        assert len(reply["items"]) == 2


async def test_a_key_narrows_its_actor(organised: Door, serve: Serve, url: str):
    ada = await scoped(organised, "Ada", "NORTH")
    narrow = await key_of(organised, ada, "tu_" + "n" * 40, "SHOP1")
    beyond = await key_of(organised, ada, "tu_" + "o" * 40, "SHOP2")
    free = await key_of(organised, await scoped(organised, "Ben"), "tu_" + "f" * 40, "SHOP2")
    body = {"sku": "MUG", "change": -1, "reason": "found", "reference": "slip"}
    async with serve() as client:

        async def moved(shop: str, token: str) -> int:
            client.tokens.setdefault(token, token)
            fresh = hashlib.sha256(f"{shop}{token}".encode()).hexdigest()
            sent = {**body, "location": shop}
            return (await client.post("/v1/stock/adjustments", sent, by=token, key=fresh)).status

        assert await moved("SHOP1", narrow) == 200
        # A key for what its actor may not see opens nothing.
        assert [await moved(shop, beyond) for shop in ("SHOP1", "SHOP2")] == [403, 403]
        assert [await moved(shop, free) for shop in ("SHOP1", "SHOP2")] == [403, 200]
        assert (await asked(client, "/v1/stock", beyond))["items"] == []
    assert await rows(
        url, "select l.code, on_hand from stock_balance b join location l on l.id = b.location order by 1"
    ) == [("SHOP1", 9), ("SHOP2", 9)]
    await prove(url)


async def test_the_console_shows_only_the_scope(organised: Door, url: str, clock: TurnedClock):
    ada = await scoped(organised, "Ada", "SHOP1", "app")
    orders = {
        channel: (await organised.submit(SYSTEM, ordered(channel), channel)).result["order"]
        for channel in ("app", "web")
    }
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        stock = await visitor.get("/stock")
        assert "SHOP1" in stock.text
        assert "SHOP2" not in stock.text
        assert "SHOP2" not in (await visitor.get("/stock/MUG")).text
        listed = (await visitor.get("/orders")).text
        assert orders["app"][-6:] in listed or "app" in listed
        assert (await visitor.get(f"/orders/{orders['app']}")).status == 200
        assert (await visitor.get(f"/orders/{orders['web']}")).status == 404
        for path in ("/journal", "/cases", "/actors", "/organisation"):
            assert (await visitor.get(path)).status == 403, path
            assert f'href="{path}"' not in stock.text, "nobody is led to a closed door"
        assert (await visitor.get("/locations/SHOP1")).status == 200


async def test_the_console_sets_tree_and_scope(organised: Door, url: str, clock: TurnedClock):
    admin = await scoped(organised, "Admin", roles=("Administrator",))
    ada = await scoped(organised, "Ada")
    async with console(url, clock) as address, signed_in(url, clock, address, admin.id) as visitor:
        page = await visitor.fill_in(
            "/organisation", "/organisation", code="SHOP3", name="Shop 3", kind="site", parent="NORTH"
        )
        assert page.status == 200
        assert "no such location" in page.text
        page = await visitor.fill_in("/organisation", "/organisation/remove", code="NORTH")
        assert "NORTH" in page.text
        changed = await visitor.fill_in(
            f"/actors/{ada.id}", f"/actors/{ada.id}", name="Ada", kind="person", roles="Fulfilment Lead",
            active="1", scope="SHOP1",
        )  # fmt: skip
        assert changed.status == 200
    assert await rows(url, "select scope from actor where name = 'Ada'") == [(["SHOP1"],)]
    await prove(url)


async def asked(client: Client, path: str, token: str) -> dict[str, list[dict[str, str]]]:
    """Read a list."""
    client.tokens.setdefault(token, token)
    reply = await client.get(path, token)
    assert reply.status == 200, reply.body
    found: dict[str, list[dict[str, str]]] = reply.body
    return found
