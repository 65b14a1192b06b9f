"""Count sessions in one batch: what is to be counted at a location, and what was found; locked in the order of ids."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes

ITEMS_MAX = 5000
LineKey = tuple[str, str]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """One session. location: id. blind: whoever counts is not told what the book says."""

    id: str
    reference: str
    location: str
    blind: bool
    opened_by: str
    opened_at: datetime
    closed_at: datetime | None = None
    version: int = 1


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What somebody found of an item, or of a lot of it. See the table for what the figures mean."""

    item: str
    lot: str
    number: int
    units: Decimal
    book: Decimal
    worth: Decimal | None
    currency: str
    beyond: bool
    counted_at: datetime
    counted_by: str
    approved_by: str | None = None


class CountOpened(Event, frozen=True, kw_only=True):
    """A session began. items: ids of what is to be counted."""

    name = "stock.count_opened"
    about = "count.id"
    count: Count
    items: tuple[str, ...]


class CountRecorded(Event, frozen=True, kw_only=True):
    """Somebody counted."""

    name = "stock.count_recorded"
    about = "count"
    count: str
    entries: tuple[Entry, ...]
    at: datetime


class CountApproved(Event, frozen=True, kw_only=True):
    """Somebody who did not count stands for these variances. lines: (item, lot)."""

    name = "stock.count_approved"
    about = "count"
    count: str
    lines: tuple[LineKey, ...]
    by: str
    at: datetime


class CountClosed(Event, frozen=True, kw_only=True):
    """The session ended. abandoned: nothing was posted."""

    name = "stock.count_closed"
    about = "count"
    count: str
    abandoned: bool
    at: datetime


EVENTS = (CountOpened, CountRecorded, CountApproved, CountClosed)
_COLUMNS = "id, reference, location, blind, opened_by, opened_at, closed_at, version"
_ENTRY = ", ".join(Entry.__struct_fields__)


