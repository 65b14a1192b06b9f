"""Data contracts over our own master data: what each field must hold, and what happens while it does not.

A contract is a policy document. Its rules are typed structures, not queries: whoever may write a contract may not
read or write anything by it. Import and export as ODCS are in `contract_odcs.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from trueup.catalogue.partner_state import Partner
from trueup.catalogue.state import Item, Location
from trueup.core.policy import Fault, Known, Policies, Policy

EntityName = Literal["item", "location", "partner"]
Containment = Literal["none", "quarantine_item", "not_for_parcel", "quarantine_location"]
"""What may apply itself. Each is undone by itself or by one command, moves no money and cancels nothing."""
CONTAINS: dict[Containment, tuple[EntityName, str]] = {
    "quarantine_item": ("item", "nothing more of the item is allocated"),
    "not_for_parcel": ("item", "nothing more of the item is allocated to a parcel; who picks it up gets it"),
    "quarantine_location": ("location", "nothing more is allocated at the location, nor reserved there by hand"),
}
"""What each containment is about, and what it does."""
FieldType = Literal["string", "number", "integer", "boolean", "array", "object", "date", "timestamp", "time"]
CheckKind = Literal["required", "unique", "pattern", "range", "one_of", "fresh"]

ROWS: dict[EntityName, type[msgspec.Struct]] = {"item": Item, "location": Location, "partner": Partner}
UNIQUE_FIELDS: dict[EntityName, tuple[str, ...]] = {
    "item": ("gtin", "name"),
    "location": ("name",),
    "partner": ("gln", "name"),
}
PATTERN_LENGTH_MAX = 200
VALUE_LENGTH_MAX = 200
RULES_MAX = 500

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
Severity = Annotated[int, msgspec.Meta(ge=1, le=4)]
Hours = Annotated[int, msgspec.Meta(ge=1, le=8760)]


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows a rule looks at: those whose field holds one of the values."""

    field: Name
    values: tuple[str, ...]


class RowCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a row must fulfil. kind: `required` has a value; `unique` no other row has it; `pattern` matches whole;
    `range` lies from minimum to maximum; `one_of` is one of the values; `fresh` was written in the last `hours`.

    field: of the entity, `fields.NAME` for a custom one; None only for `fresh`. when: rows it looks at; None is all.
    An empty value is the matter of `required` alone.
    """

    kind: CheckKind
    field: Name | None = None
    pattern: Annotated[str, msgspec.Meta(max_length=PATTERN_LENGTH_MAX)] | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    values: tuple[str, ...] = ()
    hours: Hours | None = None
    when: When | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quality rule. check: None where it was written for another engine: it is kept and shown, and not run here.

    severity, containment: of this rule; None is the contract's. rest: what else its ODCS entry says. named: whether
    that entry has a name; where not, the rule is called by its place.
    """

    name: Name
    named: bool = True
    check: RowCheck | None = None
    severity: Severity | None = None
    containment: Containment | None = None
    rest: dict[str, Any] = {}


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One field of an entity, and what it must hold; each demand is a rule named `field.demand`."""

    name: Name
    type: FieldType | None = None
    required: bool = False
    unique: bool = False
    pattern: Annotated[str, msgspec.Meta(max_length=PATTERN_LENGTH_MAX)] | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    rules: tuple[Rule, ...] = ()
    rest: dict[str, Any] = {}


class Entity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of our master data under the contract, by its `name`; another's is kept and shown, and not run here."""

    name: Name
    fields: tuple[Field, ...] = ()
    rules: tuple[Rule, ...] = ()
    rest: dict[str, Any] = {}


