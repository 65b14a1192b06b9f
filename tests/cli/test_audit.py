"""`trueup audit` and `trueup trial`: who did what as a file, and a guard tried on the last days."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.terminal import run
from tests.conftest import stocked
from tests.requests import rows

from trueup.core.door import Door
from trueup.core.errors import TrueupError


async def test_who_did_what_is_written_to_a_file_with_the_journals_verification(door: Door, url: str, tmp_path: Path):
    await stocked(door, MUG=2)
    for name in ("acts.csv", "acts.json"):
        seen = await run(url, "audit", str(tmp_path / name), "--verb", "stock")
        assert seen.code == 0, seen
        assert "1 acts" in seen.out
        assert "journal: verified; rows" in seen.out
        assert "stock.receive" in (tmp_path / name).read_text()
        assert "catalogue.register_item" not in (tmp_path / name).read_text()
    with pytest.raises(TrueupError, match="make it first, or name another file"):
        await run(url, "audit", str(tmp_path / "nowhere" / "acts.csv"))


async def test_a_guard_is_tried_from_a_terminal(door: Door, url: str):
    await stocked(door, MUG=2)
    before = await rows(url, "select count(*) from journal")
    seen = await run(url, "trial", "role_guard", "--days", "30", "--json")
    assert seen.code == 0, seen
    assert seen.json["stopped"] == 0
    told = await run(url, "trial", "role_guard", "--days", "30")
    assert "role_guard would have stopped 0 of" in told.out
    assert "went through at the time" in told.out
    assert (await run(url, "trial", "nothing")).code != 0
    assert await rows(url, "select count(*) from journal") == before
