"""Freezes of movements: refused or queued, drained, ended by time, sold against a frozen availability."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from tests.conftest import START, expect_all, stocked
from tests.proof import problems_of, prove
from tests.requests import adjust, figures, order_of, person, receipt, rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.stock.freeze import AnnounceFreeze, CancelFreeze, StartFreeze, ThawFreeze

NIGHT = START + timedelta(hours=8)


async def announced(door: Door, **more: Any) -> str:
    """Announce a freeze of MAIN from now until the night; return its id."""
    command = AnnounceFreeze(**{"location": "MAIN", "to_at": NIGHT, "reason": "stocktake", **more})
    outcome = await door.submit(SYSTEM, command, f"announce {more}"[:300])
    assert outcome.status == "applied", outcome.refusal
    freeze: str = outcome.result["freeze"]
    return freeze


async def frozen(door: Door, **more: Any) -> str:
    """Announce a freeze and start it."""
    freeze = await announced(door, **more)
    expect_all([await door.submit(SYSTEM, StartFreeze(freeze=freeze), f"start {freeze}")])
    return freeze


async def publish(door: Door, kind: str, name: str = "default", **document: Any) -> None:
    """Put a policy document in force."""
    command = PublishPolicy(policy_kind=kind, policy_name=name, document=document, reason="test")
    expect_all([await door.submit(SYSTEM, command, f"publish {kind} {name} {document}")])


def rule_of(outcome: Outcome) -> str:
    """The rule that refused."""
    assert outcome.refusal is not None, outcome
    return outcome.refusal.rule


async def test_it_refuses_a_movement_naming_the_freeze_its_end_and_who_may_thaw(door: Door, url: str):
    await stocked(door, MUG=10)
    freeze = await frozen(door)
    outcome = await door.submit(SYSTEM, adjust(-1), "adjust")
    assert rule_of(outcome) == "stock.frozen"
    assert outcome.refusal is not None
    assert freeze in outcome.refusal.what
    assert NIGHT.isoformat() in outcome.refusal.what
    assert "Fulfilment Lead" in outcome.refusal.fix
    assert (await figures(url))["on_hand"] == 10
    assert await rows(url, "select count(*) from stock_movement") == [(1,)]
    await prove(url)


async def test_a_service_is_refused_like_anyone(door: Door):
    await stocked(door, MUG=10)
    await frozen(door)
    lead = await person(door, "Lead", "Fulfilment Lead")
    for actor in (SYSTEM, lead):
        assert rule_of(await door.submit(actor, adjust(-1), "adjust")) == "stock.frozen"


async def test_reports_wait_by_default_and_are_refused_where_the_policy_says_so(door: Door, url: str):
    await stocked(door, MUG=10)
    freeze = await frozen(door)
    outcome = await door.submit(SYSTEM, receipt(5), "receipt")
    assert (outcome.status, outcome.result.get("freeze"), outcome.result.get("intent")) == ("queued", freeze, 1)
    assert (await figures(url))["on_hand"] == 10, "nothing moved"
    again = await door.submit(SYSTEM, receipt(5), "receipt")
    assert (again.repeated, again.result["intent"]) == (True, 1)
    await publish(door, "freeze", facts="refuse")
    assert rule_of(await door.submit(SYSTEM, receipt(6), "another")) == "stock.frozen"
    await publish(door, "freeze", "MAIN", requests="queue")
    assert (await door.submit(SYSTEM, adjust(-1), "asked")).status == "queued"
    assert await rows(url, "select number, verb, fact, settled_at from stock_intent order by number") == [
        (1, "stock.receive", True, None),
        (2, "stock.adjust", False, None),
    ]
    await prove(url)


async def test_only_what_is_in_scope_is_stopped(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=10)
    await stocked(door, location="STORE", MUG=5)
    await frozen(door, skus=("MUG",), kinds=("adjust",))
    assert rule_of(await door.submit(SYSTEM, adjust(-1, "MUG"), "mug")) == "stock.frozen"
    expect_all(
        [
            await door.submit(SYSTEM, adjust(-1, "PLATE"), "another item"),
            await door.submit(SYSTEM, receipt(1, "MUG"), "another kind"),
        ]
    )
    elsewhere = type(adjust(-1))(
        location="STORE", sku="MUG", change=Quantity(-1), reason="found", reference="another site"
    )
    expect_all([await door.submit(SYSTEM, elsewhere, "another site")])
    await prove(url)


async def test_it_begins_and_ends_by_itself(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    freeze = await announced(door, from_at=START + timedelta(hours=1))
    expect_all([await door.submit(SYSTEM, adjust(-1), "announced")])
    assert rule_of(await door.submit(SYSTEM, StartFreeze(freeze=freeze), "early")) == "stock.freeze_early"
    clock.turn(timedelta(hours=1))
    assert rule_of(await door.submit(SYSTEM, adjust(-1, "MUG"), "draining")) == "stock.frozen", "nobody started it"
    expect_all([await door.submit(SYSTEM, StartFreeze(freeze=freeze), "start")])
    assert (await door.submit(SYSTEM, StartFreeze(freeze=freeze), "twice")).status == "merged"
    assert await rows(url, "select on_hand, reserved from stock_freeze_balance") == [(9, 0)]
    clock.turn(timedelta(hours=7) - timedelta(seconds=1))
    assert rule_of(await door.submit(SYSTEM, adjust(-1), "a second before")) == "stock.frozen"
    clock.turn(timedelta(seconds=1))
    expect_all([await door.submit(SYSTEM, adjust(-1), "over")])
    assert rule_of(await door.submit(SYSTEM, StartFreeze(freeze=freeze), "too late")) == "stock.freeze_past"
    await prove(url)


async def test_it_is_thawed_before_its_time_and_called_off_before_it_starts(door: Door, url: str):
    await stocked(door, MUG=10)
    freeze = await frozen(door)
    assert rule_of(await door.submit(SYSTEM, CancelFreeze(freeze=freeze, reason="no"), "no")) == "stock.freeze_begun"
    thawed = await door.submit(SYSTEM, ThawFreeze(freeze=freeze, reason="done"), "thaw")
    assert thawed.result["life"] == "over"
    expect_all([await door.submit(SYSTEM, adjust(-1), "after")])
    later = await announced(door, from_at=START + timedelta(hours=1))
    early = await door.submit(SYSTEM, ThawFreeze(freeze=later, reason="x"), "x")
    assert rule_of(early) == "stock.freeze_not_begun"
    expect_all([await door.submit(SYSTEM, CancelFreeze(freeze=later, reason="not needed"), "off")])
    assert rule_of(await door.submit(SYSTEM, StartFreeze(freeze=later), "start")) == "stock.freeze_past"
    await prove(url)


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"location": "NOWHERE"}, "catalogue.unknown_location"),
        ({"skus": ("MUG", "CUP")}, "catalogue.unknown_item"),
        ({"from_at": START - timedelta(seconds=1)}, "stock.freeze_time"),
        ({"to_at": START}, "stock.freeze_time"),
        ({"to_at": NIGHT.replace(tzinfo=None)}, "stock.freeze_time"),
    ],
)
async def test_it_refuses_a_freeze_that_cannot_be(door: Door, url: str, more: dict[str, Any], rule: str):
    await stocked(door, MUG=1)
    command = AnnounceFreeze(**{"location": "MAIN", "to_at": NIGHT, "reason": "stocktake", **more})
    assert rule_of(await door.submit(SYSTEM, command, "announce")) == rule
    assert await rows(url, "select * from stock_freeze") == []


async def test_a_snapshot_holds_what_was_moved_before_it_in_the_same_batch_and_nothing_later(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=4)
    expect_all([await door.submit(SYSTEM, order_of(MUG=2), "order")])
    freeze = await announced(door)
    other = await announced(door, mode="frozen_book", location="MAIN", reason="reports")
    outcomes = await door.submit_all(
        SYSTEM,
        [
            ("start book", StartFreeze(freeze=other)),
            ("one", order_of(MUG=1)),
            ("start", StartFreeze(freeze=freeze)),
            ("two", order_of(MUG=3)),
            ("late", adjust(-1)),
        ],
    )
    assert [outcome.status for outcome in outcomes] == ["applied"] * 4 + ["refused"]
    assert await rows(url, "select count(distinct batch) from door_key where key in ('start book', 'one', 'two')") == [
        (1,)
    ], "they were one batch"
    kept = await rows(
        url,
        """select f.mode, i.sku, b.on_hand, b.reserved
        from stock_freeze_balance b join stock_freeze f on f.id = b.freeze_id
        join item i on i.id = b.item order by f.mode, i.sku""",
    )
    assert kept == [
        ("frozen_book", "MUG", 10, 2), ("frozen_book", "PLATE", 4, 0),
        ("hard_stop", "MUG", 10, 3), ("hard_stop", "PLATE", 4, 0),
    ]  # fmt: skip
    await prove(url)


async def test_orders_are_taken_against_the_frozen_availability(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await publish(door, "freeze", sell_percent=50, sell_units="4")
    expect_all([await door.submit(SYSTEM, order_of(MUG=2), "before")])
    freeze = await frozen(door)
    short = await door.submit(SYSTEM, order_of(MUG=5), "more than the share")
    assert rule_of(short) == "stock.short"
    assert short.refusal is not None
    assert "4 available" in short.refusal.what
    expect_all([await door.submit(SYSTEM, order_of(MUG=3), "three of four")])
    assert rule_of(await door.submit(SYSTEM, order_of(MUG=2), "two of one")) == "stock.short"
    expect_all([await door.submit(SYSTEM, ThawFreeze(freeze=freeze, reason="done"), "thaw")])
    expect_all([await door.submit(SYSTEM, order_of(MUG=5), "all that is left")])
    await prove(url)


async def test_the_cap_of_a_freeze_ends_with_it(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await publish(door, "freeze", sell_percent=0)
    await frozen(door)
    assert rule_of(await door.submit(SYSTEM, order_of(MUG=1), "none")) == "stock.short"
    clock.turn(timedelta(hours=8))
    expect_all([await door.submit(SYSTEM, order_of(MUG=10), "all")])
    await prove(url)


async def test_a_freeze_without_a_limit_sells_what_there_is(door: Door, url: str):
    await stocked(door, MUG=10)
    await publish(door, "freeze", sell_percent=None)
    await frozen(door)
    expect_all([await door.submit(SYSTEM, order_of(MUG=10), "all")])
    await prove(url)


async def test_a_frozen_book_stands_while_goods_move_on(door: Door, url: str):
    await stocked(door, MUG=10)
    await frozen(door, mode="frozen_book")
    expect_all([await door.submit(SYSTEM, receipt(5), "receipt")])
    assert (await figures(url))["on_hand"] == 15
    assert await rows(url, "select on_hand from stock_freeze_balance") == [(Decimal(10),)]
    expect_all([await door.submit(SYSTEM, order_of(MUG=12), "sold from what came in")])
    await prove(url)


async def test_the_check_sees_a_movement_that_slipped_through(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await frozen(door, kinds=("adjust",))
    expect_all([await door.submit(SYSTEM, receipt(5), "not frozen")])
    await prove(url)
    # As if all kinds had been frozen, and this one had slipped through.
    with psycopg.connect(url) as connection:
        connection.execute("update stock_freeze set kinds = '{receive,adjust,count,transfer,ship,restate,feed}'")
    assert any("stock.nothing_moves_under_freeze" in problem for problem in await problems_of(url))
