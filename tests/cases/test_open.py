"""One open case per cause, whoever finds it; only an act stops its clock, and only after one it closes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import receipt, rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.cases.act import ActOnCase, CommentOnCase
from trueup.cases.close import CloseCase
from trueup.cases.ladder import is_overdue
from trueup.cases.open import OpenCase
from trueup.cases.state import CaseSubject
from trueup.core.clock import TurnedClock
from trueup.core.door import Door

MOVED = "select subject from journal where kind = 'e' order by position desc limit 1"


def trouble(cause: str, *subjects: str) -> OpenCase:
    found = tuple(CaseSubject("order", subject, "odd") for subject in subjects)
    return OpenCase(cause=cause, kind="test", title="Odd", severity=2, owner_role="Data Steward", subjects=found)


async def test_two_doors_find_one_cause(door: Door, url: str, clock: TurnedClock):
    async with Door(url, house.build(), clock=clock) as other:
        for turn in range(15):
            outcomes = await asyncio.gather(
                door.submit(SYSTEM, trouble(f"cause {turn}", "a", "b"), f"a{turn}"),
                other.submit(SYSTEM, trouble(f"cause {turn}", "b", "c"), f"b{turn}"),
            )
            assert sorted(outcome.result["opened"] for outcome in outcomes) == [False, True]
            assert outcomes[0].result["case"] == outcomes[1].result["case"]
    assert await rows(url, "select distinct subjects from cases") == [(3,)]
    await prove(url)


async def test_only_an_act_with_an_effect_stops_the_clock(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    item = (await rows(url, "select id from item"))[0][0]
    case = (await door.submit(SYSTEM, trouble("cause", "a"), "open")).result["case"]
    closing = CloseCase(case=case, root_cause="integration", note="settled")
    clock.turn(timedelta(hours=1))
    assert (await door.submit(SYSTEM, CommentOnCase(case=case, text="looking"), "comment")).status == "applied"
    assert (await door.submit(SYSTEM, closing, "too early")).status == "refused"
    for effect in ("nothing that ever happened", case, item):
        assert (await door.submit(SYSTEM, ActOnCase(case=case, effect=effect, note="n"), effect)).status == "refused"
    assert await rows(url, "select status, due_at from cases") == [("open", START + timedelta(hours=24))]
    assert (await door.submit(SYSTEM, receipt(1), "corrected")).status == "applied"
    acting = ActOnCase(case=case, effect=(await rows(url, MOVED))[0][0], note="n")
    assert (await door.submit(SYSTEM, acting, "act")).status == "applied"
    assert (await door.submit(SYSTEM, closing, "close")).status == "applied"
    clock.turn(timedelta(days=30, seconds=1))
    assert (await door.submit(SYSTEM, trouble("cause", "b"), "again")).result["opened"] is True
    assert await rows(url, "select status from cases order by id") == [("closed",), ("open",)]
    await prove(url)


def test_whoever_acts_too_late_stays_overdue():
    due = START + timedelta(hours=24)
    late = due + timedelta(hours=1)
    assert not is_overdue(due, None, None, due)
    assert is_overdue(due, None, None, late)
    assert is_overdue(due, late, None, late)
    assert not is_overdue(due, START, None, late)
    assert not is_overdue(due, late, late, late)
