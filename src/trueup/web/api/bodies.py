"""From what came over HTTP to structs: a command out of body, path and headers; a query out of the address."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast, get_args
from urllib.parse import parse_qsl

import msgspec

from trueup.core import json
from trueup.core.errors import Refusal, Refused
from trueup.core.verb import Command, Verb
from trueup.web.api.problems import refusal_of_body
from trueup.web.api.table import Write

KEY_LENGTH_MAX = 200
QUERY_FIELDS_MAX = 40
_KEY = re.compile(rf"[\x21-\x7e]{{1,{KEY_LENGTH_MAX}}}")
_VERSION = re.compile(r'(?:W/)?"(\d{1,9})"|(\d{1,9})')
# A NUL written as an escape, not a backslash followed by the text u0000.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def names_in(path: str) -> tuple[str, ...]:
    """Return the names in braces of an address."""
    return tuple(name for _, name, _, _ in string.Formatter().parse(path) if name)


def placed_elsewhere(row: Write) -> tuple[str, ...]:
    """Return the fields of a command that the path, a header or the address itself fills."""
    named = (row.fills.get(name, name) for name in names_in(row.path))
    return (*named, *((row.if_match,) if row.if_match else ()), *row.fixed)


def body_type(row: Write, verb: Verb[Any], *, described: bool = False) -> type[msgspec.Struct]:
    """Return the struct of a write's body: the command without what stands elsewhere.

    Its personal field takes words only, never the id of somebody else's. described: for the OpenAPI document, where
    defaults are as JSON writes them.
    """
    without = set(placed_elsewhere(row))
    personal = verb.personal.field if verb.personal else None
    fields: list[Any] = []
    for field in msgspec.structs.fields(row.command):
        if field.name in without:
            continue
        kind = _words_only(field.type) if field.name == personal else field.type
        if field.required:
            fields.append((field.name, kind))
        elif field.default is not msgspec.NODEFAULT:
            plain = described and isinstance(field.default, Decimal)
            fields.append((field.name, kind, str(field.default) if plain else field.default))
        else:
            factory = msgspec.field(default_factory=cast(Callable[[], Any], field.default_factory))
            fields.append((field.name, kind, factory))
    return msgspec.defstruct(
        row.command.__name__ if not without else f"{row.command.__name__}Body",
        fields,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        namespace={"__doc__": row.command.__doc__},
        module=row.command.__module__,
    )


def body_reader(row: Write, verb: Verb[Any]) -> Callable[[bytes, dict[str, Any]], Command]:
    """Return the function that makes a write's command of its body and of what stands elsewhere.

    It raises Refused: `request.malformed`, or `request.invalid` with the path of the field.
    """
    elsewhere = placed_elsewhere(row)
    partial = body_type(row, verb) if elsewhere else row.command
    personal = verb.personal.field if verb.personal else None

    def read(body: bytes, placed: dict[str, Any]) -> Command:
        if not body and elsewhere:
            body = b"{}"
        command = _decode(body, partial)
        if personal is not None and isinstance(getattr(command, personal), str):
            raise Refused(_words_refusal(personal))
        if not elsewhere:
            return cast(Command, command)
        values = {name: getattr(command, name) for name in command.__struct_fields__}
        return row.command(**{**values, **placed})

    return read


def read_query(query: bytes, kind: type[msgspec.Struct]) -> Any:
    """Return the query of an address as a struct. Raises Refused for unknown or doubled names and for wrong values."""
    if not query:
        pairs: list[tuple[str, str]] = []
    else:
        try:
            pairs = parse_qsl(query.decode(), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX, errors="strict")
        except ValueError as error:
            raise Refused(_query_refusal(f"The query cannot be read: {error}.", "", kind)) from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in kind.__struct_fields__ or name in values:
            what = "stands twice" if name in values else "is not known here"
            raise Refused(_query_refusal(f"The name `{name[:80]}` {what}.", name[:80], kind))
        if "\0" in value or len(value) > 1000:
            raise Refused(_query_refusal("The value holds a NUL, or more than 1,000 characters.", name, kind))
        values[name] = value
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(refusal_of_body(error)) from None


def read_key(key: str | None) -> str:
    """Return the Idempotency-Key. Raises Refused when it is missing or not 1 to 200 visible ASCII characters."""
    if key is None or _KEY.fullmatch(key) is None:
        raise Refused(
            Refusal(
                "request.key_missing",
                "A write needs the header Idempotency-Key, of 1 to 200 visible ASCII characters.",
                "Send a fresh one (a UUID) with each new command, and the same one when you repeat it.",
                "Idempotency-Key",
                (key or "")[:200],
            )
        )
    return key


def read_version(if_match: str | None) -> int | None:
    """Return the version in an If-Match header; None for none, or `*`. Raises Refused for anything else."""
    if if_match is None or if_match.strip() == "*":
        return None
    match = _VERSION.fullmatch(if_match.strip())
    if match is None:
        raise Refused(
            Refusal("request.header", "If-Match holds no version of ours.", 'Send the ETag you were given, as in "3".',
                    "If-Match", if_match[:200])
        )  # fmt: skip
    return int(match[1] or match[2])


def _decode(body: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    if b"\\u0000" in body and _NUL.search(body):
        raise Refused(
            Refusal("request.invalid", "A text holds the character NUL, which cannot be stored.", "Take it out.")
        )
    try:
        return json.decode(body, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(refusal_of_body(error)) from None


def _words_only(kind: Any) -> Any:
    kept = tuple(part for part in get_args(kind) if part is not str)
    union: Any = kept[0]
    for part in kept[1:]:
        union = union | part
    return union


def _words_refusal(field: str) -> Refusal:
    return Refusal("request.invalid", "Expected an object, got a string.", "Send the words themselves.", field)


def _query_refusal(what: str, where: str, kind: type[msgspec.Struct]) -> Refusal:
    names = ", ".join(kind.__struct_fields__)
    return Refusal("request.invalid", what, f"Known here: {names}." if names else "Send no query here.", where)
