"""Breach: a rule that fires is a case at that moment; after 24 hours without an act, containment applies itself."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.catalogue.breaches import (
    CHECK,
    DAY,
    MINUTE,
    PRICE,
    PRICE_FIRST,
    case_of,
    items_contract,
    notice,
    publish,
    write_item,
)
from tests.conftest import START, expect_all, stocked
from tests.proof import prove
from tests.requests import order_of, person, receipt, rows

from trueup import house
from trueup.authority.overrides import GrantOverride
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.cases import read as cases
from trueup.cases.act import ActOnCase, CommentOnCase
from trueup.cases.close import CloseCase
from trueup.cases.merge import MergeCase
from trueup.cases.open import OpenCase
from trueup.catalogue import breach_read
from trueup.catalogue.contract import Contract, Entity, RowCheck, Rule
from trueup.catalogue.cost import RecordCost
from trueup.catalogue.operate import OperateSite
from trueup.catalogue.quarantine import ReleaseContainment
from trueup.catalogue.register import RegisterLocation
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.sourcing.allocate import AllocateUnits
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.parts import MovePart
from trueup.storyline import settled
from trueup.worker import notice_now


async def place(door: Door, key: str, **units: int) -> str:
    """Place an order without anything that follows."""
    outcome = await door.submit(SYSTEM, order_of(**units), key)
    assert outcome.status == "applied", outcome.refusal
    order: str = outcome.result["order"]
    return order


async def source(door: Door, order: str, key: str) -> Outcome:
    """Source an order now."""
    return await door.submit(SYSTEM, AssignOrder(order=order), key)


async def allocated(url: str, order: str) -> int:
    """Return how many units of an order are allocated."""
    return int((await rows(url, "select units_allocated from orders where id = %s", order))[0][0])


async def breached(door: Door, url: str) -> tuple[str, str]:
    """Put a contract in force that the item MUG, of which there are ten, breaks; return its id and the case's."""
    await stocked(door, MUG=10)
    await publish(door, items_contract())
    await settled(door, url, house.build())
    case = await case_of(url)
    assert case is not None
    item = (await rows(url, "select id from item where sku = 'MUG'"))[0][0]
    return item, case[0]


async def record(door: Door, sku: str, cost: str, key: str = "cost") -> str:
    """Record what a unit costs; return the item's id."""
    command = RecordCost(sku=sku, cost=Amount(cost), currency="EUR", effective_from=START.date(), source=key)
    done = await door.submit(SYSTEM, command, key)
    assert done.status == "applied", done.refusal
    item: str = done.result["item"]
    return item


async def act(door: Door, case: str, key: str = "act") -> Outcome:
    """Do something with an effect about MUG, and say so on the case."""
    item = await record(door, "MUG", "4", f"cost {key}")
    said = ActOnCase(case=case, effect=item, note="The supplier was asked.")
    return await door.submit(SYSTEM, said, key)


async def test_a_rule_that_fires_opens_a_case_at_that_moment(door: Door, url: str) -> None:
    await publish(door, items_contract())
    await write_item(door, url, "GOOD", "good", weight_g=Quantity(5))
    assert await case_of(url) is None, "what passes is no case"
    item = await write_item(door, url, "BAD", "bad")
    case = await case_of(url)
    assert case is not None
    id_, status, severity, owner, _price, subjects = case
    assert (status, severity, owner, subjects) == ("open", 3, "Master Data Owner", 1)
    other = await write_item(door, url, "WORSE", "worse")
    again = await case_of(url)
    assert again is not None
    assert (again[0], again[5]) == (id_, 2), "one rule is one case, with the keys as its subjects"
    found = await rows(url, "select subject, rule, detail, due_at - since from breach order by key")
    assert found == [
        (item, "weight.known", "weight_g is empty", DAY),
        (other, "weight.known", "weight_g is empty", DAY),
    ]
    await prove(url)


