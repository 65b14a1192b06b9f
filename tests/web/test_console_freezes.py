"""The console's pages for freezes and stock feeds: announce, start, thaw; release, correct, discard."""

from __future__ import annotations

from datetime import timedelta

from tests.conftest import START, stocked
from tests.requests import receipt, rows
from tests.stock.test_feed import feed_of, massive, told
from tests.web.console_visitor import console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

NIGHT = (START + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M")


async def test_a_freeze_is_announced_started_and_thawed(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    lead = await person(door, "Lead", "Fulfilment Lead")
    async with console(url, clock) as address, signed_in(url, clock, address, lead) as visitor:
        short = await visitor.fill_in("/freezes", "/freezes/announce", location="MAIN", to_at="", reason="stocktake")
        assert short.status == 422
        fields = {"location": "MAIN", "mode": "hard_stop", "to_at": NIGHT, "reason": HOSTILE, "kind-receive": "1"}
        made = await visitor.fill_in("/freezes", "/freezes/announce", **fields)
        freeze = made.address.partition("?")[0]
        assert (made.status, "draining" in made.text) == (200, True)
        assert not InlineCode(made.text).found
        started = await visitor.fill_in(freeze, f"{freeze}/start")
        assert "frozen" in started.text
        assert (await door.submit(SYSTEM, receipt(5), "receipt")).status == "queued"
        shown = await visitor.get(freeze)
        assert "stock.receive" in shown.text
        assert "1 of 1 still wait" in shown.text
        thawed = await visitor.fill_in(freeze, f"{freeze}/thaw", reason="done")
        assert "thawing" in thawed.text
        assert freeze in (await visitor.get("/freezes?live=true")).links()
        assert (await visitor.get("/freezes/frz_none")).status == 404
    assert await rows(url, "select kinds from stock_freeze") == [(["receive"],)]


async def test_who_may_not_freeze_sees_who_may(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    auditor = await person(door, "Auditor", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        page = await visitor.get("/freezes")
        assert "Freezing is for: Fulfilment Lead" in page.text
        fields = {"location": "MAIN", "to_at": NIGHT, "reason": "no"}
        refused = await visitor.fill_in("/freezes", "/freezes/announce", **fields)
        assert (refused.status, "may not stock.announce_freeze" in refused.text) == (403, True)
    assert await rows(url, "select * from stock_freeze") == []


async def test_a_held_feed_is_released_and_rows_are_settled(door: Door, url: str, clock: TurnedClock):
    held = (await told(door, await massive(door))).result["feed"]
    await stocked(door, location="STORE", MUG=10, PLATE=4)
    bad = (await told(door, feed_of(START, source="erp", location="STORE", MUG=HOSTILE, CUP=1))).result["feed"]
    owner = await person(door, "Owner", "Integration Owner")
    async with console(url, clock) as address, signed_in(url, clock, address, owner) as visitor:
        listed = await visitor.get("/feeds?open=true")
        assert {f"/feeds/{held}", f"/feeds/{bad}"} <= set(listed.links())
        released = await visitor.fill_in(f"/feeds/{held}", f"/feeds/{held}/release", reason="a fire")
        assert "30 rows = 30 applied" in released.text
        page = await visitor.get(f"/feeds/{bad}")
        assert not InlineCode(page.text).found
        fields = {"row": "1", "quantity": "x", "reason": "typed"}
        wrong = await visitor.post(f"/feeds/{bad}/correct", {**page.hidden(f"/feeds/{bad}/correct"), **fields})
        assert wrong.status == 422
        right = await visitor.fill_in(f"/feeds/{bad}", f"/feeds/{bad}/correct", row="1", quantity="7", reason="typed")
        assert "2 rows = 1 applied" in right.text
        done = await visitor.fill_in(f"/feeds/{bad}", f"/feeds/{bad}/discard", row="2", reason="noise")
        assert "0 in quarantine + 1 ignored" in done.text
        assert (await visitor.get("/feeds/feed_none")).status == 404
