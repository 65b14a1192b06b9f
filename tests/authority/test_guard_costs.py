"""What it costs: every guard shows how many acts it delayed and for how long, and can be simulated beforehand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.authority.test_writers import assign, systems, web
from tests.board import declared
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import order_of, person, receipt, rows

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.refusals import GUARDS
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.authority.trial import FEW, SERVICES, Trial, trial_of
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refused
from trueup.orders.cancel import CancelOrder
from trueup.orders.hold import PlaceHold
from trueup.oversight.guard_costs import GuardCost, StopQuery, StopRow, guard_costs, stops
from trueup.parties.state import Contact

HOUR = timedelta(hours=1)


async def costs(url: str, clock: TurnedClock, days: int = 7) -> dict[tuple[str, str], GuardCost]:
    """What each guard and rule cost."""
    connection = await connect(url)
    try:
        return {(cost.guard, cost.rule): cost for cost in await guard_costs(connection, days, clock.now())}
    finally:
        await connection.close()


async def stopped(url: str, clock: TurnedClock, **query: Any) -> tuple[StopRow, ...]:
    """The stopped acts."""
    connection = await connect(url)
    try:
        return (await stops(connection, StopQuery(**query), clock.now())).items
    finally:
        await connection.close()


async def trial(door: Door, url: str, guard: str, days: int = 7) -> Trial:
    """Try a guard on the last days."""
    connection = await connect(url)
    try:
        return trial_of(await door.try_guard(guard, days), await house.build().load_standing(connection))
    finally:
        await connection.close()


async def modes(door: Door, **values: str) -> str:
    """Publish how the guards work; how that ended."""
    policy = PublishPolicy(policy_kind="guards", policy_name="default", document={"modes": values}, reason="try it")
    return (await door.submit(SYSTEM, policy, f"modes {values}")).status


async def test_it_tells_how_many_acts_a_guard_stopped_how_long_they_waited_and_the_orders_money(
    door: Door, clock: TurnedClock, url: str
):
    await stocked(door, MUG=9)
    auditor, agent = await person(door, "Ada", "Auditor"), await person(door, "Olga", "Order Agent")
    orders = [(await door.submit(SYSTEM, order_of(MUG=n), f"order {n}")).result["order"] for n in (1, 2)]
    for order in orders:
        assert (await door.submit(auditor, CancelOrder(order=order), f"no {order}")).status == "refused"
    clock.turn(2 * HOUR)
    assert (await door.submit(agent, CancelOrder(order=orders[0]), "yes")).status == "applied"
    found = await costs(url, clock)
    assert ("role_guard", "authority.not_allowed") in found
    cost = found["role_guard", "authority.not_allowed"]
    assert (cost.acts, cost.through, cost.waiting) == (2, 1, 1)
    assert (cost.delay_median, cost.delay_longest) == (7200, 7200)
    assert (cost.orders, [(s.currency, str(s.amount)) for s in cost.amounts]) == (1, [("EUR", "20.00")])
    assert [(v.verb, v.acts) for v in cost.verbs] == [("orders.cancel", 2)]
    waiting = await stopped(url, clock, guard="role_guard", waiting=True)
    assert [(row.subject, row.through_at) for row in waiting] == [(orders[1], None)]
    assert not hasattr(waiting[0], "actor"), "nobody's refusals are counted by person"


async def test_what_makes_something_new_is_known_by_its_words_personal_ones_left_out(
    door: Door, clock: TurnedClock, url: str
):
    await stocked(door, MUG=1)
    order = msgspec.structs.replace(order_of(MUG=3), contact=Contact(name="Erika"))
    assert (await door.submit(SYSTEM, order, "short")).status == "refused"
    assert (await door.submit(SYSTEM, order_of(MUG=4), "short too")).status == "refused"
    clock.turn(HOUR)
    await door.submit(SYSTEM, receipt(9), "goods")
    assert (await door.submit(SYSTEM, order, "fits")).status == "applied"
    cost = (await costs(url, clock))["rule", "stock.short"]
    assert (cost.acts, cost.through, cost.waiting, cost.delay_longest) == (2, 1, 1, 3600)
    clock.turn(timedelta(days=8))
    assert await costs(url, clock) == {}


async def test_a_simulated_guard_is_asked_its_refusal_kept_and_the_act_goes_through(
    door: Door, clock: TurnedClock, url: str
):
    await stocked(door, MUG=9)
    await systems(door, legacy=())
    await assign(door, "legacy", channel="web")
    assert await modes(door, writer_guard="simulated") == "applied"
    assert (await door.submit(SYSTEM, web(), "goes through")).status == "applied"
    cost = (await costs(url, clock))["writer_guard", "writer.other_system"]
    assert (cost.acts, cost.would_refuse) == (0, 1)
    assert await modes(door, writer_guard="off") == "applied"
    assert (await door.submit(SYSTEM, web(), "goes through, too")).status == "applied"
    assert (await costs(url, clock))["writer_guard", "writer.other_system"].would_refuse == 1
    assert await modes(door) == "applied"
    assert (await door.submit(SYSTEM, web(), "stopped")).status == "refused"
    await prove(url)


@pytest.mark.parametrize("guard", ["role_guard", "scope_guard", "change_guard"])
@pytest.mark.parametrize("mode", ["off", "simulated"])
async def test_the_role_guard_may_never_be_off(door: Door, url: str, guard: str, mode: str):
    assert await modes(door, **{guard: mode}) == "refused"
    assert await modes(door, nobody_guard="off") == "refused"
    assert await rows(url, "select count(*) from policy") == [(0,)]


async def test_a_document_that_says_so_all_the_same_switches_nothing_off(door: Door, url: str):
    auditor = await person(door, "Ada", "Auditor")
    await stocked(door, MUG=9)
    body = b'{"modes":{"role_guard":"off"}}'
    connection = await connect(url)
    try:
        await connection.execute("set role postgres")
        await connection.execute(
            """insert into policy (kind, name, version, digest, document, reason, by_actor, at)
            values ('guards', 'default', 1, '', %s, 'slipped in', 'x', now())""",
            [body],
        )
        await connection.execute("insert into policy_active values ('guards', 'default', 1)")
        await connection.execute("update epoch set value = value + 1")
        await connection.commit()
    finally:
        await connection.close()
    assert (await door.submit(auditor, order_of(MUG=1), "no")).status == "refused"


async def test_a_guard_can_be_simulated_on_recent_commands_before_it_is_switched_on(
    door: Door, clock: TurnedClock, url: str
):
    await stocked(door, MUG=9)
    agent = await person(door, "Olga", "Order Agent")
    await systems(door, legacy=())
    assert await modes(door, writer_guard="off") == "applied"
    placed = await door.submit(SYSTEM, web(), "theirs, one day")
    for actor, channel in ((agent, "web"), (agent, "shop"), (SYSTEM, "shop")):
        assert (await door.submit(actor, web(channel=channel), f"{actor.id} {channel}")).status == "applied"
    assert (await door.submit(SYSTEM, web(lines=order_of(MUG=99).lines), "short")).status == "refused"
    clock.turn(HOUR)
    await assign(door, "legacy", channel="web", from_at=clock.now())
    clock.turn(HOUR)
    hold = PlaceHold(order=placed.result["order"], type="fraud", reason="look")
    assert (await door.submit(agent, hold, "hold")).status == "applied"
    before = await rows(url, "select count(*) from journal")
    found = await trial(door, url, "writer_guard")
    assert await rows(url, "select count(*) from journal") == before
    assert (found.mode, found.stopped, found.through, found.more, found.unreadable) == ("off", 1, 1, False, 0)
    assert [(stop.verb, stop.subject, stop.rule) for stop in found.stops] == [
        ("orders.place_hold", placed.result["order"], "writer.other_system")
    ]
    assert {(share.name, share.acts, share.stopped) for share in found.by_role} >= {(FEW, 3, 1)}
    assert next(share for share in found.by_verb if share.name == "orders.place").acts == 5
    roles = await trial(door, url, "role_guard")
    assert (roles.stopped, roles.mode) == (0, "enforced")
    with pytest.raises(Refused, match="no guard"):
        await door.try_guard("some_guard", 7)


async def test_what_was_published_before_governance_was_declared_is_in_order(door: Door, clock: TurnedClock, url: str):
    assert await modes(door, writer_guard="off") == "applied"
    clock.turn(HOUR)
    company = await declared(door)
    before = await trial(door, url, "change_guard")
    assert (before.stopped, before.through) == (0, 0)
    policy = PublishPolicy(policy_kind="guards", policy_name="default", document={"modes": {}}, reason="again")
    assert await company.refused(company.Ivan, policy)
    after = await trial(door, url, "change_guard")
    assert (after.stopped, after.through, after.acts) == (1, 0, before.acts + 1)


async def test_a_role_is_shown_in_figures_only_where_five_people_hold_it(door: Door, url: str):
    await stocked(door, MUG=99)
    agents = [await person(door, f"Agent {n}", "Order Agent") for n in range(5)]
    lead = await person(door, "Fay", "Fulfilment Lead")
    for number, actor in enumerate((*agents, lead, lead)):
        await door.submit(actor, receipt(1), f"receipt {number}")
        await door.submit(actor, order_of(MUG=1), f"order {number}")
    auditor = RegisterActor(actor=lead.id, name="Fay", roles=("Auditor",))
    assert (await door.submit(SYSTEM, auditor, "other work")).status == "applied"
    found = await trial(door, url, "role_guard")
    assert {stop.what.partition(" (")[0] for stop in found.stops} >= {"Somebody"}
    assert "Fay" not in str(found.stops)
    names = {share.name for share in found.by_role}
    assert names == {"Order Agent", FEW, SERVICES}


def test_every_guard_of_the_house_is_described():
    assert {guard.__name__ for guard in house.build().guards} == set(GUARDS)
