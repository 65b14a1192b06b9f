"""Overrides are loans: rule, scope, reason, approver, expiry, price per day, and a department that bears the risk."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import adjust, order_of, person, rows

from trueup.authority.overrides import AskOverride, DeclineOverride, EndOverride, GrantOverride, due_overrides
from trueup.authority.overrides_state import Override
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.operate import OperateSite
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Outcome
from trueup.sourcing.allocate import AllocateUnits
from trueup.stock.freeze import AnnounceFreeze, StartFreeze
from trueup.worker import Notice, notice_now

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LOANS = "select uses, granted_by is not null, ended_by is not null from override_loan order by asked_at, id"


def asked(**values: Any) -> AskOverride:
    """An override of a site's band at MAIN for two days."""
    return AskOverride(
        **{
            "rule": "catalogue.outside_band",
            "objects": ("MAIN",),
            "reason": "the peak before the holiday",
            "expires_at": START + 2 * DAY,
            "department": "operations",
            **values,
        }
    )


async def staff(door: Door) -> tuple[Actor, Actor, Actor]:
    """Register who asks, who decides for operations, and the Sponsor."""
    return (
        await person(door, "Fay", "Fulfilment Lead"),
        await person(door, "Otto", "Operations Process Owner"),
        await person(door, "Sue", "Sponsor"),
    )


async def banded(door: Door) -> None:
    """Make MAIN, whose capacity is at most 50 a day."""
    await stocked(door, MUG=5)
    bands = PublishPolicy(
        policy_kind="site_bands", policy_name="default", document={"capacity_max": 50}, reason="what the staff can do"
    )
    assert (await door.submit(SYSTEM, bands, "bands")).status == "applied"


async def operate(door: Door, actor: Actor, capacity: int, key: str, location: str = "MAIN") -> Outcome:
    """Set the capacity of a site."""
    return await door.submit(actor, OperateSite(location=location, capacity_per_day=capacity), key)


def rule_of(outcome: Outcome) -> str:
    """The rule that refused, or how it ended."""
    return outcome.refusal.rule if outcome.refusal is not None else outcome.status


async def granted(door: Door, asker: Actor, decider: Actor, **values: Any) -> str:
    """Ask and grant; return the override."""
    outcome = await door.submit(asker, asked(**values), f"ask {values}")
    assert outcome.status == "applied", outcome.refusal
    override = str(outcome.result["override"])
    done = await door.submit(decider, GrantOverride(override=override), f"grant {override}")
    assert done.status == "applied", done.refusal
    return override


async def test_an_override_lets_one_rule_pass_for_its_scope_and_each_use_is_recorded_on_the_loan(
    door: Door, clock: TurnedClock, url: str
):
    await banded(door)
    fay, otto, _ = await staff(door)
    assert rule_of(await operate(door, fay, 80, "before")) == "catalogue.outside_band"
    override = await granted(door, fay, otto)
    assert (await operate(door, fay, 80, "first")).status == "applied"
    assert (await operate(door, fay, 90, "second")).status == "applied"
    await stocked(door, location="SHOP", MUG=0)
    assert rule_of(await operate(door, fay, 80, "elsewhere", "SHOP")) == "catalogue.outside_band"
    assert await rows(url, LOANS) == [(2, True, False)]
    used = "select name, actor from journal where subject = %s and name = 'authority.override_used'"
    assert await rows(url, used, override) == [("authority.override_used", fay.id)] * 2
    kept = "select ended from refused_command where rule = 'catalogue.outside_band' order by at, ended"
    assert sorted(await rows(url, kept)) == [("overridden",), ("overridden",), ("refused",), ("refused",)]
    await prove(url)


async def test_an_expired_override_bites_by_itself_without_any_job(door: Door, clock: TurnedClock, url: str):
    await banded(door)
    fay, otto, _ = await staff(door)
    await granted(door, fay, otto)
    clock.turn(2 * DAY - HOUR)
    assert (await operate(door, fay, 80, "just in time")).status == "applied"
    clock.turn(HOUR)
    assert rule_of(await operate(door, fay, 90, "too late")) == "catalogue.outside_band"
    assert await rows(url, LOANS) == [(1, True, False)]
    await prove(url)


