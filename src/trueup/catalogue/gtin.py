"""GTINs and GLNs: attributes with a check digit, never keys."""

from __future__ import annotations

LENGTHS = (8, 12, 13, 14)


def check_digit(digits: str) -> int:
    """Return the check digit for the digits before it: weights 3 and 1 from the right (GS1 General Specifications)."""
    weighted = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return -weighted % 10


def fault(gtin: str) -> str | None:
    """Return what is wrong with a GTIN in words, or None when it is one of 8, 12, 13 or 14 digits that check."""
    if not (gtin.isascii() and gtin.isdecimal()):
        return "a GTIN has digits only"
    if len(gtin) not in LENGTHS:
        return f"a GTIN has 8, 12, 13 or 14 digits, this has {len(gtin)}"
    right = check_digit(gtin[:-1])
    return None if right == int(gtin[-1]) else f"the check digit should be {right}"


def gln_fault(gln: str) -> str | None:
    """Return what is wrong with a GLN (GS1's number of a company or a place) in words, or None where it checks."""
    if not (gln.isascii() and gln.isdecimal()) or len(gln) != 13:
        return "a GLN has 13 digits"
    right = check_digit(gln[:-1])
    return None if right == int(gln[-1]) else f"the check digit should be {right}"
