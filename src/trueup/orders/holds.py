"""Holds as policy: their types, and the decision tables that place them. Tables are data; no code comes with them.

A document is named for the channel it serves; `default` serves all others. Its rules are read when the decision is
made; what a hold blocks, and when it is due, is settled then and kept with it. Source: behaviours 39 and 40.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from trueup.authority.standing import Rights, roles_that_may
from trueup.catalogue.state import Catalogue
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.core.verb import Context, State
from trueup.orders.conditions import Condition, Facts, LineFacts, Test, condition_faults
from trueup.orders.held import Hold, HoldPlaced
from trueup.orders.hold_state import Holds
from trueup.orders.state import Captured, Line, OrderRow
from trueup.orders.workflow import OWN_EVENTS

"""The events that Trueup itself reports, each by a verb of its own."""
PLACED = "placed"
ONLY_PEOPLE = ("fraud", "manual", "compliance")
"""Types that no rule ever releases, whatever a document says. Source: behaviour 40."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class HoldType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of hold. blocks: the events of an order's workflow that it stops, ours or a shop's own.

    releasable_by_rule: a rule may release it when its cause is gone. release_roles: who else may; empty is everybody
    with the right `orders.release_hold`. case_after_hours: when one that still stands becomes a case of `severity` for
    `owner_role`; None is never.
    """

    name: str
    label: str = ""
    blocks: tuple[str, ...] = ("sourced", "released")
    releasable_by_rule: bool = False
    release_roles: tuple[str, ...] = ()
    owner_role: str = "Order Agent"
    case_after_hours: Annotated[int, msgspec.Meta(ge=1, le=8760)] | None = 24
    severity: Annotated[int, msgspec.Meta(ge=1, le=4)] = 3


class HoldRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One row of a table: where every condition holds, place this hold, on the order or on each matching line.

    Conditions on `item.*` hold together on one line of goods.
    """

    name: str
    hold: str
    reason: Words
    when: Annotated[tuple[Condition, ...], msgspec.Meta(max_length=20)] = ()
    on: Literal["order", "lines"] = "order"

    @cached_property
    def tests(self) -> tuple[tuple[Test, ...], tuple[Test, ...]]:
        """The conditions made ready, once per document: those on the order, and those on a line."""
        ready = [condition.ready for condition in self.when]
        return tuple(r.holds for r in ready if not r.of_line), tuple(r.holds for r in ready if r.of_line)


class DecisionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules that are asked when an event happened: `placed`, or one of a workflow's own that somebody reported.

    hit: `first` stops at the first rule that matches, `all` asks every one.
    """

    name: str
    rules: Annotated[tuple[HoldRule, ...], msgspec.Meta(min_length=1, max_length=200)]
    on: str = PLACED
    hit: Literal["first", "all"] = "first"


TYPES = (
    HoldType("payment", "Payment", owner_role="Finance"),
    HoldType("fraud", "Fraud", ("sourced", "released", "confirmed"), owner_role="Finance", severity=2),
    HoldType("address", "Address"),
    HoldType("credit", "Credit", owner_role="Finance"),
    HoldType("stock", "Stock", releasable_by_rule=True, owner_role="Fulfilment Lead"),
    HoldType("data", "Data", releasable_by_rule=True, owner_role="Data Steward"),
    HoldType("compliance", "Compliance", ("sourced", "released", "confirmed", "cancelled"), severity=2),
    HoldType("manual", "Manual"),
)


class HoldRules(Policy, frozen=True, kw_only=True, dict=True):
    """Which holds there are, and which rules place them. timezone: IANA name; the zone `order.hour` is read in."""

    kind: ClassVar[str] = "holds"
    falls_back: ClassVar[bool] = True
    types: tuple[HoldType, ...] = TYPES
    tables: Annotated[tuple[DecisionTable, ...], msgspec.Meta(max_length=50)] = ()
    timezone: str = "UTC"

    @cached_property
    def by_name(self) -> dict[str, HoldType]:
        """The types by their names."""
        return {kind.name: kind for kind in self.types}

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone that hours are read in."""
        return ZoneInfo(self.timezone)

    @cached_property
    def rules(self) -> dict[str, tuple[DecisionTable, HoldRule]]:
        """The rules by the name a hold keeps: `table/rule`."""
        return {f"{table.name}/{rule.name}": (table, rule) for table in self.tables for rule in table.rules}

    def asks(self, event: str, room: str) -> bool:
        """Tell whether a table that is asked on this event looks at `customer` or `item`."""
        return bool(self.tables) and (event, room) in self._asked

    @cached_property
    def _asked(self) -> frozenset[tuple[str, str]]:
        return frozenset(
            (table.on, condition.field.partition(".")[0])
            for table in self.tables
            for rule in table.rules
            for condition in rule.when
        )

    def faults(self, known: Known) -> list[Fault]:
        """Return what is wrong: types that are lost, clash or let a rule release them, tables that cannot be read."""
        found = [
            Fault("types", shipped.name, f"the shipped type {shipped.name!r} cannot be removed")
            for shipped in TYPES
            if shipped.name not in self.by_name
        ]
        if len(self.by_name) < len(self.types):
            found.append(Fault("types", "", "two types have one name"))
        if len({table.name for table in self.tables}) < len(self.tables):
            found.append(Fault("tables", "", "two tables have one name"))
        for at, kind in enumerate(self.types):
            found += _type_faults(kind, f"types[{at}]")
        for at, table in enumerate(self.tables):
            found += self._table_faults(table, f"tables[{at}]")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            found.append(Fault("timezone", self.timezone, "there is no such zone; name one like Europe/Berlin"))
        return found

    def _table_faults(self, table: DecisionTable, where: str) -> list[Fault]:
        found = _name_faults(table.name, f"{where}.name") + _name_faults(table.on, f"{where}.on")
        if table.on in OWN_EVENTS:
            what = f"tables are asked on {PLACED!r} and on a workflow's own events; {table.on!r} is reported by Trueup"
            found.append(Fault(f"{where}.on", table.on, what))
        if len({rule.name for rule in table.rules}) < len(table.rules):
            found.append(Fault(f"{where}.rules", "", "two rules have one name"))
        for at, rule in enumerate(table.rules):
            place = f"{where}.rules[{at}]"
            found += _name_faults(rule.name, f"{place}.name")
            if rule.hold not in self.by_name:
                found.append(Fault(f"{place}.hold", rule.hold, f"there is no type {rule.hold!r}"))
            found += condition_faults(rule.when, f"{place}.when")
            if rule.on == "lines" and not any(c.field.startswith("item.") for c in rule.when):
                found.append(Fault(f"{place}.on", rule.on, "name the lines by at least one condition on item.*"))
        return found


