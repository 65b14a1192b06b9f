"""What authority promises, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

CHECKS: tuple[Check, ...] = (
    promise(
        "authority.actors_came_through_the_door",
        "The journal tells how everybody who may act came to be.",
        """select 'actor', a.id, 'the journal does not know it' from actor a
        where {changed} and not exists (select from journal j where j.subject = a.id and j.kind = 'e')""",
        f"a.id {CHANGED}",
    ),
    promise(
        "authority.newest_policy_is_active",
        "The policy version in force is the last one published.",
        """select 'policy', a.kind || '/' || a.name, a.version || ' in force, ' || n.newest || ' published'
        from policy_active a cross join lateral (
            select max(version) as newest from policy p where p.kind = a.kind and p.name = a.name
        ) n where a.version <> n.newest and {changed}""",
        f"a.kind || '/' || a.name {CHANGED}",
    ),
    promise(
        "authority.policies_are_active",
        "Every policy that was published has a version in force, and its versions have no gap.",
        """select 'policy', p.kind || '/' || p.name, count(*) || ' versions up to ' || max(p.version)
        from policy p left join policy_active a on a.kind = p.kind and a.name = p.name where {changed}
        group by p.kind, p.name having count(*) <> max(p.version) or count(a.version) = 0""",
        f"p.kind || '/' || p.name {CHANGED}",
    ),
)
