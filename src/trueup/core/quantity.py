"""Quantities: exact decimals, never floats."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

ZERO = Decimal(0)
_LIMIT = Decimal(10) ** 12


class Quantity(Decimal):
    """A quantity as it comes from outside: a JSON string or whole number, at most six decimals."""

    @classmethod
    def parse(cls, value: Any) -> Quantity:
        """Return the quantity written as text or int. Raises ValueError naming what is wrong."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError('a quantity is a whole number or a string such as "2.5", never a float')
        try:
            parsed = cls(value)
        except InvalidOperation:
            raise ValueError(f"{value!r} is not a quantity") from None
        exponent = parsed.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -6 or abs(parsed) >= _LIMIT:
            raise ValueError(f"{value!r} is not a quantity: at most 12 digits and six decimals")
        return parsed


def plain(value: Decimal) -> str:
    """Write a quantity for people: no exponent and no trailing zeros, `5` rather than `5.000000`."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
