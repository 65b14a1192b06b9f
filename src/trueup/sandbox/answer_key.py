"""What is planted in a generated export, and the answer key that says in which row."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DUPLICATE_ROW: Final = "duplicate_row"
SKU_SPELLING: Final = "sku_spelling"
CHARGE_AS_ITEM: Final = "charge_as_item"
NEGATIVE_QUANTITY: Final = "negative_quantity"
BAD_GTIN: Final = "bad_gtin"
TOTAL_MISMATCH: Final = "total_mismatch"
RETURN_WITHOUT_PURCHASE: Final = "return_without_purchase"
MIXED_DATE_FORMAT: Final = "mixed_date_format"
ENCODING: Final = "encoding"
ORPHAN_CUSTOMER: Final = "orphan_customer"
CURRENCY_DECIMALS: Final = "currency_decimals"
UNREADABLE_VALUE: Final = "unreadable_value"

BLANK_ROW: Final = "ignored:blank_row"
REPEATED_HEADER: Final = "ignored:repeated_header"

DEFAULT_RATES: Final[Mapping[str, int]] = {
    DUPLICATE_ROW: 40,
    SKU_SPELLING: 45,
    CHARGE_AS_ITEM: 60,
    NEGATIVE_QUANTITY: 24,
    BAD_GTIN: 16,
    TOTAL_MISMATCH: 30,
    RETURN_WITHOUT_PURCHASE: 20,
    MIXED_DATE_FORMAT: 36,
    ENCODING: 32,
    ORPHAN_CUSTOMER: 18,
    CURRENCY_DECIMALS: 14,
    UNREADABLE_VALUE: 28,
    BLANK_ROW: 12,
    REPEATED_HEADER: 8,
}
"""How many of each kind an export of 5,000 orders carries; the last two are no faults, but rows to ignore."""

KINDS: Final = tuple(DEFAULT_RATES)
"""Every kind that an answer key can name, in the order in which counts are reported."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One thing planted in one row."""

    kind: str
    """One of KINDS."""
    detail: str
    """For a reader: what stands there, and what should."""
    written: Mapping[str, str] = field(default_factory=dict)
    """Column -> the text written in place of the right one."""
    as_cp1252: bool = False
    """The row's bytes are cp1252 in a file that says UTF-8."""


@dataclass(frozen=True, slots=True)
class AnswerKeyRow:
    """One planted row, as the answer key lists it."""

    file: str
    """Name of the file, without a directory."""
    row: int
    """Physical line in that file, the header being line 1."""
    kind: str
    detail: str


def write_answer_key(path: Path, rows: Iterable[AnswerKeyRow]) -> dict[str, int]:
    """Write the key as CSV (UTF-8, comma, `file,row,kind,detail`) and return how many rows each kind has, zeros too."""
    lines = ["file,row,kind,detail"]
    counts = Counter[str]()
    for row in rows:
        counts[row.kind] += 1
        detail = row.detail.replace('"', '""')
        lines.append(f'{row.file},{row.row},{row.kind},"{detail}"')
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return {kind: counts[kind] for kind in KINDS}
