"""Who a request comes from: its API key, looked up in the standing of the current authority epoch."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import datetime

import msgspec
from psycopg_pool import AsyncConnectionPool

from trueup.authority.standing import Standing
from trueup.core.batch import House
from trueup.core.clock import Clock
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.verb import Actor, Command, State, Verb

EPOCH_AGE_MAX_SECONDS = 1.0
# After a key nobody knows, the standing is read again, but not more often than this: guessing keys costs us little.
RETRY_AGE_MIN_SECONDS = 0.1


class KeyHolder(Actor, frozen=True):
    """An actor who came with an API key. digest: the SHA-256 of the key, for the door to look at again."""

    digest: bytes = b""


UNAUTHENTICATED = Refusal(
    "authority.unauthenticated",
    "This needs an API key that is valid now.",
    "Send `Authorization: Bearer tu_...` with a key that was neither revoked nor has expired.",
    "Authorization",
)


class Access:
    """The standing as this process last read it: at most a second old, and what the door asks decides on writes."""

    def __init__(self, house: House, reads: AsyncConnectionPool[Connection], clock: Clock) -> None:
        self._house = house
        self._reads = reads
        self._clock = clock
        self._standing: Standing | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def standing(self, *, fresh: bool = False) -> Standing:
        """Return who exists and who may what; with `fresh`, as it is committed now."""
        age = time.monotonic() - self._read_at
        stale = self._standing is None or age > (0.0 if fresh else EPOCH_AGE_MAX_SECONDS)
        standing = await self._refresh() if stale or self._standing is None else self._standing
        return standing.at(self._clock.now())

    async def holder(self, authorization: str | None) -> KeyHolder | None:
        """Return who holds the key of an Authorization header, or None."""
        if authorization is None or authorization[:10].lower() != "bearer tu_":
            return None
        digest = hashlib.sha256(authorization[7:].strip().encode("latin-1", "replace")).digest()
        actor = (await self.standing()).holder_of(digest, self._clock.now())
        if actor is None and time.monotonic() - self._read_at > RETRY_AGE_MIN_SECONDS:
            actor = (await self.standing(fresh=True)).holder_of(digest, self._clock.now())
        if actor is None:
            return None
        return KeyHolder(**{name: getattr(actor, name) for name in Actor.__struct_fields__}, digest=digest)

    async def _refresh(self) -> Standing:
        asked_at = time.monotonic()
        async with self._reading:
            if self._standing is not None and self._read_at >= asked_at:
                return self._standing
            async with self._reads.connection() as connection:
                if self._standing is not None:
                    cursor = await connection.execute("select value from epoch")
                    row = await cursor.fetchone()
                    if row is not None and row[0] == self._standing.epoch:
                        self._read_at = time.monotonic()
                        return self._standing
                standing: Standing = await self._house.load_standing(connection)
            self._standing, self._read_at = standing, time.monotonic()
            return standing


def guarded(house: House) -> House:
    """Return the house with the guard that asks for the key of commands that came over HTTP."""
    return msgspec.structs.replace(house, guards=(key_guard, *house.guards))


def key_guard(
    standing: Standing, actor: Actor, verb: Verb[Command], command: Command, now: datetime, state: State
) -> Refusal | None:
    """Ask at the door whether the key a command came with still holds: a revocation binds the next batch everywhere."""
    if isinstance(actor, KeyHolder) and standing.holder_of(actor.digest, now) is None:
        return UNAUTHENTICATED
    return None
