"""Votes that no longer count: an approval is given in an office, and ends with it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.authority.staff import appointed
from tests.authority.test_changes import BERLIN, zone_of
from tests.authority.test_decided_by_part import HEAVIER, tea_company
from tests.board import Company, declared
from tests.catalogue.test_amend import amend, amendment
from tests.proof import prove
from tests.requests import person

from trueup import house
from trueup.authority.apply import ApplyChange
from trueup.authority.appoint import EndAppointment
from trueup.authority.approve import ApproveChange
from trueup.authority.awaiting import awaiting
from trueup.authority.change_read import ChangeDetail, change_detail
from trueup.authority.delegate import Delegate
from trueup.authority.employ import SetEmployment
from trueup.authority.register import RegisterActor
from trueup.authority.resign import ResignDeputy
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.verb import Actor

OWNER = "Operations Process Owner"


@pytest.fixture
async def company(door: Door) -> Company:
    return await declared(door)


def holding(who: Actor, *roles: str) -> RegisterActor:
    """Give somebody these roles instead of those they have; access stays."""
    return RegisterActor(name=who.name, roles=roles, actor=who.id)


async def seen(url: str, change: tuple[str, str], clock: TurnedClock) -> ChangeDetail:
    """Return the change as its page and the API show it."""
    connection = await connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        found = await change_detail(connection, change[0], policies, clock.now())
    finally:
        await connection.close()
    assert found is not None
    return found


async def void(url: str, change: tuple[str, str], clock: TurnedClock) -> list[str]:
    return [one.why for one in (await seen(url, change, clock)).void]


async def test_an_approval_of_who_lost_the_role_does_not_count(company: Company, url: str, clock: TurnedClock):
    """Access stays, and the approval stays a record; the successor reads the change and votes."""
    otto = await person(company.door, "Otto", OWNER)
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    assert await void(url, change, clock) == []
    await company.done(company.Adam, holding(company.Olga, "Order Agent"))
    refused = await company.act(company.Ivan, ApplyChange(change=change[0]))
    assert refused.refusal is not None
    assert refused.refusal.rule == "authority.not_approved"
    assert OWNER in refused.refusal.what
    assert await zone_of(url) == "shipped"
    assert await void(url, change, clock) == [f"not {OWNER} any more"]
    connection = await connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        waiting = await awaiting(
            connection, policies, Actor(otto.id, "person", "Otto", frozenset({OWNER})), clock.now()
        )
    finally:
        await connection.close()
    assert [one.change.id for one in waiting.votes] == [change[0]], "who could give it now is asked"
    assert waiting.to_apply == ()
    await company.approve(change, otto)
    await company.apply(company.Ivan, change)
    assert await zone_of(url) == "Europe/Berlin"
    assert await void(url, change, clock) == [], "what was decided is not looked at again"
    await prove(url)


async def test_who_holds_the_role_again_has_voted(company: Company, url: str, clock: TurnedClock):
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    await person(company.door, "Otto", OWNER)
    await company.done(company.Adam, holding(company.Olga, "Finance"))
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    await company.done(company.Adam, holding(company.Olga, OWNER))
    await company.apply(company.Ivan, change)
    await prove(url)


async def test_a_vote_does_not_pass_on_with_the_role(company: Company, url: str, clock: TurnedClock):
    """Handed over as it should be, to a deputy who accepted: it is the deputy's to vote now."""
    anna, dan = await person(company.door, "Anna"), await person(company.door, "Dan")
    appointment = await appointed(company.door, anna, OWNER, deputy=dan)
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, anna)
    await company.done(anna, EndAppointment(appointment=appointment, reason="moves on"))
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    await company.approve(change, dan)
    await company.apply(company.Ivan, change)
    await prove(url)


async def test_an_approval_of_whose_contract_ended_does_not_count(company: Company, url: str, clock: TurnedClock):
    cora = await person(company.door, "Cora", OWNER)
    last = clock.now().date()
    await company.done(
        company.Adam, SetEmployment(actor=cora.id, employer="consultant", company="Acme", contract_end=last)
    )
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, cora)
    clock.turn(timedelta(days=1))
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    assert await void(url, change, clock) == ["their contract has ended"]
    assert await zone_of(url) == "shipped"
    await prove(url)


async def test_who_has_the_role_only_from_the_asker_by_now_has_no_vote(company: Company, url: str, clock: TurnedClock):
    """A conflict that came to be after the vote: Finn voted by his own role, lost it, and now acts for who asked."""
    otto = await person(company.door, "Otto", OWNER)
    change = await company.propose(company.Olga, BERLIN)
    await company.approve(change, otto)
    await company.done(company.Adam, holding(otto, "Order Agent"))
    until = (clock.now() + timedelta(days=3)).date()
    await company.done(company.Olga, Delegate(to=otto.id, role=OWNER, until_on=until))
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    (why,) = await void(url, change, clock)
    assert "only by who asked" in why
    assert await zone_of(url) == "shipped"
    await prove(url)


