"""A role over a part: its rights serve there, and what lies in no part needs the role over everything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some
from tests.authority.staff import appointed, done, refused
from tests.authority.test_decided_by_part import HEAVIER, tea_company
from tests.authority.test_limits import limited
from tests.catalogue.test_amend import amend, amendment
from tests.conftest import START, expect_all, stocked
from tests.proof import prove
from tests.requests import adjust, person, rows
from tests.stock.test_feed import feed_of

from trueup.authority.apply import ApplyChange
from trueup.authority.declare import DeclareGovernance
from trueup.authority.delegate import Delegate
from trueup.authority.parts import lies_in, parts_of_right
from trueup.authority.people_state import Appointment
from trueup.authority.register import RegisterActor
from trueup.authority.standing import ROLES, SYSTEM, Rights, roles_that_may
from trueup.authority.tenure import Tenure, actors_at
from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.verb import Actor
from trueup.stock.feed_settle import DiscardFeedRow

OUTSIDE = "authority.outside_part"


async def shelves(door: Door) -> None:
    """Tea and a cup, of no owner yet."""
    for sku, category in (("ASSAM", "tea"), ("GREEN", "tea"), ("CUP", "crockery"), ("BARE", None)):
        expect_all([await door.submit(SYSTEM, RegisterItem(sku=sku, name=sku, category=category), sku)])


async def weights(url: str) -> dict[str, Any]:
    """Return what each item weighs."""
    return dict(await rows(url, "select sku, weight_g from item where weight_g is not null"))


async def test_the_owner_of_tea_writes_tea_and_nothing_else(door: Door, url: str):
    await shelves(door)
    tara = await person(door, "Tara")
    await appointed(door, tara, "Master Data Owner", "category:tea")
    await done(door, tara, amend(amendment("ASSAM", HEAVIER), amendment("GREEN", HEAVIER)))
    said = await refused(door, tara, amend(amendment("CUP", HEAVIER)), OUTSIDE)
    assert said.refusal is not None
    assert "Master Data Owner" in said.refusal.fix
    assert "category:crockery" in said.refusal.fix, "who may, and over what"
    await refused(door, tara, amend(amendment("ASSAM", {"weight_g": "99"}), amendment("CUP", HEAVIER)), OUTSIDE)
    await refused(door, tara, amend(amendment("BARE", HEAVIER)), OUTSIDE)
    assert set(await weights(url)) == {"ASSAM", "GREEN"}
    assert set((await weights(url)).values()) == {310}
    mia = await person(door, "Mia", "Master Data Owner")
    await done(door, mia, amend(amendment("CUP", HEAVIER)))
    await prove(url)


async def test_nothing_is_moved_into_or_out_of_a_part_by_who_holds_only_one(door: Door, url: str):
    """Who may write tea makes no cup a tea, and gives no tea away."""
    await shelves(door)
    tara = await person(door, "Tara")
    await appointed(door, tara, "Master Data Owner", "category:tea")
    await refused(door, tara, amend(amendment("CUP", {"category": "tea"})), OUTSIDE)
    await refused(door, tara, amend(amendment("ASSAM", {"category": "crockery"})), OUTSIDE)
    await refused(door, tara, RegisterItem(sku="CUP", name="Cup", category="tea"), OUTSIDE)
    await refused(door, tara, RegisterItem(sku="NEW", name="New"), OUTSIDE)
    await done(door, tara, RegisterItem(sku="OOLONG", name="Oolong", category="tea"))
    assert dict(await rows(url, "select sku, category from item where sku in ('ASSAM', 'CUP', 'OOLONG')")) == {
        "ASSAM": "tea", "CUP": "crockery", "OOLONG": "tea",
    }  # fmt: skip
    await prove(url)


async def test_two_parts_are_both_of_them(door: Door, url: str):
    await shelves(door)
    tara = await person(door, "Tara")
    await appointed(door, tara, "Master Data Owner", "category:tea")
    await appointed(door, tara, "Data Steward", "category:crockery")
    await done(door, tara, amend(amendment("ASSAM", HEAVIER), amendment("CUP", HEAVIER)))
    await done(door, tara, amend(amendment("ASSAM", {"category": "crockery"})))
    await refused(door, tara, amend(amendment("BARE", HEAVIER)), OUTSIDE)
    await prove(url)


async def test_a_lead_of_one_site_adjusts_that_site(door: Door, url: str):
    await stocked(door, MUG=9)
    await stocked(door, location="EAST", MUG=9)
    lea = await person(door, "Lea")
    await appointed(door, lea, "Fulfilment Lead", "location:MAIN")
    await done(door, lea, adjust(-2))
    await refused(door, lea, adjust(-2, location="EAST"), OUTSIDE)
    sql = "select l.code, b.on_hand from stock_balance b join location l on l.id = b.location"
    assert dict(await rows(url, sql)) == {"MAIN": 7, "EAST": 9}
    await prove(url)


async def test_what_names_no_part_needs_the_role_over_everything(door: Door, url: str):
    """A Sponsor of tea declares no governance, and an administrator of tea lets nobody in."""
    sue, adam = await person(door, "Sue"), await person(door, "Adam")
    await appointed(door, sue, "Sponsor", "category:tea")
    await appointed(door, adam, "Administrator", "category:tea")
    await refused(door, sue, DeclareGovernance(mode="small"), OUTSIDE)
    await refused(door, adam, RegisterActor(name="Eve", roles=("Sponsor",)), OUTSIDE)
    assert await rows(url, "select mode from governance") == []
    assert await rows(url, "select name from actor where name = 'Eve'") == []
    await prove(url)


async def test_a_change_is_applied_by_who_may_where_it_lies(door: Door, url: str):
    company = await tea_company(door)
    tea = await company.propose(company.Tara, amend(amendment("ASSAM", HEAVIER)))
    cup = await company.propose(company.Tara, amend(amendment("CUP", HEAVIER)))
    await company.approve(tea, company.Mia, company.Bea, company.Olga)
    await company.approve(cup, company.Mia, company.Bea, company.Olga)
    assert await company.refused(company.Tara, ApplyChange(change=cup[0])) == OUTSIDE
    await company.apply(company.Tara, tea)
    assert {*(await weights(url))} == {"ASSAM"}
    await prove(url)


async def test_a_limit_of_a_role_over_a_part_holds_there(door: Door, url: str):
    """Who may adjust any number in the east by one role does not do so in the main site by it."""
    await stocked(door, MUG=99)
    await stocked(door, location="EAST", MUG=99)
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    lea = await person(door, "Lea", "Fulfilment Lead")
    await appointed(door, lea, "Integration Owner", "location:EAST")
    await done(door, lea, adjust(-11, location="EAST"))
    held = await door.submit(lea, adjust(-11), "main")
    assert held.status == "pending_approval"
    assert await rows(url, "select sum(on_hand) from stock_balance") == [(187,)]
    await prove(url)


async def test_the_owner_of_an_integration_reports_and_settles_its_feeds(door: Door, url: str):
    """Whatever they move, a feed is its integration's: that of another one is not theirs to send, nor to release."""
    await stocked(door, MUG=1)
    ernie = await person(door, "Ernie")
    await appointed(door, ernie, "Integration Owner", "integration:wms")
    await done(door, ernie, feed_of(START + timedelta(minutes=1), source="wms", MUG="5", CUP="2"))
    await refused(door, ernie, feed_of(START + timedelta(minutes=2), source="pos", MUG="9"), OUTSIDE)
    theirs = await done(door, SYSTEM, feed_of(START + timedelta(minutes=3), source="pos", CUP="2"))
    bad = dict(await rows(url, "select source, id from stock_feed"))
    assert theirs.result["feed"] == bad["pos"]
    await done(door, ernie, DiscardFeedRow(feed=bad["wms"], row=2, reason="no such cup"))
    await refused(door, ernie, DiscardFeedRow(feed=bad["pos"], row=1, reason="no such cup"), OUTSIDE)
    await prove(url)


