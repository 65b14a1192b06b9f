"""Partners at the console: the list, the terms with whose they are and who decides them, amending and proposing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.board import declared
from tests.catalogue.test_amend import publish
from tests.catalogue.test_partners import GLN, amend, known, partner, terms
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows, until
from tests.web.console_visitor import Page, Visitor, console, person, signed_in

from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

AMEND = "/partners/amend"


def filled(page: Page) -> dict[str, str]:
    """Return the form of the page as it is sent when nothing is changed."""
    shown = page.hidden(AMEND)
    return shown | {name.removeprefix("was-"): value for name, value in shown.items() if name.startswith("was-")}


@pytest.fixture
async def steward(door: Door, url: str, clock: TurnedClock) -> AsyncIterator[Visitor]:
    await stocked(door, MUG=1)
    await known(
        door,
        partner(name="Factory in Brno", gln=GLN, lead_days=14, currency="EUR", minimum_order="500",
                in_force_until="2026-02-28"),
        partner("POST", name="Parcel post", kind="carrier", order_cutoff="16:00"),
        RegisterItem(sku="MUG", name="Mug", supplier="BRNO"),
        amend(terms({"payment_days": 14}, effective_from="2026-04-01")),
    )  # fmt: skip
    async with console(url, clock) as address:
        stella = await person(door, "Stella", "Data Steward")
        async with signed_in(url, clock, address, stella) as visitor:
            yield visitor


async def test_partners_are_listed_and_found_and_each_shows_its_terms_and_whose_they_are(steward: Visitor):
    listed = await steward.get("/partners")
    assert all(words in listed.text for words in ("BRNO", "Parcel post", "ended", "in force"))
    for query, found, missing in (("kind=carrier", ">POST<", ">BRNO<"), (f"q={GLN}", ">BRNO<", ">POST<")):
        page = await steward.get(f"/partners?{query}")
        assert (found in page.text, missing in page.text) == (True, False)
    assert "No partner matches" in (await steward.get("/partners?q=none")).text
    page = await steward.get("/partners/BRNO")
    for words in ("14", "500", "Finance", "Master Data Owner", "Integration Owner", "1 item bought from it",
                  "has ended", "Takes effect later", "2026-04-01", "of Change Control Board or"):  # fmt: skip
        assert words in page.text, words
    assert (await steward.get("/partners/NONE")).status == 404
    item = await steward.get("/items/MUG")
    assert 'href="/partners/BRNO"' in item.text
    assert "14 days, as agreed with its supplier" in item.text
    assert ">MUG<" in (await steward.get("/items?supplier=BRNO")).text
    assert "No item matches" in (await steward.get("/items?supplier=POST")).text


async def test_the_form_writes_only_the_terms_that_were_changed_and_a_refusal_keeps_it(url: str, steward: Visitor):
    form = filled(await steward.get("/partners/BRNO"))
    wrong = await steward.post(AMEND, {**form, "gln": "4012345000008"})
    assert (wrong.status, "check digit should be 9" in wrong.text, "4012345000008" in wrong.text) == (422, True, True)
    assert await rows(url, "select version from partner where code = 'BRNO'") == [(1,)]
    changed = {**form, "incoterm": "DAP", "minimum_order": "", "in_force_until": "2027-12-31", "key": "new"}
    for _ in range(2):
        page = await steward.post(AMEND, changed)
        assert page.status == 200, page.text
    found = "select incoterm, minimum_order, in_force_until::text, lead_days, version from partner where code = 'BRNO'"
    assert await rows(url, found) == [("DAP", None, "2027-12-31", 14, 2)], "sent twice has one effect"
    assert "has ended" not in (await steward.get("/partners/BRNO")).text
    await prove(url)


async def test_a_governed_term_is_proposed_from_the_partner_and_shown_there(
    door: Door, url: str, clock: TurnedClock, steward: Visitor
):
    owner = {"entity": "partner", "field": "payment_days", "owner": "Finance", "governed": True}
    await publish(door, "field_ownership", {"owners": [owner]})
    await declared(door)

    async def knows() -> bool:
        return "Propose it as a change" in (await steward.get("/partners/BRNO")).text

    await until(knows)  # a process reads policies at most a second late
    changed = {**filled(await steward.get("/partners/BRNO")), "payment_days": "14"}
    refused = await steward.post(AMEND, changed)
    assert (refused.status, "Finance" in refused.text) == (422, True)
    page = await steward.post(AMEND, {**changed, "as": "change", "key": "proposed"})
    assert page.status == 200, page.text
    assert "Pending changes" in page.text
    assert "Paid after its invoice, days: 14</td>" in page.text, "what of this partner would change, and to what"
    assert await rows(url, "select payment_days, version from partner where code = 'BRNO'") == [(None, 1)]
    ((change,),) = await rows(url, "select id from change")
    told = await steward.get(f"/changes/{change}")
    assert all(words in told.text for words in ("payment_days", "Finance", "only policies are replayed"))
    await prove(url)


async def test_who_may_not_amend_sees_who_may(door: Door, url: str, clock: TurnedClock, steward: Visitor):
    auditor = await person(door, "Alma", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        page = await visitor.get("/partners/BRNO")
        assert "Amending is for" in page.text
        assert (await visitor.post(AMEND, {**filled(page), "lead_days": "1"})).status == 403
    assert await rows(url, "select lead_days from partner where code = 'BRNO'") == [(14,)]


async def test_what_is_wrong_with_partners_is_a_finding_of_data_quality_and_a_table_amends_them(
    door: Door, url: str, steward: Visitor
):
    methods = [{"name": "standard", "carrier": "Parcel post", "lanes": [{"days": 3}]},
               {"name": "express", "carrier": "Night courier", "lanes": [{"days": 1}]}]  # fmt: skip
    await publish(door, "shipping", {"methods": methods})

    async def knows() -> bool:
        return "Night courier" in (await steward.get("/data-quality")).text

    await until(knows)  # a process reads policies at most a second late
    page = await steward.get("/data-quality")
    assert "2 findings" in page.text
    assert all(words in page.text for words in ("Factory in Brno: ", "1 item is", "its agreement has ended", "express"))
    assert "Parcel post</strong>" not in page.text, "a partner bears that one"
    table = "code,claim_days,gln\nBRNO,5,\nPOST,,4012345000008"
    sent = {**page.hidden("/data-quality/amend"), "of": "partners", "table": table}
    answer = await steward.post("/data-quality/amend", sent)
    assert answer.status == 200
    assert all(words in answer.text for words in ("1 row amended", "4012345000008", "check digit should be 9"))
    assert await rows(url, "select code, claim_days, gln from partner order by code") == [
        ("BRNO", 5, GLN), ("POST", None, None)
    ]  # fmt: skip
    await prove(url)


async def test_who_owns_a_term_and_may_not_amend_proposes_it_from_the_form_and_the_table(
    door: Door, url: str, clock: TurnedClock, steward: Visitor
):
    owners = [{"entity": "partner", "field": "payment_days", "owner": "Finance", "governed": True}]
    await publish(door, "field_ownership", {"owners": owners})
    company = await declared(door)
    async with console(url, clock) as address, signed_in(url, clock, address, company.Finn.id) as finance:
        page = await finance.get("/partners/BRNO")
        assert '<fieldset class="bare" disabled' not in page.text.partition('action="/partners/amend"')[2][:400]
        sent = {**filled(page), "payment_days": "21", "as": "change"}
        page = await finance.post(AMEND, sent)
        ((change,),) = await rows(url, "select id from change")
        assert page.status == 200, page.text
        assert all(words in page.text for words in (f'<a href="/changes/{change}">', "decided by"))
        table = {**(await finance.get("/data-quality")).hidden("/data-quality/amend"), "of": "partners"}
        page = await finance.post("/data-quality/amend", {**table, "table": "code,payment_days\nPOST,7"})
        assert (page.status, "staged in one change" in page.text, "decided by" in page.text) == (200, True, True)
        page = await finance.post("/data-quality/amend", {**table, "table": "code,country\nPOST,DE", "key": "free"})
        assert (page.status, "country of POST is not governed" in page.text) == (403, True)
    assert len(await rows(url, "select id from change")) == 2
    assert await rows(url, "select payment_days, country from partner where code = 'POST'") == [(None, None)]
    await prove(url)
