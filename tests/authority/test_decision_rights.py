"""The register: every key there is has one decider, and what is not mapped nobody may change."""

from __future__ import annotations

import msgspec
import pytest
from tests.board import declared, published
from tests.proof import prove
from tests.requests import rows

from trueup import house
from trueup.authority.apply import ApplyChange
from trueup.authority.decision_rights import Decision, DecisionRights, Need, Quorum, needs
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.policy import Known
from trueup.core.verb import Governed
from trueup.orders.workflow import Workflow

SHIPPED = DecisionRights()


def test_every_key_of_the_code_has_one_decider():
    """Fails when a policy gains a field, or a room a governed field, that nobody was given to decide."""
    assert SHIPPED.faults(house.known()) == []


def test_a_new_key_of_the_code_is_noticed():
    known = house.known()
    grown = Known(known.commands, known.governed | {"holds.brand_new"})
    assert [fault.value for fault in SHIPPED.faults(grown)] == ["holds.brand_new"]


def also(*keys: str, decider: str = "Sponsor") -> tuple[Decision, ...]:
    return (*SHIPPED.decisions, Decision(keys=keys, domain="IT", decider=decider))


@pytest.mark.parametrize(
    ("decisions", "value", "what"),
    [
        (SHIPPED.decisions[1:], "rights.roles", "nobody decides"),
        (also("rights.roles"), "rights.roles", "2 times"),
        (also("holds.nothing"), "holds.nothing", "governed"),
        (also(decider="King"), "King", "no role"),
        (also(decider="Administrator"), "Administrator", "decides nothing"),
    ],
    ids=["hole", "overlap", "unknown key", "unknown role", "administrator"],
)
def test_a_register_with_a_mistake_is_refused_with_its_place(decisions: tuple[Decision, ...], value: str, what: str):
    broken = DecisionRights(decisions=decisions)
    found = [fault for fault in broken.faults(house.known()) if fault.value == value]
    assert found
    assert what in found[0].what
    assert found[0].where.startswith("decisions")


def test_an_entry_of_a_key_may_have_a_decider_of_its_own():
    refined = DecisionRights(
        decisions=(*SHIPPED.decisions, Decision(keys=("workflow.transitions:placed>cancelled",), domain="Operations",
                                                decider="Sponsor")),
    )  # fmt: skip
    assert refined.faults(house.known()) == []
    of = refined.of
    assert of("workflow.transitions:placed>cancelled").decider == "Sponsor"  # type: ignore[union-attr]
    assert of("workflow.transitions:placed>sourced").decider == "Operations Process Owner"  # type: ignore[union-attr]
    assert of("nothing.at_all") is None


def test_what_cannot_be_replayed_needs_the_higher_quorum():
    one = [Governed("feed.mass_items_min", "policy/feed/x#mass_items_min", "")]
    register = DecisionRights(quorum=Quorum(it=1, unreplayed=2))
    assert [need.count for need in needs(register, one, unreplayed=False, small=False)] == [1, 1]  # type: ignore[union-attr]
    assert [need.count for need in needs(register, one, unreplayed=True, small=False)] == [1, 3]  # type: ignore[union-attr]


def test_what_is_not_mapped_nobody_may_change():
    register = DecisionRights(decisions=())
    refusal = needs(
        register, [Governed("holds.types", "policy/holds/default#types", "")], unreplayed=False, small=False
    )
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "authority.unmapped"


async def test_an_edge_of_the_workflow_is_decided_by_its_own_decider(door: Door, url: str):
    refined = [*msgspec.to_builtins(SHIPPED.decisions), {"keys": ["workflow.transitions:placed>cancelled"],
               "domain": "Operations", "decider": "Finance"}]  # fmt: skip
    assert (await door.submit(SYSTEM, published("decision_rights", decisions=refined), "register")).status == "applied"
    company = await declared(door)
    transitions = msgspec.to_builtins(Workflow().transitions)
    for edge in transitions:
        if (edge["from"], edge["on"]) == ("placed", "cancelled"):
            edge["reason"] = "customer"
    change = await company.propose(company.Lea, published("workflow", "sale", transitions=transitions))
    touched = await rows(url, "select key, object from change_object")
    assert touched == [("workflow.transitions:placed>cancelled", "policy/workflow/sale#transitions:placed>cancelled")]
    await company.approve(change, company.Olga)
    assert await company.refused(company.Ivan, ApplyChange(change=change[0])) == "authority.not_approved"
    await company.approve(change, company.Finn)
    await company.apply(company.Ivan, change)
    await prove(url)


def test_a_need_names_the_part_of_who_decides_in_parts_alone():
    assert Need(("Master Data Owner",), 1, "", ("partner:BRNO",)).who == "Master Data Owner over partner:BRNO, or all"
    assert Need(("Finance",), 1, "", ("partner:BRNO",)).who == "Finance"
    assert Need(("Change Control Board", "IT Process Owner"), 2, "").who == "Change Control Board or IT Process Owner"
