"""A real Chromium on a real server: the walk that the demo promises, with nothing leaving this machine."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Page, Playwright, Request, async_playwright, expect
from tests.web.console_visitor import console, person

from trueup.core.clock import TurnedClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.migrate.report import Price, Report
from trueup.migrate.run import Means, run_migration
from trueup.oversight.exposure import ExposurePolicy, Input, correction_cost, misalignment
from trueup.sandbox.legacy_export import ExportOptions, scaled_rates, write_legacy_export
from trueup.web.sign_in import make_link

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = os.environ.get("TRUEUP_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it in TRUEUP_CHROMIUM"),
]


async def price_of(connection: Connection, run: str, kind: str, count: int, rows: int) -> Price:
    """Price a finding as the demo does, from 40 orders a day."""
    orders = Input("orders per day", Decimal(40), "orders/day", "entered", "/policies/exposure")
    wrong = Input("wrong rows", Decimal(count), "rows", "measured", f"/migrations/{run}?kind={kind}")
    whole = Input("rows", Decimal(rows), "rows", "measured", f"/migrations/{run}")
    made = misalignment(orders, correction_cost(ExposurePolicy()), wrong, whole, "EUR")
    return Price(made.per_day, made.per_hour(), made.currency, made.source())


@pytest.fixture
async def migrated(door: Door, url: str, clock: TurnedClock, tmp_path: Path) -> Report:
    """A small shop's export with planted faults, taken over."""
    source = tmp_path / "export"
    options = ExportOptions(
        seed=11, orders=200, items=60, customers=60, until=date(2026, 2, 28), rates=scaled_rates(200)
    )
    write_legacy_export(source, options, tmp_path / "key.csv")
    means = Means(door=door, url=url, home=tmp_path, clock=clock, price_of=price_of)
    return await run_migration(means, [source], None)


@pytest.fixture
async def address(url: str, clock: TurnedClock) -> AsyncIterator[str]:
    """API and console on this test's database."""
    async with console(url, clock) as served:
        yield served


@pytest.fixture
async def playwright() -> AsyncIterator[Playwright]:
    """Playwright, for one test."""
    async with async_playwright() as started:
        yield started


@pytest.fixture
async def context(playwright: Playwright) -> AsyncIterator[BrowserContext]:
    """A fresh profile."""
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield await browser.new_context()
    await browser.close()


class Watch:
    """What a page should not do: complain, or ask another machine."""

    def __init__(self, page: Page, address: str) -> None:
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self._address = address
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self._address + "/", "data:")):
            self.elsewhere.append(request.url)


@pytest.fixture
async def page(context: BrowserContext, door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Page]:
    """A page of somebody who signed in by a one-time link; afterwards, nothing may have gone wrong in it."""
    opened = await context.new_page()
    opened.set_default_timeout(10_000)
    watch = Watch(opened, address)
    token = await make_link(url, await person(door, "Stella", "Data Steward", "Order Agent"), clock.now())
    await opened.goto(f"{address}/sign-in/link?token={token}")
    await opened.wait_for_url(f"{address}/")
    yield opened
    assert watch.complaints == []
    assert watch.elsewhere == []


async def legacy_number(door: Door, url: str) -> tuple[str, str]:
    """Return a legacy number that no other begins with, and the order's own number."""
    connection = await connect(url)
    rows = await connection.execute(
        """select k.key, o.number from order_key k join orders o on o.id = k.order_id
        where k.source = 'legacy' and not exists (
            select from order_key x where x.key > k.key and starts_with(x.key, k.key)) order by k.key desc limit 1"""
    )
    row = await rows.fetchone()
    await connection.close()
    assert row is not None
    return str(row[0]), str(row[1])


async def test_the_walk_of_the_demo(page: Page, address: str, door: Door, url: str, migrated: Report) -> None:
    legacy, number = await legacy_number(door, url)
    await page.get_by_role("searchbox", name="Find an order").fill(legacy)
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name=number).click()
    await expect(page.get_by_role("heading", name=f"Order {number}")).to_be_visible()
    await expect(page.get_by_text(legacy, exact=True)).to_be_visible()
    entry = page.locator("#timeline summary").filter(has_text="Taken over as history")
    await entry.click()
    await expect(page.locator("#timeline details[open] pre")).to_contain_text(f'"{legacy}"')

    await page.get_by_role("link", name="Cases", exact=True).click()
    kind, count = next(iter(sorted(migrated.found.items(), key=lambda entry: -entry[1])))
    case = next(case for case in migrated.cases if case.kind == kind)
    await page.get_by_role("link", name=case.title).click()
    await expect(page.get_by_role("heading", name=case.title)).to_be_visible()
    await page.get_by_role("link", name=re.compile(r"Open the .* rows? behind it")).click()
    await page.wait_for_url(f"**/migrations/{migrated.run}/rows?kind={kind}")
    places = await page.locator("#list tbody tr td:first-child a").all_inner_texts()
    assert len(set(places)) == count, "the number and its rows agree"


async def test_filters_change_address_and_list_and_back_undoes_them(page: Page, address: str, migrated: Report) -> None:
    await page.goto(f"{address}/orders")
    await page.get_by_label("Fulfilment").select_option("returned")
    await page.wait_for_url("**/orders?fulfilment=returned")
    await expect(page.locator("#list")).to_contain_text("Only:")
    await page.go_back()
    await page.wait_for_url(f"{address}/orders")
    await expect(page.get_by_label("Fulfilment")).to_have_value("")
    await expect(page.locator("#list")).not_to_contain_text("Only:")


async def test_a_quarantined_row_is_corrected_at_the_console(page: Page, address: str, migrated: Report) -> None:
    await page.goto(f"{address}/migrations/{migrated.run}/rows?kind=unreadable_value")
    row = page.locator("#list tbody tr").first
    place = await row.locator("a").inner_text()
    column = await row.locator("td").nth(3).inner_text()
    await row.locator("a").click()
    await expect(page.get_by_role("heading", name=f"Correct {place}")).to_be_visible()
    await page.get_by_label(re.compile(f"^{column}")).fill("2")
    await page.get_by_role("button", name="Correct the row and run it again").click()
    await expect(page.locator("#list tbody")).to_contain_text("corrected", timeout=30_000)
    await page.goto(f"{address}/migrations/{migrated.run}")
    await expect(page.get_by_text("adds up:")).to_be_visible()


async def test_it_reads_without_scripts_and_at_the_width_of_a_telephone(
    playwright: Playwright, page: Page, address: str, migrated: Report
) -> None:
    cookies = await page.context.storage_state()
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    try:
        plain = await browser.new_context(
            storage_state=cookies, java_script_enabled=False, viewport={"width": 390, "height": 844}
        )
        reader = await plain.new_page()
        for path in ("/", "/orders", "/stock", "/cases", f"/migrations/{migrated.run}", "/journal"):
            await reader.goto(address + path)
            await expect(reader.locator("h1")).to_be_visible()
        await reader.goto(f"{address}/orders")
        await reader.get_by_label("Search", exact=True).fill("nothing has this number")
        await reader.get_by_role("button", name="Find").click()
        await expect(reader.locator("#list")).to_contain_text("No order matches")
    finally:
        await browser.close()
    await page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", "/orders", "/stock", "/items", "/cases", f"/migrations/{migrated.run}", "/journal", "/actors"):
        await page.goto(address + path)
        over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{path} scrolls sideways by {over} px"
