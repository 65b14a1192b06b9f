"""Cohorts: which part of an entity a rule about its writer is for, and which rule holds where several meet. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec

Entity = Literal["order", "item", "customer", "stock"]
ENTITIES: tuple[Entity, ...] = ("order", "item", "customer", "stock")
OURS = "trueup"
"""The system that writes what no rule gives to another."""

# What a cohort of each entity may name. The order is that of precedence among rules that name as many.
NAMES: dict[str, tuple[str, ...]] = {
    "order": ("location", "customer_group", "channel", "share"),
    "item": ("share",),
    "customer": ("customer_group", "share"),
    "stock": ("location",),
}
_WEIGHTS = {"location": 8, "customer_group": 4, "channel": 2, "share": 1}
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Hundredth = Annotated[int, msgspec.Meta(ge=0, le=100)]


class Cohort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A part of an entity; what it does not name is any.

    channel: an order's. location: code; where an order was bound to at capture, where stock lies. customer_group: the
    custom field `customer_group` of the order or customer. share_from, share_to: hundredths, from inclusive to
    exclusive, of a hash: of an order's customer (id), else of the first of its external numbers (`shop:1001`); of a
    customer's number in its source (`shop:77`); of an item's SKU.
    """

    channel: Code | None = None
    location: Code | None = None
    customer_group: Code | None = None
    share_from: Hundredth = 0
    share_to: Hundredth = 100

    @property
    def named(self) -> tuple[str, ...]:
        """What it names, those that come first in precedence first."""
        shared = self.share_from > 0 or self.share_to < 100
        return tuple(
            name for name in _WEIGHTS if (shared if name == "share" else getattr(self, name) is not None)
        )  # fmt: skip

    @property
    def rank(self) -> int:
        """Its precedence: who names more comes first, then who names what comes first. Equal ranks name the same."""
        return 16 * len(self.named) + sum(_WEIGHTS[name] for name in self.named)

    @property
    def text(self) -> str:
        """It in words: `channel web, share 0-30`; `everything` for what names nothing."""
        parts = [
            f"share {self.share_from}-{self.share_to}" if name == "share" else f"{name} {getattr(self, name)}"
            for name in self.named
        ]
        return ", ".join(parts) or "everything"

    def meets(self, other: Cohort) -> bool:
        """Tell whether something can be in both."""
        return (
            all(
                mine is None or theirs is None or mine == theirs
                for mine, theirs in (
                    (self.channel, other.channel),
                    (self.location, other.location),
                    (self.customer_group, other.customer_group),
                )
            )
            and self.share_from < other.share_to
            and other.share_from < self.share_to
        )

    def holds(self, one: Written) -> bool:
        """Tell whether one thing is in it. What has no channel, say, is in no cohort that names one."""
        return (
            self.channel in (None, one.channel)
            and self.location in (None, one.location)
            and self.customer_group in (None, one.customer_group)
            and (self.rank % 2 == 0 or self.share_from <= share_of(one.key) < self.share_to)
        )


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a command writes, as cohorts see it. key: what its share is taken of."""

    entity: Entity
    channel: str | None = None
    location: str | None = None
    customer_group: str | None = None
    key: str = ""


class WriterRule(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes a cohort. system: one the policy `writers` knows, or `trueup`. until_at: exclusive; None is never."""

    id: str
    entity: Entity
    cohort: Cohort
    system: str
    from_at: datetime
    until_at: datetime | None
    reason: str
    by: str
    at: datetime
    ended_by: str | None = None

    def live(self, now: datetime) -> bool:
        """Tell whether it holds at a moment."""
        return self.from_at <= now and (self.until_at is None or now < self.until_at)

    def over(self, now: datetime) -> bool:
        """Tell whether it will never hold again."""
        return self.until_at is not None and self.until_at <= now

    def clashes(self, other: WriterRule) -> bool:
        """Tell whether nothing would say which of the two holds: of one rank, and they meet in cohort and time."""
        return (
            self.entity == other.entity
            and self.cohort.rank == other.cohort.rank
            and self.cohort.meets(other.cohort)
            and _before(self.from_at, other.until_at)
            and _before(other.from_at, self.until_at)
            and self.from_at != self.until_at
            and other.from_at != other.until_at
        )


def _before(at: datetime, end: datetime | None) -> bool:
    return end is None or at < end


def share_of(key: str) -> int:
    """Return the hundredth (0 to 99) that a key falls into, the same in every process and for ever."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 100


def rule_for(rules: Iterable[WriterRule], one: Written, now: datetime) -> WriterRule | None:
    """Return the rule that says who writes one thing at a moment; None where Trueup does because nothing else is said.

    Of those that hold, the one of the highest rank: the database lets no two of one rank meet.
    """
    found = [rule for rule in rules if rule.entity == one.entity and rule.live(now) and rule.cohort.holds(one)]
    return max(found, key=lambda rule: rule.cohort.rank, default=None)
