"""Load a staging area through the door, in batches, so that doing it again changes nothing.

    1. locations, items with their spellings, customers
    2. one command per document of history
    3. the opening stock

Several batches are under way at once, so that the database writes one while the next is made. What a command's outcome
means for the rows it carried is kept in `Books`: a row the door refused is quarantined with the refusal's words.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path

import msgspec

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.batch import SIZE_MAX
from trueup.core.door import Door
from trueup.core.verb import Actor, Command, Outcome
from trueup.migrate import commands
from trueup.migrate.commands import Carried, Naming, Row, open_staging, row_count
from trueup.orders.record import RecordOrder
from trueup.parties.record import RecordCustomer
from trueup.stock.count import CountStock

Tick = Callable[[str, int, int], None]
BATCHES_MAX = 4


class Deviation(msgspec.Struct, frozen=True):
    """A row that staging planned to apply and that ended otherwise: `quarantined` by the door, or known already."""

    file: str
    row: int
    entity: str
    outcome: str
    rule: str
    column: str
    value: str
    detail: str
    fix: str
    identity: str


class Books:
    """How the rows ended that a load carried.

    outcomes: commands by how they ended. rows: carried so far. legacy_ids: kind -> what the crosswalk has to know.
    shared: orders that another run brought and this one extended. not_new: documents that this run did not bring.
    """

    def __init__(self, *, again: bool = False) -> None:
        self.deviations: list[Deviation] = []
        self.outcomes: Counter[str] = Counter()
        self.rows = 0
        self.legacy_ids: dict[str, set[str]] = {"item": set(), "customer": set(), "location": set()}
        self.shared: set[str] = set()
        self.not_new: set[str] = set()
        self._again = again

    def take(self, carried: Carried, outcome: Outcome) -> None:
        """Book what a command's outcome means for its rows."""
        self.outcomes[outcome.status] += 1
        self.rows += len(carried.rows)
        command = carried.command
        if outcome.status not in ("applied", "merged"):
            self._refused(carried, outcome)
        elif isinstance(command, RecordOrder):
            self._document(carried, command, outcome)
        else:
            self._named(command)
            # A count that changes nothing confirms the book, and what an undone load left standing is this run's own.
            if outcome.status == "merged" and not self._again and not isinstance(command, CountStock):
                self._note(carried.rows, "merged", "already_loaded", "an earlier run brought this row")

    def fault(self, carried: Carried) -> None:
        """Book a command that cannot be sent as it is."""
        self.outcomes["quarantined"] += 1
        self.rows += len(carried.rows)
        if isinstance(carried.command, RecordOrder):
            self.not_new.add(carried.command.document)
        self._note(carried.rows, "quarantined", "load.invalid", carried.fault, "correct the row and run it again")

    def _document(self, carried: Carried, command: RecordOrder, outcome: Outcome) -> None:
        """Book a document; one that another run brought has `load` in the result, and the rows it had before."""
        if "load" not in outcome.result:
            return
        self.not_new.add(command.document)
        known = set(outcome.result.get("known", ()))
        if outcome.status == "applied":
            self.shared.add(outcome.result["order"])
        rows = [row for row in carried.rows if outcome.status == "merged" or row.identity in known or not row.identity]
        self._note(rows, "merged", "already_loaded", "an earlier run brought this row")

    def _named(self, command: Command) -> None:
        if isinstance(command, RegisterItem):
            self.legacy_ids["item"].update((command.sku, *command.aliases))
        elif isinstance(command, RecordCustomer):
            self.legacy_ids["customer"].add(command.number)
        elif isinstance(command, RegisterLocation):
            self.legacy_ids["location"].add(command.code)

    def _refused(self, carried: Carried, outcome: Outcome) -> None:
        refusal = outcome.refusal
        assert refusal is not None
        if isinstance(carried.command, RecordOrder):
            self.not_new.add(carried.command.document)
        for row in carried.rows:
            self.deviations.append(
                Deviation(row.file, row.row, row.entity, "quarantined", refusal.rule, refusal.where, refusal.value,
                          refusal.what, refusal.fix, row.identity)
            )  # fmt: skip

    def _note(self, rows: Iterable[Row], outcome: str, rule: str, detail: str, fix: str = "") -> None:
        for row in rows:
            self.deviations.append(
                Deviation(row.file, row.row, row.entity, outcome, rule, "", "", detail, fix, row.identity)
            )


class Known(msgspec.Struct, frozen=True):
    """What the house knows already of a source, which data that is only derived never overwrites.

    items: key -> (name, kind). customers: number -> country.
    """

    items: dict[str, tuple[str, str]] = {}
    customers: dict[str, str | None] = {}


async def load(
    door: Door,
    staging: Path,
    naming: Naming,
    known: Known,
    now: datetime,
    *,
    actor: Actor = SYSTEM,
    tick: Tick | None = None,
) -> Books:
    """Submit everything that a staging file plans to apply and return the books. now: the time of counts without one.

    tick: called with (`load`, rows done, rows planned).
    """
    opened = open_staging(staging)
    planned = row_count(opened, "row_outcome", "where outcome = 'apply'")
    books = Books(again=naming.attempt > 1)

    def progress(done: int) -> None:
        if tick is not None:
            tick("load", done, planned)

    try:
        for feed in (
            commands.locations(opened, naming),
            commands.items(opened, naming, known.items),
            commands.customers(opened, naming, known.customers),
            commands.orders(opened, naming),
            commands.counts(opened, naming, now),
        ):
            await pour(door, feed, books, actor=actor, tick=progress)
    finally:
        opened.close()
    return books


async def pour(
    door: Door,
    feed: Iterable[Carried],
    books: Books,
    *,
    actor: Actor = SYSTEM,
    tick: Callable[[int], None] | None = None,
) -> None:
    """Submit what a feed yields, at most four batches at once, and book each outcome. tick: called with rows done."""
    rest = iter(feed)
    under_way: deque[asyncio.Task[list[Carried]]] = deque()
    try:
        while part := list(islice(rest, SIZE_MAX)):
            under_way.append(asyncio.create_task(_submit(door, actor, part, books)))
            await asyncio.sleep(0)
            if len(under_way) >= BATCHES_MAX:
                await _settle(door, under_way.popleft(), books, actor, tick)
        while under_way:
            await _settle(door, under_way.popleft(), books, actor, tick)
    finally:
        for task in under_way:
            task.cancel()


async def _submit(door: Door, actor: Actor, part: list[Carried], books: Books) -> list[Carried]:
    """Submit a batch; return the counts that were refused as a whole and must go line by line."""
    good = [carried for carried in part if not carried.fault]
    outcomes = await door.submit_all(actor, [(carried.key, carried.command) for carried in good])
    for carried in part:
        if carried.fault:
            books.fault(carried)
    again = []
    for carried, outcome in zip(good, outcomes, strict=True):
        if outcome.refusal is not None and isinstance(carried.command, CountStock) and len(carried.rows) > 1:
            again.append(carried)
        else:
            books.take(carried, outcome)
    return again


async def _settle(
    door: Door, task: asyncio.Task[list[Carried]], books: Books, actor: Actor, tick: Callable[[int], None] | None
) -> None:
    for refused in await task:
        for start in range(0, len(refused.rows), SIZE_MAX):
            single = list(islice(commands.one_by_one(refused), start, start + SIZE_MAX))
            await _submit(door, actor, single, books)
    if tick is not None:
        tick(books.rows)
