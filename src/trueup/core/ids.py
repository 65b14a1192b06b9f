"""Identifiers: a type prefix on a UUIDv7, as in `ord_01924f0e8c7a7d1fb6e0a7c3f2b1d4e5`.

They are text everywhere, database included, so that what a log shows can be pasted into a query (decision 0002).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62
_SHAPE = re.compile(r"^[a-z]{2,5}_[0-9a-f]{12}7[0-9a-f]{19}$")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)

IdSource = Callable[[str], str]


def new_id(prefix: str) -> str:
    """Return a fresh id: `prefix`, an underscore, and a UUIDv7 (RFC 9562) as 32 hexadecimal digits."""
    return f"{prefix}_{_uuid7(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), 'big')):032x}"


def sequence(at: datetime, seed: int) -> IdSource:
    """Return a source of ids that depends on its arguments alone, so that `decide` stays pure.

    at: the time the ids carry. seed: 80 random bits drawn once per batch; each id adds one to it.
    """
    millis = int(at.timestamp() * 1000)
    state = seed

    def draw(prefix: str) -> str:
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15F39D) & ((1 << 80) - 1)
        return f"{prefix}_{_uuid7(millis, state):032x}"

    return draw


def random_seed() -> int:
    """Return 80 random bits for `sequence`."""
    return int.from_bytes(os.urandom(10), "big")


def is_id(text: str, prefix: str) -> bool:
    """Tell whether `text` has the shape of an id with this prefix."""
    return text.startswith(prefix + "_") and _SHAPE.match(text) is not None


def time_of(text: str) -> datetime:
    """Return the creation time, in UTC to the millisecond, that an id carries."""
    return datetime.fromtimestamp(int(text.partition("_")[2][:12], 16) / 1000, UTC)


def short_number(text: str) -> str:
    """Return a number people can read aloud, made from an id: `T8K3-9QXM-2Z7P`.

    Its 60 bits are the id's milliseconds (low 40) and 20 of its random bits; uniqueness is the database's to refuse.
    """
    hexes = text.partition("_")[2]
    value = (int(hexes[2:12], 16) << 20) | int(hexes[-5:], 16)
    a, b, c, d, e, f = (
        _PAIRS[value >> 50], _PAIRS[value >> 40 & 1023], _PAIRS[value >> 30 & 1023],
        _PAIRS[value >> 20 & 1023], _PAIRS[value >> 10 & 1023], _PAIRS[value & 1023],
    )  # fmt: skip
    return f"T{a}{b}-{c}{d}-{e}{f}"


def _uuid7(millis: int, random_bits: int) -> int:
    upper = (random_bits >> 62) & 0xFFF
    lower = random_bits & ((1 << 62) - 1)
    return (millis & ((1 << 48) - 1)) << 80 | _VERSION | upper << 64 | _VARIANT | lower
