"""What a struct takes, in words: its fields with type, default and meaning, the structs within, and an example."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from trueup.core import json
from trueup.core.money import Amount
from trueup.core.quantity import Quantity

_CUSTOM: dict[Any, str] = {Amount: 'amount, as in "12.50"', Quantity: 'quantity, as in 2 or "2.5"'}
# What an example says of a field whose name tells more than its type.
_SAMPLES = {
    "sku": "TSHIRT", "skus": ["TSHIRT"], "location": "NYC", "from_location": "NYC", "to_location": "BOS",
    "order": "ord_0190a1b2c3d4", "currency": "EUR", "channel": "web", "email": "paula@example.com", "digest": "0" * 64,
    "roles": ["Order Agent"], "reference": "r1", "reason": "broken", "country": "US", "ship_country": "US",
    "change": -1, "unit_price": "12.50", "cost": "7.20", "price_per_hour": "4", "policy_kind": "holds",
    "policy_name": "default", "cutoff": "14:00", "timezone": "America/New_York", "due": "2026-03-02",
}  # fmt: skip


class Field(msgspec.Struct, frozen=True):
    """One field. default: as JSON; None where it must be given, empty where leaving it out changes nothing."""

    name: str
    takes: str
    meaning: str
    default: str | None


class Described(msgspec.Struct, frozen=True):
    """A struct: what it is in general, and its fields, the required ones first. within: the structs they hold."""

    name: str
    about: str
    fields: tuple[Field, ...]
    within: tuple[Described, ...] = ()


def describe(kind: type[msgspec.Struct]) -> Described:
    """Return what a struct takes, with every struct within it, each once."""
    waiting = [kind]
    seen: list[type[msgspec.Struct]] = []
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            seen.append(current)
            waiting += [inner for field in _fields_of(current) for inner in _structs_in(field.type)]
    first, *within = (_alone(found) for found in seen)
    return msgspec.structs.replace(first, within=tuple(within))


def example(kind: type[msgspec.Struct]) -> list[str]:
    """Return `name=value` for every required field, as one writes it in a shell."""
    pairs = []
    for field in _fields_of(kind):
        if field.required:
            value = _sample(field.encode_name, field.type)
            text = value if isinstance(value, str) else json.encode(value).decode()
            pairs.append(shlex.quote(f"{field.encode_name}={text}"))
    return pairs


def _alone(kind: type[msgspec.Struct]) -> Described:
    about, meanings = _read_docstrings(kind)
    fields = [
        Field(field.encode_name, in_words(field.type), meanings.get(field.name, ""), _default(field))
        for field in _fields_of(kind)
    ]
    return Described(kind.__name__, about, tuple(sorted(fields, key=lambda field: field.default is not None)))


def _fields_of(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)
    return found.fields


def _default(field: inspect.Field) -> str | None:
    if field.required:
        return None
    if field.default is not msgspec.NODEFAULT:
        return json.encode(field.default).decode()
    # A field that keeps what there is when it is left out has neither.
    made = field.default_factory is not msgspec.NODEFAULT
    return json.encode(field.default_factory()).decode() if made else ""


def _read_docstrings(kind: type[msgspec.Struct]) -> tuple[str, dict[str, str]]:
    """Return what a struct's docstring says in general, and of each field, its ancestors' where it is silent."""
    names = sorted(kind.__struct_fields__, key=len, reverse=True)
    one = "|".join(names) or "$^"
    marker = re.compile(rf"(?:^|(?<=[.;] ))((?:{one})(?:, (?:{one}))*): ")
    abouts: list[str] = []
    meanings: dict[str, str] = {}
    for ancestor in kind.__mro__:
        if ancestor.__module__.startswith("trueup.core.verb") or ancestor is msgspec.Struct:
            break
        general: list[str] = []
        for paragraph in re.split(r"\n\s*\n", ancestor.__dict__.get("__doc__") or ""):
            before, *marked = marker.split(" ".join(paragraph.split()))
            general += [before.strip()] if before.strip() else []
            for said, meaning in zip(marked[::2], marked[1::2], strict=True):
                for name in said.split(", "):
                    meanings.setdefault(name, meaning.strip().rstrip(";."))
        abouts.append(" ".join(general))
    return next((about for about in abouts if about), ""), meanings


def in_words(kind: inspect.Type) -> str:
    """Return what a field takes, in words."""
    match kind:
        case inspect.Metadata(type=inner):
            return in_words(inner)
        case inspect.UnionType(types=types):
            return " or ".join(in_words(part) for part in types)
        case inspect.LiteralType(values=values):
            return " | ".join(str(value) for value in values)
        case inspect.EnumType(cls=cls):
            return " | ".join(str(member.value) for member in cls)
        case inspect.StructType(cls=cls):
            return cls.__name__
        case inspect.CustomType(cls=cls):
            return _CUSTOM[cls]
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item) | inspect.SetType(item_type=item):
            return f"list of {in_words(item)}{_bounds(kind.min_length, kind.max_length)}"
        case inspect.FrozenSetType(item_type=item):
            return f"list of {in_words(item)}{_bounds(kind.min_length, kind.max_length)}"
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(in_words(item) for item in items)}]"
        case inspect.DictType(value_type=value):
            return f"object of {in_words(value)}"
        case inspect.StrType(min_length=low, max_length=high):
            return f"text{_bounds(low, high, 'characters')}"
        case inspect.IntType(ge=low, le=high):
            return f"whole number{_bounds(low, high)}"
        case inspect.FloatType(ge=low, le=high):
            return f"number{_bounds(low, high)}"
    return _PLAIN.get(type(kind), "any JSON")


_PLAIN: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true | false",
    inspect.NoneType: "null",
    inspect.DateTimeType: "time, as in 2026-03-02T10:00:00Z",
    inspect.DateType: "day, as in 2026-03-02",
    inspect.DecimalType: "number",
}


def _bounds(low: float | None, high: float | None, of: str = "") -> str:
    if low is None and high is None:
        return ""
    return f" ({' '.join(part for part in (_range(low, high), of) if part)})"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at least {low}" if high is None else f"at most {high}"
    return f"{low} to {high}"


def _structs_in(kind: inspect.Type) -> Iterator[type[msgspec.Struct]]:
    match kind:
        case inspect.StructType(cls=cls):
            yield cls
        case inspect.Metadata(type=inner):
            yield from _structs_in(inner)
        case inspect.UnionType(types=parts) | inspect.TupleType(item_types=parts):
            for part in parts:
                yield from _structs_in(part)
        case inspect.DictType(value_type=inner):
            yield from _structs_in(inner)
        case inspect.VarTupleType(item_type=inner) | inspect.ListType(item_type=inner):
            yield from _structs_in(inner)


def _sample(name: str, kind: inspect.Type) -> Any:
    match kind:
        case inspect.Metadata(type=inner):
            return _sample(name, inner)
        case inspect.UnionType(types=types):
            return _sample(name, next(part for part in types if not isinstance(part, inspect.NoneType)))
        case inspect.LiteralType(values=values):
            return values[0]
        case _ if name in _SAMPLES:
            return _SAMPLES[name]
        case inspect.StructType(cls=cls):
            return {
                field.encode_name: _sample(field.encode_name, field.type) for field in _fields_of(cls) if field.required
            }
        case inspect.CustomType(cls=cls):
            return 2 if cls is Quantity else "12.50"
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [_sample(name, item)]
        case inspect.IntType(ge=low):
            return max(int(low or 0), 1)
        case inspect.StrType():
            return name
        case inspect.DateTimeType():
            return "2026-03-02T10:00:00Z"
    return _OTHER_SAMPLES.get(type(kind), {})


_OTHER_SAMPLES: dict[type[inspect.Type], Any] = {inspect.BoolType: True, inspect.DateType: "2026-03-02"}
