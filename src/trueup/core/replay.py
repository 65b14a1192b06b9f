"""Replaying: the commands of a window of the journal, decided again under other policies. Nothing is written.

One side of a comparison is one state, carried from command to command, from how it stood when the window began. Each
command is decided at its own time, by the rules and guards themselves. What is a fact of administration (an item, an
actor, a count's session) is taken in as it was recorded; what falls due falls due at its own time.

What followed by itself follows again: a follow-up that the journal has is decided where it stands there if its cause
happened in this replay, too; one that only this replay causes is decided at once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from trueup.core import ids, json
from trueup.core.batch import House, decide
from trueup.core.past import Rooms
from trueup.core.policy import Policies
from trueup.core.refused import Stopped
from trueup.core.verb import Accepted, Actor, Command, Context, Decision, Event, SetAside, State, Verb

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_SAMPLE = 20
FORGET_EVERY = 512


class Row(NamedTuple):
    """One row of a window's stream: of the journal, or a command that was refused then (kind `r`)."""

    position: int
    at: datetime
    kind: str
    name: str
    subject: str
    actor: str
    body: bytes | None


class Seen(Protocol):
    """Who watches a replay: told of every decision when the state has taken it in."""

    def decided(self, row: Row, state: State, decision: Decision | SetAside) -> None:
        """Note one decision; row.subject is what the command was about when it was recorded."""

    def done(self, state: State, subjects: Iterable[str]) -> None:
        """Keep what these aggregates came to: nothing in the window names them any more."""


class Follows(msgspec.Struct, frozen=True):
    """Follow-ups that a window's journal has: how often each (verb, body) stands in it."""

    recorded: Mapping[tuple[str, bytes], int]


class Tally(msgspec.Struct):
    """What a side did: commands decided, of them refused; taken as recorded; follow-ups of its own, and left out.

    broken: commands that neither could be decided nor taken in, with a sample of why.
    """

    commands: int = 0
    refused: int = 0
    recorded: int = 0
    added: int = 0
    left_out: int = 0
    broken: int = 0
    why: list[str] = []


