"""A policy document is withdrawn: its name is read again as before there was one, byte for byte."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.board import Company, declared, proposal, published
from tests.catalogue.test_breach import breached
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import order_of, rows

from trueup import house
from trueup.authority import change_read
from trueup.authority.apply import ApplyChange, RevertChange
from trueup.authority.approve import ApproveChange
from trueup.authority.change_read import change_detail
from trueup.authority.drift import due_drifts
from trueup.authority.publish import WithdrawPolicy
from trueup.authority.read import in_force, policy_kind, version_in_force
from trueup.authority.standing import SYSTEM, Standing
from trueup.cases.close import CloseCase
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import OWNER, connect, session
from trueup.core.door import Door
from trueup.core.policy import Active, Policies, Policy, Withdrawn
from trueup.orders.adopt import AdoptWorkflow
from trueup.orders.holds import HoldRules, rules_of
from trueup.orders.workflow import Workflow
from trueup.oversight.change_impact import replay_change
from trueup.storyline import settled

WARSAW: dict[str, dict[str, Any]] = {
    "holds": {"timezone": "Europe/Warsaw"},
    "ladder": {"pause_hours": 7},
    "freeze": {"sell_units": "7"},
    "feed": {"mass_items_min": 7},
    "site_bands": {"capacity_min": 7},
}
"""Of every kind that falls back, a document that is not as shipped."""
LISBON: dict[str, dict[str, Any]] = {
    "holds": {"timezone": "Europe/Lisbon"},
    "ladder": {"pause_hours": 9},
    "freeze": {"sell_units": "9"},
    "feed": {"mass_items_min": 9},
    "site_bands": {"capacity_min": 9},
}
EVERYBODY = ("Sue", "Olga", "Ivan", "Bea", "Finn", "Ingo", "Mia", "Lea")


def withdrawn(kind: str, name: str = "webshop") -> WithdrawPolicy:
    """What takes the document of this name back."""
    return WithdrawPolicy(policy_kind=kind, policy_name=name, reason="test")


async def standing_of(url: str) -> Standing:
    """Return who may what and which policies hold, as the next batch sees it."""
    connection = await connect(url)
    try:
        found: Standing = await house.build().load_standing(connection)
        return found
    finally:
        await connection.close()


async def fallback_company(door: Door) -> Company:
    """Every kind that falls back has strict rules as `default`, and none of its own for the web shop."""
    for kind, document in WARSAW.items():
        expect_all([await door.submit(SYSTEM, published(kind, **document), f"default {kind}")])
    return await declared(door)


async def carried_out(company: Company, *commands: Any) -> tuple[str, str]:
    """Propose, let everybody approve who may, and apply."""
    change = await company.propose(company.Lea, *commands)
    for name in EVERYBODY[:-1]:
        await company.act(company.people[name], ApproveChange(change=change[0], digest=change[1]))
    await company.apply(company.Bea, change)
    return change


def test_every_kind_that_falls_back_is_tried():
    falling = {name for name, kind in house.POLICY_KINDS.items() if kind.falls_back}
    assert falling == WARSAW.keys() == LISBON.keys()


async def test_rolling_back_a_first_version_puts_back_what_held_before_byte_for_byte(door: Door, url: str):
    """Before, `default`'s rules held for the web shop, and not what is shipped."""
    company = await fallback_company(door)
    before = await standing_of(url)
    held = {kind: json.encode(before.policies.read_as(house.POLICY_KINDS[kind], "webshop")) for kind in WARSAW}
    active = "select kind, name, version from policy_active where version is not null order by kind, name"
    in_force_before = await rows(url, active)
    changes = [await carried_out(company, published(kind, "webshop", **LISBON[kind])) for kind in WARSAW]
    since = await standing_of(url)
    for kind in WARSAW:
        assert json.encode(since.policies.get(house.POLICY_KINDS[kind], "webshop")) != held[kind]
    for change in reversed(changes):
        await company.revert(company.Sue, change)
    after = await standing_of(url)
    assert await rows(url, active) == in_force_before
    for kind in WARSAW:
        struct = house.POLICY_KINDS[kind]
        assert after.policies.find(struct, "webshop") is None
        assert json.encode(after.policies.read_as(struct, "webshop")) == held[kind]
    assert rules_of(after.policies, "webshop").timezone == "Europe/Warsaw"
    await prove(url)


async def test_versions_go_on_counting_after_a_withdrawal(door: Door, url: str):
    company = await fallback_company(door)
    await carried_out(company, published("holds", "webshop", timezone="Europe/Rome"))
    await carried_out(company, withdrawn("holds"))
    await carried_out(company, published("holds", "webshop", timezone="Europe/Oslo"))
    found = "select version, convert_from(document, 'UTF8')::jsonb ->> 'timezone' from policy where name = 'webshop'"
    assert await rows(url, f"{found} order by version") == [(1, "Europe/Rome"), (2, "Europe/Oslo")]
    assert await rows(url, "select version from policy_active where name = 'webshop'") == [(2,)]
    assert rules_of((await standing_of(url)).policies, "webshop").timezone == "Europe/Oslo"
    await prove(url)


