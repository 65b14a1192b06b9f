"""The console's pages for count sessions: blind figures, the recount, who approves, the close, and who sees which."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from tests.conftest import START, stocked
from tests.organised import organise, scoped
from tests.proof import prove
from tests.requests import receipt, rows
from tests.stock.depth import DAY, balance, done, found, item, lots, lots_of
from tests.web.console_visitor import Page, Visitor, console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.catalogue.cost import RecordCost
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.stock.counting import OpenCount

CUPS: dict[str, Any] = {f"CUP{n:03}": 1 for n in range(101)}


@pytest.fixture
async def address(url: str, clock: TurnedClock) -> AsyncIterator[str]:
    """The console on this test's database."""
    async with console(url, clock) as served:
        yield served


@pytest.fixture
async def planner(door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Visitor]:
    """Who counts first."""
    async with signed_in(url, clock, address, await person(door, "Paula", "Fulfilment Lead")) as visitor:
        yield visitor


@pytest.fixture
async def deputy(door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Visitor]:
    """Who counts again."""
    async with signed_in(url, clock, address, await person(door, "Dora", "Fulfilment Lead")) as visitor:
        yield visitor


@pytest.fixture
async def other(door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Visitor]:
    """Who did not count, and approves."""
    async with signed_in(url, clock, address, await person(door, "Otto", "Fulfilment Lead")) as visitor:
        yield visitor


async def opened(door: Door, *skus: str, blind: bool = True, reference: str = "C-1", location: str = "MAIN") -> str:
    command = OpenCount(location=location, reference=reference, skus=skus, blind=blind)
    return f"/counts/{(await done(door, command)).result['count']}"


async def record(
    visitor: Visitor, path: str, *, at: str = "2026-03-02T09:00:00", view: str = "", **fields: str
) -> Page:
    """Count as the page lists it: the row of each SKU, by its name; `more` and free fields as they are."""
    page = await visitor.get(path + view)
    action = page.text.partition(f'action="{path}/record')[2].partition('"')[0]
    listed = page.hidden(f"{path}/record{action}".replace("&amp;", "&"))
    sent = {name.replace("_", "-"): value for name, value in fields.items() if not name.isupper()}
    for name, sku in listed.items():
        if name.startswith("sku-") and sku in fields:
            sent[name.replace("sku", "units")] = fields[sku]
    return await visitor.post(f"{path}/record{action}".replace("&amp;", "&"), {**listed, "counted_at": at, **sent})


def words(page: Page) -> str:
    """The page's text without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.text).split())


def says(text: str, figure: str) -> bool:
    """Tell whether a figure stands in a text, by itself: not within the digits of a form's key or an id."""
    return re.search(rf"(?<![0-9a-f]){figure}(?![0-9a-f])", text) is not None


def row_of(page: Page, sku: str) -> str:
    """What the table of lines says of an item."""
    lines = re.findall(r"<tr[^>]*>(.*?)</tr>", page.text, re.S)
    return next(" ".join(re.sub(r"<[^>]*>", " ", line).split()) for line in lines if f"/stock/{sku}" in line)


async def test_a_session_is_opened_once_and_its_form_is_kept_when_refused(door: Door, url: str, planner: Visitor):
    await stocked(door, MUG=100, PLATE=50)
    assert "Nobody counted in a session yet" in (await planner.get("/counts")).text
    fields = {"location": "MAIN", "reference": HOSTILE, "skus": "MUG\nNOBODY", "blind": "1"}
    wrong = await planner.fill_in("/counts", "/counts/open", **fields)
    assert (wrong.status, "MUG\nNOBODY" in wrong.text) == (422, True)
    assert not InlineCode(wrong.text).found
    assert await rows(url, "select * from stock_count") == []
    page = await planner.get("/counts")
    form = {**page.hidden("/counts/open"), **fields, "skus": "MUG\n"}
    made = await planner.post("/counts/open", form)
    again = await planner.post("/counts/open", form)
    assert (made.status, again.address) == (200, made.address)
    assert not InlineCode(made.text).found
    assert re.search("opened [^·]* by Paula", words(made))
    assert await rows(url, "select blind, count(*) from stock_count group by blind") == [(True, 1)]
    busy = await planner.fill_in("/counts", "/counts/open", location="MAIN", reference="C-2")
    assert (busy.status, "counts some of these items already" in busy.text) == (422, True)
    await prove(url)


