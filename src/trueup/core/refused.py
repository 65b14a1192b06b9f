"""Commands that a guard or a rule stopped: kept 30 days, so that what the guards cost can be told and replayed.

Nothing is decided from them. Their personal words were replaced before the door looked at them, and nobody kept those.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Actor, Batch, Command, Event, Outcome, SetAside, State, Statement, Verb

RULE = "rule"
"""What stands for the guard where the act's own rule refused."""

Ended = Literal["refused", "queued", "quarantined", "would_refuse", "overridden", "off"]


class Stopped(msgspec.Struct, frozen=True):
    """One stop on a command's way. guard: its name, or `rule`. rule: the code of the refusal.

    ended: refused; queued or quarantined by the guard; would_refuse, where the guard is only simulated; overridden.
    """

    guard: str
    rule: str
    ended: Ended


class Stop(msgspec.Struct, frozen=True):
    """A decision that keeps a command from its rule, or the rule's own refusal, before it is known whether it stands.

    guard: its name, or `rule`. rule: the refusal's code; of what a guard lets wait, the guard's name. subject: what the
    refusal is about: its value.
    """

    guard: str
    decision: Accepted | Refusal | SetAside
    actor: Actor
    verb: Verb[Any]
    command: Command
    now: datetime
    state: State

    @property
    def rule(self) -> str:
        """The code that the stop goes by."""
        return self.guard if isinstance(self.decision, Accepted) else self.decision.rule

    @property
    def subject(self) -> str:
        """What the refusal is about, "" where it does not say."""
        return "" if isinstance(self.decision, Accepted) else self.decision.value

    @property
    def ended(self) -> Ended:
        """How the command ends if this stands."""
        if isinstance(self.decision, Accepted):
            return "queued"
        return "quarantined" if isinstance(self.decision, SetAside) else "refused"


class Verdict(msgspec.Struct, frozen=True):
    """Whether a stop stands. ended: would_refuse, overridden and off let the command go on, after these events.

    What a guard that is off would have stopped is not kept.
    """

    ended: Ended
    events: tuple[Event, ...] = ()

    @property
    def passes(self) -> bool:
        """Tell whether the command goes on."""
        return self.ended in ("would_refuse", "overridden", "off")


def stands(standing: Any, stop: Stop) -> Verdict:
    """Let every stop stand."""
    return Verdict(stop.ended)


class Kept(msgspec.Struct, frozen=True):
    """A command that was stopped, with what stopped it. subject: the id it named, "" where it named none."""

    actor: str
    verb: str
    key: str
    subject: str
    body: bytes
    stopped: Stopped


class Sent(Protocol):
    """What is kept of a submission."""

    actor: Actor
    key: str
    verb: Verb[Any]
    command: Command
    body: bytes
    stopped: tuple[Stopped, ...]


def kept(s: Sent) -> list[Kept]:
    """Return what stopped a command on its way; for most commands nothing did."""
    return [Kept(s.actor.id, s.verb.name, s.key, subject_of(s.command), s.body, stop) for stop in s.stopped]


class RefusedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One row as it stands."""

    id: str
    at: datetime
    batch: str
    actor: str
    verb: str
    key: str
    subject: str
    guard: str
    rule: str
    ended: str
    body: bytes


_ID = re.compile(r"(?!per_)[a-z]{2,5}_[0-9a-zA-Z]{1,60}")


def words(stop: Refusal | SetAside) -> str:
    """Return why a command was stopped, as a sentence."""
    return stop.refusal.what if isinstance(stop, SetAside) else stop.what


def subject_of(command: Command) -> str:
    """Return the first id that a command names in a field of its own; what makes something new names none.

    Personal words stand there as the id of their own, which is another one each time.
    """
    values = (getattr(command, name) for name in command.__struct_fields__)
    return next((value for value in values if type(value) is str and _ID.fullmatch(value)), "")


def keep(batch: Batch, kept: Sequence[Kept]) -> list[Statement]:
    """Return the one statement that writes what was stopped in a batch; none where nothing was."""
    kept = [one for one in kept if one.stopped.ended != "off"]
    if not kept:
        return []
    return [
        Statement(
            """insert into refused_command (id, at, batch, actor, verb, key, subject, guard, rule, ended, body)
            select id, %s, %s::uuid, actor, verb, key, subject, guard, rule, ended, body
            from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                        %s::bytea[]) as r (id, actor, verb, key, subject, guard, rule, ended, body)""",
            [
                batch.at, batch.id, [str(uuid.uuid4()) for _ in kept], [k.actor for k in kept], [k.verb for k in kept],
                [k.key for k in kept], [k.subject for k in kept], [k.stopped.guard for k in kept],
                [k.stopped.rule for k in kept], [k.stopped.ended for k in kept], [k.body for k in kept],
            ],
        )
    ]  # fmt: skip


_COLUMNS = "id::text, at, batch::text, actor, verb, key, subject, guard, rule, ended, body"


async def read(
    connection: Connection, from_at: datetime, to_at: datetime, after: tuple[datetime, str] | None = None,
    limit: int = 1000,
) -> list[RefusedCommand]:  # fmt: skip
    """Return up to `limit` rows of a span of time, oldest first. after: (at, id) of the last one seen."""
    at, id_ = after or (from_at, "00000000-0000-0000-0000-000000000000")
    rows = await connection.execute(
        f"""select {_COLUMNS} from refused_command
        where at >= %s and at < %s and (at, id) > (%s, %s::uuid) order by at, id limit %s""",
        [from_at, to_at, at, id_, limit],
    )
    names = RefusedCommand.__struct_fields__
    return [RefusedCommand(**dict(zip(names, row, strict=True))) for row in await rows.fetchall()]


def quarantined(submission: Sent) -> Outcome:
    """Return the outcome of a command that no rule refused but that broke."""
    return Outcome(
        "quarantined",
        refusal=Refusal(
            "door.quarantined",
            f"{submission.verb.name} could not be carried out and was set aside; nothing was written for it.",
            "An operator finds it among the quarantined commands, with its error; correct it and use a fresh key.",
        ),
    )


def keep_quarantined(submission: Sent, error: str) -> Statement:
    """Return the statement that keeps a poisonous command, personal words already taken out."""
    return Statement(
        "insert into quarantined_command (id, actor, key, name, error, body) values (%s, %s, %s, %s, %s, %s)",
        [uuid.uuid4(), submission.actor.id, submission.key, submission.verb.name, error[-4000:], submission.body],
    )
