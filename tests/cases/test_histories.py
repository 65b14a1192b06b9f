"""Random histories through the door: page, list, journal and the worker's index tell the same at every look."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.cases.laddering import act, ladder, mailed_person, opened, publish, rung, standing, steps, trouble
from tests.cases.test_ladder import an_effect
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup import house, worker
from trueup.cases.act import ActOnCase, CommentOnCase
from trueup.cases.close import CloseCase
from trueup.cases.merge import MergeCase
from trueup.cases.own import AcknowledgeCase, AssignCase
from trueup.cases.pause import PauseCase, SnoozeCase
from trueup.cases.read_board import board
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.mail import MailSettings
from trueup.core.money import Amount
from trueup.core.verb import Command

STEPS = 30
WEEK: dict[str, Any] = {
    day: {"opens": "07:30", "closes": "18:00", "breaks": [{"starts": "12:00", "ends": "12:45"}]}
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "sunday")
}


def something(chance: random.Random, cases: list[str], ada: str, effect: str) -> Command:
    """One of the things that can be done about one of the cases; rules may refuse it."""
    case, other = chance.choice(cases), chance.choice(cases)
    number = chance.randint(1, 3)
    return chance.choice([
        PauseCase(case=case, minutes=chance.randint(1, 900), reason="waits"),
        AcknowledgeCase(case=case),
        AssignCase(case=case, person=ada),
        CommentOnCase(case=case, text="hm"),
        ActOnCase(case=case, effect=effect, note="done"),
        CloseCase(case=case, root_cause="role", note="done"),
        CloseCase(case=case, root_cause="software", note="done"),
        SnoozeCase(case=case, reason="small", more_subjects=number),
        SnoozeCase(case=case, reason="small", more_per_hour=Amount("2")),
        MergeCase(case=case, into=other, reason="one"),
        trouble(f"cause {number}", f"order {chance.randint(1, 9)}", price=str(number), severity=number + 1),
        trouble(f"cause {number}", price=str(chance.randint(0, 9)), severity=number + 1, source={"why": "counted"}),
    ])  # fmt: skip


async def the_board_counts(url: str, clock: TurnedClock, rungs: list[int]) -> None:
    """Compare the sums of the board with the cases themselves."""
    connection = await connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        columns = await board(connection, clock.now(), policies)
    finally:
        await connection.close()
    counted = {column.rung: sum(found.cases for found in column.sums) for column in columns}
    assert {rung: count for rung, count in counted.items() if count} == dict(Counter(rungs))


@pytest.mark.parametrize("seed", range(3))
async def test_page_list_worker_and_replay_agree_after_every_step(door: Door, url: str, clock: TurnedClock, seed: int):
    chance = random.Random(seed)
    await stocked(door, MUG=1)
    ada = await mailed_person(door, "Ada", "Data Steward", "Sponsor")
    # The clocks of both zones change within these days: in New York on the 8th, in Berlin on the 29th of March.
    zone, days = chance.choice([("America/New_York", 4), ("Europe/Berlin", 25)])
    assert (await publish(door, "calendar", {"week": WEEK, "holidays": {"2026-03-30": "off"}})).refusal is None
    rungs = (rung(60, "Sponsor"), rung(300, "Finance"), rung(900, "Trainer"))
    business = steps(*rungs, clock="business", timezone=zone)
    assert (await publish(door, "ladder", ladder((3, business), (4, business)))).refusal is None
    clock.turn(timedelta(days=days))
    cases = [await opened(door, f"cause {number}", "a", severity=number + 1) for number in (1, 2, 3)]
    applied = 0
    for _ in range(STEPS):
        effect = await an_effect(door, url)
        outcome = await act(door, something(chance, cases, ada.id, effect))
        assert outcome.status != "quarantined", outcome
        applied += outcome.status == "applied"
        cases = [id_ for (id_,) in await rows(url, "select id from cases order by id")]
        clock.turn(timedelta(minutes=chance.choice([0, 1, 17, 61, 240, 1500])))
        if chance.random() < 0.3:
            await worker.tell_cases_now(url, door, house.build(), MailSettings())
        stood = [await standing(url, case, clock) for case in cases]
        closed = {id_ for (id_,) in await rows(url, "select id from cases where closed_at is not null")}
        await the_board_counts(url, clock, [state.rung for id_, state in zip(cases, stood, strict=True)
                                            if id_ not in closed])  # fmt: skip
    assert applied > STEPS // 4
    await worker.tell_cases_now(url, door, house.build(), MailSettings())
    told = await rows(url, "select case_id, round, step, reached_at from notice")
    assert len(told) == len({entry[:3] for entry in told})
    await prove(url)
