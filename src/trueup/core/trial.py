"""A guard on trial: asked about commands of the past, those that were refused among them, before it is switched on.

It is asked as it stands now, with the rights, policies and rows of now, about each command at the command's own time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from trueup.core import journal, json, refused
from trueup.core.batch import SIZE_MAX, Guard, House, Submission, look
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.core.verb import Accepted, Actor, Verb

COMMANDS_MAX = 20_000
"""How many commands a trial looks at, the newest ones."""


class TriedCommand(msgspec.Struct, frozen=True):
    """A command of the past and what the guard says of it now.

    position: in the journal; None of one that was refused. rule, what: why it would be stopped; None where it goes on.
    """

    at: datetime
    actor: Actor
    verb: str
    subject: str
    position: int | None
    rule: str | None
    what: str | None


class Tried(msgspec.Struct, frozen=True):
    """What a trial saw. more: there were older commands in its time, which it did not look at.

    unreadable: commands of an older version, whose verb or body is no more.
    """

    guard: str
    from_at: datetime
    to_at: datetime
    commands: tuple[TriedCommand, ...]
    unreadable: int
    more: bool


class _Past(msgspec.Struct, frozen=True):
    at: datetime
    actor: str
    verb: str
    subject: str
    position: int | None
    body: bytes


async def tried(connection: Connection, house: House, guard: str, now: datetime, days: int) -> Tried:
    """Ask the guard of this name about the commands of the last days. Raises Refused where there is no such guard."""
    asked = next((one for one in house.guards if one.__name__ == guard), None)
    if asked is None:
        there = ", ".join(one.__name__ for one in house.guards)
        raise Refused(Refusal("guards.unknown", f"There is no guard {guard[:80]!r}.", f"Use one of: {there}.",
                              "guard", guard[:80]))  # fmt: skip
    from_at = now - timedelta(days=days)
    await connection.execute("begin transaction isolation level repeatable read read only")
    try:
        standing = await house.load_standing(connection)
        past = await _past(connection, from_at, now)
        verbs = {verb.name: verb for verb in house.verbs.values()}
        found: list[TriedCommand] = []
        for chunk in _chunks(past[:COMMANDS_MAX][::-1]):
            found += await _ask(connection, house, standing, asked, verbs, chunk)
    finally:
        await connection.execute("rollback")
    looked_at = min(len(past), COMMANDS_MAX)
    return Tried(guard, from_at, now, tuple(found), looked_at - len(found), len(past) > COMMANDS_MAX)


async def first_position(connection: Connection, at: datetime) -> int:
    """Return the first position of the journal at or after a moment, by halves: batches take positions in order.

    Batches of two processes whose clocks differ may stand a little out of order in time; so it begins a minute early.
    """
    low, high = 1, await journal.head(connection) + 1
    early = at - timedelta(minutes=1)
    while low < high:
        middle = (low + high) // 2
        row = await (await connection.execute("select at from journal where position = %s", [middle])).fetchone()
        if row is not None and row[0] < early:
            low = middle + 1
        else:
            high = middle
    return low


async def _past(connection: Connection, from_at: datetime, to_at: datetime) -> list[_Past]:
    """Return the commands of a time, the newest first: those of the journal, and those that never got there."""
    first = await first_position(connection, from_at)
    rows = await connection.execute(
        """select at, actor, name, subject, position, body from journal
        where position >= %s and kind = 'c' and at >= %s and at <= %s order by position desc limit %s""",
        [first, from_at, to_at, COMMANDS_MAX + 1],
    )
    found = [_Past(*row) for row in await rows.fetchall()]
    rows = await connection.execute(
        """select distinct on (at, id) at, actor, verb, subject, null, body from refused_command
        where at >= %s and at <= %s and ended in ('refused', 'quarantined') order by at desc, id desc limit %s""",
        [from_at, to_at, COMMANDS_MAX + 1],
    )
    found += [_Past(*row) for row in await rows.fetchall()]
    return sorted(found, key=lambda one: one.at, reverse=True)[: COMMANDS_MAX + 1]


def _chunks(past: Sequence[_Past]) -> Iterator[Sequence[_Past]]:
    for start in range(0, len(past), SIZE_MAX):
        yield past[start : start + SIZE_MAX]


async def _ask(
    connection: Connection,
    house: House,
    standing: Any,
    guard: Guard,
    verbs: dict[str, Verb[Any]],
    past: Sequence[_Past],
) -> list[TriedCommand]:
    readable: list[tuple[_Past, Submission]] = []
    for one in past:
        verb = verbs.get(one.verb)
        try:
            command = json.decode(one.body, verb.command) if verb is not None else None
        except msgspec.DecodeError:
            command = None
        if verb is not None and command is not None:
            actor = standing.actors.get(one.actor) or Actor(one.actor, "person", one.actor)
            readable.append((one, Submission(verb, actor, "", command)))
    if not readable:
        return []
    state = await look(connection, house, standing, [submission for _, submission in readable], readable[0][0].at)
    found = []
    for one, submission in readable:
        stop = guard(standing, submission.actor, submission.verb, submission.command, one.at, state)
        rule = what = None
        if stop is not None:
            rule = guard.__name__ if isinstance(stop, Accepted) else stop.rule
            what = "would wait" if isinstance(stop, Accepted) else refused.words(stop)
        found.append(TriedCommand(one.at, submission.actor, one.verb, one.subject, one.position, rule, what))
    return found
