"""Ways around loans and roles over parts that somebody thought of: none lends what is not lent, or more of it."""

from __future__ import annotations

import msgspec
from tests.authority.staff import appointed, done, end, refused
from tests.authority.test_limits import limited
from tests.authority.test_overrides import DAY, asked, banded, granted, rule_of, staff
from tests.authority.test_parts import OUTSIDE, shelves
from tests.authority.test_writers import assign, systems
from tests.board import carried, published
from tests.cases.laddering import HOUR, ladder, opened, publish, rung, steps
from tests.catalogue.test_amend import amend, amendment
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import adjust, person, rows
from tests.stock.depth import found

from trueup.authority.confirm import ConfirmAct
from trueup.authority.delegate import Delegate
from trueup.authority.for_case import ActForCase
from trueup.authority.overridable import hint_of
from trueup.authority.overrides import GrantOverride
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.verb import Actor
from trueup.stock.counting import ApproveCount, ApprovedLine, OpenCount


async def test_who_asked_for_an_override_lends_nobody_the_role_to_grant_it(door: Door, url: str, clock: TurnedClock):
    _, otto, sue = await staff(door)
    friend = await person(door, "Fred", "Order Agent")
    await banded(door)
    override = (await done(door, otto, asked())).result["override"]
    until = (clock.now() + 3 * DAY).date()
    await done(door, otto, Delegate(to=friend.id, role="Operations Process Owner", until_on=until))
    await refused(door, friend, GrantOverride(override=override), "authority.lent_vote")
    assert await rows(url, "select granted_by from override_loan") == [(None,)]
    await done(door, sue, GrantOverride(override=override))
    await prove(url)


async def test_who_asked_for_an_act_lends_nobody_the_role_to_confirm_it(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=99)
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    fay, _, _ = await staff(door)
    friend = await person(door, "Fred", "Order Agent")
    held = await door.submit(fay, adjust(-11), "held")
    assert held.status == "pending_approval"
    until = (clock.now() + 3 * DAY).date()
    await done(door, fay, Delegate(to=friend.id, role="Fulfilment Lead", until_on=until))
    await refused(door, friend, ConfirmAct(act=held.result["pending"]), "authority.lent_vote")
    assert await rows(url, "select sum(on_hand) from stock_balance") == [(99,)]
    await prove(url)


async def test_who_asked_is_not_confirmed_by_their_own_deputy(door: Door, url: str):
    await stocked(door, MUG=99)
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    pia, dan = await person(door, "Pia", "Order Agent"), await person(door, "Dan", "Order Agent")
    await appointed(door, pia, "Fulfilment Lead", deputy=dan)
    held = await door.submit(pia, adjust(-11), "held")
    await refused(door, dan, ConfirmAct(act=held.result["pending"]), "authority.lent_vote")
    override = (await done(door, pia, asked(department="fulfilment", rule="stock.frozen"))).result["override"]
    await refused(door, dan, GrantOverride(override=override), "authority.lent_vote")
    other = await person(door, "Lea", "Fulfilment Lead")
    await done(door, other, GrantOverride(override=override))
    await done(door, other, ConfirmAct(act=held.result["pending"]))
    await prove(url)


async def test_a_right_lent_by_who_holds_it_over_a_part_is_lent_over_that_part(
    door: Door, url: str, clock: TurnedClock
):
    await shelves(door)
    tara, friend = await person(door, "Tara"), await person(door, "Fred")
    mia = await person(door, "Mia", "Master Data Owner")
    await appointed(door, tara, "Master Data Owner", "category:tea")
    until = (clock.now() + 3 * DAY).date()
    await done(door, tara, Delegate(to=friend.id, rights=("catalogue.amend_items",), until_on=until))
    # What was lent to somebody for everything is not passed on with what is their own over a part.
    await done(door, mia, Delegate(to=tara.id, role="Master Data Owner", until_on=until))
    await refused(door, friend, amend(amendment("CUP", {"weight_g": "99"})), OUTSIDE)
    await done(door, friend, amend(amendment("ASSAM", {"weight_g": "99"})))
    assert await rows(url, "select sku from item where weight_g = 99") == [("ASSAM",)]
    await prove(url)


async def test_words_that_look_like_an_id_are_not_what_a_loan_is_for(door: Door, url: str):
    await stocked(door, MUG=99)
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    fay, _, sue = await staff(door)
    await granted(door, fay, sue, rule="limits.amount", department="finance", objects=("ord_1",))
    sneaked = msgspec.structs.replace(adjust(-50), reference="ord_1")
    held = await door.submit(fay, sneaked, "held")
    assert held.status == "pending_approval", rule_of(held)
    assert await rows(url, "select sum(on_hand) from stock_balance") == [(99,)]
    await prove(url)


