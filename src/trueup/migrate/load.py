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
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from trueup.authority.standing import SYSTEM
from trueup.core.batch import SIZE_MAX
from trueup.core.door import Door
from trueup.core.verb import Actor, Outcome
from trueup.migrate import commands
from trueup.migrate.commands import Carried, Row
from trueup.orders.record import RecordOrder
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
    """How the rows ended that a load carried. applied: commands by verb. shared: orders another run brought."""

    def __init__(self) -> None:
        self.deviations: list[Deviation] = []
        self.outcomes: Counter[str] = Counter()
        self.shared: set[str] = set()
        self.lines = 0

    def take(self, carried: Carried, outcome: Outcome) -> None:
        """Book what a command's outcome means for its rows."""
        self.outcomes[outcome.status] += 1
        self.lines += len(carried.rows)
        if outcome.status == "applied":
            self._part_known(carried, outcome)
        elif outcome.status == "merged":
            self._note(carried.rows, "merged", "already_loaded", "an earlier run brought this row")
        else:
            self._refused(carried, outcome)

    def fault(self, carried: Carried) -> None:
        """Book a command that cannot be sent as it is."""
        self.outcomes["quarantined"] += 1
        self._note(carried.rows, "quarantined", "load.invalid", carried.fault, "correct the row and run it again")

    def _part_known(self, carried: Carried, outcome: Outcome) -> None:
        known = outcome.result.get("known")
        if known is not None:
            there = set(known)
            rows = [row for row in carried.rows if row.identity in there or row.entity == "order"]
            self._note(rows, "merged", "already_loaded", "an earlier run brought this row")
        if outcome.result.get("load") is not None:
            self.shared.add(outcome.result["order"])

    def _refused(self, carried: Carried, outcome: Outcome) -> None:
        refusal = outcome.refusal
        assert refusal is not None
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


async def pour(
    door: Door, feed: Iterable[Carried], books: Books, *, actor: Actor = SYSTEM, tick: Callable[[int], None] | None = None
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
        tick(books.lines)
