"""Benchmarks: figures with the machine's own limits beside them, measured in interleaved runs."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from trueup.cli.bench.availability import availability
from trueup.cli.bench.broker import broker
from trueup.cli.bench.cases import cases
from trueup.cli.bench.feed import stock_feed
from trueup.cli.bench.growth import growth
from trueup.cli.bench.guards import guards
from trueup.cli.bench.hot import hot
from trueup.cli.bench.lists import lists
from trueup.cli.bench.measure import Figure, machine
from trueup.cli.bench.migration import migration
from trueup.cli.bench.place import place
from trueup.cli.bench.replay import replay
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
    REPLAY = "replay"
    CASES = "cases"
    GUARDS = "guards"
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
    Name.REPLAY: replay,
    Name.CASES: cases,
    Name.GUARDS: guards,
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
    typer.secho("  ".join(f"{key}: {value}" for key, value in machine().items()), dim=True)
    for figure in figures:
        typer.echo()
        typer.secho(f"{figure.name}: {figure.figure:,.1f} {figure.unit}", bold=True)
        for what, value in _further(figure):
            typer.secho(f"  {what:<30} {value}", fg="red" if what == "target" and figure.met is False else None)


def _further(figure: Figure) -> list[tuple[str, str]]:
    """Return what is said below a figure, leaving out what was not measured."""
    kept = {True: ": kept", False: ": MISSED", None: ""}[figure.met]
    said = [
        ("target", f"{figure.target}{kept}"),
        ("limit beside it", _number(figure.limit)),
        ("ratio", _number(figure.ratio, 3)),
        ("p50 ms", _number(figure.p50_ms)),
        ("p99 ms", _number(figure.p99_ms)),
        ("MB at most", _number(figure.peak_mb)),
        ("CPU per unit, µs", ", ".join(f"{who} {value:,.0f}" for who, value in figure.cpu_us_per_unit.items())),
        *((what, f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}") for what, value in figure.beside.items()),
    ]
    return [(what, value) for what, value in said if value]


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
