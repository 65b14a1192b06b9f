"""Place a hold; release one, or many at once with one reason."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Concerns, Context, Decision, Event, State, Verb
from trueup.orders.held import Hold, HoldReleased
from trueup.orders.hold_state import BULK_MAX, Choice, Holds
from trueup.orders.holds import placing, releasers, rules_of
from trueup.orders.state import OrderRow, Orders
from trueup.orders.version import known_order, unknown_order

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class PlaceHold(Command, frozen=True, kw_only=True):
    """Stop an order, or one of its lines, until something is settled.

    type: one of the types in the order's `holds` policy, which says what it blocks. version: refuse unless the order
    still has this version.
    """

    order: str
    type: Name
    reason: Reason
    line: int | None = None
    version: int | None = None


class ReleaseHold(Command, frozen=True, kw_only=True):
    """Decide that one hold ends. hold: its id. reason: why, for the record."""

    hold: str
    reason: Reason


class ReleaseHolds(Command, frozen=True, kw_only=True):
    """Decide that many holds end, for one reason: those named, or the oldest open ones of a type, a channel, or both.

    At most 500 at once; `more` in the result tells that the filter means others too.
    """

    reason: Reason
    holds: Annotated[tuple[str, ...], msgspec.Meta(max_length=BULK_MAX)] = ()
    type: Name | None = None
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] | None = None


def place_hold(state: State, command: PlaceHold, context: Context) -> Decision:
    """Place the hold; several may stand on one order. The same one, open already, ends as merged.

    Refuses an unknown order, type or line, history, an order that changed meanwhile, and where nothing is left to hold.
    """
    row = state.of(Orders).order(command.order)
    refusal = known_order(row, command.order, command.version)
    if refusal is not None or row is None:
        return refusal or unknown_order(command.order)
    kind = rules_of(context.policies, row.captured.channel).by_name.get(command.type)
    if kind is None:
        can = ", ".join(rules_of(context.policies, row.captured.channel).by_name)
        return Refusal("orders.hold_type", f"There is no type of hold {command.type!r}.", f"Use one of: {can}.",
                       "type", command.type)  # fmt: skip
    refusal = _nothing_to_hold(row, command.line)
    if refusal is not None:
        return refusal
    for hold in state.of(Holds).open_on(command.order):
        if (hold.type, hold.line, hold.reason) == (command.type, command.line, command.reason):
            same = {"hold": hold.id, "order": command.order, "version": row.version}
            return Accepted((), command.order, same, "merged")
    placed = placing(context, kind, command.order, command.reason, command.line)
    result = {"hold": placed.hold.id, "order": command.order, "version": row.version + 1, "blocks": list(kind.blocks)}
    return Accepted([placed], command.order, result)


def _nothing_to_hold(row: OrderRow, line: int | None) -> Refusal | None:
    if line is not None and row.line(line) is None:
        return Refusal("orders.unknown_line", f"The order has no line {line}.", "Name a line by its number.",
                       "line", str(line))  # fmt: skip
    lines = [other for other in row.lines if line in (None, other.line)]
    if any(other.quantity > other.cancelled for other in lines):
        return None
    return Refusal("orders.nothing_to_hold", "Every unit of it was cancelled: there is nothing left to stop.",
                   "Hold what is still wanted.", "order" if line is None else "line", row.captured.id)  # fmt: skip


def release_hold(state: State, command: ReleaseHold, context: Context) -> Decision:
    """Release the hold. One that was released before ends as merged; refuses an unknown one, and who may not."""
    order = state.of(Holds).order_of(command.hold)
    row = state.of(Orders).order(order) if order is not None else None
    if order is None or row is None:
        return unknown_hold(command.hold)
    result = {"hold": command.hold, "order": order, "version": row.version}
    hold = open_hold(state, order, command.hold)
    if hold is None:
        return Accepted((), order, result, "merged")
    refusal = _not_theirs(row, hold, context)
    if refusal is not None:
        return refusal
    return Accepted([releasing(context, hold, command.reason)], order, {**result, "version": row.version + 1})


def release_holds(state: State, command: ReleaseHolds, context: Context) -> Decision:
    """Release every hold that is meant and that the actor may release; the result says of each how it ended.

    Refuses when neither holds nor a filter are named, and when not one of them could be released, naming each.
    """
    if not command.holds and command.type is None and command.channel is None:
        return Refusal("orders.hold_choice", "Neither holds nor a filter were named.",
                       "Name holds by their ids, or a type or channel.", "holds")  # fmt: skip
    events: list[Event] = []
    released: list[dict[str, str]] = []
    refused: list[RefusalDetail] = []
    for id_ in _meant(state, command):
        order = state.of(Holds).order_of(id_)
        row = state.of(Orders).order(order) if order is not None else None
        hold = open_hold(state, order, id_) if order is not None else None
        refusal = _not_theirs(row, hold, context) if row is not None and hold is not None else _not_open(id_, row)
        if refusal is None and hold is not None and _fits(command, row, hold):
            events.append(releasing(context, hold, command.reason))
            released.append({"hold": id_, "order": hold.order, "type": hold.type})
        elif refusal is not None:
            refused.append(RefusalDetail(id_, order or "", f"{refusal.what} {refusal.fix}"))
    if not events:
        what = "None of these holds was released." if refused else "No open hold is meant by this."
        fix = "Each says why." if refused else "List the open holds, and choose among them."
        return Refusal("orders.none_released", what, fix, "holds", details=tuple(refused))
    result: dict[str, Any] = {
        "holds_released": len(released),
        "holds_kept": len(refused),
        "released": released,
        "refused": [{"hold": r.where, "order": r.value, "what": r.what} for r in refused],
        "more": not command.holds and len(_meant(state, command)) == BULK_MAX,
    }
    return Accepted(events, "holds", result)


def _meant(state: State, command: ReleaseHolds) -> tuple[str, ...]:
    if command.holds:
        return tuple(dict.fromkeys(command.holds))
    return state.of(Holds).chosen.get(Choice(command.type, command.channel), ())


def _fits(command: ReleaseHolds, row: OrderRow | None, hold: Hold) -> bool:
    """Tell whether a hold is of the type and channel asked for: with ids, a filter narrows them."""
    return command.type in (None, hold.type) and (
        command.channel is None or (row is not None and row.captured.channel == command.channel)
    )


def open_hold(state: State, order: str, hold: str) -> Hold | None:
    """Return a hold that is open, or None where it was released."""
    found = state.of(Holds).row(order, hold)
    return None if found is None or found.released is not None else found.hold


def releasing(context: Context, hold: Hold, reason: str, rule: str | None = None) -> HoldReleased:
    """Return the end of a hold. rule: what saw that its cause is gone; None where somebody decided."""
    return HoldReleased(
        order=hold.order,
        hold=hold.id,
        type=hold.type,
        reason=reason,
        by=context.actor.id,
        at=context.now,
        rule=rule,
    )


def unknown_hold(hold: str) -> Refusal:
    """Return the refusal of an id that is no hold's."""
    return Refusal("orders.unknown_hold", f"There is no hold {hold!r}.", "Look it up in the list of holds.",
                   "hold", hold)  # fmt: skip


