"""Standard, normal and emergency changes, blackouts, the stabilisation window, and the small company."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.authority.test_changes import BERLIN, LISBON, zone_of
from tests.board import Company, declared, proposal, published
from tests.conftest import expect_all
from tests.proof import prove
from tests.requests import person, rows

from trueup.authority.apply import ApplyChange, EscalateChange, RevertChange
from trueup.authority.approve import ApproveChange
from trueup.authority.declare import DeclareGovernance
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

ZONES = {"name": "time zones", "keys": ["holds.timezone"]}


async def controlled(door: Door, *, window_days: int = 0, **document: Any) -> Company:
    """The company, with these rules of changing founded beforehand."""
    expect_all([await door.submit(SYSTEM, published("change_control", **document), "control")])
    return await declared(door, window_days=window_days)


async def test_a_standard_change_was_approved_with_its_template(door: Door, url: str):
    company = await controlled(door, templates=[ZONES])
    change = await company.propose(company.Lea, BERLIN, type="standard", template="time zones")
    assert (await company.apply(company.Ivan, change))["applied"] is True
    assert await zone_of(url) == "Europe/Berlin"
    outside = proposal(published("count", tolerance_units="7"), type="standard", template="time zones")
    assert await company.refused(company.Lea, outside) == "authority.outside_template"
    unknown = proposal(LISBON, type="standard", template="nothing")
    assert await company.refused(company.Lea, unknown) == "authority.unknown_template"
    assert await company.refused(company.Lea, proposal(LISBON, type="standard")) == "authority.template"
    await prove(url)


async def test_a_template_loses_its_approval_after_one_use_that_was_rolled_back(door: Door, url: str):
    company = await controlled(door, templates=[ZONES])
    change = await company.propose(company.Lea, BERLIN, type="standard", template="time zones")
    await company.apply(company.Ivan, change)
    await company.revert(company.Olga, change)
    again = proposal(LISBON, type="standard", template="time zones")
    assert await company.refused(company.Lea, again) == "authority.template_spent"
    renewed = published("change_control", templates=[ZONES], watch_hours=71)
    approval = await company.propose(company.Lea, renewed)
    await company.approve(approval, company.Sue, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Bea, approval)
    await company.propose(company.Lea, LISBON, type="standard", template="time zones")
    await prove(url)


async def test_a_template_loses_its_approval_after_one_use_that_failed(door: Door, url: str):
    company = await controlled(door, templates=[ZONES])
    first = await company.propose(company.Lea, BERLIN, type="standard", template="time zones")
    second = await company.propose(company.Finn, LISBON, type="standard", template="time zones")
    await company.apply(company.Ivan, first)
    failed = await company.apply(company.Ivan, second)
    assert failed["applied"] is False
    assert "not what it was" in failed["failed"]
    assert await zone_of(url) == "Europe/Berlin", "a failed use changes nothing"
    again = proposal(LISBON, type="standard", template="time zones")
    assert await company.refused(company.Lea, again) == "authority.template_spent"
    assert (await rows(url, "select status from change where id = %s", second[0])) == [("failed",)]
    await prove(url)


async def test_an_emergency_acts_now_and_is_reviewed_by_others(door: Door, url: str):
    company = await declared(door)
    assert await company.refused(company.Lea, proposal(BERLIN, type="emergency")) == "authority.no_emergency"
    change = await company.propose(company.Olga, BERLIN, type="emergency")
    assert await zone_of(url) == "Europe/Berlin", "it acts at once"
    own = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(company.Olga, own) == "authority.own_change"
    second = await person(door, "Otto", "Operations Process Owner")
    await company.approve(change, second)
    assert (await rows(url, "select reviewed_at is not null from change")) == [(True,)]
    late = EscalateChange(change=change[0], reason="nobody looked")
    assert await company.refused(SYSTEM, late) == "authority.not_open"
    await prove(url)


async def test_an_emergency_that_cannot_be_replayed_needs_the_higher_quorum_of_its_review(door: Door, url: str):
    """How much a count may differ is no past command's doing: its review needs two, like the vote it stands for."""
    company = await declared(door, Otto="Operations Process Owner")
    change = await company.propose(company.Olga, published("count", tolerance_units="7"), type="emergency")
    await company.approve(change, company.Otto)
    assert await rows(url, "select reviewed_at is null from change") == [(True,)], "one is not enough"
    await company.approve(change, company.Bea)
    assert await rows(url, "select reviewed_at is null from change") == [(False,)]
    await prove(url)


