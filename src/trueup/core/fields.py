"""Custom fields: what a shop keeps about an item, a location, a customer or an order beyond what the product knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from trueup.core import json
from trueup.core.errors import Refusal, Refused
from trueup.core.policy import Policy
from trueup.core.quantity import plain

FieldType = Literal["text", "number", "date", "bool", "choice"]
Value: TypeAlias = str | bool
"""As it is kept: numbers as exact decimals in plain digits, dates as YYYY-MM-DD, both as text."""
Given: TypeAlias = dict[Annotated[str, msgspec.Meta(max_length=40)], str | bool | int]
"""As it comes from outside: whole numbers may be numbers, other numbers are strings, never floats."""

TEXT_MAX = 1000
_NAME = r"^[a-z][a-z0-9_]{0,39}$"
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class FieldRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One field. choices: what a `choice` may be. searchable: lists can be narrowed by it. label: for people."""

    name: Annotated[str, msgspec.Meta(pattern=_NAME)]
    type: FieldType = "text"
    choices: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=80)], ...] = ()
    required: bool = False
    searchable: bool = False
    label: Annotated[str, msgspec.Meta(max_length=80)] = ""

    def __post_init__(self) -> None:
        """Refuse choices where there are none to make, and a choice without any."""
        if bool(self.choices) != (self.type == "choice"):
            raise ValueError(f"field {self.name!r}: choices belong to a field of type choice, and it needs some")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"field {self.name!r}: a choice is named twice")


class CustomFields(Policy, frozen=True, kw_only=True):
    """The custom fields of one entity; the document's name is the entity's."""

    kind: ClassVar[str] = "fields"
    names: ClassVar[tuple[str, ...]] = ("customer", "item", "location", "order", "partner")
    fields: Annotated[tuple[FieldRule, ...], msgspec.Meta(max_length=100)] = ()

    def __post_init__(self) -> None:
        """Refuse two fields of one name."""
        names = [rule.name for rule in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"field {twice[0]!r} is there twice")


NO_CUSTOM_FIELDS = CustomFields()
"""What holds until a document is published."""


def checked(
    rules: CustomFields, given: Mapping[str, str | bool | int], kept: Mapping[str, Value] | None = None
) -> dict[str, Value] | Refusal:
    """Return the values as they are kept, in the document's order, or why one of them may not stand.

    Refuses a name the document does not have, a value that is not of the field's type, and a required field left out.
    kept: what is on record; a value that is unchanged stays although its field has left the document.
    """
    by_name = {rule.name: rule for rule in rules.fields}
    kept = kept or {}
    values: dict[str, Value] = {}
    for name, value in given.items():
        if name in by_name:
            continue
        if name not in kept or kept[name] != value:
            there = ", ".join(by_name) or "none yet; publish a `fields` policy"
            return Refusal("fields.unknown", f"There is no field {name!r}.", f"Fields there are: {there}.",
                           f"fields.{name}", str(value)[:80])  # fmt: skip
        values[name] = kept[name]
    for rule in rules.fields:
        if rule.name in given:
            read = _read(rule, given[rule.name])
            if isinstance(read, Refusal):
                return read
            values[rule.name] = read
        elif rule.required:
            return Refusal("fields.required", f"The field {rule.name!r} is required.", f"Send {_wanted(rule)}.",
                           f"fields.{rule.name}")  # fmt: skip
    return values


def contained(rules: CustomFields, wanted: str) -> str:
    """Read a filter such as `colour:red` into what a column of custom fields must contain (`@>`), as JSON.

    Raises Refused for a field that lists cannot be narrowed by, and for a value that is not of its type.
    """
    name, colon, text = wanted.partition(":")
    rule = next((rule for rule in rules.fields if rule.name == name and rule.searchable), None)
    if rule is None or not colon:
        there = ", ".join(rule.name for rule in rules.fields if rule.searchable) or "none"
        raise Refused(
            Refusal("read.field", f"Lists cannot be narrowed by {wanted[:80]!r}.",
                    f"Use field=name:value with a searchable field: {there}.", "field", wanted[:80])
        )  # fmt: skip
    value = _read(rule, {"true": True, "false": False}.get(text, text) if rule.type == "bool" else text)
    if isinstance(value, Refusal):
        raise Refused(msgspec.structs.replace(value, rule="read.field", where="field"))
    return json.encode({name: value}).decode()


def _read(rule: FieldRule, value: str | bool | int) -> Value | Refusal:
    if rule.type == "bool":
        return value if isinstance(value, bool) else _wrong(rule, value)
    if isinstance(value, bool):
        return _wrong(rule, value)
    text = str(value)
    if rule.type == "number":
        return plain(Decimal(text)) if _NUMBER.fullmatch(text) else _wrong(rule, text)
    if isinstance(value, int):
        return _wrong(rule, value)
    if rule.type == "date":
        return text if _is_date(text) else _wrong(rule, text)
    if rule.type == "choice":
        return text if text in rule.choices else _wrong(rule, text)
    return text if text.strip() and len(text) <= TEXT_MAX else _wrong(rule, text)


def _is_date(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _wanted(rule: FieldRule) -> str:
    return {
        "text": f"a text of 1 to {TEXT_MAX} characters",
        "number": 'a whole number or a string such as "2.5"',
        "date": "a date as YYYY-MM-DD",
        "bool": "true or false",
        "choice": f"one of: {', '.join(rule.choices)}",
    }[rule.type]


def _wrong(rule: FieldRule, value: object) -> Refusal:
    return Refusal("fields.value", f"{str(value)[:80]!r} is no value for the field {rule.name!r}.",
                   f"Send {_wanted(rule)}.", f"fields.{rule.name}", str(value)[:80])  # fmt: skip
