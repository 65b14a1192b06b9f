"""`trueup amend FILE`: a table in; what was wrong out, cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.catalogue.test_partners import known, partner
from tests.cli.terminal import run
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup.core.door import Door
from trueup.core.errors import TrueupError


async def test_the_good_rows_are_amended_and_the_bad_cells_named(door: Door, url: str, tmp_path: Path):
    await stocked(door, MUG=1, CUP=1)
    file = tmp_path / "weights.csv"
    file.write_text("sku;weight_g;gtin\nMUG;310;\nCUP;90;4006381333932\n", encoding="utf-8")
    for _ in range(2):
        done = await run(url, "amend", str(file), "--reason", "weighed")
        assert (done.code, "1 row amended" in done.out) == (1, True), done
        assert "row 3, gtin '4006381333932'" in done.out
        assert "check digit should be 1" in done.out
    assert await rows(url, "select sku, weight_g, version from item order by sku") == [
        ("CUP", None, 1),
        ("MUG", 310, 2),
    ]


async def test_a_table_of_something_else_is_refused_with_the_columns_there_are(door: Door, url: str, tmp_path: Path):
    file = tmp_path / "other.csv"
    file.write_text("sku,colour\nMUG,red\n", encoding="utf-8")
    with pytest.raises(TrueupError, match="no column 'colour'"):
        await run(url, "amend", str(file))
    with pytest.raises(TrueupError, match="is no file"):
        await run(url, "amend", str(tmp_path / "none.csv"))


async def test_terms_of_partners_are_amended_from_a_file_too(door: Door, url: str, tmp_path: Path):
    await known(door, partner(), partner("WIEN"))
    file = tmp_path / "terms.csv"
    file.write_text("code,lead_days,gln\nBRNO,14,4012345000009\nWIEN,3,4012345000008\n")
    done = await run(url, "amend", str(file), "--of", "partners", "--reason", "the year's terms")
    assert (done.code, "1 row amended" in done.out, "check digit should be 9" in done.out) == (1, True, True), done
    assert await rows(url, "select code, lead_days, gln from partner order by code") == [
        ("BRNO", 14, "4012345000009"), ("WIEN", None, None)
    ]  # fmt: skip
    shown = await run(url, "show", "partners", "--json")
    assert (shown.code, '"lead_days":14' in shown.out.replace(" ", "")) == (0, True), shown
    await prove(url)
