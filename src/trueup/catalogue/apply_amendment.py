"""Apply a planned amendment on its day; the worker notices, and what was approved when it was planned holds then."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.catalogue.amendments import AmendmentEnded, Amendments, Planned
from trueup.catalogue.gtin_rules import needs_no_gtin
from trueup.catalogue.kinds import KINDS
from trueup.catalogue.ownership import Entity, Row, differences
from trueup.catalogue.partner_state import Partner, PartnerRegistered, Partners
from trueup.catalogue.state import Catalogue, Item, ItemRegistered, LocationRegistered
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb

PER_RUN_MAX = 2000


class ApplyAmendment(Command, frozen=True, kw_only=True):
    """Put a planned amendment (`amd_...`) in force. key: the record's SKU or code."""

    amendment: str
    entity: Entity
    key: str


def apply_amendment(state: State, command: ApplyAmendment, context: Context) -> Decision:
    """Change the fields as they were planned, on what stands by now. Refuses one whose day has not begun.

    What can no longer be (the custom field is gone, say) ends as failed with the reason, and changes nothing; one that
    is over already ends as merged.
    """
    plan = state.of(Amendments).open.get(command.amendment)
    if plan is None:
        return Accepted((), command.amendment, {"amendment": command.amendment}, "merged")
    if context.now < plan.effective_at:
        return Refusal("catalogue.not_due", f"It takes effect on {plan.effective_from}.",
                       "Wait for the day, or amend the record without a date.", "amendment", plan.id)  # fmt: skip
    made = _made(state, plan, context.policies)
    result = {"amendment": plan.id, "object": plan.object}
    if isinstance(made, Refusal):
        failed = AmendmentEnded(amendment=plan.id, object=plan.object, ending="failed", at=context.now, why=made.what)
        return Accepted([failed], plan.object, {**result, "failed": made.what})
    ended = AmendmentEnded(amendment=plan.id, object=plan.object, ending="applied", at=context.now)
    return Accepted([*_changed(plan, *made, context), ended], plan.object, result)


def _made(state: State, plan: Planned, policies: Policies) -> tuple[Row, Row] | Refusal:
    """Return the record before and after, or why it cannot be."""
    kind = KINDS[plan.entity]
    before = kind.held(state, plan.object)
    assert before is not None, "what is amended was asked for"
    after = kind.patched(before, json.convert(plan.fields, kind.fields), policies, "")
    if isinstance(before, Item) and isinstance(after, Item):
        return needs_no_gtin(before, after, plan.gtin_kept_because) or (before, after)
    return after if isinstance(after, Refusal) else (before, after)


def _changed(plan: Planned, before: Row, after: Row, context: Context) -> list[Event]:
    changes = differences(before, after)
    if not changes:
        return []
    row = msgspec.structs.replace(after, version=before.version + 1)
    said: dict[str, Any] = {"at": context.now, "amended": changes, "reason": plan.reason or None, "planned": plan.id}
    if isinstance(row, Item):
        return [ItemRegistered(item=row, gtin_kept_because=plan.gtin_kept_because, **said)]
    if isinstance(row, Partner):
        return [PartnerRegistered(partner=row, **said)]
    return [LocationRegistered(location=row, **said)]


async def due_to_apply(connection: Connection, now: datetime) -> list[tuple[str, ApplyAmendment]]:
    """Return the amendments whose day has begun, the earliest first, each under its id."""
    rows = await connection.execute(
        """select p.id, p.entity, coalesce(i.sku, l.code, r.code) from planned_amendment p
        left join item i on p.entity = 'item' and i.id = p.object
        left join location l on p.entity = 'location' and l.id = p.object
        left join partner r on p.entity = 'partner' and r.id = p.object
        where p.ended_at is null and p.effective_at <= %s order by p.effective_at, p.id limit %s""",
        [now, PER_RUN_MAX],
    )
    return [(id_, ApplyAmendment(amendment=id_, entity=entity, key=key)) for id_, entity, key in await rows.fetchall()]


_NAMED: dict[Entity, str] = {"item": "sku", "location": "location", "partner": "partner"}


def _wants(state: State, command: ApplyAmendment, policies: Policies) -> None:
    state.of(Amendments).want(amendment=command.amendment)
    if command.entity == "item":
        state.of(Catalogue).want_item(command.key, change=True)
    elif command.entity == "location":
        state.of(Catalogue).want_location(command.key, change=True)
    else:
        state.of(Partners).want(command.key, change=True)


VERBS = (
    Verb(
        name="catalogue.apply_amendment",
        command=ApplyAmendment,
        decide=apply_amendment,
        wants=_wants,
        touches=lambda command: (f"{_NAMED[command.entity]}:{command.key}",),
    ),
)
