"""Cancelling by line and quantity: claims are released once, totals follow, nothing happens twice. Behaviour 19."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import cancel, figures, order_of, rows

from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.orders.cancel import CancelOrder
from trueup.orders.place import Charge, PlaceOrder


def with_shipping(order: PlaceOrder, **changes: object) -> PlaceOrder:
    return msgspec.structs.replace(order, charges=(Charge("SHIPPING", Amount("4.90")),), **changes)


async def stored(url: str, order: str) -> tuple[object, ...]:
    found = await rows(
        url,
        """select total, units_ordered::int, units_cancelled::int, units_reserved::int, version, fulfilment_status
        from orders where id = %s""",
        order,
    )
    return found[0]


async def test_behaviour_19_units_are_cancelled_and_totals_follow(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await door.submit(SYSTEM, with_shipping(order_of(MUG=2)), "place")).result["order"]
    first = await door.submit(SYSTEM, cancel(order, line1=1), "one")
    assert first.result == {"order": order, "total": "14.90", "version": 2}
    assert await stored(url, order) == (Decimal("14.90"), 2, 1, 1, 2, "unfulfilled")
    assert (await figures(url))["reserved"] == 1
    too_many = await door.submit(SYSTEM, cancel(order, line1=2), "two more")
    assert too_many.refusal is not None
    assert too_many.refusal.rule == "orders.too_many"
    last = await door.submit(SYSTEM, cancel(order, line1=1), "the last")
    assert Decimal(last.result["total"]) == 0, "the shipping goes with the last unit"
    assert await stored(url, order) == (Decimal("0.00"), 2, 2, 0, 4, "cancelled")
    assert (await figures(url))["reserved"] == 0
    assert (await door.submit(SYSTEM, cancel(order), "again")).status == "refused"
    assert await rows(url, "select quantity::int from stock_claim order by number") == [(2,), (-1,), (-1,)]
    await prove(url)


async def test_every_part_of_a_line_sums_to_the_line(door: Door, url: str):
    await stocked(door, MUG=10)
    line = msgspec.structs.replace(order_of(MUG=3).lines[0], unit_price=Decimal("0.335"))
    placed = PlaceOrder(currency="EUR", lines=(line,), discount=Amount("0.10"))
    order = (await door.submit(SYSTEM, placed, "place")).result["order"]
    totals = [(await stored(url, order))[0]]
    for turn in range(3):
        totals.append(Decimal((await door.submit(SYSTEM, cancel(order, line1=1), f"{turn}")).result["total"]))
    assert [str(total) for total in totals] == ["0.91", "0.60", "0.31", "0.00"]
    await prove(url)


async def test_cancelling_twice_in_one_batch_counts_versions_as_they_are(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await door.submit(SYSTEM, order_of(MUG=5), "place")).result["order"]
    outcomes = await door.submit_all(SYSTEM, [(f"{n}", cancel(order, line1=1)) for n in range(3)])
    assert [outcome.result["version"] for outcome in outcomes] == [2, 3, 4]
    assert (await stored(url, order))[4] == 4
    stale = await door.submit(SYSTEM, CancelOrder(order=order, version=3), "stale")
    assert stale.refusal is not None
    assert stale.refusal.rule == "orders.changed"
    assert (await door.submit(SYSTEM, CancelOrder(order=order, version=4), "fresh")).status == "applied"
    await prove(url)


async def test_what_is_cancelled_can_be_sold_again(door: Door, url: str):
    await stocked(door, MUG=5)
    order = (await door.submit(SYSTEM, order_of(MUG=5), "place")).result["order"]
    assert (await door.submit(SYSTEM, order_of(MUG=1), "short")).status == "refused"
    await door.submit(SYSTEM, cancel(order, line1=2), "cancel")
    assert (await door.submit(SYSTEM, order_of(MUG=2), "fits")).status == "applied"
    assert (await door.submit(SYSTEM, order_of(MUG=1), "short again")).status == "refused"
    await prove(url)


async def test_it_refuses_what_is_not_there(door: Door):
    await stocked(door, MUG=5)
    order = (await door.submit(SYSTEM, order_of(MUG=5), "place")).result["order"]
    for number, command in enumerate((cancel("ord_unknown"), cancel(order, line2=1), cancel(order, line1=6),
                                      cancel(order, line1=0))):  # fmt: skip
        assert (await door.submit(SYSTEM, command, f"{number}")).status == "refused"
