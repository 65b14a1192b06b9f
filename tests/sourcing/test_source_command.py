"""`trueup source`: what waits is sourced from the command line, and every decision can be read there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from typing import Any

from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, by, placed, publish

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.orders.channel import Channel
from trueup.orders.hold import PlaceHold
from trueup.sourcing.policy import Rule


async def told(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on this test's database."""
    with tempfile.TemporaryDirectory(prefix="trueup-source-") as home:
        command = [sys.executable, "-m", "trueup.cli.main", "source", *arguments, "--database", url, "--home", home]
        return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120)


async def as_json(url: str, *arguments: str) -> Any:
    done = await told(url, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_it_sources_what_waits_and_tells_how_it_ended(door: Door, url: str, clock: TurnedClock):
    await stocked(door, location="A", MUG=3, CUP=1)
    await stocked(door, location="B", CUP=1)
    await publish(door, "web", Channel(locations=("A", "B"), short="backorder"))
    whole = Rule("whole", complete="order", otherwise="queue", queue="by hand")
    await publish(door, "default", by(whole))
    held = await placed(door, "held", MUG=1)
    assert (await act(door, PlaceHold(order=held, type="manual", reason="ask first"))).status == "applied"
    fits = await placed(door, "fits", MUG=2)
    clock.turn(timedelta(seconds=1))
    queued = await placed(door, "queued", CUP=2)
    report = await as_json(url, "run", "--limit", "1")
    assert (report["asked"], report["outcomes"]) == (1, {"assigned": 1}), "first in first, held ones not at all"
    report = await as_json(url, "run")
    assert (report["asked"], report["outcomes"], report["refused"]) == (1, {"queued": 1}, [])
    assert await rows(url, "select order_id, mode from sourcing_decision order by at, id") == [
        (fits, "demand"),
        (queued, "demand"),
    ]
    queues = await as_json(url, "queues")
    assert [(row["queue"], row["orders"]) for row in queues["queues"]] == [("by hand", 1)]
    assert [row["order"] for row in queues["orders"]] == [queued]
    assert (await as_json(url, "explain", fits))["decisions"][0]["decision"]["rule"] == "whole"
    lines = (await told(url, "explain", queued)).stdout
    assert "asked 'whole': no location has all of it: queue" in lines
    assert "1. A: 1 CUP" in lines
    assert "line 1: 2 waits in queue 'by hand'" in lines
    unknown = await told(url, "explain", "ord_none")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "there is no order 'ord_none'" in unknown.stderr
    await prove(url)
