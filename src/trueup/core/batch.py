"""One batch: load, decide, apply, as sets.

    1. the batch row, the keys (sorted, first come first served), the authority epoch, and every slice's unlocked reads
    2. the locking reads, in the order of rooms and keys, and then what those locks guard; where a command names its
       balances only through its order's lines, the late rooms' reads follow when those are known
    3. guards and rules, in memory, command by command, each seeing what the one before it did
    4. the slices' net writes, the outcomes under their keys, the journal's positions, COMMIT

Each number is one round trip. `rehearse` is 1 to 3 without keys and locks, in a read-only transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
import psycopg

from trueup.core import ids, journal, json, refused
from trueup.core.arrays import literal
from trueup.core.checks import Check
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.past import Rooms
from trueup.core.policy import Policies, Policy
from trueup.core.refused import RULE, Stop, Stopped, Verdict, keep_quarantined, quarantined, stands
from trueup.core.verb import (
    Accepted,
    Actor,
    Batch,
    Command,
    Context,
    Decision,
    Event,
    Loading,
    Outcome,
    Rows,
    SetAside,
    Slice,
    State,
    Statement,
    Verb,
)

SIZE_MAX = 200
DOOR = "door"


class Standing(Protocol):
    """What holds for every command of one authority epoch: the epoch's number and the policies in force."""

    epoch: int
    policies: Policies

    def present(self, actor: Actor, now: datetime) -> Actor:
        """Return the actor with the roles held at a moment, whatever roles the caller brought."""


Guard = Callable[[Any, Actor, Verb[Any], Command, datetime, State], Decision | SetAside | None]
Judge = Callable[[Any, Stop], Verdict]
LoadStanding = Callable[[Connection], Awaitable[Any]]


class House(msgspec.Struct, frozen=True):
    """What the door is built of; `house.py` fills it in.

    slices: in the order of locks. guards: asked in this order before every rule. load_standing: reads rights, policies.
    kinds: the policy documents the rooms know. judge: asked whether a stop stands, where a guard or a rule stopped one.
    past: what the rooms tell a replay.
    """

    verbs: dict[type[Command], Verb[Any]]
    slices: tuple[type[Slice], ...]
    guards: tuple[Guard, ...]
    load_standing: LoadStanding
    events: dict[str, type[Event]]
    checks: tuple[Check, ...] = ()
    kinds: dict[str, type[Policy]] = {}
    judge: Judge = stands
    past: Rooms | None = None


class Submission:
    """One command on its way through the door; `outcome` is set by the batch that took it."""

    __slots__ = ("actor", "body", "command", "digest", "future", "keep", "key", "outcome", "stopped", "touches", "verb")

    def __init__(self, verb: Verb[Any], actor: Actor, key: str, command: Command) -> None:
        self.verb = verb
        self.actor = actor
        self.key = key
        self.command = command
        body = json.encode(command)
        self.digest = hashlib.sha256(verb.name.encode() + b"\0" + body).digest()
        self.keep: tuple[str, Any] | None = None
        if verb.personal is not None:
            words = getattr(command, verb.personal.field)
            if words is not None and not isinstance(words, str):
                self.keep = (ids.new_id("per"), words)
                self.command = msgspec.structs.replace(command, **{verb.personal.field: self.keep[0]})
                body = json.encode(self.command)
        self.body = body
        self.touches = verb.touches(command)
        self.outcome: Outcome | None = None
        self.stopped: tuple[Stopped, ...] = ()
        self.future: asyncio.Future[Outcome] | None = None

    def mark(self, state: State) -> None:
        """Let the state know what a rule may know of the personal words, where the verb says so."""
        if self.keep is not None and self.verb.personal is not None and self.verb.personal.mark is not None:
            self.verb.personal.mark(state, *self.keep)


class Asked(Protocol):
    """Who asks for what: of a submission, what the guards and the rule look at."""

    verb: Verb[Any]
    actor: Actor
    command: Command
    stopped: tuple[Stopped, ...]


class Reload(Exception):
    """What a batch read before locking no longer held after it: load again."""


class AnswerLost(Exception):
    """The connection went away after COMMIT was sent: what became of the batch, only its keys can tell."""


class StandingMoved(Exception):
    """Rights or policies changed since this process read them: read them, and run the batch again."""


