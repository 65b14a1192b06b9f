"""The ladder: by severity a clock and its rungs, who gains which rights there, and the rota that names who is on call.

Source: DESIGN section 3, cases and the ladder: owner, override and re-route, stop-the-line and rollback, safe action.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import msgspec

from trueup.core import json
from trueup.core.calendars import NAMES, ClockTime, Weekday
from trueup.core.policy import Fault, Known, Policies, Policy

SEVERITIES = (1, 2, 3, 4)
RUNGS_MAX = 10
WEEK = 7 * 24 * 60
CARRIERS = frozenset({"authority.act_for_case", "authority.take_safe_action", "authority.propose_change",
                      "authority.apply_change"})  # fmt: skip
"""Acts that carry others: none is a right that a rung gives, else one rung could reach around another."""
LENT = frozenset({"authority.revert_change", "authority.ask_override", "authority.grant_override",
                  "authority.decline_override", "authority.end_override"})  # fmt: skip
"""Of the acts about authority, those that a rung may lend: rolling back, and loans. Who may what is not a rung's."""
SAFE = frozenset({"orders.place_hold", "stock.announce_freeze", "sourcing.assign", "catalogue.operate_site"})
"""What may happen by itself at a last rung: it stops or re-routes, can be undone, moves no money, cancels nothing."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]


class SafeAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was agreed to happen by itself: an act, filled in once for each subject of one type.

    verb: one of SAFE. command: its body, `{subject}` where the subject's id goes. subjects: their type, as `order`.
    """

    verb: Name
    command: dict[str, Any]
    subjects: Name = "order"

    def filled(self, subject: str) -> dict[str, Any]:
        """Return the body for one subject."""
        found = _filled(self.command, subject)
        assert isinstance(found, dict)
        return found


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of a ladder. after_minutes: of the case's clock. role: who gains authority.

    rights: acts that this role may now carry out for the case, though its own rights have them not. rota: names a
    policy `rota`; whoever is on call then gains the same. safe_action: happens by itself when nobody acted by now.
    """

    after_minutes: Minutes
    role: Name
    rights: tuple[Name, ...] = ()
    rota: Name | None = None
    safe_action: SafeAction | None = None


class Steps(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for one severity. clock: `wall`, or `business` by a policy `calendar` in a time zone.

    respond_minutes: until somebody must have said that it is theirs; None has no such clock.
    """

    rungs: Annotated[tuple[Rung, ...], msgspec.Meta(min_length=1, max_length=RUNGS_MAX)]
    clock: Literal["wall", "business"] = "wall"
    calendar: Name = "default"
    timezone: Name = "UTC"
    respond_minutes: Minutes | None = None


OVERRIDE = ("orders.release_hold", "sourcing.assign", "sourcing.reject")
STOP = ("orders.place_hold", "stock.announce_freeze", *OVERRIDE)


def _days() -> tuple[Rung, ...]:
    return (
        Rung(after_minutes=24 * 60, role="Operations Process Owner", rights=OVERRIDE),
        Rung(after_minutes=48 * 60, role="Change Control Board", rights=STOP),
        Rung(after_minutes=72 * 60, role="Sponsor", rights=STOP),
    )


def _shipped() -> dict[int, Steps]:
    on_call = (
        Rung(after_minutes=60, role="Operations Process Owner", rights=OVERRIDE, rota="on_call"),
        Rung(after_minutes=240, role="Sponsor", rights=STOP, rota="on_call"),
    )
    return {
        1: Steps(rungs=on_call, respond_minutes=15),
        2: Steps(rungs=_days()),
        3: Steps(rungs=_days(), clock="business"),
        4: Steps(rungs=_days(), clock="business"),
    }


class Ladder(Policy, frozen=True, kw_only=True):
    """Who must act by when, and who may what when nobody did; a document may be named like a kind of case.

    severities: 1 (worst) to 4. pause_hours: how long one case's clock may rest in all. recurrence_days: within so many
    days of its closing, the same cause opens the same case again.
    """

    kind: ClassVar[str] = "ladder"
    falls_back: ClassVar[bool] = True
    pinned: ClassVar[bool] = True
    unreplayed: ClassVar[str] = "a ladder decides who may act and when, not what becomes of an order"
    severities: dict[int, Steps] = msgspec.field(default_factory=_shipped)
    pause_hours: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 24
    recurrence_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 30

    def __post_init__(self) -> None:
        """Raise ValueError for a severity without steps, and one there is not."""
        if sorted(self.severities) != list(SEVERITIES):
            raise ValueError("severities names each severity from 1 to 4")

    def faults(self, known: Known) -> list[Fault]:
        """Return rungs out of order, roles that come back, and roles, acts and zones that nobody knows."""
        return [
            fault
            for severity, steps in sorted(self.severities.items())
            for fault in _faults_of(steps, f"severities.{severity}", known)
        ]