class Contract(Policy, frozen=True, kw_only=True):
    """What master data must hold, who answers for it, and what happens while it does not.

    id: that partners know it by. owner_role: whose case a breach is. initiate_hours: until corrective measures must be
    initiated. severity, containment: of rules that name none. rest: what else its ODCS document says.
    """

    kind: ClassVar[str] = "contract"
    unreplayed: ClassVar[str] = "a breach is found in master data, which is taken as it was recorded"
    id: str = ""
    version: str = "1.0.0"
    status: str = "active"
    owner_role: Name = "Master Data Owner"
    initiate_hours: Hours = 24
    severity: Severity = 3
    containment: Containment = "none"
    entities: tuple[Entity, ...] = ()
    rest: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def in_force(self) -> bool:
        """Whether its rules are run: a draft's are not, nor those of one that was retired."""
        return self.status in ("active", "deprecated")

    def faults(self, known: Known) -> list[Fault]:
        """Return what cannot be run: unknown fields, patterns that are none, bands without bounds, names used twice."""
        found = [
            fault for at, entity in enumerate(self.entities) for fault in _entity_faults(entity, f"entities[{at}]")
        ]
        rules = list(rules_of(self))
        if len(rules) > RULES_MAX:
            found.append(Fault("entities", str(len(rules)), f"at most {RULES_MAX} rules"))
        names = [rule.name for rule in rules]
        found += [
            Fault("entities", name, f"two rules are called {name!r}; a breach is counted by the rule's name")
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
        if rules and self.containment != "none" and not any(_fits(self.containment, rule.entity) for rule in rules):
            found.append(_unfit(self.containment, "containment"))
        return found


class Running(msgspec.Struct, frozen=True):
    """One rule as it is run: on which entity, and under which terms."""

    name: str
    entity: EntityName
    check: RowCheck
    severity: int
    containment: Containment


def entity_called(name: str) -> EntityName | None:
    """Return the kind of our master data of this name; None where another's is meant."""
    return next((entity for entity in ROWS if entity == name), None)


def rules_of(contract: Contract) -> Iterator[Running]:
    """Yield every rule that is run here: what fields demand, then the rules written out."""
    for entity in contract.entities:
        name = entity_called(entity.name)
        if name is None:
            continue
        for field in entity.fields:
            for check in _demands(field):
                yield _running(contract, name, Rule(name=f"{field.name}.{check.kind}", check=check))
            yield from (_running(contract, name, rule) for rule in field.rules if rule.check is not None)
        yield from (_running(contract, name, rule) for rule in entity.rules if rule.check is not None)


def _running(contract: Contract, entity: EntityName, rule: Rule) -> Running:
    assert rule.check is not None
    containment = rule.containment or contract.containment
    if rule.containment is None and not _fits(containment, entity):
        containment = "none"
    return Running(rule.name, entity, rule.check, rule.severity or contract.severity, containment)


def _fits(containment: Containment, entity: str) -> bool:
    return containment == "none" or CONTAINS[containment][0] == entity


def _unfit(containment: Containment, where: str) -> Fault:
    about, what = CONTAINS[containment]
    return Fault(where, containment, f"it is for a rule about each {about}: {what}")


def _demands(field: Field) -> Iterator[RowCheck]:
    if field.required:
        yield RowCheck(kind="required", field=field.name)
    if field.unique:
        yield RowCheck(kind="unique", field=field.name)
    if field.pattern is not None:
        yield RowCheck(kind="pattern", field=field.name, pattern=field.pattern)
    if field.minimum is not None or field.maximum is not None:
        yield RowCheck(kind="range", field=field.name, minimum=field.minimum, maximum=field.maximum)


def contracts_on(policies: Policies, entity: EntityName) -> dict[str, Contract]:
    """Return the contracts in force that run a rule on an entity, by name."""
    return {
        name: contract
        for name, contract in sorted(policies.all(Contract).items())
        if contract.in_force and any(rule.entity == entity for rule in rules_of(contract))
    }


class Row(msgspec.Struct, frozen=True):
    """One row under a rule. written_at: when it last changed; twins: its fields whose value another row has, too."""

    entity: EntityName
    id: str
    key: str
    value: Item | Location | Partner
    written_at: datetime | None = None
    twins: frozenset[str] = frozenset()


def fault_of(check: RowCheck, row: Row, now: datetime) -> str | None:
    """Return what of a row breaks the check, in words with the value, or None where it passes or is not looked at.

    The same function decides that a rule fires and that it passes again.
    """
    if check.when is not None and _text(value_of(row, check.when.field)) not in check.when.values:
        return None
    if check.kind == "fresh":
        return _stale(check, row, now)
    assert check.field is not None
    value = value_of(row, check.field)
    if value is None or value in ("", (), {}):
        return f"{check.field} is empty" if check.kind == "required" else None
    shown = f"{check.field} is {_text(value)[:VALUE_LENGTH_MAX]!r}"
    if check.kind == "unique":
        return f"{shown}, as another {row.entity} has it" if check.field in row.twins else None
    if check.kind == "pattern":
        return None if re.fullmatch(check.pattern or "", _text(value)) else f"{shown}, which is no {check.pattern}"
    if check.kind == "one_of":
        return None if _text(value) in check.values else f"{shown}, not one of {', '.join(check.values)}"
    return _out_of_range(check, value, shown) if check.kind == "range" else None


def in_words(check: RowCheck) -> str:
    """Return what a check asks for, as people read it."""
    asked = {
        "required": f"{check.field} has a value",
        "unique": f"{check.field} is no other row's",
        "pattern": f"{check.field} matches {check.pattern}",
        "one_of": f"{check.field} is one of {', '.join(check.values)}",
        "fresh": f"written in the last {check.hours} h",
    }.get(check.kind, "")
    if check.kind == "range":
        least, most = check.minimum, check.maximum
        asked = f"{check.field} is " + " and ".join(
            part for part in (f"{least:f} or more" if least is not None else "",
                              f"{most:f} or less" if most is not None else "") if part
        )  # fmt: skip
    return f"{asked}, where {check.when.field} is {' or '.join(check.when.values)}" if check.when is not None else asked


def _stale(check: RowCheck, row: Row, now: datetime) -> str | None:
    assert check.hours is not None
    if row.written_at is None or now - row.written_at <= timedelta(hours=check.hours):
        return None
    return f"last written {row.written_at:%Y-%m-%d %H:%M} UTC, more than {check.hours} h ago"


def _out_of_range(check: RowCheck, value: Any, shown: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return f"{shown}, which is no number"
    if check.minimum is not None and value < check.minimum:
        return f"{shown}, below {check.minimum:f}"
    if check.maximum is not None and value > check.maximum:
        return f"{shown}, above {check.maximum:f}"
    return None


def value_of(row: Row, field: str) -> Any:
    """Return what a row holds in a field, a custom one by `fields.NAME`; None where it holds nothing."""
    own, _, custom = field.partition(".")
    return row.value.fields.get(custom) if custom and own == "fields" else getattr(row.value, field, None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _entity_faults(entity: Entity, where: str) -> Iterator[Fault]:
    name = entity_called(entity.name)
    if name is None:
        return
    for at, field in enumerate(entity.fields):
        for check in _demands(field):
            yield from _check_faults(check, name, f"{where}.fields[{at}]")
        for number, rule in enumerate(field.rules):
            yield from _rule_faults(rule, name, f"{where}.fields[{at}].rules[{number}]")
    for number, rule in enumerate(entity.rules):
        yield from _rule_faults(rule, name, f"{where}.rules[{number}]")


def _rule_faults(rule: Rule, entity: EntityName, where: str) -> Iterator[Fault]:
    yield from _check_faults(rule.check, entity, where)
    if rule.containment is not None and not _fits(rule.containment, entity):
        yield _unfit(rule.containment, f"{where}.containment")


def _check_faults(check: RowCheck | None, entity: EntityName, where: str) -> Iterator[Fault]:
    if check is None:
        return
    if check.kind == "fresh":
        if check.hours is None:
            yield Fault(f"{where}.hours", "", "fresh needs the hours")
    elif check.field is None or not _is_field(entity, check.field):
        yield Fault(
            f"{where}.field", check.field or "", f"a field of {entity}: {', '.join(_fields(entity))}, fields.NAME"
        )
    if check.when is not None and not _is_field(entity, check.when.field):
        yield Fault(f"{where}.when.field", check.when.field, f"a field of {entity}")
    if check.kind == "unique" and check.field not in UNIQUE_FIELDS[entity]:
        yield Fault(f"{where}.field", check.field or "", f"unique is run on {', '.join(UNIQUE_FIELDS[entity])}")
    if check.kind == "one_of" and not check.values:
        yield Fault(f"{where}.values", "", "one_of needs the values")
    if check.kind == "range" and check.minimum is None and check.maximum is None:
        yield Fault(f"{where}.minimum", "", "range needs a minimum, a maximum, or both")
    if check.kind == "pattern":
        yield from _pattern_faults(check.pattern, where)


_NESTED = re.compile(r"[*+}]\)*[*+{]|\([^)]*[*+|}][^)]*\)[*+{]|\\[1-9]|\(\?")


def _pattern_faults(pattern: str | None, where: str) -> Iterator[Fault]:
    """Refuse what is no expression, and what can take for ever: a repetition of a repetition, and look-arounds."""
    if not pattern:
        yield Fault(f"{where}.pattern", "", "pattern needs the expression")
        return
    try:
        re.compile(pattern)
    except re.error as error:
        yield Fault(f"{where}.pattern", pattern, f"a regular expression: {error}")
        return
    if _NESTED.search(pattern):
        yield Fault(
            f"{where}.pattern", pattern, "no repeated repetition, back reference or look-around, which may not end"
        )


def _is_field(entity: EntityName, field: str) -> bool:
    return field in ROWS[entity].__struct_fields__ or field.startswith("fields.")


def _fields(entity: EntityName) -> Sequence[str]:
    return ROWS[entity].__struct_fields__
