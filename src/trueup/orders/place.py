"""Place an order: check it, total it, reserve its stock, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Annotated, Any

import msgspec

from trueup.catalogue.state import Catalogue, Item
from trueup.catalogue.units import to_base
from trueup.core.errors import Refusal
from trueup.core.ids import short_number
from trueup.core.money import LIMIT, Amount, apportion_amount, booked, is_currency, total_of
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Body, Command, Concerns, Context, Decision, Event, Personal, State, Verb
from trueup.orders.channel import Channel
from trueup.orders.state import Captured, Delivery, Line, LineKind, OrderPlaced, Orders, Totals
from trueup.orders.workflow import Workflow
from trueup.parties.state import Contact, Parties, keep_contact
from trueup.stock.reserve import Demand, Missing, bad_line, short_refusal, spread, unknown_location
from trueup.stock.state import Claim, Stock, StockReserved

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
_PRICE_UNIT = Decimal("0.000001")


class PlaceLine(Body, frozen=True, forbid_unknown_fields=True):
    """What a customer wants: any key of the item, units above zero, the price of one unit.

    unit: a unit of measure of the item that quantity and price are in; each, where it is left out.
    """

    sku: str
    quantity: Quantity
    unit_price: Amount
    description: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    unit: Name | None = None


class Charge(Body, frozen=True, forbid_unknown_fields=True):
    """What is paid besides the goods, e.g. `SHIPPING`; it has no stock."""

    code: Name
    amount: Amount
    description: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class PlaceOrder(Command, frozen=True, kw_only=True):
    """Take a customer's demand.

    currency: ISO 4217. channel: names the policy it is taken under; type: the workflow. location: code of the only
    place that may serve it; with delivery `pickup`, where it is picked up.
    external_ids: system -> the number it knows this order by; each is unique for ever.
    customer: number in `customer_source`. contact: personal words, kept once; the journal gets their id.
    ship_region, ship_postcode, latitude, longitude: of where it goes. priority: higher is sourced earlier.
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
    type: Name = "sale"
    delivery: Delivery = "ship"
    ship_region: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    ship_postcode: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    latitude: Quantity | None = None
    longitude: Quantity | None = None
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0


def place_order(state: State, command: PlaceOrder, context: Context) -> Decision:
    """Take the order and reserve each line where its channel is served from, until sourcing has chosen.

    Amounts are booked half up per line. What stock does not cover, the channel's `short` policy decides: refuse the
    whole, naming every short line; take it as a backorder; or take what there is. Refuses, too, when a name is unknown,
    when an amount has more decimals than its currency books, when the discount exceeds the goods, or when another
    order has one of its external numbers; nothing is written then. Source: behaviours 2, 3, 7, 13, 14, 16, 24, 26.
    """
    refusal = _refusal(state, command)
    if refusal is not None:
        return refusal
    channel = context.policies.get(Channel, command.channel)
    places = _places(state, command, channel)
    if isinstance(places, Refusal):
        return places
    wanted = _wanted(state, command)
    if isinstance(wanted, Refusal):
        return wanted
    bound = places[0] if command.location is not None else None
    demands = stocked(state, wanted, bound)
    claims, missing = spread(state, demands, places, command.channel, partly=channel.short != "refuse")
    if missing and channel.short == "refuse":
        return short_refusal(missing)
    lines = _lines(command, wanted, demands, bound)
    if missing and channel.short == "partial":
        lines = without(lines, missing)
        claims = trimmed(claims, lines)
        if not claims:
            return short_refusal(missing)
    order = _captured(state, command, context, lines)
    events: list[Event] = [OrderPlaced(order=order, lines=lines)]
    if claims:
        events.append(StockReserved(holder=order.id, claims=claims, at=context.now))
    result: dict[str, Any] = {
        "order": order.id, "number": order.number, "total": str(order.totals.total), "flags": list(order.flags),
    }  # fmt: skip
    if missing:
        result["short"] = [{"line": m.demand.line, "quantity": plain(m.quantity)} for m in missing]
    return Accepted(events, order.id, result)


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


