"""Place an order: check it, total it, reserve its stock, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Annotated, Any

import msgspec

from trueup.catalogue.state import Catalogue, Item
from trueup.catalogue.units import to_base
from trueup.core.errors import Refusal
from trueup.core.fields import Value
from trueup.core.ids import short_number
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.core.verb import Accepted, Concerns, Context, Decision, Event, Personal, State, Verb, Worth
from trueup.orders.basket import (
    LINES_MAX,
    Basket,
    basket_refusal,
    custom_fields,
    discount_refusal,
    places_of,
    serving,
    short_of,
)
from trueup.orders.basket import Charge as Charge
from trueup.orders.basket import PlaceLine as PlaceLine
from trueup.orders.business import business_of
from trueup.orders.changes import LineTaxed
from trueup.orders.channel import Channel
from trueup.orders.holds import hold_events, placing, rules_of, wants_customer
from trueup.orders.price import Sums, prices_of, sums_of
from trueup.orders.state import Captured, Line, LineKind, OrderPlaced, Orders
from trueup.orders.suspect import mark_contact, suspicion, want_earlier
from trueup.orders.totals import totals_of
from trueup.orders.workflow import Workflow
from trueup.parties.state import Parties, keep_contact
from trueup.stock.peg import peg_events
from trueup.stock.reserve import Demand, Missing, bad_line, short_refusal, spread, stocked
from trueup.stock.state import Claim, Place, Stock, StockReserved
from trueup.stock.supply_state import Supply

_PRICE_UNIT = Decimal("0.000001")
_UNTAXED = LineTaxed(0, ZERO, None, None)


class PlaceOrder(Basket, frozen=True, kw_only=True):
    """Take a customer's demand.

    currency: ISO 4217. Everything else is described at `Basket`.
    """

    currency: str
    lines: Annotated[tuple[PlaceLine, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was begun as a draft: the versions it keeps, who entered it, and the stock it holds already.

    workflow_version, state: where its workflow has it. held: units by (item, location).
    """

    id: str
    number: str
    workflow_version: int
    channel_version: int
    state: str
    entered_by: str | None
    held: Mapping[Place, Decimal]


def place_order(state: State, command: PlaceOrder, context: Context) -> Decision:
    """Take the order and reserve each line where its channel is served from, until sourcing has chosen.

    Amounts are booked and taxed by the channel's terms, which the order keeps. What stock does not cover, the channel's
    `short` policy decides, or the order itself as far as that policy lets it: refuse the whole, naming every short
    line; take it as a backorder, pegged to what is to come; or take what there is. Where the channel ends unpaid
    orders, the reservation ends with that deadline. Refuses, too, when a name is unknown, when an amount has more
    decimals than its currency books, when the discount exceeds the goods, or when another order has one of its external
    numbers; nothing is written then.
    Source: behaviours 2, 3, 7, 13, 14, 15, 16, 24, 25, 26.
    """
    return taken(state, command, context)


def taken(state: State, command: PlaceOrder, context: Context, begun: Begun | None = None) -> Decision:
    """Take an order as `place_order` says; begun: the draft that it was, whose held units count as its own."""
    channel = context.policies.get(Channel, command.channel)
    kept = context.policies.at(Channel, command.channel, begun.channel_version) if begun else channel
    refusal = basket_refusal(command, command.currency, command.lines) or _number_refusal(state, command)
    if refusal is not None:
        return refusal
    short = short_of(command, channel)
    places = short if isinstance(short, Refusal) else places_of(state, command, channel)
    wanted = places if isinstance(places, Refusal) else wanted_of(state, command.lines)
    prices = wanted if isinstance(wanted, Refusal) else prices_of(command.lines, wanted, command.currency)
    fields = custom_fields(command, context.policies)
    if isinstance(places, Refusal) or isinstance(wanted, Refusal) or isinstance(prices, Refusal):
        return next(found for found in (places, wanted, prices) if isinstance(found, Refusal))
    if isinstance(fields, Refusal):
        return fields
    sums = sums_of(state, command, command.lines, wanted, prices, command.currency, kept, context)
    if isinstance(sums, Refusal):
        return sums
    if command.discount and (refusal := discount_refusal(command, sum(sums.amounts, ZERO))) is not None:
        return refusal
    bound = places[0] if command.location is not None else None
    demands = stocked(state, wanted, bound)
    held = begun.held if begun is not None else {}
    claims, missing = spread(state, demands, places, command.channel, partly=short != "refuse", own=held)
    if missing and short == "refuse":
        return short_refusal(missing)
    lines = _lines(command, wanted, demands, prices, sums, bound)
    if missing and short == "partial":
        lines = without(lines, missing)
        claims = trimmed(claims, lines)
        if not claims:
            return short_refusal(missing)
    order = _captured(state, command, context, lines, kept, sums, fields, begun)
    order, suspected = suspicion(state, context, order, lines)
    events: list[Event] = [OrderPlaced(order=order, lines=lines)]
    if claims:
        events.append(
            StockReserved(
                holder=order.id, claims=claims, at=context.now, expires_at=order.unpaid_until, channel=command.channel
            )
        )
    if missing and short == "backorder":
        events += _pegs(state, order.id, missing, places[0], context)
    events += suspected
    events += [*_tax_hold(context, order), *hold_events(state, context, order, lines)]
    return Accepted(events, order.id, _result(order, missing))