async def test_a_departments_limit_is_in_one_currency(door: Door, url: str):
    """What is open in another one cannot be added up: the Sponsor decides until it has come due."""
    fay, otto, sue = await staff(door)
    await granted(door, fay, otto, price_per_day=Amount("2000"))
    await done(door, SYSTEM, published("overriding", currency="JPY"))
    override = (await done(door, fay, asked(objects=("SHOP",)))).result["override"]
    await refused(door, otto, GrantOverride(override=override), "authority.not_decider")
    await done(door, sue, GrantOverride(override=override))
    await prove(url)


async def test_a_rule_whose_department_is_gone_is_borne_by_no_other(door: Door, url: str):
    """Finance alone bears amount limits; a company that takes it from the bearers has not given that to the others."""
    fay, _, _ = await staff(door)
    bearers = {"fulfilment": {"role": "Fulfilment Lead", "debt_max": "1000", "days_max": 7}}
    await done(door, SYSTEM, published("overriding", bearers=bearers))
    for department in ("", "fulfilment"):
        ask = asked(rule="limits.amount", objects=("Fulfilment Lead",), department=department)
        await refused(door, fay, ask, "authority.unknown_department", f"ask {department}")
    assert hint_of("limits.amount", "", Policies([])) != ""
    assert await rows(url, "select * from override_loan") == []


async def test_what_somebody_lost_they_lend_no_more(door: Door, url: str, clock: TurnedClock):
    """A delegation over a part gives that part only as long as its giver holds it."""
    await shelves(door)
    tara, friend = await person(door, "Tara"), await person(door, "Fred")
    await appointed(door, tara, "Master Data Owner", "category:tea")
    given = await appointed(door, tara, "Master Data Owner", "category:crockery")
    until = (clock.now() + 3 * DAY).date()
    lent = Delegate(to=friend.id, role="Master Data Owner", over="category:crockery", until_on=until)
    await done(door, tara, lent)
    await done(door, friend, amend(amendment("CUP", {"weight_g": "98"})))
    await done(door, SYSTEM, end(given))
    late = await door.submit(friend, amend(amendment("CUP", {"weight_g": "99"})), "late")
    assert late.refusal is not None
    await prove(url)


async def for_lea(door: Door, clock: TurnedClock, right: str) -> tuple[Actor, str]:
    """A case whose first rung is reached, and gives somebody one right more."""
    lea = await person(door, "Lea", "Fulfilment Lead")
    expect_all([await publish(door, "ladder", ladder((2, steps(rung(60, "Fulfilment Lead", right)))))])
    case = await opened(door, "odd", "ord_1")
    clock.turn(HOUR)
    return lea, case


async def test_a_rung_lends_nobody_the_second_act_of_two(door: Door, url: str, clock: TurnedClock):
    """Who opened a count does not approve it, for no case either."""
    await stocked(door, MUG=100)
    lea, case = await for_lea(door, clock, "stock.approve_count")
    counters = [await person(door, name, "Fulfilment Lead") for name in ("One", "Two")]
    begun = OpenCount(location="MAIN", reference="C", skus=("MUG",), blind=True)
    count = (await done(door, lea, begun)).result["count"]
    for counter, units in zip(counters, (80, 81), strict=True):
        await done(door, counter, found(count, MUG=units))
    approval = ApproveCount(count=count, lines=(ApprovedLine("MUG"),))
    await refused(door, lea, approval, "authority.separated_acts")
    await refused(door, lea, ActForCase(case=case, act=carried(approval)), "authority.separated_acts")
    await prove(url)


async def test_no_rung_and_no_second_word_writes_what_another_system_writes(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=100)
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    lea, case = await for_lea(door, clock, "stock.adjust")
    other = await person(door, "Lia", "Fulfilment Lead")
    waiting = (await door.submit(lea, adjust(-11), "before")).result["pending"]
    await systems(door, legacy=())
    expect_all([await assign(door, "legacy", "stock", location="MAIN")])
    theirs = "writer.other_system"
    await refused(door, lea, adjust(-2), theirs)
    await refused(door, lea, ActForCase(case=case, act=carried(adjust(-2))), theirs)
    await refused(door, other, ConfirmAct(act=waiting), theirs)
    assert await rows(url, "select sum(on_hand) from stock_balance") == [(100,)]
    await prove(url)
