"""Transfers in one batch: what is on its way between two locations, by line; locked in the order of their ids."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes


class TransferLine(msgspec.Struct, frozen=True, array_like=True):
    """Units of one item, or of one lot of it, on their way; see the table for what the figures mean."""

    line: int
    item: str
    lot: str
    shipped: Decimal
    expires_on: date | None = None
    received: Decimal = ZERO
    over: Decimal = ZERO
    missing: Decimal = ZERO

    @property
    def open(self) -> Decimal:
        """Return the units that are still on their way."""
        return self.shipped - self.received - self.missing


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Goods going from one location (id) to another. receipts: how often some of it arrived."""

    id: str
    reference: str
    from_location: str
    to_location: str
    shipped_at: datetime
    closed_at: datetime | None = None
    receipts: int = 0
    version: int = 1


class TransferShipped(Event, frozen=True, kw_only=True):
    """Goods left for another location."""

    name = "stock.transfer_shipped"
    about = "transfer.id"
    transfer: Transfer
    lines: tuple[TransferLine, ...]


class TransferReceived(Event, frozen=True, kw_only=True):
    """Some of a transfer arrived, or it was closed. lines: those that changed, as they are now."""

    name = "stock.transfer_received"
    about = "transfer"
    transfer: str
    lines: tuple[TransferLine, ...]
    closed: bool
    at: datetime


EVENTS = (TransferShipped, TransferReceived)
_COLUMNS = "id, reference, from_location, to_location, shipped_at, closed_at, receipts, version"
_LINE = "line, item, lot, shipped, expires_on, received, over, missing"


class Transfers(Slice):
    """The transfers a batch names by id, with all their lines. codes: of the locations they go between, by id."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self.transfers: dict[str, Transfer] = {}
        self.codes: dict[str, str] = {}
        self._lines: dict[str, dict[int, TransferLine]] = {}
        self._changed: set[str] = set()
        self._changed_lines: set[tuple[str, int]] = set()

    def want(self, transfer: str) -> None:
        """Ask for a transfer."""
        self._ids.add(transfer)

    def lines(self, transfer: str) -> list[TransferLine]:
        """Return a transfer's lines by number."""
        lines = self._lines.get(transfer, {})
        return [lines[number] for number in sorted(lines)]

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Lock the transfers; their rows guard the lines, which the next statement reads."""
        if not self._ids:
            return
        ids = sorted(self._ids)
        self._ids.clear()
        locking = " for no key update" if lock else ""
        answers = yield [
            Statement(f"select {_COLUMNS} from stock_transfer where id = any(%s::text[]) order by id{locking}", [ids]),
            Statement(f"select transfer, {_LINE} from stock_transfer_line where transfer = any(%s::text[])", [ids]),
            Statement(
                """select l.id, l.code from stock_transfer t join location l on l.id in (t.from_location, t.to_location)
                where t.id = any(%s::text[])""",
                [ids],
            ),
        ]
        for row in answers[0]:
            transfer = Transfer(**dict(zip(Transfer.__struct_fields__, row, strict=True)))
            self.transfers[transfer.id] = transfer
        self.codes.update(answers[2])
        for id_, *columns in answers[1]:
            line = TransferLine(*columns)
            self._lines.setdefault(id_, {})[line.line] = line

    def takes(self) -> Takes:
        """Take a shipment or a receipt in."""
        return {TransferShipped: self._shipped, TransferReceived: self._received}

    def _shipped(self, event: TransferShipped) -> None:
        self.transfers[event.transfer.id] = event.transfer
        self._take(event.transfer.id, event.lines)

    def _received(self, event: TransferReceived) -> None:
        known = self.transfers[event.transfer]
        self.transfers[known.id] = msgspec.structs.replace(
            known,
            receipts=known.receipts + 1,
            closed_at=known.closed_at or (event.at if event.closed else None),
            version=known.version + 1,
        )
        self._take(known.id, event.lines)

    def _take(self, transfer: str, lines: tuple[TransferLine, ...]) -> None:
        self._changed.add(transfer)
        for line in lines:
            self._lines.setdefault(transfer, {})[line.line] = line
            self._changed_lines.add((transfer, line.line))

    def rebuilt(self) -> list[Rebuilt]:
        """Return the transfers and their lines."""
        rows = {(t.id,): tuple(getattr(t, n) for n in Transfer.__struct_fields__[1:]) for t in self.transfers.values()}
        names = TransferLine.__struct_fields__[1:]
        lines = {
            (transfer, line.line): tuple(getattr(line, name) for name in names)
            for transfer, known in self._lines.items()
            for line in known.values()
        }
        return [
            Rebuilt("transfer", f"select {_COLUMNS} from stock_transfer", rows),
            Rebuilt("transfer_line", f"select transfer, {_LINE} from stock_transfer_line", lines),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upserts of the transfers and lines that changed."""
        if not self._changed:
            return []
        found = [self.transfers[id_] for id_ in sorted(self._changed)]
        keys = sorted(self._changed_lines)
        lines = [self._lines[transfer][number] for transfer, number in keys]
        of_lines: list[list[Any]] = [[getattr(line, name) for line in lines] for name in TransferLine.__struct_fields__]
        at = TransferLine.__struct_fields__.index("expires_on")
        of_lines[at] = [day and day.isoformat() for day in of_lines[at]]
        return [
            Statement(_UPSERT, [[getattr(row, name) for row in found] for name in Transfer.__struct_fields__]),
            Statement(_UPSERT_LINES, [[transfer for transfer, _ in keys], *of_lines]),
        ]


_UPSERT = f"""insert into stock_transfer ({_COLUMNS})
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
                         %s::int[], %s::int[])
    on conflict (id) do update set closed_at = excluded.closed_at, receipts = excluded.receipts,
        version = excluded.version"""
_UPSERT_LINES = f"""insert into stock_transfer_line (transfer, {_LINE})
    select transfer, line, item, lot, shipped, expires_on::date, received, over, missing
    from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::numeric[], %s::text[], %s::numeric[],
                %s::numeric[], %s::numeric[]) as n (transfer, {_LINE})
    on conflict (transfer, line) do update set received = excluded.received, over = excluded.over,
        missing = excluded.missing"""
