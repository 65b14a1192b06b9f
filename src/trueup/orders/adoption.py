"""Orders in flight that walk by another version of their workflow: that it was decided, and which orders did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.core import json
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes
from trueup.orders.changes import WorkflowAdopted, WorkflowReturned

NAMED_MAX = 20


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """That orders of a type which walk by an older version are to walk by this one.

    number: 1, 2, 3... of the type. orders: only those; empty is every order in flight, drafts too once they are orders.
    states: of where an order stands, where that is in the new version, for what has another name there.
    """

    order_type: str
    number: int
    version: int
    states: dict[str, str]
    orders: tuple[str, ...]
    at: datetime
    by: str

    @property
    def id(self) -> str:
        """What it is known by: `sale/2`."""
        return adoption_id(self.order_type, self.number)


def adoption_id(order_type: str, number: int) -> str:
    """Return what the adoption of this number of a type is known by."""
    return f"{order_type}/{number}"


class AdoptionDecided(Event, frozen=True, kw_only=True):
    """Orders in flight are to walk by another version of their workflow; they follow in batches."""

    name = "orders.adoption_decided"
    about = "adoption.id"
    adoption: Adoption


class AdoptionReturned(Event, frozen=True, kw_only=True):
    """Orders that adopted a version are to walk by their former ones again; they follow in batches."""

    name = "orders.adoption_returned"
    about = "adoption"
    adoption: str
    by: str
    at: datetime


EVENTS = (AdoptionDecided, AdoptionReturned)


class Stand(msgspec.Struct, frozen=True):
    """How many managed orders of a type stand in one state of one version. named: ids of the first of them."""

    version: int
    state: str
    orders: int
    named: tuple[str, ...]


class Adoptions(Slice):
    """The adoptions of the types a batch asks about, locked; who walks by what; and which orders adopted."""

    def __init__(self) -> None:
        self._types: set[str] = set()
        self._counted: dict[str, int] = {}
        self._orders: set[tuple[str, str]] = set()
        self.known: dict[str, Adoption] = {}
        self.returned: dict[str, datetime] = {}
        self.stands: dict[str, tuple[Stand, ...]] = {}
        self.made: dict[tuple[str, str], WorkflowAdopted] = {}
        self.back: dict[tuple[str, str], datetime] = {}
        self._changed: set[str] = set()
        self._moved: set[tuple[str, str]] = set()

    def want(self, order_type: str, below: int | None = None) -> None:
        """Ask for the adoptions of a type. below: and for who walks by a version before this one."""
        self._types.add(order_type)
        if below is not None:
            self._counted[order_type] = max(below, self._counted.get(order_type, 0))

    def want_order(self, adoption: str, order: str) -> None:
        """Ask whether and from where an order adopted."""
        self._orders.add((order, adoption))

    def latest(self, order_type: str) -> Adoption | None:
        """Return the last adoption of a type that stands."""
        standing = [a for a in self.known.values() if a.order_type == order_type and a.id not in self.returned]
        return max(standing, key=lambda adoption: adoption.number, default=None)

    def next_number(self, order_type: str) -> int:
        """Return the number that the next adoption of a type has."""
        return 1 + max((a.number for a in self.known.values() if a.order_type == order_type), default=0)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the types' adoptions; who walks by what is counted without locks, and asked again order by order."""
        types, self._types = sorted(self._types), set()
        counted, self._counted = sorted(self._counted.items()), {}
        orders, self._orders = sorted(self._orders), set()
        if not types and not orders:
            return
        answers = yield [
            Statement(_READ + (" for no key update" if lock else ""), [types]),
            Statement(_COUNT, [[type_ for type_, _ in counted], [below for _, below in counted]]),
            Statement(_READ_ORDERS, [[order for order, _ in orders], [adoption for _, adoption in orders]]),
        ]
        for *columns, states, listed, at, by, returned in answers[0]:
            found = Adoption(**dict(zip(("order_type", "number", "version"), columns, strict=True)),
                             states=states, orders=tuple(listed), at=at, by=by)  # fmt: skip
            self.known[found.id] = found
            if returned is not None:
                self.returned[found.id] = returned
        for type_, _ in counted:
            self.stands[type_] = tuple(
                Stand(by, state, orders, tuple(named)) for of, by, state, orders, named in answers[1] if of == type_
            )
        for *columns, returned in answers[2]:
            made = WorkflowAdopted(**dict(zip(_MADE, columns, strict=True)))
            self.made[made.order, made.adoption] = made
            if returned is not None:
                self.back[made.order, made.adoption] = returned

    def takes(self) -> Takes:
        """Take decisions in, and the orders that followed them."""
        return {
            AdoptionDecided: self._decided,
            AdoptionReturned: self._returned,
            WorkflowAdopted: self._adopted,
            WorkflowReturned: self._went_back,
        }

    def _decided(self, event: AdoptionDecided) -> None:
        self.known[event.adoption.id] = event.adoption
        self._changed.add(event.adoption.id)

    def _returned(self, event: AdoptionReturned) -> None:
        self.returned[event.adoption] = event.at
        self._changed.add(event.adoption)

    def _adopted(self, event: WorkflowAdopted) -> None:
        self.made[event.order, event.adoption] = event
        self.back.pop((event.order, event.adoption), None)
        self._moved.add((event.order, event.adoption))

    def _went_back(self, event: WorkflowReturned) -> None:
        self.back[event.order, event.adoption] = event.at
        self._moved.add((event.order, event.adoption))

    def forget(self, orders: set[str]) -> None:
        """Drop what is known of these orders, and what would have been written; for replays."""
        self._changed.clear()
        self._moved.clear()
        for key in [key for key in self.made if key[0] in orders]:
            del self.made[key]
            self.back.pop(key, None)

    def write(self, batch: Batch) -> list[Statement]:
        """Return the decisions that are new or were taken back, and the orders that followed."""
        statements = []
        if self._changed:
            rows = [_row(self.known[id_], self.returned.get(id_)) for id_ in sorted(self._changed)]
            statements.append(Statement(_UPSERT, [list(column) for column in zip(*rows, strict=True)]))
        if self._moved:
            made = [(*(getattr(self.made[key], name) for name in _MADE), self.back.get(key)) for key in
                    sorted(self._moved)]  # fmt: skip
            statements.append(Statement(_UPSERT_ORDERS, [list(column) for column in zip(*made, strict=True)]))
        return statements

    def rebuilt(self) -> list[Rebuilt]:
        """Return every decision, and every order that followed one."""
        decisions = {
            (id_,): (a.order_type, a.number, a.version, a.states, list(a.orders), a.at, a.by, self.returned.get(id_))
            for id_, a in self.known.items()
        }
        orders = {
            key: (*(getattr(made, name) for name in _MADE[2:]), self.back.get(key)) for key, made in self.made.items()
        }
        return [
            Rebuilt("adoption", f"select {_COLUMNS} from workflow_adoption", decisions),
            Rebuilt("order", f"select {_MADE_COLUMNS}, returned_at from order_adoption", orders),
        ]


