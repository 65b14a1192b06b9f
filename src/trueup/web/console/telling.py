"""What a row of the journal says, in one sentence: for timelines, which open the exact record beside it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from trueup.core.timeline import Entry
from trueup.web.console.formats import money, number
from trueup.web.console.words import EVENTS, ROOT_CAUSES, SOURCED, SOURCED_WHEN

Body = dict[str, Any]


def tell(entry: Entry) -> str:
    """Return the sentence for an entry; a name that has none reads as it is stored."""
    if entry.kind == "command":
        return f"Command {entry.name}"
    head = EVENTS.get(entry.name, entry.name)
    more = _MORE.get(entry.name)
    if more is None:
        return head
    try:
        detail = more(entry.body)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return head
    return f"{head}: {detail}" if detail else head


def _units(claims: list[list[Any]], at: int) -> str:
    total = sum((Decimal(str(claim[at])) for claim in claims), Decimal(0))
    lines = len(claims)
    return f"{number(total)} unit{'' if total == 1 else 's'} of {lines} line{'' if lines == 1 else 's'}"


def _captured(body: Body) -> str:
    order = body["order"]
    count = len(body["lines"])
    total = money(Decimal(str(order["totals"]["total"])), order["currency"])
    return f"{count} line{'' if count == 1 else 's'}, {total}"


def _released(body: Body) -> str:
    return f"{_units(body['claims'], 3)}, {body['reason']}"


def _moved(body: Body) -> str:
    first = body["moves"][0]
    count = len(body["moves"])
    if count > 1:
        return f"{count} movements, {body['reason']}"
    return f"{number(Decimal(str(first[1])))} from {first[2]} to {first[4]}, {body['reason']}".replace("_", " ")


def _sourced(body: Body) -> str:
    decision = body["decision"]
    by = f" by rule {decision['rule']}" if decision.get("rule") else ""
    return f"{SOURCED[decision['outcome']].text}{by}, {SOURCED_WHEN[decision['mode']].text}"


def _grew(body: Body) -> str:
    return f"{len(body['subjects'])} more" if body["subjects"] else "its price was computed again"


def _record(body: Body, entity: str, key: str) -> str:
    """Say what was amended of a record, or that it is there."""
    changes = [
        f"{one['field']} {_value(one.get('before'))} to {_value(one.get('after'))}" for one in body.get("amended", ())
    ]
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return ", ".join(changes[:3]) + more if changes else f"{body[entity][key]}, version {body[entity]['version']}"


def _value(value: object) -> str:
    return "none" if value is None else str(value)[:60]


_MORE: dict[str, Callable[[Body], str]] = {
    "orders.placed": _captured,
    "orders.recorded": _captured,
    "orders.record_extended": lambda body: f"{len(body['lines'])} lines",
    "orders.moved": lambda body: f"{body['event']} led from {body['from_state']} to {body['to_state']}",
    "orders.event_unmatched": lambda body: f"{body['event']} in state {body['state']}",
    "orders.fulfilment_ordered": lambda body: f"{len(body['parts'])} {'part' if len(body['parts']) == 1 else 'parts'}",
    "orders.fulfilment_reduced": lambda body: f"{_units(body['changes'], 2)}, {body['why']}",
    "sourcing.decided": _sourced,
    "sourcing.rejected": lambda body: f"{_units(body['lines'], 2)}, {body['reason']}".replace("_", " "),
    "stock.allocated": lambda body: _units(body["claims"], 3),
    "orders.hold_placed": lambda body: f"{body['hold']['type']}, {body['hold']['reason']}",
    "orders.hold_released": lambda body: f"{body['type']}, {body['reason']}",
    "orders.duplicate_suspected": lambda body: f"of {body['earlier']}",
    "orders.duplicate_dismissed": lambda body: str(body["reason"]),
    "orders.cancelled": lambda body: f"{_units(body['lines'], 1)}, reason {body['reason']}",
    "stock.reserved": lambda body: _units(body["claims"], 3),
    "stock.claims_released": _released,
    "stock.moved": _moved,
    "cases.opened": lambda body: str(body["case"]["title"]),
    "cases.grew": _grew,
    "cases.acted": lambda body: f"{body['note']} (effect {body['effect']})",
    "cases.priced": lambda body: f"{body['price_per_hour']} {body['currency']} per hour",
    "cases.paused": lambda body: f"until {body['until'][:16].replace('T', ' ')} UTC, {body['reason']}",
    "cases.snoozed": lambda body: str(body["reason"]),
    "cases.merged": lambda body: f"{body['into']}, {body['reason']}",
    "cases.took_over": lambda body: str(body["merged"]),
    "cases.commented": lambda body: str(body["text"]),
    "cases.closed": lambda body: f"{ROOT_CAUSES.get(body['root_cause'], body['root_cause'])}. {body['note']}",
    "catalogue.item_registered": lambda body: _record(body, "item", "sku"),
    "catalogue.alias_added": lambda body: str(body["key"]),
    "catalogue.location_registered": lambda body: _record(body, "location", "code"),
    "catalogue.partner_registered": lambda body: _record(body, "partner", "code"),
    "catalogue.amendment_planned": lambda body: (
        f"{', '.join(body['amendment']['fields'])} from {body['amendment']['effective_from']}"
    ),
    "catalogue.amendment_ended": lambda body: body["ending"] + (f", {body['why']}" if body.get("why") else ""),
    "catalogue.field_overwritten": lambda body: f"{body['field']}, which {body['owner']} owns",
    "catalogue.site_operated": lambda body: f"{'open' if body['open'] else 'closed'}, cut-off {body['cutoff']}",
    "catalogue.cost_recorded": lambda body: (
        f"{body['cost']['cost']} {body['cost']['currency']} each, "
        f"from {body['cost']['effective_from']}, says {body['cost']['source']}"
    ),
    "parties.customer_recorded": lambda body: f"{body['customer']['number']} of {body['customer']['source']}",
    "authority.actor_registered": lambda body: ", ".join(body["actor"]["roles"]) or "no role",
    "authority.key_issued": lambda body: str(body["label"]),
    "authority.node_set": lambda body: (
        f"{body['node']['kind']} {body['node']['name']}, "
        + (f"under {body['node']['parent']}" if body["node"].get("parent") else "a root")
    ),
    "authority.governance_declared": lambda body: f"{body['declared']['mode']} mode",
    "authority.change_proposed": lambda body: f"{body['change']['title']}, {body['change']['type']}",
    "authority.change_edited": lambda body: str(body["change"]["title"]),
    "authority.change_approved": lambda body: "everybody needed has" if body["complete"] else "more are needed",
    "authority.change_ended": lambda body: f"{body['how']}: {body['why']}",
    "authority.change_reverted": lambda body: str(body["why"]),
    "authority.change_escalated": lambda body: str(body["why"]),
    "authority.policy_published": lambda body: f"version {body['version']}, {body['reason']}",
}