class Side:
    """One side of a comparison; feed it the window's rows in order with `take`, then `end`."""

    def __init__(
        self, house: House, rooms: Rooms, standing: Any, policies: Policies, state: State, now: datetime,
        follows: Follows, last: Mapping[str, int], seen: Seen,
    ) -> None:  # fmt: skip
        """standing: as loaded. now: the window's start. last: the last position that names an aggregate, by its id."""
        self._house, self._rooms, self._policies, self._state = house, rooms, policies, state
        self._standing_now = standing
        self._seen = seen
        self._verbs = {verb.name: verb for verb in house.verbs.values()}
        self._commands = {verb.name: verb.command for verb in house.verbs.values()}
        self._decoders = {
            name: (verb, json.decoder(verb.command), rooms.as_recorded(name)) for name, verb in self._verbs.items()
        }
        self._pasts = [make() for make in rooms.pasts]
        self._follow = rooms.following(self._pasts)
        self._taking: dict[type[Event], tuple[Callable[[Any], None], ...]] = {}
        self._answering: dict[type[Command], tuple[Callable[[Any], None], ...]] = {}
        self._takes = [past.takes() for past in self._pasts]
        self._answers = [past.answers() for past in self._pasts]
        self._now = _LONG_AGO
        self._expected = Counter(dict(follows.recorded))
        self._follow_ups = frozenset(name for name, _ in follows.recorded)
        self._pending: Counter[tuple[str, bytes]] = Counter()
        self._at_once: list[Command] = []
        self._last = last
        self._open: set[str] = set()
        self._since_forgotten = 0
        self._row: Row | None = None
        self._events: list[Row] = []
        self.tally = Tally(why=[])
        state.under(policies)
        self._refresh()
        for past in self._pasts:
            past.begin(state, now)

    def take(self, row: Row) -> None:
        """Take the next row; a command is decided when its own events have been seen."""
        if row.kind == "e":
            if self._row is not None:
                self._events.append(row)
            return
        self._finish()
        self._row = row

    def end(self, now: datetime) -> None:
        """Finish the last command, let time pass to the window's end, and keep what is still open."""
        self._finish()
        self._turn(now)
        self._run_follow_ups()
        self._seen.done(self._state, sorted(self._open))
        self._open.clear()

    def _finish(self) -> None:
        row, self._row = self._row, None
        if row is None:
            return
        if row.at > self._now:
            self._turn(row.at)
        self._command(row)
        self._events.clear()
        if self._at_once:
            self._run_follow_ups()
        self._since_forgotten += 1
        if self._since_forgotten >= FORGET_EVERY:
            self._forget(row.position)

    def _turn(self, now: datetime) -> None:
        """Let what fell due between happen at the time of who next asks, as the door does."""
        self._now = max(now, self._now)
        for past in self._pasts:
            for event in past.turn(self._now):
                self._evolve(event)

    def _command(self, row: Row) -> None:
        verb, decoder, as_recorded = self._decoders.get(row.name, (None, None, True))
        if verb is None or decoder is None or as_recorded:
            self._as_recorded(row, verb, decoder)
            return
        assert row.body is not None, "a command's row has its body"
        command = decoder.decode(row.body)
        if row.name in self._follow_ups and row.actor == self._rooms.system.id:
            key = (row.name, json.encode(command))
            if self._pending[key]:
                self._pending[key] -= 1
            elif self._expected.get(key):
                # Its cause did not happen here, or not yet.
                self._expected[key] -= 1
                self.tally.left_out += 1
                return
        self._decide(row, verb, command, _Given(row.subject, row.at, self._events, self._now))

    def _decide(self, row: Row, verb: Verb[Any], command: Command, new_id: ids.IdSource) -> None:
        actor = self._actor(row.actor)
        context = Context(actor, self._now, new_id, self._policies)
        try:
            for answer in self._answering_of(type(command)):
                answer(command)
            decision = decide(self._house, self._standing, self._state, _Asked(verb, actor, command), context)
            if isinstance(decision, Accepted):
                for event in decision.events:
                    self._evolve(event)
        except Exception as error:
            self._broke(row, error)
            return
        self.tally.commands += 1
        self.tally.refused += not isinstance(decision, Accepted)
        self._seen.decided(row, self._state, decision)

    def _as_recorded(self, row: Row, verb: Verb[Any] | None, decoder: Any) -> None:
        """Take in what a command did, unless a guard stops it under these policies."""
        if verb is None or decoder is None:
            self.tally.broken += 1
            return
        kinds = self._house.events
        happened = [json.decode(e.body, kinds[e.name]) for e in self._events if e.body and e.name in kinds]
        recorded = Accepted(happened, row.subject)
        told = msgspec.structs.replace(verb, decide=lambda state, command, context: recorded)
        self._decide(row, told, decoder.decode(row.body or b""), ids.new_id)
        self.tally.recorded += 1

    def _evolve(self, event: Event) -> None:
        self._state.evolve(event)
        subject = event.subject
        if subject.startswith(self._rooms.watched):
            self._open.add(subject)
        kind = type(event)
        for take in self._taking_of(kind):
            take(event)
        if kind in self._rooms.standing_events:
            self._refresh()
        for command in self._follow(event, self._policies, self._commands):
            self._cause(command)

    def _taking_of(self, kind: type[Event]) -> tuple[Callable[[Any], None], ...]:
        found = self._taking.get(kind)
        if found is None:
            found = self._taking[kind] = tuple(takes[kind] for takes in self._takes if kind in takes)
        return found

    def _answering_of(self, kind: type[Command]) -> tuple[Callable[[Any], None], ...]:
        found = self._answering.get(kind)
        if found is None:
            found = self._answering[kind] = tuple(answers[kind] for answers in self._answers if kind in answers)
        return found

    def _cause(self, command: Command) -> None:
        """Note that a command follows by itself: where the journal has it, it waits for its place there."""
        key = (self._house.verbs[type(command)].name, json.encode(command))
        if self._expected.get(key):
            self._expected[key] -= 1
            self._pending[key] += 1
        else:
            self._at_once.append(command)

    def _run_follow_ups(self) -> None:
        position = self._row.position if self._row else 0
        while self._at_once:
            command = self._at_once.pop(0)
            verb = self._house.verbs[type(command)]
            subject = getattr(command, "order", "")
            row = Row(position, self._now, "c", verb.name, subject, self._rooms.system.id, None)
            self.tally.added += 1
            self._decide(row, verb, command, ids.sequence(self._now, ids.random_seed()))

    def _actor(self, actor: str) -> Actor:
        known: Actor | None = self._standing.own.get(actor)
        present: Actor = self._standing.present(known or Actor(actor, "service", actor), self._now)
        return present

    def _refresh(self) -> None:
        self._standing = self._rooms.standing(self._standing_now, self._state, self._policies)

    def _forget(self, position: int) -> None:
        self._since_forgotten = 0
        gone = [subject for subject in self._open if self._last.get(subject, 0) <= position]
        for past in self._pasts:
            gone = past.spent(gone)
        self._seen.done(self._state, gone)
        self._open.difference_update(gone)
        for past in self._pasts:
            past.forget(gone)

    def _broke(self, row: Row, error: Exception) -> None:
        self.tally.broken += 1
        if len(self.tally.why) < _SAMPLE:
            self.tally.why.append(f"{row.position} {row.name}: {type(error).__name__} {error}"[:300])


