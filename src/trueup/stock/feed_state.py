"""Stock feeds in one batch: what a source last told, feeds that are held, rows in quarantine, and lean lookups.

A feed has thousands of rows, so items are read by key with just what a row needs. Loaded again after the balances were
locked, it reads what was claimed since a feed's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes

FeedKind = Literal["snapshot", "delta"]
Ending = Literal["applied", "merged", "quarantined", "ignored"]


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """One feed, and how its rows ended; the four counts sum to `rows`.

    as_of: the source's time. sequence: of a delta. location: code for rows that name none. by: who sent it.
    held_why: why it was put into quarantine whole. settled_why: why a person released or rejected it.
    """

    id: str
    source: str
    kind: FeedKind
    as_of: datetime
    received_at: datetime
    by: str
    rows: int
    applied: int = 0
    merged: int = 0
    quarantined: int = 0
    ignored: int = 0
    sequence: int | None = None
    location: str | None = None
    held_why: str | None = None
    released_at: datetime | None = None
    rejected_at: datetime | None = None
    settled_why: str | None = None
    version: int = 1


class BadRow(msgspec.Struct, frozen=True, array_like=True):
    """A row that could not be understood: its number from 1, the field, its value, the rule, and the row as it came."""

    row: int
    field: str
    value: str
    rule: str
    raw: str


class FeedReported(Event, frozen=True, kw_only=True):
    """A source told what it has; its rows were posted but for the bad ones."""

    name = "stock.feed_reported"
    about = "feed.id"
    feed: Feed
    bad: tuple[BadRow, ...] = ()


class FeedHeld(Event, frozen=True, kw_only=True):
    """A feed would have changed too much at once, and waits for a person. body: its rows as JSON, as they came."""

    name = "stock.feed_held"
    about = "feed.id"
    feed: Feed
    body: str


class FeedReleased(Event, frozen=True, kw_only=True):
    """A person let a held feed pass. The counts are those of its rows."""

    name = "stock.feed_released"
    about = "feed"
    feed: str
    why: str
    applied: int
    merged: int
    quarantined: int
    ignored: int
    at: datetime
    bad: tuple[BadRow, ...] = ()


class FeedRejected(Event, frozen=True, kw_only=True):
    """A person rejected a held feed; none of its rows counts."""

    name = "stock.feed_rejected"
    about = "feed"
    feed: str
    why: str
    at: datetime


class FeedRowSettled(Event, frozen=True, kw_only=True):
    """A row left quarantine. ending: what it counts as now."""

    name = "stock.feed_row_settled"
    about = "feed"
    feed: str
    row: int
    settled: Literal["corrected", "discarded"]
    ending: Ending
    why: str
    at: datetime


EVENTS = (FeedReported, FeedHeld, FeedReleased, FeedRejected, FeedRowSettled)


class FeedItem(NamedTuple):
    """What a feed's row needs to know of an item."""

    id: str
    sku: str
    phantom: bool
    tracking: str


class Source(msgspec.Struct):
    """What a source last told: the time of its newest snapshot, and its highest sequence number."""

    as_of: datetime | None = None
    sequence: int | None = None
    version: int = 0


_FEED = Feed.__struct_fields__
_BAD = ("field", "value", "rule", "raw", "settled_at", "settled")
_CLAIMED = """select c.item, c.location, w.since, c.kind, sum(c.quantity)
    from unnest(%s::text[], %s::text[], %s::timestamptz[]) as w (key, code, since)
    join item_key k using (key) join location l using (code)
    join stock_claim c on c.item = k.item and c.location = l.id and c.at > w.since
    group by c.item, c.location, w.since, c.kind"""

# Two batches that meet a new source both insert it: the second is run again, and reads what the first wrote.
_INSERT_SOURCES = """insert into stock_feed_source (source, as_of, sequence)
    select * from unnest(%s::text[], %s::timestamptz[], %s::bigint[])"""
_UPDATE_SOURCES = """update stock_feed_source s set as_of = n.as_of, sequence = n.sequence, version = s.version + 1
    from unnest(%s::text[], %s::timestamptz[], %s::bigint[]) as n (source, as_of, sequence) where s.source = n.source"""


