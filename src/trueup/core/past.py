"""What rooms tell a replay of the past beside their events: the answers that a batch would get from the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.verb import Actor, Command, Event, State


class Window(msgspec.Struct, frozen=True):
    """Positions of the journal past `after`, up to `upto`, and the times of both ends.

    clean: nothing up to `after` is as late as `since`, and nothing past it is earlier, so that time tells them apart.
    """

    after: int
    upto: int
    since: datetime
    until: datetime
    clean: bool = False


class Past(Protocol):
    """What a room's rows need in a replay beside their events; made anew for each side."""

    async def touched(self, connection: Connection, window: Window) -> Iterable[str]:
        """Return ids, beside those that the window's rows are about, whose events before it are needed."""

    async def load(self, connection: Connection, state: State, window: Window) -> None:
        """Set the rows that many subjects share to what they were when the window began, by the ledgers."""

    def begin(self, state: State, now: datetime) -> None:
        """Take up the state as the window finds it."""

    def takes(self) -> Mapping[type[Event], Callable[[Any], None]]:
        """Return what notes an event of each kind that it keeps something of, after the state has taken it in."""

    def turn(self, now: datetime) -> Sequence[Event]:
        """Return what falls due by now; called whenever time moves, before the commands of that time."""

    def answers(self) -> Mapping[type[Command], Callable[[Any], None]]:
        """Return what answers, from the rows, what the verb of each such command would have asked the database."""

    def spent(self, subjects: list[str]) -> list[str]:
        """Return those aggregates to which nothing can happen any more unless a command names them."""

    def forget(self, subjects: Iterable[str]) -> None:
        """Drop the rows of aggregates that are done with, and what would have been written."""


Following = Callable[[Event, Policies, dict[str, type[Command]]], Sequence[Command]]


class Rooms(msgspec.Struct, frozen=True):
    """What the rooms tell a replay; `house.py` fills it in.

    system: who submits what follows by itself. standing: who may what, of the state and the policies; it is asked anew
    after an event of `standing_events`. as_recorded: names of verbs whose events are taken in as they were. pasts: see
    `Past`. following: given those, what follows an event by itself. unread: events that nothing in a replay needs
    to read. follow_ups: the names of verbs that can follow something by themselves. followed: tells whether a command
    of such a verb, the system's own, does.
    few: tells in SQL, of a row `journal`, that it is an event of those that are few and all needed: an index serves it.
    shared: of those, events that took figures from all claims there were: where there is one, all is folded.
    watched: how the ids of what is compared begin.
    """

    system: Actor
    standing: Callable[[Any, State, Policies], Any]
    standing_events: frozenset[type[Event]]
    as_recorded: Callable[[str], bool]
    pasts: tuple[Callable[[], Past], ...]
    following: Callable[[Sequence[Past]], Following]
    follow_ups: Callable[[Policies], frozenset[str]]
    followed: Callable[[str, Command, Policies], bool]
    few: str
    shared: tuple[str, ...]
    watched: str
    unread: tuple[str, ...] = ()
