"""What pages and API say of orders in flight that a change lets walk by another version of their workflow."""

from __future__ import annotations

from tests.board import declared
from tests.conftest import expect_all
from tests.orders.test_adopt import RENAMED, proofing, replacing, shop
from tests.requests import cancel
from tests.sourcing.words import placed
from tests.web.console_visitor import console
from tests.web.test_change_pages import acted, at

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders.adopt import AdoptWorkflow
from trueup.storyline import settled


async def test_the_page_says_how_many_orders_in_flight_a_change_migrates(door: Door, url: str, clock: TurnedClock):
    await shop(door)
    company = await declared(door)
    order = await proofing(door, "order")
    gone = await placed(door, "gone", MUG=1)
    expect_all([await door.submit(SYSTEM, cancel(gone), "cancel")])
    states = {"proofing": "reviewing"}
    change = await company.propose(
        company.Lea, replacing(RENAMED), AdoptWorkflow(order_type="sale", version=2, states=states)
    )
    await company.approve(change, company.Olga, company.Ivan)
    async with console(url, clock) as address, at(url, clock, address, company.Olga) as olga:
        page = await olga.get(f"/changes/{change[0]}")
        assert "1 order in flight</strong> would walk by this version" in page.text
        assert "orders in flight follow in batches" in page.text
        await acted(olga, change[0], "apply")
        await settled(door, url, house.build())
        page = await olga.get(f"/changes/{change[0]}")
        assert "1 order in flight</strong> walk by this version since" in page.text
        on_order = " ".join((await olga.get(f"/orders/{order}")).text.split())
        assert "version 2, adopted from version 1" in on_order
        assert "Adopted another version of its workflow" in on_order
        await acted(olga, change[0], "revert", reason="too early")
        await settled(door, url, house.build())
        assert "Taken back" in (await olga.get(f"/changes/{change[0]}")).text
        on_order = " ".join((await olga.get(f"/orders/{order}")).text.split())
        assert "version 1, back from version 2" in on_order
        assert "Walks by its former version of the workflow again" in on_order
