"""Master data under governance: staged beside the active record, merged by field, sampled, put back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from tests.board import Company, carried, declared, edited
from tests.catalogue.test_amend import amend, amendment, publish
from tests.conftest import START, expect_all, stocked
from tests.proof import prove
from tests.requests import rows

from trueup import house
from trueup.authority import change_read
from trueup.authority.apply import ApplyChange
from trueup.authority.approve import ApproveChange
from trueup.authority.changes_state import Change
from trueup.authority.sampled import drawn, sample_of
from trueup.authority.standing import SYSTEM
from trueup.catalogue.amend_locations import AmendLocations
from trueup.catalogue.bulk_amend import read_table, rows_of, stage, validated
from trueup.catalogue.read_quality import sample
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.fields import NO_CUSTOM_FIELDS
from trueup.core.verb import Actor

GOVERNED = [
    {"entity": "item", "field": "tax_class", "owner": "Finance", "governed": True},
    {"entity": "item", "field": "weight_g", "owner": "Master Data Owner", "governed": True},
    {"entity": "item", "field": "gtin", "owner": "Master Data Owner", "governed": True},
    {"entity": "item", "field": "brand", "owner": "Master Data Owner", "mode": "propose", "governed": True},
    {"entity": "location", "field": "postcode", "owner": "Operations Process Owner", "governed": True},
]
RECORD = """select convert_to(to_jsonb(i)::text, 'UTF8') from item i union all
    select convert_to(to_jsonb(l)::text, 'UTF8') from location l"""


async def governed(door: Door) -> Company:
    await stocked(door, MUG=1, CUP=1)
    await publish(door, "field_ownership", {"owners": GOVERNED})
    return await declared(door, Stella="Data Steward")


async def item(url: str, sku: str = "MUG") -> tuple[Any, ...]:
    return (await rows(url, "select tax_class, weight_g from item where sku = %s", sku))[0]


async def test_rejecting_a_master_data_change_leaves_the_active_record_byte_identical(door: Door, url: str):
    company = await governed(door)
    before = await rows(url, RECORD)
    proposal = amend(amendment("MUG", {"tax_class": "reduced", "weight_g": "310"}))
    moved = json.convert({"rows": [{"code": "MAIN", "fields": {"postcode": "10115"}}]}, AmendLocations)
    change = await company.propose(company.Mia, proposal, moved)
    assert await rows(url, RECORD) == before, "staged beside the record"
    await company.reject(company.Finn, change, "the rate stays")
    assert await rows(url, RECORD) == before
    assert await company.refused(company.Mia, ApplyChange(change=change[0])) == "authority.change_ended"
    assert await rows(url, RECORD) == before
    await prove(url)


async def test_a_governed_field_is_written_directly_by_nobody_its_owner_included(door: Door, url: str):
    company = await governed(door)
    before = await rows(url, RECORD)
    for command in (
        amend(amendment("MUG", {"weight_g": "310"})),
        amend(amendment("MUG", {"weight_g": "310"}, effective_from="2027-01-01")),
        RegisterItem(sku="MUG", name="Mug", tax_class="reduced"),
        RegisterItem(sku="NEW", name="New", tax_class="reduced"),
        RegisterLocation(code="MAIN", name="Main", postcode="10115"),
    ):
        for who in (company.Mia, SYSTEM):
            assert await company.refused(who, command) == "authority.needs_change"
    assert await rows(url, RECORD) == before
    free = await company.act(company.Mia, amend(amendment("MUG", {"lead_days": 4})))
    assert free.status == "applied", "what is not governed goes through"
    await prove(url)


async def test_a_governed_field_does_not_slip_through_in_a_row_that_only_the_row_before_makes_possible(
    door: Door, url: str
):
    company = await governed(door)
    before = await rows(url, RECORD)
    first = amendment("MUG", {"net_content": "5", "net_content_unit": "g"})
    for more in ({}, {"effective_from": "2026-01-01"}):
        both = amend({**first, **more}, amendment("MUG", {"net_content": "6", "weight_g": "310"}))
        assert await company.refused(company.Mia, both) == "authority.needs_change"
    assert await rows(url, RECORD) == before
    place = [
        {"code": "MAIN", "fields": {"latitude": "1", "longitude": "1"}, "effective_from": "2026-01-01"},
        {"code": "MAIN", "fields": {"latitude": "2", "postcode": "10115"}},
    ]
    moved = json.convert({"rows": place}, AmendLocations)
    assert await company.refused(company.Mia, moved) == "authority.needs_change"
    assert await rows(url, RECORD) == before
    await prove(url)


async def test_parallel_changes_merge_by_field_and_conflict_only_on_the_same_one(door: Door, url: str):
    company = await governed(door)
    tax = await company.propose(company.Mia, amend(amendment("MUG", {"tax_class": "reduced"})))
    weight = await company.propose(company.Finn, amend(amendment("MUG", {"weight_g": "310"})))
    other = await company.propose(company.Finn, amend(amendment("MUG", {"weight_g": "320"})))
    await company.approve(tax, company.Finn, company.Olga, company.Bea, company.Ivan)
    for change in (weight, other):
        await company.approve(change, company.Mia, company.Olga, company.Bea)
    await company.apply(company.Mia, tax)
    await company.apply(company.Mia, weight)
    assert await item(url) == ("reduced", 310)
    assert await company.refused(company.Mia, ApplyChange(change=other[0])) == "authority.stale"
    assert await item(url) == ("reduced", 310)
    await prove(url)


async def test_two_edits_of_one_item_in_one_change_both_hold_and_go_back_together(door: Door, url: str):
    company = await governed(door)
    before = (await item(url), await rows(url, "select lead_days from item where sku = 'MUG'"))
    change = await company.propose(
        company.Stella,
        amend(amendment("MUG", {"tax_class": "reduced", "lead_days": 4})),
        amend(amendment("MUG", {"weight_g": "310"})),
    )
    await company.approve(change, company.Finn, company.Mia, company.Olga, company.Bea, company.Ivan)
    await company.apply(company.Mia, change)
    assert await item(url) == ("reduced", 310)
    await company.revert(company.Mia, change)
    assert (await item(url), await rows(url, "select lead_days from item where sku = 'MUG'")) == before
    await prove(url)


async def test_a_change_for_a_day_to_come_is_rolled_back_before_its_day(door: Door, url: str, clock: TurnedClock):
    company = await governed(door)
    later = amendment("MUG", {"weight_g": "310"}, effective_from="2027-01-01")
    change = await company.propose(company.Lea, amend(later))
    await company.approve(change, company.Mia, company.Olga, company.Bea)
    await company.apply(company.Mia, change)
    assert await rows(url, "select ending from planned_amendment") == [(None,)]
    taken_back = amend(amendment("MUG", {"weight_g": None}, withdraw_planned=True))
    assert await company.refused(company.Mia, taken_back) == "authority.needs_change"
    await company.revert(company.Mia, change)
    assert await rows(url, "select ending from planned_amendment") == [("withdrawn",)]
    await prove(url)


async def test_who_does_not_own_a_field_that_asks_for_proposals_stages_one(door: Door, url: str):
    company = await governed(door)
    before = await rows(url, RECORD)
    outcome = await company.act(company.Stella, amend(amendment("MUG", {"brand": "Aurora"})))
    assert outcome.status == "pending_approval", outcome
    assert await rows(url, RECORD) == before
    change = (outcome.result["change"], outcome.result["digest"])
    await company.approve(change, company.Mia, company.Olga, company.Bea)
    await company.apply(company.Mia, change)
    assert await rows(url, "select brand from item where sku = 'MUG'") == [("Aurora",)]
    await prove(url)


def check_digit(digits: str) -> str:
    weighted = sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(digits))
    return digits + str(-weighted % 10)


async def test_500_rows_with_3_bad_check_digits_stage_497_in_one_change_and_name_the_3(door: Door, url: str):
    company = await governed(door)
    registered = [(f"item {at}", RegisterItem(sku=f"S{at}", name=f"Item {at}")) for at in range(500)]
    expect_all(await door.submit_all(SYSTEM, registered))
    right = [check_digit(f"400638{at:06d}") for at in range(500)]
    wrong = {at: right[at][:-1] + str((int(right[at][-1]) + 1) % 10) for at in (7, 130, 499)}
    table = [{"sku": f"S{at}", "gtin": wrong.get(at, right[at])} for at in range(500)]
    connection = await connect(url)
    try:
        read = await validated(
            connection, house.build(), company.Stella, read_table(table, NO_CUSTOM_FIELDS), door.now()
        )
        staged = await stage(
            connection,
            house.build(),
            door,
            company.Stella,
            read,
            title="GTINs",
            reason="the supplier's list",
            key="file",
        )
    finally:
        await connection.close()
    assert [(row.row, row.column, row.value, row.rule) for row in staged.bad] == [
        (at + 2, "gtin", value, "catalogue.gtin") for at, value in wrong.items()
    ]
    assert all("the check digit should be" in row.what and row.fix for row in staged.bad)
    assert staged.outcome is not None
    assert staged.outcome.status == "applied", staged.outcome.refusal
    assert await rows(url, "select count(*) from change") == [(1,)]
    change = (staged.outcome.result["change"], staged.outcome.result["digest"])
    assert await rows(url, "select count(*) from change_object where change = %s", change[0]) == [(497,)]
    assert await rows(url, "select count(*) from item where gtin is not null") == [(0,)]
    for who in (company.Mia, company.Olga, company.Bea):
        await company.done(who, ApproveChange(change=change[0], digest=change[1], sample=await word(url, change, who)))
    await company.apply(company.Mia, change)
    assert await rows(url, "select count(*) from item where gtin is not null") == [(497,)]
    await prove(url)


async def word(url: str, change: tuple[str, str], who: Actor) -> str:
    """Open the sample that is drawn for somebody, and return the word it shows."""
    connection = await connect(url)
    try:
        known = await change_read.change(connection, change[0])
        assert known is not None
        opened = await sample(connection, known[0], who.id)
    finally:
        await connection.close()
    assert opened is not None
    return opened.word


async def test_approving_many_rows_demands_that_the_sample_was_opened(door: Door, url: str):
    """Drawn for each who approves, of the content as it is: no word serves for another, or for what was before."""
    company = await governed(door)
    await door.submit_all(SYSTEM, [(f"item {at}", RegisterItem(sku=f"S{at}", name=f"I {at}")) for at in range(21)])
    many = [amendment(f"S{at}", {"weight_g": str(100 + at)}) for at in range(21)]
    change = await company.propose(company.Stella, amend(*many))
    unseen = ApproveChange(change=change[0], digest=change[1])
    told = await company.act(company.Mia, unseen)
    assert told.refusal is not None
    assert told.refusal.rule == "authority.sample_not_opened"
    assert "20 drawn for you" in told.refusal.what
    assert f"GET /v1/changes/{change[0]}/sample" in told.refusal.fix
    theirs = {who.id: await word(url, change, who) for who in (company.Mia, company.Olga)}
    assert len(set(theirs.values())) == 2
    for other in (theirs[company.Olga.id], "0" * 32):
        assert await company.refused(company.Mia, msgspec.structs.replace(unseen, sample=other)) == (
            "authority.sample_not_opened"
        )
    again = await company.done(company.Stella, edited(change[0], amend(*many), reason="it is better."))
    late = ApproveChange(change=change[0], digest=again["digest"], sample=theirs[company.Mia.id])
    assert await company.refused(company.Mia, late) == "authority.sample_not_opened"
    assert await rows(url, "select count(*) from change_approval") == [(0,)]
    now = await word(url, change, company.Mia)
    await company.done(company.Mia, msgspec.structs.replace(late, sample=now))
    few = await company.propose(company.Stella, amend(*many[:20]))
    assert await word(url, few, company.Mia) == "", "of twenty rows, all are on the page"
    await company.approve(few, company.Mia)
    await prove(url)


def test_who_asks_cannot_try_contents_until_the_draw_suits_them():
    """The draw moves with the moment at which the door took the content, which nobody knows before."""
    edits = (carried(amend(*[amendment(f"S{at}", {"weight_g": "1"}) for at in range(300)])),)
    known = Change(id="chg_1", title="t", reason="r", type="normal", edits=edits, objects=(), digest="a" * 64,
                   asker="act_1", asked_at=START, planned_at=START, due_at=START)  # fmt: skip
    later = msgspec.structs.replace(known, planned_at=START + timedelta(microseconds=1))
    assert drawn(known, "act_2") == drawn(known, "act_2")
    assert drawn(known, "act_2").chosen != drawn(later, "act_2").chosen
    assert drawn(known, "act_2").word != drawn(known, "act_3").word


def test_a_sample_is_the_same_for_one_seed_and_moves_with_it():
    one, other = sample_of("a" * 64, 500, 20), sample_of("b" * 64, 500, 20)
    assert one == sample_of("a" * 64, 500, 20)
    assert len(set(one)) == 20
    assert set(one) <= set(range(500))
    assert one != other
    assert sample_of("a" * 64, 5, 20) == (0, 1, 2, 3, 4)
    chosen = [row for digest in range(2000) for row in sample_of(f"{digest:064x}", 10, 1)]
    assert all(140 < chosen.count(row) < 260 for row in range(10)), "every row has the same chance"


def test_the_rows_of_a_change_are_told_in_their_order():
    edits = [carried(amend(amendment("MUG", {"brand": "A"}), amendment("CUP", {"brand": "B"})))]
    assert [(entity, key) for entity, key, _ in rows_of(edits)] == [("item", "MUG"), ("item", "CUP")]


def test_a_table_names_every_cell_that_cannot_be_read():
    table = [
        {"sku": "MUG", "weight_g": "heavy", "lead_days": "3"},
        {"sku": "CUP", "lead_days": "4", "certifications": "CE | organic"},
        {"sku": "CUP", "lead_days": "5"},
        {"sku": "", "lead_days": "5"},
        {"sku": "POT", "lead_days": "null", "effective_from": "2026-13-01"},
        {"sku": "PAN", "lead_days": "null"},
    ]
    read = read_table(table, NO_CUSTOM_FIELDS)
    assert [(one.row, one.column, one.value) for one in read.bad] == [
        (2, "weight_g", "heavy"), (4, "lead_days", "5"), (5, "sku", ""), (6, "effective_from", "2026-13-01"),
    ]  # fmt: skip
    assert [one.row for one in read.good] == [3, 7]
    assert read.good[0].patch.fields.certifications == ("CE", "organic")
    assert read.good[1].patch.fields.lead_days is None
