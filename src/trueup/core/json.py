"""JSON in and out: unknown fields are refused, money is a string, quantities are never floats."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from trueup.core.money import Amount
from trueup.core.quantity import Quantity

T = TypeVar("T")


def _decode_extended(kind: type, value: Any) -> Any:
    if kind is Amount or kind is Quantity:
        return kind.parse(value)
    raise NotImplementedError(f"no rule to read {kind.__name__} from JSON")


def _encode_extended(value: Any) -> Any:
    if isinstance(value, Amount | Quantity):
        return format(value, "f")
    raise NotImplementedError(f"no rule to write {type(value).__name__} as JSON")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode_extended, decimal_format="string")


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast(Any, kind), dec_hook=_decode_extended)


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return what `decode` reads a struct by, for who reads many of one kind."""
    return _decoder(cast(Hashable, kind))


def encode(value: Any) -> bytes:
    """Write a struct as JSON; field order is the struct's, so equal values give equal bytes."""
    return _ENCODER.encode(value)


def decode(body: bytes | str, kind: type[T]) -> T:
    """Read a struct. Raises msgspec.ValidationError naming the path, such as `$.lines[2].unit_price`."""
    result: T = _decoder(cast(Hashable, kind)).decode(body)
    return result


def convert(value: Any, kind: type[T]) -> T:
    """Make a struct of plain Python values, by the same rules as `decode`."""
    return msgspec.convert(value, kind, dec_hook=_decode_extended, builtin_types=(datetime,), str_keys=True)


def from_plain(value: Any, kind: type[T]) -> T:
    """Make a struct of what came as JSON and was read as plain values: times are text there."""
    return decode(encode(value), kind)


def to_plain(value: Any) -> Any:
    """Turn structs into dicts, lists and strings."""
    return msgspec.to_builtins(value, enc_hook=_encode_extended)
