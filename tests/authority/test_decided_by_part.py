"""A Master Data Owner decides a category or brand, an Integration Owner an integration, and a deputy for them."""

from __future__ import annotations

from tests.authority.staff import appointed
from tests.board import Company, declared, published
from tests.catalogue.test_amend import amend, amendment
from tests.catalogue.test_master_data_changes import GOVERNED
from tests.conftest import expect_all
from tests.proof import prove
from tests.requests import person, rows

from trueup.authority.apply import ApplyChange, RevertChange
from trueup.authority.approve import ApproveChange
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem
from trueup.core.door import Door

HEAVIER = {"weight_g": "310"}


async def tea_company(door: Door) -> Company:
    """Tea belongs to Tara, with Dan as her deputy; cups to nobody but who owns all master data."""
    for sku, category in (("ASSAM", "tea"), ("CUP", "crockery")):
        item = RegisterItem(sku=sku, name=sku.title(), category=category)
        expect_all([await door.submit(SYSTEM, item, sku)])
    expect_all([await door.submit(SYSTEM, published("field_ownership", owners=GOVERNED), "owners")])
    company = await declared(door, Stella="Data Steward")
    tara, dan = await person(door, "Tara"), await person(door, "Dan")
    await appointed(door, tara, "Master Data Owner", "category:tea", deputy=dan)
    company.people.update(Tara=tara, Dan=dan)
    return company


async def test_the_owner_of_a_category_decides_it_and_nothing_else(door: Door, url: str):
    company = await tea_company(door)
    tea = await company.propose(company.Stella, amend(amendment("ASSAM", HEAVIER)))
    cup = await company.propose(company.Stella, amend(amendment("CUP", HEAVIER)))
    await company.approve(tea, company.Tara)
    other = ApproveChange(change=cup[0], digest=cup[1])
    assert await company.refused(company.Tara, other) == "authority.not_decider"
    for change in (tea, cup):
        await company.approve(change, company.Bea, company.Olga)
    await company.apply(company.Stella, tea)
    assert await company.refused(company.Stella, ApplyChange(change=cup[0])) == "authority.not_approved"
    assert await rows(url, "select roles from change_approval where actor = %s", company.Tara.id) == [
        (["Master Data Owner@category:tea"],)
    ]
    await company.approve(cup, company.Mia)
    await company.apply(company.Stella, cup)
    assert await company.refused(company.Tara, RevertChange(change=cup[0], reason="no")) == "authority.not_decider"
    await company.revert(company.Tara, tea)
    await prove(url)


async def test_a_deputy_decides_for_the_owner(door: Door, url: str):
    company = await tea_company(door)
    tea = await company.propose(company.Stella, amend(amendment("ASSAM", HEAVIER)))
    await company.approve(tea, company.Dan, company.Bea, company.Olga)
    await company.apply(company.Stella, tea)
    await prove(url)


async def test_an_integration_owner_decides_their_integration_and_nothing_else(door: Door, url: str):
    company = await declared(door)
    ernie = await person(door, "Ernie")
    await appointed(door, ernie, "Integration Owner", "integration:erp")
    mine = await company.propose(company.Lea, published("feed", "erp", mass_items_min=7))
    theirs = await company.propose(company.Lea, published("feed", "pos", mass_items_min=7))
    await company.done(ernie, ApproveChange(change=mine[0], digest=mine[1]))
    other = ApproveChange(change=theirs[0], digest=theirs[1])
    assert await company.refused(ernie, other) == "authority.not_decider"
    await prove(url)