async def test_containment_at_24_h(door: Door, url: str, clock: TurnedClock) -> None:
    """Not at 23:59; and a worker that was dead changes nothing but when somebody was told."""
    item, _ = await breached(door, url)
    first, second = await place(door, "first", MUG=1), await place(door, "second", MUG=1)
    clock.turn(DAY - MINUTE)
    assert (await source(door, first, "at 23:59")).status == "applied"
    assert await notice(url, door) == 0
    clock.turn(MINUTE)
    refused = await source(door, second, "at 24:00, before any worker")
    assert refused.refusal is not None
    assert refused.refusal.rule == "catalogue.quarantined"
    assert await allocated(url, second) == 0
    assert await allocated(url, first) == 1, "what was allocated before stays allocated"
    clock.turn(2 * DAY)
    assert await notice(url, door) == 1, "the worker comes two days late"
    told = await rows(url, "select due_at, told_at from breach where subject = %s", item)
    assert told[0][1] - told[0][0] == 2 * DAY, "it is told late, and says since when it holds"
    assert await notice(url, door) == 0, "once"
    reserved = await rows(url, "select reserved from stock_balance where item = %s", item)
    assert reserved == [(1,)], "the order that waits keeps its reservation"
    await prove(url)


async def test_a_contained_item_is_allocated_by_no_way(door: Door, url: str, clock: TurnedClock) -> None:
    """Not by the rules, not by hand, not by moving what is allocated."""
    await breached(door, url)
    first, second = await place(door, "first", MUG=1), await place(door, "second", MUG=1)
    assert (await source(door, first, "before")).status == "applied"
    part = (await rows(url, "select id from fulfilment_order where order_id = %s", first))[0][0]
    await stocked(door, location="NORTH", MUG=10)
    clock.turn(DAY)
    ways = {
        "rules": AssignOrder(order=second),
        "hand": AllocateUnits(order=second, line=1, location="MAIN", quantity=Quantity(1)),
        "move": MovePart(order=first, fulfilment_order=part, location="NORTH"),
    }
    for name, command in ways.items():
        refused = await door.submit(SYSTEM, command, name)
        assert refused.refusal is not None, name
        assert refused.refusal.rule == "catalogue.quarantined", name
        assert "weight.known" in refused.refusal.what
    assert (await allocated(url, first), await allocated(url, second)) == (1, 0)
    await prove(url)


async def test_other_lines_of_the_order_do_not_wait(door: Door, url: str, clock: TurnedClock) -> None:
    await breached(door, url)
    await write_item(door, url, "PLATE", "plate", weight_g=Quantity(400))
    expect_all([await door.submit(SYSTEM, receipt(5, "PLATE"), "plates")])
    order = await place(door, "order", MUG=1, PLATE=2)
    clock.turn(DAY)
    done = await source(door, order, "in part")
    assert done.status == "applied", done.refusal
    assert await allocated(url, order) == 2, "the plates; the mug waits"
    await prove(url)


async def test_a_cause_that_comes_back_within_30_days_is_the_same_case(
    door: Door, url: str, clock: TurnedClock
) -> None:
    _, case = await breached(door, url)
    await write_item(door, url, "MUG", "corrected", name="Mug", weight_g=Quantity(300))
    close = CloseCase(case=case, root_cause="data_definition", note="The supplier sends weights now.")
    closed = await door.submit(SYSTEM, close, "close")
    assert closed.status == "applied", closed.refusal
    clock.turn(20 * DAY)
    await write_item(door, url, "MUG", "lost again", name="Mug")
    found = await case_of(url)
    assert found is not None
    assert (found[0], found[1]) == (case, "open")
    assert await rows(url, "select count(*) from breach where case_id = %s", case) == [(2,)]
    await prove(url)


