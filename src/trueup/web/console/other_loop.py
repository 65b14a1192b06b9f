"""The door as a thread with an event loop of its own sees it: what it submits passes the one door all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from trueup.core.door import Door
from trueup.core.verb import Actor, Command, Outcome


class OtherLoopsDoor(Door):
    """Hands commands to a door that lives in another event loop. It is never opened and never closed."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        self._door = door
        self._loop = loop

    async def submit(self, actor: Actor, command: Command, key: str) -> Outcome:
        """Put one command through; see `Door.submit`."""
        waiting = asyncio.run_coroutine_threadsafe(self._door.submit(actor, command, key), self._loop)
        return await asyncio.wrap_future(waiting)

    async def submit_all(self, actor: Actor, commands: Iterable[tuple[str, Command]]) -> list[Outcome]:
        """Put many through; see `Door.submit_all`."""
        waiting = asyncio.run_coroutine_threadsafe(self._door.submit_all(actor, list(commands)), self._loop)
        return await asyncio.wrap_future(waiting)
