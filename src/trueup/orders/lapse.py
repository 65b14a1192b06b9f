"""Reservations that end by themselves: what an unpaid order reserved stops counting at its deadline.

An order that may stay unpaid for a time only reserves stock until then (`unpaid_until`): from that moment its
reservations count on no read, and whoever next wants the stock writes them off, with the order not at hand. So the
order's own counters follow as soon as it is: every rule that changes an order's claims says what lapsed first.
Source: behaviour 15.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from trueup.core.quantity import ZERO
from trueup.core.verb import Event, State
from trueup.orders.changes import ReservationsLapsed
from trueup.orders.state import OrderRow
from trueup.stock.state import Stock


def lapsed_events(state: State, row: OrderRow, now: datetime) -> list[Event]:
    """Return what of an order's reservations has ended since its counters last said so. Wants: `Stock.want_claims`."""
    if row.captured.unpaid_until is None or now < row.captured.unpaid_until:
        return []
    held: dict[int, Decimal] = {}
    for claim in state.of(Stock).open_claims(row.captured.id):
        if claim.kind == "reservation":
            held[claim.line] = held.get(claim.line, ZERO) + claim.quantity
    gone = tuple(
        (line, units - held.get(line, ZERO))
        for line, units in sorted(row.reserved.items())
        if units > held.get(line, ZERO)
    )
    return [ReservationsLapsed(order=row.captured.id, lines=gone, at=now)] if gone else []


def is_overdue(row: OrderRow, now: datetime) -> bool:
    """Tell whether an order should have ended, since its deadline passed and nothing was paid."""
    captured = row.captured
    return captured.unpaid_until is not None and captured.unpaid_until <= now and captured.captured <= 0