def _faults_of(steps: Steps, where: str, known: Known) -> list[Fault]:
    faults: list[Fault] = []
    try:
        ZoneInfo(steps.timezone)
    except (KeyError, ValueError, OSError):
        faults.append(Fault(f"{where}.timezone", steps.timezone, "it is no time zone of the IANA database"))
    if steps.respond_minutes is not None and steps.respond_minutes > steps.rungs[0].after_minutes:
        faults.append(Fault(f"{where}.respond_minutes", str(steps.respond_minutes),
                            "somebody must own it before the first rung is reached"))  # fmt: skip
    for number, rung in enumerate(steps.rungs):
        at = f"{where}.rungs[{number}]"
        before = steps.rungs[:number]
        if before and rung.after_minutes <= before[-1].after_minutes:
            faults.append(Fault(f"{at}.after_minutes", str(rung.after_minutes),
                                f"the rung before it is at {before[-1].after_minutes}; it must be later"))  # fmt: skip
        if rung.role in [earlier.role for earlier in before[:-1]] and before[-1].role != rung.role:
            faults.append(Fault(f"{at}.role", rung.role, "the ladder comes back to a role it had left: a cycle"))
        if known.roles and rung.role not in known.roles:
            faults.append(Fault(f"{at}.role", rung.role, f"use one of {', '.join(sorted(known.roles))}"))
        faults += _rights_faults(rung, at, known)
        if rung.safe_action is not None:
            faults += _safe_faults(rung.safe_action, f"{at}.safe_action", number == len(steps.rungs) - 1, known)
    return faults


def _rights_faults(rung: Rung, at: str, known: Known) -> list[Fault]:
    return [
        Fault(f"{at}.rights[{number}]", right, what)
        for number, right in enumerate(rung.rights)
        if (what := _not_lent(right, known)) is not None
    ]


def _not_lent(right: str, known: Known) -> str | None:
    """Return why a rung cannot give this right, or None."""
    if right in CARRIERS:
        return "it carries other acts"
    if right not in known.commands:
        return "there is no such act; `trueup verbs` lists them"
    if right.startswith("authority.") and right not in LENT:
        return f"who may what is not a ladder's to give; of authority it lends {', '.join(sorted(LENT))}"
    return None


def _safe_faults(action: SafeAction, at: str, last: bool, known: Known) -> list[Fault]:
    if not last:
        return [Fault(at, action.verb, "only the last rung acts by itself")]
    if action.verb not in SAFE:
        return [Fault(f"{at}.verb", action.verb, f"by itself happens only one of {', '.join(sorted(SAFE))}")]
    takes = known.commands.get(action.verb)
    if takes is None:
        return [Fault(f"{at}.verb", action.verb, "there is no such act")]
    try:
        json.convert(action.filled("ord_x"), takes)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        return [Fault(f"{at}.command{path.rstrip('`')}", "", what)]
    return []


