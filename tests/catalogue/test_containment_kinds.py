"""Containment of more than one kind: proportionate per rule, priced before it fires, reversible, taking nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.authority.staff import done
from tests.authority.test_overrides import granted, rule_of, staff
from tests.catalogue.breaches import DAY, MINUTE, notice, publish
from tests.catalogue.test_amend import amend, amendment
from tests.catalogue.test_breach import allocated, lifted, place, source
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import receipt, rows

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.contract import Contract, Entity, RowCheck, Rule
from trueup.catalogue.quarantine import ReleaseContainment
from trueup.catalogue.register import RegisterLocation
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.oversight import breach_exposure
from trueup.sourcing.allocate import AllocateUnits
from trueup.sourcing.assign import AssignOrder, PlannedShare
from trueup.sourcing.parts import MovePart
from trueup.stock.reserve import ReserveLine, ReserveStock
from trueup.storyline import settled

DIMENSIONS = Rule(name="length.known", check=RowCheck(kind="required", field="length_mm"), containment="not_for_parcel")
ADDRESS = Rule(
    name="country.known", check=RowCheck(kind="required", field="country"), containment="quarantine_location"
)


async def failing(door: Door, url: str, entity: str, rule: Rule) -> str:
    """Put a contract of one rule in force, which what is there fails; return the case."""
    await publish(door, Contract(id="items", entities=(Entity(name=entity, rules=(rule,)),)))
    await settled(door, url, house.build())
    return str((await rows(url, "select id from cases"))[0][0])


async def picked_up(door: Door, key: str) -> str:
    """Place an order that its customer picks up at MAIN."""
    line = PlaceLine("MUG", Quantity(1), Amount("10.00"))
    command = PlaceOrder(currency="EUR", lines=(line,), delivery="pickup", location="MAIN")
    return str((await done(door, SYSTEM, command, key)).result["order"])


def by_hand(order: str, location: str = "MAIN") -> AllocateUnits:
    """Allocate a unit of the first line."""
    return AllocateUnits(order=order, line=1, location=location, quantity=Quantity(1))


async def part_of(url: str, order: str) -> str:
    """Return the order's fulfilment order."""
    return str((await rows(url, "select id from fulfilment_order where order_id = %s", order))[0][0])


def kept(outcome: Outcome, words: str) -> bool:
    """Tell whether a containment refused it, in these words, naming case and override."""
    assert outcome.refusal is not None, outcome
    told = f"{outcome.refusal.what} {outcome.refusal.fix}"
    return outcome.refusal.rule == "catalogue.quarantined" and words in told and "An override of" in told


async def test_what_is_not_for_parcels_is_sent_by_no_way_and_still_picked_up(
    door: Door, url: str, clock: TurnedClock
) -> None:
    """Issue C: containment applies itself at 24 h, proportionate per rule; a dead worker changes nothing of it."""
    await stocked(door, MUG=10)
    case = await failing(door, url, "item", DIMENSIONS)
    first, second = await place(door, "first", MUG=1), await place(door, "second", MUG=1)
    pickup, later = await picked_up(door, "pickup"), await picked_up(door, "later")
    clock.turn(DAY - MINUTE)
    assert (await source(door, first, "at 23:59")).status == "applied"
    await stocked(door, location="NORTH", MUG=10)
    clock.turn(MINUTE)
    ways = {
        "rules": AssignOrder(order=second),
        "a plan": AssignOrder(order=second, mode="broker", fall_back=True),
        "hand": by_hand(second),
        "move": MovePart(order=first, fulfilment_order=await part_of(url, first), location="NORTH"),
    }
    for name, command in ways.items():
        assert kept(await door.submit(SYSTEM, command, name), "MUG is kept from parcels since"), name
    assert rule_of(await source(door, pickup, "picked up")) == "applied"
    assert (await allocated(url, first), await allocated(url, second), await allocated(url, pickup)) == (1, 0, 1)
    assert await notice(url, door) == 1
    lift = ReleaseContainment(case=case, hours=8, reason="A press day; measured by hand.")
    override = await lifted(door, url, lift)
    assert await allocated(url, second) == 1, "granted, it is sourced by itself"
    assert await rows(url, "select uses, price_per_day from override_loan where id = %s", override) == [(1, 50)]
    clock.turn(8 * 60 * MINUTE)
    third = await place(door, "third", MUG=1)
    assert kept(await source(door, third, "it holds again"), "MUG is kept from parcels since")
    await done(door, SYSTEM, amend(amendment("MUG", {"length_mm": 120})))
    await settled(door, url, house.build())
    assert await allocated(url, third) == 1, "it ends when the rule passes, and what waited is sourced"
    assert (await source(door, later, "picked up later")).status in ("applied", "merged")
    await prove(url)


