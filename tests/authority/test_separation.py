"""Issue C: segregation of duties, checked when roles are given and at the act, per object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.authority.staff import appointed, done, refused
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import cancel, order_of, person, rows

from trueup import house
from trueup.authority.appoint import AcceptAppointment
from trueup.authority.decision_rights import DecisionRights
from trueup.authority.declare import DeclareGovernance
from trueup.authority.people_policy import RolePair, Separation
from trueup.authority.people_state import Appointment, Delegation, Employment
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.separation import clashes, may_approve
from trueup.authority.standing import ROLES, SYSTEM, Standing
from trueup.authority.tenure import RIGHT, Tenure, actors_at
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.policy import Policies, read_document
from trueup.core.verb import Actor
from trueup.stock.counting import ApproveCount, ApprovedLine, OpenCount

DECIDING = tuple(role for role in ROLES if role not in ("Administrator", "Auditor"))
EVERY_SUBSET = [frozenset(chosen) for size in range(len(ROLES) + 1) for chosen in combinations(ROLES, size)]


async def test_who_holds_what_does_not_go_together_when_governance_is_declared_is_a_case(door: Door, url: str):
    eve = await person(door, "Eve", *ROLES)
    await done(door, SYSTEM, DeclareGovernance(mode="full"))
    ((kind, owner, subjects),) = await rows(url, "select kind, owner_role, subjects from cases")
    assert (kind, owner) == ("separated_roles", "Administrator")
    assert subjects == 1
    less = RegisterActor(name="Eve", roles=ROLES[:-1], actor=eve.id)
    await refused(door, SYSTEM, less, "authority.separated_roles")
    await done(door, SYSTEM, RegisterActor(name="Eve", roles=DECIDING, actor=eve.id))
    await prove(url)


async def test_roles_that_were_appointed_and_accepted_are_enough_to_declare(door: Door, url: str):
    eve = await person(door, "Eve", *DECIDING[1:])
    held = await appointed(door, eve, DECIDING[0], accept=False)
    await refused(door, SYSTEM, DeclareGovernance(mode="full"), "authority.vacant", "not accepted yet")
    await done(door, eve, AcceptAppointment(appointment=held))
    await done(door, SYSTEM, DeclareGovernance(mode="full"))
    assert await rows(url, "select id from cases") == []
    await prove(url)


def test_nobody_approves_their_own_with_any_of_the_8192_combinations_of_roles():
    deciding = ("Change Control Board", "Finance")
    for roles in EVERY_SUBSET:
        one = Actor("act_one", "person", "One", roles)
        other = Actor("act_other", "person", "Other", roles)
        standing = Standing(1, {"act_one": one, "act_other": other}, {}, Policies([]))
        for mode in ("founding", "small", "full"):
            later = START + timedelta(days=30)
            own = may_approve(standing, one.id, one.id, deciding, mode, later, asked_at=START)
            assert own is not None, (roles, mode)
            theirs = may_approve(standing, one.id, other.id, deciding, mode, later)
            assert (theirs is None) == bool(roles & set(deciding)), (roles, mode)


def test_who_administers_decides_nothing_that_the_shipped_register_names():
    deciders = {decision.decider for decision in DecisionRights().decisions}
    for decider in deciders | {"Sponsor", "Change Control Board"}:
        assert clashes(Separation(), {"Administrator", decider}, "full"), decider
        assert clashes(Separation(), {"Auditor", decider}, "full"), decider
    assert not clashes(Separation(), {"Administrator", "Sponsor"}, "founding")


async def test_who_opened_a_count_does_not_approve_it(door: Door, url: str):
    await stocked(door, MUG=10)
    lea, leo = await person(door, "Lea", "Fulfilment Lead"), await person(door, "Leo", "Fulfilment Lead")
    count = (await done(door, lea, OpenCount(location="MAIN", reference="C-1", skus=("MUG",)))).result["count"]
    approval = ApproveCount(count=count, lines=(ApprovedLine(sku="MUG"),))
    outcome = await refused(door, lea, approval, "authority.separated_acts")
    assert outcome.refusal is not None
    assert "Leo" in outcome.refusal.fix
    await refused(door, leo, approval, "stock.nothing_to_approve")


async def test_acts_are_kept_apart_within_one_batch_and_over_batches_and_only_on_one_object(door: Door, url: str):
    await stocked(door, MUG=10)
    ada, bob = await person(door, "Ada", "Order Agent"), await person(door, "Bob", "Order Agent")
    pair = {"first": "orders.cancel", "then": "orders.cancel", "why": "two people shorten an order"}
    await done(door, SYSTEM, PublishPolicy(policy_kind="separation", policy_name="default",
                                           document={"acts": [pair]}, reason="ours"))  # fmt: skip
    first = (await done(door, ada, order_of(MUG=4), "one")).result["order"]
    other = (await done(door, ada, order_of(MUG=4), "two")).result["order"]
    once, twice, elsewhere = await door.submit_all(
        ada, [("a", cancel(first, line1=1)), ("b", cancel(first, line1=2)), ("c", cancel(other, line1=1))]
    )
    assert (once.status, twice.status, elsewhere.status) == ("applied", "refused", "applied")
    assert twice.refusal is not None
    assert twice.refusal.rule == "authority.separated_acts"
    await refused(door, ada, cancel(first, line1=3), "authority.separated_acts")
    assert (await door.submit(bob, cancel(first, line1=1), "another")).status == "applied"
    left = "select quantity - cancelled from order_line where order_id = %s"
    assert await rows(url, left, first) == [(2,)]
    await prove(url)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"roles": [{"one": "King", "other": "Sponsor", "why": "no"}]}, "roles[0].one"),
        ({"roles": [{"one": "Sponsor", "other": "Sponsor", "why": "no"}]}, "roles[0]"),
        (
            {"roles": [{"one": "Sponsor", "other": "Auditor", "why": "no"},
                       {"one": "Auditor", "other": "Sponsor", "why": "no"}]},
            "roles",
        ),
        ({"acts": [{"first": "orders.teleport", "then": "orders.cancel", "why": "no"}]}, "acts[0].first"),
    ],
)  # fmt: skip
def test_a_policy_with_a_mistake_is_refused_with_its_place(document: dict[str, object], where: str):
    found = read_document(house.POLICY_KINDS, "separation", document, house.known())
    assert isinstance(found, Refusal)
    assert found.where == where


@pytest.mark.parametrize(
    ("kind", "document", "where"),
    [
        ("people", {"timezone": "Mars/Olympus"}, "timezone"),
        ("people", {"governance_roles": ["King"]}, "governance_roles"),
        ("amount_limits", {"limits": [{"act": "stock.adjust", "role": "King", "amount": "1", "unit": "units"}]},
         "limits[0].role"),
        ("amount_limits", {"limits": [{"act": "stock.fly", "role": "Finance", "amount": "1", "unit": "EUR"}]},
         "limits[0].act"),
        ("amount_limits", {"limits": [{"act": "stock.adjust", "role": "Finance", "amount": "-1", "unit": "EUR"}]},
         "limits[0].amount"),
        ("amount_limits", {"limits": [{"act": "stock.adjust", "role": "Finance", "amount": "1", "unit": "XXQ"}]},
         "limits[0].unit"),
    ],
)  # fmt: skip
def test_policies_about_people_are_refused_with_the_place(kind: str, document: dict[str, object], where: str):
    found = read_document(house.POLICY_KINDS, kind, document, house.known())
    assert isinstance(found, Refusal)
    assert found.where == where


PAIRS = some.tuples(some.sampled_from(ROLES), some.sampled_from(ROLES)).filter(lambda pair: pair[0] != pair[1])


@given(pairs=some.lists(PAIRS, max_size=10, unique_by=frozenset), roles=some.sets(some.sampled_from(ROLES)))
def test_roles_clash_when_a_pair_names_two_of_them(pairs: list[tuple[str, str]], roles: set[str]):
    policy = Separation(roles=tuple(RolePair(one=one, other=other, why="so") for one, other in pairs))
    found = clashes(policy, roles, "full")
    assert {(pair.one, pair.other) for pair in found} == {(a, b) for a, b in pairs if a in roles and b in roles}
    assert clashes(policy, roles, "founding") == []
    assert clashes(policy, roles, "small") == [], "none of them is for the small mode"


PEOPLE = ("act_a", "act_b", "act_c", "act_d")
HOURS = some.integers(0, 200).map(lambda hours: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hours))


@some.composite
def tenures(draw: some.DrawFn) -> Tenure:
    """Draw appointments, delegations and contracts among four people within some days."""
    appointments, delegations = [], []
    for number in range(draw(some.integers(0, 4))):
        begins = draw(HOURS)
        deputy = draw(some.none() | some.sampled_from(PEOPLE))
        appointments.append(
            Appointment(
                id=f"apt_{number}", actor=draw(some.sampled_from(PEOPLE)), role=draw(some.sampled_from(ROLES)),
                over=draw(some.sampled_from([None, "category:tea"])), from_at=begins, by="act_x", at=begins,
                until_at=begins + timedelta(hours=draw(some.integers(1, 90))) if draw(some.booleans()) else None,
                accepted_at=draw(some.none() | some.just(begins)), deputy=deputy,
                deputy_accepted_at=begins if deputy is not None and draw(some.booleans()) else None,
            )
        )  # fmt: skip
    for number in range(draw(some.integers(0, 3))):
        begins = draw(HOURS)
        role = draw(some.none() | some.sampled_from(ROLES))
        delegations.append(
            Delegation(
                id=f"dlg_{number}", giver=draw(some.sampled_from(PEOPLE)), taker=draw(some.sampled_from(PEOPLE)),
                from_at=begins, until_at=begins + timedelta(hours=draw(some.integers(1, 60))), role=role,
                rights=() if role else ("orders.cancel",),
            )
        )  # fmt: skip
    ends = draw(some.dictionaries(some.sampled_from(PEOPLE), HOURS, max_size=2))
    employed = {id_: Employment(actor=id_, contract_end=at.date(), access_until=at) for id_, at in ends.items()}
    return Tenure(tuple(appointments), tuple(delegations), employed)


@given(tenure=tenures(), own=some.dictionaries(some.sampled_from(PEOPLE), some.sets(some.sampled_from(ROLES))),
       moments=some.lists(HOURS, min_size=1, max_size=8))  # fmt: skip
def test_a_standing_tells_at_every_moment_what_holds_then_in_whatever_order_it_is_asked(
    tenure: Tenure, own: dict[str, set[str]], moments: list[datetime]
):
    """What is lent is never more than its giver holds unlent; whose contract ended is not there."""
    actors = {id_: Actor(id_, "person", id_, frozenset(roles)) for id_, roles in own.items()}
    standing = Standing(1, actors, {}, Policies([]), tenure=tenure)
    for now in moments:
        told = standing.at(now).actors
        assert told == actors_at({SYSTEM.id: SYSTEM, **actors}, tenure, now, standing.allows)
        unlent = actors_at(actors, Tenure(tenure.appointments, (), tenure.employments), now, standing.allows)
        lendable = {role for actor in unlent.values() for role in actor.roles}
        for id_, actor in told.items():
            if id_ == SYSTEM.id:
                continue
            assert not tenure.gone(id_, now)
            for role in actor.roles - unlent[id_].roles:
                assert role in lendable or standing.allows(frozenset(lendable), role.removeprefix(RIGHT))
        for role in ROLES:
            held = standing.holders(role, "category:tea", now)
            assert len(held) == len(set(held))
            assert all(id_ in told for id_ in held)
