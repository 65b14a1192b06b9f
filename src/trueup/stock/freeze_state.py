"""Freezes of movements: their rows, the locks that drain a site, and the movements that wait for the thaw.

Every movement takes a shared lock for its site, and the start of a freeze takes it exclusively: what is in flight when
a freeze starts is in its snapshot, and what comes later sees the freeze. What stage a freeze is in is computed from its
events and the time, never stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Set
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.core.verb import Batch, Event, Loading, Movement, Rebuilt, Slice, Statement, Takes

MovementKind = Literal["receive", "adjust", "count", "transfer", "ship", "restate", "feed"]
Mode = Literal["hard_stop", "frozen_book"]
Life = Literal["announced", "draining", "frozen", "thawing", "over", "cancelled"]
KINDS: tuple[MovementKind, ...] = ("receive", "adjust", "count", "transfer", "ship", "restate", "feed")
SITE_LOCKS = 7001
"""The class of the advisory locks, one per site."""


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """A scoped stop of movements.

    site, location: code and id. items: ids; empty is all of them. kinds: which movements. from_at, to_at: it holds from
    the one and ends by itself at the other. sell_factor: share of what was available at the start that may be sold
    meanwhile (0 to 1), at most `sell_units` of each item; None is no limit. intents, settled: movements that waited.
    """

    id: str
    site: str
    location: str
    mode: Mode
    from_at: datetime
    to_at: datetime
    reason: str
    by: str
    announced_at: datetime
    items: tuple[str, ...] = ()
    kinds: tuple[MovementKind, ...] = KINDS
    sell_factor: Decimal | None = None
    sell_units: Decimal | None = None
    started_at: datetime | None = None
    thawed_at: datetime | None = None
    cancelled_at: datetime | None = None
    intents: int = 0
    settled: int = 0
    version: int = 1

    def life(self, now: datetime) -> Life:
        """Return the stage it is in, from its events and the time alone: no worker is needed for it to begin or end."""
        if self.cancelled_at is not None:
            return "cancelled"
        if self.thawed_at is not None or now >= self.to_at:
            return "thawing" if self.settled < self.intents else "over"
        if self.started_at is not None:
            return "frozen"
        return "draining" if now >= self.from_at else "announced"

    def stops(self, movement: Movement, items: Set[str], now: datetime) -> bool:
        """Tell whether it stops this movement of these items (ids) now."""
        return (
            self.mode == "hard_stop"
            and self.site == movement.site
            and movement.kind in self.kinds
            and self.life(now) in ("draining", "frozen")
            and (not self.items or not items.isdisjoint(self.items))
        )


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that waits for the thaw. number: its place in the freeze's queue. body: its command as JSON."""

    freeze: str
    number: int
    actor: str
    verb: str
    fact: bool
    body: str
    at: datetime
    settled_at: datetime | None = None
    ending: str | None = None
    detail: str | None = None


class FreezeAnnounced(Event, frozen=True, kw_only=True):
    """Movements will stop."""

    name = "stock.freeze_announced"
    about = "freeze.id"
    freeze: Freeze


class FreezeStarted(Event, frozen=True, kw_only=True):
    """The site is drained, and its balances are those of the snapshot. factor, units: what may be sold meanwhile."""

    name = "stock.freeze_started"
    about = "freeze"
    freeze: str
    location: str
    items: tuple[str, ...]
    mode: Mode
    to_at: datetime
    sell_factor: Decimal | None
    sell_units: Decimal | None
    at: datetime


class FreezeThawed(Event, frozen=True, kw_only=True):
    """It ended before its time."""

    name = "stock.freeze_thawed"
    about = "freeze"
    freeze: str
    reason: str
    at: datetime


class FreezeCancelled(Event, frozen=True, kw_only=True):
    """It was called off before it started."""

    name = "stock.freeze_cancelled"
    about = "freeze"
    freeze: str
    reason: str
    at: datetime


class IntentQueued(Event, frozen=True, kw_only=True):
    """A movement waits for the thaw, behind those before it."""

    name = "stock.intent_queued"
    about = "intent.freeze"
    intent: Intent


class IntentSettled(Event, frozen=True, kw_only=True):
    """A movement that waited was put through the door. ending: how; detail: why not, where it was not applied."""

    name = "stock.intent_settled"
    about = "freeze"
    freeze: str
    number: int
    ending: str
    detail: str | None
    at: datetime


EVENTS = (FreezeAnnounced, FreezeStarted, FreezeThawed, FreezeCancelled, IntentQueued, IntentSettled)
COLUMNS = Freeze.__struct_fields__
_INTENT = Intent.__struct_fields__
# The word itself is reserved in SQL.
_INTENT_COLUMNS = ", ".join(["freeze_id", *_INTENT[1:]])
_READ = f"""select {", ".join(f"f.{name}" for name in COLUMNS)} from stock_freeze f where f.id = any(%s::text[])
    or (f.site = any(%s::text[]) and f.thawed_at is null and f.cancelled_at is null and f.to_at > %s)"""
