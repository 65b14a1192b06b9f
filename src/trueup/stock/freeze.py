"""Freeze the movements of a site: announce, start, thaw, call off; and the guard that stops what it is about."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from trueup.authority.overridable import hint_of, told
from trueup.authority.standing import Standing
from trueup.catalogue.state import Catalogue
from trueup.core import json
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Policies, Policy
from trueup.core.quantity import Quantity
from trueup.core.verb import (
    Accepted,
    Actor,
    Command,
    Concerns,
    Context,
    Decision,
    Movement,
    State,
    Verb,
    concerns_location,
)
from trueup.stock.freeze_state import (
    KINDS,
    Freeze,
    FreezeAnnounced,
    FreezeCancelled,
    Freezes,
    FreezeStarted,
    FreezeThawed,
    Intent,
    IntentQueued,
    Mode,
    MovementKind,
)
from trueup.stock.reserve import unknown_location
from trueup.stock.state import Stock

SKUS_MAX = 5000
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Meanwhile = Literal["refuse", "queue"]


class Freezing(Policy, frozen=True, kw_only=True):
    """What happens to movements while a site is frozen, and what may be sold. A document named by a site's code is its
    own; else `default` holds.

    requests: what is asked for (a transfer, an adjustment). facts: what happened already (received, counted, shipped);
    whoever reports it had better not be turned away. sell_percent: of what was available at the start; sell_units: at
    most so many of each item; None is no limit.
    """

    kind: ClassVar[str] = "freeze"
    falls_back: ClassVar[bool] = True
    unreplayed: ClassVar[str] = "which freezes there were is taken as it was recorded"
    requests: Meanwhile = "refuse"
    facts: Meanwhile = "queue"
    sell_percent: Quantity | None = Quantity(100)
    sell_units: Quantity | None = None

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if self.sell_percent is not None and not 0 <= self.sell_percent <= 100:
            raise ValueError("sell_percent lies between 0 and 100")
        if self.sell_units is not None and self.sell_units < 0:
            raise ValueError("sell_units is zero or more")


class AnnounceFreeze(Command, frozen=True, kw_only=True):
    """Say that movements at a site will stop.

    location: the site's code. to_at: when it ends by itself. from_at: when it begins; None is now. skus: any keys of
    items; empty is all of them. kinds: which movements. mode: `hard_stop`, nothing moves; `frozen_book`, goods move on
    while reports and counts see the balances of the start.
    """

    location: str
    to_at: datetime
    reason: Reason
    from_at: datetime | None = None
    mode: Mode = "hard_stop"
    skus: Annotated[tuple[str, ...], msgspec.Meta(max_length=SKUS_MAX)] = ()
    kinds: Annotated[tuple[MovementKind, ...], msgspec.Meta(min_length=1)] = KINDS


class StartFreeze(Command, frozen=True, kw_only=True):
    """Begin an announced freeze: wait for what is in flight, then keep the balances."""

    freeze: str


class ThawFreeze(Command, frozen=True, kw_only=True):
    """End a freeze before its time."""

    freeze: str
    reason: Reason


class CancelFreeze(Command, frozen=True, kw_only=True):
    """Call a freeze off before it starts."""

    freeze: str
    reason: Reason


def announce_freeze(state: State, command: AnnounceFreeze, context: Context) -> Decision:
    """Announce it. Refuses unknown names, times without a zone, a beginning that is past, and an end before it."""
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    from_at = command.from_at or context.now
    for name, at in (("from_at", from_at), ("to_at", command.to_at)):
        if at.tzinfo is None:
            return Refusal("stock.freeze_time", f"The time {at} has no zone.", "State the offset.", name, str(at))
    if from_at < context.now or command.to_at <= from_at:
        where, at = ("from_at", from_at) if from_at < context.now else ("to_at", command.to_at)
        return Refusal("stock.freeze_time", "A freeze begins now or later, and ends after it began.",
                       "Leave `from_at` out to begin at once; `to_at` is when it ends by itself.",
                       where, str(at))  # fmt: skip
    found = [(sku, state.of(Catalogue).item(sku)) for sku in command.skus]
    unknown = tuple(
        RefusalDetail(f"skus[{at}]", sku, "no item answers to this") for at, (sku, item) in enumerate(found)
        if item is None
    )  # fmt: skip
    if unknown:
        return Refusal("catalogue.unknown_item", f"{len(unknown)} of the SKUs answer to no item.",
                       "Correct them, or register the items.", unknown[0].where, unknown[0].value, unknown)  # fmt: skip
    freeze = Freeze(
        id=context.new_id("frz"),
        site=place.code,
        location=place.id,
        mode=command.mode,
        from_at=from_at,
        to_at=command.to_at,
        reason=command.reason,
        by=context.actor.id,
        announced_at=context.now,
        items=tuple(sorted({item.id for _, item in found if item is not None})),
        kinds=tuple(kind for kind in KINDS if kind in command.kinds),
    )
    result = {"freeze": freeze.id, "life": freeze.life(context.now), "to_at": command.to_at.isoformat()}
    return Accepted([FreezeAnnounced(freeze=freeze)], freeze.id, result)


def start_freeze(state: State, command: StartFreeze, context: Context) -> Decision:
    """Start it: nothing is in flight at the site any more, and its balances are kept as they are now.

    Refuses one that is not due yet, over, or called off; one that started already is merged.
    """
    freeze = _known(state, command.freeze)
    if isinstance(freeze, Refusal):
        return freeze
    life = freeze.life(context.now)
    if life == "frozen":
        return Accepted((), freeze.id, {"freeze": freeze.id, "life": life}, "merged")
    if life == "announced":
        return Refusal("stock.freeze_early", f"{freeze.id} was announced for {freeze.from_at.isoformat()}.",
                       "Wait until then, or call it off and announce another.", "freeze", freeze.id)  # fmt: skip
    if life != "draining":
        return _past(freeze, life)
    policy = freezing(context.policies, freeze.site)
    event = FreezeStarted(
        freeze=freeze.id,
        location=freeze.location,
        items=freeze.items,
        mode=freeze.mode,
        to_at=freeze.to_at,
        sell_factor=None if policy.sell_percent is None else Decimal(policy.sell_percent) / 100,
        sell_units=None if policy.sell_units is None else Decimal(policy.sell_units),
        at=context.now,
    )
    return Accepted([event], freeze.id, {"freeze": freeze.id, "life": "frozen"})


def thaw_freeze(state: State, command: ThawFreeze, context: Context) -> Decision:
    """End it now; what waits is put through in order. Refuses one that has not begun; one that ended is merged."""
    freeze = _known(state, command.freeze)
    if isinstance(freeze, Refusal):
        return freeze
    life = freeze.life(context.now)
    if life in ("thawing", "over"):
        return Accepted((), freeze.id, {"freeze": freeze.id, "life": life}, "merged")
    if life == "announced":
        return Refusal("stock.freeze_not_begun", f"{freeze.id} has not begun.", "Call it off instead.", "freeze",
                       freeze.id)  # fmt: skip
    if life == "cancelled":
        return _past(freeze, life)
    # Two processes' clocks may differ: it never ends before it started.
    at = max(context.now, freeze.started_at or context.now)
    event = FreezeThawed(freeze=freeze.id, reason=command.reason, at=at)
    waiting = freeze.intents - freeze.settled
    return Accepted([event], freeze.id, {"freeze": freeze.id, "life": "thawing" if waiting else "over",
                                         "waiting": waiting})  # fmt: skip


def cancel_freeze(state: State, command: CancelFreeze, context: Context) -> Decision:
    """Call it off. Refuses one that started, or stopped a movement already: that ends by its thaw."""
    freeze = _known(state, command.freeze)
    if isinstance(freeze, Refusal):
        return freeze
    life = freeze.life(context.now)
    if life == "cancelled":
        return Accepted((), freeze.id, {"freeze": freeze.id, "life": life}, "merged")
    if freeze.started_at is not None or freeze.intents:
        return Refusal("stock.freeze_begun", f"{freeze.id} is {life}.", "Thaw it instead.", "freeze",
                       freeze.id)  # fmt: skip
    if life == "over":
        return _past(freeze, life)
    event = FreezeCancelled(freeze=freeze.id, reason=command.reason, at=context.now)
    return Accepted([event], freeze.id, {"freeze": freeze.id, "life": "cancelled"})


def freezing(policies: Policies, site: str) -> Freezing:
    """Return the policy of a site: its own where there is one."""
    return policies.find(Freezing, site) or policies.get(Freezing)


def freeze_guard(
    standing: Standing, actor: Actor, verb: Verb[Any], command: Command, now: datetime, state: State
) -> Decision | None:
    """Stop a movement that a freeze is about: refuse it, or let it wait, as the site's policy says of its kind.

    It asks nobody who they are: a job and an integration's key are stopped like anyone. A refusal names the freeze,
    its end and who may thaw it. Source: issue 3, freezes.
    """
    if verb.moves is None:
        return None
    freezes = state.of(Freezes)
    stopped: list[tuple[Freeze, Movement]] = []
    for movement in verb.moves(state, command):
        if freezes.loaded and movement.site not in freezes.locked:
            raise AssertionError(f"{verb.name} moves goods at {movement.site!r}, whose freezes were not asked for")
        stopped += [(freeze, movement) for freeze in freezes.stopping(movement, _items(state, movement), now)]
    if not stopped:
        return None
    for freeze, movement in stopped:
        policy = freezing(standing.policies, freeze.site)
        if (policy.facts if movement.fact else policy.requests) == "refuse":
            return told(_frozen(freeze, movement, standing), standing.policies)
    freeze, _ = max(stopped, key=lambda pair: (pair[0].to_at, pair[0].id))
    intent = Intent(
        freeze=freeze.id,
        number=freeze.intents + 1,
        actor=actor.id,
        verb=verb.name,
        fact=all(movement.fact for _, movement in stopped),
        body=json.encode(command).decode(),
        at=now,
    )
    lent = hint_of("stock.frozen", freeze.site, standing.policies)
    result = {"freeze": freeze.id, "intent": intent.number, "until": freeze.to_at.isoformat(), "override": lent}
    return Accepted([IntentQueued(intent=intent)], freeze.id, result, "queued")


def under_freezes(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb that, where it moves goods, asks for the freezes of the sites before anything is locked."""
    moves = verb.moves
    if moves is None:
        return verb
    wants, then = verb.wants, verb.then_wants

    def ask(state: State, command: Any) -> None:
        for movement in moves(state, command):
            state.of(Freezes).want_site(movement.site)

    def wanting(state: State, command: Any, policies: Policies) -> None:
        wants(state, command, policies)
        ask(state, command)

    def then_wanting(state: State, command: Any, policies: Policies) -> None:
        assert then is not None
        then(state, command, policies)
        ask(state, command)

    return msgspec.structs.replace(verb, wants=wanting, then_wants=then_wanting if then is not None else None)


