"""Once governance is declared, who writes what changes only by a change, and who decides it is one role."""

from __future__ import annotations

from datetime import timedelta

from tests.authority.test_writers import web
from tests.board import declared
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority.apply import ApplyChange
from trueup.authority.audit import accountable
from trueup.authority.cohorts import Cohort
from trueup.authority.decision_rights import DecisionRights
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.authority.writers import GOVERNED, AssignWriter, EndWriter
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door

LIVE = "select system from writer_rule where until_at is null or until_at > from_at"
SYSTEMS = PublishPolicy(
    policy_kind="writers", policy_name="default", document={"systems": {"legacy": {"title": "Legacy"}}}, reason="there"
)


async def test_a_cohort_is_assigned_by_a_change_alone_and_rolled_back_in_one_step(
    door: Door, clock: TurnedClock, url: str
):
    await stocked(door, MUG=9)
    assert (await door.submit(SYSTEM, SYSTEMS, "systems")).status == "applied"
    company = await declared(door)
    command = AssignWriter(entity="order", system="legacy", cohort=Cohort(channel="web"), reason="pilot")
    for who in (SYSTEM, company.Ingo):
        refused = await door.submit(who, command, f"directly {who.id}")
        assert refused.refusal is not None
        assert refused.refusal.rule == "authority.needs_change"
        assert "Integration Owner decides writer.order" in refused.refusal.what
    assert await rows(url, LIVE) == []
    change = await company.propose(company.Lea, command)
    assert await company.refused(company.Lea, command) in ("authority.needs_change", "authority.not_allowed")
    await company.approve(change, company.Ingo, company.Bea, company.Olga, company.Ivan)
    clock.turn(timedelta(minutes=5))
    await company.apply(company.Ingo, change)
    assert await rows(url, LIVE) == [("legacy",)]
    assert (await door.submit(SYSTEM, web(), "theirs")).status == "refused"
    await company.revert(company.Ingo, change)
    assert await rows(url, LIVE + " and until_at is null") == []
    assert (await door.submit(SYSTEM, web(), "ours again")).status == "applied"
    connection = await connect(url)
    try:
        behind = await accountable(connection, change[0], clock.now())
    finally:
        await connection.close()
    assert behind is not None
    assert (behind.asked.name, behind.ended) == ("Lea", "reverted")
    board = next(part for part in behind.decided if part.why.startswith("quorum"))
    assert {one.name for one in board.by} == {"Bea", "Olga", "Ivan"}
    owner = next(part for part in behind.decided if part.roles == ("Integration Owner",))
    assert ([one.name for one in owner.by], owner.could_have) == (["Ingo"], ())
    await prove(url)


async def test_ending_is_governed_too_and_a_moved_registry_makes_a_change_stale(
    door: Door, clock: TurnedClock, url: str
):
    assert (await door.submit(SYSTEM, SYSTEMS, "systems")).status == "applied"
    first = AssignWriter(entity="stock", system="legacy", cohort=Cohort(location="S1"), reason="pilot")
    assert (await door.submit(SYSTEM, first, "before governance")).status == "applied"
    company = await declared(door)
    end = EndWriter(entity="stock", cohort=Cohort(location="S1"), reason="cut over")
    assert await company.refused(company.Ingo, end) == "authority.needs_change"
    deciders = (company.Ingo, company.Bea, company.Olga, company.Ivan)
    one = await company.propose(company.Lea, end)
    other = await company.propose(
        company.Lea, AssignWriter(entity="stock", system="legacy", cohort=Cohort(location="S2"), reason="more")
    )
    await company.approve(one, *deciders)
    await company.approve(other, *deciders)
    clock.turn(timedelta(minutes=5))
    await company.apply(company.Ingo, one)
    assert await rows(url, "select count(*)::int from writer_rule where until_at is not null") == [(1,)]
    outcome = await door.submit(company.Ingo, ApplyChange(change=other[0]), "stale")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "authority.stale"
    await prove(url)


def test_every_entity_has_one_decider():
    register = DecisionRights()
    assert {register.of(key).decider for key in GOVERNED if register.of(key) is not None} == {"Integration Owner"}  # type: ignore[union-attr]
    assert all(register.of(key) is not None for key in GOVERNED)
