"""An override that was in force during a window is part of its replay, though it is long expired by then."""

from __future__ import annotations

from datetime import timedelta

from tests.authority.staff import done
from tests.authority.test_overrides import DAY, granted, staff
from tests.conftest import START, stocked
from tests.orders.holding import hold, place
from tests.replayed import routing
from tests.requests import rows

from trueup import house
from trueup.authority.overrides import due_overrides
from trueup.authority.overrides_state import Override, OverrideAsked, OverrideGranted, OverrideNoticed, Overrides
from trueup.authority.past import STANDING_EVENTS, standing_then
from trueup.authority.people_state import People
from trueup.authority.standing import SYSTEM, Standing
from trueup.authority.state import Authority
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO
from trueup.core.verb import State
from trueup.oversight.impact import impact
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.policy import LocationFilter, Rule
from trueup.worker import Notice, notice_now

ONLY_NORTH = {("sourcing", "default"): routing(Rule("north", LocationFilter(codes=("NORTH",)), otherwise="partial"))}
NOTICE = Notice("notice_overrides", "*/15 * * * *", due_overrides)


async def lived(door: Door, url: str, clock: TurnedClock) -> tuple[str, int]:
    """Let an order pass its hold by an override, and another not; return the first and where the window begins."""
    await stocked(door, MUG=9)
    await stocked(door, location="NORTH", MUG=5)
    fay, _, sue = await staff(door)
    order, other = [(await place(door, key, MUG=1))["order"] for key in ("lent", "not lent")]
    for held in (order, other):
        await hold(door, held, "payment")
    since = (await rows(url, "select max(position) from journal"))[0][0]
    await granted(door, fay, sue, rule="orders.held", objects=(order,), expires_at=clock.now() + DAY)
    clock.turn(timedelta(hours=1))
    await done(door, SYSTEM, AssignOrder(order=order))
    assert (await door.submit(SYSTEM, AssignOrder(order=other), "not lent, sourced")).status == "refused"
    clock.turn(3 * DAY)
    await notice_now(url, door, NOTICE)
    assert (await door.submit(SYSTEM, AssignOrder(order=other), "expired")).status == "refused"
    return str(order), int(since)


async def test_what_an_override_let_pass_is_replayed_as_let_pass(door: Door, url: str, clock: TurnedClock):
    order, since = await lived(door, url, clock)
    found = await impact(url, house.build(), ONLY_NORTH, since_position=since, apart=False)
    assert [(one.order, one.what) for one in found.shown] == [(order, "location")]


def test_a_past_standing_has_the_overrides_of_then_each_as_it_stood_at_each_moment():
    loan = Override(
        id="ovr_1", rule="orders.held", verb="", objects=("payment",), sites=(), channels=(), reason="",
        price_per_day=ZERO, department="operations", currency="EUR", expires_at=START + DAY, asked_by="a",
        asked_at=START - DAY,
    )  # fmt: skip
    state = State((Authority, People, Overrides))
    state.evolve(OverrideAsked(override=loan))
    now = Standing(1, {}, {}, Policies(()))
    assert standing_then(now, state, now.policies).overrides == ()
    state.evolve(OverrideGranted(override=loan.id, role="Sponsor", by="b", at=START))
    state.evolve(OverrideNoticed(override=loan.id, what="expired", at=START + 2 * DAY))
    (then,) = standing_then(now, state, now.policies).overrides
    hours = (-2 * DAY, timedelta(seconds=-1), timedelta(0), DAY - timedelta(seconds=1), DAY)
    assert [then.life(START + at) for at in hours] == ["asked", "asked", "active", "active", "expired"]
    assert OverrideGranted in STANDING_EVENTS, "it is read anew when one is granted within the window"
