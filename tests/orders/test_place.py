"""Placing an order: all or nothing, and told the same again. Behaviours 3 and 13."""

from __future__ import annotations

from tests.conftest import stocked
from tests.requests import order_of

from trueup.authority.standing import SYSTEM
from trueup.core.door import Door


async def test_it_places_and_tells_the_same_again(door: Door) -> None:
    await stocked(door, MUG=10)
    first = await door.submit(SYSTEM, order_of(MUG=3), "one")
    again = await door.submit(SYSTEM, order_of(MUG=3), "one")
    assert first.status == "applied"
    assert again.result == first.result
    assert again.repeated


async def test_it_refuses_once_naming_every_short_line(door: Door) -> None:
    await stocked(door, MUG=2, PLATE=1, BOWL=9)
    outcome = await door.submit(SYSTEM, order_of(MUG=3, PLATE=2, BOWL=1), "short")
    assert outcome.status == "refused"
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "stock.short"
    assert [detail.where for detail in outcome.refusal.details] == ["lines[0].quantity", "lines[1].quantity"]
    rest = await door.submit(SYSTEM, order_of(MUG=2, PLATE=1, BOWL=9), "all of it")
    assert rest.status == "applied", "nothing was reserved by the refused order"
