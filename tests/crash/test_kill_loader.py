"""A migration is killed at random moments, and so is its database; run again, it ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.crash.harness import ROOT, Server
from tests.proof import problems_of
from tests.requests import rows

from trueup.sandbox.legacy_export import ExportOptions, write_legacy_export

pytestmark = pytest.mark.crash

KILLS = 6


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(Path(tempfile.gettempdir()) / f"trueup-crash-loader-{os.getpid()}")
    try:
        yield server
    finally:
        server.remove()


def migrating(url: str, export: Path, home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trueup.cli.main", "migrate", "run", "--source", str(export), "--json",
               "--database", url, "--home", str(home)]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def finished(url: str, export: Path, home: Path) -> dict[str, Any]:
    process = migrating(url, export, home)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(output)
    return report


def orders_in(url: str) -> int:
    try:
        with psycopg.connect(url) as connection:
            found = connection.execute("select count(*) from orders").fetchone()
    except psycopg.OperationalError:
        return 0
    return int(found[0]) if found else 0


def wait_until_loading(url: str, process: subprocess.Popen[bytes], more_than: int) -> None:
    while process.poll() is None and orders_in(url) <= more_than:
        time.sleep(0.02)


def contents(url: str) -> list[tuple[Any, ...]]:
    """Return what a load leaves behind, without the ids that differ from run to run."""
    return asyncio.run(
        rows(
            url,
            """select o.external_ids ->> 'legacy', o.placed_at, o.total, l.sku, l.quantity, l.amount, l.source_row
            from orders o join order_line l on l.order_id = o.id order by 1, l.source_row""",
        )
    )


def test_a_killed_load_run_again_ends_as_if_nothing_had_happened(server: Server, tmp_path: Path):
    export = tmp_path / "export"
    export.mkdir()
    write_legacy_export(export, ExportOptions(seed=5, orders=4000), tmp_path / "key.csv")
    undisturbed = server.database("undisturbed")
    expected = finished(undisturbed, export, tmp_path / "undisturbed")
    url = server.database("disturbed")
    struck = 0
    for turn in range(KILLS):
        before = orders_in(url)
        process = migrating(url, export, tmp_path / "disturbed")
        wait_until_loading(url, process, before)
        time.sleep(random.uniform(0, 0.15))
        if process.poll() is None:
            struck += 1
            if turn % 2:
                server.kill_all()
                server.start()
            process.kill()
        process.communicate()
        assert asyncio.run(problems_of(url)) == []
    report = finished(url, export, tmp_path / "disturbed")
    assert struck >= 2, "the load was over before it could be killed"
    assert report["rows"] == expected["rows"]
    assert all(control["equal"] for control in report["controls"])
    assert report["found"] == expected["found"]
    assert contents(url) == contents(undisturbed)
    assert asyncio.run(problems_of(url)) == []
    print(f"loader: {struck} kills, {len(contents(url))} lines, as if nothing had happened")