def _filled(value: Any, subject: str) -> Any:
    if isinstance(value, str):
        return value.replace("{subject}", subject)
    if isinstance(value, dict):
        return {key: _filled(part, subject) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, subject) for part in value]
    return value


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From when to when in each week somebody is on call, by the rota's clock; the end is where the next begins.

    role: whose turn it is. person: who of them, by id; None is any of them.
    """

    from_day: Weekday = "monday"
    from_time: ClockTime = "00:00"
    until_day: Weekday = "monday"
    until_time: ClockTime = "00:00"
    role: Name = "Operations Process Owner"
    person: Name | None = None

    @property
    def begins(self) -> int:
        """The minute of the week it begins in."""
        return _minute_of_week(self.from_day, self.from_time)

    @property
    def minutes(self) -> int:
        """How long it lasts; one that ends where it begins is the whole week."""
        return (_minute_of_week(self.until_day, self.until_time) - self.begins) % WEEK or WEEK


class Rota(Policy, frozen=True, kw_only=True):
    """Who is on call in each minute of a week: slots that follow one another without hole or overlap."""

    kind: ClassVar[str] = "rota"
    unreplayed: ClassVar[str] = "a rota says who is called, not what becomes of an order"
    timezone: Name = "UTC"
    slots: Annotated[tuple[Slot, ...], msgspec.Meta(min_length=1, max_length=200)] = (Slot(),)

    def faults(self, known: Known) -> list[Fault]:
        """Return holes, overlaps, roles that nobody knows, and a zone that is none."""
        faults = [
            Fault(f"slots[{number}].role", slot.role, f"use one of {', '.join(sorted(known.roles))}")
            for number, slot in enumerate(self.slots)
            if known.roles and slot.role not in known.roles
        ]
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            faults.append(Fault("timezone", self.timezone, "it is no time zone of the IANA database"))
        return [*faults, *self._gaps()]

    def _gaps(self) -> list[Fault]:
        order = sorted(range(len(self.slots)), key=lambda number: self.slots[number].begins)
        faults = []
        for at, number in enumerate(order):
            slot = self.slots[number]
            following = self.slots[order[(at + 1) % len(order)]]
            apart = (following.begins - slot.begins) % WEEK
            if apart == 0 and (len(order) == 1 or at == len(order) - 1):
                apart = WEEK
            ends, begins = _words(slot.begins + slot.minutes), _words(following.begins)
            if slot.minutes < apart:
                faults.append(Fault(f"slots[{number}]", ends, f"a hole: nobody is on call from {ends} to {begins}"))
            elif slot.minutes > apart:
                faults.append(Fault(f"slots[{number}]", ends, f"an overlap: the next begins {begins}, before it ends"))
        return faults

    def on_call(self, moment: datetime) -> Slot:
        """Return whose turn it is."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        minute = local.weekday() * 1440 + local.hour * 60 + local.minute
        return next(slot for slot in self.slots if (minute - slot.begins) % WEEK < slot.minutes)


def _minute_of_week(day: Weekday, time_of_day: str) -> int:
    return NAMES.index(day) * 1440 + int(time_of_day[:2]) * 60 + int(time_of_day[3:])


def _words(minute: int) -> str:
    day, rest = divmod(minute % WEEK, 1440)
    return f"{NAMES[day]} {rest // 60:02}:{rest % 60:02}"


class RootCause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One category that cases are closed under. name: as stored; label: for people."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class RootCauses(Policy, frozen=True, kw_only=True):
    """Why things went wrong, as a list with versions: a closed case keeps its category and the version it is of."""

    kind: ClassVar[str] = "root_causes"
    names: ClassVar[tuple[str, ...]] = ("default",)
    pinned: ClassVar[bool] = True
    unreplayed: ClassVar[str] = "it names why cases were closed, and changes no order"
    causes: Annotated[tuple[RootCause, ...], msgspec.Meta(min_length=1, max_length=100)] = (
        RootCause("data_definition", "data definition: two systems mean different things"),
        RootCause("role", "role: nobody, or more than one, was responsible"),
        RootCause("training", "training: somebody did not know how"),
        RootCause("change_resistance", "change resistance: the new way was not taken"),
        RootCause("integration", "integration: a connection failed or lagged"),
        RootCause("software", "software: our own fault"),
        RootCause("partner", "partner: somebody else's fault"),
        RootCause("physical", "physical: goods lost, broken or misplaced"),
        RootCause("unknown_accepted", "unknown, and accepted as such"),
    )

    def __post_init__(self) -> None:
        """Raise ValueError for a name that stands twice."""
        names = [cause.name for cause in self.causes]
        if len({*names}) < len(names):
            raise ValueError(f"causes: {next(n for n in names if names.count(n) > 1)!r} stands twice")


def ladder_for(policies: Policies, kind: str) -> str:
    """Return the name of the ladder for a kind of case: its own where one was published, else `default`."""
    return kind if policies.find(Ladder, kind) is not None else "default"


def is_overdue(due: datetime, acted_at: datetime | None, closed_at: datetime | None, now: datetime) -> bool:
    """Tell whether nobody acted in time: not acted, or acted after the due time; only closing ends it."""
    return closed_at is None and (acted_at is None or acted_at > due) and now > due


def minutes(count: int) -> timedelta:
    """Return so many minutes as a duration."""
    return timedelta(minutes=count)
