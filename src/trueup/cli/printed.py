"""What door and reads answer, as people read it: a list as an aligned table, one thing as an indented record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import typer

from trueup.core import json
from trueup.core.errors import Refusal

_WIDTH_MAX = 40
_GAP = "  "
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z")


def print_refusal(refusal: Refusal) -> None:
    """Print why something was refused, on standard error: rule, what, where, fix, and each further place."""
    typer.secho(f"{refusal.rule}: {refusal.what}", err=True, fg="red")
    if refusal.where:
        typer.echo(f"  where: {refusal.where}" + (f" = {refusal.value}" if refusal.value else ""), err=True)
    typer.echo(f"  fix:   {refusal.fix}", err=True)
    for detail in refusal.details:
        typer.echo(f"  {detail.where} = {detail.value}: {detail.what}", err=True)


def plain(value: Any) -> Any:
    """Return what an answer is as JSON, in dicts, lists and texts."""
    return msgspec.json.decode(json.encode(value))


def lines_of(value: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of a plain value; see `plain`."""
    if isinstance(value, dict):
        yield from _record(value, indent)
    elif _is_flat(value):
        yield from (indent + line for line in table(value))
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        for entry in value:
            first, *more = lines_of(entry, _GAP)
            yield f"{indent}-{first[1:]}"
            yield from (indent + line for line in more)
    elif isinstance(value, list):
        yield from (f"{indent}- {_cell(entry)}" for entry in value)
    else:
        yield indent + _cell(value)


def table(rows: Sequence[Mapping[str, Any]], width_max: int = _WIDTH_MAX) -> list[str]:
    """Return rows as aligned columns: every field that is plain and says something in at least one row."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = [name for name in names if any(_says(row.get(name)) for row in rows)]
    cells = [shown, *([_shortened(_cell(row.get(name)), width_max) for name in shown] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(shown))]
    return [_GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _record(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    short = {name: entry for name, entry in value.items() if not isinstance(entry, dict | list) or _is_short(entry)}
    width = max((len(name) for name in short), default=0)
    for name, entry in short.items():
        yield f"{indent}{name.ljust(width)}{_GAP}{_cell(entry)}".rstrip()
    for name, entry in value.items():
        if name in short:
            continue
        yield f"{indent}{name}"
        yield from lines_of(entry, indent + _GAP)


def _is_flat(value: Any) -> bool:
    """Tell whether a table can show all of a list: it holds objects, and they hold only what one line says."""
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and all(not isinstance(inner, dict | list) or _is_short(inner) for inner in entry.values())
        for entry in value
    )


def _is_short(value: Any) -> bool:
    """Tell whether a list or object is shown in one line: an empty one, and a list of few plain values."""
    plain_list = isinstance(value, list) and not any(isinstance(entry, dict | list) for entry in value)
    return not value or (plain_list and len(_cell(value)) <= _WIDTH_MAX)


def _says(value: Any) -> bool:
    return value not in (None, "") and (not isinstance(value, dict | list) or (bool(value) and _is_short(value)))


def _cell(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_cell(entry) for entry in value)
    if isinstance(value, dict):
        return "; ".join(f"{name} {_cell(entry)}" for name, entry in value.items())
    return _TIME.sub(r"\1Z", str(value)).replace("\n", " ")


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
