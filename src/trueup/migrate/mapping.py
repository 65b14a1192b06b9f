"""A mapping says what the files of another system mean: which is which record, and each field as DuckDB SQL."""

from __future__ import annotations

from fnmatch import fnmatch
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from trueup.core import json
from trueup.core.errors import TrueupError
from trueup.core.policy import Policy

Entity = Literal["item", "customer", "order", "line", "count", "refund"]
FieldKind = Literal["key", "sku", "text", "code", "number", "time", "flag"]

# What each record may hold. key: trimmed, `17850.0` is `17850`. sku: kept as written. code: trimmed, upper case.
FIELDS: dict[Entity, dict[str, FieldKind]] = {
    "item": {
        "sku": "key", "name": "text", "kind": "text", "gtin": "text", "weight_g": "number", "category": "text",
        "unit_price": "number", "currency": "code",
    },
    "customer": {
        "number": "key", "name": "text", "email": "text", "phone": "text", "street": "text", "postcode": "text",
        "city": "text", "region": "text", "country": "text",
    },
    "order": {
        "document": "key", "placed_at": "time", "customer": "key", "currency": "code", "country": "text",
        "charges": "number", "discount": "number", "tax": "number", "source_total": "number", "kind": "text",
        "paid": "number", "refunded": "number", "cancelled": "flag", "shipped": "flag", "status": "text",
        "shipped_at": "time",
    },
    "line": {
        "document": "key", "sku_written": "sku", "sku": "key", "description": "text", "quantity": "number",
        "unit_price": "number", "amount": "number", "discount": "number", "placed_at": "time", "customer": "key",
        "country": "text", "currency": "code", "shipped": "number", "returned": "number", "reference": "key",
    },
    "count": {"sku_written": "sku", "location": "key", "counted": "number", "counted_at": "time"},
    "refund": {"document": "key", "reference": "key", "amount": "number", "refunded_at": "time"},
}  # fmt: skip

# Without these a row means nothing. A key that is missing is `missing_key`, another value `unreadable_value`.
REQUIRED: dict[Entity, tuple[str, ...]] = {
    "item": ("sku",),
    "customer": ("number",),
    "order": ("document", "placed_at"),
    "line": ("document", "sku_written", "quantity", "unit_price"),
    "count": ("sku_written", "counted"),
    "refund": ("document", "amount"),
}


class MappingRefused(TrueupError):
    """A mapping that cannot be read or run; the message names the file, the field, the expression and the fix."""


class KindRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Documents whose number matches the regular expression `pattern` from its start are of this kind."""

    pattern: str
    kind: Literal["sale", "credit", "adjustment"]


class FileMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the files whose name matches one of the globs `match` hold.

    columns: canonical field (see FIELDS) -> DuckDB SQL expression over the file's columns.
    ignore: rule name -> SQL predicate; rows for which it is true are ignored under that name.
    charges: SQL predicate (of lines): true where the row is freight or a fee, not goods.
    document_kind: SQL expression giving `sale`, `credit` or `adjustment`; else `credits_from` of the mapping decides.
    content: SQL expressions that tell two rows apart beside the canonical fields, such as the source's line number.
    decimal: the file's decimal separator where it is not the mapping's.
    dates: time field -> the strptime format of nearly all its values; found from the values where absent.
    """

    entity: Entity
    match: tuple[str, ...]
    columns: dict[str, str]
    ignore: dict[str, str] = {}
    charges: str | None = None
    document_kind: str | None = None
    content: tuple[str, ...] = ()
    decimal: Literal[".", ","] | None = None
    dates: dict[str, str] = {}


class Mapping(Policy, frozen=True, kw_only=True):
    """How the files of one source system become records.

    source: name of the system; part of every row's identity. timezone: of its times (IANA). currency: where a row
    names none. channel: what its orders are filed under. decimal: separator in its numbers.
    identical_rows: `count` where a row repeated within a document is a second sale of the same thing (reported as
    `repeated_line`), `merge` where it is a copy (reported as `duplicate_row`, and left out).
    credits_from: the first rule that matches a document's number says its kind; none means sale.
    """

    kind: ClassVar[str] = "mapping"
    unreplayed: ClassVar[str] = "it says how files are read before there are commands"
    source: str = "legacy"
    timezone: str = "UTC"
    currency: str = "EUR"
    channel: str = "legacy"
    decimal: Literal[".", ","] = "."
    identical_rows: Literal["count", "merge"] = "merge"
    credits_from: tuple[KindRule, ...] = ()
    files: tuple[FileMapping, ...] = ()


def of_file(mapping: Mapping, name: str) -> FileMapping | None:
    """Return the first file mapping whose glob matches a file's name; `x.csv#2` is matched as `x.csv`."""
    plain = name.rpartition("#")[0] if name.rpartition("#")[2].isdecimal() and "#" in name else name
    for entry in mapping.files:
        if any(fnmatch(plain, glob) or fnmatch(plain.rpartition("/")[2], glob) for glob in entry.match):
            return entry
    return None


def shipped(name: str) -> Mapping:
    """Return a mapping that comes with Trueup. Raises MappingRefused naming those there are."""
    found = {entry.name.removesuffix(".json"): entry for entry in _folder().iterdir() if entry.name.endswith(".json")}
    if name not in found:
        raise MappingRefused(f"There is no shipped mapping {name!r}. There are: {', '.join(sorted(found))}.")
    return read_mapping(found[name].read_bytes(), name)


def load_mapping(name_or_path: str) -> Mapping:
    """Return the shipped mapping of that name, or the one in a JSON file. Raises MappingRefused saying why not."""
    path = Path(name_or_path)
    if path.suffix != ".json" and not path.is_file():
        return shipped(name_or_path)
    try:
        return read_mapping(path.read_bytes(), name_or_path)
    except OSError as error:
        raise MappingRefused(
            f"The mapping {name_or_path} cannot be opened: {error.strerror}. Check the path."
        ) from error


def read_mapping(document: bytes, name: str) -> Mapping:
    """Validate a mapping given as JSON. Raises MappingRefused naming the path inside the document."""
    try:
        mapping = json.decode(document, Mapping)
    except msgspec.MsgspecError as error:
        raise MappingRefused(f"{name} is no mapping: {error}. Correct it there.") from error
    check_mapping(mapping, name)
    return mapping


def check_mapping(mapping: Mapping, name: str) -> None:
    """Refuse fields that a record does not have, and records without what they need. Raises MappingRefused."""
    for place, entry in enumerate(mapping.files):
        fields = FIELDS[entry.entity]
        unknown = [field for field in (*entry.columns, *entry.dates) if field not in fields]
        missing = [field for field in REQUIRED[entry.entity] if field not in entry.columns]
        if unknown:
            raise MappingRefused(f"{name}: files[{place}] ({entry.entity}) has no field {unknown[0]!r}. "
                                 f"There are: {', '.join(fields)}.")  # fmt: skip
        if missing:
            raise MappingRefused(f"{name}: files[{place}] ({entry.entity}) lacks {', '.join(missing)}. Map them.")


def _folder() -> Any:
    return package_files("trueup.migrate") / "mappings"
