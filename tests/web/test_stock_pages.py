"""The console's pages of one item's stock and of lots: what is where and why, and every form about it."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.conftest import START, expect_all, stocked
from tests.organised import ordered, organise, scoped
from tests.proof import prove
from tests.requests import cancel, cart_of, order_of, rows
from tests.stock.depth import DAY, balance, cases, done, item, lots, lots_of, places
from tests.web.conftest import Client
from tests.web.console_visitor import Page, Visitor, console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.stock.supply import ExpectSupply
from trueup.storyline import settled

LATER = (START + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")


@asynccontextmanager
async def at_console(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    """Sign somebody in who may do everything with stock."""
    actor = await person(door, "Paula", "Integration Owner")
    async with console(url, clock) as address, signed_in(url, clock, address, actor) as visitor:
        yield visitor


@pytest.fixture
async def planner(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    """Somebody who may do everything with stock."""
    async with at_console(door, url, clock) as visitor:
        yield visitor


def hidden(page: Page, fact: str) -> dict[str, str]:
    """Return the hidden fields of the form of this page that does `fact`."""
    for form in re.findall(r"<form [^>]*method=\"post\"[^>]*>(.*?)</form>", page.text, re.S):
        found = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form))
        if found.get("fact") == fact:
            return {name: html.unescape(value) for name, value in found.items()}
    raise AssertionError(f"the page has no form for {fact}")


async def send(visitor: Visitor, path: str, fact: str, **fields: str) -> Page:
    """Open an item's page and send one of its forms."""
    page = await visitor.get(path)
    return await visitor.post(path, {**hidden(page, fact), **fields})


async def test_goods_are_received_with_lots_and_dates(door: Door, planner: Visitor, url: str) -> None:
    await places(door, "MAIN")
    await item(door, "MILK", tracking="lot", expires=True)
    receipt = {"location": "MAIN", "quantity": "8", "reference": "DN-1"}
    two = {"lot-0": "L2", "units-0": "3", "expires-0": "2026-04-01", "lot-2": "L1", "expires-2": "2026-03-20"}
    short = await send(planner, "/stock/MILK", "receive", **receipt, **two)
    assert (short.status, 'value="L2"' in short.text, 'value="2026-03-20"' in short.text) == (422, True, True)
    assert "form.invalid" in short.text, "the second lot says no units"
    assert await lots_of(url) == {}, "of several lots each says how much"
    page = await send(planner, "/stock/MILK", "receive", **receipt, **two, **{"units-2": "5"})
    assert page.status == 200
    assert await lots_of(url) == {"L1": 5, "L2": 3}
    text = page.text
    assert text.index(">L1<") < text.index(">L2<"), "first expired first"
    await send(planner, "/stock/MILK", "receive", **receipt | {"reference": "DN-2"}, **{"lot-0": "L3"})
    assert await lots_of(url) == {"L1": 5, "L2": 3, "L3": 8}, "the only lot of a receipt is all of it"
    assert await cases(url) == ["stock_lot"], "L3 came without its date"
    nameless = await send(planner, "/stock/MILK", "receive", **receipt, **{"units-0": "8"})
    assert nameless.status == 422, "units of a lot that nobody named are not dropped"
    await prove(url)


async def test_serial_numbers_are_one_unit_each(door: Door, planner: Visitor, url: str) -> None:
    await places(door, "MAIN")
    await item(door, "PHONE", tracking="serial")
    fields = {"location": "MAIN", "reference": "DN-1", "serials": "S-1\r\n\r\n S-2 \r\n", "status": "quality"}
    page = await send(planner, "/stock/PHONE", "receive", **fields)
    assert page.status == 200
    assert await balance(url, "PHONE") == {"quality": 2}
    assert "S-1" in page.text
    assert "1 in quality control" in page.text
    fields = {"location": "MAIN", "quantity": "1", "lot": "S-2", "from_status": "quality", "to_status": "available",
              "reason": "passed", "reference": "QC-1"}  # fmt: skip
    await send(planner, "/stock/PHONE", "restate", **fields)
    assert await lots_of(url, "PHONE") == {"S-2": 1}
    found = await planner.get("/lots?lot=S-1")
    assert ("S-1" in found.text, ">S-2<" in found.text) == (True, False)
    await prove(url)


