"""Ways around the vote that somebody thought of: none gets unapproved content in force, a vote twice, or one's own."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.authority.test_change_types import ZONES, controlled
from tests.authority.test_changes import BERLIN, LISBON, zone_of
from tests.board import Company, carried, declared, edited, proposal, published
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import adjust, figures, person, rows

from trueup import house
from trueup.authority.apply import ApplyChange, RevertChange
from trueup.authority.appoint import AcceptAppointment, Appoint
from trueup.authority.approve import ApproveChange
from trueup.authority.change_control import ChangeControl
from trueup.authority.delegate import Delegate
from trueup.authority.for_case import ActForCase
from trueup.authority.propose import WithdrawChange
from trueup.authority.publish import differing
from trueup.authority.register import IssueKey, RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.cases.ladder import Ladder, Rung, Steps
from trueup.cases.open import OpenCase
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.json import to_plain
from trueup.core.policy import read_document
from trueup.orders.holds import HoldRules


@pytest.fixture
async def company(door: Door) -> Company:
    return await declared(door)


async def test_a_change_carries_nothing_beside_what_is_governed(company: Company, url: str):
    """An act for a case has rights of its own; a change is no way to have them without."""
    await stocked(company.door, MUG=5)
    case = await company.done(company.Lea, _case())
    beside = ActForCase(case=case["case"], act=carried(adjust(-3)))
    for type_ in ("emergency", "normal"):
        sneaked = proposal(BERLIN, beside, type=type_)
        assert await company.refused(company.Olga, sneaked) == "authority.not_governed"
    change = await company.propose(company.Olga, BERLIN)
    assert await company.refused(company.Olga, edited(change[0], BERLIN, beside)) == "authority.not_governed"
    assert (await figures(url))["on_hand"] == 5
    assert await zone_of(url) == "shipped"
    await prove(url)


async def test_a_change_carries_no_act_that_carries_others(company: Company, url: str):
    case = await company.done(company.Lea, _case())
    inside = ActForCase(case=case["case"], act=carried(BERLIN))
    assert await company.refused(company.Olga, proposal(inside, type="emergency")) == "authority.not_governed"
    assert await zone_of(url) == "shipped"


async def test_two_edits_of_one_document_are_one_edit(company: Company, url: str):
    """Each is the whole document: the second would take back what was approved of the first."""
    types = [{**one, "label": f"{one['label']}!"} for one in to_plain(HoldRules())["types"]]
    other = published("holds", types=types)
    assert {*differing(HoldRules(), _read(other))}.isdisjoint(differing(HoldRules(), _read(BERLIN)))
    assert await company.refused(company.Lea, proposal(BERLIN, other)) == "authority.edited_twice"
    await prove(url)


async def test_a_document_of_a_new_name_is_decided_even_as_it_is_shipped(door: Door, url: str):
    """A ladder named like a kind of case takes the place of the default one, whatever it says."""
    strict = {str(severity): {"rungs": [{"after_minutes": 5, "role": "Sponsor"}]} for severity in range(1, 5)}
    assert (await door.submit(SYSTEM, published("ladder", severities=strict), "strict")).status == "applied"
    company = await declared(door)
    shipped = published("ladder", "breach")
    assert await company.refused(company.Adam, shipped) == "authority.needs_change"
    change = await company.propose(company.Lea, shipped)
    assert await company.refused(company.Adam, ApplyChange(change=change[0])) == "authority.not_approved"
    await prove(url)


async def test_the_order_of_entries_is_nobodys_own_entry():
    """Who decides one entry alone does not decide in which order all of them are asked."""
    control = ChangeControl.kind
    first, second, third = ({"name": name, "keys": ["holds.timezone"]} for name in "abc")
    before = read_document(house.POLICY_KINDS, control, {"templates": [first, second]}, house.known())
    after = read_document(house.POLICY_KINDS, control, {"templates": [third, second, first]}, house.known())
    assert isinstance(before, ChangeControl)
    assert isinstance(after, ChangeControl)
    assert differing(before, after) == ["change_control.templates"]
    longer = read_document(house.POLICY_KINDS, control, {"templates": [first, second, third]}, house.known())
    assert isinstance(longer, ChangeControl)
    assert differing(before, longer) == ["change_control.templates:c"]


async def test_a_tax_table_changes_by_a_change(company: Company, url: str):
    """Its field is called like what other documents know their parts by."""
    change = await company.propose(company.Lea, published("tax", "default", home="DE"))
    await company.approve(change, company.Finn, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Bea, change)
    assert await rows(url, "select version from policy_active where kind = 'tax'") == [(1,)]
    await prove(url)


async def test_a_standard_change_is_asked_about_its_template_again_when_it_is_applied(door: Door, url: str):
    company = await controlled(door, templates=[ZONES])
    waiting = await company.propose(company.Finn, LISBON, type="standard", template="time zones")
    used = await company.propose(company.Lea, BERLIN, type="standard", template="time zones")
    await company.apply(company.Ivan, used)
    await company.revert(company.Olga, used)
    again = await company.propose(company.Lea, published("change_control", templates=[], watch_hours=71))
    late = ApplyChange(change=waiting[0])
    assert await company.refused(company.Ivan, late) == "authority.template_spent"
    await company.approve(again, company.Sue, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Bea, again)
    assert await company.refused(company.Ivan, late) == "authority.unknown_template"
    assert await zone_of(url) == "shipped"
    await prove(url)


RULES = ("decision_rights", "change_control", "separation", "rights")


@pytest.mark.parametrize(
    "edit",
    [
        published("change_control", review_hours=168),
        published("decision_rights", quorum={"it": 1, "operations": 1, "joint": 1, "unreplayed": 0}),
        published("separation", self_approval_hours=1),
        published("rights", roles={"System": ["*"], "Sponsor": ["*"]}),
    ],
)
async def test_an_emergency_does_not_change_the_rules_it_is_reviewed_by(company: Company, url: str, edit: Any):
    assert await company.refused(company.Sue, proposal(edit, type="emergency")) == "authority.no_emergency"
    assert await rows(url, "select kind from policy where kind = any(%s::text[])", list(RULES)) == []
    await prove(url)


async def test_no_template_covers_the_rules_of_changing(company: Company):
    for key in ("decision_rights.decisions", "change_control.templates", "separation.roles", "rights.roles"):
        wrong = published("change_control", templates=[{"name": "all", "keys": [key]}])
        assert await company.refused(company.Lea, proposal(wrong)) == "policy.invalid"


async def test_who_asked_lends_nobody_the_role_to_approve_it(company: Company, url: str, clock: TurnedClock):
    friend = await person(company.door, "Fred", "Order Agent")
    until = (clock.now() + timedelta(days=3)).date()
    change = await company.propose(company.Olga, BERLIN)
    await company.done(company.Olga, Delegate(to=friend.id, role="Operations Process Owner", until_on=until))
    vote = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(friend, vote) == "authority.lent_vote"
    assert await rows(url, "select * from change_approval") == []
    theirs = await company.propose(company.Lea, LISBON)
    await company.approve(theirs, friend)
    assert await company.refused(company.Olga, ApproveChange(change=theirs[0], digest=theirs[1])) == (
        "authority.lent_vote"
    ), "what was said in her stead is said"
    await prove(url)


async def test_one_role_lent_on_is_one_vote(company: Company, url: str, clock: TurnedClock):
    """A joint quorum is two people who decide, not one and who stands in for them."""
    friend = await person(company.door, "Fred", "Order Agent")
    until = (clock.now() + timedelta(days=3)).date()
    change = await company.propose(company.Lea, published("channel", "web", unpaid_minutes=30))
    await company.approve(change, company.Olga)
    await company.done(company.Olga, Delegate(to=friend.id, role="Operations Process Owner", until_on=until))
    vote = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(friend, vote) == "authority.lent_vote"
    assert await company.refused(company.Bea, ApplyChange(change=change[0])) == "authority.not_approved"
    await prove(url)


async def test_who_asked_appoints_nobody_who_approves_it(company: Company, url: str):
    friend = await person(company.door, "Fred", "Order Agent")
    given = await company.done(company.Adam, Appoint(actor=friend.id, role="Operations Process Owner"))
    await company.done(friend, AcceptAppointment(appointment=given["appointment"]))
    change = await company.propose(company.Adam, BERLIN)
    vote = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(friend, vote) == "authority.lent_vote"
    theirs = await company.propose(company.Lea, BERLIN)
    await company.approve(theirs, friend)
    await prove(url)


async def test_a_vote_of_who_lost_access_counts_no_more(company: Company, url: str):
    change = await company.propose(company.Lea, BERLIN)
    await company.approve(change, company.Olga)
    gone = RegisterActor(actor=company.Olga.id, name="Olga", roles=("Operations Process Owner",), active=False)
    await company.done(company.Adam, gone)
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    assert await zone_of(url) == "shipped"
    await prove(url)


async def test_no_rung_gives_the_right_to_let_people_in():
    """Who may do what is the Sponsor's to decide; a ladder lends rights to act, not to give rights."""
    for right in (
        "authority.register_actor",
        "authority.issue_key",
        "authority.appoint",
        "authority.declare_governance",
    ):
        rungs = (Rung(after_minutes=5, role="Order Agent", rights=(right,)),)
        ladder = Ladder(severities={severity: Steps(rungs=rungs) for severity in range(1, 5)})
        assert any(fault.value == right for fault in ladder.faults(house.known())), right
    rolling_back = (Rung(after_minutes=5, role="Sponsor", rights=("authority.revert_change",)),)
    assert Ladder(severities={s: Steps(rungs=rolling_back) for s in range(1, 5)}).faults(house.known()) == []


