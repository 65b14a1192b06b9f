"""Drafts and quotes in one batch: what they say, locked by id; their number and id become the order's."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from trueup.core import json
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes
from trueup.orders.basket import LINES_MAX, Basket, PlaceLine
from trueup.orders.state import Moved, OrderMoved


class DraftBasket(Basket, frozen=True, kw_only=True):
    """A basket that may lack what an order needs. currency: ISO 4217, once it is known."""

    currency: str | None = None
    lines: Annotated[tuple[PlaceLine, ...], msgspec.Meta(max_length=LINES_MAX)] = ()


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One draft as it was last saved.

    total: what it would cost, None while `missing` says what it lacks. valid_until: of a quote, whose prices hold until
    then. entered_by: the person who began it. workflow_version, channel_version: the documents the order will keep.
    """

    id: str
    number: str
    basket: DraftBasket
    total: Decimal | None
    missing: tuple[str, ...]
    valid_until: datetime | None
    entered_by: str | None
    customer: str | None
    state: str
    workflow_version: int
    channel_version: int
    created_at: datetime


class DraftSaved(Event, frozen=True, kw_only=True):
    """A draft was begun, or changed."""

    name = "orders.draft_saved"
    about = "draft.id"
    draft: Draft
    at: datetime


class DraftConfirmed(Event, frozen=True, kw_only=True):
    """A draft is an order from now on."""

    name = "orders.draft_confirmed"
    about = "draft"
    draft: str
    at: datetime


class DraftEnded(Event, frozen=True, kw_only=True):
    """A draft will not become an order."""

    name = "orders.draft_ended"
    about = "draft"
    draft: str
    why: Literal["expired", "discarded"]
    at: datetime


EVENTS = (DraftSaved, DraftConfirmed, DraftEnded)


