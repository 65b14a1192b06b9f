"""`trueup verbs`: what can be asked for or reported, with every field; `trueup do` does it."""

from __future__ import annotations

from textwrap import fill
from typing import Annotated, Any

import typer

from trueup import house
from trueup.cli import described
from trueup.cli.fields import nearest
from trueup.cli.options import AsJson
from trueup.cli.printed import table
from trueup.core import json
from trueup.core.errors import TrueupError
from trueup.core.verb import Command, Verb
from trueup.web.api.routes import WRITES
from trueup.web.api.table import Write

_WIDTH = 110
ADDRESSES: dict[type[Command], list[Write]] = {}
for _row in WRITES:
    ADDRESSES.setdefault(_row.command, []).append(_row)

VERBS: dict[str, Verb[Any]] = {verb.name: verb for verb in house.VERBS if verb.command in ADDRESSES}
"""What anybody may ask for, by name: the verbs that have an address in the API. The others follow by themselves."""


def verbs(
    name: Annotated[str | None, typer.Argument(help="A verb, as in stock.adjust, or a part of its name.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what can be asked for or reported; of one verb, its fields and an example."""
    found = matching(name or "")
    if as_json:
        typer.echo(json.encode({"verbs": [_as_data(verb) for verb in found]}).decode())
        return
    if len(found) > 1 or name is None:
        rows = [{"verb": verb.name, "what": _first_line(verb)} for verb in found]
        typer.echo("\n".join(table(rows, 120)[1:]))
        typer.echo("\n`trueup verbs NAME` tells what one takes, `trueup do NAME name=value ...` does it.")
        return
    _print(found[0])


def verb_named(name: str) -> Verb[Any]:
    """Return the verb of this very name. Raises TrueupError naming the nearest."""
    if name not in VERBS:
        near = nearest(name.rpartition(".")[2] or name, list(VERBS)) or nearest(name, list(VERBS))
        meant = f"did you mean {', '.join(near)}?" if near else "`trueup verbs` lists them"
        follows = any(verb.name == name for verb in house.VERBS)
        what = f"{name} is Trueup's own follow-up" if follows else f"there is no verb {name!r}"
        raise TrueupError(f"{what}; {meant}")
    return VERBS[name]


def matching(part: str) -> list[Verb[Any]]:
    """Return the verb of this name, or those with it in their name, by name. Raises TrueupError when there is none."""
    if part in VERBS:
        return [VERBS[part]]
    return [VERBS[name] for name in sorted(VERBS) if part.lower() in name] or [verb_named(part)]


def _first_line(verb: Verb[Any]) -> str:
    return described.describe(verb.command).about.split(". ")[0].rstrip(".")


def _fixed(verb: Verb[Any]) -> set[str]:
    return {name for row in ADDRESSES[verb.command] for name in row.fixed}


def _example(verb: Verb[Any]) -> str:
    return " ".join(["trueup do", verb.name, *described.example(verb.command)])


def _as_data(verb: Verb[Any]) -> dict[str, Any]:
    found = described.describe(verb.command)
    return {
        "name": verb.name,
        "about": found.about,
        "rule": " ".join((verb.decide.__doc__ or "").split()),
        "api": [f"{row.method} {row.path}" for row in ADDRESSES[verb.command]],
        "fields": [json.to_plain(field) for field in found.fields if field.name not in _fixed(verb)],
        "within": json.to_plain(found.within),
        "example": _example(verb),
    }


def _print(verb: Verb[Any]) -> None:
    data = _as_data(verb)
    typer.secho(verb.name, bold=True)
    typer.echo(fill(data["about"], _WIDTH, initial_indent="  ", subsequent_indent="  "))
    typer.echo(fill(data["rule"], _WIDTH, initial_indent="  ", subsequent_indent="  "))
    typer.echo(f"\n{'Fields' if data['fields'] else 'It has no fields.'}")
    _print_fields(data["fields"])
    for struct in data["within"]:
        typer.echo(f"\n{struct['name']}: {struct['about']}")
        _print_fields(struct["fields"])
    typer.echo(f"\nExample\n  {data['example']}")
    typer.echo(f"\nThe API: {', '.join(data['api'])}")


def _print_fields(fields: list[dict[str, Any]]) -> None:
    rows = [
        {
            "name": field["name"],
            "need": _need(field["default"]),
            "takes": field["takes"],
            "meaning": field["meaning"],
        }
        for field in fields
    ]
    typer.echo("\n".join("  " + line for line in table(rows, 1000)[1:]))


def _need(default: str | None) -> str:
    if default is None:
        return "required"
    return f"[{default}]" if default else "optional"
