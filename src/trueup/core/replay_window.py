"""The window of a replay: where it begins in the journal, its rows in order, and the state as it stood before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import msgspec

from trueup.core import json
from trueup.core.batch import House, fold
from trueup.core.database import Connection
from trueup.core.past import Rooms
from trueup.core.policy import Policies
from trueup.core.replay import Follows, Row
from trueup.core.verb import State

PAGE = 2000


class Window(msgspec.Struct, frozen=True):
    """Positions of the journal past `after`, up to `upto`, and the times of both ends."""

    after: int
    upto: int
    since: datetime
    until: datetime


async def window_of(connection: Connection, now: datetime, *, days: int | None = None, after: int = 0) -> Window:
    """Return the window of the last days, or of what came after a position."""
    row = await (await connection.execute("select position, at from journal order by position desc limit 1")).fetchone()
    head, until = (row[0], row[1]) if row else (0, now)
    if days is not None:
        after = await _position_at(connection, now - timedelta(days=days), head)
    row = await (
        await connection.execute("select at from journal where position > %s order by position limit 1", [after])
    ).fetchone()
    return Window(after, head, row[0] if row else until, until)


async def _position_at(connection: Connection, moment: datetime, head: int) -> int:
    """Return the last position before a moment; positions rise with time, so that halving finds it."""
    low, high = 0, head
    while low < high:
        middle = (low + high + 1) // 2
        row = await (await connection.execute("select at from journal where position = %s", [middle])).fetchone()
        if row is not None and row[0] < moment:
            low = middle
        else:
            high = middle - 1
    return low


async def follows_of(connection: Connection, house: House, rooms: Rooms, window: Window, policies: Policies) -> Follows:
    """Return which follow-ups the window's journal has: those that came about, and those that were refused."""
    rows = await connection.execute(
        """select name, body, count(*)::int from (
            select name, body from journal where position > %s and position <= %s and kind = 'c' and actor = %s
            union all
            select verb, body from refused_command where at >= %s and at <= %s and actor = %s and ended = 'refused') f
        group by name, body""",
        [window.after, window.upto, rooms.system.id, window.since, window.until, rooms.system.id],
    )
    decoders = {verb.name: json.decoder(verb.command) for verb in house.verbs.values()}
    found: dict[tuple[str, bytes], int] = {}
    for name, body, count in await rows.fetchall():
        command = decoders[name].decode(body) if name in decoders else None
        if command is not None and rooms.followed(name, command, policies):
            key = (name, json.encode(command))
            found[key] = found.get(key, 0) + count
    return Follows(found)


async def last_of(connection: Connection, window: Window, prefix: str) -> dict[str, int]:
    """Return the last position that is about each aggregate of a prefix (`ord_`) in the window."""
    rows = await connection.execute(
        """select subject, max(position) from journal
        where position > %s and position <= %s and starts_with(subject, %s) group by subject""",
        [window.after, window.upto, prefix],
    )
    return dict(await rows.fetchall())


async def rows_of(connection: Connection, rooms: Rooms, window: Window) -> AsyncIterator[Row]:
    """Yield the window's rows in order, a page at a time, the commands that were refused among them by their times."""
    stopped = [
        Row(0, at, "r", verb, f"ref_{id_}", actor, body)
        for id_, at, actor, verb, body in await (
            await connection.execute(
                """select id::text, at, actor, verb, body from refused_command
                where at >= %s and at <= %s and ended = 'refused' order by at desc, id desc""",
                [window.since, window.until],
            )
        ).fetchall()
        if not rooms.as_recorded(verb)
    ]
    cursor = window.after
    while True:
        answer = await connection.execute(
            """select position, at, kind::text, name, subject, actor, body from journal
            where position > %s and position <= %s and (kind = 'c' or (name <> all(%s::text[]) and actor <> 'door'))
            order by position limit %s""",
            [cursor, window.upto, list(rooms.unread), PAGE], prepare=True, binary=True,
        )  # fmt: skip
        page = await answer.fetchall()
        for columns in page:
            if stopped and columns[2] == "c":
                while stopped and stopped[-1].at < columns[1]:
                    yield stopped.pop()
            yield Row(*columns)
        if len(page) < PAGE:
            break
        cursor = page[-1][0]
    while stopped:
        yield stopped.pop()


async def state_as_of(connection: Connection, house: House, window: Window) -> State:
    """Return the state as it stood when the window began."""
    return await fold(connection, house, window.after)
