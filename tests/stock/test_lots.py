"""Lots, serial numbers, expiry: first expired first out, each serial number once, and nothing expired is promised."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.proof import prove
from tests.requests import order_of, rows
from tests.stock.depth import DAY, balance, cases, done, item, lots, lots_of, places, refused, restate, tell

from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.quantity import ZERO, Quantity
from trueup.stock.lot_state import UNIDENTIFIED, Lot
from trueup.stock.lots import ExpireLots, choose_lots, due_to_expire
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceivedLot, ReceiveStock

SOON, LATER = DAY + timedelta(days=2), DAY + timedelta(days=30)


async def dairy(door: Door) -> None:
    await places(door, "MAIN")
    await item(door, "MILK", tracking="lot", expires=True)


def test_the_lot_that_expires_first_goes_first_and_an_expired_one_never():
    there = [
        Lot(lot="late", expires_on=LATER, on_hand=Decimal(5)),
        Lot(lot="gone", expires_on=DAY - timedelta(days=1), on_hand=Decimal(5)),
        Lot(lot="today", expires_on=DAY, on_hand=Decimal(2), allocated=Decimal(1)),
        Lot(lot="soon", expires_on=SOON, on_hand=Decimal(3)),
        Lot(lot=UNIDENTIFIED, on_hand=Decimal(4)),
    ]
    choice = choose_lots(there, Decimal(6), DAY)
    assert choice.lots == (("today", Decimal(1)), ("soon", Decimal(3)), ("late", Decimal(2)))
    assert choice.short == 0
    assert choose_lots(there, Decimal(20), DAY).short == 7, "13 units are neither expired nor allocated"
    assert choose_lots(there, Decimal(2), DAY, 10).lots == (("late", Decimal(2)),)
    assert choose_lots(there, Decimal(2), DAY, taken={"today": Decimal(1)}).lots == (("soon", Decimal(2)),)


@given(
    st.lists(st.tuples(st.integers(-3, 9), st.integers(0, 5), st.integers(0, 5)), max_size=6),
    st.integers(1, 20),
    st.integers(0, 4),
)
def test_no_choice_takes_what_is_expired_or_more_than_there_is(there: list[tuple[int, int, int]], want: int, days: int):
    held = [
        Lot(lot=str(at), expires_on=DAY + timedelta(days=left), on_hand=Decimal(units), allocated=Decimal(claimed))
        for at, (left, units, claimed) in enumerate(there)
    ]
    choice = choose_lots(held, Decimal(want), DAY, days)
    by_name = {lot.lot: lot for lot in held}
    assert sum((units for _, units in choice.lots), ZERO) + choice.short == want
    usable_names = {str(at) for at, (left, _, _) in enumerate(there) if left >= days}
    for name, units in choice.lots:
        assert 0 < units <= by_name[name].free()
        assert name in usable_names
    if choice.short:
        usable = sum((by_name[name].free() for name in usable_names), ZERO)
        assert usable + choice.short == want


async def test_a_receipt_posts_to_its_lots_and_what_has_none_is_a_case(door: Door, url: str):
    await dairy(door)
    await done(door, lots(("L1", 5, SOON), ("L2", 3, LATER), units=10))
    assert await lots_of(url) == {"L1": 5, "L2": 3, UNIDENTIFIED: 2}
    assert (await balance(url, "MILK"))["on_hand"] == 10
    assert await cases(url) == ["stock_lot"]
    assert await refused(door, lots(("L3", 5, SOON), units=4)) == "stock.lots"
    assert await refused(door, lots(("L1", 1, SOON), sku="MILK", location="NOWHERE")) == "catalogue.unknown_location"
    await prove(url)


async def test_a_lot_without_its_date_or_with_two_is_a_case_and_the_earlier_date_holds(door: Door, url: str):
    await dairy(door)
    await done(door, lots(("L1", 5, LATER)))
    assert await cases(url) == []
    await done(door, lots(("L1", 1, SOON)))
    await done(door, lots(("L2", 1, None)))
    assert await cases(url) == ["stock_lot"]
    assert await rows(url, "select lot, expires_on from stock_lot order by lot") == [("L1", SOON), ("L2", None)]
    await prove(url)


async def test_expired_units_are_not_promised_before_anybody_swept_them(door: Door, url: str, clock: TurnedClock):
    await dairy(door)
    await done(door, lots(("L1", 5, SOON), ("L2", 3, LATER)))
    clock.turn(timedelta(days=2))
    assert (await tell(door, order_of(MILK=8))).status == "applied", "a lot is good through its date"
    await done(door, lots(("L3", 5, SOON)))
    clock.turn(timedelta(days=1))
    assert (await tell(door, order_of(MILK=1))).status == "refused"
    await done(door, lots(("L4", 12, LATER), ("L5", 9, DAY)))
    assert (await tell(door, order_of(MILK=8))).status == "refused"
    assert (await tell(door, order_of(MILK=7))).status == "applied", "34 on hand, 19 expired, 8 reserved before"
    await prove(url)


async def test_the_nightly_sweep_quarantines_what_expired_and_opens_a_case(door: Door, url: str, clock: TurnedClock):
    await dairy(door)
    await done(door, lots(("L1", 5, SOON), ("L2", 3, LATER)))
    await done(door, order_of(MILK=6))
    clock.turn(timedelta(days=3))
    connection = await connect(url)
    try:
        due = await due_to_expire(connection, clock.now())
    finally:
        await connection.close()
    assert due == [("MAIN/2026-03-05", ExpireLots(location="MAIN", skus=("MILK",)))]
    sweep = due[0][1]
    assert (await done(door, sweep)).result["lots"] == 1
    assert await balance(url, "MILK") == {"on_hand": 3, "reserved": 6, "owed": 3, "quarantined": 5}
    assert await cases(url) == ["stock_lot", "stock_short"]
    assert (await tell(door, sweep)).status == "merged"
    await prove(url)


async def test_a_serial_number_is_one_unit_at_one_place(door: Door, url: str):
    await places(door, "MAIN", "SHOP")
    await item(door, "PHONE", tracking="serial")

    def phone(*numbers: str, location: str = "MAIN") -> ReceiveStock:
        line = ReceivedLine("PHONE", Quantity(len(numbers)), lots=tuple(ReceivedLot(number) for number in numbers))
        return ReceiveStock(location=location, lines=(line,), reference="N")

    await done(door, phone("S1", "S2"))
    assert await cases(url) == []
    await done(door, phone("S1", location="SHOP"))
    assert await lots_of(url, "PHONE", "SHOP") == {UNIDENTIFIED: 1}, "a fact is posted, the number is not believed"
    await done(door, phone("S3", "S3"))
    assert await lots_of(url, "PHONE") == {"S1": 1, "S2": 1, "S3": 1, UNIDENTIFIED: 1}
    assert await cases(url) == ["stock_lot", "stock_lot"]
    two = ReceivedLine("PHONE", Quantity(2), lots=(ReceivedLot("S4", Quantity(2)),))
    assert await refused(door, ReceiveStock(location="MAIN", lines=(two,), reference="N")) == "stock.lots"
    with psycopg.connect(url, autocommit=True) as superuser:
        with pytest.raises(psycopg.errors.UniqueViolation):
            superuser.execute("""insert into stock_lot (item, location, lot, serial, on_hand)
                select item, (select id from location where code = 'SHOP'), lot, true, 1 from stock_lot
                where lot = 'S1'""")
        with pytest.raises(psycopg.errors.CheckViolation):
            superuser.execute("update stock_lot set on_hand = 2 where lot = 'S1'")
    await prove(url)


async def test_what_leaves_without_a_lot_leaves_the_unidentified_first_then_what_expires_first(door: Door, url: str):
    await dairy(door)
    await done(door, lots(("L2", 3, LATER), ("L1", 5, SOON), units=9))
    less = AdjustStock(location="MAIN", sku="MILK", change=Quantity(-3), reason="lost", reference="A")
    await done(door, less)
    assert await lots_of(url) == {"L1": 3, "L2": 3}
    named = AdjustStock(location="MAIN", sku="MILK", change=Quantity(-4), reason="lost", reference="B", lot="L2")
    await done(door, named)
    assert await lots_of(url) == {"L1": 3}, "the unit that the lot did not have is the shortage account's"
    assert (await balance(url, "MILK"))["on_hand"] == 3
    await done(door, restate(2, "available", "damaged", "MILK", lot="L1"))
    await done(door, restate(1, "damaged", "available", "MILK"))
    assert await lots_of(url) == {"L1": 2}
    await prove(url)


async def test_an_item_that_is_tracked_later_keeps_what_it_had(door: Door, url: str):
    await places(door, "MAIN")
    await item(door, "MILK")
    await done(door, ReceiveStock(location="MAIN", lines=(ReceivedLine("MILK", Quantity(4)),), reference="old"))
    await item(door, "MILK", tracking="lot")
    await done(door, lots(("L1", 5, None)))
    await done(door, AdjustStock(location="MAIN", sku="MILK", change=Quantity(-6), reason="lost", reference="A"))
    assert await lots_of(url) == {"L1": 3}
    assert (await balance(url, "MILK"))["on_hand"] == 3
    await prove(url)
