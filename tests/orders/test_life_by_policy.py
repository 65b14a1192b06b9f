"""Where an order begins, and how long a case may lie: the policies `workflow` and `ladder`, both ways. Behaviour 39."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.cases.laddering import ladder, rung, steps
from tests.conftest import START, stocked
from tests.orders.holding import publish as publish_plain
from tests.orders.holding import with_type
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, placed, publish, state_of

from trueup import worker
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders.draft import SaveDraft
from trueup.orders.hold import PlaceHold
from trueup.orders.workflow import Transition, Workflow, WorkflowState

AGE = next(notice for notice in worker.NOTICES if notice.name == "age_holds")
CHECKED, SKETCHED = WorkflowState("checked"), WorkflowState("sketched")
FROM_CHECKED = (Transition("checked", "sourced", "sourced"), Transition("checked", "cancelled", "cancelled"))
FROM_SKETCHED = (Transition("sketched", "confirmed", "placed"), Transition("sketched", "cancelled", "cancelled"))
SHIPPED = Workflow()


@pytest.mark.parametrize(("workflow", "order_begins", "draft_begins"), [
    (SHIPPED, "placed", "draft"),
    (Workflow(states=(*SHIPPED.states, CHECKED), transitions=(*SHIPPED.transitions, *FROM_CHECKED), initial="checked"),
     "checked", "draft"),
    (Workflow(states=(*SHIPPED.states, SKETCHED), transitions=(*SHIPPED.transitions, *FROM_SKETCHED),
              draft="sketched"), "placed", "sketched"),
])  # fmt: skip
async def test_behaviour_39_where_orders_and_drafts_begin_is_their_workflows_choice(
    door: Door, url: str, workflow: Workflow, order_begins: str, draft_begins: str
):
    """An order in flight stays where it is, whatever begins where by then."""
    await stocked(door, MUG=9)
    before = await placed(door, "before", MUG=1)
    await publish(door, "sale", workflow)
    after = await placed(door, "after", MUG=1)
    assert (await state_of(url, before), await state_of(url, after)) == ("placed", order_begins)
    saved = await act(door, SaveDraft())
    assert saved.refusal is None, saved.refusal
    assert await rows(url, "select state from order_draft where id = %s", saved.result["draft"]) == [(draft_begins,)]
    await assigned(door, before)
    await assigned(door, after)
    assert (await state_of(url, before), await state_of(url, after)) == ("sourced", "sourced")
    await prove(url)


@pytest.mark.parametrize(("hours", "due"), [(None, 24), (5, 5)])
@pytest.mark.parametrize("owner", ["Finance", "Order Agent"])
async def test_until_when_and_by_whom_an_old_hold_must_be_looked_at(
    door: Door, url: str, clock: TurnedClock, hours: int | None, due: int, owner: str
):
    """A fraud hold of two hours opens a case of severity 2; the ladder says when it is due, the type whose it is."""
    await stocked(door, MUG=9)
    types = with_type("fraud", case_after_hours=2, owner_role=owner)
    assert (await publish_plain(door, "holds", types=types)).refusal is None
    if hours is not None:
        assert (await publish_plain(door, "ladder", **ladder((2, steps(rung(hours * 60, "Sponsor")))))).refusal is None
    order = await placed(door, MUG=1)
    assert (await act(door, PlaceHold(order=order, type="fraud", reason="look"))).refusal is None
    clock.turn(timedelta(hours=2))
    assert await worker.notice_now(url, door, AGE) == 1
    found = await rows(url, "select severity, owner_role, due_at from cases")
    assert found == [(2, owner, START + timedelta(hours=2 + due))]
    await prove(url)


@pytest.mark.parametrize("severities", [{"1", "2", "3"}, {"1", "2", "3", "4", "5"}])
async def test_a_ladder_names_each_severity(door: Door, severities: set[str]):
    document = dict.fromkeys(severities, steps(rung(60, "Sponsor")))
    refused = await publish_plain(door, "ladder", severities=document)
    assert refused.refusal is not None
    assert "each severity from 1 to 4" in refused.refusal.what
