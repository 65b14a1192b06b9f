"""Moving an order along its workflow: on request, by report, and what a hold has to say about it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import stocked
from tests.orders.holding import axes, held, hold, place, publish, rule, table, with_type
from tests.proof import prove
from tests.requests import cancel, rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.door import Door
from trueup.core.verb import Outcome
from trueup.orders.advance import AdvanceOrder, ReportEvent
from trueup.orders.hold import ReleaseHold
from trueup.orders.workflow import Workflow
from trueup.storyline import settled

SHIPPED = json.to_plain(Workflow())


async def own_workflow(door: Door, *more: dict[str, Any]) -> None:
    """Put a state `checking` between placed and sourced, entered by the event `check` and left by `checked`."""
    states = [*SHIPPED["states"], {"name": "checking", "reasons": ["address", "payment"]}]
    edges = [
        *SHIPPED["transitions"],
        {"from": "placed", "on": "check", "to": "checking"},
        {"from": "checking", "on": "checked", "to": "placed"},
        {"from": "checking", "on": "cancelled", "to": "cancelled"},
        *more,
    ]
    outcome = await publish(door, "workflow", "sale", states=states, transitions=edges)
    assert outcome.status == "applied", outcome.refusal


async def state_of(url: str, order: str) -> tuple[str, str | None, int]:
    """Return an order's state, its reason, and how many events its workflow did not want."""
    found = await rows(url, "select state, state_reason, unmatched from orders where id = %s", order)
    state, reason, unmatched = found[0]
    return state, reason, unmatched


def refused(outcome: Outcome, rule_name: str) -> str:
    """Expect this refusal and return what it says."""
    assert outcome.refusal is not None, outcome
    assert outcome.refusal.rule == rule_name
    return f"{outcome.refusal.what} {outcome.refusal.fix}"


async def test_an_order_walks_states_of_a_shops_own(door: Door, url: str):
    await stocked(door, MUG=10)
    await own_workflow(door)
    order = (await place(door, "place", MUG=2))["order"]
    moved = await door.submit(SYSTEM, AdvanceOrder(order=order, event="check", reason="address"), "check")
    assert moved.result == {
        "order": order, "matched": True, "state": "checking", "reason": "address", "version": 2,
    }  # fmt: skip
    assert await state_of(url, order) == ("checking", "address", 0)
    said = refused(await door.submit(SYSTEM, AdvanceOrder(order=order, event="check"), "twice"), "orders.transition")
    assert "'checking' (address)" in said
    assert said.endswith("Allowed there: checked. Trueup itself reports there: cancelled.")
    whim = AdvanceOrder(order=order, event="checked", reason="whim", version=2)
    assert (await door.submit(SYSTEM, whim, "whim")).status == "applied", "placed lists no reasons"
    await prove(url)


async def test_it_refuses_what_the_state_does_not_list_and_what_changed_meanwhile(door: Door, url: str):
    await stocked(door, MUG=10)
    await own_workflow(door)
    order = (await place(door, "place", MUG=2))["order"]
    bad = AdvanceOrder(order=order, event="check", reason="whim")
    assert "address, payment" in refused(await door.submit(SYSTEM, bad, "whim"), "orders.reason")
    late = AdvanceOrder(order=order, event="check", version=7)
    refused(await door.submit(SYSTEM, late, "late"), "orders.changed")
    refused(await door.submit(SYSTEM, AdvanceOrder(order="ord_0", event="check"), "unknown"), "orders.unknown")
    assert await state_of(url, order) == ("placed", None, 0)


@pytest.mark.parametrize("event", ["cancelled", "sourced", "confirmed"])
async def test_nobody_says_what_trueup_itself_reports(door: Door, url: str, event: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    asked = await door.submit(SYSTEM, AdvanceOrder(order=order, event=event), "asked")
    refused(asked, "orders.own_event")
    said = await door.submit(SYSTEM, ReportEvent(order=order, event=event, source="WMS"), "said")
    assert (said.status, said.result["matched"]) == ("applied", False)
    assert await state_of(url, order) == ("placed", None, 1)
    await prove(url)


@pytest.mark.parametrize("blocks", ["check", "other"])
async def test_a_hold_blocks_the_request_and_never_the_report(door: Door, url: str, blocks: str):
    await stocked(door, MUG=10)
    await own_workflow(door)
    await publish(door, "holds", types=with_type("address", blocks=[blocks]))
    order = (await place(door, "place", MUG=2))["order"]
    placed = await hold(door, order, "address", line=1)
    asked = await door.submit(SYSTEM, AdvanceOrder(order=order, event="check"), "asked")
    if blocks == "check":
        refused(asked, "orders.held")
        assert await state_of(url, order) == ("placed", None, 0)
        reported = ReportEvent(order=order, event="check", source="desk", reason="address")
        assert (await door.submit(SYSTEM, reported, "report")).result["state"] == "checking"
        await door.submit(SYSTEM, ReleaseHold(hold=placed, reason="ok"), "release")
    assert (await state_of(url, order))[0] == "checking"
    await prove(url)


async def test_an_event_that_no_edge_wants_is_recorded_and_counted(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    for at in range(2):
        report = ReportEvent(order=order, event="weighed", source="WMS")
        outcome = await door.submit(SYSTEM, report, f"weighed {at}")
        assert (outcome.status, outcome.result["matched"]) == ("applied", False)
    assert await state_of(url, order) == ("placed", None, 2)
    found = await rows(
        url, "select convert_from(body, 'UTF8')::jsonb ->> 'source' from journal where name = 'orders.event_unmatched'"
    )
    assert found == [("WMS",), ("WMS",)]
    await prove(url)


async def test_tables_are_asked_on_a_reported_event_and_on_no_other(door: Door, url: str):
    await stocked(door, MUG=10)
    await own_workflow(door)
    dispute = table(rule("r", "payment", ("item.sku", "is", "MUG"), ("customer.orders", "is", 0)), on="disputed")
    await publish(door, "holds", tables=[dispute])
    order = (await place(door, "place", MUG=2))["order"]
    await door.submit(SYSTEM, ReportEvent(order=order, event="check", source="desk"), "check")
    assert await held(url, order) == []
    await door.submit(SYSTEM, ReportEvent(order=order, event="disputed", source="bank"), "disputed")
    assert await held(url, order) == [("payment", None)]
    assert (await axes(url, order))[2] == 4, "moved, no match, held"
    await prove(url)


async def test_a_workflow_binds_a_hold_to_a_transition(door: Door, url: str):
    """The fields order, type and reason are enough; the follow-up is Trueup's own."""
    await stocked(door, MUG=10)
    bound = {"command": "orders.place_hold", "arguments": {"type": "address", "reason": "address is being checked"}}
    await own_workflow(door, {"from": "placed", "on": "doubt", "to": "checking", "submit": bound})
    order = (await place(door, "place", MUG=2))["order"]
    await door.submit(SYSTEM, AdvanceOrder(order=order, event="doubt"), "doubt")
    await settled(door, url, house.build())
    assert ("address", None) in await held(url, order)
    await prove(url)


async def test_history_is_left_alone(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    await door.submit(SYSTEM, cancel(order), "cancel")
    said = await door.submit(SYSTEM, ReportEvent(order="ord_0", event="weighed", source="WMS"), "unknown")
    refused(said, "orders.unknown")
    final = await door.submit(SYSTEM, AdvanceOrder(order=order, event="reopened"), "final")
    assert "The state is final" in refused(final, "orders.transition")
