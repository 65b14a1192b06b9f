"""Rungs give authority, not only news: who may do what for a case, from when, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from tests.authority.staff import appointed
from tests.cases.laddering import HOUR, act, ladder, mailed_person, opened, publish, refused, rung, standing, steps
from tests.conftest import START, stocked
from tests.organised import organise, scoped
from tests.proof import prove
from tests.requests import adjust, figures, order_of, rows

from trueup import worker
from trueup.authority.confirm import ConfirmAct
from trueup.authority.for_case import ActForCase, TakeSafeAction
from trueup.authority.standing import SYSTEM
from trueup.cases.act import ActOnCase
from trueup.cases.close import CloseCase
from trueup.cases.own import AssignCase
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders.hold import PlaceHold

HOLD = "orders.place_hold"
SAFE = next(notice for notice in worker.NOTICES if notice.name == "take_safe_actions")
PRICE = next(notice for notice in worker.NOTICES if notice.name == "price_cases")
TWO = ladder(
    (2, steps(rung(60, "Finance", "orders.release_hold"), rung(120, "Sponsor", HOLD, "stock.announce_freeze")))
)
"""After an hour Finance may override, after two the sponsor may stop the line."""


def holding(order: str, **more: Any) -> Carried:
    return Carried(HOLD, {"order": order, "type": "manual", "reason": "stop", **more})


async def an_order(door: Door, **units: int) -> str:
    """Goods and an order of one of them."""
    await stocked(door, MUG=9)
    outcome = await act(door, order_of(MUG=1))
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["order"])


async def holds_of(url: str) -> list[tuple[Any, ...]]:
    return await rows(url, "select order_id, placed_by from order_hold where released_at is null order by 1")


async def test_a_rung_lets_its_role_do_what_its_own_rights_do_not_from_then_on_and_until_the_case_ends(
    door: Door, url: str, clock: TurnedClock
):
    order = await an_order(door)
    await publish(door, "ladder", TWO)
    sponsor, trainer = await mailed_person(door, "Sue", "Sponsor"), await mailed_person(door, "Tom", "Order Agent")
    case = await opened(door, "odd", order)
    acting = ActForCase(case=case, act=holding(order))
    await refused(door, PlaceHold(order=order, type="manual", reason="stop"), "authority.not_allowed", sponsor)
    said = await refused(door, acting, "cases.no_right", sponsor)
    assert "no rung is reached yet" in said
    assert f"Sponsor, from {START + 2 * HOUR:%Y-%m-%d %H:%M} UTC on" in said
    clock.turn(HOUR)
    await refused(door, acting, "cases.no_right", sponsor)
    clock.turn(HOUR)
    assert "Sponsor, now" in await refused(door, acting, "cases.no_right", trainer)
    assert await holds_of(url) == []
    done = await act(door, acting, sponsor)
    assert done.status == "applied", done.refusal
    assert await holds_of(url) == [(order, sponsor.id)]
    state = await standing(url, case, clock)
    assert (state.clock, state.rung) == ("stopped", 2), "what it did counts as an act on the case"
    assert (await act(door, CloseCase(case=case, root_cause="software", note="done"))).status == "applied"
    await refused(door, acting, "cases.closed", sponsor)
    await prove(url)


async def test_a_lower_rungs_rights_stay_and_a_higher_ones_are_not_its(door: Door, url: str, clock: TurnedClock):
    order = await an_order(door)
    held = await act(door, PlaceHold(order=order, type="manual", reason="look"))
    await publish(door, "ladder", TWO)
    finance = await mailed_person(door, "Fay", "Finance")
    case = await opened(door, "odd", order)
    clock.turn(3 * HOUR)
    await refused(door, ActForCase(case=case, act=holding(order)), "cases.no_right", finance)
    release = Carried("orders.release_hold", {"hold": held.result["hold"], "reason": "seen"})
    assert (await act(door, ActForCase(case=case, act=release), finance)).status == "applied"
    assert await holds_of(url) == []


async def test_whoever_is_on_call_has_the_rungs_rights(door: Door, url: str, clock: TurnedClock):
    order = await an_order(door)
    ada, ben = await mailed_person(door, "Ada", "Order Agent"), await mailed_person(door, "Ben", "Order Agent")
    slots = [
        {"from_day": "monday", "until_day": "thursday", "role": "Order Agent", "person": ada.id},
        {"from_day": "thursday", "until_day": "monday", "role": "Order Agent", "person": ben.id},
    ]
    assert (await publish(door, "rota", {"slots": slots}, "on_call")).refusal is None
    document = ladder((1, steps(rung(60, "Sponsor", "stock.announce_freeze", rota="on_call"))))
    assert (await publish(door, "ladder", document)).refusal is None
    case = await opened(door, "down", order, severity=1)
    clock.turn(HOUR)  # Monday
    freeze = Carried("stock.announce_freeze", {"location": "MAIN", "from_at": (START + 2 * HOUR).isoformat(),
                                               "to_at": (START + 8 * HOUR).isoformat(), "reason": "stop"})  # fmt: skip
    await refused(door, ActForCase(case=case, act=freeze), "cases.no_right", ben)
    done = await act(door, ActForCase(case=case, act=freeze), ada)
    assert done.status == "applied", done.refusal
    clock.turn(timedelta(days=3))
    assert (await standing(url, case, clock)).on_call == ben.id
    await prove(url)


async def test_what_is_carried_is_decided_by_its_own_rule_and_scope(door: Door, url: str, clock: TurnedClock):
    order = await an_order(door)
    await publish(door, "ladder", TWO)
    sponsor = await mailed_person(door, "Sue", "Sponsor")
    case = await opened(door, "odd", order)
    clock.turn(2 * HOUR)
    unknown = await act(door, ActForCase(case=case, act=holding("ord_nothing")), sponsor)
    assert unknown.refusal is not None
    assert (await standing(url, case, clock)).clock == "runs", "what was refused is no act"
    broken = await act(door, ActForCase(case=case, act=Carried(HOLD, {"order": order})), sponsor)
    assert broken.refusal is not None
    assert broken.refusal.rule == "carry.invalid"
    assert await holds_of(url) == []


async def test_who_is_scoped_to_a_part_acts_for_a_case_in_that_part_only(door: Door, url: str, clock: TurnedClock):
    await organise(door)
    orders = {}
    for channel in ("web", "app"):
        placing = msgspec.structs.replace(order_of(MUG=1), channel=channel)
        orders[channel] = str((await act(door, placing)).result["order"])
    await publish(door, "ladder", TWO)
    case = await opened(door, "odd", *orders.values())
    north = await scoped(door, "Nan", "NORTH", roles=("Sponsor",))
    clock.turn(2 * HOUR)
    await refused(door, ActForCase(case=case, act=holding(orders["web"])), "authority.outside_scope", north)
    assert await holds_of(url) == []
    assert (await act(door, ActForCase(case=case, act=holding(orders["app"])), north)).status == "applied"
    await prove(url)


async def test_a_case_is_given_to_active_people_who_may_act_on_it(door: Door, url: str):
    case = await opened(door, "odd")
    ada = await mailed_person(door, "Ada", "Data Steward")
    eve = await mailed_person(door, "Eve", "Auditor")
    for nobody in ("act_nobody", eve.id, SYSTEM.id):
        await refused(door, AssignCase(case=case, person=nobody), "cases.unknown_person")
    assert (await act(door, AssignCase(case=case, person=ada.id))).status == "applied"
    assert (await act(door, AssignCase(case=case, person=ada.id))).status == "merged"
    assert await rows(url, "select assignee, acknowledged_at from cases") == [(ada.id, None)]
    await prove(url)


def safe(verb: str = HOLD, **body: Any) -> dict[str, Any]:
    command = body or {"order": "{subject}", "type": "manual", "reason": "case {subject}: nobody acted"}
    return {"verb": verb, "command": command}


async def test_the_safe_action_executes_itself_at_the_last_rung_once(door: Door, url: str, clock: TurnedClock):
    first = await an_order(door)
    second = str((await act(door, order_of(MUG=2))).result["order"])
    document = ladder((2, steps(rung(60, "Finance"), rung(120, "Sponsor", safe_action=safe()))))
    assert (await publish(door, "ladder", document)).refusal is None
    case = await opened(door, "odd", first, second, "ord_gone")
    seen = await opened(door, "seen", first)
    clock.turn(timedelta(minutes=119))
    assert await worker.notice_now(url, door, SAFE) == 0
    early = TakeSafeAction(case=case, rung=2, acts=(holding(first),))
    await refused(door, early, "cases.rung_not_reached")
    await act(door, PlaceHold(order=second, type="fraud", reason="look"))
    assert (await act(door, ActOnCase(case=seen, effect=second, note="held"))).status == "applied"
    clock.turn(timedelta(minutes=1))
    assert await worker.notice_now(url, door, SAFE) == 1, "not for the case somebody acted on"
    manual = "select order_id, reason from order_hold where type = 'manual' order by 2"
    told = [(order, f"case {order}: nobody acted") for order in sorted((first, second))]
    assert await rows(url, manual) == told
    state = await standing(url, case, clock)
    assert (state.clock, state.rung) == ("stopped", 2)
    assert await worker.notice_now(url, door, SAFE) == 0
    assert (await act(door, TakeSafeAction(case=case, rung=2, acts=(holding(first),)))).status == "merged"
    assert await rows(url, manual) == told
    await refused(door, TakeSafeAction(case=case, rung=2, acts=(Carried("orders.cancel", {"order": first}),)),
                  "cases.not_agreed")  # fmt: skip
    sponsor = await mailed_person(door, "Sue", "Administrator")
    await refused(door, early, "cases.safe_action_by_itself", sponsor)
    await prove(url)


async def test_cases_without_a_price_get_one_from_the_orders_they_touch(door: Door, url: str, clock: TurnedClock):
    first = await an_order(door)
    second = str((await act(door, order_of(MUG=5))).result["order"])
    case = await opened(door, "odd", first, second)
    priced = await opened(door, "priced", first, price="3.00")
    assert await worker.notice_now(url, door, PRICE) == 1
    # 60.00 x 0.30 x 0.05 = 0.90 a day, below the floor of 0.50 for each of two orders.
    shown = "select id, price_per_hour::text, source ->> 'per_day' from cases order by cause"
    assert await rows(url, shown) == [(case, "0.041667", "1.00"), (priced, "3.00", None)]
    assert await worker.notice_now(url, door, PRICE) == 0
    assert (await publish(door, "case_pricing", {"floor_per_order_day": "12.00"})).refusal is None
    third = str((await act(door, order_of(MUG=1))).result["order"])
    await opened(door, "odd", third)
    clock.turn(HOUR)
    assert await worker.notice_now(url, door, PRICE) == 1
    assert await rows(url, shown) == [(case, "1.500000", "36.00"), (priced, "3.00", None)]
    assert (await standing(url, case, clock)).spent > 0
    await prove(url)


async def test_a_rungs_acts_obey_amount_limits_like_anybodys(door: Door, url: str, clock: TurnedClock):
    """Beyond the limit nothing happens, and no clock stops, until a second person confirms it; then both do."""
    await stocked(door, MUG=90)
    limit = {"act": "stock.adjust", "role": "Fulfilment Lead", "amount": "10", "unit": "units"}
    await publish(door, "amount_limits", {"limits": [limit]})
    await publish(door, "ladder", ladder((2, steps(rung(60, "Sponsor", "stock.adjust")))))
    sponsor, lead = await mailed_person(door, "Sue", "Sponsor"), await mailed_person(door, "Leo", "Fulfilment Lead")
    case = await opened(door, "odd")
    clock.turn(2 * HOUR)
    acting = {
        units: ActForCase(case=case, act=Carried("stock.adjust", json.to_plain(adjust(-units)))) for units in (10, 11)
    }
    held = await act(door, acting[11], sponsor)
    assert held.status == "pending_approval", held.refusal
    assert (await figures(url))["on_hand"] == 90
    assert (await standing(url, case, clock)).clock == "runs", "nothing happened yet"
    assert await rows(url, "select acted_at from cases where id = %s", case) == [(None,)]
    await refused(door, ConfirmAct(act=held.result["pending"]), "authority.not_decider", sponsor)
    confirmed = await act(door, ConfirmAct(act=held.result["pending"]), lead)
    assert confirmed.status == "applied", confirmed.refusal
    assert (await figures(url))["on_hand"] == 79
    assert (await standing(url, case, clock)).clock == "stopped", "it was done for the case"
    assert (await act(door, acting[10], sponsor)).status == "applied"
    assert (await figures(url))["on_hand"] == 69
    await prove(url)


async def test_a_rungs_right_by_a_role_over_a_part_serves_there(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=9)
    await stocked(door, location="EAST", MUG=9)
    await publish(door, "ladder", ladder((2, steps(rung(60, "Sponsor", "stock.adjust")))))
    sue = await mailed_person(door, "Sue", "Trainer")
    await appointed(door, sue, "Sponsor", "location:EAST")
    case = await opened(door, "odd")
    clock.turn(2 * HOUR)
    for at, allowed in (("MAIN", False), ("EAST", True)):
        body = Carried("stock.adjust", json.to_plain(adjust(-2, location=at)))
        outcome = await act(door, ActForCase(case=case, act=body), sue)
        assert (outcome.status == "applied") is allowed, outcome.refusal
    await prove(url)
