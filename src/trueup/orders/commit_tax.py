"""Commit an order's tax with an invoice, and reverse it at the rate it was committed at."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.core.errors import Refusal
from trueup.core.money import total_of
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Context, Decision, State, Verb
from trueup.orders.hold import concerns_order
from trueup.orders.state import Line, OrderRow, Orders
from trueup.orders.tax import committed
from trueup.orders.tax_state import OrderTaxes, TaxCommitted, TaxReversed, TaxRow
from trueup.orders.taxing import parts_of
from trueup.orders.version import known_order, unknown_order

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class TaxedLine(Body, frozen=True, forbid_unknown_fields=True):
    """Units of a line; None is all that are left."""

    line: int
    quantity: Quantity | None = None


class CommitTax(Command, frozen=True, kw_only=True):
    """Freeze the tax of units that an invoice names. invoice: its number; lines: none is all that is not invoiced."""

    order: str
    invoice: Name
    lines: Annotated[tuple[TaxedLine, ...], msgspec.Meta(max_length=500)] = ()


class ReverseTax(Command, frozen=True, kw_only=True):
    """Give invoiced tax back. invoice: None takes the latest first; lines: none is all that stands."""

    order: str
    invoice: Name | None = None
    lines: Annotated[tuple[TaxedLine, ...], msgspec.Meta(max_length=500)] = ()
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "returned"


def commit_tax(state: State, command: CommitTax, context: Context) -> Decision:
    """Freeze rate, base and tax of the units, and return them; estimates of these lines change no more.

    Invoiced and cancelled units of a line take their shares from its two ends, so that both together are the line.
    Refuses history, an order that is not taxed, an invoice that was committed before, unknown lines, and more units
    than are neither invoiced nor cancelled. Source: behaviour 25.
    """
    row = _ours(state, command.order)
    if isinstance(row, Refusal):
        return row
    taxes = state.of(OrderTaxes)
    if taxes.knows(command.order, command.invoice):
        return Refusal("orders.invoice_known", f"Invoice {command.invoice!r} was committed for this order.",
                       "Give each invoice its own number; to repeat a command, send its key again.",
                       "invoice", command.invoice)  # fmt: skip
    included = row.captured.tax_included
    if not any(parts_of(line, included=included) for line in row.lines):
        return Refusal("orders.untaxed", "The order is not taxed; there is nothing to commit.",
                       "Let the channel's policy name a tax provider for orders to come.",
                       "order", command.order)  # fmt: skip
    chosen = _chosen(row, command.lines, lambda line: _uninvoiced(taxes, row, line))
    if isinstance(chosen, Refusal):
        return chosen
    number = len(taxes.of_order(command.order))
    rows: list[TaxRow] = []
    for line, units in chosen:
        before = taxes.invoiced(command.order, line.line)
        for part in parts_of(line, included=included):
            kept = committed(part, before, units, row.captured.currency)
            number += 1
            rows.append(TaxRow(number, command.invoice, line.line, units, kept.rate, kept.base, kept.tax))
    event = TaxCommitted(order=command.order, rows=tuple(rows), at=context.now)
    result = {"order": command.order, "invoice": command.invoice, **_sums(rows)}
    return Accepted([event], command.order, result)


def reverse_tax(state: State, command: ReverseTax, context: Context) -> Decision:
    """Give the tax of invoiced units back, at their original rate and to the unit exactly.

    The parts of a line that are reversed sum to what was committed. Refuses an invoice that is not known, unknown
    lines, and more units than stand invoiced.
    """
    row = _ours(state, command.order)
    if isinstance(row, Refusal):
        return row
    taxes, invoice = state.of(OrderTaxes), command.invoice
    if invoice is not None and not taxes.knows(command.order, invoice):
        return Refusal("orders.invoice_unknown", f"No invoice {invoice!r} was committed for this order.",
                       "Look its number up on the order.", "invoice", invoice)  # fmt: skip

    def standing(line: Line) -> Decimal:
        if invoice is None:
            return taxes.standing(command.order, line.line)
        return taxes.left(command.order, line.line, invoice)

    chosen = _chosen(row, command.lines, standing)
    if isinstance(chosen, Refusal):
        return chosen
    rows: list[TaxRow] = []
    for line, units in chosen:
        first = len(taxes.of_order(command.order)) + len(rows) + 1
        rows += taxes.reversals(command.order, line.line, units, row.captured.currency, first, invoice)
    event = TaxReversed(order=command.order, rows=tuple(rows), reason=command.reason, at=context.now)
    return Accepted([event], command.order, {"order": command.order, **_sums(rows)})


def _uninvoiced(taxes: OrderTaxes, row: OrderRow, line: Line) -> Decimal:
    """Return the units of a line that can be invoiced: neither cancelled nor invoiced; none of one that has no tax."""
    order = row.captured.id
    if not parts_of(line, included=row.captured.tax_included):
        return ZERO
    left = line.quantity - line.cancelled - taxes.standing(order, line.line)
    return min(left, line.quantity - taxes.invoiced(order, line.line))


def _chosen(
    row: OrderRow, wanted: tuple[TaxedLine, ...], available: Callable[[Line], Decimal]
) -> list[tuple[Line, Decimal]] | Refusal:
    if not wanted:
        chosen = [(line, units) for line in row.lines if (units := available(line)) > 0]
        if not chosen:
            return Refusal("orders.nothing_left", "No unit is left for this.", "Look at what was invoiced.",
                           "order", row.captured.id)  # fmt: skip
        return chosen
    chosen = []
    for at, entry in enumerate(wanted):
        line = row.line(entry.line)
        if line is None or line.line in {known.line for known, _ in chosen}:
            return Refusal("orders.unknown_line", f"The order has no line {entry.line} to name once.",
                           "Name each line once, by its number.", f"lines[{at}].line", str(entry.line))  # fmt: skip
        most = available(line)
        units = most if entry.quantity is None else entry.quantity
        if units <= 0 or units > most:
            return Refusal("orders.too_many", f"{plain(most)} units of line {line.line} are left for this.",
                           "Lower the quantity.", f"lines[{at}].quantity", plain(units))  # fmt: skip
        chosen.append((line, units))
    return chosen


def _sums(rows: list[TaxRow]) -> dict[str, str]:
    return {"base": str(total_of([row.base for row in rows])), "tax": str(total_of([row.tax for row in rows]))}


def _ours(state: State, order: str) -> OrderRow | Refusal:
    row = state.of(Orders).order(order)
    return known_order(row, order) or row or unknown_order(order)


def _wants(state: State, command: CommitTax | ReverseTax, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(OrderTaxes).want(command.order)


VERBS = (
    Verb(
        name="orders.commit_tax",
        command=CommitTax,
        decide=commit_tax,
        wants=_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
    Verb(
        name="orders.reverse_tax",
        command=ReverseTax,
        decide=reverse_tax,
        wants=_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
)