async def run(
    connection: Connection, house: House, standing: Any, process: str, submissions: Sequence[Submission], now: datetime
) -> Any:
    """Run one batch to its commit and set each submission's outcome; return the standing it was decided under.

    Raises psycopg.Error, Reload or StandingMoved with nothing written, and AnswerLost when nobody knows; the caller
    decides whether to run it again or to cut it.
    """
    batch = Batch(str(uuid.UUID(int=int(ids.new_id("bat")[4:], 16))), now)
    if standing is None:
        standing = await house.load_standing(connection)
    state = State(house.slices)
    state.under(standing.policies)
    for submission in submissions:
        submission.outcome, submission.stopped = None, ()
        submission.mark(state)
        submission.verb.wants(state, submission.command, standing.policies)
    ordered = sorted(submissions, key=lambda s: (s.actor.id, s.key))
    opening = [
        Statement("begin"),
        Statement(
            "insert into batch (id, process, commands) values (%s::uuid, %s, %s)", [batch.id, process, len(submissions)]
        ),
        Statement(
            """insert into door_key (actor, key, digest, batch)
            select actor, key, digest, %s::uuid from unnest(%s::text[], %s::text[], %s::bytea[])
            as k (actor, key, digest) on conflict do nothing returning actor, key""",
            [batch.id, [s.actor.id for s in ordered], [s.key for s in ordered], [s.digest for s in ordered]],
        ),
    ]
    keys, epoch = await _load(connection, state, submissions, standing.policies, opening, now, lock=True)
    if epoch != standing.epoch:
        raise StandingMoved
    fresh = set(keys)
    known = [s for s in ordered if (s.actor.id, s.key) not in fresh]
    if known:
        await answer_known(connection, known)
    entries, poisoned = _decide_all(house, standing, state, submissions, now)
    try:
        await _apply(connection, state, batch, submissions, entries, poisoned)
    except psycopg.OperationalError as error:
        if connection.closed:
            raise AnswerLost(str(error)) from error
        raise
    return standing


class Rehearsed(msgspec.Struct, frozen=True):
    """What would happen: the outcome, and the events behind it."""

    outcome: Outcome
    events: tuple[Event, ...]


async def rehearse(
    connection: Connection,
    house: House,
    commands: Sequence[tuple[Actor, Command]],
    now: datetime,
    *,
    policies: Policies | None = None,
    as_of: int | None = None,
) -> list[Rehearsed]:
    """Decide commands one after another on one state, without locks, in a read-only transaction; nothing is applied.

    policies: decide under these instead of those in force. as_of: start from the state the journal had at this
    position, rebuilt by folding its events, instead of from now.
    """
    state = State(house.slices)
    submissions = [Submission(house.verbs[type(command)], actor, "", command) for actor, command in commands]
    await connection.execute("begin transaction isolation level repeatable read read only")
    try:
        standing = await house.load_standing(connection)
        state.under(policies or standing.policies)
        for submission in submissions:
            submission.mark(state)
            submission.verb.wants(state, submission.command, policies or standing.policies)
        if as_of is None:
            await _load(connection, state, submissions, policies or standing.policies, [], now, lock=False)
        else:
            state = await fold(connection, house, as_of)
            state.under(policies or standing.policies)
    finally:
        await connection.execute("rollback")
    _settle_due(state, now)
    rehearsed = []
    for submission in submissions:
        actor = standing.present(submission.actor, now)
        context = Context(actor, now, ids.sequence(now, ids.random_seed()), policies or standing.policies)
        decision = decide(house, standing, state, submission, context)
        _evolve(state, submission, decision)
        assert submission.outcome is not None
        rehearsed.append(
            Rehearsed(submission.outcome, tuple(decision.events) if isinstance(decision, Accepted) else ())
        )
    return rehearsed


async def look(
    connection: Connection, house: House, standing: Any, submissions: Sequence[Submission], now: datetime
) -> State:
    """Load, without locks, what these commands want; for who asks guards about them and decides nothing."""
    state = State(house.slices)
    state.under(standing.policies)
    for submission in submissions:
        submission.verb.wants(state, submission.command, standing.policies)
    await _load(connection, state, submissions, standing.policies, [], now, lock=False)
    return state


async def fold(connection: Connection, house: House, upto: int | None = None) -> State:
    """Rebuild all state from the journal's events up to a position; what it gives must equal the tables."""
    state = State(house.slices)
    async for row in journal.read_all(connection, upto):
        if row.kind == "e":
            state.evolve(json.decode(row.body, house.events[row.name]))
    return state


