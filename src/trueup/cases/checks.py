"""What cases promise, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

_CASE = f"c.id {CHANGED}"

CHECKS: tuple[Check, ...] = (
    promise(
        "cases.subjects_counted",
        "A case counts the subjects it lists.",
        """select 'case', c.id, c.subjects || ' counted, ' || s.listed || ' listed' from cases c cross join lateral (
            select count(*) as listed from case_subject s where s.case_id = c.id
        ) s where c.subjects <> s.listed and {changed}""",
        _CASE,
    ),
    promise(
        "cases.one_per_cause",
        "A cause has at most one open case.",
        """select 'cause', c.cause, count(*) || ' open cases' from cases c where c.closed_at is null and {changed}
        group by c.cause having count(*) > 1""",
        f"c.cause in (select cause from cases where id {CHANGED})",
    ),
    promise(
        "cases.clock_runs_forward",
        "A case is due, acted on and closed after it was opened.",
        """select 'case', c.id, 'opened ' || c.opened_at || ', due ' || c.due_at from cases c
        where {changed} and (c.due_at < c.opened_at or c.acted_at < c.opened_at or c.closed_at < c.opened_at)""",
        _CASE,
    ),
    promise(
        "cases.closed_after_an_act",
        "No case was closed before somebody acted on it.",
        """select 'case', c.id, 'closed without an act' from cases c
        where {changed} and c.closed_at is not null and c.merged_into is null
            and (c.acted_at is null or c.acted_at > c.closed_at)""",
        _CASE,
    ),
    promise(
        "cases.watched",
        "Every case that is not closed is looked at when its time comes.",
        """select 'case', c.id, 'nobody looks at it' from cases c
        where {changed} and c.closed_at is null
            and not exists (select from case_watch w where w.case_id = c.id and not w.closed
                            and w.price_per_hour = c.price_per_hour and w.currency = c.currency)""",
        _CASE,
    ),
    promise(
        "cases.rungs_in_order",
        "A case's rungs are reached in their order, none before its clock started, and each has a role.",
        """select 'case', c.id, 'rungs ' || w.rungs::text || ' of ' || w.roles::text from cases c
        join case_watch w on w.case_id = c.id where {changed} and c.closed_at is null and (
            cardinality(w.rungs) >= cardinality(w.roles)
            or exists (select from unnest(w.rungs) with ordinality r (at, number)
                       where r.at < coalesce(c.clock_from, c.opened_at)
                          or r.at < (w.rungs)[r.number - 1] or r.at > c.acted_at))""",
        _CASE,
    ),
    promise(
        "cases.merged_whole",
        "What was merged has left its subjects and its price to the other.",
        """select 'case', c.id, 'merged, and keeps ' || c.subjects || ' subjects, ' || c.price_per_hour from cases c
        where {changed} and c.merged_into is not null
            and (c.subjects > 0 or c.price_per_hour > 0 or c.price_microseconds > 0)""",
        _CASE,
    ),
    promise(
        "cases.told_once",
        "Nobody is told of a step before it was reached, and a sent notice was claimed first.",
        """select 'notice', n.id, n.step || ' reached ' || n.reached_at || ', queued ' || n.queued_at from notice n
        where {changed} and (n.queued_at < n.reached_at or (n.sent_at is not null and n.claimed_at is null))""",
        f"n.case_id {CHANGED}",
    ),
    promise(
        "cases.came_through_the_door",
        "The journal tells how every case came to be.",
        """select 'case', c.id, 'the journal does not know it' from cases c
        where {changed} and not exists (select from journal j where j.subject = c.id and j.kind = 'e')""",
        _CASE,
    ),
)
