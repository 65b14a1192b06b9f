"""Which rules can be overridden at all: one table. What is not in it nobody lends, whatever a document says.

A rule stands here when a company has to bend it one day and the product asks for an override there. Who may do, decide
or approve what stands here never: a loan of that would be a loan of the lender. No command has a flag of its own that
lets it past a rule; a test holds that.

What looks like a bypass and is none, since it ends what the rule is about, by who decides that: releasing a hold,
thawing a freeze, settling a feed that was kept back, confirming an act above a limit, extending a quote. An emergency
change is a change: it acts at once, is reviewed within hours, and is rolled back where nobody reviews it. A guard is
simulated or off by a policy, which changes as every policy does. An edge that a workflow lacks leads nowhere.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from trueup.authority.standing import ROLES
from trueup.core.errors import Refusal
from trueup.core.money import Amount, is_currency
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.core.verb import Context, Decision, State, Verb

Scope = Literal["order", "hold type", "item", "location", "field", "role", "change"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Days = Annotated[int, msgspec.Meta(ge=1, le=365)]
SPONSOR = "Sponsor"
AMOUNTS = "limits.amount"
"""The code that amount limits go by: they let an act wait, and refuse nothing."""


class Lendable(msgspec.Struct, frozen=True):
    """A rule that can be overridden. title: what an override of it lets happen. takes: what its objects may name.

    departments: which may bear it, as shipped, the first where nobody names one. days_max, price_min: as shipped.
    split: its refusals are about `one#other`, either of which an override may name alone.
    """

    title: str
    takes: tuple[Scope, ...]
    departments: tuple[str, ...]
    days_max: int
    price_min: int
    split: bool = False


OVERRIDABLE: dict[str, Lendable] = {
    "stock.frozen": Lendable("Move goods at a frozen site", ("location",), ("operations", "fulfilment"), 3, 50),
    "catalogue.outside_band": Lendable("Run a site outside its bands", ("location",), ("operations",), 14, 10),
    "catalogue.not_sellable": Lendable("Order an item that is not ready to be sold", ("item",), ("operations",), 7, 20),
    "catalogue.not_shippable": Lendable(
        "Allocate an item to a parcel that is not ready for it", ("item", "order"), ("operations", "fulfilment"), 7, 20
    ),
    "catalogue.not_the_owner": Lendable(
        "Write a field that belongs to somebody else", ("item", "location", "field"), ("operations", "it"), 7, 20, True
    ),
    "catalogue.quarantined": Lendable(
        "Allocate what a containment keeps back", ("item", "location", "order"), ("operations",), 7, 50, True
    ),
    "orders.held": Lendable(
        "Let an order go on in spite of an open hold", ("order", "hold type"), ("operations", "finance"), 7, 25, True
    ),
    "orders.cancellation_window": Lendable(
        "Cancel an order after its window", ("order",), ("operations", "finance"), 3, 20
    ),
    "authority.blackout": Lendable("Apply a change in a blackout", ("change",), ("it", "operations"), 2, 100),
    "authority.budget": Lendable(
        "Apply a change beyond the budget of the stabilisation window", ("change",), ("it", "operations"), 7, 100
    ),
    AMOUNTS: Lendable(
        "Do more alone than an amount limit allows", ("role", "item", "order", "location"), ("finance",), 7, 50
    ),
}
"""By the code of the refusal. A test holds that each is asked for where it refuses, and that nothing else is."""


class Overridable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that can be overridden. days_max: for how long at most. price_min: per day, at least; zero is no price.

    departments: which may bear it; none named is each of them.
    """

    days_max: Days
    price_min: Amount = Amount(1)
    departments: tuple[Name, ...] = ()