def _case() -> Any:
    return OpenCase(cause="held", kind="other", title="Something", severity=3, owner_role="Operations Process Owner")


def _read(command: Any) -> Any:
    return read_document(house.POLICY_KINDS, command.policy_kind, command.document, house.known())


async def test_an_administrator_has_no_key_to_somebody_elses_vote(company: Company, url: str):
    """A key acts in its owner's name: whoever issues it to themselves could approve what they asked for."""
    key = IssueKey(actor=company.Olga.id, digest="0" * 64, label="mine now")
    assert await company.refused(company.Adam, key) == "authority.anothers_key"
    assert await rows(url, "select * from api_key") == []
    trainer = await person(company.door, "Tom", "Trainer")
    appointed = await company.done(company.Adam, Appoint(actor=trainer.id, role="Finance"))
    await company.done(company.Adam, IssueKey(actor=trainer.id, digest="1" * 64, label="a trainer's"))
    await company.done(trainer, AcceptAppointment(appointment=appointed["appointment"]))
    late = IssueKey(actor=trainer.id, digest="2" * 64, label="of one who decides by now")
    assert await company.refused(company.Adam, late) == "authority.anothers_key"
    await company.done(SYSTEM, late)
    await prove(url)


async def test_what_two_processes_say_at_once_of_one_change_is_said_in_an_order(
    company: Company, url: str, clock: TurnedClock
):
    """One edits while the other approves: whoever comes second is told, and nothing unapproved is applied."""
    async with Door(url, house.build(), clock=clock) as elsewhere:
        for round_ in range(12):
            change = await company.propose(company.Lea, BERLIN, title=f"Round {round_}")
            approved, *_ = await asyncio.gather(
                elsewhere.submit(company.Olga, ApproveChange(change=change[0], digest=change[1]), f"yes {round_}"),
                company.act(company.Lea, edited(change[0], LISBON, title=f"Round {round_}")),
                elsewhere.submit(company.Ivan, ApplyChange(change=change[0]), f"apply {round_}"),
                company.act(company.Bea, ApplyChange(change=change[0])),
            )
            told = approved.refusal.rule if approved.refusal is not None else "authority.approved"
            assert told in ("authority.approved", "authority.edited_since", "authority.change_ended"), approved
            assert await zone_of(url) in ("shipped", "Europe/Berlin"), "Lisbon was never approved"
            if await zone_of(url) == "Europe/Berlin":
                break
            await company.done(company.Lea, WithdrawChange(change=change[0], reason="next round"))
    await prove(url)


