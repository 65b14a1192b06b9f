"""Audit: who did what, who approved, who could have and did not; with the journal's verification beside it."""

from __future__ import annotations

from datetime import timedelta

from tests.authority.test_overrides import asked, banded, granted, staff
from tests.conftest import stocked
from tests.requests import order_of, person

from trueup.authority.audit import AuditQuery, accountable, acts, exported
from trueup.authority.overrides import DeclineOverride
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door

HOUR = timedelta(hours=1)


async def test_who_did_what_is_told_with_what_happened_by_it(door: Door, clock: TurnedClock, url: str):
    await stocked(door, MUG=5)
    agent = await person(door, "Olga", "Order Agent")
    begun = clock.now() + HOUR
    clock.turn(HOUR)
    placed = await door.submit(agent, order_of(MUG=1), "one")
    await door.submit(SYSTEM, order_of(MUG=1), "two")
    connection = await connect(url)
    try:
        page = await acts(connection, AuditQuery(actor=agent.id))
        assert [(act.name, act.verb, act.subject) for act in page.items] == [
            ("Olga", "orders.place", placed.result["order"])
        ]
        assert page.items[0].events == ("orders.placed", "stock.reserved")
        both = await acts(connection, AuditQuery(verb="orders", from_at=begun, limit=1))
        rest = await acts(connection, AuditQuery(verb="orders", from_at=begun, cursor=both.next))
        assert [act.actor for act in (*both.items, *rest.items)] == [SYSTEM.id, agent.id]
        assert (await acts(connection, AuditQuery(verb="orders", until_at=begun))).items == ()
        whole = [act async for act in exported(connection, AuditQuery())]
        assert len(whole) == len({act.position for act in whole}) == 6
    finally:
        await connection.close()


async def test_who_approved_and_who_could_have_and_did_not_as_the_roles_were_at_that_time(
    door: Door, clock: TurnedClock, url: str
):
    await banded(door)
    fay, otto, _ = await staff(door)
    olive = await person(door, "Olive", "Operations Process Owner")
    gone = await person(door, "Gerd", "Operations Process Owner")
    await door.submit(SYSTEM, RegisterActor(actor=gone.id, name="Gerd", roles=gone_roles(), active=False), "leaves")
    clock.turn(HOUR)
    override = await granted(door, fay, otto)
    clock.turn(HOUR)
    later = await person(door, "Lara", "Operations Process Owner")
    demoted = RegisterActor(actor=olive.id, name="Olive", roles=("Auditor",))
    assert (await door.submit(SYSTEM, demoted, "other work")).status == "applied"
    connection = await connect(url)
    try:
        found = await accountable(connection, override, clock.now())
        assert found is not None
        assert (found.asked.name, found.ended) == ("Fay", "active")
        (decided,) = found.decided
        assert decided.roles == ("Operations Process Owner", "Sponsor")
        assert [(one.name, one.at) for one in decided.by] == [("Otto", clock.now() - HOUR)]
        assert {one.name for one in decided.could_have} == {"Olive", "Sue"}
        assert later.name not in {one.name for one in decided.could_have}
        assert [act.verb for act in found.did] == ["authority.ask_override", "authority.grant_override"]
        assert await accountable(connection, "ovr_none", clock.now()) is None
        assert await accountable(connection, "chg_none", clock.now()) is None
    finally:
        await connection.close()


async def test_a_refusal_to_approve_is_told_as_well_as_nobody_having_decided(door: Door, clock: TurnedClock, url: str):
    await banded(door)
    fay, otto, _ = await staff(door)
    first = (await door.submit(fay, asked(), "ask")).result["override"]
    second = (await door.submit(otto, asked(reason="another"), "ask too")).result["override"]
    assert (await door.submit(otto, DeclineOverride(override=first, reason="no"), "no")).status == "applied"
    connection = await connect(url)
    try:
        declined = await accountable(connection, first, clock.now())
        assert declined is not None
        assert (declined.ended, [one.name for one in declined.decided[0].by]) == ("declined", ["Otto"])
        waiting = await accountable(connection, second, clock.now())
        assert waiting is not None
        assert (waiting.ended, waiting.decided[0].by) == (None, ())
        assert waiting.decided[0].roles == ("Operations Process Owner", "Sponsor"), "who could, while nobody has"
        assert "Otto" not in {one.name for one in waiting.decided[0].could_have}, "nobody grants their own"
        assert "Sue" in {one.name for one in waiting.decided[0].could_have}
    finally:
        await connection.close()


def gone_roles() -> tuple[str, ...]:
    """Who leaves keeps the word of the role, not the right."""
    return ("Operations Process Owner",)
