"""Transfers: what left one place is in transit until it arrives at the other; over and short are never lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import order_of, rows
from tests.stock.depth import (
    DAY,
    account,
    arrive,
    balance,
    cases,
    done,
    item,
    lots,
    lots_of,
    places,
    refused,
    ship,
    tell,
)  # fmt: skip

from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.transfer import ReceivedTransferLine, ReceiveTransfer, ShipTransfer, TransferredLine


async def lines_of(url: str) -> list[tuple[int, ...]]:
    """(shipped, received, over, missing, open) by line."""
    return await rows(
        url,
        """select shipped::int, received::int, over::int, missing::int, open::int from stock_transfer_line
        order by transfer, line""",
    )


async def two_shops(door: Door) -> None:
    await stocked(door, MUG=10, PLATE=5)
    await places(door, "SHOP")


async def test_it_leaves_one_place_and_is_in_transit_until_it_arrives(door: Door, url: str):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6))).result["transfer"]
    assert await balance(url) == {"on_hand": 4}
    assert (await balance(url, location="SHOP"), await account(url, "in_transit")) == ({}, 6)
    outcome = await done(door, arrive(transfer, MUG=4))
    assert outcome.result["open"] == "2"
    assert await rows(url, "select status from stock_transfer") == [("partially_received",)]
    await done(door, arrive(transfer, MUG=2, close=True))
    assert (await balance(url, location="SHOP"), await account(url, "in_transit")) == ({"on_hand": 6}, 0)
    assert await rows(url, "select status from stock_transfer") == [("closed",)]
    assert await cases(url) == []
    await prove(url)


async def test_it_refuses_more_than_is_available_naming_every_line_and_moves_nothing(door: Door, url: str):
    await two_shops(door)
    await done(door, order_of(MUG=3))
    outcome = await tell(door, ship(MUG=8, PLATE=6))
    assert outcome.refusal is not None
    assert [detail.what for detail in outcome.refusal.details] == [
        "MUG: 8 asked, 7 available", "PLATE: 6 asked, 5 available"
    ]  # fmt: skip
    twice = tuple(TransferredLine("MUG", Quantity(4)) for _ in range(2))
    both = ShipTransfer(from_location="MAIN", to_location="SHOP", lines=twice, reference="T")
    assert await refused(door, both) == "stock.short"
    itself = ShipTransfer(from_location="MAIN", to_location="MAIN", lines=twice[:1], reference="T")
    assert await refused(door, itself) == "stock.transfer_to_itself"
    assert await account(url, "in_transit") == 0
    await prove(url)


async def test_what_is_short_at_the_close_is_the_shortage_accounts_and_a_case(door: Door, url: str):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6, PLATE=5))).result["transfer"]
    await done(door, arrive(transfer, MUG=4, close=True))
    assert await lines_of(url) == [(6, 4, 0, 2, 0), (5, 0, 0, 5, 0)]
    assert (await account(url, "shortage"), await account(url, "shortage", "PLATE")) == (2, 5)
    assert await rows(url, "select kind, subjects from cases") == [("transfer_discrepancy", 2)]
    await prove(url)


async def test_what_is_over_comes_from_the_shortage_account_and_is_a_case(door: Door, url: str):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6))).result["transfer"]
    await done(door, arrive(transfer, MUG=7, PLATE=1))
    assert await lines_of(url) == [(6, 6, 1, 0, 0), (0, 0, 1, 0, 0)]
    assert (await balance(url, location="SHOP"), await balance(url, "PLATE", "SHOP")) == (
        {"on_hand": 7}, {"on_hand": 1}
    )  # fmt: skip
    assert (await account(url, "shortage"), await cases(url)) == (-1, ["transfer_discrepancy"])
    await prove(url)


async def test_what_arrives_after_the_close_is_posted_too(door: Door, url: str):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6))).result["transfer"]
    await done(door, arrive(transfer, close=True))
    assert await account(url, "shortage") == 6
    await done(door, arrive(transfer, MUG=6))
    assert (await balance(url, location="SHOP"), await account(url, "shortage")) == ({"on_hand": 6}, 0)
    assert (await tell(door, arrive(transfer, close=True))).status == "merged"
    assert await refused(door, arrive("trf_none", MUG=1)) == "stock.unknown_transfer"
    await prove(url)


async def test_what_arrives_broken_goes_where_it_belongs(door: Door, url: str):
    await two_shops(door)
    transfer = (await done(door, ship(MUG=6))).result["transfer"]
    line = ReceivedTransferLine("MUG", Quantity(2), status="damaged")
    await done(door, ReceiveTransfer(transfer=transfer, lines=(line,)))
    assert await balance(url, location="SHOP") == {"damaged": 2}
    await prove(url)


async def test_lots_go_first_expired_first_and_arrive_with_their_date(door: Door, url: str):
    await places(door, "MAIN", "SHOP")
    await item(door, "MILK", tracking="lot", expires=True)
    soon, later = DAY + timedelta(days=2), DAY + timedelta(days=20)
    await done(door, lots(("L2", 5, later), ("L1", 3, soon), ("L0", 4, DAY - timedelta(days=1))))
    assert await refused(door, ship(MILK=9)) == "stock.short"
    transfer = (await done(door, ship(MILK=4))).result["transfer"]
    assert await lots_of(url) == {"L0": 4, "L2": 4}
    await done(door, arrive(transfer, MILK=4, close=True))
    assert await lots_of(url, location="SHOP") == {"L1": 3, "L2": 1}
    assert await rows(
        url, "select lot, expires_on from stock_lot where location = (select id from location where code = 'SHOP') "
        "order by lot"
    ) == [("L1", soon), ("L2", later)]  # fmt: skip
    await prove(url)


@pytest.mark.parametrize("number", ["S1", "S2"])
async def test_a_serial_number_travels_with_its_unit(door: Door, url: str, number: str):
    await places(door, "MAIN", "SHOP")
    await item(door, "MILK", tracking="serial")
    await done(door, lots(("S1", 1, None), ("S2", 1, None)))
    line = TransferredLine("MILK", Quantity(1), lot=number)
    out = ShipTransfer(from_location="MAIN", to_location="SHOP", lines=(line,), reference="T")
    transfer = (await done(door, out)).result["transfer"]
    await done(door, arrive(transfer, MILK=1, close=True))
    assert await lots_of(url, location="SHOP") == {number: 1}
    assert await refused(door, out) == "stock.lot_short"
    await prove(url)
