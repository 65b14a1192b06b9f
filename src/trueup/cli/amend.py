"""`trueup amend FILE`: amend many records from a table; bad cells are named, and the good rows are staged as one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trueup import house
from trueup.authority import change_read
from trueup.catalogue.bulk_amend import Staged, read_table, stage, validated
from trueup.catalogue.kinds import KINDS
from trueup.cli.acting import As, acting
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.core import json
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refused, TrueupError
from trueup.core.fields import CustomFields
from trueup.migrate.sources_text import SourceRefused, open_text, read_chunks

_UNDIVIDED = "no delimiter was found"


class Of(StrEnum):
    """What the rows of a table are about."""

    items = "items"
    locations = "locations"
    partners = "partners"


def amend(
    file: Annotated[Path, typer.Argument(help="CSV with a header: sku or code, and the fields to amend.")],
    of: Annotated[Of, typer.Option("--of", help="What the rows are about.")] = Of.items,
    title: Annotated[str, typer.Option("--title", help="Of the change, where one is needed.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    who: As = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Amend items, locations or partners from a file. An empty cell leaves a field as it is; `null` takes it away.

    Where a row touches what is governed, all good rows are proposed as one change, for which no right to amend is
    needed. The same file again is told the same. Exit code 1 if any row was bad or refused.
    """
    if not file.is_file():
        raise TrueupError(f"{file} is no file; name a CSV whose header has the key and the fields to amend")
    rows = list(_rows(file))
    entity = next(entity for entity, kind in KINDS.items() if kind.plural == of.value)
    digest = hashlib.sha256(file.read_bytes() + reason.encode() + title.encode()).hexdigest()[:40]

    async def run(url: str) -> tuple[Staged, list[str]]:
        built = house.build()
        connection = await connect(url)
        try:
            standing = await built.load_standing(connection)
            actor = await acting(connection, standing, who)
            read = read_table(rows, standing.policies.get(CustomFields, entity), entity)
            async with Door(url, built) as door:
                good = await validated(connection, built, actor, read, door.now())
                staged = await stage(
                    connection, built, door, actor, good,
                    title=title or f"Amend {len(good.good)} {of.value}", reason=reason or f"the file {file.name}",
                    key=f"amend/{digest}",
                )  # fmt: skip
                now = door.now()
            return staged, [
                await change_read.awaited(connection, change, standing.policies, now) for change in staged.changes
            ]
        finally:
            await connection.close()

    try:
        staged, awaited = on_database(home, database_url, run)
    except Refused as error:
        raise TrueupError(f"{error.refusal.what} {error.refusal.fix}") from error
    typer.echo(json.encode(staged).decode()) if as_json else _print(staged, awaited)
    raise typer.Exit(1 if staged.bad or (staged.outcome is not None and staged.outcome.refusal is not None) else 0)


def _rows(file: Path) -> Iterator[dict[str, str | None]]:
    if not file.read_bytes().strip():
        raise TrueupError(f"{file.name} is empty; write a header with sku or code and the fields to amend, and rows")
    try:
        text = open_text(file, file.name)
        for chunk in read_chunks(text):
            for at in range(len(chunk.lines)):
                if chunk.faults[at] == "wrong_field_count":
                    raise TrueupError(
                        f"{file.name}, line {chunk.lines[at]} has more or fewer cells than the header's "
                        f"{len(text.columns)}; add the missing ones, and quote a cell that holds {text.delimiter!r}"
                    )
                yield {name: column[at] for name, column in zip(text.columns, chunk.columns, strict=True)}
    except SourceRefused as error:
        if error.what == _UNDIVIDED:
            raise TrueupError(
                f"{file.name} has one column only; its first line names sku or code and at least one field to amend, "
                "divided by a comma, semicolon, tab or bar"
            ) from None
        raise TrueupError(str(error)) from error


def _print(staged: Staged, awaited: list[str]) -> None:
    for one in staged.bad:
        where = f"row {one.row}, {one.column} {one.value!r}"
        typer.secho(f"{where}: {one.what} {one.fix} ({one.rule})", fg="red")
    outcome = staged.outcome
    count = f"{staged.rows} row{'' if staged.rows == 1 else 's'}"
    if outcome is None:
        typer.echo("no row could be staged; nothing was written")
    elif outcome.refusal is not None:
        typer.secho(f"refused: {outcome.refusal.what} {outcome.refusal.fix}", fg="red")
    elif not staged.changes:
        typer.echo(f"{count} amended")
    elif len(staged.changes) == 1:
        typer.echo(f"{count} staged in the change {staged.changes[0]}; nothing is written before it is applied")
    else:
        typer.echo(f"{count} staged in {len(staged.changes)} changes; who may propose makes one of them")
    for change, decided in zip(staged.changes, awaited, strict=True):
        typer.echo(f"  /changes/{change} {decided}".rstrip())
    if outcome is not None and len(staged.changes) == 1:
        typer.echo(f"  next: somebody else approves it there, or by `trueup do authority.approve_change "
                   f"change={staged.changes[0]} digest={outcome.result['digest']}`")  # fmt: skip
    since = "from when it is applied" if staged.changes else "from now on"
    for day in staged.begun:
        typer.secho(f"{day} has begun: what is said from it holds {since}", fg="yellow")
