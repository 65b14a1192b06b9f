"""How changes are controlled: pre-approved templates, blackouts, the stabilisation window's budget, and deadlines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from trueup.core.money import is_currency
from trueup.core.policy import Fault, Known, Policy
from trueup.core.verb import Governed

INDICATORS = {
    "holds": "holds placed, per hundred orders placed",
    "backorders": "orders that had to wait for stock, per hundred orders placed",
    "cancellations": "orders cancelled, wholly or in part, per hundred orders placed",
    "rejections": "fulfilment orders that a location rejected, per hundred orders placed",
    "splits": "fulfilment orders made, per hundred orders placed",
    "cases": "cases opened, per hundred orders placed",
    "refusals": "commands that a guard or rule refused, per hundred orders placed",
}
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of change that was approved beforehand. keys: what it may touch. in_window: also during stabilisation."""

    name: Name
    keys: tuple[Name, ...]
    in_window: bool = False


class Blackout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"from_": "from"}):
    """A time in which nothing, or nothing of these keys, is applied. Both ends with a zone; `until` is exclusive."""

    name: Name
    from_: datetime
    until: datetime
    keys: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for times without a zone and a blackout that ends before it begins."""
        if self.from_.tzinfo is None or self.until.tzinfo is None:
            raise ValueError("from and until carry an offset")
        if self.until <= self.from_:
            raise ValueError("until lies after from")

    def holds(self, objects: Iterable[Governed], at: datetime) -> bool:
        """Tell whether it stops a change of these objects at a time."""
        return self.from_ <= at < self.until and (not self.keys or any(covers(self.keys, one.key) for one in objects))


class ChangeControl(Policy, frozen=True, kw_only=True):
    """The rules of changing.

    window_budget: changes that may be applied within seven days while the stabilisation window lasts. review_hours:
    within which an emergency change is reviewed. watch_hours: how long its indicators are watched afterwards.
    emergency_price_per_day: what an emergency costs that nobody reviewed and nothing could revert, in `currency`.
    """

    kind: ClassVar[str] = "change_control"
    names: ClassVar[tuple[str, ...]] = ("default",)
    unreplayed: ClassVar[str] = "it says how changes are decided, which no past command depends on"
    templates: tuple[Template, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    window_budget: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    review_hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    watch_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 72
    emergency_price_per_day: Decimal = Decimal("100")
    currency: str = "EUR"

    def faults(self, known: Known) -> list[Fault]:
        """Return keys nobody knows, templates of one name, a price below zero, and an unknown currency."""
        listed = [(f"templates[{at}].keys", template.keys) for at, template in enumerate(self.templates)]
        listed += [(f"blackouts[{at}].keys", blackout.keys) for at, blackout in enumerate(self.blackouts)]
        found = [
            Fault(where, key, f"nothing governed is called {key!r}")
            for where, keys in listed
            for key in keys
            if key.partition(":")[0] not in known.governed
        ]
        found += [
            Fault(f"templates[{at}].keys", key, "the rules of changing are decided each time")
            for at, template in enumerate(self.templates)
            for key in template.keys
            if is_rule_of_changing(key)
        ]
        names = [template.name for template in self.templates]
        found += [Fault("templates", name, "two templates have this name") for name in names if names.count(name) > 1]
        if self.emergency_price_per_day < 0:
            found.append(Fault("emergency_price_per_day", str(self.emergency_price_per_day), "it is zero or more"))
        if not is_currency(self.currency):
            found.append(Fault("currency", self.currency, "use an ISO 4217 code"))
        return found

    def template(self, name: str | None) -> Template | None:
        """Return the template of this name."""
        return next((template for template in self.templates if template.name == name), None)

    def blackout(self, objects: Iterable[Governed], at: datetime) -> Blackout | None:
        """Return the blackout that stops a change of these objects at a time."""
        touched = tuple(objects)
        return next((blackout for blackout in self.blackouts if blackout.holds(touched, at)), None)

    def next_free(self, objects: Iterable[Governed], at: datetime) -> datetime:
        """Return the first moment from `at` on that no blackout stops."""
        touched = tuple(objects)
        while (blackout := self.blackout(touched, at)) is not None:
            at = blackout.until
        return at


RULES_OF_CHANGING = ("decision_rights", "change_control", "separation", "rights")
"""The policies that say how a change is decided: without the right to approve, nobody reviews."""


def is_rule_of_changing(key: str) -> bool:
    """Tell whether a key is of a policy that says how changes are decided: none is eased in the act it judges."""
    return key.partition(".")[0] in RULES_OF_CHANGING


def covers(keys: Iterable[str], key: str) -> bool:
    """Tell whether a list of keys names this one, or what it is an entry of."""
    return key in keys or key.partition(":")[0] in keys