async def test_units_change_their_status_unless_they_are_promised(door: Door, planner: Visitor, url: str) -> None:
    await stocked(door, MUG=10)
    held = await send(planner, "/stock/MUG", "reserve", location="MAIN", quantity="8", expires_at=LATER)
    assert "Why 2 available at" in held.text
    fields = {"location": "MAIN", "quantity": "5", "from_status": "available", "to_status": "damaged",
              "reason": HOSTILE, "reference": "R-1"}  # fmt: skip
    refused = await send(planner, "/stock/MUG", "restate", **fields)
    assert (refused.status, "8 of them promised" in refused.text) == (422, True)
    assert html.escape(HOSTILE) in refused.text or "&lt;" in refused.text
    assert not InlineCode(refused.text).found
    assert await balance(url) == {"on_hand": 10, "reserved": 8}
    page = await send(planner, "/stock/MUG", "restate", **fields, reported="1")
    assert page.status == 200
    assert not InlineCode(page.text).found
    assert await balance(url) == {"on_hand": 5, "reserved": 8, "damaged": 5, "owed": 3}
    assert await cases(url) == ["stock_short"]
    await prove(url)


async def test_a_reservation_by_hand_is_made_once_and_released(door: Door, planner: Visitor, url: str) -> None:
    await stocked(door, MUG=10)
    short = await send(planner, "/stock/MUG", "reserve", location="MAIN", quantity="11", expires_at=LATER)
    assert (short.status, 'value="11"' in short.text) == (422, True)
    past = await send(planner, "/stock/MUG", "reserve", location="MAIN", quantity="1", expires_at="2026-03-01T00:00")
    assert (past.status, "lies in the past" in past.text) == (422, True)
    form = hidden(await planner.get("/stock/MUG"), "reserve")
    fields = {**form, "location": "MAIN", "quantity": "4", "expires_at": LATER}
    first, second = await planner.post("/stock/MUG", fields), await planner.post("/stock/MUG", fields)
    assert "Why 6 available at" in first.text
    assert "Why 6 available at" in second.text, "sent twice, it has one effect"
    ((holder,),) = await rows(url, "select distinct holder from stock_claim")
    assert f'name="reservation" value="{holder}"' in first.text
    released = await send(planner, "/stock/MUG", "release", reservation=holder)
    assert "Why 10 available at" in released.text
    assert "Nobody holds a claim here" in released.text
    order = await send(planner, "/stock/MUG", "release", reservation="ord_1")
    assert (order.status, "is not a reservation" in order.text) == (422, True)
    await prove(url)


