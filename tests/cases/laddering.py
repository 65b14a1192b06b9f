"""Cases for tests: trouble in few words, ladders in a line, and people who stand on them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.requests import rows

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.cases import read
from trueup.cases.open import OpenCase
from trueup.cases.read import CaseSummary
from trueup.cases.replay import standing_at
from trueup.cases.standing import CaseState
from trueup.cases.state import CaseSubject
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.verb import Actor, Command, Outcome

HOUR = timedelta(hours=1)


def trouble(cause: str, *subjects: str, severity: int = 2, price: str = "0", **more: Any) -> OpenCase:
    """A case of a cause, about these orders."""
    found = tuple(CaseSubject("order", subject, "odd") for subject in subjects)
    given = {"kind": "test", "title": f"Odd {cause}", "owner_role": "Data Steward", **more}
    return OpenCase(cause=cause, severity=severity, price_per_hour=Amount(price), subjects=found, **given)


async def opened(door: Door, cause: str, *subjects: str, **more: Any) -> str:
    """Report trouble and return the case's id."""
    outcome = await act(door, trouble(cause, *subjects, **more))
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["case"])


_number = iter(range(10**9))


async def act(door: Door, command: Command, by: Actor = SYSTEM) -> Outcome:
    """Submit a command under a fresh key."""
    return await door.submit(by, command, f"act {next(_number)}")


async def refused(door: Door, command: Command, rule: str, by: Actor = SYSTEM) -> str:
    """Submit a command that a rule must refuse, and return what it says."""
    outcome = await act(door, command, by)
    assert outcome.refusal is not None, outcome
    assert outcome.refusal.rule == rule, outcome.refusal
    return f"{outcome.refusal.what} {outcome.refusal.fix}"


async def publish(door: Door, kind: str, document: dict[str, Any], name: str = "default") -> Outcome:
    """Put a document in force."""
    return await act(door, PublishPolicy(policy_kind=kind, policy_name=name, document=document, reason="test"))


def steps(*rungs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What holds for a severity: `steps(rung(60, "Sponsor"), clock="business")`."""
    return {"rungs": list(rungs), **more}


def rung(after: int, role: str, *rights: str, **more: Any) -> dict[str, Any]:
    """One rung after so many minutes."""
    return {"after_minutes": after, "role": role, "rights": list(rights), **more}


def ladder(*changed: tuple[int, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A ladder of one rung after a day for each severity, but for those changed."""
    plain = {str(severity): steps(rung(1440, "Sponsor")) for severity in (1, 2, 3, 4)}
    return {"severities": {**plain, **{str(severity): found for severity, found in changed}}, **more}


async def mailed_person(door: Door, name: str, *roles: str) -> Actor:
    """Register somebody who has an address."""
    command = RegisterActor(name=name, roles=roles, email=f"{name.lower()}@example.com")
    outcome = await act(door, command)
    assert outcome.status == "applied", outcome.refusal
    return Actor(outcome.result["actor"], "person", name, frozenset(roles))


async def standing(url: str, case: str, clock: TurnedClock) -> CaseState:
    """Where a case stands by its page, a list, the journal and the worker's index, which must agree."""
    connection = await connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        detail = await read.case(connection, case, clock.now(), policies)
        assert detail is not None
        replayed = await standing_at(connection, case, clock.now(), policies)
        assert replayed == detail.standing
        listed = await listed_case(url, case, clock)
        assert (listed.rung, listed.must_act, listed.overdue, listed.snoozed, listed.spent) == (
            replayed.rung, replayed.in_authority, replayed.overdue, replayed.hidden, replayed.spent,
        )  # fmt: skip
    finally:
        await connection.close()
    index = await rows(url, "select width_bucket(%s, rungs) from case_watch where case_id = %s", clock.now(), case)
    assert index in ([], [(replayed.rung,)])
    return detail.standing


async def listed_case(url: str, case: str, clock: TurnedClock) -> CaseSummary:
    """The case as a list shows it, whatever its status."""
    connection = await connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        for status in (None, "open", "acted", "closed", "merged"):
            page = await read.cases(connection, read.CaseQuery(status=status), clock.now(), policies)
            for found in page.items:
                if found.id == case:
                    return found
    finally:
        await connection.close()
    raise AssertionError(f"no list shows {case}")
