"""Drift: a policy in force that no published version explains, found by comparing it with the journal.

The door lets nobody write one; whoever owns the database can. Such a write is recorded with its user and time, and
here it becomes a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Drift(msgspec.Struct, frozen=True):
    """A document in force that is not what was published.

    found: digest of what is there, in hex, "" for nothing; expected: of what should be, "" where nothing was published,
    or it was withdrawn. login, at: who last wrote policies past the door, where that is recorded.
    """

    policy_kind: str
    policy_name: str
    version: int
    found: str
    expected: str
    login: str | None
    at: datetime | None


class ReportDrift(Command, frozen=True, kw_only=True):
    """Open the case of a policy that changed past the door. found, expected: digests; login: the database's user."""

    policy_kind: Text
    policy_name: Text
    version: int
    found: Annotated[str, msgspec.Meta(max_length=64)]
    expected: Annotated[str, msgspec.Meta(max_length=64)] = ""
    login: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    at: datetime | None = None


def report_drift(state: State, command: ReportDrift, context: Context) -> Decision:
    """Open the case, or let the open one of the same document grow."""
    name = f"{command.policy_kind}/{command.policy_name}"
    who = (
        f"by the database user {command.login} at {command.at.isoformat()}"
        if command.login and command.at
        else ("by nobody that the database recorded")
    )
    in_force = f"version {command.version} in force is {command.found[:16]}" if command.found else "nothing is in force"
    detail = f"{in_force}, published was {command.expected[:16] or '-'}"
    events = case_events(
        state,
        context,
        cause=_cause(command),
        kind="policy_drift",
        title=f"The policy {name} was changed past the door, {who}",
        severity=1,
        owner_role="IT Process Owner",
        subjects=[CaseSubject("policy", f"{name}@{command.found[:16]}", f"{detail}, {who}")],
    )
    return Accepted(events, events[-1].subject, {"case": events[-1].subject})


async def drifts(connection: Connection) -> tuple[Drift, ...]:
    """Return every document in force whose bytes, digest or version is not what the journal said last.

    So is one that is out of force though nobody withdrew it.
    """
    rows = await connection.execute(
        """select k.kind, k.name, coalesce(a.version, 0), coalesce(encode(sha256(p.document), 'hex'), ''),
            coalesce(said.digest, ''), b.login, b.at
        from (select kind, name from policy_active union select kind, name from policy) k
        left join policy_active a using (kind, name) left join policy p using (kind, name, version)
        left join lateral (
            select convert_from(j.body, 'UTF8')::jsonb ->> 'digest' as digest,
                case j.name when 'authority.policy_published'
                    then (convert_from(j.body, 'UTF8')::jsonb ->> 'version')::int end as version
            from journal j where j.subject = k.kind || '/' || k.name and j.kind = 'e'
                and j.name in ('authority.policy_published', 'authority.policy_withdrawn')
            order by j.position desc limit 1
        ) said on true
        left join lateral (
            select login, at from bypass where relation in ('policy', 'policy_active') order by at desc limit 1
        ) b on true
        where said.version is distinct from a.version or said.digest is distinct from encode(sha256(p.document), 'hex')
            or said.digest is distinct from encode(p.digest, 'hex')
        order by k.kind, k.name limit 100"""
    )
    return tuple(Drift(*row) for row in await rows.fetchall())


async def due_drifts(connection: Connection, now: datetime) -> Sequence[tuple[str, Command]]:
    """Return the reports of what drifted, each once per content that was found."""
    return [
        (
            f"{drift.policy_kind}/{drift.policy_name}/{drift.version}/{drift.found[:16]}",
            ReportDrift(
                policy_kind=drift.policy_kind,
                policy_name=drift.policy_name,
                version=drift.version,
                found=drift.found,
                expected=drift.expected,
                login=drift.login,
                at=drift.at,
            ),
        )
        for drift in await drifts(connection)
    ]


def _cause(command: ReportDrift) -> str:
    return f"drift:{command.policy_kind}/{command.policy_name}"


def _wants(state: State, command: ReportDrift, policies: Policies) -> None:
    state.of(Cases).want_cause(_cause(command))


VERBS = (
    Verb(
        name="authority.report_drift",
        command=ReportDrift,
        decide=report_drift,
        wants=_wants,
        touches=lambda command: (f"cause:{_cause(command)}",),
    ),
)