async def test_safety_stock_is_set_and_explained_in_words(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    page = await send(planner, "/stock/MUG", "safety", location="MAIN", quantity="4")
    assert "In words: 10 on hand - 4 safety stock = 6 available." in page.text
    assert "MAIN keeps 4 now" in page.text
    wrong = await send(planner, "/stock/MUG", "safety", location="MAIN", quantity="-1")
    assert wrong.status == 422


async def test_what_is_to_come_is_part_of_the_explanation(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    due = (START + timedelta(days=5)).isoformat()
    await done(door, ExpectSupply(location="MAIN", sku="MUG", quantity=Quantity(6), due=due, reference=HOSTILE,
                                  source="erp"))  # fmt: skip
    page = await planner.get("/stock/MUG")
    assert "6 can still be promised" in page.text
    assert "6 to come with" in page.text
    assert "/supplies?sku=MUG&location=MAIN" in page.links()
    assert not InlineCode(page.text).found


async def test_an_adjustment_takes_a_reason_of_the_policy(door: Door, planner: Visitor, url: str) -> None:
    await stocked(door, MUG=10)
    page = await planner.get("/stock/MUG")
    assert '<option value="theft"' in page.text
    fields = {"location": "MAIN", "change": "\u22123", "reference": "A-1"}
    wrong = await send(planner, "/stock/MUG", "adjust", **fields, reason="whim")
    assert (wrong.status, "is no reason to adjust stock" in wrong.text) == (422, True)
    await send(planner, "/stock/MUG", "adjust", **fields, reason="theft")
    assert await balance(url) == {"on_hand": 7}


async def test_kits_are_made_of_what_is_available(door: Door, planner: Visitor, url: str) -> None:
    await stocked(door, MUG=9, PLATE=9)
    await item(door, "SET", kind="kit", parts={"MUG": 2, "PLATE": 1})
    await done(door, cart_of(START + timedelta(days=1), MUG=2))
    page = await planner.get("/stock/SET")
    assert "3 could be made at MAIN" in page.text
    fields = {"location": "MAIN", "reference": "WO-1"}
    short = await send(planner, "/stock/SET", "assemble", **fields, quantity="4")
    assert (short.status, "MUG: 8 asked, 7 available" in short.text) == (422, True)
    assert await balance(url, "MUG") == {"on_hand": 9, "reserved": 2}
    await send(planner, "/stock/SET", "assemble", **fields, quantity="3")
    assert [await balance(url, sku) for sku in ("SET", "MUG", "PLATE")] == [
        {"on_hand": 3}, {"on_hand": 3, "reserved": 2}, {"on_hand": 6}
    ]  # fmt: skip
    apart = await send(planner, "/stock/SET", "disassemble", **fields, quantity="1")
    assert "1 could be made at MAIN" in apart.text
    assert await balance(url, "MUG") == {"on_hand": 5, "reserved": 2}
    await prove(url)


async def test_what_has_no_stock_of_its_own_says_so(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=7)
    await item(door, "PAIR", kind="kit", phantom=True, parts={"MUG": 2})
    await item(door, "FEE", kind="charge")
    pair = await planner.get("/stock/PAIR")
    assert "make 3 available" in pair.text
    assert 'value="receive"' not in pair.text
    held = await send(planner, "/stock/PAIR", "reserve", location="MAIN", quantity="2", expires_at=LATER)
    assert "make 1 available" in held.text
    fee = await planner.get("/stock/FEE")
    assert "A charge has no stock" in fee.text
    assert 'name="fact" value="reserve"' not in fee.text


async def test_expired_lots_are_marked_and_go_into_quarantine(door: Door, url: str, clock: TurnedClock) -> None:
    await places(door, "MAIN", "SHOP")
    await item(door, "MILK", tracking="lot", expires=True)
    await item(door, "CHEESE", tracking="lot", expires=True)
    await done(door, lots(("L1", 5, DAY), ("L2", 3, DAY + timedelta(days=9))))
    await done(door, lots(("C1", 2, DAY), sku="CHEESE"))
    await done(door, lots(("L1", 4, DAY), location="SHOP"))
    async with at_console(door, url, clock) as planner:
        assert "Past their date" not in (await planner.get("/lots")).text, "a lot is good through its date"
    clock.turn(timedelta(days=1))
    async with at_console(door, url, clock) as planner:
        page = await planner.get("/stock/MILK?location=MAIN")
        assert "5 on hand are past their date" in page.text
        ended = await send(planner, "/stock/MILK?location=MAIN", "expire", location="MAIN")
        assert ended.address.startswith("/stock/MILK?location=MAIN&outcome=")
        assert await balance(url, "MILK") == {"on_hand": 3, "quarantined": 5}
        assert await balance(url, "CHEESE") == {"on_hand": 2}, "only this item's"
        await _swept(planner, url)
    await prove(url)


async def _swept(planner: Visitor, url: str) -> None:
    listed = await planner.get("/lots")
    forms = re.findall(r'<form class="inline"[^>]*action="/lots/expire">(.*?)</form>', listed.text, re.S)
    assert len(forms) == 2, "of each location that has any left"
    sent = dict(re.findall(r'name="([^"]*)" value="([^"]*)"', forms[0]))
    assert (sent["location"], sent["sku-1"]) == ("MAIN", "CHEESE")
    for _ in range(2):
        assert (await planner.post("/lots/expire", sent)).status == 200
    assert await balance(url, "CHEESE") == {"quarantined": 2}
    assert await balance(url, "MILK", "SHOP") == {"on_hand": 4}, "the other location's stay"
    nowhere = await planner.post("/lots/expire", {**sent, "key": "another", "location": "NOWHERE"})
    assert (nowhere.status, "There is no location" in nowhere.text) == (422, True)


async def test_lots_are_filtered_and_paged(door: Door, url: str, clock: TurnedClock) -> None:
    await places(door, "MAIN", "SHOP")
    await item(door, "MILK", tracking="lot", expires=True)
    await item(door, "WIRE", tracking="lot")
    many = [(f"N{number:02}", 1, None) for number in range(60)]
    await done(door, lots(*many, sku="WIRE"))
    await done(door, lots(("OLD", 1, DAY), ("SOON", 1, DAY + timedelta(days=3)), ("LATE", 1, DAY + timedelta(days=4))))
    await done(door, lots(("FAR", 1, DAY + timedelta(days=99)), location="SHOP"))
    clock.turn(timedelta(days=1))
    async with at_console(door, url, clock) as planner:

        async def shown(query: str) -> list[str]:
            text = (await planner.get(f"/lots?{query}")).text
            return re.findall(r'<td class="mono wrap">([A-Z]+\d*)<', text)

        assert await shown("days=2") == ["OLD", "SOON"]
        assert await shown("days=2&expired=false") == ["SOON"]
        assert await shown("expired=true") == ["OLD"]
        assert await shown("location=SHOP") == ["FAR"]
        assert await shown("sku=MILK") == ["OLD", "SOON", "LATE", "FAR"]
        more = next(link for link in (await planner.get("/lots")).links() if "cursor=" in link)
        seen = [*await shown(""), *await shown(more.partition("?")[2])]
        assert len(seen) == len(set(seen)) == 64
        assert seen[:4] == ["OLD", "SOON", "LATE", "FAR"]
        assert "No lot matches" in (await planner.get("/lots?sku=NONE")).text
        for wrong in ("days=soon", "days=-1", "days=99999"):
            assert (await planner.get(f"/lots?{wrong}")).status == 422
        assert (await planner.get("/lots?cursor=abc")).status == 400


async def test_lots_are_paged_over_the_api(door: Door, client: Client, clock: TurnedClock) -> None:
    await places(door, "MAIN")
    await item(door, "MILK", tracking="lot", expires=True)
    await item(door, "WIRE", tracking="lot")
    await done(door, lots(("B", 1, DAY), ("A", 1, DAY), ("C", 1, DAY + timedelta(days=1))))
    await done(door, lots(("W", 1, None), sku="WIRE"))
    clock.turn(timedelta(days=1))
    seen, query = [], "limit=1"
    while query:
        body = (await client.get(f"/v1/stock/lots?{query}")).body
        seen += [row["lot"] for row in body["items"]]
        query = f"limit=1&cursor={body['next']}" if body["next"] else ""
    assert seen == ["A", "B", "C", "W"], "first expired first, without a date last"
    good = (await client.get("/v1/stock/lots?expired=false")).body["items"]
    assert [row["lot"] for row in good] == ["C", "W"]


async def test_it_tells_who_is_to_get_a_lots_units(door: Door, url: str, planner: Visitor) -> None:
    await places(door, "MAIN")
    await item(door, "MILK", tracking="lot", expires=True)
    await done(door, lots(("L1", 2, DAY + timedelta(days=30)), ("L2", 4, DAY + timedelta(days=40))))
    order = (await done(door, order_of(MILK=3))).result["order"]
    await settled(door, url, build())
    page = await planner.get("/lots?sku=MILK")
    assert page.links().count(f"/orders/{order}") == 2, "two of the first lot, one of the next"
    assert re.findall(r"(\d+) for <a", page.text) == ["2", "1"]
    assert re.findall(r"(\d+) for <a", (await planner.get("/stock/MILK")).text) == ["2", "1"]
    second = (await done(door, order_of(MILK=1))).result["order"]
    await settled(door, url, build())
    assert f"/orders/{second}" in (await planner.get("/lots")).links()
    await done(door, cancel(second, line1=1))
    assert f"/orders/{second}" not in (await planner.get("/lots")).links()
    await done(door, cancel(order, line1=2))
    assert re.findall(r"(\d+) for <a", (await planner.get("/lots")).text) == ["1"], "what was given back is nobody's"


async def test_many_locations_stay_readable(door: Door, planner: Visitor) -> None:
    await places(door, *(f"P{number}" for number in range(9)))
    for number in range(9):
        await stocked(door, location=f"P{number}", MUG=number)
    page = await planner.get("/stock/MUG")
    assert page.text.count("available at") == 6
    assert "6 of 8 are explained below" in page.text
    one = await planner.get("/stock/MUG?location=P8")
    assert (one.text.count("available at"), "Why 8 available at" in one.text) == (1, True)
    never = await planner.get("/stock/MUG?location=P0")
    assert "This item was never at this location" in never.text


async def test_who_may_not_sees_who_may(door: Door, url: str, clock: TurnedClock) -> None:
    await stocked(door, MUG=10)
    auditor = await person(door, "Auditor", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        page = await visitor.get("/stock/MUG")
        assert "Receiving is for: Fulfilment Lead" in page.text
        assert "Reserving is for: Fulfilment Lead" in page.text
        assert page.text.count("<fieldset") == page.text.count("disabled>")
        for fact, fields in (
            ("receive", {"quantity": "1", "reference": "X"}),
            ("reserve", {"quantity": "1", "expires_at": LATER}),
            ("safety", {"quantity": "1"}),
        ):
            refused = await send(visitor, "/stock/MUG", fact, location="MAIN", **fields)
            assert refused.status == 403, fact
        unknown = await visitor.post("/stock/MUG", {**hidden(page, "receive"), "fact": "steal"})
        assert unknown.status == 404
    assert await balance(url) == {"on_hand": 10}


async def test_an_order_of_another_channel_is_no_link(door: Door, url: str, clock: TurnedClock) -> None:
    await organise(door)
    app = (await done(door, ordered("app"))).result["order"]
    web = (await done(door, ordered("web", location="SHOP1"))).result["order"]
    ada = await scoped(door, "Ada", "SHOP1", "app")
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        page = await visitor.get("/stock/MUG")
    assert "Why 8 available at" in page.text
    assert f"/orders/{app}" in page.links()
    assert f"/orders/{web}" not in page.links()


async def test_a_stores_user_sees_and_moves_only_theirs(door: Door, url: str, clock: TurnedClock) -> None:
    await organise(door)
    await item(door, "MILK", tracking="lot", expires=True)
    for shop in ("SHOP1", "SHOP2"):
        expect_all([await door.submit(SYSTEM, lots((f"LOT-{shop}", 2, DAY), location=shop), shop)])
    clock.turn(timedelta(days=1))
    ada = await scoped(door, "Ada", "SHOP1", "app")
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        for path in ("/lots", "/lots?location=SHOP2", "/stock/MILK", "/stock/MILK?location=SHOP2"):
            assert "LOT-SHOP2" not in (await visitor.get(path)).text, path
        listed = (await visitor.get("/lots")).text
        assert ("LOT-SHOP1" in listed, "Past their date" in listed, "SHOP2" in listed) == (True, True, False)
        form = hidden(await visitor.get("/stock/MILK"), "expire")
        refused = await visitor.post("/stock/MILK", {**form, "location": "SHOP2"})
        assert refused.status == 403
        assert "LOT-SHOP2" not in refused.text
        assert (await visitor.post("/stock/MILK", {**form, "key": "k2", "location": "SHOP1"})).status == 200
    assert await balance(url, "MILK", "SHOP2") == {"on_hand": 2}
    assert await balance(url, "MILK", "SHOP1") == {"quarantined": 2}
