"""The life of an order's tax: estimated, recomputed where the address changes, committed by invoice, reversed.

Provider outages go by the channel's policy, in three ways.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import expect_all, stocked
from tests.orders.capturing import GERMANY, basket, channel, lines, money, placed, publish, taxed, with_
from tests.proof import prove
from tests.requests import cancel, rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.catalogue.state import Catalogue
from trueup.core import ids
from trueup.core.batch import fold
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.core.verb import Context, Outcome
from trueup.orders import tax
from trueup.orders.business import LineTerms, Terms
from trueup.orders.changes import OrderTaxed
from trueup.orders.commit_tax import CommitTax, ReverseTax, TaxedLine
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.orders.revise import ChangeAddress
from trueup.orders.state import Orders
from trueup.orders.tax import Place, TaxOutage, TaxQuote, TaxRequest
from trueup.orders.taxing import retaxed
from trueup.parties.state import Contact


def german(*wanted: tuple[str, int, str], **more: Any) -> PlaceOrder:
    return basket(*wanted, ship_country="DE", **more)


async def say(door: Door, command: Any, key: str) -> Outcome:
    outcome = await door.submit(SYSTEM, command, key)
    expect_all([outcome])
    return outcome


async def refused(door: Door, command: Any, key: str) -> str:
    outcome = await door.submit(SYSTEM, command, key)
    assert outcome.refusal is not None, outcome
    return outcome.refusal.rule


async def committed(url: str) -> list[tuple[Any, ...]]:
    return await rows(
        url, "select invoice, line, units::int, rate::int, base, tax, reverses from order_tax order by number"
    )


async def test_an_order_is_taxed_where_it_goes(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door)
    home = await placed(door, basket(("MUG", 2, "10")), "home")
    abroad = await placed(door, basket(("MUG", 2, "10"), ship_country="FR"), "abroad")
    export = await placed(door, basket(("MUG", 2, "10"), ship_country="CH"), "export")
    codes = [await lines(url, order, "tax", "tax_rate::int", "tax_code") for order in (home, abroad, export)]
    assert codes == [[(Decimal("3.80"), 19, "S DE")], [(Decimal("4.00"), 20, "S FR")], [(0, 0, "G CH VATEX-EU-G")]]
    assert (await money(url, home))["total"] == Decimal("23.80")
    await prove(url)


@pytest.mark.parametrize(("terms", "tax_due", "code"), [
    (Terms(tax_id="FR40303265045"), "0", "K FR VATEX-EU-IC"),
    (Terms(tax_id="FR00000000000"), "4.00", "S FR"),
    (Terms(exemption="EMBASSY"), "0", "E FR VATEX-EU-151"),
    (Terms(exemption="NOBODY"), "4.00", "S FR"),
])  # fmt: skip
async def test_exemption_and_reverse_charge_follow_what_is_known_of_the_customer(
    door: Door, url: str, terms: Terms, tax_due: str, code: str
):
    await stocked(door, MUG=10)
    await taxed(door)
    order = await placed(door, basket(("MUG", 2, "10"), ship_country="FR", business=terms))
    assert await lines(url, order, "tax", "tax_code") == [(Decimal(tax_due), code)]
    flags = await rows(url, "select flags from orders")
    assert bool(flags[0][0]) == (tax_due != "0"), "what was claimed in vain is flagged"
    await prove(url)


async def test_a_line_that_goes_elsewhere_is_taxed_there(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door)
    command = PlaceOrder(currency="EUR", ship_country="DE", lines=(
        PlaceLine("MUG", Quantity(1), Decimal(10)),  # type: ignore[arg-type]
        PlaceLine("MUG", Quantity(1), Decimal(10), business=LineTerms(ship_country="FR")),  # type: ignore[arg-type]
    ))  # fmt: skip
    order = await placed(door, command)
    assert await lines(url, order, "tax_rate::int", "tax_code") == [(19, "S DE"), (20, "S FR")]
    await say(door, ChangeAddress(order=order, ship_country="CH"), "move")
    assert await lines(url, order, "tax_rate::int", "tax_code") == [(0, "G CH VATEX-EU-G"), (20, "S FR")]
    await prove(url)


async def test_another_address_taxes_the_order_anew_and_keeps_its_amounts(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door)
    order = await placed(door, german(("MUG", 3, "10"), charges=(("SHIPPING", "4.90"),), discount=Decimal("3.00"),
                                      contact=Contact(name="Ada", email="ada@example.com")))  # fmt: skip
    before = await money(url, order)
    assert before["tax"] == Decimal("6.06")
    moved = await say(door, ChangeAddress(order=order, ship_country="FR", ship_postcode="75001", version=1,
                                          contact=Contact(name="Ada B.")), "move")  # fmt: skip
    after = await money(url, order)
    assert moved.result["tax"] == str(after["tax"]) == "6.38"
    assert {**before, "tax": 0, "total": 0} == {**after, "tax": 0, "total": 0}
    assert after["total"] == before["total"] - before["tax"] + after["tax"]
    kept = "select ship_country, ship_postcode, p.name, p.email from orders o join person p on p.id = o.person"
    assert await rows(url, kept) == [("FR", "75001", "Ada B.", None)]
    assert await rows(url, "select version from orders") == [(moved.result["version"],)]
    stale = await door.submit(SYSTEM, ChangeAddress(order=order, ship_country="DE", version=1), "stale")
    assert stale.refusal is not None
    assert stale.refusal.rule == "orders.changed"
    assert await money(url, order) == after
    assert "Ada" not in str(await rows(url, "select convert_from(body, 'UTF8') from journal"))
    await prove(url)


async def test_where_prices_include_tax_the_total_stays_when_the_rate_changes(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door, prices_include_tax=True)
    order = await placed(door, german(("MUG", 1, "119.00")))
    assert (await money(url, order))["tax"] == Decimal("19.00")
    await say(door, ChangeAddress(order=order, ship_country="FR"), "move")
    after = await money(url, order)
    assert (after["tax"], after["total"]) == (Decimal("19.83"), Decimal("119.00"))
    await prove(url)


async def test_it_refuses_to_send_elsewhere_what_is_not_sent(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door)
    pickup = await placed(door, with_(german(("MUG", 1, "1")), delivery="pickup", location="MAIN"), "pickup")
    gone = await placed(door, german(("MUG", 1, "1")), "gone")
    await say(door, cancel(gone), "cancel")
    assert await refused(door, ChangeAddress(order=pickup, ship_country="FR"), "1") == "orders.not_sent"
    assert await refused(door, ChangeAddress(order=gone, ship_country="FR"), "2") == "orders.not_sent"
    assert await refused(door, ChangeAddress(order="ord_none", ship_country="FR"), "3") == "orders.unknown"
    order = await placed(door, german(("MUG", 1, "1")), "order")
    assert await refused(door, ChangeAddress(order=order, ship_country="UK"), "4") == "orders.country"
    assert await rows(url, "select distinct ship_country from orders") == [("DE",)]
    await prove(url)


async def retax(url: str, order: str, **arguments: Any) -> Any:
    """Ask for an order's taxes when it leaves elsewhere, on what the journal says."""
    connection = await connect(url)
    try:
        state = await fold(connection, house.build())
        standing = await house.build().load_standing(connection)
    finally:
        await connection.close()
    row = state.of(Orders).order(order)
    assert row is not None
    assert state.of(Catalogue).item("MUG") is not None
    now = row.captured.recorded_at
    context = Context(SYSTEM, now, ids.sequence(now, ids.random_seed()), standing.policies)
    return retaxed(state, row, context, **arguments)


