"""Levels of packing: what a case or a pallet holds, down to the base unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext

import msgspec

EACH = "each"
"""The base unit of every item."""


class Pack(msgspec.Struct, frozen=True):
    """What one unit of measure holds: so many of a smaller one (`each` is the base), under a GTIN of its own."""

    contains: str
    count: Decimal
    gtin: str | None = None


def base_units(packs: Mapping[str, Pack], name: str) -> Decimal | None:
    """Return how many base units one `name` holds by what its levels contain; None where they lead nowhere."""
    with localcontext() as exact:
        exact.prec = 60
        units = Decimal(1)
        for pack in _inside(packs, name):
            if pack is None:
                return None
            units *= pack.count
        return units


def _inside(packs: Mapping[str, Pack], name: str) -> Iterator[Pack | None]:
    """Walk from a level down to the base; yields None where a level is not described or contains itself."""
    seen: set[str] = set()
    while name != EACH:
        pack = packs.get(name)
        if pack is None or name in seen:
            yield None
            return
        seen.add(name)
        yield pack
        name = pack.contains
