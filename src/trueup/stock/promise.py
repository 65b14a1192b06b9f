"""What a promise is made of: policies, what is free at a site and when, and the answer. `delivery.py` makes the dates.

Pure: everything is an argument. A kit without stock of its own is as good as its scarcest part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

import msgspec

from trueup.catalogue.state import Location
from trueup.core.calendars import WorkCalendar, end_of_day
from trueup.core.policy import Policy
from trueup.core.quantity import ZERO, plain

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]
Notice = Literal["none", "notice", "consent"]
Origin = Literal["stock", "supply", "lead_time"]
PICKUP_DAYS = 5
LIMITLESS = Decimal(10) ** 15


class PromisePolicy(Policy, frozen=True, kw_only=True):
    """What holds for promises. notice_after_days: a delay of so many days or more must be told to the customer.

    consent_after_days: from so many on, or where no new date is known, the customer must agree or may withdraw; None
    is never. overdue_after_hours: how late a supply is before its case opens. horizon_days: no date beyond is promised.
    """

    kind: ClassVar[str] = "promise"
    unreplayed: ClassVar[str] = "the journal keeps no question that was only asked, as promises are"
    notice_after_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 1
    consent_after_days: Annotated[int, msgspec.Meta(ge=0, le=365)] | None = 30
    overdue_after_hours: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    horizon_days: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 365
    severity: Annotated[int, msgspec.Meta(ge=1, le=4)] = 2
    owner_role: Name = "Fulfilment Lead"


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many of the carrier's working days one way takes. What is left out stands for any; the narrowest lane holds.

    from_group: a group of the location that ships. from_postcode, to_postcode: how a postcode begins.
    """

    days: Annotated[int, msgspec.Meta(ge=0, le=365)]
    from_country: Country | None = None
    from_group: Name | None = None
    from_postcode: Name | None = None
    to_country: Country | None = None
    to_postcode: Name | None = None