def _type_faults(kind: HoldType, where: str) -> list[Fault]:
    found = _name_faults(kind.name, f"{where}.name")
    for at, event in enumerate(kind.blocks):
        found += _name_faults(event, f"{where}.blocks[{at}]")
    if kind.releasable_by_rule and kind.name in ONLY_PEOPLE:
        what = f"a {kind.name} hold is never released by a rule"
        found.append(Fault(f"{where}.releasable_by_rule", "true", what))
    return found


def _name_faults(name: str, where: str) -> list[Fault]:
    if _NAME.fullmatch(name):
        return []
    return [Fault(where, name, "a name has small letters, digits and underscores, and begins with a letter")]


def rules_of(policies: Policies, channel: str) -> HoldRules:
    """Return the rules in force for orders of a channel: its own document, or the default."""
    return policies.find(HoldRules, channel) or policies.get(HoldRules)


def hold_events(
    state: State, context: Context, order: Captured, lines: Sequence[Line], on: str = PLACED
) -> list[HoldPlaced]:
    """Return the holds that the tables of an event place on an order; none where no table is asked.

    The verb must have asked for what tables look at (`wants_customer`, `then_wants_rules`) before loading.
    """
    rules = rules_of(context.policies, order.channel)
    if not rules.tables or not any(table.on == on for table in rules.tables):
        return []
    facts = facts_of(state, order, lines, rules, on)
    found: list[HoldPlaced] = []
    for table in rules.tables:
        for rule in table.rules if table.on == on else ():
            matched = matching(rule, facts)
            if matched is None:
                continue
            kind, name = rules.by_name[rule.hold], f"{table.name}/{rule.name}"
            for line in matched if rule.on == "lines" else (None,):
                found.append(placing(context, kind, order.id, rule.reason, line, name))
            if table.hit == "first":
                break
    return found


def placing(
    context: Context, kind: HoldType, order: str, reason: str, line: int | None = None, rule: str | None = None
) -> HoldPlaced:
    """Return the placing of a hold of this type; what it blocks and when it is due is settled here, and kept."""
    hours = kind.case_after_hours
    hold = Hold(
        id=context.new_id("hld"),
        order=order,
        line=line,
        type=kind.name,
        reason=reason,
        rule=rule,
        blocks=kind.blocks,
        by_rule=kind.releasable_by_rule and kind.name not in ONLY_PEOPLE,
        placed_at=context.now,
        placed_by=context.actor.id,
        due_at=None if hours is None else context.now + timedelta(hours=hours),
    )
    return HoldPlaced(hold=hold)


_LATER = "later"


def facts_of(state: State, order: Captured, lines: Sequence[Line], rules: HoldRules, on: str) -> Facts:
    """Return what conditions may ask of an order, of what is loaded; the order itself is none of the earlier ones."""
    customer = state.of(Holds).customers.get(order.customer or "")
    goods = [(line, item) for line in lines if line.item and (item := state.of(Catalogue).item_of(line.item))]
    return Facts(
        order=order,
        goods=tuple(line for line in lines if line.kind != "charge" and line.parent is None),
        lines=tuple(LineFacts(line.line, line.quantity, line.amount, item) for line, item in goods),
        zone=rules.zone,
        customer_orders=0 if customer is None else max(0, customer.orders - (on != PLACED)),
        customer_country=None if customer is None else customer.country,
    )


