"""What sourcing keeps: decisions with their reasons, who rejected what, orders that wait in a queue, today's load."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from trueup.core import json
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes
from trueup.sourcing.route import Share, Tried

Mode = Literal["placement", "schedule", "demand", "rejection", "receipt", "broker", "manual"]
Outcome = Literal["assigned", "partly", "queued", "backordered", "unserved"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order went where it went. group, rule: of the policy version that decided; None where a person did.

    shares: what was allocated. short: units per line that nobody gave. tried: each rule with every candidate.
    loads: the work day that each new fulfilment order takes of a location with limited capacity. run: of brokering.
    """

    id: str
    mode: Mode
    outcome: Outcome
    policy_version: int
    policy_name: str = "default"
    group: str | None = None
    rule: str | None = None
    shares: tuple[Share, ...] = ()
    short: tuple[tuple[int, Decimal], ...] = ()
    tried: tuple[Tried, ...] = ()
    queue: str | None = None
    owed_by: str | None = None
    loads: tuple[tuple[str, date], ...] = ()
    run: str | None = None
    note: str | None = None


class OrderSourced(Event, frozen=True, kw_only=True):
    """Somebody or something decided where an order's units come from."""

    name = "sourcing.decided"
    about = "order"
    order: str
    decision: Decision
    at: datetime


class RejectedLine(msgspec.Struct, array_like=True, frozen=True):
    """Units of a line that a location will not fulfil."""

    line: int
    item: str
    quantity: Decimal


class FulfilmentRejected(Event, frozen=True, kw_only=True):
    """A location will not fulfil its part, or some of it; it is not asked again for these lines of the order."""

    name = "sourcing.rejected"
    about = "order"
    order: str
    fulfilment_order: str
    location: str
    lines: tuple[RejectedLine, ...]
    reason: str
    at: datetime


class RunFinished(Event, frozen=True, kw_only=True):
    """A brokering run ended: its cost beside the sequential rules' on the same orders, in `currency`."""

    name = "sourcing.run_finished"
    about = "run"
    run: str
    orders: int
    assigned: int
    fallen_back: int
    cost: Decimal
    sequential_cost: Decimal
    currency: str
    seconds: Decimal
    decided_by: str
    report: dict[str, Any]
    at: datetime


EVENTS = (OrderSourced, FulfilmentRejected, RunFinished)


class Waiting(msgspec.Struct, frozen=True):
    """An order in a queue: which, why, since when."""

    queue: str
    reason: str
    since: datetime


class Sourcing(Slice):
    """Rejections and loads a batch asks; decisions, queues and runs it writes."""

    late = True

    def __init__(self) -> None:
        self._orders: set[str] = set()
        self._loads: set[str] = set()
        self.rejections: dict[tuple[str, int, str], tuple[str, datetime]] = {}
        self.load_of: dict[tuple[str, date], int] = {}
        self.queued: dict[str, Waiting | None] = {}
        self._decisions: list[tuple[str, Decision, datetime]] = []
        self._new_rejections: set[tuple[str, int, str]] = set()
        self._new_loads: set[tuple[str, date]] = set()
        self._changed_queue: set[str] = set()
        self._runs: list[RunFinished] = []

    def want(self, order: str) -> None:
        """Ask who rejected what of an order."""
        self._orders.add(order)

    def want_load(self, location: str) -> None:
        """Ask how many fulfilment orders a location (its id) was given on the days around now."""
        self._loads.add(location)

    def rejected_by(self, order: str, line: int) -> frozenset[str]:
        """Return the locations that rejected a line before."""
        return frozenset(place for known, number, place in self.rejections if (known, number) == (order, line))

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the loads that limit capacity; rejections are guarded by their orders' locks."""
        if not self._orders and not self._loads:
            return
        orders, self._orders = sorted(self._orders), set()
        loads, self._loads = sorted(self._loads), set()
        statements = [*(_days(loads, now) if lock and loads else [])]
        days = len(statements)
        statements.append(
            Statement(
                """select order_id, line, location, reason, at from sourcing_rejection
                where order_id = any(%s::text[])""",
                [orders],
            )
        )
        statements.append(
            Statement(
                """select location, day, orders from sourcing_load
                where location = any(%s::text[]) and day >= %s::date - 1 order by location, day"""
                + (" for no key update" if lock else ""),
                [loads, now.date().isoformat()],
            )
        )
        answers = (yield statements)[days:]
        self.rejections |= {(order, line, place): (reason, at) for order, line, place, reason, at in answers[0]}
        self.load_of |= {(location, day): taken for location, day, taken in answers[1]}

    def takes(self) -> Takes:
        """Take decisions, rejections and runs in."""
        return {OrderSourced: self._decided, FulfilmentRejected: self._rejected, RunFinished: self._runs.append}

    def _decided(self, event: OrderSourced) -> None:
        decision = event.decision
        self._decisions.append((event.order, decision, event.at))
        for place, day in decision.loads:
            self.load_of[place, day] = self.load_of.get((place, day), 0) + 1
            self._new_loads.add((place, day))
        self.queued[event.order] = (
            Waiting(decision.queue, decision.note or "no rule could serve it", event.at) if decision.queue else None
        )
        self._changed_queue.add(event.order)

    def _rejected(self, event: FulfilmentRejected) -> None:
        for line in event.lines:
            key = (event.order, line.line, event.location)
            self.rejections[key] = (event.reason, event.at)
            self._new_rejections.add(key)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the decisions, rejections, queues, loads and runs."""
        decisions = {
            (d.id,): (order, d.mode, d.policy_name, d.policy_version, d.group, d.rule, d.outcome, d.run, at)
            for order, d, at in self._decisions
        }
        return [
            Rebuilt(
                "sourcing_decision",
                """select id, order_id, mode, policy_name, policy_version, order_group, rule, outcome, run, at
                from sourcing_decision""",
                decisions,
            ),
            Rebuilt(
                "sourcing_rejection",
                "select order_id, line, location, reason, at from sourcing_rejection",
                dict(self.rejections.items()),
            ),
            Rebuilt(
                "sourcing_queue",
                "select order_id, queue, reason, since from sourcing_queue",
                {(order,): (w.queue, w.reason, w.since) for order, w in self.queued.items() if w is not None},
            ),
            Rebuilt(
                "sourcing_load",
                "select location, day, orders from sourcing_load where orders > 0",
                {key: (orders,) for key, orders in self.load_of.items() if orders},
            ),
            Rebuilt(
                "brokering_run",
                "select id, orders, assigned, fallen_back, cost, sequential_cost, currency from brokering_run",
                {
                    (r.run,): (r.orders, r.assigned, r.fallen_back, r.cost, r.sequential_cost, r.currency)
                    for r in self._runs
                },
            ),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the inserts of decisions and runs, and the net change of the rest."""
        statements: list[Statement] = []
        if self._decisions:
            statements.append(_insert_decisions(self._decisions))
        if self._new_rejections:
            keys = sorted(self._new_rejections)
            statements.append(_upsert_rejections(keys, [self.rejections[key] for key in keys]))
        if self._new_loads:
            loads = sorted(self._new_loads)
            statements.append(_upsert_loads(loads, [self.load_of[key] for key in loads]))
        if self._changed_queue:
            statements += _write_queue({order: self.queued[order] for order in sorted(self._changed_queue)})
        return [*statements, *(_insert_run(run) for run in self._runs)]


