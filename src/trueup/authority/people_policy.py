"""Rules about people: the business's zone, delegations, roles that govern, and what does not go together."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from trueup.authority.standing import ROLES
from trueup.core.policy import Fault, Known, Policy

GOVERNANCE = (
    "Change Control Board",
    "Data Steward",
    "IT Process Owner",
    "Integration Owner",
    "Master Data Owner",
    "Operations Process Owner",
    "Sponsor",
)
DECIDERS = (*GOVERNANCE, "Finance", "Fulfilment Lead")
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class PeoplePolicy(Policy, frozen=True, kw_only=True):
    """Rules about people.

    timezone: IANA name; its day decides when a contract or an appointment ends. delegation_days_max: for how long
    somebody may let others act for them. notice_days: how long before a contract's end a case is opened.
    governance_roles: those that do not fall vacant unseen, and that a consultant may not hold alone.
    """

    kind: ClassVar[str] = "people"
    unreplayed: ClassVar[str] = "it says how roles are held and passed on, which no command about an order depends on"
    names: ClassVar[tuple[str, ...]] = ("default",)
    timezone: str = "UTC"
    delegation_days_max: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    notice_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 14
    governance_roles: tuple[str, ...] = GOVERNANCE

    def faults(self, known: Known) -> list[Fault]:
        """Return a zone and roles that there are not."""
        found = [
            Fault("governance_roles", role, f"there is no role {role!r}; use one of {', '.join(ROLES)}")
            for role in self.governance_roles
            if role not in ROLES
        ]
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            found.append(Fault("timezone", self.timezone, "there is no such zone; name one like Europe/Berlin"))
        return found

    def begin_of(self, day: date) -> datetime:
        """Return the moment at which a day begins in the business's zone."""
        return datetime.combine(day, time(), ZoneInfo(self.timezone)).astimezone(ZoneInfo("UTC"))

    def end_of(self, day: date) -> datetime:
        """Return the moment at which a day is over in the business's zone."""
        return self.begin_of(day + timedelta(days=1))

    def day_of(self, moment: datetime) -> date:
        """Return the business's day of a moment."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()


class RolePair(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two roles that one person may not hold together. why: in words. small: also in the small mode."""

    one: str
    other: str
    why: Reason
    small: bool = False


class ActPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two acts that one person may not both do on the same object: `then` is refused to who did `first`."""

    first: str
    then: str
    why: Reason


def _roles() -> tuple[RolePair, ...]:
    why = "who administers decides nothing"
    pairs = [RolePair(one="Administrator", other=role, why=why) for role in DECIDERS]
    audited = "who audits takes no part in what is audited"
    return (*pairs, *(RolePair(one="Auditor", other=role, why=audited) for role in ("Administrator", *DECIDERS)))


def _acts() -> tuple[ActPair, ...]:
    return (
        ActPair(first="stock.open_count", then="stock.approve_count", why="who counts does not approve what was found"),
    )  # fmt: skip


class Separation(Policy, frozen=True, kw_only=True):
    """Which roles, and which acts on one object, do not go together.

    self_approval_hours: in the small mode, how long an own proposal waits before its asker may approve it.
    """

    kind: ClassVar[str] = "separation"
    unreplayed: ClassVar[str] = "the past shows who did what, and not who would have done it in their stead"
    names: ClassVar[tuple[str, ...]] = ("default",)
    roles: Annotated[tuple[RolePair, ...], msgspec.Meta(max_length=500)] = msgspec.field(default_factory=_roles)
    acts: Annotated[tuple[ActPair, ...], msgspec.Meta(max_length=200)] = msgspec.field(default_factory=_acts)
    self_approval_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 24

    def faults(self, known: Known) -> list[Fault]:
        """Return roles and acts that there are not, a pair with itself, and one that stands there twice."""
        found: list[Fault] = []
        for at, pair in enumerate(self.roles):
            found += [
                Fault(f"roles[{at}].{field}", role, f"there is no role {role!r}; use one of {', '.join(ROLES)}")
                for field, role in (("one", pair.one), ("other", pair.other))
                if role not in ROLES
            ]
            if pair.one == pair.other:
                found.append(Fault(f"roles[{at}]", pair.one, "a role goes together with itself"))
        for at, act in enumerate(self.acts):
            found += [
                Fault(f"acts[{at}].{field}", name, f"there is no act {name!r}; `trueup verbs` lists them")
                for field, name in (("first", act.first), ("then", act.then))
                if name not in known.commands
            ]
        counted = Counter(frozenset({pair.one, pair.other}) for pair in self.roles)
        found += [
            Fault("roles", " and ".join(sorted(pair)), f"this pair is named {times} times")
            for pair, times in counted.items()
            if times > 1
        ]
        return found
