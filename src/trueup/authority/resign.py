"""A deputy gives the deputyship back alone: the holder stays, and who has to find another deputy is told."""

from __future__ import annotations

from typing import Any

from trueup.authority.appoint import Reason
from trueup.authority.consultants import left_to_consultants
from trueup.authority.passing import governs, in_window, mode_in, roll_of, titled, vacated, want_people
from trueup.authority.people_state import Appointment, DeputyResigned, People
from trueup.authority.register import touches_authority
from trueup.authority.tenure import SPONSOR, Roll
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb


class ResignDeputy(Command, frozen=True, kw_only=True):
    """Give back one's being the deputy of an appointment (`apt_...`), accepted or only offered."""

    appointment: str
    reason: Reason


def resign_deputy(state: State, command: ResignDeputy, context: Context) -> Decision:
    """Resign; the appointment goes on without a deputy, and of a governance role the Sponsor gets a case.

    Refuses who is not its deputy, and who is by now the only one left who fills a governance role, in the stabilisation
    window or beside consultants alone: that is handed over, not given back.
    """
    found = state.of(People).appointments.get(command.appointment)
    me = context.actor.id
    if found is None or not found.open(context.now) or found.deputy != me:
        return Refusal("authority.not_deputy", f"{context.actor.name} is not the deputy of {command.appointment}.",
                       "`trueup show appointments` lists whose deputy one is.", "appointment",
                       command.appointment)  # fmt: skip
    resigned = DeputyResigned(appointment=found.id, actor=me, reason=command.reason, at=context.now)
    if found.deputy_accepted_at is None:
        return Accepted([resigned], me, {"appointment": found.id})
    roll = roll_of(state, context)
    refusal = vacated(state, context, me, found.role, found.over, "appointment")
    refusal = refusal or left_to_consultants(state, context, roll, me, found.role, found.over)
    if refusal is not None:
        return refusal
    return Accepted([resigned, *_told(state, roll, found, context)], me, {"appointment": found.id})


def _told(state: State, roll: Roll, found: Appointment, context: Context) -> list[Event]:
    """Return the Sponsor's case: in the window it is as urgent as a role that passed on."""
    if not governs(context.policies, found.role) or mode_in(state) == "founding":
        return []
    what = titled(found.role, found.over)
    stays = roll.name(found.actor) if found.actor in roll.present else "nobody by themselves"
    return case_events(
        state,
        context,
        cause=_cause(found.id),
        kind="deputy_resigned",
        title=f"{context.actor.name} is not deputy {what} any more, and nobody succeeds {roll.name(found.actor)}",
        severity=2 if in_window(state, context.now) else 3,
        owner_role=SPONSOR if roll.holders(SPONSOR) else "Administrator",
        subjects=[CaseSubject("appointment", found.id, f"{what}: {stays} holds it, without a deputy")],
    )


def _cause(appointment: str) -> str:
    return f"authority:no_deputy:{appointment}"


def _wants(state: State, command: ResignDeputy, policies: Any) -> None:
    want_people(state)
    state.of(Cases).want_cause(_cause(command.appointment))


VERBS: tuple[Verb[Any], ...] = (
    Verb(
        name="authority.resign_deputy",
        command=ResignDeputy,
        decide=resign_deputy,
        wants=_wants,
        touches=touches_authority,
    ),
)
