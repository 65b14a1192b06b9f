"""Money: exact amounts, currencies with their exponents, and apportioning that loses nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

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
_SHAPE = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,6})?")


class Amount(Decimal):
    """An amount of money as it comes from outside: always a JSON string, at most six decimals."""

    @classmethod
    def parse(cls, value: Any) -> Amount:
        """Return the amount written as text. Raises ValueError naming what is wrong."""
        if not isinstance(value, str):
            raise ValueError('money is a string such as "12.10", never a number')
        if _SHAPE.fullmatch(value) is None:
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


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Share `total` over `weights` by the largest remainder; the shares always sum to `total`.

    Both are in minor units. Equal remainders go to the earlier line; zero weights share evenly; a negative total
    mirrors the positive one. Raises ValueError on no weights or a negative weight. Source: behaviour 24.
    """
    if not weights or min(weights) < 0:
        raise ValueError("apportioning needs at least one weight, and none below zero")
    if total < 0:
        return [-share for share in apportion(-total, weights)]
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda line: (-remainders[line], line))
    for line in by_remainder[: total - sum(shares)]:
        shares[line] += 1
    return shares


def apportion_amount(total: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Share an amount over line amounts in the currency's minor units; see `apportion`."""
    unit = minor_unit(currency)
    shares = apportion(int(total / unit), [int(weight / unit) for weight in weights])
    return [share * unit for share in shares]


def percent_per_line(rate: Decimal, amounts: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Take `rate` per cent of each line, each rounded half up. Source: behaviour 26."""
    return [booked(amount * rate / 100, currency) for amount in amounts]


def total_of(amounts: Sequence[Decimal]) -> Decimal:
    """Sum amounts exactly; nothing sums to zero."""
    return sum(amounts, ZERO)
