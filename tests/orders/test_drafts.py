"""Drafts, quotes and what staff enter: saved as far as known, confirmed once, and what they hold ends in time.

Behaviour 15 for drafts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import START, expect_all, stocked
from tests.orders.capturing import channel, lines, money, publish, taxed
from tests.proof import prove
from tests.requests import figures, order_of, person, rows

from trueup.authority.organisation import SetNode
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Outcome
from trueup.orders.draft import ConfirmDraft, DiscardDraft, ExpireDraft, SaveDraft, due_drafts
from trueup.orders.place import PlaceLine
from trueup.orders.workflow import TRANSITIONS
from trueup.parties.state import Contact

TOMORROW = START + timedelta(days=1)


def draft_of(price: str | None = "10.00", **changes: Any) -> SaveDraft:
    """A draft of so many mugs."""
    units = changes.pop("mugs", 3)
    amount = Amount(price) if price is not None else None
    return SaveDraft(currency="EUR", lines=(PlaceLine("MUG", Quantity(units), amount),), **changes)


async def save(door: Door, draft: SaveDraft, key: str = "save") -> Outcome:
    outcome = await door.submit(SYSTEM, draft, key)
    expect_all([outcome])
    return outcome


async def priced_mug(door: Door, price: str, key: str = "price") -> None:
    item = RegisterItem(sku="MUG", name="Mug", unit_price=Amount(price), currency="EUR")
    expect_all([await door.submit(SYSTEM, item, f"{key} {price}")])


async def test_a_draft_is_saved_as_far_as_it_is_known_and_says_what_it_lacks(door: Door, url: str):
    await stocked(door, MUG=5)
    first = await save(door, SaveDraft(contact=Contact(name="Ada")))
    assert (first.result["missing"], first.result["total"]) == (["currency", "lines"], None)
    refused = await door.submit(SYSTEM, ConfirmDraft(draft=first.result["draft"]), "too early")
    assert refused.refusal is not None
    assert refused.refusal.rule == "orders.draft_incomplete"
    again = await save(door, SaveDraft(draft=first.result["draft"], currency="EUR", lines=(
        PlaceLine("CUP", Quantity(1), Amount("1")),)), "unknown item")  # fmt: skip
    assert (again.result["missing"], again.result["version"]) == (["lines[0].sku"], 2)
    whole = await save(door, draft_of(draft=first.result["draft"], version=2), "whole")
    assert (whole.result["missing"], whole.result["total"], whole.result["version"]) == ([], "30.00", 3)
    assert await rows(url, "select * from orders") == []
    assert await rows(url, "select * from stock_claim") == []
    confirmed = await door.submit(SYSTEM, ConfirmDraft(draft=first.result["draft"]), "confirm")
    assert confirmed.result["order"] == first.result["draft"]
    assert confirmed.result["number"] == first.result["number"]
    words = "select p.name from orders o join person p on p.id = o.person"
    assert await rows(url, words) == [("Ada",)], "words stay where a later save sends none"
    await prove(url)


async def test_confirming_walks_the_workflow_and_happens_once(door: Door, url: str):
    await stocked(door, MUG=5)
    draft = (await save(door, draft_of())).result["draft"]
    expect_all([await door.submit(SYSTEM, ConfirmDraft(draft=draft), "confirm")])
    again = await door.submit(SYSTEM, ConfirmDraft(draft=draft), "again")
    assert (again.status, again.result["order"]) == ("merged", draft)
    assert await rows(url, "select id, state, units_reserved::int from orders") == [(draft, "placed", 3)]
    moves = "select convert_from(body, 'UTF8')::jsonb ->> 'event' from journal where name = 'orders.moved'"
    assert await rows(url, moves) == [("confirmed",)]
    closed = await door.submit(SYSTEM, draft_of(draft=draft), "change")
    assert closed.refusal is not None
    assert closed.refusal.rule == "orders.draft_closed"
    assert (await door.submit(SYSTEM, DiscardDraft(draft=draft), "discard")).status == "refused"
    await prove(url)


async def test_what_a_draft_holds_becomes_the_orders_own(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    draft = (await save(door, draft_of(mugs=4, reserve_minutes=30))).result["draft"]
    assert (await figures(url))["reserved"] == 4
    assert (await door.submit(SYSTEM, order_of(MUG=2), "other")).status == "refused", "it is held"
    expect_all([await door.submit(SYSTEM, ConfirmDraft(draft=draft), "confirm")])
    assert (await figures(url))["reserved"] == 4
    assert await rows(url, "select * from stock_expiring") == []
    clock.turn(timedelta(days=30))
    assert (await door.submit(SYSTEM, order_of(MUG=2), "later")).status == "refused", "an order's claim does not expire"
    assert await lines(url, draft, "reserved::int") == [(4,)]
    await prove(url)


async def test_behaviour_15_a_drafts_reservation_past_its_expiry_does_not_count(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=5)
    draft = (await save(door, draft_of(mugs=4, reserve_minutes=30))).result["draft"]
    clock.turn(timedelta(minutes=29, seconds=59))
    assert (await door.submit(SYSTEM, order_of(MUG=2), "held")).status == "refused"
    clock.turn(timedelta(seconds=1))
    assert (await door.submit(SYSTEM, order_of(MUG=2), "free")).status == "applied", "nobody swept it"
    short = await door.submit(SYSTEM, ConfirmDraft(draft=draft), "confirm")
    assert short.refusal is not None
    assert "4 asked, 3 available" in short.refusal.what
    assert await rows(url, "select confirmed_at from order_draft") == [(None,)]
    assert (await figures(url))["reserved"] == 2
    fewer = await save(door, draft_of(mugs=3, draft=draft), "fewer")
    assert fewer.result["reserved_until"] is None
    assert (await door.submit(SYSTEM, ConfirmDraft(draft=draft), "confirm fewer")).status == "applied"
    await prove(url)


async def test_saving_again_holds_what_it_says_now_and_a_short_line_changes_nothing(door: Door, url: str):
    await stocked(door, MUG=5)
    draft = (await save(door, draft_of(mugs=4, reserve_minutes=30))).result["draft"]
    await save(door, draft_of(mugs=5, draft=draft, reserve_minutes=30), "all")
    assert (await figures(url))["reserved"] == 5, "what it held counts as free for itself"
    short = await door.submit(SYSTEM, draft_of(mugs=6, draft=draft, reserve_minutes=30), "too many")
    assert short.refusal is not None
    assert short.refusal.rule == "stock.short"
    assert (await figures(url))["reserved"] == 5
    assert await rows(url, "select version from order_draft") == [(2,)]
    await save(door, draft_of(mugs=2, draft=draft, reserve_minutes=0), "none")
    assert (await figures(url))["reserved"] == 0
    await prove(url)


@pytest.mark.parametrize(("minutes", "held"), [(None, 0), (15, 3)])
async def test_how_long_drafts_hold_stock_is_the_channels_choice(door: Door, url: str, minutes: int | None, held: int):
    await stocked(door, MUG=5)
    await channel(door, reserve_minutes=minutes)
    saved = await save(door, draft_of())
    assert (await figures(url))["reserved"] == held
    until = saved.result["reserved_until"]
    assert (until and datetime.fromisoformat(until)) == (START + timedelta(minutes=15) if minutes else None)
    incomplete = await save(door, SaveDraft(), "incomplete")
    assert incomplete.result["reserved_until"] is None
    await prove(url)


@pytest.mark.parametrize(("valid_until", "total"), [(TOMORROW, "30.00"), (None, "36.00")])
async def test_a_quotes_prices_hold_and_a_plain_drafts_are_todays(
    door: Door, url: str, valid_until: datetime | None, total: str
):
    await stocked(door, MUG=5)
    await priced_mug(door, "10.00")
    draft = (await save(door, draft_of(None, valid_until=valid_until))).result
    assert draft["total"] == "30.00"
    await priced_mug(door, "12.00")
    confirmed = await door.submit(SYSTEM, ConfirmDraft(draft=draft["draft"]), "confirm")
    assert confirmed.result["total"] == total
    await prove(url)


async def test_a_quote_keeps_the_terms_it_was_begun_under(door: Door, url: str):
    await stocked(door, MUG=5)
    await taxed(door, freight={"EUR": {"rule": "flat", "amount": "5.00"}})
    draft = (await save(door, draft_of(valid_until=TOMORROW))).result
    assert draft["total"] == "41.65"
    await channel(door, prices_include_tax=True, freight={"EUR": {"rule": "flat", "amount": "9.00"}})
    confirmed = await door.submit(SYSTEM, ConfirmDraft(draft=draft["draft"]), "confirm")
    assert confirmed.result["total"] == "41.65"
    assert (await money(url, draft["draft"]))["tax"] == Decimal("6.65")
    assert await rows(url, "select channel_version from orders") == [(1,)]
    await prove(url)


async def test_a_quote_that_is_no_longer_valid_is_refused_and_expires(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    draft = (await save(door, draft_of(valid_until=TOMORROW, reserve_minutes=9999))).result["draft"]
    early = await door.submit(SYSTEM, ExpireDraft(draft=draft), "early")
    assert early.refusal is not None
    assert early.refusal.rule == "orders.not_expired"
    clock.turn(timedelta(days=1))
    late = await door.submit(SYSTEM, ConfirmDraft(draft=draft), "late")
    assert late.refusal is not None
    assert late.refusal.rule == "orders.quote_expired"
    connection = await connect(url)
    assert [command.draft for _, command in await due_drafts(connection, clock.now())] == [draft]
    expect_all([await door.submit(SYSTEM, ExpireDraft(draft=draft), "expire")])
    assert await due_drafts(connection, clock.now()) == []
    await connection.close()
    assert await rows(url, "select state, last_move ->> 'reason' from order_draft") == [("cancelled", "expired")]
    assert (await figures(url))["reserved"] == 0
    assert (await door.submit(SYSTEM, ConfirmDraft(draft=draft), "after all")).status == "refused"
    assert await rows(url, "select * from orders") == []
    await prove(url)


async def test_a_discarded_draft_gives_back_what_it_holds(door: Door, url: str):
    await stocked(door, MUG=5)
    draft = (await save(door, draft_of(reserve_minutes=30))).result["draft"]
    expect_all([await door.submit(SYSTEM, DiscardDraft(draft=draft), "discard")])
    assert (await door.submit(SYSTEM, DiscardDraft(draft=draft), "again")).status == "merged"
    assert (await figures(url))["reserved"] == 0
    assert (await door.submit(SYSTEM, ConfirmDraft(draft=draft), "confirm")).status == "refused"
    await prove(url)


async def test_who_enters_it_is_kept_and_the_second_to_change_it_is_told(door: Door, url: str):
    await stocked(door, MUG=5)
    ada, bob = await person(door, "Ada", "Order Agent"), await person(door, "Bob", "Order Agent")
    draft = (await door.submit(ada, draft_of(), "save")).result["draft"]
    expect_all([await door.submit(bob, draft_of(draft=draft, version=1, mugs=2), "bob")])
    second = await door.submit(ada, draft_of(draft=draft, version=1, mugs=1), "ada")
    assert second.refusal is not None
    assert second.refusal.rule == "orders.changed"
    expect_all([await door.submit(bob, ConfirmDraft(draft=draft, version=2), "confirm")])
    assert await rows(url, "select entered_by, units_ordered::int from orders") == [(ada.id, 2)]
    await prove(url)


async def test_a_workflow_without_a_way_to_expire_ends_the_draft_and_records_no_match(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=5)
    kept = [json.to_plain(edge) for edge in TRANSITIONS if edge.on != "expired"]
    await publish(door, "workflow", "sale", transitions=kept)
    draft = (await save(door, draft_of(valid_until=TOMORROW))).result["draft"]
    clock.turn(timedelta(days=2))
    expect_all([await door.submit(SYSTEM, ExpireDraft(draft=draft), "expire")])
    assert await rows(url, "select state, ended_at is not null from order_draft") == [("draft", True)]
    found = await rows(url, "select name from journal where subject = %s and name like '%%unmatched'", draft)
    assert found == [("orders.event_unmatched",)]
    await prove(url)


@pytest.mark.parametrize("valid_until", [START, TOMORROW.replace(tzinfo=None)])
async def test_it_refuses_a_validity_that_is_none(door: Door, url: str, valid_until: datetime):
    outcome = await door.submit(SYSTEM, SaveDraft(valid_until=valid_until), "save")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "orders.valid_until"
    assert await rows(url, "select * from order_draft") == []


async def test_it_refuses_a_price_nobody_knows(door: Door, url: str):
    await stocked(door, MUG=5)
    saved = await save(door, draft_of(None))
    assert saved.result["missing"] == ["lines[0].unit_price"]
    refused = await door.submit(SYSTEM, ConfirmDraft(draft=saved.result["draft"]), "confirm")
    assert refused.refusal is not None
    assert refused.refusal.rule == "orders.price_unknown"
    assert await rows(url, "select * from orders") == []
    await prove(url)


async def test_a_quote_holds_stock_no_longer_than_its_prices(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    saved = await save(door, draft_of(mugs=4, valid_until=TOMORROW, reserve_minutes=9999))
    assert datetime.fromisoformat(saved.result["reserved_until"]) == TOMORROW
    clock.turn(timedelta(days=1))
    assert (await door.submit(SYSTEM, order_of(MUG=5), "all")).status == "applied"
    await prove(url)


async def test_only_who_may_see_its_channel_may_change_or_confirm_a_draft(door: Door, url: str):
    await stocked(door, MUG=5)
    for code, kind in (("web", "channel"), ("shop", "channel")):
        expect_all([await door.submit(SYSTEM, SetNode(code=code, name=code, kind=kind), f"node {code}")])  # type: ignore[arg-type]
    outcome = await door.submit(SYSTEM, RegisterActor(name="Ida", roles=("Order Agent",), scope=("shop",)), "ida")
    ida = Actor(outcome.result["actor"], "person", "Ida", frozenset({"Order Agent"}), ("shop",))
    draft = (await save(door, draft_of())).result["draft"]
    theirs = (await door.submit(ida, draft_of(channel="shop"), "theirs")).result["draft"]
    for number, command in enumerate((draft_of(), draft_of(draft=draft, channel="shop"), ConfirmDraft(draft=draft),
                                      DiscardDraft(draft=draft), draft_of(draft=theirs))):  # fmt: skip
        refused = await door.submit(ida, command, f"{number}")
        assert refused.refusal is not None, number
        assert refused.refusal.rule == "authority.outside_scope"
    assert await rows(url, "select id from orders") == []
    assert (await door.submit(ida, ConfirmDraft(draft=theirs), "own")).status == "applied"
    await prove(url)
