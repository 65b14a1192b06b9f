"""Decisions for reading: why an order comes from where it does, every location by its code, every line by its SKU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import msgspec

from trueup.core import json
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.sourcing.route import Seen, Tried
from trueup.sourcing.state import Decision, Mode, Outcome

DECISIONS_MAX = 100


class Given(msgspec.Struct, frozen=True):
    """Units of one line that a location gives."""

    line: int
    sku: str
    location: str
    location_name: str
    quantity: Decimal


class Lacking(msgspec.Struct, frozen=True):
    """Units of one line that nobody gave."""

    line: int
    sku: str
    quantity: Decimal


class CandidateSeen(msgspec.Struct, frozen=True):
    """One location under one rule. rank: its turn, from 1; None where it was left out.

    why: by what it was ranked, or for what it was left out. units: by SKU, what it could have given.
    """

    location: str
    location_name: str
    rank: int | None
    why: str
    distance_km: float | None
    units: dict[str, Decimal]


class RuleTried(msgspec.Struct, frozen=True):
    """One rule that was asked, how it ended, and its candidates: those in their turn, then those left out."""

    rule: str
    outcome: str
    candidates: tuple[CandidateSeen, ...]


class WorkDay(msgspec.Struct, frozen=True):
    """The work day that a new fulfilment order takes of a location with limited capacity."""

    location: str
    day: date


class DecisionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order went where it went; locations are codes.

    group, rule: of the policy version that decided; None where a person did. queue: where the rest waits for a person.
    owed_by: the location that owes the rest. run: the brokering run it is part of. note: what a person said.
    """

    mode: Mode
    outcome: Outcome
    policy_name: str
    policy_version: int
    group: str | None
    rule: str | None
    shares: tuple[Given, ...]
    short: tuple[Lacking, ...]
    tried: tuple[RuleTried, ...]
    queue: str | None
    owed_by: str | None
    loads: tuple[WorkDay, ...]
    run: str | None
    note: str | None


class DecisionRow(msgspec.Struct, frozen=True):
    """One sourcing decision of an order, whole: its candidates and reasons are in `decision`."""

    id: str
    order: str
    at: datetime
    decision: DecisionDetail


class RunOrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders of a run. planned: as planned, or by the rules instead; without it, all."""

    planned: bool | None = None
    cursor: str | None = None
    limit: Limit = 50


class RunOrder(msgspec.Struct, frozen=True):
    """One order that a brokering run decided. rule: `plan`, or the rule that took over where stock had moved.

    locations: codes of those that give any of it. at: when.
    """

    order: str
    number: str
    decision: str
    outcome: str
    rule: str | None
    locations: tuple[str, ...]
    at: datetime


RunOrderPage = Page[RunOrder]
_Place = tuple[str, str]


async def decisions(connection: Connection, order: str) -> tuple[DecisionRow, ...]:
    """Return an order's latest sourcing decisions, newest first."""
    rows = await connection.execute(
        """select id, order_id, at, body::text from sourcing_decision where order_id = %s
        order by at desc, id desc limit %s""",
        [order, DECISIONS_MAX],
    )
    found = [(id_, of, at, json.decode(body, Decision)) for id_, of, at, body in await rows.fetchall()]
    places = await _places(connection, [decision for *_, decision in found])
    rows = await connection.execute("select line, sku from order_line where order_id = %s", [order])
    skus: dict[int, str] = dict(await rows.fetchall()) if found else {}
    return tuple(DecisionRow(id_, of, at, _shown(decision, places, skus)) for id_, of, at, decision in found)


async def run_orders(
    connection: Connection, run: str, query: RunOrderQuery, channels: frozenset[str] | None = None
) -> RunOrderPage:
    """Return one page of the orders that a brokering run decided, as they came. channels: the only ones shown."""
    limit = bounded(query.limit)
    after = read_cursor(query.cursor, (str,))[0] if query.cursor is not None else ""
    shown = sorted(channels) if channels is not None else None
    rows = await connection.execute(
        """select o.id, o.number, d.id, d.outcome, d.rule, (
            select coalesce(array_agg(l.code order by l.code), '{}') from location l
            where l.id in (select share ->> 2 from jsonb_array_elements(d.body -> 'shares') share)), d.at
        from sourcing_decision d join orders o on o.id = d.order_id
        where d.run = %s and d.order_id > %s and (%s::text[] is null or o.channel = any(%s::text[]))
            and (%s::boolean is null or (d.rule is not distinct from 'plan') = %s::boolean)
        order by d.order_id limit %s""",
        [run, after, shown, shown, query.planned, query.planned, limit + 1],
    )
    found = [RunOrder(*[*columns, tuple(codes), at]) for *columns, codes, at in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.order))


async def _places(connection: Connection, decisions: Sequence[Decision]) -> dict[str, _Place]:
    """Return (code, name) of every location that the decisions mention."""
    ids = {share.location for decision in decisions for share in decision.shares}
    ids |= {seen.location for decision in decisions for tried in decision.tried for seen in tried.seen}
    ids |= {place for decision in decisions for place, _ in decision.loads}
    ids |= {decision.owed_by for decision in decisions if decision.owed_by}
    rows = await connection.execute("select id, code, name from location where id = any(%s::text[])", [sorted(ids)])
    return {id_: (code, name) for id_, code, name in await rows.fetchall()}


def _shown(decision: Decision, places: Mapping[str, _Place], skus: Mapping[int, str]) -> DecisionDetail:
    return DecisionDetail(
        mode=decision.mode,
        outcome=decision.outcome,
        policy_name=decision.policy_name,
        policy_version=decision.policy_version,
        group=decision.group,
        rule=decision.rule,
        shares=tuple(
            Given(share.line, skus[share.line], *places[share.location], share.quantity) for share in decision.shares
        ),
        short=tuple(Lacking(line, skus[line], units) for line, units in decision.short),
        tried=tuple(_tried(tried, places) for tried in decision.tried),
        queue=decision.queue,
        owed_by=places[decision.owed_by][0] if decision.owed_by else None,
        loads=tuple(WorkDay(places[place][0], day) for place, day in decision.loads),
        run=decision.run,
        note=decision.note,
    )


def _tried(tried: Tried, places: Mapping[str, _Place]) -> RuleTried:
    return RuleTried(tried.rule, tried.outcome, tuple(_seen(seen, places) for seen in tried.seen))


def _seen(seen: Seen, places: Mapping[str, _Place]) -> CandidateSeen:
    units = {sku: Decimal(text) for sku, text in seen.units.items()}
    return CandidateSeen(*places[seen.location], seen.rank, seen.why, seen.distance_km, units)