def _row(adoption: Adoption, returned: datetime | None) -> tuple[Any, ...]:
    """Return a decision as its table has it; ids of orders hold no comma, and travel as one text."""
    return (adoption.id, adoption.order_type, adoption.number, adoption.version,
            json.encode(adoption.states).decode(), ",".join(adoption.orders), adoption.at, adoption.by,
            returned)  # fmt: skip


_COLUMNS = "id, order_type, number, version, states, orders, at, by, returned_at"
_MADE = ("order", "adoption", "from_version", "to_version", "from_state", "state", "at")
_MADE_COLUMNS = "order_id, adoption, from_version, to_version, stood, stands, at"
_READ = """select order_type, number, version, states, orders, at, by, returned_at from workflow_adoption
    where order_type = any(%s::text[]) order by order_type, number"""
_COUNT = f"""select o.type, o.workflow_version, o.state, count(*)::int, (array_agg(o.id order by o.id))[1:{NAMED_MAX}]
    from unnest(%s::text[], %s::int[]) as w (type, below)
    join orders o on o.managed and o.type = w.type and o.workflow_version < w.below and o.state is not null
    group by o.type, o.workflow_version, o.state order by 1, 2, 3"""
_READ_ORDERS = f"""select {_MADE_COLUMNS}, returned_at
    from unnest(%s::text[], %s::text[]) as w (order_id, adoption) join order_adoption m using (order_id, adoption)"""
_UPSERT = f"""insert into workflow_adoption ({_COLUMNS})
    select id, order_type, number, version, states::jsonb, coalesce(string_to_array(nullif(orders, ''), ','), '{{}}'),
        at, by, returned_at
    from unnest(%s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
        %s::timestamptz[]) as n ({_COLUMNS})
    on conflict (id) do update set returned_at = excluded.returned_at"""
_UPSERT_ORDERS = f"""insert into order_adoption ({_MADE_COLUMNS}, returned_at)
    select {_MADE_COLUMNS}, returned_at
    from unnest(%s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::text[], %s::timestamptz[],
        %s::timestamptz[]) as n ({_MADE_COLUMNS}, returned_at)
    on conflict (order_id, adoption) do update set from_version = excluded.from_version,
        to_version = excluded.to_version, stood = excluded.stood, stands = excluded.stands, at = excluded.at,
        returned_at = excluded.returned_at"""
