"""What is free of an item at every place, now and later, as the tables and the rule have it.

Figures come back as arrays, one row per item: of a basket of 20 items at 50 locations, a row for each figure cost more
than ten times as much to send and read as it did to find. Where pools, freezes, dated lots or confidence buffers limit
an item, the slice that the door's rules ask says what is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from trueup.catalogue.lead import LEAD_DAYS
from trueup.catalogue.state import Location, location_of
from trueup.core.arrays import literal
from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO
from trueup.core.verb import Statement
from trueup.stock.asking import stock_at
from trueup.stock.limits import Buffers
from trueup.stock.promise import LIMITLESS, Incoming, Part, Shelf

NOBODY = ""
"""No channel in particular: what every channel may claim."""


class Places(msgspec.Struct, frozen=True):
    """Every location there is, by id; figures stand in this order. ids: as PostgreSQL writes them."""

    all: tuple[Location, ...]
    position: dict[str, int]
    ids: str = ""


class Stocked(msgspec.Struct, frozen=True):
    """One item: units free by location, in the order of the places; and what is to come where, earliest first.

    components: of a kit without stock of its own; then `available` is how many kits a channel's cap leaves.
    until: when time alone changes it; None is never. limited: whether it holds for one channel only.
    supplies: ids of all that is to come, pegged or not.
    """

    part: Part
    components: tuple[tuple[str, Decimal], ...]
    available: tuple[Decimal, ...]
    incoming: dict[int, tuple[Incoming, ...]]
    until: datetime | None = None
    limited: bool = False
    supplies: tuple[str, ...] = ()

    def shelf(self, at: int) -> Shelf:
        """Return what is free at the location of this place in their order."""
        return Shelf(self.available[at], self.incoming.get(at, ()))

    def cap(self) -> Stocked:
        """Return a kit's cap as if it was one more of its parts."""
        return msgspec.structs.replace(self, components=())


_LOCATIONS = f"select {', '.join(Location.__struct_fields__)} from location order by id"
# On hand less what is claimed and kept back; what expired, who waits, what is to come; and whether the rule must tell.
_FREE = """select n.key, n.id, n.sku, n.lead_days, n.components, b.at, b.free, x.at, x.units, x.next, w.at, w.units,
        s.at, s.due, s.units, s.reference, s.id,
        exists (select from stock_pool p where p.item = n.id),
        exists (select from stock_lot t where t.item = n.id and t.on_hand > 0 and t.expires_on is not null),
        (select min(f.to_at) from stock_freeze_balance z join stock_freeze f on f.id = z.freeze_id
            where z.item = n.id and f.thawed_at is null and f.cancelled_at is null and f.to_at > %s)
    from ({named}) n
    cross join lateral (
        select array_agg(b.location)::text as at,
            array_agg(b.on_hand - b.reserved - b.allocated - b.safety)::text as free
        from stock_balance b where b.item = n.id
    ) b
    cross join lateral (
        select array_agg(x.location) filter (where x.expires_at <= %s) as at,
            array_agg(x.quantity) filter (where x.expires_at <= %s)::text as units,
            min(x.expires_at) filter (where x.expires_at > %s) as next
        from stock_expiring x where x.item = n.id
    ) x
    cross join lateral (
        select array_agg(w.location) as at, array_agg(w.waiting)::text as units
        from stock_backlog w where w.item = n.id and w.waiting > 0
    ) w
    cross join lateral (
        select array_agg(s.location) as at, array_agg(s.due_at) as due, array_agg(s.reference) as reference,
            array_agg(s.open - s.pegged)::text as units, array_agg(s.id) as id
        from stock_supply s where s.item = n.id and s.open > 0
    ) s"""
_NAMED = f"i.id, i.sku, {LEAD_DAYS} as lead_days, case when i.phantom then i.components end as components"
_BY_KEY = _FREE.format(
    named=f"""select k.key, {_NAMED} from unnest(%s::text[]) as w (key) join item_key k using (key)
        join item i on i.id = k.item"""
)
_BY_ID = _FREE.format(named=f"select i.id as key, {_NAMED} from unnest(%s::text[]) as w (id) join item i using (id)")