async def roundtrip(connection: Connection, statements: Iterable[Statement]) -> list[Rows]:
    """Send statements in one pipeline and return each one's rows."""
    cursors = []
    async with connection.pipeline():
        for statement in statements:
            parameters = [literal(value) if type(value) is list else value for value in statement.parameters]
            cursors.append(await connection.execute(statement.sql, parameters, prepare=True, binary=True))
    return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]


async def _load(
    connection: Connection,
    state: State,
    submissions: Sequence[Submission],
    policies: Policies,
    opening: list[Statement],
    now: datetime,
    *,
    lock: bool,
) -> tuple[Rows, int]:
    """Load every slice; return the fresh keys and the authority epoch.

    Where a command names rows only through others (an order's balances), the late slices wait until those are known, so
    that balances are still locked once, in key order.
    """
    naming = [submission for submission in submissions if submission.verb.then_wants is not None]
    first = [part for part in state.parts() if not (naming and part.late)]
    answers = await _advance(connection, first, [*opening, _EPOCH], now, lock=lock)
    for submission in naming:
        assert submission.verb.then_wants is not None
        submission.verb.then_wants(state, submission.command, policies)
    if naming:
        await _advance(connection, state.parts(), [], now, lock=lock)
    return (answers[-2] if opening else []), answers[-1][0][0]


_EPOCH = Statement("select value from epoch")
"""Sent after the first step's locks: a revocation that committed while they were awaited holds."""


async def _advance(
    connection: Connection, parts: Sequence[Slice], opening: list[Statement], now: datetime, *, lock: bool
) -> list[Rows]:
    """Advance slices together, one pipeline per step; return what the opening statements answered, the last one last.

    Of the opening, all but the last go before the slices' first statements, and the last after them.
    """
    waiting: list[tuple[Loading, list[Statement]]] = []
    for part in parts:
        loading = part.load(lock=lock, now=now)
        first = next(loading, None)
        if first is not None:
            waiting.append((loading, first))
    answers: list[Rows] = []
    while opening or waiting:
        wanted_now = [statement for _, wanted in waiting for statement in wanted]
        rest = await roundtrip(connection, [*opening[:-1], *wanted_now, *opening[-1:]])
        if opening:
            before = len(opening) - 1
            answers = [*rest[:before], rest[-1]]
            rest, opening = rest[before:-1], []
        following: list[tuple[Loading, list[Statement]]] = []
        for loading, wanted in waiting:
            mine, rest = rest[: len(wanted)], rest[len(wanted) :]
            try:
                following.append((loading, loading.send(mine)))
            except StopIteration:
                continue
        waiting = following
    return answers


async def answer_known(connection: Connection, known: list[Submission]) -> None:
    """Tell submissions whose keys were used before: the first outcome for the same body, a refusal for another."""
    rows = await roundtrip(
        connection,
        [
            Statement(
                """select k.actor, k.key, k.digest, k.outcome
                from unnest(%s::text[], %s::text[]) as a (actor, key) join door_key k using (actor, key)""",
                [[s.actor.id for s in known], [s.key for s in known]],
            )
        ],
    )
    stored = {(actor, key): (digest, outcome) for actor, key, digest, outcome in rows[0]}
    for submission in known:
        digest, outcome = stored[submission.actor.id, submission.key]
        if digest != submission.digest:
            submission.outcome = Outcome("refused", refusal=_KEY_REUSED)
        else:
            submission.outcome = msgspec.structs.replace(json.decode(outcome, Outcome), repeated=True)


_KEY_REUSED = Refusal(
    "door.key_reused",
    "This key was used before for another command.",
    "Use a fresh key for a new command; repeat the same body to learn the first outcome.",
    where="Idempotency-Key",
)


def _decide_all(
    house: House, standing: Any, state: State, submissions: Sequence[Submission], now: datetime
) -> tuple[list[journal.Entry], list[tuple[Submission, str]]]:
    """Decide each fresh command in turn; return the journal's rows and the commands whose rule broke."""
    entries = _settle_due(state, now)
    poisoned: list[tuple[Submission, str]] = []
    new_id = ids.sequence(now, ids.random_seed())
    for submission in submissions:
        if submission.outcome is not None:
            continue
        context = Context(standing.present(submission.actor, now), now, new_id, standing.policies)
        try:
            decision = decide(house, standing, state, submission, context)
        except Exception:
            poisoned.append((submission, traceback.format_exc(limit=-3)))
            submission.outcome = quarantined(submission)
            continue
        _evolve(state, submission, decision)
        if isinstance(decision, SetAside):
            poisoned.append((submission, f"{decision.rule}: {decision.refusal.what}"))
        if isinstance(decision, Accepted) and decision.events:
            _record(entries, submission, decision)
    return entries, poisoned


