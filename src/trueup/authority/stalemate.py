"""A change that nobody decides in time: a case on the ladder, and the tie-breaker may decide from then on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trueup.authority.changes import cause_of, find_proposed
from trueup.authority.changes_state import Changes
from trueup.authority.decision_rights import DecisionRights
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb


class NoteUndecided(Command, frozen=True, kw_only=True):
    """Open the case of a change whose time to be decided is over."""

    change: str


def note_undecided(state: State, command: NoteUndecided, context: Context) -> Decision:
    """Open the case, for the tie-breaker of what the change touches. Refuses one that is decided, or not due yet."""
    change = find_proposed(state, command.change)
    if isinstance(change, Refusal):
        return change
    if change.approved_at is not None or context.now <= change.due_at:
        return Refusal("authority.decided", f"The change {change.id} is decided, or its time is not over.",
                       "Nothing has to be done.", "change", change.id)  # fmt: skip
    register = context.policies.get(DecisionRights)
    breakers = [decision.tie_breaker for one in change.objects if (decision := register.of(one.key)) is not None]
    events = case_events(
        state,
        context,
        cause=cause_of(change.id),
        kind="undecided_change",
        title=f"Nobody decides: {change.title}"[:200],
        severity=3,
        owner_role=breakers[0] if breakers else "Sponsor",
        subjects=[CaseSubject("change", change.id, f"to be decided by {change.due_at:%Y-%m-%d %H:%M} UTC")],
    )
    return Accepted(events, change.id, {"change": change.id})


async def due_undecided(connection: Connection, now: datetime) -> Sequence[tuple[str, Command]]:
    """Return the reports of changes whose time to be decided is over, each once per content."""
    rows = await connection.execute(
        "select id, digest from change where status = 'proposed' and due_at < %s order by due_at, id limit 200", [now]
    )
    return [(f"{id_}/{digest[:16]}", NoteUndecided(change=id_)) for id_, digest in await rows.fetchall()]


def _wants(state: State, command: NoteUndecided, policies: Policies) -> None:
    state.of(Changes).want(command.change)
    state.of(Cases).want_cause(cause_of(command.change))


VERBS = (
    Verb(
        name="authority.note_undecided",
        command=NoteUndecided,
        decide=note_undecided,
        wants=_wants,
        touches=lambda command: (command.change, "authority"),
    ),
)
