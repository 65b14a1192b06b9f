"""Nobody may do what nobody granted, and what was taken away is gone from the next batch on, in every process."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import figures, order_of, person, receipt, rows, until

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import IssueKey, RegisterActor, RevokeKey
from trueup.authority.standing import SYSTEM, Rights
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import Actor


@pytest.mark.parametrize("role", sorted(set(Rights().roles) - {"System"}))
async def test_every_right_is_granted_or_denied_as_the_policy_says(door: Door, url: str, role: str):
    await stocked(door, MUG=10)
    somebody = await person(door, role, role)
    granted = Rights().roles[role]
    for right, command in (("orders.place", order_of(MUG=1)), ("stock.receive", receipt(1))):
        may = right in granted or f"{right.partition('.')[0]}.*" in granted
        outcome = await door.submit(somebody, command, right)
        assert outcome.status == ("applied" if may else "refused"), right
        if outcome.refusal is not None:
            assert outcome.refusal.rule == "authority.not_allowed"
            assert "Ask somebody who may" in outcome.refusal.fix


async def test_a_stranger_is_denied_whatever_roles_they_claim(door: Door, url: str):
    await stocked(door, MUG=10)
    for stranger in (Actor("act_stranger", "person", "Eve", frozenset({"System", "Administrator"})),):
        outcome = await door.submit(stranger, order_of(MUG=1), "one")
        assert outcome.refusal is not None
        assert outcome.refusal.rule == "authority.unknown_actor"
    assert (await figures(url))["reserved"] == 0


async def test_roles_are_those_of_the_database_not_those_of_the_caller(door: Door):
    await stocked(door, MUG=10)
    agent = await person(door, "Ada", "Order Agent")
    inflated = Actor(agent.id, "person", "Ada", frozenset({"System"}))
    assert (await door.submit(inflated, receipt(5), "one")).status == "refused"


async def test_a_revocation_holds_from_the_next_batch_in_every_process(url: str, door: Door, clock: TurnedClock):
    await stocked(door, MUG=1000)
    agent = await person(door, "Ada", "Order Agent")
    async with Door(url, house.build(), clock=clock) as other:
        assert (await other.submit(agent, order_of(MUG=1), "before")).status == "applied"
        gone = RegisterActor(name="Ada", roles=("Order Agent",), actor=agent.id, active=False)
        placing = asyncio.create_task(other.submit_all(agent, [(f"{n}", order_of(MUG=1)) for n in range(400)]))
        assert (await door.submit(SYSTEM, gone, "deactivate")).status == "applied"
        after = await other.submit(agent, order_of(MUG=1), "after")
        assert after.refusal is not None
        assert after.refusal.rule == "authority.unknown_actor"
        await placing
    in_flight = await rows(
        url,
        """select count(distinct batch) from journal where name = 'orders.place' and actor = %s and position >
            (select max(position) from journal where name = 'authority.actor_registered')""",
        agent.id,
    )
    assert in_flight[0][0] <= 2, "only what each writer had already begun"
    await prove(url)


async def test_taking_a_role_away_holds_too(url: str, door: Door, clock: TurnedClock):
    await stocked(door, MUG=10)
    agent = await person(door, "Ada", "Order Agent")
    async with Door(url, house.build(), clock=clock) as other:
        assert (await other.submit(agent, order_of(MUG=1), "before")).status == "applied"
        await door.submit(SYSTEM, RegisterActor(name="Ada", roles=("Auditor",), actor=agent.id), "demote")
        assert (await other.submit(agent, order_of(MUG=1), "after")).status == "refused"
    await prove(url)


async def test_a_rights_policy_governs_at_once_and_cannot_lock_the_operator_out(door: Door, url: str):
    await stocked(door, MUG=10)
    agent = await person(door, "Ada", "Order Agent")
    tight = PublishPolicy(policy_kind="rights", policy_name="default", reason="tighten",
                          document={"roles": {"Order Agent": ["read"]}})  # fmt: skip
    assert (await door.submit(SYSTEM, tight, "tight")).status == "applied"
    assert (await door.submit(agent, order_of(MUG=1), "one")).status == "refused"
    loose = PublishPolicy(policy_kind="rights", policy_name="default", reason="relax",
                          document={"roles": {"Order Agent": ["orders.*"]}})  # fmt: skip
    outcome = await door.submit(SYSTEM, loose, "loose")
    assert (outcome.status, outcome.result["version"]) == ("applied", 2)
    assert (await door.submit(agent, order_of(MUG=1), "two")).status == "applied"
    await prove(url)


async def test_nobody_gives_roles_to_themselves(door: Door, url: str):
    admin = await person(door, "Root", "Administrator")
    more = RegisterActor(name="Root", roles=("Administrator", "Finance"), actor=admin.id)
    outcome = await door.submit(admin, more, "more")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "authority.own_roles"
    unknown = RegisterActor(name="Robot", roles=("System",))
    assert (await door.submit(admin, unknown, "system")).status == "refused"


async def test_what_an_actor_is_can_be_changed(door: Door, url: str):
    agent = await person(door, "Ada", "Order Agent")
    changed = RegisterActor(name="Ada's robot", roles=("Order Agent",), actor=agent.id, kind="service")
    assert (await door.submit(SYSTEM, changed, "change")).status == "applied"
    assert await rows(url, "select kind, name from actor") == [("service", "Ada's robot")]
    await prove(url)


async def test_keys_are_issued_and_revoked(door: Door, url: str):
    agent = await person(door, "Ada", "Order Agent")
    issued = await door.submit(SYSTEM, IssueKey(actor=agent.id, digest="ab" * 32, label="shop"), "issue")
    assert issued.status == "applied"
    assert (await door.submit(SYSTEM, RevokeKey(key=issued.result["key"]), "revoke")).status == "applied"
    assert (await door.submit(SYSTEM, RevokeKey(key=issued.result["key"]), "again")).status == "merged"
    await prove(url)


async def test_two_changes_of_rights_at_once_are_decided_one_after_the_other(url: str, door: Door, clock: TurnedClock):
    admin = await person(door, "Root", "Administrator")
    async with Door(url, house.build(), clock=clock) as other:
        for turn in range(10):
            name, mail = f"P{turn}", f"p{turn}@example.org"
            outcomes = await asyncio.gather(
                door.submit(admin, RegisterActor(name=name, roles=("Auditor",), email=mail), f"a{turn}"),
                other.submit(admin, RegisterActor(name=name, roles=("Finance",), email=mail), f"b{turn}"),
            )
            assert sorted(outcome.status for outcome in outcomes) == ["applied", "refused"]
    await prove(url)


async def test_a_revocation_that_commits_while_a_batch_waits_for_its_locks_holds(door: Door, url: str):
    admin = await person(door, "Root", "Administrator")
    with psycopg.connect(url) as other:
        other.execute("update epoch set value = value + 1")
        other.execute("update actor set active = false")
        registering = asyncio.create_task(door.submit(admin, RegisterActor(name="Eve", roles=("Finance",)), "late"))
        await until(lambda: waits_for_a_lock(url))
        other.commit()
    outcome = await registering
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "authority.unknown_actor"


async def waits_for_a_lock(url: str) -> bool:
    return bool(await rows(url, "select pid from pg_locks where not granted"))
