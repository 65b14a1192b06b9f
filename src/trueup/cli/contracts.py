"""Commands about data contracts: import one from an ODCS file, and export one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from trueup import house
from trueup.authority import change_read
from trueup.authority.propose import ProposeChange
from trueup.authority.standing import Standing, require
from trueup.catalogue import breach_read
from trueup.catalogue.contract_import import ImportContract
from trueup.catalogue.contract_yaml import read_yaml
from trueup.cli.acting import As, acting
from trueup.cli.do import do
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.cli.printed import lines_of, plain, print_refusal
from trueup.core import database, json
from trueup.core.carry import Carried
from trueup.core.door import Door
from trueup.core.errors import Refusal, TrueupError
from trueup.core.ids import new_id
from trueup.core.verb import Outcome

app = typer.Typer(no_args_is_help=True)


@app.callback()
def contracts() -> None:
    """Import a data contract from an ODCS file, and export one."""


@app.command("import")
def import_contract(
    file: Annotated[Path, typer.Argument(help="An ODCS 3.1 document, in YAML.")],
    name: Annotated[
        str | None, typer.Option("--name", help="What it is called here; else as the document or the file.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "imported",
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Show what would happen; nothing is written.")] = False,
    who: As = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Put a contract in force, or propose it as a change where governance is declared.

    Rules for other engines are kept, and named as not run. Exit code 1 if it is refused.
    """
    if not file.is_file():
        raise TrueupError(f"there is no file {file}")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrueupError(f"{file} cannot be read as UTF-8 text: {error}") from None
    fields = {"name": name or _called(text) or file.name.partition(".")[0], "document": text, "reason": reason}
    if rehearse:
        pairs = [f"{field}={value}" for field, value in fields.items()]
        do("catalogue.import_contract", pairs, None, None, rehearse, who, home, database_url, as_json)
        return
    try:
        command = json.convert(fields, ImportContract)
    except msgspec.ValidationError as error:
        raise TrueupError(f"{error}; name it with --name") from None
    outcome, awaited = on_database(home, database_url, lambda url: _imported(url, command, who))
    if as_json:
        typer.echo(json.encode(outcome).decode())
    elif outcome.refusal is not None:
        print_refusal(outcome.refusal)
    else:
        _print(outcome, awaited)
    if outcome.refusal is not None:
        raise typer.Exit(1)


def _called(text: str) -> str | None:
    """Return what a document calls itself, by its name or its id, where a contract can be called so."""
    document = read_yaml(text)
    said = [] if isinstance(document, Refusal) else [document.get("name"), document.get("id")]
    for one in said:
        try:
            return json.convert({"name": one, "document": text, "reason": "named"}, ImportContract).name
        except msgspec.ValidationError:
            continue
    return None


async def _imported(url: str, command: ImportContract, who: str | None) -> tuple[Outcome, str]:
    """Import it, or propose that; return how it ended, and who decides what was proposed."""
    built = house.build()
    connection = await database.connect(url, default_transaction_read_only="on")
    try:
        standing: Standing = (await built.load_standing(connection)).at(datetime.now(UTC))
        actor = await acting(connection, standing, who)
        async with Door(url, built, writers=1) as door:
            outcome = await door.submit(actor, command, new_id("cli"))
            rule = outcome.refusal.rule if outcome.refusal is not None else ""
            may = standing.declared is not None and require(standing, actor, "authority.propose_change") is None
            if rule != "authority.needs_change" and not (may and rule == "authority.not_allowed"):
                return outcome, ""
            edit = Carried("catalogue.import_contract", json.to_plain(command))
            proposal = ProposeChange(title=f"Contract {command.name}", reason=command.reason, edits=(edit,))
            outcome = await door.submit(actor, proposal, new_id("cli"))
            change = str(outcome.result.get("change", ""))
            return outcome, await change_read.awaited(connection, change, standing.policies, door.now())
    finally:
        await connection.close()


def _print(outcome: Outcome, awaited: str) -> None:
    if "digest" in outcome.result:
        typer.secho(f"proposed as the change {outcome.result['change']}; nothing is in force before it is applied",
                    fg="green")  # fmt: skip
        typer.echo(f"  /changes/{outcome.result['change']} {awaited}".rstrip())
        return
    typer.secho(outcome.status, fg="green")
    for line in lines_of(plain(outcome.result), "  "):
        typer.echo(line)


@app.command("export")
def export_contract(
    name: Annotated[str, typer.Argument(help="As `trueup show /v1/contracts` lists it.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; without it, the terminal.")] = None,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Write a contract as an ODCS 3.1 document."""
    text = on_database(home, database_url, lambda url: _exported(url, name))
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"written to {output}")


async def _exported(url: str, name: str) -> str:
    connection = await database.connect(url, default_transaction_read_only="on")
    try:
        found = await breach_read.contract(connection, name, datetime.now(UTC))
    finally:
        await connection.close()
    if found is None:
        raise TrueupError(f"there is no contract {name!r}; `trueup show /v1/contracts` lists them")
    return found.odcs
