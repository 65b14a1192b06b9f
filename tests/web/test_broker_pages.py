"""Sourcing by hand, brokering runs and simulations at the console: what they show, refuse, and leave unwritten."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.conftest import stocked
from tests.organised import organise, scoped
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.test_broker import going, run, solved_here, two_cities, two_orders
from tests.sourcing.words import act, assigned, by, placed, publish
from tests.web.console_visitor import Page, Visitor, console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.orders.channel import Channel
from trueup.sourcing.allocate import AllocateUnits
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.finish_run import FinishRun
from trueup.sourcing.policy import Rule
from trueup.stock.receive import AdjustStock

__all__ = ["solved_here"]


@pytest.fixture
async def lead(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    """Two shops, A with four mugs and B with three, for one channel; and a fulfilment lead at the console."""
    await stocked(door, location="A", MUG=4)
    await stocked(door, location="B", MUG=3)
    await publish(door, "web", Channel(locations=("A", "B"), short="backorder"))
    await publish(door, "default", by(Rule("most stock", otherwise="partial")))
    lena = await person(door, "Lena", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lena) as visitor:
        yield visitor


async def allocated(url: str) -> list[tuple[str, int]]:
    """Units allocated by location."""
    return await rows(
        url,
        """select l.code, b.allocated::int from stock_balance b join location l on l.id = b.location
        where b.allocated > 0 order by l.code""",
    )


async def test_units_are_allocated_and_released_by_hand(door: Door, url: str, lead: Visitor):
    """Behaviours 4 and 6."""
    order = await placed(door, MUG=3)
    page = await lead.get(f"/orders/{order}")
    assert "A: 4 free" in page.text
    assert "B: 3 free" in page.text
    form = page.hidden(f"/orders/{order}/allocate")
    fields = {**form, "location": "B", "quantity": "2", "reason": HOSTILE}
    done = await lead.post(f"/orders/{order}/allocate", fields)
    again = await lead.post(f"/orders/{order}/allocate", fields)
    assert (done.status, again.status) == (200, 200)
    assert not InlineCode(done.text).found
    assert await allocated(url) == [("B", 2)]
    assert "Line 1, <a" in done.text
    assert "1 unit is open" in done.text
    assert "B: 1 free" in done.text
    gone = await lead.fill_in(
        f"/orders/{order}", f"/orders/{order}/release", location="B", quantity="2", reason="elsewhere"
    )
    assert gone.status == 200
    assert await allocated(url) == []
    await prove(url)


async def test_more_than_is_there_is_refused_and_the_form_is_kept(door: Door, url: str, lead: Visitor):
    order = await placed(door, MUG=6)
    refused = await lead.fill_in(
        f"/orders/{order}", f"/orders/{order}/allocate", location="B", quantity="5", reason="near the customer"
    )
    assert refused.status == 422
    assert "3 are available to it there" in refused.text
    kept = re.search(r'<form id="allocate-1".*?</form>', refused.text, re.S)
    assert kept is not None
    for words in ('<option value="B" selected>', 'value="5"', 'value="near the customer"'):
        assert words in kept[0]
    assert await allocated(url) == []
    assert await rows(url, "select count(*)::int from sourcing_decision") == [(0,)]


async def test_who_read_an_older_version_is_told_what_changed(door: Door, url: str, lead: Visitor):
    order = await placed(door, MUG=3)
    path = f"/orders/{order}/allocate"
    read = (await lead.get(f"/orders/{order}")).hidden(path)
    by_another = AllocateUnits(order=order, line=1, location="A", quantity=Quantity(1))
    assert (await act(door, by_another)).refusal is None
    late = await lead.post(path, {**read, "location": "B", "quantity": "3", "reason": "mine"})
    assert late.status == 422
    assert "orders.changed" in late.text
    assert re.search(r"Since then: \S+ by \S+ at 2026-03-02", late.text)
    assert await allocated(url) == [("A", 1)]
    result = await assigned(door, order)
    assert result["outcome"] == "assigned"
    path = f"/orders/{order}/release"
    stale = {**(await lead.get(f"/orders/{order}")).hidden(path), "version": read["version"]}
    late = await lead.post(path, {**stale, "location": "A", "quantity": "1", "reason": "mine"})
    assert (late.status, "orders.changed" in late.text) == (422, True)
    assert [units for _, units in await allocated(url)] == [3]
    await prove(url)


async def test_what_came_in_for_who_waits_is_free_to_them(door: Door, url: str, lead: Visitor):
    first = await placed(door, MUG=10)
    second = await placed(door, "second", MUG=2)
    assert "Nothing of it is free to this order" in (await lead.get(f"/orders/{second}")).text
    found = AdjustStock(location="A", sku="MUG", change=Quantity(4), reason="found", reference="count")
    assert (await act(door, found)).refusal is None
    page = await lead.get(f"/orders/{first}")
    assert "A: 7 free" in page.text, "four it reserved, and the three it waits for"
    assert "A: 2 free" in (await lead.get(f"/orders/{second}")).text
    path = f"/orders/{first}/allocate"
    too_many = await lead.post(path, {**page.hidden(path), "location": "A", "quantity": "8", "reason": "x"})
    assert (too_many.status, "7 are available to it there" in too_many.text) == (422, True)
    most = await lead.fill_in(f"/orders/{first}", path, location="A", quantity="7", reason="its turn")
    assert most.status == 200
    assert await allocated(url) == [("A", 7)]
    await prove(url)


async def test_who_may_not_allocate_sees_who_may(door: Door, url: str, clock: TurnedClock, lead: Visitor):
    order = await placed(door, MUG=3)
    otto = await person(door, "Otto", "Auditor")
    async with signed_in(url, clock, lead.address, otto) as auditor:
        page = await auditor.get(f"/orders/{order}")
        assert "Allocating by hand is for: Fulfilment Lead" in page.text
        fields = (await lead.get(f"/orders/{order}")).hidden(f"/orders/{order}/allocate")
        mine = page.hidden(f"/orders/{order}/cancel")
        sent = {**fields, **mine, "location": "A", "quantity": "1", "reason": "no"}
        refused = await auditor.post(f"/orders/{order}/allocate", sent)
        assert (refused.status, "may not sourcing.allocate" in refused.text) == (403, True)
    assert await allocated(url) == []


async def test_a_stores_people_choose_among_their_places_only(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    await publish(door, "web", Channel(locations=("SHOP1", "SHOP2")))
    order = await placed(door, MUG=3)
    ada = await scoped(door, "Ada", "SHOP1", "web")
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        page = await visitor.get(f"/orders/{order}")
        assert "SHOP1: 10 free" in page.text
        assert "SHOP2: " not in page.text
        refused = await visitor.fill_in(
            f"/orders/{order}", f"/orders/{order}/allocate", location="SHOP2", quantity="1", reason="theirs"
        )
        assert refused.status == 403
    assert await allocated(url) == []


@pytest.fixture
async def planner(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    """Somebody who reads everything and may publish policies."""
    paula = await person(door, "Paula", "Administrator")
    async with console(url, clock) as address, signed_in(url, clock, address, paula) as visitor:
        yield visitor


async def test_a_run_is_shown_beside_the_rules_with_its_orders(
    door: Door, url: str, clock: TurnedClock, planner: Visitor
):
    empty = await planner.get("/sourcing/runs")
    assert "No run was made yet." in empty.text
    await two_cities(door, east=1, west=10)
    first, second = await two_orders(door, clock)
    report = await run(url, door)
    listed = await planner.get("/sourcing/runs")
    assert f"/sourcing/runs/{report.run}" in listed.links()
    assert f"/sourcing/runs/{report.run}" in (await planner.get("/sourcing")).links()
    for words in ("€6.00", "€11.00", "€5.00", "45.5", "the optimiser", "a run starts every minute when"):
        assert words in listed.text, words
    page = await planner.get(f"/sourcing/runs/{report.run}")
    assert {f"/orders/{first}#sourcing", f"/orders/{second}#sourcing"} <= set(page.links())
    for words in ("€6.00", "€11.00", "45.5 %", "Parcels, by distance", "Batches solved", "as planned",
                  "Its plan costs less than that of the sequential rules"):  # fmt: skip
        assert words in page.text, words
    others = await planner.get(f"/sourcing/runs/{report.run}?planned=false")
    assert "No order of the run was decided so." in others.text
    assert f"/sourcing/runs/{report.run}" in (await planner.get(f"/orders/{first}")).links()
    assert (await planner.get("/sourcing/runs/run_none")).status == 404


async def test_runs_are_paged_and_each_is_shown_once(door: Door, planner: Visitor, clock: TurnedClock):
    made = [f"run_{at:03}" for at in range(53)]
    for name in made:
        ended = FinishRun(
            run=name, orders=4, assigned=3, fallen_back=1, cost=Quantity(8), sequential_cost=Quantity(0),
            currency="EUR", seconds=Quantity("0.5"), decided_by="sequential",
        )  # fmt: skip
        assert (await act(door, ended)).refusal is None
    page, seen = await planner.get("/sourcing/runs"), list[str]()
    while True:
        seen += [link for link in page.links() if link.startswith("/sourcing/runs/")]
        further = [link for link in page.links() if "cursor=" in link]
        if not further:
            break
        page = await planner.get(further[0])
    assert seen == [f"/sourcing/runs/{name}" for name in reversed(made)]
    old = await planner.get("/sourcing/runs/run_000")
    assert "the plan of the rules was carried out" in old.text
    assert "Batches solved" not in old.text
    assert "No order was decided by it." in old.text


async def test_a_run_says_which_orders_were_never_put_to_its_plan(door: Door, planner: Visitor):
    ended = FinishRun(
        run="run_some", orders=9, assigned=4, fallen_back=0, cost=Quantity(8), sequential_cost=Quantity(8),
        currency="EUR", seconds=Quantity("0.5"), decided_by="optimised", report={"by_rules": 3},
    )  # fmt: skip
    assert (await act(door, ended)).refusal is None
    page = await planner.get("/sourcing/runs/run_some")
    assert '3 <span class="muted">whose rule no plan can say' in page.text
    assert '2 <span class="muted">nobody had what they want' in page.text, (
        "of nine, what is neither planned nor left to the rules"
    )


async def test_who_sees_a_part_only_sees_no_runs(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    ada = await scoped(door, "Ada", "SHOP1", "web")
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        for path in ("/sourcing/runs", "/sourcing/runs/run_1", "/sourcing/simulate"):
            assert (await visitor.get(path)).status == 403, path
        assert "/sourcing/runs" not in (await visitor.get("/sourcing")).links()


async def journal(url: str) -> list[tuple[Any, ...]]:
    return await rows(url, "select max(position), (select count(*) from door_key) from journal")


async def test_a_simulation_compares_and_writes_nothing(door: Door, url: str, planner: Visitor):
    await two_cities(door, east=2, west=10)
    order = await going(door, "one", "13.40")
    assert (await act(door, AssignOrder(order=order, mode="demand"))).refusal is None
    page = await planner.get("/sourcing/simulate")
    text = re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.S)
    assert text is not None
    document = json.loads(html.unescape(text[1]))
    assert document["groups"][0]["rules"][0]["name"] == "near"
    before = await journal(url)
    same = await try_it(planner, document)
    assert "the document is the policy in force" in same.text
    assert "Every order goes where it goes now." in same.text
    document["groups"][0]["rules"][0] |= {"sort": ["most_stock"], "name": HOSTILE}
    other = await try_it(planner, document)
    assert other.status == 200
    assert not InlineCode(other.text).found
    assert f"/orders/{order}#sourcing" in other.links()
    for words in ("EAST: 1 x 1", "WEST: 1 x 1", "Kilometres, as the crow flies"):
        assert words in other.text, words
    assert await journal(url) == before
    form = {**other.hidden("/policies/sourcing"), "reason": "cheaper"}
    published = await planner.post("/policies/sourcing", form)
    assert published.status == 200
    assert await rows(url, "select reason from policy where kind = 'sourcing' order by version desc limit 1") == [
        ("cheaper",)
    ]


async def try_it(planner: Visitor, document: Any, orders: str = "500") -> Page:
    text = document if isinstance(document, str) else json.dumps(document)
    return await planner.fill_in("/sourcing/simulate", "/sourcing/simulate", document=text, orders=orders)


async def test_a_policy_with_mistakes_is_shown_with_each_in_its_place(door: Door, url: str, planner: Visitor):
    rule = {"name": "near", "sort": ["nearness"], "otherwise": "next"}
    wrong = await try_it(planner, {"groups": [{"name": "all", "rules": [rule]}]})
    assert wrong.status == 422
    marks = re.findall(r'<span class="at">(.*?)</span><span class="why">▲ (.*?)</span>', wrong.text, re.S)
    assert [(line.strip(), why[:12]) for line, why in marks] == [
        ("&#34;nearness&#34;", "sort by one "),
        ("&#34;otherwise&#34;: &#34;next&#34;", "there is no "),
    ]
    assert "policy.invalid" in wrong.text
    for document, orders, words in (
        ("{", "5", "The document is no JSON"),
        ("[]", "5", "The document is no object"),
        ({"grops": []}, "5", "contains unknown field `grops`"),
        ({}, "0", "is no number of orders"),
        ({}, "2001", "is no number of orders"),
        ({}, "many", "is no number of orders"),
    ):
        refused = await try_it(planner, document, orders)
        assert (refused.status, words in html.unescape(refused.text)) == (422, True), (document, orders)
        assert f'value="{orders}"' in refused.text