async def test_another_place_to_leave_from_taxes_the_order_anew(door: Door, url: str):
    await stocked(door, MUG=10)
    await publish(door, "tax", **{**GERMANY, "principle": "origin"})
    await channel(door, tax="table")
    order = await placed(door, german(("MUG", 1, "10")))
    assert (await money(url, order))["tax"] == Decimal("1.90")
    (event,) = await retax(url, order, ship_from=Place("FR"))
    assert isinstance(event, OrderTaxed)
    assert (event.totals.tax, event.ship_from, event.lines[0].tax_code) == (Decimal("2.00"), "FR", "S FR")
    (kept,) = await retax(url, order, ship_from=Place("FR"), invoiced={1})
    assert (kept.lines, kept.totals.tax, kept.ship_from) == ((), Decimal("1.90"), "FR")
    assert await retax(url, order, ship_from=None) == [], "nothing changes"


async def test_a_bound_location_is_where_the_goods_leave(door: Door, url: str):
    await publish(door, "tax", **{**GERMANY, "principle": "origin"})
    await channel(door, tax="table")
    await stocked(door, MUG=5)
    await stocked(door, location="PARIS", MUG=5)
    paris = RegisterLocation(code="PARIS", name="Paris", country="FR")
    await say(door, paris, "paris")
    order = await placed(door, german(("MUG", 1, "10"), location="PARIS"))
    assert await lines(url, order, "tax_code") == [("S FR",)]
    assert await rows(url, "select ship_from from orders") == [("FR",)]
    await prove(url)


