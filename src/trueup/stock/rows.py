"""The SQL of the stock's rows: locking reads in key order, and writes as one statement per table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trueup.core.verb import Statement

if TYPE_CHECKING:
    from trueup.stock.state import Balance, ClaimKey, Move, OpenClaim, Place, StockMoved

# Places named by (item key, location code), with the parts of phantom kits, and those on which holders' claims lie.
_WANTED = "with wanted (key, code) as materialized (select * from unnest(%s::text[], %s::text[]))"
_PLACES = """select k.item, l.id as location
        from wanted w join item_key k using (key) join location l using (code)
    union select part ->> 0, l.id
        from wanted w join item_key k using (key) join item i on i.id = k.item and i.phantom
        cross join lateral jsonb_array_elements(i.components) as part join location l using (code)
    union select unnest(array[c.item, c.kit]), c.location from stock_claim c where c.holder = any(%s::text[])"""

READ_BALANCES = f"""{_WANTED} select b.item, b.location, b.on_hand, b.reserved, b.allocated, b.owed, b.safety,
        b.version::int, b.damaged, b.quality, b.quarantined
    from ({_PLACES}) p join stock_balance b using (item, location) order by b.item, b.location"""
LOCK_BALANCES = READ_BALANCES + " for no key update of b"

# When a claim ends is what was last said: a draft's claim lasts from when the draft is an order.
EXPIRY = "(array_agg(expires_at order by number desc) filter (where quantity > 0))[1]"
# number: the last one of the holder's line, whatever place it was for.
READ_CLAIMS = f"""select holder, line, item, location, kind, lot, sum(quantity),
        (max(max(number)) over (partition by holder, line))::int, {EXPIRY}, max(channel), max(kit)
    from stock_claim where holder = any(%s::text[]) group by holder, line, item, location, kind, lot"""

# What has expired on these balances: claims that nobody released yet, and lots past their date; and the units that wait
# there for nothing that is to come. Read after the balances are locked, which guards it. Whether there is any such lot,
# or anybody who waits, is asked first: nearly always there is none.
READ_EXPIRING = f"""{_WANTED}
    select '' as holder, 0, l.item, l.location, 'lot', l.lot, l.on_hand, 0, null::timestamptz, '', ''
    from ({_PLACES}) p cross join (select %s::date as today) d join stock_lot l using (item, location)
    where (select exists (select from stock_lot where on_hand > 0 and expires_on < d.today)) and l.on_hand > 0
        and l.expires_on < d.today
    union all select e.holder, e.line, e.item, e.location, 'reservation', '', e.quantity,
        (select max(number)::int from stock_claim c where c.holder = e.holder and c.line = e.line), e.expires_at,
        e.channel, e.kit
    from ({_PLACES}) p join stock_expiring e using (item, location) where e.expires_at <= %s
    union all select '', 0, b.item, b.location, 'waiting', '', b.waiting, 0, null, '', ''
    from ({_PLACES}) p join stock_backlog b using (item, location)
    where (select exists (select from stock_backlog where waiting > 0)) and b.waiting > 0"""

# What limits claims at these places; where there is no pool and no freeze at all, no place is looked at.
READ_POOLS = f"""{_WANTED} select o.item, o.location, o.channel, o.mode, o.quantity, o.used, o.part, o.per
    from ({_PLACES}) p join stock_pool o using (item, location) where exists (select from stock_pool)"""
READ_FROZEN = f"""{_WANTED} select s.item, s.location, s.freeze_id, f.mode, f.to_at, f.sell_factor, f.sell_units,
        s.on_hand, s.reserved, s.allocated, s.safety
    from ({_PLACES}) p join stock_freeze_balance s using (item, location) join stock_freeze f on f.id = s.freeze_id
    where exists (select from stock_freeze where thawed_at is null and cancelled_at is null and to_at > %s)
        and f.thawed_at is null"""
READ_TRAITS = f"""{_WANTED} select i.id, l.id, l.kind, l.groups, i.category
    from ({_PLACES}) p join item i on i.id = p.item join location l on l.id = p.location"""

# Open claims of a channel on an item, or on a phantom kit by its first part.
READ_USES = """select i.id, l.id, w.channel, coalesce((
        select sum(c.quantity) from stock_claim c
        where c.item = case when i.phantom then i.components -> 0 ->> 0 else i.id end and c.location = l.id
            and c.channel = w.channel and (not i.phantom or c.kit = i.id)), 0)
    from unnest(%s::text[], %s::text[], %s::text[]) as w (key, code, channel)
    join item_key k using (key) join item i on i.id = k.item join location l using (code)"""

# The balances of a site, or of some of its items: locked until a freeze of them has started.
LOCK_SCOPE = """select count(*) from (select from stock_balance b
        where b.location = %s and (b.item = any(%s::text[]) or %s) order by b.item for no key update) s"""
SNAPSHOT = """insert into stock_freeze_balance
        (freeze_id, item, location, on_hand, reserved, allocated, safety, damaged, quality, quarantined)
    select %s, item, location, on_hand, reserved, allocated, safety, damaged, quality, quarantined
    from stock_balance where location = %s and (item = any(%s::text[]) or %s) and item <> all(%s::text[])
        and (on_hand, reserved, allocated, safety, damaged, quality, quarantined) <> (0, 0, 0, 0, 0, 0, 0)"""
SNAPSHOT_LOADED = """insert into stock_freeze_balance
        (freeze_id, location, item, on_hand, reserved, allocated, safety, damaged, quality, quarantined)
    select %s, %s, * from unnest(%s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                                 %s::numeric[], %s::numeric[])"""
UPSERT_POOLS = """insert into stock_pool (item, location, channel, mode, quantity, used, part, per)
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::text[],
                         %s::numeric[])
    on conflict (item, location, channel, mode) do update set quantity = excluded.quantity, used = excluded.used,
        part = excluded.part, per = excluded.per"""
DELETE_POOLS = """delete from stock_pool p
    using unnest(%s::text[], %s::text[], %s::text[], %s::text[]) as n (item, location, channel, mode)
    where (p.item, p.location, p.channel, p.mode) = (n.item, n.location, n.channel, n.mode)"""

ALL_BALANCES = """select item, location, on_hand, reserved, allocated, owed, safety, damaged, quality, quarantined
    from stock_balance"""
ALL_OPEN_CLAIMS = f"""select holder, line, item, location, kind, lot, sum(quantity), {EXPIRY}
    from stock_claim group by holder, line, item, location, kind, lot having sum(quantity) > 0"""

INSERT_BALANCES = """insert into stock_balance
        (item, location, on_hand, reserved, allocated, owed, safety, damaged, quality, quarantined)
    select * from unnest(%s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                         %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])"""
UPDATE_BALANCES = """update stock_balance b set on_hand = n.on_hand, reserved = n.reserved, allocated = n.allocated,
        owed = n.owed, safety = n.safety, damaged = n.damaged, quality = n.quality, quarantined = n.quarantined,
        version = b.version + 1
    from unnest(%s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                %s::numeric[], %s::numeric[], %s::numeric[])
        as n (item, location, on_hand, reserved, allocated, owed, safety, damaged, quality, quarantined)
    where b.item = n.item and b.location = n.location"""


def by_id_too(sql: str) -> str:
    """Return a reading that also takes places by id: two more arrays, items and locations, after the holders.

    The location `*` stands for every place that has something of the item.
    """
    return sql.replace(
        _PLACES,
        f"""{_PLACES} union select n.item, at.location from unnest(%s::text[], %s::text[]) as n (item, location)
        cross join lateral (
            select n.location where n.location <> '*' union all
            select b.location from stock_balance b where n.location = '*' and b.item = n.item and b.on_hand > 0
        ) at""",
    )


def write_balances(sql: str, places: Sequence[Place], balances: Mapping[Place, Balance]) -> list[Statement]:
    """Return the statement that writes these places' balances, if there are any."""
    if not places:
        return []
    found = [balances[place] for place in places]
    return [
        Statement(
            sql,
            [
                [item for item, _ in places], [location for _, location in places], [b.on_hand for b in found],
                [b.reserved for b in found], [b.allocated for b in found], [b.owed for b in found],
                [b.safety for b in found], [b.damaged for b in found], [b.quality for b in found],
                [b.quarantined for b in found],
            ],
        )
    ]  # fmt: skip


