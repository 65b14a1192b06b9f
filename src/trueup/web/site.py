"""What every request of one process shares: the door, the read pool, who may come in, the time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from psycopg_pool import AsyncConnectionPool

from trueup.core.batch import House
from trueup.core.clock import Clock
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.policy import Policy
from trueup.oversight.replaying import Replays
from trueup.stock.kept_shelves import Shelves
from trueup.web.api.access import Access


class Site(msgspec.Struct, frozen=True):
    """One process' shared things. reads: read-only sessions; sign_in: a few that may write the sign-in tables.

    url, house: for work that opens sessions of its own. shelves: what availability was read and still holds.
    replays: of changes, that run beside requests.
    """

    door: Door
    reads: AsyncConnectionPool[Connection]
    sign_in: AsyncConnectionPool[Connection]
    access: Access
    clock: Clock
    url: str
    house: House
    shelves: Shelves = msgspec.field(default_factory=Shelves)
    replays: Replays = msgspec.field(default_factory=Replays)

    @property
    def kinds(self) -> dict[str, type[Policy]]:
        """The policy documents that can be published."""
        return self.house.kinds

    def now(self) -> datetime:
        """Return the current time with zone UTC."""
        return self.clock.now()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Lend a read-only session: `async with site.reading() as connection: await orders.find(connection, query)`."""
        async with self.reads.connection() as connection:
            yield connection


def site_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Site:
    """Return the site that serves a request."""
    site: Site = connection.scope["state"]["site"]
    return site
