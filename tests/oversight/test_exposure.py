"""The exposure formula: exact, and each input says where it comes from."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.conftest import START, stocked
from tests.requests import order_of

from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.oversight.exposure import ExposurePolicy, Input, correction_cost, misalignment, orders_per_day


def counted(name: str, value: str) -> Input:
    return Input(name, Decimal(value), "rows", "measured", "/rows")


def test_a_thousand_orders_ten_each_five_in_a_hundred_are_five_hundred_a_day() -> None:
    cost = Input("correction cost", Decimal("10.00"), "EUR", "entered", "/policies/exposure")
    exposure = misalignment(counted("orders", "1000"), cost, counted("wrong", "5"), counted("rows", "100"), "EUR")
    assert exposure.per_day == Decimal("500.00")
    assert exposure.per_hour() == Decimal("20.833333")


def test_nothing_loaded_costs_nothing() -> None:
    cost = correction_cost(ExposurePolicy())
    exposure = misalignment(counted("orders", "1000"), cost, counted("wrong", "0"), counted("rows", "0"), "EUR")
    assert exposure.per_day == 0


def test_inputs_say_whether_they_are_measured_entered_or_default() -> None:
    assert correction_cost(ExposurePolicy()).basis == "default"
    assert correction_cost(ExposurePolicy(correction_cost=Decimal("12.50"))).basis == "entered"


async def test_orders_per_day_are_measured_over_the_last_days_that_had_any(
    door: Door, url: str, clock: TurnedClock
) -> None:
    await stocked(door, MUG=100)
    for number in range(56):
        await door.submit(SYSTEM, order_of(MUG=1), f"order {number}")
    connection = await connect(url)
    try:
        now = await orders_per_day(connection, ExposurePolicy(), START)
        a_year_later = await orders_per_day(connection, ExposurePolicy(), START + timedelta(days=365))
        entered = await orders_per_day(connection, ExposurePolicy(orders_per_day=Decimal(900)), START)
    finally:
        await connection.close()
    assert (now.value, now.basis) == (Decimal("2.00"), "measured")
    assert a_year_later.value == Decimal("2.00"), "a migrated history ends when its export was made"
    assert (entered.value, entered.basis) == (Decimal(900), "entered")


def test_orders_per_day_are_measured_over_a_day_at_least():
    with pytest.raises(msgspec.ValidationError):
        json.from_plain({"days": 0}, ExposurePolicy)