def matching(rule: HoldRule, facts: Facts) -> list[int] | None:
    """Return the lines that a rule matches, none where it looks at no line; None where it does not match."""
    of_order, of_line = rule.tests
    for test in of_order:
        if not test(facts):
            return None
    if not of_line:
        return []
    lines = facts.lines
    for test in of_line:
        lines = tuple([line for line in lines if test(line)])
    return [line.number for line in lines] or None


def stands(state: State, row: OrderRow, hold: Hold, policies: Policies) -> bool:
    """Tell whether the rule that placed a hold would place it still; False where nobody knows the rule any more."""
    rules = rules_of(policies, row.captured.channel)
    table, rule = rules.rules.get(hold.rule or "", (None, None))
    if table is None or rule is None:
        return False
    matched = matching(rule, facts_of(state, row.captured, row.lines, rules, _LATER))
    return matched is not None and (hold.line is None or hold.line in matched)


def blocking(
    state: State, row: OrderRow, event: str, context: Context, lines: Collection[int] | None = None
) -> tuple[Hold, ...]:
    """Return the open holds that stop this event of an order, or of these lines of it; None is the whole order.

    A hold on a kit's line stops its parts, and one on the order stops every line. One that an override lets pass stops
    nothing, unless only certain roles may release it: who decides a hold is not lent. The verb must have asked for the
    order's holds.
    """
    if not row.holds:
        return ()
    found = state.of(Holds).open_on(row.captured.id)
    assert len(found) == row.holds, f"the verb did not ask for the holds of {row.captured.id}"
    stopping = (hold for hold in found if event in hold.blocks and _concerns(hold, row, lines))
    return tuple(hold for hold in stopping if not _lent(row, hold, context))


HELD, DECIDED_BY_ROLE = "orders.held", "orders.held_by_role"


def _rule_of(row: OrderRow, hold: Hold, policies: Policies) -> str:
    return DECIDED_BY_ROLE if releasers(row, hold, policies) else HELD


def _lent(row: OrderRow, hold: Hold, context: Context) -> bool:
    return context.excuses(HELD, named(hold)) and _rule_of(row, hold, context.policies) == HELD


def named(hold: Hold) -> str:
    """Return what an override of `orders.held` is about: `ord_...#fraud`, of which it may name either part."""
    return f"{hold.order}#{hold.type}"


def _concerns(hold: Hold, row: OrderRow, lines: Collection[int] | None) -> bool:
    if hold.line is None or lines is None or hold.line in lines:
        return True
    return any(line.parent == hold.line and line.line in lines for line in row.lines)


def held_refusal(row: OrderRow, holds: Sequence[Hold], policies: Policies) -> Refusal:
    """Return the refusal of what these holds of an order stop, naming each of them and who may release it."""
    first = holds[0]
    may = [_who_may(row, hold, policies) for hold in holds]
    details = [
        RefusalDetail(hold.id, hold.type, f"{_where(hold)}: {hold.reason}; released by {roles}")
        for hold, roles in zip(holds, may, strict=True)
    ]
    more = f", and {len(holds) - 1} more" if len(holds) > 1 else ""
    return Refusal(
        _rule_of(row, first, policies),
        f"A {first.type} hold on {_where(first)} stops this: {first.reason}{more}.",
        f"Settle what it is about; then it is released by {may[0]}.",
        "order",
        named(first),
        tuple(details),
    )


def _where(hold: Hold) -> str:
    return "the order" if hold.line is None else f"line {hold.line}"


def _who_may(row: OrderRow, hold: Hold, policies: Policies) -> str:
    roles = releasers(row, hold, policies)
    if not roles:
        roles = tuple(roles_that_may(policies.get(Rights), "orders.release_hold"))
    return ", ".join(roles) or "nobody: no role has the right orders.release_hold"


def releasers(row: OrderRow, hold: Hold, policies: Policies) -> tuple[str, ...]:
    """Return the roles that alone may release a hold, by the rules in force; empty is everybody with the right."""
    kind = rules_of(policies, row.captured.channel).by_name.get(hold.type)
    return kind.release_roles if kind else ()


def wants_customer(state: State, policies: Policies, channel: str, source: str, number: str | None) -> None:
    """Ask for what tables look at of the customer of an order that is being placed."""
    if number and rules_of(policies, channel).asks(PLACED, "customer"):
        state.of(Holds).want_customer(source, number)


def then_wants_rules(state: State, row: OrderRow, policies: Policies, on: str | None = None) -> None:
    """Ask for what tables look at of an order that is loaded: those of an event, or without one, all of them."""
    rules = rules_of(policies, row.captured.channel)
    events = {table.on for table in rules.tables} if on is None else {on}
    if row.captured.customer and any(rules.asks(event, "customer") for event in events):
        state.of(Holds).want_customer_id(row.captured.customer)
    if any(rules.asks(event, "item") for event in events):
        for line in row.lines:
            if line.item is not None:
                state.of(Catalogue).want_item_id(line.item)
