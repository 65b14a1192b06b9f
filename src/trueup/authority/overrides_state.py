"""Overrides as loans: their rows in one batch. Whether one holds follows from its events and the time alone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes

Life = Literal["asked", "declined", "lapsed", "active", "expired", "ended"]
_DAY = Decimal(86_400)


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to pass one rule, for a named scope, until it expires.

    rule: the code of the refusal. verb: `room.verb`, "" for any. objects: ids, SKUs or codes of sites, of which the
    refusal or the command must name one. sites, channels: outside of which it does not hold. department: who bears the
    risk. price_per_day: what it costs them while it is open. words: of who declined or ended it. uses: how often it let
    something pass. noticed: what a case was opened about, or needed none.
    """

    id: str
    rule: str
    verb: str
    objects: tuple[str, ...]
    sites: tuple[str, ...]
    channels: tuple[str, ...]
    reason: str
    department: str
    price_per_day: Decimal
    currency: str
    expires_at: datetime
    asked_by: str
    asked_at: datetime
    granted_by: str | None = None
    granted_at: datetime | None = None
    declined_by: str | None = None
    declined_at: datetime | None = None
    ended_by: str | None = None
    ended_at: datetime | None = None
    words: str | None = None
    uses: int = 0
    last_used_at: datetime | None = None
    noticed: tuple[str, ...] = ()

    def life(self, now: datetime) -> Life:
        """Return the stage it is in at a moment, past ones too; it expires by itself."""
        if self.declined_at is not None and now >= self.declined_at:
            return "declined"
        if self.granted_at is None or now < self.granted_at:
            return "lapsed" if now >= self.expires_at else "asked"
        if self.ended_at is not None and now >= self.ended_at:
            return "ended"
        return "expired" if now >= self.expires_at else "active"

    def owed(self, now: datetime) -> Decimal:
        """Return what it has cost until now: its price for each day, and part of a day, since it was granted."""
        if self.granted_at is None:
            return ZERO
        until = min(at for at in (now, self.expires_at, self.ended_at) if at is not None)
        return self._price(self.granted_at, until)

    def committed(self, now: datetime) -> Decimal:
        """Return what it will cost from a moment on if it stays open until it expires."""
        return self._price(now, self.expires_at) if self.life(now) in ("asked", "active") else ZERO

    def _price(self, from_at: datetime, to_at: datetime) -> Decimal:
        seconds = max(Decimal((to_at - from_at).total_seconds()), ZERO)
        return (self.price_per_day * seconds / _DAY).quantize(Decimal("0.01"))


class OverrideAsked(Event, frozen=True, kw_only=True):
    """Somebody asks to be let past a rule."""

    name = "authority.override_asked"
    about = "override.id"
    override: Override


class OverrideGranted(Event, frozen=True, kw_only=True):
    """It holds from now until it expires. role: whose decision it was."""

    name = "authority.override_granted"
    about = "override"
    override: str
    role: str
    by: str
    at: datetime


class OverrideDeclined(Event, frozen=True, kw_only=True):
    """It was not granted. role: whose decision it was."""

    name = "authority.override_declined"
    about = "override"
    override: str
    role: str
    words: str
    by: str
    at: datetime


class OverrideEnded(Event, frozen=True, kw_only=True):
    """It was given back before it expired."""

    name = "authority.override_ended"
    about = "override"
    override: str
    words: str
    by: str
    at: datetime


class OverrideUsed(Event, frozen=True, kw_only=True):
    """It let a command pass that would have been refused. value: what the refusal was about."""

    name = "authority.override_used"
    about = "override"
    override: str
    rule: str
    verb: str
    value: str
    by: str
    at: datetime


class OverrideNoticed(Event, frozen=True, kw_only=True):
    """Something about it was noticed. what: `undecided`, `expiring` or `expired`."""

    name = "authority.override_noticed"
    about = "override"
    override: str
    what: str
    at: datetime


EVENTS: tuple[type[Event], ...] = (
    OverrideAsked,
    OverrideGranted,
    OverrideDeclined,
    OverrideEnded,
    OverrideUsed,
    OverrideNoticed,
)
COLUMNS = Override.__struct_fields__
READ = f"select {', '.join(COLUMNS)} from override_loan"
_LISTS = ("objects", "sites", "channels", "noticed")


