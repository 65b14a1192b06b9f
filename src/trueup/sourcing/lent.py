"""What overrides let sourcing give that it would leave out: it refuses no order for a line or location it may not use.

Where a rule refuses, the door asks whether an override covers that. Sourcing leaves out what is held, contained or not
ready and goes on with the rest; so it asks itself, and records those that it used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from trueup.authority.overrides_state import Override, Overrides, OverrideUsed
from trueup.authority.refusals import borrowed
from trueup.catalogue.quarantine import RULE as CONTAINED
from trueup.catalogue.quarantine import closed
from trueup.catalogue.quarantine import named as contained
from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.refused import RULE, Stop
from trueup.core.verb import Accepted, Context, Decision, State, Verb
from trueup.orders.holds import HELD, blocking, named
from trueup.orders.state import OrderRow, Orders
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.ready import kept_back, unready
from trueup.stock.state import Claim, StockAllocated

LENT = (HELD, CONTAINED, "catalogue.not_shippable")
Value = tuple[str, str]
Subject = str
"""The id of an item or location, or of the order where the whole of it is meant."""


def under_loans(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb that, where it sources an order, gives what open overrides let pass, and says which it used."""
    if verb.command is not AssignOrder:
        return verb
    decide, wants = verb.decide, verb.wants

    def wanting(state: State, command: AssignOrder, policies: Policies) -> None:
        wants(state, command, policies)
        state.of(Overrides).want_open()

    def asked(state: State, command: AssignOrder, context: Context) -> Decision:
        row = state.of(Orders).order(command.order)
        loans = [one for one in state.of(Overrides).overrides.values() if _is_lent(one, context)]
        if not loans or row is None:
            return decide(state, command, context)
        found = {
            value: (subject, used)
            for value, subject in _left_out(state, row, context)
            if (used := _borrowed(state, verb, command, context, loans, value)) is not None
        }
        decision = decide(state, command, msgspec.structs.replace(context, excused=context.excused | found.keys()))
        if isinstance(decision, Refusal):
            return decision
        given = {command.order, *_given(decision)}
        uses = [used for subject, used in found.values() if len(given) > 1 and subject in given]
        return msgspec.structs.replace(decision, events=(*uses, *decision.events))

    asked.__doc__ = decide.__doc__
    return msgspec.structs.replace(verb, decide=asked, wants=wanting)


def _is_lent(override: Override, context: Context) -> bool:
    return override.rule in LENT and override.life(context.now) == "active"


def _left_out(state: State, row: OrderRow, context: Context) -> Iterator[tuple[Value, Subject]]:
    """Yield what sourcing leaves out of an order as things are: holds, items and locations."""
    goods = {line.line: line.item for line in row.lines if line.item is not None and line.kind == "good"}
    items = list(goods.values())
    for hold in blocking(state, row, "sourced", context):
        yield (HELD, named(hold)), row.captured.id
    for line, breach in kept_back(state, row, goods, context).items():
        yield (CONTAINED, contained(breach)), goods[line]
    for item, refusal in unready(state, row, items, context).items():
        yield (refusal.rule, refusal.value), item
    for place, breach in closed(state, state.of(Catalogue).locations, context).items():
        yield (CONTAINED, contained(breach)), place


def _borrowed(
    state: State, verb: Verb[Any], command: AssignOrder, context: Context, loans: Sequence[Override], value: Value
) -> OverrideUsed | None:
    refusal = Refusal(value[0], "It is left out.", "Ask for an override.", "", value[1])
    return borrowed(loans, Stop(RULE, refusal, context.actor, verb, command, context.now, state))


def _given(decision: Accepted) -> Iterator[Subject]:
    claims: list[Claim] = [c for event in decision.events if isinstance(event, StockAllocated) for c in event.claims]
    for claim in claims:
        yield claim.item
        yield claim.location
