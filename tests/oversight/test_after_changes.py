"""What becomes of changes by themselves: emergencies nobody reviewed, what was scheduled, what turned, and drift."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import psycopg
import pytest
from tests.authority.test_changes import BERLIN, zone_of
from tests.board import Company, declared, published
from tests.conftest import expect_all, stocked
from tests.orders.holding import place, rule, table
from tests.proof import prove
from tests.requests import cancel, rows

from trueup import house
from trueup.authority import change_due, drift
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import OWNER, connect, session
from trueup.core.door import Door
from trueup.oversight import watch
from trueup.oversight.emergencies import settle_emergencies
from trueup.oversight.indicators import Reading, has_turned
from trueup.worker import Notice, notice_now

DEAR = table(rule("dear", "manual", ("order.total", "over", "100")))
STATUS = "select status, escalated_at is not null from change"


async def settled(door: Door, url: str) -> int:
    return await settle_emergencies(url, house.build(), door, door.now())


async def test_an_unreviewed_emergency_is_reverted_at_24_hours_and_a_minute(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    await company.propose(company.Olga, BERLIN, type="emergency")
    clock.turn(timedelta(hours=24))
    assert await settled(door, url) == 0, "at 24 hours it still may be reviewed"
    clock.turn(timedelta(minutes=1))
    assert await settled(door, url) == 1
    assert await rows(url, STATUS) == [("reverted", False)]
    assert await zone_of(url) == "shipped"
    assert await settled(door, url) == 0
    await prove(url)


async def test_a_reviewed_emergency_stays(door: Door, url: str, clock: TurnedClock):
    company = await declared(door, Otto="Operations Process Owner")
    change = await company.propose(company.Olga, BERLIN, type="emergency")
    await company.approve(change, company.Otto)
    clock.turn(timedelta(hours=25))
    assert await settled(door, url) == 0
    assert await rows(url, STATUS) == [("applied", False)]


async def test_it_is_escalated_when_reverting_would_harm_an_order(door: Door, url: str, clock: TurnedClock):
    """Reverting would put an order on hold that went through under the emergency."""
    await stocked(door, MUG=100)
    expect_all([await door.submit(SYSTEM, published("holds", tables=[DEAR]), "founded")])
    company = await declared(door)
    change = await company.propose(company.Olga, published("holds"), type="emergency")
    clock.turn(timedelta(hours=1))
    order = (await place(door, "dear", MUG=50))["order"]
    clock.turn(timedelta(hours=23, minutes=1))
    assert await settled(door, url) == 1
    assert await rows(url, STATUS) == [("applied", True)]
    told = await rows(url, "select kind, severity, owner_role, price_per_hour > 0 from cases")
    assert told == [("unreviewed_emergency", 2, "Sponsor", True)]
    named = await rows(url, "select detail from case_subject where subject = %s", change[0])
    assert order in named[0][0]
    assert await settled(door, url) == 0, "it is settled once"
    await prove(url)


async def test_it_is_escalated_while_a_blackout_holds(door: Door, url: str, clock: TurnedClock):
    start = clock.now()
    blackout = {"name": "Cyber week", "from": start.isoformat(), "until": (start + timedelta(days=9)).isoformat()}
    expect_all([await door.submit(SYSTEM, published("change_control", blackouts=[blackout]), "founded")])
    company = await declared(door)
    await company.propose(company.Olga, BERLIN, type="emergency")
    clock.turn(timedelta(hours=25))
    assert await settled(door, url) == 1
    assert await rows(url, STATUS) == [("applied", True)]
    assert "Cyber week" in (await rows(url, "select detail from case_subject"))[0][0]


async def test_what_was_scheduled_is_applied_when_its_time_has_come(door: Door, url: str, clock: TurnedClock):
    company = await declared(door)
    change = await company.propose(company.Lea, BERLIN, effective_at=clock.now() + timedelta(hours=5))
    await company.approve(change, company.Olga)
    notice = Notice("apply_changes", "* * * * *", change_due.due_to_apply)
    assert await notice_now(url, door, notice) == 0
    clock.turn(timedelta(hours=5))
    assert await notice_now(url, door, notice) == 1
    assert await rows(url, "select status, applied_by from change") == [("applied", SYSTEM.id)]
    assert await notice_now(url, door, notice) == 0
    await prove(url)


@pytest.mark.parametrize(
    ("before", "after", "turned"),
    [((2, 100), (3, 100), False), ((2, 100), (10, 100), True), ((0, 100), (2, 100), False), ((0, 100), (4, 100), True),
     ((40, 1000), (80, 1000), True), ((40, 1000), (55, 1000), False), ((0, 0), (9, 10), False)],
)  # fmt: skip
def test_chance_alone_is_no_turn(before: tuple[int, int], after: tuple[int, int], turned: bool):
    assert has_turned(Reading("holds", *before), Reading("holds", *after)) is turned


async def test_a_rollback_is_proposed_when_a_watched_indicator_turns(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=500)
    company: Company = await declared(door)
    for number in range(10):
        await place(door, f"before {number}", MUG=1)
    clock.turn(timedelta(hours=1))
    change = await company.propose(company.Lea, BERLIN, indicators=("cancellations", "holds"))
    await company.approve(change, company.Olga)
    await company.apply(company.Olga, change)
    notice = Notice("watch_changes", "*/5 * * * *", watch.due_rollbacks)
    for number in range(10):
        order = (await place(door, f"after {number}", MUG=1))["order"]
        if number < 5:
            expect_all([await door.submit(SYSTEM, cancel(order), f"cancel {number}")])
    clock.turn(timedelta(hours=1))
    assert await notice_now(url, door, notice) == 1
    proposed = await rows(url, "select title, reason, status from change order by asked_at desc limit 1")
    assert proposed[0][0] == "Roll back: A better rule"
    assert "5 cancellations in 10 orders, before it 0 cancellations in 10 orders" in proposed[0][1]
    assert proposed[0][2] == "proposed"
    assert await notice_now(url, door, notice) == 1
    assert await rows(url, "select count(*) from change") == [(2,)], "it is proposed once"
    assert await zone_of(url) == "Europe/Berlin", "people decide on it"
    clock.turn(timedelta(hours=72))
    assert await notice_now(url, door, notice) == 0, "the watch is over"
    await prove(url)


async def test_a_policy_row_updated_by_sql_is_found_as_drift_with_the_actor(door: Door, url: str):
    expect_all([await door.submit(SYSTEM, BERLIN, "founded")])
    notice = Notice("report_drift", "* * * * *", drift.due_drifts)
    assert await notice_now(url, door, notice) == 0
    with psycopg.connect(session(url, OWNER), autocommit=True) as owner:
        forged = b'{"timezone":"Asia/Tokyo"}'
        owner.execute("update policy set document = %s, digest = %s", [forged, hashlib.sha256(forged).digest()])
    assert await notice_now(url, door, notice) == 1
    assert await notice_now(url, door, notice) == 1
    found = await rows(url, "select title, severity, subjects from cases")
    login = (await rows(url, "select login, at from bypass where relation = 'policy' order by at desc limit 1"))[0]
    assert len(found) == 1, "told once"
    assert f"by the database user {login[0]} at {login[1].isoformat()}" in found[0][0]
    assert found[0][1:] == (1, 1)


@pytest.mark.parametrize(
    "forgery",
    ["update policy set document = 'x'", "update policy_active set version = 1",
     "update policy set digest = sha256('x')"],
)  # fmt: skip
async def test_every_way_to_forge_a_policy_is_drift(door: Door, url: str, forgery: str):
    for zone in ("Europe/Berlin", "Europe/Lisbon"):
        expect_all([await door.submit(SYSTEM, published("holds", timezone=zone), zone)])
    with psycopg.connect(session(url, OWNER), autocommit=True) as owner:
        owner.execute(forgery)
        found = owner.execute("select count(*) from bypass where relation like 'policy%'").fetchone()
    assert found is not None
    assert found[0] > 0
    connection = await connect(url)
    assert len(await drift.drifts(connection)) == 1
    await connection.close()