async def test_one_that_was_only_asked_for_lets_nothing_pass_nor_one_that_was_declined_or_given_back(
    door: Door, url: str
):
    await banded(door)
    fay, otto, _ = await staff(door)
    first = (await door.submit(fay, asked(), "ask")).result["override"]
    assert rule_of(await operate(door, fay, 80, "asked")) == "catalogue.outside_band"
    declined = DeclineOverride(override=first, reason="no staff either")
    assert (await door.submit(otto, declined, "decline")).status == "applied"
    assert rule_of(await operate(door, fay, 80, "declined")) == "catalogue.outside_band"
    assert rule_of(await door.submit(otto, GrantOverride(override=first), "after all")) == "authority.override_settled"
    second = await granted(door, fay, otto, reason="again")
    assert (await door.submit(fay, EndOverride(override=second, reason="not needed"), "end")).status == "applied"
    assert rule_of(await operate(door, fay, 80, "ended")) == "catalogue.outside_band"
    await prove(url)


async def test_nobody_grants_their_own_and_only_who_decides_for_the_department_does(door: Door, url: str):
    await banded(door)
    fay, otto, sue = await staff(door)
    admin = await person(door, "Ada", "Administrator")
    own = (await door.submit(otto, asked(), "his own")).result["override"]
    assert rule_of(await door.submit(otto, GrantOverride(override=own), "1")) == "authority.own_override"
    for who, actor in (("fay", fay), ("admin", admin), ("system", SYSTEM)):
        refused = await door.submit(actor, GrantOverride(override=own), who)
        assert rule_of(refused) == "authority.not_decider"
        assert refused.refusal is not None
        assert "Operations Process Owner decides" in refused.refusal.what
    assert await rows(url, LOANS) == [(0, False, False)]
    assert (await door.submit(sue, GrantOverride(override=own), "sponsor")).status == "applied"


async def test_above_the_departments_limit_of_debt_or_days_only_the_sponsor_decides(door: Door, url: str):
    await banded(door)
    fay, otto, sue = await staff(door)
    document = {"bearers": {"operations": {"role": "Operations Process Owner", "debt_max": "500", "days_max": 5}}}
    published = PublishPolicy(policy_kind="overriding", policy_name="default", document=document, reason="small limits")
    assert (await door.submit(SYSTEM, published, "limits")).status == "applied"
    await granted(door, fay, otto, price_per_day=Amount("200"))
    second = await door.submit(fay, asked(price_per_day=Amount("60")), "above the debt")
    assert second.result["decides"] == "Sponsor"
    override = second.result["override"]
    refused = await door.submit(otto, GrantOverride(override=override), "above")
    assert rule_of(refused) == "authority.not_decider"
    assert refused.refusal is not None
    assert "above what operations bears" in refused.refusal.what
    long = await door.submit(fay, asked(expires_at=START + 6 * DAY), "too long")
    assert rule_of(await door.submit(otto, GrantOverride(override=long.result["override"]), "l")) == (
        "authority.not_decider"
    )
    assert (await door.submit(sue, GrantOverride(override=override), "sponsor")).status == "applied"
    assert (await door.submit(sue, GrantOverride(override=long.result["override"]), "sponsor 2")).status == "applied"


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"rule": "authority.not_allowed"}, "authority.not_overridable"),
        ({"objects": ()}, "authority.override_scope"),
        ({"objects": (), "verb": "catalogue.operate_site"}, "authority.override_scope"),
        ({"expires_at": START}, "authority.override_expiry"),
        ({"expires_at": START + 15 * DAY}, "authority.override_expiry"),
        ({"department": "nobody"}, "authority.unknown_department"),
        ({"price_per_day": Amount("1")}, "authority.override_price"),
    ],
)
async def test_no_expiry_no_scope_no_price_no_bearer_no_override(
    door: Door, url: str, values: dict[str, Any], rule: str
):
    fay, _, _ = await staff(door)
    assert rule_of(await door.submit(fay, asked(**values), "ask")) == rule
    assert await rows(url, LOANS) == []


async def test_what_guards_who_decides_cannot_be_made_overridable(door: Door):
    for rule in ("authority.not_allowed", "authority.needs_change", "door.key"):
        document = {"rules": {rule: {"days_max": 1}}}
        command = PublishPolicy(policy_kind="overriding", policy_name="default", document=document, reason="try")
        assert rule_of(await door.submit(SYSTEM, command, rule)) == "policy.invalid"


