"""Data contracts on partners: a term that is missing or not plausible is a case at that moment, until it is agreed."""

from __future__ import annotations

from tests.catalogue.test_partners import GLN, amend, known, partner, terms
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import order_of, rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue import breach_read
from trueup.catalogue.contract import Contract, in_words, rules_of
from trueup.catalogue.contract_import import ImportContract
from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.oversight.breach_exposure import stake
from trueup.storyline import settled

TERMS = """apiVersion: v3.1.0
kind: DataContract
id: terms
name: terms
version: 1.0.0
status: active
schema:
  - name: partner
    properties:
      - name: gln
        unique: true
      - name: lead_days
        logicalType: integer
        logicalTypeOptions:
          maximum: 60
    quality:
      - name: suppliers say when they deliver
        type: custom
        engine: trueup
        implementation: {kind: required, field: lead_days, when: {field: kind, values: [supplier]}}
"""


async def imported(door: Door, url: str) -> None:
    command = ImportContract(name="terms", document=TERMS, reason="what partners must say")
    outcome = await door.submit(SYSTEM, command, "contract")
    assert outcome.status == "applied", outcome.refusal
    await settled(door, url, house.build())


async def failing(url: str) -> list[tuple[str, str]]:
    return await rows(url, "select key, rule from breach where ended_at is null order by key, rule")


async def test_a_missing_or_implausible_term_is_a_case_at_that_moment_until_it_is_agreed(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=1)
    await known(door, partner(gln=GLN), RegisterItem(sku="MUG", name="Mug", supplier="BRNO"), order_of(MUG=1))
    await imported(door, url)
    assert await failing(url) == [("BRNO", "suppliers say when they deliver")], "what is there is looked at at once"
    await known(door, partner("POST", kind="carrier"), partner("WIEN", lead_days=90, gln=GLN))
    await settled(door, url, house.build())
    assert await failing(url) == [
        ("BRNO", "suppliers say when they deliver"), ("WIEN", "gln.unique"), ("WIEN", "lead_days.range"),
    ]  # fmt: skip
    assert await rows(url, "select count(*) from cases where kind = 'contract_breach'") == [(3,)]
    ((one,),) = await rows(url, "select id from partner where code = 'BRNO'")
    connection = await connect(url)
    try:
        assert (await stake(connection, "partner", [one], clock.now())).orders == 1, "the open orders of its items"
    finally:
        await connection.close()
    await known(door, amend(terms({"lead_days": 14}), terms({"lead_days": 30, "gln": None}, "WIEN")))
    await settled(door, url, house.build())
    assert await failing(url) == [], "it ends when the same rule passes on the same keys"
    assert await rows(url, "select count(*) from cases where closed_at is null") == [(3,)], "people close them"
    await prove(url)


async def test_a_contract_on_partners_comes_in_and_goes_out_as_odcs(door: Door, url: str, clock: TurnedClock):
    await imported(door, url)
    connection = await connect(url)
    try:
        found = await breach_read.contract(connection, "terms", clock.now())
        contracts = await breach_read.contracts_published(connection)
    finally:
        await connection.close()
    assert found is not None
    ((_, _, contract),) = contracts
    assert {rule.name: (rule.entity, in_words(rule.check)) for rule in rules_of(contract)} == {
        "gln.unique": ("partner", "gln is no other row's"),
        "lead_days.range": ("partner", "lead_days is 60 or less"),
        "suppliers say when they deliver": ("partner", "lead_days has a value, where kind is supplier"),
    }
    again = ImportContract(name="terms", document=found.odcs, reason="as it went out")
    outcome = await door.submit(SYSTEM, again, "again")
    assert outcome.status == "merged", outcome


async def test_a_contract_asks_for_no_field_that_partners_do_not_have(door: Door, url: str):
    wrong = TERMS.replace("name: lead_days\n        logicalType", "name: weight_g\n        logicalType")
    outcome = await door.submit(SYSTEM, ImportContract(name="terms", document=wrong, reason="wrong"), "wrong")
    assert outcome.refusal is not None
    assert "answer_within_minutes" in str(outcome.refusal), "it says which there are"
    assert await rows(url, "select * from policy where kind = %s", Contract.kind) == []
