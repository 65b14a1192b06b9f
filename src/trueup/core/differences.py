"""What differs between two plain documents, path by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


class Difference(msgspec.Struct, frozen=True):
    """One place in which two documents differ. before, after: None where the place is missing there."""

    where: str
    before: Any
    after: Any


def differences(before: Any, after: Any, where: str = "") -> Iterator[Difference]:
    """Yield the places in which two plain values differ, the deepest that tell it.

    Rows of a list that carry a name are compared by name, so that an inserted row is one difference.
    """
    if before == after:
        return
    left, right = _parts(before), _parts(after)
    if left is None or right is None:
        yield Difference(where, before, after)
        return
    for name in dict.fromkeys((*left, *right)):
        path = f"{where}{name}" if name.startswith("[") else f"{where}.{name}".lstrip(".")
        if name not in left or name not in right:
            yield Difference(path, left.get(name), right.get(name))
        else:
            yield from differences(left[name], right[name], path)


def _parts(value: Any) -> dict[str, Any] | None:
    """Return the parts of an object or list by name; None for what has none."""
    if isinstance(value, dict):
        return {str(name): part for name, part in value.items()}
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(part, dict) and isinstance(part.get("name"), str) for part in value):
        named = {f"[{part['name']}]": part for part in value}
        if len(named) == len(value):
            return named
    return {f"[{at}]": part for at, part in enumerate(value)}
