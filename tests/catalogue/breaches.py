"""What the tests of contracts share: one contract over items, and the figures they look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.requests import rows

from trueup import house
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue import breach_read
from trueup.catalogue.contract import Contract, Entity, Field, RowCheck, Rule
from trueup.catalogue.register import RegisterItem
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import Outcome
from trueup.storyline import settled
from trueup.worker import NOTICES, Notice, notice_now

DAY = timedelta(hours=24)
MINUTE = timedelta(minutes=1)
CONTAIN = Notice("contain_breaches", "* * * * *", breach_read.due_to_contain)
PRICE, PRICE_FIRST = (notice for notice in NOTICES if notice.name.startswith("price_breaches"))
CHECK = Notice("check_contracts", "45 0 * * *", breach_read.due_to_check)


def items_contract(*rules: Rule, **terms: Any) -> Contract:
    """A contract that asks for a weight of one gram or more, and keeps items without one from allocation."""
    weight = Rule(name="weight.known", check=RowCheck(kind="required", field="weight_g"), containment="quarantine_item")
    entity = Entity(name="item", fields=(Field(name="sku", required=True),), rules=(weight, *rules))
    return Contract(**{"id": "items", "entities": (entity,), **terms})


async def publish(door: Door, contract: Contract, name: str = "items", key: str = "contract") -> Outcome:
    """Put a contract in force."""
    command = PublishPolicy(policy_kind="contract", policy_name=name, document=json.to_plain(contract), reason="agreed")
    outcome = await door.submit(SYSTEM, command, key)
    assert outcome.status in ("applied", "merged"), outcome.refusal
    return outcome


async def write_item(door: Door, url: str, sku: str, key: str, **fields: Any) -> str:
    """Register an item with these fields, let what follows follow, and return its id."""
    outcome = await door.submit(SYSTEM, RegisterItem(sku=sku, name=fields.pop("name", sku.title()), **fields), key)
    assert outcome.status in ("applied", "merged"), outcome.refusal
    await settled(door, url, house.build())
    item: str = outcome.result["item"]
    return item


async def case_of(url: str, rule: str = "weight.known") -> tuple[Any, ...] | None:
    """Return (id, status, severity, owner_role, price_per_hour, subjects, version) of a rule's newest case."""
    found = await rows(
        url,
        """select id, status, severity, owner_role, price_per_hour, subjects from cases
        where cause = 'contract:items:' || %s order by opened_at desc, id desc limit 1""",
        rule,
    )
    return found[0] if found else None


async def notice(url: str, door: Door, clock: TurnedClock | None = None) -> int:
    """Let the worker notice what is contained by now; return of how many cases it was told."""
    return await notice_now(url, door, CONTAIN)