def _days(locations: list[str], now: datetime) -> list[Statement]:
    """Return the statement that makes the days' rows, so that there is something to lock before the first order.

    A location's own day may be one off from the day in UTC.
    """
    days = [(now + timedelta(days=off)).date().isoformat() for off in (-1, 0, 1)]
    return [
        Statement(
            """insert into sourcing_load (location, day, orders)
            select location, day::date, 0 from unnest(%s::text[]) l (location) cross join unnest(%s::text[]) d (day)
            order by location, day on conflict do nothing""",
            [locations, days],
        )
    ]


def _insert_decisions(decisions: list[tuple[str, Decision, datetime]]) -> Statement:
    only = [decision for _, decision, _ in decisions]
    return Statement(
        """insert into sourcing_decision
            (id, order_id, mode, policy_name, policy_version, order_group, rule, outcome, run, body, at)
        select id, order_id, mode, name, version, grp, rule, outcome, run, body::jsonb, at
        from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[],
                    %s::text[], %s::text[], %s::timestamptz[])
            as n (id, order_id, mode, name, version, grp, rule, outcome, run, body, at)""",
        [
            [d.id for d in only], [order for order, _, _ in decisions], [d.mode for d in only],
            [d.policy_name for d in only], [d.policy_version for d in only], [d.group for d in only],
            [d.rule for d in only], [d.outcome for d in only], [d.run for d in only],
            [json.encode(d).decode() for d in only], [at for _, _, at in decisions],
        ],
    )  # fmt: skip


def _upsert_rejections(keys: list[tuple[str, int, str]], rejections: list[tuple[str, datetime]]) -> Statement:
    return Statement(
        """insert into sourcing_rejection (order_id, line, location, reason, at)
        select * from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::timestamptz[])
        on conflict (order_id, line, location) do update set reason = excluded.reason, at = excluded.at""",
        [[k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys], [reason for reason, _ in rejections],
         [at for _, at in rejections]],
    )  # fmt: skip


def _upsert_loads(keys: list[tuple[str, date]], orders: list[int]) -> Statement:
    return Statement(
        """insert into sourcing_load (location, day, orders)
        select location, day::date, orders from unnest(%s::text[], %s::text[], %s::int[]) as n (location, day, orders)
        on conflict (location, day) do update set orders = excluded.orders""",
        [[location for location, _ in keys], [day.isoformat() for _, day in keys], orders],
    )


def _write_queue(queue: dict[str, Waiting | None]) -> list[Statement]:
    waiting = [(order, entry) for order, entry in queue.items() if entry is not None]
    statements = [Statement("delete from sourcing_queue where order_id = any(%s::text[])", [list(queue)])]
    if waiting:
        statements.append(
            Statement(
                """insert into sourcing_queue (order_id, queue, reason, since)
                select * from unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[])""",
                [[order for order, _ in waiting], [w.queue for _, w in waiting], [w.reason for _, w in waiting],
                 [w.since for _, w in waiting]],
            )
        )  # fmt: skip
    return statements


def _insert_run(run: RunFinished) -> Statement:
    return Statement(
        """insert into brokering_run (id, at, orders, assigned, fallen_back, cost, sequential_cost, currency, seconds,
            decided_by, report)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb)""",
        [run.run, run.at, run.orders, run.assigned, run.fallen_back, run.cost, run.sequential_cost, run.currency,
         run.seconds, run.decided_by, json.encode(run.report).decode()],
    )  # fmt: skip
