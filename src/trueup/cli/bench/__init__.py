"""Benchmarks: figures with the machine's own limits beside them, measured in interleaved runs."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from trueup.cli.bench.availability import availability
from trueup.cli.bench.broker import broker
from trueup.cli.bench.feed import stock_feed
from trueup.cli.bench.growth import growth
from trueup.cli.bench.hot import hot
from trueup.cli.bench.lists import lists
from trueup.cli.bench.measure import Figure, machine
from trueup.cli.bench.migration import migration
from trueup.cli.bench.place import place
from trueup.cli.bench.sourced import sourced
from trueup.cli.options import AsJson
from trueup.core import json


class Name(StrEnum):
    """The benchmarks there are."""

    PLACE = "place"
    HOT = "hot"
    MIGRATE = "migrate"
    LIST = "list"
    STOCK_FEED = "stock-feed"
    AVAILABILITY = "availability"
    SOURCED = "sourced"
    BROKER = "broker"
    GROWTH = "growth"
    ALL = "all"


_BENCHES: dict[Name, Callable[[], list[Figure]]] = {
    Name.PLACE: place,
    Name.HOT: hot,
    Name.MIGRATE: migration,
    Name.LIST: lists,
    Name.STOCK_FEED: stock_feed,
    Name.AVAILABILITY: availability,
    Name.SOURCED: sourced,
    Name.BROKER: broker,
}


def bench(
    name: Annotated[Name, typer.Argument(help="Which one; `all` runs every one.")], as_json: AsJson = False
) -> None:
    """Measure this machine on a throw-away database, with its limits beside each figure."""
    chosen = {**_BENCHES, Name.GROWTH: growth} if name is Name.GROWTH else _BENCHES
    figures = [figure for key, run in chosen.items() if name in (key, Name.ALL) for figure in run()]
    if as_json:
        whole = figures[0] if name is not Name.ALL and len(figures) == 1 else {"machine": machine(), "figures": figures}
        if name is not Name.ALL and len(figures) > 1:
            whole = {**json.to_plain(figures[0]), "machine": machine(), "further": json.to_plain(figures[1:])}
        typer.echo(json.encode(whole).decode())
        return
    console = Console()
    console.print("  ".join(f"{key}: {value}" for key, value in machine().items()), style="dim")
    console.print(_table(figures))


def _table(figures: list[Figure]) -> Table:
    table = Table("bench", "figure", "limit beside", "ratio", "p50 ms", "p99 ms", "CPU µs per unit", "target", "kept")
    for figure in figures:
        cpu = ", ".join(f"{who} {value:,.0f}" for who, value in figure.cpu_us_per_unit.items())
        table.add_row(
            figure.name,
            f"{figure.figure:,.1f} {figure.unit}",
            _number(figure.limit),
            _number(figure.ratio, 2),
            _number(figure.p50_ms),
            _number(figure.p99_ms),
            cpu,
            figure.target,
            {True: "yes", False: "NO", None: ""}[figure.met],
        )
        if figure.beside:
            table.add_row("", "; ".join(f"{what}: {value:,.1f}" for what, value in figure.beside.items()))
    return table


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
