"""A change in a real Chromium: proposed, its replay read, approved by a second person, applied, and rolled back."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Playwright, expect
from tests.board import Company, declared
from tests.conftest import stocked
from tests.orders.holding import place, rule, table
from tests.requests import priced_order, rows
from tests.web.test_browser import ARGUMENTS, CHROMIUM, Watch, address, playwright

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import Actor
from trueup.web.sign_in import make_link

__all__ = ["address", "playwright"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it in TRUEUP_CHROMIUM"),
]
DEAR = {"tables": [table(rule("dear", "payment", ("order.total", "over", "500")))]}


async def desk_of(browser: Browser, url: str, address: str, who: Actor, clock: TurnedClock) -> tuple[Page, Watch]:
    """Return a page of somebody with a browser profile of their own, and what watches it."""
    context: BrowserContext = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(15_000)
    watch = Watch(page, address)
    token = await make_link(url, who.id, clock.now())
    await page.goto(f"{address}/sign-in/link?token={token}")
    await page.wait_for_url(f"{address}/")
    return page, watch


async def test_a_change_from_proposal_to_rollback(
    playwright: Playwright, door: Door, url: str, clock: TurnedClock, address: str
) -> None:
    await stocked(door, MUG=20)
    company: Company = await declared(door)
    dear = (await place(door, "dear", command=priced_order("600.00", MUG=1)))["number"]
    await place(door, "cheap", command=priced_order("10.00", MUG=1))
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    lea, one = await desk_of(browser, url, address, company.Lea, clock)
    olga, other = await desk_of(browser, url, address, company.Olga, clock)

    await lea.goto(f"{address}/policies/holds")
    await lea.get_by_label("Name", exact=True).fill("default")
    await lea.get_by_label("Title of the change").fill("Hold dear orders")
    await lea.get_by_label("Reason, for the record").fill("chargebacks")
    await lea.get_by_label("Document, as JSON").fill(json.dumps(DEAR))
    await lea.get_by_role("button", name="Propose it").click()
    await expect(lea.get_by_role("heading", level=1)).to_contain_text("Hold dear orders")
    await expect(lea.get_by_text("It is your own: somebody else approves or rejects it.")).to_be_visible()
    change = lea.url.split("?")[0]

    await olga.goto(change)
    await olga.get_by_role("button", name="Replay it").click()
    effect = olga.locator("section", has=olga.locator("#effect"))
    await expect(effect).to_contain_text("1 of 2 orders")
    await expect(effect.get_by_role("link", name=dear).first).to_be_visible()
    await olga.get_by_role("button", name="Approve").click()
    await expect(olga.get_by_role("heading", level=1)).to_contain_text("approved")
    assert await rows(url, "select count(*) from policy_active") == [(0,)], "approved is not applied"
    await olga.get_by_role("button", name="Apply it").click()
    await expect(olga.get_by_role("heading", level=1)).to_contain_text("applied")

    held = (await place(door, "held", command=priced_order("600.00", MUG=1)))["order"]
    assert await rows(url, "select count(*) from order_hold where order_id = %s", held) == [(1,)]
    await olga.get_by_label("Why").fill("too many holds")
    await olga.get_by_role("button", name="Roll it back").click()
    await expect(olga.get_by_role("heading", level=1)).to_contain_text("rolled back")
    free = (await place(door, "free", command=priced_order("600.00", MUG=1)))["order"]
    assert await rows(url, "select count(*) from order_hold where order_id = %s", free) == [(0,)]
    await lea.reload()
    await expect(lea.get_by_text("Rolled back by Olga: too many holds")).to_be_visible()
    assert (one.complaints, one.elsewhere, other.complaints, other.elsewhere) == ([], [], [], [])
    await browser.close()