def _not_open(hold: str, row: OrderRow | None) -> Refusal:
    if row is None:
        return unknown_hold(hold)
    return Refusal("orders.hold_released", f"Hold {hold} was released before.", "Nothing is left to do.", "hold", hold)


def _not_theirs(row: OrderRow, hold: Hold, context: Context) -> Refusal | None:
    roles = releasers(row, hold, context.policies)
    if not roles or context.actor.everywhere() & {*roles}:
        return None
    return Refusal(
        "orders.hold_release_role",
        f"A {hold.type} hold is not released by {context.actor.name}.",
        f"Ask somebody who is: {', '.join(roles)}.",
        "hold",
        hold.id,
    )


def _wants_hold(state: State, command: PlaceHold, policies: Policies) -> None:
    state.of(Orders).want(command.order)
    state.of(Holds).want(command.order)


def _wants_release(state: State, command: ReleaseHold, policies: Policies) -> None:
    state.of(Holds).want_order_of(command.hold)


def _then_wants_release(state: State, command: ReleaseHold, policies: Policies) -> None:
    want_orders_of(state, (command.hold,))


def _wants_bulk(state: State, command: ReleaseHolds, policies: Policies) -> None:
    for hold in command.holds:
        state.of(Holds).want_order_of(hold)
    if not command.holds and (command.type is not None or command.channel is not None):
        state.of(Holds).want_choice(Choice(command.type, command.channel))


def _then_wants_bulk(state: State, command: ReleaseHolds, policies: Policies) -> None:
    want_orders_of(state, _meant(state, command))


def want_orders_of(state: State, holds: tuple[str, ...]) -> None:
    """Ask for the orders that holds are on, and for all that is open on them, now that it is known which they are."""
    for order in {order for hold in holds if (order := state.of(Holds).order_of(hold)) is not None}:
        state.of(Orders).want(order)
        state.of(Holds).want(order)


def concerns_order(state: State, command: Any) -> Concerns:
    """Return the channel of the order that a command names in its field `order`."""
    row = state.of(Orders).order(command.order)
    return Concerns(channels=(row.captured.channel,)) if row is not None else Concerns()


def _concerns_hold(state: State, command: ReleaseHold) -> Concerns:
    known = state.of(Holds).known.get(command.hold)
    return Concerns(channels=(known[1],)) if known is not None else Concerns()


def _concerns_bulk(state: State, command: ReleaseHolds) -> Concerns:
    known = state.of(Holds).known
    channels = {known[hold][1] for hold in _meant(state, command) if hold in known}
    return Concerns(channels=tuple(sorted(channels)) or ((command.channel,) if command.channel else ()))


VERBS = (
    Verb(
        name="orders.place_hold",
        command=PlaceHold,
        decide=place_hold,
        wants=_wants_hold,
        touches=lambda command: (command.order,),
        concerns=concerns_order,
    ),
    Verb(
        name="orders.release_hold",
        command=ReleaseHold,
        decide=release_hold,
        wants=_wants_release,
        then_wants=_then_wants_release,
        touches=lambda command: (f"hold:{command.hold}",),
        concerns=_concerns_hold,
    ),
    Verb(
        name="orders.release_holds",
        command=ReleaseHolds,
        decide=release_holds,
        wants=_wants_bulk,
        then_wants=_then_wants_bulk,
        touches=lambda command: ("holds", *(f"hold:{hold}" for hold in command.holds)),
        concerns=_concerns_bulk,
    ),
)