class Counts(Slice):
    """The sessions a batch names, with their items and entries. codes: of their locations, by id."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._scopes: set[str] = set()
        self.counts: dict[str, Count] = {}
        self.codes: dict[str, str] = {}
        self.items: dict[str, list[str]] = {}
        self.stocked: dict[str, list[str]] = {}
        self.busy: dict[tuple[str, str], str] = {}
        self._entries: dict[str, dict[LineKey, list[Entry]]] = {}
        self._changed: set[str] = set()
        self._new_items: list[tuple[str, str]] = []
        self._new: set[tuple[str, str, str, int]] = set()
        self._approved: set[tuple[str, str, str, int]] = set()

    def want(self, count: str) -> None:
        """Ask for a session."""
        self._ids.add(count)

    def want_scope(self, code: str) -> None:
        """Ask what lies on hand at a location (`stocked`), and what its open sessions count (`busy`)."""
        self._scopes.add(code)

    def entries(self, count: str) -> dict[LineKey, list[Entry]]:
        """Return a session's entries by item and lot, in their order."""
        return self._entries.get(count, {})

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the sessions; their rows guard items and entries, which the next statements read."""
        if not self._ids and not self._scopes:
            return
        ids, scopes = sorted(self._ids), sorted(self._scopes)
        self._ids.clear()
        self._scopes.clear()
        locking = " for no key update" if lock else ""
        answers = yield [
            Statement(f"select {_COLUMNS} from stock_count where id = any(%s::text[]) order by id{locking}", [ids]),
            Statement("select count, item from stock_count_line where count = any(%s::text[]) order by item", [ids]),
            Statement(f"select count, {_ENTRY} from stock_count_entry where count = any(%s::text[])", [ids]),
            Statement(
                """select l.id, l.code from stock_count c join location l on l.id = c.location
                where c.id = any(%s::text[])""",
                [ids],
            ),
            Statement(
                f"""select l.id, b.item from location l cross join lateral (
                    select item from stock_balance where location = l.id and on_hand > 0 order by item
                    limit {ITEMS_MAX + 1}) b where l.code = any(%s::text[])""",
                [scopes],
            ),
            Statement(
                """select c.location, i.item, c.id from stock_count c join location l on l.id = c.location
                join stock_count_line i on i.count = c.id where c.closed_at is null and l.code = any(%s::text[])""",
                [scopes],
            ),
        ]
        for row in answers[0]:
            count = Count(**dict(zip(Count.__struct_fields__, row, strict=True)))
            self.counts[count.id] = count
        for id_, item in answers[1]:
            self.items.setdefault(id_, []).append(item)
        for id_, *columns in sorted(answers[2]):
            entry = Entry(*columns)
            self._entries.setdefault(id_, {}).setdefault((entry.item, entry.lot), []).append(entry)
        self.codes.update(answers[3])
        for location, item in answers[4]:
            self.stocked.setdefault(location, []).append(item)
        self.busy.update({(location, item): id_ for location, item, id_ in answers[5]})

    def takes(self) -> Takes:
        """Take a session's event in."""
        return {
            CountOpened: self._opened,
            CountRecorded: self._recorded,
            CountApproved: self._approve,
            CountClosed: self._closed,
        }

    def _opened(self, event: CountOpened) -> None:
        count = event.count
        self.counts[count.id] = count
        self.items[count.id] = list(event.items)
        self._changed.add(count.id)
        self._new_items += [(count.id, item) for item in event.items]
        self.busy.update({(count.location, item): count.id for item in event.items})

    def _recorded(self, event: CountRecorded) -> None:
        self._touch(event.count)
        for entry in event.entries:
            self._entries.setdefault(event.count, {}).setdefault((entry.item, entry.lot), []).append(entry)
            self._new.add((event.count, entry.item, entry.lot, entry.number))

    def _approve(self, event: CountApproved) -> None:
        self._touch(event.count)
        for key in event.lines:
            entries = self._entries[event.count][key]
            entries[-1] = msgspec.structs.replace(entries[-1], approved_by=event.by)
            self._approved.add((event.count, *key, entries[-1].number))

    def _closed(self, event: CountClosed) -> None:
        self._touch(event.count, closed_at=event.at)
        count = self.counts[event.count]
        for item in self.items.get(count.id, ()):
            self.busy.pop((count.location, item), None)

    def _touch(self, count: str, **values: Any) -> None:
        known = self.counts[count]
        self.counts[count] = msgspec.structs.replace(known, version=known.version + 1, **values)
        self._changed.add(count)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the sessions, their items and their entries."""
        entries = {
            (id_, e.item, e.lot, e.number): tuple(getattr(e, name) for name in Entry.__struct_fields__[3:])
            for id_, lines in self._entries.items()
            for line in lines.values()
            for e in line
        }
        return [
            Rebuilt(
                "count",
                f"select {_COLUMNS} from stock_count",
                {(c.id,): tuple(getattr(c, n) for n in Count.__struct_fields__[1:]) for c in self.counts.values()},
            ),
            Rebuilt(
                "count_line",
                "select count, item, item from stock_count_line",
                {(id_, item): (item,) for id_, items in self.items.items() for item in items},
            ),
            Rebuilt("count_entry", f"select count, {_ENTRY} from stock_count_entry", entries),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upserts of sessions and entries that changed."""
        if not self._changed:
            return []
        found = [self.counts[id_] for id_ in sorted(self._changed)]
        statements = [Statement(_UPSERT, [[getattr(row, name) for row in found] for name in Count.__struct_fields__])]
        if self._new_items:
            statements.append(
                Statement(
                    "insert into stock_count_line (count, item) select * from unnest(%s::text[], %s::text[])",
                    [[id_ for id_, _ in self._new_items], [item for _, item in self._new_items]],
                )
            )
        if self._new:
            keys = sorted(self._new)
            rows = [self._entry(*key) for key in keys]
            columns: list[list[Any]] = [[getattr(row, name) for row in rows] for name in Entry.__struct_fields__]
            statements.append(Statement(_INSERT_ENTRIES, [[key[0] for key in keys], *columns]))
        later = sorted(self._approved - self._new)
        if later:
            by = [self._entry(*key).approved_by for key in later]
            statements.append(Statement(_APPROVE, [*([key[at] for key in later] for at in range(4)), by]))
        return statements

    def _entry(self, count: str, item: str, lot: str, number: int) -> Entry:
        return next(entry for entry in self._entries[count][item, lot] if entry.number == number)


_UPSERT = f"""insert into stock_count ({_COLUMNS})
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::bool[], %s::text[], %s::timestamptz[],
                         %s::timestamptz[], %s::int[])
    on conflict (id) do update set closed_at = excluded.closed_at, version = excluded.version"""
_INSERT_ENTRIES = f"""insert into stock_count_entry (count, {_ENTRY})
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::numeric[], %s::numeric[], %s::numeric[],
                         %s::text[], %s::bool[], %s::timestamptz[], %s::text[], %s::text[])"""
_APPROVE = """update stock_count_entry e set approved_by = n.by
    from unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::text[]) as n (count, item, lot, number, by)
    where (e.count, e.item, e.lot, e.number) = (n.count, n.item, n.lot, n.number)"""
