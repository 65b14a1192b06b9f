"""Governance in the navigation, and the page of what waits for who is signed in."""

from __future__ import annotations

from datetime import timedelta

from tests.authority.staff import appointed
from tests.authority.test_overrides import asked
from tests.board import declared, published
from tests.conftest import START
from tests.requests import person
from tests.web.console_visitor import console, signed_in

from trueup.authority.approve import ApproveChange
from trueup.authority.organisation import SetNode
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.web.console.render import GOVERNANCE


async def test_every_page_of_governance_is_in_the_navigation_but_for_who_is_confined(
    door: Door, url: str, clock: TurnedClock
):
    bea = await person(door, "Bea", "Change Control Board")
    await door.submit(SYSTEM, SetNode(code="S1", name="Shop", kind="site"), "site")
    stella = RegisterActor(name="Stella", roles=("Fulfilment Lead",), scope=("S1",))
    confined = (await door.submit(SYSTEM, stella, "stella")).result["actor"]
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, bea.id) as visitor:
            elsewhere = await visitor.get("/cases")
            assert "/governance" in elsewhere.links()
            assert 'aria-label="Governance"' not in elsewhere.text, "only where one is in it"
            for path, name in GOVERNANCE:
                page = await visitor.get(path)
                assert page.status == 200, path
                group = page.text.partition('<nav class="group" aria-label="Governance">')[2].partition("</nav>")[0]
                assert f'<a href="{path}" aria-current="page">{name}</a>' in group
                assert group.count("aria-current") == 1
            home = (await visitor.get("/governance")).text
            assert "Governance is not declared yet" in home
            assert "vacant</span> Finance" in home
        async with signed_in(url, clock, address, confined) as visitor:
            assert "/governance" not in (await visitor.get("/stock")).links()
            assert (await visitor.get("/governance")).status == 403


async def test_a_change_waits_for_who_has_to_say_yes_and_then_for_who_applies_it(
    door: Door, url: str, clock: TurnedClock
):
    company = await declared(door)
    change = await company.propose(company.Lea, published("holds", timezone="Europe/Berlin"), title="Holds in Berlin")
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, company.Olga.id) as olga:
            page = (await olga.get("/governance")).text
            assert "Your yes is missing" in page
            assert "Holds in Berlin" in page
            assert "0 of 1: Operations Process Owner" in page
            await company.done(company.Olga, ApproveChange(change=change[0], digest=change[1]))
            page = (await olga.get("/governance")).text
            assert "Your yes is missing" not in page
            assert "Approved, to be applied" in page
            await company.apply(company.Olga, change)
            assert "Holds in Berlin" not in (await olga.get("/governance")).text
        again = await company.propose(company.Lea, published("holds", timezone="Europe/Paris"), title="Holds in Paris")
        async with signed_in(url, clock, address, company.Lea.id) as lea:
            page = (await lea.get("/governance")).text
            assert "Nothing waits for you." in page
            assert "Waiting for others" in page
            assert f"/changes/{again[0]}" in page


async def test_overrides_and_appointments_wait_for_whom_they_need(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    await company.done(company.Lea, asked(expires_at=START + timedelta(days=3)))
    dan = await person(door, "Dan", "Trainer")
    await appointed(door, dan, "Data Steward", accept=False)
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, company.Olga.id) as olga:
            page = (await olga.get("/governance")).text
            assert "Overrides you decide" in page
            assert "catalogue.outside_band" in page
        async with signed_in(url, clock, address, company.Finn.id) as finn:
            assert "Overrides you decide" not in (await finn.get("/governance")).text
        async with signed_in(url, clock, address, dan.id) as visitor:
            assert "Roles offered to you" in (await visitor.get("/governance")).text


async def test_who_is_offered_a_first_role_accepts_it_though_they_may_read_nothing_yet(
    door: Door, url: str, clock: TurnedClock
):
    nina = await person(door, "Nina")
    await appointed(door, nina, "Data Steward", accept=False)
    async with console(url, clock) as address, signed_in(url, clock, address, nina.id) as visitor:
        refused = await visitor.get("/orders")
        assert refused.status == 403
        assert "/offers" in refused.links(), "the refusal says where a role waits"
        page = await visitor.get("/offers")
        assert "Data Steward" in page.text
        taken = await visitor.fill_in("/offers", "/offers")
        assert taken.status == 200
        assert "No role is offered to you" in taken.text
        assert (await visitor.get("/orders")).status == 200
