"""Orders of the past over the API and in the console: behaviour 24, the discount of each line as its source had it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.conftest import expect_all, stocked
from tests.web.conftest import Client
from tests.web.console_visitor import console, person, signed_in

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.orders.record import RecordedLine, RecordOrder


async def taken_over(door: Door) -> str:
    """Take over an order of two lines; the source took 2.9933 off the second, and 1.00 off the document."""
    lines = (RecordedLine("1", "MUG", Quantity(1), Amount("43.00")),
             RecordedLine("2", "CUP", Quantity(2), Amount("14.00"), discount=Amount("2.9933")))  # fmt: skip
    at = datetime(2024, 5, 1, tzinfo=UTC)
    command = RecordOrder(source="legacy", document="D-1", placed_at=at, currency="EUR", lines=lines,
                          discount=Amount("1.00"))  # fmt: skip
    outcome = await door.submit(SYSTEM, command, "record")
    expect_all([outcome])
    return str(outcome.result["order"])


async def test_behaviour_24_the_api_tells_a_lines_discount_as_the_source_had_it(client: Client, door: Door):
    body = (await client.get(f"/v1/orders/{await taken_over(door)}")).body
    assert [line["discount"] for line in body["lines"]] == ["0", "2.9933"]
    assert (body["totals"]["discount"], body["totals"]["total"]) == ("3.9933", "67.0067")


async def test_behaviour_24_the_console_shows_each_lines_discount(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1, CUP=1)
    lines = (PlaceLine("MUG", Quantity(1), Amount("30.00")), PlaceLine("CUP", Quantity(1), Amount("10.00")))
    placed = await door.submit(SYSTEM, PlaceOrder(currency="EUR", lines=lines, discount=Amount("2.00")), "place")
    taken = await taken_over(door)
    auditor = await person(door, "Otto", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        pages = {order: await visitor.get(f"/orders/{order}") for order in (taken, placed.result["order"])}
    shown = {order: _line_cells(page.text) for order, page in pages.items()}
    assert [cells["Discount"] for cells in shown[taken]] == ["", "€2.9933"]
    assert [cells["Discount"] for cells in shown[placed.result["order"]]] == ["€1.50", "€0.50"]
    assert [cells["Amount"] for cells in shown[taken]] == ["€43.00", "€28.00"]


def _line_cells(page: str) -> list[dict[str, str]]:
    """Return what the table of lines says, row by row, under its headings."""
    table = page.partition('<h2 id="lines">')[2].partition("</table>")[0]
    headings = re.findall(r"<th[^>]*>(.*?)</th>", table, re.DOTALL)
    body = table.partition("<tbody>")[2]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in body.split("</tr>")[:-1]]
    return [dict(zip(headings, (cell.strip() for cell in row), strict=True)) for row in rows]
