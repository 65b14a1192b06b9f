"""What an open case costs per hour while nobody acts, where its kind has no formula of its own: a pure function.

    price per hour = value of the orders it touches x margin x share of orders lost per day of delay / 24

Source: value at stake times the rate at which waiting customers cancel; the shipped figures are estimates that nobody
has confirmed, and say so (`default`), until a policy `case_pricing` names those of the shop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from trueup.cases.act import find_open
from trueup.cases.case import CasePriced
from trueup.cases.state import Cases
from trueup.core.errors import Refusal
from trueup.core.money import Amount, is_currency
from trueup.core.policy import Fault, Known, Policies, Policy
from trueup.core.quantity import ZERO
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

FORMULA = "value of the orders it touches x margin x share of orders lost per day of delay, per 24 hours"
COUNTED = "priced_subjects"
"""Where a case's source keeps how many subjects its price is of; another number asks for another price."""
_RATE = Decimal("0.000001")


class CasePricing(Policy, frozen=True, kw_only=True):
    """What the formula takes from people. margin: of an order's value, 0 to 1. lost_per_day: of orders, 0 to 1.

    floor_per_order_day: what an order costs per day of delay at least, whatever it is worth (calls, searching).
    """

    kind: ClassVar[str] = "case_pricing"
    names: ClassVar[tuple[str, ...]] = ("default",)
    unreplayed: ClassVar[str] = "it prices cases, and changes no order"
    margin: Decimal = Decimal("0.30")
    lost_per_day: Decimal = Decimal("0.05")
    floor_per_order_day: Decimal = Decimal("0.50")

    def faults(self, known: Known) -> list[Fault]:
        """Return shares that are none, and a floor below nothing."""
        faults = [
            Fault(name, str(value), "a share is between 0 and 1")
            for name, value in (("margin", self.margin), ("lost_per_day", self.lost_per_day))
            if not 0 <= value <= 1
        ]
        if self.floor_per_order_day < 0:
            faults.append(Fault("floor_per_order_day", str(self.floor_per_order_day), "it is zero or more"))
        return faults


class AtStake(msgspec.Struct, frozen=True):
    """Orders that a case touches, of one currency: how many, and their totals together."""

    currency: str
    orders: int
    value: Decimal


class Priced(msgspec.Struct, frozen=True):
    """What a case costs per hour, in `currency`, and what that is made of."""

    per_hour: Decimal
    currency: str
    source: dict[str, Any]


def price_of(touched: Sequence[AtStake], policy: CasePricing, *, confirmed: bool) -> Priced | None:
    """Return the price of the orders in the currency that most of them are in; None without orders.

    Those in other currencies are counted in the source, not converted. confirmed: somebody published the rates.
    """
    if not touched:
        return None
    mine = min(touched, key=lambda found: (-found.orders, found.currency))
    by_value = max(mine.value, ZERO) * policy.margin * policy.lost_per_day
    per_day = max(by_value, policy.floor_per_order_day * mine.orders)
    basis = "entered" if confirmed else "default"
    inputs = [
        {"name": "orders it touches", "value": str(mine.orders), "unit": "orders", "basis": "measured"},
        {"name": "their value", "value": str(mine.value), "unit": mine.currency, "basis": "measured"},
        {"name": "margin", "value": str(policy.margin), "unit": "of value", "basis": basis},
        {"name": "lost per day of delay", "value": str(policy.lost_per_day), "unit": "of orders", "basis": basis},
        {"name": "at least per order and day", "value": str(policy.floor_per_order_day), "unit": mine.currency,
         "basis": basis},
    ]  # fmt: skip
    source = {
        "formula": FORMULA,
        "inputs": inputs,
        "per_day": str(per_day),
        "currency": mine.currency,
        "orders_in_other_currencies": sum(found.orders for found in touched) - mine.orders,
    }
    return Priced((per_day / 24).quantize(_RATE), mine.currency, source)


class PriceCase(Command, frozen=True, kw_only=True):
    """Put the formula's price on a case. Trueup's own follow-up. source: what it is made of.

    subjects: how many the case concerned when it was computed.
    """

    case: str
    price_per_hour: Amount
    currency: str
    source: dict[str, Any]
    subjects: int


def price_case(state: State, command: PriceCase, context: Context) -> Decision:
    """Set what the case costs per hour from now on. The same price again ends as merged.

    Refuses anybody but Trueup itself, a closed case, one that its reporter priced, and what is no price.
    """
    if "System" not in context.actor.roles:
        return Refusal("cases.priced_by_formula", "The formula prices cases; its rates are the policy `case_pricing`.",
                       "Change the policy.", "actor", context.actor.id)  # fmt: skip
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    if command.price_per_hour < 0 or not is_currency(command.currency):
        return Refusal("cases.price", "A price per hour is zero or more, in a currency of ISO 4217.", "Correct it.",
                       "price_per_hour", str(command.price_per_hour))  # fmt: skip
    if case.price_per_hour and not by_formula(case.source):
        return Refusal("cases.priced_by_reporter", "Who reported it gave its price.", "Leave it.", "case", case.id)
    if case.price_microseconds and case.currency != command.currency:
        return Refusal("cases.price_currency", f"It has cost money in {case.currency} already.",
                       "Leave it in that currency.", "currency", command.currency)  # fmt: skip
    told = (command.price_per_hour, command.currency, command.subjects)
    if (case.price_per_hour, case.currency, case.source.get(COUNTED)) == told:
        return Accepted((), case.id, {"case": case.id}, "merged")
    event = CasePriced(
        case=case.id,
        price_per_hour=command.price_per_hour,
        currency=command.currency,
        source={**case.source, **command.source, COUNTED: command.subjects},
        at=context.now,
    )
    return Accepted([event], case.id, {"case": case.id})


def by_formula(source: Mapping[str, Any]) -> bool:
    """Tell whether a case's price is this formula's."""
    return source.get("formula") == FORMULA


def _wants(state: State, command: PriceCase, policies: Policies) -> None:
    state.of(Cases).want(command.case)


VERBS = (
    Verb(
        name="cases.price",
        command=PriceCase,
        decide=price_case,
        wants=_wants,
        touches=lambda command: (command.case,),
    ),
)
