"""Whether a stop stands: guards that are only simulated or off, and rules that an override lets pass.

A guard's refusal is looked at here only once it is there, so that nothing of this costs a command that nobody stops.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import msgspec

from trueup.authority.overridable import OVERRIDABLE
from trueup.authority.overrides_state import Override, OverrideUsed
from trueup.authority.standing import Standing
from trueup.core.policy import Fault, Known, Policy
from trueup.core.refused import RULE, Stop, Verdict, subject_of

Mode = Literal["enforced", "simulated", "off"]


class Guarding(msgspec.Struct, frozen=True):
    """What a guard is. title: in words. about: what it stops. modes: those that it may have.

    rule: the code by which an override can let pass what the guard lets wait.
    """

    title: str
    about: str
    modes: tuple[Mode, ...] = ("enforced",)
    rule: str = ""


ANY: tuple[Mode, ...] = ("enforced", "simulated", "off")
GUARDS: dict[str, Guarding] = {
    "role_guard": Guarding("Role", "who may do this at all"),
    "scope_guard": Guarding("Part of the organisation", "who may do this there"),
    "separation_guard": Guarding("Separation of duties", "who must not do this to what they did something else to"),
    "for_case_guard": Guarding("Rights of a case", "what a case's rung lends for as long as the case lasts"),
    "change_guard": Guarding("Changes", "what is governed and changes only by a change"),
    "freeze_guard": Guarding("Freezes", "what moves goods at a frozen site", ANY, "stock.frozen"),
    "writer_guard": Guarding("Writer registry", "what another system writes, or was born in one", ANY),
}
"""Every guard there is. What asks who somebody is, or what was decided, can be neither simulated nor switched off."""


class GuardModes(Policy, frozen=True, kw_only=True):
    """How each guard works. enforced: what it stops is stopped. simulated: it is asked, what it would have stopped is
    kept, and goes through. off: it goes through. A guard that is not named is enforced."""

    kind: ClassVar[str] = "guards"
    names: ClassVar[tuple[str, ...]] = ("default",)
    unreplayed: ClassVar[str] = "Simulate the guard instead: that tells which commands of the past it would stop."
    modes: dict[str, Mode] = msgspec.field(default_factory=dict)

    def faults(self, known: Known) -> list[Fault]:
        """Return guards there are not, and modes that a guard may not have."""
        found = []
        for name, mode in self.modes.items():
            guard = GUARDS.get(name)
            if guard is None:
                found.append(Fault(f"modes.{name}", name, f"there is no such guard; use {', '.join(sorted(GUARDS))}"))
            elif mode not in guard.modes:
                found.append(Fault(f"modes.{name}", mode, f"it may only be {' or '.join(guard.modes)}"))
        return found


def judge(standing: Standing, stop: Stop) -> Verdict:
    """Say whether a stop stands: not where its guard is simulated or off, nor where an active override covers it.

    A mode that a guard may not have is none: an old document cannot switch the role guard off.
    """
    guard = GUARDS.get(stop.guard)
    mode = standing.policies.get(GuardModes).modes.get(stop.guard, "enforced")
    if guard is not None and mode != "enforced" and mode in guard.modes:
        return Verdict("off" if mode == "off" else "would_refuse")
    used = borrowed(standing.overrides, stop)
    return Verdict(stop.ended) if used is None else Verdict("overridden", (used,))


def borrowed(overrides: Iterable[Override], stop: Stop) -> OverrideUsed | None:
    """Return the use of the override that covers a stop now, the first to expire of those that do; None without one."""
    found = [override for override in overrides if _covers(override, stop)]
    override = min(found, key=lambda override: (override.expires_at, override.id), default=None)
    if override is None:
        return None
    return OverrideUsed(
        override=override.id,
        rule=override.rule,
        verb=stop.verb.name,
        value=stop.subject or subject_of(stop.command),
        by=stop.actor.id,
        at=stop.now,
    )


def _covers(override: Override, stop: Stop) -> bool:
    """Tell whether an override covers a stop: rule, verb, object, and every site and channel the command concerns.

    Where it is covered by a site, every other site of the command must be named, too: a guard is passed whole, and what
    a rule says of one site is not lent by naming another.
    A rule that nobody lends is covered by nothing: an old document cannot lend what decides who may.
    """
    guard = GUARDS.get(stop.guard)
    rules = {stop.rule, guard.rule if guard is not None and stop.ended == "queued" else stop.rule}
    known = OVERRIDABLE.get(override.rule)
    if known is None or override.rule not in rules or override.life(stop.now) != "active":
        return False
    if override.verb not in ("", stop.verb.name):
        return False
    named = stop.verb.concerns(stop.state, stop.command)
    sites, channels = set(named.sites), set(named.channels)
    if stop.verb.moves is not None:
        sites |= {movement.site for movement in stop.verb.moves(stop.state, stop.command)}
    if override.sites and not (sites and sites <= set(override.sites)):
        return False
    if override.channels and not (channels and channels <= set(override.channels)):
        return False
    if not override.objects:
        return True
    # Of the command counts what it acts on, by id; an id in its free words names nothing.
    subject = {stop.subject, *(stop.subject.rpartition("#")[::2] if known.split else ())} - {""}
    about = subject | {name for name in stop.verb.touches(stop.command) if "_" in name}
    about |= stop.actor.roles if "role" in known.takes else set()
    objects = {*override.objects}
    by_name = not about.isdisjoint(objects)
    if stop.guard == RULE and (by_name or not subject.isdisjoint(sites)):
        return by_name
    by_site = "location" in known.takes and (stop.guard == RULE or stop.ended == "queued")
    if not by_name and not (by_site and not sites.isdisjoint(objects)):
        return False
    return sites.isdisjoint(objects) or sites <= {*objects, *override.sites}
