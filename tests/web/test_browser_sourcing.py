"""A sourcing decision is explained in a real Chromium: where an order comes from, why, and what was left out."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from tests.conftest import expect_all, stocked
from tests.requests import rows
from tests.sourcing.words import by, publish
from tests.web.test_browser import CHROMIUM, address, context, page, playwright

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterLocation
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.channel import Channel
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.policy import LocationFilter, Rule
from trueup.storyline import settled

__all__ = ["address", "context", "page", "playwright"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it in TRUEUP_CHROMIUM"),
]
PLACES = (("BERLIN", "52.52", "13.40"), ("LYON", "45.76", "4.84"), ("PORTO", "41.15", "-8.61"))


@pytest.fixture
async def order(door: Door, url: str) -> str:
    """An order of five mugs to Hamburg: the nearest of three places has three, the next two, the last is too far."""
    for code, latitude, longitude in PLACES:
        await stocked(door, location=code, MUG=3)
        place = RegisterLocation(
            code=code, name=code.title(), kind="warehouse", latitude=Quantity(latitude), longitude=Quantity(longitude)
        )
        expect_all([await door.submit(SYSTEM, place, f"where {code} is")])
    await publish(door, "web", Channel(locations=tuple(code for code, _, _ in PLACES)))
    whole = Rule("one parcel", sort=("distance",), complete="order")
    near = Rule("nearest first", where=LocationFilter(distance_km_max=1500), sort=("distance",), otherwise="partial")
    await publish(door, "default", by(whole, near))
    await settled(door, url, build())
    placed = await door.submit(
        SYSTEM,
        PlaceOrder(
            currency="EUR",
            lines=(PlaceLine("MUG", Quantity(5), Amount("9.90")),),
            latitude=Quantity("53.55"),
            longitude=Quantity("9.99"),
        ),
        "order",
    )
    expect_all([placed])
    await settled(door, url, build())
    return str(placed.result["order"])


async def test_a_sourcing_decision_is_explained(page: Page, address: str, order: str, door: Door, url: str) -> None:
    await page.goto(f"{address}/orders/{order}")
    why = page.locator("#sourcing")
    await expect(why.get_by_role("heading", name="Where it comes from")).to_be_visible()
    await expect(why.locator("summary")).to_contain_text("All of it placed, when it was placed")
    await expect(why.locator("li").nth(0)).to_contain_text("BERLIN gives 3 × MUG")
    await expect(why.locator("li").nth(1)).to_contain_text("LYON gives 2 × MUG")
    await expect(why.get_by_role("heading", name="Rule “one parcel”: no location has all of it: next")).to_be_visible()
    told = why.locator("table").last
    await expect(told.locator("tr", has_text="BERLIN")).to_contain_text("255 km")
    await expect(told.locator("tr", has_text="PORTO")).to_contain_text("km away, beyond 1500")
    await expect(why.get_by_text("decided by rule “nearest first”")).to_be_visible()

    await why.get_by_role("link", name="/2").click()
    await expect(page.get_by_text("Rejecting is for: Fulfilment Lead.")).to_be_attached()
    await page.get_by_text("The location rejects it").click()
    await expect(page.get_by_role("button", name="Reject")).to_have_count(0)
    await page.goto(f"{address}/sourcing")
    await expect(page.get_by_text("Nothing waits: every order is allocated in full.")).to_be_visible()
    assert await rows(url, "select sum(rejected) from fulfilment_order") == [(0,)]


async def test_it_fits_a_telephone(page: Page, address: str, order: str, url: str) -> None:
    part = (await rows(url, "select id from fulfilment_order order by number limit 1"))[0][0]
    await page.set_viewport_size({"width": 390, "height": 844})
    for path in (
        "/sourcing",
        "/fulfilment-orders",
        f"/fulfilment-orders/{part}",
        f"/orders/{order}",
        "/policies/workflow",
    ):
        await page.goto(address + path)
        over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{path} scrolls sideways by {over} px"
