"""`trueup feed`: a file's rows, their sums, and the same file again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from typer.testing import CliRunner

from trueup.cli.main import app
from trueup.core.door import Door
from trueup.core.errors import Refused, TrueupError

AS_OF = "2026-03-02T09:00:00Z"
CSV = "sku,quantity,location\nMUG,7,MAIN\nCUP,1,MAIN\nPLATE,?,\nPLATE,4,ATTIC\n"
NDJSON = '{"sku": "MUG", "quantity": 7}\n\n{"sku": "CUP", "quantity": 1}\n{"sku": "PLATE"}\nnot json\n'


async def run(url: str, file: Path, *more: str) -> dict[str, object]:
    """Run the command as a terminal does."""
    arguments = ["feed", str(file), "--source", "wms", "--as-of", AS_OF, "--database", url, "--json", *more]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(("name", "text"), [("feed.csv", CSV), ("feed.ndjson", NDJSON)])
async def test_a_file_is_sent_and_its_sums_are_shown(door: Door, url: str, tmp_path: Path, name: str, text: str):
    await stocked(door, MUG=5, PLATE=3)
    file = tmp_path / name
    file.write_text(text)
    sums = await run(url, file, "--location", "MAIN")
    assert [sums[key] for key in ("rows", "applied", "merged", "quarantined", "ignored")] == [4, 1, 0, 3, 0]
    again = await run(url, file, "--location", "MAIN")
    assert again == sums, "the same file has one effect"
    assert await rows(url, "select count(*) from stock_feed") == [(1,)]
    await prove(url)


async def test_a_file_that_cannot_be_is_refused_in_words(door: Door, url: str, tmp_path: Path):
    await stocked(door, MUG=5)
    file = tmp_path / "feed.csv"
    file.write_text("item,units\nMUG,7\n")
    with pytest.raises(TrueupError, match="needs the columns sku and quantity"):
        await run(url, file)
    file.write_text("sku,quantity\nMUG,7\n")
    with pytest.raises(Refused, match=r"stock\.feed_sequence"):
        await run(url, file, "--kind", "delta")
    with pytest.raises(TrueupError, match="has no rows"):
        await run(url, tmp_path / "feed.csv" if file.write_text("sku,quantity\n") else file)
    assert await rows(url, "select * from stock_feed") == []
