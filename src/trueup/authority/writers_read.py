"""What others may ask about the writer registry: its rules, and who writes one thing now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.authority.cohorts import OURS, Entity, WriterRule, Written, rule_for, share_of
from trueup.authority.decision_rights import who_decides
from trueup.authority.writers_policy import WritingSystems
from trueup.authority.writers_state import READ, rule_of
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.policy import Policies

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class WriterQuery(msgspec.Struct, frozen=True):
    """Which rules. live: those that hold now or will."""

    entity: Entity | None = None
    live: bool = False
    cursor: str | None = None
    limit: Limit = 50


class WriterRow(msgspec.Struct, frozen=True):
    """One rule. life: `to come`, `holds` or `over`. title: of the system. cohort: in words."""

    id: str
    life: str
    title: str
    cohort: str
    rule: WriterRule


class WhoWrites(msgspec.Struct, frozen=True):
    """One thing, as cohorts see it. key: what its share is taken of; see the registry's cohorts."""

    entity: Entity = "order"
    channel: Word | None = None
    location: Word | None = None
    customer_group: Word | None = None
    key: Annotated[str, msgspec.Meta(max_length=300)] = ""


class WriterNow(msgspec.Struct, frozen=True):
    """Who writes it now. rule: None where nothing is registered, so that Trueup does. share: its hundredth, 0 to 99.

    decides: who decides that, and how long it takes.
    """

    system: str
    title: str
    until_at: datetime | None
    rule: str | None
    share: int
    decides: str


async def writers(connection: Connection, policies: Policies, query: WriterQuery, now: datetime) -> Page[WriterRow]:
    """Return one page of the registry, the last registered first."""
    conditions, parameters = ["true"], list[Any]()
    if query.entity is not None:
        conditions.append("entity = %s")
        parameters.append(query.entity)
    if query.live:
        conditions.append("(until_at is null or until_at > %s)")
        parameters.append(now)
    if query.cursor is not None:
        conditions.append("(at, id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"{READ} where {' and '.join(conditions)} order by at desc, id desc limit %s", [*parameters, limit + 1]
    )
    systems = policies.get(WritingSystems)
    found = [_row(rule_of(row), systems, now) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.rule.at, row.id))


async def who_writes(connection: Connection, policies: Policies, asked: WhoWrites, now: datetime) -> WriterNow:
    """Return who writes one thing now."""
    rows = await connection.execute(
        f"{READ} where entity = %s and from_at <= %s and (until_at is null or until_at > %s)", [asked.entity, now, now]
    )
    one = Written(
        entity=asked.entity,
        channel=asked.channel,
        location=asked.location,
        customer_group=asked.customer_group,
        key=asked.key,
    )
    rule = rule_for([rule_of(row) for row in await rows.fetchall()], one, now)
    system = rule.system if rule is not None else OURS
    return WriterNow(
        system,
        title_of(policies.get(WritingSystems), system),
        rule.until_at if rule is not None else None,
        rule.id if rule is not None else None,
        share_of(asked.key),
        who_decides(policies, f"writer.{asked.entity}"),
    )


def title_of(systems: WritingSystems, system: str) -> str:
    """Return what a system is called."""
    known = systems.systems.get(system)
    return known.title if known is not None else ("Trueup" if system == OURS else system)


def _row(rule: WriterRule, systems: WritingSystems, now: datetime) -> WriterRow:
    life = "holds" if rule.live(now) else "over" if rule.over(now) else "to come"
    return WriterRow(rule.id, life, title_of(systems, rule.system), rule.cohort.text, rule)
