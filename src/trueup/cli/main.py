"""The `trueup` command. Every error ends in one message that says what to do, and exit code 1; wrong usage in 2."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from trueup import __version__
from trueup.core.errors import TrueupError
from trueup.core.logs import configure_logs


class Place(NamedTuple):
    """Where a command is, below `trueup.cli`: a function, or an app with commands of its own; and what help says."""

    module: str
    name: str
    summary: str


COMMANDS = {
    "demo": Place("demo", "demo", "Generate a legacy shop's export, migrate and reconcile it, and go on trading."),
    "up": Place("operate", "up", "Serve API and console until interrupted."),
    "do": Place("do", "do", "Do what a verb says: every act of the API, through the door."),
    "show": Place("show", "show", "Show what the API answers: every read of it, without a server."),
    "verbs": Place("verbs", "verbs", "List what can be asked for or reported; of one verb, its fields and an example."),
    "orders": Place("orders", "app", "Take orders over from a file."),
    "source": Place("source", "app", "Source what waits, explain where an order comes from, list the queues."),
    "amend": Place("amend", "amend", "Amend items, locations or partners from a file."),
    "contract": Place("contracts", "app", "Import a data contract from an ODCS file, and export one."),
    "feed": Place("feed", "feed", "Send a stock feed."),
    "migrate": Place("migrate", "app", "Take a legacy system's data over: profile, map, load, control, undo."),
    "person": Place("people", "person", "Let a person act, and print their id."),
    "link": Place("people", "link", "Print a one-time sign-in link."),
    "key": Place("people", "key", "Issue an API key and print it."),
    "replay": Place("replay", "replay", "Show what a policy would have made of the last days' orders."),
    "verify": Place("examine", "verify", "Walk the journal's seals and run every room's checks."),
    "audit": Place("audit", "audit", "Write who did what to a file, and print whether the journal verifies."),
    "trial": Place("audit", "trial", "Say which of the last days' commands a guard would stop as things stand now."),
    "doctor": Place("examine", "doctor", "Say whether this machine and database can run Trueup."),
    "bench": Place("bench", "bench", "Measure this machine on a throw-away database."),
}


class Commands(TyperGroup):
    """The commands, each imported when it is run or asked for help: none pays for what another one needs."""

    def __init__(self, **attributes: Any) -> None:
        listed = {name: TyperCommand(name, help=place.summary) for name, place in COMMANDS.items()}
        super().__init__(**{**attributes, "commands": listed})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command itself in place of its line in the list."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name is not None and found is not None else None, rest


def load(name: str) -> Any:
    """Import a command."""
    place = COMMANDS[name]
    found = getattr(import_module(f"trueup.cli.{place.module}"), place.name)
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.help = group.help or place.summary
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return get_command(alone)


app = typer.Typer(
    name="trueup",
    cls=Commands,
    help="An order management system that governs its own implementation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trueup {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """An order management system that governs its own implementation."""


def main() -> None:
    """Run the command; what Trueup raises on purpose is shown as a message, not as a traceback."""
    configure_logs()
    try:
        app()
    except TrueupError as error:
        typer.secho(f"trueup: {error}", err=True, fg="red")
        sys.exit(1)


if __name__ == "__main__":
    main()
