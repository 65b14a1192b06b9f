"""Decision tables: which holds they place, on what, under which conditions; and which of them a rule may release."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.conftest import expect_all, stocked
from tests.orders.holding import axes, held, hold, place, publish, rule, table, with_type
from tests.proof import prove
from tests.requests import order_of, priced_order, rows

from trueup import house, worker
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.orders.draft import ConfirmDraft, SaveDraft
from trueup.orders.hold import ReleaseHold, ReleaseHolds
from trueup.orders.hold_upkeep import AgeHolds, RecheckHolds, ReleaseByRule, due_to_recheck
from trueup.parties.record import RecordCustomer
from trueup.parties.state import Contact

ORDER = priced_order("10.00", MUG=2, CUP=1)
CONDITIONS: list[tuple[tuple[str, str, Any], bool]] = [
    (("order.total", "over", "29.99"), True), (("order.total", "over", "30"), False),
    (("order.total", "under", "30.01"), True), (("order.total", "under", 30), False),
    (("order.total", "between", ["30", "40"]), True), (("order.total", "between", [31, 40]), False),
    (("order.total", "is", "30"), True), (("order.discount", "is", 0), True), (("order.discount", "over", 0), False),
    (("order.currency", "in", ["USD", "EUR"]), True), (("order.currency", "not_in", ["EUR"]), False),
    (("order.type", "is", "sale"), True), (("order.type", "is", "loan"), False),
    (("order.channel", "is", "web"), True), (("order.channel", "in", ["shop"]), False),
    (("order.delivery", "is", "ship"), True), (("order.delivery", "is", "pickup"), False),
    (("order.ship_country", "is", "DE"), True), (("order.ship_country", "in", ["FR", "AT"]), False),
    (("order.ship_country", "present", True), True), (("order.ship_country", "present", False), False),
    (("order.flags", "in", ["total_mismatch"]), True), (("order.flags", "in", ["unknown_customer"]), False),
    (("order.flags", "not_in", ["unknown_customer"]), True), (("order.flags", "not_in", ["total_mismatch"]), False),
    (("order.flags", "present", True), True),
    (("order.lines", "is", 2), True), (("order.lines", "over", 2), False),
    (("order.units", "is", 3), True), (("order.units", "under", 3), False),
    (("order.hour", "between", [8, 9]), True), (("order.hour", "over", 9), False),
    (("customer.known", "is", False), True), (("customer.known", "is", True), False),
    (("customer.orders", "is", 0), True), (("customer.country", "present", False), True),
    (("customer.country", "not_in", ["DE"]), True), (("customer.country", "in", ["DE"]), False),
    (("item.sku", "in", ["CUP"]), True), (("item.sku", "is", "PAN"), False),
    (("item.category", "is", "toys"), True), (("item.category", "present", False), True),
    (("item.tax_class", "is", "standard"), True), (("item.tracking", "is", "serial"), False),
    (("item.quantity", "over", 1), True), (("item.quantity", "over", 2), False),
    (("item.amount", "over", "19.99"), True), (("item.amount", "over", "20"), False),
]  # fmt: skip


async def test_each_condition_holds_and_fails_as_it_says(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=500, CUP=500)
    expect_all([await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug", category="toys"), "toys")])
    wanted = msgspec.structs.replace(ORDER, ship_country="DE", source_total=ORDER.lines[0].unit_price)
    tables = [table(rule("r", "manual", condition), name=f"t{at}") for at, (condition, _) in enumerate(CONDITIONS)]
    outcome = await publish(door, "holds", tables=tables)
    assert outcome.status == "applied", outcome.refusal
    order = (await place(door, "place", command=wanted))["order"]
    found = {name for (name,) in await rows(url, "select rule from order_hold where order_id = %s", order)}
    expected = {f"t{at}/r" for at, (_, holds) in enumerate(CONDITIONS) if holds}
    assert found == expected, [CONDITIONS[int(name[1:-2])] for name in found ^ expected]
    await prove(url)


async def test_an_hour_is_read_in_the_policys_zone(door: Door, url: str):
    """The clock stands at 09:00 UTC, which is 10:00 in Berlin and 04:00 in New York."""
    await stocked(door, MUG=10)
    for zone, hour in (("UTC", 9), ("Europe/Berlin", 10), ("America/New_York", 4)):
        await publish(door, "holds", timezone=zone, tables=[table(rule("r", "manual", ("order.hour", "is", hour)))])
        assert await held(url, (await place(door, zone, MUG=1))["order"]) == [("manual", None)]


async def test_first_stops_at_the_first_match_and_all_asks_every_rule(door: Door, url: str):
    await stocked(door, MUG=10)
    rules = (
        rule("none", "credit", ("order.units", "over", 100)),
        rule("small", "address", ("order.units", "under", 5)),
        rule("any", "payment"),
    )
    for hit, expected in (("first", ["address"]), ("all", ["address", "payment"])):
        await publish(door, "holds", tables=[table(*rules, hit=hit)])
        order = (await place(door, hit, MUG=1))["order"]
        assert [type_ for type_, _ in await held(url, order)] == expected
    await prove(url)


async def test_a_rule_holds_the_order_or_each_line_that_all_its_conditions_match(door: Door, url: str):
    await stocked(door, MUG=50, CUP=50, PAN=50)
    conditions = (("item.sku", "in", ["MUG", "CUP", "PAN"]), ("item.quantity", "over", 2))
    for on, expected in (("order", [("compliance", None)]), ("lines", [("compliance", 1), ("compliance", 3)])):
        await publish(door, "holds", tables=[table(rule("many", "compliance", *conditions, on=on))])
        order = (await place(door, on, MUG=3, CUP=2, PAN=4))["order"]
        assert await held(url, order) == expected
    await publish(door, "holds", tables=[table(rule("many", "compliance", *conditions, on="lines"))])
    nothing = (await place(door, "nothing", MUG=1, CUP=2, PAN=1))["order"]
    assert await axes(url, nothing) == ("clear", 0, 1)
    await prove(url)


async def test_a_channels_own_document_goes_before_the_default(door: Door, url: str):
    await stocked(door, MUG=10)
    await publish(door, "holds", tables=[table(rule("any", "payment"))])
    await publish(door, "holds", "shop", tables=[table(rule("any", "credit"))])
    shop = msgspec.structs.replace(order_of(MUG=1), channel="shop")
    assert await held(url, (await place(door, "web", MUG=1))["order"]) == [("payment", None)]
    assert await held(url, (await place(door, "shop", command=shop))["order"]) == [("credit", None)]


async def test_a_customers_earlier_orders_count_within_the_batch_too(door: Door, url: str):
    await stocked(door, MUG=10)
    customer = RecordCustomer(source="shop", number="C1", country="FR", contact=Contact(name="Ada"))
    expect_all([await door.submit(SYSTEM, customer, "customer")])
    await publish(door, "channel", "web", duplicate_minutes=0)
    first_time = rule("first", "fraud", ("customer.known", "is", True), ("customer.orders", "under", 1))
    abroad = rule("abroad", "address", ("customer.country", "is", "FR"), ("customer.orders", "is", 1))
    await publish(door, "holds", tables=[table(first_time, name="new"), table(abroad, name="abroad")])
    wanted = msgspec.structs.replace(order_of(MUG=1), customer="C1", customer_source="shop")
    outcomes = await door.submit_all(SYSTEM, [(f"order {at}", wanted) for at in range(3)])
    found = [await held(url, outcome.result["order"]) for outcome in outcomes]
    assert found == [[("fraud", None)], [("address", None)], []]
    later = (await place(door, "later", command=wanted))["order"]
    assert await held(url, later) == []
    await prove(url)


_WHEN = "tables[0].rules[0].when[0]"


async def test_a_confirmed_draft_is_asked_like_any_order(door: Door, url: str):
    """Its customer's earlier orders count, the same goods within minutes are suspected, and tables hold it."""
    await stocked(door, MUG=10)
    expect_all([await door.submit(SYSTEM, RecordCustomer(source="shop", number="C1"), "customer")])
    await publish(door, "holds", tables=[table(rule("again", "credit", ("customer.orders", "is", 1)))])
    who: dict[str, Any] = {"customer": "C1", "customer_source": "shop"}
    await place(door, "first", command=msgspec.structs.replace(order_of(MUG=1), **who))
    saved = await door.submit(SYSTEM, SaveDraft(currency="EUR", lines=order_of(MUG=1).lines, **who), "save")
    confirmed = await door.submit(SYSTEM, ConfirmDraft(draft=saved.result["draft"]), "confirm")
    assert confirmed.status == "applied", confirmed.refusal
    assert confirmed.result["flags"] == ["suspected_duplicate"]
    assert await held(url, confirmed.result["order"]) == [("credit", None)]
    await prove(url)


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"types": with_type("fraud", releasable_by_rule=True)}, "types[1].releasable_by_rule", "never released by a rule"),
    ({"types": with_type("manual", releasable_by_rule=True)}, "types[7].releasable_by_rule", "never released"),
    ({"types": with_type("compliance", releasable_by_rule=True)}, "types[6].releasable_by_rule", "never released"),
    ({"types": with_type("payment")[1:]}, "types", "'payment' cannot be removed"),
    ({"types": [*with_type("payment"), {"name": "payment"}]}, "types", "two types have one name"),
    ({"types": with_type("Own Type")}, "types[8].name", "small letters"),
    ({"types": with_type("stock", blocks=["Sourced!"])}, "types[4].blocks[0]", "small letters"),
    ({"tables": [table(rule("r", "whim"))]}, "tables[0].rules[0].hold", "there is no type 'whim'"),
    ({"tables": [table(rule("r", "fraud"), rule("r", "fraud"))]}, "tables[0].rules", "two rules"),
    ({"tables": [table(rule("r", "fraud")), table(rule("r", "fraud"))]}, "tables", "two tables"),
    ({"tables": [table(rule("r", "fraud"), on="sourced")]}, "tables[0].on", "reported by Trueup"),
    ({"tables": [table(rule("r", "fraud", ("order.mood", "is", "x")))]}, f"{_WHEN}.field", "order.total"),
    ({"tables": [table(rule("r", "fraud", ("order.type", "over", "x")))]}, f"{_WHEN}.op", "is, in"),
    ({"tables": [table(rule("r", "fraud", ("order.lines", "over", 1.5)))]}, f"{_WHEN}.value", "float"),
    ({"tables": [table(rule("r", "fraud", ("order.lines", "between", [5, 1])))]}, f"{_WHEN}.value",
     "lower"),
    ({"tables": [table(rule("r", "fraud", ("order.type", "in", [])))]}, f"{_WHEN}.value", "list"),
    ({"tables": [table(rule("r", "fraud", ("order.type", "is", 5)))]}, f"{_WHEN}.value", "text"),
    ({"tables": [table(rule("r", "fraud", ("customer.known", "is", "yes")))]}, f"{_WHEN}.value",
     "true or false"),
    ({"tables": [table(rule("r", "fraud", ("order.type", "is", "x"), on="lines"))]}, "tables[0].rules[0].on", "item.*"),
    ({"tables": [table({**rule("r", "fraud"), "when": [{"field": "order.total", "op": "over", "value": 5}]})]},
     _WHEN, "one currency"),
    ({"timezone": "Mars/Base"}, "timezone", "no such zone"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "where", "what"), BROKEN, ids=[f"{at}-{b[1]}" for at, b in enumerate(BROKEN)])
