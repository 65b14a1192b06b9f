"""Drafts, quotes and what staff enter: saved as far as they are known, confirmed into orders, or ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.ids import short_number
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO
from trueup.core.verb import Accepted, Command, Concerns, Context, Decision, Event, Personal, State, Verb
from trueup.orders.basket import basket_refusal, custom_fields, discount_refusal, places_of, short_of
from trueup.orders.channel import Channel
from trueup.orders.draft_state import Draft, DraftBasket, DraftConfirmed, DraftEnded, DraftRow, Drafts, DraftSaved
from trueup.orders.holds import wants_customer
from trueup.orders.place import Begun, PlaceLine, PlaceOrder, basket_concerns, taken, want_basket, wanted_of
from trueup.orders.price import prices_of, sums_of
from trueup.orders.state import Captured, OrderPlaced, OrderRow
from trueup.orders.suspect import want_earlier
from trueup.orders.totals import Totals
from trueup.orders.workflow import BusinessEvent, Workflow, advance, allows
from trueup.parties.state import Parties, keep_contact
from trueup.stock.reserve import Demand, short_refusal, spread, stocked
from trueup.stock.state import ClaimsReleased, Place, Stock, StockReserved

RESERVE_MINUTES_MAX = 43_200
_NO_TOTALS = Totals(ZERO, ZERO, ZERO, ZERO, ZERO)


class SaveDraft(DraftBasket, frozen=True, kw_only=True):
    """Begin a draft, or replace what one says. Everything of an order may be given, and may be missing.

    draft: the one to change; None begins one. version: refuse unless it still has this version. valid_until: makes it a
    quote, whose prices hold until then. reserve_minutes: how long it holds stock from now on; None is as its channel
    says, 0 not at all.
    """

    draft: str | None = None
    version: int | None = None
    valid_until: datetime | None = None
    reserve_minutes: Annotated[int, msgspec.Meta(ge=0, le=RESERVE_MINUTES_MAX)] | None = None


class ConfirmDraft(Command, frozen=True, kw_only=True):
    """Make an order of a draft. version: refuse unless it still has this version."""

    draft: str
    version: int | None = None


class DiscardDraft(Command, frozen=True, kw_only=True):
    """Give a draft up."""

    draft: str


class ExpireDraft(Command, frozen=True, kw_only=True):
    """End a quote that is no longer valid."""

    draft: str


def save_draft(state: State, command: SaveDraft, context: Context) -> Decision:
    """Save the draft with what it would cost, and hold stock for it; what it lacks is named, and refuses nothing.

    A quote's missing prices are filled in from the catalogue and hold; a plain draft's are looked up when it is
    confirmed. It keeps the channel's terms of when it was begun. What it held before is given back in the same step.
    Refuses a draft that ended or changed meanwhile, a validity that is past, and, where it is to hold stock, lines that
    are short by the channel's policy; then nothing changes. Source: behaviours 3, 13 and 15.
    """
    known = state.of(Drafts).draft(command.draft) if command.draft is not None else None
    refusal = _save_refusal(command, known, context)
    if refusal is not None:
        return refusal
    basket = DraftBasket(**{name: getattr(command, name) for name in DraftBasket.__struct_fields__})
    if known is not None and basket.contact is None:
        basket = msgspec.structs.replace(basket, contact=known.draft.basket.contact)
    draft = _drafted(state, basket, known, command.valid_until, context)
    events: list[Event] = [DraftSaved(draft=draft, at=context.now)]
    held = _held(state, draft.id)
    events += _released(state, draft.id, "released", context)
    minutes = command.reserve_minutes
    if minutes is None:
        minutes = context.policies.get(Channel, basket.channel).reserve_minutes if not draft.missing else 0
    reserved_until = None
    if minutes:
        reserved_until = context.now + timedelta(minutes=minutes)
        if draft.valid_until is not None:
            reserved_until = min(reserved_until, draft.valid_until)
        reserved = _reserved(state, draft, held, reserved_until, context)
        if isinstance(reserved, Refusal):
            return reserved
        events += reserved
    result: dict[str, Any] = {
        "draft": draft.id, "number": draft.number, "missing": list(draft.missing),
        "total": None if draft.total is None else str(draft.total), "version": known.version + 1 if known else 1,
        "reserved_until": reserved_until.isoformat() if reserved_until else None,
    }  # fmt: skip
    return Accepted(events, draft.id, result)


def confirm_draft(state: State, command: ConfirmDraft, context: Context) -> Decision:
    """Place the draft as an order of the same id and number; what it holds becomes the order's own.

    The order keeps the terms and the workflow the draft was begun under. One that was confirmed before ends as merged.
    Refuses a draft that lacks something, ended, changed or is no longer valid, and all that `orders.place` refuses.
    """
    row = state.of(Drafts).draft(command.draft)
    if row is not None and row.confirmed_at is not None:
        return Accepted((), command.draft, {"order": row.draft.id, "number": row.draft.number}, "merged")
    refusal = _closed(command.draft, row) or _moved_on(row, command.version)
    if refusal is not None or row is None:
        return refusal or _unknown(command.draft)
    draft = row.draft
    if draft.valid_until is not None and draft.valid_until <= context.now:
        return Refusal("orders.quote_expired", f"The quote was valid until {draft.valid_until:%Y-%m-%d %H:%M} UTC.",
                       "Begin a new one with today's prices.", "draft", draft.id)  # fmt: skip
    basket = draft.basket
    if basket.currency is None or not basket.lines:
        return Refusal("orders.draft_incomplete", f"The draft lacks: {', '.join(draft.missing)}.",
                       "Save it with what is missing.", "draft", draft.id)  # fmt: skip
    refusal = allows(_as_order(row), "confirmed", context.policies)
    if refusal is not None:
        return refusal
    begun = Begun(
        id=draft.id,
        number=draft.number,
        workflow_version=draft.workflow_version,
        channel_version=draft.channel_version,
        state=row.moved.state,
        entered_by=draft.entered_by,
        held=_held(state, draft.id),
    )
    order = PlaceOrder(**{name: getattr(basket, name) for name in PlaceOrder.__struct_fields__})
    decision = taken(state, order, context, begun)
    if isinstance(decision, Refusal):
        return decision
    events = [*_released(state, draft.id, "confirmed", context), DraftConfirmed(draft=draft.id, at=context.now)]
    for event in decision.events:
        events.append(event)
        if isinstance(event, OrderPlaced):
            placed = OrderRow(event.order, list(event.lines), is_new=True)
            events += advance(placed, "confirmed", context)
    return Accepted(events, draft.id, decision.result)


def discard_draft(state: State, command: DiscardDraft, context: Context) -> Decision:
    """End the draft and give back what it holds; one that ended is merged. Refuses one that is an order."""
    row = state.of(Drafts).draft(command.draft)
    if row is not None and row.ended_at is not None:
        return Accepted((), command.draft, {"draft": command.draft}, "merged")
    refusal = _closed(command.draft, row)
    if refusal is not None or row is None:
        return refusal or _unknown(command.draft)
    return _ending(state, row, "cancelled", context)


def expire_draft(state: State, command: ExpireDraft, context: Context) -> Decision:
    """End a quote whose validity is over, by the workflow's event `expired`. Refuses one that is valid, or ended."""
    row = state.of(Drafts).draft(command.draft)
    refusal = _closed(command.draft, row)
    if refusal is not None or row is None:
        return refusal or _unknown(command.draft)
    until = row.draft.valid_until
    if until is None or context.now < until:
        return Refusal("orders.not_expired", f"The draft is valid until {until:%Y-%m-%d %H:%M} UTC."
                       if until else "The draft has no end.", "Discard it if it must end now.",
                       "draft", command.draft)  # fmt: skip
    return _ending(state, row, "expired", context)