def _tax_hold(context: Context, order: Captured) -> list[Event]:
    """Return the hold of an order whose tax is only an estimate, where the channel asks for it."""
    if "tax_hold" not in order.flags:
        return []
    kind = next(kind for kind in rules_of(context.policies, order.channel).types if kind.name == "data")
    return [placing(context, kind, order.id, "no tax provider answered; the tax is an estimate")]


def _result(order: Captured, missing: Sequence[Missing]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "order": order.id, "number": order.number, "total": str(order.totals.total), "flags": list(order.flags),
    }  # fmt: skip
    if order.totals.tax:
        result["tax"] = str(order.totals.tax)
    if missing:
        result["short"] = [{"line": m.demand.line, "quantity": plain(m.quantity)} for m in missing]
    return result


def _number_refusal(state: State, command: PlaceOrder) -> Refusal | None:
    for source, number in command.external_ids.items():
        known = state.of(Orders).numbered(number, source)
        if known is not None:
            return Refusal("orders.number_taken", f"{source} knows {known.captured.id} as {number!r} already.",
                           "Retry with the first attempt's Idempotency-Key, or send the order's own number.",
                           f"external_ids.{source}", number)  # fmt: skip
    return None


def wanted_of(state: State, lines: Sequence[PlaceLine]) -> list[Demand] | Refusal:
    """Return each line with its item and its base units."""
    wanted, catalogue = [], state.of(Catalogue)
    for number, line in enumerate(lines, 1):
        where = f"lines[{number - 1}]"
        item = catalogue.item(line.sku)
        if item is None or line.quantity <= 0:
            return bad_line(where, line.sku, line.quantity, item)
        units = to_base(item, line.quantity, line.unit)
        if isinstance(units, Refusal):
            return msgspec.structs.replace(units, where=f"{where}.unit")
        wanted.append(Demand(number, item, units, where))
    return wanted


def _lines(
    command: PlaceOrder,
    wanted: Sequence[Demand],
    demands: Sequence[Demand],
    prices: Sequence[Decimal],
    sums: Sums,
    location: str | None,
) -> tuple[Line, ...]:
    lines = []
    for line, demand, price, amount, share in zip(
        command.lines, wanted, prices, sums.amounts, sums.discounts, strict=True
    ):
        tax = sums.taxed.get(demand.line, _UNTAXED)
        lines.append(
            Line(demand.line, line.sku, demand.item.id, line.description or demand.item.name, _kind(demand.item),
                 demand.quantity, _price(line, price, demand), amount, share, location, _flags(line, price),
                 tax=tax.tax, tax_rate=tax.tax_rate, tax_code=tax.tax_code, tax_parts=tax.tax_parts)
        )  # fmt: skip
    lines += _parts(wanted, demands, location)
    for at, charge in enumerate(sums.charges, len(wanted) + 1):
        number, tax = len(lines) + 1, sums.taxed.get(at, _UNTAXED)
        lines.append(
            Line(number, charge.code, None, charge.description, "charge", Decimal(1), charge.amount, charge.amount,
                 tax=tax.tax, tax_rate=tax.tax_rate, tax_code=tax.tax_code,
                 tax_parts=tuple([msgspec.structs.replace(part, line=number) for part in tax.tax_parts]))
        )  # fmt: skip
    return tuple(lines)


