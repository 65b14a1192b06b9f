"""How the console writes money, units, times and lengths of time: exact, in one place, in words people use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from babel.numbers import get_currency_symbol

from trueup.core.money import exponent
from trueup.core.quantity import plain

LOCALE = "en"
MINUS = "\u2212"
THIN = "\u202f"
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def money(amount: Decimal | None, currency: str) -> str:
    """Write an amount with its currency and every decimal it has, at least the currency's own: `€1,234.50`, `¥980`.

    What a source gave with more decimals than the currency books is shown as it is, never rounded.
    """
    if amount is None:
        return "—"
    text = decimals(amount, exponent(currency))
    symbol = _symbol(currency)
    spaced = f"{symbol}{THIN}" if symbol[-1].isalpha() else symbol
    return f"{MINUS}{spaced}{text[1:]}" if text.startswith(MINUS) else f"{spaced}{text}"


@cache
def _symbol(currency: str) -> str:
    return get_currency_symbol(currency, locale=LOCALE) or currency


def decimals(amount: Decimal, least: int = 0) -> str:
    """Write an exact number with thousands separated and at least so many decimals."""
    whole, _, fraction = plain(abs(amount)).partition(".")
    fraction = fraction.ljust(least, "0")
    text = f"{int(whole):,}" + (f".{fraction}" if fraction else "")
    return f"{MINUS}{text}" if amount < 0 else text


def number(value: Decimal | int | None) -> str:
    """Write a count or a quantity: `1,250`, `2.5`, and a dash where there is none."""
    return "—" if value is None else decimals(Decimal(value))


def moment(at: datetime | None) -> str:
    """Write a time to the minute, in UTC and saying so."""
    return "—" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def moment_exact(at: datetime | None) -> str:
    """Write a time to the millisecond, in UTC."""
    return (
        "—" if at is None else at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")
    )


def span(length: timedelta) -> str:
    """Write a length of time by its two largest parts: `2 d 4 h`, `35 min`, `under a minute`."""
    left = int(abs(length).total_seconds())
    parts: list[str] = []
    for seconds, unit in _STEPS:
        count, left = divmod(left, seconds)
        if count or parts:
            parts.append(f"{count:,}{THIN}{unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "under a minute"


def ago(at: datetime | None, now: datetime) -> str:
    """Write a time as seen from now: `3 h 5 min ago`, `in 2 d`, and beyond four weeks in days only."""
    if at is None:
        return ""
    distance = now - at
    if abs(distance) < timedelta(minutes=1):
        return "just now"
    words = f"{abs(distance).days:,}{THIN}d" if abs(distance) > timedelta(days=28) else span(distance)
    return f"{words} ago" if distance > timedelta(0) else f"in {words}"


def due(at: datetime, now: datetime) -> str:
    """Write a due time as what it means: `overdue by 3 h`, `due in 1 d 4 h`."""
    return f"overdue by {span(now - at)}" if now > at else f"due in {span(at - now)}"
