"""Two people changing one order: who decided on an older version is refused, and the API tells what changed since."""

from __future__ import annotations

from trueup.core.errors import Refusal
from trueup.orders.state import OrderRow

RULE = "orders.changed"
FIND_ORDER = "Name it by its id; `GET /v1/orders/NUMBER` and `trueup show /v1/orders/NUMBER` tell it."


def known_order(row: OrderRow | None, order: str, version: int | None = None) -> Refusal | None:
    """Return why an order cannot be acted on: unknown, history, or changed since `version` was read; None if it can."""
    if row is None:
        return unknown_order(order)
    if not row.captured.managed:
        return Refusal("orders.history", f"Order {order} is history of {row.captured.source}.",
                       "History is searched and returned; nothing else happens to it.", "order", order)  # fmt: skip
    return changed(row, version)


def unknown_order(order: str) -> Refusal:
    """Return the refusal of an id that is no order's."""
    return Refusal("orders.unknown", f"There is no order {order!r}.", FIND_ORDER, "order", order)


def changed(row: OrderRow, version: int | None) -> Refusal | None:
    """Return the refusal of who read another version of the order; the API adds what happened since."""
    if version is None or version == row.version:
        return None
    return Refusal(RULE, f"The order is at version {row.version}, not {version}.",
                   "Read it again and decide anew.", "version", str(version))  # fmt: skip
