"""Containment of a breach: it applies itself at its due moment, is noticed, and can be lifted by a loan."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.authority.overridable import Overriding
from trueup.authority.overrides import AskOverride, ask_override, wants_override
from trueup.cases.case import CasePriced
from trueup.cases.state import Cases
from trueup.catalogue.breach_state import Breach, Breaches, Contained, bites
from trueup.catalogue.contract import Containment
from trueup.core.errors import Refusal
from trueup.core.money import Amount, is_currency
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

HOURS_MAX = 168


class Contain(Command, frozen=True, kw_only=True):
    """Notice that the containment of a case's breaches holds; it holds whether or not anybody notices."""

    case: str


class ReleaseContainment(Command, frozen=True, kw_only=True):
    """Ask that the containment of a case is lifted for some hours, by an override: if the rule still fails then, it
    holds again.

    keys: SKUs or codes, without them all that it contains. hours: from now. reason: why, for the record.
    """

    case: str
    keys: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] = ()
    hours: Annotated[int, msgspec.Meta(ge=1, le=HOURS_MAX)] = 24
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class PriceBreach(Command, frozen=True, kw_only=True):
    """Say what a case of breaches costs per hour, with the formula and its inputs."""

    case: str
    price_per_hour: Amount
    currency: str
    source: dict[str, Any]


def contain(state: State, command: Contain, context: Context) -> Decision:
    """Note every breach of the case whose containment holds by now and was not noted; without any it is merged."""
    found = [b for b in state.of(Breaches).of_case(command.case) if b.told_at is None and bites(b, context.now)]
    result = {"case": command.case, "contained": len(found)}
    if not found:
        return Accepted((), command.case, result, "merged")
    event = Contained(
        case=command.case,
        breaches=tuple(b.id for b in found),
        subjects=tuple(b.subject for b in found),
        since=min(b.due_at for b in found),
        at=context.now,
    )
    return Accepted([event], command.case, result)


def release_containment(state: State, command: ReleaseContainment, context: Context) -> Decision:
    """Ask for the override; it costs a day what the case does, and somebody else grants it.

    Refuses what is not contained now, keys that are not, naming them, and what `authority.ask_override` refuses.
    Nothing else changes: the rule still fails, the case stays open and costs what it costs.
    """
    contained = [b for b in state.of(Breaches).of_case(command.case) if bites(b, context.now)]
    found = [b for b in contained if not command.keys or b.key in command.keys]
    unknown = sorted(set(command.keys) - {b.key for b in contained})
    if not found or unknown:
        what = f"{unknown[0]!r} is not contained by case" if unknown else "Nothing is contained by case"
        return Refusal("catalogue.not_contained", f"{what} {command.case[:80]} now.",
                       "The case's page lists what is, and from when.", "keys" if unknown else "case",
                       unknown[0] if unknown else command.case[:80])  # fmt: skip
    asked = AskOverride(
        rule=RULE,
        reason=command.reason,
        expires_at=context.now + timedelta(hours=command.hours),
        objects=tuple(named(b) for b in found),
        price_per_day=_per_day(state, command.case, context.policies),
    )
    decision = ask_override(state, asked, context)
    if isinstance(decision, Refusal):
        return decision
    result = {**decision.result, "case": command.case, "keys": len(found), "until": asked.expires_at.isoformat()}
    return msgspec.structs.replace(decision, result=result, status="pending_approval")


def lifting_per_day(price_per_hour: Decimal, currency: str, policies: Policies) -> Decimal:
    """Return what lifting costs a day: what the case does (per hour), and at least what the rule does."""
    policy = policies.get(Overriding)
    least = Decimal(policy.rules[RULE].price_min) if RULE in policy.rules else Decimal(0)
    return max(least, (price_per_hour * 24).quantize(Decimal("0.01"))) if currency == policy.currency else least


def _per_day(state: State, case: str, policies: Policies) -> Amount:
    known = state.of(Cases).cases.get(case)
    price, currency = (known.price_per_hour, known.currency) if known is not None else (Decimal(0), "")
    return Amount(lifting_per_day(price, currency, policies))