async def rows_of(connection: Connection, statement: Statement) -> list[tuple[Any, ...]]:
    """Run one statement; a pipeline of one costs the asking process twice as much."""
    parameters = [literal(value) if type(value) is list else value for value in statement.parameters]
    cursor = await connection.execute(statement.sql, parameters, prepare=True, binary=True)
    return await cursor.fetchall()


async def read_places(connection: Connection) -> Places:
    """Read every location."""
    places = tuple(location_of(row) for row in await rows_of(connection, Statement(_LOCATIONS)))
    position = {place.id: at for at, place in enumerate(places)}
    return Places(places, position, f"{{{','.join(position)}}}")


async def read_stocked(
    connection: Connection,
    policies: Policies,
    places: Places,
    names: Sequence[str],
    channels: Iterable[str],
    now: datetime,
    *,
    by_id: bool = False,
) -> dict[str, dict[str, Stocked]]:
    """Read items by any of their keys, or by their ids: by the name asked for, what each channel may have of them.

    What nothing limits stands under NOBODY alone. A name that nobody registered is left out.
    """
    sql = _BY_ID if by_id else _BY_KEY
    rows = await rows_of(connection, Statement(sql, [now, list(names), now, now, now]))
    buffered = bool(policies.get(Buffers).buffers)
    found = {row[0]: _stocked_of(row, places, now, buffered=buffered) for row in rows}
    limited = {stocked.part.item for stocked in found.values() if stocked.limited}
    if not limited:
        return {name: {NOBODY: stocked} for name, stocked in found.items()}
    everywhere = [(item, place.id) for item in sorted(limited) for place in places.all]
    stock = await stock_at(connection, policies, now, everywhere)
    answer: dict[str, dict[str, Stocked]] = {}
    for name, stocked in found.items():
        answer[name] = {NOBODY: stocked}
        for channel in {NOBODY, *channels} if stocked.limited else ():
            item = stocked.part.item
            units = []
            for place in places.all:
                cap = stock.limits.cap((item, place.id), channel) if stocked.components else None
                free = stock.available(item, place.id, channel) if not stocked.components else LIMITLESS
                units.append(free if cap is None else cap)
            answer[name][channel] = msgspec.structs.replace(stocked, available=tuple(units))
    return answer


def _stocked_of(row: tuple[Any, ...], places: Places, now: datetime, *, buffered: bool) -> Stocked:
    item, sku, lead_days, components, at, free, expired_at, expired, lapses, waiting_at, waiting = row[1:12]
    supply_at, due, coming, references, supplies, pooled, perishes, thaws = row[12:]
    position = places.position
    figures = _at_places(at, free, places)
    for id_, units in _units_by(expired_at, expired):
        if id_ in position:
            figures[position[id_]] += units
    for id_, units in _units_by(waiting_at, waiting):
        if id_ in position:
            figures[position[id_]] -= units
    incoming: dict[int, list[Incoming]] = {}
    for (id_, units), moment, reference in zip(_units_by(supply_at, coming), due or (), references or (), strict=True):
        if id_ in position and units > 0:
            incoming.setdefault(position[id_], []).append(Incoming(moment, units, reference))
    dated = {at: tuple(sorted(found, key=lambda i: (i.due_at, i.reference))) for at, found in incoming.items()}
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time.min, now.tzinfo) if perishes else None
    return Stocked(
        Part(item, sku, Decimal(1), lead_days),
        tuple((part, Decimal(number)) for part, number in components or ()),
        tuple(figures),
        dated,
        min((moment for moment in (lapses, thaws, tomorrow) if moment is not None), default=None),
        pooled or perishes or thaws is not None or buffered,
        tuple(supplies or ()),
    )


def _at_places(at: str | None, free: str | None, places: Places) -> list[Decimal]:
    """Put figures in the order of the places; they mostly come in it, one for each."""
    if at is None or free is None:
        return [ZERO] * len(places.all)
    units = map(_decimal, free[1:-1].split(","))
    if at == places.ids:
        return list(units)
    known = dict(zip(at[1:-1].split(","), units, strict=True))
    return [known.get(id_, ZERO) for id_ in places.position]


_decimal = lru_cache(maxsize=10_000)(Decimal)
"""Stock figures are few and small: looking one up takes a third of the time that reading its digits does."""


def _units_by(ids: list[str] | None, units: str | None) -> Iterable[tuple[str, Decimal]]:
    return zip(ids, map(_decimal, units[1:-1].split(",")), strict=True) if ids and units else ()
