"""What a channel's policy makes of an order's money, both ways through the door: behaviours 25 and 26, and freight."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import stocked
from tests.orders.capturing import GERMANY, basket, channel, lines, money, placed, publish
from tests.proof import prove

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem
from trueup.core.door import Door
from trueup.orders.business import Terms

PENCE = (("MUG", 1, "1.06"), ("CUP", 1, "2.06"), ("POT", 1, "3.06"), ("JAR", 1, "4.06"))


async def taxed_at(door: Door, rate: str, **document: Any) -> None:
    """Stock every item and tax the channel at one rate."""
    await stocked(door, MUG=99, CUP=9, POT=9, JAR=9)
    await publish(door, "tax", home="FR", entries=[{"country": "FR", "rate": rate}])
    await channel(door, **{"tax": "table", **document})


@pytest.mark.parametrize(("rounding", "tax"), [("per_line", "1.04"), ("per_unit", "1.04"), ("per_total", "1.02")])
async def test_behaviour_26_whether_each_line_is_rounded_is_the_channels_choice(
    door: Door, url: str, rounding: str, tax: str
):
    """10 % of 10.24 is 1.024; line by line it is 0.106, 0.206, 0.306 and 0.406, each rounded up."""
    await taxed_at(door, "10", rounding=rounding)
    order = await placed(door, basket(*PENCE))
    assert await money(url, order) == {"goods": Decimal("10.24"), "charges": 0, "discount": 0, "tax": Decimal(tax),
                                       "total": Decimal("10.24") + Decimal(tax)}  # fmt: skip
    assert sum(share for (share,) in await lines(url, order, "tax")) == Decimal(tax), "the lines keep all of it"
    await prove(url)


@pytest.mark.parametrize(("included", "rounding", "tax", "total"), [
    (True, "per_line", 33, 200),  # 200 * 20 / 120 = 33.3
    (True, "per_total", 33, 200),
    (True, "per_unit", 34, 200),  # 100 * 20 / 120 = 16.7, rounded to 17, twice
    (False, "per_line", 40, 240),
    (False, "per_total", 40, 240),
    (False, "per_unit", 40, 240),
])  # fmt: skip
async def test_behaviour_25_whether_prices_include_tax_is_the_channels_choice(
    door: Door, url: str, included: bool, rounding: str, tax: int, total: int
):
    """Two mugs of 100 yen at 20 %: net 167 and tax 33, or tax on top."""
    await taxed_at(door, "20", rounding=rounding, prices_include_tax=included)
    order = await placed(door, basket(("MUG", 2, "100"), currency="JPY"))
    assert await money(url, order) == {"goods": 200, "charges": 0, "discount": 0, "tax": tax, "total": total}
    await prove(url)


@pytest.mark.parametrize(("provider", "tax"), [("table", "2.00"), ("none", "0")])
async def test_behaviour_25_who_knows_the_rates_is_the_channels_choice(door: Door, url: str, provider: str, tax: str):
    await taxed_at(door, "20", tax=provider)
    order = await placed(door, basket(("MUG", 1, "10.00")))
    assert (await money(url, order))["tax"] == Decimal(tax)
    await prove(url)


@pytest.mark.parametrize(("document", "charges"), [
    ({}, "1.00"),  # no freight: what was stated, and nothing else
    ({"freight": {"EUR": {"rule": "flat", "amount": "4.90"}}}, "5.90"),
    ({"freight": {"EUR": {"rule": "flat", "amount": "4.90"}}, "freight_code": "GIFT"}, "1.00"),
    ({"freight": {"CHF": {"rule": "flat", "amount": "4.90"}}}, "1.00"),
    ({"freight": {"EUR": {"rule": "flat", "amount": "4.90", "free_from": "10"}}}, "1.00"),
    ({"freight": {"EUR": {"rule": "flat", "amount": "4.90", "free_from": "10.01"}}}, "5.90"),
])  # fmt: skip
async def test_freight_is_charged_once_under_the_channels_name_for_it(
    door: Door, url: str, document: dict[str, Any], charges: str
):
    """A mug of 10.00 with a charge GIFT of 1.00: where that is what freight is called, it was charged already."""
    await stocked(door, MUG=1)
    await channel(door, **document)
    order = await placed(door, basket(("MUG", 1, "10.00"), charges=(("GIFT", "1.00"),)))
    assert (await money(url, order))["charges"] == Decimal(charges)
    await prove(url)


FRENCH = Terms(tax_id="FR40303265045")


@pytest.mark.parametrize(("table", "country", "business", "tax", "code"), [
    ({"principle": "destination"}, "FR", None, "1.10", "S FR"),
    ({"principle": "origin"}, "FR", None, "1.40", "S DE"),
    ({"principle": "origin", "home": "FR"}, "DE", None, "1.10", "S FR"),
    ({"union": ["DE", "FR"]}, "FR", FRENCH, "0", "K FR VATEX-EU-IC"),
    ({"union": ["DE"]}, "FR", FRENCH, "0", "G FR VATEX-EU-G"),
    ({"services": ["reduced"]}, "FR", FRENCH, "0", "AE FR VATEX-EU-AE"),
    ({"services": []}, "FR", FRENCH, "0", "K FR VATEX-EU-IC"),
])  # fmt: skip
async def test_whose_tax_it_is_says_the_table(
    door: Door, url: str, table: dict[str, Any], country: str, business: Terms | None, tax: str, code: str
):
    """Two of 10.00 at the reduced rates: 7 % of Germany, from where goods leave, and 5.5 % of France."""
    await stocked(door, MUG=9)
    await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug", tax_class="reduced"), "reduced")
    await publish(door, "tax", **{**GERMANY, **table})
    await channel(door, tax="table")
    order = await placed(door, basket(("MUG", 2, "10"), ship_country=country, business=business))
    assert await lines(url, order, "tax", "tax_code") == [(Decimal(tax), code)]
    await prove(url)
