"""Say what is to come, when, and what became of it; whoever waits for it keeps a date, or is told in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.catalogue.state import Catalogue, Location
from trueup.core.calendars import end_of_day
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Command, Concerns, Context, Decision, Event, State, Verb
from trueup.stock.peg import Delay, arrival_events, beyond, delays_in, repeg_events, source_of, sources_at
from trueup.stock.promise import PromisePolicy, notice_for
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.supply_state import (
    Expected,
    OpenPeg,
    OpenSupply,
    Supply,
    SupplyCancelled,
    SupplyExpected,
    SupplyNoticed,
    SupplyPlaces,
    SupplyReceived,
    SupplyRescheduled,
)

NOTICES_KEPT_MAX = 500
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Due = Annotated[str, msgspec.Meta(min_length=10, max_length=40)]


class ExpectSupply(Command, frozen=True, kw_only=True):
    """Say that units of an item are to come to a location.

    due: a date, which is the location's own and lasts until its end, or a time with its zone. reference: the purchase
    order or advice that its receipt will name. source: who says so.
    """

    location: str
    sku: str
    quantity: Quantity
    due: Due
    reference: Reference
    source: Reference


class RescheduleSupply(Command, frozen=True, kw_only=True):
    """Say that what is still to come of a supply (`sup_...`) comes at another time; `due` as in ExpectSupply."""

    supply: str
    due: Due


class CancelSupply(Command, frozen=True, kw_only=True):
    """Say that units of a supply do not come; None is all that are still to come."""

    supply: str
    quantity: Quantity | None = None


class NoticeLateSupply(Command, frozen=True, kw_only=True):
    """Report that a supply's due time passed while somebody waits for it."""

    supply: str


