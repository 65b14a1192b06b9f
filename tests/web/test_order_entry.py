"""Staff enter orders at the console: availability and its reasons, what would happen, drafts, placing; no scripts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from tests.conftest import stocked
from tests.orders.capturing import channel, publish
from tests.proof import prove
from tests.requests import rows
from tests.web.console_visitor import Page, Visitor, console, person, signed_in

from trueup.core.clock import TurnedClock
from trueup.core.door import Door


@pytest.fixture
async def agent(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    """Somebody who takes orders in."""
    ada = await person(door, "Ada", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, ada) as visitor:
        yield visitor


def line(at: int, sku: str, quantity: str, price: str = "10") -> dict[str, str]:
    return {f"sku-{at}": sku, f"quantity-{at}": quantity, f"unit_price-{at}": price}


async def send(agent: Visitor, do: str, page: str = "/orders/new", **fields: str) -> Page:
    basics = {"currency": "EUR", "channel": "web"}
    return await agent.fill_in(page, "/orders/new", do=do, **{**basics, **fields})


def beside(page: Page, at: int) -> str:
    """What the page says beside a line of the form."""
    found = re.search(rf'<div id="why-{at}"[^>]*>(.*?)</div>', page.text, re.S)
    assert found is not None
    return " ".join(re.sub(r"<[^>]*>", " ", found[1]).split())


async def test_checking_tells_what_would_happen_and_writes_nothing(door: Door, url: str, agent: Visitor):
    await stocked(door, MUG=5, CUP=1)
    fits = await send(agent, "check", **line(0, "MUG", "3"), shipping="4.90")
    assert fits.status == 200
    assert beside(fits, 0).startswith("MAIN 5")
    assert "would be placed" in fits.text
    assert "34.90" in fits.text
    short = await send(agent, "check", **line(0, "MUG", "3"), **line(2, "CUP", "2"))
    assert beside(short, 0).startswith("MAIN 5")
    assert beside(short, 2).startswith("short or wrong CUP: 2 asked, 1 available MAIN 1")
    assert "would be refused" in short.text
    assert await rows(url, "select * from orders") == []
    assert await rows(url, "select * from stock_claim") == []


async def test_a_short_line_is_refused_beside_the_line_and_the_form_is_kept(door: Door, url: str, agent: Visitor):
    await stocked(door, MUG=5, CUP=1)
    refused = await send(agent, "place", **line(0, "MUG", "3"), **line(2, "CUP", "2"), name="Ada Byron", city="London")
    assert refused.status == 422
    assert "CUP: 2 asked, 1 available" in beside(refused, 2)
    assert "short or wrong" not in beside(refused, 0)
    assert 'value="Ada Byron"' in refused.text
    assert await rows(url, "select * from orders") == []
    await prove(url)


async def test_an_order_is_placed_once(door: Door, url: str, agent: Visitor):
    await stocked(door, MUG=5)
    form = await agent.get("/orders/new")
    fields = {**form.hidden("/orders/new"), "do": "place", "currency": "EUR", "channel": "web", **line(0, "MUG", "3"),
              "name": "Ada Byron", "city": "London", "customer_order": "PO 7", "shipping": "4.90"}  # fmt: skip
    first = await agent.post("/orders/new", fields)
    again = await agent.post("/orders/new", fields)
    assert first.status == 200
    assert first.address.partition("?")[0] == again.address.partition("?")[0]
    for words in ("PO 7", "Ada Byron", "London", "34.90", "unknown"):
        assert words in first.text
    assert await rows(url, "select count(*)::int, min(entered_by) is not null from orders") == [(1, True)]
    await prove(url)


async def test_a_draft_is_saved_found_changed_and_placed(door: Door, url: str, agent: Visitor):
    await stocked(door, MUG=5)
    saved = await send(agent, "save", **line(0, "MUG", "3", ""), name="Ada Byron", valid_until="2026-03-05")
    assert saved.address.startswith("/orders/new?")
    assert 'value="Ada Byron"' in saved.text
    listed = await agent.get("/drafts?open=true")
    (link,) = [href for href in listed.links() if href.startswith("/orders/new?draft=")]
    assert "lines[0].unit_price" in listed.text
    placed = await send(agent, "place", link, **line(0, "MUG", "2"), name="Ada Byron")
    assert placed.address.startswith("/orders/ord_")
    assert await rows(url, "select units_ordered::int from orders") == [(2,)]
    assert "an order" in (await agent.get("/drafts")).text
    assert (await agent.get(link)).status == 404
    await prove(url)


async def test_more_lines_can_be_entered_and_what_is_entered_stays(door: Door, url: str, agent: Visitor):
    await stocked(door, MUG=5)
    more = await send(agent, "", more="1", **line(3, "MUG", "1"))
    assert 'name="sku-7"' in more.text
    assert re.search(r'name="sku-3"[^>]*value="MUG"', more.text)
    ninth = await send(agent, "place", **line(8, "MUG", "1"))
    assert ninth.address.startswith("/orders/ord_")


async def test_what_is_entered_wrong_is_said_and_nothing_breaks(door: Door, url: str, agent: Visitor):
    await stocked(door, MUG=5)
    await channel(door, short="partial")
    for fields, words in (
        (line(0, "MUG", "three"), "not a quantity"),
        (line(0, "CUP", "1"), "No item answers to"),
        (line(0, "MUG", "1", ""), "has no price in EUR"),
        ({**line(0, "MUG", "1"), "ship_country": "UK"}, "is no country"),
        ({**line(0, "MUG", "1"), "requested_from": "2026-03-09", "requested_to": "2026-03-01"}, "before it begins"),
    ):
        for do in ("check", "place"):
            assert words in (await send(agent, do, **fields)).text
    partly = await send(agent, "check", **line(0, "MUG", "9"))
    assert "line 1 lacks 4" in partly.text
    assert await rows(url, "select * from orders") == []


async def test_staff_say_what_happens_when_stock_is_short(door: Door, url: str, agent: Visitor):
    """Behaviour 3: as the channel says, unless it lets this order say otherwise."""
    await stocked(door, MUG=5)
    await channel(door, short_choices=["backorder", "partial"])
    refused = await send(agent, "place", **line(0, "MUG", "9"))
    assert refused.status == 422
    words = {"partial": "they are cancelled", "backorder": "they wait for supply"}
    for short in ("partial", "backorder"):
        told = await send(agent, "check", **line(0, "MUG", "9"), short=short)
        assert f"line 1 lacks 4: {words[short]}" in told.text
        assert f'<option value="{short}" selected>' in told.text
    kept = await send(agent, "save", **line(0, "MUG", "9"), short="partial")
    assert '<option value="partial" selected>' in kept.text
    assert await rows(url, "select * from orders") == []
    placed = await send(agent, "place", kept.address, **line(0, "MUG", "9"), short="partial")
    assert placed.address.startswith("/orders/ord_")
    waits = await send(agent, "place", **line(0, "MUG", "2"), short="backorder")
    assert waits.address.startswith("/orders/ord_")
    assert await rows(
        url, "select units_ordered::int, units_cancelled::int from orders order by units_ordered desc"
    ) == [(9, 4), (2, 0)]  # fmt: skip
    assert await rows(url, "select sum(reserved)::int, sum(owed)::int from stock_balance") == [(5, 0)]
    await prove(url)


async def test_a_channel_says_what_its_orders_may_ask_for(door: Door, url: str, agent: Visitor):
    await stocked(door, MUG=5)
    await channel(door, short="partial")
    for do in ("check", "save", "place"):
        told = await send(agent, do, **line(0, "MUG", "9"), short="backorder")
        assert "may not ask for" in told.text, do
    refused = await send(agent, "place", **line(0, "MUG", "9"), short="refuse")
    assert (refused.status, "9 asked, 5 available" in refused.text) == (422, True)
    assert await rows(url, "select * from orders") == []
    partly = await send(agent, "place", **line(0, "MUG", "9"), short="partial")
    assert partly.address.startswith("/orders/ord_")


async def test_the_channel_is_one_that_there_is(door: Door, url: str, clock: TurnedClock, agent: Visitor):
    assert chosen(await agent.get("/orders/new")) == "web", "nothing is known yet"
    await stocked(door, MUG=5)
    placed = await send(agent, "place", channel="shop", **line(0, "MUG", "1"))
    assert placed.status == 200
    assert chosen(await agent.get("/orders/new")) == "shop"
    await publish(door, "channel", "b2b", short="partial")
    await publish(door, "channel", "phone", short="partial")
    otto = await person(door, "Otto", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, otto) as visitor:
        page = await visitor.get("/orders/new")
        assert chosen(page) == "b2b"
        assert re.findall(r'<option value="(\w+)"></option>', page.text) == ["b2b", "phone", "shop"]
        assert (
            'name="channel" required maxlength="120" list="channels" autocomplete="off" value="phone"'
            in (await send(visitor, "check", channel="phone", **line(0, "MUG", "1"))).text
        )


def chosen(page: Page) -> str:
    """The channel that the form begins with."""
    found = re.search(r'name="channel"[^>]*value="([^"]*)"', page.text)
    assert found is not None
    return found[1]


async def test_who_may_not_place_orders_sees_no_button_and_is_refused(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    auditor = await person(door, "Otto", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        page = await visitor.get("/orders/new")
        assert "Place the order" not in page.text
        assert "Enter an order" not in (await visitor.get("/orders")).text
        refused = await send(visitor, "place", **line(0, "MUG", "1"))
        assert refused.status == 403
    assert await rows(url, "select * from orders") == []
