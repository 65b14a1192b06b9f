"""A replay knows what was agreed with a supplier when an order came: terms are taken as they were recorded."""

from __future__ import annotations

from tests.catalogue.test_partners import amend, partner, terms
from tests.conftest import START
from tests.proof import prove
from tests.replayed import opened, shop_at
from tests.requests import rows

from trueup import house
from trueup.catalogue.readiness import ReadinessPolicy
from trueup.catalogue.register import RegisterItem
from trueup.oversight.impact import impact


async def test_an_order_is_replayed_under_the_lead_time_that_was_agreed_by_then(url: str):
    async with shop_at(url, START) as shop:
        await opened(shop)
        await shop.do(partner())
        await shop.do(RegisterItem(sku="MUG", name="Mug", supplier="BRNO"))
        await shop.do(RegisterItem(sku="TEE", name="Tee", lead_days=1))
        ((position,),) = await rows(url, "select max(position) from journal")
        await shop.order("own", TEE=1)
        await shop.order("early", MUG=1)
        await shop.do(amend(terms({"lead_days": 14})))
        await shop.order("agreed", MUG=1)
    asked = {("readiness", "default"): ReadinessPolicy(enforce=True, sellable=("lead_time",), shippable=())}
    found = await impact(url, house.build(), asked, since_position=position)
    assert [(one.order, one.what) for one in found.shown] == [(shop.orders["early"], "outcome")]
    assert (found.orders, found.differing) == (3, 1)
    await prove(url)
