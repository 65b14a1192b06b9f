"""The console's pages that ask: what a basket can have, when and why; what a channel may claim; and its pools."""

from __future__ import annotations

from tests.conftest import stocked
from tests.organised import organise, scoped
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act
from tests.web.console_visitor import console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.catalogue.register import RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.pools import SetPool
from trueup.stock.supply import ExpectSupply

POOL = {"location": "MAIN", "sku": "MUG", "channel": "web", "mode": "reserve", "quantity": "4"}


async def test_a_basket_is_promised_with_its_reasons_and_nothing_is_written(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5, PLATE=1)
    supply = ExpectSupply(location="MAIN", sku="PLATE", quantity=Quantity(5), due="2026-03-10", reference="PO-9",
                          source="buyer")  # fmt: skip
    await act(door, supply)
    agent = await person(door, "Agnes", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, agent) as visitor:
        before = await rows(url, "select max(position) from journal")
        assert "Nothing is asked yet." in (await visitor.get("/promises")).text
        page = await visitor.get("/promises?sku-0=MUG&quantity-0=4&sku-2=PLATE&quantity-2=3&country=de&postcode=10115")
        assert page.status == 200
        assert "2 is the last: 2 of 3 PLATE to come with PO-9, due 2026-03-10 at MAIN" in page.text
        assert 'id="sku-3"' in page.text, "two more lines to fill in"
        assert "3 × PLATE" in page.text
        missing = await visitor.get("/promises?sku-0=MUG&quantity-0=40")
        assert "no date can be promised" in missing.text
        assert "35 of 40 MUG are neither on hand nor to come" in missing.text
        assert "Mon 2026-03-02" in (await visitor.get("/promises?sku-0=MUG")).text, "no units given are one"
        assert await rows(url, "select max(position) from journal") == before


async def test_pickup_days_are_those_of_the_store(door: Door, url: str, clock: TurnedClock):
    await stocked(door, location="SHOP", MUG=2)
    await act(door, RegisterLocation(code="SHOP", name="Shop", kind="store", pickup=True))
    agent = await person(door, "Agnes", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, agent) as visitor:
        has = await visitor.get("/promises?sku-0=MUG&quantity-0=2")
        assert "SHOP has all of it." in has.text
        await stocked(door, location="DEPOT", MUG=1)
        lacks = await visitor.get("/promises?sku-0=MUG&quantity-0=3")
        assert "SHOP has too little of MUG, now and to come." in lacks.text


