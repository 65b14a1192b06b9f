"""What a change would do: the last days' commands under the policies in force and under the proposed ones.

Both sides start from the state as it stood when the window began, and each carries its own from command to command.
What they make of each order is compared; nothing is written.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from trueup.core import json
from trueup.core.batch import House
from trueup.core.database import Connection, connect
from trueup.core.errors import TrueupError
from trueup.core.past import Window
from trueup.core.policy import Policies, Policy
from trueup.core.replay import Side, Tally
from trueup.core.replay_window import follows_of, last_of, rows_of, state_as_of, window_of
from trueup.orders.adoption import Adoption
from trueup.oversight.impact_orders import Adopting, CameTo, Difference, Money, Outcomes, compared, harmed

Proposed = Mapping[tuple[str, str], Policy]
DAYS = 7
SHOWN_MAX = 1000
APART_MIN = 5_000
"""From so many rows of the journal on, each side is a process of its own."""


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. orders: that were compared; differing: of them, those that come out differently.

    counts: differences by what differs. shown: the first of them. current, proposed: what each side did. unreplayed:
    kinds among the proposed documents that no replay can show, with why. peak_mb: the most memory the sides held.
    """

    after: int
    upto: int
    since: datetime
    until: datetime
    orders: int
    differing: int
    counts: dict[str, int]
    money: tuple[Money, ...]
    shown: tuple[Difference, ...]
    current: Tally
    proposed: Tally
    unreplayed: dict[str, str]
    peak_mb: float


class Job(msgspec.Struct, frozen=True):
    """What one side is asked to do, for a process of its own. documents: (kind, name, document).

    adopting: see `side`.
    """

    url: str
    window: Window
    documents: tuple[tuple[str, str, msgspec.Raw], ...]
    adopting: tuple[Adoption, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What one side came to, by order; peak_mb: the most memory its process held."""

    orders: dict[str, CameTo]
    tally: Tally
    pid: int
    peak_mb: float


async def impact(
    url: str,
    house: House,
    proposed: Proposed,
    *,
    days: int = DAYS,
    since_position: int | None = None,
    limit: int = SHOWN_MAX,
    now: datetime | None = None,
    apart: bool | None = None,
    adopting: Sequence[Adoption] = (),
) -> Impact:
    """Replay the last days, or what came after a position, under the policies in force and with these documents.

    adopting: which orders in flight walk by them, too. now: from when the days are counted. apart: each side in a
    process of its own, which decides by the house as shipped; None leaves that to how long the window is.
    """
    window = await _window(url, now or datetime.now(UTC), days, since_position)
    before, after = await _both(url, house, proposed, window, apart, adopting)
    found = compared(before.orders, after.orders)
    counts: dict[str, int] = {}
    for difference in found.differences:
        counts[difference.what] = counts.get(difference.what, 0) + 1
    return Impact(
        after=window.after,
        upto=window.upto,
        since=window.since,
        until=window.until,
        orders=len(before.orders.keys() | after.orders.keys()),
        differing=found.orders,
        counts=counts,
        money=found.money,
        shown=tuple(found.differences[:limit]),
        current=before.tally,
        proposed=after.tally,
        peak_mb=before.peak_mb + after.peak_mb if before.pid != after.pid else after.peak_mb,
        unreplayed={kind: why for kind, _ in proposed if (why := house.kinds[kind].unreplayed)},
    )


async def harmed_by(
    url: str, house: House, proposed: Proposed, since_position: int, adopting: Sequence[Adoption] = ()
) -> tuple[str, ...]:
    """Return the ids of the orders after a position that would come out worse with these documents.

    Worse is: refused instead of placed, cancelled, a later promise, more splits, a higher total, a hold more, units
    short.
    """
    window = await _window(url, datetime.now(UTC), DAYS, since_position)
    before, after = await _both(url, house, proposed, window, None, adopting)
    return harmed(before.orders, after.orders)


async def _window(url: str, now: datetime, days: int, since_position: int | None) -> Window:
    connection = await connect(url, default_transaction_read_only="on")
    try:
        return await window_of(
            connection, now, days=days if since_position is None else None, after=since_position or 0
        )
    finally:
        await connection.close()


async def _both(
    url: str, house: House, proposed: Proposed, window: Window, apart: bool | None, adopting: Sequence[Adoption]
) -> tuple[Answer, Answer]:
    if apart if apart is not None else window.upto - window.after >= APART_MIN:
        before, after = await asyncio.gather(_apart(url, window, {}, ()), _apart(url, window, proposed, adopting))
        return before, after
    return await side(url, house, window, {}), await side(url, house, window, proposed, adopting)


async def side(url: str, house: House, window: Window, proposed: Proposed, adopting: Sequence[Adoption] = ()) -> Answer:
    """Replay a window under the policies in force with these documents; reads one snapshot, and writes nothing.

    adopting: by which versions orders in flight walk, from the window's start.
    """
    assert house.past is not None, "the house says what its rooms tell a replay"
    connection = await connect(url, default_transaction_read_only="on")
    try:
        await connection.execute("begin transaction isolation level repeatable read read only")
        standing = await house.load_standing(connection)
        in_force: Policies = standing.policies
        policies = in_force.with_documents(proposed)
        adopted = Adopting(tuple(adopting), policies)
        seen = Outcomes(in_force, adopted)
        state = await state_as_of(connection, house, window)
        adopted.begin(state, window.since)
        one = Side(
            house,
            house.past,
            standing,
            policies,
            state,
            window.since,
            await follows_of(connection, house, house.past, window, in_force),
            await last_of(connection, window, house.past.watched),
            seen,
        )
        async for rows in rows_of(connection, house.past, window):
            for row in rows:
                one.take(row)
        one.end(window.until)
        await _wrote_nothing(connection)
    finally:
        await connection.close()
    return Answer(seen.orders, one.tally, os.getpid(), _peak_mb())


def _peak_mb() -> float:
    """Return the most memory this process held; macOS counts in bytes, others in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


async def _wrote_nothing(connection: Connection) -> None:
    row = await (await connection.execute("select pg_current_xact_id_if_assigned()::text")).fetchone()
    if row is None or row[0] is not None:
        raise TrueupError("a replay must not write, but its transaction did")


async def _apart(url: str, window: Window, proposed: Proposed, adopting: Sequence[Adoption]) -> Answer:
    documents = tuple((kind, name, msgspec.Raw(json.encode(document))) for (kind, name), document in proposed.items())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trueup.cli.replay_side", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(json.encode(Job(url, window, documents, tuple(adopting))))
    if process.returncode:
        raise TrueupError(f"a side of the replay ended with {process.returncode}")
    return msgspec.msgpack.decode(out, type=Answer)