class DraftRow:
    """One draft while its batch runs."""

    __slots__ = ("changed_at", "confirmed_at", "draft", "ended_at", "is_new", "moved", "version")

    def __init__(self, draft: Draft, *, is_new: bool) -> None:
        self.draft = draft
        self.is_new = is_new
        self.version = 1
        self.moved = Moved(draft.state, None, draft.created_at)
        self.changed_at = draft.created_at
        self.confirmed_at: datetime | None = None
        self.ended_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can still become an order."""
        return self.confirmed_at is None and self.ended_at is None


_COLUMNS = {
    "id": "text", "number": "text", "basket": "jsonb", "channel": "text", "currency": "text", "customer": "text",
    "person": "text", "total": "numeric", "missing": "text", "valid_until": "timestamptz", "entered_by": "text",
    "type": "text", "workflow_version": "int", "channel_version": "int", "created_at": "timestamptz",
    "changed_at": "timestamptz", "confirmed_at": "timestamptz", "ended_at": "timestamptz", "version": "int",
    "last_move": "jsonb",
}  # fmt: skip
_NAMES = ", ".join(_COLUMNS)
_CASTS = {"basket": "basket::jsonb", "last_move": "last_move::jsonb",
          "missing": "coalesce(string_to_array(nullif(missing, ''), ' '), '{}')"}  # fmt: skip
_UNNEST = ", ".join(f"%s::{'text' if kind == 'jsonb' else kind}[]" for kind in _COLUMNS.values())
_UPSERT = f"""insert into order_draft ({_NAMES}) select {", ".join(_CASTS.get(name, name) for name in _COLUMNS)}
    from unnest({_UNNEST}) as n ({_NAMES})
    on conflict (id) do update set {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")}"""
_TEXTS = ", ".join(f"{name}::text" if kind == "jsonb" else name for name, kind in _COLUMNS.items())
_READ = f"select {_TEXTS} from order_draft where id = any(%s::text[]) order by id"


class Drafts(Slice):
    """Drafts a batch needs, locked by id."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._changed: set[str] = set()
        self.rows: dict[str, DraftRow] = {}

    def want(self, draft: str) -> None:
        """Ask for a draft by its id."""
        self._wanted.add(draft)

    def draft(self, draft: str) -> DraftRow | None:
        """Return the draft of this id."""
        return self.rows.get(draft)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the drafts by id."""
        if not self._wanted:
            return
        wanted, self._wanted = sorted(self._wanted), set()
        answers = yield [Statement(_READ + (" for no key update" if lock else ""), [wanted])]
        for columns in answers[0]:
            row = _row_of(dict(zip(_COLUMNS, columns, strict=True)))
            self.rows[row.draft.id] = row

    def takes(self) -> Takes:
        """Take what happened to a draft in; a move of the workflow is its own while it is no order."""
        return {
            DraftSaved: self._saved,
            DraftConfirmed: self._confirmed,
            DraftEnded: self._ended,
            OrderMoved: self._moved,
        }

    def _saved(self, event: DraftSaved) -> None:
        row = self.rows.get(event.draft.id)
        if row is None:
            self.rows[event.draft.id] = DraftRow(event.draft, is_new=True)
        else:
            row.draft = event.draft
            row.version += 1
            row.changed_at = event.at
        self._changed.add(event.draft.id)

    def _confirmed(self, event: DraftConfirmed) -> None:
        row = self._touch(event.draft, event.at)
        row.confirmed_at = event.at

    def _ended(self, event: DraftEnded) -> None:
        row = self._touch(event.draft, event.at)
        row.ended_at = event.at

    def _moved(self, event: OrderMoved) -> None:
        row = self.rows.get(event.order)
        if row is not None and row.confirmed_at is None:
            row.moved = Moved(event.to_state, event.reason, event.at)
            self._changed.add(event.order)

    def _touch(self, draft: str, at: datetime) -> DraftRow:
        row = self.rows[draft]
        row.version += 1
        row.changed_at = at
        self._changed.add(draft)
        return row

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upsert of what changed."""
        if not self._changed:
            return []
        rows = [_values(self.rows[draft]) for draft in sorted(self._changed)]
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        for at, (name, kind) in enumerate(_COLUMNS.items()):
            if kind == "jsonb":
                columns[at] = [json.encode(value).decode() for value in columns[at]]
            elif name == "missing":
                columns[at] = [" ".join(value) for value in columns[at]]
        return [Statement(_UPSERT, columns)]

    def rebuilt(self) -> list[Rebuilt]:
        """Return the drafts."""
        rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for row in self.rows.values():
            values = dict(zip(_COLUMNS, _values(row), strict=True))
            for name, kind in _COLUMNS.items():
                if kind == "jsonb":
                    values[name] = msgspec.json.decode(json.encode(values[name]))
            rows[values["id"],] = tuple(values.values())[1:]
        return [Rebuilt("draft", f"select {_NAMES} from order_draft", rows)]


def _values(row: DraftRow) -> tuple[Any, ...]:
    draft, basket = row.draft, row.draft.basket
    return (
        draft.id, draft.number, basket, basket.channel, basket.currency, draft.customer, basket.contact, draft.total,
        draft.missing, draft.valid_until, draft.entered_by, basket.type, draft.workflow_version, draft.channel_version,
        draft.created_at, row.changed_at, row.confirmed_at, row.ended_at, row.version, row.moved,
    )  # fmt: skip


def _row_of(values: dict[str, Any]) -> DraftRow:
    moved = json.decode(values["last_move"], Moved)
    draft = Draft(
        id=values["id"],
        number=values["number"],
        basket=json.decode(values["basket"], DraftBasket),
        total=values["total"],
        missing=tuple(values["missing"]),
        valid_until=values["valid_until"],
        entered_by=values["entered_by"],
        customer=values["customer"],
        state=moved.state,
        workflow_version=values["workflow_version"],
        channel_version=values["channel_version"],
        created_at=values["created_at"],
    )
    row = DraftRow(draft, is_new=False)
    row.moved, row.version = moved, values["version"]
    row.changed_at, row.confirmed_at, row.ended_at = (
        values["changed_at"], values["confirmed_at"], values["ended_at"],
    )  # fmt: skip
    return row