async def test_a_blind_count_hides_the_book_from_who_counts(door: Door, url: str, planner: Visitor, deputy: Visitor):
    await stocked(door, MUG=137)
    path = await opened(door)
    assert not says((await planner.get(path)).text, "137")
    counted = await record(planner, path, MUG="90")
    assert (counted.status, "count again" in row_of(counted, "MUG")) == (200, True)
    assert "Done." in counted.text
    for visitor, view in ((planner, ""), (planner, "?variances=true"), (deputy, "")):
        text = (await visitor.get(path + view)).text
        assert not says(text, "137"), view
        assert not says(text.replace("\u2212", "-"), "-47"), view
        assert "Book then" not in text, view
    assert not says(row_of(await deputy.get(path), "MUG"), "90"), "nor is who counts again told what was found first"
    assert "somebody else than you" in row_of(await planner.get(path), "MUG")
    assert 'name="units-0"' in (await deputy.get(path)).text
    assert await balance(url) == {"on_hand": 137}


async def test_another_recounts_a_third_approves_and_the_close_posts(
    door: Door, url: str, planner: Visitor, deputy: Visitor, other: Visitor
):
    await stocked(door, MUG=100)
    cost = RecordCost(sku="MUG", currency="EUR", cost=Amount("3"), effective_from=date(2026, 1, 1), source="invoice")
    await done(door, cost)
    path = await opened(door)
    await record(planner, path, MUG="80")
    form = (await other.get(path)).hidden(f"{path}/record")
    mine = {**form, **(await planner.get(path)).hidden(f"{path}/close")}
    refused = await planner.post(f"{path}/record", {**mine, "units-0": "80", "counted_at": "2026-03-02T09:00"})
    assert (refused.status, "somebody else" in refused.text) == (422, True)
    unfinished = await planner.fill_in(path, f"{path}/close")
    assert (unfinished.status, "MUG is to be recounted by somebody else" in unfinished.text) == (422, True)
    recounted = await record(deputy, path, MUG="81")
    assert "You counted in this session, so somebody else approves" in recounted.text
    assert "but not Dora, Paula" in recounted.text
    assert "Show the variances" in (await other.get(path)).text
    shown = await other.get(f"{path}?variances=true")
    line = row_of(shown, "MUG")
    assert "100" in line
    assert "57.00" in line
    approve = f"{path}/approve?variances=true"
    nothing = await other.fill_in(f"{path}?variances=true", approve)
    assert (nothing.status, "The form says nothing" in nothing.text) == (422, True)
    forged = await planner.post(f"{path}/approve", {**shown.hidden(approve), **mine, "key": "f", "tick-0": "1"})
    assert (forged.status, "Paula counted in this session" in forged.text) == (422, True)
    form = {**shown.hidden(approve), "tick-0": "1"}
    for _ in range(2):
        approved = await other.post(approve, form)
        assert (approved.status, "approved by Otto" in approved.text) == (200, True)
    assert await balance(url) == {"on_hand": 100}
    closed = await planner.fill_in(path, f"{path}/close")
    assert "What happened" in closed.text
    assert "57.00" in row_of(closed, "MUG"), "a closed session is open to all"
    assert await balance(url) == {"on_hand": 81}
    await prove(url)