async def test_rolling_a_withdrawal_back_publishes_the_same_document_again(door: Door, url: str):
    company = await fallback_company(door)
    await carried_out(company, published("holds", "webshop", timezone="Europe/Rome"))
    change = await carried_out(company, withdrawn("holds"))
    assert rules_of((await standing_of(url)).policies, "webshop").timezone == "Europe/Warsaw"
    await company.revert(company.Olga, change)
    digests = await rows(url, "select count(distinct digest), max(version) from policy where name = 'webshop'")
    assert digests == [(1, 2)]
    assert rules_of((await standing_of(url)).policies, "webshop").timezone == "Europe/Rome"
    await prove(url)


async def test_orders_keep_the_version_that_was_withdrawn(company: Company, url: str):
    """An order captured under the workflow stays pinned to it; one after the withdrawal walks by what is shipped."""
    await stocked(company.door, MUG=9)
    document = json.to_plain(Workflow())
    document["transitions"] = [*document["transitions"], {"from": "placed", "on": "asked", "to": "waiting"}]
    change = await carried_out(company, published("workflow", "sale", **document))
    old = (await company.done(SYSTEM, order_of(MUG=1)))["order"]
    await company.revert(company.Bea, change)
    new = (await company.done(SYSTEM, order_of(MUG=1)))["order"]
    assert dict(await rows(url, "select id, workflow_version from orders")) == {old: 1, new: 0}
    adopt = AdoptWorkflow(order_type="sale", version=1, orders=(new,))
    assert await company.refused(company.Lea, proposal(adopt)) == "orders.not_newest", "it was withdrawn"
    policies = (await standing_of(url)).policies
    assert json.encode(policies.at(Workflow, "sale", 1)) != json.encode(Workflow())
    assert policies.get(Workflow, "sale") == Workflow()
    again = await carried_out(company, published("workflow", "sale", **document))
    assert await rows(url, "select version from policy_active where kind = 'workflow'") == [(2,)]
    assert again
    await prove(url)


@pytest.fixture
async def company(door: Door) -> Company:
    return await declared(door)


async def test_nobody_withdraws_directly_once_governance_is_declared(door: Door, url: str):
    company = await fallback_company(door)
    for who in (company.Adam, SYSTEM):
        outcome = await company.act(who, withdrawn("holds", "default"))
        assert outcome.refusal is not None
        assert outcome.refusal.rule == "authority.needs_change"
        assert "Operations Process Owner decides holds.timezone" in outcome.refusal.what
    assert await company.refused(company.Lea, proposal(withdrawn("holds", "nowhere"))) == "policy.not_in_force"
    assert await rows(url, "select version from policy_active where kind = 'holds'") == [(1,)]


async def test_before_it_is_declared_documents_are_withdrawn_directly(door: Door, url: str):
    expect_all([await door.submit(SYSTEM, published("holds", "webshop", timezone="Europe/Rome"), "one")])
    expect_all([await door.submit(SYSTEM, withdrawn("holds"), "two")])
    again = await door.submit(SYSTEM, withdrawn("holds"), "three")
    assert again.refusal is not None
    assert again.refusal.rule == "policy.not_in_force"
    connection = await connect(url)
    try:
        assert await version_in_force(connection, HoldRules, "webshop") == (HoldRules(), 0)
        assert await in_force(connection, HoldRules, "webshop") == HoldRules()
        found = await policy_kind(connection, "holds", HoldRules)
        assert found is not None
        assert [(one.name, one.version, one.reason) for one in found.withdrawn] == [("webshop", 1, "test")]
        assert [version.active for version in found.versions] == [False]
        assert await due_drifts(connection, door.now()) == []
    finally:
        await connection.close()
    await prove(url)


async def test_a_withdrawal_is_decided_by_who_decides_what_is_read_afterwards(door: Door, url: str):
    """It rests on `default`, too: when that moves, what was approved is not what would hold."""
    company = await fallback_company(door)
    await carried_out(company, published("holds", "webshop", timezone="Europe/Rome"))
    change = await company.propose(company.Lea, withdrawn("holds"))
    await company.approve(change, company.Olga)
    await carried_out(company, published("holds", timezone="Europe/Oslo"))
    assert await company.refused(company.Bea, ApplyChange(change=change[0])) == "authority.stale"
    assert rules_of((await standing_of(url)).policies, "webshop").timezone == "Europe/Rome"
    connection = await connect(url)
    try:
        detail = await change_detail(connection, change[0], (await standing_of(url)).policies, door.now())
    finally:
        await connection.close()
    assert detail is not None
    assert [conflict.kind for conflict in detail.conflicts] == ["stale"]
    assert [one.where for one in detail.edits[0].differences] == ["timezone"]
    await prove(url)


