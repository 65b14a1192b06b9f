"""The list of commands: what help says is what they are, and none pays for what another one imports."""

from __future__ import annotations

import inspect
import subprocess
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
import typer
from tests.cli.terminal import run, told

from trueup.cli import options as shared
from trueup.cli.demo import who_is_who
from trueup.cli.main import COMMANDS, load
from trueup.core import database, embedded
from trueup.core.door import Door
from trueup.core.errors import TrueupError
from trueup.core.settings import Settings, load_settings

FRAMEWORKS = {"litestar", "uvicorn", "jinja2", "prometheus_client", "argon2"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_says_of_a_command_what_it_says_of_itself(name: str):
    command = load(name)
    own = inspect.cleandoc(command.help or "").split("\n")[0]
    summary = COMMANDS[name].summary.rstrip(".")
    assert own.startswith(summary), f"{name}: {own!r} does not begin with {summary!r}"
    assert told(name, "--help").code == 0


def test_an_unknown_command_names_the_nearest():
    wrong = told("verifi")
    assert wrong.code == 2
    assert "'verify'" in wrong.err


@pytest.mark.parametrize(
    ("module", "frameworks"), [("main", FRAMEWORKS), ("do", FRAMEWORKS), ("verbs", FRAMEWORKS), ("examine", FRAMEWORKS)]
)
def test_a_command_does_not_wait_for_the_web_framework(module: str, frameworks: set[str]):
    code = f"import sys, trueup.cli.{module}; print(*sorted({frameworks!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_the_list_of_commands_imports_none_of_them():
    helped = "print(CliRunner().invoke(main.app, ['--help']).output, 'trueup.house' in sys.modules)"
    code = f"import sys; from trueup.cli import main; from typer.testing import CliRunner; {helped}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.rstrip().endswith("False")
    assert all(f" {name} " in done.stdout for name in COMMANDS)


async def test_a_link_leads_to_where_the_server_is(door: Door, url: str):
    person = (await run(url, "person", "Ann", "--role", "Auditor", "--email", "ann@example.com")).out.strip()
    for options, begins in (
        ((), "http://127.0.0.1:8080/sign-in/"),
        (("--port", "9000"), "http://127.0.0.1:9000/sign-in/"),
        (("--host", "::1", "--port", "9000"), "http://[::1]:9000/sign-in/"),
        (("--url", "https://oms.example.com/"), "https://oms.example.com/sign-in/"),
    ):
        for who in (person, "ann@example.com"):
            assert (await run(url, "link", who, *options)).out.startswith(begins)
    with pytest.raises(TrueupError, match="is no address"):
        await run(url, "link", person, "--url", "oms.example.com")
    with pytest.raises(TrueupError, match="nobody has the address"):
        await run(url, "link", "bob@example.com")


def test_every_command_is_a_function_or_an_app():
    assert all(isinstance(load(name), typer.core.TyperCommand | typer.core.TyperGroup) for name in COMMANDS)


def test_a_new_home_is_said_to_be_made_and_one_that_is_there_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    made: list[Path] = []

    def prepare(settings: Settings) -> tuple[str, None]:
        made.append(settings.home)
        return "url", None

    monkeypatch.setattr(database, "prepare", prepare)
    for there, says in ((False, True), (True, False)):
        monkeypatch.setattr(embedded, "has_cluster", lambda home, there=there: there)
        with redirect_stderr(StringIO()) as told_:
            shared.prepared(load_settings(tmp_path))
        assert (f"{tmp_path} is a new, empty home" in told_.getvalue()) is says
    with redirect_stderr(StringIO()) as told_:
        shared.prepared(load_settings(tmp_path, "postgresql://elsewhere/trueup"))
    assert told_.getvalue() == ""
    assert made == [tmp_path] * 3


def test_the_demo_says_who_each_link_is_for_and_how_other_commands_reach_it(tmp_path: Path):
    lines = who_is_who(load_settings(tmp_path), "http://127.0.0.1:8080", ("one", "two", "three"))
    roles = "Administrator, Data Steward, Fulfilment Lead, Order Agent"
    assert f"  Paula Planner ({roles}): http://127.0.0.1:8080/sign-in/one" in lines
    assert "  Bea Board (Change Control Board): http://127.0.0.1:8080/sign-in/three" in lines
    assert f"  export TRUEUP_HOME={tmp_path}" in lines
    assert any("trueup link E-MAIL --url http://127.0.0.1:8080" in line for line in lines)
    assert any("masterdata@example.com" in line and "Mira Masterdata (Master Data Owner)" in line for line in lines)