def _items(state: State, movement: Movement) -> set[str]:
    found = (state.of(Catalogue).item(key) for key in movement.items)
    return {item.id for item in found if item is not None}


def _known(state: State, freeze: str) -> Freeze | Refusal:
    return state.of(Freezes).freeze(freeze) or Refusal(
        "stock.unknown_freeze", f"There is no freeze {freeze[:80]!r}.", "Look its id up in the list.", "freeze",
        freeze[:80],
    )  # fmt: skip


def _past(freeze: Freeze, life: str) -> Refusal:
    return Refusal("stock.freeze_past", f"{freeze.id} is {life}.", "Announce another one.", "freeze", freeze.id)


def _frozen(freeze: Freeze, movement: Movement, standing: Standing) -> Refusal:
    may = " or ".join(standing.who_may("stock.thaw")) or "nobody"
    return Refusal(
        "stock.frozen",
        f"Movements at {freeze.site} are frozen until {freeze.to_at.isoformat()} ({freeze.id}: {freeze.reason}).",
        f"Try again after that, or ask {may} to thaw it.",
        "location",
        movement.site,
    )


def _wants_announced(state: State, command: AnnounceFreeze, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    for sku in command.skus:
        state.of(Catalogue).want_item(sku)


def _then_scope(state: State, command: StartFreeze, policies: Policies) -> None:
    freeze = state.of(Freezes).freeze(command.freeze)
    if freeze is not None:
        state.of(Stock).want_scope(freeze.location, freeze.items)


def _concerns(state: State, command: StartFreeze | ThawFreeze | CancelFreeze) -> Concerns:
    freeze = state.of(Freezes).freeze(command.freeze)
    return Concerns(sites=(freeze.site,) if freeze is not None else ())


VERBS = (
    Verb(
        name="stock.announce_freeze",
        command=AnnounceFreeze,
        decide=announce_freeze,
        wants=_wants_announced,
        concerns=concerns_location,
    ),
    Verb(
        name="stock.start_freeze",
        command=StartFreeze,
        decide=start_freeze,
        wants=lambda state, command, policies: state.of(Freezes).want(command.freeze, start=True),
        then_wants=_then_scope,
        touches=lambda command: (command.freeze,),
        concerns=_concerns,
    ),
    Verb(
        name="stock.thaw",
        command=ThawFreeze,
        decide=thaw_freeze,
        wants=lambda state, command, policies: state.of(Freezes).want(command.freeze),
        touches=lambda command: (command.freeze,),
        concerns=_concerns,
    ),
    Verb(
        name="stock.cancel_freeze",
        command=CancelFreeze,
        decide=cancel_freeze,
        wants=lambda state, command, policies: state.of(Freezes).want(command.freeze),
        touches=lambda command: (command.freeze,),
        concerns=_concerns,
    ),
)