async def test_a_first_document_under_a_name_is_compared_with_what_held_there(door: Door, url: str):
    """Beside strict rules for all, a shop's own document as shipped takes them away: who decides them decides that."""
    expect_all([await door.submit(SYSTEM, published("site_bands", cutoff_latest="12:00"), "strict")])
    company = await declared(door)
    change = await company.propose(company.Lea, published("site_bands", "MAIN", capacity_min=1))
    touched = await rows(url, "select key from change_object where change = %s order by key", change[0])
    assert touched == [("site_bands.capacity_min",), ("site_bands.cutoff_latest",)]


async def test_who_takes_a_policy_out_of_force_by_sql_is_found_as_drift(door: Door, url: str, clock: TurnedClock):
    company = await fallback_company(door)
    with psycopg.connect(session(url, OWNER), autocommit=True) as owner:
        owner.execute("update policy_active set version = null where kind = 'holds'")
        owner.execute("delete from policy_active where kind = 'feed'")
    connection = await connect(url)
    try:
        found = await due_drifts(connection, clock.now())
    finally:
        await connection.close()
    for _, report in found:
        await company.done(SYSTEM, report)
    titles = await rows(url, "select title from cases where kind = 'policy_drift' order by title")
    assert [title.partition(" was ")[0] for (title,) in titles] == [
        "The policy feed/default", "The policy holds/default",
    ]  # fmt: skip


async def test_a_change_reverted_twice_is_not_reverted_again(door: Door, url: str):
    company = await fallback_company(door)
    change = await carried_out(company, published("holds", "webshop", timezone="Europe/Rome"))
    await company.revert(company.Olga, change)
    assert await company.refused(company.Olga, RevertChange(change=change[0], reason="again")) == (
        "authority.not_applied"
    )
    await carried_out(company, published("holds", "webshop", timezone="Europe/Oslo"))
    assert rules_of((await standing_of(url)).policies, "webshop").timezone == "Europe/Oslo"
    await prove(url)


async def test_a_withdrawal_is_replayed_before_the_vote(door: Door, url: str, clock: TurnedClock):
    """Under the shop's own rules no order was held; under `default`'s each of them is."""
    rule = {"name": "all", "when": [], "hold": "fraud", "reason": "held for all"}
    strict = published("holds", tables=[{"name": "strict", "rules": [rule]}])
    expect_all([await door.submit(SYSTEM, strict, "strict")])
    expect_all([await door.submit(SYSTEM, published("holds", "web"), "own")])
    company = await declared(door)
    await stocked(door, MUG=9)
    order = (await company.done(SYSTEM, order_of(MUG=1)))["order"]
    change = await company.propose(company.Lea, withdrawn("holds", "web"))
    connection = await connect(url)
    try:
        found = await change_read.change(connection, change[0])
    finally:
        await connection.close()
    assert found is not None
    for apart in (False, True):
        seen = await replay_change(url, house.build(), found[0], clock.now(), apart=apart)
        assert not isinstance(seen, str)
        assert [(one.order, one.what) for one in seen.impact.shown] == [(order, "hold")]
    await prove(url)


async def test_a_contract_that_is_withdrawn_ends_its_breaches_and_lets_its_case_be_closed(door: Door, url: str):
    item, case = await breached(door, url)
    ((name,),) = await rows(url, "select name from policy_active where kind = 'contract'")
    expect_all([await door.submit(SYSTEM, withdrawn("contract", name), "withdraw")])
    await settled(door, url, house.build())
    assert await rows(url, "select ended_by from breach where subject = %s", item) == [("withdrawn",)]
    expect_all([await door.submit(SYSTEM, CloseCase(case=case, root_cause="data_definition", note="gone"), "close")])
    assert await rows(url, "select name from quarantined_command") == []
    await prove(url)


def test_policies_as_they_would_be_without_a_document():
    """What replays ask: the name falls back, what is pinned stays, and the next version counts on."""
    strict, own = HoldRules(timezone="Europe/Warsaw"), HoldRules(timezone="Europe/Rome")
    flow = Workflow()
    known = Policies(
        [Active("default", 1, b"", strict), Active("webshop", 3, b"", own), Active("sale", 2, b"", flow)]
    )  # fmt: skip
    nothing: Policy = Withdrawn()
    without = known.with_documents({("holds", "webshop"): nothing, ("workflow", "sale"): nothing})
    assert rules_of(without, "webshop") == strict
    assert without.version(Workflow, "sale") == 0
    assert without.knows(Workflow, "sale", 2)
    assert without.with_documents({("workflow", "sale"): flow}).version(Workflow, "sale") == 3
    assert rules_of(known, "webshop") == own
