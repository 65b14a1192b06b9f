"""The ladder of readiness: draft, sellable, shippable, returnable; in memory and in the database the same."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.catalogue.test_amend import publish
from tests.conftest import expect_all
from tests.proof import prove

from trueup.authority.standing import SYSTEM
from trueup.catalogue.read import ItemQuery, items
from trueup.catalogue.readiness import STEPS, ReadinessPolicy, readiness
from trueup.catalogue.register import RegisterItem
from trueup.catalogue.state import Item
from trueup.core import json
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.policy import Known
from trueup.core.quantity import Quantity

POLICY = ReadinessPolicy()
READY = Item(
    id="itm_1", sku="MUG", name="Mug", kind="good", weight_g=Decimal(310), length_mm=Decimal(110), width_mm=Decimal(80),
    height_mm=Decimal(95), lead_days=5, return_days=30,
)  # fmt: skip


def but(**fields: Any) -> Item:
    return msgspec.structs.replace(READY, **fields)


def lacks(item: Item, policy: ReadinessPolicy = POLICY) -> list[str]:
    return [one.rule for one in readiness(item, policy, None).missing]


def test_an_item_climbs_as_far_as_its_data_carries_it():
    assert readiness(READY, POLICY, None).step == "returnable"
    assert readiness(but(return_days=None), POLICY, None).step == "shippable"
    assert readiness(but(weight_g=None), POLICY, None).step == "sellable"
    assert readiness(but(name=" "), POLICY, None).step == "draft"


def test_what_is_missing_is_named_at_every_step_even_below_the_one_that_fails():
    found = readiness(but(name="", weight_g=None, return_days=None), POLICY, None)
    assert [(one.step, one.rule) for one in found.missing] == [
        ("sellable", "name"), ("shippable", "weight_known"), ("returnable", "return_terms"),
    ]  # fmt: skip
    assert all(one.reason and one.fix for one in found.missing)


def test_each_rule_notices_what_it_is_for():
    assert lacks(but(findings=("gtin.invalid",))) == ["gtin_valid"]
    assert lacks(but(tax_class="")) == ["tax_class"]
    assert lacks(but(tax_class="odd"), ReadinessPolicy(tax_classes=("standard",))) == ["tax_class"]
    assert lacks(but(weight_g=Decimal(0))) == ["weight_plausible", "density_plausible"]
    assert lacks(but(weight_g=Decimal(310_000))) == ["density_plausible"], "grams for kilograms"
    assert lacks(but(height_mm=None)) == ["dimensions_known"]
    assert lacks(but(height_mm=Decimal(6_000), weight_g=Decimal(20_000))) == ["dimensions_plausible"]
    assert lacks(but(lead_days=None)) == ["lead_time"]
    assert lacks(but(findings=("packs.inconsistent",))) == ["pack_levels"]


def test_a_charge_and_a_phantom_kit_have_nothing_to_weigh():
    charge = Item(id="itm_2", sku="FREIGHT", name="Freight", kind="charge")
    assert readiness(charge, POLICY, None).step == "returnable"


def test_a_policy_with_a_band_that_holds_nothing_is_refused_with_the_place():
    wrong = ReadinessPolicy(weight_g_min=Quantity(5), weight_g_max=Quantity(1), returnable=("name",))
    assert [fault.where for fault in wrong.faults(Known({}))] == ["weight_g_min", "returnable"]


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


FIGURES = st.integers(1, 10_000_000).map(lambda tenths: str(Decimal(tenths) / 10))
ITEMS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", " ", "Mug"]),
        "kind": st.sampled_from(["good", "charge", "kit"]),
        "gtin": maybe(st.sampled_from(["4006381333931", "4006381333932"])),
        "weight_g": maybe(FIGURES),
        "length_mm": maybe(FIGURES),
        "width_mm": maybe(FIGURES),
        "height_mm": maybe(FIGURES),
        "lead_days": maybe(st.integers(0, 30)),
        "tax_class": st.sampled_from(["standard", "reduced"]),
        "return_days": maybe(st.integers(0, 60)),
        "unit_price": maybe(st.just("9.50")),
        "units": st.sampled_from([{}, {"case": "6"}]),
        "packs": st.sampled_from([{}, {"case": {"count": "6"}}, {"case": {"count": "5", "gtin": "14006381333938"}}]),
    }
)
POLICIES = st.builds(
    ReadinessPolicy,
    sellable=st.sampled_from([("name", "gtin_valid", "tax_class"), (), ("price", "gtin_present")]),
    returnable=st.sampled_from([("return_terms",), ()]),
    tax_classes=st.sampled_from([(), ("standard",)]),
    density_min=st.sampled_from([Quantity(0), Quantity("0.05")]),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ITEMS, min_size=1, max_size=25), st.lists(POLICIES, min_size=1, max_size=4))
async def test_the_list_and_the_item_say_the_same(
    door: Door, url: str, bodies: list[dict[str, Any]], policies: list[ReadinessPolicy]
):
    commands = [
        (uuid.uuid4().hex, json.convert({"sku": f"S{at}", "gtin_kept_because": "a test", **body}, RegisterItem))
        for at, body in enumerate(bodies)
    ]
    expect_all(await door.submit_all(SYSTEM, commands))
    connection = await connect(url)
    try:
        everything = (await items(connection, ItemQuery(limit=200))).items
        for policy in policies:
            for step in STEPS:
                found = (await items(connection, ItemQuery(readiness=step, limit=200), readiness=policy)).items
                told = [item.sku for item in everything if readiness(item, policy, None).step == step]
                assert [item.sku for item in found] == told
    finally:
        await connection.close()


async def test_readiness_is_a_policy_that_can_be_published(door: Door, url: str):
    await publish(door, "readiness", {"shippable": ["weight_known"], "weight_g_max": "30000", "enforce": True})
    await prove(url)
