"""The one door: every write of business state is a command that passes here.

Concurrent submissions coalesce: while one batch commits, the next gathers, up to 200 commands; there is no artificial
delay. A lost race or connection runs the whole batch again, at most five times; keys make that safe. Any other
database error cuts the batch in halves until the poisonous command stands alone and is quarantined.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg
import structlog

from trueup.core import batch as batches
from trueup.core import json, refused
from trueup.core.batch import AnswerLost, House, Rehearsed, Reload, StandingMoved, Submission
from trueup.core.clock import Clock, SystemClock
from trueup.core.database import Connection, connect
from trueup.core.errors import DatabaseUnreachable, Overloaded, Refusal, Refused, Unknown
from trueup.core.policy import Policies
from trueup.core.trial import Tried, tried
from trueup.core.verb import Actor, Command, Outcome, Statement

RETRIES_MAX = 5
BISECTIONS_MAX = 64
_RETRIED_CLASSES = ("08", "57P0")
# 23505: two batches met at a unique key; the second reads what the first wrote and decides again (decision 0003).
_RETRIED = frozenset({"40001", "40P01", "55P03", "53300", "25006", "23505"})

KEY_LENGTH_MAX = 300
_BAD_KEY = Refusal(
    "door.key",
    f"A key has 1 to {KEY_LENGTH_MAX} characters, none of them NUL.",
    "Send a fresh UUID with each command, and the same one when repeating it.",
    where="Idempotency-Key",
)
_WORDS_BY_ID = Refusal(
    "door.words_by_id",
    "Personal data comes as an object; an id stands for it in the journal only.",
    "Send the words themselves, or leave the field out.",
    where="contact",
)

log = structlog.get_logger("trueup.door")


class Door:
    """The door of one process. Use it as an async context manager, or `open` and `close` it.

    writers: batches open at once. queue_max: commands held before `submit` raises Overloaded.
    on_commit: called after each commit, in the event loop (it wakes the storyline).
    """

    def __init__(
        self,
        url: str,
        house: House,
        *,
        writers: int = 2,
        queue_max: int = 4000,
        clock: Clock | None = None,
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        self._url = url
        self._house = house
        self._writers = writers
        self._queue_max = queue_max
        self._clock = clock or SystemClock()
        self.on_commit = on_commit or (lambda: None)
        self._queue: deque[Submission] = deque()
        self._busy: dict[str, int] = {}
        self._idle: dict[int, asyncio.Future[None]] = {}
        self._room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._standing: Any = None
        self._closing = False
        self._process = f"{socket.gethostname()}:{os.getpid()}"

    async def __aenter__(self) -> Door:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect the writers and start taking commands."""
        self._closing = False
        for number in range(self._writers):
            connection = await self._connect()
            self._tasks.append(asyncio.create_task(self._write(number, connection), name=f"door writer {number}"))

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        self._closing = True
        self._wake(everyone=True)
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def submit(self, actor: Actor, command: Command, key: str) -> Outcome:
        """Put one command through and return how it ended; the same key with the same body is told the first outcome.

        Raises Overloaded when the queue is full, Refused for a key that cannot be kept, DatabaseUnreachable when
        nothing was written, and Unknown when the answer to COMMIT was lost: then the same key tells the truth.
        """
        return await self._enqueue(self._prepare(actor, command, key))

    async def submit_all(self, actor: Actor, commands: Iterable[tuple[str, Command]]) -> list[Outcome]:
        """Put many (key, command) through, in their order per aggregate; waits for room in the queue."""
        futures = []
        for key, command in commands:
            while len(self._queue) >= self._queue_max:
                self._room.clear()
                await self._room.wait()
            futures.append(self._enqueue(self._prepare(actor, command, key)))
        return list(await asyncio.gather(*futures))

    async def rehearse(
        self,
        commands: Sequence[tuple[Actor, Command]],
        *,
        policies: Policies | None = None,
        as_of: int | None = None,
    ) -> list[Rehearsed]:
        """Show what commands would do, one after another; nothing is written. See `batch.rehearse`."""
        connection = await connect(self._url, default_transaction_read_only="on")
        try:
            return await batches.rehearse(
                connection, self._house, commands, self._clock.now(), policies=policies, as_of=as_of
            )
        finally:
            await connection.close()

    async def try_guard(self, guard: str, days: int) -> Tried:
        """Ask one guard about the commands of the last days; nothing is written. See `trial.tried`."""
        connection = await connect(self._url, default_transaction_read_only="on", statement_timeout="5min")
        try:
            return await tried(connection, self._house, guard, self._clock.now(), days)
        finally:
            await connection.close()

    async def _connect(self) -> Connection:
        """Open a writer's session. Its statements all find rows by key, so one plan by index serves every batch.

        Planned anew for every array, statements cost more than they do (docs/promises.md).
        """
        return await connect(
            self._url,
            plan_cache_mode="force_generic_plan",
            enable_seqscan="off",
            enable_hashjoin="off",
            enable_mergejoin="off",
        )

    def now(self) -> datetime:
        """Return the time by which this door decides."""
        return self._clock.now()

    def queued(self) -> int:
        """Return how many commands wait."""
        return len(self._queue)

    def _prepare(self, actor: Actor, command: Command, key: str) -> Submission:
        if not 0 < len(key) <= KEY_LENGTH_MAX or "\0" in key:
            raise Refused(_BAD_KEY)
        submission = Submission(self._house.verbs[type(command)], actor, key, command)
        personal = submission.verb.personal
        if personal is not None and isinstance(getattr(command, personal.field), str):
            raise Refused(_WORDS_BY_ID)
        submission.touches = (f"key:{actor.id}:{key}", *submission.touches)
        return submission

    def _enqueue(self, submission: Submission) -> asyncio.Future[Outcome]:
        if self._closing or not self._tasks:
            raise DatabaseUnreachable("the door is closed; the server is starting or stopping")
        if len(self._queue) >= self._queue_max:
            raise Overloaded(f"{len(self._queue)} commands are waiting already; nothing was written, try again later")
        submission.future = asyncio.get_running_loop().create_future()
        self._queue.append(submission)
        self._wake()
        return submission.future

    def _wake(self, *, everyone: bool = False) -> None:
        """Wake the first writer that waits: while one is enough it is the same, whose session has its plans already."""
        for writer in sorted(self._idle) if everyone else sorted(self._idle)[:1]:
            woken = self._idle.pop(writer)
            if not woken.done():
                woken.set_result(None)

    def _take(self, writer: int) -> list[Submission]:
        """Take up to 200 commands whose aggregates no other writer holds; each key once, order kept per aggregate."""
        taken: list[Submission] = []
        passed: list[Submission] = []
        barred: set[str] = set()
        while self._queue and len(taken) < batches.SIZE_MAX and len(passed) < batches.SIZE_MAX:
            submission = self._queue.popleft()
            touches = submission.touches
            if self._busy.get(touches[0]) is not None or any(
                name in barred or self._busy.get(name, writer) != writer for name in touches
            ):
                barred.update(touches)
                passed.append(submission)
                continue
            for name in touches:
                self._busy[name] = writer
            taken.append(submission)
        self._queue.extendleft(reversed(passed))
        self._room.set()
        return taken

    async def _write(self, writer: int, connection: Connection) -> None:
        while True:
            taken = self._take(writer)
            if not taken:
                if self._closing and not self._queue:
                    await connection.close()
                    return
                if not self._queue or self._busy:
                    self._idle[writer] = asyncio.get_running_loop().create_future()
                    await self._idle[writer]
                continue
            if self._queue:
                self._wake()
            try:
                connection = await self._run(connection, taken)
                self._settle(taken)
                self.on_commit()
            except Exception:
                # A fault of the door's own must not stop the door; whoever waits can ask again with the same key.
                log.exception("batch failed", commands=len(taken))
            finally:
                _fail(taken, Unknown("the batch broke off; ask again with the same key"))
                for submission in taken:
                    for name in submission.touches:
                        self._busy.pop(name, None)
                if self._closing:
                    self._wake(everyone=True)

    def _settle(self, taken: list[Submission]) -> None:
        for submission in taken:
            outcome = submission.outcome
            if outcome is not None and outcome.status == "quarantined" and not outcome.repeated:
                log.warning("command quarantined", verb=submission.verb.name, key=submission.key)
            if submission.future is not None and not submission.future.done() and submission.outcome is not None:
                submission.future.set_result(submission.outcome)

    async def _run(self, connection: Connection, taken: list[Submission]) -> Connection:
        """Run the batch; cut it where a command is poison. Every submission ends with an outcome or an exception."""
        pending = [taken]
        runs = 0
        while pending:
            part = pending.pop(0)
            runs += 1
            try:
                connection = await self._run_retrying(connection, part)
            except (DatabaseUnreachable, Unknown) as error:
                _fail(part, error)
            except Exception as error:
                if len(part) == 1:
                    connection = await self._quarantine(connection, part[0], error)
                elif runs < BISECTIONS_MAX:
                    middle = len(part) // 2
                    pending[:0] = [part[:middle], part[middle:]]
                else:
                    pending[:0] = [[submission] for submission in part]
        return connection

    async def _run_retrying(self, connection: Connection, part: Sequence[Submission]) -> Connection:
        last: Exception | None = None
        answer_lost = False
        for attempt in range(RETRIES_MAX + 1):
            if attempt and not isinstance(last, StandingMoved):
                await asyncio.sleep(0.05 * 2**attempt * random.uniform(0.5, 1.0))
            try:
                connection = await self._ready(connection)
                self._standing = await batches.run(
                    connection, self._house, self._standing, self._process, part, self._clock.now()
                )
            except StandingMoved as error:
                self._standing = None
                last = error
            except AnswerLost as error:
                answer_lost = True
                last = error
            except (Reload, DatabaseUnreachable) as error:
                last = error
            except psycopg.Error as error:
                if not _is_retried(error) or _is_the_same_clash(error, last):
                    raise
                last = error
                log.info("batch runs again", sqlstate=error.sqlstate, attempt=attempt, commands=len(part))
            else:
                return connection
        if answer_lost:
            raise Unknown("the database went away while the answer was due; ask again with the same key") from last
        raise DatabaseUnreachable(f"the batch did not get through after {RETRIES_MAX} retries: {last}") from last

    async def _ready(self, connection: Connection) -> Connection:
        """Return a connection outside any transaction: this one rolled back, or a new one where it is broken."""
        if not connection.closed and not connection.broken:
            try:
                await connection.rollback()
                return connection
            except psycopg.Error:
                pass
        await connection.close()
        return await self._connect()

    async def _quarantine(self, connection: Connection, submission: Submission, error: Exception) -> Connection:
        """Set a poisonous command aside under its key, unless another process answered that key meanwhile."""
        what = _without_words(error, submission)
        log.warning("command quarantined", verb=submission.verb.name, key=submission.key, error=what[:300])
        outcome = refused.quarantined(submission)
        claimed = Statement(
            """insert into door_key (actor, key, digest, batch, outcome)
            values (%s, %s, %s, %s, %s) on conflict do nothing returning key""",
            [submission.actor.id, submission.key, submission.digest, uuid.uuid4(), json.encode(outcome)],
        )
        try:
            connection = await self._ready(connection)
            answers = await batches.roundtrip(connection, [Statement("begin"), claimed])
            if answers[-1]:
                kept = refused.keep_quarantined(submission, what)
                await batches.roundtrip(connection, [kept, Statement("commit")])
                submission.outcome = outcome
            else:
                await batches.answer_known(connection, [submission])
        except (psycopg.Error, DatabaseUnreachable) as failure:
            _fail([submission], Unknown(f"the command failed and could not be set aside: {failure}"))
        return connection


def _fail(part: Sequence[Submission], error: Exception) -> None:
    for submission in part:
        if submission.future is not None and not submission.future.done():
            submission.future.set_exception(error)


def _is_the_same_clash(error: psycopg.Error, last: Exception | None) -> bool:
    """Tell whether a unique key refused the batch twice for one value: then it is no race."""
    return (
        isinstance(error, psycopg.errors.UniqueViolation)
        and isinstance(last, psycopg.errors.UniqueViolation)
        and (error.diag.constraint_name, error.diag.message_detail)
        == (last.diag.constraint_name, last.diag.message_detail)
    )


def _without_words(error: Exception, submission: Submission) -> str:
    """Describe an error; where the command came with personal words, without the values that the database quotes."""
    if submission.keep is None:
        return repr(error)
    if not isinstance(error, psycopg.Error):
        return type(error).__name__
    found = (error.sqlstate, error.diag.table_name, error.diag.column_name, error.diag.constraint_name)
    return " ".join([type(error).__name__, *(part for part in found if part)])


def _is_retried(error: psycopg.Error) -> bool:
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state in _RETRIED or state.startswith(_RETRIED_CLASSES)
