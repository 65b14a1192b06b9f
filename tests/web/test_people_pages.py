"""The console's pages about people: appointments, what is lent, contracts, and acts that a second person confirms."""

from __future__ import annotations

from datetime import timedelta

from tests.authority.staff import appointed, company, done, refused
from tests.authority.test_limits import limited, lost
from tests.conftest import START, stocked
from tests.requests import figures, person, rows
from tests.web.console_visitor import console, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.authority.confirm import ConfirmAct
from trueup.authority.delegate import Delegate
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

TOMORROW = str(START.date() + timedelta(days=1))


async def test_somebody_is_appointed_accepts_and_gives_it_back(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    admin, anna = await person(door, "Adam", "Administrator"), await person(door, "Anna", "Trainer")
    dora = await person(door, "Dora", "Trainer")
    page = f"/actors/{anna.id}"
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, admin.id) as visitor:
            fields = {"role": "Master Data Owner", "over": "category:tea", "deputy": dora.id}
            wrong = await visitor.fill_in(page, f"{page}/people/appoint", **{**fields, "over": HOSTILE})
            assert wrong.status == 422
            assert not InlineCode(wrong.text).found
            made = await visitor.fill_in(page, f"{page}/people/appoint", **fields)
            assert (made.status, "category:tea" in made.text, "to accept" in made.text) == (200, True, True)
            assert f"{page}/people/accept" not in made.text, "nobody accepts for somebody else"
        async with signed_in(url, clock, address, anna.id) as visitor:
            accepted = await visitor.fill_in(page, f"{page}/people/accept")
            assert "also Master Data Owner now" in accepted.text
            short = await visitor.fill_in(page, f"{page}/people/employment", employer="consultant")
            assert short.status == 403
            ended = await visitor.fill_in(page, f"{page}/people/end", reason="enough")
            assert "Appointed to nothing." in ended.text
    assert await rows(url, "select role, ended_at is null from appointment") == [("Master Data Owner", False)]


async def test_a_role_is_lent_and_an_employer_recorded(door: Door, url: str, clock: TurnedClock):
    admin, lea = await person(door, "Adam", "Administrator"), await person(door, "Lea", "Fulfilment Lead")
    anna = await person(door, "Anna", "Trainer")
    page = f"/actors/{anna.id}"
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, lea.id) as visitor:
            late = {"role": "Fulfilment Lead", "until_on": "2027-01-01"}
            refusal = await visitor.fill_in(page, f"{page}/people/delegate", **late)
            assert (refusal.status, "at most 30 days" in refusal.text, "2027-01-01" in refusal.text) == (
                422,
                True,
                True,
            )
            lent = await visitor.fill_in(page, f"{page}/people/delegate", role="Fulfilment Lead", until_on=TOMORROW)
            assert "also Fulfilment Lead now" in lent.text
            back = await visitor.fill_in(page, f"{page}/people/take-back")
            assert "Nothing is lent by or to them." in back.text
        async with signed_in(url, clock, address, admin.id) as visitor:
            fields = {"employer": "consultant", "company": "Acme", "contract_end": TOMORROW}
            page_after = await visitor.fill_in(page, f"{page}/people/employment", **fields)
            assert "Consultant of Acme" in page_after.text
            own = await visitor.get(f"/actors/{admin.id}")
            assert "who administers decides nothing" in own.text
            assert "being founded" in own.text
    assert await rows(url, "select employer, company from employment") == [("consultant", "Acme")]


async def test_a_second_person_confirms_at_the_console(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=100)
    lea, leo = await person(door, "Lea", "Fulfilment Lead"), await person(door, "Leo", "Fulfilment Lead")
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    act = (await door.submit(lea, lost(11), "one")).result["pending"]
    other = (await door.submit(lea, lost(12), "two")).result["pending"]
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, lea.id) as visitor:
            own = await visitor.get("/confirmations")
            assert "Your own: somebody else confirms it." in own.text
            assert f"/confirmations/{act}/confirm" not in own.text
        async with signed_in(url, clock, address, leo.id) as visitor:
            assert "/confirmations" in (await visitor.get("/actors")).links()
            assert (await visitor.fill_in("/confirmations", f"/confirmations/{act}/confirm")).status == 200
            gone = await visitor.fill_in("/confirmations", f"/confirmations/{other}/decline", reason="count again")
            assert "Nothing is to be confirmed." in gone.text
    assert (await figures(url))["on_hand"] == 89
    await refused(door, leo, ConfirmAct(act=other), "authority.nothing_pending")


async def test_a_person_under_governance_shows_deputy_and_what_binds(door: Door, url: str, clock: TurnedClock):
    people = await company(door)
    await appointed(door, people["Finance"], "Integration Owner", "integration:erp", deputy=people["Data Steward"])
    lent = Delegate(to=people["Finance"].id, role="Sponsor", until_on=START.date() + timedelta(days=1))
    await done(door, people["Sponsor"], lent)
    async with (
        console(url, clock) as address,
        signed_in(url, clock, address, people["Administrator"].id) as visitor,
    ):
        page = await visitor.get(f"/actors/{people['Finance'].id}")
        assert "integration:erp" in page.text
        assert people["Data Steward"].name in page.text
        assert "being founded" not in page.text
        assert page.text.count("<h1") == 1
