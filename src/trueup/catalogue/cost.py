"""What an item costs to have: per base unit and currency, from a day on, and who says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.catalogue.state import Catalogue
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.money import Amount, is_currency
from trueup.core.policy import Policies
from trueup.core.quantity import plain
from trueup.core.verb import (
    Accepted,
    Batch,
    Command,
    Context,
    Decision,
    Event,
    Loading,
    Rebuilt,
    Slice,
    State,
    Statement,
    Takes,
    Verb,
    Worth,
)

COSTS_SHOWN_MAX = 200


class RecordCost(Command, frozen=True, kw_only=True):
    """Say what one base unit of an item costs from a day on. sku: any key. cost: zero or more, in `currency`.

    source: who or what says so, such as an invoice or a price list. A correction is another record of the same day.
    """

    sku: str
    currency: str
    cost: Amount
    effective_from: date
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A cost per base unit. number: the how-manieth word on this day; the highest holds."""

    item: str
    currency: str
    effective_from: date
    number: int
    cost: Decimal
    source: str
    at: datetime


class CostRecorded(Event, frozen=True, kw_only=True):
    """One base unit of an item costs this from a day on."""

    name = "catalogue.cost_recorded"
    about = "cost.item"
    cost: Cost


EVENTS = (CostRecorded,)
_COST = ", ".join(f"c.{name}" for name in Cost.__struct_fields__)


class Costs(Slice):
    """The costs a batch needs: for each item and currency that was asked for, what holds on a day."""

    def __init__(self) -> None:
        self._wanted: set[tuple[str, str, date]] = set()
        self._known: dict[tuple[str, str], set[Cost]] = {}
        self._new: list[Cost] = []

    def want(self, key: str, currency: str, day: date) -> None:
        """Ask what the item that answers to this key costs on a day."""
        self._wanted.add((key, currency, day))

    def on(self, item: str, currency: str, day: date) -> Cost | None:
        """Return what holds for an item (id) on a day that was asked for; None where nobody has said."""
        known = (cost for cost in self._known.get((item, currency), ()) if cost.effective_from <= day)
        return max(known, key=lambda cost: (cost.effective_from, cost.number), default=None)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read in the second round trip: the catalogue has locked the items whose costs change by then."""
        wanted = sorted(self._wanted)
        self._wanted.clear()
        if not wanted:
            return
        yield []
        answers = yield [
            Statement(
                f"""select {_COST} from unnest(%s::text[], %s::text[], %s::text[]) as w (key, currency, day)
                join item_key k on k.key = w.key cross join lateral (
                    select * from item_cost c
                    where c.item = k.item and c.currency = w.currency and c.effective_from <= w.day::date
                    order by c.effective_from desc, c.number desc limit 1
                ) c""",
                [[key for key, _, _ in wanted], [currency for _, currency, _ in wanted],
                 [day.isoformat() for _, _, day in wanted]],
            )
        ]  # fmt: skip
        for columns in answers[0]:
            self._take(Cost(**dict(zip(Cost.__struct_fields__, columns, strict=True))))

    def _take(self, cost: Cost) -> None:
        self._known.setdefault((cost.item, cost.currency), set()).add(cost)

    def takes(self) -> Takes:
        """Take a cost in."""
        return {CostRecorded: self._recorded}

    def _recorded(self, event: CostRecorded) -> None:
        self._take(event.cost)
        self._new.append(event.cost)

    def write(self, batch: Batch) -> list[Statement]:
        """Return the insert of the new costs."""
        if not self._new:
            return []
        return [
            Statement(
                """insert into item_cost (item, currency, effective_from, number, cost, source, at)
                select item, currency, effective_from::date, number, cost, source, at
                from unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::numeric[], %s::text[], %s::timestamptz[])
                     as n (item, currency, effective_from, number, cost, source, at)""",
                [
                    [c.item for c in self._new], [c.currency for c in self._new],
                    [c.effective_from.isoformat() for c in self._new], [c.number for c in self._new],
                    [c.cost for c in self._new], [c.source for c in self._new], [c.at for c in self._new],
                ],
            )
        ]  # fmt: skip

    def rebuilt(self) -> list[Rebuilt]:
        """Return the costs."""
        rows = {
            (c.item, c.currency, c.effective_from, c.number): (c.cost, c.source)
            for known in self._known.values()
            for c in known
        }
        return [Rebuilt("cost", "select item, currency, effective_from, number, cost, source from item_cost", rows)]


def record_cost(state: State, command: RecordCost, context: Context) -> Decision:
    """Record the cost. Refuses an unknown item, an unknown currency and a cost below zero; the same again is merged."""
    item = state.of(Catalogue).item(command.sku)
    if item is None:
        return Refusal("catalogue.unknown_item", f"No item answers to {command.sku[:80]!r}.", "Register it first.",
                       "sku", command.sku[:80])  # fmt: skip
    if not is_currency(command.currency):
        return Refusal("catalogue.currency", f"{command.currency!r} is not a currency.", "Use an ISO 4217 code.",
                       "currency", command.currency)  # fmt: skip
    if command.cost < 0:
        return Refusal("catalogue.cost", f"A cost of {plain(command.cost)} is below zero.", "Send zero or more.",
                       "cost", plain(command.cost))  # fmt: skip
    result = {"item": item.id, "currency": command.currency, "effective_from": command.effective_from.isoformat()}
    known = state.of(Costs).on(item.id, command.currency, command.effective_from)
    same_day = known if known is not None and known.effective_from == command.effective_from else None
    if same_day is not None and (same_day.cost, same_day.source) == (command.cost, command.source):
        return Accepted((), item.id, result, "merged")
    cost = Cost(
        item=item.id,
        currency=command.currency,
        effective_from=command.effective_from,
        number=same_day.number + 1 if same_day else 1,
        cost=command.cost,
        source=command.source,
        at=context.now,
    )
    return Accepted([CostRecorded(cost=cost)], item.id, result)


async def cost_at(connection: Connection, items: Sequence[str], currency: str, day: date) -> dict[str, Decimal]:
    """Return what one base unit of each item (id) costs on a day; an item that is absent has no known cost."""
    rows = await connection.execute(
        """select w.item, c.cost from unnest(%s::text[]) as w (item) cross join lateral (
            select cost from item_cost c where c.item = w.item and c.currency = %s and c.effective_from <= %s
            order by c.effective_from desc, c.number desc limit 1
        ) c""",
        [list(items), currency, day],
    )
    return dict(await rows.fetchall())


async def costs(connection: Connection, reference: str) -> tuple[Cost, ...]:
    """Return the costs of an item (id or any key), the latest effective first, at most COSTS_SHOWN_MAX."""
    rows = await connection.execute(
        f"""select {_COST} from item_cost c where c.item = coalesce((select item from item_key where key = %s), %s)
        order by c.effective_from desc, c.currency, c.number desc limit %s""",
        [reference, reference, COSTS_SHOWN_MAX],
    )
    return tuple(Cost(**dict(zip(Cost.__struct_fields__, row, strict=True))) for row in await rows.fetchall())


def _wants(state: State, command: RecordCost, policies: Policies) -> None:
    state.of(Catalogue).want_item(command.sku, change=True)
    state.of(Costs).want(command.sku, command.currency, command.effective_from)


VERBS = (
    Verb(
        name="catalogue.record_cost",
        worth=lambda state, command, events: (Worth(command.cost, command.currency),),
        command=RecordCost,
        decide=record_cost,
        wants=_wants,
        touches=lambda command: (f"sku:{command.sku}",),
    ),
)
