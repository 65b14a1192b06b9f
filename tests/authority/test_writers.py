"""The writer registry: (entity, cohort, period) -> one system, by exclusion in the database and a guard on writes."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import order_of, person, rows

from trueup.authority.cohorts import OURS, Cohort, WriterRule, Written, rule_for, share_of
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.authority.writers import AssignWriter, EndWriter
from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Outcome
from trueup.orders.cancel import CancelOrder
from trueup.orders.place import PlaceOrder
from trueup.orders.record import RecordedLine, RecordOrder
from trueup.stock.receive import AdjustStock

HOUR = timedelta(hours=1)
ORDERS = "select channel from orders order by channel"


async def systems(door: Door, **actors: tuple[str, ...]) -> None:
    """Publish the systems there are; each answers to its own name as source, and to these services."""
    document = {
        "systems": {
            name: {"title": name.title(), "sources": [name], "actors": list(ids), "contact": f"the {name} desk"}
            for name, ids in actors.items()
        }
    }
    published = PublishPolicy(
        policy_kind="writers", policy_name="default", document=document, reason="there are others"
    )
    assert (await door.submit(SYSTEM, published, f"systems {sorted(actors)}")).status == "applied"


async def assign(door: Door, system: str, entity: Any = "order", **values: Any) -> Outcome:
    """Assign a cohort: `assign(door, "legacy", channel="web")`."""
    times = {name: values.pop(name) for name in ("from_at", "until_at") if name in values}
    command = AssignWriter(entity=entity, system=system, cohort=Cohort(**values), reason="cut-over plan", **times)
    return await door.submit(SYSTEM, command, f"assign {system} {entity} {values} {times}")


def web(**values: Any) -> PlaceOrder:
    """An order of one mug from some channel."""
    return msgspec.structs.replace(order_of(MUG=1), **values)


def history(source: str, document: str, channel: str = "web") -> RecordOrder:
    """A document of another system."""
    line = RecordedLine(row="1", sku="MUG", quantity=Quantity(1), unit_price=Amount("10.00"))
    return RecordOrder(
        source=source, document=document, placed_at=START, currency="EUR", lines=(line,), channel=channel
    )


async def test_with_nothing_registered_trueup_writes_everything_as_ever(door: Door, url: str):
    await stocked(door, MUG=5)
    assert (await door.submit(SYSTEM, web(), "one")).status == "applied"
    assert (await door.submit(SYSTEM, history("legacy", "7"), "two")).status == "applied"
    await prove(url)


async def test_a_write_to_a_cohort_of_another_system_is_refused_naming_it_until_when_and_who_decides(
    door: Door, url: str
):
    await stocked(door, MUG=5)
    await systems(door, legacy=())
    until = START + 3 * HOUR
    assert (await assign(door, "legacy", channel="web", until_at=until)).status == "applied"
    refused = await door.submit(SYSTEM, web(), "theirs")
    assert refused.refusal is not None
    assert refused.refusal.rule == "writer.other_system"
    for part in ("Legacy (legacy)", f"{until:%Y-%m-%d %H:%M} UTC", "channel web"):
        assert part in refused.refusal.what
    assert "the legacy desk" in refused.refusal.fix
    assert "Integration Owner decides writer.order" in refused.refusal.fix
    assert await rows(url, ORDERS) == []
    assert (await door.submit(SYSTEM, web(channel="shop"), "ours")).status == "applied"
    await prove(url)


async def test_a_cohort_comes_back_by_itself_when_its_period_is_over(door: Door, clock: TurnedClock, url: str):
    await stocked(door, MUG=5)
    await systems(door, legacy=())
    await assign(door, "legacy", channel="web", from_at=START + HOUR, until_at=START + 2 * HOUR)
    taken = []
    for _ in range(4):
        taken.append((await door.submit(SYSTEM, web(), f"at {clock.now()}")).status)
        clock.turn(HOUR)
    assert taken == ["applied", "refused", "applied", "applied"]
    await prove(url)


async def test_every_later_act_on_an_order_of_the_cohort_is_refused_for_jobs_and_people_alike(door: Door, url: str):
    await stocked(door, MUG=5)
    await systems(door, legacy=())
    placed = await door.submit(SYSTEM, web(), "before the cut-over")
    agent = await person(door, "Olga", "Order Agent")
    await assign(door, "legacy", channel="web")
    for actor in (SYSTEM, agent):
        refused = await door.submit(actor, CancelOrder(order=placed.result["order"]), f"cancel {actor.id}")
        assert refused.refusal is not None
        assert refused.refusal.rule == "writer.other_system"
    assert await rows(url, "select distinct fulfilment_status from orders") == [("unfulfilled",)]


async def test_a_change_born_in_another_system_for_a_cohort_that_is_ours_is_quarantined_and_never_merged(
    door: Door, url: str
):
    await stocked(door, MUG=5)
    await systems(door, legacy=(), erp=())
    outcome = await door.submit(SYSTEM, history("legacy", "7"), "late")
    assert outcome.status == "quarantined"
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "writer.born_elsewhere"
    assert "born in legacy, but Trueup writes" in outcome.refusal.what
    assert await rows(url, ORDERS) == []
    kept = "select name, convert_from(body, 'utf8') like '%%\"document\":\"7\"%%' from quarantined_command"
    assert await rows(url, kept) == [("orders.record", True)]
    assert await rows(url, "select ended, guard from refused_command") == [("quarantined", "writer_guard")]
    again = await door.submit(SYSTEM, history("legacy", "7"), "late")
    assert again.repeated
    assert len(await rows(url, kept)) == 1
    await assign(door, "legacy", channel="web")
    assert (await door.submit(SYSTEM, history("legacy", "8"), "its own")).status == "applied", "it writes this itself"
    assert (await door.submit(SYSTEM, history("erp", "9"), "a third")).status == "quarantined"
    await prove(url)


async def test_what_a_service_of_another_system_brings_was_born_there(door: Door, url: str):
    await stocked(door, MUG=5)
    robot = RegisterActor(name="ERP", kind="service", roles=("Integration Owner",))
    registered = await door.submit(SYSTEM, robot, "robot")
    erp = Actor(registered.result["actor"], "service", "ERP", frozenset({"Integration Owner"}))
    await systems(door, erp=(erp.id,))
    adjust = AdjustStock(location="MAIN", sku="MUG", change=Quantity(1), reason="found", reference="a")
    assert (await door.submit(erp, adjust, "ours")).status == "quarantined"
    await assign(door, "erp", "stock", location="MAIN")
    assert (await door.submit(erp, adjust, "theirs")).status == "applied"
    refused = await door.submit(SYSTEM, msgspec.structs.replace(adjust, reference="b"), "not ours any more")
    assert refused.refusal is not None
    assert refused.refusal.rule == "writer.other_system"
    assert await rows(url, "select on_hand::int from stock_balance") == [(6,)]


async def test_items_are_told_apart_by_share_and_stock_by_place(door: Door, url: str):
    await stocked(door, MUG=5)
    await systems(door, pim=())
    await assign(door, "pim", "item", share_from=0, share_to=30)
    skus = [f"SKU{n}" for n in range(40)]
    outcomes = await door.submit_all(SYSTEM, [(sku, RegisterItem(sku=sku, name=sku)) for sku in skus])
    theirs = {sku for sku in skus if share_of(sku) < 30}
    assert 4 < len(theirs) < 25
    assert {sku for sku, outcome in zip(skus, outcomes, strict=True) if outcome.status == "refused"} == theirs
    refused = await assign(door, "pim", "stock", channel="web")
    assert refused.refusal is not None
    assert refused.refusal.rule == "authority.writer_cohort"


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"system": "unknown"}, "authority.unknown_system"),
        ({"share_from": 40, "share_to": 40}, "authority.writer_share"),
        ({"from_at": START - HOUR}, "authority.writer_time"),
        ({"from_at": START + HOUR, "until_at": START + HOUR}, "authority.writer_time"),
        ({"from_at": datetime(2026, 5, 1)}, "authority.writer_time"),  # noqa: DTZ001
        ({"channel": "web"}, "authority.writer_clash"),
        ({"channel": "web", "from_at": START + HOUR}, "authority.writer_clash"),
    ],
)
async def test_it_refuses_a_rule_that_is_none(door: Door, url: str, values: dict[str, Any], rule: str):
    await systems(door, legacy=(), erp=())
    assert (await assign(door, "legacy", channel="web", until_at=START + 2 * HOUR)).status == "applied"
    refused = await assign(door, values.pop("system", "erp"), **values)
    assert refused.refusal is not None
    assert refused.refusal.rule == rule
    assert len(await rows(url, "select id from writer_rule")) == 1


async def test_one_rule_follows_another_without_a_gap_and_an_end_takes_hold_at_once(
    door: Door, clock: TurnedClock, url: str
):
    await stocked(door, MUG=9)
    await systems(door, legacy=(), erp=())
    await assign(door, "legacy", channel="web", until_at=START + HOUR)
    assert (await assign(door, "erp", channel="web", from_at=START + HOUR)).status == "applied"
    clock.turn(HOUR)
    refused = await door.submit(SYSTEM, web(), "erp's now")
    assert refused.refusal is not None
    assert refused.refusal.value == "erp"
    ended = EndWriter(entity="order", cohort=Cohort(channel="web"), reason="cut over to Trueup")
    assert (await door.submit(SYSTEM, ended, "end")).status == "applied"
    assert (await door.submit(SYSTEM, web(), "ours now")).status == "applied"
    nothing = await door.submit(SYSTEM, ended, "end again")
    assert nothing.refusal is not None
    assert nothing.refusal.rule == "authority.unknown_writer"
    await prove(url)


async def test_the_database_itself_refuses_two_systems_for_one_cohort(door: Door, url: str):
    await systems(door, legacy=(), erp=())
    await assign(door, "legacy", channel="web", share_to=50)
    insert = """insert into writer_rule (id, entity, channel, share_from, share_to, system, from_at, reason, by, at)
        values ('wrt_x', 'order', 'web', {}, {}, 'erp', '2027-01-01', 'x', 'x', now())"""
    with psycopg.connect(url, autocommit=True) as owner:
        with pytest.raises(psycopg.errors.ExclusionViolation):
            owner.execute(insert.format(49, 60))
        owner.execute(insert.format(50, 60))


CHANNELS, PLACES, GROUPS = ("web", "shop"), ("S1", "S2"), ("gold",)
COHORTS = st.builds(
    lambda channel, location, group, share: Cohort(
        channel=channel, location=location, customer_group=group, share_from=share[0], share_to=share[1]
    ),
    st.sampled_from((None, *CHANNELS)),
    st.sampled_from((None, *PLACES)),
    st.sampled_from((None, *GROUPS)),
    st.sampled_from(((0, 100), (0, 30), (30, 60), (20, 100))),
)
TIMES = st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 6)))
KEYS = ("a", "b", "c", "d", "e")


def registered(proposed: list[tuple[Cohort, str, tuple[int, int | None]]]) -> list[WriterRule]:
    """Take in, one after another, what `assign_writer` would not refuse."""
    rules: list[WriterRule] = []
    for number, (cohort, system, (begin, end)) in enumerate(proposed):
        if end is not None and end <= begin:
            continue
        rule = WriterRule(
            id=str(number), entity="order", cohort=cohort, system=system, from_at=START + begin * HOUR,
            until_at=None if end is None else START + end * HOUR, reason="", by="", at=START,
        )  # fmt: skip
        if not any(rule.clashes(other) for other in rules):
            rules.append(rule)
    return rules


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(COHORTS, st.sampled_from(("legacy", "erp", OURS)), TIMES), max_size=12), st.randoms())
def test_no_order_has_two_writers_at_any_time(proposed: Any, random: Any):
    """By brute force over every order and hour; the precedence says one, whatever order the rules are looked at in."""
    rules = registered(proposed)
    shuffled = rules.copy()
    random.shuffle(shuffled)
    places = itertools.product((*CHANNELS, "other"), (*PLACES, None), (*GROUPS, None), KEYS)
    for channel, location, group, key in places:
        one = Written(entity="order", channel=channel, location=location, customer_group=group, key=key)
        for hour in range(8):
            now = START + hour * HOUR
            meeting = [rule for rule in rules if rule.live(now) and rule.cohort.holds(one)]
            assert len({rule.cohort.rank for rule in meeting}) == len(meeting), "two of one rank meet"
            found = rule_for(shuffled, one, now)
            assert found == rule_for(rules, one, now)
            assert (found is None) == (not meeting)
            assert all(len(found.cohort.named) >= len(rule.cohort.named) for rule in meeting if found is not None)


@given(COHORTS, COHORTS)
def test_equal_ranks_name_the_same_things(one: Cohort, other: Cohort):
    assert (one.rank == other.rank) == (one.named == other.named)
