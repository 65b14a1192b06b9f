"""Cases at the console: lists, board, root causes and notices, one case's ladder, and each thing done about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.cases.laddering import HOUR, act, ladder, mailed_person, opened, publish, rung, steps
from tests.conftest import stocked
from tests.requests import order_of, rows
from tests.web.console_visitor import Visitor, console, signed_in

from trueup import house, worker
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.mail import MailSettings
from trueup.orders.hold import PlaceHold

TWO = ladder(
    (1, steps(rung(60, "Sponsor"), respond_minutes=15)),
    (2, steps(rung(60, "Finance", "orders.release_hold"), rung(120, "Sponsor", "orders.place_hold"))),
)


@pytest.fixture
async def address(url: str, clock: TurnedClock) -> AsyncIterator[str]:
    async with console(url, clock) as served:
        yield served


@pytest.fixture
async def sponsor(door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Visitor]:
    """A sponsor, where a ladder of two rungs is in force; the console reads rights and policies once a second."""
    assert (await publish(door, "ladder", TWO)).refusal is None
    await mailed_person(door, "Ada", "Data Steward")
    person = await mailed_person(door, "Sue", "Sponsor")
    async with signed_in(url, clock, address, person.id) as visitor:
        yield visitor


async def an_order(door: Door) -> str:
    await stocked(door, MUG=9)
    return str((await act(door, order_of(MUG=1))).result["order"])


async def test_the_list_says_who_must_act_now_and_filters_by_rung(door: Door, clock: TurnedClock, sponsor: Visitor):
    old = await opened(door, "old", price="4.00")
    clock.turn(2 * HOUR)
    new = await opened(door, "new", price="2.00")
    page = await sponsor.get("/cases")
    assert page.text.index("Odd old") < page.text.index("Odd new"), "the dearest first"
    by_rung = await sponsor.get("/cases?rung=2")
    assert (f"/cases/{old}" in by_rung.links(), f"/cases/{new}" in by_rung.links()) == (True, False)
    mine = await sponsor.get("/cases?must_act=Sponsor")
    assert (f"/cases/{old}" in mine.links(), f"/cases/{new}" in mine.links()) == (True, False)
    assert "No case matches." in (await sponsor.get("/cases?rung=1")).text
    assert "No case matches." in (await sponsor.get("/cases?snoozed=true")).text


async def test_the_board_shows_cases_by_rung_and_kind(door: Door, clock: TurnedClock, sponsor: Visitor):
    assert "None" not in (await sponsor.get("/cases/board")).text
    case = await opened(door, "old", price="4.00")
    clock.turn(HOUR)
    page = await sponsor.get("/cases/board")
    assert "Rung 1" in page.text
    assert {f"/cases/{case}", "/cases?rung=1", "/cases?kind=test"} <= set(page.links())


async def test_a_case_is_taken_paused_snoozed_and_merged(door: Door, url: str, clock: TurnedClock, sponsor: Visitor):
    ada = (await rows(url, "select id from actor where name = 'Ada'"))[0][0]
    case, other = await opened(door, "one", severity=1), await opened(door, "two", severity=1)
    page = f"/cases/{case}"
    assert "Somebody must take it by" in (await sponsor.get(page)).text
    assert "Owned since" in (await sponsor.fill_in(page, f"{page}/acknowledge")).text
    nobodys = await sponsor.fill_in(page, f"{page}/pause", minutes="30", reason="the carrier answers at noon")
    assert (nobodys.status, "the carrier answers at noon" in nobodys.text) == (422, True), "the form is kept as entered"
    await sponsor.fill_in(page, f"{page}/assign", person=ada)
    paused = await sponsor.fill_in(page, f"{page}/pause", minutes="30", reason="the carrier answers at noon")
    assert "paused until" in paused.text
    assert "Ada" in paused.text
    wrong = await sponsor.fill_in(page, f"{page}/pause", minutes="many", reason="x")
    assert wrong.status == 422
    never = await sponsor.fill_in(page, f"{page}/snooze", reason="small")
    assert "It would never show again." in never.text
    until = (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    snoozed = await sponsor.fill_in(page, f"{page}/snooze", until=until, reason="small")
    assert "Snoozed: out of the usual list" in snoozed.text
    assert page not in (await sponsor.get("/cases")).links()
    assert page in (await sponsor.get("/cases?snoozed=true")).links()
    back = await sponsor.fill_in(page, f"{page}/merge", into=other, reason="one connector")
    assert "became part of" in back.text
    assert f"/cases/{other}" in back.links()
    assert await rows(url, "select status from cases order by cause") == [("merged",), ("open",)]


async def test_a_rungs_holder_acts_for_the_case_from_its_page(
    door: Door, url: str, clock: TurnedClock, sponsor: Visitor
):
    order = await an_order(door)
    case = await opened(door, "one", order)
    page = f"/cases/{case}"
    assert "Act by the right of your rung" not in (await sponsor.get(page)).text
    clock.turn(2 * HOUR)
    shown = (await sponsor.get(page)).text
    assert "Act by the right of your rung" in shown
    body = f'{{"order": "{order}", "type": "manual", "reason": "stop"}}'
    broken = await sponsor.fill_in(page, f"{page}/act-for", verb="orders.place_hold", body="{nonsense")
    assert (broken.status, "{nonsense" in broken.text) == (422, True)
    done = await sponsor.fill_in(page, f"{page}/act-for", verb="orders.place_hold", body=body)
    assert "an act stopped the clock" in done.text
    assert await rows(url, "select order_id, type from order_hold") == [(order, "manual")]
    closed = await sponsor.fill_in(page, f"{page}/close", root_cause="partner", note="Settled.")
    assert "partner: somebody else&#39;s fault" in closed.text
    clock.turn(HOUR)
    money = await sponsor.get("/cases/pareto")
    assert "partner: somebody else" in money.text
    assert "No case was closed" in (await sponsor.get("/cases/pareto?since=2020-01-01&until=2020-02-01")).text


async def test_who_was_told_is_shown_with_what_became_of_it(door: Door, url: str, clock: TurnedClock, sponsor: Visitor):
    case = await opened(door, "one")
    clock.turn(2 * HOUR)
    assert await worker.tell_cases_now(url, door, house.build(), MailSettings(host="127.0.0.1", port=1)) > 0
    for address in (f"/cases/{case}", "/cases/notices", f"/cases/notices?case={case}&status=queued"):
        page = await sponsor.get(address)
        assert "rung 2" in page.text
        assert "no mail server answers at" in page.text
    assert "Nobody was told." in (await sponsor.get("/cases/notices?status=unknown")).text


async def test_what_was_changed_since_is_offered_as_the_effect_of_an_act(
    door: Door, url: str, clock: TurnedClock, sponsor: Visitor
):
    order = await an_order(door)
    case = await opened(door, "one", order)
    page = f"/cases/{case}"
    assert "do something about it first" in (await sponsor.get(page)).text
    await act(door, PlaceHold(order=order, type="manual", reason="look at it"))
    shown = (await sponsor.get(page)).text
    assert f'<option value="{order}">' in shown, "what it concerns was changed, whoever did it"
    none = await sponsor.fill_in(page, f"{page}/act", effect="", note="held")
    assert (none.status, ">held</textarea>" in none.text) == (422, True)
    assert "Choose it from the list, or name its id" in none.text
    done = await sponsor.fill_in(page, f"{page}/act", effect=order, note="held")
    assert "an act stopped the clock" in done.text
    assert await rows(url, "select status from cases where id = %s", case) == [("acted",)]
    other = await opened(door, "two")
    assert order not in (await sponsor.get(f"/cases/{other}")).text, "what happened before it opened is no act on it"
