"""Who owns which field: asked on every write, whichever verb makes it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.catalogue.test_amend import amend, amendment, publish, refusal_of
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import person, rows

from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.catalogue.amend_locations import AmendLocations
from trueup.catalogue.ownership import FieldOwner, FieldOwnership, owns, parts_of
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.catalogue.state import Item
from trueup.core import json
from trueup.core.door import Door
from trueup.core.policy import Known
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Command

TAX = {"entity": "item", "field": "tax_class", "owner": "Finance"}
WEIGHT = {"entity": "item", "field": "weight_g", "owner": "Warehouse system", "mode": "accept_and_log"}
POSTCODE = {"entity": "location", "field": "postcode", "owner": "Fulfilment Lead"}


async def owned(door: Door, *owners: dict[str, Any]) -> None:
    await publish(door, "field_ownership", {"owners": list(owners)})


async def system(door: Door, name: str, *roles: str) -> Actor:
    outcome = await door.submit(SYSTEM, RegisterActor(name=name, kind="service", roles=roles), f"register {name}")
    return Actor(outcome.result["actor"], "service", name, frozenset(roles))


WRITES: dict[str, Command] = {
    "amend": amend(amendment("MUG", {"tax_class": "reduced"})),
    "plan": amend(amendment("MUG", {"tax_class": "reduced"}, effective_from="2026-04-01")),
    "register": RegisterItem(sku="MUG", name="Mug", tax_class="reduced"),
    "create": RegisterItem(sku="NEW", name="New", tax_class="reduced"),
}


@pytest.mark.parametrize("how", WRITES)
async def test_a_field_is_written_by_its_owner_alone_whichever_verb_writes_it(door: Door, url: str, how: str):
    await stocked(door, MUG=1)
    await owned(door, TAX)
    before = await rows(url, "select to_jsonb(i) from item i order by id")
    steward = await person(door, "Stella", "Data Steward")
    refusal = refusal_of(await door.submit(steward, WRITES[how], "not hers"))
    assert refusal.rule == "catalogue.not_the_owner"
    assert "belongs to Finance" in refusal.what
    assert "the role Finance" in refusal.fix
    assert await rows(url, "select to_jsonb(i) from item i order by id") == before
    assert await rows(url, "select * from planned_amendment") == []
    owner = await person(door, "Fay", "Finance", "Data Steward")
    outcome = await door.submit(owner, WRITES[how], "hers")
    assert outcome.status == "applied", outcome.refusal
    await prove(url)


async def test_who_leaves_the_owned_field_as_it_is_writes_the_others(door: Door, url: str):
    await stocked(door, MUG=1)
    await owned(door, TAX)
    steward = await person(door, "Stella", "Data Steward")
    same = amend(amendment("MUG", {"tax_class": "standard", "lead_days": 4}))
    outcome = await door.submit(steward, same, "the others")
    assert outcome.status == "applied", outcome.refusal
    assert await rows(url, "select tax_class, lead_days from item") == [("standard", 4)]
    await prove(url)


async def test_what_is_accepted_and_logged_is_written_and_listed(door: Door, url: str):
    await stocked(door, MUG=1)
    await owned(door, WEIGHT)
    steward = await person(door, "Stella", "Data Steward")
    outcome = await door.submit(steward, amend(amendment("MUG", {"weight_g": "310"})), "hers")
    assert outcome.status == "applied", outcome.refusal
    assert await rows(url, "select weight_g from item") == [(310,)]
    logged = await rows(url, "select key, field, owner, written_by, before, after from field_overwritten")
    assert logged == [("MUG", "weight_g", "Warehouse system", steward.id, None, "310")]
    warehouse = await system(door, "Warehouse system", "Integration Owner")
    await door.submit(warehouse, amend(amendment("MUG", {"weight_g": "311"})), "its own")
    assert await rows(url, "select weight_g from item") == [(311,)]
    assert await rows(url, "select count(*) from field_overwritten") == [(1,)]
    await prove(url)


async def test_a_location_has_owners_too_and_its_day_to_day_work_has_bands_instead(door: Door, url: str):
    await stocked(door, MUG=1)
    await owned(door, POSTCODE)
    steward = await person(door, "Stella", "Data Steward")
    moved = json.convert({"rows": [{"code": "MAIN", "fields": {"postcode": "10115"}}]}, AmendLocations)
    assert refusal_of(await door.submit(steward, moved, "moved")).rule == "catalogue.not_the_owner"
    again = RegisterLocation(code="MAIN", name="Main", postcode="10115")
    assert refusal_of(await door.submit(steward, again, "again")).rule == "catalogue.not_the_owner"
    closed = RegisterLocation(code="MAIN", name="Main", open=False, capacity_per_day=5)
    assert (await door.submit(steward, closed, "closed")).status == "applied"
    assert await rows(url, "select postcode, open from location") == [(None, False)]
    await prove(url)


async def test_a_custom_field_has_an_owner_by_its_name_or_with_the_others(door: Door, url: str):
    await stocked(door, MUG=1)
    await publish(door, "fields", {"fields": [{"name": "colour"}, {"name": "story"}]}, "item")
    await owned(
        door,
        {"entity": "item", "field": "fields", "owner": "Master Data Owner"},
        {"entity": "item", "field": "fields.story", "owner": "Data Steward"},
    )
    steward = await person(door, "Stella", "Data Steward")
    ours = amend(amendment("MUG", {"fields": {"story": "a mug"}}))
    theirs = amend(amendment("MUG", {"fields": {"colour": "red"}}))
    assert (await door.submit(steward, ours, "ours")).status == "applied"
    assert refusal_of(await door.submit(steward, theirs, "theirs")).where == "fields.colour"
    await prove(url)


async def test_without_owners_everybody_who_may_amend_items_may(door: Door, url: str):
    await stocked(door, MUG=1)
    steward = await person(door, "Stella", "Data Steward")
    command = RegisterItem(sku="MUG", name="Mug", tax_class="reduced", weight_g=Quantity(1))
    assert (await door.submit(steward, command, "hers")).status == "applied"
    await prove(url)


def test_a_role_over_a_category_owns_the_fields_of_its_items_alone():
    tea = Actor(
        "act_1", "person", "Tia", frozenset({"Master Data Owner"}), over={"Master Data Owner": ("category:tea",)}
    )
    green = Item(id="itm_1", sku="GREEN", name="Green", kind="good", category="tea", brand="Aurora")
    assert owns(tea, "Master Data Owner", parts_of(green))
    assert not owns(tea, "Master Data Owner", parts_of(msgspec.structs.replace(green, category="cups")))
    assert owns(msgspec.structs.replace(tea, over={}), "Master Data Owner", ())


def test_a_document_with_a_mistake_names_its_place():
    owners = (
        FieldOwner(entity="item", field="colour", owner="Finance"),
        FieldOwner(entity="item", field="name", owner="Finance"),
        FieldOwner(entity="item", field="name", owner="Sponsor"),
        FieldOwner(entity="location", field="open", owner="Sponsor"),
    )
    faults = FieldOwnership(owners=owners, timezone="Mars").faults(Known({}))
    assert [fault.where for fault in faults] == ["owners[0].field", "owners[2].field", "owners[3].field", "timezone"]
