"""Ways around owners and containments that somebody thought of: nothing owned or kept back is written or given by."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.authority.staff import appointed, done
from tests.authority.test_overrides import granted, staff
from tests.authority.test_writers import assign, systems
from tests.board import declared, proposal
from tests.catalogue.breaches import DAY
from tests.catalogue.breaches import publish as contract
from tests.catalogue.test_amend import APPLY, amend, amendment, publish, refusal_of
from tests.catalogue.test_breach import allocated, place, source
from tests.catalogue.test_containment_kinds import ADDRESS, DIMENSIONS, failing, kept, part_of
from tests.catalogue.test_partners import amend as amend_partners
from tests.catalogue.test_partners import known, partner, terms
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import person, rows

from trueup import house
from trueup.authority.apply import ApplyChange
from trueup.authority.overrides import GrantOverride
from trueup.authority.standing import SYSTEM
from trueup.catalogue.contract import Contract, Entity, RowCheck, Rule
from trueup.catalogue.quarantine import ReleaseContainment
from trueup.catalogue.register import KitPart, RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.sourcing.allocate import AllocateUnits
from trueup.sourcing.parts import MovePart
from trueup.storyline import settled
from trueup.worker import notice_now

NOT_THE_OWNER = "catalogue.not_the_owner"
TAX = {"entity": "item", "field": "tax_class", "owner": "Finance", "governed": True}
NAME = {"entity": "item", "field": "name", "owner": "Finance"}


async def test_a_change_writes_no_field_of_another_owner_beside_what_it_is_about(door: Door, url: str):
    """A vote is asked about what is governed; what is only owned is its owner's, also inside of a change."""
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"owners": [TAX, NAME]})
    company = await declared(door, Nora="Finance")
    both = proposal(amend(amendment("MUG", {"tax_class": "reduced", "name": "Stein"})))
    assert await company.refused(company.Mia, both) == NOT_THE_OWNER
    beside = proposal(amend(amendment("MUG", {"tax_class": "reduced"})), amend(amendment("MUG", {"name": "Stein"})))
    assert await company.refused(company.Mia, beside) == NOT_THE_OWNER
    change = await company.propose(company.Finn, amend(amendment("MUG", {"tax_class": "reduced", "name": "Stein"})))
    await company.approve(change, company.Nora, company.Bea, company.Olga, company.Ivan)
    await company.apply(company.Mia, change)
    assert await rows(url, "select name, tax_class from item") == [("Stein", "reduced")]
    await prove(url)


async def test_a_plan_does_not_put_back_what_was_decided_since(door: Door, url: str, clock: TurnedClock):
    """A plan that says again what stands now says nothing of it, when its day comes and something else stands there."""
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"owners": [TAX]})
    company = await declared(door)
    (before,) = (await rows(url, "select tax_class from item"))[0]
    day = (clock.now() + timedelta(days=3)).date()
    sneaked = amendment("MUG", {"name": "Stein", "tax_class": before}, effective_from=day.isoformat())
    await company.done(company.Mia, amend(sneaked))
    change = await company.propose(company.Mia, amend(amendment("MUG", {"tax_class": "reduced"})))
    await company.approve(change, company.Finn, company.Bea, company.Olga, company.Ivan)
    await company.apply(company.Mia, change)
    clock.turn(timedelta(days=4))
    await notice_now(url, door, APPLY)
    assert await rows(url, "select name, tax_class from item") == [("Stein", "reduced")]
    await prove(url)


async def test_a_plan_is_its_owners_also_where_another_row_makes_it_possible(door: Door, url: str, clock: TurnedClock):
    """A least order value needs a currency, which a row before it brings."""
    await known(door, partner())
    await publish(
        door, "field_ownership", {"owners": [{"entity": "partner", "field": "minimum_order", "owner": "Finance"}]}
    )
    mia = await person(door, "Mia", "Master Data Owner")
    day = (clock.now() + timedelta(days=3)).date().isoformat()
    both = amend_partners(terms({"currency": "EUR"}), terms({"minimum_order": "1.00"}, effective_from=day))
    assert refusal_of(await door.submit(mia, both, "both")).rule == NOT_THE_OWNER
    clock.turn(timedelta(days=4))
    await notice_now(url, door, APPLY)
    assert await rows(url, "select currency, minimum_order from partner") == [(None, None)]
    await prove(url)


async def test_a_loan_for_where_goods_come_from_is_none_for_where_they_go(door: Door, url: str, clock: TurnedClock):
    """Two locations are in quarantine, and a loan is for one of them."""
    await stocked(door, MUG=9)
    await stocked(door, location="SHOP", MUG=9)
    await failing(door, url, "location", ADDRESS)
    order = await place(door, "order", MUG=1)
    assert (await source(door, order, "before")).status == "applied"
    clock.turn(DAY)
    fay, _, sue = await staff(door)
    lent = {"rule": "catalogue.quarantined", "expires_at": clock.now() + DAY}
    here = await rows(url, "select l.code from fulfilment_order f join location l on l.id = f.location")
    (there,) = {"MAIN", "SHOP"} - {here[0][0]}
    await granted(door, fay, sue, objects=here[0], **lent)
    move = MovePart(order=order, fulfilment_order=await part_of(url, order), location=there)
    assert kept(await door.submit(SYSTEM, move, "not lent"), f"{there} takes nothing more since")
    await granted(door, fay, sue, objects=(there,), reason="there, too", **lent)
    await done(door, SYSTEM, move)
    await prove(url)


