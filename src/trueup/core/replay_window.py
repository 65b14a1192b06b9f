"""The window of a replay: where it begins in the journal, its rows in order, and the state as it stood before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from trueup.core import json
from trueup.core.batch import House, fold
from trueup.core.database import Connection
from trueup.core.past import Past, Rooms, Window
from trueup.core.policy import Policies
from trueup.core.replay import Follows, Row
from trueup.core.verb import State

PAGE = 2000


# What was refused after the last command that was not belongs to the window, too.
_HEAD = """select position, greatest(at, (select max(at) from refused_command)) from journal
    order by position desc limit 1"""


async def window_of(connection: Connection, now: datetime, *, days: int | None = None, after: int = 0) -> Window:
    """Return the window of the last days, or of what came after a position.

    Two batches that ran at once may stand in the journal in the other order than their times: a window of days begins
    where time tells exactly what is before it.
    """
    row = await (await connection.execute(_HEAD)).fetchone()
    head, until = (row[0], row[1]) if row else (0, now)
    window = Window(after, head, until, until)
    if days is not None:
        after = await _position_at(connection, now - timedelta(days=days), head)
    for _ in range(_TRIES if days is not None else 1):
        since, latest, first_late = await _around(connection, after, until)
        clean = latest is None or latest < since
        window = Window(after, head, since, until, clean)
        if clean:
            break
        after = first_late - 1
    return window


_TRIES = 20
_AROUND = 5000
"""Batches that ran at once stand no further apart."""


async def _around(connection: Connection, after: int, until: datetime) -> tuple[datetime, datetime | None, int]:
    """Return the earliest time past a position, the latest up to it, and where the first one too late stands."""
    rows = await connection.execute(
        """with past as (select min(at) as at from journal where position > %s and position <= %s)
        select coalesce(past.at, %s), max(j.at), coalesce(min(j.position) filter (where j.at >= past.at), 0)
        from past left join journal j on j.position > %s and j.position <= %s group by past.at""",
        [after, after + _AROUND, until, after - _AROUND, after],
    )
    row = await rows.fetchone()
    assert row is not None
    return row[0], row[1], row[2]


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
    names = sorted(rooms.follow_ups(policies))
    rows = await connection.execute(
        """select name, body, count(*)::int from (
            select name, body from journal
                where position > %s and position <= %s and kind = 'c' and actor = %s and name = any(%s::text[])
            union all
            select verb, body from refused_command
                where at >= %s and at <= %s and actor = %s and ended = 'refused' and verb = any(%s::text[])) f
        group by name, body""",
        [window.after, window.upto, rooms.system.id, names, window.since, window.until, rooms.system.id, names],
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


async def rows_of(connection: Connection, rooms: Rooms, window: Window) -> AsyncIterator[list[Row]]:
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
        page = list(map(Row._make, await answer.fetchall()))
        yield _among(page, stopped) if stopped else page
        if len(page) < PAGE:
            break
        cursor = page[-1].position
    yield stopped[::-1]


def _among(page: list[Row], stopped: list[Row]) -> list[Row]:
    """Return a page with what was refused before its commands among them; takes that from the end of `stopped`."""
    rows: list[Row] = []
    for row in page:
        if row.kind == "c":
            while stopped and stopped[-1].at < row.at:
                rows.append(stopped.pop())
        rows.append(row)
    return rows


async def state_as_of(connection: Connection, house: House, window: Window) -> State:
    """Return the state as it stood when the window began, of all that the window can touch.

    Of what is few, all events are folded; of orders and claims, those of the subjects that the window touches; figures
    that many subjects share are the tables' of now, less what moved since. Where time does not tell apart what came
    before the window, or the rooms say so, the whole journal is folded.
    """
    rooms = house.past
    pasts = [make() for make in rooms.pasts] if rooms is not None else []
    if rooms is None or not window.clean or await _must_fold(connection, rooms, window):
        return await fold(connection, house, window.after)
    subjects = await _subjects(connection, window, pasts)
    state = State(house.slices)
    waiting = await _events_of(connection, rooms, window, subjects)
    cursor = 0
    while True:
        rows = await connection.execute(
            f"""select position, name, body from journal where position > %s and position <= %s and {rooms.few}
            order by position limit %s""",
            [cursor, window.after, PAGE],
        )
        page = await rows.fetchall()
        for position, name, body in page:
            while waiting and waiting[-1][0] < position:
                _, other, its = waiting.pop()
                state.evolve(json.decode(its, house.events[other]))
            state.evolve(json.decode(body, house.events[name]))
        if len(page) < PAGE:
            break
        cursor = page[-1][0]
    for _, name, body in reversed(waiting):
        state.evolve(json.decode(body, house.events[name]))
    for past in pasts:
        await past.load(connection, state, window)
    return state


async def _must_fold(connection: Connection, rooms: Rooms, window: Window) -> bool:
    rows = await connection.execute(
        f"select exists (select from journal where {rooms.few} and name = any(%s::text[]) and position <= %s)",
        [list(rooms.shared), window.after],
    )
    row = await rows.fetchone()
    return row is not None and bool(row[0])


async def _subjects(connection: Connection, window: Window, pasts: list[Past]) -> set[str]:
    """Return what the window's rows are about and what else the rooms name, as far as it is older than the window."""
    rows = await connection.execute(
        """select s.subject from (
            select distinct subject from journal where position > %s and position <= %s
            union select subject from refused_command where at >= %s and at <= %s) s
        where exists (select from journal j where j.subject = s.subject and j.position <= %s)""",
        [window.after, window.upto, window.since, window.until, window.after],
    )
    found = {row[0] for row in await rows.fetchall()}
    for past in pasts:
        found.update(await past.touched(connection, window))
    return found


async def _events_of(
    connection: Connection, rooms: Rooms, window: Window, subjects: set[str]
) -> list[tuple[int, str, bytes]]:
    """Return the events of subjects before the window that are not among the few, the latest first."""
    rows = await connection.execute(
        f"""select position, name, body from journal
        where subject = any(%s::text[]) and position <= %s and kind = 'e' and not ({rooms.few})
        order by position desc""",
        [sorted(subjects), window.after],
    )
    return [(row[0], row[1], row[2]) for row in await rows.fetchall()]