def expect_supply(state: State, command: ExpectSupply, context: Context) -> Decision:
    """Keep what is to come, and peg to it the first of those who wait undated.

    Refuses names that nobody registered, a quantity that is not above zero, and a due time without a zone.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    item = state.of(Catalogue).item(command.sku)
    if item is None or command.quantity <= 0:
        return bad_line("", command.sku, command.quantity, item)
    due = due_moment(command.due, place.timezone)
    if isinstance(due, Refusal):
        return due
    told = Expected(context.new_id("sup"), item.id, place.id, command.quantity, due, command.reference, command.source)
    events: list[Event] = [SupplyExpected(supply=told, at=context.now)]
    if due > context.now:
        fresh = source_of(OpenSupply(told.id, item.id, place.id, told.quantity, ZERO, ZERO, ZERO, due, "", ""))
        undated = state.of(Supply).undated_at(item.id, place.id)
        events += repeg_events(undated, [fresh], "supply expected", context.now)
    return Accepted(events, told.id, {"supply": told.id, "due_at": due.isoformat()})


def reschedule_supply(state: State, command: RescheduleSupply, context: Context) -> Decision:
    """Move what is to come; who waits for it is pegged anew to what there is, first come first, then the undated.

    Whoever gets a later date than was promised is in the location's one case, with the notice it takes. Refuses an
    unknown supply, one of which nothing is to come any more, and a due time without a zone; the same time is merged.
    """
    supply = _open_supply(state, command.supply)
    if isinstance(supply, Refusal):
        return supply
    place = state.of(Catalogue).locations[supply.location]
    due = due_moment(command.due, place.timezone)
    if isinstance(due, Refusal):
        return due
    result = {"supply": supply.id, "due_at": due.isoformat()}
    if due == supply.due_at:
        return Accepted((), supply.id, result, "merged")
    held = state.of(Supply).pegs_on(supply.id)
    moved = msgspec.structs.replace(supply, due_at=due)
    events: list[Event] = [SupplyRescheduled(supply=supply.id, due_at=due, at=context.now)]
    events += _pegged_anew(state, moved, held, context)
    events += _delay_case(state, context, place, supply, delays_in(events), f"now due {_day(due, place)}")
    return Accepted(events, supply.id, result)


def cancel_supply(state: State, command: CancelSupply, context: Context) -> Decision:
    """Take units out of what is to come; those of its last comers that it no longer covers are pegged to what there is.

    Whoever gets a later date than was promised, or none, is in the location's one case. Refuses an unknown supply and
    more units than are still to come.
    """
    supply = _open_supply(state, command.supply)
    if isinstance(supply, Refusal):
        return supply
    units = supply.open if command.quantity is None else command.quantity
    if not 0 < units <= supply.open:
        return Refusal("stock.supply_units", f"{plain(supply.open)} units of {supply.id} are still to come.",
                       "Cancel at least one and at most those.", "quantity", plain(units))  # fmt: skip
    place = state.of(Catalogue).locations[supply.location]
    left = msgspec.structs.replace(supply, cancelled=supply.cancelled + units)
    events: list[Event] = [SupplyCancelled(supply=supply.id, quantity=units, at=context.now)]
    others = [s for s in sources_at(state, supply.item, supply.location, context.now) if s.supply != supply.id]
    uncovered = beyond(state.of(Supply).pegs_on(supply.id), left.open)
    events += repeg_events(uncovered, others, "supply cancelled", context.now)
    events += _delay_case(state, context, place, supply, delays_in(events), f"{plain(units)} units do not come")
    return Accepted(events, supply.id, {"supply": supply.id, "open": plain(left.open)})


def notice_late_supply(state: State, command: NoticeLateSupply, context: Context) -> Decision:
    """Put everybody who waits for an overdue supply into the location's case; once for each due time.

    One that is not overdue, that nobody waits for, or that was noticed already is merged. Refuses an unknown supply.
    """
    supply = _open_supply(state, command.supply)
    if isinstance(supply, Refusal):
        return supply
    grace = timedelta(hours=context.policies.get(PromisePolicy).overdue_after_hours)
    overdue = supply.pegged > 0 and supply.due_at + grace < context.now
    if not overdue or supply.noticed_due_at == supply.due_at:
        return Accepted((), supply.id, {"supply": supply.id}, "merged")
    place = state.of(Catalogue).locations[supply.location]
    delays = [
        Delay(peg.holder, peg.line, peg.item, peg.promised_at or supply.due_at, None)
        for peg in state.of(Supply).pegs_on(supply.id)
    ]
    events: list[Event] = [SupplyNoticed(supply=supply.id, due_at=supply.due_at, at=context.now)]
    words = f"was due {_day(supply.due_at, place)} and did not come"
    events += _delay_case(state, context, place, supply, delays, words)
    return Accepted(events, supply.id, {"supply": supply.id, "waiting": len(delays)})


def receive_against(
    state: State, item: str, location: str, quantity: Decimal, reference: str, at: datetime
) -> list[Event]:
    """Return what a receipt means for the supply that its reference names: that much less is to come.

    The first who wait for it wait only to be filled now. Units beyond the supply, or under a reference that nobody
    expected, change nothing here. Pass all units of an item at once.
    Wants: `Supply.want_arrival(reference, key, code)`.
    """
    events: list[Event] = []
    left = quantity
    for supply in state.of(Supply).supplies_at(item, location):
        units = min(left, supply.open)
        if supply.reference != reference or units <= 0:
            continue
        left -= units
        events.append(SupplyReceived(supply=supply.id, quantity=units, at=at))
        events += arrival_events(state, supply, units, at)
    return events


def due_moment(text: str, timezone: str) -> datetime | Refusal:
    """Return when something is due: a date's last second in this zone, or a time as it stands, in UTC."""
    try:
        if len(text) == len("2026-01-01"):
            return end_of_day(date.fromisoformat(text), timezone)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return Refusal("stock.due", f"{text!r} is neither a date nor a time with its zone.",
                   "Write 2026-03-10, or 2026-03-10T08:00+01:00.", "due", text)  # fmt: skip


def _pegged_anew(state: State, supply: OpenSupply, held: Sequence[OpenPeg], context: Context) -> list[Event]:
    """Peg who waits for a moved supply anew, and then those who wait undated, to all there is at the place."""
    others = [s for s in sources_at(state, supply.item, supply.location, context.now) if s.supply != supply.id]
    sources = others
    if supply.due_at > context.now:
        sources = sorted([*others, source_of(supply, supply.pegged)], key=lambda s: (s.due_at, s.supply))
    undated = state.of(Supply).undated_at(supply.item, supply.location)
    return repeg_events([*held, *undated], sources, "supply moved", context.now)


def _open_supply(state: State, id_: str) -> OpenSupply | Refusal:
    supply = state.of(Supply).supplies.get(id_)
    if supply is None or supply.location not in state.of(Catalogue).locations:
        return Refusal("stock.unknown_supply", f"There is no supply {id_!r}.",
                       "Look it up by its reference.", "supply", id_)  # fmt: skip
    if supply.open <= 0:
        return Refusal("stock.supply_ended", f"Nothing is to come of {id_} any more.",
                       "Expect a new supply instead.", "supply", id_)  # fmt: skip
    return supply