def _places(state: State, command: PlaceOrder, channel: Channel) -> tuple[str, ...] | Refusal:
    """Return the ids of the locations it may be reserved at, first choice first."""
    if command.delivery == "pickup" and command.location is None:
        return Refusal("orders.pickup_where", "An order to be picked up names no location.",
                       "Name the store as `location`.", "location")  # fmt: skip
    found = []
    for code in _serving(command, channel):
        location = state.of(Catalogue).location(code)
        if location is None:
            return unknown_location(code)
        found.append(location.id)
    return tuple(found)


def _serving(command: PlaceOrder, channel: Channel) -> tuple[str, ...]:
    return channel.serving if command.location is None else (command.location,)


def _wanted(state: State, command: PlaceOrder) -> list[Demand] | Refusal:
    """Return each line with its item and its base units."""
    wanted = []
    for number, line in enumerate(command.lines, 1):
        where = f"lines[{number - 1}]"
        item = state.of(Catalogue).item(line.sku)
        if item is None or line.quantity <= 0:
            return bad_line(where, line.sku, line.quantity, item)
        if line.unit_price < 0:
            return Refusal("orders.price", f"The price of {line.sku!r} is below zero.", "Send a discount instead.",
                           f"{where}.unit_price", str(line.unit_price))  # fmt: skip
        if line.quantity * line.unit_price >= LIMIT:
            return Refusal("orders.amount_too_large", f"Line {number} amounts to {LIMIT:f} or more.",
                           "Correct quantity and price.", where, plain(line.quantity))  # fmt: skip
        units = to_base(item, line.quantity, line.unit)
        if isinstance(units, Refusal):
            return msgspec.structs.replace(units, where=f"{where}.unit")
        wanted.append(Demand(number, item, units, where))
    return wanted


def stocked(state: State, wanted: Sequence[Demand], location: str | None) -> list[Demand]:
    """Return what the lines want of stock: goods, assembled kits, and the parts of phantom kits on lines of their own.

    An assembled kit has stock of its own, like a good; a phantom kit has none, and charges want none.
    Source: behaviour 14.
    """
    demands = [
        Demand(demand.line, demand.item, demand.quantity, demand.where, location)
        for demand in wanted
        if demand.item.kind != "charge" and not demand.item.phantom
    ]
    number = len(wanted)
    for kit in wanted:
        for part in kit.item.components if kit.item.phantom else ():
            item = state.of(Catalogue).item_of(part.item)
            assert item is not None, "the catalogue loads a phantom kit with its parts"
            number += 1
            demands.append(Demand(number, item, kit.quantity * part.quantity, kit.where, location))
    return demands


def _lines(
    command: PlaceOrder, wanted: Sequence[Demand], demands: Sequence[Demand], location: str | None
) -> tuple[Line, ...]:
    amounts = [booked(line.quantity * line.unit_price, command.currency) for line in command.lines]
    shares = (
        apportion_amount(command.discount, amounts, command.currency) if command.discount else [ZERO] * len(amounts)
    )
    lines = [
        Line(demand.line, line.sku, demand.item.id, line.description or demand.item.name, _kind(demand.item),
             demand.quantity, _price(line, demand), amount, share, location)
        for line, demand, amount, share in zip(command.lines, wanted, amounts, shares, strict=True)
    ]  # fmt: skip
    lines += _parts(wanted, demands, location)
    for number, charge in enumerate(command.charges, len(lines) + 1):
        lines.append(
            Line(number, charge.code, None, charge.description, "charge", Decimal(1), charge.amount, charge.amount)
        )
    return tuple(lines)


def _price(line: PlaceLine, demand: Demand) -> Decimal:
    """Return the price of one base unit; the line's amount is booked from the unit it was sold in."""
    if demand.quantity == line.quantity:
        return line.unit_price
    return (line.unit_price * line.quantity / demand.quantity).quantize(_PRICE_UNIT, ROUND_HALF_UP)


def _kind(item: Item) -> LineKind:
    if item.kind == "charge":
        return "charge"
    return "kit" if item.phantom else "good"


