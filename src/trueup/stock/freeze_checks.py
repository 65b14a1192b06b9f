"""What freezes and pools promise, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

_ALL_KINDS = 7

CHECKS: tuple[Check, ...] = (
    promise(
        "stock.snapshot_is_the_ledger",
        "A snapshot under a hard stop holds what the ledger says of the moment the freeze started.",
        """select 'freeze', s.id, i.item || ': ' || coalesce(k.on_hand, 0) || ' kept, movements ' || coalesce(m.net, 0)
        from (select f.id, f.location, f.items, j.position, j.batch from stock_freeze f
              join journal j on j.subject = f.id and j.name = 'stock.freeze_started'
              where f.mode = 'hard_stop' and f.started_at is not null) s
        cross join lateral (
            select item from stock_balance b
            where b.location = s.location and (s.items = '{}' or b.item = any(s.items))
        ) i
        left join stock_freeze_balance k on k.freeze_id = s.id and k.item = i.item and k.location = s.location
        cross join lateral (
            select sum(case when to_account = 'on_hand' and to_location = s.location then quantity else 0 end
                - case when from_account = 'on_hand' and from_location = s.location then quantity else 0 end) as net
            from stock_movement v where v.item = i.item and v.batch not in (
                select batch from journal j where j.position > s.position and j.batch <> s.batch)
        ) m where coalesce(k.on_hand, 0) <> coalesce(m.net, 0) and {changed}""",
        f"s.id {CHANGED}",
    ),
    promise(
        "stock.nothing_moves_under_freeze",
        "Between the start of a hard stop of all movements and its end, nothing in its scope moves but by override.",
        f"""select 'freeze', s.id, m.item || ': ' || m.quantity || ' moved, ' || m.reason
        from (select f.id, f.location, f.items, f.to_at, j.position, j.batch,
                (select min(position) from journal t
                 where t.subject = f.id and t.name = 'stock.freeze_thawed') as thawed
              from stock_freeze f join journal j on j.subject = f.id and j.name = 'stock.freeze_started'
              where f.mode = 'hard_stop' and cardinality(f.kinds) = {_ALL_KINDS}) s
        join lateral (
            select distinct batch from journal j where j.name = 'stock.moved' and j.position > s.position
                and j.position < coalesce(s.thawed, 9223372036854775807) and j.batch <> s.batch
        ) b on true
        join stock_movement m on m.batch = b.batch and s.location in (m.from_location, m.to_location)
            and (s.items = '{{}}' or m.item = any(s.items)) and m.at < s.to_at
            and m.batch not in (select batch from journal j where j.position >= s.thawed)
            and m.batch not in (
                select batch from journal j where j.position > s.position and j.name = 'authority.override_used'
                    and convert_from(j.body, 'UTF8')::json ->> 'rule' = 'stock.frozen')""",
    ),
    promise(
        "stock.intents_are_in_line",
        "The movements that wait at a freeze are numbered without a gap, and counted.",
        """select 'freeze', f.id, f.intents || ' waiting, ' || count(i.number) || ' kept; ' || f.settled || ' settled, '
            || count(i.settled_at) || ' with an ending'
        from stock_freeze f left join stock_intent i on i.freeze_id = f.id
        group by f.id having count(i.number) <> f.intents or coalesce(max(i.number), 0) <> f.intents
            or count(i.settled_at) <> f.settled""",
    ),
    promise(
        "stock.pools_count_claims",
        "What a pool counts as used is what its channel's open claims hold.",
        """select 'pool', p.item || ' ' || p.location || ' ' || p.channel, p.used || ' used, claims ' || c.units
        from stock_pool p cross join lateral (
            select coalesce(sum(quantity), 0) / coalesce(p.per, 1) as units from stock_claim c
            where c.item = coalesce(p.part, p.item) and c.location = p.location and c.channel = p.channel
                and (p.part is null or c.kit = p.item)
        ) c where c.units <> p.used""",
    ),
)
