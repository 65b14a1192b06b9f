"""For every policy type the replay's prediction equals what then happens under the new policy in a copy."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.conftest import Databases, expect_all
from tests.proof import prove
from tests.replayed import (
    PLACES,
    Past,
    Proposal,
    happened,
    happened_at,
    predicted,
    routing,
    shop_at,
    window,
)

from trueup import house
from trueup.authority.standing import SYSTEM, Rights
from trueup.catalogue.readiness import ReadinessPolicy
from trueup.catalogue.state import Catalogue
from trueup.core import replay_window
from trueup.core.batch import fold
from trueup.core.database import connect
from trueup.core.fields import CustomFields, FieldRule
from trueup.core.quantity import Quantity
from trueup.core.replay_window import state_as_of
from trueup.orders.channel import Channel
from trueup.orders.conditions import Condition
from trueup.orders.holds import DecisionTable, HoldRule, HoldRules
from trueup.orders.state import Orders
from trueup.orders.tax import TaxEntry, TaxTable
from trueup.orders.workflow import TRANSITIONS, Binding, Workflow
from trueup.oversight.impact import impact
from trueup.sourcing import read
from trueup.sourcing.past import SourcingPast
from trueup.sourcing.policy import LocationFilter, Rule
from trueup.stock.count import CountedLine, CountStock
from trueup.stock.limits import Buffer, Buffers
from trueup.stock.state import Stock

_HELD = HoldRules(
    tables=(
        DecisionTable(
            "checks",
            (
                HoldRule(
                    "large",
                    "manual",
                    "large",
                    (Condition("order.total", "over", "150"), Condition("order.currency", "is", "EUR")),
                ),
                HoldRule("regulars", "credit", "regular", (Condition("customer.orders", "over", 0),)),
            ),
            hit="all",
        ),
    )
)
_BOUND = Workflow(
    transitions=tuple(
        msgspec.structs.replace(edge, submit=Binding("orders.place_hold", {"type": "data", "reason": "short"}))
        if (edge.from_, edge.on) == ("placed", "sourced")
        else edge
        for edge in TRANSITIONS
    )
)
_RIGHTS = Rights()

REPLAYED: dict[str, tuple[Proposal, ...]] = {
    "sourcing": (
        {
            ("sourcing", "default"): routing(
                Rule("far", sort=("priority",), ranking=("WEST", "EAST", "MAIN"), otherwise="partial")
            )
        },
        {("sourcing", "default"): routing(Rule("one", splits_max=1, complete="order", otherwise="queue"))},
        {
            ("sourcing", "default"): routing(
                Rule("no east", LocationFilter(codes=("MAIN", "WEST")), otherwise="partial")
            )
        },
        {("sourcing", "default"): routing(Rule("later", otherwise="partial"), on_placement=False)},
    ),
    "channel": (
        {("channel", "web"): Channel(locations=PLACES, short="refuse", tax="table", prices_include_tax=True)},
        {("channel", "web"): Channel(locations=("WEST", "MAIN"), short="partial", tax="table", unpaid_minutes=90)},
    ),
    "tax": ({("tax", "default"): TaxTable(home="DE", entries=(TaxEntry(country="DE", rate=Quantity(7)),))},),
    "holds": ({("holds", "default"): _HELD},),
    "buffers": ({("buffers", "default"): Buffers(buffers=(Buffer(units=Quantity(4), categories=("cups",)),))},),
    "workflow": ({("workflow", "sale"): _BOUND},),
    "fields": ({("fields", "order"): CustomFields(fields=(FieldRule(name="campaign", required=True),))},),
    "rights": ({("rights", "default"): Rights(roles={**_RIGHTS.roles, "Order Agent": ("orders.cancel", "read")})},),
    "readiness": ({("readiness", "default"): ReadinessPolicy(enforce=True)},),
}


PROPOSALS = [
    pytest.param(proposal, id=f"{kind} {at}") for kind, many in REPLAYED.items() for at, proposal in enumerate(many)
]


@pytest.mark.parametrize("proposal", PROPOSALS)
async def test_the_prediction_equals_what_then_happens(databases: Databases, past: Past, proposal: Proposal):
    said = await predicted(past, proposal)
    assert said != await predicted(past, {}), "a proposal that changes nothing proves nothing"
    copy = databases.copied(past.before)
    async with shop_at(copy, past.moment, past.agent) as shop:
        shop.orders = dict(past.orders)
        await shop.publish(proposal)
        await window(shop)
    came = await happened(copy)
    databases.drop(copy)
    untouched = {number: came.pop(number) for number in [*came] if number not in said and number.startswith("old")}
    assert said == came
    assert all(one.outcome == "placed" for one in untouched.values())


async def test_under_the_same_policies_everything_comes_out_as_it_did(past: Past):
    said = await predicted(past, {})
    copy_of_then = await happened_at(past)
    assert {number: copy_of_then[number] for number in said} == said
    found = await impact(past.lived, house.build(), {}, since_position=past.window.after)
    assert (found.differing, found.counts, found.shown) == (0, {}, ())
    await prove(past.lived)


async def test_the_state_as_of_the_window_is_what_folding_the_whole_journal_gives(past: Past, monkeypatch):
    connection = await connect(past.lived)
    try:
        built = house.build()
        whole = await fold(connection, built, past.window.after)
        monkeypatch.setattr(replay_window, "fold", None)
        found = await state_as_of(connection, built, past.window)
    finally:
        await connection.close()
    shared = {"balance", "lot", "supply", "backlog", "peg", "sourcing_load", "item", "location", "actor", "policy"}
    touched = {"order", "order_line", "claim", "hold", "fulfilment_order", "sourcing_rejection", "customer"}
    seen = set()
    for part, other in zip(found.parts(), whole.parts(), strict=True):
        for table, of_whole in zip(part.rebuilt(), other.rebuilt(), strict=True):
            kind = table.subject_type
            rows_ = {key: row for key, row in table.rows.items() if kind != "balance" or any(row)}
            if kind in shared:
                assert rows_ == {k: row for k, row in of_whole.rows.items() if kind != "balance" or any(row)}, kind
            elif kind in touched:
                assert rows_.items() <= of_whole.rows.items(), kind
            seen.add(kind)
    assert shared | touched <= seen
    assert {"old-1", "old-3"} <= {row.captured.external_ids["shop"] for row in found.of(Orders).orders.values()}


async def test_what_rows_in_memory_tell_is_what_the_database_tells(past: Past):
    async with shop_at(past.lived, past.moment + timedelta(days=9)) as shop:
        gone = tuple(CountedLine(sku, Quantity(0)) for sku in ("MUG", "TEE", "CAP"))
        count = CountStock(location="WEST", lines=gone, reference="gone", counted_at=shop.clock.now())
        expect_all([await shop.door.submit(SYSTEM, count, "gone")])
    connection = await connect(past.lived)
    try:
        state = await fold(connection, house.build())
        told = SourcingPast()
        told.begin(state, past.window.until)
        items, places = [*state.of(Catalogue).items], [*state.of(Stock).balances]
        waiting = 0
        for item in items:
            for fill in (("first_in",), ("priority", "promise", "contract")):
                asked = await read.waiting_for(connection, [item], fill)
                assert told.waiting_for([item], fill) == asked
                waiting += len(asked)
        short = await read.short_at(connection, places)
    finally:
        await connection.close()
    assert told.short_at(places) == short
    assert waiting
    assert short


@pytest.mark.parametrize("proposal", PROPOSALS)
async def test_it_predicts_the_same_from_the_whole_journal(past: Past, proposal: Proposal, monkeypatch):
    said = await predicted(past, proposal)
    unclean = msgspec.structs.replace(past.window, clean=False)
    assert said == await predicted(msgspec.structs.replace(past, window=unclean), proposal)


def test_every_kind_of_policy_is_replayed_or_says_why_not():
    open_ = [kind for kind, struct in house.POLICY_KINDS.items() if (kind in REPLAYED) == bool(struct.unreplayed)]
    assert open_ == [], "a kind has an example that is replayed, or a reason why it cannot be, and not both"
