"""Count stock: what somebody found on the shelf replaces what the book says."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from trueup.core.quantity import Quantity
from trueup.core.verb import Body, Command


class CountedLine(Body, frozen=True, forbid_unknown_fields=True):
    """What was counted of one item. sku: any key the item answers to. counted: units, zero or more."""

    sku: str
    counted: Quantity


class CountStock(Command, frozen=True, kw_only=True):
    """Report a count at one location. reference: the count's document. counted_at: when, with a zone."""

    location: str
    lines: Annotated[tuple[CountedLine, ...], msgspec.Meta(min_length=1, max_length=1000)]
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    counted_at: datetime
    reason: str = "count"
