"""Custom fields: typed by a policy, kept on items, locations and customers, and lists narrowed by them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.read import ItemQuery, LocationQuery, items, locations
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core import json
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refusal, Refused
from trueup.core.fields import CustomFields, checked
from trueup.parties.read import CustomerQuery, customers
from trueup.parties.record import RecordCustomer

RULES: list[dict[str, Any]] = [
    {"name": "colour", "type": "choice", "choices": ["red", "blue"], "searchable": True, "label": "Colour"},
    {"name": "height_cm", "type": "number", "searchable": True},
    {"name": "since", "type": "date"},
    {"name": "fragile", "type": "bool", "searchable": True},
    {"name": "note"},
]


async def publish(door: Door, entity: str, rules: list[dict[str, Any]], reason: str = "first") -> None:
    command = PublishPolicy(policy_kind="fields", policy_name=entity, document={"fields": rules}, reason=reason)
    expect_all([await door.submit(SYSTEM, command, f"{entity} {reason}")])


def rules_of(*rules: dict[str, Any]) -> CustomFields:
    return json.convert({"fields": list(rules or RULES)}, CustomFields)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"colour": "red", "note": "a"}, {"colour": "red", "note": "a"}),
        ({"height_cm": 12}, {"height_cm": "12"}),
        ({"height_cm": "012.50"}, {"height_cm": "12.5"}),
        ({"since": "2026-02-28"}, {"since": "2026-02-28"}),
        ({"fragile": False}, {"fragile": False}),
    ],
)
def test_values_are_kept_as_their_type(given: dict[str, Any], kept: dict[str, Any]):
    assert checked(rules_of(), given) == kept


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"color": "red"}, "fields.unknown"),
        ({"colour": "green"}, "fields.value"),
        ({"height_cm": "12cm"}, "fields.value"),
        ({"height_cm": True}, "fields.value"),
        ({"since": "2026-02-30"}, "fields.value"),
        ({"since": "20260228"}, "fields.value"),
        ({"fragile": "yes"}, "fields.value"),
        ({"note": " "}, "fields.value"),
        ({"note": 5}, "fields.value"),
    ],
)
def test_it_refuses_what_is_no_value(given: dict[str, Any], rule: str):
    refused = checked(rules_of(), given)
    assert isinstance(refused, Refusal)
    assert (refused.rule, refused.where) == (rule, f"fields.{next(iter(given))}")


def test_an_unknown_name_is_told_which_there_are():
    refused = checked(rules_of(), {"color": "red"})
    assert isinstance(refused, Refusal)
    assert "colour, height_cm, since, fragile, note" in refused.fix


def test_a_field_that_left_the_document_keeps_its_value_unless_it_changes():
    assert checked(rules_of({"name": "note"}), {"old": "x"}, {"old": "x"}) == {"old": "x"}
    assert isinstance(checked(rules_of({"name": "note"}), {"old": "y"}, {"old": "x"}), Refusal)


@pytest.mark.parametrize(
    "rules",
    [
        [{"name": "a"}, {"name": "a"}],
        [{"name": "a", "type": "choice"}],
        [{"name": "a", "choices": ["x"]}],
        [{"name": "a", "type": "choice", "choices": ["x", "x"]}],
        [{"name": "Not A Name"}],
    ],
)
async def test_it_refuses_a_document_with_a_mistake(door: Door, rules: list[dict[str, Any]]):
    command = PublishPolicy(policy_kind="fields", policy_name="item", document={"fields": rules}, reason="wrong")
    outcome = await door.submit(SYSTEM, command, "wrong")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "policy.invalid"


async def test_it_refuses_a_document_that_nothing_reads(door: Door):
    command = PublishPolicy(policy_kind="fields", policy_name="items", document={}, reason="typo")
    outcome = await door.submit(SYSTEM, command, "typo")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "policy.unknown_name"
    assert "customer, item, location, order" in outcome.refusal.fix


async def test_items_places_and_customers_carry_fields_and_are_found_by_them(door: Door, url: str):
    for entity in ("item", "location", "customer"):
        await publish(door, entity, RULES)
    expect_all(
        await door.submit_all(
            SYSTEM,
            [
                ("mug", RegisterItem(sku="MUG", name="Mug", fields={"colour": "red", "height_cm": "9.50"})),
                ("cup", RegisterItem(sku="CUP", name="Cup", fields={"colour": "blue", "fragile": True})),
                ("tin", RegisterItem(sku="TIN", name="Tin")),
                ("main", RegisterLocation(code="MAIN", name="Main", fields={"fragile": True})),
                ("ada", RecordCustomer(source="shop", number="1", fields={"colour": "red"})),
            ],
        )
    )
    connection = await connect(url)
    try:
        for wanted, skus in (("colour:red", ["MUG"]), ("fragile:true", ["CUP"]), ("height_cm:9.5", ["MUG"]),
                             ("colour:blue", ["CUP"])):  # fmt: skip
            page = await items(connection, ItemQuery(field=wanted), rules_of())
            assert [item.sku for item in page.items] == skus, wanted
        for wrong in ("colour", "since:2026-01-01", "nothing:1", "colour:green"):
            with pytest.raises(Refused) as refused:
                await items(connection, ItemQuery(field=wrong), rules_of())
            assert refused.value.refusal.rule == "read.field"
        assert [p.code for p in await locations(connection, LocationQuery(field="fragile:true"), rules_of())] == [
            "MAIN"
        ]
        assert await locations(connection, LocationQuery(field="fragile:false"), rules_of()) == ()
        found = await customers(connection, CustomerQuery(field="colour:red"), rules_of())
        assert [(one.number, one.fields) for one in found.items] == [("1", {"colour": "red"})]
    finally:
        await connection.close()
    await prove(url)


async def test_a_required_field_is_asked_for_and_nothing_is_written_without_it(door: Door, url: str):
    await stocked(door, MUG=1)
    await publish(door, "item", [{"name": "colour", "required": True}])
    for sku in ("MUG", "CUP"):
        outcome = await door.submit(SYSTEM, RegisterItem(sku=sku, name="New name"), sku)
        assert outcome.refusal is not None
        assert outcome.refusal.rule == "fields.required"
    assert await rows(url, "select sku, name from item") == [("MUG", "Mug")]


async def test_a_customer_recorded_again_keeps_the_fields(door: Door, url: str):
    await publish(door, "customer", RULES)
    commands = [
        ("one", RecordCustomer(source="shop", number="1", fields={"colour": "red"})),
        ("two", RecordCustomer(source="shop", number="1")),
        ("three", RecordCustomer(source="shop", number="1", country="DE")),
        ("four", RecordCustomer(source="shop", number="1", country="DE", fields={})),
    ]
    found = []
    for key, command in commands:
        outcome = await door.submit(SYSTEM, command, key)
        found.append((outcome.status, (await rows(url, "select fields from customer"))[0][0]))
    assert found == [
        ("applied", {"colour": "red"}),
        ("merged", {"colour": "red"}),
        ("applied", {"colour": "red"}),
        ("applied", None),
    ]
    await prove(url)
