"""Replays that run beside requests: what one will read, whether it runs still, and why it did not come to its end.

Every process sees which ones run, by the names of the sessions they hold; what a stopped process ran is gone with it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import msgspec
import structlog

from trueup.authority.changes_state import Change
from trueup.core.batch import House
from trueup.core.database import Connection, connect
from trueup.core.errors import TrueupError
from trueup.core.replay_window import window_of
from trueup.oversight.change_impact import replacing, replay_change

log = structlog.get_logger("trueup.replay")
ENTRIES_PER_SECOND = 8_000
"""How fast both sides read the journal, until a replay of this process has told."""


class Reads(msgspec.Struct, frozen=True):
    """What a replay reads. entries: of the journal, commands and events. seconds: roughly how long that takes here."""

    days: int
    since: datetime
    until: datetime
    entries: int
    seconds: int


class Running(msgspec.Struct, frozen=True):
    """A replay that runs now. seconds: since it began."""

    days: int
    seconds: int


class Ended(msgspec.Struct, frozen=True):
    """A replay that did not come to its end. what: why; fix: what can be done."""

    days: int
    what: str
    fix: str


class Replays:
    """The replays of this process."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, Ended] = {}
        self._speed: float = ENTRIES_PER_SECOND

    async def reads(self, connection: Connection, now: datetime, days: int) -> Reads:
        """Return what a replay of the last days would read."""
        window = await window_of(connection, now, days=days)
        entries = max(0, window.upto - window.after)
        return Reads(days, window.since, window.until, entries, round(entries / self._speed) + 1)

    def ended(self, found: Change) -> Ended | None:
        """Return how the last replay of this content ended, where it failed; None where it did not, or runs again."""
        return self._ended.get(_name(found))

    async def start(
        self, url: str, house: House, found: Change, now: datetime, days: int, *, patience: float
    ) -> str | None:
        """Begin to replay a change, unless that runs already, and wait a little for its end.

        patience: seconds; a short one is over then. Returns why its effect cannot be replayed, else None.
        """
        reason = replacing(house, found.edits)
        if isinstance(reason, str):
            return reason
        name = _name(found)
        if name not in self._tasks:
            # The session tells every process that it runs, so it is there before anybody is told.
            held = await connect(url)
            await held.execute(
                "select set_config('application_name', %s, false)", [f"{name}/{days}/{int(time.time())}"]
            )
            if len(await _named(held, found)) > 1:
                await held.close()
                return None
            self._ended.pop(name, None)
            self._tasks[name] = asyncio.create_task(self._run(held, url, house, found, now, days), name=name)
        if name in self._tasks:
            await asyncio.wait([self._tasks[name]], timeout=patience)
        return None

    async def close(self) -> None:
        """End what still runs; nothing of it was kept."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, held: Connection, url: str, house: House, found: Change, now: datetime, days: int) -> None:
        name = _name(found)
        try:
            async with held:
                entries = (await self.reads(held, now, days)).entries
                began = time.monotonic()
                await replay_change(url, house, found, now, days)
                self._learn(entries, time.monotonic() - began)
        except Exception as error:
            log.exception("a replay did not end", change=found.id, days=days)
            self._ended[name] = _told(error, days)
        finally:
            self._tasks.pop(name, None)

    def _learn(self, entries: int, seconds: float) -> None:
        """Take the speed of a replay that was long enough to tell."""
        if seconds > 1 and entries:
            self._speed = entries / seconds


async def running(connection: Connection, found: Change) -> Running | None:
    """Return the replay of this content that runs now, in whichever process."""
    names = await _named(connection, found)
    if not names:
        return None
    _, days, began = names[0].rsplit("/", 2)
    return Running(int(days), max(0, int(time.time()) - int(began)))


async def _named(connection: Connection, found: Change) -> list[str]:
    """Return the names of the sessions that replays of this content hold."""
    rows = await connection.execute(
        """select application_name from pg_stat_activity
        where datname = current_database() and starts_with(application_name, %s) order by application_name""",
        [f"{_name(found)}/"],
    )
    return [name for (name,) in await rows.fetchall()]


def _name(found: Change) -> str:
    """Return how the session of a replay begins its name; PostgreSQL keeps 63 letters, days and time stand after it."""
    return f"rp/{found.id[:36]}/{found.digest[:8]}"


def _told(error: Exception, days: int) -> Ended:
    if isinstance(error, TrueupError):
        what = str(error)
    else:
        what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
    fewer = f"Replay fewer than {days} days" if days > 1 else "Replay it again"
    fix = f"{fewer}. If it ends so again, report what the server's log has under `a replay did not end`."
    return Ended(days, what, f"{fix} Nothing was written, and no vote depends on it.")
