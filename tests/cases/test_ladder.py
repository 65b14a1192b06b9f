"""The ladder in the issue's words: who must act by when, what stops a clock, and what does not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.cases.laddering import (
    HOUR,
    act,
    ladder,
    listed_case,
    mailed_person,
    opened,
    publish,
    refused,
    rung,
    standing,
    steps,
    trouble,
)
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import receipt, rows

from trueup import house
from trueup.cases import read
from trueup.cases.act import ActOnCase, CommentOnCase
from trueup.cases.close import CloseCase
from trueup.cases.ladder import Ladder, RootCauses, Rota
from trueup.cases.merge import MergeCase
from trueup.cases.own import AcknowledgeCase, AssignCase
from trueup.cases.pause import PauseCase, SnoozeCase
from trueup.cases.read_board import ParetoQuery, board, kinds, pareto
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount

MOVED = "select subject from journal where kind = 'e' and name = 'stock.moved' order by position desc limit 1"


async def an_effect(door: Door, url: str) -> str:
    """Do something the journal tells of, and return its id."""
    assert (await act(door, receipt(1))).status == "applied"
    return str((await rows(url, MOVED))[0][0])


async def settle(door: Door, url: str, case: str, root_cause: str = "software") -> None:
    """Act on a case and close it."""
    acting = ActOnCase(case=case, effect=await an_effect(door, url), note="corrected")
    assert (await act(door, acting)).status == "applied"
    assert (await act(door, CloseCase(case=case, root_cause=root_cause, note="done"))).status == "applied"


async def test_severity_1_is_owned_within_15_minutes_and_escalated_at_1_h_and_4_h(
    door: Door, url: str, clock: TurnedClock
):
    case = await opened(door, "down", severity=1)
    state = await standing(url, case, clock)
    assert (state.response_due_at, state.rung, state.in_authority) == (START + timedelta(minutes=15), 0, "Data Steward")
    clock.turn(timedelta(minutes=16))
    assert (await standing(url, case, clock)).response_late
    ada = await mailed_person(door, "Ada", "Data Steward")
    assert (await act(door, AcknowledgeCase(case=case), ada)).status == "applied"
    clock.turn(timedelta(minutes=44))
    state = await standing(url, case, clock)
    assert (state.rung, state.in_authority, state.next_rung_at) == (1, "Operations Process Owner", START + 4 * HOUR)
    assert [found.at for found in state.rungs] == [START + HOUR, START + 4 * HOUR]
    clock.turn(3 * HOUR)
    state = await standing(url, case, clock)
    assert (state.rung, state.in_authority, state.next_rung_at) == (2, "Sponsor", None)
    assert state.response_late, "who came late stays late"
    await prove(url)


async def test_severity_2_has_rungs_at_24_48_and_72_h_of_the_wall_clock(door: Door, url: str, clock: TurnedClock):
    case = await opened(door, "odd")
    for reached, role in enumerate(("Data Steward", "Operations Process Owner", "Change Control Board", "Sponsor")):
        state = await standing(url, case, clock)
        assert (state.rung, state.in_authority, state.overdue) == (reached, role, reached > 1)
        clock.turn(24 * HOUR)
    rungs = (await standing(url, case, clock)).rungs
    assert [found.at for found in rungs] == [START + hours * HOUR for hours in (24, 48, 72)]


async def test_severity_3_counts_business_hours_with_a_break_a_holiday_and_a_change_of_the_clocks(
    door: Door, url: str, clock: TurnedClock
):
    hours = {"opens": "08:00", "closes": "17:00", "breaks": [{"starts": "12:00", "ends": "13:00"}]}
    week = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), hours)
    assert (await publish(door, "calendar", {"week": week, "holidays": {"2026-04-03": "Good Friday"}})).refusal is None
    document = ladder((3, steps(rung(480, "Sponsor"), clock="business", timezone="Europe/Berlin")))
    assert (await publish(door, "ladder", document)).refusal is None
    clock.turn(timedelta(days=26, hours=4))  # Saturday, the 28th of March; the clocks change in the night
    case = await opened(door, "slow", severity=3)
    assert (await standing(url, case, clock)).due_at.isoformat() == "2026-03-30T15:00:00+00:00"
    clock.turn(timedelta(days=5, hours=-1))  # Thursday 14:00 in Berlin: three hours are left of it
    late = await opened(door, "slower", severity=3)
    assert (await standing(url, late, clock)).due_at.isoformat() == "2026-04-06T12:00:00+00:00", "over Good Friday"
    await prove(url)


async def test_acknowledging_stops_only_the_response_clock_and_a_comment_stops_none(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=1)
    case = await opened(door, "down", severity=1)
    clock.turn(timedelta(minutes=5))
    effect = await an_effect(door, url)
    assert (await act(door, CommentOnCase(case=case, text=f"I changed {effect}, that settles it"))).status == "applied"
    state = await standing(url, case, clock)
    assert (state.clock, state.owned_at) == ("runs", None), "a comment stops nothing, whatever it names"
    assert (await act(door, AcknowledgeCase(case=case))).status == "applied"
    assert (await act(door, AcknowledgeCase(case=case))).status == "merged"
    clock.turn(HOUR)
    state = await standing(url, case, clock)
    assert (state.clock, state.response_late, state.rung, state.overdue) == ("runs", False, 1, True)
    await prove(url)


async def test_only_what_happened_after_the_case_was_opened_is_an_act(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    before = (await rows(url, MOVED))[0][0]
    case = await opened(door, "odd")
    other = await opened(door, "another")
    for effect in (before, case, other, "ord_nothing"):
        await refused(door, ActOnCase(case=case, effect=effect, note="n"), "cases.no_effect")
    assert (await standing(url, case, clock)).clock == "runs"
    clock.turn(30 * HOUR)
    assert (await act(door, ActOnCase(case=case, effect=await an_effect(door, url), note="n"))).status == "applied"
    clock.turn(50 * HOUR)
    state = await standing(url, case, clock)
    assert (state.clock, state.rung, state.overdue, state.elapsed_minutes) == ("stopped", 1, True, 30 * 60)
    assert [found.at is None for found in state.rungs] == [False, True, True], "what an act came before is not reached"
    await prove(url)


async def test_a_pause_is_reasoned_by_somebody_else_within_the_budget_and_ends_by_itself(
    door: Door, url: str, clock: TurnedClock
):
    ada, ben = [await mailed_person(door, name, "Data Steward") for name in ("Ada", "Ben")]
    case = await opened(door, "odd")
    pausing = PauseCase(case=case, minutes=600, reason="the carrier answers tomorrow")
    await refused(door, pausing, "cases.nobodys", ada)
    assert (await act(door, AssignCase(case=case), ada)).status == "applied"
    await refused(door, pausing, "cases.own_pause", ada)
    assert (await standing(url, case, clock)).due_at == START + 24 * HOUR
    assert (await act(door, pausing, ben)).status == "applied"
    clock.turn(HOUR)
    state = await standing(url, case, clock)
    assert (state.clock, state.elapsed_minutes, state.due_at) == ("paused", 0, START + 34 * HOUR)
    await refused(door, pausing, "cases.clock_rests", ben)
    clock.turn(10 * HOUR)
    state = await standing(url, case, clock)
    assert (state.clock, state.elapsed_minutes, state.pause_left_minutes) == ("runs", 60, 14 * 60)
    said = await refused(door, PauseCase(case=case, minutes=14 * 60 + 1, reason="more"), "cases.pause_budget", ben)
    assert "840 minutes" in said
    clock.turn(23 * HOUR)
    state = await standing(url, case, clock)
    assert (state.rung, state.rungs[0].at) == (1, START + 34 * HOUR)
    await prove(url)


@pytest.mark.parametrize("worse", ["subjects", "price", "date"])
async def test_a_snoozed_case_is_out_of_the_list_until_it_is_worse_and_its_clock_runs_on(
    door: Door, url: str, clock: TurnedClock, worse: str
):
    case = await opened(door, "odd", "a", price="5.00")
    await refused(door, SnoozeCase(case=case, reason="small"), "cases.snooze_for_ever")
    await refused(door, SnoozeCase(case=case, reason="small", until=START), "cases.snooze_until")
    asked: dict[str, Any] = {
        "subjects": {"more_subjects": 2}, "price": {"more_per_hour": Amount("10")}, "date": {"until": START + 3 * HOUR}
    }  # fmt: skip
    assert (await act(door, SnoozeCase(case=case, reason="small", **asked[worse]))).status == "applied"
    clock.turn(HOUR)
    await act(door, trouble("odd", "a", "b"))
    state = await standing(url, case, clock)
    assert (state.hidden, state.clock, state.elapsed_minutes) == (True, "runs", 60)
    assert case not in await shown(url, clock)
    assert case in await shown(url, clock, snoozed=True)
    clock.turn(2 * HOUR)
    if worse == "subjects":
        await act(door, trouble("odd", "c"))
    if worse == "price":
        await act(door, trouble("odd", price="15.00", source={"why": "dearer"}))
    assert not (await standing(url, case, clock)).hidden
    assert case in await shown(url, clock)
    await prove(url)


async def shown(url: str, clock: TurnedClock, **query: Any) -> list[str]:
    """The ids in a list of cases."""
    connection = await connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        page = await read.cases(connection, read.CaseQuery(**query), clock.now(), policies)
        return [found.id for found in page.items]
    finally:
        await connection.close()


async def test_a_merged_case_gives_subjects_and_price_to_the_other_and_its_cause_too(
    door: Door, url: str, clock: TurnedClock
):
    first = await opened(door, "one", "a", "b", price="6.00")
    clock.turn(2 * HOUR)
    second = await opened(door, "two", "b", "c", price="3.00")
    clock.turn(2 * HOUR)
    await refused(door, MergeCase(case=first, into=second, reason="same"), "cases.merge_gains_time")
    await refused(door, MergeCase(case=first, into=first, reason="same"), "cases.merge_itself")
    assert (await act(door, MergeCase(case=second, into=first, reason="the same connector"))).status == "applied"
    clock.turn(HOUR)
    found = await listed_case(url, first, clock)
    assert (found.subjects, found.price_per_hour, found.spent) == (3, Decimal("9.00"), Decimal("39.00"))
    gone = await listed_case(url, second, clock)
    assert (gone.status, gone.merged_into, gone.subjects, gone.spent) == ("merged", first, 0, Decimal("0.00"))
    await refused(door, CommentOnCase(case=second, text="where?"), "cases.merged")
    again = await act(door, trouble("two", "d"))
    assert (again.result["case"], again.result["opened"]) == (first, False), "its cause is the other's now"
    assert (await listed_case(url, first, clock)).subjects == 4
    await standing(url, first, clock)
    await prove(url)


async def test_a_merge_gains_no_time(door: Door, url: str, clock: TurnedClock):
    severe = await opened(door, "severe", severity=1)
    mild = await opened(door, "mild", severity=4)
    acted = await opened(door, "acted", severity=1)
    assert (await act(door, ActOnCase(case=acted, effect=await ready(door, url), note="n"))).status == "applied"
    await refused(door, MergeCase(case=severe, into=mild, reason="hide it"), "cases.merge_severity")
    await refused(door, MergeCase(case=severe, into=acted, reason="hide it"), "cases.merge_gains_time")
    assert (await standing(url, severe, clock)).clock == "runs"


async def ready(door: Door, url: str) -> str:
    """Stock to move, and something done to it."""
    await stocked(door, MUG=1)
    return await an_effect(door, url)


async def test_the_same_cause_within_30_days_opens_the_same_case_again_with_its_history(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=1)
    case = await opened(door, "odd", "a", price="2.00")
    clock.turn(10 * HOUR)
    await settle(door, url, case)
    clock.turn(timedelta(days=30))
    again = await act(door, trouble("odd", "b"))
    assert (again.result["case"], again.result["opened"], again.result["reopened"]) == (case, False, True)
    back = clock.now()
    state = await standing(url, case, clock)
    assert (state.clock, state.elapsed_minutes, state.due_at, state.rung) == ("runs", 0, back + 24 * HOUR, 0)
    found = await listed_case(url, case, clock)
    assert (found.reopened, found.subjects, found.spent) == (1, 2, Decimal("20.00")), (
        "while it was closed it cost nothing"
    )
    await settle(door, url, case, "partner")
    clock.turn(timedelta(days=30, seconds=1))
    later = await act(door, trouble("odd", "b"))
    assert (later.result["opened"], later.result["reopened"]) == (True, False)
    assert later.result["case"] != case
    await prove(url)


async def test_a_root_cause_is_of_the_list_in_force_and_keeps_its_version(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    first, second = await opened(door, "a"), await opened(door, "b")
    await settle(door, url, first, "training")
    assert (
        await publish(door, "root_causes", {"causes": [{"name": "weather", "label": "snow and ice"}]})
    ).refusal is None
    assert (await act(door, ActOnCase(case=second, effect=await an_effect(door, url), note="n"))).status == "applied"
    said = await refused(door, CloseCase(case=second, root_cause="training", note="n"), "cases.root_cause")
    assert "Use one of: weather" in said
    assert (await act(door, CloseCase(case=second, root_cause="weather", note="n"))).status == "applied"
    assert await rows(url, "select root_cause, root_cause_version from cases order by cause") == [
        ("training", 0), ("weather", 1),
    ]  # fmt: skip
    twice = {"causes": [{"name": "weather", "label": "snow"}, {"name": "weather", "label": "ice"}]}
    assert "stands twice" in str((await publish(door, "root_causes", twice)).refusal)
    await prove(url)


async def test_the_pareto_counts_price_times_hours_exactly(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    dear = await opened(door, "dear", price="0.000001")
    cheap = await opened(door, "cheap", price="7.00")
    running = await opened(door, "running", price="1.00")
    clock.turn(timedelta(minutes=90))
    await act(door, trouble("dear", price="333.333333", source={"why": "worse"}))
    clock.turn(timedelta(minutes=20))
    await settle(door, url, dear, "integration")
    await settle(door, url, cheap, "integration")
    clock.turn(HOUR)
    connection = await connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        found = await pareto(connection, ParetoQuery(), clock.now(), policies)
        by_rung = await board(connection, clock.now(), policies)
        listed = await kinds(connection)
    finally:
        await connection.close()
    exact = (Decimal("0.000001") * 90 + Decimal("333.333333") * 20 + Decimal("7.00") * 110) / 60
    assert [(row.root_cause, row.cases, row.money, row.running) for row in found] == [
        ("integration", 2, exact.quantize(Decimal("0.01")), exact.quantize(Decimal("0.01"))),
        (None, 1, Decimal("2.83"), exact.quantize(Decimal("0.01"))),
    ]
    assert [(column.rung, [case.id for case in column.dearest]) for column in by_rung] == [(0, [running])]
    assert [(row.kind, row.cases, row.price_per_hour) for row in listed] == [("test", 1, Decimal("1.00"))]


async def test_a_case_keeps_the_ladder_and_calendar_it_was_opened_under(door: Door, url: str, clock: TurnedClock):
    before = await opened(door, "before")
    assert (await publish(door, "ladder", ladder((2, steps(rung(60, "Finance")))))).refusal is None
    after = await opened(door, "after")
    clock.turn(2 * HOUR)
    assert [(await standing(url, case, clock)).in_authority for case in (before, after)] == ["Data Steward", "Finance"]
    assert (await publish(door, "ladder", ladder((2, steps(rung(30, "Trainer")))), "test")).refusal is None
    own = await opened(door, "own kind")
    clock.turn(HOUR)
    assert (await standing(url, own, clock)).in_authority == "Trainer", "a ladder may be named like a kind of case"
    await prove(url)


def two(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return ladder((2, steps(first, second)))


BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("ladder", two(rung(60, "Finance"), rung(60, "Sponsor")), "severities.2.rungs[1].after_minutes", "must be later"),
    ("ladder", two(rung(60, "Finance"), rung(90, "Wizard")), "severities.2.rungs[1].role", "use one of"),
    ("ladder", two(rung(60, "Finance", "stock.teleport"), rung(90, "Sponsor")), "severities.2.rungs[0].rights[0]",
     "no such act"),
    ("ladder", two(rung(60, "Finance", "authority.act_for_case"), rung(90, "Sponsor")),
     "severities.2.rungs[0].rights[0]", "carries other acts"),
    ("ladder", ladder((2, steps(rung(60, "Finance"), rung(90, "Sponsor"), rung(99, "Finance")))),
     "severities.2.rungs[2].role", "a cycle"),
    ("ladder", ladder((2, steps(rung(60, "Finance"), timezone="Mars/Olympus"))), "severities.2.timezone", "time zone"),
    ("ladder", ladder((1, steps(rung(10, "Finance"), respond_minutes=15))), "severities.1.respond_minutes",
     "before the first rung"),
    ("ladder", ladder((2, steps(rung(60, "Finance", safe_action={"verb": "orders.cancel", "command": {}})))),
     "severities.2.rungs[0].safe_action.verb", "by itself happens only"),
    ("ladder", ladder((2, steps(rung(60, "Finance", safe_action={"verb": "orders.place_hold", "command": {}})))),
     "severities.2.rungs[0].safe_action.command", "required"),
    ("ladder", {"severities": {"1": steps(rung(60, "Finance"))}}, "", "each severity from 1 to 4"),
    ("rota", {"slots": [{"from_day": "monday", "until_day": "sunday"}]}, "slots[0]",
     "a hole: nobody is on call from sunday 00:00 to monday 00:00"),
    ("rota", {"slots": [{"until_day": "friday"}, {"from_day": "thursday"}]}, "slots[0]", "an overlap"),
    ("rota", {"slots": [{}, {}]}, "slots[0]", "an overlap"),
    ("rota", {"slots": [{"role": "Wizard"}]}, "slots[0].role", "use one of"),
    ("rota", {"timezone": "Mars/Olympus"}, "timezone", "time zone"),
    ("calendar", {"week": {"monday": {"breaks": [{"starts": "08:00", "ends": "09:30"}]}}}, "week[...]", "outside"),
    ("calendar", {"week": {"monday": {"breaks": [{"starts": "12:00", "ends": "13:00"},
                                                 {"starts": "12:30", "ends": "14:00"}]}}}, "week[...]", "overlaps"),
    ("calendar", {"week": {"monday": {"breaks": [{"starts": "09:00", "ends": "17:00"}]}}}, "week[...]", "nothing"),
    ("case_pricing", {"margin": "1.5"}, "margin", "between 0 and 1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "document", "where", "what"), BROKEN)
async def test_a_document_with_a_mistake_is_refused_with_its_place(
    door: Door, url: str, kind: str, document: dict[str, Any], where: str, what: str
):
    refusal = (await publish(door, kind, document)).refusal
    assert refusal is not None
    assert refusal.rule == "policy.invalid"
    assert any(detail.where.startswith(where) for detail in refusal.details), refusal.details
    assert what in refusal.what
    assert await rows(url, "select count(*) from policy") == [(0,)]


def test_what_is_shipped_has_no_faults():
    for kind in (Ladder, Rota, RootCauses):
        assert kind().faults(house.known()) == []
    whole_week = Rota().on_call(START)
    assert (whole_week.role, whole_week.person) == ("Operations Process Owner", None)
