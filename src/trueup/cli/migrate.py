"""`trueup migrate`: take a legacy system's data over, from the first look at its files to the undo of a load."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from trueup import house
from trueup.cli.options import AsJson, Database, Home, prepared
from trueup.cli.pricing import price_of
from trueup.core import database, embedded, json
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.settings import Settings, load_settings
from trueup.migrate import crosswalk as crossings
from trueup.migrate import quarantine, read, state
from trueup.migrate.controls import Control, controls
from trueup.migrate.facts import Fact, facts
from trueup.migrate.mapping import Mapping, load_mapping
from trueup.migrate.profile import as_table
from trueup.migrate.propose import explain
from trueup.migrate.report import Report, report
from trueup.migrate.run import Means, run_migration
from trueup.migrate.stage import Staged, stage
from trueup.migrate.state import BookedRow, Run, RunRefused
from trueup.migrate.undo import undo

app = typer.Typer(no_args_is_help=True)
quarantine_app = typer.Typer(no_args_is_help=True)
app.add_typer(quarantine_app, name="quarantine", help="Rows that could not be understood: list, export, run again.")

Sources = Annotated[list[Path], typer.Option("--source", help="A file or folder; may be repeated.")]
More = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="More files or folders.")]
MappingName = Annotated[
    str | None, typer.Option("--mapping", help="A shipped mapping's name or a JSON file [proposed from the files].")
]
RunId = Annotated[str | None, typer.Option("--run", help="Id of the run, mig_... [the newest].")]
Tick = Callable[[str, int, int], None]
T = TypeVar("T")

_STEPS = {"read": "Reading", "profile": "Profiling", "validate": "Validating", "load": "Loading", "undo": "Undoing"}
_ROWS_SHOWN = 50


@app.command("run")
def run(
    source: Sources,
    more: More = None,
    mapping: MappingName = None,
    as_json: AsJson = False,
    show_facts: Annotated[bool, typer.Option("--facts", help="Recompute what can be proven about the shop.")] = False,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Profile, map, validate, load, control and report, in one go. Doing it again changes nothing."""
    chosen = load_mapping(mapping) if mapping is not None else None

    async def work(door: Door, connection: Connection, settings: Settings, url: str) -> tuple[Report, list[Fact]]:
        with progress(quiet=as_json) as tick:
            means = Means(door, url, settings.home, price_of=price_of, tick=tick)
            made = await run_migration(means, [*source, *(more or [])], chosen, mapping_name=mapping or "proposed")
        found = await facts(connection, await state.find_run(connection, made.run)) if show_facts else []
        return made, found

    made, found = _at_work(home, database_url, work)
    if as_json:
        # One form of report for every source; only a generated one knows what was planted in it.
        plain = {**json.to_plain(made), "planted": {}}
        _say({**plain, "facts": json.to_plain(found)} if show_facts else plain)
    else:
        print_report(made)
        if show_facts:
            _print_both_sides("Facts", found)