_ID = re.compile(rb'"([a-z]{2,5})_([0-9a-f]{12}7[0-9a-f]{19})"')


class _Asked:
    """One command as the door's `decide` wants it."""

    __slots__ = ("actor", "command", "stopped", "verb")

    def __init__(self, verb: Verb[Any], actor: Actor, command: Command) -> None:
        self.verb, self.actor, self.command = verb, actor, command
        self.stopped: tuple[Stopped, ...] = ()


class _Given:
    """A source of ids that gives those the journal has for this command, in the order they were drawn.

    What the journal's later commands name is found so. Where this replay draws more, they are fresh.
    """

    __slots__ = ("_at", "_events", "_fresh", "_left", "_now", "_subject")

    def __init__(self, subject: str, at: datetime, events: list[Row], now: datetime) -> None:
        self._subject: str | None = subject
        self._at, self._now = at, now
        self._events = events
        self._left: dict[str, list[str]] | None = None
        self._fresh: ids.IdSource | None = None

    def __call__(self, prefix: str) -> str:
        subject = self._subject
        if subject is not None and subject.startswith(prefix + "_"):
            self._subject = None
            if subject[len(prefix) + 1 :][:12] == self._time():
                return subject
        if self._left is None:
            self._left = self._recorded()
        found = self._left.get(prefix)
        if found:
            return found.pop(0)
        if self._fresh is None:
            self._fresh = ids.sequence(self._now, ids.random_seed())
        return self._fresh(prefix)

    def _time(self) -> str:
        return f"{int(self._at.timestamp() * 1000):012x}"

    def _recorded(self) -> dict[str, list[str]]:
        """Return the ids that were made at the command's own time and first stand in its events, by prefix."""
        time, found = self._time().encode(), dict[str, list[str]]()
        seen: set[bytes] = set()
        for event in self._events:
            for match in _ID.finditer(event.body or b""):
                prefix, digits = match.groups()
                whole = match.group(0)
                if digits.startswith(time) and whole not in seen:
                    seen.add(whole)
                    found.setdefault(prefix.decode(), []).append(f"{prefix.decode()}_{digits.decode()}")
        return found