async def test_who_gives_a_role_that_decides_is_seen_by_the_sponsor(door: Door, url: str):
    """An administrator could invent people to vote: every such gift is a case, however it is given."""
    company = await declared(door)
    for name in ("Invented", "Also invented"):
        gift = RegisterActor(name=name, roles=("Operations Process Owner",))
        await company.done(company.Adam, gift)
    await company.done(company.Adam, RegisterActor(name="Clerk", roles=("Order Agent",)))
    appointed = Appoint(actor=company.Lea.id, role="Master Data Owner", over="category:tea")
    await company.done(company.Adam, appointed)
    told = await rows(url, "select title, owner_role, subjects from cases where kind like 'deciding%%' order by 1")
    assert told == [
        ("Who decides changed: Master Data Owner was given to somebody", "Sponsor", 1),
        ("Who decides changed: Operations Process Owner was given to somebody", "Sponsor", 2),
    ]
    await prove(url)


async def test_writing_down_what_is_shipped_moves_no_base(door: Door, url: str):
    """It changes nothing, so it needs no change; but an open change rests on what is in force, and would be stale."""
    company = await declared(door)
    change = await company.propose(company.Lea, BERLIN)
    for document in (published("holds"), published("exposure")):
        outcome = await company.act(company.Adam, document)
        assert outcome.status == "merged"
    assert await rows(url, "select count(*) from policy") == [(0,)]
    await company.approve(change, company.Olga)
    await company.apply(company.Ivan, change)
    assert await zone_of(url) == "Europe/Berlin"
    await prove(url)


async def test_a_rule_of_changing_is_not_eased_by_rolling_it_back_alone(company: Company, url: str, clock: TurnedClock):
    """Within the watch it is rolled back in one step; later, whoever would have what held before proposes it."""
    strict = published("decision_rights", quorum={"it": 2, "operations": 2, "joint": 3, "unreplayed": 1})
    change = await company.propose(company.Lea, strict)
    await company.approve(change, company.Sue, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Sue, change)
    clock.turn(timedelta(hours=73))
    for who in (company.Sue, company.Bea, SYSTEM):
        assert await company.refused(who, RevertChange(change=change[0], reason="too strict")) == (
            "authority.settled_rule"
        )
    assert await rows(url, "select version from policy_active where kind = 'decision_rights'") == [(1,)]
    await prove(url)