async def test_an_emergency_nobody_reviewed_can_be_left_in_force_at_a_price(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Olga, BERLIN, type="emergency")
    early = EscalateChange(change=change[0], reason="ord_1 would be worse")
    assert await company.refused(SYSTEM, early) == "authority.review_not_due"
    clock.turn(timedelta(hours=24))
    await company.done(SYSTEM, early)
    assert await zone_of(url) == "Europe/Berlin"
    assert await rows(url, "select kind, price_per_hour > 4, owner_role from cases") == [
        ("unreviewed_emergency", True, "Sponsor")
    ]
    await prove(url)


async def test_a_blackout_stops_what_it_names_and_tells_the_next_free_moment(door: Door, url: str, clock: TurnedClock):
    until = clock.now() + timedelta(days=2)
    blackout = {"name": "Cyber week", "from": clock.now().isoformat(), "until": until.isoformat(),
                "keys": ["holds.timezone"]}  # fmt: skip
    company = await controlled(door, blackouts=[blackout])
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    outcome = await company.act(company.Ivan, ApplyChange(change=change[0]))
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "authority.blackout"
    assert f"{until:%Y-%m-%d %H:%M} UTC" in outcome.refusal.fix
    free = await company.propose(company.Lea, published("count", tolerance_units="7"))
    await company.approve(free, company.Olga, company.Bea)
    await company.apply(company.Ivan, free)
    clock.turn(timedelta(days=2))
    await company.apply(company.Ivan, change)
    await prove(url)


async def test_in_the_window_templates_narrow_and_changes_have_a_weekly_budget(
    door: Door, url: str, clock: TurnedClock
):
    company = await controlled(
        door,
        window_days=90,
        window_budget=1,
        templates=[ZONES, {"name": "tolerances", "keys": ["count.tolerance_units"], "in_window": True}],
    )
    narrowed = proposal(BERLIN, type="standard", template="time zones")
    assert await company.refused(company.Lea, narrowed) == "authority.narrowed"
    tolerance = published("count", tolerance_units="7")
    first = await company.propose(company.Lea, tolerance, type="standard", template="tolerances")
    await company.apply(company.Ivan, first)
    second = await company.propose(company.Lea, BERLIN)
    await company.approve(second, company.Olga)
    assert await company.refused(company.Ivan, ApplyChange(change=second[0])) == "authority.budget"
    emergency = await company.propose(company.Olga, LISBON, type="emergency")
    assert await zone_of(url) == "Europe/Lisbon", "an emergency needs no budget"
    await company.revert(company.Olga, emergency)
    clock.turn(timedelta(days=7))
    await company.done(company.Lea, _replanned(second[0]))
    await prove(url)


def _replanned(change: str) -> Any:
    from tests.board import edited

    return edited(change, BERLIN)


async def test_a_small_company_needs_one_other_person(door: Door, url: str):
    two = [await person(door, name, "Operations Process Owner", "Sponsor") for name in ("Ann", "Ben")]
    expect_all([await door.submit(SYSTEM, DeclareGovernance(mode="small"), "declare")])
    company = Company(door, dict(zip(("Ann", "Ben"), two, strict=True)))
    change = await company.propose(company.Ann, published("channel", "web", unpaid_minutes=30))
    assert await company.refused(company.Ann, ApproveChange(change=change[0], digest=change[1])) == (
        "authority.own_change"
    )
    await company.approve(change, company.Ben)
    await company.apply(company.Ann, change)
    await prove(url)