async def test_a_document_with_a_mistake_is_refused_with_its_place(
    door: Door, document: dict[str, Any], where: str, what: str
):
    outcome = await publish(door, "holds", **document)
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "policy.invalid"
    assert [detail for detail in outcome.refusal.details if detail.where == where and what in detail.what]


async def test_behaviour_40_people_alone_release_fraud_manual_and_compliance(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    for type_ in ("fraud", "manual", "compliance", "payment"):
        await hold(door, order, type_)
        outcome = await door.submit(SYSTEM, ReleaseByRule(order=order, type=type_, reason="gone"), f"rule {type_}")
        assert outcome.refusal is not None, type_
        assert outcome.refusal.rule == "orders.released_by_people"
    assert (await axes(url, order))[1] == 4
    for type_ in ("stock", "data"):
        await hold(door, order, type_)
        command = ReleaseByRule(order=order, type=type_, reason="it came in", rule="stock.received")
        outcome = await door.submit(SYSTEM, command, f"rule {type_}")
        assert (outcome.status, len(outcome.result["released"])) == ("applied", 1)
        again = await door.submit(SYSTEM, command, f"again {type_}")
        assert again.status == "merged"
    assert [type_ for type_, _ in await held(url, order)] == ["compliance", "fraud", "manual", "payment"]
    people = ReleaseHolds(reason="looked at", channel="web")
    assert (await door.submit(SYSTEM, people, "people")).result["holds_released"] == 4
    await prove(url)


@pytest.mark.parametrize("allowed", [True, False])
async def test_whether_a_rule_releases_a_type_is_a_policy(door: Door, url: str, allowed: bool):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    await publish(door, "holds", types=with_type("credit", releasable_by_rule=allowed))
    await hold(door, order, "credit")
    outcome = await door.submit(SYSTEM, ReleaseByRule(order=order, type="credit", reason="paid"), "rule")
    assert outcome.status == ("applied" if allowed else "refused")
    assert (await axes(url, order))[0] == ("clear" if allowed else "held")
    await prove(url)


async def test_a_tables_hold_goes_when_its_cause_is_gone_and_not_before(door: Door, url: str):
    """Behaviour 40: items without a category are a data hold; fraud under the same condition stays."""
    await stocked(door, MUG=10)
    missing = (("item.category", "present", False),)
    await publish(door, "holds", tables=[
        table(rule("data", "data", *missing, on="lines"), name="data"),
        table(rule("fraud", "fraud", *missing), name="fraud"),
    ])  # fmt: skip
    order = (await place(door, "place", MUG=2))["order"]
    assert await held(url, order) == [("data", 1), ("fraud", None)]
    by_rule = ReleaseByRule(order=order, type="data", reason="said so")
    early = await door.submit(SYSTEM, by_rule, "early")
    assert early.refusal is not None
    assert early.refusal.rule == "orders.cause_stands"
    assert await recheck(door, url) == {"merged"}
    expect_all([await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug", category="toys"), "category")])
    assert await recheck(door, url) == {"applied"}
    assert await held(url, order) == [("fraud", None)]
    assert await rows(url, "select released_rule from order_hold where released_rule is not null") == [("data/data",)]
    assert await recheck(door, url) == set()
    await prove(url)


async def recheck(door: Door, url: str) -> set[str]:
    """Submit what the worker would; return how it ended."""
    connection = await connect(url)
    try:
        due = await due_to_recheck(connection, door.now())
    finally:
        await connection.close()
    count = len(await rows(url, "select from door_key"))
    return {(await door.submit(SYSTEM, command, f"recheck {count} {key}")).status for key, command in due}


async def test_rechecking_unknown_orders_does_nothing(door: Door):
    outcome = await door.submit(SYSTEM, RecheckHolds(orders=("ord_0",)), "recheck")
    assert (outcome.status, outcome.result) == ("merged", {"released": []})


async def test_holds_that_grow_old_are_one_case_per_type_and_channel(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=50)
    await publish(door, "holds", types=with_type("fraud", case_after_hours=2, severity=1, owner_role="Finance"))
    orders = [(await place(door, f"place {at}", MUG=1))["order"] for at in range(3)]
    for order in orders:
        await hold(door, order, "fraud")
    await hold(door, orders[0], "address")
    released = await hold(door, orders[1], "fraud", reason="released in time")
    await door.submit(SYSTEM, ReleaseHold(hold=released, reason="fine"), "in time")
    # What was settled when they were placed stands, whatever the document says by then.
    await publish(door, "holds", types=with_type("fraud", case_after_hours=500, severity=2, owner_role="Finance"))
    assert await age(door, url) == []
    clock.turn(timedelta(hours=2))
    assert await age(door, url) == [3]
    assert await age(door, url) == []
    found = await rows(url, "select cause, severity, owner_role, subjects, price_per_hour from cases")
    assert found == [("holds:fraud:web", 2, "Finance", 3, 0)]
    clock.turn(timedelta(hours=23))
    assert await age(door, url) == [1]
    assert len(await rows(url, "select from cases")) == 2
    version = (await axes(url, orders[2]))[2]
    assert version == 2, "a notice changes no order"
    await prove(url)


async def test_a_type_without_a_time_never_grows_old(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await publish(door, "holds", types=with_type("credit", case_after_hours=None))
    await hold(door, (await place(door, "place", MUG=1))["order"], "credit")
    clock.turn(timedelta(days=400))
    assert await age(door, url) == []
    assert (await door.submit(SYSTEM, AgeHolds(), "age")).status == "merged"
    assert await rows(url, "select from cases") == []


async def age(door: Door, url: str) -> list[int]:
    """Submit what the worker would; return how many holds each command noticed."""
    notice = next(notice for notice in worker.NOTICES if notice.name == "age_holds")
    before = len(await rows(url, "select from order_hold where noticed_at is not null"))
    count = await worker.notice_now(url, door, notice)
    after = len(await rows(url, "select from order_hold where noticed_at is not null"))
    return [after - before] * count


async def test_the_shipped_document_places_nothing(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=1))["order"]
    assert await axes(url, order) == ("clear", 0, 1)
    assert house.POLICY_KINDS["holds"]().faults(None) == []  # type: ignore[arg-type]
