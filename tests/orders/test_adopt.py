"""Orders in flight stay pinned unless the change migrates them: adopting, refusing, following, and going back."""

from __future__ import annotations

import msgspec
from tests.board import Company, declared, proposal, published
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import cancel, rows
from tests.sourcing.words import act, placed, publish, state_of, wanted

from trueup import house, worker
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.verb import Command, Outcome
from trueup.orders.adopt import AdoptWorkflow, CarryAdoption, ReturnWorkflow
from trueup.orders.advance import AdvanceOrder, ReportEvent
from trueup.orders.draft import ConfirmDraft, SaveDraft
from trueup.orders.workflow import Transition, Workflow, WorkflowState
from trueup.sourcing.policy import Routing, When
from trueup.storyline import settled

FOLLOW = next(notice for notice in worker.NOTICES if notice.name == "follow_adoptions")
SHIPPED = Workflow()


def walking(middle: str, after: str = "checked") -> Workflow:
    """A workflow in which an engraving is proofed on the way, in a state of this name, and `approved` leads on."""
    return Workflow(
        states=(*SHIPPED.states, WorkflowState(middle), WorkflowState(after)),
        transitions=(
            *SHIPPED.transitions,
            Transition("placed", "proof_sent", middle),
            Transition(middle, "approved", after),
            Transition(middle, "cancelled", "cancelled"),
            Transition(after, "packed", "sourced"),
            Transition(after, "cancelled", "cancelled"),
        ),
    )


OLD = walking("proofing")
NEW = walking("proofing", after="engraving")
RENAMED = walking("reviewing")
UNSOURCED = Routing(when=When(on_placement=False))


async def shop(door: Door) -> None:
    """Stock, no sourcing by itself, and the old workflow in force."""
    await stocked(door, MUG=90)
    await publish(door, "default", UNSOURCED)
    await publish(door, "sale", OLD)


async def proofing(door: Door, key: str) -> str:
    """Place an order and send its proof."""
    order = await placed(door, key, MUG=1)
    expect_all([await act(door, ReportEvent(order=order, event="proof_sent", source="studio"))])
    return order


async def approved(door: Door, url: str, order: str) -> str:
    """Let the customer approve the proof; return where that leads."""
    expect_all([await act(door, ReportEvent(order=order, event="approved", source="studio"))])
    return await state_of(url, order)


async def walks(url: str, order: str) -> tuple[int, str]:
    """Return by which version an order walks, and where it stands."""
    return (await rows(url, "select workflow_version, state from orders where id = %s", order))[0]


def replacing(workflow: Workflow) -> Command:
    """The publication of another workflow."""
    return published("workflow", "sale", **msgspec.structs.asdict(workflow))


def refusal_of(outcome: Outcome) -> Refusal:
    assert outcome.status == "refused", outcome
    assert outcome.refusal is not None
    return outcome.refusal


async def test_orders_in_flight_stay_pinned_unless_the_change_migrates_them(door: Door, url: str):
    await shop(door)
    company = await declared(door)
    pinned = await proofing(door, "pinned")
    plain = await company.propose(company.Lea, replacing(NEW))
    await company.approve(plain, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Ivan, plain)
    await settled(door, url, house.build())
    assert await walks(url, pinned) == (1, "proofing"), "the change did not name it"
    assert await approved(door, url, pinned) == "checked"

    migrated, late = await proofing(door, "migrated"), await placed(door, "late", MUG=1)
    assert await walks(url, migrated) == (2, "proofing")
    back = replacing(OLD)
    moving = await company.propose(company.Lea, back, AdoptWorkflow(order_type="sale", version=3))
    await company.approve(moving, company.Olga, company.Ivan, company.Bea)
    assert await walks(url, migrated) == (2, "proofing"), "nothing moves before it is applied"
    await company.apply(company.Ivan, moving)
    await settled(door, url, house.build())
    assert (await walks(url, migrated), await walks(url, late)) == ((3, "proofing"), (3, "placed"))
    assert await approved(door, url, migrated) == "checked"
    assert await walks(url, pinned) == (3, "checked"), "every order in flight, from whatever version"
    await prove(url)


async def test_rolling_the_change_back_puts_exactly_those_orders_back(door: Door, url: str):
    await shop(door)
    company = await declared(door)
    orders = [await proofing(door, f"order {number}") for number in range(3)]
    change = await migrated(company, url, AdoptWorkflow(order_type="sale", version=2, states={"proofing": "reviewing"}))
    assert [await walks(url, order) for order in orders] == [(2, "reviewing")] * 3
    assert await approved(door, url, orders[2]) == "checked"
    younger = await placed(door, "younger", MUG=1)
    await company.revert(company.Olga, change)
    await settled(door, url, house.build())
    assert [await walks(url, order) for order in orders] == [(1, "proofing"), (1, "proofing"), (1, "checked")]
    assert await walks(url, younger) == (2, "placed"), "it was captured under that version"
    assert await approved(door, url, orders[0]) == "checked"
    assert await worker.notice_now(url, door, FOLLOW) == 0
    await prove(url)


async def migrated(company: Company, url: str, *more: Command, to: Workflow = RENAMED) -> tuple[str, str]:
    """Propose, approve and apply a change of the workflow and of what it carries; let the orders follow."""
    change = await company.propose(company.Lea, replacing(to), *more)
    await company.approve(change, company.Olga, company.Ivan, company.Bea)
    await company.apply(company.Ivan, change)
    await settled(company.door, url, house.build())
    return change