async def due_drafts(connection: Connection, now: datetime) -> list[tuple[str, ExpireDraft]]:
    """Return a key and a command for each quote whose validity is over and that nobody confirmed or ended."""
    rows = await connection.execute(
        """select id, version from order_draft
        where valid_until <= %s and confirmed_at is null and ended_at is null order by valid_until, id""",
        [now],
    )
    return [(f"{draft}/{version}", ExpireDraft(draft=draft)) for draft, version in await rows.fetchall()]


def _save_refusal(command: SaveDraft, known: DraftRow | None, context: Context) -> Refusal | None:
    if command.draft is not None:
        refusal = _closed(command.draft, known) or _moved_on(known, command.version)
        if refusal is not None:
            return refusal
    until = command.valid_until
    short = short_of(command, context.policies.get(Channel, command.channel))
    if isinstance(short, Refusal):
        return short
    if until is not None and (until.tzinfo is None or until <= context.now):
        return Refusal("orders.valid_until", "The validity ends in the past or has no zone.", "State a time to come.",
                       "valid_until", str(until))  # fmt: skip
    return None


def _drafted(
    state: State, basket: DraftBasket, known: DraftRow | None, valid_until: datetime | None, context: Context
) -> Draft:
    """Return the draft with its sums, as far as they can be computed."""
    policies, before = context.policies, known.draft if known else None
    draft = before.id if before else context.new_id("ord")
    same = before is not None and before.basket.channel == basket.channel and before.basket.type == basket.type
    if before is not None and same:
        channel_version, workflow_version = before.channel_version, before.workflow_version
    else:
        channel_version = policies.version(Channel, basket.channel)
        workflow_version = policies.version(Workflow, basket.type)
    if valid_until is not None:
        basket = _quoted(state, basket)
    total, missing = _estimate(state, basket, policies.at(Channel, basket.channel, channel_version), context)
    customer = state.of(Parties).customer(basket.customer_source, basket.customer) if basket.customer else None
    return Draft(
        id=draft,
        number=short_number(draft),
        basket=basket,
        total=total,
        missing=missing,
        valid_until=valid_until,
        entered_by=before.entered_by if before else context.actor.id if context.actor.kind == "person" else None,
        customer=customer.id if customer else None,
        state=known.moved.state if known else policies.at(Workflow, basket.type, workflow_version).draft,
        workflow_version=workflow_version,
        channel_version=channel_version,
        created_at=before.created_at if before else context.now,
    )