def price_breach(state: State, command: PriceBreach, context: Context) -> Decision:
    """Put the price on the case.

    Refuses anybody but Trueup itself, an unknown currency, a price below zero, a case that is closed, and another
    currency than it has cost money in already.
    """
    if "System" not in context.actor.roles:
        return Refusal("cases.priced_by_formula", "The formula prices cases; its rates are the policy `case_pricing`.",
                       "Change the policy.", "actor", context.actor.id)  # fmt: skip
    case = state.of(Cases).cases.get(command.case)
    if case is None or case.closed_at is not None or case.kind != "contract_breach":
        return Refusal("catalogue.no_breach", f"{command.case[:80]!r} is no open case of a contract's breach.",
                       "Look it up in the list of cases.", "case", command.case[:80])  # fmt: skip
    if not is_currency(command.currency) or command.price_per_hour < 0:
        return Refusal("catalogue.price", f"{command.price_per_hour} {command.currency[:10]} is no price.",
                       "Send zero or more, in an ISO 4217 currency.", "price_per_hour",
                       str(command.price_per_hour))  # fmt: skip
    result = {"case": case.id, "price_per_hour": str(command.price_per_hour)}
    if (case.price_per_hour, case.source) == (Decimal(command.price_per_hour), command.source):
        return Accepted((), case.id, result, "merged")
    if case.price_microseconds and case.currency != command.currency:
        return Refusal("cases.price_currency", f"It has cost money in {case.currency} already.",
                       "Leave it in that currency.", "currency", command.currency)  # fmt: skip
    event = CasePriced(
        case=case.id,
        price_per_hour=Decimal(command.price_per_hour),
        currency=command.currency,
        source=command.source,
        at=context.now,
    )
    return Accepted([event], case.id, result)


RULE = "catalogue.quarantined"
_ANYWHERE: tuple[Containment, ...] = ("quarantine_item",)
_SENT: tuple[Containment, ...] = ("quarantine_item", "not_for_parcel")
_KEPT: dict[Containment, str] = {
    "quarantine_item": "is kept from allocation",
    "not_for_parcel": "is kept from parcels",
    "quarantine_location": "takes nothing more",
}


def barred(state: State, items: Iterable[str], context: Context, *, sent: bool) -> dict[str, Breach]:
    """Return which items (ids) may not be allocated now, each with the breach that keeps it.

    sent: they go by parcel. What an override lets pass is not kept.
    """
    return _kept(state, items, context, _SENT if sent else _ANYWHERE)


def closed(state: State, locations: Iterable[str], context: Context) -> dict[str, Breach]:
    """Return which locations (ids) take nothing more now, each with the breach that keeps it; see `barred`."""
    return _kept(state, locations, context, ("quarantine_location",))


def _kept(state: State, subjects: Iterable[str], context: Context, kinds: tuple[Containment, ...]) -> dict[str, Breach]:
    breaches, found = state.of(Breaches), dict[str, Breach]()
    for subject in subjects:
        for breach in breaches.bars(subject, context.now, kinds):
            if not context.excuses(RULE, named(breach)):
                found.setdefault(subject, breach)
    return found


def named(breach: Breach) -> str:
    """Return what an override is about: `MUG#case_...`, of which it may name either part: lifting what one case
    contains lifts nothing that another does."""
    return f"{breach.key}#{breach.case_id}"


def barred_refusal(breach: Breach, where: str) -> Refusal:
    """Return the refusal of allocating what a containment keeps back, or where one lets nothing more be."""
    return Refusal(
        RULE,
        f"{breach.key} {_KEPT[breach.containment]} since {breach.due_at:%Y-%m-%d %H:%M} UTC: {breach.rule} of contract "
        f"{breach.contract} fails ({breach.detail}), and no corrective measure was initiated in time.",
        f"Put the value right, which lifts it by itself; or lift it for a while at case {breach.case_id}.",
        where,
        named(breach),
    )


def _wants(state: State, command: Contain | ReleaseContainment, policies: Policies) -> None:
    state.of(Cases).want(command.case)
    state.of(Breaches).want_case(command.case)


def _wants_lifting(state: State, command: ReleaseContainment, policies: Policies) -> None:
    _wants(state, command, policies)
    wants_override(state, command, policies)


VERBS = (
    Verb(
        name="catalogue.contain",
        command=Contain,
        decide=contain,
        wants=_wants,
        touches=lambda command: (command.case,),
    ),
    Verb(
        name="catalogue.release_containment",
        command=ReleaseContainment,
        decide=release_containment,
        wants=_wants_lifting,
        touches=lambda command: (command.case, "authority"),
    ),
    Verb(
        name="catalogue.price_breach",
        command=PriceBreach,
        decide=price_breach,
        wants=lambda state, command, policies: state.of(Cases).want(command.case),
        touches=lambda command: (command.case,),
    ),
)