async def test_a_location_in_quarantine_gets_nothing_more_by_any_way_and_keeps_what_it_has(
    door: Door, url: str, clock: TurnedClock
) -> None:
    await done(door, SYSTEM, RegisterLocation(code="NORTH", name="North", country="DE"))
    await stocked(door, MUG=10)
    case = await failing(door, url, "location", ADDRESS)
    first, second, third = [await place(door, name, MUG=1) for name in ("first", "second", "third")]
    clock.turn(DAY - MINUTE)
    assert (await source(door, first, "at 23:59")).status == "applied"
    await done(door, SYSTEM, by_hand(third))
    await done(door, SYSTEM, msgspec.structs.replace(receipt(10), location="NORTH"))
    clock.turn(MINUTE)
    main, north = (id_ for (id_,) in await rows(url, "select id from location order by code"))
    reserve = ReserveStock(location="MAIN", lines=(ReserveLine("MUG", Quantity(1)),), expires_at=clock.now() + DAY)
    for name, command in {"hand": by_hand(second), "cart": reserve}.items():
        assert kept(await door.submit(SYSTEM, command, name), "MAIN takes nothing more since"), name
    planned = AssignOrder(order=second, mode="broker", plan=(PlannedShare(1, main, Quantity(1)),))
    assert (await door.submit(SYSTEM, planned, "a plan for MAIN falls back on the rules")).status == "applied"
    place_of = "select location from fulfilment_order where order_id = %s"
    assert await rows(url, place_of, second) == [(north,)], "the rules go elsewhere"
    back = MovePart(order=second, fulfilment_order=await part_of(url, second), location="MAIN")
    assert kept(await door.submit(SYSTEM, back, "back"), "MAIN takes nothing more since")
    assert [await allocated(url, order) for order in (first, third)] == [1, 1], "what is there stays there"
    why = await rows(url, "select to_jsonb(d) from sourcing_decision d where order_id = %s", second)
    assert "contained: it takes nothing more" in str(why)
    await lifted(door, url, ReleaseContainment(case=case, hours=8, reason="checked by hand"))
    await done(door, SYSTEM, back, "lifted")
    clock.turn(8 * 60 * MINUTE)
    fourth = await place(door, "fourth", MUG=1)
    assert kept(await door.submit(SYSTEM, by_hand(fourth), "again"), "MAIN takes nothing more since")
    await done(door, SYSTEM, RegisterLocation(code="MAIN", name="Main", country="DE"))
    await settled(door, url, house.build())
    await done(door, SYSTEM, by_hand(await place(door, "fifth", MUG=1)))
    await prove(url)


async def test_the_hourly_cost_is_of_what_would_wait_and_is_known_before_it_fires(door: Door, url: str) -> None:
    """A parcel's containment lets no pickup wait; a location's lets wait what is reserved there, at most."""
    await stocked(door, MUG=10)
    await failing(door, url, "item", DIMENSIONS)
    await place(door, "sent", MUG=3)
    await picked_up(door, "pickup")
    item, location = (await rows(url, "select i.id, l.id from item i, location l"))[0]
    connection = await connect(url)
    try:
        whole = await breach_exposure.stake(connection, "item", [item], START)
        sent = await breach_exposure.stake(connection, "item", [item], START, parcels=True)
        there = await breach_exposure.stake(connection, "location", [location], START)
    finally:
        await connection.close()
    assert (whole.waiting, sent.waiting, there.waiting) == (2, 1, 2)
    assert (whole.waits, sent.waits) == (Decimal(40) * whole.pricing.margin, Decimal(30) * whole.pricing.margin)
    assert sent.contained_per_hour < whole.contained_per_hour == there.contained_per_hour
    assert whole.per_hour == sent.per_hour, "what the breach costs is the same whatever contains it"


@pytest.mark.parametrize(
    ("entity", "containment", "whole", "where"),
    [
        ("location", "not_for_parcel", False, "entities[0].rules[0].containment"),
        ("item", "quarantine_location", False, "entities[0].rules[0].containment"),
        ("item", "quarantine_location", True, "containment"),
        ("location", "quarantine_item", True, "containment"),
    ],
)
async def test_a_containment_that_does_not_fit_its_rule_is_refused_with_the_place(
    door: Door, entity: str, containment: str, whole: bool, where: str
) -> None:
    rule = json.to_plain(Rule(name="r", check=RowCheck(kind="required", field="name")))
    document: dict[str, Any] = {
        "entities": [{"name": entity, "rules": [rule | ({} if whole else {"containment": containment})]}]
    }
    document |= {"containment": containment} if whole else {}
    command = PublishPolicy(policy_kind="contract", policy_name="c", document=document, reason="too much")
    refused = await door.submit(SYSTEM, command, "wrong")
    assert refused.refusal is not None
    assert (refused.refusal.rule, refused.refusal.where) == ("policy.invalid", where)


async def test_an_override_of_a_containment_is_for_its_key_and_the_check_knows_it(
    door: Door, url: str, clock: TurnedClock
) -> None:
    await stocked(door, MUG=10, CUP=10)
    await failing(door, url, "item", msgspec.structs.replace(DIMENSIONS, containment="quarantine_item"))
    mug, cup = await place(door, "mug", MUG=1), await place(door, "cup", CUP=1)
    clock.turn(DAY)
    fay, _, sue = await staff(door)
    await granted(door, fay, sue, rule="catalogue.quarantined", objects=("MUG",), expires_at=clock.now() + DAY)
    assert rule_of(await source(door, mug, "lent")) == "applied"
    assert rule_of(await source(door, cup, "not lent")) == "catalogue.quarantined"
    both = await place(door, "both", MUG=1, CUP=1)
    assert rule_of(await source(door, both, "one of two")) == "applied"
    given = "select i.sku from stock_claim c join item i on i.id = c.item where c.kind = 'allocation' and holder = %s"
    assert await rows(url, given, both) == [("MUG",)], "what is lent is given though the rest waits"
    assert await rows(url, "select uses from override_loan") == [(2,)]
    await prove(url)