async def test_what_moves_during_the_count_is_netted_and_shown(
    door: Door, url: str, clock: TurnedClock, planner: Visitor
):
    await stocked(door, MUG=100)
    path = await opened(door, "MUG", blind=False)
    clock.turn(timedelta(hours=2))
    await done(door, receipt(40))
    page = await record(planner, path, at="2026-03-02T10:00:00", MUG="98")
    line = row_of(page, "MUG")
    assert "98 100 \u22122" in line
    assert "+40" in line
    assert "stay on top" in page.text
    await planner.fill_in(path, f"{path}/close")
    assert await balance(url) == {"on_hand": 138}
    assert "+40" in row_of(await planner.get(path), "MUG"), "the adjustment itself is no movement since"
    await prove(url)


async def test_lots_are_counted_one_by_one(door: Door, url: str, planner: Visitor):
    await item(door, "MILK", tracking="lot", expires=True)
    await stocked(door, MUG=5)
    await done(door, lots(("L1", 5, DAY), ("L2", 5, DAY)))
    path = await opened(door, "MILK")
    first = await record(planner, path, MILK="4", lot_0="L1")
    assert "MILK L1 Milk counted" in row_of(first, "MILK")
    named = await planner.fill_in(path, f"{path}/close")
    assert (named.status, "MILK lot L2 is not counted" in named.text) == (422, True)
    free = {"free_sku_0": "MILK", "free_lot_0": "L2", "free_units_0": "5"}
    wrong = await record(planner, path, **{**free, "free_sku_0": "MUG", "free_lot_0": ""})
    assert (wrong.status, "is not to be counted in this session" in wrong.text) == (422, True)
    assert 'name="free-units-0" inputmode="decimal" autocomplete="off" value="5"' in wrong.text
    assert (await record(planner, path, **free)).status == 200
    assert (await planner.fill_in(path, f"{path}/close")).status == 200
    assert await lots_of(url) == {"L1": 4, "L2": 5}
    await prove(url)


async def test_who_may_know_the_book_sees_which_lots_nobody_counted(door: Door, planner: Visitor, other: Visitor):
    await item(door, "MILK", tracking="lot", expires=True)
    await stocked(door, MUG=5)
    await done(door, lots(("L1", 5, DAY), ("L2", 5, DAY)))
    path = await opened(door, "MILK")
    assert "L2" not in (await other.get(f"{path}?variances=true")).text, "an item nobody counted is a line of its own"
    counted = await record(planner, path, MILK="5", lot_0="L1")
    assert "Every line above has a figure that holds" in counted.text
    assert "L2" not in counted.text
    shown = words(await other.get(f"{path}?variances=true"))
    assert "The book has lots that nobody counted: MILK L2 ." in shown
    assert "figure that holds" not in shown


async def test_a_form_that_says_nothing_or_nonsense_is_refused_and_kept(door: Door, url: str, planner: Visitor):
    await stocked(door, MUG=100, PLATE=50)
    path = await opened(door)
    nothing = await record(planner, path)
    assert (nothing.status, "The form says nothing" in nothing.text) == (422, True)
    wrong = await record(planner, path, MUG="90", PLATE="-1")
    assert wrong.status == 422
    assert '<tr class="differs">' in wrong.text
    assert 'value="90"' in wrong.text
    untimed = await record(planner, path, at="noon", MUG="90")
    assert (untimed.status, 'value="noon"' in untimed.text) == (422, True)
    more = await record(planner, path, MUG="90", more="1")
    assert (more.status, 'id="free-sku-5"' in more.text, 'value="90"' in more.text) == (200, True, True)
    assert await rows(url, "select * from stock_count_entry") == []
    assert (await planner.post(f"{path}/burn", (await planner.get(path)).hidden(f"{path}/close"))).status == 404