def _price(line: PlaceLine, price: Decimal, demand: Demand) -> Decimal:
    """Return the price of one base unit; the line's amount is booked from the unit it was sold in."""
    if demand.quantity == line.quantity:
        return price
    return (price * line.quantity / demand.quantity).quantize(_PRICE_UNIT, ROUND_HALF_UP)


def _flags(line: PlaceLine, price: Decimal) -> tuple[str, ...]:
    """Flag a price that is not the source's list price, where no contract explains it."""
    terms = line.business
    if terms is None or terms.list_price is None or terms.contract is not None or terms.list_price == price:
        return ()
    return ("price_differs",)


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


def _pegs(state: State, order: str, missing: Sequence[Missing], place: str, context: Context) -> list[Event]:
    """Peg what stock does not cover to what is to come to the place it must come from, or to the first that serves."""
    demands = [msgspec.structs.replace(m.demand, quantity=m.quantity) for m in missing]
    return peg_events(state, order, demands, place, context.now)


def _captured(
    state: State,
    command: PlaceOrder,
    context: Context,
    lines: tuple[Line, ...],
    channel: Channel,
    sums: Sums,
    fields: dict[str, Value],
    begun: Begun | None,
) -> Captured:
    policies = context.policies
    order = begun.id if begun else context.new_id("ord")
    totals = totals_of(lines, command.currency, prices_include_tax=channel.prices_include_tax)
    customer = state.of(Parties).customer(command.customer_source, command.customer) if command.customer else None
    flags = ["unknown_customer"] if command.customer and customer is None else []
    if command.source_total is not None and command.source_total != totals.total:
        flags.append("total_mismatch")
    staff = context.actor.id if context.actor.kind == "person" else None
    return Captured(
        id=order,
        number=begun.number if begun else short_number(order),
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
        flags=(*flags, *sums.flags),
        type=command.type,
        state=begun.state if begun else policies.get(Workflow, command.type).initial,
        workflow_version=begun.workflow_version if begun else policies.version(Workflow, command.type),
        channel_version=begun.channel_version if begun else policies.version(Channel, command.channel),
        delivery=command.delivery,
        tax_included=channel.prices_include_tax,
        ship_region=command.ship_region,
        ship_postcode=command.ship_postcode,
        latitude=command.latitude,
        longitude=command.longitude,
        priority=command.priority,
        promised_at=command.promised_at,
        business=business_of(command.business, [line.business for line in command.lines]),
        fields=fields,
        entered_by=begun.entered_by if begun else staff,
        ship_from=sums.ship_from,
        unpaid_until=channel.unpaid_until(context.now) if totals.total > 0 else None,
    )


def want_basket(state: State, basket: Basket, lines: Sequence[PlaceLine], channel: Channel) -> None:
    """Ask for the rows that a basket's rule needs."""
    catalogue, stock = state.of(Catalogue), state.of(Stock)
    codes = serving(basket, channel)
    for code in codes:
        catalogue.want_location(code)
    for line in lines:
        catalogue.want_item(line.sku)
        for code in codes:
            stock.want(line.sku, code)
        if short_of(basket, channel) == "backorder":
            state.of(Supply).want(line.sku, codes[0])
    for source, number in basket.external_ids.items():
        state.of(Orders).want_number(number, source)
    if basket.customer:
        state.of(Parties).want(basket.customer_source, basket.customer)


def basket_concerns(basket: Basket) -> Concerns:
    """Return the site, if it names one, and the channel that a basket is about."""
    return Concerns((basket.location,) if basket.location is not None else (), (basket.channel,))


def _wants(state: State, command: PlaceOrder, policies: Policies) -> None:
    want_basket(state, command, command.lines, policies.get(Channel, command.channel))
    want_earlier(state, command, policies)
    wants_customer(state, policies, command.channel, command.customer_source, command.customer)


VERBS = (
    Verb(
        name="orders.place",
        worth=lambda state, command, events: (Worth(Decimal(command.discount), command.currency),),
        command=PlaceOrder,
        decide=place_order,
        wants=_wants,
        touches=lambda command: tuple(f"document:{s}:{n}" for s, n in command.external_ids.items()),
        concerns=lambda state, command: basket_concerns(command),
        personal=Personal("contact", keep_contact, mark_contact),
    ),
)
