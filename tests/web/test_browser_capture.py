"""A real Chromium: an agent enters an order with a short line, and sees why before and after placing it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import BrowserContext, Page, expect
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import order_of, rows
from tests.web.console_visitor import person
from tests.web.test_browser import CHROMIUM, Watch, address, context, playwright

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.receive import SetSafetyStock
from trueup.web.sign_in import make_link

__all__ = ["address", "context", "playwright"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it in TRUEUP_CHROMIUM"),
]


@pytest.fixture
async def page(context: BrowserContext, door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Page]:
    """A page of an agent who signed in; afterwards, nothing but the refusal that was expected went wrong in it."""
    opened = await context.new_page()
    opened.set_default_timeout(10_000)
    watch = Watch(opened, address)
    token = await make_link(url, await person(door, "Stella", "Order Agent"), clock.now())
    await opened.goto(f"{address}/sign-in/link?token={token}")
    await opened.wait_for_url(f"{address}/")
    yield opened
    assert [said for said in watch.complaints if "status of 422" not in said] == []
    assert watch.elsewhere == []


async def line(page: Page, number: int, sku: str, units: str, price: str) -> None:
    """Enter one line and leave its last field, as people do."""
    await page.get_by_label(f"SKU of line {number}").fill(sku)
    await page.get_by_label(f"Units of line {number}").fill(units)
    await page.get_by_label(f"Unit price of line {number}").fill(price)
    await page.keyboard.press("Tab")


async def test_an_agent_enters_an_order_with_a_short_line_and_sees_why(
    page: Page, address: str, door: Door, url: str
) -> None:
    await stocked(door, MUG=9, CUP=4)
    await door.submit(SYSTEM, SetSafetyStock(location="MAIN", sku="CUP", quantity=Quantity(1)), "safety")
    assert (await door.submit(SYSTEM, order_of(CUP=2), "before")).status == "applied"

    await page.goto(f"{address}/orders")
    await page.get_by_role("link", name="Enter an order").click()
    await line(page, 1, "MUG", "2", "10.00")
    await expect(page.locator("#why-0")).to_contain_text("MAIN 9")
    await expect(page.locator("#sum")).to_contain_text("would be placed")
    await line(page, 2, "CUP", "3", "5.00")
    await expect(page.locator("#why-1")).to_contain_text("CUP: 3 asked, 1 available")
    await expect(page.locator("#why-1")).to_contain_text("4 on hand")
    await expect(page.locator("#why-1")).to_contain_text("2 reserved")
    await expect(page.locator("#why-1")).to_contain_text("1 safety stock")
    await expect(page.locator("#why-0")).not_to_contain_text("asked")
    await expect(page.locator("#sum")).to_contain_text("would be refused")
    assert await rows(url, "select count(*)::int from orders") == [(1,)], "looking writes nothing"

    await page.get_by_role("button", name="Place the order").click()
    await expect(page.get_by_role("alert")).to_contain_text("Not enough stock")
    await expect(page.locator("#why-1")).to_contain_text("CUP: 3 asked, 1 available")
    await expect(page.get_by_label("SKU of line 2")).to_have_value("CUP")
    assert await rows(url, "select count(*)::int from orders") == [(1,)]

    await line(page, 2, "CUP", "1", "5.00")
    await expect(page.locator("#sum")).to_contain_text("25.00")
    await page.get_by_role("button", name="Place the order").click()
    await page.wait_for_url("**/orders/ord_*")
    await expect(page.locator("#main")).to_contain_text("25.00")
    await prove(url)