def insert_claims(claims: Sequence[tuple[Any, ...]]) -> Statement:
    """Return the append of claim rows."""
    return Statement(
        """insert into stock_claim (holder, line, number, item, location, kind, lot, quantity, reason, expires_at, at,
            channel, kit)
        select * from unnest(%s::text[], %s::int[], %s::smallint[], %s::text[], %s::text[], %s::text[], %s::text[],
                             %s::numeric[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[],
                             %s::text[])""",
        [list(column) for column in zip(*claims, strict=True)],
    )


def delete_expiring(ended: Sequence[tuple[str, ClaimKey]]) -> Statement:
    """Return the removal of claims that no longer expire, because they ended or changed."""
    return Statement(
        """delete from stock_expiring e
        using unnest(%s::text[], %s::int[], %s::text[], %s::text[]) as n (holder, line, item, location)
        where (e.holder, e.line, e.item, e.location) = (n.holder, n.line, n.item, n.location)""",
        [
            [holder for holder, _ in ended], [key[0] for _, key in ended], [key[1] for _, key in ended],
            [key[2] for _, key in ended],
        ],
    )  # fmt: skip


def insert_expiring(expiring: Mapping[tuple[str, ClaimKey], OpenClaim]) -> Statement:
    """Return the insert of open claims that expire."""
    keys = sorted(expiring)
    claims = [expiring[key] for key in keys]
    return Statement(
        """insert into stock_expiring (holder, line, item, location, quantity, expires_at, channel, kit)
        select * from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::numeric[], %s::timestamptz[],
                             %s::text[], %s::text[])""",
        [
            [holder for holder, _ in keys], [c.line for c in claims], [c.item for c in claims],
            [c.location for c in claims], [c.quantity for c in claims], [c.expires_at for c in claims],
            [c.channel for c in claims], [c.kit for c in claims],
        ],
    )  # fmt: skip


def insert_moves(batch: str, moves: Sequence[tuple[Move, StockMoved]]) -> Statement:
    """Return the append of movements, numbered within their batch."""
    only = [move for move, _ in moves]
    return Statement(
        """insert into stock_movement (batch, number, item, quantity, from_account, from_location, to_account,
            to_location, lot, reason, reference, at, effective_at)
        select %s::uuid, number, item, quantity, from_account::stock_account, from_location, to_account::stock_account,
            to_location, lot, reason, reference, at, effective_at
        from unnest(%s::text[], %s::numeric[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                    %s::text[], %s::timestamptz[], %s::timestamptz[]) with ordinality
            as n (item, quantity, from_account, from_location, to_account, to_location, lot, reason, reference, at,
                  effective_at, number)""",
        [
            batch, [m.item for m in only], [m.quantity for m in only], [m.from_account for m in only],
            [m.from_location for m in only], [m.to_account for m in only], [m.to_location for m in only],
            [m.lot for m in only], [event.reason for _, event in moves], [event.reference for _, event in moves],
            [event.at for _, event in moves], [event.effective_at for _, event in moves],
        ],
    )  # fmt: skip
