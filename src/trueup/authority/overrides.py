"""Ask for an override, grant it, decline it, give it back: every bypass is a loan that comes due by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.authority.overridable import OVERRIDABLE, SPONSOR, Name, Overriding
from trueup.authority.overrides_state import (
    Override,
    OverrideAsked,
    OverrideDeclined,
    OverrideEnded,
    OverrideGranted,
    OverrideNoticed,
    Overrides,
)
from trueup.authority.passing import lent_by_asker, roll_of, want_people
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.money import Amount
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=200)]


class AskOverride(Command, frozen=True, kw_only=True):
    """Ask to be let past a rule for a while.

    rule: code of the refusal. verb: only this act; "" for any. objects: ids, SKUs or site codes it is for. sites,
    channels: where alone. department: who bears the risk; "" is who does by default. price_per_day: in the policy's
    currency; None is the least.
    """

    rule: Name
    reason: Reason
    expires_at: datetime
    department: Annotated[str, msgspec.Meta(max_length=120)] = ""
    verb: Annotated[str, msgspec.Meta(max_length=80)] = ""
    objects: Names = ()
    sites: Names = ()
    channels: Names = ()
    price_per_day: Amount | None = None


class GrantOverride(Command, frozen=True, kw_only=True):
    """Let it hold from now on. override: `ovr_...`."""

    override: str


class DeclineOverride(Command, frozen=True, kw_only=True):
    """Do not grant it."""

    override: str
    reason: Reason


class EndOverride(Command, frozen=True, kw_only=True):
    """Give an override back before it expires; it costs nothing from then on."""

    override: str
    reason: Reason


class NoticeOverride(Command, frozen=True, kw_only=True):
    """Notice that an override is about to expire, or did."""

    override: str


def ask_override(state: State, command: AskOverride, context: Context) -> Decision:
    """Ask for it; it holds nothing yet.

    Refuses a rule that cannot be overridden, no scope, a scope that is only an act, an expiry that is past, without a
    zone or beyond the rule's maximum, a department that does not bear this rule, and a price below the rule's.
    """
    policy = context.policies.get(Overriding)
    terms = policy.rules.get(command.rule) if command.rule in OVERRIDABLE else None
    if terms is None:
        can = ", ".join(sorted(policy.rules.keys() & OVERRIDABLE.keys()))
        return Refusal("authority.not_overridable", f"{command.rule} cannot be overridden.",
                       f"The policy overriding lists what can: {can or 'nothing'}.", "rule",
                       command.rule)  # fmt: skip
    if not (command.objects or command.sites or command.channels):
        return Refusal("authority.override_scope", "An override is for something: it names objects, sites or channels.",
                       "Name what it is for in `objects`, or where in `sites` or `channels`.", "objects")  # fmt: skip
    bearing = policy.bearing(command.rule)
    department = command.department or next(iter(bearing), "")
    if department not in bearing:
        return Refusal("authority.unknown_department", f"No department {department!r} bears overrides of "
                       f"{command.rule}.", f"Use one of: {', '.join(bearing)}.", "department",
                       department)  # fmt: skip
    refusal = _bad_expiry(command.expires_at, context.now, terms.days_max)
    if refusal is not None:
        return refusal
    price = Decimal(terms.price_min if command.price_per_day is None else command.price_per_day)
    if price < Decimal(terms.price_min):
        return Refusal("authority.override_price", f"{command.rule} costs at least {terms.price_min} a day.",
                       "Leave the price out for the least.", "price_per_day", str(price))  # fmt: skip
    override = Override(
        id=context.new_id("ovr"),
        rule=command.rule,
        verb=command.verb,
        objects=tuple(sorted(set(command.objects))),
        sites=tuple(sorted(set(command.sites))),
        channels=tuple(sorted(set(command.channels))),
        reason=command.reason,
        department=department,
        price_per_day=price,
        currency=policy.currency,
        expires_at=command.expires_at,
        asked_by=context.actor.id,
        asked_at=context.now,
    )
    result = {"override": override.id, "decides": decider(override, _open(state), policy, context.now)}
    return Accepted([OverrideAsked(override=override)], override.id, result)


def grant_override(state: State, command: GrantOverride, context: Context) -> Decision:
    """Grant it. Refuses the asker, whoever does not decide for the department, and one that is settled or lapsed.

    Above the department's limit of debt or days only the Sponsor decides; who administers decides nothing.
    """
    override = _known(state, command.override)
    if isinstance(override, Refusal):
        return override
    life = override.life(context.now)
    if life == "active":
        return Accepted((), override.id, {"override": override.id, "life": life}, "merged")
    if life != "asked":
        return _settled(override, life)
    if override.asked_by == context.actor.id:
        return Refusal("authority.own_override", "Nobody grants their own override.",
                       "Ask somebody else who decides for the department.", "override", override.id)  # fmt: skip
    role = decider(override, _open(state), context.policies.get(Overriding), context.now)
    refusal = _not_decider(state, override, context) or _by_its_asker(state, override, role, context)
    if refusal is not None:
        return refusal
    event = OverrideGranted(override=override.id, role=role, by=context.actor.id, at=context.now)
    result = {"override": override.id, "life": "active", "expires_at": override.expires_at.isoformat()}
    return Accepted([event], override.id, result)


def decline_override(state: State, command: DeclineOverride, context: Context) -> Decision:
    """Decline it; the record stays. Refuses who neither asked nor decides, and one that is settled."""
    override = _known(state, command.override)
    if isinstance(override, Refusal):
        return override
    life = override.life(context.now)
    if life == "declined":
        return Accepted((), override.id, {"override": override.id, "life": life}, "merged")
    if life not in ("asked", "lapsed"):
        return _settled(override, life)
    if override.asked_by != context.actor.id:
        refusal = _not_decider(state, override, context)
        if refusal is not None:
            return refusal
    role = decider(override, _open(state), context.policies.get(Overriding), context.now)
    event = OverrideDeclined(override=override.id, role=role, words=command.reason, by=context.actor.id, at=context.now)
    return Accepted([event], override.id, {"override": override.id, "life": "declined"})


def end_override(state: State, command: EndOverride, context: Context) -> Decision:
    """Give it back. Refuses one that was not granted; one that ended or expired is merged."""
    override = _known(state, command.override)
    if isinstance(override, Refusal):
        return override
    life = override.life(context.now)
    if life in ("ended", "expired"):
        return Accepted((), override.id, {"override": override.id, "life": life}, "merged")
    if life != "active":
        return _settled(override, life)
    event = OverrideEnded(override=override.id, words=command.reason, by=context.actor.id, at=context.now)
    return Accepted([event], override.id, {"override": override.id, "life": "ended"})


def notice_override(state: State, command: NoticeOverride, context: Context) -> Decision:
    """Open a case about an override that nobody decides in time, is about to expire in use, or expired unused.

    What is none of these is noted, so that nobody asks again; it changes nothing about whether the override holds.
    """
    override = _known(state, command.override)
    if isinstance(override, Refusal):
        return override
    policy = context.policies.get(Overriding)
    what = noticeable(override, context.now, policy)
    if what is None:
        return Accepted((), override.id, {"override": override.id}, "merged")
    events: list[Event] = [OverrideNoticed(override=override.id, what=what, at=context.now)]
    if what == "undecided" or (what == "expiring") == (override.uses > 0):
        bearer = policy.bearers.get(override.department)
        title = {"undecided": "was asked for, and nobody decides it",
                 "expiring": "is about to expire while it is used"}.get(what, "expired and was never used")  # fmt: skip
        events += case_events(
            state,
            context,
            cause=_cause(override.id),
            kind="override",
            title=f"The override of {override.rule} {title}",
            severity=4,
            owner_role=bearer.role if bearer is not None and what != "undecided" else SPONSOR,
            subjects=(CaseSubject("override", override.id, override.reason[:200]),),
            currency=override.currency,
        )
    return Accepted(events, override.id, {"override": override.id, "noticed": what})


def noticeable(override: Override, now: datetime, policy: Overriding) -> str | None:
    """Return what there is to notice about an override: `undecided`, `expiring` or `expired`, once each."""
    if override.life(now) == "asked":
        bearer = policy.bearers.get(override.department)
        late = bearer is None or now >= override.asked_at + timedelta(hours=bearer.hours)
        return "undecided" if late and "undecided" not in override.noticed else None
    if override.granted_at is None or override.ended_at is not None:
        return None
    if now >= override.expires_at:
        return None if "expired" in override.noticed else "expired"
    soon = now >= override.expires_at - timedelta(hours=policy.notice_hours)
    return "expiring" if soon and "expiring" not in override.noticed else None


def decider(override: Override, others: list[Override], policy: Overriding, now: datetime) -> str:
    """Return the one role that decides an override: its department's, or the Sponsor above the department's limit."""
    bearer = policy.bearers.get(override.department)
    if bearer is None or override.expires_at - now > timedelta(days=bearer.days_max):
        return SPONSOR
    open_ = [o for o in others if o.id != override.id and o.department == override.department]
    # What is open in another currency cannot be added up, and is no reason to lend beyond the limit.
    if any(o.currency != policy.currency for o in (*open_, override) if o.life(now) in ("asked", "active")):
        return SPONSOR
    committed = sum((o.committed(now) for o in open_ if o.life(now) == "active"), ZERO) + override.committed(now)
    return bearer.role if committed <= Decimal(bearer.debt_max) else SPONSOR


async def due_overrides(connection: Connection, now: datetime) -> list[tuple[str, NoticeOverride]]:
    """Return a key and a command for each override whose end, or that nobody decides it, may have to be noticed."""
    rows = await connection.execute(
        """select id, expires_at <= %s from override_loan
        where declined_at is null and ended_at is null and (
            (granted_at is not null and expires_at <= %s
                and not case when expires_at <= %s then 'expired' else 'expiring' end = any(noticed))
            or (granted_at is null and expires_at > %s and asked_at <= %s and not 'undecided' = any(noticed)))
        order by expires_at, id limit 500""",
        [now, now + timedelta(hours=240), now, now, now - timedelta(hours=1)],
    )
    return [
        (f"{id_}/{'expired' if expired else f'{now:%Y-%m-%dT%H}'}", NoticeOverride(override=id_))
        for id_, expired in await rows.fetchall()
    ]


def _open(state: State) -> list[Override]:
    return list(state.of(Overrides).overrides.values())


def _not_decider(state: State, override: Override, context: Context) -> Refusal | None:
    policy = context.policies.get(Overriding)
    role = decider(override, _open(state), policy, context.now)
    if not {role, SPONSOR}.isdisjoint(context.actor.everywhere()):
        return None
    bearer = policy.bearers.get(override.department)
    above = bearer is not None and role == SPONSOR
    why = f": it is above what {override.department} bears by itself" if above else ""
    return Refusal(
        "authority.not_decider",
        f"{role} decides this override{why}; {context.actor.name} is not {role}.",
        f"Ask {role}; until then the rule holds. It lapses at {override.expires_at:%Y-%m-%d %H:%M} UTC.",
        "override",
        override.id,
    )


def _by_its_asker(state: State, override: Override, role: str, context: Context) -> Refusal | None:
    """Refuse who decides only by what the asker lent or appointed them to."""
    roll = roll_of(state, context)
    held = roll.without(override.asked_by, context.actor.id).actors.get(context.actor.id)
    if held is not None and not {role, SPONSOR}.isdisjoint(held.everywhere()):
        return None
    return lent_by_asker(context.actor.name, roll.name(override.asked_by), "override", override.id)


def _bad_expiry(at: datetime, now: datetime, days_max: int) -> Refusal | None:
    if at.tzinfo is None:
        return Refusal("authority.override_expiry", f"The time {at} has no zone.", "State the offset.",
                       "expires_at", str(at))  # fmt: skip
    latest = now + timedelta(days=days_max)
    if now < at <= latest:
        return None
    return Refusal("authority.override_expiry", f"This override ends within {days_max} days, and in the future.",
                   f"{latest:%Y-%m-%d %H:%M} UTC is the latest.", "expires_at", at.isoformat())  # fmt: skip


def _known(state: State, override: str) -> Override | Refusal:
    return state.of(Overrides).override(override) or Refusal(
        "authority.unknown_override", f"There is no override {override[:80]!r}.", "Look its id up in the list.",
        "override", override[:80],
    )  # fmt: skip


def _settled(override: Override, life: str) -> Refusal:
    words = {"asked": "is only asked for", "lapsed": "lapsed before anybody decided it"}.get(life, f"is {life}")
    return Refusal("authority.override_settled", f"The override {words}.", "Ask for another one.", "override",
                   override.id)  # fmt: skip


def _cause(override: str) -> str:
    return f"override:{override}"


def wants_override(state: State, command: Any, policies: Policies) -> None:
    """Ask for what these rules need: people and rights, the override that is named, and those that are open."""
    want_people(state)
    state.of(Overrides).want(getattr(command, "override", ""))


def _wants_noticed(state: State, command: NoticeOverride, policies: Policies) -> None:
    wants_override(state, command, policies)
    state.of(Cases).want_cause(_cause(command.override))


_ACTS: tuple[tuple[str, type[Command], Callable[[State, Any, Context], Decision]], ...] = (
    ("authority.ask_override", AskOverride, ask_override),
    ("authority.grant_override", GrantOverride, grant_override),
    ("authority.decline_override", DeclineOverride, decline_override),
    ("authority.end_override", EndOverride, end_override),
)
VERBS: tuple[Verb[Any], ...] = (
    *(
        Verb(name=name, command=command, decide=decide, wants=wants_override, touches=lambda command: ("authority",))
        for name, command, decide in _ACTS
    ),
    Verb(
        name="authority.notice_override",
        command=NoticeOverride,
        decide=notice_override,
        wants=_wants_noticed,
        touches=lambda command: ("authority",),
    ),
)
