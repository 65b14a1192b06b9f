"""Holds in a real Chromium: placed by a rule, seen on the order, released in bulk with a reason; then orders go on."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from tests.conftest import stocked
from tests.orders.holding import place, publish, rule, table
from tests.requests import priced_order, rows
from tests.web.test_browser import CHROMIUM, address, context, page, playwright

from trueup.core.door import Door
from trueup.house import build
from trueup.storyline import settled

__all__ = ["address", "context", "page", "playwright"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it in TRUEUP_CHROMIUM"),
]


@pytest.fixture
async def held(door: Door, url: str) -> list[str]:
    """Three orders above 500.00, which a rule of the policy holds back, and one below that went on."""
    await stocked(door, MUG=20)
    dear = rule("dear", "payment", ("order.total", "over", "500"))
    published = await publish(door, "holds", tables=[table(dear)])
    assert published.status == "applied", published.refusal
    orders = [
        (await place(door, f"dear {number}", command=priced_order("600.00", MUG=1)))["order"] for number in range(3)
    ]
    await place(door, "cheap", command=priced_order("10.00", MUG=1))
    await settled(door, url, build())
    return [str(order) for order in orders]


async def test_a_hold_is_placed_by_a_rule_and_released_in_bulk(
    page: Page, address: str, held: list[str], door: Door, url: str
) -> None:
    assert await rows(url, "select count(*) from orders where state = 'sourced'") == [(1,)], "the cheap one only"
    await page.goto(f"{address}/orders/{held[0]}")
    await expect(page.locator("#holds")).to_contain_text("rule dear")

    await page.goto(f"{address}/holds")
    await expect(page.locator("tbody tr")).to_have_count(3)
    await expect(page.locator("tbody tr").first).to_contain_text("by rule checks/dear")
    await page.get_by_role("button", name="Release the ticked holds").click()
    assert await rows(url, "select count(*) from order_hold where released_at is null") == [(3,)], (
        "none without a reason"
    )
    for box in (await page.get_by_role("checkbox").all())[:2]:
        await box.check()
    await page.get_by_label("Reason, for the record").fill("the bank confirmed both")
    await page.get_by_role("button", name="Release the ticked holds").click()
    await expect(page.locator("tbody tr")).to_have_count(1)

    released = await rows(
        url, "select release_reason, rule from order_hold where released_at is not null order by order_id"
    )
    assert [reason for reason, _ in released] == ["the bank confirmed both"] * 2
    await settled(door, url, build())
    assert await rows(url, "select count(*) from orders where state = 'sourced'") == [(3,)], "the third waits on"
