"""Money, quantities, ids and JSON: exact, and nothing is taken that only looks like one. Behaviour 24."""

from __future__ import annotations

import json as plain_json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.catalogue import gtin
from trueup.core import ids, json, money
from trueup.core.money import Amount, apportion, apportion_amount, booked
from trueup.core.quantity import Quantity, plain
from trueup.orders.place import PlaceOrder

ORDER = {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 2, "unit_price": "12.10"}]}


def decoded(**changes: object) -> PlaceOrder:
    return json.decode(plain_json.dumps({**ORDER, **changes}), PlaceOrder)


def line(**changes: object) -> list[object]:
    return [{"sku": "MUG", "quantity": 2, "unit_price": "12.10", **changes}]


def test_it_takes_money_as_text_and_quantities_as_text_or_whole_numbers():
    order = decoded(lines=line(quantity="2.5"))
    assert (order.lines[0].quantity, order.lines[0].unit_price) == (Decimal("2.5"), Decimal("12.10"))
    assert type(order.lines[0].unit_price) is Decimal


@pytest.mark.parametrize("price", [12.1, 12, 1e2, True, "12,10", "1e2", "1E-3", "NaN", "Infinity", "1_000",
                                   " 1", "１２", "", ".5", "12345678901234", "0.1234567"])  # fmt: skip
def test_it_refuses_what_is_no_amount(price: object):
    with pytest.raises(msgspec.ValidationError, match=r"unit_price"):
        decoded(lines=line(unit_price=price))


@pytest.mark.parametrize("quantity", [2.0, 2.5, 1e3, True, "1e3", "NaN", "-", "1_0", 10**12, "0.1234567"])
def test_it_refuses_what_is_no_quantity(quantity: object):
    with pytest.raises(msgspec.ValidationError, match=r"quantity"):
        decoded(lines=line(quantity=quantity))


@pytest.mark.parametrize("changes", [{"colour": "red"}, {"lines": line(colour="red")}])
def test_it_refuses_unknown_fields(changes: dict[str, object]):
    with pytest.raises(msgspec.ValidationError, match="colour"):
        decoded(**changes)


@given(st.decimals(-(10**13) + 1, 10**13 - 1, places=6))
def test_what_it_writes_it_reads_again(value: Decimal):
    amount = Amount.parse(format(value, "f"))
    assert json.decode(json.encode(amount), Amount) == value


def test_equal_commands_have_equal_bytes():
    assert json.encode(decoded()) == json.encode(decoded())
    assert json.encode(decoded()) != json.encode(decoded(lines=line(quantity=3)))


@pytest.mark.parametrize(
    ("weights", "total", "shares"),
    [
        ([4300, 1400, 2300], 299, [161, 52, 86]),
        ([1000, 1000, 1000], 299, [100, 100, 99]),
        ([0, 0, 0], 100, [34, 33, 33]),
        ([4300, 1400, 2300], -299, [-161, -52, -86]),
    ],
)
def test_behaviour_24_a_discount_is_shared_to_the_cent(weights: list[int], total: int, shares: list[int]):
    assert apportion(total, weights) == shares


@pytest.mark.parametrize(
    ("weights", "total", "first", "last"),
    [
        ([4300, 1400, 2300], 299, [161, 52, 86], [161, 52, 86]),
        ([1000, 1000, 1000], 299, [100, 100, 99], [100, 100, 99]),
        ([1000, 1000, 1000], 100, [34, 33, 33], [33, 33, 34]),
        ([0, 0, 0], 100, [34, 33, 33], [33, 33, 34]),
        ([1000, 1000, 1000], -100, [-34, -33, -33], [-33, -33, -34]),
        ([1, 1, 1, 1], 2, [1, 1, 0, 0], [1, 1, 0, 0]),
        ([3, 2, 5, 2], 8, [2, 2, 3, 1], [2, 1, 3, 2]),
        ([10, 10, 10, 1, 0], 11, [4, 4, 3, 0, 0], [4, 4, 3, 0, 0]),
    ],
)
def test_behaviour_24_the_odd_cents_go_where_the_policy_says(
    weights: list[int], total: int, first: list[int], last: list[int]
):
    assert apportion(total, weights, "first_lines") == first
    assert apportion(total, weights, "last_line") == last


