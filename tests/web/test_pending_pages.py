"""What is governed is proposed from its own page, and its pending changes show there and where its rules are used."""

from __future__ import annotations

from tests.board import declared, published
from tests.catalogue.test_amend import publish
from tests.conftest import stocked
from tests.orders.test_adopt import RENAMED, proofing, shop
from tests.proof import prove
from tests.requests import rows
from tests.web.console_visitor import Visitor, console
from tests.web.test_change_pages import at, change_of

from trueup.authority.cohorts import Cohort
from trueup.authority.writers import AssignWriter
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

NAMED = {"entity": "location", "field": "name", "owner": "Operations Process Owner", "governed": True}


async def sent(visitor: Visitor, page: str, action: str, **fields: str) -> str:
    """Fill a form in with what it shows but for these fields, and return where that led."""
    hidden = (await visitor.get(page)).hidden(action)
    shown = {name.removeprefix("was-"): value for name, value in hidden.items() if name.startswith("was-")}
    answer = await visitor.post(action, {**hidden, **shown, **fields})
    assert answer.status == 200, answer.text
    return answer.address.partition("?")[0]


async def test_a_location_and_its_band_are_proposed_from_its_page_and_applied(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"owners": [NAMED]})
    company = await declared(door)
    page = "/locations/MAIN"
    async with console(url, clock) as address:
        async with at(url, clock, address, company.Mia) as mia:
            change = await sent(mia, page, f"{page}/amend", name="Main hall", reason="it moved", **{"as": "change"})
            assert change.startswith("/changes/chg_")
            pending = await mia.get(page)
            assert change in pending.links(), "pending changes show on the object"
            assert "Main hall" not in pending.text, "the record stays as it is"
            hidden = pending.hidden(f"{page}/amend")
            fields = {**hidden, "country": "nowhere", "handling_days": "2", "reason": "typing"}
            wrong = await mia.post(f"{page}/amend", fields)
            assert (wrong.status, 'value="nowhere"' in wrong.text) == (422, True), "the form is kept as entered"
            direct = await sent(mia, page, f"{page}/amend", handling_days="2", pickup="yes", reason="not governed")
            assert direct == page
            assert await rows(url, "select handling_days, pickup, name from location where code = 'MAIN'") == [
                (2, True, "Main")
            ]
        async with at(url, clock, address, company.Lea) as lea:
            band = await sent(lea, page, f"{page}/bands", capacity_max="40", reason="one van", **{"as": "change"})
            assert {change, band} <= set((await lea.get(page)).links())
            assert (await lea.get(page)).text.count("as for every site without a band of its own") == 1
        found = (band.rpartition("/")[2], await digest(url, band))
        await company.approve(found, company.Olga, company.Bea)
        await company.apply(company.Olga, found)
        async with at(url, clock, address, company.Lea) as lea:
            shown = (await lea.get(page)).text
            assert "0 to 40 orders a day, cut-off from 00:00 to 23:59." in shown
            assert band not in (await lea.get(page)).links()
    await prove(url)


async def digest(url: str, change: str) -> str:
    return str((await rows(url, "select digest from change where id = %s", change.rpartition("/")[2]))[0][0])


async def test_a_workflow_is_proposed_with_the_orders_in_flight_from_its_page(door: Door, url: str, clock: TurnedClock):
    await shop(door)
    company = await declared(door)
    await proofing(door, "order")
    async with console(url, clock) as address, at(url, clock, address, company.Lea) as lea:
        fields = {"name": "sale", "title": "Reviewing", "reason": "clearer", "type": "normal", "in_flight": "1",
                  "in_flight_states": "proofing=reviewing", "document": json.encode(RENAMED).decode()}  # fmt: skip
        await sent(lea, "/policies/workflow", "/policies/workflow/propose", **fields)
        page = (await lea.get(f"/changes/{await change_of(url)}")).text
        assert "1 order in flight</strong> would walk by this version." in page


async def test_pending_changes_show_where_rules_are_used(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    assigned = AssignWriter(entity="order", cohort=Cohort(channel="web"), system="trueup", reason="ours")
    wanted = {
        "/holds": published("holds", timezone="Europe/Berlin"),
        "/contracts": published("contract", "parcels", id="parcels"),
        "/guards": published("guards", modes={"freeze_guard": "simulated"}),
        "/data-quality": published("readiness", enforce=True),
        "/writers": assigned,
    }
    changes = {page: (await company.propose(company.Ingo, command))[0] for page, command in wanted.items()}
    async with console(url, clock) as address, at(url, clock, address, company.Bea) as bea:
        for page, change in changes.items():
            assert f"/changes/{change}" in (await bea.get(page)).links(), page