async def test_a_question_that_makes_no_sense_is_refused_and_kept(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    agent = await person(door, "Agnes", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, agent) as visitor:
        for query in ("sku-0=GHOST", "sku-0=MUG&quantity-0=0", "sku-0=MUG&quantity-0=x", "sku-0=MUG&country=GERMANY"):
            page = await visitor.get(f"/promises?{query}&postcode=10115")
            assert (page.status, 'value="10115"' in page.text) == (422, True), query
            assert "Available, by location" not in page.text
        hostile = await visitor.get(f"/promises?sku-0={HOSTILE.replace('#', '')}&channel={HOSTILE}")
        assert not InlineCode(hostile.text).found


async def test_a_channel_gets_what_its_pool_leaves_it(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    await act(door, SetPool(location="MAIN", sku="MUG", channel="web", mode="reserve", quantity=Quantity(4)))
    agent = await person(door, "Agnes", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, agent) as visitor:
        web = await visitor.get("/promises?sku-0=MUG&quantity-0=5&channel=web")
        app = await visitor.get("/promises?sku-0=MUG&quantity-0=5&channel=app")
        assert ("no date can be promised" in web.text, "no date can be promised" in app.text) == (False, True)
        asked = await visitor.get("/pools?item=MUG&at=MAIN&for=app")
        assert "<b>app</b> may claim <b>1</b>" in asked.text
        assert "- 4 " in asked.text, "the reason names what is kept back"
        assert "unknown" in (await visitor.get("/pools?item=GHOST&at=MAIN")).text


async def test_who_is_scoped_is_promised_from_their_own_sites(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    ada = await scoped(door, "Ada", "SHOP1", "app")
    for shop in ("SHOP1", "SHOP2"):
        await act(door, SetPool(location=shop, sku="MUG", channel="app", mode="cap", quantity=Quantity(3)))
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        page = await visitor.get("/promises?sku-0=MUG&quantity-0=2")
        assert (page.status, "SHOP1" in page.text, "SHOP2" in page.text) == (200, True, False)
        assert "no date can be promised" in (await visitor.get("/promises?sku-0=MUG&quantity-0=11")).text
        pools = await visitor.get("/pools")
        assert ("SHOP1" in pools.text, "SHOP2" in pools.text) == (True, False)
        assert "may claim" not in (await visitor.get("/pools?item=MUG&at=SHOP2")).text
        sent = {**pools.hidden("/pools/set"), **POOL, "location": "SHOP2", "channel": "app"}
        assert (await visitor.post("/pools/set", sent)).status == 403
    assert await rows(url, "select distinct mode from stock_pool") == [("cap",)]


async def test_who_is_scoped_to_channels_alone_is_promised_nothing(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    eve = await scoped(door, "Eve", "web")
    async with console(url, clock) as address, signed_in(url, clock, address, eve.id) as visitor:
        page = await visitor.get("/promises?sku-0=MUG")
        assert (page.status, "SHOP" in page.text) == (403, False)


async def test_a_pool_is_set_changed_and_ended(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        empty = await visitor.get("/pools")
        assert "No channel has a pool." in empty.text
        sent = {**empty.hidden("/pools/set"), **POOL}
        for _ in range(2):
            assert (await visitor.post("/pools/set", sent)).status == 200
        assert await rows(url, "select count(*)::int from journal where name = 'stock.pool_set'") == [(1,)]
        changed = await visitor.fill_in("/pools", "/pools/set", **{**POOL, "quantity": "2"})
        assert "kept for it" in changed.text
        capped = await visitor.fill_in("/pools", "/pools/set", **{**POOL, "mode": "cap", "channel": HOSTILE})
        assert not InlineCode(capped.text).found
        assert "No pool matches." in (await visitor.get("/pools?channel=app")).text
        assert "/stock/MUG" in (await visitor.get("/pools?sku=MUG&location=MAIN&channel=web")).links()
        change = next(link for link in changed.links() if link.endswith("mode=reserve#set"))
        page = await visitor.get(change.removesuffix("#set"))
        assert 'name="channel" required maxlength="120" value="web"' in page.text, "the form is filled in"
        ended = await visitor.post("/pools/end", {**page.hidden("/pools/set"), **POOL, "quantity": ""})
        assert ended.status == 200
        assert await rows(url, "select channel, quantity::int from stock_pool") == [(HOSTILE, 4)]
    await prove(url)


async def test_a_refused_pool_keeps_the_form_and_who_may_not_sees_who_may(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    lead = await person(door, "Lead", "Fulfilment Lead")
    auditor = await person(door, "Otto", "Auditor")
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, lead) as visitor:
            for wrong in ({"sku": "GHOST"}, {"quantity": "-1"}, {"quantity": ""}, {"quantity": "x"}):
                page = await visitor.fill_in("/pools", "/pools/set", **{**POOL, "channel": "shop", **wrong})
                assert (page.status, 'value="shop"' in page.text) == (422, True), wrong
        async with signed_in(url, clock, address, auditor) as visitor:
            page = await visitor.get("/pools")
            assert "Setting pools is for: Fulfilment Lead" in page.text
            assert (await visitor.post("/pools/set", {**page.hidden("/pools/set"), **POOL})).status == 403
    assert await rows(url, "select * from stock_pool") == []
