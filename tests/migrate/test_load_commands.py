"""The commands a stranger types: run, quarantine, controls, crosswalk, undo; and what scripts read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.migrate.loading import mapping, small_shop
from typer.testing import CliRunner

from trueup.cli.migrate import app
from trueup.core import json as exact
from trueup.core.errors import TrueupError


class Typed:
    """Types `trueup migrate ...` on the test's database."""

    def __init__(self, url: str, home: Path) -> None:
        self.own = ["--database", url, "--home", str(home)]

    def __call__(self, *words: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(app, [*words, *self.own], catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result.stdout

    def plain(self, *words: str, exit_code: int = 0) -> Any:
        return json.loads(self(*words, "--json", exit_code=exit_code))


@pytest.fixture
def typed(url: str, tmp_path: Path) -> Typed:
    (tmp_path / "mapping.json").write_bytes(exact.encode(mapping()))
    return Typed(url, tmp_path / "home")


def test_from_the_first_run_to_the_undo(typed: Typed, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", lines_7_quantity="?")
    run = ("run", "--source", str(shop), "--mapping", str(tmp_path / "mapping.json"))
    made = typed.plain(*run, "--facts")
    assert made["rows"] == {"in": 175, "applied": 174, "quarantined": 1, "merged": 0, "ignored": 0}
    assert {*made["controls"][0]} == {"name", "source", "target", "equal"}
    assert all(control["equal"] for control in made["controls"])
    assert made["found"] == {"unreadable_value": 1}
    assert made["cases"][0]["price_per_day"] is not None
    assert all(fact["equal"] for fact in made["facts"])
    listed = typed.plain("quarantine", "list")["quarantined"]
    assert [(row["file"], row["row"], row["column_name"], row["value"]) for row in listed] == [
        ("lines.csv", 8, "quantity", "?")
    ]
    typed("quarantine", "export", str(tmp_path / "wrong.csv"))
    wrong = (tmp_path / "wrong.csv").read_text()
    (tmp_path / "wrong.csv").write_text(wrong.replace("SKU-007,?", "SKU-007,3"))
    assert typed.plain("quarantine", "rerun", str(tmp_path / "wrong.csv"))["applied"] == 1
    assert typed.plain("report")["rows"]["quarantined"] == 0
    assert typed.plain("crosswalk", "A-00003")["crosswalk"][0]["kind"] == "order"
    assert "25 orders withdrawn" in typed("undo")
    assert typed.plain(*run)["rows"]["applied"] == 175
    assert "yes" in typed("controls")


def test_looking_writes_nothing(tmp_path: Path):
    shop = small_shop(tmp_path / "shop")
    for words in (["profile"], ["map"], ["validate", "--mapping", str(tmp_path / "mapping.json")]):
        (tmp_path / "mapping.json").write_bytes(exact.encode(mapping()))
        result = CliRunner().invoke(app, [*words, "--source", str(shop)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert "lines.csv" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--source", "nowhere.csv"], "not there"),
        (["run", "--source", ".", "--mapping", "no-such-shop"], "no shipped mapping"),
        (["report"], "Nothing was migrated yet"),
        (["report", "--run", "mig_1"], "no migration run"),
        (["quarantine", "rerun", "nowhere.csv"], "Nothing was migrated yet"),
    ],
)
def test_a_mistake_ends_in_one_clear_message(typed: Typed, words: list[str], message: str):
    with pytest.raises(TrueupError, match=message):
        typed(*words)


def test_wrong_usage_ends_in_two(typed: Typed):
    assert "Missing option" in CliRunner().invoke(app, ["run"]).output
    assert CliRunner().invoke(app, ["run"]).exit_code == 2