async def test_an_abandoned_session_posts_nothing(door: Door, url: str, planner: Visitor):
    await stocked(door, MUG=100)
    path = await opened(door)
    await record(planner, path, MUG="97")
    page = await planner.fill_in(path, f"{path}/abandon")
    assert "abandoned: nothing was posted" in page.text
    assert "Record what was found" not in page.text
    assert await balance(url) == {"on_hand": 100}
    await prove(url)


async def test_the_lists_are_narrowed_and_paged(door: Door, planner: Visitor):
    await stocked(door, MUG=100, **CUPS)
    first = await opened(door, "MUG", reference="WB-1")
    await done(door, found(first.removeprefix("/counts/"), MUG=100))
    await planner.fill_in(first, f"{first}/close")
    second = await opened(door)
    for query, shown in (
        ("status=open", {second}),
        ("status=closed", {first}),
        ("q=WB", {first}),
        (f"q={second.removeprefix('/counts/')}", {second}),
        ("location=MAIN", {first, second}),
        ("location=SHOP", set()),
    ):
        page = await planner.get(f"/counts?{query}")
        links = {link for link in page.links() if link.startswith("/counts/cnt_")}
        assert (links, "No session matches" in page.text) == (shown, not shown), query
    page = await planner.get(f"{second}?q=CUP")
    assert ("/stock/CUP099" in page.links(), "/stock/CUP100" in page.links()) == (True, False)
    following = next(link for link in page.links() if "cursor=" in link)
    assert "/stock/CUP100" in (await planner.get(following)).links()
    view = following.removeprefix(second)
    counted = await record(planner, second, view=view, CUP100="1")
    assert ("cursor=" in counted.address, "counted" in row_of(counted, "CUP100")) == (True, True)
    assert "/stock/CUP000" not in (await planner.get(f"{second}?state=counted")).links()
    assert (await planner.get("/counts/cnt_none")).status == 404


async def test_who_may_not_sees_who_may(door: Door, url: str, clock: TurnedClock, address: str):
    await stocked(door, MUG=137)
    path = await opened(door)
    auditor = await person(door, "Ada", "Auditor")
    async with signed_in(url, clock, address, auditor) as visitor:
        assert "Opening a session is for: Fulfilment Lead" in (await visitor.get("/counts")).text
        page = await visitor.get(f"{path}?variances=true")
        for what in ("Counting", "Approving", "Closing"):
            assert f"{what} is for: Fulfilment Lead" in page.text
        assert not says(page.text, "137")
        key = page.hidden(f"{path}/record?variances=true")
        fields = {**key, "sku-0": "MUG", "units-0": "1", "counted_at": START.isoformat()[:19]}
        assert (await visitor.post(f"{path}/record", fields)).status == 403
        ticked = {**key, "key": "b", "tick-0": "1", "of-sku-0": "MUG"}
        assert (await visitor.post(f"{path}/approve", ticked)).status == 403
        assert (await visitor.post(f"{path}/abandon", {**key, "key": "c"})).status == 403
        opening = {"location": "MAIN", "reference": "C-2"}
        assert (await visitor.fill_in("/counts", "/counts/open", **opening)).status == 403
    assert await rows(url, "select status, version from stock_count") == [("open", 1)]


async def test_a_shop_sees_its_own_only(door: Door, url: str, clock: TurnedClock, address: str):
    await organise(door)
    own = await opened(door, location="SHOP1")
    foreign = await opened(door, location="SHOP2")
    ada = await scoped(door, "Ada", "SHOP1")
    async with signed_in(url, clock, address, ada.id) as visitor:
        page = await visitor.get("/counts")
        assert (own in page.links(), foreign in page.links(), "SHOP2" in page.text) == (True, False, False)
        assert (await visitor.get(foreign)).status == 404
        assert (await record(visitor, own, MUG="10")).status == 200
        form = (await visitor.get(own)).hidden(f"{own}/close")
        assert (await visitor.post(f"{foreign}/abandon", form)).status in (403, 404)
    assert await rows(url, "select count(*) from stock_count where closed_at is null") == [(2,)]