async def test_an_order_without_a_way_back_stays_where_it_is_until_it_has_one(door: Door, url: str):
    """Rolling back is never stopped by an order, and no order ever stands in a state that its workflow lacks."""
    await shop(door)
    company = await declared(door)
    order = await proofing(door, "order")
    change = await migrated(company, url, AdoptWorkflow(order_type="sale", version=2), to=NEW)
    assert await approved(door, url, order) == "engraving"
    await company.revert(company.Olga, change)
    await settled(door, url, house.build())
    assert await walks(url, order) == (2, "engraving")
    expect_all([await act(door, AdvanceOrder(order=order, event="packed"))])
    assert await worker.notice_now(url, door, FOLLOW) == 1
    assert await walks(url, order) == (1, "sourced")
    await prove(url)


async def test_it_refuses_orders_that_stand_where_the_version_has_no_state_and_names_them(door: Door, url: str):
    await shop(door)
    company = await declared(door)
    order, _ = await proofing(door, "order"), await placed(door, "other", MUG=1)
    asked = (replacing(RENAMED), AdoptWorkflow(order_type="sale", version=2))
    refused = refusal_of(await company.act(company.Lea, proposal(*asked)))
    assert refused.rule == "orders.no_place"
    assert [detail.value for detail in refused.details] == [order]
    assert await rows(url, "select count(*) from workflow_adoption") == [(0,)]
    assert await walks(url, order) == (1, "proofing")
    named = (replacing(RENAMED), AdoptWorkflow(order_type="sale", version=2, orders=(order,)))
    assert refusal_of(await company.act(company.Lea, proposal(*named))).details[0].value == order


async def test_only_the_newest_version_is_adopted_and_only_by_orders_in_flight(door: Door, url: str):
    await shop(door)
    order = await placed(door, "order", MUG=1)
    await publish(door, "repair", OLD)
    await publish(door, "sale", NEW)
    refusals = [
        refusal_of(await act(door, command)).rule
        for command in (
            AdoptWorkflow(order_type="sale", version=1),
            AdoptWorkflow(order_type="sale", version=3),
            AdoptWorkflow(order_type="gift", version=1),
            AdoptWorkflow(order_type="sale", version=2, states={"proofing": "cancelled"}),
            AdoptWorkflow(order_type="sale", version=2, states={"proofing": "gone"}),
            AdoptWorkflow(order_type="sale", version=2, orders=("ord_none",)),
            AdoptWorkflow(order_type="repair", version=1, orders=(order,)),
            ReturnWorkflow(order_type="sale", adoption=1),
            CarryAdoption(adoption="sale/1", orders=(order,)),
        )
    ]
    newest, place = "orders.not_newest", "orders.no_place"
    assert refusals == [newest, newest, newest, place, place, "orders.not_in_flight", "orders.not_in_flight",
                        "orders.unknown_adoption", "orders.unknown_adoption"]  # fmt: skip
    assert await walks(url, order) == (1, "placed")
    assert await rows(url, "select count(*) from workflow_adoption") == [(0,)]


async def test_before_governance_it_goes_directly_and_after_only_by_a_change(door: Door, url: str):
    await shop(door)
    first, second = await placed(door, "first", MUG=1), await placed(door, "second", MUG=1)
    await publish(door, "sale", NEW)
    expect_all([await act(door, AdoptWorkflow(order_type="sale", version=2, orders=(first,)))])
    await settled(door, url, house.build())
    assert (await walks(url, first), await walks(url, second)) == ((2, "placed"), (1, "placed"))
    company = await declared(door)
    everybody = AdoptWorkflow(order_type="sale", version=2)
    assert await company.refused(company.Olga, everybody) == "authority.needs_change"
    again = ReturnWorkflow(order_type="sale", adoption=1)
    assert await company.refused(company.Olga, again) == "authority.needs_change"
    assert await company.refused(company.Lea, CarryAdoption(adoption="sale/1", orders=(second,))) == (
        "authority.not_allowed"
    )
    assert await walks(url, second) == (1, "placed")
    await prove(url)


async def test_what_has_ended_is_left_alone_and_a_draft_follows_once_it_is_an_order(door: Door, url: str):
    await shop(door)
    gone, order = await placed(door, "gone", MUG=1), await placed(door, "order", MUG=1)
    expect_all([await act(door, cancel(gone))])
    draft = (await act(door, SaveDraft(currency="EUR", lines=wanted(MUG=1).lines))).result
    await publish(door, "sale", NEW)
    expect_all([await act(door, AdoptWorkflow(order_type="sale", version=2))])
    await settled(door, url, house.build())
    assert (await walks(url, gone), await walks(url, order)) == ((1, "cancelled"), (2, "placed"))
    expect_all([await act(door, ConfirmDraft(draft=draft["draft"]))])
    confirmed = (await rows(url, "select id from orders where workflow_version = 1 and state = 'placed'"))[0][0]
    assert await worker.notice_now(url, door, FOLLOW) == 1
    assert await walks(url, confirmed) == (2, "placed")
    await prove(url)


async def test_following_twice_moves_nothing_twice(door: Door, url: str):
    await shop(door)
    order = await placed(door, "order", MUG=1)
    await publish(door, "sale", NEW)
    expect_all([await act(door, AdoptWorkflow(order_type="sale", version=2))])
    assert (await act(door, AdoptWorkflow(order_type="sale", version=2))).status == "merged"
    assert await walks(url, order) == (1, "placed"), "it follows in batches"
    assert await worker.notice_now(url, door, FOLLOW) == 1
    assert await worker.notice_now(url, door, FOLLOW) == 0
    await settled(door, url, house.build())
    assert (await act(door, CarryAdoption(adoption="sale/1", orders=(order,)))).status == "merged"
    adopted = await rows(url, "select count(*) from journal where name = 'orders.workflow_adopted'")
    assert (adopted, await walks(url, order)) == ([(1,)], (2, "placed"))
    assert await rows(url, "select version from orders where id = %s", order) == [(2,)]
    await prove(url)
