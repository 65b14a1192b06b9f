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
        "Every policy that was published has a version in force or was withdrawn, and its versions have no gap.",
        """select 'policy', p.kind || '/' || p.name, count(*) || ' versions up to ' || max(p.version)
        from policy p left join policy_active a on a.kind = p.kind and a.name = p.name where {changed}
        group by p.kind, p.name having count(*) <> max(p.version) or count(a.kind) = 0""",
        f"p.kind || '/' || p.name {CHANGED}",
    ),
    promise(
        "authority.withdrawn_by_an_act",
        "No policy is out of force but by an act: the last that the journal says of it is that it was withdrawn.",
        """select 'policy', a.kind || '/' || a.name, 'nothing is in force' from policy_active a cross join lateral (
            select j.name as said from journal j where j.subject = a.kind || '/' || a.name and j.kind = 'e'
                and j.name in ('authority.policy_published', 'authority.policy_withdrawn')
            order by j.position desc limit 1
        ) last where a.version is null and last.said <> 'authority.policy_withdrawn' and {changed}""",
        f"a.kind || '/' || a.name {CHANGED}",
    ),
    promise(
        "authority.one_writer",
        "No two rules say of one cohort and moment who writes it, unless one of them names more.",
        """select 'writer', a.id, 'meets ' || b.id from writer_rule a join writer_rule b on a.id < b.id
            and a.entity = b.entity and a.rank = b.rank and (a.location = b.location or a.location is null)
            and (a.customer_group = b.customer_group or a.customer_group is null)
            and (a.channel = b.channel or a.channel is null)
            and a.share_from < b.share_to and b.share_from < a.share_to
            and tstzrange(a.from_at, a.until_at) && tstzrange(b.from_at, b.until_at)""",
    ),
    promise(
        "authority.overrides_hold_in_time",
        "An override lets something pass only after it was granted, and before it expires or is given back.",
        """select 'override', o.id, j.position || ' used it at ' || j.at from override_loan o
        join journal j on j.subject = o.id and j.name = 'authority.override_used'
        where {changed} and (
            o.granted_at is null or j.at < o.granted_at or j.at >= o.expires_at or j.at > o.ended_at)""",
        f"o.id {CHANGED}",
    ),
    promise(
        "authority.overrides_count_their_uses",
        "Each use of an override is on its record, and counted.",
        """select 'override', o.id, o.uses || ' counted, ' || count(j.position) || ' recorded' from override_loan o
        left join journal j on j.subject = o.id and j.name = 'authority.override_used'
        where {changed} group by o.id having o.uses <> count(j.position)""",
        f"o.id {CHANGED}",
    ),
    promise(
        "authority.appointees_are_people",
        "Roles are appointed to people, not to services.",
        """select 'appointment', a.id, a.actor || ' is a service' from appointment a
        join actor p on p.id in (a.actor, a.deputy) where p.kind <> 'person' and {changed}""",
        f"a.actor {CHANGED}",
    ),
    promise(
        "authority.nobody_confirms_their_own_silently",
        "What was beyond its asker's limit was confirmed by another, or a case tells of it.",
        """select 'pending_act', p.id, 'confirmed by its asker' from pending_act p
        where p.confirmed and p.settled_by = p.asker and {changed}
            and not exists (select from cases c where c.cause = 'authority:self_approval:' || p.id)""",
        f"p.id {CHANGED}",
    ),
)
