"""The shapes in which fields of master data are sent: by registration and by amendment alike."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.catalogue.state import Pack
from trueup.catalogue.units import EACH
from trueup.core.quantity import Quantity
from trueup.core.verb import Body

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern=r"^\S(.*\S)?$")]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^\S(.*\S)?$")]
Unit = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^\S(.*\S)?$")]
Days = Annotated[int, msgspec.Meta(ge=0, le=3650)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=5_256_000)]
PerDay = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Mark = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Marks = Annotated[tuple[Mark, ...], msgspec.Meta(max_length=50)]
Because = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class GivenPack(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one unit of measure holds: `count` of `contains`, above zero. gtin: that of this level of packing."""

    count: Quantity
    contains: Unit = EACH
    gtin: str | None = None


Packs = Annotated[dict[Unit, GivenPack], msgspec.Meta(max_length=20)]


def packs_of(given: Mapping[str, GivenPack]) -> dict[str, Pack]:
    """Return the levels of packing as they are kept."""
    return {name: Pack(pack.contains, Decimal(pack.count), pack.gtin) for name, pack in sorted(given.items())}
