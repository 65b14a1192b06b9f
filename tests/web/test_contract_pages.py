"""The console's pages for data contracts: import and export, what fails, what it costs, and lifting a containment."""

from __future__ import annotations

from tests.board import declared
from tests.catalogue.breaches import DAY, case_of, items_contract, notice, publish
from tests.catalogue.test_contract_odcs import ITEM, REAL_LOOKING, document_of
from tests.conftest import stocked
from tests.requests import order_of, rows
from tests.web.console_visitor import console, person, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue.contract_odcs import exported
from trueup.catalogue.contract_yaml import read_yaml, write_yaml
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.storyline import settled

READY = REAL_LOOKING.replace("engine: soda", "engine: gx")


async def test_a_contract_is_imported_shown_and_exported(door: Door, url: str, clock: TurnedClock):
    owner = await person(door, "Owner", "Master Data Owner")
    async with console(url, clock) as address, signed_in(url, clock, address, owner) as visitor:
        assert "No contract is in force" in (await visitor.get("/contracts")).text
        fields = {"name": "items", "reason": "agreed with the shop", "document": READY}
        shown = await visitor.fill_in("/contracts", "/contracts/import", **fields)
        assert (shown.status, shown.address.partition("?")[0]) == (200, "/contracts/items"), shown.text
        assert "weight_g has a value" in shown.text
        assert "soda checks it" in shown.text, "what is not run is named"
        assert not InlineCode(shown.text).found
        file = await visitor.get("/contracts/items/odcs.yaml")
        assert read_yaml(file.text) == document_of(READY)
        assert file.headers["content-type"].startswith("application/yaml")
        assert "/contracts/items" in (await visitor.get("/contracts")).links()
        for path in ("/contracts/none", "/contracts/none/odcs.yaml", "/breaches/case_none"):
            assert (await visitor.get(path)).status == 404


async def test_where_governance_is_declared_a_contract_is_proposed_on_its_page(
    door: Door, url: str, clock: TurnedClock
):
    await declared(door)
    steward = await person(door, "Steward", "Data Steward")
    async with console(url, clock) as address, signed_in(url, clock, address, steward) as visitor:
        assert "Propose it as a change" in (await visitor.get("/contracts")).text
        fields = {"name": "items", "reason": "agreed with the shop", "document": READY, "as": "change"}
        shown = await visitor.fill_in("/contracts", "/contracts/import", **fields)
        assert (shown.status, shown.address.rpartition("/")[0]) == (200, "/changes"), shown.text
        assert "Contract items" in shown.text
    assert await rows(url, "select * from policy where kind = 'contract'") == []


async def test_a_document_that_is_none_is_shown_with_place_and_fix_and_kept(door: Door, url: str, clock: TurnedClock):
    owner = await person(door, "Owner", "Master Data Owner")
    bad = ITEM + f"  properties:\n  - name: sku\n    required: |\n      {HOSTILE}"
    async with console(url, clock) as address, signed_in(url, clock, address, owner) as visitor:
        fields = {"name": "items", "reason": "why", "document": bad}
        page = await visitor.fill_in("/contracts", "/contracts/import", **fields)
        assert page.status == 422
        assert "document.schema[0].properties[0].required" in page.text
        assert "apiVersion: v3.1.0" in page.text, "the form keeps what was entered"
        assert not InlineCode(page.text).found
    assert await rows(url, "select * from policy where kind = 'contract'") == []


async def test_a_breach_shows_its_orders_its_money_and_its_clock(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    order = (await door.submit(SYSTEM, order_of(MUG=3), "order")).result["order"]
    await publish(door, items_contract())
    await settled(door, url, house.build())
    found = await case_of(url)
    assert found is not None
    case = found[0]
    owner = await person(door, "Owner", "Master Data Owner")
    auditor = await person(door, "Auditor", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, owner) as visitor:
        contract = await visitor.get("/contracts/items")
        assert f"/breaches/{case}" in contract.links()
        page = await visitor.get(f"/breaches/{case}")
        assert page.status == 200, page.text
        assert f"/orders/{order}" in page.links()
        assert "30.00" in page.text
        assert "Orders that would wait" in page.text, "its cost is shown before it applies"
        assert "weight_g is empty" in page.text
        assert "Ask to lift the containment" not in page.text, "nothing is contained yet"
        assert 'an override of <span class="mono">catalogue.quarantined</span>' in page.text, "how is said beforehand"
        assert "€50.00 a day as things stand. Operations Process Owner decides within 8 hours" in page.text
        about = (await visitor.get(f"/cases/{case}")).text
        assert "It applies by itself" in about
        assert "nothing more of the item is allocated" in about
    clock.turn(DAY)
    assert await notice(url, door) == 1
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        assert "Asking is for:" in (await visitor.get(f"/breaches/{case}")).text
        assert "It holds since" in (await visitor.get(f"/cases/{case}")).text
    async with console(url, clock) as address, signed_in(url, clock, address, owner) as visitor:
        wrong = await visitor.fill_in(f"/breaches/{case}", f"/breaches/{case}/release", hours="999", reason="too long")
        assert (wrong.status, "too long" in wrong.text) == (422, True)
        keys = await visitor.fill_in(
            f"/breaches/{case}", f"/breaches/{case}/release", hours="8", reason="no such key", keys="PLATE"
        )
        assert (keys.status, "PLATE" in keys.text) == (422, True)
        lifted = await visitor.fill_in(f"/breaches/{case}", f"/breaches/{case}/release", hours="8", reason="press day")
        assert (lifted.status, "Operations Process Owner decides it" in lifted.text) == (200, True), lifted.text
        loan = lifted.address.partition("?")[0]
        page = await visitor.get(f"/breaches/{case}")
        assert loan in page.links()
        assert "asked for, not granted" in page.text
    sponsor = await person(door, "Sue", "Sponsor")
    async with console(url, clock) as address, signed_in(url, clock, address, sponsor) as visitor:
        assert "active" in (await visitor.fill_in(loan, f"{loan}/grant")).text
        assert "an override" in (await visitor.get(f"/breaches/{case}")).text
        assert "Every key passes" not in (await visitor.get("/contracts/items")).text


async def test_our_own_contract_exports_as_odcs(door: Door, url: str, clock: TurnedClock):
    await publish(door, items_contract())
    owner = await person(door, "Owner", "Master Data Owner")
    async with console(url, clock) as address, signed_in(url, clock, address, owner) as visitor:
        file = await visitor.get("/contracts/items/odcs.yaml")
        assert file.text == write_yaml(exported("items", items_contract()))
