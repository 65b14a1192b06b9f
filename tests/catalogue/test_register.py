"""Registering items: one item per key, whoever registers it, and a version for every change."""

from __future__ import annotations

import asyncio

from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.door import Door


async def test_two_doors_register_one_item(door: Door, url: str, clock: TurnedClock):
    async with Door(url, house.build(), clock=clock) as other:
        for turn in range(15):
            same = RegisterItem(sku=f"S{turn}", name="Mug", aliases=(f"s{turn}",))
            outcomes = await asyncio.gather(
                door.submit(SYSTEM, same, f"a{turn}"), other.submit(SYSTEM, same, f"b{turn}")
            )
            assert sorted(outcome.status for outcome in outcomes) == ["applied", "merged"]
            assert outcomes[0].result["item"] == outcomes[1].result["item"]
    assert await rows(url, "select count(*) from item") == [(15,)]
    await prove(url)


async def test_changes_from_two_doors_each_get_a_version(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    async with Door(url, house.build(), clock=clock) as other:
        for turn in range(15):
            outcomes = await asyncio.gather(
                door.submit(SYSTEM, RegisterItem(sku="MUG", name=f"a{turn}"), f"a{turn}"),
                other.submit(SYSTEM, RegisterItem(sku="MUG", name=f"b{turn}"), f"b{turn}"),
                door.submit(SYSTEM, RegisterLocation(code="MAIN", name=f"a{turn}"), f"la{turn}"),
                other.submit(SYSTEM, RegisterLocation(code="MAIN", name=f"b{turn}"), f"lb{turn}"),
            )
            assert {outcome.status for outcome in outcomes} == {"applied"}
    assert await rows(url, "select version from item union all select version from location") == [(31,), (31,)]
    await prove(url)


async def test_a_key_names_one_item(door: Door, url: str):
    await stocked(door, MUG=1, CUP=1)
    for number, command in enumerate((RegisterItem(sku="MUG", name="Mug", aliases=("CUP",)),
                                      RegisterItem(sku="TASSE", name="Tasse", aliases=("MUG",)))):  # fmt: skip
        outcome = await door.submit(SYSTEM, command, f"{number}")
        assert outcome.refusal is not None
        assert outcome.refusal.rule == "catalogue.key_taken"
    assert await rows(url, "select key from item_key order by key") == [("CUP",), ("MUG",)]
    await prove(url)


async def test_a_wrong_gtin_is_left_out_and_listed(door: Door, url: str):
    outcome = await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug", gtin="4006381333932"), "one")
    assert outcome.result["findings"] == ["gtin.invalid"]
    assert await rows(url, "select gtin, findings from item") == [(None, ["gtin.invalid"])]
    await prove(url)