def _parts(wanted: Sequence[Demand], demands: Sequence[Demand], location: str | None) -> list[Line]:
    """Return the lines of phantom kits' parts: goods to be shipped, priced in their kit."""
    by_where = {demand.where: demand.line for demand in wanted}
    return [
        Line(demand.line, demand.item.sku, demand.item.id, demand.item.name, "good", demand.quantity, ZERO, ZERO, ZERO,
             location, parent=by_where[demand.where])
        for demand in demands
        if demand.line > len(wanted)
    ]  # fmt: skip


def without(lines: tuple[Line, ...], missing: Sequence[Missing]) -> tuple[Line, ...]:
    """Return the lines with the units that stock does not cover cancelled at once; a kit loses whole kits."""
    gone = {m.demand.line: m.quantity for m in missing}
    kits: dict[int, Decimal] = {}
    for line in lines:
        if line.parent is not None and line.line in gone:
            kit = next(other for other in lines if other.line == line.parent)
            per_kit = line.quantity / kit.quantity
            short = (gone[line.line] / per_kit).to_integral_value(ROUND_CEILING)
            kits[line.parent] = max(kits.get(line.parent, ZERO), short)
    for line in lines:
        if line.parent in kits:
            kit = next(other for other in lines if other.line == line.parent)
            gone[line.line] = kits[line.parent] * line.quantity / kit.quantity
    gone |= kits
    return tuple(
        msgspec.structs.replace(line, cancelled=gone[line.line], flags=(*line.flags, "short"))
        if line.line in gone
        else line
        for line in lines
    )


def trimmed(claims: tuple[Claim, ...], lines: tuple[Line, ...]) -> tuple[Claim, ...]:
    """Return the claims without units of parts whose kits are not taken, since another part is short."""
    left = {line.line: line.quantity - line.cancelled for line in lines}
    kept = []
    for held in claims:
        units = min(held.quantity, left[held.line])
        left[held.line] -= units
        if units:
            kept.append(msgspec.structs.replace(held, quantity=units))
    return tuple(kept)


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
        type=command.type,
        state=context.policies.get(Workflow, command.type).initial,
        workflow_version=context.policies.version(Workflow, command.type),
        channel_version=context.policies.version(Channel, command.channel),
        delivery=command.delivery,
        ship_region=command.ship_region,
        ship_postcode=command.ship_postcode,
        latitude=command.latitude,
        longitude=command.longitude,
        priority=command.priority,
    )


def totals_of(lines: tuple[Line, ...] | list[Line]) -> Totals:
    """Total what is left of an order's lines; a cancelled unit takes its share of amount and discount with it.

    The line's amount is booked as a whole, and what remains after a cancellation is its booked part, so that the parts
    always sum to the line. Source: behaviours 19 and 27.
    """
    goods = total_of([_kept(line, line.amount) for line in lines if line.kind != "charge"])
    charges = total_of([_kept(line, line.amount) for line in lines if line.kind == "charge"])
    discount = total_of([_kept(line, line.discount) for line in lines])
    return Totals(goods, charges, discount, ZERO, goods + charges - discount)


def _kept(line: Line, amount: Decimal) -> Decimal:
    if not line.cancelled or not line.quantity:
        return amount
    exact = amount * (line.quantity - line.cancelled) / line.quantity
    return exact.quantize(amount, ROUND_HALF_UP)


def _wants(state: State, command: PlaceOrder, policies: Policies) -> None:
    catalogue, stock = state.of(Catalogue), state.of(Stock)
    codes = _serving(command, policies.get(Channel, command.channel))
    for code in codes:
        catalogue.want_location(code)
    for line in command.lines:
        catalogue.want_item(line.sku)
        for code in codes:
            stock.want(line.sku, code)
    for source, number in command.external_ids.items():
        state.of(Orders).want_number(number, source)
    if command.customer:
        state.of(Parties).want(command.customer_source, command.customer)


def _concerns(state: State, command: PlaceOrder) -> Concerns:
    return Concerns((command.location,) if command.location is not None else (), (command.channel,))


VERBS = (
    Verb(
        name="orders.place",
        command=PlaceOrder,
        decide=place_order,
        wants=_wants,
        touches=lambda command: tuple(f"document:{s}:{n}" for s, n in command.external_ids.items()),
        concerns=_concerns,
        personal=Personal("contact", keep_contact),
    ),
)