@given(
    st.integers(-(10**9), 10**9),
    st.lists(st.integers(0, 20) | st.integers(0, 10**9), min_size=1, max_size=50),
    st.sampled_from(["largest_remainder", "first_lines", "last_line"]),
)
def test_behaviour_24_shares_always_sum_to_the_whole(total: int, weights: list[int], policy: money.Apportion):
    shares = apportion(total, weights, policy)
    assert sum(shares) == total
    assert apportion(-total, weights, policy) == [-share for share in shares]
    if sum(weights) and policy != "last_line":
        exact = [Fraction(total * weight, sum(weights)) for weight in weights]
        assert all(abs(share - about) < 1 for share, about in zip(shares, exact, strict=True))


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=30).filter(any),
    st.data(),
    st.sampled_from(["largest_remainder", "first_lines", "last_line"]),
)
def test_no_share_exceeds_its_line_while_the_discount_is_no_more_than_the_goods(
    weights: list[int], data: st.DataObject, policy: money.Apportion
):
    total = data.draw(st.integers(0, sum(weights)))
    shares = apportion(total, weights, policy)
    assert all(0 <= share <= weight for share, weight in zip(shares, weights, strict=True))


def test_behaviour_24_in_currencies_with_other_exponents():
    assert apportion_amount(Decimal(100), [Decimal(1), Decimal(1), Decimal(1)], "JPY") == [34, 33, 33]
    assert sum(apportion_amount(Decimal("1.001"), [Decimal(3), Decimal(4)], "KWD")) == Decimal("1.001")


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [("2.345", "EUR", "2.35"), ("-2.345", "EUR", "-2.35"), ("2.5", "JPY", "3"), ("0.0005", "KWD", "0.001")],
)
def test_amounts_are_booked_half_up_in_the_currencys_units(amount: str, currency: str, expected: str):
    assert str(booked(Decimal(amount), currency)) == expected


def test_metals_and_test_codes_are_no_currencies():
    assert money.is_currency("EUR")
    assert not any(map(money.is_currency, ("XAU", "XTS", "XXX", "eur", "EURO", "")))


def test_ids_carry_type_and_time_and_come_in_order():
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    draw = ids.sequence(at, 7)
    drawn = [draw("ord") for _ in range(1000)]
    assert len(set(drawn)) == 1000
    assert drawn == [again("ord") for again in [ids.sequence(at, 7)] for _ in drawn]
    assert all(ids.is_id(text, "ord") and ids.time_of(text) == at for text in drawn)
    assert not ids.is_id(drawn[0], "shp")
    assert len({ids.short_number(text) for text in drawn}) == 1000
    assert ids.new_id("bat") < ids.sequence(datetime(2100, 1, 1, tzinfo=UTC), 0)("bat")


def test_quantities_are_written_for_people():
    assert [plain(Decimal(text)) for text in ("5.000000", "0.50", "100", "-1E+2")] == ["5", "0.5", "100", "-100"]
    assert Quantity.parse("-3") == -3


@pytest.mark.parametrize("number", ["4006381333931", "96385074", "036000291452", "10012345678902"])
def test_gtins_check(number: str):
    assert gtin.fault(number) is None
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert gtin.fault(wrong) == f"the check digit should be {number[-1]}"


@pytest.mark.parametrize(
    "text", ["", "400638133393", "4006381333931 ", "４００６３８１３３３９３１", "40063813339310000"]
)
def test_what_is_no_gtin_is_told_why(text: str):
    assert gtin.fault(text)