async def test_every_rule_is_run_on_everything_each_night(door: Door, url: str, clock: TurnedClock) -> None:
    """What only time breaks is found, too: nobody wrote the item."""
    fresh = Rule(name="looked at", check=RowCheck(kind="fresh", hours=72))
    await publish(door, items_contract(fresh))
    item = await write_item(door, url, "MUG", "mug", weight_g=Quantity(300))
    assert await notice_now(url, door, CHECK) == 1
    assert await case_of(url, "looked at") is None
    clock.turn(3 * DAY + MINUTE)
    assert await notice_now(url, door, CHECK) == 1
    found = await rows(url, "select subject, detail from breach where rule = 'looked at'")
    assert found == [(item, "last written 2026-03-02 09:00 UTC, more than 72 h ago")]
    await prove(url)


async def test_a_twin_is_found_and_passes_when_the_other_one_changes(door: Door, url: str) -> None:
    twins = Rule(name="one name", check=RowCheck(kind="unique", field="gtin"))
    await publish(door, items_contract(twins))
    await write_item(door, url, "MUG", "mug", weight_g=Quantity(300), gtin="4006381333931")
    await write_item(door, url, "CUP", "cup", weight_g=Quantity(200), gtin="4006381333931")
    found = await rows(url, "select key, detail from breach where ended_at is null and rule = 'one name'")
    assert found == [("CUP", "gtin is '4006381333931', as another item has it")]
    await write_item(door, url, "MUG", "other", name="Mug", weight_g=Quantity(300), gtin="5901234123457")
    assert await rows(url, "select key from breach where ended_at is null") == [], "CUP's rule was run again"


async def test_a_containment_that_is_due_reads_the_same_everywhere(door: Door, url: str, clock: TurnedClock) -> None:
    """The function and its SQL agree at every stage."""
    await breached(door, url)
    for turn in (timedelta(0), DAY - MINUTE, MINUTE, DAY):
        clock.turn(turn)
        connection = await connect(url)
        try:
            page = await breach_read.breaches(connection, breach_read.BreachQuery(), clock.now())
            (summary,) = await breach_read.contracts(connection, clock.now())
        finally:
            await connection.close()
        assert summary.contained_keys == sum(row.stage == "contained" for row in page.items)


async def test_locations_are_under_contract_too(door: Door, url: str) -> None:
    """Whether a location is written whole, or only how it works from day to day."""
    rule = Rule(name="late", check=RowCheck(kind="one_of", field="cutoff", values=("15:00", "16:00")), severity=2)
    sites = Contract(id="sites", entities=(Entity(name="location", rules=(rule,)),))
    await publish(door, sites, name="sites", key="sites")
    for command, failing in (
        (RegisterLocation(code="NORTH", name="North", cutoff="15:00"), []),
        (OperateSite(location="NORTH", cutoff="23:00"), [("NORTH", "cutoff is '23:00', not one of 15:00, 16:00")]),
        (OperateSite(location="NORTH", cutoff="16:00"), []),
    ):
        done = await door.submit(SYSTEM, command, f"{command}")
        assert done.status == "applied", done.refusal
        await settled(door, url, house.build())
        assert await rows(url, "select key, detail from breach where ended_at is null") == failing
    assert await rows(url, "select severity, subjects from cases") == [(2, 1)]
    await prove(url)


async def test_a_containment_is_for_the_entity_it_is_about(door: Door) -> None:
    rule = Rule(name="r", check=RowCheck(kind="required", field="country"), containment="quarantine_item")
    wrong = Contract(entities=(Entity(name="location", rules=(rule,)),))
    command = PublishPolicy(
        policy_kind="contract", policy_name="sites", document=json.to_plain(wrong), reason="too much"
    )
    refused = await door.submit(SYSTEM, command, "wrong")
    assert refused.refusal is not None
    assert "it is for a rule about each item: nothing more of the item is allocated" in refused.refusal.what
    assert refused.refusal.where == "entities[0].rules[0].containment"


