"""The writer registry's rows in one batch, and the lock that lets a cut-over wait for what is in flight.

Every batch takes the lock shared before it reads the authority's epoch; a change of the registry takes it alone. So a
batch either was committed before the change, or decides under it: no write slips through between the two.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.authority.cohorts import Cohort, Entity, WriterRule
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes

LOCK = 7_205_759_406
COLUMNS = """id, entity, channel, location, customer_group, share_from, share_to, system, from_at, until_at, reason, by,
    at, ended_by"""
READ = f"select {COLUMNS} from writer_rule"


class WriterAssigned(Event, frozen=True, kw_only=True):
    """A system writes a cohort, from a moment on."""

    name = "authority.writer_assigned"
    about = "rule.id"
    rule: WriterRule


class WriterEnded(Event, frozen=True, kw_only=True):
    """A rule of the registry holds no longer from `until_at` on. What had not begun never does."""

    name = "authority.writer_ended"
    about = "rule"
    rule: str
    entity: Entity
    until_at: datetime
    reason: str
    by: str
    at: datetime


EVENTS: tuple[type[Event], ...] = (WriterAssigned, WriterEnded)


class Writers(Slice):
    """The rules of the registry that can still hold; changes go one by one, and wait for what is in flight."""

    def __init__(self) -> None:
        self._wanted = self._locked = False
        self.rules: dict[str, WriterRule] = {}
        self._new: set[str] = set()
        self._ended: set[str] = set()

    def want(self) -> None:
        """Ask for the whole registry, to change it."""
        self._wanted = True

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock, shared or alone; then read what is not over."""
        wanted, self._wanted = self._wanted, False
        shared = "" if wanted else "_shared"
        needed = lock and (wanted or not self._locked)
        self._locked = self._locked or lock
        locks = [Statement(f"select pg_advisory_xact_lock{shared}({LOCK})")] if needed else []
        reads = [Statement(f"{READ} where until_at is null or until_at > %s", [now])] if wanted else []
        if locks or reads:
            answers = yield [*locks, *reads]
            if wanted:
                self.rules.update({rule.id: rule for rule in map(rule_of, answers[-1])})

    def takes(self) -> Takes:
        """Take a rule in, or its end."""
        return {WriterAssigned: self._assigned, WriterEnded: self._end}

    def _assigned(self, event: WriterAssigned) -> None:
        self.rules[event.rule.id] = event.rule
        self._new.add(event.rule.id)

    def _end(self, event: WriterEnded) -> None:
        self.rules[event.rule] = msgspec.structs.replace(
            self.rules[event.rule], until_at=event.until_at, ended_by=event.by
        )
        self._ended.add(event.rule)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the registry as a whole, what is over included."""
        return [Rebuilt("writer_rule", READ, {(rule.id,): tuple(_values(rule)[1:]) for rule in self.rules.values()})]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the ends before the beginnings, so that one rule can follow another, and the rise of the epoch."""
        if not self._new and not self._ended:
            return []
        ended = sorted(self._ended - self._new)
        statements = [
            Statement(
                """update writer_rule w set until_at = e.until_at, ended_by = e.by
                from unnest(%s::text[], %s::timestamptz[], %s::text[]) as e (id, until_at, by) where w.id = e.id""",
                [ended, [self.rules[id_].until_at for id_ in ended], [self.rules[id_].ended_by for id_ in ended]],
            )
        ]
        holes = ", ".join(["%s"] * len(COLUMNS.split(",")))
        statements += [
            Statement(f"insert into writer_rule ({COLUMNS}) values ({holes})", _values(self.rules[id_]))
            for id_ in sorted(self._new)
        ]
        return [*statements, Statement("update epoch set value = value + 1")]


def rule_of(row: tuple[Any, ...]) -> WriterRule:
    """Make a rule of its columns."""
    id_, entity, channel, location, group, share_from, share_to, *rest = row
    cohort = Cohort(
        channel=channel, location=location, customer_group=group, share_from=share_from, share_to=share_to
    )  # fmt: skip
    names = ("system", "from_at", "until_at", "reason", "by", "at", "ended_by")
    return WriterRule(id=id_, entity=entity, cohort=cohort, **dict(zip(names, rest, strict=True)))


def _values(rule: WriterRule) -> list[Any]:
    cohort = rule.cohort
    return [
        rule.id, rule.entity, cohort.channel, cohort.location, cohort.customer_group, cohort.share_from,
        cohort.share_to, rule.system, rule.from_at, rule.until_at, rule.reason, rule.by, rule.at, rule.ended_by,
    ]  # fmt: skip