async def test_a_right_lent_alone_is_no_wider_than_its_givers_role(door: Door, url: str, clock: TurnedClock):
    """Who owns tea lends Fred one right of it: Fred writes tea, and no cup."""
    await shelves(door)
    tara, fred = await person(door, "Tara"), await person(door, "Fred")
    await appointed(door, tara, "Master Data Owner", "category:tea")
    until = (clock.now() + timedelta(days=3)).date()
    await done(door, tara, Delegate(to=fred.id, rights=("catalogue.amend_items",), until_on=until))
    await done(door, fred, amend(amendment("ASSAM", HEAVIER)))
    await refused(door, fred, amend(amendment("CUP", HEAVIER)), OUTSIDE)
    assert set(await weights(url)) == {"ASSAM"}
    await prove(url)


PARTS = ("category:tea", "category:cups", "brand:acme", "location:MAIN", "integration:erp")
RIGHTS = ("catalogue.amend_items", "stock.adjust", "authority.register_actor", "authority.publish_policy",
          "orders.cancel", "authority.declare_governance")  # fmt: skip
GIVEN = some.lists(some.tuples(some.sampled_from(ROLES), some.none() | some.sampled_from(PARTS)), max_size=6)
PLACES = some.none() | some.lists(
    some.lists(some.sampled_from(PARTS), max_size=2, unique=True).map(tuple), min_size=1, max_size=4
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(given_=GIVEN, right=some.sampled_from(RIGHTS), places=PLACES)
def test_what_is_allowed_is_the_union_over_roles_of_rights_within_parts(
    given_: list[tuple[str, str | None]], right: str, places: list[tuple[str, ...]] | None
):
    """Over random appointments: each thing lies in a part of a role that gives the right, or a role gives it wholly."""
    appointments = tuple(
        Appointment(id=str(at), actor="act_1", role=role, over=over, from_at=START, by="x", at=START, accepted_at=START)
        for at, (role, over) in enumerate(given_)
    )
    own = {"act_1": Actor("act_1", "person", "Ann")}
    rights = Rights()
    actor = actors_at(own, Tenure(appointments), START, lambda roles, entry: False)["act_1"]
    giving = set(roles_that_may(rights, right))
    by_role = not giving.isdisjoint(actor.roles)
    held = parts_of_right(Policies(()), actor, right)
    allowed = by_role and (held is None or lies_in(places, held))
    everywhere = any(role in giving and over is None for role, over in given_)
    each = [any(role in giving and over in one for role, over in given_) for one in places or ()]
    assert allowed == (everywhere or (bool(each) and all(each)))