def _quoted(state: State, basket: DraftBasket) -> DraftBasket:
    """Fill the catalogue's prices in, as far as it has them: they hold for as long as the quote does."""
    lines: list[PlaceLine] = []
    for line in basket.lines:
        wanted = wanted_of(state, [line])
        prices = prices_of([line], wanted, basket.currency or "") if not isinstance(wanted, Refusal) else wanted
        lines.append(line if isinstance(prices, Refusal) else msgspec.structs.replace(line, unit_price=prices[0]))
    return msgspec.structs.replace(basket, lines=tuple(lines))


def _estimate(
    state: State, basket: DraftBasket, channel: Channel, context: Context
) -> tuple[Decimal | None, tuple[str, ...]]:
    """Return what it would cost, or the names of what it lacks."""
    lacks = [name for name in ("currency", "lines") if not getattr(basket, name)]
    if basket.currency is None or lacks:
        return None, tuple(lacks)
    refusal = basket_refusal(basket, basket.currency, basket.lines)
    fields = custom_fields(basket, context.policies)
    places = places_of(state, basket, context.policies.get(Channel, basket.channel))
    wanted = wanted_of(state, basket.lines)
    if refusal is not None:
        return None, (refusal.where,)
    if isinstance(wanted, Refusal) or isinstance(places, Refusal) or isinstance(fields, Refusal):
        return None, tuple(found.where for found in (fields, places, wanted) if isinstance(found, Refusal))
    prices = prices_of(basket.lines, wanted, basket.currency)
    if isinstance(prices, Refusal):
        return None, (prices.where,)
    sums = sums_of(state, basket, basket.lines, wanted, prices, basket.currency, channel, context)
    if isinstance(sums, Refusal):
        return None, (sums.where,)
    goods = sum(sums.amounts, ZERO)
    refusal = discount_refusal(basket, goods)
    if refusal is not None:
        return None, (refusal.where,)
    charges = sum((charge.amount for charge in sums.charges), ZERO)
    tax = ZERO if channel.prices_include_tax else sum((line.tax for line in sums.taxed.values()), ZERO)
    return goods - basket.discount + charges + tax, ()


def _reserved(
    state: State, draft: Draft, held: dict[Place, Decimal], until: datetime, context: Context
) -> list[Event] | Refusal:
    """Return the soft reservation of a complete draft, which ends at a time."""
    basket = draft.basket
    if draft.missing:
        return Refusal("orders.draft_incomplete", f"The draft lacks: {', '.join(draft.missing)}.",
                       "Complete it, or save it without holding stock (reserve_minutes 0).",
                       draft.missing[0])  # fmt: skip
    channel = context.policies.get(Channel, basket.channel)
    places = places_of(state, basket, channel)
    wanted = wanted_of(state, basket.lines)
    if isinstance(places, Refusal):
        return places
    if isinstance(wanted, Refusal):
        return wanted
    demands: Sequence[Demand] = stocked(state, wanted, places[0] if basket.location is not None else None)
    partly = short_of(basket, channel) != "refuse"
    claims, missing = spread(state, demands, places, basket.channel, partly=partly, own=held)
    if missing and not partly:
        return short_refusal(missing)
    if not claims:
        return []
    return [
        StockReserved(holder=draft.id, claims=claims, at=context.now, expires_at=until, channel=basket.channel)
    ]  # fmt: skip


def _held(state: State, draft: str) -> dict[Place, Decimal]:
    found: dict[Place, Decimal] = {}
    for claim in state.of(Stock).open_claims(draft):
        place = (claim.item, claim.location)
        found[place] = found.get(place, ZERO) + claim.quantity
    return found


