"""Imported orders keep their source's shares of discounts; those placed here are shared by their channel's policy."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import expect_all, stocked
from tests.orders.capturing import basket, channel, lines, money, placed, publish
from tests.proof import prove
from tests.requests import rows

from trueup.authority.standing import SYSTEM
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.orders import read
from trueup.orders.record import RecordedLine, RecordOrder, WithdrawRecord

BASKET = (("MUG", "43.00"), ("CUP", "14.00"), ("POT", "23.00"))


def row(sku: str, price: str, discount: str = "0", units: int = 1) -> RecordedLine:
    return RecordedLine(f"row of {sku}", sku, Quantity(units), Amount(price), discount=Amount(discount))


def history(*recorded: RecordedLine, discount: str = "0", **more: Any) -> RecordOrder:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    return RecordOrder(source="legacy", document="D-1", placed_at=at, currency="EUR", load="run", lines=recorded,
                       discount=Amount(discount), **more)  # fmt: skip


async def record(door: Door, command: RecordOrder, key: str = "one") -> Outcome:
    outcome = await door.submit(SYSTEM, command, key)
    expect_all([outcome])
    return outcome


async def shares_of(url: str, order: str) -> list[str]:
    return [str(share) for (share,) in await lines(url, order, "discount")]


@pytest.mark.parametrize(("apportion", "ours"), [
    ("largest_remainder", ["0.33", "0.33", "0.33", "0.01"]),
    ("first_lines", ["0.34", "0.33", "0.33", "0.00"]),
])  # fmt: skip
async def test_behaviour_24_a_source_keeps_its_shares_and_an_order_of_ours_is_shared_by_policy(
    door: Door, url: str, apportion: str, ours: list[str]
):
    """One basket less 1.00, placed here and taken over: the source had given it all to two lines, unevenly."""
    await stocked(door, MUG=1, CUP=1, POT=1, JAR=1)
    for name in ("web", "legacy"):
        await publish(door, "channel", name, apportion=apportion)
    goods = (("MUG", "10.00"), ("CUP", "10.00"), ("POT", "10.00"), ("JAR", "0.10"))
    here = await placed(door, basket(*((sku, 1, price) for sku, price in goods), discount=Decimal("1.00")))
    assert await shares_of(url, here) == ours
    theirs = ["0.01", "0", "0.99", "0"]
    taken = await record(door, history(*(row(*good, share) for good, share in zip(goods, theirs, strict=True))))
    assert await shares_of(url, taken.result["order"]) == theirs
    assert await money(url, taken.result["order"]) == await money(url, here)
    await prove(url)


async def test_behaviour_24_shares_are_read_as_the_source_has_them(door: Door, url: str):
    """Not 1.61, 0.52 and 0.86, as 2.99 would be shared here; and no decimal of a share is lost."""
    theirs = ["2.9833", "0", "0.0067"]
    goods = [row(*good, share) for good, share in zip(BASKET, theirs, strict=True)]
    taken = await record(door, history(*goods, source_total=Amount("77.01")))
    connection = await connect(url)
    try:
        shown = await read.order(connection, taken.result["order"])
    finally:
        await connection.close()
    assert shown is not None
    assert [str(line.discount) for line in shown.lines] == theirs
    assert (shown.totals.discount, shown.totals.total) == (Decimal("2.99"), Decimal("77.01"))
    assert not shown.summary.total_differs
    await prove(url)


async def test_behaviour_24_a_discount_of_the_document_alone_is_shared_over_no_line(door: Door, url: str):
    await channel(door, apportion="last_line")
    taken = (await record(door, history(*(row(*good) for good in BASKET), discount="2.99"))).result["order"]
    assert await shares_of(url, taken) == ["0", "0", "0"]
    assert await money(url, taken) == {
        "goods": 80, "charges": 0, "discount": Decimal("2.99"), "tax": 0, "total": Decimal("77.01"),
    }  # fmt: skip
    await prove(url)


async def test_behaviour_24_lines_and_document_may_both_be_discounted_and_the_source_is_told_apart(
    door: Door, url: str
):
    mug, cup = row("MUG", "43.00", "3.00"), row("CUP", "14.00", "0.50", units=2)
    taken = (await record(door, history(mug, cup, discount="1.25", source_total=Amount("66.00")))).result["order"]
    assert (await money(url, taken))["discount"] == Decimal("4.75")
    assert await rows(url, "select total, source_total, total_differs from orders") == [
        (Decimal("66.25"), Decimal("66.00"), True)
    ]
    await prove(url)


async def test_behaviour_24_rows_that_turn_up_later_bring_their_shares(door: Door, url: str):
    mug, cup, pot = (row(*good, share) for good, share in zip(BASKET, ("2.00", "0.99", "0.10"), strict=True))
    taken = (await record(door, history(mug, cup, discount="1.00"))).result["order"]
    again = await door.submit(SYSTEM, history(cup, mug, discount="1.00"), "again")
    assert (again.status, again.result["rows"]) == ("merged", 0)
    assert (await record(door, history(pot, discount="1.00"), "alone")).result == {"order": taken, "rows": 1}
    assert await shares_of(url, taken) == ["2.00", "0.99", "0.10"]
    assert (await money(url, taken))["discount"] == Decimal("4.09")
    await prove(url)
    await door.submit(SYSTEM, WithdrawRecord(order=taken, load="run"), "withdraw")
    assert await rows(url, "select order_id from order_line") == []
    await prove(url)


async def test_a_row_recorded_without_its_discount_is_not_given_one_but_the_total_has_it(door: Door, url: str):
    """As taken over when line discounts were added to the document: more of it must not lose what was taken off."""
    taken = (await record(door, history(row("MUG", "43.00"), discount="2.00"))).result["order"]
    await record(door, history(row("MUG", "43.00", "2.00"), row("CUP", "14.00", "0.99")), "more")
    assert await shares_of(url, taken) == ["0", "0.99"]
    assert (await money(url, taken))["discount"] == Decimal("2.99")
    await prove(url)