class Method(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to ship. calendar: name of the calendar whose days the carrier works."""

    name: Name
    carrier: Name
    lanes: Annotated[tuple[Lane, ...], msgspec.Meta(min_length=1, max_length=5000)]
    calendar: Name = "default"


class ShippingMethods(Policy, frozen=True, kw_only=True):
    """The ways to ship; a small shop's one way takes three days anywhere."""

    kind: ClassVar[str] = "shipping"
    unreplayed: ClassVar[str] = "the journal keeps no question that was only asked, as promises are"
    methods: Annotated[tuple[Method, ...], msgspec.Meta(min_length=1, max_length=50)] = (
        Method(name="standard", carrier="any carrier", lanes=(Lane(days=3),)),
    )

    def __post_init__(self) -> None:
        """Raise ValueError for two methods of one name."""
        names = [method.name for method in self.methods]
        if len(set(names)) < len(names):
            raise ValueError("two methods have the same name")


class Incoming(msgspec.Struct, frozen=True):
    """Units that are to come and that nobody waits for."""

    due_at: datetime
    units: Decimal
    reference: str


class Shelf(msgspec.Struct, frozen=True):
    """What is free of one item at one location: now (below zero where others wait), and later, earliest due first."""

    available: Decimal = ZERO
    incoming: tuple[Incoming, ...] = ()


class Site(msgspec.Struct, frozen=True):
    """A location that may serve, and the calendar it keeps."""

    location: Location
    calendar: WorkCalendar


class Part(msgspec.Struct, frozen=True):
    """An item that one unit of a line takes, and how many units of it. lead_days: from ordering it to having it."""

    item: str
    sku: str
    units: Decimal = Decimal(1)
    lead_days: int | None = None


class Wanted(msgspec.Struct, frozen=True):
    """One line of a basket: itself, or the parts of a kit that has no stock of its own."""

    line: int
    sku: str
    quantity: Decimal
    parts: tuple[Part, ...]
    is_kit: bool = False


class Destination(msgspec.Struct, frozen=True):
    """Where the basket goes."""

    country: str | None = None
    postcode: str | None = None


class Step(msgspec.Struct):
    """Units that become available at a moment, and from what."""

    at: datetime
    units: Decimal
    origin: Origin
    words: str


class Drawn(msgspec.Struct, frozen=True):
    """Units of a line from one site: from what, when they are there, ready, handed over and delivered (local days)."""

    location: str
    quantity: Decimal
    origin: Origin
    available_at: datetime
    ready_on: date
    ships_on: date
    delivers_on: date
    words: str


class PromisedLine(msgspec.Struct, frozen=True):
    """One line's date and where its units come from. missing: units that nothing covers; then there is no date."""

    line: int
    sku: str
    quantity: Decimal
    delivers_on: date | None
    missing: Decimal
    sources: tuple[Drawn, ...]


class Parcel(msgspec.Struct, frozen=True):
    """What leaves one site on one day."""

    location: str
    ships_on: date
    delivers_on: date
    lines: tuple[int, ...]


class Together(msgspec.Struct, frozen=True):
    """The whole basket in one parcel, from the one site that can send it first."""

    location: str
    ready_on: date
    ships_on: date
    delivers_on: date


class PromisedMethod(msgspec.Struct, frozen=True):
    """One shipping method's dates. delivers_on: when the last line is there; None where a line cannot be promised.

    together: in one parcel, where one site can. explain: why the last line comes when it does.
    """

    method: str
    carrier: str
    delivers_on: date | None
    parcels: tuple[Parcel, ...]
    together: Together | None
    lines: tuple[PromisedLine, ...]
    explain: tuple[str, ...]


class PickupDay(msgspec.Struct, frozen=True):
    """A day on which a store hands over, with its hours there."""

    day: date
    opens: str
    closes: str


class PromisedPickup(msgspec.Struct, frozen=True):
    """When the whole basket can be collected at a store, all of it from that store's own stock and supply."""

    location: str
    ready_on: date | None
    days: tuple[PickupDay, ...]
    explain: tuple[str, ...]


Shelves = Mapping[tuple[str, str], Shelf]
Pools = dict[tuple[str, str], list[Step]]


class Terms(msgspec.Struct, frozen=True):
    """What a promise is made under. now: with a zone. calendars: those of the carriers, by name."""

    now: datetime
    methods: tuple[Method, ...]
    calendars: Mapping[str, WorkCalendar]
    policy: PromisePolicy


def notice_for(policy: PromisePolicy, promised_at: datetime, due_at: datetime | None) -> Notice:
    """Return what a delay asks for: nothing, that the customer is told, or that the customer agrees.

    Source: rules on distance selling, by which a seller who cannot keep a date tells so in time and offers a way out.
    """
    consent = policy.consent_after_days
    if due_at is None:
        return "notice" if consent is None else "consent"
    days = (due_at - promised_at).days
    if consent is not None and days >= consent:
        return "consent"
    return "notice" if days >= policy.notice_after_days and due_at > promised_at else "none"


def steps_of(shelf: Shelf, part: Part, timezone: str, now: datetime, *, lead: bool = True) -> list[Step]:
    """Return when units of a part become free at a site: now, with each supply, and after its lead time without limit.

    timezone: the site's. lead: whether to order more counts. What others wait for comes off the first units.
    Supply that is overdue promises nothing.
    """
    steps = []
    deficit = max(ZERO, -shelf.available)
    if shelf.available > 0:
        steps.append(Step(now, shelf.available, "stock", "on hand"))
    for incoming in shelf.incoming:
        if incoming.due_at <= now:
            continue
        taken = min(deficit, incoming.units)
        deficit -= taken
        if incoming.units > taken:
            due = incoming.due_at.astimezone(ZoneInfo(timezone)).date()
            steps.append(
                Step(incoming.due_at, incoming.units - taken, "supply", f"to come with {incoming.reference}, due {due}")
            )
    if lead and part.lead_days is not None:
        ordered = now.astimezone(ZoneInfo(timezone)).date() + timedelta(days=part.lead_days)
        moment = max(now, end_of_day(ordered, timezone))
        steps.append(Step(moment, LIMITLESS, "lead_time", f"to be ordered, {part.lead_days} days of lead time"))
    return sorted(steps, key=lambda step: step.at)


def kits_of(parts: Sequence[Part], pools: Sequence[list[Step]]) -> list[Step]:
    """Return when whole kits become free: at each moment as many as the scarcest part allows, rounded down.

    Source: behaviour 14.
    """
    made = ZERO
    steps = []
    for moment in sorted({step.at for pool in pools for step in pool}):
        scarcest: tuple[Decimal, Part, list[Step]] | None = None
        for part, pool in zip(parts, pools, strict=True):
            there = sum((step.units for step in pool if step.at <= moment), ZERO)
            enough_for = (there / part.units).to_integral_value(ROUND_FLOOR)
            if scarcest is None or enough_for < scarcest[0]:
                scarcest = (enough_for, part, pool)
        if scarcest is None or scarcest[0] <= made:
            continue
        last = max((step for pool in pools for step in pool if step.at <= moment), key=lambda step: step.at)
        words = f"{last.words} (its scarcest part {scarcest[1].sku} is enough for {plain(min(scarcest[0], LIMITLESS))})"
        steps.append(Step(moment, scarcest[0] - made, last.origin, words))
        made = scarcest[0]
    return steps


def date_of(steps: Sequence[Step], quantity: Decimal) -> Step | None:
    """Return the step with which so many units are there; None when they never are."""
    there = ZERO
    for step in steps:
        there += step.units
        if there >= quantity:
            return step
    return None
