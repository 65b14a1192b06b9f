"""Master data at the console: readiness, owners, what is planned and pending, amending one item and many."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from tests.board import declared
from tests.catalogue.test_amend import amend, amendment, publish
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import order_of, rows, until
from tests.web.console_visitor import Visitor, console, person, signed_in

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

AMEND, TABLE = "/items/amend", "/data-quality/amend"


@pytest.fixture
async def steward(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    await stocked(door, MUG=1, CUP=1)
    async with console(url, clock) as address:
        stella = await person(door, "Stella", "Data Steward")
        async with signed_in(url, clock, address, stella) as visitor:
            yield visitor


async def test_an_item_shows_what_is_missing_and_whose_it_is(door: Door, steward: Visitor):
    owner = {"entity": "item", "field": "weight_g", "owner": "Warehouse system", "mode": "accept_and_log"}
    await publish(door, "field_ownership", {"owners": [owner]})
    await door.submit(SYSTEM, amend(amendment("CUP", {"lead_days": 4}, effective_from="2026-04-01")), "later")

    async def known() -> bool:
        return "Warehouse system" in (await steward.get("/items/MUG")).text

    await until(known)  # a process reads policies at most a second late
    page = await steward.get("/items/MUG")
    for words in ("weight missing", "lead time missing", "not enforced", "nobody holds it"):
        assert words in page.text
    assert "Takes effect later" not in page.text
    page = await steward.get("/items/CUP")
    assert "2026-04-01" in page.text
    listed = await steward.get("/items?readiness=sellable")
    assert (">MUG<" in listed.text, ">CUP<" in listed.text) == (True, True)
    assert "No item matches" in (await steward.get("/items?readiness=returnable")).text


async def test_the_form_writes_only_what_was_changed(door: Door, url: str, steward: Visitor):
    await door.submit(SYSTEM, amend(amendment("MUG", {"category": "cups", "brand": "Aurora"})), "before")
    page = await steward.get("/items/MUG")
    shown = page.hidden(AMEND)
    assert (shown["was-category"], shown["was-brand"]) == ("cups", "Aurora")
    await door.submit(SYSTEM, amend(amendment("MUG", {"category": "mugs"})), "meanwhile")
    filled = {name.removeprefix("was-"): value for name, value in shown.items() if name.startswith("was-")}
    filled |= {"weight_g": "310", "brand": "", "units": "case 6", "packs": "case 6 each 14006381333938"}
    page = await steward.post(AMEND, {**shown, **filled})
    assert page.status == 200, page.text
    found = await rows(
        url, "select category, brand, weight_g, units, packs -> 'case' ->> 'gtin' from item where sku='MUG'"
    )
    assert found == [("mugs", None, 310, {"case": "6"}, "14006381333938")]
    again = await steward.post(AMEND, {**shown, **filled})
    assert again.status == 200, "sent twice has one effect"
    assert await rows(url, "select version from item where sku = 'MUG'") == [(4,)]
    await prove(url)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gtin": "4006381333932"}, "check digit should be 1"),
        ({"weight_g": "heavy"}, "weight_g"),
        ({"packs": "a box"}, "no level of packing"),
        ({"units": "case"}, "no unit"),
    ],
)
async def test_a_refusal_is_shown_and_the_form_stays_as_it_was(
    url: str, steward: Visitor, changed: dict[str, str], said: str
):
    shown = (await steward.get("/items/MUG")).hidden(AMEND)
    page = await steward.post(AMEND, {**shown, "name": "Mug", "tax_class": "standard", **changed})
    assert page.status == 422
    assert said in page.text
    assert all(value in page.text for value in changed.values())
    assert await rows(url, "select version from item where sku = 'MUG'") == [(1,)]


async def test_many_items_are_amended_by_a_table_and_bad_cells_are_named(url: str, steward: Visitor):
    shown = (await steward.get("/data-quality")).hidden(TABLE)
    table = "sku,weight_g,gtin\nMUG,310,\nCUP,90,4006381333932\nNONE,1,"
    page = await steward.post(TABLE, {**shown, "table": table})
    assert page.status == 200
    for words in ("1 row amended", "4006381333932", "check digit should be 1", "No item answers to"):
        assert words.replace("'", "&#39;") in page.text, words
    assert await rows(url, "select sku, weight_g from item order by sku") == [("CUP", None), ("MUG", 310)]
    wrong = await steward.post(TABLE, {**shown, "key": "other", "table": "sku,colour\nMUG,red"})
    assert (wrong.status, "There is no column" in wrong.text, "MUG,red" in wrong.text) == (422, True, True)
    await prove(url)


async def test_a_governed_field_is_proposed_from_the_item_and_shown_there(
    door: Door, url: str, clock: TurnedClock, steward: Visitor
):
    owner = {"entity": "item", "field": "weight_g", "owner": "Master Data Owner", "governed": True}
    await publish(door, "field_ownership", {"owners": [owner]})
    await declared(door)
    shown = (await steward.get("/items/MUG")).hidden(AMEND)
    sent = {**shown, "name": "Mug", "tax_class": "standard", "weight_g": "310"}
    direct = await steward.post(AMEND, sent)
    assert (direct.status, "changes only by a change" in direct.text) == (422, True)
    proposed = await steward.post(AMEND, {**sent, "key": "proposed", "as": "change"})
    assert proposed.status == 200, proposed.text
    assert "Pending changes" in proposed.text
    assert "Weight, g: 310</td>" in proposed.text, "what of this item would change, and to what"
    assert await rows(url, "select weight_g from item where sku = 'MUG'") == [(None,)]
    table = (await steward.get("/data-quality")).hidden(TABLE)
    staged = await steward.post(TABLE, {**table, "table": "sku;weight_g\nCUP;90"})
    assert "1 row staged in one change" in staged.text
    shown_there = (await steward.get("/items/CUP")).text
    assert ("Weight, g: 90</td>" in shown_there, "310" in shown_there) == (True, False)
    assert await rows(url, "select count(*) from change") == [(2,)]
    await prove(url)


async def test_a_change_of_many_rows_shows_each_who_approves_a_sample_and_demands_that_they_opened_it(
    door: Door, url: str, clock: TurnedClock, steward: Visitor
):
    items = [(f"item {at}", RegisterItem(sku=f"S{at}", name=f"Item {at}")) for at in range(30)]
    expect_all(await door.submit_all(SYSTEM, items))
    owner = {"entity": "item", "field": "weight_g", "owner": "Master Data Owner", "governed": True}
    await publish(door, "field_ownership", {"owners": [owner]})
    company = await declared(door)
    table = "sku,weight_g\n" + "\n".join(f"S{at},{at + 100}" for at in range(30))
    shown = (await steward.get("/data-quality")).hidden(TABLE)
    page = await steward.post(TABLE, {**shown, "table": table})
    change = next(link for link in page.links() if link.startswith("/changes/chg_"))
    asker = await steward.get(change)
    assert "20 of 30 rows to look at" in asker.text
    async with console(url, clock) as address, signed_in(url, clock, address, company.Mia.id) as approver:
        page = await approver.get(change)
        again = await approver.get(change)
        drawn = [re.findall(r'<td class="mono">(S\d+)</td>', one.text) for one in (asker, page, again)]
        assert drawn[1] == drawn[2] != drawn[0], "drawn for each, and not again for each look"
        assert len(set(drawn[1])) == 20
        hidden = page.hidden(f"{change}/approve")
        assert hidden["sample"]
        unread = await approver.post(f"{change}/approve", {**hidden, "sample": "", "note": "looks fine"})
        assert "were not opened" in unread.text
        borrowed = re.search(r'name="sample" value="([0-9a-f]+)"', asker.text)
        assert borrowed is None, "who asked approves nothing, and is shown no word"
        assert await rows(url, "select count(*) from change_approval") == [(0,)]
        done = await approver.post(f"{change}/approve", {**unread.hidden(f"{change}/approve"), "note": "looked at"})
        assert "Done." in done.text
    assert await rows(url, "select actor from change_approval") == [(company.Mia.id,)]


async def test_an_order_says_which_data_keeps_it_from_a_parcel(door: Door, steward: Visitor):
    owner = {"entity": "item", "field": "weight_g", "owner": "Master Data Owner"}
    await publish(door, "field_ownership", {"owners": [owner]})
    await publish(door, "readiness", {"enforce": True})
    outcome = await door.submit(SYSTEM, order_of(MUG=1), "order")
    order = f"/orders/{outcome.result['order']}"

    async def told() -> bool:
        return "goes into no parcel: weight missing (Master Data Owner)" in (await steward.get(order)).text

    await until(told)  # a process reads policies at most a second late


async def test_who_may_not_amend_reads_who_may(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    agent = await person(door, "Ada", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, agent) as visitor:
        page = await visitor.get("/items/MUG")
        assert "Amending is for: Data Steward" in page.text
        sent = {**page.hidden(AMEND), "name": "Ada's mug", "tax_class": "standard"}
        assert (await visitor.post(AMEND, sent)).status == 403
        page = await visitor.get("/data-quality")
        assert "Amending is for" in page.text
        sent = {**page.hidden(TABLE), "table": "sku,weight_g\nMUG,310"}
        assert (await visitor.post(TABLE, sent)).status == 403
    assert await rows(url, "select name, weight_g from item") == [("Mug", None)]


async def test_what_an_owner_wants_proposed_is_told_with_its_change_and_who_decides_and_a_day_that_is_over_too(
    door: Door, url: str, steward: Visitor
):
    owner = {"entity": "item", "field": "brand", "owner": "Master Data Owner", "mode": "propose", "governed": True}
    await publish(door, "field_ownership", {"owners": [owner]})
    await declared(door)

    async def knows() -> bool:
        return "Propose it as a change" in (await steward.get("/items/MUG")).text

    await until(knows)  # a process reads policies at most a second late
    shown = (await steward.get("/items/MUG")).hidden(AMEND)
    shown |= {name.removeprefix("was-"): value for name, value in shown.items() if name.startswith("was-")}
    page = await steward.post(AMEND, {**shown, "brand": "Aurora"})
    ((change,),) = await rows(url, "select id from change")
    told = ("It is governed, so it was proposed.", f'<a href="/changes/{change}">{change}</a>', "It is decided by 1 of")
    assert (page.status, [words for words in told if words not in page.text]) == (200, [])
    page = await steward.post(AMEND, {**shown, "lead_days": "4", "effective_from": "2020-01-01", "key": "over"})
    assert (page.status, "2020-01-01 has begun: it holds from now on" in page.text) == (200, True)
    assert await rows(url, "select lead_days, brand from item where sku = 'MUG'") == [(4, None)]
    await prove(url)
