"""Counts, transfers, lots and past stock over the API and the console: a blind count tells nobody who counts."""

from __future__ import annotations

from datetime import timedelta

from tests.conftest import START, stocked
from tests.stock.depth import done, found, item, lots, places
from tests.web.conftest import DEPUTY, Client
from tests.web.console_visitor import Visitor, console, person, signed_in

from trueup.core.clock import TurnedClock
from trueup.core.door import Door


async def test_a_blind_count_over_the_api_does_not_tell_the_book(client: Client, door: Door) -> None:
    await stocked(door, MUG=100)
    opened = await client.post("/v1/count-sessions", {"location": "MAIN", "reference": "C-1"})
    assert opened.status == 201
    path = opened.headers["location"]
    entry = {"lines": [{"sku": "MUG", "units": "90", "counted_at": START.isoformat()}]}
    counted = await client.post(f"{path}/entries", entry)
    assert counted.body["result"]["recount"] == ["MUG"]
    assert "book" not in counted.body["result"]
    line = (await client.get(path)).body["lines"][0]
    assert (line["state"], line["units"], line["book"], line["variance"], line["worth"]) == (
        "recount", "90", None, None, None
    )  # fmt: skip
    again = await client.post(f"{path}/entries", entry)
    assert again.body["type"] == "urn:trueup:rule:stock.same_counter"
    assert (await client.post(f"{path}/entries", entry, by=DEPUTY)).status == 403
    await done(door, found(opened.body["result"]["count"], MUG=90))
    told = (await client.get(f"{path}/variances")).body["lines"][0]
    assert (told["state"], told["book"], told["variance"]) == ("approve", "100", "-10")
    refused = await client.post(f"{path}/approvals", {"lines": [{"sku": "MUG"}]})
    assert refused.body["type"] == "urn:trueup:rule:authority.separated_acts"
    assert (await client.post(f"{path}/close", {"abandon": True})).status == 200
    assert (await client.get(path)).body["lines"][0]["book"] == "100", "a closed session is open to all"


async def test_a_transfer_over_the_api(client: Client, door: Door) -> None:
    await stocked(door, MUG=10)
    await places(door, "SHOP")
    body = {"from_location": "MAIN", "to_location": "SHOP", "reference": "T-1",
            "lines": [{"sku": "MUG", "quantity": 6}]}  # fmt: skip
    shipped = await client.post("/v1/transfers", body)
    assert shipped.status == 201
    path = shipped.headers["location"]
    assert [row["id"] for row in (await client.get("/v1/transfers?status=in_transit&location=SHOP")).body["items"]] == [
        shipped.body["result"]["transfer"]
    ]
    await client.post(f"{path}/receipts", {"lines": [{"sku": "MUG", "quantity": 4}], "close": True})
    detail = (await client.get(path)).body
    assert (detail["transfer"]["status"], detail["lines"][0]["missing"]) == ("closed", "2")


async def test_past_stock_and_lots_over_the_api(client: Client, door: Door, clock: TurnedClock) -> None:
    await stocked(door, MUG=10)
    await item(door, "MILK", tracking="lot", expires=True)
    await done(door, lots(("L1", 5, START.date())))
    clock.turn(timedelta(days=2))
    body = {"location": "MAIN", "sku": "MUG", "change": "-4", "reason": "lost", "reference": "A"}
    await client.post("/v1/stock/adjustments", body)
    now = (await client.get("/v1/stock?search=MUG")).body["items"][0]
    then = (await client.get(f"/v1/stock?search=MUG&as_of={START.isoformat().replace('+', '%2B')}")).body["items"][0]
    assert (now["on_hand"], then["on_hand"]) == ("6", "10")
    lot = (await client.get("/v1/stock/lots?sku=MILK")).body["items"][0]
    assert (lot["lot"], lot["expired"], lot["on_hand"]) == ("L1", True, "5")
    assert (await client.get("/v1/stock?as_of=2030-01-01T00:00:00Z")).status >= 400


async def test_the_console_shows_stock_as_it_stood(door: Door, url: str, clock: TurnedClock) -> None:
    await stocked(door, MUG=10)
    clock.turn(timedelta(hours=1))
    actor = await person(door, "Paula", "Integration Owner")
    async with console(url, clock) as address, signed_in(url, clock, address, actor) as planner:
        await _looked_at(planner)


async def _looked_at(planner: Visitor) -> None:
    page = await planner.get("/stock?as_of=2026-03-02T09:30")
    assert "As it stood on" in page.text
    page = await planner.get("/stock/MUG?as_of=2026-03-02T08:00")
    assert "as it stood on" in page.text
    assert "Why 0 available" in page.text
    assert "Why 10 available" in (await planner.get("/stock/MUG")).text