async def test_a_comment_does_not_stop_the_breach_clock(door: Door, url: str, clock: TurnedClock) -> None:
    _, case = await breached(door, url)
    order = await place(door, "order", MUG=1)
    comment = CommentOnCase(case=case, text="We are looking into it.")
    assert (await door.submit(SYSTEM, comment, "comment")).status == "applied"
    clock.turn(DAY)
    assert (await source(door, order, "after a comment")).status == "refused"
    await prove(url)


async def test_an_act_with_an_effect_stops_it(door: Door, url: str, clock: TurnedClock) -> None:
    _, case = await breached(door, url)
    order = await place(door, "order", MUG=1)
    clock.turn(DAY - MINUTE)
    assert (await act(door, case)).status == "applied"
    clock.turn(2 * MINUTE)
    assert await notice(url, door) == 0
    assert (await source(door, order, "after an act")).status == "applied"
    await prove(url)


async def test_an_act_after_24_h_is_too_late_for_the_containment(door: Door, url: str, clock: TurnedClock) -> None:
    _, case = await breached(door, url)
    order = await place(door, "order", MUG=1)
    clock.turn(DAY + MINUTE)
    assert (await act(door, case)).status == "applied"
    assert (await source(door, order, "still contained")).status == "refused"


async def test_it_is_lifted_by_itself_when_the_same_rule_passes_on_the_same_key(
    door: Door, url: str, clock: TurnedClock
) -> None:
    _, case = await breached(door, url)
    order = await place(door, "order", MUG=1)
    clock.turn(DAY)
    assert (await source(door, order, "contained")).status == "refused"
    close = CloseCase(case=case, root_cause="data_definition", note="Done, I say.")
    refused = await door.submit(SYSTEM, close, "close too early")
    assert refused.refusal is not None
    assert refused.refusal.rule == "catalogue.still_failing", "it closes when the rule passes, not by assertion"
    other = OpenCase(cause="weights", kind="weights", title="Weights", severity=1, owner_role="Data Steward")
    elsewhere = (await door.submit(SYSTEM, other, "another case")).result["case"]
    merge = await door.submit(SYSTEM, MergeCase(case=case, into=elsewhere, reason="one trouble"), "merge")
    assert merge.refusal is not None
    assert merge.refusal.rule == "catalogue.still_failing", "nor by making it part of another"
    await write_item(door, url, "MUG", "corrected", name="Mug", weight_g=Quantity(300))
    assert await allocated(url, order) == 1, "what waited was sourced by the storyline"
    found = await case_of(url)
    assert found is not None
    assert found[1] == "acted", "passing is an act that the system saw; a person closes it with its root cause"
    assert (await door.submit(SYSTEM, close, "close")).status == "applied"
    await prove(url)


async def lifted(door: Door, url: str, lift: ReleaseContainment) -> str:
    """Ask that a containment is lifted, let the Sponsor grant it and what follows follow; return the override."""
    asked = await door.submit(SYSTEM, lift, f"lift {door.now()}")
    assert asked.status == "pending_approval", asked.refusal
    await settled(door, url, house.build())
    sponsor = await person(door, f"Sue {door.now()}", "Sponsor")
    expect_all([await door.submit(sponsor, GrantOverride(override=asked.result["override"]), f"grant {door.now()}")])
    await settled(door, url, house.build())
    return str(asked.result["override"])


async def test_a_containment_can_be_lifted_for_a_while_and_holds_again(
    door: Door, url: str, clock: TurnedClock
) -> None:
    _, case = await breached(door, url)
    order, later = await place(door, "order", MUG=1), await place(door, "later", MUG=1)
    lift = ReleaseContainment(case=case, hours=8, reason="A press day; weighed by hand.")
    early = await door.submit(SYSTEM, lift, "nothing to lift yet")
    assert early.refusal is not None
    assert early.refusal.rule == "catalogue.not_contained"
    clock.turn(DAY)
    await lifted(door, url, lift)
    assert await allocated(url, order) == 1
    clock.turn(timedelta(hours=8))
    assert (await source(door, later, "a loan comes due")).status in ("refused", "merged")
    third = await place(door, "third", MUG=1)
    assert (await source(door, third, "contained again")).status == "refused"
    await prove(url)