def _settle_due(state: State, now: datetime) -> list[journal.Entry]:
    """Let what became due happen first; it has no command, and the door itself is its actor."""
    entries = []
    for part in state.parts():
        for event in part.due(now):
            state.evolve(event)
            entries.append(journal.Entry("e", event.name, event.subject, DOOR, json.encode(event)))
    return entries


def decide(house: House, standing: Any, state: State, submission: Asked, context: Context) -> Decision | SetAside:
    """Ask the guards in their order, then the rule; where one says no, ask whether that stands.

    A rule that an override excuses is asked again, with what is excused; a guard is passed.
    """
    let_pass: list[Event] = []
    for guard in house.guards:
        stop = guard(standing, submission.actor, submission.verb, submission.command, context.now, state)
        if stop is not None and not _passes(
            house, standing, state, submission, context, guard.__name__, stop, let_pass
        ):
            return stop
    decision = submission.verb.decide(state, submission.command, context)
    while isinstance(decision, Refusal):
        unheeded = context.excuses(decision.rule, decision.value)
        if not _passes(house, standing, state, submission, context, RULE, decision, let_pass) or unheeded:
            return decision
        context = msgspec.structs.replace(context, excused=context.excused | {(decision.rule, decision.value)})
        decision = submission.verb.decide(state, submission.command, context)
    return msgspec.structs.replace(decision, events=(*let_pass, *decision.events)) if let_pass else decision


def _passes(
    house: House,
    standing: Any,
    state: State,
    submission: Asked,
    context: Context,
    guard: str,
    decision: Decision | SetAside,
    let_pass: list[Event],
) -> bool:
    """Tell whether the command goes on in spite of a stop; note the stop, and what letting it pass was recorded as."""
    stop = Stop(guard, decision, submission.actor, submission.verb, submission.command, context.now, state)
    verdict = house.judge(standing, stop)
    submission.stopped += (Stopped(guard, stop.rule, verdict.ended),)
    let_pass += verdict.events
    return verdict.passes


def _evolve(state: State, submission: Submission, decision: Decision | SetAside) -> None:
    """Set the outcome and take the events into the state."""
    if isinstance(decision, Refusal):
        submission.outcome = Outcome("refused", refusal=decision)
        return
    if isinstance(decision, SetAside):
        submission.outcome = Outcome("quarantined", refusal=decision.refusal)
        return
    submission.outcome = Outcome(decision.status, decision.result)
    state.acts.add((submission.verb.name, decision.subject, submission.actor.id))
    for event in decision.events:
        state.evolve(event)
    personal = submission.verb.personal
    if personal is not None and submission.keep is not None and _mentions(decision.events, submission.keep[0]):
        personal.keep(state, *submission.keep)


def _mentions(events: Sequence[Event], person: str) -> bool:
    """Tell whether an event refers to these words; what nothing refers to is not kept, for nobody could erase it."""
    return any(person.encode() in json.encode(event) for event in events)


def _record(entries: list[journal.Entry], submission: Submission, decision: Accepted) -> None:
    actor = submission.actor.id
    entries.append(journal.Entry("c", submission.verb.name, decision.subject, actor, submission.body))
    for event in decision.events:
        entries.append(journal.Entry("e", event.name, event.subject, actor, json.encode(event)))


async def _apply(
    connection: Connection,
    state: State,
    batch: Batch,
    submissions: Sequence[Submission],
    entries: list[journal.Entry],
    poisoned: list[tuple[Submission, str]],
) -> None:
    decided = [s for s in submissions if s.outcome is not None and not s.outcome.repeated]
    decided = [s for s in decided if s.outcome is not None and s.outcome.refusal is not _KEY_REUSED]
    statements = [statement for part in state.parts() for statement in part.write(batch)]
    if decided:
        statements.append(
            Statement(
                """update door_key k set outcome = o.outcome
                from unnest(%s::text[], %s::text[], %s::bytea[]) as o (actor, key, outcome)
                where k.actor = o.actor and k.key = o.key""",
                [[s.actor.id for s in decided], [s.key for s in decided], [json.encode(s.outcome) for s in decided]],
            )
        )
    statements += [keep_quarantined(submission, error) for submission, error in poisoned]
    statements += refused.keep(batch, [kept for submission in submissions for kept in refused.kept(submission)])
    statements += journal.append(batch.id, batch.at, entries)
    statements.append(Statement("commit"))
    await roundtrip(connection, statements)
