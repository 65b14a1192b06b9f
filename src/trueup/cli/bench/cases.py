"""`bench cases`: lists and board over HTTP, and a look of the worker, at 100,000 open cases."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from datetime import UTC, datetime

import psycopg

from trueup import house
from trueup.authority.for_case import people_to_tell
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.cases import notices
from trueup.cli.bench.measure import Figure
from trueup.cli.bench.rig import Rig, rig, trueup_server
from trueup.core.database import connect
from trueup.core.door import Door

OPEN = 100_000
DUE = 1000
REQUESTS = 200

# Cases as the door writes them, made in bulk: opened over the last 96 hours, one in ten acted on, one in fifty snoozed,
# their rungs by the shipped ladder. Those whose next rung is to come are looked at then; none is due yet.
_FILL = """
insert into cases (id, cause, kind, title, severity, owner_role, opened_at, due_at, price_per_hour, currency, subjects,
    acted_at, snoozed_at, snoozed_until, source)
select 'case_' || lpad(to_hex(n), 12, '0') || '7' || substr(md5(n::text), 1, 19), 'cause:' || n, 'kind_' || n %% 40,
    'Case ' || n, 2, (array['Data Steward', 'Finance', 'Integration Owner'])[1 + n %% 3],
    %(now)s - n * interval '3.4 seconds', %(now)s - n * interval '3.4 seconds' + interval '24 hours',
    (n * 7919 %% 100000)::numeric / 1000, 'EUR', 2, case when n %% 10 = 0 then %(now)s - interval '1 second' end,
    case when n %% 50 = 0 then %(now)s end, case when n %% 50 = 0 then %(now)s + interval '2 days' end, '{}'
from generate_series(1, %(open)s) n;
insert into case_subject (case_id, subject_type, subject, detail, at)
select id, 'order', 'ord_' || substr(id, 6) || l, 'odd', opened_at from cases cross join generate_series(1, 2) l;
insert into case_watch (case_id, look_at, rungs, roles, price_per_hour, currency, rung)
select id, coalesce((select min(at) from unnest(array[opened_at + interval '24 hours', opened_at + interval '48 hours',
        opened_at + interval '72 hours']) at where at > %(now)s + interval '10 minutes'), 'infinity'),
    array[opened_at + interval '24 hours', opened_at + interval '48 hours', opened_at + interval '72 hours'],
    array[owner_role, 'Operations Process Owner', 'Change Control Board', 'Sponsor'], price_per_hour, currency,
    width_bucket(%(now)s, array[opened_at + interval '24 hours', opened_at + interval '48 hours',
        opened_at + interval '72 hours'])
from cases;
"""
_PAGES = {
    "first page": "/v1/cases?limit=50",
    "by who must act": "/v1/cases?limit=50&must_act=Sponsor",
    "by rung": "/v1/cases?limit=50&rung=2",
    "by severity and due": "/v1/cases?limit=50&severity=2&overdue=true",
    "snoozed": "/v1/cases?limit=50&snoozed=true",
    "board": "/v1/case-board",
}


def cases() -> list[Figure]:
    """Measure a look of the worker, in which DUE of OPEN cases are due, and each page."""
    figures = []
    with rig(10) as on:
        now = datetime.now(UTC)
        _fill(on, now)
        looked, idle = asyncio.run(_looks(on.url))
        figures.append(
            Figure(name=f"cases, a look of the worker at {OPEN:,}", figure=looked, unit=f"s ({DUE:,} due)",
                   target="under 1 s", met=looked < 1, beside={"s with nothing due": idle})
        )  # fmt: skip
        with trueup_server(on) as (address, _):
            for name, path in _PAGES.items():
                p50, p99 = _measure(address + path, on.token)
                figures.append(
                    Figure(name=f"cases, {name}", figure=p99, unit=f"ms (p99 at {OPEN:,})", p50_ms=p50, p99_ms=p99,
                           target="p99 under 100 ms", met=p99 < 100)
                )  # fmt: skip
    return figures


def _fill(on: Rig, now: datetime) -> None:
    with psycopg.connect(on.url, autocommit=True) as connection:
        for statement in _FILL.split(";\n"):
            if statement.strip():
                connection.execute(statement, {"now": now, "open": OPEN})
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")


async def _looks(url: str) -> tuple[float, float]:
    """Return the seconds of a look with DUE cases due, and of one with none."""
    async with Door(url, house.build()) as door:
        for role in ("Operations Process Owner", "Change Control Board", "Sponsor"):
            person = RegisterActor(name=role, roles=(role,), email=f"{role.split()[0].lower()}@example.com")
            await door.submit(SYSTEM, person, role)
    connection = await connect(url)
    try:
        standing = await house.build().load_standing(connection)
        people = await people_to_tell(connection, standing, datetime.now(UTC))
        await connection.execute(
            """update case_watch set look_at = now() - interval '1 minute'
            where case_id in (select case_id from case_watch order by case_id limit %s)""",
            [DUE],
        )
        taken = []
        for _ in range(2):
            began = time.perf_counter()
            await notices.look(connection, datetime.now(UTC), standing.policies, people)
            taken.append(time.perf_counter() - began)
    finally:
        await connection.close()
    return taken[0], taken[1]


def _measure(url: str, token: str) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds of requests one after another, after a tenth as warm-up."""
    taken = []
    for _ in range(REQUESTS + REQUESTS // 10):
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
        taken.append((time.perf_counter() - began) * 1000)
    counted = sorted(taken[REQUESTS // 10 :])
    return counted[len(counted) // 2], counted[len(counted) * 99 // 100]
