"""Acts that wait for a second person: the rows of one batch."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes


class PendingAct(msgspec.Struct, frozen=True, kw_only=True):
    """An act beyond its asker's limit. body: the command as JSON; amount in `unit` (a currency, or `units`).

    roles: of which the second person must hold one. Settled when somebody confirmed or declined it.
    """

    id: str
    verb: str
    body: str
    asker: str
    amount: Decimal
    unit: str
    limit_amount: Decimal
    roles: tuple[str, ...]
    at: datetime
    settled_at: datetime | None = None
    settled_by: str | None = None
    confirmed: bool | None = None


class ActHeld(Event, frozen=True, kw_only=True):
    """An act waits for a second person; nothing of it happened yet."""

    name = "authority.act_held"
    about = "act.id"
    act: PendingAct


class ActSettled(Event, frozen=True, kw_only=True):
    """A second person confirmed a waiting act, or it was declined. why: in words, where it was declined."""

    name = "authority.act_settled"
    about = "act"
    act: str
    confirmed: bool
    by: str
    at: datetime
    why: str | None = None


EVENTS: tuple[type[Event], ...] = (ActHeld, ActSettled)
_FIELDS = PendingAct.__struct_fields__
PENDING = f"select {', '.join(_FIELDS)} from pending_act"


def pending_of(row: tuple[Any, ...]) -> PendingAct:
    """Return a waiting act from its columns."""
    columns = dict(zip(_FIELDS, row, strict=True))
    return PendingAct(**{**columns, "roles": tuple(columns["roles"])})


class PendingActs(Slice):
    """The waiting acts a batch settles, locked; and those it begins."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self.acts: dict[str, PendingAct] = {}
        self._new: list[PendingAct] = []
        self._settled: list[ActSettled] = []

    def want(self, act: str) -> None:
        """Ask for one."""
        self._wanted.add(act)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read and lock them in the order of their ids."""
        if not self._wanted:
            return
        wanted, self._wanted = sorted(self._wanted), set()
        locking = " for no key update" if lock else ""
        answers = yield [Statement(f"{PENDING} where id = any(%s::text[]) order by id{locking}", [wanted])]
        self.acts.update({row[0]: pending_of(row) for row in answers[0]})

    def takes(self) -> Takes:
        """Take in what began to wait, and what was settled."""
        return {ActHeld: self._held, ActSettled: self._settle}

    def _held(self, event: ActHeld) -> None:
        self.acts[event.act.id] = event.act
        self._new.append(event.act)

    def _settle(self, event: ActSettled) -> None:
        known = self.acts[event.act]
        self.acts[known.id] = msgspec.structs.replace(
            known, settled_at=event.at, settled_by=event.by, confirmed=event.confirmed
        )
        self._settled.append(event)

    def rebuilt(self) -> list[Rebuilt]:
        """Return every act that ever waited."""
        rows = {(a.id,): tuple(getattr(a, name) for name in _FIELDS[1:]) for a in self.acts.values()}
        return [Rebuilt("pending_act", PENDING, rows)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the writes, one per act since they are rare."""
        marks = ", ".join("%s::text[]" if name == "roles" else "%s" for name in _FIELDS)
        found = []
        for act in self._new:
            first = msgspec.structs.replace(act, settled_at=None, settled_by=None, confirmed=None)
            values = [getattr(first, name) for name in _FIELDS]
            values = [list(value) if type(value) is tuple else value for value in values]
            found.append(Statement(f"insert into pending_act ({', '.join(_FIELDS)}) values ({marks})", values))
        for event in self._settled:
            found.append(
                Statement(
                    "update pending_act set settled_at = %s, settled_by = %s, confirmed = %s where id = %s",
                    [event.at, event.by, event.confirmed, event.act],
                )
            )
        return found
