"""Changes at the console: proposed from a policy's page, voted on, applied, rolled back; and who decides what."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from tests.authority.staff import appointed
from tests.board import Company, declared, published
from tests.conftest import expect_all, stocked
from tests.requests import person, rows, until
from tests.web.console_visitor import Page, Visitor, console, signed_in

from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.core.verb import Actor
from trueup.oversight.change_impact import replay_change
from trueup.stock.freeze import AnnounceFreeze
from trueup.web.console.pages import changes

BERLIN = {"timezone": "Europe/Berlin"}


@asynccontextmanager
async def at(url: str, clock: TurnedClock, address: str, who: Actor) -> AsyncIterator[Visitor]:
    async with signed_in(url, clock, address, who.id) as visitor:
        yield visitor


async def proposed(visitor: Visitor, document: str = json.dumps(BERLIN), **fields: str) -> Page:
    """Propose holds in Berlin from the policy's page."""
    page = await visitor.get("/policies/holds")
    hidden = page.hidden("/policies/holds/propose")
    filled = {"name": "default", "title": "Holds in Berlin", "reason": "we moved", "type": "normal", **fields}
    return await visitor.post("/policies/holds/propose", {**hidden, "document": document, **filled})


async def acted(visitor: Visitor, change: str, act: str, **fields: str) -> Page:
    """Send one of the forms of a change's page."""
    return await visitor.fill_in(f"/changes/{change}", f"/changes/{change}/{act}", **fields)


async def change_of(url: str) -> str:
    return str((await rows(url, "select id from change order by id desc limit 1"))[0][0])


