"""Issue C: overrides as loans, everywhere. Each rule that can be lent, by the same story; and what is never lent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from tests.authority.staff import done
from tests.authority.test_overrides import DAY, LOANS, asked, banded, granted, rule_of, staff
from tests.board import declared, published
from tests.catalogue.breaches import items_contract, publish
from tests.catalogue.test_amend import amend, amendment
from tests.conftest import START, stocked
from tests.orders.holding import hold, place, with_type
from tests.proof import prove
from tests.requests import adjust, cancel, order_of, rows

import trueup
from trueup import house
from trueup.authority.apply import ApplyChange
from trueup.authority.limits import AmountLimits, Limit
from trueup.authority.overridable import AMOUNTS, OVERRIDABLE, Overridable, Overriding
from trueup.authority.overrides import EndOverride, GrantOverride, due_overrides
from trueup.authority.overrides_read import DebtQuery, debts
from trueup.authority.overrides_state import Override
from trueup.authority.refusals import borrowed
from trueup.authority.standing import SYSTEM
from trueup.catalogue.breach import CheckContract
from trueup.catalogue.operate import OperateSite
from trueup.catalogue.register import RegisterItem
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.money import Amount
from trueup.core.policy import Known, Policies
from trueup.core.quantity import Quantity
from trueup.core.refused import RULE, Stop
from trueup.core.verb import Actor, Command, Outcome, State, Verb
from trueup.house import by_name
from trueup.orders import holds
from trueup.orders.hold import ReleaseHold
from trueup.sourcing.allocate import AllocateUnits
from trueup.sourcing.assign import AssignOrder
from trueup.stock.freeze import AnnounceFreeze, StartFreeze
from trueup.stock.receive import AdjustStock
from trueup.storyline import settled
from trueup.worker import Notice, notice_now

SECOND = timedelta(seconds=1)
WORKERLESS = "nothing runs but the door: no worker, no storyline"


class Story(NamedTuple):
    """Four acts that a rule stops: three within the scope of an override, one outside of it."""

    scope: dict[str, tuple[str, ...]]
    within: tuple[Command, Command, Command]
    outside: Command
    who: Actor = SYSTEM


Staging = Callable[[Door, TurnedClock, Actor], Awaitable[Story]]


async def a_frozen_site(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    for location in ("MAIN", "SHOP"):
        await stocked(door, location=location, MUG=5)
        freeze = AnnounceFreeze(location=location, to_at=clock.now() + 9 * DAY, reason="stocktaking")
        found = (await done(door, SYSTEM, freeze)).result["freeze"]
        await done(door, SYSTEM, StartFreeze(freeze=found))
    await done(door, SYSTEM, published("freeze", facts="refuse"))
    first, second, third, other = (msgspec.structs.replace(adjust(1), reference=f"r{at}") for at in range(4))
    return Story({"objects": ("MAIN",)}, (first, second, third), msgspec.structs.replace(other, location="SHOP"), fay)


async def a_sites_bands(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await banded(door)
    await stocked(door, location="SHOP")
    capacities = [OperateSite(location="MAIN", capacity_per_day=80 + at) for at in range(3)]
    first, second, third = capacities
    return Story({"objects": ("MAIN",)}, (first, second, third), OperateSite(location="SHOP", capacity_per_day=80), fay)


async def items_that_are_not_sellable(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await stocked(door, MUG=5, CUP=5)
    await done(door, SYSTEM, published("readiness", enforce=True, sellable=["price"]))
    first, second, third = order_of(MUG=1), order_of(MUG=2), order_of(MUG=1)
    return Story({"objects": ("MUG",)}, (first, second, third), order_of(CUP=1))


async def items_that_are_not_shippable(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await stocked(door, MUG=9, CUP=9)
    await done(door, SYSTEM, published("readiness", enforce=True))
    orders = [(await place(door, f"order {at}", MUG=1))["order"] for at in range(3)]
    other = (await place(door, "other", CUP=1))["order"]
    first, second, third, fourth = [
        AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(1)) for order in (*orders, other)
    ]
    return Story({"objects": ("MUG",)}, (first, second, third), fourth)


async def another_owners_fields(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await stocked(door, MUG=5, CUP=5)
    owner = {"entity": "item", "field": "name", "owner": "Finance"}
    await done(door, SYSTEM, published("field_ownership", owners=[owner]))
    first, second, third = (amend(amendment("MUG", {"name": f"Mug {at}"})) for at in range(3))
    return Story({"objects": ("MUG",)}, (first, second, third), amend(amendment("CUP", {"name": "Cup 2"})))


async def contained_items(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await stocked(door, MUG=9, CUP=9)
    await publish(door, items_contract())
    known = [RegisterItem(sku=sku, name=sku.title()) for sku in ("MUG", "CUP")]
    found = [(await done(door, SYSTEM, command)).result["item"] for command in known]
    await done(door, SYSTEM, CheckContract(contract="items", entity="item", keys=tuple(found)))
    orders = [(await place(door, f"order {at}", MUG=1))["order"] for at in range(3)]
    other = (await place(door, "other", CUP=1))["order"]
    clock.turn(DAY)
    first, second, third, fourth = (AssignOrder(order=order) for order in (*orders, other))
    return Story({"objects": ("MUG",)}, (first, second, third), fourth)


async def held_orders(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await stocked(door, MUG=9)
    orders = []
    for at, type_ in enumerate(("payment", "payment", "payment", "fraud")):
        orders.append((await place(door, f"order {at}", MUG=1))["order"])
        await hold(door, orders[-1], type_)
    first, second, third, other = (AssignOrder(order=order) for order in orders)
    return Story({"objects": ("payment",), "channels": ("web",)}, (first, second, third), other)


async def orders_past_their_window(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await stocked(door, MUG=9)
    await done(door, SYSTEM, published("channel", "web", cancellation_minutes=10))
    orders = [(await place(door, f"order {at}", MUG=1))["order"] for at in range(4)]
    clock.turn(timedelta(minutes=11))
    first, second, third, other = (cancel(order) for order in orders)
    return Story({"objects": tuple(orders[:3])}, (first, second, third), other)


async def changes_in_a_blackout(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    until = clock.now() + 9 * DAY
    blackout = {"name": "Cyber week", "from": clock.now().isoformat(), "until": until.isoformat()}
    await done(door, SYSTEM, published("change_control", blackouts=[blackout]))
    return await _approved(door, ())


async def changes_beyond_the_budget(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await done(door, SYSTEM, published("change_control", window_budget=0))
    return await _approved(door, (90,))


async def _approved(door: Door, window_days: tuple[int, ...]) -> Story:
    company = await declared(door, window_days=sum(window_days))
    changes = []
    for channel in ("a", "b", "c", "d"):
        changes.append(await company.propose(company.Lea, published("holds", channel, timezone="Europe/Berlin")))
        await company.approve(changes[-1], company.Olga)
    first, second, third, other = (ApplyChange(change=change[0]) for change in changes)
    within = tuple(change[0] for change in changes[:3])
    return Story({"objects": within}, (first, second, third), other, company.Ivan)


async def amounts_above_a_limit(door: Door, clock: TurnedClock, fay: Actor) -> Story:
    await stocked(door, MUG=500)
    await stocked(door, location="SHOP", MUG=500)
    limit = Limit(act="stock.adjust", role="Fulfilment Lead", amount=Amount(10), unit="units")
    await done(door, SYSTEM, published("amount_limits", **json.to_plain(AmountLimits(limits=(limit,)))))
    first, second, third, other = (_lost(units, "MAIN" if units < 24 else "SHOP") for units in range(21, 25))
    return Story({"objects": ("Fulfilment Lead",), "sites": ("MAIN",)}, (first, second, third), other, fay)


def _lost(units: int, location: str = "MAIN") -> AdjustStock:
    return AdjustStock(location=location, sku="MUG", change=Quantity(-units), reason="lost", reference=f"r{units}")


STORIES: dict[str, Staging] = {
    "stock.frozen": a_frozen_site,
    "catalogue.outside_band": a_sites_bands,
    "catalogue.not_sellable": items_that_are_not_sellable,
    "catalogue.not_shippable": items_that_are_not_shippable,
    "catalogue.not_the_owner": another_owners_fields,
    "catalogue.quarantined": contained_items,
    "orders.held": held_orders,
    "orders.cancellation_window": orders_past_their_window,
    "authority.blackout": changes_in_a_blackout,
    "authority.budget": changes_beyond_the_budget,
    AMOUNTS: amounts_above_a_limit,
}


def test_every_rule_that_is_lent_has_its_story():
    assert STORIES.keys() == OVERRIDABLE.keys()


def told_of(outcome: Outcome, rule: str) -> str:
    """Expect that a rule stopped it, and return what it says of an override."""
    if rule == AMOUNTS:
        assert outcome.status == "pending_approval", outcome
        return str(outcome.result["override"])
    assert rule_of(outcome) == rule
    assert outcome.refusal is not None
    return outcome.refusal.fix


@pytest.mark.parametrize("rule", STORIES)
async def test_an_override_passes_its_rule_in_its_scope_until_just_before_it_expires_and_then_the_rule_bites_by_itself(
    door: Door, url: str, clock: TurnedClock, rule: str
):
    """Issue C: expired ones bite by themselves; a refusal says that an override may be asked for, and who decides."""
    fay, _, sue = await staff(door)
    story = await STORIES[rule](door, clock, fay)
    before = told_of(await door.submit(story.who, story.within[0], "before"), rule)
    assert f"An override of {rule} for " in before
    bearer = Overriding().bearers[OVERRIDABLE[rule].departments[0]]
    assert f" may be asked for; {bearer.role} decides, within {bearer.hours} hours." in before
    clock.turn(SECOND)
    await granted(door, fay, sue, rule=rule, department="", expires_at=clock.now() + DAY, **story.scope)
    assert rule_of(await door.submit(story.who, story.within[0], "granted")) == "applied"
    told_of(await door.submit(story.who, story.outside, "outside"), rule)
    clock.turn(DAY - SECOND)
    assert rule_of(await door.submit(story.who, story.within[1], "just before")) == "applied"
    clock.turn(SECOND)
    told_of(await door.submit(story.who, story.within[2], "at its expiry"), rule)
    assert await rows(url, LOANS) == [(2, True, False)], WORKERLESS
    owed = await rows(url, "select department, price_per_day from override_loan")
    assert owed == [(OVERRIDABLE[rule].departments[0], OVERRIDABLE[rule].price_min)]
    await prove(url)


NEVER = {
    "separation of duties": ("authority.separated_acts", "authority.separated_roles", "authority.own_approval",
                             "authority.own_approval_waits", "stock.counter_approves", "stock.same_counter"),
    "approvals": ("authority.own_change", "authority.not_approved", "authority.not_decider", "authority.lent_vote",
                  "authority.stale", "authority.needs_change", "authority.template_spent", "orders.hold_release_role",
                  "orders.held_by_role"),
    "the register": ("authority.not_allowed", "authority.outside_scope", "authority.unmapped", "policy.invalid"),
    "the loans themselves": ("authority.own_override", "authority.not_overridable", "authority.override_expiry"),
}  # fmt: skip


@pytest.mark.parametrize("what", NEVER)
async def test_who_may_decide_and_approve_is_never_lent(door: Door, url: str, what: str):
    """Neither by a document nor by asking, nor by a loan that is there all the same."""
    fay, _, _ = await staff(door)
    for rule in NEVER[what]:
        lent = Overriding(rules={rule: Overridable(3)})
        assert [fault.where for fault in lent.faults(Known({}))] == [f"rules.{rule}"]
        assert rule_of(await door.submit(fay, asked(rule=rule), rule)) == "authority.not_overridable"
        assert borrowed([_granted(rule)], _stop(rule, fay)) is None, "an old document lends nothing"
    known = _granted("catalogue.outside_band")
    assert borrowed([known], _stop(known.rule, fay)) is not None
    assert await rows(url, LOANS) == []


def _granted(rule: str) -> Override:
    return Override(
        id="ovr_1", rule=rule, verb="", objects=("MAIN",), sites=(), channels=(), reason="", department="operations",
        price_per_day=Decimal(10), currency="EUR", expires_at=START + DAY, asked_by="a", asked_at=START,
        granted_by="b", granted_at=START,
    )  # fmt: skip


def _stop(rule: str, actor: Actor) -> Stop:
    verb: Verb[Any] = by_name()["catalogue.operate_site"]
    refusal = Refusal(rule, "No.", "Ask.", "location", "MAIN")
    return Stop(RULE, refusal, actor, verb, OperateSite(location="MAIN"), START, State(()))


def test_a_rule_is_lent_where_it_refuses_and_nowhere_else():
    """The table and the code agree: each rule of it asks for what excuses it, and no other rule does."""
    asking = set()
    for path in Path(trueup.__file__).parent.rglob("*.py"):
        source = path.read_text()
        constants = dict(re.findall(r'^([A-Z_]+) = "([a-z_]+\.[a-z_]+)"$', source, re.MULTILINE))
        named = re.findall(r"[.]excuses\(\s*([^,]+),", source)
        asking |= {constants.get(name, name.strip('"')) for name in named}
    asking = asking - {"decision.rule", "HELD"} | {holds.HELD}
    of_refusals = {"catalogue.outside_band", "catalogue.not_sellable", "catalogue.not_shippable"}
    of_guards = {"stock.frozen"}
    assert "refusal.rule" in asking
    assert asking - {"refusal.rule"} | of_refusals | of_guards | {AMOUNTS} == OVERRIDABLE.keys()


async def test_a_hold_that_only_certain_roles_release_is_not_lent_by_others(door: Door, url: str):
    """Who may lift a hold is not lent: a loan lets an order pass a hold, and releases none."""
    await stocked(door, MUG=9)
    await done(door, SYSTEM, published("holds", types=with_type("credit", release_roles=["Finance"])))
    fay, _, sue = await staff(door)
    order = (await place(door, "order", MUG=1))["order"]
    payment = await hold(door, order, "payment")
    await granted(door, fay, sue, rule="orders.held", department="finance", objects=(order,))
    assert rule_of(await door.submit(SYSTEM, AssignOrder(order=order), "payment")) == "applied"
    open_ = "select type from order_hold where released_at is null and order_id = %s"
    assert await rows(url, open_, order) == [("payment",)], "the hold stands as it did"
    other = (await place(door, "other", MUG=1))["order"]
    credit = await hold(door, other, "credit")
    await granted(door, fay, sue, rule="orders.held", department="finance", objects=(other,))
    refused = await door.submit(SYSTEM, AssignOrder(order=other), "credit")
    assert rule_of(refused) == "orders.held_by_role"
    assert refused.refusal is not None
    assert "released by Finance" in refused.refusal.fix
    assert "An override" not in refused.refusal.fix
    assert rule_of(await door.submit(fay, ReleaseHold(hold=credit, reason="hurry"), "release")) == (
        "orders.hold_release_role"
    )
    assert rule_of(await door.submit(fay, ReleaseHold(hold=payment, reason="paid"), "paid")) == "applied"
    third = (await place(door, "third", MUG=1))["order"]
    await hold(door, third, "payment")
    await granted(door, fay, sue, rule="orders.held", department="finance", objects=("MAIN",))
    there = AllocateUnits(order=third, line=1, location="MAIN", quantity=Quantity(1))
    assert rule_of(await door.submit(SYSTEM, there, "there")) == "orders.held", "no location names a hold"
    await prove(url)


async def test_an_override_of_one_field_of_one_record_is_for_no_other(door: Door, url: str):
    await stocked(door, MUG=5, CUP=5)
    owners = [{"entity": "item", "field": field, "owner": "Finance"} for field in ("name", "category")]
    await done(door, SYSTEM, published("field_ownership", owners=owners))
    fay, _, sue = await staff(door)
    await granted(door, fay, sue, rule="catalogue.not_the_owner", objects=("MUG#item.name",))
    tried = {
        "MUG name": amend(amendment("MUG", {"name": "A mug"})),
        "MUG category": amend(amendment("MUG", {"category": "cups"})),
        "CUP name": amend(amendment("CUP", {"name": "A cup"})),
        "both": amend(amendment("MUG", {"name": "A big mug"}), amendment("CUP", {"name": "A cup"})),
    }
    ended = {name: rule_of(await door.submit(SYSTEM, command, name)) for name, command in tried.items()}
    assert ended == {"MUG name": "applied", **dict.fromkeys(list(tried)[1:], "catalogue.not_the_owner")}
    assert await rows(url, "select sku, name, category from item order by sku") == [
        ("CUP", "Cup", None), ("MUG", "A mug", None)]  # fmt: skip
    await granted(door, fay, sue, rule="catalogue.not_the_owner", objects=("item.category",))
    assert rule_of(await door.submit(SYSTEM, tried["MUG category"], "by field")) == "applied"
    await prove(url)


async def test_only_a_department_that_bears_a_rules_risk_can_be_named_and_the_first_is_the_default(
    door: Door, url: str
):
    fay, _, _ = await staff(door)
    wrong = await door.submit(fay, asked(rule="authority.blackout", objects=("chg_1",), department="fulfilment",
                                         expires_at=START + DAY), "fulfilment")  # fmt: skip
    assert rule_of(wrong) == "authority.unknown_department"
    assert wrong.refusal is not None
    assert "Use one of: it, operations." in wrong.refusal.fix
    default = await door.submit(fay, asked(rule="authority.blackout", objects=("chg_1",), department="",
                                           expires_at=START + DAY), "none")  # fmt: skip
    assert default.result["decides"] == "IT Process Owner"
    assert await rows(url, "select department, price_per_day from override_loan") == [("it", 100)]


async def test_an_override_that_nobody_decides_in_time_is_a_case_for_the_sponsor(
    door: Door, url: str, clock: TurnedClock
):
    """The refusal said within how many hours it is decided; after them it is told, once, and nothing else changes."""
    await banded(door)
    fay, otto, _ = await staff(door)
    override = (await door.submit(fay, asked(), "ask")).result["override"]
    notice = Notice("notice_overrides", "*/15 * * * *", due_overrides)
    cases = "select title, owner_role from cases"
    hours = Overriding().bearers["operations"].hours
    clock.turn(timedelta(hours=hours) - SECOND)
    await notice_now(url, door, notice)
    assert await rows(url, cases) == []
    clock.turn(timedelta(hours=1))
    for _ in range(2):
        await notice_now(url, door, notice)
    late = ("The override of catalogue.outside_band was asked for, and nobody decides it", "Sponsor")
    assert await rows(url, cases) == [late]
    await done(door, otto, GrantOverride(override=override))
    assert await rows(url, cases) == [late]
    await prove(url)


async def test_the_price_per_day_runs_and_the_debt_is_told_per_department_and_day(
    door: Door, url: str, clock: TurnedClock
):
    """Issue C: rule, scope, reason, approver, expiry, price per day, department; governance debt per day by each."""
    await stocked(door, MUG=9)
    fay, _, sue = await staff(door)
    clock.turn(15 * timedelta(hours=1))
    loans = (
        ("orders.held", "operations", "30", 2 * DAY),
        ("catalogue.not_shippable", "fulfilment", "24", 3 * DAY),
        (AMOUNTS, "finance", "100", DAY),
    )
    for rule, department, price, lasts in loans:
        await granted(door, fay, sue, rule=rule, department=department, price_per_day=Amount(price),
                      objects=("MUG",), expires_at=clock.now() + lasts)  # fmt: skip
    ended = await granted(door, fay, sue, rule="stock.frozen", department="fulfilment", price_per_day=Amount("240"),
                          objects=("MAIN",), expires_at=clock.now() + DAY)  # fmt: skip
    clock.turn(timedelta(hours=6))
    await done(door, fay, EndOverride(override=ended, reason="thawed"))
    clock.turn(timedelta(hours=42))
    connection = await connect(url)
    try:
        owed = await debts(connection, Policies(()), DebtQuery(days=4), clock.now())
    finally:
        await connection.close()
    found = {debt.department: debt for debt in owed}
    per_day = {name: [(day.day[-2:], str(day.cost)) for day in debt.days] for name, debt in found.items()}
    assert per_day == {
        "operations": [("04", "30.00"), ("03", "30.00")],
        "fulfilment": [("04", "24.00"), ("03", "84.00")],
        "finance": [("03", "100.00")],
        "it": [],
    }
    fulfilment = found["fulfilment"]
    assert (fulfilment.active, str(fulfilment.per_day), found["finance"].active) == (1, "24", 0)
    assert (fulfilment.role, str(fulfilment.limit)) == ("Fulfilment Lead", "1000")


def test_no_command_has_a_flag_of_its_own_that_lets_it_past_a_rule():
    """DESIGN, rule 9: every override in the product is one kind of record."""
    named = re.compile(
        r"(^|_)((?<!in_)force|override|bypass|anyway|regardless|ignore|skip|allow|unsafe)(_|d?$)|_because$"
    )
    flags = {
        f"{verb.name}.{field}" for verb in by_name().values() for field in _fields(verb.command) if named.search(field)
    }
    ours = {f"authority.{act}_override.override" for act in ("grant", "decline", "end", "notice")}
    assert flags == ours | {f"catalogue.{act}.gtin_kept_because" for act in ("register_item", "amend_items")}, (
        "make it an override; or say, where it is decided, why it is none, as `gtin_rules` does"
    )


def _fields(struct: Any) -> list[str]:
    """Return the names of a command's fields, and of those of its rows."""
    told = msgspec.structs.fields(struct)
    rows = [part for field in told for part in get_args(field.type) if hasattr(part, "__struct_fields__")]
    rows += [deep for field in told for part in get_args(field.type) for deep in get_args(part)]
    inner = [row for row in rows if hasattr(row, "__struct_fields__")]
    return [field.name for field in told] + [name for row in inner for name in row.__struct_fields__]


async def test_an_order_that_waits_is_sourced_by_itself_once_its_hold_is_lent(door: Door, url: str):
    await stocked(door, MUG=9)
    fay, _, sue = await staff(door)
    order, other = [(await place(door, name, MUG=1))["order"] for name in ("order", "other")]
    for held in (order, other):
        await hold(door, held, "payment")
    await settled(door, url, house.build())
    allocated = "select id, units_allocated::int from orders"
    assert dict(await rows(url, allocated)) == {order: 0, other: 0}
    await granted(door, fay, sue, rule="orders.held", objects=(f"{order}#payment",))
    await settled(door, url, house.build())
    assert dict(await rows(url, allocated)) == {order: 1, other: 0}
    assert await rows(url, LOANS) == [(1, True, False)]
    await prove(url)
