"""What readiness keeps from being ordered or allocated to a parcel, and containment from allocation, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trueup.catalogue.breach_state import Breach
from trueup.catalogue.lead import agreed_with
from trueup.catalogue.ownership import owned_by
from trueup.catalogue.quarantine import barred
from trueup.catalogue.readiness import ReadinessPolicy, Step, not_ready, readiness
from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal
from trueup.core.verb import Context, Decision, Event, State, Verb
from trueup.orders.state import Captured, OrderPlaced, OrderRow, Orders
from trueup.stock.state import StockAllocated


def unready(state: State, row: OrderRow, items: Iterable[str], context: Context) -> dict[str, Refusal]:
    """Return which items (ids) may not be allocated to a parcel for an order, each with why.

    None where the policy does not enforce readiness, and none of an order that its customer picks up.
    """
    if not _is_enforced(context) or not _is_sent(row.captured):
        return {}
    found = ((item, _lacking(state, item, "shippable", context, "order")) for item in dict.fromkeys(items))
    return {item: refusal for item, refusal in found if refusal is not None}


def under_readiness(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb whose decision is refused when it allocates what is not shippable, or orders what is not sellable.

    It looks at what a decision would do, not at the command: no way into a parcel goes round it.
    """
    decide = verb.decide

    def asked(state: State, command: Any, context: Context) -> Decision:
        decision = decide(state, command, context)
        if isinstance(decision, Refusal) or not _is_enforced(context):
            return decision
        found = (_refusal(state, event, context) for event in decision.events)
        return next((refusal for refusal in found if refusal is not None), decision)

    asked.__doc__ = decide.__doc__
    return msgspec.structs.replace(verb, decide=asked)


def _refusal(state: State, event: Event, context: Context) -> Refusal | None:
    match event:
        case StockAllocated(holder=holder, claims=claims):
            row = state.of(Orders).order(holder)
            if row is None or not _is_sent(row.captured):
                return None
            step: Step = "shippable"
            wanted = [(f"line {claim.line}", claim.item) for claim in claims]
        case OrderPlaced(lines=lines):
            step = "sellable"
            wanted = [
                (f"lines[{line.line - 1}].sku", line.item)
                for line in lines
                if line.item is not None and not line.parent
            ]
        case _:
            return None
    found = (_lacking(state, item, step, context, where) for where, item in wanted)
    return next((refusal for refusal in found if refusal is not None), None)


def kept_back(state: State, row: OrderRow, lines: Iterable[int], context: Context) -> dict[int, Breach]:
    """Return which lines a containment keeps from allocation, each with its breach: of its item, or of the kit that it
    is a part of. What an override lets pass is not kept."""
    sent, found = _is_sent(row.captured), dict[int, Breach]()
    for number in lines:
        line = row.line(number)
        kit = row.line(line.parent) if line is not None and line.parent is not None else None
        items = [one.item for one in (line, kit) if one is not None and one.item is not None]
        for breach in barred(state, items, context, sent=sent).values():
            found.setdefault(number, breach)
    return found


def _lacking(state: State, item: str, step: Step, context: Context, where: str) -> Refusal | None:
    known = state.of(Catalogue).item_of(item)
    policy = context.policies.get(ReadinessPolicy)
    if known is None:
        return None
    agreed = agreed_with(state, known)
    if readiness(known, policy, agreed).reaches(step):
        return None
    refusal = not_ready(known, step, policy, agreed, owned_by(context.policies, "item"), where)
    return None if context.excuses(refusal.rule, known.sku) else refusal


def _is_enforced(context: Context) -> bool:
    policy = context.policies.find(ReadinessPolicy, "default")
    return policy is not None and policy.enforce


def _is_sent(order: Captured) -> bool:
    return order.delivery != "pickup"
