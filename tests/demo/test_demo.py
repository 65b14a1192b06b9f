"""`trueup demo --once --json`: the whole story as a script sees it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from trueup.core import database


@pytest.fixture
def empty(server: Any) -> Iterator[str]:
    """A database nobody has migrated yet."""
    name = "demo_story"
    database.create_database(server.url("postgres"), name)
    yield server.url(name)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trueup.cli.main", *arguments], capture_output=True, text=True, check=False, timeout=300
    )


def test_the_story_adds_up_and_is_told_once(empty: str) -> None:
    home = tempfile.mkdtemp(prefix="trueup-demo-")
    try:
        told = run("demo", "--once", "--json", "--seed", "4", "--database", empty, "--home", home)
        again = run("demo", "--once", "--json", "--database", empty, "--home", home)
        verified = run("verify", "--rebuild", "--json", "--database", empty, "--home", home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    counts = report["rows"]
    assert counts["in"] == counts["applied"] + counts["quarantined"] + counts["merged"] + counts["ignored"]
    assert min(counts.values()) > 0
    assert all(control["equal"] for control in report["controls"])
    assert report["planted"] == report["found"]
    assert {case["kind"] for case in report["cases"]} == set(report["found"])
    assert all(case["owner_role"] and case["due_at"] and float(case["price_per_day"]) > 0 for case in report["cases"])
    assert again.returncode == 1
    assert "the demo wants an empty database" in again.stderr
    assert json.loads(verified.stdout)["failing"] == []
    assert json.loads(verified.stdout)["differences"] == []


def test_an_unknown_database_ends_in_one_message() -> None:
    refused = run("doctor", "--database", "host=127.0.0.1 port=1 dbname=nobody")
    assert refused.returncode == 1
    assert "no connection to the database" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_help_is_quick_to_import() -> None:
    heavy = "{'duckdb', 'pyarrow', 'alembic', 'sqlalchemy', 'procrastinate', 'highspy'}"
    code = f"import sys, trueup.cli.main; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
