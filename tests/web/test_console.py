"""The console's pages: who may see and do what, what an address means, and that hostile words stay words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import aiohttp
import pytest
from tests.conftest import expect_all, stocked
from tests.web.console_visitor import Visitor, console, person, signed_in

from trueup.authority.standing import SYSTEM
from trueup.cases.open import OpenCase
from trueup.cases.state import CaseSubject
from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders.hold import PlaceHold
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.orders.record import RecordedLine, RecordOrder
from trueup.parties.record import RecordCustomer
from trueup.parties.state import Contact

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


class InlineCode(HTMLParser):
    """Collects what a page must not hold: scripts and styles in it, handlers in attributes, and the hostile picture."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if tag in ("style", "img", "iframe") or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        self.found += [value for _, value in attrs if value and value.startswith("javascript:")]


async def placed(door: Door, number: str, quantity: int = 3, **more: object) -> str:
    """Place an order of mugs that the shop knows by `number`; return its id."""
    lines = (PlaceLine("MUG", Quantity(quantity), Amount("10.00")),)
    command = PlaceOrder(currency="EUR", lines=lines, external_ids={"shop": number}, **more)  # type: ignore[arg-type]
    outcome = await door.submit(SYSTEM, command, f"place {number}")
    expect_all([outcome])
    return str(outcome.result["order"])


async def recorded(door: Door, number: str, day: int, **more: object) -> str:
    """Record an order of the past."""
    lines = (RecordedLine(f"{number}:1", "MUG", Quantity(1), Amount("2.50")),)
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day)
    command = RecordOrder(source="legacy", document=number, placed_at=at, currency="EUR", lines=lines, **more)  # type: ignore[arg-type]
    outcome = await door.submit(SYSTEM, command, f"record {number}")
    expect_all([outcome])
    return str(outcome.result["order"])


async def case_of(door: Door, subject: str, price: str = "1.25") -> str:
    """Open a case about an order."""
    source = {
        "formula": "orders per day x correction cost x wrong rows / rows", "per_day": "30.00", "link": "/orders?q=W-1",
        "inputs": [{"name": "wrong rows", "value": "3", "unit": "rows", "basis": "measured", "rows": "/orders?q=W-1"}],
    }  # fmt: skip
    command = OpenCase(
        cause=f"test:{subject}", kind="test", title="Totals differ", severity=1, owner_role="Finance",
        price_per_hour=Amount(price), subjects=(CaseSubject("order", subject, "10.00 against 12.00"),), source=source,
    )  # fmt: skip
    outcome = await door.submit(SYSTEM, command, f"case {subject}")
    expect_all([outcome])
    return str(outcome.result["case"])


@pytest.fixture
async def address(url: str, clock: TurnedClock) -> AsyncIterator[str]:
    """The console on this test's database."""
    async with console(url, clock) as served:
        yield served


@pytest.fixture
async def planner(door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Visitor]:
    """The trained planner, who may place, cancel, receive and act on cases."""
    actor = await person(door, "Paula", "Integration Owner", "Finance")
    async with signed_in(url, clock, address, actor) as visitor:
        yield visitor


@pytest.fixture
async def auditor(door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Visitor]:
    """Somebody from another department, who may read only."""
    actor = await person(door, "Otto", "Auditor")
    async with signed_in(url, clock, address, actor) as visitor:
        yield visitor


@pytest.fixture
async def administrator(door: Door, url: str, clock: TurnedClock, address: str) -> AsyncIterator[Visitor]:
    """Somebody who gives rights."""
    actor = await person(door, "Ada", "Administrator")
    async with signed_in(url, clock, address, actor) as visitor:
        yield visitor


