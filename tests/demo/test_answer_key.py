"""The answer key, by row: every planted fault is found, and nothing is reported that was not planted.

The generator and the detectors know nothing of each other; here alone they meet.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from trueup.migrate.stage import stage
from trueup.sandbox.answer_key import DEFAULT_RATES
from trueup.sandbox.dialects import ENGLISH, GERMAN, TERSE, Dialect, dialect_named, shuffled
from trueup.sandbox.legacy_export import ExportOptions, write_legacy_export

Reported = set[tuple[str, int, str]]

VARIANTS: list[tuple[str, int, Dialect, Mapping[str, int]]] = [
    *((f"english-{seed}", seed, ENGLISH, DEFAULT_RATES) for seed in (1, 2, 3, 4, 5)),
    ("german", 6, GERMAN, DEFAULT_RATES),
    ("terse", 7, TERSE, DEFAULT_RATES),
    ("shuffled", 8, dialect_named("shuffled", 8), DEFAULT_RATES),
    ("german shuffled, tab, cp1252", 9, shuffled(replace(GERMAN, delimiter="\t", encoding="cp1252"), 9), DEFAULT_RATES),
    ("english, pipe, few faults", 10, replace(ENGLISH, delimiter="|"), dict.fromkeys(DEFAULT_RATES, 3)),
    ("terse, many faults", 11, TERSE, {kind: count * 2 for kind, count in DEFAULT_RATES.items()}),
    ("no faults at all", 12, ENGLISH, {}),
]


def reported(staging: Path) -> Reported:
    with duckdb.connect(str(staging), read_only=True) as connection:
        findings = connection.execute("select file, row, kind from finding").fetchall()
        ignored = connection.execute("select file, row, rule from row_outcome where outcome = 'ignore'").fetchall()
    found = {(Path(file).name, row, kind) for file, row, kind in findings}
    return found | {(Path(file).name, row, f"ignored:{rule}") for file, row, rule in ignored}


def planted(key: Path) -> Reported:
    with key.open(newline="", encoding="utf-8") as file:
        return {(entry["file"], int(entry["row"]), entry["kind"]) for entry in csv.DictReader(file)}


@pytest.mark.parametrize(("seed", "dialect", "rates"), [v[1:] for v in VARIANTS], ids=[v[0] for v in VARIANTS])
def test_it_finds_every_planted_row_and_no_other(
    tmp_path: Path, seed: int, dialect: Dialect, rates: Mapping[str, int]
) -> None:
    export, key = tmp_path / "export", tmp_path / "key.csv"
    export.mkdir()
    write_legacy_export(export, ExportOptions(seed=seed, dialect=dialect, rates=dict(rates)), key)
    staged = stage([export], None, tmp_path / "work")
    expected, found = planted(key), reported(staged.path)
    assert sorted(expected - found) == [], "planted and not found"
    assert sorted(found - expected) == [], "reported and not planted"
    assert staged.rows() == sum(len(path.read_bytes().splitlines()) - 1 for path in export.iterdir()), (
        "every row of every file has one outcome"
    )
