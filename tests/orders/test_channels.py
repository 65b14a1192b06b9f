"""What a channel's policy chooses, each switched and tested both ways; an order keeps the terms it was captured under.

Behaviours 1 to 3, 7, 13 and 14 as far as placing goes, 24 to 26, and 39.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import stocked
from tests.orders.capturing import basket, channel, lines, money, placed, publish, taxed, with_
from tests.proof import prove
from tests.requests import cancel, figures, order_of, rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import KitPart, RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.receive import SetSafetyStock


async def short(door: Door, policy: str, **document: Any) -> None:
    await channel(door, short=policy, **document)


async def test_behaviour_3_refuse_reserves_nothing_and_names_every_short_line(door: Door, url: str):
    await stocked(door, MUG=2, CUP=1, POT=5)
    await short(door, "refuse")
    outcome = await door.submit(SYSTEM, order_of(MUG=3, CUP=2, POT=1), "short")
    assert outcome.refusal is not None
    assert [detail.where for detail in outcome.refusal.details] == ["lines[0].quantity", "lines[1].quantity"]
    assert await rows(url, "select * from stock_claim") == []
    assert await rows(url, "select * from orders") == []
    await prove(url)


async def test_behaviour_13_backorder_reserves_what_is_there_and_pegs_the_rest(door: Door, url: str):
    await stocked(door, MUG=2)
    await short(door, "backorder")
    outcome = await door.submit(SYSTEM, order_of(MUG=3), "order")
    assert outcome.result["short"] == [{"line": 1, "quantity": "1"}]
    order = outcome.result["order"]
    assert await lines(url, order, "quantity::int", "reserved::int", "cancelled::int") == [(3, 2, 0)]
    assert await rows(url, "select holder, quantity::int, supply from stock_waiting") == [(order, 1, None)]
    assert (await figures(url))["reserved"] == 2
    await prove(url)


async def test_behaviour_13_a_backorder_that_is_cancelled_waits_no_more_and_what_waits_goes_first(door: Door, url: str):
    await stocked(door, MUG=2)
    await short(door, "backorder")
    order = await placed(door, order_of(MUG=5))
    await door.submit(SYSTEM, cancel(order, line1=2), "two")
    assert (await figures(url))["reserved"] == 2
    assert await rows(url, "select sum(quantity)::int from stock_waiting") == [(1,)]
    await door.submit(SYSTEM, cancel(order), "all")
    assert (await figures(url))["reserved"] == 0
    assert await rows(url, "select * from stock_waiting where quantity > 0") == []
    await prove(url)


async def test_partial_takes_what_there_is_and_cancels_the_rest_at_once(door: Door, url: str):
    await stocked(door, MUG=2)
    await short(door, "partial")
    order = await placed(door, order_of(MUG=3))
    assert await lines(url, order, "quantity::int", "reserved::int", "cancelled::int") == [(3, 2, 1)]
    assert (await money(url, order))["total"] == Decimal("20.00")
    nothing = await door.submit(SYSTEM, order_of(MUG=1), "nothing left")
    assert nothing.refusal is not None
    assert nothing.refusal.rule == "stock.short"
    await prove(url)


@pytest.mark.parametrize(("policy", "reserved"), [("refuse", 0), ("backorder", 1), ("partial", 1)])
async def test_behaviour_7_safety_stock_is_promised_by_no_policy(door: Door, url: str, policy: str, reserved: int):
    await stocked(door, MUG=3)
    await door.submit(SYSTEM, SetSafetyStock(location="MAIN", sku="MUG", quantity=Quantity(2)), "safety")
    await short(door, policy)
    outcome = await door.submit(SYSTEM, order_of(MUG=2), "two")
    assert outcome.status == ("refused" if policy == "refuse" else "applied")
    if outcome.refusal is not None:
        assert "1 available" in outcome.refusal.what
    assert (await figures(url))["reserved"] == reserved
    await prove(url)


async def store_and_main(door: Door) -> None:
    await stocked(door, MUG=9)
    await stocked(door, location="STORE", MUG=4)


async def test_behaviour_2_a_pickup_comes_from_its_store_or_is_refused(door: Door, url: str):
    await store_and_main(door)
    await channel(door, locations=["MAIN", "STORE"])
    pickup = with_(order_of(MUG=5), delivery="pickup", location="STORE")
    refused = await door.submit(SYSTEM, pickup, "five")
    assert refused.refusal is not None
    assert "4 available" in refused.refusal.what
    assert await rows(url, "select * from stock_claim") == []
    order = await placed(door, with_(order_of(MUG=4), delivery="pickup", location="STORE"), "four")
    where = "select l.code, c.quantity::int from stock_claim c join location l on l.id = c.location where holder = %s"
    assert await rows(url, where, order) == [("STORE", 4)]
    nowhere = await door.submit(SYSTEM, with_(order_of(MUG=1), delivery="pickup"), "nowhere")
    assert nowhere.refusal is not None
    assert nowhere.refusal.rule == "orders.pickup_where"
    await prove(url)


async def test_behaviour_2_a_pickup_is_backordered_at_its_store_never_elsewhere(door: Door, url: str):
    await store_and_main(door)
    await short(door, "backorder", locations=["MAIN", "STORE"])
    order = await placed(door, with_(order_of(MUG=5), delivery="pickup", location="STORE"))
    code = "select l.code, {}::int from {} c join location l on l.id = c.location where holder = %s"
    assert await rows(url, code.format("c.quantity", "stock_claim"), order) == [("STORE", 4)]
    assert await rows(url, code.format("c.quantity", "stock_waiting"), order) == [("STORE", 1)]
    await prove(url)


async def kit_of_two(door: Door, *, mugs: int) -> None:
    await stocked(door, MUG=mugs)
    kit = RegisterItem(
        sku="PAIR", name="Pair", kind="kit", phantom=True, components=(KitPart(sku="MUG", quantity=Quantity(2)),)
    )
    outcome = await door.submit(SYSTEM, kit, "kit")
    assert outcome.status == "applied", outcome.refusal


@pytest.mark.parametrize(
    ("policy", "reserved", "waiting"), [("refuse", 0, None), ("backorder", 3, 3), ("partial", 2, None)]
)
async def test_behaviour_14_a_phantom_kit_that_is_short(
    door: Door, url: str, policy: str, reserved: int, waiting: int | None
):
    await kit_of_two(door, mugs=3)
    await short(door, policy)
    outcome = await door.submit(SYSTEM, order_of(PAIR=3), "three")
    assert outcome.status == ("refused" if policy == "refuse" else "applied")
    assert (await figures(url))["reserved"] == reserved
    assert await rows(url, "select sum(quantity)::int from stock_waiting") == [(waiting,)]
    if policy == "partial":
        columns = ("quantity::int", "cancelled::int")
        assert await lines(url, outcome.result["order"], *columns) == [(3, 2), (6, 4)], "whole kits only"
    await prove(url)


async def test_a_second_backorder_of_a_kits_part_joins_the_first(door: Door, url: str):
    await kit_of_two(door, mugs=1)
    await short(door, "backorder")
    await placed(door, order_of(PAIR=1), "one")
    await placed(door, order_of(PAIR=1), "two")
    await placed(door, order_of(MUG=1), "mug")
    assert await rows(url, "select quantity::int from stock_waiting order by quantity") == [(1,), (1,), (2,)]
    await prove(url)


ROUNDINGS = [("per_line", "131.04", "755.04"), ("per_total", "131.04", "755.04"), ("per_unit", "131.20", "755.20")]


@pytest.mark.parametrize(("rounding", "tax", "total"), ROUNDINGS)
async def test_behaviour_25_tax_is_rounded_as_the_channel_says(
    door: Door, url: str, rounding: str, tax: str, total: str
):
    await stocked(door, MUG=80)
    await publish(door, "tax", home="DE", entries=[{"country": "DE", "rate": "21"}])
    await channel(door, tax="table", rounding=rounding)
    order = await placed(door, basket(("MUG", 80, "7.80")))
    assert await money(url, order) == {"goods": Decimal("624.00"), "charges": 0, "discount": 0, "tax": Decimal(tax),
                                       "total": Decimal(total)}  # fmt: skip
    await prove(url)


async def test_behaviour_25_prices_may_include_tax(door: Door, url: str):
    await stocked(door, MUG=2)
    await publish(door, "tax", home="FR", entries=[{"country": "FR", "rate": "20"}])
    await channel(door, tax="table", prices_include_tax=True)
    order = await placed(door, basket(("MUG", 2, "100"), currency="JPY"))
    assert (await money(url, order)) == {"goods": 200, "charges": 0, "discount": 0, "tax": 33, "total": 200}
    await prove(url)


@pytest.mark.parametrize(("apportion", "shares"), [
    ("largest_remainder", ["1.61", "0.52", "0.86"]),
    ("first_lines", ["1.61", "0.52", "0.86"]),
    ("last_line", ["1.61", "0.52", "0.86"]),
])  # fmt: skip
async def test_behaviour_24_a_discount_is_shared_and_its_shares_sum_to_it(
    door: Door, url: str, apportion: str, shares: list[str]
):
    await stocked(door, MUG=1, CUP=1, POT=1)
    await channel(door, apportion=apportion)
    prices = (("MUG", 1, "43.00"), ("CUP", 1, "14.00"), ("POT", 1, "23.00"))
    order = await placed(door, basket(*prices, discount=Decimal("2.99")))
    assert [str(share) for (share,) in await lines(url, order, "discount")] == shares
    await prove(url)


@pytest.mark.parametrize(("apportion", "shares"), [
    ("largest_remainder", ["0.33", "0.33", "0.33", "0.01"]),
    ("first_lines", ["0.34", "0.33", "0.33", "0.00"]),
    ("last_line", ["0.33", "0.33", "0.33", "0.01"]),
])  # fmt: skip
async def test_behaviour_24_who_gets_the_odd_cent_is_the_channels_choice(
    door: Door, url: str, apportion: str, shares: list[str]
):
    await stocked(door, MUG=1, CUP=1, POT=1, JAR=1)
    await channel(door, apportion=apportion)
    prices = (("MUG", 1, "10.00"), ("CUP", 1, "10.00"), ("POT", 1, "10.00"), ("JAR", 1, "0.10"))
    order = await placed(door, basket(*prices, discount=Decimal("1.00")))
    assert [str(share) for (share,) in await lines(url, order, "discount")] == shares
    await prove(url)


@pytest.mark.parametrize(("apportion", "last"), [("largest_remainder", "0.14"), ("last_line", "0.16")])
async def test_behaviour_24_the_last_line_takes_what_is_left(door: Door, url: str, apportion: str, last: str):
    await stocked(door, MUG=7)
    await channel(door, apportion=apportion)
    order = await placed(door, basket(*[("MUG", 1, "1.00")] * 7, discount=Decimal("1.00")))
    shares = [share for (share,) in await lines(url, order, "discount")]
    assert (str(shares[-1]), sum(shares)) == (last, Decimal("1.00"))
    await prove(url)


async def test_behaviour_26_each_line_is_taxed_and_rounded_alone(door: Door, url: str):
    await stocked(door, MUG=1, CUP=1, POT=1, JAR=1)
    await publish(door, "tax", home="DE", entries=[{"country": "DE", "rate": "10"}])
    await channel(door, tax="table")
    prices = (("MUG", 1, "1.06"), ("CUP", 1, "2.06"), ("POT", 1, "3.06"), ("JAR", 1, "4.06"))
    order = await placed(door, basket(*prices))
    assert [str(tax) for (tax,) in await lines(url, order, "tax")] == ["0.11", "0.21", "0.31", "0.41"]
    assert (await money(url, order))["tax"] == Decimal("1.04")
    await prove(url)


async def test_freight_is_charged_once_by_the_channels_rule_unless_it_was_stated(door: Door, url: str):
    await stocked(door, MUG=20)
    rule = {"rule": "by_amount", "steps": [{"up_to": "30", "amount": "4.90"}, {"amount": "2.90"}], "free_from": "100"}
    await channel(door, freight={"EUR": rule})
    charged = [
        (await money(url, await placed(door, order, f"{at}")))["charges"]
        for at, order in enumerate((
            basket(("MUG", 1, "30.00")), basket(("MUG", 1, "30.01")), basket(("MUG", 1, "110"), discount=Decimal(10)),
            basket(("MUG", 1, "5"), charges=(("SHIPPING", "1.00"),)),
            basket(("MUG", 1, "5"), charges=(("GIFT", "1.00"),)),
            basket(("MUG", 1, "5"), currency="CHF"),
            with_(basket(("MUG", 1, "5")), delivery="pickup", location="MAIN"),
        ))
    ]  # fmt: skip
    assert [str(amount) for amount in charged] == ["4.90", "2.90", "0", "1.00", "5.90", "0", "0"]
    await prove(url)


FREIGHT_TAXES = [("highest", None, [("19", "1.90")]), ("class", "reduced", [("7", "0.70")]),
                 ("proportional", None, [("7", "0.53"), ("19", "0.48")])]  # fmt: skip


@pytest.mark.parametrize(("freight_tax", "freight_class", "parts"), FREIGHT_TAXES)
async def test_freight_is_taxed_as_the_channel_says(
    door: Door, url: str, freight_tax: str, freight_class: str | None, parts: list[tuple[str, str]]
):
    await stocked(door, MUG=1)
    book = RegisterItem(sku="BOOK", name="Book", tax_class="reduced")
    assert (await door.submit(SYSTEM, book, "book")).status == "applied"
    more = {"freight_class": freight_class} if freight_class else {}
    await taxed(door, short="backorder", freight_tax=freight_tax, **more)
    order = await placed(door, basket(("BOOK", 3, "10"), ("MUG", 1, "10"), charges=(("SHIPPING", "10.00"),)))
    found = await lines(url, order, "tax_rate", "tax", "tax_parts")
    rate, tax, split = found[2]
    told = [(part[2][0], part[4]) for part in split] if split else [(str(rate), str(tax))]
    assert sorted(told) == sorted(parts)
    assert tax == sum(Decimal(amount) for _, amount in parts)
    assert (rate is None) == (len(parts) > 1)
    await prove(url)


async def test_behaviour_39_an_order_in_flight_keeps_its_terms(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=20)
    await taxed(door, rounding="per_unit", cancellation_minutes=60, prices_include_tax=False)
    first = await placed(door, basket(("MUG", 4, "1.03"), discount=Decimal("0.10")), "first")
    before = await money(url, first)
    await channel(door, tax="none", rounding="per_total", apportion="last_line", cancellation_minutes=1,
                  prices_include_tax=True, freight={"EUR": {"rule": "flat", "amount": "9.00"}})  # fmt: skip
    assert await money(url, first) == before
    second = await placed(door, basket(("MUG", 4, "1.03"), discount=Decimal("0.10")), "second")
    clock.turn(timedelta(minutes=59))
    late = await door.submit(SYSTEM, cancel(second, line1=1), "cancel second")
    assert late.refusal is not None
    assert late.refusal.rule == "orders.cancellation_window"
    assert await lines(url, second, "cancelled::int") == [(0,), (0,)]
    assert (await door.submit(SYSTEM, cancel(first, line1=1), "cancel first")).status == "applied"
    after = await money(url, first)
    assert after["charges"] == 0
    assert after["tax"] == Decimal("0.57"), "a quarter of 0.76 at the rate and rounding it was taxed at went"
    assert after["total"] == after["goods"] - after["discount"] + after["tax"]
    assert await rows(url, "select channel_version, tax_included from orders order by channel_version") == [
        (1, False), (2, True)]  # fmt: skip
    await prove(url)


@pytest.mark.parametrize(("minutes", "status"), [(None, "applied"), (10, "refused")])
async def test_the_cancellation_window_is_the_channels(
    door: Door, url: str, clock: TurnedClock, minutes: int | None, status: str
):
    await stocked(door, MUG=2)
    await channel(door, cancellation_minutes=minutes)
    order = await placed(door, order_of(MUG=2))
    clock.turn(timedelta(minutes=11))
    assert (await door.submit(SYSTEM, cancel(order), "cancel")).status == status
    assert (await figures(url))["reserved"] == (0 if status == "applied" else 2)
    await prove(url)


@pytest.mark.parametrize(("document", "where"), [
    ({"tax": "oracle"}, "tax"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"freight": {"XXX": {"rule": "flat", "amount": "1"}}}, "freight.XXX"),
    ({"freight": {"EUR": {"rule": "flat", "amount": "1.005"}}}, "freight"),
])  # fmt: skip
async def test_a_channel_with_a_mistake_is_refused_with_the_place(door: Door, document: dict[str, Any], where: str):
    command = PublishPolicy(policy_kind="channel", policy_name="web", document=document, reason="wrong")
    outcome = await door.submit(SYSTEM, command, "wrong")
    assert outcome.refusal is not None
    assert (outcome.refusal.rule, outcome.refusal.where) == ("policy.invalid", where)
