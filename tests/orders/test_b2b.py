"""What businesses agree on: kept, searched and shown; custom fields by policy; prices from the catalogue; margins."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.conftest import expect_all, stocked
from tests.orders.capturing import basket, channel, lines, money, placed, publish, taxed
from tests.proof import prove
from tests.requests import person, rows
from tests.web.conftest import ADMINISTRATOR, DEPUTY, Client, client, serve, tokens

from trueup.authority.standing import SYSTEM
from trueup.catalogue.cost import RecordCost
from trueup.catalogue.register import KitPart, RegisterItem
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders import read
from trueup.orders.business import LineTerms, Terms
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.orders.read import OrderDetail, OrderQuery
from trueup.parties.state import Address, Contact, LineAddress

__all__ = ["client", "serve", "tokens"]
WEEK = Terms(
    customer_order="PO-4711/b", requested_from=date(2026, 3, 9), requested_to=date(2026, 3, 13), payment_terms="NET30",
    contract="frame 2026",
)  # fmt: skip


def agreed(*terms: LineTerms | None, **more: Any) -> PlaceOrder:
    """An order of one mug a line at 9.00, with these terms."""
    wanted = tuple(PlaceLine("MUG", Quantity(1), Amount("9.00"), business=line) for line in terms)
    return PlaceOrder(currency="EUR", lines=wanted, **more)


async def detail(url: str, order: str) -> OrderDetail:
    connection = await connect(url)
    try:
        found = await read.order(connection, order)
    finally:
        await connection.close()
    assert found is not None
    return found


async def found_by(url: str, text: str) -> list[str]:
    connection = await connect(url)
    try:
        page = await read.find(connection, OrderQuery(search=text))
    finally:
        await connection.close()
    return [row.id for row in page.items]


async def test_terms_are_kept_with_order_and_line_and_shown(door: Door, url: str):
    await stocked(door, MUG=10)
    line = LineTerms(contract="frame 2026", list_price=Amount("12.00"), substitutions_allowed=True,
                     requested_from=date(2026, 3, 10), ship_country="FR", ship_postcode="75001")  # fmt: skip
    order = await placed(door, agreed(None, line, business=WEEK))
    shown = await detail(url, order)
    assert shown.capture is not None
    assert shown.capture.business is not None
    assert {name: getattr(shown.capture.business, name) for name in Terms.__struct_fields__} == {
        name: getattr(WEEK, name) for name in Terms.__struct_fields__
    }
    assert [one.terms for one in shown.lines] == [None, msgspec.structs.replace(line, line=2)]
    assert [one.flags for one in shown.lines] == [(), ()], "a contract explains its price"
    await prove(url)


@pytest.mark.parametrize(("terms", "flags"), [
    (LineTerms(list_price=Amount("12.00")), ["price_differs"]),
    (LineTerms(list_price=Amount("9.00")), []),
    (LineTerms(list_price=Amount("12.00"), contract="frame"), []),
    (LineTerms(contract="frame"), []),
])  # fmt: skip
async def test_the_price_is_compared_with_the_sources_list(door: Door, url: str, terms: LineTerms, flags: list[str]):
    await stocked(door, MUG=10)
    order = await placed(door, agreed(terms))
    assert await lines(url, order, "flags", "unit_price") == [(flags, Decimal("9.00"))]
    await prove(url)


async def test_a_customers_own_number_finds_its_orders_from_its_beginning_and_may_come_twice(door: Door, url: str):
    await stocked(door, MUG=10)
    first = await placed(door, agreed(None, business=WEEK), "first")
    second = await placed(door, agreed(None, business=WEEK), "second")
    other = await placed(door, agreed(None, business=Terms(customer_order="PO-99")), "other")
    await placed(door, agreed(None), "none")
    assert set(await found_by(url, "PO-4711")) == {first, second}
    assert set(await found_by(url, "PO-")) == {first, second, other}
    assert await found_by(url, "4711") == []
    await prove(url)


async def test_addresses_of_lines_are_words_of_the_one_person_row(door: Door, url: str):
    await stocked(door, MUG=10)
    words = Contact(name="Ada", ship_to=Address(city="Bonn"), line_ship_to=(LineAddress(2, Address(city="Paris")),))
    order = await placed(door, agreed(None, LineTerms(ship_country="FR"), contact=words, ship_country="DE"))
    assert await rows(url, "select count(*)::int from person") == [(1,)]
    shown = await detail(url, order)
    assert shown.contact == words
    assert "Paris" not in str(await rows(url, "select convert_from(body, 'UTF8') from journal"))
    await prove(url)


@pytest.mark.parametrize(("changes", "rule", "where"), [
    ({"business": Terms(requested_from=date(2026, 3, 9), requested_to=date(2026, 3, 8))},
     "orders.requested", "business.requested_to"),
    ({"line": LineTerms(requested_from=date(2026, 3, 9), requested_to=date(2026, 3, 8))},
     "orders.requested", "lines[0].business.requested_to"),
    ({"line": LineTerms(ship_country="UK")}, "orders.country", "lines[0].business.ship_country"),
    ({"line": LineTerms(list_price=Amount(-1))}, "orders.price", "lines[0].business.list_price"),
    ({"ship_country": "UK"}, "orders.country", "ship_country"),
    ({"fields": {"colour": "red"}}, "fields.unknown", "fields.colour"),
])  # fmt: skip
async def test_it_refuses_terms_that_cannot_be_and_writes_nothing(
    door: Door, url: str, changes: dict[str, Any], rule: str, where: str
):
    await stocked(door, MUG=10)
    order = agreed(changes.pop("line", None), **changes)
    outcome = await door.submit(SYSTEM, order, "order")
    assert outcome.refusal is not None
    assert (outcome.refusal.rule, outcome.refusal.where) == (rule, where)
    assert await rows(url, "select * from orders") == []
    assert await rows(url, "select * from stock_claim") == []
    await prove(url)


RULES = [{"name": "campaign", "searchable": True}, {"name": "gift", "type": "bool", "required": True}]


async def test_custom_fields_are_checked_kept_and_searched_over_the_api(door: Door, url: str, client: Client):
    await stocked(door, MUG=10)
    await publish(door, "fields", "order", fields=RULES)
    line = {"sku": "MUG", "quantity": 1, "unit_price": "1"}
    body = {"currency": "EUR", "lines": [line], "fields": {"gift": True, "campaign": "spring"}}
    order = (await client.post("/v1/orders", body, by=DEPUTY)).body["result"]["order"]
    shown = (await client.get(f"/v1/orders/{order}", by=DEPUTY)).body
    assert shown["capture"]["fields"] == {"campaign": "spring", "gift": True}
    found = (await client.get("/v1/orders?field=campaign:spring", by=DEPUTY)).body
    assert [row["id"] for row in found["items"]] == [order]
    assert (await client.get("/v1/orders?field=campaign:autumn", by=DEPUTY)).body["items"] == []
    assert (await client.get("/v1/orders?field=gift:true", by=DEPUTY)).status == 400, "it is not searchable"
    lacking = await client.post("/v1/orders", {"currency": "EUR", "lines": [line]}, by=DEPUTY)
    assert (lacking.status, lacking.body["where"]) == (422, "fields.gift")
    await prove(url)


async def test_a_line_without_a_price_has_the_catalogues(door: Door, url: str):
    await stocked(door, MUG=100)
    item = RegisterItem(sku="MUG", name="Mug", unit_price=Amount("2.50"), currency="EUR", units={"case": Quantity(12)})
    expect_all([await door.submit(SYSTEM, item, "price")])
    wanted = (PlaceLine("MUG", Quantity(2)), PlaceLine("MUG", Quantity(2), unit="case"))
    order = await placed(door, PlaceOrder(currency="EUR", lines=wanted))
    assert await lines(url, order, "quantity::int", "unit_price", "amount") == [
        (2, Decimal("2.50"), Decimal("5.00")), (24, Decimal("2.50"), Decimal("60.00"))]  # fmt: skip
    swiss = await door.submit(SYSTEM, PlaceOrder(currency="CHF", lines=wanted), "swiss")
    assert swiss.refusal is not None
    assert (swiss.refusal.rule, swiss.refusal.where) == ("orders.price_unknown", "lines[0].unit_price")
    assert await rows(url, "select count(*)::int from orders") == [(1,)]
    await prove(url)


async def test_a_person_who_takes_an_order_in_is_kept_and_a_service_is_not(door: Door, url: str):
    await stocked(door, MUG=10)
    ada = await person(door, "Ada", "Order Agent")
    expect_all([await door.submit(ada, agreed(None), "staff")])
    await placed(door, agreed(None), "shop")
    assert sorted(await rows(url, "select entered_by from orders"), key=str) == sorted([(ada.id,), (None,)], key=str)
    await prove(url)


async def costs(door: Door, **known: str) -> None:
    for sku, cost in known.items():
        command = RecordCost(sku=sku, currency="EUR", cost=Amount(cost), effective_from=date(2026, 1, 1), source="erp")
        expect_all([await door.submit(SYSTEM, command, f"cost {sku}")])


async def test_the_margin_is_unknown_until_every_cost_is_known(door: Door, url: str):
    await stocked(door, MUG=10, CUP=10)
    await taxed(door, prices_include_tax=True)
    order = await placed(door, basket(("MUG", 2, "11.90"), ("CUP", 1, "23.80"), charges=(("SHIPPING", "5.95"),)))
    assert (await detail(url, order)).margin is None
    await costs(door, MUG="4.00")
    assert (await detail(url, order)).margin is None
    await costs(door, CUP="15.00")
    assert (await detail(url, order)).margin == Decimal("17.00"), "20.00 + 20.00 before tax, less 8.00 and 15.00"
    await prove(url)


async def test_a_phantom_kits_margin_is_that_of_its_parts(door: Door, url: str):
    await stocked(door, MUG=10)
    kit = RegisterItem(sku="PAIR", name="Pair", kind="kit", phantom=True,
                       components=(KitPart(sku="MUG", quantity=Quantity(2)),))  # fmt: skip
    expect_all([await door.submit(SYSTEM, kit, "kit")])
    await costs(door, MUG="4.00")
    order = await placed(door, basket(("PAIR", 2, "20.00")))
    assert (await detail(url, order)).margin == Decimal("24.00")
    await prove(url)


async def test_an_order_shows_what_waits_where_it_is_claimed_and_what_it_is_taxed(door: Door, url: str, client: Client):
    await stocked(door, MUG=2)
    await stocked(door, location="STORE", MUG=1)
    await taxed(door, short="backorder", locations=["MAIN", "STORE"], unpaid_minutes=60)
    body = {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 5, "unit_price": "10"}], "priority": 7}
    order = (await client.post("/v1/orders", body)).body["result"]["order"]
    shown = (await client.get(f"/v1/orders/{order}")).body
    line = shown["lines"][0]
    assert (line["reserved"], line["waiting"], line["tax"], line["tax_code"]) == ("3", "2", "9.50", "S DE")
    claimed = [(claim["location"], claim["quantity"], claim["expires_at"]) for claim in shown["claims"]]
    assert claimed == [("MAIN", "2", "2026-03-02T10:00:00Z"), ("STORE", "1", "2026-03-02T10:00:00Z")]
    assert (shown["capture"]["priority"], shown["capture"]["delivery"]) == (7, "ship")
    assert shown["summary"]["type"] == "sale"
    invoiced = await client.post(f"/v1/orders/{order}/taxes", {"invoice": "R1"})
    assert invoiced.status == 200
    assert (await client.get(f"/v1/orders/{order}")).body["taxes"][0]["tax"] == "9.50"
    assert (await money(url, order))["tax"] == Decimal("9.50")
    await prove(url)


async def test_drafts_are_saved_changed_confirmed_and_listed_over_the_api(door: Door, url: str, client: Client):
    await stocked(door, MUG=10)
    await channel(door, reserve_minutes=30)
    body = {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 2, "unit_price": "10"}], "contact": {"name": "Ada"}}
    saved = await client.post("/v1/drafts", {}, by=DEPUTY)
    where = saved.headers["location"]
    assert saved.status == 201
    changed = await client.send("PUT", where, body, by=DEPUTY, key="put", If_Match='"1"')
    assert (changed.status, changed.headers["etag"], changed.body["result"]["total"]) == (200, '"2"', "20.00")
    stale = await client.send("PUT", where, body, by=DEPUTY, key="stale", If_Match='"1"')
    assert (stale.status, stale.body["where"]) == (412, "version")
    shown = (await client.get(where, by=DEPUTY)).body
    assert (shown["contact"], shown["claims"][0]["quantity"]) == ({"name": "Ada"}, "2")
    listed = (await client.get("/v1/drafts?open=true", by=DEPUTY)).body["items"]
    assert [(row["id"], row["expired"]) for row in listed] == [(shown["id"], False)]
    placed_ = await client.post(f"{where}/confirm", {}, by=DEPUTY)
    assert (placed_.status, placed_.headers["location"]) == (201, f"/v1/orders/{shown['id']}")
    assert (await client.get("/v1/drafts?open=true", by=DEPUTY)).body["items"] == []
    assert (await client.get(f"/v1/drafts?search={shown['number'][:4]}", by=DEPUTY)).body["items"][0]["confirmed_at"]
    assert (await client.send("DELETE", where, by=DEPUTY, key="d")).status == 422
    assert (await client.post("/v1/drafts/ord_none/confirm", {}, by=DEPUTY)).status == 404
    assert (await client.post("/v1/drafts", {}, by=ADMINISTRATOR)).status == 403
    await prove(url)
