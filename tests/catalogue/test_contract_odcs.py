"""Contracts come and go as ODCS 3.1 documents; what is not run here is kept, and what cannot be read is named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trueup.catalogue.contract import Contract, Entity, Field, RowCheck, Rule, When, rules_of
from trueup.catalogue.contract_import import read_contract
from trueup.catalogue.contract_odcs import exported, imported, not_run
from trueup.catalogue.contract_yaml import read_yaml, write_yaml
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Known

REAL_LOOKING = """
# What the catalogue team and the storefront agreed.
version: 2.4.1
apiVersion: v3.1.0
kind: DataContract
id: 6a1f0c5e-catalogue-items
name: catalogue_items
tenant: Northwind Tea
status: active
domain: master-data
dataProduct: items
contractCreatedTs: 2026-01-01T08:30:00Z
description:
  purpose: Items as the storefront, the warehouse and the carrier need them.
  usage: Read hourly; no is not yes.
  limitations: |
    No prices of suppliers.
    No images.
  authoritativeDefinitions:
    - url: https://example.org/items
      type: businessDefinition
tags: [items, "2026", 'no', off, 12:30]
team:
  name: master data
  members:
    - username: ada@example.org
      role: owner
      dateIn: 2025-11-03
support:
  - channel: "#items"
    tool: slack
    url: https://example.org/chat
price: {priceAmount: 9.95, priceCurrency: EUR, priceUnit: megabyte}
servers:
  - server: shop
    type: postgres
    host: db.example.org
    port: 5432
    database: shop
    schema: public
roles:
  - role: reader
    access: read
    firstLevelApprovers: Data Steward
slaProperties:
  - {property: latency, value: 4, unit: h, element: item.sku}
  - {property: timeToInitiate, value: 2, unit: d, driver: operational}
  - {property: retention, value: 3, unit: y}
customProperties:
  - {property: costCentre, value: [4711, 4712]}
  - {property: trueupOwnerRole, value: Data Steward, description: whose case a breach is}
schema:
  - name: item
    physicalName: ITEMS_V2
    logicalType: object
    physicalType: table
    businessName: Items
    dataGranularityDescription: One row per SKU.
    tags: [golden]
    properties:
      - name: sku
        logicalType: string
        physicalType: varchar(40)
        required: true
        unique: false
        primaryKey: true
        primaryKeyPosition: 1
        logicalTypeOptions: {pattern: "[A-Z0-9-]+", maxLength: 40}
        examples: [TEA-1, "0012"]
      - name: gtin
        logicalType: string
        unique: true
        criticalDataElement: true
        quality:
          - id: gtin_shape
            type: library
            metric: invalidValues
            arguments: {pattern: "[0-9]{8,14}"}
            mustBe: 0
            dimension: conformity
            severity: error
            customProperties:
              - {property: trueupContainment, value: quarantine_item}
          - metric: nullValues
            name: most have a GTIN
            unit: percent
            mustBeLessThan: 5
      - name: weight_g
        logicalType: number
        logicalTypeOptions: {minimum: 0.5, maximum: 30000, multipleOf: 0.5}
        quality:
          - {name: weight is known, metric: missingValues, arguments: {missingValues: ["", null]}, mustBe: 0,
             description: The carrier asks for it., businessImpact: operational}
      - name: category
        relationships:
          - {to: categories.code, type: foreignKey}
        quality:
          - name: category is one of ours
            metric: invalidValues
            arguments: {validValues: [tea, cups, "no"]}
            mustBe: 0
    quality:
      - {name: enough, type: sql, query: "select count(*) from item", mustBeGreaterThan: 100}
      - {name: names are meaningful, type: text, description: No placeholder names.}
      - name: kits have a price
        type: custom
        engine: trueup
        implementation: {kind: range, field: unit_price, minimum: 0.01, when: {field: kind, values: [kit]}}
      - name: soda checks it
        type: custom
        engine: soda
        implementation: "checks for item: [duplicate_count(sku) = 0]"
  - name: supplier
    physicalName: SUPPLIERS
    properties:
      - {name: id, logicalType: integer, required: true}