async def test_an_invoice_freezes_the_tax_and_the_rest_is_taxed_anew(door: Door, url: str):
    await stocked(door, MUG=10, CUP=10)
    await taxed(door)
    order = await placed(door, german(("MUG", 3, "3.33"), ("CUP", 1, "10"), charges=(("SHIPPING", "5.00"),)))
    first = await say(door, CommitTax(order=order, invoice="R1", lines=(TaxedLine(1, Quantity(2)),)), "r1")
    assert first.result["base"] == "6.66"
    await say(door, ChangeAddress(order=order, ship_country="FR"), "move")
    rates = await lines(url, order, "tax_rate::int")
    assert rates == [(19,), (20,), (20,)], "a line that is invoiced in part keeps its rate"
    await say(door, CommitTax(order=order, invoice="R2"), "r2")
    assert await committed(url) == [
        ("R1", 1, 2, 19, Decimal("6.66"), Decimal("1.27"), None),
        ("R2", 1, 1, 19, Decimal("3.33"), Decimal("0.63"), None),
        ("R2", 2, 1, 20, Decimal("10.00"), Decimal("2.00"), None),
        ("R2", 3, 1, 20, Decimal("5.00"), Decimal("1.00"), None),
    ]
    total = await rows(url, "select sum(tax) from order_tax")
    assert total == [((await money(url, order))["tax"],)], "what is invoiced is the order's tax"
    await prove(url)


async def test_it_refuses_to_invoice_what_is_not_there(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door)
    order = await placed(door, german(("MUG", 3, "10")), "taxed")
    await say(door, CommitTax(order=order, invoice="R1", lines=(TaxedLine(1, Quantity(2)),)), "r1")
    await say(door, cancel(order, line1=1), "cancel")

    def invoice(units: int | None, line: int = 1, number: str = "R2") -> CommitTax:
        chosen = (TaxedLine(line, Quantity(units) if units is not None else None),)
        return CommitTax(order=order, invoice=number, lines=chosen)

    assert await refused(door, invoice(1, number="R1"), "1") == "orders.invoice_known"
    assert await refused(door, invoice(1), "2") == "orders.too_many"
    assert await refused(door, invoice(1, line=2), "3") == "orders.unknown_line"
    assert await refused(door, CommitTax(order=order, invoice="R2"), "4") == "orders.nothing_left"
    assert await refused(door, ReverseTax(order=order, invoice="R9"), "5") == "orders.invoice_unknown"
    assert await refused(door, ReverseTax(order=order, lines=(TaxedLine(1, Quantity(3)),)), "6") == "orders.too_many"
    await channel(door, tax="none")
    untaxed = await placed(door, german(("MUG", 1, "10")), "untaxed")
    assert await refused(door, CommitTax(order=untaxed, invoice="R3"), "7") == "orders.untaxed"
    assert len(await committed(url)) == 1
    await prove(url)


async def test_a_reversal_has_the_original_rate_and_its_parts_sum_to_the_invoice(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door)
    order = await placed(door, german(("MUG", 3, "3.33")))
    await say(door, CommitTax(order=order, invoice="R1"), "r1")
    await publish(door, "tax", home="DE", entries=[{"country": "DE", "rate": "16"}])
    for turn in range(3):
        await say(door, ReverseTax(order=order, lines=(TaxedLine(1, Quantity(1)),)), f"{turn}")
    found = await committed(url)
    assert [row[3] for row in found] == [19] * 4
    assert sum(row[5] for row in found[1:]) == found[0][5] == Decimal("1.90")
    assert [row[5] for row in found[1:]] == [Decimal("0.63"), Decimal("0.64"), Decimal("0.63")]
    assert await refused(door, ReverseTax(order=order), "more") == "orders.nothing_left"
    await prove(url)


async def test_cancelling_invoiced_units_reverses_their_tax(door: Door, url: str):
    await stocked(door, MUG=10)
    await taxed(door)
    order = await placed(door, german(("MUG", 5, "10")))
    await say(door, CommitTax(order=order, invoice="R1", lines=(TaxedLine(1, Quantity(3)),)), "r1")
    await say(door, cancel(order, line1=2), "what is not invoiced goes first")
    assert len(await committed(url)) == 1
    await say(door, cancel(order, line1=1), "one that is")
    assert (await committed(url))[1] == ("R1", 1, 1, 19, Decimal("10.00"), Decimal("1.90"), 1)
    assert (await money(url, order))["tax"] == Decimal("3.80")
    await prove(url)


