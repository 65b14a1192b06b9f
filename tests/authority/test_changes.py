"""What is governed changes only by a change: bound to its content and base, and never by one person alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.board import Company, declared, edited, proposal, published
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import order_of, person, rows

from trueup.authority.apply import ApplyChange, RevertChange
from trueup.authority.approve import ApproveChange, RejectChange
from trueup.authority.declare import DeclareGovernance
from trueup.authority.propose import WithdrawChange
from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders.advance import ReportEvent
from trueup.orders.workflow import Workflow

BERLIN = published("holds", timezone="Europe/Berlin")
LISBON = published("holds", timezone="Europe/Lisbon")
STATUS = "select status, num_nonnulls(rejected_at, withdrawn_at) from change where id = %s"


@pytest.fixture
async def company(door: Door) -> Company:
    return await declared(door)


async def zone_of(url: str) -> str:
    """Return the timezone of the holds policy in force, as shipped where none was published."""
    found = await rows(
        url,
        """select convert_from(document, 'UTF8')::jsonb ->> 'timezone' from policy_active
        join policy using (kind, name, version) where kind = 'holds'""",
    )
    return str(found[0][0]) if found else "shipped"


async def test_before_governance_is_declared_rules_are_written_directly(door: Door, url: str):
    """Founding: nobody was appointed yet who could decide."""
    assert (await door.submit(SYSTEM, BERLIN, "one")).status == "applied"
    early = await door.submit(SYSTEM, proposal(LISBON), "two")
    assert early.refusal is not None
    assert early.refusal.rule == "authority.founding"
    vacant = await door.submit(SYSTEM, DeclareGovernance(mode="full"), "three")
    assert vacant.refusal is not None
    assert "Change Control Board" in vacant.refusal.what
    await prove(url)


async def test_nobody_publishes_directly_any_more(company: Company, url: str):
    for who in (company.Adam, SYSTEM):
        assert await company.refused(who, BERLIN) == "authority.needs_change"
    outcome = await company.act(company.Adam, BERLIN)
    assert outcome.refusal is not None
    assert "Operations Process Owner decides holds.timezone" in outcome.refusal.what
    assert "within 48 hours" in outcome.refusal.what
    assert await zone_of(url) == "shipped"


async def test_a_change_is_proposed_approved_by_others_applied_and_rolled_back(company: Company, url: str):
    change = await company.propose(company.Lea, BERLIN)
    assert await company.refused(company.Lea, ApplyChange(change=change[0])) == "authority.not_allowed"
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    await company.approve(change, company.Olga)
    assert await zone_of(url) == "shipped", "approved is not applied"
    await company.apply(company.Ivan, change)
    assert await zone_of(url) == "Europe/Berlin"
    await company.revert(company.Olga, change)
    assert await zone_of(url) == "shipped", "as before"
    assert (await rows(url, STATUS, change[0]))[0][0] == "reverted"
    assert await company.refused(company.Olga, RevertChange(change=change[0], reason="again")) == (
        "authority.not_applied"
    )
    await prove(url)


async def test_editing_after_approval_voids_it(company: Company, url: str):
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    again = await company.done(company.Lea, edited(change[0], BERLIN, reason="it is better."))
    assert again["digest"] != change[1], "one character is another content"
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    read_before = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(company.Olga, read_before) == "authority.edited_since"
    await company.approve((change[0], again["digest"]), company.Olga)
    await company.apply(company.Ivan, change)
    assert await zone_of(url) == "Europe/Berlin"
    await prove(url)


async def test_putting_back_what_was_approved_does_not_bring_the_approvals_back(company: Company, url: str):
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    await company.done(company.Lea, edited(change[0], LISBON))
    back = await company.done(company.Lea, edited(change[0], BERLIN))
    assert back["digest"] != change[1]
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    await prove(url)


async def test_only_who_asked_edits(company: Company):
    change = await company.propose(company.Lea, BERLIN)
    assert await company.refused(company.Olga, edited(change[0], LISBON)) == "authority.not_asker"
    assert await company.refused(company.Olga, WithdrawChange(change=change[0], reason="no")) == "authority.not_asker"


async def test_nobody_approves_their_own_administrators_included(door: Door, url: str):
    both = await person(door, "Zoe", "Administrator", "Operations Process Owner", "Change Control Board", "Sponsor")
    company = await declared(door)
    change = await company.propose(both, BERLIN)
    for word in (
        ApproveChange(change=change[0], digest=change[1]),
        RejectChange(change=change[0], reason="mine"),
    ):
        assert await company.refused(both, word) == "authority.own_change"
    assert await company.refused(company.Adam, ApproveChange(change=change[0], digest=change[1])) == (
        "authority.not_decider"
    ), "an administrator decides nothing"
    assert await company.refused(SYSTEM, ApproveChange(change=change[0], digest=change[1])) == "authority.not_a_person"
    assert await zone_of(url) == "shipped"
    await prove(url)


async def test_a_moved_base_makes_it_stale_and_planning_anew_starts_approvals_again(company: Company, url: str):
    first = await company.propose(company.Lea, BERLIN)
    second = await company.propose(company.Finn, LISBON)
    await company.approve(first, company.Olga)
    await company.approve(second, company.Olga)
    await company.apply(company.Olga, first)
    assert await company.refused(company.Olga, ApplyChange(change=second[0])) == "authority.stale"
    late = ApproveChange(change=second[0], digest=second[1])
    assert await company.refused(company.Bea, late) == "authority.stale"
    planned = await company.done(company.Finn, edited(second[0], LISBON))
    assert await company.refused(company.Olga, ApplyChange(change=second[0])) == "authority.not_approved"
    await company.approve((second[0], planned["digest"]), company.Olga)
    await company.apply(company.Olga, second)
    assert await zone_of(url) == "Europe/Lisbon"
    assert await company.refused(company.Olga, RevertChange(change=first[0], reason="late")) == (
        "authority.changed_since"
    )
    await prove(url)


async def test_a_rejection_is_a_record_never_a_deletion(company: Company, url: str):
    change = await company.propose(company.Lea, BERLIN)
    assert await company.refused(company.Adam, RejectChange(change=change[0], reason="no")) == "authority.not_decider"
    await company.reject(company.Olga, change, "we are in Lisbon")
    assert await rows(url, "select status, ended_why, ended_by from change") == [
        ("rejected", "we are in Lisbon", company.Olga.id)
    ]
    assert await company.refused(company.Bea, ApproveChange(change=change[0], digest=change[1])) == (
        "authority.change_ended"
    )
    await prove(url)


async def test_a_joint_change_needs_the_quorum_of_both(company: Company, url: str):
    """The workflow is joint: its decider, and two of the board and the process owners."""
    change = await company.propose(company.Lea, published("channel", "web", unpaid_minutes=30))
    await company.approve(change, company.Olga)
    assert await company.refused(company.Bea, ApplyChange(change=change[0])) == "authority.not_approved"
    await company.approve(change, company.Ivan)
    await company.apply(company.Bea, change)
    await prove(url)


async def test_an_approval_before_the_roles_right_was_taken_stays_a_record(company: Company, url: str):
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    roles = await rows(url, "select roles from change_approval")
    assert roles == [(["Operations Process Owner"],)]


async def test_it_takes_effect_when_it_was_scheduled(company: Company, url: str, clock: TurnedClock):
    at = clock.now() + timedelta(hours=5)
    change = await company.propose(company.Lea, BERLIN, effective_at=at)
    await company.approve(change, company.Olga)
    assert await company.refused(company.Olga, ApplyChange(change=change[0])) == "authority.not_yet"
    clock.turn(timedelta(hours=5))
    await company.apply(SYSTEM, change)
    assert await zone_of(url) == "Europe/Berlin"
    await prove(url)


async def test_what_the_rule_would_refuse_is_told_before_the_vote(company: Company):
    wrong = published("holds", timezone="Mars/Olympus")
    outcome = await company.act(company.Lea, proposal(wrong))
    assert outcome.refusal is not None
    assert await company.refused(company.Lea, proposal(order_of(MUG=1))) == "authority.not_governed"
    assert await company.refused(company.Lea, proposal(published("holds"))) == "authority.changes_nothing"
    unread = published("exposure", correction_cost="ten")
    assert await company.refused(company.Lea, proposal(unread)) == "policy.invalid"
    assert await company.refused(company.Lea, proposal(BERLIN, LISBON)) == "authority.edited_twice"


async def test_an_order_stays_pinned_to_the_old_policy_while_new_ones_follow_the_new(company: Company, url: str):
    """The newer order walks the edge that was added; the older one has no such edge."""
    await stocked(company.door, MUG=9)
    old = (await company.done(SYSTEM, order_of(MUG=1)))["order"]
    document = json.to_plain(Workflow())
    document["transitions"] = [*document["transitions"], {"from": "placed", "on": "asked", "to": "waiting"}]
    change = await company.propose(company.Lea, published("workflow", "sale", **document))
    await company.approve(change, company.Olga, company.Ivan)
    await company.apply(company.Ivan, change)
    new = (await company.done(SYSTEM, order_of(MUG=1)))["order"]
    assert dict(await rows(url, "select id, workflow_version from orders")) == {old: 0, new: 1}
    for order in (old, new):
        await company.act(SYSTEM, ReportEvent(order=order, event="asked", source="bank"))
    assert dict(await rows(url, "select id, state from orders")) == {old: "placed", new: "waiting"}
    await prove(url)


async def test_orders_go_on_while_nothing_governed_is_touched(company: Company, url: str):
    await stocked(company.door, MUG=3)
    assert (await company.act(SYSTEM, order_of(MUG=1))).status == "applied"
    await prove(url)