class Feeds(Slice):
    """Sources, feeds and quarantined rows a batch needs, and the items and places that its feeds' rows name."""

    def __init__(self) -> None:
        self._sources: set[str] = set()
        self._sequences: set[tuple[str, int]] = set()
        self._keys: set[str] = set()
        self._ids: set[str] = set()
        self._claimed: set[tuple[str, str, datetime]] = set()
        self.sources: dict[str, Source] = {}
        self.known: set[tuple[str, int]] = set()
        self.items: dict[str, FeedItem] = {}
        self.feeds: dict[str, Feed] = {}
        self.held: dict[str, str] = {}
        self.bad: dict[tuple[str, int], tuple[BadRow, datetime | None, str | None]] = {}
        self._since: dict[tuple[str, str, datetime, str], Decimal] = {}
        self._new: set[str] = set()
        self._changed: set[str] = set()
        self._changed_sources: set[str] = set()
        self._new_held: set[str] = set()
        self._new_bad: list[tuple[str, int]] = []
        self._settled: list[tuple[str, int]] = []

    def want(self, source: str, sequence: int | None) -> None:
        """Ask what a source last told, and whether it told this sequence number before."""
        self._sources.add(source)
        if sequence is not None:
            self._sequences.add((source, sequence))

    def want_items(self, keys: set[str]) -> None:
        """Ask for items by key."""
        self._keys |= keys

    def want_feed(self, feed: str) -> None:
        """Ask for one feed, its source, what is held of it, and its rows in quarantine."""
        self._ids.add(feed)

    def want_claimed(self, key: str, code: str, since: datetime) -> None:
        """Ask what was claimed of an item (any key) at a place (its code) after a time."""
        self._claimed.add((key, code, since))

    def claimed_since(self, item: str, location: str, since: datetime, kind: str) -> Decimal:
        """Return the net units that were claimed of one kind after a time that was asked for."""
        return self._since.get((item, location, since, kind), ZERO)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the sources, and in the next statements read what those locks guard."""
        if self._claimed:
            claimed = sorted(self._claimed)
            self._claimed.clear()
            answers = yield [Statement(_CLAIMED, [[row[at] for row in claimed] for at in range(3)])]
            for item, location, since, kind, units in answers[0]:
                self._since[item, location, since, kind] = units
        if not self._sources and not self._ids:
            return
        locking = " for no key update" if lock else ""
        sources, ids, sequences = sorted(self._sources), sorted(self._ids), sorted(self._sequences)
        reads = [
            Statement(
                f"""select source, as_of, sequence, version from stock_feed_source
                where source = any(%s::text[])
                    or source in (select source from stock_feed where id = any(%s::text[]))
                order by source{locking}""",
                [sources, ids],
            ),
            Statement(
                """select f.source, f.sequence from unnest(%s::text[], %s::bigint[]) as w (source, sequence)
                join stock_feed f on f.source = w.source and f.sequence = w.sequence and f.kind = 'delta'""",
                [[source for source, _ in sequences], [sequence for _, sequence in sequences]],
            ),
            Statement(
                """select k.key, i.id, i.sku, i.phantom, i.tracking from item_key k join item i on i.id = k.item
                where k.key = any(%s::text[])""",
                [list(self._keys)],
            ),
            Statement(
                f"select {', '.join(_FEED)} from stock_feed where id = any(%s::text[]) order by id{locking}", [ids]
            ),
            Statement("select feed, body from stock_feed_held where feed = any(%s::text[])", [ids]),
            Statement(
                f"""select feed, row, {", ".join(_BAD)} from stock_feed_row_quarantined
                where feed = any(%s::text[])""",
                [ids],
            ),
        ]
        for wanted in (self._sources, self._sequences, self._keys, self._ids):
            wanted.clear()
        self._take((yield reads))

    def _take(self, answers: Sequence[Rows]) -> None:
        for source, as_of, sequence, version in answers[0]:
            self.sources[source] = Source(as_of, sequence, version)
        self.known.update((source, sequence) for source, sequence in answers[1])
        for key, *columns in answers[2]:
            self.items[key] = FeedItem(*columns)
        for row in answers[3]:
            self.feeds[row[0]] = Feed(**dict(zip(_FEED, row, strict=True)))
        self.held.update(dict(answers[4]))
        for feed, number, field, value, rule, raw, settled_at, settled in answers[5]:
            self.bad[feed, number] = (BadRow(number, field, value, rule, raw), settled_at, settled)

    def takes(self) -> Takes:
        """Take what happened to a feed or a row of it in."""
        return {
            FeedReported: self._reported,
            FeedHeld: self._hold,
            FeedReleased: self._released,
            FeedRejected: self._rejected,
            FeedRowSettled: self._settle,
        }

    def _reported(self, event: FeedReported) -> None:
        self._add(event.feed)
        self._told(event.feed)
        self._quarantine(event.feed.id, event.bad)

    def _hold(self, event: FeedHeld) -> None:
        self._add(event.feed)
        if event.feed.kind == "delta":
            self._told(event.feed)
        else:
            self._change_source(event.feed.source)
        self.held[event.feed.id] = event.body
        self._new_held.add(event.feed.id)

    def _released(self, event: FeedReleased) -> None:
        feed = self._change(
            event.feed,
            released_at=event.at,
            settled_why=event.why,
            applied=event.applied,
            merged=event.merged,
            quarantined=event.quarantined,
            ignored=event.ignored,
        )
        self._told(feed)
        self._quarantine(event.feed, event.bad)

    def _rejected(self, event: FeedRejected) -> None:
        rows = self.feeds[event.feed].rows
        self._change(event.feed, rejected_at=event.at, settled_why=event.why, quarantined=0, ignored=rows)

    def _settle(self, event: FeedRowSettled) -> None:
        feed = self.feeds[event.feed]
        counts = {"quarantined": feed.quarantined - 1}
        counts[event.ending] = getattr(feed, event.ending) + 1
        self._change(event.feed, **counts)
        key = (event.feed, event.row)
        self.bad[key] = (self.bad[key][0], event.at, event.settled)
        self._settled.append(key)

    def _add(self, feed: Feed) -> None:
        self.feeds[feed.id] = feed
        self._new.add(feed.id)
        if feed.kind == "delta" and feed.sequence is not None:
            self.known.add((feed.source, feed.sequence))

    def _told(self, feed: Feed) -> None:
        source = self._change_source(feed.source)
        if feed.kind == "snapshot":
            source.as_of = max(feed.as_of, source.as_of or feed.as_of)
        elif feed.sequence is not None:
            source.sequence = max(feed.sequence, source.sequence or 0)

    def _change_source(self, name: str) -> Source:
        source = self.sources.setdefault(name, Source())
        self._changed_sources.add(name)
        return source

    def _quarantine(self, feed: str, bad: Sequence[BadRow]) -> None:
        for row in bad:
            self.bad[feed, row.row] = (row, None, None)
            self._new_bad.append((feed, row.row))

    def _change(self, feed: str, **values: Any) -> Feed:
        before = self.feeds[feed]
        changed = self.feeds[feed] = msgspec.structs.replace(before, version=before.version + 1, **values)
        self._changed.add(feed)
        return changed

    def rebuilt(self) -> list[Rebuilt]:
        """Return sources, feeds, what is held of them, and rows in quarantine."""
        feeds = {(f.id,): tuple(getattr(f, name) for name in _FEED[1:]) for f in self.feeds.values()}
        sources = {(name,): (source.as_of, source.sequence) for name, source in self.sources.items()}
        bad = {
            key: (row.field, row.value, row.rule, row.raw, at, settled) for key, (row, at, settled) in self.bad.items()
        }
        return [
            Rebuilt("feed_source", "select source, as_of, sequence from stock_feed_source", sources),
            Rebuilt("feed", f"select {', '.join(_FEED)} from stock_feed", feeds),
            Rebuilt("feed_held", "select feed, body from stock_feed_held", {(f,): (b,) for f, b in self.held.items()}),
            Rebuilt("feed_row", f"select feed, row, {', '.join(_BAD)} from stock_feed_row_quarantined", bad),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the writes of what changed: few rows, whatever the number of rows in the feeds."""
        statements = []
        told = [(name, self.sources[name]) for name in sorted(self._changed_sources)]
        for sql, some in (
            (_INSERT_SOURCES, [pair for pair in told if not pair[1].version]),
            (_UPDATE_SOURCES, [pair for pair in told if pair[1].version]),
        ):
            if some:
                columns = [[n for n, _ in some], [s.as_of for _, s in some], [s.sequence for _, s in some]]
                statements.append(Statement(sql, columns))
        statements += [_insert(self.feeds[feed]) for feed in sorted(self._new)]
        statements += [_update(self.feeds[feed]) for feed in sorted(self._changed - self._new)]
        for feed in sorted(self._new_held):
            statements.append(
                Statement("insert into stock_feed_held (feed, body) values (%s, %s)", [feed, self.held[feed]])
            )
        if self._new_bad:
            statements.append(_insert_bad([(feed, self.bad[feed, row]) for feed, row in self._new_bad]))
        if self._settled:
            statements.append(_settle_bad([(key, self.bad[key]) for key in self._settled]))
        return statements