class Bearer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A department that bears risks. role: who decides for it. debt_max: what its open overrides may cost until they
    expire, all together. days_max: how long one may be. Above either the Sponsor decides. hours: within which it is
    decided; later it is a case."""

    role: Name
    debt_max: Amount
    days_max: Days
    hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 8


def _rules() -> dict[str, Overridable]:
    return {
        rule: Overridable(known.days_max, Amount(known.price_min), known.departments)
        for rule, known in OVERRIDABLE.items()
    }


def _bearers() -> dict[str, Bearer]:
    return {
        "operations": Bearer("Operations Process Owner", Amount(5000), 14),
        "fulfilment": Bearer("Fulfilment Lead", Amount(1000), 7),
        "it": Bearer("IT Process Owner", Amount(5000), 14),
        "finance": Bearer("Finance", Amount(5000), 14),
    }


class Overriding(Policy, frozen=True, kw_only=True):
    """Which rules can be overridden, who bears that, and when an end is noticed beforehand.

    rules: by the code of the refusal, of those that `OVERRIDABLE` lists; what is not there cannot be overridden.
    bearers: department -> its limits.
    """

    kind: ClassVar[str] = "overriding"
    names: ClassVar[tuple[str, ...]] = ("default",)
    unreplayed: ClassVar[str] = "It decides which overrides can be granted; commands of the past ask for none."
    rules: dict[str, Overridable] = msgspec.field(default_factory=_rules)
    bearers: dict[str, Bearer] = msgspec.field(default_factory=_bearers)
    currency: str = "EUR"
    notice_hours: Annotated[int, msgspec.Meta(ge=1, le=240)] = 24

    def faults(self, known: Known) -> list[Fault]:
        """Return rules that nobody lends, departments and roles there are not, missing prices, an unknown currency."""
        found = [
            Fault(f"rules.{rule}", rule, f"it is never lent; what can be: {', '.join(OVERRIDABLE)}")
            for rule in self.rules
            if rule not in OVERRIDABLE
        ]
        for rule, terms in self.rules.items():
            if Decimal(terms.price_min) <= 0:
                found.append(Fault(f"rules.{rule}.price_min", str(terms.price_min), "a loan has a price"))
        for name, bearer in self.bearers.items():
            if bearer.role not in ROLES or bearer.role == "Administrator":
                found.append(Fault(f"bearers.{name}.role", bearer.role, "no role that decides"))
            if Decimal(bearer.debt_max) < 0:
                found.append(Fault(f"bearers.{name}.debt_max", str(bearer.debt_max), "zero or more"))
        if not is_currency(self.currency):
            found.append(Fault("currency", self.currency, "no currency"))
        return found

    def bearing(self, rule: str) -> tuple[str, ...]:
        """Return the departments that may bear an override of a rule, the one that does by default first."""
        named = self.rules[rule].departments
        return tuple(name for name in named if name in self.bearers) if named else tuple(self.bearers)


def told(refusal: Refusal, policies: Policies, about: str = "") -> Refusal:
    """Return a refusal whose fix says that an override may be asked for, who decides it, and how long that takes.

    about: what it would be for, where that is not what the refusal is about. A rule that is not lent is returned as it
    is.
    """
    hint = hint_of(refusal.rule, about or refusal.value, policies)
    if not hint or hint in refusal.fix:
        return refusal
    return msgspec.structs.replace(refusal, fix=f"{refusal.fix} {hint}")


def hint_of(rule: str, value: str, policies: Policies) -> str:
    """Return who may be asked for an override of a rule, about a value, as a sentence; "" where it is not lent."""
    known, policy = OVERRIDABLE.get(rule), policies.get(Overriding)
    bearing = policy.bearing(rule) if rule in policy.rules else ()
    if known is None or not bearing:
        return ""
    bearer = policy.bearers[bearing[0]]
    parts = value.rpartition("#") if known.split else ("", "", value)
    about = " or ".join(part for part in (parts[0], parts[2]) if part) or " or ".join(known.takes)
    return f"An override of {rule} for {about} may be asked for; {bearer.role} decides, within {bearer.hours} hours."


def telling(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb whose refusals say where an override may be asked for."""
    decide = verb.decide

    def asked(state: State, command: Any, context: Context) -> Decision:
        decision = decide(state, command, context)
        known = OVERRIDABLE.get(decision.rule) if isinstance(decision, Refusal) else None
        if known is None or not isinstance(decision, Refusal):
            return decision
        sites = verb.concerns(state, command).sites if known.takes == ("location",) else ()
        return told(decision, context.policies, next(iter(sites), ""))

    asked.__doc__ = decide.__doc__
    return msgspec.structs.replace(verb, decide=asked)
