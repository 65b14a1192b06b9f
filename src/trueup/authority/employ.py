"""Who employs a person and until when: access ends with the contract by itself, and a case tells it beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import msgspec

from trueup.authority.consultants import left_to_consultants
from trueup.authority.passing import governs, leaving, mode_in, roll_of, want_people
from trueup.authority.people_policy import PeoplePolicy
from trueup.authority.people_state import Employer, Employment, EmploymentSet, People
from trueup.authority.register import touches_authority
from trueup.authority.state import Authority
from trueup.authority.tenure import SPONSOR
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

NOTICE_DAYS_MAX = 365


class SetEmployment(Command, frozen=True, kw_only=True):
    """Record who employs a person. employer: `own` or `consultant`, with the name of the consultant's company.

    contract_end: the last day of the contract; access ends with that day in the business's zone. None for no end.
    """

    actor: str
    employer: Employer = "own"
    company: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    contract_end: date | None = None


class NoticeContract(Command, frozen=True, kw_only=True):
    """Notice that a person's contract ends soon, or has ended: Trueup submits it when that is due."""

    actor: str


def set_employment(state: State, command: SetEmployment, context: Context) -> Decision:
    """Record the employment; the same again is merged.

    Refuses a consultant without a company and a company of one's own, who is no person, and a consultant who would be
    the only holder of a governance role. A contract that has ended takes access away at once.
    """
    actor = state.of(Authority).actors.get(command.actor)
    if actor is None or actor.kind != "person":
        return Refusal("authority.unknown_actor", f"There is no person {command.actor!r}.",
                       "Register them first; services have no employer.", "actor", command.actor)  # fmt: skip
    if (command.employer == "consultant") != (command.company is not None):
        return Refusal("authority.company", "A consultant has a company, and one's own people have none.",
                       "Name the company of a consultant, or leave it out.",
                       "company", str(command.company))  # fmt: skip
    rules = context.policies.get(PeoplePolicy)
    until = rules.end_of(command.contract_end) if command.contract_end is not None else None
    employment = Employment(
        actor=command.actor,
        employer=command.employer,
        company=command.company,
        contract_end=command.contract_end,
        access_until=until,
    )
    if state.of(People).employments.get(command.actor) == employment:
        return Accepted((), command.actor, {"actor": command.actor}, "merged")
    refusal = _alone(state, context, command)
    if refusal is not None:
        return refusal
    events: list[Any] = [EmploymentSet(employment=employment, at=context.now)]
    if employment.over(context.now):
        events += leaving(state, context, command.actor, "the contract ended")
    return Accepted(events, command.actor, {"actor": command.actor})


def notice_contract(state: State, command: NoticeContract, context: Context) -> Decision:
    """Open the case before a contract's end, and pass the roles on after it; what there is nothing of is merged."""
    actor = state.of(Authority).actors.get(command.actor)
    employment = state.of(People).employments.get(command.actor)
    if actor is None or employment is None or employment.access_until is None:
        return Accepted((), command.actor, {"actor": command.actor}, "merged")
    if employment.over(context.now):
        events = leaving(state, context, actor.id, "the contract ended")
        return Accepted(events, actor.id, {"actor": actor.id}, "applied" if events else "merged")
    rules = context.policies.get(PeoplePolicy)
    if not actor.active or context.now < employment.access_until - timedelta(days=rules.notice_days):
        return Accepted((), actor.id, {"actor": actor.id}, "merged")
    roles = _governing(state, context, actor.id)
    subjects = [CaseSubject("actor", actor.id, f"{role} needs a successor") for role in roles]
    events = case_events(
        state,
        context,
        cause=_cause(actor.id),
        kind="contract_ends",
        title=f"{actor.name}'s contract ends on {employment.contract_end}, and access with it",
        severity=3,
        owner_role=SPONSOR if roll_of(state, context).holders(SPONSOR) else "Administrator",
        subjects=subjects or [CaseSubject("actor", actor.id, "access ends with the contract")],
    )
    return Accepted(events, actor.id, {"actor": actor.id})


async def due_contracts(connection: Connection, now: datetime) -> Sequence[tuple[str, NoticeContract]]:
    """Return whose contract ends within the longest notice there can be, or ended, and nothing was recorded of yet.

    The rule looks at the policy's own days; the keys make repeats harmless, one a day before the end and one after it.
    """
    cursor = await connection.execute(
        """select e.actor, e.access_until from employment e join actor a on a.id = e.actor
        where a.active and e.access_until <= %s order by e.actor""",
        [now + timedelta(days=NOTICE_DAYS_MAX)],
    )
    return [
        (f"{actor}/{until.date()}/{'ended' if until <= now else now.date()}", NoticeContract(actor=actor))
        for actor, until in await cursor.fetchall()
    ]


def _alone(state: State, context: Context, command: SetEmployment) -> Refusal | None:
    """Return why somebody cannot become a consultant now: they alone hold a governance role."""
    known = state.of(People).employments.get(command.actor)
    if command.employer == "own" or (known is not None and known.employer == "consultant"):
        return None
    roll = roll_of(state, context)
    parts = [(a.role, a.over) for a in state.of(People).appointments.values() if a.actor == command.actor]
    for role, over in [*parts, *((role, None) for role in state.of(Authority).actors[command.actor].roles)]:
        if not governs(context.policies, role) or mode_in(state) == "founding":
            continue
        others = [id_ for id_ in roll.firm_holders(role, over) if id_ != command.actor]
        if command.actor in roll.firm_holders(role, over) and not others:
            return Refusal("authority.consultant_alone", f"{roll.name(command.actor)} is the only {role}.",
                           "Have one of your own people appointed to it first, and let them accept.",
                           "employer", "consultant")  # fmt: skip
        refusal = left_to_consultants(state, context, roll, command.actor, role, over)
        if refusal is not None:
            return refusal
    return None


def _governing(state: State, context: Context, actor: str) -> list[str]:
    return sorted(role for role in roll_of(state, context).roles(actor) if governs(context.policies, role))


def _cause(actor: str) -> str:
    return f"authority:contract:{actor}"


def _wants(state: State, command: SetEmployment | NoticeContract, policies: Policies) -> None:
    want_people(state, command.actor)
    state.of(Cases).want_cause(_cause(command.actor))


VERBS: tuple[Verb[Any], ...] = (
    Verb(
        name="authority.set_employment",
        command=SetEmployment,
        decide=set_employment,
        wants=_wants,
        touches=touches_authority,
    ),
    Verb(
        name="authority.notice_contract",
        command=NoticeContract,
        decide=notice_contract,
        wants=_wants,
        touches=touches_authority,
    ),
)
