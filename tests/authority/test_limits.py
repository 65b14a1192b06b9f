"""Issue C: amount limits and a second person above them; the same mechanism for money and for units."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from tests.authority.staff import company, done, refused
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import cancel, figures, person, priced_order, rows

from trueup.authority.confirm import ConfirmAct, DeclineAct
from trueup.authority.declare import DeclareGovernance
from trueup.authority.limits import AmountLimits, Limit, exceeded
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.policy import Active, Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Bound, Worth
from trueup.stock.receive import AdjustStock


async def limited(door: Door, *limits: tuple[str, str, str, str]) -> None:
    """Publish limits: (act, role, amount, unit)."""
    document: dict[str, Any] = {
        "limits": [{"act": a, "role": r, "amount": m, "unit": u} for a, r, m, u in limits]
    }  # fmt: skip
    await done(door, SYSTEM, PublishPolicy(policy_kind="amount_limits", policy_name="default",
                                           document=document, reason="two pairs of eyes"))  # fmt: skip


def lost(units: int) -> AdjustStock:
    """Report units as lost."""
    return AdjustStock(location="MAIN", sku="MUG", change=Quantity(-units), reason="lost", reference=f"shelf {units}")


async def test_above_the_limit_the_act_waits_and_a_second_person_carries_it_out(door: Door, url: str):
    await stocked(door, MUG=100)
    lea, leo = await person(door, "Lea", "Fulfilment Lead"), await person(door, "Leo", "Fulfilment Lead")
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    assert (await door.submit(lea, lost(10), "within")).status == "applied"
    held = await door.submit(lea, lost(11), "beyond")
    assert held.status == "pending_approval"
    assert held.result["confirmed_by"] == ["Fulfilment Lead", "Integration Owner"]
    assert (await figures(url))["on_hand"] == 90
    again = await door.submit(lea, lost(11), "beyond")
    assert (again.repeated, again.result) == (True, held.result)
    act = held.result["pending"]
    await refused(door, lea, ConfirmAct(act=act), "authority.own_approval")
    agent = await person(door, "Ada", "Order Agent")
    await refused(door, agent, ConfirmAct(act=act), "authority.not_decider")
    assert (await figures(url))["on_hand"] == 90
    assert (await rows(url, "select kind, owner_role from cases")) == [("confirmation", "Fulfilment Lead")]
    assert (await door.submit(leo, ConfirmAct(act=act), "yes")).status == "applied"
    assert (await figures(url))["on_hand"] == 79
    await refused(door, leo, ConfirmAct(act=act), "authority.nothing_pending", "twice")
    assert (await figures(url))["on_hand"] == 79
    await prove(url)


async def test_a_declined_act_never_happens_and_an_asker_who_left_asks_nothing(door: Door, url: str):
    await stocked(door, MUG=100)
    lea, leo = await person(door, "Lea", "Fulfilment Lead"), await person(door, "Leo", "Fulfilment Lead")
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    first = (await door.submit(lea, lost(20), "first")).result["pending"]
    second = (await door.submit(lea, lost(30), "second")).result["pending"]
    await done(door, leo, DeclineAct(act=first, reason="count again"))
    await refused(door, leo, ConfirmAct(act=first), "authority.nothing_pending")
    await done(door, SYSTEM, RegisterActor(name="Lea", roles=("Fulfilment Lead",), actor=lea.id, active=False))
    await refused(door, leo, ConfirmAct(act=second), "authority.asker_gone")
    assert (await figures(url))["on_hand"] == 100
    await prove(url)


async def test_money_is_limited_like_units_and_whoever_has_no_limit_is_not_asked(door: Door, url: str):
    await stocked(door, MUG=100)
    ada, bob = await person(door, "Ada", "Order Agent"), await person(door, "Bob", "Order Agent")
    lea = await person(door, "Lea", "Fulfilment Lead")
    await limited(door, ("orders.cancel", "Order Agent", "100.00", "EUR"))
    small = (await done(door, ada, priced_order("50.00", MUG=2))).result["order"]
    large = (await done(door, ada, priced_order("50.00", MUG=3))).result["order"]
    francs = (await done(door, ada, priced_order("50.00", MUG=4))).result["order"]
    assert (await door.submit(ada, cancel(small), "100.00")).status == "applied"
    held = await door.submit(ada, cancel(large), "150.00")
    assert held.status == "pending_approval"
    assert (await door.submit(ada, cancel(large, line1=2), "100.00 of it")).status == "applied"
    assert (await door.submit(lea, cancel(francs), "no limit")).status == "applied"
    assert (await door.submit(bob, ConfirmAct(act=held.result["pending"]), "yes")).status == "applied"
    assert (await rows(url, "select quantity - cancelled from order_line where order_id = %s", large)) == [(0,)]
    await prove(url)


async def test_a_reasons_own_limit_is_the_same_mechanism(door: Door, url: str):
    await stocked(door, MUG=100)
    lea, fin = await person(door, "Lea", "Fulfilment Lead"), await person(door, "Fin", "Finance")
    document = {"reasons": {"lost": {"units_max": "2", "role_above": "Finance"}}}
    await done(door, SYSTEM, PublishPolicy(policy_kind="adjustment_reasons", policy_name="default",
                                           document=document, reason="theft"))  # fmt: skip
    assert (await door.submit(lea, lost(2), "two")).status == "applied"
    held = await door.submit(lea, lost(3), "three")
    assert (held.status, held.result["confirmed_by"]) == ("pending_approval", ["Finance"])
    assert (await door.submit(fin, ConfirmAct(act=held.result["pending"]), "yes")).status == "applied"
    assert (await figures(url))["on_hand"] == 95
    await prove(url)


async def test_in_a_company_of_one_an_own_confirmation_waits_a_day_and_is_told_by_a_case(
    door: Door, url: str, clock: TurnedClock
):
    """Issue C: under five people there is a small mode, in which nobody still approves their own silently."""
    await stocked(door, MUG=100)
    lea = await person(door, "Lea", "Fulfilment Lead")
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    await done(door, SYSTEM, DeclareGovernance(mode="small"))
    act = (await door.submit(lea, lost(11), "beyond")).result["pending"]
    await refused(door, lea, ConfirmAct(act=act), "authority.own_approval_waits")
    clock.turn(timedelta(hours=24))
    leo = await person(door, "Leo", "Fulfilment Lead")
    await refused(door, lea, ConfirmAct(act=act), "authority.own_approval", "somebody else could")
    await done(door, SYSTEM, RegisterActor(name="Leo", roles=(), actor=leo.id), "Leo has no role")
    assert (await door.submit(lea, ConfirmAct(act=act), "slept on it")).status == "applied"
    assert (await figures(url))["on_hand"] == 89
    assert ("self_approval",) in await rows(url, "select kind from cases")
    await prove(url)


async def test_in_full_governance_nobody_confirms_their_own_however_long_they_wait(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=100)
    await limited(door, ("stock.adjust", "Fulfilment Lead", "10", "units"))
    lead = (await company(door))["Fulfilment Lead"]
    act = (await door.submit(lead, lost(11), "beyond")).result["pending"]
    clock.turn(timedelta(days=30))
    await refused(door, lead, ConfirmAct(act=act), "authority.own_approval")
    assert (await figures(url))["on_hand"] == 100


LEADS = ("Fulfilment Lead", "Integration Owner", "Finance", "Auditor")


@given(
    limits=some.dictionaries(some.sampled_from(LEADS), some.integers(0, 20)),
    roles=some.sets(some.sampled_from(LEADS)),
    units=some.integers(0, 30),
    bound=some.none() | some.integers(0, 20),
)
def test_who_is_let_through_alone_has_a_role_that_may_so_much(
    limits: dict[str, int], roles: set[str], units: int, bound: int | None
):
    listed = tuple(Limit(act="stock.adjust", role=r, amount=Amount(n), unit="units") for r, n in limits.items())
    policies = Policies([Active("default", 1, b"", AmountLimits(limits=listed))])
    own = Bound(Decimal(bound), "units", ("Finance",)) if bound is not None else None
    over = exceeded(policies, "stock.adjust", roles, [Worth(Decimal(units), "units")], own)
    giving = roles & {"Fulfilment Lead", "Integration Owner"}
    within = any(role not in limits or limits[role] >= units for role in giving)
    if not giving:
        # The right was lent alone: what the roles held are limited to, or else the lowest there is.
        named = [limits[role] for role in roles if role in limits]
        within = not limits or units <= (max(named) if named else min(limits.values()))
    under_own = bound is None or units <= bound or "Finance" in roles
    assert (over is None) == (within and under_own)
    if over is not None:
        assert over.amount > over.limit
        assert over.roles