async def test_who_is_alone_approves_their_own_a_day_later_and_never_silently(door: Door, url: str, clock: TurnedClock):
    ann = await person(door, "Ann", "Operations Process Owner", "Sponsor")
    expect_all([await door.submit(SYSTEM, DeclareGovernance(mode="small"), "declare")])
    company = Company(door, {"Ann": ann})
    change = await company.propose(ann, BERLIN)
    own = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(ann, own) == "authority.own_change"
    clock.turn(timedelta(hours=24))
    await company.done(ann, own)
    await company.apply(ann, change)
    assert await rows(url, "select kind, owner_role from cases") == [("self_approval", "Sponsor")]
    await prove(url)


async def test_the_small_mode_ends_with_the_fifth_person(door: Door, url: str):
    ann = await person(door, "Ann", "Operations Process Owner", "Sponsor")
    expect_all([await door.submit(SYSTEM, DeclareGovernance(mode="small"), "declare")])
    company = Company(door, {"Ann": ann})
    for name in ("Ben", "Cleo", "Dora", "Emil"):
        await person(door, name, "Sponsor")
    change = await company.propose(ann, published("channel", "web", unpaid_minutes=30))
    sponsor = await person(door, "Fay", "Sponsor")
    assert await company.refused(sponsor, ApproveChange(change=change[0], digest=change[1])) == (
        "authority.not_decider"
    ), "what the register says holds again"
    assert await rows(url, "select mode from governance") == [("full",)]
    titles = await rows(url, "select kind, owner_role, severity from cases where kind = 'small_mode_ended'")
    assert titles == [("small_mode_ended", "Sponsor", 2)], "roles are vacant"
    await prove(url)


async def test_the_small_mode_does_not_come_back_because_people_leave(door: Door, url: str):
    """It ended once; back goes only who is Sponsor, by declaring it, and with the fifth person it ends again."""
    sue = await person(door, "Sue", "Sponsor")
    adam = await person(door, "Adam", "Administrator")
    expect_all([await door.submit(SYSTEM, DeclareGovernance(mode="small"), "declare")])
    company = Company(door, {"Sue": sue, "Adam": adam})
    others = [await person(door, name, "Operations Process Owner") for name in ("Ben", "Cleo", "Dora")]
    smaller = DeclareGovernance(mode="small")
    assert await company.refused(sue, smaller) == "authority.not_small", "five people act here"
    change = await company.propose(sue, published("channel", "web", unpaid_minutes=30))
    for one in others[1:]:
        gone = RegisterActor(name=one.name, roles=(), actor=one.id, active=False)
        await company.done(adam, gone)
    word = ApproveChange(change=change[0], digest=change[1])
    outcome = await company.act(others[0], word)
    assert outcome.result.get("complete") is False, "one other person was enough when the company was small"
    for who in (adam, SYSTEM):
        assert await company.refused(who, smaller) == "authority.not_small"
    assert await rows(url, "select mode from governance") == [("full",)]
    await company.done(sue, smaller)
    assert await rows(url, "select mode from governance") == [("small",)]
    await company.apply(others[0], change)
    for name in ("Emil", "Fay"):
        await company.done(adam, RegisterActor(name=name, roles=("Order Agent",)))
    assert await rows(url, "select mode from governance") == [("full",)]
    await prove(url)


@pytest.mark.parametrize("who", ["Lea", "Adam", "Sue"])
async def test_an_unreviewed_emergency_can_be_rolled_back_by_who_decides(door: Door, url: str, who: str):
    company = await declared(door)
    change = await company.propose(company.Olga, BERLIN, type="emergency")
    outcome = await company.act(getattr(company, who), RevertChange(change=change[0], reason="wrong"))
    assert (outcome.status == "applied") is (who == "Sue")
    assert await zone_of(url) == ("shipped" if who == "Sue" else "Europe/Berlin")