class Overrides(Slice):
    """The overrides that a batch asks for, decides or uses, and what their departments owe."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._open = False
        self.overrides: dict[str, Override] = {}
        self._new: set[str] = set()
        self._changed: set[str] = set()
        self._uses: dict[str, tuple[int, datetime]] = {}
        self._raise_epoch = False

    def want(self, override: str) -> None:
        """Ask for one override, and for all that are open: a department's limit is about them."""
        self._wanted.add(override)
        self._open = True

    def want_open(self) -> None:
        """Ask for all that are open, where a rule looks for one itself instead of refusing."""
        self._open = True

    def override(self, override: str) -> Override | None:
        """Return the override of this id."""
        return self.overrides.get(override)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the wanted, then read them and those that are open."""
        if not self._open:
            return
        ids, self._wanted, self._open = sorted(self._wanted), set(), False
        locks = [
            Statement("select id from override_loan where id = any(%s::text[]) order by id for no key update", [ids])
        ]
        answers = yield [
            *(locks if lock else []),
            Statement(
                f"""{READ} where id = any(%s::text[])
                    or (declined_at is null and ended_at is null and expires_at > %s)""",
                [ids, now],
            ),
        ]
        self.overrides.update({override.id: override for override in map(override_of, answers[-1])})

    def takes(self) -> Takes:
        """Take what happened to an override in."""
        return {
            OverrideAsked: self._asked,
            OverrideGranted: lambda e: self._settle(e.override, granted_by=e.by, granted_at=e.at),
            OverrideDeclined: lambda e: self._settle(e.override, declined_by=e.by, declined_at=e.at, words=e.words),
            OverrideEnded: lambda e: self._settle(e.override, ended_by=e.by, ended_at=e.at, words=e.words),
            OverrideUsed: self._used,
            OverrideNoticed: self._noticed,
        }

    def _asked(self, event: OverrideAsked) -> None:
        self.overrides[event.override.id] = event.override
        self._new.add(event.override.id)

    def _settle(self, override: str, **values: Any) -> None:
        self.overrides[override] = msgspec.structs.replace(self.overrides[override], **values)
        self._changed.add(override)
        self._raise_epoch = True

    def _noticed(self, event: OverrideNoticed) -> None:
        noticed = (*self.overrides[event.override].noticed, event.what)
        self._settle(event.override, noticed=noticed)

    def _used(self, event: OverrideUsed) -> None:
        known = self.overrides.get(event.override)
        if known is not None:
            self.overrides[event.override] = msgspec.structs.replace(
                known, uses=known.uses + 1, last_used_at=max(event.at, known.last_used_at or event.at)
            )
        count, last = self._uses.get(event.override, (0, event.at))
        self._uses[event.override] = (count + 1, max(last, event.at))

    def rebuilt(self) -> list[Rebuilt]:
        """Return every override."""
        rows = {(o.id,): tuple(getattr(o, name) for name in COLUMNS[1:]) for o in self.overrides.values()}
        return [Rebuilt("override_loan", READ, rows)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return new ones, what changed of known ones, their uses counted up, and the rise of the epoch."""
        statements = [_insert(self.overrides[id_]) for id_ in sorted(self._new)]
        statements += [_update(self.overrides[id_]) for id_ in sorted(self._changed - self._new)]
        used = sorted(self._uses.keys() - self._new)
        if used:
            statements.append(
                Statement(
                    """update override_loan o set uses = o.uses + u.uses, last_used_at = greatest(o.last_used_at, u.at)
                    from unnest(%s::text[], %s::int[], %s::timestamptz[]) as u (id, uses, at) where o.id = u.id""",
                    [used, [self._uses[id_][0] for id_ in used], [self._uses[id_][1] for id_ in used]],
                )
            )
        if self._raise_epoch:
            statements.append(Statement("update epoch set value = value + 1"))
        return statements


def override_of(row: tuple[Any, ...]) -> Override:
    """Make an override of its columns, in the struct's order."""
    values: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    values |= {name: tuple(values[name]) for name in _LISTS}
    return Override(**values)


def _insert(override: Override) -> Statement:
    holes = ", ".join("%s::text[]" if name in _LISTS else "%s" for name in COLUMNS)
    values = [getattr(override, name) for name in COLUMNS]
    return Statement(
        f"insert into override_loan ({', '.join(COLUMNS)}) values ({holes})",
        [list(value) if isinstance(value, tuple) else value for value in values],
    )


def _update(override: Override) -> Statement:
    return Statement(
        """update override_loan set granted_by = %s, granted_at = %s, declined_by = %s, declined_at = %s,
            ended_by = %s, ended_at = %s, words = %s, noticed = %s::text[] where id = %s""",
        [
            override.granted_by, override.granted_at, override.declined_by, override.declined_at, override.ended_by,
            override.ended_at, override.words, list(override.noticed), override.id,
        ],
    )  # fmt: skip
