"""The console's pages for transfers: shipping several lines, what arrives, what differs, and who sees which."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from tests.conftest import stocked
from tests.organised import organise, scoped
from tests.proof import prove
from tests.requests import rows
from tests.stock.depth import DAY, account, arrive, balance, cases, done, item, lots, lots_of, places, ship
from tests.web.console_visitor import Page, Visitor, console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.transfer import ShipTransfer, TransferredLine


@pytest.fixture
async def lead(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    """Somebody who may do everything with stock."""
    ada = await person(door, "Ada", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, ada) as visitor:
        yield visitor


async def two_shops(door: Door) -> None:
    await stocked(door, MUG=10, PLATE=5)
    await places(door, "SHOP")


def line(at: int, sku: str, quantity: str, **more: str) -> dict[str, str]:
    return {f"sku-{at}": sku, f"quantity-{at}": quantity, **{f"{name}-{at}": value for name, value in more.items()}}


async def send(lead: Visitor, do: str, **fields: str) -> Page:
    way = {"from_location": "MAIN", "to_location": "SHOP", "reference": "T-1"}
    return await lead.fill_in("/transfers/new", "/transfers/new", do=do, **{**way, **fields})


async def report(lead: Visitor, transfer: str, **fields: str) -> Page:
    sent = {name.replace("_", "-"): value for name, value in fields.items()}
    return await lead.fill_in(f"/transfers/{transfer}", f"/transfers/{transfer}/receive", **sent)


def beside(page: Page, at: int) -> str:
    """What the page says beside a line of the form."""
    found = re.search(rf'<div id="why-{at}"[^>]*>(.*?)</div>', page.text, re.S)
    assert found is not None
    return " ".join(re.sub(r"<[^>]*>", " ", found[1]).split())


async def test_several_lines_are_shipped_and_sent_twice_leave_once(door: Door, url: str, lead: Visitor):
    await two_shops(door)
    page = await lead.get("/transfers/new")
    way = {"from_location": "MAIN", "to_location": "SHOP", "reference": "T-1", "do": "ship"}
    form = {**page.hidden("/transfers/new"), **way, **line(0, "MUG", "6"), **line(3, "PLATE", "2")}
    shipped = await lead.post("/transfers/new", form)
    assert (shipped.status, "on its way" in shipped.text) == (200, True)
    assert "by Ada" in shipped.text
    again = await lead.post("/transfers/new", form)
    assert again.address == shipped.address
    assert await balance(url) == {"on_hand": 4}
    assert await rows(url, "select count(*) from stock_transfer") == [(1,)]
    transfer = shipped.address.partition("?")[0]
    assert transfer in (await lead.get("/transfers")).links()
    await prove(url)


async def test_checking_tells_what_would_happen_and_writes_nothing(door: Door, url: str, lead: Visitor):
    await two_shops(door)
    fits = await send(lead, "check", **line(0, "MUG", "6"))
    assert "would be shipped" in fits.text
    assert beside(fits, 0).startswith("MAIN 10")
    short = await send(lead, "check", **line(0, "MUG", "6"), **line(2, "PLATE", "6"))
    assert "would be refused" in short.text
    assert beside(short, 2).startswith("short or wrong PLATE: 6 asked, 5 available")
    assert await rows(url, "select * from stock_transfer") == []


async def test_it_refuses_more_than_is_there_beside_the_line_and_keeps_the_form(door: Door, url: str, lead: Visitor):
    await two_shops(door)
    refused = await send(lead, "ship", reference=HOSTILE, **line(0, "MUG", "1"), **line(2, "PLATE", "6", unit="each"))
    assert refused.status == 422
    assert beside(refused, 2).startswith("short or wrong")
    assert beside(refused, 0).startswith("MAIN 10")
    assert 'name="quantity-2" inputmode="decimal" size="6" value="6"' in refused.text
    assert not InlineCode(refused.text).found
    itself = await send(lead, "ship", to_location="MAIN", **line(0, "MUG", "1"))
    assert (itself.status, "both ends" in itself.text) == (422, True)
    empty = await send(lead, "ship")
    assert empty.status == 422
    assert await rows(url, "select * from stock_transfer") == []
    assert await balance(url) == {"on_hand": 10}


async def test_what_arrives_well_damaged_and_beside_is_posted_and_is_a_case(door: Door, url: str, lead: Visitor):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6, PLATE=2))).result["transfer"]
    page = await report(lead, transfer, good_1="3", bad_1="1", as_1="damaged", more_sku_0="PLATE", more_good_0="3")
    assert (page.status, "partly received" in page.text) == (200, True)
    assert await balance(url, location="SHOP") == {"on_hand": 3, "damaged": 1}
    assert await balance(url, "PLATE", "SHOP") == {"on_hand": 3}
    assert "Arrived, but not to be promised" in page.text
    assert "1 over" in page.text
    assert await account(url, "in_transit") == 2
    closed = await report(lead, transfer, close="1")
    assert "2 missing, 1 over" in closed.text
    assert await cases(url) == ["transfer_discrepancy"]
    case = (await rows(url, "select id from cases"))[0][0]
    assert f"/cases/{case}" in closed.links()
    assert "Something still arrived" in closed.text
    await prove(url)


async def test_all_that_was_open_arrives_once_though_sent_twice(door: Door, url: str, lead: Visitor):
    await two_shops(door)
    await item(door, "MILK", tracking="lot", expires=True)
    await done(door, lots(("L1", 5, DAY), ("L2", 5, DAY.replace(year=2027))))
    lines = (TransferredLine("MUG", Quantity(6)), TransferredLine("MILK", Quantity(3), lot="L2"))
    made = await done(door, ShipTransfer(from_location="MAIN", to_location="SHOP", lines=lines, reference="T-2"))
    path = f"/transfers/{made.result['transfer']}"
    page = await lead.get(path)
    form = {**page.hidden(f"{path}/receive"), "do": "all"}
    for _ in range(2):
        page = await lead.post(f"{path}/receive", form)
        assert (page.status, "closed" in page.text) == (200, True)
    assert await balance(url, location="SHOP") == {"on_hand": 6}
    assert await lots_of(url, location="SHOP") == {"L2": 3}
    assert await cases(url) == []
    await prove(url)


async def test_a_receipt_that_says_nothing_or_nonsense_is_refused_beside_its_line(door: Door, url: str, lead: Visitor):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6, PLATE=2))).result["transfer"]
    nothing = await report(lead, transfer)
    assert (nothing.status, "The form says nothing" in nothing.text) == (422, True)
    wrong = await report(lead, transfer, good_1="2", more_sku_1="NOBODY", more_bad_1="3")
    assert wrong.status == 422
    assert 'value="NOBODY"' in wrong.text
    assert re.search(r'<tr class="differs">\s*<td>.*?NOBODY', wrong.text, re.S)
    negative = await report(lead, transfer, good_2="-1")
    assert (negative.status, 'id="good-2"' in negative.text) == (422, True)
    more = await report(lead, transfer, more="1", good_1="2")
    assert (more.status, 'id="more-sku-5"' in more.text) == (200, True)
    assert await balance(url, location="SHOP") == {}


async def test_the_list_is_narrowed_by_its_filters(door: Door, lead: Visitor):
    await two_shops(door)
    assert "Nothing was ever sent" in (await lead.get("/transfers")).text
    first = (await done(door, ship(MUG=1))).result["transfer"]
    second = (await done(door, ship(MUG=2))).result["transfer"]
    lines = (TransferredLine("PLATE", Quantity(1)),)
    other = ShipTransfer(from_location="MAIN", to_location="SHOP", lines=lines, reference="WB-7")
    third = (await done(door, other)).result["transfer"]
    await done(door, arrive(first, MUG=1, close=True))
    await done(door, arrive(second, MUG=1, close=True))
    for query, shown in (
        ("status=open", {third}),
        ("status=closed", {first, second}),
        ("differs=true", {second}),
        ("differs=false", {first, third}),
        ("q=WB", {third}),
        (f"q={first}", {first}),
        ("from=MAIN&to=SHOP", {first, second, third}),
        ("from=SHOP", set()),
        ("q=wb", set()),
    ):
        page = await lead.get(f"/transfers?{query}")
        links = {link.removeprefix("/transfers/") for link in page.links() if link.startswith("/transfers/trf_")}
        assert (links, "No transfer matches" in page.text) == (shown, not shown), query
    assert (await lead.get("/transfers/trf_none")).status == 404


async def test_who_may_not_sees_who_may(door: Door, url: str, clock: TurnedClock):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6))).result["transfer"]
    auditor = await person(door, "Otto", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        assert "/transfers/new" not in (await visitor.get("/transfers")).links()
        assert "Shipping transfers is for: Fulfilment Lead" in (await visitor.get("/transfers/new")).text
        assert "Receiving is for: Fulfilment Lead" in (await visitor.get(f"/transfers/{transfer}")).text
        assert (await send(visitor, "ship", **line(0, "MUG", "1"))).status == 403
        assert (await report(visitor, transfer, good_1="1")).status == 403
    assert await balance(url) == {"on_hand": 4}
    assert await rows(url, "select status from stock_transfer") == [("in_transit",)]


async def test_a_shop_sees_and_receives_its_own_only(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    await places(door, "MAIN")
    lines = (TransferredLine("MUG", Quantity(1)),)
    ways = {
        (source, target): (
            await done(door, ShipTransfer(from_location=source, to_location=target, lines=lines, reference="T"))
        ).result["transfer"]
        for source, target in (("SHOP1", "SHOP2"), ("SHOP2", "SHOP1"), ("SHOP2", "MAIN"))
    }
    out, into, foreign = ways.values()
    ada = await scoped(door, "Ada", "SHOP1")
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        links = (await visitor.get("/transfers")).links()
        assert {f"/transfers/{out}", f"/transfers/{into}"} <= set(links)
        assert f"/transfers/{foreign}" not in links
        assert (await visitor.get(f"/transfers/{foreign}")).status == 404
        assert "Receiving is for who works at" in (await visitor.get(f"/transfers/{out}")).text
        assert (await report(visitor, out, good_1="1")).status == 403
        assert (await report(visitor, into, do="all")).status == 200
        fields = {"from_location": "SHOP2", "to_location": "SHOP1", **line(0, "MUG", "1")}
        assert (await send(visitor, "ship", **fields)).status == 403
        assert (
            await send(visitor, "ship", **{**fields, "from_location": "SHOP1", "to_location": "SHOP2"})
        ).status == 200
    assert await rows(url, "select count(*) from stock_transfer") == [(4,)]
    await prove(url)