async def test_a_freeze_can_be_overridden_for_one_site_and_not_for_another(door: Door, clock: TurnedClock, url: str):
    await stocked(door, MUG=5)
    fay, otto, _ = await staff(door)
    freeze = AnnounceFreeze(location="MAIN", to_at=START + DAY, reason="stocktaking")
    announced = await door.submit(SYSTEM, freeze, "freeze")
    assert (await door.submit(SYSTEM, StartFreeze(freeze=announced.result["freeze"]), "start")).status == "applied"
    correction = msgspec.structs.replace(adjust(1), reference="r1")
    stopped = await door.submit(fay, correction, "frozen")
    assert stopped.status in ("refused", "queued")
    await granted(door, fay, otto, rule="stock.frozen", objects=("SHOP",), price_per_day=Amount("50"))
    assert (await door.submit(fay, correction, "still frozen")).status == stopped.status
    await granted(door, fay, otto, rule="stock.frozen", objects=("MAIN",), price_per_day=Amount("50"))
    assert (await door.submit(fay, correction, "let through")).status == "applied"
    assert await rows(url, "select on_hand::int from stock_balance") == [(6,)]
    await prove(url)


async def test_a_case_opens_when_one_in_use_is_about_to_expire_or_one_expired_unused(
    door: Door, clock: TurnedClock, url: str
):
    await banded(door)
    fay, otto, _ = await staff(door)
    await granted(door, fay, otto)
    await granted(door, fay, otto, objects=("SHOP",))
    await operate(door, fay, 80, "used")
    notice = Notice("notice_overrides", "*/15 * * * *", due_overrides)
    cases = "select title from cases order by opened_at, title"
    await notice_now(url, door, notice)
    assert await rows(url, cases) == []
    for hours in (25, 1, 24, 1):
        clock.turn(hours * HOUR)
        await notice_now(url, door, notice)
        await notice_now(url, door, notice)
    assert await rows(url, cases) == [
        ("The override of catalogue.outside_band is about to expire while it is used",),
        ("The override of catalogue.outside_band expired and was never used",),
    ]
    connection = await connect(url)
    try:
        assert await due_overrides(connection, clock.now()) == []
    finally:
        await connection.close()
    await prove(url)


@given(
    st.integers(1, 100), st.one_of(st.none(), st.integers(0, 120)), st.one_of(st.none(), st.integers(0, 120)),
    st.booleans(), st.integers(0, 200),
)  # fmt: skip
def test_only_an_unexpired_granted_override_is_active(
    days: int, granted_at: int | None, ended_at: int | None, declined: bool, now: int
):
    override = Override(
        id="ovr_1", rule="r", verb="", objects=("x",), sites=(), channels=(), reason="", department="d",
        price_per_day=Decimal(10), currency="EUR", expires_at=START + days * DAY, asked_by="a", asked_at=START,
        granted_at=None if granted_at is None else START + granted_at * DAY,
        ended_at=None if ended_at is None or granted_at is None else START + max(ended_at, granted_at) * DAY,
        declined_at=START if declined and granted_at is None else None,
    )  # fmt: skip
    moment = START + now * DAY
    ended = override.ended_at is not None and override.ended_at <= moment
    live = granted_at is not None and granted_at <= now < days and not ended
    assert (override.life(moment) == "active") == live
    assert override.owed(moment) >= 0
    assert override.owed(moment) <= override.owed(moment + DAY)


async def test_an_item_that_is_not_shippable_goes_to_a_parcel_by_override_and_no_other_item_does(door: Door, url: str):
    await stocked(door, MUG=10, CUP=10)
    ready = PublishPolicy(policy_kind="readiness", policy_name="default", document={"enforce": True}, reason="ready")
    assert (await door.submit(SYSTEM, ready, "readiness")).status == "applied"
    fay, otto, _ = await staff(door)
    orders = [(await door.submit(SYSTEM, order_of(**{sku: 2}), sku)).result["order"] for sku in ("MUG", "CUP")]
    await granted(door, fay, otto, rule="catalogue.not_shippable", objects=("MUG",))
    mug, cup = [
        await door.submit(SYSTEM, AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(1)), order)
        for order in orders
    ]
    assert (mug.status, rule_of(cup)) == ("applied", "catalogue.not_shippable")
    assert await rows(url, LOANS) == [(1, True, False)]
    assert await rows(url, "select sum(allocated)::int from stock_balance") == [(1,)]
    await prove(url)