@app.command("load")
def load(
    source: Sources,
    more: More = None,
    mapping: MappingName = None,
    as_json: AsJson = False,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """The same as `run`: nothing is ever loaded without being validated, controlled and reported."""
    run(source, more, mapping, as_json, False, home, database_url)


@app.command("profile")
def profile(source: Sources, more: More = None, as_json: AsJson = False) -> None:
    """Show what stands in every column: types, gaps, patterns, repetitions, outliers, samples. Writes nothing."""
    with _staged([*source, *(more or [])], None, quiet=as_json) as staged:
        if as_json:
            _say({"files": json.to_plain(staged.profile)})
            return
        for file in staged.profile:
            _console().print(as_table(file))


@app.command("map")
def propose_mapping(
    source: Sources,
    more: More = None,
    save: Annotated[Path | None, typer.Option("--save", help="Write the mapping to this JSON file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Propose a first mapping from names and values, with the reason for each choice; save it, and correct it there."""
    with _staged([*source, *(more or [])], None, quiet=as_json) as staged:
        document = json.encode(staged.mapping)
        if save is not None:
            save.write_bytes(_indented(document))
        if as_json:
            sys.stdout.write(_indented(document).decode())
        elif staged.proposal is not None:
            _console().print(explain(staged.proposal))
        if save is not None and not as_json:
            typer.echo(f"Saved to {save}. Use it with --mapping {save}.")


@app.command("validate")
def validate(source: Sources, more: More = None, mapping: MappingName = None, as_json: AsJson = False) -> None:
    """Show how every row would end and what is odd about it, without loading anything."""
    with _staged([*source, *(more or [])], mapping, quiet=as_json) as staged:
        names = {"applied": "apply", "quarantined": "quarantine", "merged": "merge", "ignored": "ignore"}
        rows = {"in": staged.rows(), **{name: staged.rows(outcome) for name, outcome in names.items()}}
        if as_json:
            _say({"rows": rows, "found": staged.findings, "outcomes": json.to_plain(staged.outcomes)})
            return
        _console().print(_sums(rows))
        table = _table("Rows by file and outcome", "file", "record", "outcome", "rule", "#rows")
        for count in staged.outcomes:
            table.add_row(count.file, count.entity, count.outcome, count.rule, f"{count.rows:,}")
        _console().print(table)
        _print_counts("Found", staged.findings)


@app.command("report")
def show_report(
    run_id: RunId = None, as_json: AsJson = False, home: Home = None, database_url: Database = None
) -> None:
    """Show a run's report as things stand now."""

    async def work(connection: Connection) -> Report:
        return await report(connection, await _run(connection, run_id))

    made = _reading(home, database_url, work)
    _say(json.to_plain(made)) if as_json else print_report(made)


@app.command("controls")
def show_controls(
    run_id: RunId = None, as_json: AsJson = False, home: Home = None, database_url: Database = None
) -> None:
    """Set the source's totals and the target's next to each other; exit code 1 when any differ."""

    async def work(connection: Connection) -> list[Control]:
        return await controls(connection, (await _run(connection, run_id)).source)

    compared = _reading(home, database_url, work)
    if as_json:
        _say({"controls": json.to_plain(compared)})
    else:
        _print_both_sides("Control totals", compared)
    raise typer.Exit(0 if all(control.equal for control in compared) else 1)


@app.command("crosswalk")
def show_crosswalk(
    number: Annotated[str, typer.Argument(help="A legacy number, or one of our ids.")],
    source: Annotated[str | None, typer.Option("--source", help="Only of this source.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="item, customer, order or location.")] = None,
    as_json: AsJson = False,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Show what a legacy number became, or which legacy numbers became one of our ids."""

    async def work(connection: Connection) -> list[crossings.Crossing]:
        found = await crossings.look_up(connection, number, source, kind)
        return found or await crossings.came_from(connection, number)

    found = _reading(home, database_url, work)
    if as_json:
        _say({"crosswalk": json.to_plain(found)})
    elif not found:
        raise RunRefused(f"Nothing is known as {number!r}. Give a legacy number or one of our ids.")
    else:
        table = _table("Crosswalk", "source", "kind", "legacy id", "our id", "run")
        for entry in found:
            table.add_row(entry.source, entry.kind, entry.legacy_id, entry.id, entry.run)
        _console().print(table)


@quarantine_app.command("list")
def quarantine_list(
    run_id: RunId = None, as_json: AsJson = False, home: Home = None, database_url: Database = None
) -> None:
    """List the quarantined rows: where, which value, which rule, and a suggested fix."""

    async def work(connection: Connection) -> list[BookedRow]:
        chosen = await _run(connection, run_id)
        return await quarantine.list_quarantined(connection, chosen.id, limit=1000)

    rows = _reading(home, database_url, work)
    names = ("file", "row", "column_name", "value", "rule", "detail", "fix")
    if as_json:
        _say({"quarantined": [{name: getattr(row, name) for name in names} for row in rows]})
        return
    _print_quarantined(rows)


@quarantine_app.command("export")
def quarantine_export(
    target: Annotated[Path, typer.Argument(help="CSV file to write.")],
    run_id: RunId = None,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Write the quarantined rows to a CSV to correct: what is wrong first, then the source's own columns."""

    async def work(connection: Connection) -> int:
        return await quarantine.export(connection, (await _run(connection, run_id)).id, target)

    count = _reading(home, database_url, work)
    typer.echo(f"{count} rows written to {target}. Correct them there, then: trueup migrate quarantine rerun {target}"
               if count else "Nothing is quarantined.")  # fmt: skip


@quarantine_app.command("rerun")
def quarantine_rerun(
    corrected: Annotated[Path, typer.Argument(help="The corrected CSV.")],
    run_id: RunId = None,
    as_json: AsJson = False,
    home: Home = None,
    database_url: Database = None,
) -> None:
    """Load corrected rows alone, in the same run; its sums stay true. Exit code 1 when some are still wrong."""

    async def work(door: Door, connection: Connection, settings: Settings, url: str) -> quarantine.Rerun:
        chosen = await _run(connection, run_id)
        rows = quarantine.read_corrected(corrected)
        return await quarantine.rerun(Means(door, url, settings.home), chosen.id, rows)

    made = _at_work(home, database_url, work)
    if as_json:
        _say(json.to_plain(made))
    else:
        typer.echo(f"{made.applied} of {made.rows} rows are applied now.")
        if made.left:
            _print_quarantined(list(made.left))
    raise typer.Exit(1 if made.left else 0)


@app.command("undo")
def undo_run(run_id: RunId = None, as_json: AsJson = False, home: Home = None, database_url: Database = None) -> None:
    """Withdraw a run's orders and take its opening stock back; loading it again applies it again."""

    async def work(door: Door, connection: Connection, settings: Settings, url: str) -> Any:
        chosen = await _run(connection, run_id)
        with progress(quiet=as_json) as tick:
            return await undo(door, url, chosen.id, tick=tick)

    done = _at_work(home, database_url, work)
    if as_json:
        _say(json.to_plain(done))
        return
    typer.echo(f"{done.run}: {done.orders:,} orders withdrawn, {done.stock_lines:,} stock positions taken back.")
    for left in done.stock_left:
        typer.echo(f"  left, since promised or gone: {left.units} of {left.sku} at {left.location}")
    for order in done.refused:
        typer.secho(f"  not withdrawn: {order}", fg="yellow")
    for other in done.incomplete:
        typer.secho(f"  {other} lost rows in the same orders; run its files again to bring them back", fg="yellow")


def print_report(made: Report) -> None:
    """Print a report for a stranger: sums to the row, totals of both sides, what was found, and its cases."""
    console = _console()
    console.print(f"\nMigration [bold]{made.run}[/] of {made.source}, mapping {made.mapping}: {made.status}")
    console.print(_sums(made.rows))
    if made.rules:
        table = _table("Rows not plainly applied", "outcome", "rule", "#rows")
        for rule in made.rules:
            table.add_row(str(rule["outcome"]), str(rule["rule"]), f"{rule['rows']:,}")
        console.print(table)
    _print_both_sides("Control totals", list(made.controls))
    if made.cases:
        table = _table("Found", "kind", "#rows", "case", "owner", "due", "#per day")
        for case in made.cases:
            price = f"{case.price_per_day} {case.currency}" if case.price_per_day is not None else ""
            due = case.due_at.strftime("%Y-%m-%d %H:%M UTC")
            table.add_row(case.kind, f"{case.count:,}", case.case, case.owner_role, due, price)
        console.print(table)
    if not made.agrees:
        console.print("[bold red]Source and target do not agree[/]: see the totals marked NO.")
    if made.seconds:
        console.print(", ".join(f"{step} {seconds:.1f} s" for step, seconds in made.seconds.items()))


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Tick | None]:
    """Show a bar per step on standard error; yields the function that moves it, None when quiet."""
    if quiet:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def tick(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(_STEPS.get(step, step.capitalize()), total=of)
            bar.update(tasks[step], completed=done, total=of)

        yield tick


def _at_work(
    home: Path | None,
    database_url: str | None,
    work: Callable[[Door, Connection, Settings, str], Awaitable[T]],
) -> T:
    """Run something with a door and a connection of its own on the settings' database, and stop what was started."""
    settings = load_settings(home, database_url)
    url, server = prepared(settings)

    async def inside() -> T:
        connection = await database.connect(url, statement_timeout="10min")
        try:
            async with Door(url, house.build(), writers=settings.writers) as door:
                return await work(door, connection, settings, url)
        finally:
            await connection.close()

    try:
        return asyncio.run(inside())
    finally:
        if server is not None and server.started:
            embedded.stop(server)


def _reading(home: Path | None, database_url: str | None, work: Callable[[Connection], Awaitable[T]]) -> T:
    async def inside(door: Door, connection: Connection, settings: Settings, url: str) -> T:
        return await work(connection)

    return _at_work(home, database_url, inside)


@contextmanager
def _staged(paths: list[Path], mapping: str | None, *, quiet: bool) -> Iterator[Staged]:
    """Stage in a folder that goes away again."""
    chosen: Mapping | None = load_mapping(mapping) if mapping is not None else None
    with tempfile.TemporaryDirectory(prefix="trueup-") as folder:
        with progress(quiet=quiet) as tick:
            staged = stage(paths, chosen, Path(folder), tick=tick)
        yield staged


async def _run(connection: Connection, run_id: str | None) -> Run:
    """Return the run of this id, or the newest."""
    if run_id is not None:
        return await state.find_run(connection, run_id)
    runs = await read.list_runs(connection)
    if not runs:
        raise RunRefused("Nothing was migrated yet. Begin with: trueup migrate run --source PATH")
    return runs[0]


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def _table(title: str, *columns: str) -> Table:
    """Make a table; a column whose name begins with # holds numbers."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(
            column.removeprefix("#"), justify="right" if column.startswith("#") else "left", overflow="fold"
        )
    return table


def _sums(rows: dict[str, int]) -> str:
    rest = " + ".join(f"{count:,} {name}" for name, count in rows.items() if name != "in")
    return f"{rows['in']:,} rows in = {rest}"


def _print_both_sides(title: str, entries: list[Control] | list[Fact]) -> None:
    table = _table(title, "name", "#source", "#target", "equal")
    for entry in entries:
        table.add_row(entry.name, entry.source, entry.target, "yes" if entry.equal else "[bold red]NO[/]")
    _console().print(table)


def _print_counts(title: str, counts: dict[str, int]) -> None:
    if counts:
        table = _table(title, "kind", "#rows")
        for kind, count in counts.items():
            table.add_row(kind, f"{count:,}")
        _console().print(table)


def _print_quarantined(rows: list[BookedRow]) -> None:
    table = _table(f"Quarantined: {len(rows):,}", "file", "#row", "column", "value", "rule", "what is wrong", "fix")
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(row.file, str(row.row), row.column_name or "", row.value or "", row.rule, row.detail, row.fix)
    _console().print(table)
    if len(rows) > _ROWS_SHOWN:
        typer.echo(f"... and {len(rows) - _ROWS_SHOWN:,} more: trueup migrate quarantine export FILE")


def _say(plain: Any) -> None:
    """Print one JSON object."""
    typer.echo(json.encode(plain).decode())


def _indented(document: bytes) -> bytes:
    import msgspec

    return msgspec.json.format(document, indent=2) + b"\n"