def _delay_case(
    state: State, context: Context, place: Location, supply: OpenSupply, delays: Sequence[Delay], what: str
) -> list[Event]:
    """Return the events of the location's one case about promises that will not be kept, and whom to tell."""
    if not delays:
        return []
    policy = context.policies.get(PromisePolicy)
    cause = _cause(place.code)
    known = state.of(Cases).open_for(cause)
    notices: dict[str, Any] = dict(known.source.get("notices", {})) if known is not None else {}
    details: dict[str, list[str]] = {}
    for delay in delays:
        notice = notice_for(policy, delay.promised_at, delay.due_at)
        item = state.of(Catalogue).item_of(delay.item)
        entry = {
            "line": delay.line,
            "sku": item.sku if item is not None else delay.item,
            "promised": delay.promised_at.isoformat(),
            "now": delay.due_at.isoformat() if delay.due_at is not None else None,
            "notice": notice,
            "supply": supply.id,
        }
        notices.pop(f"{delay.holder}/{delay.line}/{delay.item}", None)
        notices[f"{delay.holder}/{delay.line}/{delay.item}"] = entry
        details.setdefault(delay.holder, []).append(_words(delay, entry["sku"], place, notice))
    return case_events(
        state,
        context,
        cause=cause,
        kind="promise_at_risk",
        title=f"Promises at {place.code} will not be kept: {supply.reference} {what}"[:200],
        severity=policy.severity,
        owner_role=policy.owner_role,
        subjects=[CaseSubject(_type_of(holder), holder, "; ".join(words)) for holder, words in details.items()],
        source={"notices": dict(list(notices.items())[-NOTICES_KEPT_MAX:])},
    )


def _words(delay: Delay, sku: Any, place: Location, notice: str) -> str:
    now = f"now {_day(delay.due_at, place)}" if delay.due_at is not None else "no date is known now"
    told = {"none": "no notice needed", "notice": "the customer must be told", "consent": "the customer must consent"}
    return f"line {delay.line}, {sku}: promised {_day(delay.promised_at, place)}, {now}; {told[notice]}"


def _type_of(holder: str) -> Literal["order", "reservation"]:
    return "order" if holder.startswith("ord_") else "reservation"


def _day(moment: datetime, place: Location) -> str:
    return moment.astimezone(ZoneInfo(place.timezone)).date().isoformat()


def _cause(code: str) -> str:
    return f"promise:at_risk:{code}"


def _wants_expected(state: State, command: ExpectSupply, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    state.of(Catalogue).want_item(command.sku)
    state.of(Supply).want_undated(command.sku, command.location, max(command.quantity, ZERO))


def _wants_supply(state: State, command: Any, policies: Policies) -> None:
    state.of(SupplyPlaces).want(command.supply)
    state.of(Supply).want_supply(command.supply)


def _then_wants_place(state: State, command: Any, policies: Policies) -> None:
    found = state.of(SupplyPlaces).places.get(command.supply)
    if found is not None:
        item, code = found
        state.of(Catalogue).want_item_id(item)
        state.of(Catalogue).want_location(code)
        state.of(Cases).want_cause(_cause(code))


def _concerns(state: State, command: Any) -> Concerns:
    found = state.of(SupplyPlaces).places.get(command.supply)
    return Concerns(sites=(found[1],) if found is not None else ())


VERBS = (
    Verb(name="stock.expect_supply", command=ExpectSupply, decide=expect_supply, wants=_wants_expected),
    Verb(
        name="stock.reschedule_supply",
        command=RescheduleSupply,
        decide=reschedule_supply,
        wants=_wants_supply,
        then_wants=_then_wants_place,
        concerns=_concerns,
    ),
    Verb(
        name="stock.cancel_supply",
        command=CancelSupply,
        decide=cancel_supply,
        wants=_wants_supply,
        then_wants=_then_wants_place,
        concerns=_concerns,
    ),
    Verb(
        name="stock.notice_late_supply",
        command=NoticeLateSupply,
        decide=notice_late_supply,
        wants=_wants_supply,
        then_wants=_then_wants_place,
        concerns=_concerns,
    ),
)
