"""Files of orders, as JSON lines and CSV, over the API: each order ends by itself, and the same file happens once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.conftest import stocked
from tests.orders.capturing import lines
from tests.proof import prove
from tests.requests import figures, rows
from tests.web.conftest import DEPUTY, OTHER, Client, client, serve, tokens

from trueup.core.door import Door
from trueup.core.errors import Refused
from trueup.orders.bulk import read_file

__all__ = ["client", "serve", "tokens"]
NDJSON, CSV = "application/x-ndjson", "text/csv"


async def send(client: Client, body: str, media: str, key: str = "file", by: str = DEPUTY) -> list[dict[str, Any]]:
    reply = await client.post("/v1/orders/bulk", body.encode(), by=by, key=key, Content_Type=media)
    assert reply.status == 200, reply.body
    text = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return [msgspec.json.decode(line) for line in text.splitlines()]


def order(sku: str, quantity: int, **more: Any) -> str:
    line = {"sku": sku, "quantity": quantity, "unit_price": "1.00"}
    return msgspec.json.encode({"currency": "EUR", "lines": [line], **more}).decode()


async def test_a_broken_line_loses_only_itself(door: Door, url: str, client: Client):
    await stocked(door, MUG=10)
    body = "\n".join(
        [order("MUG", 1), "{broken", order("CUP", 1), order("MUG", 99), order("MUG", 2, external_ids={"shop": "7"}),
         "", order("MUG", 1, colour="red"), order("MUG", 1, contact="per_1"), "[]", order("MUG", 3, channel="\0")]
    )  # fmt: skip
    found = await send(client, body, NDJSON)
    assert [(row["row"], row["status"]) for row in found] == [
        (1, "applied"), (2, "unreadable"), (3, "refused"), (4, "refused"), (5, "applied"), (7, "unreadable"),
        (8, "unreadable"), (9, "unreadable"), (10, "unreadable")]  # fmt: skip
    assert [row["refusal"]["rule"] for row in found[1:4]] == [
        "orders.bulk_row", "catalogue.unknown_item", "stock.short"]  # fmt: skip
    assert found[6]["refusal"]["where"] == "contact"
    assert (await figures(url))["reserved"] == 3
    assert await rows(url, "select count(*)::int from orders") == [(2,)]
    await prove(url)


async def test_the_same_file_under_the_same_key_happens_once(door: Door, url: str, client: Client):
    await stocked(door, MUG=10)
    body = "\n".join([order("MUG", 1), order("MUG", 20), order("MUG", 2)])
    first = await send(client, body, NDJSON)
    again = await send(client, body, NDJSON)
    assert [row.get("repeated", False) for row in first] == [False] * 3
    assert [row.get("repeated", False) for row in again] == [True] * 3
    assert [row.get("order") for row in again] == [row.get("order") for row in first]
    other = await send(client, "\n".join([order("MUG", 1), order("MUG", 20), order("MUG", 3)]), NDJSON)
    assert other[2]["refusal"]["rule"] == "door.key_reused"
    assert (await figures(url))["reserved"] == 3
    fresh = await send(client, body, NDJSON, key="another-file")
    assert fresh[0]["order"] != first[0]["order"]
    await prove(url)


async def test_a_csv_groups_its_rows_by_order(door: Door, url: str, client: Client):
    await stocked(door, MUG=10, CUP=10)
    header = (
        "order currency sku quantity unit_price list_price customer_order id:shop charge:SHIPPING name city country"
    )
    table = (
        ";".join([*header.split(), "ship_country"])
        + """
A1;EUR;MUG;2;1.50;2.00;PO 7;1001;4.90;Ada "Lovelace";Bonn;DE;DE
A1;;CUP;1;2.00;;;;;;;;
A2;EUR;MUG;1;1.00;;;;;;;;
A3;EUR;MUG;1;1.00;;PO 8;;;;;;
A3;CHF;CUP;1;1.00;;;;;;;;
A4;EUR;MUG;x;1.00;;;;;;;;
A5;EUR;MUG;1;1.00;;;;;;;;;;extra
"""
    )
    found = await send(client, table, CSV)
    assert [(row["row"], row["reference"], row["status"]) for row in found] == [
        (1, "A1", "applied"), (3, "A2", "applied"), (4, "A3", "unreadable"), (6, "A4", "unreadable"),
        (7, "A5", "unreadable")]  # fmt: skip
    assert found[2]["refusal"]["where"] == "currency"
    assert found[3]["refusal"]["where"] == "lines[0].quantity"
    first = found[0]["order"]
    assert await lines(url, first, "sku", "quantity::int", "amount::text", "flags") == [
        ("MUG", 2, "3.00", ["price_differs"]), ("CUP", 1, "2.00", []), ("SHIPPING", 1, "4.90", [])]  # fmt: skip
    kept = "select external_ids, business ->> 'customer_order', p.name from orders o join person p on p.id = o.person"
    assert await rows(url, kept) == [({"shop": "1001"}, "PO 7", 'Ada "Lovelace"')]
    await prove(url)


@pytest.mark.parametrize(("body", "rule"), [
    ("sku,quantity,colour\nMUG,1,red\n", "unknown columns: colour"),
    ("sku,sku,quantity\nMUG,MUG,1\n", "columns twice: sku"),
    ("sku,currency\nMUG,EUR\n", "lacks columns: quantity"),
    ("sku,quantity\nMUG,1\n", "lacks columns: currency"),
    ("sku,quantity,currency\n", "no rows"),
    ("", "lacks columns"),
])  # fmt: skip
async def test_a_csv_that_cannot_be_read_is_refused_whole(body: str, rule: str):
    with pytest.raises(Refused) as refused:
        read_file(body.encode(), "csv")
    assert rule in refused.value.refusal.what


async def test_a_file_in_another_encoding_is_refused_whole():
    with pytest.raises(Refused) as refused:
        read_file("sku,quantity,currency\nTÜTE,1,EUR\n".encode("cp1252"), "csv")
    assert refused.value.refusal.what == "The file is not UTF-8 at byte 23."


async def test_what_is_given_for_all_holds_where_a_row_says_nothing():
    table = "\ufeffsku,quantity,unit_price,channel\nMUG,1,2,\nMUG,1,2,shop\n"
    found = read_file(table.encode(), "csv", {"channel": "fair", "currency": "CHF"})
    commands = [row.command for row in found]
    assert [(c.channel, c.currency) for c in commands if c is not None] == [("fair", "CHF"), ("shop", "CHF")]


async def test_who_may_not_place_orders_may_not_send_files(door: Door, url: str, client: Client):
    await stocked(door, MUG=10)
    replies = [
        await client.post("/v1/orders/bulk", order("MUG", 1).encode(), by=by, key="k", Content_Type=media)
        for by, media in ((OTHER, NDJSON), (None, NDJSON), (DEPUTY, "application/json"))
    ]
    assert [reply.status for reply in replies] == [403, 401, 415]
    keyless = await client.post("/v1/orders/bulk", order("MUG", 1).encode(), by=DEPUTY, key=None, Content_Type=NDJSON)
    assert keyless.status == 400
    assert await rows(url, "select * from orders") == []