def _released(state: State, draft: str, reason: str, context: Context) -> list[Event]:
    claims = tuple(claim.units() for claim in state.of(Stock).open_claims(draft))
    return [ClaimsReleased(holder=draft, claims=claims, reason=reason, at=context.now)] if claims else []


def _ending(state: State, row: DraftRow, event: BusinessEvent, context: Context) -> Accepted:
    draft = row.draft.id
    events = [
        *_released(state, draft, event, context),
        *advance(_as_order(row), event, context),
        DraftEnded(draft=draft, why="expired" if event == "expired" else "discarded", at=context.now),
    ]
    return Accepted(events, draft, {"draft": draft, "version": row.version + 1})


def _as_order(row: DraftRow) -> OrderRow:
    """Return a draft as the workflow looks at orders: its type, its version and where it is."""
    draft, basket = row.draft, row.draft.basket
    captured = Captured(
        id=draft.id, number=draft.number, kind="sale", channel=basket.channel, currency=basket.currency or "",
        placed_at=draft.created_at, recorded_at=draft.created_at, totals=_NO_TOTALS, type=basket.type,
        state=row.moved.state, workflow_version=draft.workflow_version, channel_version=draft.channel_version,
    )  # fmt: skip
    return OrderRow(captured, [], is_new=False)


def _unknown(draft: str) -> Refusal:
    return Refusal("orders.unknown_draft", f"There is no draft {draft!r}.", "Look it up among the drafts.",
                   "draft", draft)  # fmt: skip


def _closed(draft: str, row: DraftRow | None) -> Refusal | None:
    if row is None:
        return _unknown(draft)
    if row.is_open:
        return None
    what = "was confirmed: it is an order" if row.confirmed_at is not None else "has ended"
    return Refusal("orders.draft_closed", f"The draft {what}.", "Begin a new one, or change the order.",
                   "draft", draft)  # fmt: skip


def _moved_on(row: DraftRow | None, version: int | None) -> Refusal | None:
    if row is None or version is None or version == row.version:
        return None
    return Refusal("orders.changed", f"The draft is at version {row.version}, not {version}.",
                   "Read it again and decide anew.", "version", str(version))  # fmt: skip


def _wants_saving(state: State, command: SaveDraft, policies: Policies) -> None:
    want_basket(state, command, command.lines, policies.get(Channel, command.channel))
    if command.draft is not None:
        _wants_draft(state, command.draft)


def _wants_draft(state: State, draft: str) -> None:
    state.of(Drafts).want(draft)
    state.of(Stock).want_claims(draft)


def _then_wants(state: State, command: ConfirmDraft, policies: Policies) -> None:
    row = state.of(Drafts).draft(command.draft)
    if row is not None and row.is_open:
        basket = row.draft.basket
        want_basket(state, basket, basket.lines, policies.get(Channel, basket.channel))
        want_earlier(state, basket, policies)
        wants_customer(state, policies, basket.channel, basket.customer_source, basket.customer)


def _concerns(state: State, command: ConfirmDraft | DiscardDraft | ExpireDraft) -> Concerns:
    row = state.of(Drafts).draft(command.draft)
    return basket_concerns(row.draft.basket) if row is not None else Concerns()


def _concerns_saving(state: State, command: SaveDraft) -> Concerns:
    """Return what the draft is about now, and what it was about."""
    row = state.of(Drafts).draft(command.draft) if command.draft is not None else None
    now = basket_concerns(command)
    before = basket_concerns(row.draft.basket) if row is not None else Concerns()
    return Concerns((*now.sites, *before.sites), (*now.channels, *before.channels))


VERBS = (
    Verb(
        name="orders.draft",
        command=SaveDraft,
        decide=save_draft,
        wants=_wants_saving,
        touches=lambda command: (command.draft,) if command.draft is not None else (),
        concerns=_concerns_saving,
        personal=Personal("contact", keep_contact),
    ),
    Verb(
        name="orders.confirm_draft",
        command=ConfirmDraft,
        decide=confirm_draft,
        wants=lambda state, command, policies: _wants_draft(state, command.draft),
        then_wants=_then_wants,
        touches=lambda command: (command.draft,),
        concerns=_concerns,
    ),
    Verb(
        name="orders.discard_draft",
        command=DiscardDraft,
        decide=discard_draft,
        wants=lambda state, command, policies: _wants_draft(state, command.draft),
        touches=lambda command: (command.draft,),
        concerns=_concerns,
    ),
    Verb(
        name="orders.expire_draft",
        command=ExpireDraft,
        decide=expire_draft,
        wants=lambda state, command, policies: _wants_draft(state, command.draft),
        touches=lambda command: (command.draft,),
        concerns=_concerns,
    ),
)
