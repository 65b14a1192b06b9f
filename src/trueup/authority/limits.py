"""Amount limits: above what one person may do alone, the act waits until a second one confirms it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from trueup.authority.standing import ROLES, Rights, roles_that_may
from trueup.core.money import Amount, is_currency
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.core.verb import Bound, Worth

UNITS = "units"


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much of an act a role may do alone. act: `room.verb`. unit: an ISO currency code, or `units`."""

    act: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    role: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    amount: Amount
    unit: Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{3}|units)$")]


class AmountLimits(Policy, frozen=True, kw_only=True):
    """The limits by act and role. A role that has the right and no limit may do any amount alone."""

    kind: ClassVar[str] = "amount_limits"
    unreplayed: ClassVar[str] = "the past does not show whether a second person would have agreed"
    names: ClassVar[tuple[str, ...]] = ("default",)
    limits: Annotated[tuple[Limit, ...], msgspec.Meta(max_length=500)] = ()

    def faults(self, known: Known) -> list[Fault]:
        """Return acts, roles and currencies that there are not, amounts below zero, and limits set twice."""
        found: list[Fault] = []
        for at, limit in enumerate(self.limits):
            where = f"limits[{at}]"
            if limit.act not in known.commands:
                found.append(Fault(f"{where}.act", limit.act, f"there is no act {limit.act!r}; see `trueup verbs`"))
            if limit.role not in ROLES:
                found.append(Fault(f"{where}.role", limit.role, f"there is no role {limit.role!r}"))
            if limit.amount < 0:
                found.append(Fault(f"{where}.amount", str(limit.amount), "a limit is zero or more"))
            if limit.unit != UNITS and not is_currency(limit.unit):
                found.append(Fault(f"{where}.unit", limit.unit, "use an ISO 4217 code, or `units`"))
        counted = Counter((limit.act, limit.role, limit.unit) for limit in self.limits)
        found += [Fault("limits", " ".join(key), "this limit is set twice") for key, n in counted.items() if n > 1]
        return found

    def of(self, act: str, unit: str) -> dict[str, Decimal]:
        """Return the limits of an act in a unit: role -> amount."""
        return {limit.role: Decimal(limit.amount) for limit in self.limits if (limit.act, limit.unit) == (act, unit)}

    def about(self, act: str) -> bool:
        """Tell whether an act has any limit."""
        return any(limit.act == act for limit in self.limits)


class Exceeded(msgspec.Struct, frozen=True):
    """An amount beyond what somebody may do alone. roles: of which a second person must hold one."""

    amount: Decimal
    unit: str
    limit: Decimal
    roles: tuple[str, ...]


def exceeded(
    policies: Policies, act: str, roles: Iterable[str], worth: Iterable[Worth], bound: Bound | None
) -> Exceeded | None:
    """Return the first amount that somebody with these roles may not do alone, or None.

    The highest limit of the roles that give the right counts; a role with the right and no limit has none; where none
    of the roles gives it, that of the roles that have a limit, or else the lowest there is. A second
    person has the same role, or one that may do as much alone. bound: the room's own limit for this very act.
    """
    held = {*roles}
    may = set(roles_that_may(policies.get(Rights), act))
    for one in worth:
        if bound is not None and one.unit == bound.unit and one.amount > bound.amount and held.isdisjoint(bound.roles):
            return Exceeded(one.amount, one.unit, bound.amount, bound.roles)
        limits = policies.get(AmountLimits).of(act, one.unit)
        giving = held & may
        if not limits or giving - limits.keys():
            continue
        # Who was lent the right alone, by a delegation or a case's rung, does no more than anybody it is limited for.
        limited = giving or held & limits.keys()
        highest = max(limits[role] for role in limited) if limited else min(limits.values())
        if one.amount > highest:
            same = {role for role in limited or limits if limits[role] == highest}
            higher = {role for role in may if role not in limits or limits[role] >= one.amount}
            return Exceeded(one.amount, one.unit, highest, tuple(sorted(same | higher)))
    return None
