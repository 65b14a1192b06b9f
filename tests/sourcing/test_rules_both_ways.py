"""How a rule divides an order and what becomes of the rest: each choice both ways, through the door. Behaviour 10."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, by, parts, placed, publish, wanted

from trueup.catalogue.operate import OperateSite
from trueup.catalogue.register import KitPart, RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.orders.channel import Channel
from trueup.sourcing.policy import LocationFilter, Rule

GROUPS = {"A": ("north",), "B": ("south",), "C": ("south",)}
PARTIAL = Rule("rule", otherwise="partial")
BY_GROUP = LocationFilter(groups=("north", "south"))


async def three_shops(door: Door, short: Any = "refuse") -> None:
    """A has 6 mugs; B 2 mugs and 2 cups; C 5 cups: by most stock A, C, B."""
    await stocked(door, location="A", MUG=6, CUP=0)
    await stocked(door, location="B", MUG=2, CUP=2)
    await stocked(door, location="C", MUG=0, CUP=5)
    for code, groups in GROUPS.items():
        assert (await act(door, RegisterLocation(code=code, name=code, groups=groups))).refusal is None
    pair = (KitPart(sku="MUG", quantity=Quantity(2)), KitPart(sku="CUP", quantity=Quantity(1)))
    kit = RegisterItem(sku="PAIR", name="Pair", kind="kit", phantom=True, components=pair)
    assert (await act(door, kit)).refusal is None
    await publish(door, "web", Channel(locations=("A", "B", "C"), short=short))


Parts = list[tuple[str, dict[str, str]]]
DIVIDED: list[tuple[dict[str, Any], dict[str, int], Parts]] = [
    ({"one_first": True}, {"MUG": 2, "CUP": 2}, [("B", {"1": "2", "2": "2"})]),
    ({"one_first": False}, {"MUG": 2, "CUP": 2}, [("A", {"1": "2"}), ("C", {"2": "2"})]),
    ({"splits_max": None}, {"MUG": 8}, [("A", {"1": "6"}), ("B", {"1": "2"})]),
    ({"splits_max": 2}, {"MUG": 8}, [("A", {"1": "6"}), ("B", {"1": "2"})]),
    ({"splits_max": 1}, {"MUG": 8}, [("A", {"1": "6"})]),
    # 8 mugs and 7 cups are in three places; of two, A and C hold the most
    ({"splits_max": 3}, {"MUG": 8, "CUP": 7}, [("A", {"1": "6"}), ("C", {"2": "5"}), ("B", {"1": "2", "2": "2"})]),
    ({"splits_max": 2}, {"MUG": 8, "CUP": 7}, [("A", {"1": "6"}), ("C", {"2": "5"})]),
    ({"complete": "any"}, {"MUG": 8}, [("A", {"1": "6"}), ("B", {"1": "2"})]),
    ({"complete": "order"}, {"MUG": 8}, []),
    ({"complete": "order"}, {"MUG": 6}, [("A", {"1": "6"})]),
    # the south has 2 mugs and 7 cups, the north no cup
    ({"complete": "group", "where": BY_GROUP}, {"MUG": 2, "CUP": 6}, [("C", {"2": "5"}), ("B", {"1": "2", "2": "1"})]),
    ({"where": BY_GROUP}, {"MUG": 2, "CUP": 6}, [("A", {"1": "2"}), ("C", {"2": "5"}), ("B", {"2": "1"})]),
    ({"complete": "group", "where": BY_GROUP}, {"MUG": 8}, []),
    ({"where": BY_GROUP}, {"MUG": 8}, [("A", {"1": "6"}), ("B", {"1": "2"})]),
    # a pair is two mugs and a cup (lines 2 and 3): only B has both, and not of two pairs
    ({"kits_together": True}, {"PAIR": 1}, [("B", {"2": "2", "3": "1"})]),
    ({"kits_together": True}, {"PAIR": 2}, []),
    ({"kits_together": False}, {"PAIR": 2}, [("A", {"2": "4"}), ("C", {"3": "2"})]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "units", "expected"), DIVIDED, ids=[f"{rule} {u}" for rule, u, _ in DIVIDED])
async def test_how_an_order_is_divided_is_the_rules_choice(
    door: Door, url: str, rule: dict[str, Any], units: dict[str, int], expected: Parts
):
    await three_shops(door)
    await publish(door, "default", by(msgspec.structs.replace(PARTIAL, **rule)))
    assert parts(await assigned(door, await placed(door, "order", **units))) == expected
    await prove(url)


WHOLE = Rule("whole", complete="order")
REST: list[tuple[str, tuple[Rule, ...], str, Parts, str | None]] = [
    ("the next rule", (WHOLE, PARTIAL), "assigned", [("A", {"1": "6"}), ("B", {"1": "2"})], None),
    ("what there is", (msgspec.structs.replace(PARTIAL, splits_max=1),), "partly", [("A", {"1": "6"})], None),
    ("a queue", (msgspec.structs.replace(WHOLE, otherwise="queue"),), "queued", [], "unsourced"),
    ("another", (msgspec.structs.replace(WHOLE, otherwise="queue", queue="north"),), "queued", [], "north"),
    ("owed", (Rule("one", splits_max=1, otherwise="backorder", backorder_at=("C",)),), "backordered",
     [("A", {"1": "6"})], None),
    ("by the next", (Rule("two", splits_max=1, otherwise="backorder", backorder_at=("X", "B")),), "backordered",
     [("A", {"1": "6"})], None),
]  # fmt: skip


@pytest.mark.parametrize(("why", "rules", "outcome", "expected", "queue"), REST, ids=[case[0] for case in REST])
async def test_what_becomes_of_what_a_rule_cannot_serve(
    door: Door, url: str, why: str, rules: tuple[Rule, ...], outcome: str, expected: Parts, queue: str | None
):
    """Eight mugs, of which no place has more than six."""
    await three_shops(door)
    await publish(door, "default", by(*rules))
    order = await placed(door, MUG=8)
    result = await assigned(door, order)
    assert (result["outcome"], parts(result)) == (outcome, expected)
    assert await rows(url, "select queue from sourcing_queue") == ([(queue,)] if queue else [])
    owing = {rule.backorder_at[-1] for rule in rules if rule.backorder_at}
    found = await rows(
        url, "select l.code, quantity::int from stock_waiting w join location l on l.id = w.location where holder = %s",
        order,
    )  # fmt: skip
    assert found == [(code, 2) for code in owing]
    await prove(url)


@pytest.mark.parametrize(("short", "expected", "waits"), [
    ("refuse", None, 0),
    ("backorder", [("A", {"1": "1"}), ("B", {"1": "1"})], 3),
    ("partial", [("A", {"1": "1"}), ("B", {"1": "1"})], 0),
])  # fmt: skip
async def test_behaviour_10_two_ones_of_five_are_refused_or_go_as_the_channel_says(
    door: Door, url: str, short: Any, expected: Parts | None, waits: int
):
    """Five pens, of which two locations have one each: refused; or two go and three wait, or are cancelled."""
    await stocked(door, location="A", PEN=1)
    await stocked(door, location="B", PEN=1)
    await publish(door, "web", Channel(locations=("A", "B"), short=short))
    outcome = await act(door, wanted(PEN=5))
    if expected is None:
        assert outcome.refusal is not None
        assert "PEN: 5 asked, 2 available" in outcome.refusal.what
        assert await rows(url, "select * from stock_claim") == []
        return
    assert parts(await assigned(door, str(outcome.result["order"]))) == expected
    assert await rows(url, "select coalesce(sum(quantity), 0)::int from stock_waiting") == [(waits,)]
    assert await rows(url, "select cancelled::int from order_line") == [(3 - waits,)]
    await prove(url)


async def test_behaviour_39_capacity_is_read_when_the_decision_is_made(door: Door, url: str, clock: TurnedClock):
    """Placed while A took any number of orders; sourced when it took none more, and the other way round."""
    await stocked(door, location="A", MUG=9)
    await stocked(door, location="B", MUG=3)
    await publish(door, "web", Channel(locations=("A", "B")))
    before = await placed(door, "before", MUG=1)
    assert (await act(door, OperateSite(location="A", capacity_per_day=0))).refusal is None
    while_full = await placed(door, "while full", MUG=1)
    assert parts(await assigned(door, before)) == [("B", {"1": "1"})]
    clock.turn(timedelta(minutes=1))
    assert (await act(door, OperateSite(location="A", capacity_per_day=1))).refusal is None
    assert parts(await assigned(door, while_full)) == [("A", {"1": "1"})]
    await prove(url)
