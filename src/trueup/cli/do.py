"""`trueup do VERB name=value ...`: every act of the API from a terminal, through the door and by its rules."""

from __future__ import annotations

from typing import Annotated

import typer

from trueup import house
from trueup.cli.acting import As, acting
from trueup.cli.fields import BodyFile, Pairs, read_body
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.cli.printed import lines_of, plain, print_refusal
from trueup.cli.verbs import ADDRESSES, verb_named
from trueup.core import database, json
from trueup.core.door import Door
from trueup.core.errors import Refusal, Refused, TrueupError, Unknown
from trueup.core.ids import new_id
from trueup.core.verb import Command, Outcome, Verb


def do(
    verb: Annotated[str, typer.Argument(help="What to do, as in stock.adjust; `trueup verbs` lists them.")],
    fields: Pairs = None,
    file: BodyFile = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key; the same again is told the same.")] = None,
    who: As = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Do what a verb says: `trueup do stock.adjust sku=TSHIRT location=NYC change=-1 reason=broken reference=r1`.

    Values are text, or JSON where the field takes a number, a list or an object. Exit code 1 if it is refused.
    """
    used = key or new_id("cli")
    try:
        command = _command(verb_named(verb), fields or [], file)
        outcome = on_database(home, database_url, lambda url: _submit(url, command, used, who))
    except Refused as error:
        outcome = Outcome("refused", refusal=error.refusal)
    except Unknown as error:
        raise TrueupError(f"{error}. Run it again with --key {used}: that tells how it ended.") from None
    if as_json:
        typer.echo(json.encode(outcome).decode())
    elif outcome.refusal is not None:
        print_refusal(outcome.refusal)
    else:
        typer.secho(outcome.status + (", as before" if outcome.repeated else ""), fg="green")
        for line in lines_of(plain(outcome.result), "  "):
            typer.echo(line)
    if outcome.refusal is not None:
        raise typer.Exit(1)


def _command(verb: Verb[Command], pairs: list[str], file: str | None) -> Command:
    """Read the command. Raises Refused for a wrong field, and for one that this verb's address fills itself."""
    command = read_body(verb.command, pairs, file)
    for row in ADDRESSES[verb.command]:
        for name, value in row.fixed.items():
            if getattr(command, name) != value:
                raise Refused(Refusal("request.invalid", f"`{name}` is not for you to say.", "Leave it out.", name))
    return command


async def _submit(url: str, command: Command, key: str, who: str | None) -> Outcome:
    built = house.build()
    connection = await database.connect(url)
    try:
        actor = await acting(connection, await built.load_standing(connection), who)
    finally:
        await connection.close()
    async with Door(url, built, writers=1) as door:
        return await door.submit(actor, command, key)
