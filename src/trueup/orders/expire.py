"""End orders that nobody paid in time.

The deadline is decided when the order is taken: from then on its reservations count no more, whether or not anybody
noticed. A worker only notices, and submits these commands. Source: behaviour 15.
"""

from __future__ import annotations

from datetime import datetime

from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb
from trueup.orders.cancel import cancelling, open_units, orphaned_charges, want_cancelling
from trueup.orders.hold import concerns_order
from trueup.orders.lapse import is_overdue, lapsed_events
from trueup.orders.state import LineCancelled, Orders, version_after
from trueup.orders.version import known_order, unknown_order
from trueup.orders.workflow import advance, allows


class ExpireUnpaid(Command, frozen=True, kw_only=True):
    """End an order of which nothing was paid in time."""

    order: str


def expire_unpaid(state: State, command: ExpireUnpaid, context: Context) -> Decision:
    """Cancel what is left of the order and release what it holds, by the workflow's event `unpaid`.

    Where its workflow has no way out by that event, the order stays, and the event is recorded as unmatched. Refuses an
    order whose deadline has not passed, of which something was paid, or of which nothing is left.
    """
    row = state.of(Orders).order(command.order)
    refusal = known_order(row, command.order)
    if refusal is not None or row is None:
        return refusal or unknown_order(command.order)
    if not is_overdue(row, context.now):
        until = row.captured.unpaid_until
        what = f"may stay unpaid until {until:%Y-%m-%d %H:%M} UTC" if until else "has no deadline for its payment"
        paid = row.captured.captured > 0
        return Refusal("orders.not_overdue", f"The order {'was paid' if paid else what}.",
                       "Cancel it if it must end now.", "order", command.order)  # fmt: skip
    left = [
        LineCancelled(line.line, open_units(line))
        for line in row.lines
        if line.kind != "charge" and open_units(line) > 0
    ]
    if not left:
        return Refusal("orders.nothing_left", "No unit of the order is left to be fulfilled.",
                       "What was shipped is collected or returned.", "order", command.order)  # fmt: skip
    if allows(row, "unpaid", context.policies) is not None:
        events = [*lapsed_events(state, row, context.now), *advance(row, "unpaid", context)]
        return Accepted(events, command.order, {"order": command.order, "state": row.state, "matched": False})
    events = cancelling(state, row, [*left, *orphaned_charges(row, left)], context, "unpaid", "unpaid")
    return Accepted(events, command.order, {"order": command.order, "version": version_after(row, events)})


async def due_unpaid(connection: Connection, now: datetime) -> list[tuple[str, ExpireUnpaid]]:
    """Return a key and a command for each order whose deadline passed and that is neither paid nor ended.

    An order that its workflow keeps all the same is asked again only after it was led elsewhere: the key says since
    when it is where it is.
    """
    rows = await connection.execute(
        """select id, last_move ->> 'at' from orders
        where unpaid_until <= %s and payment_status = 'unpaid' and fulfilment_status = 'unfulfilled'
        order by unpaid_until, id""",
        [now],
    )
    return [(f"{order}/{since}", ExpireUnpaid(order=order)) for order, since in await rows.fetchall()]


VERBS = (
    Verb(
        name="orders.expire_unpaid",
        command=ExpireUnpaid,
        decide=expire_unpaid,
        wants=lambda state, command, policies: want_cancelling(state, command.order),
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
)
