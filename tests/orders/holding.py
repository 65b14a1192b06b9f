"""What tests of holds have in common: policies in few words, orders with a person, holds as they are stored."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from tests.requests import order_of, rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.door import Door
from trueup.core.verb import Outcome
from trueup.orders.hold import PlaceHold
from trueup.orders.holds import HoldRules
from trueup.parties.state import Contact

TYPES = json.to_plain(HoldRules().types)


def rule(name: str, hold: str, *when: tuple[str, str, Any], on: str = "order") -> dict[str, Any]:
    """A rule of a table: `rule("dear", "fraud", ("order.total", "over", "500"))`; amounts are in euros."""
    conditions = [{"field": field, "op": op, "value": value} for field, op, value in when]
    if any(field in ("order.total", "order.discount", "item.amount") for field, _, _ in when):
        conditions.append({"field": "order.currency", "op": "is", "value": "EUR"})
    return {"name": name, "hold": hold, "reason": f"rule {name}", "when": conditions, "on": on}


def table(*rules: dict[str, Any], name: str = "checks", **more: Any) -> dict[str, Any]:
    """A decision table."""
    return {"name": name, "rules": list(rules), **more}


def with_type(name: str, **changes: Any) -> list[dict[str, Any]]:
    """The shipped types, with one of them changed or one more."""
    known = {kind["name"]: kind for kind in TYPES}
    return list({**known, name: {**known.get(name, {"name": name}), **changes}}.values())


async def publish(door: Door, kind: str, name: str = "default", **document: Any) -> Outcome:
    """Publish a policy document; return how it ended."""
    command = PublishPolicy(policy_kind=kind, policy_name=name, document=document, reason="test")
    digest = hashlib.sha256(msgspec.json.encode(document)).hexdigest()
    return await door.submit(SYSTEM, command, f"publish {kind} {name} {digest} {door.now()}")


async def place(door: Door, key: str, email: str | None = None, command: Any = None, **units: int) -> dict[str, Any]:
    """Place an order, of somebody where an address is given; return the result."""
    placed = command or order_of(**units)
    if email is not None:
        placed = msgspec.structs.replace(placed, contact=Contact(email=email))
    outcome = await door.submit(SYSTEM, placed, key)
    assert outcome.status == "applied", outcome.refusal
    return outcome.result


async def hold(door: Door, order: str, type_: str = "payment", line: int | None = None, reason: str = "look") -> str:
    """Place a hold; return its id."""
    command = PlaceHold(order=order, type=type_, line=line, reason=reason)
    outcome = await door.submit(SYSTEM, command, f"hold {order} {type_} {line} {reason}")
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["hold"])


async def held(url: str, order: str, status: str = "open") -> list[tuple[str, int | None]]:
    """Return (type, line) of an order's holds of this status."""
    found = await rows(
        url, "select type, line from order_hold where order_id = %s and status = %s order by type, line", order, status
    )
    return [(type_, line) for type_, line in found]


async def axes(url: str, order: str) -> tuple[str, int, int]:
    """Return an order's hold status, its number of open holds, and its version."""
    found = await rows(url, "select hold_status, holds, version from orders where id = %s", order)
    status, open_, version = found[0]
    return status, open_, version
