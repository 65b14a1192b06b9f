"""Shelves that one process keeps: what was read of an item holds until the journal says that it changed.

    1. questions that are there when one begins are answered with it; the others wait their turn
    2. what the journal got since then: an item that an event names is forgotten; what nobody understands empties all
    3. what is not kept is read from the tables, and kept

An answer is as of a moment that is not before its question came: the journal is read after that, and shows whatever
was committed; no time passes for which an old figure would do. Positions are in commit order, so that nothing read
in 3 can be older than the cursor of 2. Nothing is decided from what is kept here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from trueup.catalogue.cost import CostRecorded
from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.verb import Statement
from trueup.stock.limits import Buffers
from trueup.stock.shelves import NOBODY, Places, Stocked, read_places, read_stocked, rows_of
from trueup.stock.supply_state import DemandUnpegged

FIGURES_MAX = 2_000_000
"""Figures (items times locations) that are kept: some 20 MB; what was read first goes first."""
KEYS_MAX = 500_000
EVENTS_MAX = 5_000
"""Events that are looked at one by one; after more, all is read again."""
_ITEM = re.compile(rb"itm_[0-9a-f]{32}")
_HEAD = "select coalesce(max(position), 0), '', '', ''::bytea from journal"
_SINCE = f"""{_HEAD} union all (select position, name, subject, body from journal
    where position > %s and kind = 'e' and (starts_with(name, 'stock.') or starts_with(name, 'catalogue.'))
    order by position limit %s)"""
# An event that lets demand go names its holder alone.
_WAITED = "select distinct item from stock_peg where holder = any(%s::text[])"


class Shelved(msgspec.Struct, frozen=True):
    """The answer to one question. found: by the key asked for; parts: of kits without stock of their own, by item."""

    places: Places
    found: dict[str, Stocked]
    parts: dict[str, Stocked]


class _Question:
    """What one reader asks, and in the end its answer."""

    __slots__ = ("answer", "channel", "keys", "now", "policies")

    def __init__(self, policies: Policies, keys: Iterable[str], channel: str, now: datetime) -> None:
        self.policies = policies
        self.keys = sorted(set(keys))
        self.channel = channel
        self.now = now
        self.answer: Shelved | None = None


class Shelves:
    """The shelves of one process; without being shared, those of one question."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._asked: list[_Question] = []
        self._cursor: int | None = None
        self._buffers: Buffers | None = None
        self._places: Places | None = None
        self._keys: dict[str, str] = {}
        self._items: dict[str, dict[str, Stocked]] = {}
        self._supplies: dict[str, str] = {}

    async def read(
        self, connection: Connection, policies: Policies, keys: Iterable[str], channel: str, now: datetime
    ) -> Shelved:
        """Return what a channel may have of items, by any of their keys, with the parts of kits."""
        question = _Question(policies, keys, channel, now)
        self._asked.append(question)
        async with self._turn:
            if question.answer is None:
                await self._answer_all(connection, question)
        assert question.answer is not None
        return question.answer

    async def _answer_all(self, connection: Connection, first: _Question) -> None:
        """Answer every question that came by now; what fails, fails for the first alone, and the others ask again."""
        buffers = first.policies.get(Buffers)
        asked, self._asked = self._asked, []
        together = [question for question in asked if question.policies.get(Buffers) == buffers]
        try:
            if buffers != self._buffers:
                self._forget_all()
                self._buffers = buffers
            await self._follow(connection)
            if self._places is None:
                self._places = await read_places(connection)
            await self._load(connection, together, self._places)
            for question in together:
                question.answer = self._answer(question, self._places)
        finally:
            self._asked += [question for question in asked if question.answer is None and question is not first]
            self._keep_within()

    async def _follow(self, connection: Connection) -> None:
        """Forget what the journal says has changed."""
        cursor, since = self._cursor, EVENTS_MAX + 1
        if cursor is None:
            self._cursor = (await rows_of(connection, Statement(_HEAD)))[0][0]
            return
        rows = await rows_of(connection, Statement(_SINCE, [cursor, since]))
        events = [row for row in rows if row[1]]
        if len(events) > EVENTS_MAX:
            self._forget_all()
        let_go = {subject for _, name, subject, _ in events if name == DemandUnpegged.name}
        for _, name, subject, body in events:
            if name.startswith("catalogue."):
                if name != CostRecorded.name:
                    self._forget_all()
            elif name != DemandUnpegged.name:
                self._changed(subject, body)
        if let_go and self._items:
            for (item,) in await rows_of(connection, Statement(_WAITED, [sorted(let_go)])):
                self._forget(item)
        self._cursor = max(row[0] for row in rows)

    def _changed(self, subject: str, body: bytes) -> None:
        named = _ITEM.findall(body)
        for item in named:
            self._forget(item.decode())
        if subject.startswith("sup_"):
            if subject in self._supplies:
                self._forget(self._supplies[subject])
        elif not named:
            self._forget_all()

    def _forget(self, item: str) -> None:
        for stocked in self._items.pop(item, {}).values():
            for supply in stocked.supplies:
                self._supplies.pop(supply, None)

    def _forget_all(self) -> None:
        self._places = None
        self._keys.clear()
        self._items.clear()
        self._supplies.clear()

    def _kept(self, item: str, channel: str, now: datetime) -> Stocked | None:
        kept = self._items.get(item)
        if kept is None:
            return None
        found = kept[NOBODY]
        if found.limited and channel:
            limited = kept.get(channel)
            if limited is None:
                return None
            found = limited
        return found if found.until is None or now < found.until else None

    async def _load(self, connection: Connection, questions: list[_Question], places: Places) -> None:
        """Read what is asked and not kept: items by their keys, and then the parts of kits."""
        now = max(question.now for question in questions)
        missing: set[str] = set()
        parts: set[str] = set()
        for question in questions:
            for key in question.keys:
                if self._found(key, question) is None:
                    missing.add(key)
        if missing:
            await self._take(connection, questions, places, missing, now, by_id=False)
        for question in questions:
            for key in question.keys:
                found = self._found(key, question)
                for item, _ in found.components if found is not None else ():
                    if self._kept(item, question.channel, question.now) is None:
                        parts.add(item)
        if parts:
            await self._take(connection, questions, places, parts, now, by_id=True)

    async def _take(
        self, connection: Connection, questions: list[_Question], places: Places, names: set[str], now: datetime, *,
        by_id: bool,
    ) -> None:  # fmt: skip
        channels = {question.channel for question in questions}
        policies = questions[0].policies
        read = await read_stocked(connection, policies, places, sorted(names), channels, now, by_id=by_id)
        for name, by_channel in read.items():
            item = by_channel[NOBODY].part.item
            self._keys[name] = item
            self._items[item] = self._items.pop(item, {}) | by_channel
            self._supplies |= dict.fromkeys(by_channel[NOBODY].supplies, item)

    def _found(self, key: str, question: _Question) -> Stocked | None:
        item = self._keys.get(key)
        return self._kept(item, question.channel, question.now) if item is not None else None

    def _answer(self, question: _Question, places: Places) -> Shelved:
        found = {key: stocked for key in question.keys if (stocked := self._found(key, question)) is not None}
        parts: dict[str, Stocked] = {}
        for stocked in found.values():
            for item, _ in stocked.components:
                part = self._kept(item, question.channel, question.now)
                assert part is not None, "the parts of what was found were read with it"
                parts[item] = part
        return Shelved(places, found, parts)

    def _keep_within(self) -> None:
        """Forget what was read first, until no more figures are kept than may be."""
        most = FIGURES_MAX // max(1, len(self._places.all) if self._places is not None else 1)
        while len(self._items) > most:
            self._forget(next(iter(self._items)))
        if len(self._keys) > KEYS_MAX:
            self._keys.clear()
