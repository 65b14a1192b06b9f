"""The SQL of supply and pegs: one locking read of the places, what those locks guard, and one write per table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueup.core.verb import Statement

# The places that are named by (item key, location code), with the parts of phantom kits; by who waits there; by supply.
_PLACES = """select x.item, l.id as location
        from unnest(%s::text[], %s::text[]) as w (key, code)
        join item_key k using (key) join item i on i.id = k.item join location l using (code)
        cross join lateral (
            select k.item union all select part ->> 0 from jsonb_array_elements(
                case when i.phantom then i.components end) part
        ) x (item)
    union select h.item, h.location from stock_waiting h where h.holder = any(%s::text[])
    union select s.item, s.location from stock_supply s where s.id = any(%s::text[])"""

READ_BACKLOGS = f"""select b.item, b.location, b.waiting
    from ({_PLACES}) p join stock_backlog b using (item, location) order by b.item, b.location"""
LOCK_BACKLOGS = READ_BACKLOGS + " for no key update of b"

_SUPPLY = """id, item, location, quantity, received, cancelled, pegged, due_at, reference, source, noticed_due_at,
    version"""
READ_SUPPLIES = f"""select {_SUPPLY} from ({_PLACES}) p join stock_supply s using (item, location) where s.open > 0
    union select {_SUPPLY} from stock_supply where id = any(%s::text[])"""

_PEG = "w.holder, w.line, w.number, w.item, w.location, w.supply, w.quantity, w.due_at, w.promised_at, w.since"
_LAST = "(select max(number) from stock_peg p where p.holder = w.holder and p.line = w.line)"
# Of the holders; of the supplies, named by id or by (reference, place); and of those at a place that nothing covers,
# the first to whom so many units could go.
READ_PEGS = f"""select {_PEG}, {_LAST} from stock_waiting w where w.holder = any(%s::text[])
    union select {_PEG}, {_LAST} from stock_waiting w where w.supply = any(%s::text[])
    union select {_PEG}, {_LAST}
        from unnest(%s::text[], %s::text[], %s::text[]) as n (reference, key, code)
        join item_key k using (key) join location l using (code)
        join stock_supply s on s.reference = n.reference and s.item = k.item and s.location = l.id
        join stock_waiting w on w.supply = s.id
    union select {_PEG}, {_LAST}
        from (select item, location, sum(units) as units from (
                select k.item, l.id as location, n.units
                from unnest(%s::text[], %s::text[], %s::numeric[]) as n (key, code, units)
                join item_key k using (key) join location l using (code)
                union all select s.item, s.location, s.open from stock_supply s where s.id = any(%s::text[])
                union all select h.item, h.location, h.quantity from stock_waiting h
                    where h.holder = any(%s::text[]) and h.supply is not null
            ) u group by item, location) n
        cross join lateral (
            select u.*, sum(quantity) over (order by since, holder, line, number) - quantity as ahead
            from stock_waiting u
            where u.item = n.item and u.location = n.location and u.supply is null and u.due_at is null
        ) w where w.ahead < n.units"""

READ_NUMBERS = """select p.holder, p.line, max(p.number) from stock_peg p where p.holder = any(%s::text[])
    group by p.holder, p.line"""

READ_SUPPLY_PLACES = """select s.id, s.item, l.code from stock_supply s join location l on l.id = s.location
    where s.id = any(%s::text[])"""

ALL_BACKLOGS = "select item, location, waiting from stock_backlog"
ALL_SUPPLIES = f"select {_SUPPLY} from stock_supply"
ALL_WAITING = f"select {_PEG} from stock_waiting w"

INSERT_BACKLOGS = """insert into stock_backlog (item, location, waiting)
    select * from unnest(%s::text[], %s::text[], %s::numeric[])"""
UPDATE_BACKLOGS = """update stock_backlog b set waiting = n.waiting, version = b.version + 1
    from unnest(%s::text[], %s::text[], %s::numeric[]) as n (item, location, waiting)
    where b.item = n.item and b.location = n.location"""

INSERT_SUPPLIES = f"""insert into stock_supply ({_SUPPLY})
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                         %s::timestamptz[], %s::text[], %s::text[], %s::timestamptz[], %s::int[])"""
UPDATE_SUPPLIES = f"""update stock_supply s set received = n.received, cancelled = n.cancelled, pegged = n.pegged,
        due_at = n.due_at, noticed_due_at = n.noticed_due_at, version = n.version
    from unnest(%s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                %s::timestamptz[], %s::text[], %s::text[], %s::timestamptz[], %s::int[]) as n ({_SUPPLY})
    where s.id = n.id"""


def insert_pegs(pegs: Sequence[tuple[Any, ...]]) -> Statement:
    """Return the append of pegs and releases."""
    return Statement(
        """insert into stock_peg (holder, line, number, releases, item, location, supply, quantity, due_at, promised_at,
            since, reason, at)
        select * from unnest(%s::text[], %s::int[], %s::int[], %s::int[], %s::text[], %s::text[], %s::text[],
            %s::numeric[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::timestamptz[])""",
        [list(column) for column in zip(*pegs, strict=True)],
    )


def delete_waiting(ended: Sequence[tuple[str, int, int]]) -> Statement:
    """Return the removal of pegs that are no longer open."""
    return Statement(
        """delete from stock_waiting w using unnest(%s::text[], %s::int[], %s::int[]) as n (holder, line, number)
        where w.holder = n.holder and w.line = n.line and w.number = n.number""",
        [list(column) for column in zip(*ended, strict=True)],
    )


def upsert_waiting(pegs: Sequence[tuple[Any, ...]]) -> Statement:
    """Return the write of open pegs; of one that is there, only the quantity can have changed."""
    return Statement(
        """insert into stock_waiting
            (holder, line, number, item, location, supply, quantity, due_at, promised_at, since)
        select * from unnest(%s::text[], %s::int[], %s::int[], %s::text[], %s::text[], %s::text[], %s::numeric[],
                             %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
        on conflict (holder, line, number) do update set quantity = excluded.quantity""",
        [list(column) for column in zip(*pegs, strict=True)],
    )
