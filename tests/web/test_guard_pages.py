"""The console's and the API's guards, overrides, writers and audit: each read, each form, each refusal."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
from tests.authority.test_overrides import asked, banded, granted, operate, staff
from tests.authority.test_writers import systems, web
from tests.board import declared, published
from tests.conftest import START, expect_all, stocked
from tests.proof import prove
from tests.requests import order_of, person, rows
from tests.web.conftest import Client
from tests.web.console_visitor import console, signed_in
from tests.web.test_console import HOSTILE, InlineCode

from trueup.authority.overridable import OVERRIDABLE, Overridable, Overriding
from trueup.authority.overrides_read import lent_rules
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.policy import Active, Policies
from trueup.orders.cancel import CancelOrder

LATER = (START + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")


async def test_what_the_guards_cost_is_shown_with_links_to_each_act(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=9)
    auditor = await person(door, "Ada", "Auditor")
    order = (await door.submit(SYSTEM, order_of(MUG=2), "order")).result["order"]
    assert (await door.submit(auditor, CancelOrder(order=order), "no")).status == "refused"
    async with console(url, clock) as address, signed_in(url, clock, address, auditor.id) as visitor:
        page = await visitor.get("/guards")
        assert "authority.not_allowed" in page.text
        assert "20.00" in page.text
        stops = await visitor.get("/guards/stops?guard=role_guard&waiting=true")
        assert f"/orders/{order}" in stops.links()
        assert "Ada" not in stops.text.partition("<main")[2].partition("</main")[0]
        tried = await visitor.get("/guards?try=role_guard&days=7")
        assert "it would have stopped <strong>1</strong>, 0 of which went through" in tried.text
        assert (await visitor.get("/guards/stops?rule=nothing")).status == 200
        assert not InlineCode(tried.text).found


async def test_an_override_is_asked_granted_used_and_given_back_at_the_console(
    door: Door, url: str, clock: TurnedClock
):
    await banded(door)
    fay, otto, _ = await staff(door)
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, fay.id) as visitor:
            fields = {
                "rule": "catalogue.outside_band",
                "department": "operations",
                "objects": "MAIN",
                "reason": HOSTILE,
            }
            refused = await visitor.fill_in("/overrides", "/overrides/ask", **fields, expires_at="2020-01-01T00:00")
            assert (refused.status, "ends within 14 days" in refused.text) == (422, True)
            made = await visitor.fill_in("/overrides", "/overrides/ask", **fields, expires_at=LATER)
            page = made.address.partition("?")[0]
            assert "Operations Process Owner decides it" in made.text
            assert "Granting is for: Operations Process Owner or Sponsor." in made.text
            assert re.search(r'type="submit" disabled>Grant it until', made.text), "who cannot decide is not offered it"
            own = await visitor.fill_in(page, f"{page}/grant")
            assert (own.status, "Nobody grants their own" in own.text) == (422, True)
        async with signed_in(url, clock, address, otto.id) as visitor:
            offered = (await visitor.get(page)).text
            assert re.search(r'type="submit">Grant it until', offered)
            assert "Granting is for" not in offered
            done = await visitor.fill_in(page, f"{page}/grant")
            assert "active" in done.text
            assert (await operate(door, fay, 80, "used")).status == "applied"
            used = await visitor.get(page)
            assert "catalogue.operate_site" in used.text
            assert "Sue" in used.text, "she could have and did not"
            listed = await visitor.get("/overrides?open=true&department=operations")
            assert page in listed.links()
            back = await visitor.fill_in(page, f"{page}/end", reason="done")
            assert "Nothing is left to do" in back.text
            assert (await visitor.get("/overrides/ovr_none")).status == 404
            assert not InlineCode(back.text).found
    assert (await operate(door, fay, 90, "after")).status == "refused"
    await prove(url)


async def test_the_rules_that_can_be_overridden_are_listed_with_who_decides_and_picked_from_the_list(
    door: Door, url: str, clock: TurnedClock, client: Client
):
    await banded(door)
    fay, _, _ = await staff(door)
    listed = {row["rule"]: row for row in (await client.get("/v1/overrides/rules")).body["items"]}
    assert listed.keys() == OVERRIDABLE.keys()
    held = listed["orders.held"]
    assert (held["takes"], held["lent"], held["days_max"]) == (["order", "hold type"], True, 7)
    decides = {"department": "operations", "role": "Operations Process Owner", "hours": 8}
    assert held["departments"][0] == decides
    async with console(url, clock) as address, signed_in(url, clock, address, fay.id) as visitor:
        page = await visitor.get("/overrides")
        for rule, known in OVERRIDABLE.items():
            assert f"/overrides?ask={rule}#ask" in page.links()
            assert known.title in page.text
        low = await visitor.fill_in("/locations/MAIN", "/locations/MAIN/operate", capacity_per_day="80", cutoff="12:00")
        assert (low.status, "An override of catalogue.outside_band for MAIN may be asked for" in low.text) == (
            422,
            True,
        )
        assert "/overrides?ask=catalogue.outside_band&objects=MAIN#ask" in low.links()
        picked = await visitor.get("/overrides?ask=orders.held&objects=ord_1#ask")
        assert '<option value="orders.held" selected>' in picked.text
        assert 'value="ord_1"' in picked.text
    narrow = Policies([Active("default", 1, b"", Overriding(rules={"stock.frozen": Overridable(1)}))])
    assert [one.rule for one in lent_rules(narrow) if one.lent] == ["stock.frozen"]


async def test_a_cohort_is_assigned_asked_about_and_ended_at_the_console(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=9)
    await systems(door, legacy=())
    owner = await person(door, "Ingo", "Integration Owner")
    auditor = await person(door, "Ada", "Auditor")
    async with console(url, clock) as address:
        async with signed_in(url, clock, address, owner.id) as visitor:
            fields = {"entity": "order", "system": "legacy", "reason": "pilot", "channel": "web"}
            made = await visitor.fill_in("/writers", "/writers/assign", **fields)
            assert "channel web" in made.text
            assert (await door.submit(SYSTEM, web(), "theirs")).status == "refused"
            clash = await visitor.fill_in("/writers", "/writers/assign", **fields, until_at=LATER)
            assert (clash.status, "legacy writes order" in clash.text) == (422, True)
            odd = await visitor.fill_in("/writers", "/writers/assign", **{**fields, "share_to": "x"})
            assert odd.status == 422
            who = await visitor.get("/writers?who=order&who-channel=web&who-key=shop:1")
            assert "<strong>Legacy</strong> writes it" in who.text
            ended = await visitor.fill_in(
                "/writers", "/writers/end", entity="order", channel="web", share_from="0", share_to="100", reason="back"
            )
            assert ended.status == 200
        assert (await door.submit(SYSTEM, web(), "ours")).status == "applied"
        async with signed_in(url, clock, address, auditor.id) as visitor:
            page = await visitor.get("/writers")
            assert "Assigning is for: Administrator, Integration Owner" in page.text
            refused = await visitor.fill_in("/writers", "/writers/assign", **fields)
            assert refused.status == 403
    await prove(url)


async def test_the_audit_shows_exports_and_verifies(door: Door, url: str, clock: TurnedClock):
    await banded(door)
    fay, otto, _ = await staff(door)
    override = await granted(door, fay, otto)
    async with console(url, clock) as address, signed_in(url, clock, address, otto.id) as visitor:
        page = await visitor.get("/audit?verify=true")
        assert "The journal verifies" in page.text
        assert f"/audit/{override}" in page.links()
        only = await visitor.get(f"/audit?actor={fay.id}")
        assert "authority.ask_override" in only.text
        assert "stock.receive" not in only.text
        behind = await visitor.get(f"/audit/{override}")
        assert "Who could have and did not" in behind.text
        assert (await visitor.get("/audit/ovr_none")).status == 404
        sent = await visitor.get("/audit/export?format=csv&verb=authority")
        assert sent.headers["content-type"] == "text/csv; charset=utf-8"
        assert sent.text.startswith("position,at,actor,name,kind,verb,subject,events")
        assert "stock.receive" not in sent.text


async def test_over_the_api_everything_is_asked_answered_and_tried(client: Client, door: Door, url: str):
    await banded(door)
    fay, otto, _ = await staff(door)
    await granted(door, fay, otto)
    await operate(door, fay, 80, "used")
    await operate(door, fay, 80, "again", "SHOP")
    costs = (await client.get("/v1/guards?days=7")).body["items"]
    assert {"catalogue.outside_band", "catalogue.unknown_location"} <= {cost["rule"] for cost in costs}
    assert (await client.get("/v1/guards/stops?rule=catalogue.outside_band")).body["items"][0]["ended"] == "overridden"
    trial = (await client.get("/v1/guards/writer_guard/trial?days=2")).body
    assert (trial["stopped"], trial["mode"]) == (0, "enforced")
    assert (await client.get("/v1/guards/none/trial")).status == 404
    debt = {row["department"]: row for row in (await client.get("/v1/overrides/debt")).body["items"]}
    assert (debt["operations"]["active"], debt["operations"]["per_day"]) == (1, "10")
    assert debt["operations"]["committed"] == "20.00"
    who = (await client.get("/v1/writers/who?entity=stock&location=MAIN")).body
    assert (who["system"], who["rule"]) == ("trueup", None)
    found = (await client.get("/v1/audit?verb=authority.grant_override")).body["items"]
    assert [(act["name"], act["events"]) for act in found] == [("Otto", ["authority.override_granted"])]
    assert (await client.get("/v1/audit/journal")).body["breaks"] == []
    exported = (await client.get("/v1/audit/export?format=json&verb=authority")).body
    assert exported["journal"]["breaks"] == []
    assert {act["verb"].partition(".")[0] for act in exported["acts"]} == {"authority"}
    made = await client.post("/v1/overrides", _plain(asked(objects=("SHOP",))))
    assert made.status == 201, (made.body, made.headers)
    assert (made.status, made.headers["location"]) == (201, f"/v1/overrides/{made.body['result']['override']}")
    assert (await client.get(made.headers["location"])).body["decides"] == "Operations Process Owner"
    assert len(await rows(url, "select id from override_loan")) == 2


def _plain(command: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode({k: v for k, v in msgspec.structs.asdict(command).items() if v}))


async def test_where_governance_is_declared_a_writer_is_proposed_on_its_page(door: Door, url: str, clock: TurnedClock):
    expect_all([await door.submit(SYSTEM, published("writers", systems={"erp": {"title": "ERP"}}), "systems")])
    company = await declared(door)
    async with console(url, clock) as address, signed_in(url, clock, address, company.Ingo.id) as visitor:
        assert "Propose it as a change" in (await visitor.get("/writers")).text
        fields = {"entity": "order", "channel": "web", "system": "erp", "reason": "cut over", "as": "change"}
        page = await visitor.fill_in("/writers", "/writers/assign", **fields)
    assert page.address.startswith("/changes/chg_"), page.text
    assert await rows(url, "select status, title from change") == [("proposed", "Who writes order: erp")]
