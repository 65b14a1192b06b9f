"""Place an order: check it, total it, reserve its stock, all or nothing."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, ClassVar

import msgspec

from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.ids import short_number
from trueup.core.money import LIMIT, Amount, apportion_amount, booked, is_currency, total_of
from trueup.core.policy import Policies, Policy
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Personal, State, Verb
from trueup.orders.state import Captured, Line, OrderPlaced, Orders, Totals
from trueup.parties.state import Contact, Parties, keep_contact
from trueup.stock.reserve import Demand, bad_line, claim, unknown_location
from trueup.stock.state import Stock, StockReserved

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Channel(Policy, frozen=True, kw_only=True):
    """How orders of one channel are taken. location: code of the location that serves it unless an order names one."""

    kind: ClassVar[str] = "channel"
    location: str = "MAIN"


class PlaceLine(Body, frozen=True, forbid_unknown_fields=True):
    """What a customer wants: any key of the item, units above zero, the price of one unit."""

    sku: str
    quantity: Quantity
    unit_price: Amount
    description: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class Charge(Body, frozen=True, forbid_unknown_fields=True):
    """What is paid besides the goods, e.g. `SHIPPING`; it has no stock."""

    code: Name
    amount: Amount
    description: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class PlaceOrder(Command, frozen=True, kw_only=True):
    """Take a customer's demand.

    currency: ISO 4217. channel: names the policy it is taken under. location: code of the place that serves it.
    external_ids: system -> the number it knows this order by; each is unique for ever.
    customer: number in `customer_source`. contact: personal words, kept once; the journal gets their id.
    discount: of the whole order, shared over its lines. source_total: what the shop said; kept, flagged if it differs.
    """

    currency: str
    lines: Annotated[tuple[PlaceLine, ...], msgspec.Meta(min_length=1, max_length=500)]
    channel: Name = "web"
    location: str | None = None
    charges: Annotated[tuple[Charge, ...], msgspec.Meta(max_length=50)] = ()
    discount: Amount = Amount(0)
    external_ids: Annotated[dict[Name, Name], msgspec.Meta(max_length=20)] = msgspec.field(default_factory=dict)
    customer: str | None = None
    customer_source: str = ""
    contact: Contact | str | None = None
    ship_country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None
    source_total: Amount | None = None
    placed_at: datetime | None = None


def place_order(state: State, command: PlaceOrder, context: Context) -> Decision:
    """Take the order and reserve each line from one location.

    Amounts are booked half up per line. Refuses the whole order when a line is short, naming every short line, when a
    name is unknown, when an amount has more decimals than its currency books, when the discount exceeds the goods, or
    when another order has one of its external numbers; nothing is written then. Source: behaviours 3, 13, 16, 24, 26.
    """
    refusal = _refusal(state, command)
    if refusal is not None:
        return refusal
    code = _location(command, context.policies)
    location = state.of(Catalogue).location(code)
    if location is None:
        return unknown_location(code)
    demands = _demands(state, command)
    if isinstance(demands, Refusal):
        return demands
    # A kit has stock of its own, like a good; only charges have none. Source: behaviour 14, assembled kits.
    claims = claim(state, [demand for demand in demands if demand.item.kind != "charge"], location.id)
    if isinstance(claims, Refusal):
        return claims
    lines = _lines(command, demands, location.id)
    order = _captured(state, command, context, lines)
    events = [OrderPlaced(order=order, lines=lines)]
    result = {"order": order.id, "number": order.number, "total": str(order.totals.total), "flags": list(order.flags)}
    if not claims:
        return Accepted(events, order.id, result)
    return Accepted([*events, StockReserved(holder=order.id, claims=claims, at=context.now)], order.id, result)


def _refusal(state: State, command: PlaceOrder) -> Refusal | None:
    if not is_currency(command.currency):
        return Refusal("orders.currency", f"{command.currency!r} is not a currency.", "Use an ISO 4217 code.",
                       "currency", command.currency)  # fmt: skip
    if command.placed_at is not None and command.placed_at.tzinfo is None:
        return Refusal("orders.time_without_zone", f"The time {command.placed_at} has no zone.",
                       "State the offset, as in 2026-03-01T10:00Z.", "placed_at", str(command.placed_at))  # fmt: skip
    for source, number in command.external_ids.items():
        known = state.of(Orders).numbered(number, source)
        if known is not None:
            return Refusal("orders.number_taken", f"{source} knows {known.captured.id} as {number!r} already.",
                           "Retry with the first attempt's Idempotency-Key, or send the order's own number.",
                           f"external_ids.{source}", number)  # fmt: skip
    amounts = [(f"charges[{at}].amount", charge.amount) for at, charge in enumerate(command.charges)]
    amounts.append(("discount", command.discount))
    for where, amount in amounts:
        if amount != booked(amount, command.currency) or amount < 0:
            return Refusal("orders.amount", f"{plain(amount)} cannot be booked in {command.currency}.",
                           "Send zero or more, with the currency's decimals.", where, str(amount))  # fmt: skip
    return _discount_refusal(command) if command.discount else None


def _discount_refusal(command: PlaceOrder) -> Refusal | None:
    worth = total_of([line.quantity * line.unit_price for line in command.lines])
    if command.discount > worth:
        return Refusal("orders.discount", f"The discount is more than the goods' {plain(worth)}.",
                       "Lower it; what a customer is owed beyond an order is no discount.",
                       "discount", str(command.discount))  # fmt: skip
    return None


def _location(command: PlaceOrder, policies: Policies) -> str:
    return command.location or policies.get(Channel, command.channel).location


def _demands(state: State, command: PlaceOrder) -> list[Demand] | Refusal:
    demands = []
    for number, line in enumerate(command.lines, 1):
        item = state.of(Catalogue).item(line.sku)
        if item is None or line.quantity <= 0:
            return bad_line(f"lines[{number - 1}]", line.sku, line.quantity, item)
        if line.unit_price < 0:
            return Refusal("orders.price", f"The price of {line.sku!r} is below zero.", "Send a discount instead.",
                           f"lines[{number - 1}].unit_price", str(line.unit_price))  # fmt: skip
        if line.quantity * line.unit_price >= LIMIT:
            return Refusal("orders.amount_too_large", f"Line {number} amounts to {LIMIT:f} or more.",
                           "Correct quantity and price.", f"lines[{number - 1}]", plain(line.quantity))  # fmt: skip
        demands.append(Demand(number, item, line.quantity, f"lines[{number - 1}]"))
    return demands


def _lines(command: PlaceOrder, demands: list[Demand], location: str) -> tuple[Line, ...]:
    amounts = [booked(line.quantity * line.unit_price, command.currency) for line in command.lines]
    shares = (
        apportion_amount(command.discount, amounts, command.currency) if command.discount else [ZERO] * len(amounts)
    )
    lines = [
        Line(demand.line, line.sku, demand.item.id, line.description or demand.item.name,
             "charge" if demand.item.kind == "charge" else "good", line.quantity, line.unit_price, amount, share,
             location)
        for line, demand, amount, share in zip(command.lines, demands, amounts, shares, strict=True)
    ]  # fmt: skip
    for number, charge in enumerate(command.charges, len(lines) + 1):
        lines.append(
            Line(number, charge.code, None, charge.description, "charge", Decimal(1), charge.amount, charge.amount)
        )
    return tuple(lines)


def _captured(state: State, command: PlaceOrder, context: Context, lines: tuple[Line, ...]) -> Captured:
    order = context.new_id("ord")
    totals = totals_of(lines)
    customer = state.of(Parties).customer(command.customer_source, command.customer) if command.customer else None
    flags = ["unknown_customer"] if command.customer and customer is None else []
    if command.source_total is not None and command.source_total != totals.total:
        flags.append("total_mismatch")
    return Captured(
        id=order,
        number=short_number(order),
        kind="sale",
        channel=command.channel,
        currency=command.currency,
        placed_at=command.placed_at or context.now,
        recorded_at=context.now,
        totals=totals,
        customer=customer.id if customer else None,
        person=command.contact if isinstance(command.contact, str) else None,
        ship_country=command.ship_country,
        source=next(iter(command.external_ids), None),
        external_ids=command.external_ids,
        source_total=command.source_total,
        flags=tuple(flags),
    )


def totals_of(lines: tuple[Line, ...] | list[Line]) -> Totals:
    """Total what is left of an order's lines; a cancelled unit takes its share of amount and discount with it.

    The line's amount is booked as a whole, and what remains after a cancellation is its booked part, so that the parts
    always sum to the line. Source: behaviours 19 and 27.
    """
    goods = total_of([_kept(line, line.amount) for line in lines if line.kind == "good"])
    charges = total_of([_kept(line, line.amount) for line in lines if line.kind == "charge"])
    discount = total_of([_kept(line, line.discount) for line in lines])
    return Totals(goods, charges, discount, ZERO, goods + charges - discount)


def _kept(line: Line, amount: Decimal) -> Decimal:
    if not line.cancelled or not line.quantity:
        return amount
    exact = amount * (line.quantity - line.cancelled) / line.quantity
    return exact.quantize(amount, ROUND_HALF_UP)


def _wants(state: State, command: PlaceOrder, policies: Policies) -> None:
    code = _location(command, policies)
    catalogue, stock = state.of(Catalogue), state.of(Stock)
    catalogue.want_location(code)
    for line in command.lines:
        catalogue.want_item(line.sku)
        stock.want(line.sku, code)
    for source, number in command.external_ids.items():
        state.of(Orders).want_number(number, source)
    if command.customer:
        state.of(Parties).want(command.customer_source, command.customer)


VERBS = (
    Verb(
        name="orders.place",
        command=PlaceOrder,
        decide=place_order,
        wants=_wants,
        touches=lambda command: tuple(f"document:{s}:{n}" for s, n in command.external_ids.items()),
        personal=Personal("contact", keep_contact),
    ),
)
