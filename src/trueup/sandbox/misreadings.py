"""The wrong ways in which people and systems write what is right: SKUs, dates, quantities, accents."""

from collections.abc import Sequence
from datetime import datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_INVISIBLE = frozenset("\u00a0\u00ad")


def misspellings(sku: str) -> Sequence[str]:
    """Other ways of writing a SKU that leave its letters and digits alone; never the SKU itself."""
    written = [f" {sku}", f"{sku} ", f" {sku} "]
    if sku.lower() != sku:
        written += [sku.lower(), sku.capitalize()]
    if "-" in sku:
        written += [sku.replace("-", ""), sku.replace("-", " "), sku.replace("-", "").lower()]
    return written


def other_date_forms(when: datetime) -> tuple[str, str, str, str]:
    """A moment as `2024-03-17 14:05:00`, `17.03.2024 14:05`, `03/17/2024` and `17 Mar 2024`."""
    return (
        f"{when:%Y-%m-%d %H:%M:%S}",
        f"{when:%d.%m.%Y %H:%M}",
        f"{when:%m/%d/%Y}",
        f"{when.day} {_MONTHS[when.month - 1]} {when.year}",
    )


def unreadable_quantities(quantity: int) -> Sequence[str]:
    """What stood in a quantity column and is no number, the empty text among them."""
    written = [f"{quantity} pcs", f"ca. {quantity}", "#REF!", ""]
    digits = str(quantity)
    if "0" in digits:
        written.append(digits.replace("0", "O"))
    elif "1" in digits:
        written.append(digits.replace("1", "l"))
    return written


def mojibake(text: str) -> str | None:
    """The text's UTF-8 bytes read as cp1252, `Müller` as `MÃ¼ller`; None where that loses or hides a character.

    None also for a text that cp1252 cannot write in the first place, so that a row is one or the other at choice.
    """
    try:
        text.encode("cp1252")
        garbled = text.encode("utf-8").decode("cp1252")
    except UnicodeError:
        return None
    return None if _INVISIBLE & set(garbled) else garbled
