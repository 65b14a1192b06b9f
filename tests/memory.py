"""The door without a database: commands decided by the house's guards and rules on rows that a journal was folded into.

For properties that want thousands of acts. What a batch would ask the database beside the rows is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from trueup import house
from trueup.authority.past import STANDING_EVENTS, standing_then
from trueup.authority.state import PolicyPublished, PolicyWithdrawn
from trueup.core import ids, journal, json
from trueup.core.batch import decide
from trueup.core.database import connect
from trueup.core.policy import Active, Policies
from trueup.core.refused import Stopped
from trueup.core.verb import Accepted, Actor, Command, Context, Decision, Event, SetAside, State, Verb

HOUSE = house.build()


class Beginning:
    """What an installation's journal says until now: its events, and who there is."""

    def __init__(self, events: Sequence[Event], standing: Any) -> None:
        self.events, self.standing = tuple(events), standing


async def beginning(url: str) -> Beginning:
    """Read an installation's journal and standing."""
    connection = await connect(url)
    try:
        events = [
            json.decode(row.body, HOUSE.events[row.name])
            async for row in journal.read_all(connection)
            if row.kind == "e"
        ]
        return Beginning(events, await HOUSE.load_standing(connection))
    finally:
        await connection.close()


class Asked:
    """A submission, as far as deciding asks for it."""

    def __init__(self, verb: Verb[Any], actor: Actor, command: Command) -> None:
        self.verb, self.actor, self.command = verb, actor, command
        self.stopped: tuple[Stopped, ...] = ()


class Memory:
    """An installation in memory: who acts, what stands, and a clock that only moves when it is told to."""

    def __init__(self, begun: Beginning, now: datetime) -> None:
        self.now = now
        self.state = State(HOUSE.slices)
        self._standing = begun.standing
        self._active: dict[tuple[str, str], Active] = {}
        self._older: list[Active] = []
        self._take(begun.events)
        self._seed = 0

    @property
    def policies(self) -> Policies:
        """What is in force."""
        return Policies(self._active.values(), self._older, HOUSE.kinds)

    def wait(self, hours: float) -> None:
        """Let time pass."""
        self.now += timedelta(hours=hours)

    def act(self, who: str, command: Command) -> Decision | SetAside:
        """Decide a command of somebody (by id), and take in what it comes to."""
        verb = HOUSE.verbs[type(command)]
        actor = self._standing.present(self._standing.own.get(who) or Actor(who, "person", who), self.now)
        self._seed += 1
        context = Context(actor, self.now, ids.sequence(self.now, self._seed), self.policies)
        decision = decide(HOUSE, self._standing, self.state, Asked(verb, actor, command), context)
        if isinstance(decision, Accepted):
            self.state.acts.add((verb.name, decision.subject, who))
            self._take(decision.events)
        return decision

    def _take(self, events: Iterable[Event]) -> None:
        governed = not self._active and not self.state.acts
        for event in events:
            self.state.evolve(event)
            if isinstance(event, PolicyPublished):
                document = json.decode(event.document, HOUSE.kinds[event.policy_kind])
                entry = Active(event.policy_name, event.version, bytes.fromhex(event.digest), document)
                self._active[event.policy_kind, event.policy_name] = entry
                self._older.append(entry)
            elif isinstance(event, PolicyWithdrawn):
                del self._active[event.policy_kind, event.policy_name]
            governed |= type(event) in STANDING_EVENTS or isinstance(event, PolicyPublished | PolicyWithdrawn)
        if governed:
            policies = self.policies
            self.state.under(policies)
            self._standing = standing_then(self._standing, self.state, policies)