async def test_a_breach_recurs_as_a_breach_of_its_own(door: Door, url: str, clock: TurnedClock) -> None:
    item, _ = await breached(door, url)
    await write_item(door, url, "MUG", "corrected", name="Mug", weight_g=Quantity(300))
    clock.turn(DAY)
    await write_item(door, url, "MUG", "lost again", name="Mug")
    found = await rows(url, "select ended_by, due_at - since from breach where subject = %s order by id", item)
    assert found == [("passed", DAY), (None, DAY)], "its clock starts anew"
    clock.turn(DAY - MINUTE)
    assert await notice(url, door) == 0
    clock.turn(MINUTE)
    assert await notice(url, door) == 1
    await prove(url)


async def test_a_rule_that_leaves_its_contract_ends_its_breaches_as_withdrawn(door: Door, url: str) -> None:
    item, _ = await breached(door, url)
    await publish(door, items_contract(status="retired"), key="retired")
    await settled(door, url, house.build())
    assert await rows(url, "select ended_by from breach where subject = %s", item) == [("withdrawn",)]
    await prove(url)


async def test_its_price_is_of_the_open_orders_it_touches(door: Door, url: str) -> None:
    await stocked(door, MUG=10)
    order = await place(door, "order", MUG=3)
    expect_all([await source(door, order, "source")])
    await publish(door, items_contract())
    await settled(door, url, house.build())
    price, source_ = (await rows(url, "select price_per_hour, source from cases"))[0]
    inputs = {entry["name"]: entry["value"] for entry in source_["inputs"]}
    assert inputs["open orders touched"] == "1"
    assert Decimal(inputs["value of the others"]) == 30, "three units at 10.00, of which no cost is known"
    assert price == Decimal("0.020833"), "the floor of 0.50 a day for one order: 30 x 0.30 x 0.05 is less"
    await place(door, "large", MUG=7)
    await record(door, "MUG", "4")
    await notice_now(url, door, PRICE)
    price, source_ = (await rows(url, "select price_per_hour, source from cases"))[0]
    inputs = {entry["name"]: entry["value"] for entry in source_["inputs"]}
    assert Decimal(inputs["margin of units with a known cost"]) == 60, "ten units at 10.00 that cost 4.00"
    assert price == (Decimal(60) * Decimal("0.05") / 24).quantize(Decimal("0.000001"))
    assert source_["formula"].startswith("(margin of open units")
    await prove(url)


async def test_a_breach_that_opened_before_any_order_is_priced_after_orders_came(
    door: Door, url: str, clock: TurnedClock
) -> None:
    _, case = await breached(door, url)
    found = "select c.price_per_hour, c.source from cases c where c.id = %s"
    assert [price for price, _ in await rows(url, found, case)] == [0]
    assert await notice_now(url, door, PRICE_FIRST) == 0, "nothing differs, so that nothing is written"
    await place(door, "order", MUG=3)
    clock.turn(MINUTE)
    assert await notice_now(url, door, PRICE_FIRST) == 1
    price, source_ = (await rows(url, found, case))[0]
    assert price == Decimal("0.020833")
    assert source_["inputs"][0]["value"] == "1"
    await place(door, "another", MUG=2)
    assert await notice_now(url, door, PRICE_FIRST) == 0, "it has a price; the next one follows with those of all"
    assert await notice_now(url, door, PRICE) == 1
    assert await notice_now(url, door, PRICE) == 0
    price, source_ = (await rows(url, found, case))[0]
    assert price == Decimal("0.041667")
    assert source_["inputs"][0]["value"] == "2"
    connection = await connect(url)
    try:
        detail = await cases.case(
            connection, case, clock.now(), (await house.build().load_standing(connection)).policies
        )
    finally:
        await connection.close()
    assert detail is not None
    assert detail.priced_at == START + MINUTE
    await prove(url)
