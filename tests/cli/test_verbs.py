"""`trueup verbs`: what the API takes, each verb with its fields and an example that is one."""

from __future__ import annotations

import shlex

import msgspec
import pytest
from tests.cli.terminal import told

from trueup import house
from trueup.cli.fields import read_body
from trueup.cli.verbs import VERBS
from trueup.core.errors import TrueupError
from trueup.web.api.bodies import placed_elsewhere
from trueup.web.api.routes import WRITES

NAME_OF = {verb.command: verb.name for verb in house.VERBS}


def test_every_act_of_the_api_can_be_done_from_a_terminal():
    assert {NAME_OF[row.command] for row in WRITES} == set(VERBS)
    for row in WRITES:
        verb = VERBS[NAME_OF[row.command]]
        taken = {field.encode_name for field in msgspec.structs.fields(verb.command)}
        assert set(placed_elsewhere(row)) <= taken, "what path and header say are fields of the command"


@pytest.mark.parametrize("name", sorted(VERBS))
def test_a_verb_tells_its_fields_and_an_example_that_is_one(name: str):
    (data,) = told("verbs", name, "--json").json["verbs"]
    verb = VERBS[name]
    fixed = {field for row in WRITES if row.command is verb.command for field in row.fixed}
    declared = {field.encode_name: field for field in msgspec.structs.fields(verb.command)}
    assert {field["name"] for field in data["fields"]} == declared.keys() - fixed
    for field in data["fields"]:
        assert (field["default"] is None) == declared[field["name"]].required
        assert field["takes"] not in ("", "any JSON"), field
    program, do, said, *pairs = shlex.split(data["example"])
    assert (program, do, said) == ("trueup", "do", name)
    assert isinstance(read_body(verb.command, pairs, None), verb.command)
    words = " ".join(told("verbs", name).out.split())
    for text in (data["about"], data["rule"], data["example"], *(field["meaning"] for field in data["fields"])):
        assert " ".join(text.split()) in words
    assert data["about"]
    assert data["rule"]


def test_what_a_docstring_says_of_a_field_stands_at_the_field():
    (data,) = told("verbs", "stock.restate", "--json").json["verbs"]
    meanings = {field["name"]: field["meaning"] for field in data["fields"]}
    assert meanings["lot"] == "of an item that is tracked"
    assert meanings["quantity"] == "above zero, in `unit` (base units without one)"
    assert data["about"] == "Change the status of units of an item at a location."
    (data,) = told("verbs", "orders.place", "--json").json["verbs"]
    meanings = {field["name"]: field["meaning"] for field in data["fields"]}
    assert meanings["promised_at"].startswith("by when the customer was told"), "of an ancestor's docstring"
    assert {struct["name"] for struct in data["within"]} >= {"PlaceLine", "Charge", "Contact"}
    assert not [field for struct in data["within"] for field in struct["fields"] if ">>>" in field["meaning"]]


def test_a_part_of_a_name_lists_those_that_have_it():
    transfers = told("verbs", "transfer").out
    assert [line.split()[0] for line in transfers.splitlines()[:2]] == ["stock.receive_transfer", "stock.ship_transfer"]
    everything = told("verbs").out
    assert all(name in everything for name in VERBS)
    with pytest.raises(TrueupError, match="there is no verb 'teleport'"):
        told("verbs", "teleport")
