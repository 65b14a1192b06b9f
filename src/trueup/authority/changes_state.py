"""Changes as rows of one batch: what is proposed, what it touches, who approved which content, and its fate."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.verb import Batch, Event, Governed, Loading, Rebuilt, Rows, Slice, Statement, Takes

Type = Literal["standard", "normal", "emergency"]
BUDGET_DAYS = 7
_SEPARATOR = chr(31)


class Approval(msgspec.Struct, frozen=True):
    """Somebody's yes to one content. roles: which they held then."""

    digest: str
    actor: str
    roles: tuple[str, ...]
    note: str
    at: datetime


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal. edits: the commands it will put through. objects: what they touch, each with the base it rests on.

    digest: SHA-256 of content and bases; an approval counts for the digest it names. due_at: when it should be decided.
    inverse: the commands that put back what stood before it was applied.
    """

    id: str
    title: str
    reason: str
    type: Type
    edits: tuple[Carried, ...]
    objects: tuple[Governed, ...]
    digest: str
    asker: str
    asked_at: datetime
    planned_at: datetime
    due_at: datetime
    template: str | None = None
    template_version: int | None = None
    effective_at: datetime | None = None
    indicators: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    approved_at: datetime | None = None
    applied_at: datetime | None = None
    applied_by: str | None = None
    inverse: tuple[Carried, ...] | None = None
    reviewed_at: datetime | None = None
    escalated_at: datetime | None = None
    failed_at: datetime | None = None
    rejected_at: datetime | None = None
    withdrawn_at: datetime | None = None
    reverted_at: datetime | None = None
    ended_by: str | None = None
    ended_why: str | None = None
    version: int = 1

    def counted(self) -> tuple[Approval, ...]:
        """Return the approvals of the content as it is now."""
        return tuple(approval for approval in self.approvals if approval.digest == self.digest)

    def ended(self) -> bool:
        """Tell whether nothing more becomes of the proposal: it was applied, rejected, withdrawn, or failed."""
        return any((self.applied_at, self.rejected_at, self.withdrawn_at, self.failed_at))


class ChangeProposed(Event, frozen=True, kw_only=True):
    """Somebody proposed a change."""

    name = "authority.change_proposed"
    about = "change.id"
    change: Change


class ChangeEdited(Event, frozen=True, kw_only=True):
    """The asker replaced the content, or planned it anew on what stands now: approvals of the former do not count."""

    name = "authority.change_edited"
    about = "change.id"
    change: Change


class ChangeApproved(Event, frozen=True, kw_only=True):
    """Somebody approved a content. complete: with this, everybody needed has."""

    name = "authority.change_approved"
    about = "change"
    change: str
    approval: Approval
    complete: bool


class ChangeEnded(Event, frozen=True, kw_only=True):
    """The proposal was rejected or withdrawn, or its one use failed; it stays as a record."""

    name = "authority.change_ended"
    about = "change"
    change: str
    how: Literal["rejected", "withdrawn", "failed"]
    why: str
    by: str
    at: datetime


class ChangeApplied(Event, frozen=True, kw_only=True):
    """The change was carried out; `inverse` undoes it."""

    name = "authority.change_applied"
    about = "change"
    change: str
    inverse: tuple[Carried, ...]
    by: str
    at: datetime


class ChangeReverted(Event, frozen=True, kw_only=True):
    """What stood before the change stands again."""

    name = "authority.change_reverted"
    about = "change"
    change: str
    why: str
    by: str
    at: datetime


class ChangeReviewed(Event, frozen=True, kw_only=True):
    """Everybody whose yes an emergency change needs gave it afterwards."""

    name = "authority.change_reviewed"
    about = "change"
    change: str
    at: datetime


class ChangeEscalated(Event, frozen=True, kw_only=True):
    """An emergency change that nobody reviewed stays, since reverting it would harm; it costs until it is settled."""

    name = "authority.change_escalated"
    about = "change"
    change: str
    why: str
    at: datetime


EVENTS = (
    ChangeProposed, ChangeEdited, ChangeApproved, ChangeEnded, ChangeApplied, ChangeReverted, ChangeReviewed,
    ChangeEscalated,
)  # fmt: skip
_COLUMNS = """id, title, reason, type, template, template_version, content, digest, asker, asked_at, planned_at, due_at,
    effective_at, indicators, approved_at, applied_at, applied_by, inverse, reviewed_at, escalated_at, failed_at,
    rejected_at, withdrawn_at, reverted_at, ended_by, ended_why, version"""
_NAMES = tuple(name.strip() for name in _COLUMNS.split(","))


class Changes(Slice):
    """The changes a batch is about, locked; the templates that were spent; and what was applied lately."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self.changes: dict[str, Change] = {}
        self.spent: dict[str, int] = {}
        self.applied: list[datetime] = []
        self._touched: set[str] = set()
        self._written: set[str] = set()
        self._approved: list[tuple[str, Approval]] = []

    def want(self, change: str | None = None) -> None:
        """Ask for one change, or, for a new one, only for what was spent and applied."""
        self._wanted.add(change or "")

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the changes in the order of their ids, then read what hangs on them."""
        if not self._wanted:
            return
        wanted, self._wanted = sorted(self._wanted), set()
        locking = " for no key update" if lock else ""
        answers = yield [
            Statement(f"select {_COLUMNS} from change where id = any(%s::text[]) order by id{locking}", [wanted]),
            Statement(
                """select template, max(template_version) from change
                where template is not null and (failed_at is not null or reverted_at is not null) group by template"""
            ),
            Statement("select applied_at from change where applied_at > %s", [now - timedelta(days=BUDGET_DAYS)]),
        ]
        rest = yield [
            Statement(
                """select change, key, object, base, over from change_object where change = any(%s::text[])
                order by object""",
                [wanted],
            ),
            Statement(
                """select change, digest, actor, roles, note, at from change_approval where change = any(%s::text[])
                order by at, actor""",
                [wanted],
            ),
        ]
        self.spent = {template: version or 0 for template, version in answers[1]}
        self.applied = [at for (at,) in answers[2]]
        for change in changes_of(answers[0], rest[0], rest[1]):
            self.changes[change.id] = change

    def takes(self) -> Takes:
        """Take what happened to a change in."""
        return {
            ChangeProposed: lambda e: self._put(e.change, planned=True),
            ChangeEdited: lambda e: self._put(e.change, planned=True),
            ChangeApproved: self._approve,
            ChangeEnded: lambda e: self._end(e, f"{e.how}_at"),
            ChangeApplied: self._apply,
            ChangeReverted: lambda e: self._end(e, "reverted_at"),
            ChangeReviewed: lambda e: self._change(e.change, reviewed_at=e.at),
            ChangeEscalated: lambda e: self._change(e.change, escalated_at=e.at),
        }

    def _put(self, change: Change, *, planned: bool) -> None:
        self.changes[change.id] = change
        self._touched.add(change.id)
        if planned:
            self._written.add(change.id)

    def _change(self, change: str, **values: Any) -> None:
        known = self.changes[change]
        self._put(msgspec.structs.replace(known, version=known.version + 1, **values), planned=False)

    def _approve(self, event: ChangeApproved) -> None:
        known = self.changes[event.change]
        approved = {"approved_at": event.approval.at} if event.complete and known.applied_at is None else {}
        self._approved.append((event.change, event.approval))
        self._change(event.change, approvals=(*known.approvals, event.approval), **approved)

    def _apply(self, event: ChangeApplied) -> None:
        known = self.changes[event.change]
        self.applied.append(event.at)
        # What was said may be enough only since: the register or the mode asks for fewer than when it was said.
        enough = {"approved_at": event.at} if known.type == "normal" and known.approved_at is None else {}
        self._change(event.change, applied_at=event.at, applied_by=event.by, inverse=event.inverse, **enough)

    def _end(self, event: ChangeEnded | ChangeReverted, moment: str) -> None:
        known = self.changes[event.change]
        if known.template is not None and moment in ("failed_at", "reverted_at"):
            self.spent[known.template] = max(self.spent.get(known.template, 0), known.template_version or 0)
        self._change(event.change, **{moment: event.at, "ended_by": event.by, "ended_why": event.why})

    def rebuilt(self) -> list[Rebuilt]:
        """Return the changes, what they touch, and who approved them."""
        changes = self.changes.values()
        return [
            Rebuilt(
                "change",
                f"select {', '.join(_NAMES)} from change",
                {(change.id,): tuple(_row(change)[1:]) for change in changes},
            ),
            Rebuilt(
                "change_object",
                "select change, object, key, base, over from change_object",
                {(c.id, one.object): (one.key, one.base, one.over) for c in changes for one in c.objects},
            ),
            Rebuilt(
                "change_approval",
                "select change, digest, actor, roles, note, at from change_approval",
                {(c.id, a.digest, a.actor): (a.roles, a.note, a.at) for c in changes for a in c.approvals},
            ),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the writes, a few per change since these are rare."""
        statements = [_upsert(self.changes[change]) for change in sorted(self._touched)]
        for change in sorted(self._written):
            objects = self.changes[change].objects
            statements.append(Statement("delete from change_object where change = %s", [change]))
            statements.append(
                Statement(
                    """insert into change_object (change, object, key, base, over)
                    select %s, object, key, base, string_to_array(over, chr(31))
                    from unnest(%s::text[], %s::text[], %s::text[], %s::text[]) as o (object, key, base, over)""",
                    [
                        change,
                        [o.object for o in objects],
                        [o.key for o in objects],
                        [o.base for o in objects],
                        [_SEPARATOR.join(o.over) for o in objects],
                    ],
                )
            )
        statements += [
            Statement(
                """insert into change_approval (change, digest, actor, roles, note, at)
                values (%s, %s, %s, %s::text[], %s, %s)""",
                [change, a.digest, a.actor, list(a.roles), a.note, a.at],
            )
            for change, a in self._approved
        ]
        return statements


