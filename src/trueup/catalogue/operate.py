"""Run a site from day to day: open or closed, how much it can do, until when; within bands that a policy sets."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from trueup.authority.decision_rights import who_decides
from trueup.catalogue.given import PerDay, TimeOfDay
from trueup.catalogue.state import Catalogue, SiteOperated
from trueup.core.errors import Refusal
from trueup.core.policy import Policies, Policy
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb


class SiteBands(Policy, frozen=True, kw_only=True):
    """How far a site may change how it works. A document named by a location's code is its own; else `default` holds.

    capacity_max: orders a day; None lets a site take its limit away. cutoff_earliest, cutoff_latest: HH:MM, local.
    """

    kind: ClassVar[str] = "site_bands"
    falls_back: ClassVar[bool] = True
    unreplayed: ClassVar[str] = "how sites worked is taken as it was recorded"
    capacity_min: PerDay = 0
    capacity_max: PerDay | None = None
    cutoff_earliest: TimeOfDay = "00:00"
    cutoff_latest: TimeOfDay = "23:59"

    def __post_init__(self) -> None:
        """Refuse a band that holds nothing."""
        if self.capacity_max is not None and self.capacity_min > self.capacity_max:
            raise ValueError("capacity_min is above capacity_max")
        if self.cutoff_earliest > self.cutoff_latest:
            raise ValueError("cutoff_earliest is after cutoff_latest")


class OperateSite(Command, frozen=True, kw_only=True):
    """Change how a site works from now on; what is left out stays.

    location: its code. open: whether work may be sent to it. capacity_per_day: orders; null is no limit.
    cutoff: HH:MM in the site's time; later work is the next day's.
    """

    location: str
    open: bool | None = None
    capacity_per_day: PerDay | msgspec.UnsetType | None = msgspec.UNSET
    cutoff: TimeOfDay | None = None


def operate_site(state: State, command: OperateSite, context: Context) -> Decision:
    """Change the site. Refuses an unknown location and what lies outside its band; a change of nothing is merged.

    An override lets what is outside of the band pass.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return Refusal("catalogue.unknown_location", f"There is no location {command.location[:80]!r}.",
                       "Register it first, or correct its code.", "location", command.location[:80])  # fmt: skip
    refusal = _outside(command, context.policies)
    if refusal is not None and not context.excuses(refusal.rule, refusal.value):
        return refusal
    capacity = command.capacity_per_day
    event = SiteOperated(
        location=place.id,
        open=place.open if command.open is None else command.open,
        capacity_per_day=place.capacity_per_day if capacity is msgspec.UNSET else capacity,
        cutoff=command.cutoff or place.cutoff,
        at=context.now,
    )
    result = {"location": place.id, "open": event.open, "capacity_per_day": event.capacity_per_day,
              "cutoff": event.cutoff}  # fmt: skip
    if (event.open, event.capacity_per_day, event.cutoff) == (place.open, place.capacity_per_day, place.cutoff):
        return Accepted((), place.id, result, "merged")
    return Accepted([event], place.id, result)


def _outside(command: OperateSite, policies: Policies) -> Refusal | None:
    name = command.location if policies.find(SiteBands, command.location) else "default"
    bands = policies.get(SiteBands, name)
    capacity = command.capacity_per_day
    least, most = bands.capacity_min, bands.capacity_max
    fix = f"Stay within it; the policy site_bands/{name} sets it. {who_decides(policies, 'site_bands.capacity_max')}"
    if capacity is not msgspec.UNSET and _too_much(capacity, least, most):
        band = f"from {least} to {most}" if most is not None else f"{least} or more"
        wanted = "no limit" if capacity is None else str(capacity)
        return Refusal("catalogue.outside_band", f"The capacity of {command.location} may be {band}, not {wanted}.",
                       fix, "capacity_per_day", wanted)  # fmt: skip
    if command.cutoff is not None and not bands.cutoff_earliest <= command.cutoff <= bands.cutoff_latest:
        return Refusal(
            "catalogue.outside_band",
            f"The cut-off of {command.location} may be from {bands.cutoff_earliest} to {bands.cutoff_latest}, "
            f"not {command.cutoff}.",
            fix, "cutoff", command.cutoff,
        )  # fmt: skip
    return None


def _too_much(capacity: int | None, least: int, most: int | None) -> bool:
    if capacity is None:
        return most is not None
    return capacity < least or (most is not None and capacity > most)


VERBS = (
    Verb(
        name="catalogue.operate_site",
        command=OperateSite,
        decide=operate_site,
        wants=lambda state, command, policies: state.of(Catalogue).want_location(command.location, change=True),
        touches=lambda command: (f"location:{command.location}",),
    ),
)
