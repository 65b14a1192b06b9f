"""What can be asked about master data: readiness, owners, plans, what was overwritten, and an item as of a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.catalogue.test_amend import APPLY, amend, amendment, publish
from tests.catalogue.test_ownership import TAX, WEIGHT, owned
from tests.conftest import stocked
from tests.requests import person

from trueup import house
from trueup.authority.sampled import sample_of
from trueup.authority.standing import SYSTEM
from trueup.catalogue import read_quality
from trueup.catalogue.ownership import FIELDS, Entity
from trueup.core.clock import TurnedClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.worker import notice_now


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Connection]:
    opened = await connect(url)
    yield opened
    await opened.close()


async def policies_of(connection: Connection) -> Policies:
    policies: Policies = (await house.build().load_standing(connection)).policies
    return policies


async def test_an_item_says_what_is_missing_and_whose_it_is(door: Door, connection: Connection):
    await stocked(door, MUG=1)
    await owned(door, WEIGHT)
    found = await read_quality.item_readiness(connection, "MUG", await policies_of(connection))
    assert found is not None
    assert (found.step, found.enforced) == ("sellable", False)
    owners = {one.rule: one.owner for one in found.missing}
    assert owners["weight_known"] == "Warehouse system"
    assert owners["dimensions_known"] is None
    assert await read_quality.item_readiness(connection, "NONE", await policies_of(connection)) is None
    counts = await read_quality.counted(connection, await policies_of(connection))
    assert counts == {"draft": 0, "sellable": 1, "shippable": 0, "returnable": 0}


async def test_fields_that_nobody_owns_are_findings(door: Door, connection: Connection):
    await publish(door, "fields", {"fields": [{"name": "colour"}]}, "item")
    none = read_quality.unowned(await policies_of(connection))
    assert len(none) == sum(len(fields) - 1 for fields in FIELDS.values()) + 1, "custom ones by name, of which one is"
    assert "fields.colour" in {one.field for one in none}
    await owned(door, TAX, {"entity": "item", "field": "fields", "owner": "Data Steward"})
    left = read_quality.unowned(await policies_of(connection))
    assert {one.field for one in none} - {one.field for one in left} == {"tax_class", "fields.colour"}


async def test_what_was_overwritten_is_listed_latest_first(door: Door, connection: Connection):
    await stocked(door, MUG=1, CUP=1)
    await owned(door, WEIGHT)
    steward = await person(door, "Stella", "Data Steward")
    for sku, who in (("MUG", steward), ("CUP", SYSTEM)):
        await door.submit(who, amend(amendment(sku, {"weight_g": "310"})), sku)
    first = await read_quality.overwritten(connection, read_quality.OverwrittenQuery(limit=1))
    rest = await read_quality.overwritten(connection, read_quality.OverwrittenQuery(limit=1, cursor=first.next))
    found = [*first.items, *rest.items]
    assert {one.key for one in found} == {"CUP", "MUG"}
    assert {(one.field, one.by_name, one.after) for one in found} == {
        ("weight_g", name, "310") for name in ("Stella", "Trueup")
    }
    only = await read_quality.overwritten(connection, read_quality.OverwrittenQuery(object="MUG"))
    assert [one.key for one in only.items] == ["MUG"]


async def test_an_item_as_of_a_time_past_and_to_come(door: Door, url: str, connection: Connection, clock: TurnedClock):
    start = clock.now()
    await stocked(door, MUG=1)
    clock.turn(timedelta(hours=1))
    await door.submit(SYSTEM, amend(amendment("MUG", {"lead_days": 5})), "five")
    clock.turn(timedelta(hours=1))
    await door.submit(SYSTEM, amend(amendment("MUG", {"lead_days": 9}, effective_from="2026-03-05")), "nine")

    async def lead_days(**ahead: int) -> int | str | None:
        at = start + timedelta(**ahead)
        found = await read_quality.item_as_of(connection, "MUG", at, await policies_of(connection))
        return "unknown" if found is None else found.lead_days

    told = [await lead_days(hours=-1), await lead_days(), await lead_days(hours=1), await lead_days(days=2)]
    assert [*told, await lead_days(days=3)] == ["unknown", None, 5, 5, 9]
    assert [one.key for one in await read_quality.planned(connection, read_quality.PlannedQuery(object="MUG"))] == [
        "MUG"
    ]
    clock.turn(timedelta(days=4))
    await notice_now(url, door, APPLY)
    told = [await lead_days(hours=1), await lead_days(days=2), await lead_days(days=5)]
    assert told == [5, 5, 9], "that it has happened changes nothing"
    applied = await read_quality.planned(connection, read_quality.PlannedQuery(ending="applied"))
    assert [(one.key, one.ending) for one in applied] == [("MUG", "applied")]


async def test_the_sampled_rows_of_a_change_are_shown_beside_what_stands(door: Door, connection: Connection):
    await stocked(door, MUG=1)
    row: dict[str, Any] = {"sku": "MUG", "fields": {"weight_g": "310", "fields": {"colour": "red"}}}
    rows: list[tuple[Entity, str, dict[str, Any]]] = [("item", "MUG", row)] * 30
    chosen = sample_of("c" * 64, len(rows), 3)
    found = await read_quality.sampled(connection, rows, chosen)
    assert [row.number for row in found] == [number + 1 for number in chosen]
    assert found[0].differences == {"weight_g": (None, "310"), "fields.colour": (None, "red")}
