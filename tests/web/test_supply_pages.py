"""The console's pages for what is to come and who waits: expect, look before moving or cancelling, whose turn it is."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.conftest import stocked
from tests.organised import organise, scoped
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, placed, publish, wanted
from tests.web.console_visitor import console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.orders.channel import Channel
from trueup.sourcing.policy import Routing
from trueup.stock.supply import ExpectSupply, NoticeLateSupply

FIELDS = {
    "location": "MAIN",
    "sku": "MUG",
    "quantity": "5",
    "day": "2026-03-10",
    "reference": "PO-1",
    "source": "buyer",
}


async def expected(door: Door, units: int, due: str, reference: str, location: str = "MAIN") -> str:
    command = ExpectSupply(location=location, sku="MUG", quantity=Quantity(units), due=due, reference=reference,
                           source="buyer")  # fmt: skip
    return str((await act(door, command)).result["supply"])


async def short(door: Door) -> None:
    """No mugs, and a channel whose orders wait."""
    await stocked(door, MUG=0)
    await publish(door, "web", Channel(short="backorder"))


async def two_wait(door: Door, clock: TurnedClock, first: int, second: int) -> tuple[str, str]:
    """Two orders, a minute apart."""
    earlier = await placed(door, "first", MUG=first)
    clock.turn(timedelta(minutes=1))
    return earlier, await placed(door, "second", MUG=second)


async def test_supply_is_expected_once_and_listed_earliest_due_first(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=0)
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        empty = await visitor.get("/supplies")
        assert "Nothing is to come." in empty.text
        sent = {**empty.hidden("/supplies/expect"), **FIELDS}
        first, again = [await visitor.post("/supplies/expect", sent) for _ in range(2)]
        assert first.status == again.status == 200
        assert first.address == again.address
        assert await rows(url, "select quantity::int, reference from stock_supply") == [(5, "PO-1")]
        timed = await visitor.fill_in(
            "/supplies", "/supplies/expect", **{**FIELDS, "time": "08:30", "reference": HOSTILE}
        )
        assert "2026-03-10 08:30 UTC" in timed.text
        assert not InlineCode(timed.text).found
        listed = await visitor.get("/supplies?sku=MUG&location=MAIN")
        assert not InlineCode(listed.text).found
        ids = [link for link in listed.links() if link.startswith("/supplies/sup_")]
        assert ids == [timed.address.partition("?")[0], first.address.partition("?")[0]], (
            "08:30 is before the day's end"
        )
        assert "No supply matches." in (await visitor.get("/supplies?sku=GHOST")).text
        assert (await visitor.get("/supplies/sup_none")).status == 404
    await prove(url)


async def test_a_refused_expectation_keeps_what_was_entered(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=0)
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        for wrong, where in (({"sku": "GHOST"}, "GHOST"), ({"quantity": "0"}, "quantity"),
                             ({"quantity": "x"}, "quantity"), ({"time": "nine"}, "neither a date")):  # fmt: skip
            page = await visitor.fill_in("/supplies", "/supplies/expect", **{**FIELDS, **wrong})
            assert (page.status, where in page.text, 'value="PO-1"' in page.text) == (422, True, True), wrong
    assert await rows(url, "select * from stock_supply") == []


async def test_filters_tell_what_is_overdue_what_is_at_risk_and_what_ended(door: Door, url: str, clock: TurnedClock):
    await short(door)
    waited = await expected(door, 2, "2026-03-03", "WAITED")
    await placed(door, MUG=2)
    nobody = await expected(door, 5, "2026-03-03", "NOBODY")
    later = await expected(door, 5, "2026-03-20", "LATER")
    lead = await person(door, "Lead", "Fulfilment Lead")
    clock.turn(timedelta(days=3))
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        await visitor.fill_in(f"/supplies/{later}?act=cancel", f"/supplies/{later}/cancel")
        for query, shown in (("", {waited, nobody}), ("?show=late", {waited, nobody}), ("?show=risk", {waited}),
                             ("?show=waited", {waited}), ("?show=ended", {waited, nobody, later}),
                             ("?reference=NOBODY", {nobody}), ("?location=ELSEWHERE", set())):  # fmt: skip
            links = (await visitor.get(f"/supplies{query}")).links()
            assert {link[10:] for link in links if link.startswith("/supplies/sup_")} == shown, query
        assert ">at risk<" in (await visitor.get(f"/supplies/{waited}")).text
        assert "nothing more to come" in (await visitor.get(f"/supplies/{later}")).text


async def test_it_shows_which_promises_would_break_before_it_moves_a_supply(door: Door, url: str, clock: TurnedClock):
    """Behaviour 13: a promise that moves is told in time; here before it is made to move."""
    await short(door)
    supply = await expected(door, 5, "2026-03-10", "PO-1")
    first, second = await two_wait(door, clock, 3, 2)
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        page = await visitor.get(f"/supplies/{supply}")
        assert [link for link in page.links() if link.startswith("/orders/ord_")] == [
            f"/orders/{first}",
            f"/orders/{second}",
        ]
        before = await rows(url, "select max(position) from journal")
        preview = await visitor.get(f"/supplies/{supply}?act=reschedule&day=2026-04-20&time=")
        assert "2 promises would not be kept" in preview.text
        assert "ask for consent" in preview.text
        part = await visitor.get(f"/supplies/{supply}?act=cancel&quantity=1")
        assert "1 promise would not be kept" in part.text
        assert f"/orders/{second}" in part.links()
        assert "more who wait" not in part.text, "the first keeps its units"
        assert (
            "Nothing: it is due then already."
            in (await visitor.get(f"/supplies/{supply}?act=reschedule&day=2026-03-10")).text
        )
        sooner = await visitor.get(f"/supplies/{supply}?act=reschedule&day=2026-03-09")
        assert "No promise would break: 2 who wait would be pegged anew" in sooner.text
        assert await rows(url, "select max(position) from journal") == before, "looking writes nothing"
        sent = {**preview.hidden(f"/supplies/{supply}/reschedule")}
        assert (sent["day"], (await visitor.post(f"/supplies/{supply}/reschedule", sent)).status) == ("2026-04-20", 200)
        after = await visitor.post(f"/supplies/{supply}/reschedule", sent)
        assert "later than promised" in after.text
        (case,) = await rows(url, "select id from cases")
        assert f"/cases/{case[0]}" in after.links()
        assert await rows(url, "select count(*)::int from journal where name = 'stock.supply_rescheduled'") == [(1,)]
    await prove(url)


async def test_a_refused_act_shows_why_and_keeps_the_form(door: Door, url: str, clock: TurnedClock):
    await short(door)
    supply = await expected(door, 5, "2026-03-10", "PO-1")
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        for query, words in (("act=cancel&quantity=9", "5 units of"), ("act=cancel&quantity=x", "Expected"),
                             ("act=reschedule&day=2026-13-45", "neither a date")):  # fmt: skip
            page = await visitor.get(f"/supplies/{supply}?{query}")
            assert (page.status, words in page.text) == (422, True), query
            assert f'value="{query.rpartition("=")[2]}"' in page.text
        key = (await visitor.get(f"/supplies/{supply}?act=cancel")).hidden(f"/supplies/{supply}/cancel")
        refused = await visitor.post(f"/supplies/{supply}/cancel", {**key, "quantity": "7"})
        assert (refused.status, 'value="7"' in refused.text) == (422, True)
        assert (await visitor.post(f"/supplies/{supply}/lose", key)).status == 404
    assert await rows(url, "select open::int from stock_supply") == [(5,)]


async def test_who_may_not_sees_who_may_and_is_refused(door: Door, url: str, clock: TurnedClock):
    await short(door)
    supply = await expected(door, 5, "2026-03-10", "PO-1")
    auditor = await person(door, "Otto", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        page = await visitor.get("/supplies")
        assert "Expecting supply is for: Fulfilment Lead" in page.text
        assert (await visitor.post("/supplies/expect", {**page.hidden("/supplies/expect"), **FIELDS})).status == 403
        detail = await visitor.get(f"/supplies/{supply}?act=cancel")
        assert "Cancelling supply is for: Fulfilment Lead" in detail.text
        assert (detail.status, "nothing is written yet" in detail.text) == (200, False), "nothing to confirm"
        key = {**page.hidden("/supplies/expect"), "key": "another"}
        assert (await visitor.post(f"/supplies/{supply}/cancel", key)).status == 403
    assert await rows(url, "select count(*)::int, sum(open)::int from stock_supply") == [(1, 5)]


async def test_who_waits_is_shown_first_come_first_with_the_supply_each_is_pegged_to(
    door: Door, url: str, clock: TurnedClock
):
    await short(door)
    supply = await expected(door, 3, "2026-03-10", "PO-1")
    first, second = await two_wait(door, clock, 2, 2)
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        overview = await visitor.get("/waiting")
        assert "/waiting?sku=MUG&location=MAIN" in overview.links()
        page = await visitor.get("/waiting?sku=MUG&location=MAIN")
        assert "first come first" in page.text
        orders = [link for link in page.links() if link.startswith("/orders/ord_")]
        assert orders == [f"/orders/{first}", f"/orders/{second}", f"/orders/{second}"], (
            "two units of the second: 1 + 1"
        )
        assert page.links().count(f"/supplies/{supply}") == 2
        assert "no date is known" in page.text
        assert "Nobody waits there." in (await visitor.get("/waiting?sku=MUG&location=ELSEWHERE")).text


async def test_whose_turn_it_is_follows_the_policy(door: Door, url: str, clock: TurnedClock):
    await short(door)
    await publish(door, "default", Routing(fill=("priority", "first_in")))
    first, second = await two_wait(door, clock, 2, 1)
    clock.turn(timedelta(minutes=1))
    urgent = msgspec.structs.replace(wanted(MUG=1), priority=9)
    last = (await act(door, urgent)).result["order"]
    for order in (first, second, last):
        await assigned(door, order)
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        page = await visitor.get("/waiting?sku=MUG&location=MAIN")
        assert "the order&#39;s priority, then first come first" in page.text
        orders = [link for link in page.links() if link.startswith("/orders/ord_")]
        assert orders == [f"/orders/{last}", f"/orders/{first}", f"/orders/{second}"]


async def test_overdue_supply_links_to_the_case_of_its_location_alone(door: Door, url: str, clock: TurnedClock):
    await short(door)
    supply = await expected(door, 2, "2026-03-03", "PO-1")
    await placed(door, MUG=2)
    await stocked(door, location="STORE", MUG=0)
    other = await expected(door, 2, "2026-03-03", "PO-2", "STORE")
    clock.turn(timedelta(days=3))
    await act(door, NoticeLateSupply(supply=supply))
    ((case,),) = await rows(url, "select id from cases")
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        assert f"/cases/{case}" in (await visitor.get(f"/supplies/{supply}")).links()
        assert f"/cases/{case}" not in (await visitor.get(f"/supplies/{other}")).links()


async def test_an_order_of_a_channel_outside_the_scope_is_no_link(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    await publish(door, "web", Channel(location="SHOP2", short="backorder"))
    waits = await placed(door, MUG=12)
    supply = await expected(door, 5, "2026-03-10", "PO-1", "SHOP2")
    ((number,),) = await rows(url, "select number from orders")
    app, web = [await scoped(door, name, "SHOP2", name) for name in ("app", "web")]
    async with console(url, clock) as address:
        for actor, shown in ((app, False), (web, True)):
            async with signed_in(url, clock, address, actor.id) as visitor:
                for path in ("/waiting?sku=MUG&location=SHOP2", f"/supplies/{supply}"):
                    page = await visitor.get(path)
                    assert (f"/orders/{waits}" in page.links(), number in page.text) == (shown, shown), path
                    assert page.status == 200


async def test_who_is_scoped_sees_their_own_sites_only(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    mine = await expected(door, 5, "2026-03-10", "MINE", "SHOP1")
    others = await expected(door, 5, "2026-03-10", "OTHERS", "SHOP2")
    ada = await scoped(door, "Ada", "SHOP1", "app")
    await publish(door, "web", Channel(location="SHOP2", short="backorder"))
    waits = await placed(door, MUG=12)
    async with console(url, clock) as address, signed_in(url, clock, address, ada.id) as visitor:
        listed = await visitor.get("/supplies")
        assert f"/supplies/{mine}" in listed.links()
        assert "OTHERS" not in listed.text
        assert "SHOP2" not in listed.text
        assert (await visitor.get(f"/supplies/{others}")).status == 404
        own = await visitor.get(f"/supplies/{mine}?act=cancel")
        assert (own.status, "No promise would break" in own.text) == (200, True)
        key = own.hidden(f"/supplies/{mine}/cancel")
        assert (await visitor.post(f"/supplies/{others}/cancel", key)).status in (403, 404)
        outside = {**FIELDS, "location": "SHOP2"}
        assert (await visitor.post("/supplies/expect", {**listed.hidden("/supplies/expect"), **outside})).status == 403
        for query in ("", "?sku=MUG", "?sku=MUG&location=SHOP2"):
            page = await visitor.get(f"/waiting{query}")
            assert ("Nobody waits" in page.text, waits in page.text) == (True, False), query
    assert await rows(url, "select sum(open)::int from stock_supply") == [(10,)]
