"""Amendments of master data that wait for their day, and what was written over a field's owner: the rows."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgspec

from trueup.catalogue.ownership import Entity
from trueup.core import json
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a record (id) that change when a local day begins. fields: name -> value, as a patch sends them."""

    id: str
    entity: Entity
    object: str
    fields: dict[str, Any]
    effective_from: date
    effective_at: datetime
    planned_by: str
    reason: str
    planned_at: datetime
    gtin_kept_because: str | None = None


class AmendmentPlanned(Event, frozen=True, kw_only=True):
    """Fields of a record will change on a day to come."""

    name = "catalogue.amendment_planned"
    about = "amendment.object"
    amendment: Planned


class AmendmentEnded(Event, frozen=True, kw_only=True):
    """A planned amendment is over. ending: `applied`, `withdrawn` or `failed`; why: what stood against it."""

    name = "catalogue.amendment_ended"
    about = "object"
    amendment: str
    object: str
    ending: str
    at: datetime
    why: str | None = None


class FieldOverwritten(Event, frozen=True, kw_only=True):
    """Somebody wrote a field that another owns, which lets it be written and lists it. key: SKU or code, for people."""

    name = "catalogue.field_overwritten"
    about = "object"
    id: str
    entity: Entity
    object: str
    key: str
    field: str
    owner: str
    written_by: str
    at: datetime
    before: Any = None
    after: Any = None


EVENTS = (AmendmentPlanned, AmendmentEnded, FieldOverwritten)
_PLANNED = ", ".join(f"p.{name}" for name in Planned.__struct_fields__)
_OPEN = f"""select {_PLANNED} from planned_amendment p where p.ended_at is null and p.object in (
    select k.item from item_key k where k.key = any(%s::text[])
    union all select l.id from location l where l.code = any(%s::text[])
    union all select r.id from partner r where r.code = any(%s::text[]))"""
_BY_ID = f"select {_PLANNED} from planned_amendment p where p.ended_at is null and p.id = any(%s::text[])"


class Amendments(Slice):
    """The open planned amendments of the records a batch changes; the lock of the record guards them."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._codes: set[str] = set()
        self._partners: set[str] = set()
        self._ids: set[str] = set()
        self.open: dict[str, Planned] = {}
        self._ended: dict[str, AmendmentEnded] = {}
        self._new: list[Planned] = []
        self._overwritten: list[FieldOverwritten] = []
        self._every: dict[str, Planned] = {}
        self._every_end: dict[str, AmendmentEnded] = {}

    def want(
        self,
        *,
        item: str | None = None,
        location: str | None = None,
        partner: str | None = None,
        amendment: str | None = None,
    ) -> None:
        """Ask for the open ones of an item (any key), a location or a partner (code), or for one by its id."""
        asked = ((self._keys, item), (self._codes, location), (self._partners, partner), (self._ids, amendment))
        for wanted, key in asked:
            if key is not None:
                wanted.add(key)

    def of(self, object_: str) -> list[Planned]:
        """Return the open amendments of a record, the earliest effective first."""
        found = [one for one in self.open.values() if one.object == object_]
        return sorted(found, key=lambda one: (one.effective_at, one.id))

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read in the second round trip: the catalogue has locked the records by then."""
        every = (self._keys, self._codes, self._partners, self._ids)
        keys, codes, partners, ids = (sorted(wanted) for wanted in every)
        for wanted in every:
            wanted.clear()
        if not (keys or codes or partners or ids):
            return
        yield []
        answers = yield [Statement(_OPEN, [keys, codes, partners]), Statement(_BY_ID, [ids])]
        for columns in (*answers[0], *answers[1]):
            one = planned_of(columns)
            self.open[one.id] = one

    def takes(self) -> Takes:
        """Take a plan, its end, and what was written over an owner in."""
        return {
            AmendmentPlanned: self._planned,
            AmendmentEnded: self._end,
            FieldOverwritten: self._overwritten.append,
        }

    def _planned(self, event: AmendmentPlanned) -> None:
        self.open[event.amendment.id] = self._every[event.amendment.id] = event.amendment
        self._new.append(event.amendment)

    def _end(self, event: AmendmentEnded) -> None:
        self.open.pop(event.amendment, None)
        self._ended[event.amendment] = self._every_end[event.amendment] = event

    def write(self, batch: Batch) -> list[Statement]:
        """Return the new plans, the ends of plans, and the log of writes over owners."""
        statements = []
        if self._new:
            statements.append(
                Statement(
                    """insert into planned_amendment
                    select * from jsonb_populate_recordset(null::planned_amendment, %s::jsonb)""",
                    [json.encode(self._new).decode()],
                )
            )
        if self._ended:
            ends = [self._ended[id_] for id_ in sorted(self._ended)]
            statements.append(
                Statement(
                    """update planned_amendment p set ending = e.ending, why = e.why, ended_at = e.at
                    from unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[]) as e (id, ending, why, at)
                    where p.id = e.id""",
                    [[e.amendment for e in ends], [e.ending for e in ends], [e.why for e in ends],
                     [e.at for e in ends]],
                )
            )  # fmt: skip
        if self._overwritten:
            statements.append(
                Statement(
                    """insert into field_overwritten
                    select * from jsonb_populate_recordset(null::field_overwritten, %s::jsonb)""",
                    [json.encode(self._overwritten).decode()],
                )
            )
        return statements

    def rebuilt(self) -> list[Rebuilt]:
        """Return the plans with their ends, and the log."""
        plans = {}
        for id_, one in self._every.items():
            end = self._every_end.get(id_)
            ended = (end.ending, end.why, end.at) if end is not None else (None, None, None)
            plans[id_,] = (*(getattr(one, name) for name in Planned.__struct_fields__[1:]), *ended)
        names = FieldOverwritten.__struct_fields__[1:]
        logged = {(one.id,): tuple(getattr(one, name) for name in names) for one in self._overwritten}
        return [
            Rebuilt("amendment", f"select {_PLANNED}, p.ending, p.why, p.ended_at from planned_amendment p", plans),
            Rebuilt("field", f"select id, {', '.join(names)} from field_overwritten", logged),
        ]


def planned_of(columns: Rows | tuple[Any, ...]) -> Planned:
    """Make a planned amendment of its columns, in the struct's order."""
    return Planned(**dict(zip(Planned.__struct_fields__, columns, strict=True)))