async def test_who_stands_in_for_the_asker_does_not_approve_for_them(company: Company, url: str):
    anna, dan = await person(company.door, "Anna"), await person(company.door, "Dan")
    await appointed(company.door, anna, OWNER, deputy=dan)
    change = await company.propose(anna, BERLIN)
    word = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(dan, word) == "authority.lent_vote"
    await company.approve(change, company.Olga)
    await company.apply(company.Ivan, change)
    await prove(url)


async def test_a_role_that_was_narrowed_to_a_part_votes_for_the_part(company: Company, url: str, clock: TurnedClock):
    """Whoever was the owner of everything, and is of tea alone, has said yes to tea alone."""
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    await person(company.door, "Otto", OWNER)
    await company.done(company.Adam, holding(company.Olga, "Order Agent"))
    await appointed(company.door, company.Olga, OWNER, "category:tea")
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    await prove(url)


async def test_the_operators_word_is_no_vote_either(company: Company, url: str):
    change = await company.propose(company.Lea, BERLIN)
    word = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(SYSTEM, word) == "authority.not_a_person"


async def test_of_a_vote_that_partly_lapsed_the_role_that_counts_no_more_is_named(
    door: Door, url: str, clock: TurnedClock
):
    """Tara votes for crockery as a deputy and for tea as its owner; she resigns for crockery."""
    company = await tea_company(door)
    anna, tara = await person(door, "Anna"), company.Tara
    crockery = await appointed(door, anna, "Master Data Owner", "category:crockery", deputy=tara)
    change = await company.propose(company.Stella, amend(amendment("ASSAM", HEAVIER), amendment("CUP", HEAVIER)))
    await company.approve(change, tara)
    assert await void(url, change, clock) == []
    await company.done(tara, ResignDeputy(appointment=crockery, reason="too much"))
    detail = await seen(url, change, clock)
    (gone,) = detail.void
    assert (gone.actor, gone.roles) == (tara.id, ("Master Data Owner@category:crockery",))
    assert gone.why == "not Master Data Owner for category:crockery any more"
    said = {vote.over: (vote.said, vote.can) for vote in detail.votes if vote.over}
    assert said[("category:tea",)] == (1, (company.Dan.id, company.Mia.id)), "the other half of her word stands"
    assert said[("category:crockery",)][0] == 0


async def test_only_who_can_really_say_yes_is_named(door: Door, url: str, clock: TurnedClock):
    """Not who asked, not who holds the role over another part, nor by a role from who asked; and who decides then."""
    company = await tea_company(door)
    tara, lent = company.Tara, await person(door, "Theo")
    until = (clock.now() + timedelta(days=9)).date()
    await company.done(company.Mia, Delegate(to=lent.id, role="Master Data Owner", until_on=until))
    change = await company.propose(company.Mia, amend(amendment("CUP", HEAVIER)))
    (owner,) = [vote for vote in (await seen(url, change, clock)).votes if "Master Data Owner" in vote.roles]
    assert (owner.can, owner.then, owner.then_can) == ((), ("Sponsor",), (company.Sue.id,))
    word = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(tara, word) == "authority.not_decider"
    assert await company.refused(lent, word) == "authority.lent_vote"
    for who in (tara, lent, company.Mia):
        assert await waits_for(url, change, who, clock) is False, who.name
    assert await waits_for(url, change, company.Bea, clock)
    await appointed(company.door, tara, "Master Data Owner", "category:crockery")
    (owner,) = [vote for vote in (await seen(url, change, clock)).votes if "Master Data Owner" in vote.roles]
    assert (owner.said, owner.can) == (0, (tara.id,))
    assert await waits_for(url, change, tara, clock)
    refused = await company.act(company.Ivan, ApplyChange(change=change[0]))
    assert refused.refusal is not None
    assert "0 of 1 said yes of Master Data Owner" in refused.refusal.what
    await company.approve(change, tara)
    clock.turn(timedelta(days=8))
    other = await company.propose(company.Mia, amend(amendment("CUP", {"weight_g": "800"})))
    clock.turn(timedelta(days=5))
    assert await waits_for(url, other, company.Sue, clock), "overdue, the tie-breaker is asked"


async def waits_for(url: str, change: tuple[str, str], who: Actor, clock: TurnedClock) -> bool:
    """Tell whether a change is shown to somebody as one that waits for their yes."""
    connection = await connect(url)
    try:
        standing = await house.build().load_standing(connection)
        found = await awaiting(connection, standing.policies, standing.present(who, clock.now()), clock.now())
    finally:
        await connection.close()
    return change[0] in [one.change.id for one in found.votes]
