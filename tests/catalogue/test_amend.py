"""Amendments: field by field, all rows or none, now or from a day to come; and when a GTIN has to change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.amend import AmendItems
from trueup.catalogue.amend_locations import AmendLocations
from trueup.catalogue.apply_amendment import ApplyAmendment, due_to_apply
from trueup.catalogue.register import RegisterItem
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.worker import NOTICES, notice_now

GTIN, OTHER_GTIN, CASE_GTIN = "4006381333931", "5901234123457", "14006381333938"
APPLY = next(notice for notice in NOTICES if notice.name == "apply_amendments")


def amendment(sku: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"sku": sku, "fields": fields, **more}


def amend(*patches: dict[str, Any], reason: str = "") -> AmendItems:
    return json.convert({"rows": list(patches), "reason": reason}, AmendItems)


async def amended(door: Door, *patches: dict[str, Any], key: str | None = None) -> Outcome:
    command = amend(*patches)
    return await door.submit(SYSTEM, command, key or json.encode(command).decode()[:190])


async def publish(door: Door, kind: str, document: dict[str, Any], name: str = "default") -> None:
    command = PublishPolicy(policy_kind=kind, policy_name=name, document=document, reason="test")
    outcome = await door.submit(SYSTEM, command, f"{kind} {name} {document}"[:190])
    assert outcome.status == "applied", outcome.refusal


def refusal_of(outcome: Outcome) -> Refusal:
    assert outcome.refusal is not None, outcome
    return outcome.refusal


async def test_what_is_not_named_stays(door: Door, url: str):
    await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug", category="cups", lead_days=3), "mug")
    outcome = await amended(door, amendment("MUG", {"weight_g": "310", "lead_days": None}))
    assert outcome.status == "applied", outcome.refusal
    assert await rows(url, "select name, category, weight_g, lead_days, version from item") == [
        ("Mug", "cups", Decimal(310), None, 2)
    ]
    assert (await amended(door, amendment("MUG", {"weight_g": "310.0"}))).status == "merged"
    assert await rows(url, "select version from item") == [(2,)]
    await prove(url)


async def test_registering_again_keeps_what_only_amendments_know(door: Door, url: str):
    await stocked(door, MUG=1)
    await amended(door, amendment("MUG", {"length_mm": "80", "brand": "Aurora", "return_days": 30}))
    outcome = await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug 2"), "again")
    assert outcome.status == "applied"
    assert await rows(url, "select name, length_mm, brand, return_days from item") == [("Mug 2", 80, "Aurora", 30)]
    await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug 2", brand=None), "without")
    assert await rows(url, "select length_mm, brand from item") == [(80, None)]
    await prove(url)


async def test_every_bad_row_is_named_and_nothing_is_written(door: Door, url: str):
    await stocked(door, MUG=1, CUP=1)
    outcome = await amended(
        door,
        amendment("MUG", {"weight_g": "300"}),
        amendment("NONE", {"weight_g": "1"}),
        amendment("CUP", {"gtin": "4006381333932"}),
    )
    refusal = refusal_of(outcome)
    assert [detail.where for detail in refusal.details] == ["rows[1].sku", "rows[2].fields.gtin"]
    assert refusal.details[1].value == "4006381333932"
    assert "the check digit should be 1" in refusal.details[1].what
    assert await rows(url, "select sku, weight_g, version from item order by sku") == [
        ("CUP", None, 1),
        ("MUG", None, 1),
    ]
    await prove(url)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"currency": "EURO"}, "currency"),
        ({"length_mm": "0"}, "length_mm"),
        ({"net_content": "500"}, "net_content_unit"),
        ({"units": {"case": "0"}}, "units.case"),
        ({"packs": {"case": {"count": "6", "gtin": "123"}}}, "packs.case.gtin"),
        ({"fields": {"colour": "red"}}, "fields.colour"),
    ],
)
async def test_it_refuses_what_an_item_cannot_be(door: Door, url: str, fields: dict[str, Any], where: str):
    await stocked(door, MUG=1)
    assert refusal_of(await amended(door, amendment("MUG", fields))).where == f"rows[0].fields.{where}"
    assert await rows(url, "select version from item") == [(1,)]


async def test_rows_on_one_item_see_each_other(door: Door, url: str):
    await stocked(door, MUG=1)
    packs = amendment("MUG", {"packs": {"case": {"count": "6", "gtin": CASE_GTIN}}})
    outcome = await amended(door, amendment("MUG", {"units": {"case": "6"}, "gtin": GTIN}), packs)
    assert outcome.status == "applied", outcome.refusal
    assert await rows(url, "select units, findings, version from item") == [({"case": "6"}, [], 2)]
    await prove(url)


async def test_levels_of_packing_that_contradict_each_other_are_a_finding(door: Door, url: str):
    await stocked(door, MUG=1)
    pallet = {"case": {"count": "6"}, "pallet": {"count": "10", "contains": "case"}}
    await amended(door, amendment("MUG", {"units": {"case": "6", "pallet": "50"}, "packs": pallet, "gtin": GTIN}))
    assert await rows(url, "select findings from item") == [(["packs.inconsistent", "packs.no_gtin"],)]
    await amended(door, amendment("MUG", {"units": {"case": "6", "pallet": "60"}}))
    assert await rows(url, "select findings from item") == [(["packs.no_gtin"],)]
    loop = {"case": {"count": "6", "contains": "pallet"}, "pallet": {"count": "10", "contains": "case"}}
    await amended(door, amendment("MUG", {"packs": loop, "gtin": None}))
    assert await rows(url, "select findings from item") == [(["packs.inconsistent"],)]
    await prove(url)


async def test_a_change_that_asks_for_a_new_gtin_is_refused_without_it(door: Door, url: str):
    mug = RegisterItem(sku="MUG", name="Mug", gtin=GTIN, weight_g=Quantity(300), brand="Aurora")
    await door.submit(SYSTEM, mug, "mug")
    within = await amended(door, amendment("MUG", {"weight_g": "360"}))
    assert within.status == "applied", "20 % is not more than 20 %"
    refusal = refusal_of(await amended(door, amendment("MUG", {"weight_g": "500", "brand": "Borealis"})))
    assert refusal.rule == "catalogue.new_gtin"
    assert [detail.where for detail in refusal.details] == ["rows[0].fields.weight_g", "rows[0].fields.brand"]
    assert await rows(url, "select weight_g, brand from item") == [(360, "Aurora")]
    again = RegisterItem(sku="MUG", name="Mug", gtin=GTIN, weight_g=Quantity(500))
    assert refusal_of(await door.submit(SYSTEM, again, "again")).rule == "catalogue.new_gtin"
    with_it = await amended(door, amendment("MUG", {"weight_g": "500", "gtin": OTHER_GTIN}))
    assert with_it.status == "applied", with_it.refusal
    kept = await amended(door, amendment("MUG", {"brand": "Borealis"}, gtin_kept_because="the label was wrong"))
    assert kept.status == "applied", kept.refusal
    said = await rows(url, "select convert_from(body, 'UTF8')::jsonb ->> 'gtin_kept_because' from journal"
                           " where name = 'catalogue.item_registered' order by position desc limit 1")  # fmt: skip
    assert said == [("the label was wrong",)]
    await prove(url)


async def test_an_amendment_for_a_day_to_come_waits_for_its_local_day(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"timezone": "Pacific/Auckland"})
    outcome = await amended(door, amendment("MUG", {"lead_days": 9}, effective_from="2026-03-05"))
    assert outcome.result == {"items": 0, "planned": 1}
    assert await rows(url, "select lead_days from item") == [(None,)]
    begins = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
    clock.turn(begins - timedelta(seconds=1) - clock.now())
    assert await notice_now(url, door, APPLY) == 0
    clock.turn(begins - clock.now())
    assert await notice_now(url, door, APPLY) == 1
    assert await notice_now(url, door, APPLY) == 0
    assert await rows(url, "select lead_days, version from item") == [(9, 2)]
    assert await rows(url, "select ending from planned_amendment") == [("applied",)]
    await prove(url)


async def test_an_amendment_is_not_applied_before_its_day_and_only_once(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await amended(door, amendment("MUG", {"lead_days": 9}, effective_from="2026-03-05"))
    ((id_,),) = await rows(url, "select id from planned_amendment")
    early = await door.submit(SYSTEM, ApplyAmendment(amendment=id_, entity="item", key="MUG"), "early")
    assert refusal_of(early).rule == "catalogue.not_due"
    clock.turn(timedelta(days=3))
    for turn, status in enumerate(("applied", "merged")):
        outcome = await door.submit(SYSTEM, ApplyAmendment(amendment=id_, entity="item", key="MUG"), f"on time {turn}")
        assert outcome.status == status
    await prove(url)


async def test_what_can_no_longer_be_on_its_day_fails_with_the_reason(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    field = {"fields": [{"name": "colour", "type": "text"}]}
    await publish(door, "fields", field, "item")
    await amended(door, amendment("MUG", {"fields": {"colour": "red"}}, effective_from="2026-03-05"))
    await publish(door, "fields", {"fields": []}, "item")
    clock.turn(timedelta(days=3))
    await notice_now(url, door, APPLY)
    ((ending, why),) = await rows(url, "select ending, why from planned_amendment")
    assert (ending, "no field" in str(why)) == ("failed", True)
    assert await rows(url, "select version, fields from item") == [(1, None)]
    await prove(url)


async def test_a_plan_is_taken_back(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await amended(door, amendment("MUG", {"lead_days": 9}, effective_from="2026-03-05"))
    await amended(door, amendment("MUG", {"name": "Big mug"}, effective_from="2026-03-05"))
    assert (await amended(door, amendment("MUG", {"lead_days": None}, withdraw_planned=True))).status == "applied"
    assert await rows(url, "select ending from planned_amendment order by fields ->> 'name' desc") == [
        ("withdrawn",),
        (None,),
    ]
    clock.turn(timedelta(days=4))
    connection = await connect(url)
    try:
        assert len(await due_to_apply(connection, clock.now())) == 1
    finally:
        await connection.close()
    await prove(url)


async def test_locations_are_amended_field_by_field_on_their_own_day(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    row = {"code": "MAIN", "fields": {"postcode": "10115", "timezone": "Europe/Berlin"}}
    outcome = await door.submit(SYSTEM, json.convert({"rows": [row]}, AmendLocations), "now")
    assert outcome.status == "applied", outcome.refusal
    later = {"code": "MAIN", "fields": {"handling_days": 2}, "effective_from": str(date(2026, 3, 6))}
    await door.submit(SYSTEM, json.convert({"rows": [later]}, AmendLocations), "later")
    wrong = {"code": "MAIN", "fields": {"timezone": "Mars/Olympus"}}
    refused = await door.submit(SYSTEM, json.convert({"rows": [wrong]}, AmendLocations), "wrong")
    assert refusal_of(refused).where == "rows[0].fields.timezone"
    clock.turn(datetime(2026, 3, 5, 22, 59, tzinfo=UTC) - clock.now())
    assert await notice_now(url, door, APPLY) == 0
    clock.turn(datetime(2026, 3, 5, 23, 0, tzinfo=UTC) - clock.now())
    assert await notice_now(url, door, APPLY) == 1
    assert await rows(url, "select postcode, timezone, handling_days from location") == [("10115", "Europe/Berlin", 2)]
    await prove(url)