_LOCK = """select id from stock_freeze where id = any(%s::text[])
    or (site = any(%s::text[]) and thawed_at is null and cancelled_at is null and to_at > %s and from_at <= %s
        and mode = 'hard_stop')
    order by id for no key update"""
LOCK_SITES = f"""select case when exclusive then pg_advisory_xact_lock({SITE_LOCKS}, number)
        else pg_advisory_xact_lock_shared({SITE_LOCKS}, number) end
    from (select number, bool_or(exclusive) as exclusive from (
            select number, false as exclusive from unnest(%s::int[]) as w (number)
            union all select site_number, true from stock_freeze where id = any(%s::text[])) w
        group by number order by number) s"""


def site_number(site: str) -> int:
    """Return the number a site is locked by; two sites of one number only wait for each other more often."""
    return zlib.crc32(site.encode()) - 2**31


class Freezes(Slice):
    """Freezes of the sites that a batch moves goods at, and those it starts or ends."""

    def __init__(self) -> None:
        self._sites: set[str] = set()
        self._ids: set[str] = set()
        self._starts: set[str] = set()
        self._intents: set[tuple[str, int]] = set()
        self.locked: set[str] = set()
        self.loaded = False
        self.freezes: dict[str, Freeze] = {}
        self.intents: dict[tuple[str, int], Intent] = {}
        self._new: set[str] = set()
        self._changed: set[str] = set()
        self._new_intents: set[tuple[str, int]] = set()
        self._settled: set[tuple[str, int]] = set()

    def want_site(self, site: str) -> None:
        """Ask for the freezes of a site, which goods are moved at: until the batch is done none can start there."""
        if site not in self.locked:
            self._sites.add(site)

    def want(self, freeze: str, *, start: bool = False) -> None:
        """Ask for one freeze; to start it, once nothing moves at its site any more."""
        self._ids.add(freeze)
        if start:
            self._starts.add(freeze)

    def want_intent(self, freeze: str, number: int) -> None:
        """Ask for a movement that waits, and its freeze."""
        self._ids.add(freeze)
        self._intents.add((freeze, number))

    def freeze(self, freeze: str) -> Freeze | None:
        """Return the freeze of this id."""
        return self.freezes.get(freeze)

    def stopping(self, movement: Movement, items: Set[str], now: datetime) -> list[Freeze]:
        """Return the freezes that stop a movement of these items now."""
        return [freeze for freeze in self.freezes.values() if freeze.stops(movement, items, now)]

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the sites, then the freezes a movement may have to queue at, and in the next statement read them."""
        self.loaded = True
        if not self._sites and not self._ids:
            return
        sites, ids, starts = sorted(self._sites), sorted(self._ids), sorted(self._starts)
        intents = sorted(self._intents)
        self.locked.update(sites)
        for wanted in (self._sites, self._ids, self._starts, self._intents):
            wanted.clear()
        locks = [
            Statement(LOCK_SITES, [[site_number(site) for site in sites], starts]),
            Statement(_LOCK, [ids, sites, now, now]),
        ]
        reads = [
            Statement(_READ, [ids, sites, now]),
            Statement(
                f"""select {_INTENT_COLUMNS} from stock_intent
                where (freeze_id, number) in (select * from unnest(%s::text[], %s::int[]))""",
                [[freeze for freeze, _ in intents], [number for _, number in intents]],
            ),
        ]
        answers = yield [*(locks if lock else []), *reads]
        for row in answers[-2]:
            self._take(freeze_of(row))
        for row in answers[-1]:
            intent = Intent(**dict(zip(_INTENT, row, strict=True)))
            self.intents[intent.freeze, intent.number] = intent

    def _take(self, freeze: Freeze) -> None:
        self.freezes[freeze.id] = freeze

    def takes(self) -> Takes:
        """Take what happened to a freeze, or to a movement that waits, in."""
        return {
            FreezeAnnounced: self._announced,
            FreezeStarted: lambda e: self._change(
                e.freeze, started_at=e.at, sell_factor=e.sell_factor, sell_units=e.sell_units
            ),
            FreezeThawed: lambda e: self._change(e.freeze, thawed_at=e.at),
            FreezeCancelled: lambda e: self._change(e.freeze, cancelled_at=e.at),
            IntentQueued: self._queued,
            IntentSettled: self._settle,
        }

    def _announced(self, event: FreezeAnnounced) -> None:
        self._take(event.freeze)
        self._new.add(event.freeze.id)

    def _queued(self, event: IntentQueued) -> None:
        intent = event.intent
        self.intents[intent.freeze, intent.number] = intent
        self._new_intents.add((intent.freeze, intent.number))
        self._change(intent.freeze, intents=intent.number)

    def _settle(self, event: IntentSettled) -> None:
        key = (event.freeze, event.number)
        self.intents[key] = msgspec.structs.replace(
            self.intents[key], settled_at=event.at, ending=event.ending, detail=event.detail
        )
        self._settled.add(key)
        self._change(event.freeze, settled=self.freezes[event.freeze].settled + 1)

    def _change(self, freeze: str, **values: Any) -> None:
        before = self.freezes[freeze]
        self.freezes[freeze] = msgspec.structs.replace(before, version=before.version + 1, **values)
        self._changed.add(freeze)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the freezes and what waited for their ends."""
        freezes = {(f.id,): tuple(getattr(f, name) for name in COLUMNS[1:]) for f in self.freezes.values()}
        intents = {key: tuple(getattr(i, name) for name in _INTENT[2:]) for key, i in self.intents.items()}
        return [
            Rebuilt("freeze", f"select {', '.join(COLUMNS)} from stock_freeze", freezes),
            Rebuilt("intent", f"select {_INTENT_COLUMNS} from stock_intent", intents),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the inserts of new freezes and intents, and what changed of known ones."""
        statements = [_insert(self.freezes[freeze]) for freeze in sorted(self._new)]
        changed = [self.freezes[freeze] for freeze in sorted(self._changed - self._new)]
        if changed:
            statements.append(_update(changed))
        if self._new_intents:
            statements.append(_insert_intents([self.intents[key] for key in sorted(self._new_intents)]))
        if self._settled:
            statements.append(_settle_intents([self.intents[key] for key in sorted(self._settled)]))
        return statements


def freeze_of(row: tuple[Any, ...]) -> Freeze:
    """Make a freeze of its columns, in the struct's order."""
    values = dict(zip(COLUMNS, row, strict=True))
    values["items"], values["kinds"] = tuple(values["items"]), tuple(values["kinds"])
    return Freeze(**values)


def _insert(freeze: Freeze) -> Statement:
    values = [getattr(freeze, name) for name in COLUMNS]
    casts = {"items": "%s::text[]", "kinds": "%s::text[]"}
    holes = ", ".join(casts.get(name, "%s") for name in COLUMNS)
    return Statement(
        f"insert into stock_freeze ({', '.join(COLUMNS)}, site_number) values ({holes}, %s)",
        [*(list(v) if isinstance(v, tuple) else v for v in values), site_number(freeze.site)],
    )


def _update(freezes: list[Freeze]) -> Statement:
    return Statement(
        """update stock_freeze f set started_at = n.started_at, thawed_at = n.thawed_at, cancelled_at = n.cancelled_at,
            sell_factor = n.sell_factor, sell_units = n.sell_units, intents = n.intents, settled = n.settled,
            version = n.version
        from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::numeric[], %s::numeric[],
                    %s::int[], %s::int[], %s::int[])
            as n (id, started_at, thawed_at, cancelled_at, sell_factor, sell_units, intents, settled, version)
        where f.id = n.id""",
        [
            [f.id for f in freezes], [f.started_at for f in freezes], [f.thawed_at for f in freezes],
            [f.cancelled_at for f in freezes], [f.sell_factor for f in freezes], [f.sell_units for f in freezes],
            [f.intents for f in freezes], [f.settled for f in freezes], [f.version for f in freezes],
        ],
    )  # fmt: skip


def _insert_intents(intents: list[Intent]) -> Statement:
    return Statement(
        """insert into stock_intent (freeze_id, number, actor, verb, fact, body, at)
        select * from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::bool[], %s::text[],
                             %s::timestamptz[])""",
        [
            [i.freeze for i in intents], [i.number for i in intents], [i.actor for i in intents],
            [i.verb for i in intents], [i.fact for i in intents], [i.body for i in intents], [i.at for i in intents],
        ],
    )  # fmt: skip


def _settle_intents(intents: list[Intent]) -> Statement:
    return Statement(
        """update stock_intent i set settled_at = n.at, ending = n.ending, detail = n.detail
        from unnest(%s::text[], %s::int[], %s::timestamptz[], %s::text[], %s::text[])
            as n (freeze_id, number, at, ending, detail)
        where i.freeze_id = n.freeze_id and i.number = n.number""",
        [
            [i.freeze for i in intents], [i.number for i in intents], [i.settled_at for i in intents],
            [i.ending for i in intents], [i.detail for i in intents],
        ],
    )  # fmt: skip
