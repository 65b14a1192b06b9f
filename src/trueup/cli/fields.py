"""A body from the command line: `name=value`, a file, or standard input, read by the same struct as over HTTP."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from trueup.core import json
from trueup.core.errors import Refusal, Refused, TrueupError

Pairs = Annotated[list[str] | None, typer.Argument(help="name=value; a list or object is JSON: lines='[{...}]'.")]
BodyFile = Annotated[str | None, typer.Option("--file", help="A body as JSON from a file, `-` from standard input.")]

T = TypeVar("T", bound=msgspec.Struct)
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")
_NOT_JSON: Any = object()


def split(pairs: Sequence[str]) -> dict[str, str]:
    """Return name -> value. Raises TrueupError for what has no `=`, and for a name that stands twice."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise TrueupError(f"{pair!r} is no name=value")
        if name in values:
            raise TrueupError(f"{name} stands twice; give it once, a list as JSON")
        values[name] = value
    return values


def read_body(kind: type[T], pairs: Sequence[str], file: str | None) -> T:
    """Return the struct that a file and `name=value` give; a name given here wins over the file's.

    Raises Refused naming the field that is wrong and those there are, or TrueupError for a file that is no JSON object.
    """
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    body = _read_file(file) if file is not None else {}
    for name, text in split(pairs).items():
        body[name] = _value(text, types[name]) if name in types else text
    written = json.encode(body)
    if b"\\u0000" in written.replace(rb"\\", b""):
        raise Refused(
            Refusal("request.invalid", "A text holds the character NUL, which cannot be stored.", "Take it out.")
        )
    try:
        return json.decode(written, kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Refused(_refusal(str(error), kind)) from None


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """Return up to six known names that a wrong one may have meant: those it is part of, else those that look alike."""
    within = [name for name in known if word.strip("/").lower() in name.lower()] if word.strip("/") else []
    return (within or difflib.get_close_matches(word, known, 6, 0.5))[:6]


def _read_file(file: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes(), type=dict)
    except OSError as error:
        raise TrueupError(f"{file} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TrueupError(f"{'standard input' if file == '-' else file} holds no JSON object: {error}") from None


def _value(text: str, kind: Any) -> Any:
    """Return a value as its field takes it: the text itself, or the JSON it is; lists, objects and null as JSON first.

    What neither fits is returned as it is, so that reading the whole names the field.
    """
    try:
        parsed = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        parsed = _NOT_JSON
    structured = isinstance(parsed, dict | list) or parsed is None
    readings = (parsed, text) if structured else (text, parsed)
    for reading in readings:
        if reading is not _NOT_JSON and _fits(reading, kind):
            return reading
    return parsed if structured else text


def _fits(value: Any, kind: Any) -> bool:
    try:
        json.decode(json.encode(value), kind)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _refusal(message: str, kind: type[msgspec.Struct]) -> Refusal:
    what, _, path = message.partition(" - at `")
    where = path.rstrip("`").removeprefix("$").removeprefix(".")
    names = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
    unknown = _UNKNOWN_FIELD.search(what)
    if unknown is not None:
        what, where = f"There is no field `{unknown[1]}` here", f"{where}.{unknown[1]}".removeprefix(".")
    return Refusal("request.invalid", f"{what}.", f"The fields are: {names}." if names else "It has no fields.", where)
