"""The conditions that tables ask of an order: a field, an operator, a value; plain data, compiled once.

A field that has no value is in no list and equals nothing: `not_in` holds for it, `is` and `in` do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from trueup.core.policy import Fault
from trueup.core.quantity import ZERO, Quantity

if TYPE_CHECKING:
    from trueup.catalogue.state import Item
    from trueup.orders.state import Captured, Line

Operator = Literal["is", "in", "not_in", "over", "under", "between", "present"]
Kind = Literal["text", "number", "yes_no", "texts"]


class LineFacts(msgspec.Struct, frozen=True):
    """A line of goods as conditions see it. amount: before its discount, in the order's currency."""

    number: int
    quantity: Decimal
    amount: Decimal
    item: Item


class Facts(msgspec.Struct, frozen=True):
    """An order as conditions see it. customer_orders: earlier ones of its customer. zone: the one hours are read in."""

    order: Captured
    goods: tuple[Line, ...]
    lines: tuple[LineFacts, ...]
    zone: ZoneInfo
    customer_orders: int = 0
    customer_country: str | None = None

    @property
    def placed(self) -> datetime:
        """When it was placed, in the business's zone."""
        return self.order.placed_at.astimezone(self.zone)


class Field(NamedTuple):
    """One thing to ask for: its kind, how it is read, whether of a line, and whether it is money."""

    kind: Kind
    read: Callable[[Any], Any]
    of_line: bool = False
    money: bool = False


FIELDS: dict[str, Field] = {
    "order.total": Field("number", lambda f: f.order.totals.total, money=True),
    "order.discount": Field("number", lambda f: f.order.totals.discount, money=True),
    "order.currency": Field("text", lambda f: f.order.currency),
    "order.type": Field("text", lambda f: f.order.type),
    "order.channel": Field("text", lambda f: f.order.channel),
    "order.delivery": Field("text", lambda f: f.order.delivery),
    "order.ship_country": Field("text", lambda f: f.order.ship_country),
    "order.flags": Field("texts", lambda f: f.order.flags),
    "order.lines": Field("number", lambda f: len(f.goods)),
    "order.units": Field("number", lambda f: sum((line.quantity for line in f.goods), ZERO)),
    "order.hour": Field("number", lambda f: f.placed.hour),
    "customer.known": Field("yes_no", lambda f: f.order.customer is not None),
    "customer.orders": Field("number", lambda f: f.customer_orders),
    "customer.country": Field("text", lambda f: f.customer_country),
    "item.sku": Field("text", lambda line: line.item.sku, of_line=True),
    "item.category": Field("text", lambda line: line.item.category, of_line=True),
    "item.tax_class": Field("text", lambda line: line.item.tax_class, of_line=True),
    "item.tracking": Field("text", lambda line: line.item.tracking, of_line=True),
    "item.quantity": Field("number", lambda line: line.quantity, of_line=True),
    "item.amount": Field("number", lambda line: line.amount, of_line=True, money=True),
}
"""What may be asked. order.lines, order.units: of goods as sold, without parts of kits; order.hour: 0 to 23."""
_OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "text": ("is", "in", "not_in", "present"),
    "number": ("is", "over", "under", "between"),
    "yes_no": ("is",),
    "texts": ("in", "not_in", "present"),
}


Test = Callable[[Any], bool]
"""A condition made ready: it asks an order's facts, or a line's."""


class Ready(NamedTuple):
    """A condition made ready: whether it asks a line, and the function that asks."""

    of_line: bool
    holds: Test


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One condition. value: a text, a number (as text or whole), true or false; a list for in, not_in and between.

    over and under leave the bound out, between has both in.
    """

    field: str
    op: Operator
    value: Any

    @cached_property
    def ready(self) -> Ready:
        """The condition made ready, once per document."""
        field = FIELDS[self.field]
        return Ready(field.of_line, _test(field, self.op, self.value))


def _test(field: Field, op: Operator, value: Any) -> Callable[[Any], bool]:
    read = field.read
    if field.kind == "number":
        bounds = [Quantity.parse(v) for v in (value if isinstance(value, list) else [value])]
        return _NUMBERS[op](read, bounds[0], bounds[-1])
    if op == "present":
        return lambda facts: bool(read(facts)) is value
    if op == "is":
        return lambda facts: read(facts) == value
    among = frozenset(value)
    wanted = op == "in"
    if field.kind == "texts":
        return lambda facts: among.isdisjoint(read(facts)) is not wanted
    return lambda facts: (read(facts) in among) is wanted


_NUMBERS: dict[str, Callable[[Callable[[Any], Any], Decimal, Decimal], Callable[[Any], bool]]] = {
    "is": lambda read, low, high: lambda facts: read(facts) == low,
    "over": lambda read, low, high: lambda facts: read(facts) > low,
    "under": lambda read, low, high: lambda facts: read(facts) < low,
    "between": lambda read, low, high: lambda facts: low <= read(facts) <= high,
}


def condition_faults(conditions: Sequence[Condition], where: str) -> list[Fault]:
    """Return what is wrong with a rule's conditions: unknown fields, operators or values that do not fit a field.

    Money is compared within one currency: a rule that asks for an amount says which.
    """
    found = []
    for at, condition in enumerate(conditions):
        place = f"{where}[{at}]"
        field = FIELDS.get(condition.field)
        if field is None:
            found.append(Fault(f"{place}.field", condition.field, f"ask for one of: {', '.join(FIELDS)}"))
            continue
        if condition.op not in _OPERATORS[field.kind]:
            can = ", ".join(_OPERATORS[field.kind])
            found.append(Fault(f"{place}.op", condition.op, f"{condition.field} takes: {can}"))
            continue
        wrong = _value_fault(field.kind, condition.op, condition.value)
        if wrong is not None:
            found.append(Fault(f"{place}.value", str(condition.value)[:80], wrong))
        if field.money and not any(c.field == "order.currency" and c.op == "is" for c in conditions):
            what = "an amount is compared in one currency; add the condition order.currency is"
            found.append(Fault(place, condition.field, what))
    return found


def _value_fault(kind: Kind, op: Operator, value: Any) -> str | None:
    if op == "present" or kind == "yes_no":
        return None if isinstance(value, bool) else "write true or false"
    if op in ("in", "not_in"):
        fits = isinstance(value, list) and 0 < len(value) <= 1000 and all(isinstance(v, str) for v in value)
        return None if fits else "write a list of texts"
    if kind == "text":
        return None if isinstance(value, str) else "write a text"
    numbers = value if op == "between" else [value]
    if op == "between" and not (isinstance(value, list) and len(value) == 2):
        return "write a list of two numbers, the lower one first"
    try:
        read = [Quantity.parse(number) for number in numbers]
    except ValueError as error:
        return str(error)
    return "the lower number comes first" if read[0] > read[-1] else None
