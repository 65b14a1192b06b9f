"""How orders of one channel are taken: the policy that place, cancel and promise ask.

What an order keeps (totals, rounding, cancellation) is read from the version it was captured under; what is decided
later (short stock, locations) from the version in force. Source: behaviour 39.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

import msgspec

from trueup.core.policy import Policies, Policy
from trueup.orders.state import OrderRow

Short = Literal["refuse", "backorder", "partial"]


class Channel(Policy, frozen=True, kw_only=True):
    """How orders of one channel are taken.

    location: code of the location that serves it unless an order names one. locations: codes of all that may serve it,
    in the order in which they are reserved from until sourcing has chosen; empty means `location` alone.
    short: what becomes of a line that stock does not cover. cancellation_minutes: how long a customer may cancel;
    None while nothing was shipped.
    """

    kind: ClassVar[str] = "channel"
    pinned: ClassVar[bool] = True
    location: str = "MAIN"
    locations: tuple[str, ...] = ()
    short: Short = "refuse"
    cancellation_minutes: Annotated[int, msgspec.Meta(ge=0)] | None = None

    @property
    def serving(self) -> tuple[str, ...]:
        """The locations that may serve it, first choice first."""
        return self.locations or (self.location,)


def captured_under(row: OrderRow, policies: Policies) -> Channel:
    """Return the channel's terms that an order keeps."""
    return policies.at(Channel, row.captured.channel, row.captured.channel_version)


def cancellable_until(row: OrderRow, policies: Policies) -> timedelta | None:
    """Return how long after capture the order may be cancelled under the terms it was captured under; None for ever."""
    minutes = captured_under(row, policies).cancellation_minutes
    return None if minutes is None else timedelta(minutes=minutes)
