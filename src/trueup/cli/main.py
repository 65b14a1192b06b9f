"""The `trueup` command. Every error ends in one message that says what to do, and exit code 1; wrong usage in 2."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from trueup import __version__
from trueup.cli import bench, demo, feed, migrate, operate, orders, people, source
from trueup.core.errors import TrueupError
from trueup.core.logs import configure_logs

app = typer.Typer(
    name="trueup",
    help="An order management system that governs its own implementation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("up")(operate.up)
app.command("doctor")(operate.doctor)
app.command("verify")(operate.verify)
app.command("bench")(bench.bench)
app.command("feed")(feed.feed)
app.command("link")(people.link)
app.command("person")(people.person)
app.command("key")(people.key)
app.add_typer(orders.app, name="orders", help="Take orders over from a file.")
app.add_typer(source.app, name="source", help="Source what waits, explain where an order comes from, list the queues.")
app.add_typer(migrate.app, name="migrate", help="Take a legacy system's data over: profile, map, load, control, undo.")


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