async def test_it_answers_every_page_without_inline_code(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1")
    case = await case_of(door, order)
    kinds = ("/orders", "/stock", "/items", "/cases", "/migrations", "/journal", "/actors", "/locations", "/policies")
    opened = dict.fromkeys(kinds, 0)
    seen: set[str] = set()
    waiting = ["/", f"/cases/{case}", f"/orders/{order}", "/policies/exposure"]
    while waiting:
        path = waiting.pop(0)
        kind = next((kind for kind in kinds if path.startswith(kind)), "/")
        if path in seen or opened.get(kind, 0) >= 8:
            continue
        seen.add(path)
        opened[kind] = opened.get(kind, 0) + 1
        page = await planner.get(path)
        assert page.status == 200, f"{path}: {page.status}"
        assert InlineCode(page.text).found == [], path
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        inside = [link.partition("#")[0] for link in page.links()]
        waiting += [link for link in inside if link.startswith("/") and not link.startswith(("/v1", "/static"))]
    assert all(opened.values()), f"no link led to some of these: {opened}"
    assert f"/orders/{order}" in seen


async def test_it_sends_a_stranger_to_sign_in_and_back(door: Door, url: str, clock: TurnedClock, address: str) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        page = await Visitor(session, address).get("/orders?q=W-1")
        assert page.address.startswith("/sign-in?next=")
        assert page.address.endswith("/orders?q%3DW-1")
        assert "Sign in to Trueup" in page.text


async def test_it_shows_hostile_words_as_words(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    expect_all([await door.submit(SYSTEM, RegisterItem(sku=HOSTILE, name=HOSTILE), "hostile item")])
    order = await placed(door, "W-<b>1</b>", contact=Contact(name=HOSTILE, email="x@example.com"))
    case = await case_of(door, HOSTILE[:100])
    searched = [f"/orders?q={HOSTILE}", f"/orders?cursor={HOSTILE}", "/items?q=%3Cscript%3E"]
    for path in (f"/orders/{order}", "/orders", "/items", "/stock", f"/cases/{case}", "/journal", *searched):
        page = await planner.get(path)
        assert page.status < 500, path
        assert InlineCode(page.text).found == [], path
        assert "<b>1</b>" not in page.text


async def test_a_list_is_paged_by_its_address_and_shows_each_order_once(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=0)
    made = {await recorded(door, f"L-{day:03}", day) for day in range(120)}
    found: list[str] = []
    path = "/orders?managed=false"
    while True:
        page = await planner.get(path)
        found += re.findall(r'class="open mono" href="/orders/(ord_\w+)"', page.text)
        following = [link for link in page.links() if "cursor=" in link]
        nexts = [link for link in following if f"{link}" not in path]
        if 'rel="next"' not in page.text:
            break
        path = nexts[-1]
        assert "managed=false" in path, "the filter travels with the page"
    assert len(found) == len(set(found)) == 120
    assert set(found) == made


@pytest.mark.parametrize(
    ("search", "numbers"),
    [("L-7", {"L-7", "L-70"}), ("L-70", {"L-70"}), ("C-9", {"L-70"}), ("ann@example.com", {"L-8"}), ("zzz", set())],
)
async def test_it_finds_by_number_customer_and_address(
    door: Door, planner: Visitor, search: str, numbers: set[str]
) -> None:
    await stocked(door, MUG=0)
    expect_all([await door.submit(SYSTEM, RecordCustomer(source="legacy", number="C-9"), "customer")])
    await recorded(door, "L-7", 1)
    await recorded(door, "L-70", 2, customer="C-9")
    await recorded(door, "L-8", 3, contact=Contact(email="ann@example.com"))
    page = await planner.get(f"/orders?q={search}")
    shown = set(re.findall(r'<span class="nowrap">([^ <]+) <span class="muted">legacy', page.text))
    assert shown == numbers
    if not numbers:
        assert "No order matches" in page.text


async def test_a_double_click_cancels_once(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1", 3)
    action = f"/orders/{order}/cancel"
    form = (await planner.get(f"/orders/{order}")).hidden(action)
    fields = {**form, "quantity-1": "1", "reason": "customer"}
    first, second = await planner.post(action, fields), await planner.post(action, fields)
    assert first.status == second.status == 200
    assert "Done." in first.text
    assert "1 unit of 1 line" in second.text
    assert second.text.count("Units cancelled") == 1
    stale = {**fields, "key": "another-key"}
    refused = await planner.post(action, stale)
    assert refused.status == 422
    assert "Read it again and decide anew" in refused.text


async def test_it_says_what_was_wrong_and_keeps_what_was_entered(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1", 3)
    action = f"/orders/{order}/cancel"
    page = await planner.fill_in(f"/orders/{order}", action, **{"quantity-1": "99", "reason": "my own words"})
    assert page.status == 422
    assert "3 units of line 1 can be cancelled" in page.text
    assert "my own words" in page.text
    page = await planner.fill_in(f"/orders/{order}", action, **{"quantity-1": "many", "reason": "x"})
    assert page.status == 422
    assert "is not a quantity" in page.text


async def test_it_refuses_in_words_who_has_no_right(door: Door, auditor: Visitor) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1", 3)
    page = await auditor.get(f"/orders/{order}")
    assert "Cancelling is for: Fulfilment Lead, Integration Owner, Order Agent" in page.text
    action = f"/orders/{order}/cancel"
    tried = await auditor.post(action, {**page.hidden(action), "quantity-1": "1", "reason": "x"})
    assert tried.status == 403
    assert "Otto (Auditor) may not orders.cancel." in tried.text
    assert "Ask somebody who may: Fulfilment Lead" in tried.text
    assert "Units cancelled" not in (await auditor.get(f"/orders/{order}")).text


async def test_it_does_nothing_for_a_form_from_elsewhere(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1", 3)
    action = f"/orders/{order}/cancel"
    form = {**(await planner.get(f"/orders/{order}")).hidden(action), "all": "1", "reason": "x"}
    without = await planner.post(action, {name: value for name, value in form.items() if name != "csrf"})
    wrong = await planner.post(action, {**form, "csrf": "guess"})
    foreign = await planner.post(action, form, Origin="https://evil.example")
    assert [page.status for page in (without, wrong, foreign)] == [403, 403, 403]
    assert "not sent from a page of this session" in without.text
    assert "Units cancelled" not in (await planner.get(f"/orders/{order}")).text


async def test_a_comment_stops_no_clock_and_closing_needs_an_act(
    door: Door, planner: Visitor, clock: TurnedClock
) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1", 3)
    case = await case_of(door, order)
    page = f"/cases/{case}"
    clock.turn(timedelta(hours=2))
    assert "€2.50" in (await planner.get(page)).text, "1.25 an hour for two hours"
    commented = await planner.fill_in(page, f"{page}/comment", text="Looking into it.")
    assert "Looking into it." in commented.text
    assert "overdue by 1" in (await planner.get(page)).text, "severity 1 is due in an hour, comment or not"
    closed = await planner.fill_in(page, f"{page}/close", root_cause="software", note="x")
    assert closed.status == 422
    assert "Nothing was done about case" in closed.text
    before = await planner.fill_in(page, f"{page}/act", effect=order, note="It was placed.")
    assert before.status == 422, "what happened before the case is no act on it"
    held = PlaceHold(order=order, type="manual", reason="look")
    assert (await door.submit(SYSTEM, held, "hold")).status == "applied"
    acted = await planner.fill_in(page, f"{page}/act", effect=order, note="Held until the total is right.")
    assert acted.status == 200
    closed = await planner.fill_in(page, f"{page}/close", root_cause="software", note="Settled.")
    assert "software: our own fault" in closed.text


async def test_a_case_opens_the_rows_behind_its_number(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1", 3)
    page = await planner.get(f"/cases/{await case_of(door, order)}")
    assert f"/orders/{order}" in page.links()
    assert "/orders?q=W-1" in page.links()
    assert "measured" in page.text


async def test_it_explains_why_so_much_is_available(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=10)
    order = await placed(door, "W-1", 3)
    page = await planner.get("/stock/MUG")
    assert "Why 7 available at" in page.text
    assert f"/orders/{order}" in page.links()
    fields = {"location": "MAIN", "quantity": "5", "reference": "DN-2"}
    after = await planner.post("/stock/MUG", {**page.hidden("/stock/MUG"), **fields})
    assert "Why 12 available at" in after.text


async def test_a_secret_is_shown_once_and_opens_the_api(door: Door, administrator: Visitor) -> None:
    actor = await person(door, "Shop", "Order Agent")
    page, action = f"/actors/{actor}", f"/actors/{actor}/keys"
    form = {**(await administrator.get(page)).hidden(action), "label": "shop", "days": "30"}
    first, second = await administrator.post(action, form), await administrator.post(action, form)
    secrets = [re.findall(r"tu_[\w-]{20,}", answer.text) for answer in (first, second)]
    assert secrets[0] == secrets[1], "the same form gives the same key"
    assert len(secrets[0]) == 1
    assert not re.search(r"tu_[\w-]{20,}", (await administrator.get(page)).text)
    answer = await administrator.get("/v1/orders", Authorization=f"Bearer {secrets[0][0]}")
    assert answer.status == 200


async def test_nobody_gives_roles_to_themselves(door: Door, administrator: Visitor) -> None:
    page = await administrator.get("/actors")
    own = next(link for link in page.links() if link.startswith("/actors/act_"))
    form = (await administrator.get(own)).hidden(own)
    tried = await administrator.post(own, {**form, "name": "Ada", "roles": "Finance", "kind": "person", "active": "1"})
    assert tried.status in (403, 422)
    assert "Nobody gives roles to themselves." in tried.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/orders/ord_none", 404), ("/nothing", 404), ("/cases/none", 404), ("/stock/NONE", 404), ("/journal/999999", 404),
     ("/journal/x", 422), ("/orders?placed_from=soon", 422), ("/orders?cursor=abc", 400), ("/orders?q=a%00b", 400),
     ("/migrations/mig_none", 404)],
)  # fmt: skip
async def test_it_explains_what_cannot_be_shown(planner: Visitor, path: str, status: int) -> None:
    page = await planner.get(path)
    assert page.status == status
    assert "To the overview" in page.text
    assert "text/html" in page.headers["content-type"]


async def test_the_journal_shows_exact_bytes_and_whether_they_are_sealed(door: Door, planner: Visitor) -> None:
    await stocked(door, MUG=1)
    page = await planner.get("/journal/1")
    assert "not sealed yet" in page.text
    assert "SHA-256" in page.text
    assert 'class="chip good"' not in page.text, "nothing green that was not proven"


async def test_signing_out_ends_the_session(planner: Visitor) -> None:
    home = await planner.get("/")
    left = await planner.post("/sign-out", home.hidden("/sign-out"))
    assert left.address == "/sign-in"
    assert (await planner.get("/orders")).address.startswith("/sign-in?next=")
