"""Arrays as PostgreSQL reads them from text: one pass of C-speed joins instead of a call per element.

A batch sends some thirty columns of up to thousands of values; the driver's own list dumper took half of the server's
CPU (docs/promises.md). Every parameter written this way must be cast in its statement: `%s::text[]`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any


def literal(values: list[Any]) -> str:
    """Write a one-dimensional array of text, bool, int, Decimal, bytes or times with a zone; None becomes NULL.

    All elements but None are of one kind. Raises TypeError for a kind that no column of ours holds.
    """
    kinds = set(map(type, values))
    has_none = type(None) in kinds
    kinds.discard(type(None))
    if not kinds:
        return "{" + ",".join(["NULL"] * len(values)) + "}"
    if len(kinds) > 1:
        kinds = {_common(kinds)}
    write = _WRITERS.get(kinds.pop())
    if write is None:
        raise TypeError(f"no array is written of {type(next(v for v in values if v is not None)).__name__}")
    if has_none:
        parts = iter(write([value for value in values if value is not None]))
        return "{" + ",".join(["NULL" if value is None else next(parts) for value in values]) + "}"
    return "{" + ",".join(write(values)) + "}"


def _common(kinds: set[type]) -> type:
    """Subclasses (a Quantity among Decimals) are written as what they are."""
    for kind in _WRITERS:
        if all(issubclass(found, kind) for found in kinds):
            return kind
    raise TypeError(f"an array holds one kind of value, not {sorted(kind.__name__ for kind in kinds)}")


def _texts(values: list[str]) -> list[str]:
    joined = "".join(values)
    if '"' in joined or "\\" in joined:
        values = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return [f'"{value}"' for value in values]


def _bytes(values: list[bytes]) -> list[str]:
    return [f'"\\\\x{value.hex()}"' for value in values]


def _times(values: list[datetime]) -> list[str]:
    """Rows of one event share its time: it is written once."""
    written: dict[int, str] = {}
    return [written.get(id(value)) or written.setdefault(id(value), f'"{value.isoformat()}"') for value in values]


_WRITERS: dict[type, Callable[[list[Any]], list[str]]] = {
    str: _texts,
    bool: lambda values: ["t" if value else "f" for value in values],
    int: lambda values: list(map(str, values)),
    Decimal: lambda values: list(map(str, values)),
    datetime: _times,
    bytes: _bytes,
}
