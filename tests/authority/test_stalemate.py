"""Approvals ride the ladder: a stalemate has a clock, and somebody who may end it."""

from __future__ import annotations

from datetime import timedelta

from tests.authority.test_changes import BERLIN, zone_of
from tests.board import declared
from tests.proof import prove
from tests.requests import rows

from trueup.authority import stalemate
from trueup.authority.approve import ApproveChange
from trueup.authority.stalemate import NoteUndecided
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.worker import Notice, notice_now

NOTICE = Notice("note_undecided", "*/15 * * * *", stalemate.due_undecided)


async def test_nobody_decides_in_time_and_the_tie_breaker_does(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Bea)
    early = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(company.Sue, early) == "authority.not_decider", "the decider's time is not over"
    clock.turn(timedelta(hours=48))
    assert await notice_now(url, door, NOTICE) == 0
    assert await company.refused(SYSTEM, NoteUndecided(change=change[0])) == "authority.decided"
    clock.turn(timedelta(minutes=1))
    assert await notice_now(url, door, NOTICE) == 1
    assert await rows(url, "select kind, owner_role, severity, acted_at is null from cases") == [
        ("undecided_change", "Sponsor", 3, True)
    ]
    await company.approve(change, company.Sue)
    assert await rows(url, "select acted_at is null from cases") == [(False,)], "deciding is what the case waits for"
    await company.apply(company.Ivan, change)
    assert await zone_of(url) == "Europe/Berlin"
    assert await notice_now(url, door, NOTICE) == 0
    await prove(url)


async def test_the_decider_may_still_decide_late(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Lea, BERLIN)
    clock.turn(timedelta(hours=60))
    assert await notice_now(url, door, NOTICE) == 1
    await company.approve(change, company.Olga)
    await company.apply(company.Ivan, change)
    assert await rows(url, "select count(*), bool_and(acted_at is not null) from cases") == [(1, True)]
    await prove(url)


async def test_a_rejection_ends_the_stalemate_too(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Lea, BERLIN)
    clock.turn(timedelta(hours=60))
    await notice_now(url, door, NOTICE)
    await company.reject(company.Sue, change)
    assert await rows(url, "select acted_at is null from cases") == [(False,)]
    await prove(url)