def _insert(feed: Feed) -> Statement:
    holes = ", ".join(["%s"] * len(_FEED))
    return Statement(
        f"insert into stock_feed ({', '.join(_FEED)}) values ({holes})", [getattr(feed, name) for name in _FEED]
    )


def _update(feed: Feed) -> Statement:
    names = ("applied", "merged", "quarantined", "ignored", "released_at", "rejected_at", "settled_why", "version")
    return Statement(
        f"update stock_feed set {', '.join(f'{name} = %s' for name in names)} where id = %s",
        [*(getattr(feed, name) for name in names), feed.id],
    )


def _insert_bad(bad: list[tuple[str, tuple[BadRow, datetime | None, str | None]]]) -> Statement:
    rows = [row for _, (row, _, _) in bad]
    return Statement(
        """insert into stock_feed_row_quarantined (feed, row, field, value, rule, raw)
        select * from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[])""",
        [
            [feed for feed, _ in bad], [r.row for r in rows], [r.field for r in rows], [r.value for r in rows],
            [r.rule for r in rows], [r.raw for r in rows],
        ],
    )  # fmt: skip


def _settle_bad(settled: list[tuple[tuple[str, int], tuple[BadRow, datetime | None, str | None]]]) -> Statement:
    return Statement(
        """update stock_feed_row_quarantined q set settled_at = n.at, settled = n.settled
        from unnest(%s::text[], %s::int[], %s::timestamptz[], %s::text[]) as n (feed, row, at, settled)
        where q.feed = n.feed and q.row = n.row""",
        [
            [feed for (feed, _), _ in settled], [row for (_, row), _ in settled], [at for _, (_, at, _) in settled],
            [how for _, (_, _, how) in settled],
        ],
    )  # fmt: skip