async def test_a_charge_taxed_in_proportion_is_invoiced_at_each_of_its_rates(door: Door, url: str):
    await stocked(door, MUG=10)
    await say(door, RegisterItem(sku="BOOK", name="Book", tax_class="reduced"), "book")
    await taxed(door, short="backorder", freight_tax="proportional")
    order = await placed(door, german(("BOOK", 3, "10"), ("MUG", 1, "10"), charges=(("SHIPPING", "10.00"),)))
    await say(door, CommitTax(order=order, invoice="R1", lines=(TaxedLine(3),)), "r1")
    frozen = await committed(url)
    assert [row[:5] for row in frozen] == [
        ("R1", 3, 1, 7, Decimal("7.50")), ("R1", 3, 1, 19, Decimal("2.50"))]  # fmt: skip
    await say(door, ReverseTax(order=order, invoice="R1"), "back")
    assert [row[3:] for row in await committed(url)] == [
        (*frozen[0][3:6], None), (*frozen[1][3:6], None), (*frozen[0][3:6], 1), (*frozen[1][3:6], 2)]  # fmt: skip
    await say(door, ChangeAddress(order=order, ship_country="FR"), "move")
    assert [row[0] for row in await lines(url, order, "tax_code")] == ["S FR", "S FR", None]
    await prove(url)


class Broken:
    """A provider that never has an answer."""

    def quote(self, request: TaxRequest) -> TaxQuote | TaxOutage:
        return TaxOutage("broken", "it does not answer")


@pytest.mark.parametrize(("on_outage", "status", "flags"), [
    ("estimate", "applied", ["tax_estimated"]),
    ("hold", "applied", ["tax_estimated", "tax_hold"]),
    ("refuse", "refused", None),
])  # fmt: skip
async def test_an_outage_of_the_provider_goes_by_the_channels_policy(
    door: Door, url: str, monkeypatch: pytest.MonkeyPatch, on_outage: str, status: str, flags: list[str] | None
):
    monkeypatch.setitem(tax.PROVIDERS, "broken", Broken())
    await stocked(door, MUG=10)
    await publish(door, "tax", **GERMANY)
    await channel(door, tax="broken", on_outage=on_outage)
    outcome = await door.submit(SYSTEM, german(("MUG", 1, "10")), "order")
    assert outcome.status == status
    if outcome.refusal is not None:
        assert outcome.refusal.rule == "orders.tax_outage"
        assert await rows(url, "select * from orders") == []
        assert await rows(url, "select * from stock_claim") == []
    else:
        assert outcome.result["flags"] == flags
        held = await rows(url, "select type, reason from order_hold where order_id = %s", outcome.result["order"])
        assert [kind for kind, _ in held] == (["data"] if on_outage == "hold" else [])
        assert (await money(url, outcome.result["order"]))["tax"] == Decimal("1.90"), "as the table has it"
    await prove(url)


async def test_a_provider_that_is_gone_is_an_outage(door: Door, url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(tax.PROVIDERS, "broken", Broken())
    await stocked(door, MUG=10)
    await channel(door, tax="broken", on_outage="refuse")
    monkeypatch.delitem(tax.PROVIDERS, "broken")
    assert await refused(door, german(("MUG", 1, "10")), "order") == "orders.tax_outage"
    await prove(url)


async def test_an_outage_refuses_another_address_only_where_the_channel_says_so(
    door: Door, url: str, monkeypatch: pytest.MonkeyPatch
):
    class Fickle(tax.TableProvider):
        answers = True

        def quote(self, request: TaxRequest) -> TaxQuote | TaxOutage:
            return super().quote(request) if self.answers else TaxOutage("fickle", "not now")

    provider = Fickle(tax.TaxTable(home="DE", entries=(tax.TaxEntry(country="DE", rate=Quantity(19)),)))
    monkeypatch.setitem(tax.PROVIDERS, "fickle", provider)
    await stocked(door, MUG=10)
    await channel(door, tax="fickle", on_outage="refuse")
    order = await placed(door, german(("MUG", 1, "10")))
    provider.answers = False
    assert await refused(door, ChangeAddress(order=order, ship_country="FR"), "move") == "orders.tax_outage"
    assert await rows(url, "select ship_country, total_tax from orders") == [("DE", Decimal("1.90"))]
    await prove(url)


async def test_the_day_whose_rates_apply_is_the_channels(door: Door, url: str, clock: Any):
    await stocked(door, MUG=10)
    today = clock.now().date()
    entries = [
        {"country": "DE", "rate": "16", "valid_to": today.isoformat()},
        {"country": "DE", "rate": "19", "valid_from": date(today.year, today.month, today.day + 1).isoformat()},
    ]
    await publish(door, "tax", home="DE", entries=entries)
    await channel(door, tax="table")
    utc = await placed(door, german(("MUG", 1, "10")), "utc")
    await channel(door, tax="table", timezone="Pacific/Kiritimati")
    ahead = await placed(door, german(("MUG", 1, "10")), "ahead")
    assert [(await lines(url, order, "tax_rate::int"))[0][0] for order in (utc, ahead)] == [16, 16]
    clock.turn(timedelta(hours=2))
    later = await placed(door, german(("MUG", 1, "10")), "later")
    assert (await lines(url, later, "tax_rate::int")) == [(19,)], "there it is tomorrow"
    await prove(url)
