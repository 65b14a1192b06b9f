"""What happens to holds and to suspected duplicates. A hold keeps what it blocks and when it is due."""

from __future__ import annotations

from datetime import datetime

import msgspec

from trueup.core.verb import Event


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One hold as it was placed. line: None where it is on the whole order. rule: what placed it, as `table/rule`.

    blocks: the events of the order's workflow that it stops. by_rule: a rule may release it when its cause is gone.
    due_at: when somebody must have decided about it; None is never.
    """

    id: str
    order: str
    type: str
    reason: str
    blocks: tuple[str, ...]
    placed_at: datetime
    placed_by: str
    line: int | None = None
    rule: str | None = None
    by_rule: bool = False
    due_at: datetime | None = None


class HoldPlaced(Event, frozen=True, kw_only=True):
    """Something must be settled before the order, or one of its lines, may go on."""

    name = "orders.hold_placed"
    about = "hold.order"
    hold: Hold


class HoldReleased(Event, frozen=True, kw_only=True):
    """A hold ended. rule: what saw that its cause was gone; None where a person decided."""

    name = "orders.hold_released"
    about = "order"
    order: str
    hold: str
    type: str
    reason: str
    by: str
    at: datetime
    rule: str | None = None


class HoldNoticed(Event, frozen=True, kw_only=True):
    """A hold was due, and a case says so."""

    name = "orders.hold_noticed"
    about = "order"
    order: str
    hold: str
    at: datetime


class DuplicateSuspected(Event, frozen=True, kw_only=True):
    """An order looks like an earlier one once more; a person decides."""

    name = "orders.duplicate_suspected"
    about = "order"
    order: str
    earlier: str
    at: datetime


class DuplicateDismissed(Event, frozen=True, kw_only=True):
    """Somebody decided that an order is wanted beside the earlier one."""

    name = "orders.duplicate_dismissed"
    about = "order"
    order: str
    reason: str
    by: str
    at: datetime


EVENTS = (HoldPlaced, HoldReleased, HoldNoticed, DuplicateSuspected, DuplicateDismissed)
