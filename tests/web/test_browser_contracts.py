"""Data contracts in a real Chromium: a breach from rule to containment to close."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from tests.catalogue.breaches import DAY, MINUTE, case_of, items_contract, notice, write_item
from tests.catalogue.test_breach import allocated, place, source
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.web.test_browser import CHROMIUM, address, context, page, playwright

from trueup import house
from trueup.catalogue.contract_odcs import exported
from trueup.catalogue.contract_yaml import write_yaml
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.storyline import settled
from trueup.web.sign_in import make_link

__all__ = ["address", "context", "page", "playwright"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it in TRUEUP_CHROMIUM"),
]


async def test_a_breach_from_rule_to_containment_to_close(
    page: Page, address: str, door: Door, url: str, clock: TurnedClock
) -> None:
    await stocked(door, MUG=10)
    before, after = await place(door, "before", MUG=3), await place(door, "after", MUG=2)

    await page.goto(f"{address}/contracts")
    await page.get_by_label("Name here").fill("items")
    await page.get_by_label("Why").fill("agreed with the shop")
    await page.get_by_label("Document (YAML)").fill(write_yaml(exported("items", items_contract())))
    await page.get_by_role("button", name="Import it").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Contract items")
    await expect(page.locator("tbody").first).to_contain_text("weight_g has a value")

    sourced = await source(door, before, "source before")
    assert sourced.status == "applied", sourced.refusal
    await settled(door, url, house.build())
    await page.reload()
    await page.get_by_role("link", name="1 fail").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("weight.known")
    await expect(page.locator("#orders")).to_contain_text("€30.00")
    await expect(page.get_by_text("Orders that would wait")).to_be_visible()
    assert await page.get_by_role("button", name="Lift the containment").count() == 0

    breach = page.url
    clock.turn(DAY - MINUTE)
    await sign_in_again(page, address, url, clock)
    await page.goto(breach)
    await expect(page.locator("[aria-labelledby=keys]")).to_contain_text("fails")
    clock.turn(MINUTE)
    await page.reload()
    await expect(page.locator("[aria-labelledby=keys]")).to_contain_text("contained")
    third = await place(door, "third", MUG=1)
    assert (await source(door, third, "no worker yet")).status == "refused"
    assert await notice(url, door) == 1

    await write_item(door, url, "MUG", "weighed", name="Mug", weight_g=Quantity(300))
    assert await allocated(url, third) == 1
    await page.reload()
    await expect(page.get_by_text("The rule passes on every key")).to_be_visible()
    found = await case_of(url)
    assert found is not None
    await page.goto(f"{address}/cases/{found[0]}")
    await page.get_by_text("Close, with its root cause").click()
    await page.get_by_label("Root cause").select_option("data_definition")
    await page.locator("#cl-n").fill("The supplier sends weights now.")
    await page.get_by_role("button", name="Close the case").click()
    await expect(page.locator(".chips").first).to_contain_text("closed")
    assert await rows(url, "select ended_by from breach") == [("passed",)]
    assert await allocated(url, after) == 2
    await prove(url)


async def sign_in_again(page: Page, address: str, url: str, clock: TurnedClock) -> None:
    """Sign the same person in: a session does not last a day."""
    (actor,) = (await rows(url, "select id from actor where name = 'Stella'"))[0]
    await page.goto(f"{address}/sign-in/link?token={await make_link(url, actor, clock.now())}")
    await page.wait_for_url(f"{address}/")
