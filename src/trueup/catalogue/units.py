"""Units of measure: how many base units a case or a pallet is, exactly, and back in words."""

from __future__ import annotations

from decimal import Decimal, localcontext

from trueup.catalogue.state import EACH as EACH
from trueup.catalogue.state import Item
from trueup.core.errors import Refusal
from trueup.core.quantity import plain

DECIMALS_MAX = 6


def to_base(item: Item, quantity: Decimal, unit: str | None) -> Decimal | Refusal:
    """Return a quantity of a unit in base units; without a unit it is in base units already.

    Refuses a unit the item does not have, and a result with more than six decimals: nothing is rounded.
    """
    if unit is None or unit == EACH:
        return quantity
    factor = item.units.get(unit)
    if factor is None:
        there = ", ".join([EACH, *item.units])
        return Refusal("catalogue.unknown_unit", f"{item.sku} has no unit {unit[:40]!r}.",
                       f"Use one of: {there}; or register the item with it.", "unit", unit[:40])  # fmt: skip
    with localcontext() as exact:
        exact.prec = 60
        base = quantity * factor
        if base != round(base, DECIMALS_MAX):
            return Refusal("catalogue.unit_inexact",
                           f"{plain(quantity)} {unit} of {item.sku} is {plain(base)} {EACH}, beyond six decimals.",
                           "Give the quantity in a smaller unit.", "quantity", plain(quantity))  # fmt: skip
        return base


def in_words(item: Item, base: Decimal, unit: str) -> str:
    """Write base units in a unit for people, `2 case (24 each)`; in base units where that is not exact."""
    factor = item.units.get(unit)
    if factor is None:
        return f"{plain(base)} {EACH}"
    with localcontext() as exact:
        exact.prec = 60
        count = round(base / factor, DECIMALS_MAX)
        return f"{plain(count)} {unit} ({plain(base)} {EACH})" if count * factor == base else f"{plain(base)} {EACH}"
