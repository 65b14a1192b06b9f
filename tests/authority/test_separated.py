"""Nobody changes what is governed alone: over all combinations of roles, and under random interleavings."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from tests.authority.test_changes import BERLIN, zone_of
from tests.board import Company, declared, edited, proposal, published
from tests.proof import prove
from tests.requests import person, rows

from trueup.authority.apply import ApplyChange, RevertChange
from trueup.authority.approve import ApproveChange
from trueup.authority.propose import WithdrawChange
from trueup.authority.standing import ROLES
from trueup.core.door import Door
from trueup.core.verb import Actor

ZONES = ("Europe/Berlin", "Europe/Lisbon", "Asia/Tokyo", "America/Lima")
"""What is proposed; UTC is what stood before."""


async def refusals(company: Company, who: Actor) -> list[str]:
    """Let one person ask, approve and apply; return by which rule each was refused, "" for what went through."""
    asked = await company.act(who, proposal(BERLIN))
    if asked.refusal is not None:
        return [asked.refusal.rule]
    change, digest = asked.result["change"], asked.result["digest"]
    said = [""]
    for command in (ApproveChange(change=change, digest=digest), ApplyChange(change=change)):
        outcome = await company.act(who, command)
        said.append(outcome.refusal.rule if outcome.refusal else "")
    assert (await company.act(who, WithdrawChange(change=change, reason="tried"))).status == "applied"
    return said


async def test_one_person_asking_approving_and_applying_is_impossible_over_all_role_combinations(door: Door, url: str):
    """One role, every two, and all at once, each held before governance was declared: whatever a person may hold."""
    held = [*combinations(ROLES, 1), *combinations(ROLES, 2), ROLES]
    people = [await person(door, f"P{at}", *roles) for at, roles in enumerate(held)]
    company = await declared(door)
    asked = 0
    for who in people:
        said = await refusals(company, who)
        asked += said[0] == ""
        assert said[0] or (said[1] and said[2]), f"{sorted(who.roles)} changed a rule alone: {said}"
        assert await zone_of(url) == "shipped"
    assert asked > len(people) / 2, "most may ask"
    await prove(url)


async def test_an_emergency_by_who_holds_every_role_is_not_approved_by_them(door: Door, url: str):
    everything = await person(door, "Zoe", *ROLES)
    company = await declared(door)
    change = await company.propose(everything, BERLIN, type="emergency")
    own = ApproveChange(change=change[0], digest=change[1])
    assert await company.refused(everything, own) == "authority.own_change"
    assert await rows(url, "select reviewed_at from change") == [(None,)], "it waits for somebody else's review"


@pytest.mark.parametrize("seed", range(2))
async def test_unapproved_content_is_never_live(door: Door, url: str, seed: int):
    """Random interleavings through the door and the database; `test_interleavings` has thousands, in memory."""
    chance = random.Random(seed)
    company = await declared(door, Otto="Operations Process Owner")
    people = [company.Lea, company.Olga, company.Otto, company.Bea]
    proposed: dict[str, tuple[Actor, str, str]] = {}
    approved: set[str] = set()
    ended: set[str] = set()
    applied = 0
    for _ in range(90):
        act = chance.choice(("propose", "edit", "edit", "approve", "approve", "approve", "apply", "apply", "revert"))
        who = chance.choice(people)
        zone = chance.choice(ZONES)
        if len(proposed) == len(ended) or (act == "propose" and len(proposed) - len(ended) < 3):
            outcome = await company.act(who, proposal(published("holds", timezone=zone)))
            if outcome.refusal is None:
                proposed[outcome.result["change"]] = (who, outcome.result["digest"], zone)
            continue
        still = sorted(proposed.keys() - ended) or sorted(proposed)
        change = chance.choice(sorted(ended) or still) if act == "revert" else chance.choice(still)
        asker, digest, asked_zone = proposed[change]
        if act == "edit":
            who = chance.choice((who, asker))
        if act == "edit":
            outcome = await company.act(who, edited(change, published("holds", timezone=zone)))
            if outcome.refusal is None:
                assert who.id == asker.id
                proposed[change] = (asker, outcome.result["digest"], zone)
                approved.discard(change)
        elif act == "approve":
            outcome = await company.act(who, ApproveChange(change=change, digest=digest))
            if outcome.status == "applied":
                assert who.id != asker.id
                if outcome.result["complete"]:
                    approved.add(change)
        elif act == "apply":
            before = await zone_of(url)
            outcome = await company.act(who, ApplyChange(change=change))
            assert outcome.status in ("applied", "refused"), "only the database stopped it"
            if outcome.status == "applied":
                assert change in approved, "what nobody approved as it is now went live"
                assert await zone_of(url) == asked_zone
                ended.add(change)
                applied += 1
            else:
                assert await zone_of(url) == before
        else:
            await company.act(who, RevertChange(change=change, reason="random"))
    assert applied, "something went live"
    await prove(url)