async def test_a_kit_in_quarantine_is_not_given_by_its_parts(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=9)
    parts = (KitPart(sku="MUG", quantity=Quantity(2)),)
    await done(door, SYSTEM, RegisterItem(sku="SET", name="Set", kind="kit", phantom=True, components=parts))
    await done(door, SYSTEM, amend(amendment("MUG", {"length_mm": 120})))
    await failing(door, url, "item", msgspec.structs.replace(DIMENSIONS, containment="quarantine_item"))
    order = await place(door, "order", SET=1)
    clock.turn(DAY)
    assert kept(await source(door, order, "by its parts"), "SET is kept from allocation since")
    by_hand = AllocateUnits(order=order, line=2, location="MAIN", quantity=Quantity(2))
    assert kept(await door.submit(SYSTEM, by_hand, "by hand"), "SET is kept from allocation since")
    assert await allocated(url, order) == 0
    await prove(url)


async def test_a_change_gives_no_right_to_what_needs_none(door: Door, url: str):
    """Finance decides tax classes and writes no items: what it proposes carries nothing else of them."""
    await stocked(door, MUG=1, CUP=1)
    await publish(door, "field_ownership", {"owners": [TAX]})
    company = await declared(door)
    tara = await person(door, "Tara")
    await appointed(door, tara, "Master Data Owner", "category:tea")
    await done(door, SYSTEM, amend(amendment("CUP", {"category": "tea"})))
    reduced, stein = amendment("MUG", {"tax_class": "reduced"}), {"name": "Stein"}
    mixed = [{"tax_class": "reduced", **stein}], [{"tax_class": "reduced"}, stein]
    for who in (company.Finn, tara):
        for rows_ in mixed:
            wrong = proposal(amend(*(amendment("MUG", fields) for fields in rows_)))
            assert await company.refused(who, wrong) == "authority.not_allowed"
    await company.propose(tara, amend(reduced, amendment("CUP", stein)))
    await company.propose(company.Finn, amend(reduced))
    await company.propose(company.Mia, amend(reduced, amendment("MUG", stein)))
    await prove(url)


async def test_who_does_not_own_a_field_takes_back_no_plan_of_it(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"owners": [NAME]})
    finn, mia = await person(door, "Finn", "Finance", "Data Steward"), await person(door, "Mia", "Master Data Owner")
    day = (clock.now() + timedelta(days=3)).date().isoformat()
    await done(door, finn, amend(amendment("MUG", {"name": "Stein"}, effective_from=day)))
    back = amend(amendment("MUG", {"name": "Mug"}, withdraw_planned=True))
    assert refusal_of(await door.submit(mia, back, "back")).rule == NOT_THE_OWNER
    clock.turn(timedelta(days=4))
    await notice_now(url, door, APPLY)
    assert await rows(url, "select name from item") == [("Stein",)]
    await prove(url)


async def test_items_that_another_system_writes_are_not_amended_here(door: Door, url: str):
    await stocked(door, MUG=1)
    await systems(door, legacy=())
    expect_all([await assign(door, "legacy", "item")])
    mia = await person(door, "Mia", "Master Data Owner")
    theirs = await door.submit(mia, amend(amendment("MUG", {"name": "Stein"})), "theirs")
    assert refusal_of(theirs).rule == "writer.other_system"
    assert await rows(url, "select name from item") == [("Mug",)]
    await prove(url)


async def test_a_change_writes_no_item_that_another_system_writes(door: Door, url: str, clock: TurnedClock):
    """Neither one that was approved before, nor an emergency."""
    await stocked(door, MUG=1)
    await publish(door, "field_ownership", {"owners": [TAX]})
    await systems(door, legacy=())
    expect_all([await assign(door, "legacy", "item", from_at=clock.now() + DAY)])
    company = await declared(door)
    change = await company.propose(company.Mia, amend(amendment("MUG", {"tax_class": "reduced"})))
    await company.approve(change, company.Finn, company.Bea, company.Olga, company.Ivan)
    clock.turn(DAY)
    assert await company.refused(company.Mia, ApplyChange(change=change[0])) == "writer.other_system"
    now = proposal(amend(amendment("MUG", {"tax_class": "zero"})), type="emergency")
    assert await company.refused(company.Finn, now) == "writer.other_system"
    assert await rows(url, "select tax_class from item") == [("standard",)]
    await prove(url)


async def test_lifting_what_one_case_contains_lifts_nothing_of_another(door: Door, url: str, clock: TurnedClock):
    """Two contracts keep one item back, and somebody has one of them lifted."""
    await stocked(door, MUG=9)
    lengths = await failing(door, url, "item", DIMENSIONS)
    recall = Rule(name="brand.known", check=RowCheck(kind="required", field="brand"), containment="quarantine_item")
    second = Contract(id="recall", entities=(Entity(name="item", rules=(recall,)),))
    await contract(door, second, "recall", "recall")
    await settled(door, url, house.build())
    order = await place(door, "order", MUG=1)
    clock.turn(DAY)
    _, _, sue = await staff(door)
    ((other,),) = await rows(url, "select id from cases where kind = 'contract_breach' and id <> %s", lengths)
    for case, told in ((lengths, "brand.known of contract recall fails"), (other, "")):
        lift = ReleaseContainment(case=case, hours=8, reason="measured by hand")
        asked = await door.submit(SYSTEM, lift, f"lift {case}")
        await done(door, sue, GrantOverride(override=asked.result["override"]))
        sourced = await source(door, order, f"lifted {case}")
        assert kept(sourced, told) if told else sourced.status == "applied"
    assert await allocated(url, order) == 1
    await prove(url)
