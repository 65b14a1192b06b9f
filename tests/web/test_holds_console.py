"""The console's pages of holds: placed on an order, listed, released in bulk; what was kept is named."""

from __future__ import annotations

from datetime import timedelta

from tests.conftest import stocked
from tests.orders.holding import hold, place, publish, rule, table, with_type
from tests.requests import rows
from tests.web.console_visitor import console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders.advance import ReportEvent


async def test_an_agent_places_finds_and_releases_holds(door: Door, url: str, clock: TurnedClock) -> None:
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    ann = await person(door, "Ann", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, ann) as visitor:
        action = f"/orders/{order}/holds"
        page = await visitor.fill_in(f"/orders/{order}", action, type="address", line="1", reason=HOSTILE)
        assert page.status == 200
        assert "held" in page.text
        assert not InlineCode(page.text).found
        again = await visitor.fill_in(f"/orders/{order}", action, type="whim", line="", reason="x")
        assert again.status == 422
        assert "There is no type of hold" in again.text
        ((held,),) = await rows(url, "select id from order_hold")
        listed = await visitor.get("/holds?type=address")
        assert f"hold-{held}" in listed.text
        assert not InlineCode(listed.text).found
        nothing = await visitor.fill_in("/holds", "/holds/release", reason="asked")
        assert nothing.status == 422
        done = await visitor.fill_in("/holds", "/holds/release", reason="asked", **{f"hold-{held}": "1"})
        assert (done.status, "Nothing is on hold." in done.text) == (200, True)
        assert "asked" in (await visitor.get("/holds?status=released")).text
        other = await hold(door, order, "credit")
        one = await visitor.fill_in(f"/orders/{order}", f"/holds/{other}/release", reason="limit raised")
        assert one.address.startswith(f"/orders/{order}")
    assert await rows(url, "select holds, version from orders") == [(0, 5)]


async def test_holds_of_a_rule_are_released_in_bulk_and_what_was_kept_is_named(
    door: Door, url: str, clock: TurnedClock
) -> None:
    await stocked(door, MUG=10)
    types = with_type("fraud", release_roles=["Finance"], case_after_hours=1)
    await publish(door, "holds", types=types, tables=[table(rule("all", "address"))])
    orders = [(await place(door, f"place {at}", MUG=1))["order"] for at in range(3)]
    fraud = await hold(door, orders[0], "fraud")
    clock.turn(timedelta(hours=2))
    ann = await person(door, "Ann", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, ann) as visitor:
        late = await visitor.get("/holds?due=true")
        assert (fraud in late.text, late.text.count("overdue by")) == (True, 1)
        page = await visitor.fill_in("/holds?channel=web", "/holds/release", reason="checked", all="1")
        assert "These were kept" in page.text
        assert fraud in page.text
        assert "Finance" in page.text
    assert await rows(url, "select type from order_hold where status = 'open'") == [("fraud",)]


async def test_an_auditor_sees_holds_and_releases_none(door: Door, url: str, clock: TurnedClock) -> None:
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    held = await hold(door, order)
    aud = await person(door, "Aud", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, aud) as visitor:
        assert "Releasing many at once is for" in (await visitor.get("/holds")).text
        refused = await visitor.fill_in("/holds", "/holds/release", reason="x", **{f"hold-{held}": "1"})
        assert refused.status == 403
    assert await rows(url, "select holds from orders") == [(1,)]


async def test_a_page_shows_state_unmatched_events_and_a_suspicion(door: Door, url: str, clock: TurnedClock) -> None:
    await stocked(door, MUG=10)
    first = (await place(door, "first", "ada@example.com", MUG=1))["number"]
    second = (await place(door, "second", "ada@example.com", MUG=1))["order"]
    await door.submit(SYSTEM, ReportEvent(order=second, event="weighed", source="WMS"), "weighed")
    ann = await person(door, "Ann", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, ann) as visitor:
        page = await visitor.get(f"/orders/{second}")
        assert "Suspected duplicate" in page.text
        assert first in page.text
        assert "weighed" in page.text
        assert 'href="/orders?state=placed"' in page.text
        listed = await visitor.get("/orders?unmatched=true&state=placed")
        assert "1 unmatched" in listed.text
        assert first not in listed.text
        done = await visitor.fill_in(f"/orders/{second}", f"/orders/{second}/dismiss-duplicate", reason="two gifts")
        assert "two gifts" in done.text
        assert "dismissed" in done.text


async def test_the_second_writer_reads_what_changed(door: Door, url: str, clock: TurnedClock) -> None:
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    ann = await person(door, "Ann", "Order Agent")
    async with console(url, clock) as address, signed_in(url, clock, address, ann) as visitor:
        before = (await visitor.get(f"/orders/{order}")).hidden(f"/orders/{order}/cancel")
        await hold(door, order, reason="a word with accounts")
        late = await visitor.post(f"/orders/{order}/cancel", {**before, "all": "1", "reason": "customer"})
        assert late.status == 422
        assert "orders.hold_placed by Trueup" in late.text
    assert await rows(url, "select units_cancelled::int from orders") == [(0,)]