async def test_a_rule_is_proposed_voted_on_applied_and_rolled_back(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    async with console(url, clock) as address:
        async with at(url, clock, address, company.Lea) as lea:
            page = await proposed(lea)
            assert "Done." in page.text
            assert page.address.startswith("/changes/chg_")
            assert "It is your own" in page.text
            assert "Europe/Berlin" in page.text
            change = await change_of(url)
            assert "Apply it" not in page.text
            listed = await lea.get("/changes")
            assert "Holds in Berlin" in listed.text
            on_policy = await lea.get("/policies/holds")
            assert f'href="/changes/{change}"' in on_policy.text, "pending changes show on the object"
        async with at(url, clock, address, company.Olga) as olga:
            page = await acted(olga, change, "approve", note="yes")
            assert "1 of 1" in page.text
            page = await acted(olga, change, "apply")
            assert "Roll it back" in page.text
            assert (await rows(url, "select status from change")) == [("applied",)]
            page = await acted(olga, change, "revert", reason="too early")
            assert "Rolled back by Olga: too early" in page.text
    assert (await rows(url, "select version from policy_active where kind = 'holds'")) == [(None,)]


async def test_refusals_are_shown_with_the_form_as_it_was_entered(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    async with console(url, clock) as address, at(url, clock, address, company.Lea) as lea:
        page = await proposed(lea, "{no json")
        assert "is no JSON" in page.text
        assert 'value="Holds in Berlin"' in page.text
        page = await proposed(lea, json.dumps({"timezone": "Mars"}))
        assert "▲" in page.text
        page = await proposed(lea, type="emergency")
        assert "is for its decider" in page.text
        page = await proposed(lea, "{}")
        assert "is what stands already" in html.unescape(page.text)
        assert (await lea.get("/changes/chg_nothing")).status == 404
        assert await rows(url, "select count(*) from change") == [(0,)]


async def test_an_edit_is_another_content_and_a_rejection_a_record(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    async with console(url, clock) as address:
        async with at(url, clock, address, company.Lea) as lea:
            await proposed(lea)
            change = await change_of(url)
        async with at(url, clock, address, company.Olga) as olga:
            await acted(olga, change, "approve")
        async with at(url, clock, address, company.Lea) as lea:
            lisbon = {
                "title": "Holds in Lisbon",
                "reason": "we moved on",
                "document-0": '{"timezone": "Europe/Lisbon"}',
            }
            page = await acted(lea, change, "edit", **lisbon)
            assert "an earlier content: does not count" in page.text
            assert "Europe/Lisbon" in page.text
        async with at(url, clock, address, company.Olga) as olga:
            page = await acted(olga, change, "reject", reason="we stay in Berlin")
            assert "Rejected by Olga: we stay in Berlin" in page.text
            assert "it stays as a record" in page.text
            assert "Holds in Lisbon" not in (await olga.get("/changes")).text
            assert "Holds in Lisbon" in (await olga.get("/changes?status=rejected")).text


async def test_conflicts_and_stale_bases_are_told_before_the_vote(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    first = await company.propose(company.Lea, published("holds", timezone="Europe/Berlin"), title="One")
    second = await company.propose(company.Finn, published("holds", timezone="Europe/Lisbon"), title="Two")
    async with console(url, clock) as address, at(url, clock, address, company.Olga) as olga:
        page = await olga.get(f"/changes/{first[0]}")
        assert f'href="/changes/{second[0]}"' in page.text
        await acted(olga, first[0], "approve")
        await acted(olga, first[0], "apply")
        page = await olga.get(f"/changes/{second[0]}")
        assert "plan it anew" in page.text


async def test_a_freeze_of_stock_is_told_to_who_votes_on_how_stock_moves(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    company = await declared(door)
    until = clock.now() + timedelta(hours=8)
    freeze = AnnounceFreeze(location="MAIN", mode="hard_stop", to_at=until, reason="stocktake")
    await company.done(company.Lea, freeze)
    stock = await company.propose(company.Lea, published("count", tolerance_units="7"))
    other = await company.propose(company.Lea, published("holds", timezone="Europe/Berlin"))
    async with console(url, clock) as address, at(url, clock, address, company.Olga) as olga:
        page = (await olga.get(f"/changes/{stock[0]}")).text
        assert "MAIN is frozen (stocktake)" in page
        assert "/freezes/" in page
        assert "stocktake" not in (await olga.get(f"/changes/{other[0]}")).text


async def test_who_decides_has_an_answer_for_every_setting(door: Door, url: str, clock: TurnedClock):
    company: Company = await declared(door)
    async with console(url, clock) as address, at(url, clock, address, company.Lea) as lea:
        page = await lea.get("/decisions")
        assert "None is without one." in page.text
        for key in ("sourcing.costs", "workflow.transitions", "rights.roles", "decision_rights.decisions"):
            assert key in page.text
        assert {"/writers", "/items", "/policies/sourcing"} <= set(page.links())
        assert "/policies/writer" not in page.links(), "a key that is no policy's leads to its records"
        found = await lea.get("/decisions?q=finance")
        assert "tax.entries" in found.text
        assert ">sourcing.costs<" not in found.text
        assert "Finn" in found.text
        item = (await lea.get("/decisions?q=item.tax_class")).text
        assert "and 3 of Change Control Board or IT Process Owner" in item, "its effect cannot be replayed"
        assert "and 1 of Change Control Board or Operations" in (await lea.get("/decisions?q=holds.timezone")).text


async def test_who_decides_names_who_was_appointed_too(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    dan = await person(door, "Dan")
    await appointed(door, dan, "Finance")
    async with console(url, clock) as address, at(url, clock, address, company.Lea) as lea:
        found = await lea.get("/decisions?q=tax.entries")
        assert "Finn" in found.text
        assert "Dan" in found.text


async def test_before_governance_the_page_publishes_as_ever(door: Door, url: str, clock: TurnedClock):
    admin = await person(door, "Adam", "Administrator")
    async with console(url, clock) as address, at(url, clock, address, admin) as adam:
        assert "Publish another version" in (await adam.get("/policies/holds")).text
        assert "Governance is not declared yet" in (await adam.get("/changes")).text


async def test_a_document_is_withdrawn_from_its_page(door: Door, url: str, clock: TurnedClock):
    expect_all([await door.submit(SYSTEM, published("holds", "webshop", timezone="Europe/Rome"), "own")])
    company = await declared(door)
    async with console(url, clock) as address:
        async with at(url, clock, address, company.Lea) as lea:
            assert "is read as" in (await lea.get("/policies/holds")).text
            page = await lea.fill_in(
                "/policies/holds", "/policies/holds/propose-withdrawal", name="webshop", reason="one shop less"
            )
            assert "Withdraw policy" in page.text
            assert "Europe/Rome" in page.text
            change = await change_of(url)
        async with at(url, clock, address, company.Olga) as olga:
            await acted(olga, change, "approve")
            await acted(olga, change, "apply")
            page = await olga.get("/policies/holds")
            assert "was withdrawn" in page.text
            assert "rolled" not in page.text
            assert "one shop less" in page.text
    assert await rows(url, "select version from policy_active where name = 'webshop'") == [(None,)]


async def test_a_replay_says_what_it_reads_that_it_runs_why_it_shows_nothing_and_why_it_ended(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    company = await declared(door)
    change = (await company.propose(company.Lea, published("holds", timezone="Europe/Berlin")))[0]
    goes_on, page_of = asyncio.Event(), f"/changes/{change}"

    async def held(*given: Any, **named: Any) -> Any:
        await goes_on.wait()
        if given[-1] == 3:
            raise TrueupError("a side of the replay ended with -9")
        return await replay_change(*given, **named)

    monkeypatch.setattr("trueup.oversight.replaying.replay_change", held)
    monkeypatch.setattr(changes, "PATIENCE_SECONDS", 0.01)
    async with console(url, clock) as address, at(url, clock, address, company.Olga) as olga:
        before = (await olga.get(page_of)).text
        assert "7 days are" in before
        assert "entries of the journal since" in before
        wrong = await acted(olga, change, "replay", days="900")
        assert (wrong.status, "Enter 1 to 90." in wrong.text, 'value="900"' in wrong.text) == (422, True, True)
        running = (await acted(olga, change, "replay", days="7")).text
        assert "It is being replayed" in running
        assert 'hx-trigger="every 2s"' in running
        assert f'action="{page_of}/replay"' not in running, "it runs once"

        async def over() -> bool:
            return "It is being replayed" not in (await olga.get(page_of)).text

        goes_on.set()
        await until(over)
        empty = (await olga.get(page_of)).text
        assert "There is no order to compare." in empty
        assert "none of them concerns an order" in empty
        assert "Look further back than 7 days" in empty
        await acted(olga, change, "replay", days="3")
        await until(over)
        failed = (await olga.get(page_of)).text
        assert "a side of the replay ended with -9" in failed
        assert "Replay fewer than 3 days." in failed


async def test_the_page_names_an_approval_that_no_longer_counts(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Lea, published("holds", **BERLIN))
    await company.approve(change, company.Olga)
    await company.done(company.Adam, RegisterActor(name="Olga", roles=("Order Agent",), actor=company.Olga.id))
    async with console(url, clock) as address, at(url, clock, address, company.Ivan) as ivan:
        page = await ivan.get(f"/changes/{change[0]}")
        assert "1 approval no longer counts" in page.text
        assert "not Operations Process Owner any more" in page.text
        assert "0 of 1" in page.text
        page = await acted(ivan, change[0], "apply")
        assert "is not approved yet" in page.text


async def test_the_page_names_and_offers_the_vote_to_those_alone_who_have_one(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Olga, published("holds", **BERLIN))
    form = f'action="/changes/{change[0]}/approve"'
    async with console(url, clock) as address:
        async with at(url, clock, address, company.Lea) as lea:
            page = await lea.get(f"/changes/{change[0]}")
            needs = page.text.partition("Whose yes it needs")[2].partition("</table>")[0]
            assert "nobody can say yes now" in needs
            assert "Olga" not in needs, "who asked has no vote"
            assert "Sponsor decides it too (Sue)" in needs
            assert "Can say yes: Bea" in needs
            assert "You decide nothing that this change touches" in page.text or "Approving is for" in page.text
            assert form not in page.text
        async with at(url, clock, address, company.Bea) as bea:
            assert form in (await bea.get(f"/changes/{change[0]}")).text


async def test_who_left_keeps_their_name(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Lea, published("holds", **BERLIN))
    await company.approve(change, company.Olga)
    await person(door, "Otto", "Operations Process Owner")
    olga = company.Olga
    await company.done(company.Adam, RegisterActor(name="Olga", roles=(), actor=olga.id, active=False))
    async with console(url, clock) as address, at(url, clock, address, company.Bea) as bea:
        page = await bea.get(f"/changes/{change[0]}")
        assert "Olga (may not act any more)" in page.text
        assert f">{olga.id}" not in page.text
