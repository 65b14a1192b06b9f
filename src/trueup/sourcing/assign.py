"""Source an order: choose its locations by the routing policy, or as a plan says, and allocate there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from trueup.catalogue.breach_state import Breaches
from trueup.catalogue.quarantine import barred_refusal, closed
from trueup.catalogue.state import Catalogue, Location
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity
from trueup.core.verb import Accepted, Body, Command, Context, Decision, Event, State, Verb
from trueup.orders.fulfilment_orders import FulfilmentOrdered, FulfilmentOrders, Part, PartLine
from trueup.orders.held import Hold
from trueup.orders.hold import concerns_order
from trueup.orders.hold_state import Holds
from trueup.orders.holds import blocking, held_refusal
from trueup.orders.lapse import is_overdue
from trueup.orders.state import Line, OrderRow, Orders
from trueup.orders.tax import Place
from trueup.orders.tax_state import OrderTaxes
from trueup.orders.taxing import retaxed
from trueup.orders.version import FIND_ORDER
from trueup.orders.workflow import BusinessEvent, advance, allows, stays
from trueup.sourcing import state as sourcing
from trueup.sourcing.policy import Group, OrderFacts, Routing
from trueup.sourcing.ready import kept_back, unready
from trueup.sourcing.route import Candidate, Need, Route, Share, allows_plan, distance_km, for_a_run, owes, route
from trueup.sourcing.state import Mode, OrderSourced, Outcome, Sourcing
from trueup.stock.lot_state import Lots
from trueup.stock.lots import allocate_lots
from trueup.stock.peg import peg_events, release_events
from trueup.stock.reserve import Demand
from trueup.stock.state import Claim, ClaimsReleased, Stock, StockAllocated
from trueup.stock.supply_state import Supply


class PlannedShare(Body, frozen=True, forbid_unknown_fields=True):
    """Units of a line from one location, by its id, as a brokering run planned them."""

    line: int
    location: str
    quantity: Quantity


class AssignOrder(Command, frozen=True, kw_only=True):
    """Source what of an order is not allocated yet. mode: who asks. plan, run: of a brokering run.

    fall_back: a plan that cannot be carried out whole now gives way to the rules; without it, it is refused.
    """

    order: str
    mode: Mode = "demand"
    plan: Annotated[tuple[PlannedShare, ...], msgspec.Meta(max_length=1000)] = ()
    run: str | None = None
    fall_back: bool = True


def assign_order(state: State, command: AssignOrder, context: Context) -> Decision:
    """Allocate the order's open units at the locations that the routing policy chooses, and keep why.

    Its reservations give way to the allocations. What no location gives waits, is queued, or is owed by a location, as
    the rule says; that is an outcome, not a refusal. Lines on hold wait, and lines of items that are contained or not
    shippable. Refuses history, an order whose workflow, holds or containments forbid it now, and a plan that does not
    fit now and may not fall back on the rules; ends as merged where everything is allocated already. What follows by
    itself is ignored for an order whose group is brokered: it waits for its run, unless that cannot plan it (a pickup,
    one that a location rejected). Of a plan that the rule does not allow nothing is carried out.
    Source: behaviours 1, 2, 10, 11, 21, 39.
    """
    row = state.of(Orders).order(command.order)
    if row is None or not row.captured.managed:
        return Refusal("orders.unknown", f"There is no order {command.order!r} of ours to source.",
                       FIND_ORDER, "order", command.order)  # fmt: skip
    refusal = allows(row, "sourced", context.policies) or overdue(row, context.now)
    if refusal is not None:
        return refusal
    needs, held = unheld(state, row, needs_of(state, row), context)
    if held and not needs:
        return held_refusal(row, held, context.policies)
    kept = kept_back(state, row, [need.line for need in needs], context)
    needs = [need for need in needs if need.line not in kept]
    if kept and not needs:
        return barred_refusal(next(iter(kept.values())), "order")
    lacking = unready(state, row, [need.item for need in needs], context)
    needs = [need for need in needs if need.item not in lacking]
    if lacking and not needs:
        return next(iter(lacking.values()))
    if not needs:
        return Accepted((), command.order, {"order": command.order, "outcome": "assigned"}, "merged")
    policy = context.policies.get(Routing)
    group = policy.group_of(facts_of(row))
    if group.brokered and command.mode in _BY_ITSELF and for_a_run(needs):
        return Accepted((), command.order, {"order": command.order, "rule": "brokered"}, "ignored")
    full = closed(state, state.of(Catalogue).locations, context)
    candidates = candidates_of(state, row, needs, context.now, full)
    places = {place.code: place for place in state.of(Catalogue).locations.values() if place.id not in full}
    planned = _planned(state, row, needs, command.plan, full)
    if planned is not None and group.rules:
        rule = group.rules[0]
        owed_by = owes(rule, places, needs, planned.short)
        allowed = allows_plan(needs, candidates, rule, planned.shares)
        planned = msgspec.structs.replace(planned, owed_by=owed_by) if allowed else None
    if planned is None and command.plan and not command.fall_back:
        return Refusal(PLAN_UNMET, "The plan does not fit the order and the stock that is free to it now.",
                       "Carry its run's other plans out first, or let it fall back.", "plan")  # fmt: skip
    found = planned or route(needs, candidates, group, policy.costs, places)
    if command.mode in ("schedule", "receipt") and not _anything_new(state, row, needs, found, context):
        return Accepted((), command.order, {"order": command.order, "outcome": _outcome(found)}, "merged")
    return decided(state, row, needs, found, command, group, context)


def _anything_new(state: State, row: OrderRow, needs: Sequence[Need], found: Route, context: Context) -> bool:
    """Tell whether an answer that nobody asked for is worth keeping: not when an order that waits is to wait on."""
    waits_on = not found.shares and not waits(state, row.captured.id, needs, found, context)
    return not (waits_on and stays(row, _EVENT[_outcome(found)], context.policies))


def decided(
    state: State, row: OrderRow, needs: Sequence[Need], found: Route, command: AssignOrder, group: Group,
    context: Context,
) -> Accepted:  # fmt: skip
    """Return the decision, the allocations, the fulfilment orders, and where the workflow goes from there."""
    outcome = _outcome(found)
    parts = parts_of(found.shares, context, decision := context.new_id("dec"))
    kept = sourcing.Decision(
        id=decision,
        mode=command.mode,
        outcome=outcome,
        policy_version=context.policies.version(Routing),
        group=group.name,
        rule=found.rule,
        shares=found.shares,
        short=found.short,
        tried=found.tried,
        queue=found.queue,
        owed_by=found.owed_by,
        loads=loads_of(state, parts, context.now),
        run=command.run,
    )
    order = row.captured.id
    events: list[Event] = [OrderSourced(order=order, decision=kept, at=context.now)]
    given: tuple[Claim, ...] = ()
    if parts:
        allocated = allocation(state, row, found.shares, {need.line for need in needs}, context.now)
        events += [allocated, FulfilmentOrdered(order=order, parts=parts, at=context.now)]
        given = allocated.replaces
    events += [*waits(state, order, needs, found, context), *_held_no_more(state, order, found, given, context.now)]
    events += from_there(state, row, found, context)
    # What a hold or a quarantine keeps back is yet to be sourced.
    kept_back = len(needs_of(state, row)) > len(needs)
    events += advance(row, "partly_sourced" if outcome == "assigned" and kept_back else _EVENT[outcome], context)
    places = {id_: state.of(Catalogue).place_of(id_) for id_ in {share.location for share in found.shares}}
    result = {
        "order": order,
        "decision": decision,
        "outcome": outcome,
        "rule": found.rule,
        "fulfilment_orders": [
            {
                "fulfilment_order": part.id,
                "location": place.code if (place := places[part.location]) else part.location,
                "lines": {str(line.line): str(line.quantity) for line in part.lines},
            }
            for part in parts
        ],
        "short": {str(line): str(units) for line, units in found.short},
    }
    return Accepted(events, order, result, "queued" if outcome == "queued" else "applied")


PLAN_UNMET = "sourcing.plan_unmet"
# What follows by itself leaves brokered orders to their run; people and the run itself do not.
_BY_ITSELF: frozenset[Mode] = frozenset({"placement", "receipt", "rejection", "schedule"})
_EVENT: dict[Outcome, BusinessEvent] = {
    "assigned": "sourced", "partly": "partly_sourced", "queued": "backordered", "backordered": "backordered",
    "unserved": "backordered",
}  # fmt: skip


def _outcome(found: Route) -> Outcome:
    if not found.short:
        return "assigned"
    if found.queue is not None:
        return "queued"
    if found.owed_by is not None:
        return "backordered"
    return "partly" if found.shares else "unserved"


def waits(state: State, order: str, needs: Sequence[Need], found: Route, context: Context) -> list[Event]:
    """Return what no longer waits for supply, and where a location owes the rest, that it waits there from now on.

    What a hold keeps back waits on as it did, and what waits there already keeps its turn and its date. What its only
    location rejected waits there no more. Source: behaviours 11, 13 and 21.
    """
    short = dict(found.short)
    left = {need.line: short.get(need.line, ZERO) for need in needs}
    if found.owed_by is None:
        turned_down = {need.line for need in needs if need.only in need.rejected}
        gone = _pegged(state, order, turned_down)
        kept = {line: units for line, units in left.items() if line not in turned_down}
        return [*release_events(state, order, gone, "rejected", context.now),
                *no_longer_waits(state, order, kept, context.now)]  # fmt: skip
    pegged = _pegged(state, order, left)
    if all(peg.location == found.owed_by for peg in state.of(Supply).pegs_of(order) if peg.line in left):
        events = no_longer_waits(state, order, left, context.now)
    else:
        events, pegged = release_events(state, order, pegged, "moved", context.now), {}
    by_line = {need.line: need for need in needs}
    demands = []
    for line, units in found.short:
        item = state.of(Catalogue).item_of(by_line[line].item)
        assert item is not None, "its items were asked for with the order"
        if units > pegged.get((line, item.id), ZERO):
            demands.append(Demand(line, item, units - pegged.get((line, item.id), ZERO), f"line {line}"))
    return [*events, *peg_events(state, order, demands, found.owed_by, context.now)]


def _held_no_more(state: State, order: str, found: Route, given: Sequence[Claim], at: datetime) -> list[Event]:
    """Return that what a location owes is not reserved elsewhere as well. given: reservations that gave way already."""
    if found.owed_by is None:
        return []
    gone: dict[tuple[object, ...], Decimal] = {}
    for claim in given:
        gone[claim.key] = gone.get(claim.key, ZERO) + claim.quantity
    short = {line for line, _ in found.short}
    held = [claim.units() for claim in state.of(Stock).open_claims(order)
            if claim.kind == "reservation" and claim.line in short]  # fmt: skip
    left = [(claim, claim.quantity - gone.get(claim.key, ZERO)) for claim in held]
    claims = tuple(msgspec.structs.replace(claim, quantity=units) for claim, units in left if units > 0)
    return [ClaimsReleased(holder=order, claims=claims, reason="owed elsewhere", at=at)] if claims else []


def no_longer_waits(state: State, order: str, left: Mapping[int, Decimal], at: datetime) -> list[Event]:
    """Return what of these lines waits for supply no longer: all but the units that are left. Source: behaviour 13."""
    filled = {key: units - left[key[0]] for key, units in _pegged(state, order, left).items() if units > left[key[0]]}
    return release_events(state, order, filled, "filled", at) if filled else []


def _pegged(state: State, order: str, lines: Collection[int]) -> dict[tuple[int, str], Decimal]:
    """Return the units of these lines that wait for supply, by (line, item's id)."""
    pegged: dict[tuple[int, str], Decimal] = {}
    for peg in state.of(Supply).pegs_of(order):
        if peg.line in lines:
            pegged[peg.line, peg.item] = pegged.get((peg.line, peg.item), ZERO) + peg.quantity
    return pegged


def from_there(state: State, row: OrderRow, found: Route, context: Context) -> list[Event]:
    """Return the taxes anew when it is known from where most of the goods leave; what cannot be told stays."""
    units: dict[str, Decimal] = {}
    for share in found.shares:
        units[share.location] = units.get(share.location, ZERO) + share.quantity
    place = state.of(Catalogue).place_of(max(units, key=lambda id_: (units[id_], id_))) if units else None
    if place is None or place.country is None:
        return []
    invoiced = state.of(OrderTaxes).lines(row.captured.id)
    taxed = retaxed(state, row, context, ship_from=Place(place.country), invoiced=invoiced)
    return taxed if isinstance(taxed, list) else []


def overdue(row: OrderRow, now: datetime) -> Refusal | None:
    """Return why an order that should have ended unpaid is not sourced any more, or None. Source: behaviour 15."""
    until = row.captured.unpaid_until
    if until is None or not is_overdue(row, now):
        return None
    return Refusal("orders.overdue", f"It had to be paid by {until:%Y-%m-%d %H:%M} UTC, and ends unpaid.",
                   "Take a new order.", "order", row.captured.id)  # fmt: skip


def unheld(state: State, row: OrderRow, needs: list[Need], context: Context) -> tuple[list[Need], tuple[Hold, ...]]:
    """Return the needs that no hold keeps from being sourced, and the holds that keep the others."""
    held = blocking(state, row, "sourced", context)
    return [n for n in needs if not (held and blocking(state, row, "sourced", context, (n.line,)))], held


def needs_of(state: State, row: OrderRow) -> list[Need]:
    """Return what of the order is not allocated yet, line by line."""
    needs = []
    for line in row.lines:
        units = open_units(row, line)
        if line.kind != "good" or line.item is None or units <= 0:
            continue
        item = state.of(Catalogue).item_of(line.item)
        needs.append(
            Need(line.line, line.item, line.sku, units, item.category if item else None, line.parent, line.location,
                 state.of(Sourcing).rejected_by(row.captured.id, line.line))
        )  # fmt: skip
    return needs


def open_units(row: OrderRow, line: Line) -> Decimal:
    """Return the units of a line that are neither cancelled, shipped nor allocated."""
    return line.quantity - line.cancelled - line.shipped - row.allocated.get(line.line, ZERO)


def facts_of(row: OrderRow) -> OrderFacts:
    """Return what the routing policy's filters ask of an order."""
    order = row.captured
    return OrderFacts(order.channel, order.type, order.delivery, order.ship_country, order.priority, row.totals.total)


def candidates_of(
    state: State, row: OrderRow, needs: Sequence[Need], now: datetime, full: Collection[str]
) -> list[Candidate]:
    """Return the locations that have any of the items, and those it is bound to. full: they take nothing more."""
    stock, catalogue = state.of(Stock), state.of(Catalogue)
    order, channel = row.captured.id, row.captured.channel
    items = dict.fromkeys(need.item for need in needs)
    lines = {need.line for need in needs}
    places = {place for need in needs for place in (need.only, *stock.places_of(need.item)) if place is not None}
    here = (row.captured.latitude, row.captured.longitude)
    found = []
    for id_ in sorted(places):
        location = catalogue.place_of(id_)
        if location is None:
            continue
        local = now.astimezone(ZoneInfo(location.timezone))
        found.append(
            Candidate(
                location,
                {item: stock.available_to(order, item, id_, channel, lines) for item in items},
                _capacity(state, location, local.date()),
                local.strftime("%H:%M") > location.cutoff,
                distance_km(here, (location.latitude, location.longitude)),
                id_ in full,
            )
        )
    return found


def _capacity(state: State, location: Location, day: date) -> int | None:
    if location.capacity_per_day is None:
        return None
    return location.capacity_per_day - state.of(Sourcing).load_of.get((location.id, day), 0)


def _planned(
    state: State, row: OrderRow, needs: Sequence[Need], plan: Sequence[PlannedShare], full: Collection[str]
) -> Route | None:
    """Return the plan as a route where stock still covers all of it and no location is full, or None."""
    if not plan or any(share.location in full for share in plan):
        return None
    by_line = {need.line: need for need in needs}
    left = {need.line: need.quantity for need in needs}
    taken: dict[tuple[str, str], Decimal] = {}
    shares = []
    for share in plan:
        need = by_line.get(share.line)
        if need is None or share.quantity <= 0 or share.quantity > left[share.line] or share.location in need.rejected:
            return None
        place = (need.item, share.location)
        taken[place] = taken.get(place, ZERO) + share.quantity
        free = state.of(Stock).available_to(row.captured.id, *place, row.captured.channel, by_line)
        location = state.of(Catalogue).place_of(share.location)
        if free < taken[place] or location is None or not location.open or need.only not in (None, share.location):
            return None
        left[share.line] -= share.quantity
        shares.append(Share(need.line, need.item, share.location, share.quantity))
    short = tuple((line, units) for line, units in left.items() if units > 0)
    return Route(tuple(shares), short, "plan", ())


def parts_of(shares: Sequence[Share], context: Context, decision: str) -> tuple[Part, ...]:
    """Return one fulfilment order per location, in the order in which locations were chosen."""
    by_place: dict[str, dict[int, PartLine]] = {}
    for share in shares:
        lines = by_place.setdefault(share.location, {})
        before = lines[share.line].quantity if share.line in lines else ZERO
        lines[share.line] = PartLine(share.line, share.item, before + share.quantity)
    return tuple(
        Part(context.new_id("ful"), place, tuple(lines[line] for line in sorted(lines)), decision)
        for place, lines in by_place.items()
    )


def loads_of(state: State, parts: Iterable[Part], now: datetime) -> tuple[tuple[str, date], ...]:
    """Return the work days that new fulfilment orders take of locations with limited capacity."""
    loads = []
    for part in parts:
        location = state.of(Catalogue).place_of(part.location)
        if location is not None and location.capacity_per_day is not None:
            loads.append((location.id, now.astimezone(ZoneInfo(location.timezone)).date()))
    return tuple(loads)


def allocation(
    state: State, row: OrderRow, shares: Sequence[Share], lines: Collection[int], at: datetime
) -> StockAllocated:
    """Return the allocation of the shares; the lines' reservations give way, those at the same place first.

    lines: that were to be served. Where one of them takes what another one had reserved, that reservation gives way.
    """
    claims = tuple(claim for share in shares for claim in _by_lot(state, share, at))
    wanted: dict[int, Decimal] = {}
    taken: dict[tuple[str, str], Decimal] = {}
    for share in shares:
        wanted[share.line] = wanted.get(share.line, ZERO) + share.quantity
        taken[share.item, share.location] = taken.get((share.item, share.location), ZERO) + share.quantity
    stock, order, channel = state.of(Stock), row.captured.id, row.captured.channel
    held = [claim for claim in stock.open_claims(order) if claim.kind == "reservation" and claim.line in lines]
    here = {(share.line, share.location) for share in shares}
    held.sort(key=lambda claim: ((claim.line, claim.location) not in here, claim.line))
    waits = {place: stock.limits.waits(order, place, lines) for place in taken}
    own = {place: units - max(ZERO, stock.available(*place, channel, waits[place])) for place, units in taken.items()}
    gives: list[Decimal] = []
    for claim in held:
        units = min(claim.quantity, wanted.get(claim.line, ZERO))
        gives.append(units)
        wanted[claim.line] = wanted.get(claim.line, ZERO) - units
        own[claim.item, claim.location] = own.get((claim.item, claim.location), ZERO) - units
    for number, claim in enumerate(held):
        units = max(ZERO, min(claim.quantity - gives[number], own[claim.item, claim.location]))
        gives[number] += units
        own[claim.item, claim.location] -= units
    replaces = tuple(claim.units(units) for claim, units in zip(held, gives, strict=True) if units > 0)
    return StockAllocated(holder=order, claims=claims, replaces=replaces, at=at)


def _by_lot(state: State, share: Share, at: datetime) -> list[Claim]:
    """Return the claims of a share: one, or one per lot where the item has lots, first expired first out."""
    item = state.of(Catalogue).item_of(share.item)
    if item is None or item.tracking == "none":
        return [Claim(share.line, share.item, share.location, share.quantity, "allocation")]
    chosen = allocate_lots(state, item, share.location, share.quantity, at.date())
    claims = [Claim(share.line, share.item, share.location, units, "allocation", lot) for lot, units in chosen.lots]
    # What no lot covers is allocated all the same: the balance has it, and the floor finds which it is.
    if chosen.short > 0:
        claims.append(Claim(share.line, share.item, share.location, chosen.short, "allocation"))
    return claims


def wants_order(state: State, order: str) -> None:
    """Ask for an order with its parts, and for the locations there are."""
    state.of(Orders).want(order)
    state.of(FulfilmentOrders).want(order)
    state.of(Holds).want(order)
    state.of(OrderTaxes).want(order)
    state.of(Catalogue).want_every_location()
    state.of(Sourcing).want(order)
    state.of(Stock).want_claims(order)
    state.of(Supply).want_pegs(order)


def then_wants_order(state: State, order: str, owing: Iterable[str] = ()) -> None:
    """Ask for the items of its lines, wherever they are, and for the load of locations with limited capacity.

    owing: codes of the locations that may owe what is not there.
    """
    row = state.of(Orders).order(order)
    if row is None:
        return
    state.of(Breaches).want_bars(*(line.item for line in row.lines if line.item is not None))
    for line in row.lines:
        # What is allocated counts, too: a command before this one in the batch may have given it back.
        if line.kind == "good" and line.item is not None and line.quantity > line.cancelled + line.shipped:
            state.of(Catalogue).want_item_id(line.item)
            state.of(Stock).want_everywhere(line.item)
            state.of(Lots).want_everywhere(line.item)
            for code in owing:
                state.of(Supply).want(line.sku, code)
            if line.location is not None:
                state.of(Stock).want_at(line.item, line.location)
    for place in state.of(Catalogue).locations.values():
        if place.capacity_per_day is not None:
            state.of(Sourcing).want_load(place.id)


def _wants(state: State, command: AssignOrder, policies: Policies) -> None:
    wants_order(state, command.order)


def _then_wants(state: State, command: AssignOrder, policies: Policies) -> None:
    row = state.of(Orders).order(command.order)
    if row is not None:
        group = policies.get(Routing).group_of(facts_of(row))
        owing = {code for rule in group.rules for code in rule.backorder_at}
        bound = [state.of(Catalogue).place_of(line.location) for line in row.lines if owing and line.location]
        then_wants_order(state, command.order, owing | {place.code for place in bound if place is not None})


VERBS = (
    Verb(
        name="sourcing.assign",
        command=AssignOrder,
        decide=assign_order,
        wants=_wants,
        then_wants=_then_wants,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
)
