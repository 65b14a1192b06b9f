"""Quantities: exact decimals, never floats."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
_matches = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?").fullmatch


class Quantity(Decimal):
    """A quantity as it comes from outside: a JSON string or whole number, at most six decimals."""

    @classmethod
    def parse(cls, value: Any) -> Quantity:
        """Return the quantity written as text or int. Raises ValueError naming what is wrong."""
        if type(value) is not str and type(value) is not int:
            raise ValueError('a quantity is a whole number or a string such as "2.5", never a float')
        if _matches(str(value)) is None:
            raise ValueError(f"{str(value)[:40]!r} is not a quantity: at most 12 digits and six decimals")
        return cls(value)


def plain(value: Decimal) -> str:
    """Write a quantity for people: no exponent and no trailing zeros, `5` rather than `5.000000`."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