"""


def contract_of(text: str) -> Contract:
    """The contract that the text is."""
    found = read_contract(text)
    assert isinstance(found, Contract), found
    return found


def document_of(text: str) -> dict[str, Any]:
    """The document that the text is, as it stands."""
    found = read_yaml(text)
    assert isinstance(found, dict), found
    return found


def test_import_then_export_loses_nothing():
    contract = contract_of(REAL_LOOKING)
    before, after = document_of(REAL_LOOKING), exported("items", contract)
    level = next(entry for entry in after["slaProperties"] if entry["property"] == "timeToInitiate")
    assert level == {"property": "timeToInitiate", "value": 2, "unit": "d", "driver": "operational"}
    assert after == before
    assert document_of(write_yaml(after)) == before, "neither through the text"
    assert imported(after) == contract, "and it is the same contract again"


def test_it_survives_being_a_policy_document():
    contract = contract_of(REAL_LOOKING)
    kept = json.decode(json.encode(contract), Contract)
    assert exported("items", kept) == document_of(REAL_LOOKING)
    assert contract.faults(Known({})) == []


def test_what_is_known_is_run_and_what_is_not_is_named():
    contract = contract_of(REAL_LOOKING)
    assert (contract.owner_role, contract.initiate_hours, contract.version) == ("Data Steward", 48, "2.4.1")
    running = {rule.name: (rule.check.kind, rule.severity, rule.containment) for rule in rules_of(contract)}
    assert running == {
        "sku.required": ("required", 3, "none"),
        "sku.pattern": ("pattern", 3, "none"),
        "gtin.unique": ("unique", 3, "none"),
        "gtin.rule1": ("pattern", 2, "quarantine_item"),
        "weight_g.range": ("range", 3, "none"),
        "weight is known": ("required", 3, "none"),
        "category is one of ours": ("one_of", 3, "none"),
        "kits have a price": ("range", 3, "none"),
    }
    assert not_run(contract) == ("enough", "names are meaningful", "soda checks it", "most have a GTIN")


def test_a_contract_of_our_own_goes_out_and_comes_back():
    rules = (
        Rule(name="fresh", check=RowCheck(kind="fresh", hours=48), severity=1, containment="quarantine_item"),
        Rule(name="taxed", check=RowCheck(kind="one_of", field="tax_class", values=("standard", "food"),
                                          when=When("kind", ("good",)))),
    )  # fmt: skip
    name = Rule(name="named", check=RowCheck(kind="required", field="name"))
    fields = (
        Field(name="name", type="string", rules=(name,)),
        Field(name="lead_days", type="integer", maximum=Decimal(90)),
    )
    contract = Contract(
        id="ours", severity=2, containment="quarantine_item", initiate_hours=6, owner_role="Data Steward",
        entities=(Entity(name="item", fields=fields, rules=rules),),
    )  # fmt: skip
    document = exported("ours", contract)
    assert document["apiVersion"] == "v3.1.0"
    assert document["schema"][0]["properties"][0]["quality"] == [{"name": "named", "metric": "nullValues", "mustBe": 0}]
    again = contract_of(write_yaml(document))
    assert exported("ours", again) == document
    assert list(rules_of(again)) == list(rules_of(contract))
    assert (again.severity, again.containment, again.initiate_hours) == (2, "quarantine_item", 6)


def test_a_change_here_goes_out_where_it_came_in():
    contract = contract_of(REAL_LOOKING)
    changed = json.convert({**json.to_plain(contract), "owner_role": "Sponsor", "initiate_hours": 4}, Contract)
    document = exported("items", changed)
    assert document["customProperties"][1] == {
        "property": "trueupOwnerRole", "value": "Sponsor", "description": "whose case a breach is",
    }  # fmt: skip
    assert document["slaProperties"][1]["value"] == 4
    assert document["slaProperties"][1]["unit"] == "h"


def test_words_that_look_like_something_else_stay_text():
    tags = document_of(REAL_LOOKING)["tags"]
    assert tags == ["items", "2026", "no", "off", "12:30"]
    assert document_of(write_yaml({"a": ["no", "true", "1e3", "0x10", "null", "2026-01-01", ""]})) == {
        "a": ["no", "true", "1e3", "0x10", "null", "2026-01-01", ""]
    }


HEAD = "version: 1.0.0\napiVersion: v3.1.0\nkind: DataContract\nid: a\nstatus: active\n"
ITEM = HEAD + "schema:\n- name: item\n"


@pytest.mark.parametrize(
    ("text", "where", "value", "fix"),
    [
        ("version: [", "line 1", "", "Write it out"),
        ("a: 1\na: 2", "line 2", "", "Write it out"),
        ("a: &x [1]\nb: *x", "line 2", "", "Write it out"),
        ("- a", "line 1", "", "apiVersion"),
        (HEAD.replace("v3.1.0", "v2.2.2"), "apiVersion", "v2.2.2", "3.1.0"),
        (HEAD.replace("id: a", "id: 7"), "id", "7", "quotes"),
        (HEAD.replace("kind: DataContract", "kind: DataProduct"), "kind", "DataProduct", "contract"),
        (HEAD + "schema: item", "schema", "item", "- name: item"),
        (ITEM + "  properties:\n  - {name: sku, required: yes}", "schema[0].properties[0].required", "yes", "true"),
        (ITEM + "  properties:\n  - {logicalType: string}", "schema[0].properties[0].name", "", "name"),
        (ITEM + "  properties:\n  - {name: sku, logicalType: varchar}", "schema[0].properties[0].logicalType",
         "varchar", "physicalType"),
        (ITEM + "  properties:\n  - {name: lead_days, logicalType: integer, logicalTypeOptions: {minimum: one}}",
         "schema[0].properties[0].logicalTypeOptions.minimum", "one", "unquoted"),
        (ITEM + "  quality:\n  - {name: q, type: custom, engine: trueup, implementation: {kind: sql}}",
         "schema[0].quality[0].implementation", "sql", "kind: range"),
        (ITEM + "  quality:\n  - {name: q, customProperties: [{property: trueupContainment, value: refund_all}]}",
         "schema[0].quality[0].customProperties.trueupContainment", "refund_all", "Choose one"),
        (HEAD + "slaProperties: [{property: timeToInitiate, value: soon}]", "slaProperties.timeToInitiate", "soon h",
         "value: 24"),
    ],
)  # fmt: skip
def test_an_error_names_path_value_rule_and_fix(text: str, where: str, value: str, fix: str):
    found = read_contract(text)
    assert isinstance(found, Refusal), found
    assert found.where.startswith(where)
    assert value in found.value
    assert fix in found.fix
    assert found.what


def test_all_faults_are_named_at_once():
    found = read_contract(ITEM.replace("id: a", "id: 7") + "  properties:\n  - {name: sku, required: yes}")
    assert isinstance(found, Refusal)
    assert [detail.where for detail in found.details] == ["id", "schema[0].properties[0].required"]


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        (RowCheck(kind="required", field="colour"), "entities[0].rules[0].field"),
        (RowCheck(kind="pattern", field="sku", pattern="(a+)+$"), "entities[0].rules[0].pattern"),
        (RowCheck(kind="pattern", field="sku", pattern="["), "entities[0].rules[0].pattern"),
        (RowCheck(kind="range", field="weight_g"), "entities[0].rules[0].minimum"),
        (RowCheck(kind="unique", field="category"), "entities[0].rules[0].field"),
        (RowCheck(kind="fresh"), "entities[0].rules[0].hours"),
        (RowCheck(kind="required", field="sku", when=When("flavour", ("x",))), "entities[0].rules[0].when.field"),
    ],
)
def test_a_rule_that_cannot_be_run_is_refused_with_its_place(rule: RowCheck, where: str):
    contract = Contract(entities=(Entity(name="item", rules=(Rule(name="r", check=rule),)),))
    assert [fault.where for fault in contract.faults(Known({}))] == [where]
