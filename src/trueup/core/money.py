"""Money: exact amounts, currencies with their exponents, and apportioning that loses nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any, Literal

from trueup.core.quantity import ZERO

# ISO 4217 minor units that are not two (list one, 2026-01-01).
_EXPONENTS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
# Codes of ISO 4217 that name no money a person could pay with: metals, units of account, testing.
_NO_MONEY = frozenset("XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX".split())
_CODES = frozenset(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
    CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR
    PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY
    TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XCD XCG XOF XPF YER ZAR ZMW ZWG""".split()
)
LIMIT = Decimal(10) ** 13
"""No amount reaches this, so that products and sums of hundreds of lines stay exact in 28 digits."""
_matches = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,6})?").fullmatch
Apportion = Literal["largest_remainder", "first_lines", "last_line"]
"""Which lines get the odd minor units when an amount is shared; see `apportion`."""


class Amount(Decimal):
    """An amount of money as it comes from outside: always a JSON string, at most six decimals."""

    @classmethod
    def parse(cls, value: Any) -> Amount:
        """Return the amount written as text. Raises ValueError naming what is wrong."""
        if type(value) is not str:
            raise ValueError('money is a string such as "12.10", never a number')
        if _matches(value) is None:
            raise ValueError(f"{value[:40]!r} is not an amount: digits, a point, at most 13 digits and six decimals")
        return cls(value)


def is_currency(code: str) -> bool:
    """Tell whether `code` is a currency of ISO 4217 that people pay with."""
    return code in _CODES and code not in _NO_MONEY


def exponent(currency: str) -> int:
    """Return the currency's number of decimals (ISO 4217 minor unit): EUR 2, JPY 0, KWD 3."""
    return _EXPONENTS.get(currency, 2)


@cache
def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency: EUR 0.01, JPY 1."""
    return Decimal(1).scaleb(-exponent(currency))


def booked(amount: Decimal, currency: str) -> Decimal:
    """Round an amount half up to what its currency can be paid in; only such amounts are booked."""
    return amount.quantize(minor_unit(currency), ROUND_HALF_UP)


def apportion(total: int, weights: Sequence[int], policy: Apportion = "largest_remainder") -> list[int]:
    """Share `total` over `weights`, both in minor units; the shares always sum to `total`.

    largest_remainder: shares rounded down, the odd units to the largest remainders, equal ones to the earlier line.
    first_lines: shares rounded half up; units then missing go to the first lines that were rounded down, units too
    many come from the last that were rounded up. last_line: rounded half up, the last line takes what is left.
    Zero weights share evenly; a negative total mirrors the positive one. While `total` is at most the weights' sum, no
    share exceeds its weight. Raises ValueError on no weights or a negative weight. Source: behaviour 24.
    """
    if not weights or min(weights) < 0:
        raise ValueError("apportioning needs at least one weight, and none below zero")
    if total < 0:
        return [-share for share in apportion(-total, weights, policy)]
    if not any(weights):
        weights = [1] * len(weights)
    times, rest = divmod(total, sum(weights))
    shares = _SHARED[policy](rest, weights)
    return [share + times * weight for share, weight in zip(shares, weights, strict=True)] if times else shares


def _by_remainder(total: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    odd = total - sum(shares)
    if odd:
        by_remainder = sorted(range(len(weights)), key=lambda line: (-(total * weights[line] % whole), line))
        for line in by_remainder[:odd]:
            shares[line] += 1
    return shares


def _by_first_lines(total: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    shares = _rounded(total, weights, whole)
    odd = total - sum(shares)
    if odd > 0:
        cut = [line for line, weight in enumerate(weights) if shares[line] * whole < total * weight]
        for line in cut[:odd]:
            shares[line] += 1
    elif odd < 0:
        raised = [line for line, weight in enumerate(weights) if shares[line] * whole > total * weight]
        for line in raised[odd:]:
            shares[line] -= 1
    return shares


def _by_last_line(total: int, weights: Sequence[int]) -> list[int]:
    whole = after = sum(weights)
    shares = []
    for share, weight in zip(_rounded(total, weights, whole), weights, strict=True):
        # Never less than what the lines after this one could not take, never more than this one is worth.
        after -= weight
        share = max(total - after, min(share, weight, total))
        shares.append(share)
        total -= share
    return shares


def _rounded(total: int, weights: Sequence[int], whole: int) -> list[int]:
    return [(2 * total * weight + whole) // (2 * whole) for weight in weights]


_SHARED = {"largest_remainder": _by_remainder, "first_lines": _by_first_lines, "last_line": _by_last_line}


def apportion_amount(
    total: Decimal, weights: Sequence[Decimal], currency: str, policy: Apportion = "largest_remainder"
) -> list[Decimal]:
    """Share an amount over line amounts in the currency's minor units; see `apportion`."""
    unit = minor_unit(currency)
    shares = apportion(int(total / unit), [int(weight / unit) for weight in weights], policy)
    return [share * unit for share in shares]


def total_of(amounts: Sequence[Decimal]) -> Decimal:
    """Sum amounts exactly; nothing sums to zero."""
    return sum(amounts, ZERO)