def changes_of(rows: Rows, objects: Rows, approvals: Rows) -> list[Change]:
    """Return the changes that rows of the three tables tell; for readers, too."""
    touched: dict[str, list[Governed]] = {}
    for change, key, object_, base, over in objects:
        touched.setdefault(change, []).append(Governed(key, object_, base, tuple(over)))
    said: dict[str, list[Approval]] = {}
    for change, digest, actor, roles, note, at in approvals:
        said.setdefault(change, []).append(Approval(digest, actor, tuple(roles), note, at))
    found = []
    for row in rows:
        values = dict(zip(_NAMES, row, strict=True))
        edits = json.decode(bytes(values.pop("content")), tuple[Carried, ...])
        inverse = values.pop("inverse")
        found.append(
            Change(
                **{**values, "indicators": tuple(values["indicators"])},
                edits=edits,
                inverse=json.decode(bytes(inverse), tuple[Carried, ...]) if inverse is not None else None,
                objects=tuple(touched.get(values["id"], ())),
                approvals=tuple(said.get(values["id"], ())),
            )
        )
    return found


def columns() -> str:
    """Return the columns of `change` in the order that `changes_of` takes them."""
    return ", ".join(f"c.{name}" for name in _NAMES)


def _row(change: Change) -> list[Any]:
    plain = {"content": json.encode(change.edits), "indicators": change.indicators,
             "inverse": json.encode(change.inverse) if change.inverse is not None else None}  # fmt: skip
    return [plain.get(name, getattr(change, name, None)) for name in _NAMES]


def _upsert(change: Change) -> Statement:
    values = [list(value) if isinstance(value, tuple) else value for value in _row(change)]
    marks = ", ".join("%s::text[]" if name == "indicators" else "%s" for name in _NAMES)
    return Statement(
        f"""insert into change ({_COLUMNS}) values ({marks}) on conflict (id) do update set
        {", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in ("id", "asker", "asked_at"))}""",
        values,
    )
